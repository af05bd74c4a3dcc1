"""dimse.find, the product as SCP (PS3.7 9.1.2, PS3.4 C.4.1)."""

from dataclasses import dataclass, field

from dulcet.conformance.kit import command_set, stimuli
from dulcet.conformance.kit.case import Level, Play
from dulcet.conformance.kit.cases.dimse_command import NORMAL, case
from dulcet.conformance.kit.cases.echo_store import ensure_stored
from dulcet.conformance.kit.messages import Message
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.stimuli import context
from dulcet.conformance.kit.synthetic import (
    Image,
    cancel_rq,
    ct_image,
    data_set,
    elements_of,
    find_rq,
    query,
    study_query,
    uid,
)
from dulcet.conformance.kit.visit import Association, PreconditionError, Visit, echo_rq
from dulcet.dimse.uids import STUDY_ROOT_FIND, VERIFICATION

Q, B = Level.REQUIRED, Level.ROBUSTNESS
_FIND = ("find",)
_UNREQUESTED = {0x00080005, 0x00080006, 0x00080052, 0x00080053, 0x00080054, 0x00080056, 0x00080201}
"""What a response may hold without being asked (PS3.4 C.4.1.1.3.2)."""
_REFUSED = ("RSP(A9xx|Cxxx)",)
STUDY = "query study"
QUERY_IMAGES: tuple[Image, ...] = tuple(
    ct_image(uid_suffix=f"query {number}", side=16, study=STUDY, series=STUDY) for number in range(3)
)


@dataclass(slots=True)
class Found:
    """The responses to one C-FIND."""

    pending: list[Message] = field(default_factory=list)
    final: Message | None = None
    outcome: Outcome = field(default_factory=lambda: Outcome("SILENCE"))


async def associate_for_find(visit: Visit) -> Association:
    """Study Root C-FIND as context 1, Verification as 3."""
    return (await visit.associate(context(1, STUDY_ROOT_FIND), context(3, VERIFICATION))).need(1)


async def responses(association: Association, message_id: int, field_value: int = command_set.C_FIND_RSP) -> Found:
    """All responses up to the final one, each compared with the request."""
    found = Found()
    while True:
        answer = await association.next(association.visit.patience.patient)
        if isinstance(answer, Outcome):
            found.outcome = answer
            return found
        association.compare(answer, 1, field_value, message_id)
        if not answer.is_pending:
            found.final, found.outcome = answer, answer.outcome()
            return found
        found.pending.append(answer)


async def ask(visit: Visit, identifier: bytes | None, **command: int | str | bytes | None) -> Found:
    """One C-FIND on its own association, released afterwards."""
    association = await associate_for_find(visit)
    await association.request_message(1, find_rq(1, STUDY_ROOT_FIND, **command), identifier)
    found = await responses(association, 1)
    if found.outcome.word == "RSP":
        await association.release()
    return found


def _asks(identifier: bytes | None, **command: int) -> Play:
    async def play(visit: Visit) -> Outcome:
        return (await ask(visit, identifier, **command)).outcome

    return play


def check_identifiers(visit: Visit, found: Found) -> None:
    """Pending has an identifier, the final response has none."""
    if any(not message.data for message in found.pending):
        visit.problem("NO_IDENTIFIER", "a Pending response has no identifier")
    if found.final is not None and found.final.data is not None:
        visit.problem("IDENTIFIER_IN_FINAL", "the final response has an identifier")


async def _no_match(visit: Visit) -> Outcome:
    found = await ask(visit, study_query(x0020000D="2.25.1.2.3.4.5"))
    check_identifiers(visit, found)
    if found.pending:
        visit.problem("MATCH_WITHOUT_REASON", f"{len(found.pending)} matches for a UID that nothing has")
    return found.outcome


async def find_ours(visit: Visit, **keys: str) -> Found:
    """Find the kit's own study, which is stored first where the product stores."""
    if visit.product.has("storage"):
        await ensure_stored(visit, QUERY_IMAGES)
        keys.setdefault("x0020000D", uid(STUDY))
    found = await ask(visit, study_query(**keys))
    if found.outcome.word == "RSP" and found.outcome.numbers == (0,) and not found.pending:
        raise PreconditionError("the query found nothing, so its responses can't be judged")
    return found


async def _matches(visit: Visit) -> Outcome:
    found = await find_ours(visit)
    check_identifiers(visit, found)
    return found.outcome


async def _only_keys(visit: Visit) -> Outcome:
    found = await find_ours(visit)
    asked = {tag for tag, _ in elements_of(study_query())} | _UNREQUESTED
    for message in found.pending:
        more = [tag for tag, _ in elements_of(message.data or b"") if tag not in asked and tag & 0xFFFF]
        if more:
            names = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in more[:5])
            visit.problem("UNREQUESTED_KEYS", f"not asked for: {names}")
            break
    return found.outcome


async def _character_set(visit: Visit) -> Outcome:
    found = await find_ours(visit, x00080005="ISO_IR 192")
    for message in found.pending:
        elements = dict(elements_of(message.data or b""))
        declared = elements.get(0x00080005, b"").decode("latin-1").strip("\0 ")
        text = b"".join(value for tag, value in elements.items() if tag in (0x00100010, 0x00100020))
        if any(octet > 0x7F for octet in text) and not declared:
            visit.problem("NO_CHARACTER_SET", "text beyond ISO 646 without Specific Character Set (0008,0005)")
    return found.outcome


# C-CANCEL -------------------------------------------------------------------------------------------------------------


async def _cancel_running(visit: Visit) -> Outcome:
    if visit.product.has("storage"):
        await ensure_stored(visit, QUERY_IMAGES)
    association = await associate_for_find(visit)
    await association.request_message(1, find_rq(1), study_query())
    first = await association.next()
    if isinstance(first, Outcome):
        return first
    await association.request_message(1, cancel_rq(1))
    found = await responses(association, 1) if first.is_pending else Found(final=first, outcome=first.outcome())
    if found.outcome.numbers == (0,):
        raise PreconditionError("the query ended before the C-CANCEL could reach it: more objects are needed")
    return found.outcome


async def _cancel_at_once(visit: Visit) -> Outcome:
    association = await associate_for_find(visit)
    await association.send(stimuli.message(1, find_rq(1), study_query()) + stimuli.message(1, cancel_rq(1)))
    found = await responses(association, 1)
    if found.outcome.word == "RSP":
        await _still_there(association)
    return found.outcome


async def _still_there(association: Association) -> None:
    if 3 in association.accepted:
        await association.still_works(3)
    else:
        await association.release()


async def _cancel_late(visit: Visit) -> Outcome:
    association = await associate_for_find(visit)
    await association.request_message(1, find_rq(1), study_query(x0020000D="2.25.1.2.3.4.5"))
    found = await responses(association, 1)
    if found.outcome.word != "RSP":
        return found.outcome
    await association.request_message(1, cancel_rq(1))
    outcome = await association.outcome(visit.patience.settle)
    if outcome.word == "SILENCE":
        await _still_there(association)
    return outcome


async def _cancel_nothing(visit: Visit) -> Outcome:
    association = await associate_for_find(visit)
    query_octets = stimuli.message(1, find_rq(1), study_query(x0020000D="2.25.1.2.3.4.5"))
    await association.send(query_octets + stimuli.message(1, cancel_rq(999)))
    found = await responses(association, 1)
    if found.outcome.word == "RSP":
        await _still_there(association)
    return found.outcome


async def _cancel_echo(visit: Visit) -> Outcome:
    """The C-ECHO is answered, and another one after it."""
    association = (await visit.associate()).need(1)
    await association.send(stimuli.message(1, echo_rq(1)) + stimuli.message(1, cancel_rq(1)))
    outcome = await association.outcome()
    if outcome.word != "RSP":
        return outcome
    outcome = await association.echo()
    await association.release()
    return outcome


_LEVEL = "An identifier has Query/Retrieve Level (0008,0052) with a level of the information model."
_SUBSET = "The identifier is one of the SOP class; else the query fails with A900H or Cxxx."
_CANCEL = "A C-CANCEL-RQ ends the operation that (0000,0120) names; the final response has FE00H."
_IGNORED = "A C-CANCEL-RQ that names no running operation is ignored."

CASES = (
    case("find.no-match", "a C-FIND for a UID that nothing has", "No match: one response, success, no identifier.",
         "PS3.4 C.4.1.3.1", Q, _no_match, NORMAL, needs=_FIND),
    case("find.matches", "a C-FIND at STUDY level",
         "Each match is a Pending response with an identifier; the final response has none.", "PS3.7 9.1.2.1.5", Q,
         _matches, NORMAL, needs=_FIND),
    case("find.rsp-keys", "a C-FIND with four keys", "A response holds what was asked for, and nothing else.",
         "PS3.4 C.4.1.1.3.2", Q, _only_keys, NORMAL, needs=_FIND),
    case("find.level-missing", "no Query/Retrieve Level", _LEVEL, "PS3.4 C.4.1.1.3.1", B,
         _asks(query(None, {0x0020000D: "", 0x00100020: ""})), _REFUSED, tolerated=("ABORT", "RSP(Axxx|01xx)"),
         needs=_FIND),
    case("find.level-unknown", "Query/Retrieve Level FOO", _LEVEL, "PS3.4 C.4.1.1.3.1", B,
         _asks(query("FOO", {0x0020000D: "", 0x00100020: ""})), _REFUSED, tolerated=("ABORT", "RSP(Axxx|01xx)"),
         needs=_FIND),
    case("find.hierarchy-violation", "SERIES level without a Study Instance UID",
         "Without relational queries the keys above the level are given.", "PS3.4 C.4.1.2.1", B,
         _asks(query("SERIES", {0x0020000E: "", 0x00080060: ""})), _REFUSED, tolerated=("RSP", "ABORT"), needs=_FIND),
    case("find.no-identifier", "a C-FIND without identifier", "A C-FIND-RQ has an identifier.", "PS3.7 Table 9.3-3", B,
         _asks(None, x0800=command_set.NO_DATA_SET), (*_REFUSED, "ABORT"), tolerated=("RSP(Axxx|01xx|02xx)",),
         needs=_FIND),
    case("find.empty-identifier", "an identifier of no octets", _SUBSET, "PS3.8 E.1", B, _asks(b""),
         (*_REFUSED, "ABORT"), tolerated=("RSP(Axxx|01xx|02xx)",), needs=_FIND),
    case("find.bad-identifier", "an identifier that can't be decoded", _SUBSET, "PS3.4 C.4.1.1.4", B,
         _asks(b"\x08\0\x52\0\xff\xff\0\0" + data_set({0x0020000D: ("UI", "")})), _REFUSED,
         tolerated=("ABORT", "RSP(Axxx|01xx|02xx)", "CLOSE"), needs=_FIND),
    case("find.charset", "a C-FIND with Specific Character Set ISO_IR 192",
         "Responses are encoded in the character set that they declare.", "PS3.4 C.4.1.1.3.2", Q, _character_set,
         NORMAL, needs=_FIND),
    case("find.cancel.running", "a C-CANCEL after the first response", _CANCEL, "PS3.4 C.4.1.3.1", Q, _cancel_running,
         ("RSP(FE00)",), needs=_FIND),
    case("find.cancel.immediate", "C-FIND and C-CANCEL in one write", _CANCEL, "PS3.7 9.1.2.2", Q, _cancel_at_once,
         ("RSP(FE00|0000)",), needs=_FIND),
    case("find.cancel.late", "a C-CANCEL after the final response", _IGNORED, "PS3.7 9.1.2.2", Q, _cancel_late,
         ("SILENCE",), needs=_FIND),
    case("find.cancel.wrong-msgid", "a C-CANCEL for another Message ID", _IGNORED, "PS3.7 9.3.2.3", B, _cancel_nothing,
         NORMAL,
         tolerated=("ABORT",), note="The kit breaks PS3.7 9.3.2.3 here, so an A-ABORT is no fault.", needs=_FIND),
    case("find.cancel.of-echo", "a C-CANCEL for a C-ECHO", _IGNORED, "PS3.7 9.3.2.3", B, _cancel_echo, NORMAL,
         tolerated=("ABORT",)),
)  # fmt: skip
