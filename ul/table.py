"""The state machine of the DICOM Upper Layer as data: PS3.8 9.2.

States, events, actions (Tables 9-6 to 9-9) and transitions (Table 9-10) stand here and nowhere else. `connection.py`
interprets them, `dulcet table` prints them, the kit judges with them. A pair of event and state that has no cell is
blank in Table 9-10: the standard defines nothing for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class State(Enum):
    """PS3.8 Tables 9-1 to 9-5; the value is the number."""

    number: int
    meaning: str

    def __new__(cls, number: int, meaning: str) -> "State":
        """A state is its number; what it means is text for people."""
        member = object.__new__(cls)
        member._value_ = number
        member.number = number
        member.meaning = meaning
        return member

    __hash__ = object.__hash__  # members are themselves alone; Enum's own hashes a text in Python, for each PDU

    STA1 = 1, "Idle"
    STA2 = 2, "Transport connection open, awaiting A-ASSOCIATE-RQ PDU"
    STA3 = 3, "Awaiting local A-ASSOCIATE response primitive"
    STA4 = 4, "Awaiting transport connection opening to complete"
    STA5 = 5, "Awaiting A-ASSOCIATE-AC or A-ASSOCIATE-RJ PDU"
    STA6 = 6, "Association established, ready for data transfer"
    STA7 = 7, "Awaiting A-RELEASE-RP PDU"
    STA8 = 8, "Awaiting local A-RELEASE response primitive"
    STA9 = 9, "Release collision, requestor side: awaiting A-RELEASE response primitive"
    STA10 = 10, "Release collision, acceptor side: awaiting A-RELEASE-RP PDU"
    STA11 = 11, "Release collision, requestor side: awaiting A-RELEASE-RP PDU"
    STA12 = 12, "Release collision, acceptor side: awaiting A-RELEASE response primitive"
    STA13 = 13, "Awaiting transport connection close indication, association no longer exists"

    def __str__(self) -> str:
        return f"Sta{self.number}"


class Event(Enum):
    """PS3.8 Table 9-10, first column; the value is the number."""

    number: int
    meaning: str

    def __new__(cls, number: int, meaning: str) -> "Event":
        """An event is its number; what it means is text for people."""
        member = object.__new__(cls)
        member._value_ = number
        member.number = number
        member.meaning = meaning
        return member

    __hash__ = object.__hash__  # members are themselves alone; Enum's own hashes a text in Python, for each PDU

    EVT1 = 1, "A-ASSOCIATE request primitive"
    EVT2 = 2, "Transport connection confirmed"
    EVT3 = 3, "A-ASSOCIATE-AC PDU received"
    EVT4 = 4, "A-ASSOCIATE-RJ PDU received"
    EVT5 = 5, "Transport connection indication"
    EVT6 = 6, "A-ASSOCIATE-RQ PDU received"
    EVT7 = 7, "A-ASSOCIATE response primitive, accept"
    EVT8 = 8, "A-ASSOCIATE response primitive, reject"
    EVT9 = 9, "P-DATA request primitive"
    EVT10 = 10, "P-DATA-TF PDU received"
    EVT11 = 11, "A-RELEASE request primitive"
    EVT12 = 12, "A-RELEASE-RQ PDU received"
    EVT13 = 13, "A-RELEASE-RP PDU received"
    EVT14 = 14, "A-RELEASE response primitive"
    EVT15 = 15, "A-ABORT request primitive"
    EVT16 = 16, "A-ABORT PDU received"
    EVT17 = 17, "Transport connection closed indication"
    EVT18 = 18, "ARTIM timer expired"
    EVT19 = 19, "Unrecognized or invalid PDU received"

    def __str__(self) -> str:
        return f"Evt{self.number}"


class Step(Enum):
    """What an action is made of; the value is how `dulcet table` says it."""

    CONNECT = "open the transport connection"
    CLOSE = "close the transport connection"
    START_ARTIM = "start ARTIM"
    STOP_ARTIM = "stop ARTIM"
    SEND = "send the PDU of the primitive"
    SEND_REJECT = "send A-ASSOCIATE-RJ PDU"
    SEND_RELEASE_RQ = "send A-RELEASE-RQ PDU"
    SEND_RELEASE_RP = "send A-RELEASE-RP PDU"
    SEND_ABORT_USER = "send A-ABORT PDU (service-user source)"
    SEND_ABORT_PROVIDER = "send A-ABORT PDU (service-provider source)"
    SEND_ABORT = "send A-ABORT PDU"
    INDICATE = "issue the indication or confirmation of the PDU"
    INDICATE_PROVIDER_ABORT = "issue A-P-ABORT indication"


@dataclass(frozen=True, slots=True)
class Action:
    """One row of Tables 9-6 to 9-9."""

    name: str
    """As the standard writes it: `AE-1`."""
    table: str
    """The table that defines it: `9-6` association establishment, `9-7` data, `9-8` release, `9-9` abort."""
    steps: tuple[Step, ...]
    """In the order of the action's text."""
    next_state: State
    alternative_steps: tuple[Step, ...] = ()
    """AE-6 only: what is done when the service-provider can't accept the A-ASSOCIATE-RQ."""
    alternative_state: State | None = None
    """AE-6: after the rejection. AR-8: the state of the association-acceptor."""

    @property
    def next_states(self) -> tuple[State, ...]:
        """Every state that the action may lead to, the first named in the table first."""
        return (self.next_state,) if self.alternative_state is None else (self.next_state, self.alternative_state)


_ACTIONS = (
    # Table 9-6: associate establishment
    Action("AE-1", "9-6", (Step.CONNECT,), State.STA4),
    Action("AE-2", "9-6", (Step.SEND,), State.STA5),
    Action("AE-3", "9-6", (Step.INDICATE,), State.STA6),
    Action("AE-4", "9-6", (Step.INDICATE, Step.CLOSE), State.STA1),
    Action("AE-5", "9-6", (Step.START_ARTIM,), State.STA2),
    Action(
        "AE-6",
        "9-6",
        (Step.STOP_ARTIM, Step.INDICATE),
        State.STA3,
        (Step.STOP_ARTIM, Step.SEND_REJECT, Step.START_ARTIM),
        State.STA13,
    ),
    Action("AE-7", "9-6", (Step.SEND,), State.STA6),
    Action("AE-8", "9-6", (Step.SEND, Step.START_ARTIM), State.STA13),
    # Table 9-7: data transfer
    Action("DT-1", "9-7", (Step.SEND,), State.STA6),
    Action("DT-2", "9-7", (Step.INDICATE,), State.STA6),
    # Table 9-8: associate release
    Action("AR-1", "9-8", (Step.SEND_RELEASE_RQ,), State.STA7),
    Action("AR-2", "9-8", (Step.INDICATE,), State.STA8),
    Action("AR-3", "9-8", (Step.INDICATE, Step.CLOSE), State.STA1),
    Action("AR-4", "9-8", (Step.SEND_RELEASE_RP, Step.START_ARTIM), State.STA13),
    Action("AR-5", "9-8", (Step.STOP_ARTIM,), State.STA1),
    Action("AR-6", "9-8", (Step.INDICATE,), State.STA7),
    Action("AR-7", "9-8", (Step.SEND,), State.STA8),
    Action("AR-8", "9-8", (Step.INDICATE,), State.STA9, alternative_state=State.STA10),
    Action("AR-9", "9-8", (Step.SEND_RELEASE_RP,), State.STA11),
    Action("AR-10", "9-8", (Step.INDICATE,), State.STA12),
    # Table 9-9: associate abort
    Action("AA-1", "9-9", (Step.SEND_ABORT_USER, Step.START_ARTIM), State.STA13),
    Action("AA-2", "9-9", (Step.STOP_ARTIM, Step.CLOSE), State.STA1),
    Action("AA-3", "9-9", (Step.INDICATE, Step.CLOSE), State.STA1),
    Action("AA-4", "9-9", (Step.INDICATE_PROVIDER_ABORT,), State.STA1),
    Action("AA-5", "9-9", (Step.STOP_ARTIM,), State.STA1),
    Action("AA-6", "9-9", (), State.STA13),
    Action("AA-7", "9-9", (Step.SEND_ABORT,), State.STA13),
    Action("AA-8", "9-9", (Step.SEND_ABORT_PROVIDER, Step.INDICATE_PROVIDER_ABORT, Step.START_ARTIM), State.STA13),
)

ACTIONS: Mapping[str, Action] = MappingProxyType({action.name: action for action in _ACTIONS})
"""The 28 actions by name, in the order of Tables 9-6 to 9-9."""

# Table 9-10 as its page stands: a row for each event, a column for each state, `.` where the page is blank.
_TABLE_9_10 = """
        Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10 Sta11 Sta12 Sta13
Evt1    AE-1  .     .     .     .     .     .     .     .     .     .     .     .
Evt2    .     .     .     AE-2  .     .     .     .     .     .     .     .     .
Evt3    .     AA-1  AA-8  .     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt4    .     AA-1  AA-8  .     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt5    AE-5  .     .     .     .     .     .     .     .     .     .     .     .
Evt6    .     AE-6  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
Evt7    .     .     AE-7  .     .     .     .     .     .     .     .     .     .
Evt8    .     .     AE-8  .     .     .     .     .     .     .     .     .     .
Evt9    .     .     .     .     .     DT-1  .     AR-7  .     .     .     .     .
Evt10   .     AA-1  AA-8  .     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt11   .     .     .     .     .     AR-1  .     .     .     .     .     .     .
Evt12   .     AA-1  AA-8  .     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt13   .     AA-1  AA-8  .     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
Evt14   .     .     .     .     .     .     .     AR-4  AR-9  .     .     AR-4  .
Evt15   .     .     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  .
Evt16   .     AA-2  AA-3  .     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
Evt17   .     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
Evt18   .     AA-2  .     .     .     .     .     .     .     .     .     .     AA-2
Evt19   .     AA-1  AA-8  .     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
"""


def _read_page(page: str) -> dict[tuple[Event, State], Action]:
    head, *rows = page.strip("\n").splitlines()
    states = [State[name.upper()] for name in head.split()]
    cells = {}
    for row in rows:
        event, *names = row.split()
        for state, name in zip(states, names, strict=True):
            if name != ".":
                cells[Event[event.upper()], state] = ACTIONS[name]
    return cells


TRANSITIONS: Mapping[tuple[Event, State], Action] = MappingProxyType(_read_page(_TABLE_9_10))
"""Table 9-10: the 123 cells that are not blank."""


def next_state(action: Action, *, is_requestor: bool, acceptable: bool = True) -> State:
    """The state after `action`: AE-6 asks whether the request was `acceptable`, AR-8 which side this is."""
    if action.alternative_state is None:
        return action.next_state
    if action.alternative_steps:
        return action.next_state if acceptable else action.alternative_state
    return action.next_state if is_requestor else action.alternative_state
