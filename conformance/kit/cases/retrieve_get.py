"""dimse.get, the product as SCP (PS3.7 9.1.3, PS3.4 C.4.3)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dulcet.conformance.kit import command_set, stimuli
from dulcet.conformance.kit.case import Case, Level, Play
from dulcet.conformance.kit.cases.dimse_command import case
from dulcet.conformance.kit.cases.echo_store import ensure_stored
from dulcet.conformance.kit.cases.query import QUERY_IMAGES, STUDY
from dulcet.conformance.kit.messages import Message
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.product import CT_IMAGE_STORAGE
from dulcet.conformance.kit.stimuli import context
from dulcet.conformance.kit.synthetic import cancel_rq, elements_of, query, query_rq, uid
from dulcet.conformance.kit.visit import Association, PreconditionError, Visit
from dulcet.dimse.uids import STUDY_ROOT_GET

Q = Level.REQUIRED
_NEEDS = ("get", "storage")
COUNTERS = (0x1020, 0x1021, 0x1022, 0x1023)
FAILED_UID_LIST = 0x00080058
Answering = Callable[[int], int]
"""The status with which the kit answers the n-th sub-operation, from 1."""


def retrieve_identifier(study: str = STUDY) -> bytes:
    """The identifier of a retrieve at STUDY level."""
    return query("STUDY", {}, x0020000D=uid(study))


@dataclass(slots=True)
class Retrieved:
    """What came of one C-GET or C-MOVE."""

    pending: list[Message] = field(default_factory=list)
    stores: list[Message] = field(default_factory=list)
    final: Message | None = None
    outcome: Outcome = field(default_factory=lambda: Outcome("SILENCE"))


async def associate_for_get(visit: Visit, *, role: bool = True, storage: bool = True) -> Association:
    """Study Root C-GET as context 1; CT Image Storage as context 3 with the kit as SCP."""
    contexts = [context(1, STUDY_ROOT_GET)]
    if storage:
        contexts.append(context(3, CT_IMAGE_STORAGE))
    request = visit.product.request(*contexts)
    if role and storage:
        request = request.with_user(stimuli.role(CT_IMAGE_STORAGE, 0, 1))
    return (await visit.associate(request=request)).need(1)


async def answer_store(association: Association, message: Message, status: int) -> None:
    """The response to a sub-operation."""
    command = {
        0x0002: message.command.text(0x0002),
        0x0100: command_set.C_STORE_RSP,
        0x0120: message.command.number(0x0110),
        0x0800: command_set.NO_DATA_SET,
        0x0900: status,
        0x1000: message.command.text(0x1000),
    }
    await association.request_message(message.context_id, command_set.encode(command))


async def run_get(
    association: Association, answering: Answering = lambda _: 0, *, cancel_after: int = 0, message_id: int = 1
) -> Retrieved:
    """One C-GET to its end; the kit answers the sub-operations, and cancels after so many of them."""
    got = Retrieved()
    command = query_rq(command_set.C_GET_RQ, message_id, STUDY_ROOT_GET)
    await association.request_message(1, command, retrieve_identifier())
    while True:
        message = await association.next(association.visit.patience.patient)
        if isinstance(message, Outcome):
            got.outcome = message
            return got
        if message.command.field == command_set.C_STORE_RQ:
            got.stores.append(message)
            if len(got.stores) == cancel_after:
                await association.request_message(1, cancel_rq(message_id))
            await answer_store(association, message, answering(len(got.stores)))
            continue
        association.compare(message, 1, command_set.C_GET_RSP, message_id)
        if not message.is_pending:
            got.final, got.outcome = message, message.outcome()
            return got
        got.pending.append(message)


async def get(visit: Visit, answering: Answering = lambda _: 0, *, cancel_after: int = 0) -> Retrieved:
    """Store the kit's study, get it back, release."""
    await ensure_stored(visit, QUERY_IMAGES)
    association = await associate_for_get(visit)
    got = await run_get(association, answering, cancel_after=cancel_after)
    if got.outcome.word == "RSP":
        await association.release()
    return got


def failed_uids(message: Message | None) -> bool:
    """Whether a response has a Failed SOP Instance UID List."""
    data = None if message is None else message.data
    return data is not None and FAILED_UID_LIST in {tag for tag, _ in elements_of(data)} | {
        tag for tag, _ in elements_of(data, explicit=True)
    }


def need_sub_operations(got: Retrieved, count: int = 1) -> None:
    """PreconditionError when there were fewer."""
    if got.outcome.word == "RSP" and got.outcome.numbers == (0,) and len(got.stores) < count:
        raise PreconditionError(f"{len(got.stores)} sub-operations, {count} are needed: the study is not there")


async def _basic(visit: Visit) -> Outcome:
    got = await get(visit)
    need_sub_operations(got)
    return got.outcome


async def _no_role(visit: Visit) -> Outcome:
    await ensure_stored(visit, QUERY_IMAGES)
    got = await run_get(await associate_for_get(visit, role=False))
    if got.stores:
        return Outcome("SUB-OPERATIONS", (), f"{len(got.stores)} C-STORE-RQs came without a role for them")
    return got.outcome


def check_counters(visit: Visit, got: Retrieved) -> None:
    """Pending responses have all four, of a constant sum; the final one has no Remaining."""
    sums = set()
    for message in got.pending:
        numbers = [message.command.number(tag) for tag in COUNTERS]
        if None in numbers:
            counted = zip(COUNTERS, numbers, strict=True)
            missing = ", ".join(f"(0000,{tag:04X})" for tag, number in counted if number is None)
            visit.problem("COUNTERS_MISSING", f"a Pending response lacks {missing}")
            return
        sums.add(sum(number for number in numbers if number is not None))
    if len(sums) > 1:
        visit.problem("COUNTERS_WRONG", f"the sum of the counters changes: {sorted(sums)}")
    final = got.final
    if final is not None and final.status != 0xFE00 and final.command.find(0x1020) is not None:
        visit.problem("REMAINING_IN_FINAL", "Number of Remaining Sub-operations is in the final response")


async def _counters(visit: Visit) -> Outcome:
    got = await get(visit)
    need_sub_operations(got)
    check_counters(visit, got)
    return got.outcome


def _answering(answering: Answering, check: Callable[[Visit, Retrieved], None], count: int = 1) -> Play:
    async def play(visit: Visit) -> Outcome:
        got = await get(visit, answering)
        need_sub_operations(got, count)
        check(visit, got)
        return got.outcome

    return play


def has_list(visit: Visit, got: Retrieved) -> None:
    """A final response of a retrieve with failures lists them."""
    if got.final is not None and got.final.status and not failed_uids(got.final):
        visit.problem("NO_FAILED_LIST", "the final response has no Failed SOP Instance UID List (0008,0058)")


def has_warnings(visit: Visit, got: Retrieved) -> None:
    """The number of warnings, where it is given, is right."""
    warnings = None if got.final is None else got.final.command.number(0x1023)
    if warnings == 0:
        visit.problem("COUNTERS_WRONG", "Number of Warning Sub-operations is 0 after warnings")


async def _cancelled(visit: Visit) -> Outcome:
    got = await get(visit, cancel_after=1)
    if got.outcome.numbers == (0,):
        raise PreconditionError("the retrieve ended before the C-CANCEL could reach it")
    for tag in COUNTERS[1:]:
        if got.final is not None and got.final.status == 0xFE00 and got.final.command.number(tag) is None:
            visit.warn("COUNTERS_MISSING", f"the Cancel response lacks (0000,{tag:04X})")
    return got.outcome


async def _abort_midway(visit: Visit) -> Outcome:
    await ensure_stored(visit, QUERY_IMAGES)
    association = await associate_for_get(visit)
    await association.request_message(1, query_rq(command_set.C_GET_RQ, 1, STUDY_ROOT_GET), retrieve_identifier())
    message = await association.next()
    if isinstance(message, Outcome):
        return message
    await association.send(stimuli.ABORT)
    while isinstance(message, Message):
        message = await association.next()
    return message


async def _not_offered(visit: Visit) -> Outcome:
    await ensure_stored(visit, QUERY_IMAGES)
    association = await associate_for_get(visit, storage=False)
    got = await run_get(association)
    if got.stores:
        return Outcome("SUB-OPERATIONS", (), "a C-STORE-RQ came for a class that was not offered")
    return got.outcome


async def _separate_ids(visit: Visit) -> Outcome:
    """The kit's ID is 1, as the product's own may be: they don't get mixed up."""
    await ensure_stored(visit, QUERY_IMAGES)
    association = await associate_for_get(visit)
    got = await run_get(association, message_id=1)
    need_sub_operations(got)
    if any(store.command.number(0x0110) is None for store in got.stores):
        visit.problem("NO_MESSAGE_ID", "a C-STORE-RQ has no Message ID")
    return got.outcome


def _get(name: str, stimulus: str, requirement: str, clause: str, play: Play, allowed: tuple[str, ...],
         tolerated: tuple[str, ...] = ()) -> Case:  # fmt: skip
    return case(f"get.{name}", stimulus, requirement, clause, Q, play, allowed, tolerated=tolerated, needs=_NEEDS)


_SUCCESS = ("RSP(0000)",)
CASES = (
    _get("basic", "a C-GET of three images", "The images come as C-STOREs on the same association, then success.",
         "PS3.4 C.4.3", _basic, _SUCCESS),
    _get("no-role", "a C-GET without role selection", "Without the SCP role the requestor gets no C-STORE-RQ.",
         "PS3.7 D.3.3.4", _no_role, ("RSP(Axxx|Cxxx|B000|0000)",), ("ABORT",)),
    _get("counters", "a C-GET of three images",
         "Pending responses have all four counters; the final one has no Remaining.", "PS3.4 C.4.3.1.5", _counters,
         _SUCCESS),
    _get("some-fail", "the first sub-operation is answered A700H",
         "If some sub-operations fail, the final status is B000H with a list of the failed.", "PS3.4 C.4.3.1.3.2",
         _answering(lambda number: 0xA700 if number == 1 else 0, has_list, 2), ("RSP(B000)",), ("RSP(Axxx|Cxxx)",)),
    _get("all-fail", "every sub-operation is answered A700H",
         "If all sub-operations fail, the final status is a failure with a list of the failed.", "PS3.4 C.4.3",
         _answering(lambda _: 0xA700, has_list), ("RSP(A702|Cxxx)",), ("RSP(Axxx|B000)",)),
    _get("warning", "the sub-operations are answered B000H",
         "If any sub-operation ends with a warning, so does the whole.", "PS3.4 C.4.3.1.4",
         _answering(lambda _: 0xB000, has_warnings), ("RSP(B000)",)),
    _get("cancel", "a C-CANCEL during the first sub-operation", "The final response has FE00H.", "PS3.4 C.4.3",
         _cancelled, ("RSP(FE00)",)),
    _get("abort-midway", "an A-ABORT during the first sub-operation", "The connection is closed.", "PS3.7 A.6",
         _abort_midway, ("CLOSE",)),
    _get("unsupported-class", "a C-GET without a context for the images' class",
         "What can't be sent counts as failed.", "PS3.4 C.4.3", _not_offered, ("RSP(A702|Cxxx|B000)",),
         ("RSP(Axxx)", "ABORT")),
    _get("msgid-separate", "Message ID 1 for the C-GET", "Sub-operations have Message IDs of their own.",
         "PS3.7 9.1.3", _separate_ids, _SUCCESS),
)  # fmt: skip
