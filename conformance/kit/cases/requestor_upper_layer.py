"""ul.release.r, ul.abort.r, ul.pdu, ul.pdata and ul.fsm: the product is the requestor (PS3.8 9.2.3, 7.2, D.1)."""

from collections.abc import Iterable

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.cases.fsm import (
    BY_ITS_USER,
    LOST,
    PDU_OF_EVENT,
    VARIANTS,
    cell_case,
    octets_of,
    seconds_in_sta13,
)
from dulcet.conformance.kit.cases.maximum_length import LENGTHS, OBEYS, judged
from dulcet.conformance.kit.cases.pdata import UNKNOWN, UNRECOGNIZED
from dulcet.conformance.kit.cases.release_abort import ABORT_FORMAT, RELEASE_RP_FORMAT
from dulcet.conformance.kit.cases.requestor_association import PROCEEDS, case, request_first
from dulcet.conformance.kit.hosting import Hosted
from dulcet.conformance.kit.messages import Message
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.passive import FINE, Look, PassiveCheck, Traffic
from dulcet.conformance.kit.reception import Reception
from dulcet.conformance.kit.stimuli import implementation_class, maximum_length
from dulcet.conformance.kit.visit import PreconditionError, echo_rq
from dulcet.ul.table import TRANSITIONS, Event, State

Q, B, I = Level.REQUIRED, Level.ROBUSTNESS, Level.INFORMATIONAL  # noqa: E741
R = Role.REQUESTOR

# Ways into the states -------------------------------------------------------------------------------------------------


def _request_of(hosted: Hosted) -> stimuli.Request:
    octets = hosted.request_octets
    return stimuli.Request(called=octets[10:26], calling=octets[26:42])


async def first_request(hosted: Hosted) -> Message:
    """The product's first DIMSE request. PreconditionError when none comes."""
    message = await hosted.next()
    if isinstance(message, Outcome):
        raise PreconditionError(f"the product sent no request: {message.explain()}")
    return message


async def until_release(hosted: Hosted) -> None:
    """Serve until the product's A-RELEASE-RQ, which is not answered. PreconditionError when it does not come."""
    while True:
        message = await hosted.next()
        if isinstance(message, Message):
            await hosted.serve_one(message, 0)
        elif message.word == "RELEASE":
            return
        else:
            raise PreconditionError(f"the product did not release: {message.explain()}")


async def _colliding(reception: Reception) -> Hosted:
    """Sta11: the product has answered our A-RELEASE-RQ to its own."""
    hosted = await reception.accepted()
    await until_release(hosted)
    await hosted.peer.send(stimuli.RELEASE_RQ)
    outcome = await hosted.peer.outcome(hosted.seconds)
    if outcome.word != "RP":
        raise PreconditionError(f"the product did not answer the colliding release: {outcome.explain()}")
    return hosted


async def _reach(reception: Reception, state: State) -> Hosted:
    if state is State.STA5:
        return await reception.requested()
    if state is State.STA6:
        hosted = await reception.accepted()
        await first_request(hosted)
        return hosted
    if state in (State.STA7, State.STA9):
        hosted = await reception.accepted()
        await until_release(hosted)
        return hosted
    if state is State.STA11:
        return await _colliding(reception)
    hosted = await reception.requested()  # Sta13: after the product's A-ABORT
    await hosted.peer.send(_request_of(hosted).encode())
    outcome = await hosted.peer.outcome(hosted.seconds)
    if outcome.word != "ABORT":
        raise PreconditionError(f"the product sent no A-ABORT: {outcome.explain()}")
    return hosted


def _cell(state: State, event: Event, octets: bytes | None = None) -> Play:
    async def play(reception: Reception) -> Outcome:
        hosted = await _reach(reception, state)
        sent = octets or octets_of(event, _request_of(hosted))
        if state is State.STA9:
            await hosted.peer.send(stimuli.RELEASE_RQ + sent)
            outcome = await hosted.peer.outcome(hosted.seconds)
            if outcome.word != "RP":
                return outcome
        else:
            await hosted.peer.send(sent)
        if state is State.STA13:
            return await hosted.peer.outcome(seconds_in_sta13(event, reception.patience))
        return await hosted.peer.outcome(hosted.seconds)

    return play


async def _data_in_sta7(reception: Reception) -> Outcome:
    hosted = await _reach(reception, State.STA7)
    await hosted.peer.send(stimuli.message(min(hosted.accepted), echo_rq(1)))
    early = await hosted.peer.outcome(reception.patience.answer)
    if early.word in ("CLOSE", "RST"):
        reception.problem("CLOSED_EARLY", "the product closed on the P-DATA-TF, before the A-RELEASE-RP was sent")
    if early.word != "SILENCE":
        return early
    await hosted.peer.send(stimuli.RELEASE_RP)
    return await hosted.peer.outcome(hosted.seconds)


async def _works(reception: Reception) -> Outcome:
    return await reception.proceeds()


async def _answers_collision(reception: Reception) -> Outcome:
    hosted = await reception.accepted()
    await until_release(hosted)
    await hosted.peer.send(stimuli.RELEASE_RQ)
    outcome = await hosted.peer.outcome(hosted.seconds)
    if outcome.word == "RP":
        kept = await hosted.peer.outcome(reception.patience.answer)
        if kept.word != "SILENCE":
            reception.problem("CLOSED_EARLY", "the product did not wait for the A-RELEASE-RP that is due to it")
    return outcome


async def _collision(reception: Reception) -> Outcome:
    hosted = await _colliding(reception)
    await hosted.peer.send(stimuli.RELEASE_RP)
    return await hosted.peer.outcome(hosted.seconds)


async def _release_sent(reception: Reception) -> Outcome:
    hosted = await reception.accepted()
    await until_release(hosted)
    await hosted.peer.send(stimuli.RELEASE_RP)
    return Outcome("RELEASE")


async def _data_sent(reception: Reception) -> Outcome:
    hosted = await reception.accepted()
    await first_request(hosted)
    return Outcome("DATA")


async def _artim_in_sta13(reception: Reception) -> Outcome:
    hosted = await _reach(reception, State.STA13)
    return await hosted.peer.outcome(reception.patience.until_artim)


_ABORTING = ("ABORT2",)
_DISRUPTED = "PS3.8 7.2.2.6: a product's user may abort in place of the release."

FSM = (
    cell_case(State.STA1, Event.EVT1, R, request_first, ("RQ",), stimulus="the product is told to associate"),
    cell_case(State.STA4, Event.EVT2, R, request_first, ("RQ",), stimulus="the kit accepts the connection"),
    cell_case(State.STA5, Event.EVT3, R, _works, PROCEEDS),
    cell_case(State.STA5, Event.EVT4, R, _cell(State.STA5, Event.EVT4), ("CLOSE",)),
    *(
        cell_case(State.STA5, event, R, _cell(State.STA5, event))
        for event in (Event.EVT6, Event.EVT10, Event.EVT12, Event.EVT13, Event.EVT16, Event.EVT19)
    ),
    *(
        cell_case(State.STA6, event, R, _cell(State.STA6, event))
        for event in (Event.EVT3, Event.EVT4, Event.EVT6, Event.EVT13, Event.EVT16, Event.EVT19)
    ),
    cell_case(State.STA6, Event.EVT9, R, _data_sent, ("DATA",), stimulus="the product is told to work"),
    cell_case(State.STA6, Event.EVT10, R, _works, PROCEEDS, stimulus="the responses to the product's requests"),
    cell_case(State.STA6, Event.EVT11, R, _release_sent, ("RELEASE",), stimulus="the product has done its work"),
    cell_case(State.STA6, Event.EVT12, R, _cell(State.STA6, Event.EVT12), ("RP",), tolerated=("ABORT",),
              note="The kit breaks PS3.7 A.5 here: an A-ABORT by the product's user is understandable."),
    *(
        cell_case(State.STA7, event, R, _cell(State.STA7, event))
        for event in (Event.EVT3, Event.EVT4, Event.EVT6, Event.EVT16, Event.EVT19)
    ),
    cell_case(State.STA7, Event.EVT10, R, _data_in_sta7, ("CLOSE",), tolerated=("ABORT0",)),
    cell_case(State.STA7, Event.EVT12, R, _answers_collision, ("RP",), tolerated=("ABORT0",), note=_DISRUPTED),
    cell_case(State.STA7, Event.EVT13, R, _cell(State.STA7, Event.EVT13), ("CLOSE",)),
    *(
        cell_case(State.STA9, event, R, _cell(State.STA9, event),
                  ("CLOSE",) if event in (Event.EVT16, Event.EVT13) else _ABORTING, timing=True,
                  note="Sent in one write after the A-RELEASE-RQ: the product may be in Sta11 by then.")
        for event in PDU_OF_EVENT
    ),
    cell_case(State.STA9, Event.EVT14, R, _answers_collision, ("RP",), tolerated=("ABORT0",), note=_DISRUPTED,
              stimulus="an A-RELEASE-RQ to that of the product"),
    *(
        cell_case(State.STA11, event, R, _cell(State.STA11, event))
        for event in (Event.EVT3, Event.EVT4, Event.EVT6, Event.EVT10, Event.EVT12, Event.EVT16, Event.EVT19)
    ),
    cell_case(State.STA11, Event.EVT13, R, _collision, ("CLOSE",)),
    *(cell_case(State.STA13, event, R, _cell(State.STA13, event), timing=True) for event in PDU_OF_EVENT),
    cell_case(State.STA13, Event.EVT18, R, _artim_in_sta13, waits_artim=True,
              stimulus="the connection is kept open after the product's A-ABORT"),
    *(
        cell_case(state, Event.EVT19, R, _cell(state, Event.EVT19, octets), stimulus=f"{text} in {state}",
                  variant=variant)
        for state in (State.STA5, State.STA6, State.STA7, State.STA11)
        for variant, (text, octets) in VARIANTS.items()
    ),
)  # fmt: skip


def _internal() -> list[Case]:
    cases = []
    for event, state in TRANSITIONS:
        if state not in (State.STA4, State.STA5, State.STA6, State.STA7, State.STA9, State.STA11, State.STA13):
            continue
        if event is Event.EVT17:
            cases.append(cell_case(state, event, R, None, undecidable=LOST))
        elif event is Event.EVT15:
            cases.append(cell_case(state, event, R, None, undecidable=BY_ITS_USER))
    return cases


# Release and abort ----------------------------------------------------------------------------------------------------


async def _no_answer_to_release(reception: Reception) -> Outcome:
    hosted = await _reach(reception, State.STA7)
    return await hosted.peer.outcome(reception.patience.until_artim)


async def _response_withheld(reception: Reception) -> Outcome:
    """While the response is missing the product may abort in time, but not release."""
    hosted = await reception.accepted()
    await first_request(hosted)
    while True:
        message = await hosted.next(reception.patience.answer)
        if isinstance(message, Outcome):
            return message


async def _release_and_answer(reception: Reception) -> Outcome:
    hosted = await _reach(reception, State.STA7)
    await hosted.peer.send(stimuli.RELEASE_RQ + stimuli.RELEASE_RP)
    outcome = await hosted.peer.outcome(hosted.seconds)
    return await hosted.peer.outcome(hosted.seconds) if outcome.word == "RP" else outcome


async def _abort_in_answer(reception: Reception) -> Outcome:
    hosted = await reception.requested()
    await hosted.peer.send(stimuli.ABORT)
    outcome = await hosted.peer.outcome(hosted.seconds)
    await reception.must_report()
    return outcome


async def _abort_in_operation(reception: Reception) -> Outcome:
    hosted = await reception.accepted()
    await first_request(hosted)
    await hosted.peer.send(stimuli.ABORT)
    outcome = await hosted.peer.outcome(hosted.seconds)
    await reception.must_report()
    return outcome


RELEASE_ABORT = (
    case("ul.release.r.pdata-before-rp", "a P-DATA-TF, then the A-RELEASE-RP",
         "A requestor may receive data until its A-RELEASE-RP.", "PS3.8 7.2.2.1", Q, _data_in_sta7, ("CLOSE",),
         tolerated=("ABORT0",)),
    case("ul.release.r.no-rp", "the A-RELEASE-RQ is not answered", "The requestor gives up in time.", "PS3.8 9.1.4", B,
         _no_answer_to_release, ("ABORT0", "CLOSE"), tolerated=("ABORT2",), waits_artim=True),
    case("ul.release.r.outstanding", "a response is withheld",
         "A requestor does not release while an operation is outstanding.", "PS3.7 A.5", Q, _response_withheld,
         ("SILENCE", "ABORT", "CLOSE")),
    case("ul.release.collision.requestor", "an A-RELEASE-RQ to the product's, and later the A-RELEASE-RP",
         "The requestor answers the colliding A-RELEASE-RQ, waits for its own answer, then closes.", "PS3.8 7.2.2.7", Q,
         _collision, ("CLOSE",)),
    case("ul.release.collision.rp-first", "an A-RELEASE-RQ and an A-RELEASE-RP in one write",
         "In Sta11 it closes, in Sta9 it aborts.", "PS3.8 9.2.3", I, _release_and_answer, ("CLOSE", "ABORT2")),
    case("ul.abort.r.after-rq", "an A-ABORT in answer to the A-ASSOCIATE-RQ",
         "The connection is closed, and the abort reported.", "PS3.8 9.2.3", Q, _abort_in_answer, ("CLOSE",)),
    case("ul.abort.r.mid-op", "an A-ABORT in answer to the first request",
         "The connection is closed, and the operation reported as failed.", "PS3.7 A.6", Q, _abort_in_operation,
         ("CLOSE",)),
)  # fmt: skip

# PDUs -----------------------------------------------------------------------------------------------------------------


def _announces(octets: int) -> Play:
    async def play(reception: Reception) -> Outcome:
        hosted = await reception.accepted(
            lambda answer: answer.but(user=(maximum_length(octets), implementation_class(), *answer.user[2:]))
        )
        outcome = await reception.served(hosted)
        return judged(hosted.peer.wire, reception.findings, octets, outcome)

    return play


def _length_case(name: str, octets: int, level: Level, allowed: tuple[str, ...] = ("OBEYED",)) -> Case:
    return case(f"ul.pdata.maxlen.{name}", f"the kit announces a maximum length of {octets}", OBEYS, "PS3.8 D.1", level,
                _announces(octets), allowed, tolerated=("ABORT",))  # fmt: skip


PDUS = (
    *(
        case(f"ul.pdu.type.unknown-sta6.{name}", f"a PDU of type {name.upper()}H in Sta6",
             UNRECOGNIZED, "PS3.8 9.2.3", Q,
             _cell(State.STA6, Event.EVT19, octets), ("ABORT2",))
        for name, octets in UNKNOWN.items()
    ),
    *(_length_case(f"respect-{octets}", octets, Q) for octets in LENGTHS),
    _length_case("zero", 0, Q),
    _length_case("tiny-8", 8, B, ("OBEYED", "ABORT", "CLOSE")),
    _length_case("odd-16383", 16383, Q),
    _length_case("huge-ffffffff", 0xFFFFFFFF, B),
)  # fmt: skip

CASES = (*FSM, *_internal(), *RELEASE_ABORT, *PDUS)


def _release_rq(traffic: Traffic) -> Iterable[Look]:
    for passed in traffic.of_product(0x05):
        yield FINE if passed.octets == stimuli.RELEASE_RQ else Look(passed.octets[:16].hex(" "))


CHECKS = (
    PassiveCheck(
        Case(id="ul.release.r.rq-format", requirement="An A-RELEASE-RQ has length 4 and zeros.",
             stimulus="looked at in each A-RELEASE-RQ of the product", clause="PS3.8 Table 9-24", level=Q,
             role=Role.PASSIVE),
        _release_rq,
    ),
    RELEASE_RP_FORMAT,
    ABORT_FORMAT,
)  # fmt: skip
