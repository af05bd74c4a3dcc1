"""ul.release and ul.abort, the product as acceptor (PS3.8 9.3.6 to 9.3.8, 7.2, 7.3)."""

from collections.abc import Iterable

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.passive import FINE, Look, PassiveCheck, Traffic
from dulcet.conformance.kit.product import CT_IMAGE_STORAGE
from dulcet.conformance.kit.raw_peer import outcome_of
from dulcet.conformance.kit.stimuli import COMMAND, abort, p_data, pdu, pdv
from dulcet.conformance.kit.synthetic import ct_image, find_rq, store_rq, study_query
from dulcet.conformance.kit.visit import Visit, echo_rq
from dulcet.dimse.uids import STUDY_ROOT_FIND
from dulcet.ul.reasons import ABORT_REASONS

Q, B = Level.REQUIRED, Level.ROBUSTNESS
STORM = 100
RESERVED_REASON = 3


def _case(
    name: str,
    stimulus: str,
    requirement: str,
    clause: str,
    level: Level,
    play: Play | None,
    allowed: tuple[str, ...],
    *,
    tolerated: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    load: bool = False,
    undecidable: str = "",
) -> Case:
    return Case(
        id=f"ul.{name}",
        requirement=requirement,
        stimulus=stimulus,
        clause=clause,
        level=level,
        role=Role.ACCEPTOR,
        allowed=allowed,
        tolerated=tolerated,
        play=play,
        needs=needs,
        probe=True,
        load=load,
        undecidable=undecidable,
    )


def _in_association(octets: bytes, *, settles: bool = True) -> Play:
    async def play(visit: Visit) -> Outcome:
        association = await visit.associate()
        await association.send(octets)
        outcome = await association.outcome()
        return await visit.settled(association.peer, outcome) if settles else outcome

    return play


async def _until_over(visit: Visit, octets: bytes) -> Outcome:
    """Send; what came last before the connection was closed, or before nothing more came."""
    association = (await visit.associate()).need(1)
    await association.send(octets)
    last = await association.outcome()
    while last.word not in ("CLOSE", "RST", "SILENCE", "ABORT"):
        seen = await association.peer.next(visit.patience.settle * 4)
        if seen is None or seen.end is not None:
            return last
        last = outcome_of(seen)
    return last


async def _twice(visit: Visit) -> Outcome:
    return await _until_over(visit, stimuli.RELEASE_RQ * 2)


async def _mid_message(visit: Visit) -> Outcome:
    return await _until_over(visit, p_data(pdv(1, COMMAND, echo_rq(1)[:20])) + stimuli.RELEASE_RQ)


async def _outstanding(visit: Visit) -> Outcome:
    """A C-FIND where there is one, else a C-ECHO, and the release without waiting."""
    uid = STUDY_ROOT_FIND if STUDY_ROOT_FIND in visit.product.sop_classes else None
    association = (await visit.associate(*((stimuli.context(1, uid),) if uid else ()))).need(1)
    query = stimuli.message(1, find_rq(1, STUDY_ROOT_FIND), study_query()) if uid else stimuli.message(1, echo_rq(1))
    await association.send(query + stimuli.RELEASE_RQ)
    while True:
        outcome = await association.outcome()
        if outcome.word != "RSP":
            return outcome


_NORMAL = "An A-RELEASE-RQ is answered with an A-RELEASE-RP."
_OVER = "It is answered, or aborted; the connection does not hang."

RELEASE = (
    _case("release.normal", "an A-RELEASE-RQ", _NORMAL, "PS3.8 9.2.3", Q, _in_association(stimuli.RELEASE_RQ), ("RP",)),
    _case("release.rsv", "an A-RELEASE-RQ with FFH in its reserved octets", _NORMAL, "PS3.8 Table 9-24", Q,
          _in_association(pdu(0x05, b"\xff" * 4, reserved=0xFF)), ("RP",)),
    _case("release.twice", "two A-RELEASE-RQs in one write",
          "The second one meets Sta8 (abort) or Sta13 (nothing); the association is over.", "PS3.8 9.2.3", Q, _twice,
          ("RP", "ABORT2"), tolerated=("ABORT0", "CLOSE")),
    _case("release.mid-message", "the beginning of a command set, then an A-RELEASE-RQ", _OVER, "PS3.8 E.1", B,
          _mid_message, ("RP", "ABORT2"), tolerated=("ABORT0", "CLOSE")),
    _case("release.outstanding-op", "an operation and an A-RELEASE-RQ in one write", _OVER, "PS3.7 A.5", B,
          _outstanding, ("RP", "ABORT2"), tolerated=("ABORT0", "CLOSE"), needs=("verification",)),
    _case("release.length-0", "an A-RELEASE-RQ of length 0", "An A-RELEASE-RQ has length 4.", "PS3.8 Table 9-24", B,
          _in_association(pdu(0x05)), ("ABORT2", "CLOSE"), tolerated=("RP", "ABORT0")),
    _case("release.length-8", "an A-RELEASE-RQ of length 8", "An A-RELEASE-RQ has length 4.", "PS3.8 Table 9-24", B,
          _in_association(pdu(0x05, bytes(8))), ("ABORT2", "RP"), tolerated=("ABORT0", "CLOSE")),
    _case("release.collision.acceptor", "", "An acceptor whose release collides waits for the A-RELEASE-RP first.",
          "PS3.8 7.2.2.7", Q, None, (),
          undecidable="an acceptor never starts a release (PS3.7 A.5): only a hook in the product could"),
)  # fmt: skip

# A-ABORT --------------------------------------------------------------------------------------------------------------

_CLOSES = "An A-ABORT is indicated, and the connection closed; nothing is sent."


def _abort_case(name: str, stimulus: str, octets: bytes, level: Level, clause: str = "PS3.8 9.2.3") -> Case:
    tolerated = ("ABORT2",) if level is B else ()
    return _case(f"abort.{name}", stimulus, _CLOSES, clause, level, _in_association(octets), ("CLOSE",),
                 tolerated=tolerated)  # fmt: skip


async def _mid_store(visit: Visit) -> Outcome:
    association = (await visit.associate(stimuli.context(1, CT_IMAGE_STORAGE))).need(1)
    image = ct_image(uid_suffix="abort")
    pieces = stimuli.fragments(image.data, 500)
    await association.send(stimuli.message(1, store_rq(1, image)))
    await association.send(b"".join(p_data(pdv(1, 0, piece)) for piece in pieces[: len(pieces) // 2]))
    await association.send(stimuli.ABORT)
    return await association.outcome()


async def _before_request(visit: Visit) -> Outcome:
    peer = await visit.connect(judged=False)
    await peer.send(stimuli.ABORT)
    return await peer.outcome(visit.patience.answer)


async def _storm(visit: Visit) -> Outcome:
    request = visit.product.request().encode()
    for _ in range(STORM):
        peer = await visit.connect()
        await peer.send(request + stimuli.ABORT)
        await peer.close()
    return Outcome("DONE")


ABORT = (
    _abort_case("user", "an A-ABORT (0,0)", stimuli.ABORT, Q),
    *(
        _abort_case(
            f"provider.{reason}", f"an A-ABORT (2,{reason})", abort(2, reason), B if reason == RESERVED_REASON else Q
        )
        for reason in range(1, 7)
    ),
    _abort_case("reserved-source.1-0", "an A-ABORT (1,0)", abort(1, 0), B, "PS3.8 Table 9-26"),
    _abort_case("reserved-source.9-200", "an A-ABORT (9,200)", abort(9, 200), B, "PS3.8 Table 9-26"),
    _abort_case("reason-with-user", "an A-ABORT (0,77)", abort(0, 77), Q, "PS3.8 Table 9-26"),
    _abort_case("length-6", "an A-ABORT of length 6", pdu(0x07, bytes(6)), B, "PS3.8 Table 9-26"),
    _case("abort.sta2", "an A-ABORT before any A-ASSOCIATE-RQ", _CLOSES, "PS3.8 9.2.3", Q, _before_request, ("CLOSE",)),
    _case("abort.mid-store", "an A-ABORT in the middle of a data set",
          "The connection is closed; what came of the data set is not stored as complete.", "PS3.7 A.6", Q, _mid_store,
          ("CLOSE",), needs=("storage",)),
    _case("abort.storm", f"{STORM} times: connect, request, abort", "The product stays healthy.", "PS3.8 9.2.3", B,
          _storm, ("DONE",), load=True),
)  # fmt: skip

CASES = (*RELEASE, *ABORT)

# In passing -----------------------------------------------------------------------------------------------------------


def _release_rp(traffic: Traffic) -> Iterable[Look]:
    for passed in traffic.of_product(0x06):
        good = passed.octets == stimuli.RELEASE_RP
        yield FINE if good else Look(passed.octets[:16].hex(" "))


def _nothing_after_rp(traffic: Traffic) -> Iterable[Look]:
    sent = traffic.of_product()
    for index, passed in enumerate(sent):
        if passed.type == 0x06:
            data = [later for later in sent[index + 1 :] if later.type == 0x04]
            yield Look(f"{len(data)} P-DATA-TF after the A-RELEASE-RP") if data else FINE


def _acceptor_never_releases(traffic: Traffic) -> Iterable[Look]:
    if traffic.of_product(0x02):
        yield Look("the acceptor sent an A-RELEASE-RQ") if traffic.of_product(0x05) else FINE


def _abort_format(traffic: Traffic) -> Iterable[Look]:
    for passed in traffic.of_product(0x07):
        octets = passed.octets
        if len(octets) != 10 or any((octets[1], octets[6], octets[7])):
            yield Look(octets[:16].hex(" "))
            continue
        source, reason = octets[8:10]
        legal = (source == 0 and reason == 0) or (source == 2 and reason in ABORT_REASONS and reason != RESERVED_REASON)
        yield FINE if legal else Look(f"source {source}, reason {reason}")


def _passive(name: str, requirement: str, clause: str, check: object) -> PassiveCheck:
    case = Case(
        id=f"ul.{name}",
        requirement=requirement,
        stimulus="looked at in everything that the product sends",
        clause=clause,
        level=Q,
        role=Role.PASSIVE,
    )
    return PassiveCheck(case, check)  # type: ignore[arg-type]


ABORT_FORMAT = _passive(
    "abort.format",
    "An A-ABORT has length 4, zero in reserved octets, source 0 (reason 0) or 2 with a reason of the table.",
    "PS3.8 Table 9-26",
    _abort_format,
)
RELEASE_RP_FORMAT = _passive(
    "release.rp-format", "An A-RELEASE-RP has length 4 and zeros.", "PS3.8 Table 9-25", _release_rp
)
CHECKS = (
    RELEASE_RP_FORMAT,
    _passive(
        "release.no-pdata-after-rp", "After an A-RELEASE-RP no data are sent.", "PS3.8 7.2.2.4", _nothing_after_rp
    ),
    _passive(
        "release.acceptor-initiates",
        "Only the association-requestor starts a release.",
        "PS3.7 A.5",
        _acceptor_never_releases,
    ),
    ABORT_FORMAT,
)
