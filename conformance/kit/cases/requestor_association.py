"""ul.tcp.r, ul.assoc.r: the product requests, the kit answers (PS3.8 9.3.2 to 9.3.4)."""

from collections.abc import Callable, Iterable
from functools import partial

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.cases.assoc_ac import (
    items_count,
    items_of,
    items_order,
    unpadded_uids,
    version_names,
    zero_reserved,
)
from dulcet.conformance.kit.hosting import Answer, Change, Hosted, result
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.passive import FINE, Look, PassiveCheck, Traffic
from dulcet.conformance.kit.reception import Reception
from dulcet.conformance.kit.stimuli import UNKNOWN_UID, item
from dulcet.dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, PATIENT_ROOT_FIND, STUDY_ROOT_FIND, is_valid_uid
from dulcet.errors import DecodeError
from dulcet.ul.pdu import AAssociateRQ, decode_pdu
from dulcet.ul.reasons import REJECT_REASONS

Q, C, B, I = Level.REQUIRED, Level.RECOMMENDED, Level.ROBUSTNESS, Level.INFORMATIONAL  # noqa: E741
PROCEEDS = ("PROCEEDS",)


def case(
    case_id: str,
    stimulus: str,
    requirement: str,
    clause: str,
    level: Level,
    play: Play | None,
    allowed: tuple[str, ...] = PROCEEDS,
    *,
    tolerated: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    **more: object,
) -> Case:
    """A case of a product that is a requestor."""
    return Case(
        id=case_id,
        requirement=requirement,
        stimulus=stimulus,
        clause=clause,
        level=level,
        role=Role.REQUESTOR,
        allowed=allowed,
        tolerated=tolerated,
        play=play,
        needs=needs,
        **more,  # type: ignore[arg-type]
    )


# TCP ------------------------------------------------------------------------------------------------------------------


async def request_first(reception: Reception) -> Outcome:
    """What the product sends first; an A-ASSOCIATE-RQ is accepted and served."""
    hosted = Hosted(await reception.connection(), reception.patience.patient)
    outcome = await hosted.read_request()
    if outcome.word == "RQ":
        await hosted.accept()
        await hosted.serve()
    return outcome


async def _no_answer(reception: Reception) -> Outcome:
    hosted = await reception.requested()
    return await hosted.peer.outcome(reception.patience.until_artim)


async def _port_closed(reception: Reception) -> Outcome:
    """The connection is accepted and reset at once: the nearest to a closed port that a listener can do."""
    peer = await reception.connection()
    await peer.reset()
    await reception.must_report()
    return Outcome("DONE")


TCP = (
    case("ul.tcp.r.connect-rq-first", "the kit accepts the connection", "The first PDU is an A-ASSOCIATE-RQ.",
         "PS3.8 9.1.2", Q, request_first, ("RQ",)),
    case("ul.tcp.r.no-answer", "the A-ASSOCIATE-RQ is not answered", "The requestor gives up in time.", "PS3.8 9.1.4",
         B, _no_answer, ("ABORT0", "CLOSE"), tolerated=("ABORT2",), waits_artim=True),
    case("ul.tcp.r.refused", "the connection is reset at once", "The failure is reported.", "PS3.8 9.2.3", I,
         _port_closed, ("DONE",)),
)  # fmt: skip

# A-ASSOCIATE-AC -------------------------------------------------------------------------------------------------------


def _answered(change: Change) -> Play:
    async def play(reception: Reception) -> Outcome:
        return await reception.proceeds(change)

    return play


def _results(rewrite: Callable[[Hosted, Answer], tuple[bytes, ...]]) -> Play:
    """Answer with Presentation Context Items that are made from the request."""

    async def play(reception: Reception) -> Outcome:
        hosted = await reception.requested()
        answer = hosted.answer()
        await hosted.peer.send(answer.but(results=rewrite(hosted, answer)).encode())
        return await reception.served(hosted)

    return play


def _and_refused(*syntax_octets: bytes) -> Play:
    """A context refused, its Transfer Syntax Sub-Item as given; of one context only nothing can be told."""

    def rewrite(hosted: Hosted, answer: Answer) -> tuple[bytes, ...]:
        spare = _spare(hosted)
        if len(hosted.accepted) == 1:
            extra = item(0x21, bytes((spare, 0, 0, 0)) + stimuli.transfer_syntax(hosted.accepted[spare][1]))
            return (extra,)
        refused = item(0x21, bytes((spare, 0, 3, 0)) + b"".join(syntax_octets))
        return (*(one for number, one in zip(hosted.accepted, answer.results, strict=True) if number != spare), refused)

    return _results(rewrite)


def _spare(hosted: Hosted) -> int:
    """The context that the product can do without: a C-FIND beside another service, else the last one."""
    finds = [
        number for number, (abstract, _) in hosted.accepted.items() if abstract in (STUDY_ROOT_FIND, PATIENT_ROOT_FIND)
    ]
    return finds[0] if finds and len(finds) < len(hosted.accepted) else max(hosted.accepted)


def _shuffled(_: Hosted, answer: Answer) -> tuple[bytes, ...]:
    return answer.results[::-1]


def _foreign_syntax(hosted: Hosted, _: Answer) -> tuple[bytes, ...]:
    return tuple(result(number, 0, UNKNOWN_UID) for number in hosted.accepted)


def _extra_id(hosted: Hosted, answer: Answer) -> tuple[bytes, ...]:
    free = next(number for number in range(255, 0, -2) if number not in hosted.accepted)
    return (*answer.results, result(free, 0, IMPLICIT_VR_LITTLE_ENDIAN))


def _one_missing(_: Hosted, answer: Answer) -> tuple[bytes, ...]:
    return answer.results[:-1] if len(answer.results) > 1 else ()


def _code_9(hosted: Hosted, _: Answer) -> tuple[bytes, ...]:
    return tuple(result(number, 9, syntax) for number, (_, syntax) in hosted.accepted.items())


def _all_refused(hosted: Hosted, _: Answer) -> tuple[bytes, ...]:
    return tuple(result(number, 3, syntax) for number, (_, syntax) in hosted.accepted.items())


def _overlong(hosted: Hosted, _: Answer) -> tuple[bytes, ...]:
    number = min(hosted.accepted)
    syntax = hosted.accepted[number][1]
    return (item(0x21, bytes((number, 0, 0, 0)) + stimuli.transfer_syntax(syntax), length=5000),)


async def _role_upgrade(reception: Reception) -> Outcome:
    hosted = await reception.requested()
    assert hosted.request is not None
    answer = hosted.answer()
    uid = hosted.request.presentation_contexts[0].abstract_syntax or ""
    await hosted.peer.send(answer.but(user=(*answer.user, stimuli.role(uid, 1, 1))).encode())
    return await reception.served(hosted)


def _user(*sub_items: bytes) -> Change:
    return lambda answer: answer.but(user=sub_items)


def _more_user(*sub_items: bytes) -> Change:
    return lambda answer: answer.but(user=tuple(sorted((*answer.user, *sub_items), key=lambda octets: octets[0])))


_REFUSED_TS = "The transfer syntax of a refused context is not significant, and not tested."
_UNUSED = "A context that was not properly accepted is not used, or the association aborted."
_NOT_USED = ("PROCEEDS", "ABORT", "RELEASE", "CLOSE")
_OUT = ("ABORT", "RELEASE", "CLOSE")

ANSWERS = (
    case("ul.assoc.r.ac-reserved-zeroed", "octets 11-74 of the A-ASSOCIATE-AC are zero",
         "Octets 11-74 are not tested.", "PS3.8 Table 9-17", Q, _answered(lambda answer: answer.but(echoed=bytes(64)))),
    case("ul.assoc.r.ac-results-shuffled", "results in another order than proposed",
         "Results are matched by context ID.", "PS3.8 7.1.1.14", Q, _results(_shuffled)),
    case("ul.assoc.r.ac-refused-ts-empty", "a refused context with a transfer syntax of length 0", _REFUSED_TS,
         "PS3.8 9.3.3.2", Q, _and_refused(stimuli.transfer_syntax(""))),
    case("ul.assoc.r.ac-refused-ts-missing", "a refused context without transfer syntax", _REFUSED_TS, "PS3.8 9.3.3.2",
         B, _and_refused(), tolerated=("ABORT",)),
    case("ul.assoc.r.ac-refused-ts-garbage", "a refused context with transfer syntax ZZZ", _REFUSED_TS, "PS3.8 9.3.3.2",
         Q, _and_refused(stimuli.transfer_syntax("ZZZ"))),
    case("ul.assoc.r.ac-unknown-items", "an item of type 60H and a user sub-item of type 5AH",
         "Items of an unrecognized type are ignored and skipped.", "PS3.8 9.3.1", Q,
         _answered(lambda answer: _more_user(item(0x5A, b"unknown."))(answer).but(more_items=item(0x60, b"unknown.")))),
    case("ul.assoc.r.ac-ts-not-offered", "contexts accepted with a transfer syntax that was not offered", _UNUSED,
         "PS3.8 7.1.1.14", B, _results(_foreign_syntax), _OUT),
    case("ul.assoc.r.ac-id-not-proposed", "a result for an ID that was not proposed", _UNUSED, "PS3.8 7.1.1.14", B,
         _results(_extra_id), ("PROCEEDS", "ABORT", "CLOSE")),
    case("ul.assoc.r.ac-result-missing", "one proposed context is not answered", _UNUSED, "PS3.8 7.1.1.14", B,
         _results(_one_missing), _NOT_USED),
    case("ul.assoc.r.ac-result-9", "every result is 9", _UNUSED, "PS3.8 Table 9-18", B, _results(_code_9), _OUT),
    case("ul.assoc.r.ac-all-refused", "every result is 3",
         "Without an accepted context no data are sent: the association is released or aborted.", "PS3.8 7.6.1", Q,
         _results(_all_refused), _OUT),
    case("ul.assoc.r.ac-app-context-other", "application context 1.2.3",
         "A requestor that can't work in another application context aborts.", "PS3.8 7.1.1.2", Q,
         _answered(lambda answer: answer.but(context_name=stimuli.application_context("1.2.3"))), ("ABORT",),
         tolerated=("RELEASE", "CLOSE", "PROCEEDS")),
    case("ul.assoc.r.ac-version-0", "protocol version 0", "It is aborted or passed over.", "PS3.8 Table 9-17", B,
         _answered(lambda answer: answer.but(version=0)), ("ABORT", "PROCEEDS"), tolerated=("CLOSE",)),
    case("ul.assoc.r.ac-maxlen-missing", "no Maximum Length Sub-Item", "It is aborted or passed over.", "PS3.8 D.1.2",
         B, _answered(_user(stimuli.implementation_class())), ("ABORT", "PROCEEDS"), tolerated=("CLOSE",)),
    case("ul.assoc.r.ac-role-upgrade", "a Role Selection Sub-Item that was not proposed", "It is ignored.",
         "PS3.7 D.3.3.4", Q, _role_upgrade, PROCEEDS, tolerated=("ABORT",)),
    case("ul.assoc.r.ac-async-larger", "a window larger than offered, 9/9",
         "No more operations are outstanding than were offered.", "PS3.7 D.3.3.3", Q,
         _answered(_more_user(stimuli.window(9, 9))), PROCEEDS, tolerated=("ABORT",)),
    case("ul.assoc.r.ac-overlong-item", "a Presentation Context Item longer than the PDU",
         "An invalid PDU is answered with A-ABORT.", "PS3.8 9.2.3", Q, _results(_overlong), ("ABORT2",)),
)  # fmt: skip

# A-ASSOCIATE-RJ -------------------------------------------------------------------------------------------------------


async def _rejected(reception: Reception, octets: bytes) -> Outcome:
    hosted = await reception.requested()
    await hosted.peer.send(octets)
    outcome = await hosted.peer.outcome(max(reception.patience.answer, 5.0))
    await reception.must_report()
    return outcome


def _rejection(result_code: int, source: int, reason: int) -> Play:
    return partial(_rejected, octets=stimuli.rejection(result_code, source, reason))


REJECTIONS = (
    *(
        case(f"ul.assoc.r.rj.each-legal.{code}-{source}-{reason}", f"an A-ASSOCIATE-RJ ({code},{source},{reason})",
             "The connection is closed, nothing is sent, and the rejection reported.", "PS3.8 9.2.3", Q,
             _rejection(code, source, reason), ("CLOSE",))
        for code in (1, 2)
        for source, reason in REJECT_REASONS
    ),
    *(
        case(f"ul.assoc.r.rj.reserved-values.{code}-{source}-{reason}", f"an A-ASSOCIATE-RJ ({code},{source},{reason})",
             "A rejection with reserved values is one all the same.", "PS3.8 Table 9-21", B,
             _rejection(code, source, reason), ("CLOSE", "ABORT2"))
        for code, source, reason in ((1, 1, 10), (2, 3, 7), (0, 0, 0), (3, 9, 9))
    ),
    case("ul.assoc.r.rj.length-5", "an A-ASSOCIATE-RJ of length 5", "An A-ASSOCIATE-RJ has length 4.",
         "PS3.8 Table 9-21", B, partial(_rejected, octets=stimuli.pdu(0x03, bytes((0, 1, 1, 1, 0)))),
         ("ABORT2", "CLOSE")),
)  # fmt: skip

CASES = (*TCP, *ANSWERS, *REJECTIONS)

# The request itself ---------------------------------------------------------------------------------------------------


def _requests(traffic: Traffic) -> list[bytes]:
    return [] if traffic.wire.kit_connected else [passed.octets for passed in traffic.of_product(0x01)[:1]]


def _well_formed(traffic: Traffic) -> Iterable[Look]:
    for octets in _requests(traffic):
        try:
            pdu = decode_pdu(octets).pdu
        except DecodeError as error:
            yield Look(str(error))
            continue
        assert isinstance(pdu, AAssociateRQ)
        yield items_count(octets, 0x20)
        yield items_order(octets)
        yield zero_reserved(octets)
        yield unpadded_uids(octets)
        yield version_names(octets)
        yield _fields(pdu)


def _fields(pdu: AAssociateRQ) -> Look:
    ids = [context.context_id for context in pdu.presentation_contexts]
    wrong = []
    if len(set(ids)) != len(ids) or any(number % 2 == 0 for number in ids):
        wrong.append("context IDs are not odd, or not unique")
    if any(context.abstract_syntax is None or not context.transfer_syntaxes for context in pdu.presentation_contexts):
        wrong.append("a context without abstract or transfer syntax")
    if not pdu.protocol_version & 1:
        wrong.append("bit 0 of the protocol version is clear")
    if any(pdu.reserved):
        wrong.append("octets 43-74 are not zero")
    if not pdu.called_ae_title or not pdu.calling_ae_title:
        wrong.append("a blank AE title")
    if pdu.maximum_length_received is None:
        wrong.append("no Maximum Length Sub-Item")
    if not is_valid_uid(pdu.implementation_class_uid or "?"):
        wrong.append("no valid Implementation Class UID")
    return Look(", ".join(wrong)) if wrong else FINE


_ONCE, _ONCE_FOR_A_CLASS = (0x51, 0x52, 0x53, 0x55, 0x58), (0x54, 0x56, 0x57)


def _unique(traffic: Traffic) -> Iterable[Look]:
    for octets in _requests(traffic):
        sub_items = [
            (sub_type, body)
            for item_type, _, information in items_of(octets[74:])
            if item_type == 0x50
            for sub_type, _, body in items_of(information)
        ]
        types = [sub_type for sub_type, _ in sub_items]
        wrong = [f"{types.count(kind)} sub-items {kind:02X}H" for kind in _ONCE if types.count(kind) > 1]
        classes = [
            (kind, body[2 : 2 + int.from_bytes(body[:2], "big")])
            for kind, body in sub_items
            if kind in _ONCE_FOR_A_CLASS
        ]
        if len(set(classes)) != len(classes):
            wrong.append("two sub-items of one type for one SOP class")
        yield Look(", ".join(wrong)) if wrong else FINE


def _check(case_id: str, requirement: str, clause: str, check: object) -> PassiveCheck:
    looked_at = Case(id=case_id, requirement=requirement, stimulus="looked at in each A-ASSOCIATE-RQ of the product",
                     clause=clause, level=Q, role=Role.PASSIVE)  # fmt: skip
    return PassiveCheck(looked_at, check)  # type: ignore[arg-type]


CHECKS = (
    _check("ul.assoc.r.rq-wellformed", "An A-ASSOCIATE-RQ has the items, lengths and values of its tables.",
           "PS3.8 9.3.2", _well_formed),
    _check("ul.assoc.r.rq-subitems-unique", "51H, 52H, 53H, 55H, 58H once at most; 54H, 56H, 57H once for a SOP class.",
           "PS3.7 D.3.3", _unique),
)  # fmt: skip
