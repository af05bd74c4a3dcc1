"""dimse.n and dimse.async, the product as SCP (PS3.7 10.1, 7.3, D.3.3.3)."""

from dulcet.conformance.kit import command_set, stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.cases.dimse_command import case
from dulcet.conformance.kit.command_set import DATA_SET, NO_DATA_SET, encode
from dulcet.conformance.kit.messages import Message
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.stimuli import context
from dulcet.conformance.kit.synthetic import PATIENT, PATIENT_ID, data_set, elements_of, uid
from dulcet.conformance.kit.visit import PreconditionError, Visit, echo_rq
from dulcet.dimse.uids import (
    MODALITY_PERFORMED_PROCEDURE_STEP,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
    VERIFICATION,
)

Q, B = Level.REQUIRED, Level.ROBUSTNESS
_COMMITMENT, _MPPS = ("storage-commitment",), ("mpps",)
_NO_INSTANCE = uid("no such instance")
_REFUSED = ("RSP(01xx|02xx)",)


def _commitment_rq(action: int, instance: str = STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE) -> bytes:
    return encode(
        {
            0x0003: STORAGE_COMMITMENT_PUSH_MODEL,
            0x0100: command_set.N_ACTION_RQ,
            0x0110: 1,
            0x0800: DATA_SET,
            0x1001: instance,
            0x1008: action,
        }
    )


def _request_of_commitment() -> bytes:
    reference = data_set({0x00081150: ("UI", "1.2.840.10008.5.1.4.1.1.2"), 0x00081155: ("UI", uid("instance basic"))})
    item = b"\xfe\xff\x00\xe0" + len(reference).to_bytes(4, "little") + reference
    return data_set({0x00081195: ("UI", uid("transaction")), 0x00081199: ("SQ", item)})


async def _exchange(visit: Visit, sop_class: str, command: bytes, data: bytes | None) -> Message | Outcome:
    association = (await visit.associate(context(1, sop_class))).need(1)
    await association.request_message(1, command, data)
    answer = await association.next()
    if isinstance(answer, Message):
        await association.release()
    return answer


def _outcome(answer: Message | Outcome) -> Outcome:
    return answer.outcome() if isinstance(answer, Message) else answer


def _sends(sop_class: str, command: bytes, data: bytes | None) -> Play:
    async def play(visit: Visit) -> Outcome:
        return _outcome(await _exchange(visit, sop_class, command, data))

    return play


async def _event_report(visit: Visit) -> Outcome:
    """The report comes on this association; on a new one the kit does not see it."""
    association = (await visit.associate(context(1, STORAGE_COMMITMENT_PUSH_MODEL))).need(1)
    await association.request_message(1, _commitment_rq(1), _request_of_commitment())
    outcome = await association.outcome()
    if outcome.word != "RSP" or outcome.numbers != (0,):
        return outcome
    report = await association.next(visit.patience.patient)
    if isinstance(report, Outcome):
        if report.word == "SILENCE":
            raise PreconditionError("no N-EVENT-REPORT on this association; one on a new association is as good")
        return report
    if report.command.field != command_set.N_EVENT_REPORT_RQ:
        return report.outcome()
    reply: dict[int, int | str | bytes | None] = {
        0x0002: STORAGE_COMMITMENT_PUSH_MODEL,
        0x0100: command_set.N_EVENT_REPORT_RSP,
        0x0120: report.command.number(0x0110) or 0,
        0x0800: NO_DATA_SET,
        0x0900: 0,
    }
    await association.request_message(report.context_id, encode(reply))
    return Outcome("REPORTED")


# MPPS -----------------------------------------------------------------------------------------------------------------


def _mpps_rq(field: int, **more: int | str | bytes | None) -> bytes:
    tag = 0x0002 if field == command_set.N_CREATE_RQ else 0x0003
    values: dict[int, int | str | bytes | None] = {
        tag: MODALITY_PERFORMED_PROCEDURE_STEP,
        0x0100: field,
        0x0110: 1,
        0x0800: DATA_SET,
    }
    return encode(values | {int(name[1:], 16): value for name, value in more.items()})


def _step() -> bytes:
    return data_set(
        {
            0x00080060: ("CS", "CT"),
            0x00100010: ("PN", PATIENT),
            0x00100020: ("LO", PATIENT_ID),
            0x00100030: ("DA", ""),
            0x00100040: ("CS", ""),
            0x00400241: ("AE", "DULCET"),
            0x00400242: ("SH", ""),
            0x00400243: ("SH", ""),
            0x00400244: ("DA", "20260101"),
            0x00400245: ("TM", "120000"),
            0x00400250: ("DA", ""),
            0x00400251: ("TM", ""),
            0x00400252: ("CS", "IN PROGRESS"),
            0x00400253: ("SH", "DULCET"),
            0x00400254: ("LO", ""),
            0x00400255: ("LO", ""),
        }
    )


async def _created_twice(visit: Visit) -> Outcome:
    command = _mpps_rq(command_set.N_CREATE_RQ, x1000=uid("mpps"))
    first = _outcome(await _exchange(visit, MODALITY_PERFORMED_PROCEDURE_STEP, command, _step()))
    if first.word != "RSP" or first.numbers[0] not in (0, 0x0111):
        raise PreconditionError(f"the first N-CREATE was not accepted: {first.explain()}")
    return _outcome(await _exchange(visit, MODALITY_PERFORMED_PROCEDURE_STEP, command, _step()))


async def _created_without_uid(visit: Visit) -> Outcome:
    answer = await _exchange(visit, MODALITY_PERFORMED_PROCEDURE_STEP, _mpps_rq(command_set.N_CREATE_RQ), _step())
    if isinstance(answer, Message) and answer.status == 0 and not answer.command.text(0x1000):
        visit.problem("NO_INSTANCE_UID", "an instance was created, and the response has no Affected SOP Instance UID")
    return _outcome(answer)


async def _attribute_list(visit: Visit) -> Outcome:
    command = encode(
        {
            0x0003: MODALITY_PERFORMED_PROCEDURE_STEP,
            0x0100: command_set.N_GET_RQ,
            0x0110: 1,
            0x0800: NO_DATA_SET,
            0x1001: uid("mpps"),
            0x1005: b"\x40\x00\x52\x02",
        }
    )
    answer = await _exchange(visit, MODALITY_PERFORMED_PROCEDURE_STEP, command, None)
    if isinstance(answer, Message) and answer.status == 0:
        more = {tag for tag, _ in elements_of(answer.data or b"")} - {0x00400252, 0x00080005}
        if more:
            visit.problem("UNREQUESTED", f"{len(more)} attributes that were not asked for")
    return _outcome(answer)


_GET_ON_VERIFICATION = encode(
    {0x0003: VERIFICATION, 0x0100: command_set.N_GET_RQ, 0x0110: 1, 0x0800: NO_DATA_SET, 0x1001: uid("nothing")}
)

NORMALIZED = (
    case("n.unsupported-op", "an N-GET on Verification", "An operation that the SOP class does not have is refused.",
         "PS3.7 C.5.23", Q, _sends(VERIFICATION, _GET_ON_VERIFICATION, None), ("RSP(0211|0122)", "ABORT"),
         tolerated=_REFUSED),
    case("n.action.no-such-action", "action type 999 on Storage Commitment", "An unknown action is refused with 0123H.",
         "PS3.7 C.5.24", Q, _sends(STORAGE_COMMITMENT_PUSH_MODEL, _commitment_rq(999), _request_of_commitment()),
         ("RSP(0123)",), tolerated=_REFUSED, needs=_COMMITMENT),
    case("n.action.no-such-instance", "an action on an unknown instance", "An unknown instance is refused with 0112H.",
         "PS3.7 C.5.19", Q,
         _sends(STORAGE_COMMITMENT_PUSH_MODEL, _commitment_rq(1, _NO_INSTANCE), _request_of_commitment()),
         ("RSP(0112)",), tolerated=_REFUSED, needs=_COMMITMENT),
    case("n.stgcmt.event-role", "a storage commitment request", "Its result is reported by N-EVENT-REPORT.",
         "PS3.4 Annex J", Q, _event_report, ("REPORTED",), needs=_COMMITMENT),
    case("n.create.duplicate", "the same MPPS instance created twice", "A duplicate instance is refused with 0111H.",
         "PS3.7 C.5.8", Q, _created_twice, ("RSP(0111)",), tolerated=_REFUSED, needs=_MPPS),
    case("n.create.no-uid", "an MPPS instance created without a UID",
         "An SCP that assigns the UID returns it.", "PS3.7 10.1.5", Q, _created_without_uid, ("RSP(0000|01xx|Cxxx)",),
         needs=_MPPS),
    case("n.set.no-such-instance", "an N-SET on an unknown MPPS instance", "An unknown instance is refused with 0112H.",
         "PS3.7 C.5.19", Q,
         _sends(MODALITY_PERFORMED_PROCEDURE_STEP, _mpps_rq(command_set.N_SET_RQ, x1001=_NO_INSTANCE),
                data_set({0x00400252: ("CS", "COMPLETED")})),
         ("RSP(0112)",), tolerated=_REFUSED, needs=_MPPS),
    case("n.get.attribute-list", "an N-GET of one attribute of an MPPS instance",
         "Only the attributes asked for are returned.", "PS3.7 10.1.2", Q, _attribute_list,
         ("RSP(0000|0107|0112|0122|0211)",), needs=_MPPS),
)  # fmt: skip

# Asynchronous operations ----------------------------------------------------------------------------------------------


def _echoes_at_once(count: int, offered: int | None, *, need: bool = False) -> Play:
    async def play(visit: Visit) -> Outcome:
        request = visit.product.request()
        if offered is not None:
            request = request.with_user(stimuli.window(offered, 1))
        association = (await visit.associate(request=request)).need(1)
        window = association.answer.asynchronous_operations_window
        if need and (window is None or window.maximum_number_operations_invoked == 1):
            raise PreconditionError("the product agrees to one outstanding operation only")
        sent = count
        if need and window is not None and window.maximum_number_operations_invoked:
            sent = count - offered + window.maximum_number_operations_invoked if offered else count
        await association.send(b"".join(stimuli.message(1, echo_rq(number)) for number in range(1, sent + 1)))
        return await _all_answered(visit, association, sent)

    return play


async def _all_answered(visit: Visit, association: object, sent: int) -> Outcome:
    answered: set[int] = set()
    statuses: set[int] = set()
    for _ in range(sent):
        message = await association.next()  # type: ignore[attr-defined]
        if isinstance(message, Outcome):
            return message
        answered.add(message.command.number(0x0120) or 0)
        statuses.add(message.status or 0)
    if answered != set(range(1, sent + 1)):
        visit.problem("WRONG_MESSAGE_ID", f"requests 1 to {sent}, responses to {sorted(answered)}")
    return Outcome("RSP", tuple(sorted(statuses)))


_SYNCHRONOUS = "Without a window one operation is outstanding; more are served in turn, or aborted."
ASYNC = (
    case("async.two-outstanding", "two C-ECHOs in a window of 2", "Both are answered, in any order.", "PS3.7 7.3", Q,
         _echoes_at_once(2, 2, need=True), ("RSP(0000)",)),
    case("async.not-agreed", "two C-ECHOs without a window", _SYNCHRONOUS, "PS3.7 D.3.3.3", B, _echoes_at_once(2, None),
         ("RSP(0000)", "ABORT")),
    case("async.exceed", "one C-ECHO more than the window", "It is served, refused with 0213H, or aborted.",
         "PS3.7 D.3.3.3", B, _echoes_at_once(4, 3, need=True), ("RSP(0000|0213)", "ABORT")),
    Case(
        id="dimse.bidirectional", requirement="In synchronous mode both sides may invoke at the same time.",
        stimulus="a C-ECHO while the product reports an event", clause="PS3.7 A.4", level=Q, role=Role.ACCEPTOR,
        undecidable="no service that the kit claims makes an acceptor invoke operations while it is asked for others",
    ),
)  # fmt: skip

CASES = (*NORMALIZED, *ASYNC)
