"""Both state machines of an association, followed from outside: PS3.8 Table 9-10 applied to what a capture shows.

What went over the wire tells most events: a PDU sent is a primitive or the output of an action, a PDU that came is an
event. What it can't tell is inferred, and says so: an A-ABORT of the service-provider without a cause that we see is
Evt19, a connection closed while the ARTIM timer may run is Evt18. Where a peer did what no cell of the table does, the
step has no action, the state stays, and the PDU gets a deviation.

`dulcet.ul.connection` is no part of this: the table is.
"""

from collections.abc import Sequence
from enum import Enum
from functools import cache
from typing import NamedTuple

from dulcet.ul.deviation import Deviation
from dulcet.ul.table import TRANSITIONS, Action, Event, State, Step, next_state

SENT = {1: Event.EVT1, 2: Event.EVT7, 3: Event.EVT8, 4: Event.EVT9, 5: Event.EVT11, 6: Event.EVT14, 7: Event.EVT15}
"""By PDU type: the primitive whose PDU it is."""
RECEIVED = {1: Event.EVT6, 2: Event.EVT3, 3: Event.EVT4, 4: Event.EVT10, 5: Event.EVT12, 6: Event.EVT13, 7: Event.EVT16}
"""By PDU type: the event that it is where it arrives."""

_RQ, _RJ, _RELEASE_RQ, _RELEASE_RP, _ABORT = 1, 3, 5, 6, 7
_SENDING = {
    _RELEASE_RQ: {Step.SEND_RELEASE_RQ},
    _RELEASE_RP: {Step.SEND_RELEASE_RP},
    _ABORT: {Step.SEND_ABORT_USER, Step.SEND_ABORT_PROVIDER, Step.SEND_ABORT},
}
_ABORTING = _SENDING[_ABORT]
_ASSUMED = {
    1: (State.STA4, State.STA2),
    2: (State.STA3, State.STA5),
    3: (State.STA3, State.STA5),
    4: (State.STA6, State.STA6),
    5: (State.STA6, State.STA6),
    6: (State.STA8, State.STA7),
    7: (State.STA6, State.STA6),
}
"""By PDU type: in which states sender and receiver must have been, when what went before is not known."""
_SHORT_NANOSECONDS = 1_000_000_000  # an ARTIM timer of less than a second is not in use
_CLAUSE = "PS3.8 Table 9-10"


class Side(Enum):
    """A state machine of the association."""

    REQUESTOR = "requestor"
    ACCEPTOR = "acceptor"

    @property
    def other(self) -> "Side":
        """The peer's."""
        return Side.ACCEPTOR if self is Side.REQUESTOR else Side.REQUESTOR


class MachineStep(NamedTuple):
    """One step of one machine: `requestor: Evt2 in Sta4: AE-2, Sta5`."""

    side: Side
    event: Event
    state: State
    action: Action | None
    """None where Table 9-10 is blank."""
    new_state: State
    is_inferred: bool = False
    """Whether the event was concluded, not seen."""


@cache
def _step(
    side: Side, event: Event, state: State, action: Action | None, new_state: State, is_inferred: bool
) -> MachineStep:
    """One object for each step there is: a capture has many and few different ones."""
    return MachineStep(side, event, state, action, new_state, is_inferred)


@cache
def _together(*steps: MachineStep | None) -> tuple[MachineStep, ...]:
    return tuple(step for step in steps if step is not None)


@cache
def _blank(event: Event, state: State) -> Deviation:
    explanation = f"sent in {state} ({state.meaning}): no action of the table does"
    return Deviation(clause=_CLAUSE, field=f"{event} in {state}", explanation=explanation)


class _Received(NamedTuple):
    """What came since the machine last sent: the side may have sent before it looked at this."""

    entry: int
    event: Event
    state: State
    is_acceptable: bool


class _Machine:
    """One side's machine."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.state = State.STA1
        self.since = 0
        """When the state was entered, in nanoseconds."""
        self.owes_abort = False
        self.owes_reject = False
        self.state_before = State.STA1
        """The state before the action that owes an A-ABORT."""
        self.received: list[_Received] = []
        self.steps: dict[int, MachineStep] = {}
        """By entry: the last step of this machine."""
        self.time = 0

    def assume(self, state: State) -> None:
        """What went before is not known, but this must have been the state."""
        self.state = state
        self.owes_abort = self.owes_reject = False
        self.received.clear()

    def can_send(self, pdu_type: int, source: int) -> bool:
        """Whether the table has an action that sends such a PDU now."""
        return self.owes_abort or self._does(self._primitive(pdu_type, source), self.state, pdu_type)

    def apply(
        self, entry: int, event: Event, *, is_acceptable: bool = True, is_inferred: bool = False
    ) -> Action | None:
        """The step of `event`, whether the table has it or not."""
        action = TRANSITIONS.get((event, self.state))
        new_state = self.state
        if action is not None:
            is_requestor = self.side is Side.REQUESTOR
            new_state = next_state(action, is_requestor=is_requestor, acceptable=is_acceptable)
            steps = action.steps if is_acceptable or not action.alternative_steps else action.alternative_steps
            self.owes_abort = bool(_ABORTING.intersection(steps))
            self.owes_reject = Step.SEND_REJECT in steps
            self.state_before = self.state
        self.steps[entry] = _step(self.side, event, self.state, action, new_state, is_inferred)
        if new_state is not self.state:
            self.since = self.time
        self.state = new_state
        return action

    def receive(self, entry: int, event: Event, *, is_acceptable: bool = True) -> None:
        """Something came. Where the table is blank (the connection is closed already) nothing happens."""
        if (event, self.state) in TRANSITIONS:
            self.received.append(_Received(entry, event, self.state, is_acceptable))
            self.apply(entry, event, is_acceptable=is_acceptable)

    def send(self, entry: int, pdu_type: int, source: int) -> Deviation | None:
        """Something was sent."""
        deviation = None
        if pdu_type == _ABORT and self.owes_abort:
            self.owes_abort = False
            return None
        if pdu_type == _RJ and self.owes_reject:
            self.owes_reject = False
            return None
        if self.owes_abort:
            deviation = self._forgive()
        event = self._primitive(pdu_type, source)
        if self._does(event, self.state, pdu_type):
            self.apply(entry, event, is_inferred=event is Event.EVT19)
            self.owes_abort = False
        elif not self._sent_before(entry, event, pdu_type):
            deviation = _blank(event, self.state)
            self.steps[entry] = _step(self.side, event, self.state, None, self.state, False)
        self.received.clear()
        return deviation

    def _forgive(self) -> Deviation:
        """The A-ABORT that the table asks for was not sent: the side went on as if nothing had been wrong."""
        self.owes_abort = False
        explanation = f"an A-ABORT was to be sent in {self.state_before}, and the association went on instead"
        self.state = self.state_before
        return Deviation(clause=_CLAUSE, field="A-ABORT", explanation=explanation)

    def _primitive(self, pdu_type: int, source: int) -> Event:
        if pdu_type == _RQ:
            return Event.EVT2 if self.state is State.STA4 else Event.EVT1
        if pdu_type == _ABORT and (source != 0 or (Event.EVT15, self.state) not in TRANSITIONS):
            return Event.EVT19 if (Event.EVT19, self.state) in TRANSITIONS else Event.EVT15
        return SENT[pdu_type]

    @staticmethod
    def _does(event: Event, state: State, pdu_type: int) -> bool:
        """Whether the table has an action that sends such a PDU."""
        action = TRANSITIONS.get((event, state))
        return action is not None and bool(_SENDING.get(pdu_type, {Step.SEND}).intersection(action.steps))

    def _sent_before(self, entry: int, event: Event, pdu_type: int) -> bool:
        """Whether it was sent before what came last was looked at: then the two crossed on the way."""
        for index in range(len(self.received) - 1, -1, -1):
            state = self.received[index].state
            if self._does(event, state, pdu_type):
                again = self.received[index:]
                self.state = state
                self.owes_abort = self.owes_reject = False
                self.apply(entry, event)
                for each in again:
                    self.steps.pop(each.entry, None)
                    if (each.event, self.state) in TRANSITIONS:
                        self.apply(each.entry, each.event, is_acceptable=each.is_acceptable)
                return True
        return False


class Machines:
    """Requestor and acceptor. Entries are numbers of the caller's: what was seen, in the order of the capture."""

    def __init__(self) -> None:
        self._machines = {side: _Machine(side) for side in Side}
        self._is_known = False
        self._lost: set[Side] = set()
        """The sides of which something was not captured, until their next PDU."""

    def steps(self, entry: int) -> tuple[MachineStep, ...]:
        """What an entry did to the machines, the requestor's first."""
        return _together(*(machine.steps.get(entry) for machine in self._machines.values()))

    def trim(self, entry: int) -> None:
        """Forget the steps of entries before `entry`: a conversation that is watched live has no end."""
        for machine in self._machines.values():
            machine.steps = {number: step for number, step in machine.steps.items() if number >= entry}
            machine.received = [each for each in machine.received if each.entry >= entry]

    def forget(self, sender: Side) -> None:
        """What `sender` said is not known: packets are missing, from here to its next PDU."""
        self._is_known = False
        self._lost.add(sender)

    def connected(self, entry: int, time: int, *, is_accepted: bool) -> None:
        """The transport connection was asked for, and perhaps came about."""
        self._is_known = True
        self._tell(time)
        self._machines[Side.REQUESTOR].apply(entry, Event.EVT1)
        if is_accepted:
            self._machines[Side.ACCEPTOR].apply(entry, Event.EVT5)

    def pdu(
        self,
        entry: int,
        time: int,
        sender: Side,
        pdu_type: int,
        *,
        source: int = 0,
        is_valid: bool = True,
        is_acceptable: bool = True,
    ) -> Deviation | None:
        """A PDU went from `sender` to its peer. The deviation is what its sender did against the table."""
        self._tell(time)
        sending, receiving = self._machines[sender], self._machines[sender.other]
        event = RECEIVED[pdu_type] if is_valid and pdu_type in RECEIVED else Event.EVT19
        if not self._is_known or (self._lost and not _fits(sending, receiving, pdu_type, source, event)):
            self._is_known = True
            states = _ASSUMED.get(pdu_type, (State.STA6, State.STA6))
            for machine, state in zip((sending, receiving), states, strict=True):
                machine.assume(state)
        self._lost.discard(sender)
        deviation = sending.send(entry, pdu_type, source) if pdu_type in SENT else None
        receiving.receive(entry, event, is_acceptable=is_acceptable)
        return deviation

    def closed(self, entry: int, time: int, closer: Side) -> Deviation | None:
        """A side ended the transport connection. The deviation is what it did against the table."""
        self._tell(time)
        if not self._is_known or self._lost:
            return None
        closing, other = self._machines[closer], self._machines[closer.other]
        deviation = None
        match closing.state:
            case State.STA1:
                pass
            case State.STA2 | State.STA4:
                event = Event.EVT18 if closing.state is State.STA2 else Event.EVT15
                closing.apply(entry, event, is_inferred=True)
            case State.STA13:
                is_timer = time - closing.since >= _SHORT_NANOSECONDS
                closing.apply(entry, Event.EVT18 if is_timer else Event.EVT17, is_inferred=True)
            case state:
                explanation = f"closed in {state} ({state.meaning}) without A-RELEASE or A-ABORT"
                deviation = Deviation(clause=_CLAUSE, field="transport connection", explanation=explanation)
                closing.apply(entry, Event.EVT17, is_inferred=True)
        if other.state is not State.STA1:
            other.receive(entry, Event.EVT17)
        return deviation

    def _tell(self, time: int) -> None:
        for machine in self._machines.values():
            machine.time = time


def _fits(sending: _Machine, receiving: _Machine, pdu_type: int, source: int, event: Event) -> bool:
    """Whether a PDU can be sent and is no surprise to who receives it."""
    action = TRANSITIONS.get((event, receiving.state))
    is_surprise = action is None or bool(_ABORTING.intersection(action.steps))
    can_be_sent = pdu_type not in SENT or sending.can_send(pdu_type, source)  # what is no PDU, anybody can send
    return can_be_sent and (event is Event.EVT19 or not is_surprise)


def is_provider_rejection(later: Sequence[tuple[int, int]]) -> bool:
    """Whether the acceptor's next PDU, of those (type, source), is an A-ASSOCIATE-RJ of its service-provider (AE-6)."""
    return bool(later) and later[0][0] == _RJ and later[0][1] != 1
