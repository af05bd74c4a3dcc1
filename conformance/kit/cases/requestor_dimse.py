"""dimse.*.r: the product is the SCU (PS3.7 9.1, PS3.4 Annexes A to C)."""

from dulcet.conformance.kit import command_set, stimuli
from dulcet.conformance.kit.case import Case, Level, Play
from dulcet.conformance.kit.cases.requestor_association import PROCEEDS, case
from dulcet.conformance.kit.cases.requestor_upper_layer import first_request
from dulcet.conformance.kit.hosting import Hosted
from dulcet.conformance.kit.messages import Message
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.reception import Reception
from dulcet.conformance.kit.synthetic import PATIENT, PATIENT_ID, data_set, uid
from dulcet.conformance.kit.visit import PreconditionError
from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN

Q, C, B, I = Level.REQUIRED, Level.RECOMMENDED, Level.ROBUSTNESS, Level.INFORMATIONAL  # noqa: E741
MANY_MATCHES = 10_000
_ECHO, _STORE, _FIND, _MOVE = ("echo",), ("store",), ("find",), ("move",)
_TOLERANT = ("PROCEEDS", "ABORT", "RELEASE", "CLOSE")


async def _expect(hosted: Hosted, field: int) -> Message:
    message = await first_request(hosted)
    if message.command.field != field:
        raise PreconditionError(f"the product sent {command_set.command_name(message.command.field)} first")
    return message


def responding(
    field: int, status: int, *, reports: bool = False, data: bytes | None = None, **others: int | str | bytes | None
) -> Play:
    """The first request answered with a status and elements; then served to the end."""

    async def play(reception: Reception) -> Outcome:
        hosted = await reception.accepted()
        message = await _expect(hosted, field)
        await hosted.respond(message, status, data, **others)
        outcome = await _to_the_end(reception, hosted)
        if reports:
            await reception.must_report()
        return outcome

    return play


async def _to_the_end(reception: Reception, hosted: Hosted, status: int = 0) -> Outcome:
    outcome = await hosted.serve(status)
    if outcome.word == "RELEASE":
        await hosted.peer.closes_within(reception.patience.answer)
        return Outcome("PROCEEDS", (), "the product went on, and released")
    return outcome


# C-ECHO ---------------------------------------------------------------------------------------------------------------


async def _wrong_id(reception: Reception) -> Outcome:
    hosted = await reception.accepted()
    message = await _expect(hosted, command_set.C_ECHO_RQ)
    await hosted.respond(message, 0, x0120=(message.command.number(0x0110) or 0) ^ 0x55)
    outcome = await hosted.next(reception.patience.answer)
    if isinstance(outcome, Message):
        return outcome.outcome()
    if outcome.word == "RELEASE":
        await hosted.peer.send(stimuli.RELEASE_RP)
        await reception.must_report()
    return outcome


async def _silent(reception: Reception) -> Outcome:
    hosted = await reception.accepted()
    await first_request(hosted)
    return await hosted.peer.outcome(reception.patience.until_artim)


ECHO = (
    case("dimse.echo.r.basic", "a C-ECHO answered with success", "The product goes on, and releases.", "PS3.7 9.1.5", Q,
         responding(command_set.C_ECHO_RQ, 0), needs=_ECHO),
    case("dimse.echo.r.wrong-msgid", "a response to another Message ID",
         "A response to another Message ID is not taken for the answer.", "PS3.7 9.3.5.2", Q, _wrong_id,
         ("SILENCE", "ABORT", "CLOSE"), tolerated=("RELEASE",), needs=_ECHO,
         note="A release may follow a failure that was reported: the exit code tells."),
    case("dimse.echo.r.extra-msgid", "the response has a Message ID (0000,0110) too",
         "A retired Message ID in a response is passed over.", "PS3.7 9.1.5.1.1", Q,
         responding(command_set.C_ECHO_RQ, 0, x0110=7), needs=_ECHO),
    *(
        case(f"dimse.echo.r.failure.{status:04x}", f"a C-ECHO answered with {status:04X}H", "The failure is reported.",
             "PS3.7 Annex C", Q, responding(command_set.C_ECHO_RQ, status, reports=True),
             ("PROCEEDS", "ABORT0", "CLOSE"), needs=_ECHO)
        for status in (0x0210, 0xC000, 0x0122)
    ),
    case("dimse.echo.r.no-reply", "the C-ECHO is not answered", "The product gives up in time.", "PS3.7 9.1.5", B,
         _silent, ("ABORT", "CLOSE"), needs=_ECHO, waits_artim=True),
)  # fmt: skip

# C-STORE --------------------------------------------------------------------------------------------------------------


async def _fields(reception: Reception) -> Outcome:
    hosted = await reception.accepted()
    message = await _expect(hosted, command_set.C_STORE_RQ)
    missing = [tag for tag in (0x0002, 0x0110, 0x0700, 0x0800, 0x1000) if message.command.find(tag) is None]
    if missing:
        reception.problem("FIELDS_MISSING", f"without {', '.join(f'(0000,{tag:04X})' for tag in missing)}")
    priority = message.command.number(0x0700)
    if priority not in (None, 0, 1, 2):
        reception.problem("WRONG_PRIORITY", f"Priority is {priority}")
    await hosted.serve_one(message, 0)
    return await _to_the_end(reception, hosted)


async def _early_refusal(reception: Reception) -> Outcome:
    """A700H as soon as the command has come; the product may go on to the end, or set the last bit early."""
    hosted = await reception.accepted()
    message = await _command_of_store(hosted)
    await hosted.respond(message, 0xA700)
    return await _to_the_end(reception, hosted)


async def _command_of_store(hosted: Hosted) -> Message:
    command = await hosted.first_command()
    if command is None or command.command.field != command_set.C_STORE_RQ:
        raise PreconditionError("the product sent no C-STORE-RQ")
    return command


async def _no_early_end(reception: Reception) -> Outcome:
    """The data set is whole: its last element ends where it ends."""
    hosted = await reception.accepted()
    message = await _expect(hosted, command_set.C_STORE_RQ)
    if not message.data:
        reception.problem("NO_DATA", "the data set is empty")
    await hosted.serve_one(message, 0)
    return await _to_the_end(reception, hosted)


async def _window_kept(reception: Reception) -> Outcome:
    """While the response is missing no second request comes, unless a window was agreed to, which the kit does not."""
    hosted = await reception.accepted()
    message = await first_request(hosted)
    second = await hosted.next(1.0)
    if isinstance(second, Message):
        return Outcome("SECOND", (), "a second request came while the first was outstanding, and no window was agreed")
    if second.word != "SILENCE":
        return second
    await hosted.serve_one(message, 0)
    return await _to_the_end(reception, hosted)


def _store_status(status: int, *, reports: bool, level: Level = Q, group: str = "status-ranges") -> Case:
    what = "recognized as a failure, and reported" if reports else "taken as stored with a warning"
    return case(
        f"dimse.store.r.{group}.{status:04x}",
        f"a C-STORE answered with {status:04X}H",
        f"The status is {what}.",
        "PS3.4 B.2.3",
        level,
        responding(command_set.C_STORE_RQ, status, reports=reports),
        ("PROCEEDS", "ABORT0", "CLOSE") if reports else PROCEEDS,
        needs=_STORE,
    )


STORE = (
    case("dimse.store.r.rq-fields", "a C-STORE answered with success",
         "A C-STORE-RQ has its required elements and a priority of 0 to 2.", "PS3.7 Table 9.3-1", Q, _fields,
         needs=_STORE),
    *(_store_status(status, reports=True) for status in (0xA700, 0xA7FF, 0xA900, 0xC000, 0xCFFF)),
    *(_store_status(status, reports=False, group="warnings") for status in (0xB000, 0xB006, 0xB007)),
    case("dimse.store.r.unknown-status", "a C-STORE answered with 1234H",
         "An unknown status is taken for a failure, or reported.", "PS3.7 Annex C", B,
         responding(command_set.C_STORE_RQ, 0x1234, reports=True), ("PROCEEDS", "ABORT", "CLOSE"), needs=_STORE),
    case("dimse.store.r.early-refusal", "A700H before the data set has come",
         "The product finishes, or sets the last bit early; the association stays usable.", "PS3.7 9.3.1.3", Q,
         _early_refusal, PROCEEDS, tolerated=("ABORT0",), needs=_STORE),
    case("dimse.store.r.no-early-last", "a C-STORE that is not refused",
         "Without a refusal the last bit is set at the true end only.", "PS3.7 9.3.1.3", Q, _no_early_end,
         needs=_STORE),
    case("dimse.store.r.rsp-extra-fields", "a response with (0000,0110), (0000,0901) and (0000,0902)",
         "Elements that a response may have do no harm.", "PS3.7 Annex C", Q,
         responding(command_set.C_STORE_RQ, 0xB000, x0110=9, x0901=b"\x08\0\x18\0", x0902="dulcet"), needs=_STORE),
    case("dimse.store.r.rsp-with-dataset", "a response with a data set", "A C-STORE-RSP has no data set.",
         "PS3.7 Table 9.3-2", B, responding(command_set.C_STORE_RQ, 0, data=data_set({0x00080005: ("CS", "")})),
         ("PROCEEDS", "ABORT"), tolerated=("CLOSE",), needs=_STORE),
    case("dimse.store.r.sync-window", "the response to a C-STORE is delayed by 1 s",
         "Without a window one operation is outstanding.", "PS3.7 7.3", Q, _window_kept, needs=_STORE),
)  # fmt: skip

# C-FIND ---------------------------------------------------------------------------------------------------------------


def _match(hosted: Hosted, message: Message, number: int = 1) -> bytes:
    """An identifier in the transfer syntax of the request's context."""
    explicit = hosted.accepted.get(message.context_id, ("", ""))[1] == EXPLICIT_VR_LITTLE_ENDIAN
    return data_set(
        {
            0x00080052: ("CS", "STUDY"),
            0x00100010: ("PN", PATIENT),
            0x00100020: ("LO", PATIENT_ID),
            0x0020000D: ("UI", uid(f"match {number}")),
        },
        explicit=explicit,
    )


def finding(pending: int, final: int, *, count: int = 1, data: bytes | None = b"", reports: bool = False,
            final_has_data: bool = False) -> Play:  # fmt: skip
    """A C-FIND answered with so many pending responses and a final one."""

    async def play(reception: Reception) -> Outcome:
        hosted = await reception.accepted()
        message = await _expect(hosted, command_set.C_FIND_RQ)
        for number in range(count):
            await hosted.respond(message, pending, _match(hosted, message, number) if data == b"" else data)
        await hosted.respond(message, final, _match(hosted, message) if final_has_data else None)
        outcome = await _to_the_end(reception, hosted)
        if reports:
            await reception.must_report()
        return outcome

    return play


async def _cancelled(reception: Reception, *, more: int) -> Outcome:
    """Pending responses until the product cancels; it has to be told to by its user."""
    hosted = await reception.accepted()
    message = await _expect(hosted, command_set.C_FIND_RQ)
    for number in range(20):
        await hosted.respond(message, 0xFF00, _match(hosted, message, number))
        cancel = await hosted.next(0.1)
        if isinstance(cancel, Message):
            break
    else:
        raise PreconditionError("the product did not cancel; give it a command that does")
    if cancel.command.field != command_set.C_CANCEL_RQ:
        return cancel.outcome()
    _check_cancel(reception, cancel, message)
    for number in range(more):
        await hosted.respond(message, 0xFF00, _match(hosted, message, number))
    await hosted.respond(message, 0xFE00)
    return await _to_the_end(reception, hosted)


def _check_cancel(reception: Reception, cancel: Message, message: Message) -> None:
    if cancel.command.number(0x0120) != message.command.number(0x0110):
        reception.problem("WRONG_MESSAGE_ID", "(0000,0120) of the C-CANCEL-RQ is not the Message ID of the C-FIND-RQ")
    if cancel.command.number(0x0800) != command_set.NO_DATA_SET:
        reception.problem("DATA_SET_TYPE", "Command Data Set Type of the C-CANCEL-RQ is not 0101H")
    if cancel.context_id != message.context_id:
        reception.problem("WRONG_CONTEXT", "the C-CANCEL-RQ is on another context than the C-FIND-RQ")


async def _cancel_fields(reception: Reception) -> Outcome:
    return await _cancelled(reception, more=0)


async def _pending_after_cancel(reception: Reception) -> Outcome:
    return await _cancelled(reception, more=3)


FIND = (
    case("dimse.find.r.pending-ff01", "a match with status FF01H", "FF01H is a match as FF00H is.", "PS3.4 C.4.1.1.4",
         Q, finding(0xFF01, 0), needs=_FIND),
    *(
        case(f"dimse.find.r.failure-codes.{status:04x}", f"a C-FIND answered with {status:04X}H",
             "The failure is reported.", "PS3.4 C.4.1.1.4", Q, finding(0xFF00, status, count=0, reports=True),
             ("PROCEEDS", "ABORT0", "CLOSE"), needs=_FIND)
        for status in (0xA700, 0xA900, 0xC001, 0x0122)
    ),
    case("dimse.find.r.final-with-identifier", "a final response with an identifier",
         "The final response has no identifier; one does no harm.", "PS3.7 9.1.2.1.6", B,
         finding(0xFF00, 0, final_has_data=True), tolerated=("ABORT",), needs=_FIND),
    case("dimse.find.r.pending-without-identifier", "a Pending response without identifier",
         "A Pending response has an identifier; without it the product goes on or aborts.", "PS3.7 9.1.2.1.6", B,
         finding(0xFF00, 0, data=None), ("PROCEEDS", "ABORT"), tolerated=("CLOSE",), needs=_FIND),
    case("dimse.find.r.10k-pending", f"{MANY_MATCHES} matches", "Memory is bounded.", "PS3.7 9.1.2", B,
         finding(0xFF00, 0, count=MANY_MATCHES), _TOLERANT, needs=_FIND, load=True),
    case("dimse.find.r.cancel-fields", "matches until the product cancels",
         "A C-CANCEL-RQ names the Message ID of the operation, on its context, without a data set.",
         "PS3.7 Table 9.3-5", Q, _cancel_fields, needs=("find-cancel",)),
    case("dimse.find.r.pending-after-cancel", "three more matches after the C-CANCEL, then FE00H",
         "The product waits for the final response.", "PS3.4 C.4.1.2.1", Q, _pending_after_cancel,
         needs=("find-cancel",)),
)  # fmt: skip

# C-MOVE ---------------------------------------------------------------------------------------------------------------


def moving(pending: tuple[dict[str, int | None], ...], final: dict[str, int | None]) -> Play:
    """A C-MOVE answered with these pending responses and this final one."""

    async def play(reception: Reception) -> Outcome:
        hosted = await reception.accepted()
        message = await _expect(hosted, command_set.C_MOVE_RQ)
        for counters in pending:
            await hosted.respond(message, 0xFF00, None, x1000=None, **counters)
        await hosted.respond(message, 0, None, x1000=None, **final)
        return await _to_the_end(reception, hosted)

    return play


_DONE: dict[str, int | None] = {"x1021": 1, "x1022": 0, "x1023": 0}
MOVE = (
    case("dimse.move.r.counters-missing", "Pending responses without counters", "Missing counters do no harm.",
         "PS3.4 C.4.2", B, moving(({},), _DONE), tolerated=("ABORT",), needs=_MOVE),
    case("dimse.move.r.no-pending", "only a final response", "Pending responses are optional.", "PS3.4 C.4.2.3.1", Q,
         moving((), _DONE), needs=_MOVE),
    case("dimse.move.r.final-remaining-0", "a final response with Number of Remaining Sub-operations 0",
         "It does no harm.", "PS3.7 9.1.4.1.8", B, moving((), _DONE | {"x1020": 0}), tolerated=("ABORT",), needs=_MOVE),
)  # fmt: skip

# DIMSE-N and windows --------------------------------------------------------------------------------------------------


async def _out_of_order(reception: Reception) -> Outcome:
    hosted = await _with_window(reception)
    first = await first_request(hosted)
    second = await hosted.next(1.0)
    if not isinstance(second, Message):
        raise PreconditionError("the product has no second operation outstanding")
    await hosted.serve_one(second, 0)
    await hosted.serve_one(first, 0)
    return await _to_the_end(reception, hosted)


async def _with_window(reception: Reception) -> Hosted:
    hosted = await reception.requested()
    assert hosted.request is not None
    offered = hosted.request.asynchronous_operations_window
    if offered is None or offered.maximum_number_operations_invoked == 1:
        raise PreconditionError("the product offers no asynchronous operations window")
    agreed = min(offered.maximum_number_operations_invoked or 2, 2)
    await hosted.peer.send((answer := hosted.answer()).but(user=(*answer.user, stimuli.window(agreed, 1))).encode())
    return hosted


async def _window_of_two(reception: Reception) -> Outcome:
    hosted = await _with_window(reception)
    waiting: list[Message] = []
    while len(waiting) < 3:
        message = await hosted.next(1.0)
        if isinstance(message, Outcome):
            break
        waiting.append(message)
    if len(waiting) > 2:
        return Outcome("EXCEEDED", (len(waiting),), "three operations outstanding, two were agreed")
    for message in waiting:
        await hosted.serve_one(message, 0)
    return await _to_the_end(reception, hosted)


OTHERS = (
    case("dimse.n.event.r.reply", "an N-EVENT-REPORT to the product",
         "It is answered with an N-EVENT-REPORT-RSP.", "PS3.7 10.1.1", Q, None,
         needs=(), undecidable="no service that the kit provides reports events to a requestor"),
    case("dimse.async.r.out-of-order", "in a window of 2 the second request is answered first",
         "Responses are matched by Message ID.", "PS3.7 7.3", Q, _out_of_order),
    case("dimse.async.r.window-kept", "in a window of 2 nothing is answered for a second",
         "No more operations are outstanding than were agreed.", "PS3.7 D.3.3.3", Q, _window_of_two),
)  # fmt: skip

CASES = (*ECHO, *STORE, *FIND, *MOVE, *OTHERS)
