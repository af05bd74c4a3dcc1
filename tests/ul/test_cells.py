"""The 247 pairs of event and state, each put to a `Connection` that was led there by legal events alone.

What a cell does is expected from the transcription of Tables 9-6 to 9-10, not from our own table.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dulcet.errors import DecodeError, LocalProtocolError
from dulcet.ul.connection import (
    Close,
    Connect,
    Connection,
    Effect,
    Indicate,
    IndicateProviderAbort,
    Send,
    StartArtim,
    StopArtim,
    Transition,
)
from dulcet.ul.items import (
    ApplicationContext,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    UserInformation,
)
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import (
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AETitle,
    AnyPDU,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
    decode_pdu,
)
from dulcet.ul.table import Event, State

TRANSCRIPTION = json.loads((Path(__file__).parents[1] / "data" / "state_table.json").read_text())
USER = UserInformation(sub_items=(MaximumLength(maximum_length_received=16384),))
TITLES = {"called_ae_title": AETitle("CALLED"), "calling_ae_title": AETitle("CALLING")}
RQ = AAssociateRQ(
    **TITLES,
    items=(ApplicationContext(), PresentationContextRQ.propose(1, "1.2.840.10008.1.1", ["1.2.840.10008.1.2"]), USER),
)
AC = AAssociateAC(**TITLES, items=(ApplicationContext(), PresentationContextAC.answer(1, 0, "1.2.840.10008.1.2"), USER))
RJ = AAssociateRJ(result=1, source=1, reason=7)
DATA = PDataTF(values=(PresentationDataValue(1, True, True, b"\0\0"),))
RELEASE_RQ, RELEASE_RP, ABORT = AReleaseRQ(), AReleaseRP(), AAbort(source=2, reason=1)
UNRECOGNIZED = bytes.fromhex("99 00 00000004 00000000")

Stimulus = Callable[[Connection], object]


def _send(pdu: AnyPDU) -> Stimulus:
    return lambda connection: connection.send(pdu)


def _receive(pdu: AnyPDU) -> Stimulus:
    return lambda connection: tuple(connection.receive(pdu.encode()))


STIMULI: dict[Event, Stimulus] = {
    Event.EVT1: _send(RQ),
    Event.EVT2: Connection.transport_connected,
    Event.EVT3: _receive(AC),
    Event.EVT4: _receive(RJ),
    Event.EVT5: Connection.transport_accepted,
    Event.EVT6: _receive(RQ),
    Event.EVT7: _send(AC),
    Event.EVT8: _send(RJ),
    Event.EVT9: _send(DATA),
    Event.EVT10: _receive(DATA),
    Event.EVT11: _send(RELEASE_RQ),
    Event.EVT12: _receive(RELEASE_RQ),
    Event.EVT13: _receive(RELEASE_RP),
    Event.EVT14: _send(RELEASE_RP),
    Event.EVT15: _send(AAbort()),
    Event.EVT16: _receive(ABORT),
    Event.EVT17: Connection.transport_closed,
    Event.EVT18: Connection.artim_expired,
    Event.EVT19: lambda connection: tuple(connection.receive(UNRECOGNIZED)),
}

REQUESTOR = [Event.EVT1, Event.EVT2, Event.EVT3]
ACCEPTOR = [Event.EVT5, Event.EVT6, Event.EVT7]
WAYS: dict[State, tuple[bool, list[Event]]] = {
    State.STA1: (True, []),
    State.STA2: (False, ACCEPTOR[:1]),
    State.STA3: (False, ACCEPTOR[:2]),
    State.STA4: (True, REQUESTOR[:1]),
    State.STA5: (True, REQUESTOR[:2]),
    State.STA6: (True, REQUESTOR),
    State.STA7: (True, [*REQUESTOR, Event.EVT11]),
    State.STA8: (True, [*REQUESTOR, Event.EVT12]),
    State.STA9: (True, [*REQUESTOR, Event.EVT11, Event.EVT12]),
    State.STA10: (False, [*ACCEPTOR, Event.EVT11, Event.EVT12]),
    State.STA11: (True, [*REQUESTOR, Event.EVT11, Event.EVT12, Event.EVT14]),
    State.STA12: (False, [*ACCEPTOR, Event.EVT11, Event.EVT12, Event.EVT13]),
    State.STA13: (True, [*REQUESTOR, Event.EVT12, Event.EVT14]),
}
RECEIVED = {3: AC, 4: RJ, 6: RQ, 10: DATA, 12: RELEASE_RQ, 13: RELEASE_RP, 16: ABORT}
SENT = {1: RQ, 2: RQ, 7: AC, 8: RJ, 9: DATA, 11: RELEASE_RQ, 14: RELEASE_RP}


def led_to(state: State, on_transition: Callable[[Transition], None] | None = None) -> Connection:
    """A connection in `state`, by the shortest legal way."""
    is_requestor, events = WAYS[state]
    connection = Connection(is_requestor=is_requestor, on_transition=on_transition)
    for event in events:
        STIMULI[event](connection)
    assert connection.state is state
    return connection


def summary(effects: object) -> list[str]:
    """The effects in words that the transcription can be compared with."""
    assert isinstance(effects, tuple)
    return [_word(effect) for effect in effects]


def _word(effect: Effect) -> str:
    match effect:
        case Send(buffers):
            pdu = decode_pdu(b"".join(buffers)).pdu
            return f"send {pdu.NAME}" + (f" source={pdu.source}" if isinstance(pdu, AAbort) else "")
        case Indicate(pdu):
            return f"indicate {pdu.NAME}"
        case IndicateProviderAbort():
            return "indicate A-P-ABORT"
        case Connect():
            return "connect"
        case Close():
            return "close"
        case StartArtim():
            return "start ARTIM"
        case StopArtim():
            return "stop ARTIM"


EXPECTED: dict[str, list[str]] = {
    "AE-1": ["connect"],
    "AE-2": ["send A-ASSOCIATE-RQ"],
    "AE-3": ["indicate A-ASSOCIATE-AC"],
    "AE-4": ["indicate A-ASSOCIATE-RJ", "close"],
    "AE-5": ["start ARTIM"],
    "AE-6": ["stop ARTIM", "indicate A-ASSOCIATE-RQ"],
    "AE-7": ["send A-ASSOCIATE-AC"],
    "AE-8": ["send A-ASSOCIATE-RJ", "start ARTIM"],
    "DT-1": ["send P-DATA-TF"],
    "DT-2": ["indicate P-DATA-TF"],
    "AR-1": ["send A-RELEASE-RQ"],
    "AR-2": ["indicate A-RELEASE-RQ"],
    "AR-3": ["indicate A-RELEASE-RP", "close"],
    "AR-4": ["send A-RELEASE-RP", "start ARTIM"],
    "AR-5": ["stop ARTIM"],
    "AR-6": ["indicate P-DATA-TF"],
    "AR-7": ["send P-DATA-TF"],
    "AR-8": ["indicate A-RELEASE-RQ"],
    "AR-9": ["send A-RELEASE-RP"],
    "AR-10": ["indicate A-RELEASE-RP"],
    "AA-1": ["send A-ABORT source=0", "start ARTIM"],
    "AA-2": ["stop ARTIM", "close"],
    "AA-3": ["indicate A-ABORT", "close"],
    "AA-4": ["indicate A-P-ABORT"],
    "AA-5": ["stop ARTIM"],
    "AA-6": [],
    "AA-7": ["send A-ABORT source=2"],
    "AA-8": ["send A-ABORT source=2", "indicate A-P-ABORT", "start ARTIM"],
}
CELLS = [
    (Event[event.upper()], State[state.upper()], cell["action"], cell["next"])
    for event, row in TRANSCRIPTION["cells"].items()
    for state, cell in row.items()
]
BLANKS = [
    (event, state) for event in Event for state in State if str(state) not in TRANSCRIPTION["cells"].get(str(event), {})
]


@pytest.mark.parametrize(("event", "state", "action", "following"), CELLS, ids=lambda part: str(part))
def test_cell(event: Event, state: State, action: str, following: list[str]) -> None:
    connection = led_to(state)
    effects = STIMULI[event](connection)
    assert summary(effects) == EXPECTED[action]
    chosen = 1 if action == "AR-8" and not connection.is_requestor else 0
    assert str(connection.state) == following[chosen]


@pytest.mark.parametrize(("event", "state", "action", "following"), CELLS, ids=lambda part: str(part))
def test_cell_is_reported(event: Event, state: State, action: str, following: list[str]) -> None:
    """By its name: some actions do the same, and only the report tells them apart."""
    steps: list[Transition] = []
    connection = led_to(state, steps.append)
    del steps[:]
    STIMULI[event](connection)
    (step,) = steps
    assert (step.event, step.state, step.action.name) == (event, state, action)
    assert str(step.next_state) in following


@pytest.mark.parametrize(("event", "state"), BLANKS, ids=lambda part: str(part))
def test_blank(event: Event, state: State) -> None:
    """Blank for a local event: the caller is told, nothing changes. A PDU without a connection is not looked at."""
    connection = led_to(state)
    if event is Event.EVT17 or (event.number in {*RECEIVED, 19} and state is State.STA1):
        assert STIMULI[event](connection) == ()
    else:
        with pytest.raises(LocalProtocolError, match=f"{event} .* not defined in {state} "):
            STIMULI[event](connection)
    assert connection.state is state


@pytest.mark.parametrize("state", [State.STA9, State.STA10, State.STA11, State.STA12], ids=str)
def test_release_collision_ends_in_idle_on_either_side(state: State) -> None:
    connection = led_to(state)
    for event in {State.STA9: [14, 13], State.STA10: [13, 14, 17], State.STA11: [13], State.STA12: [14, 17]}[state]:
        STIMULI[Event(event)](connection)
    assert connection.state is State.STA1


def test_provider_refuses_in_ae_6_what_it_cannot_take() -> None:
    refusal = AAssociateRJ(result=2, source=3, reason=2)
    connection = Connection(is_requestor=False, refuse=lambda request: refusal)
    connection.transport_accepted()
    effects = connection.receive(RQ.encode())
    assert effects == [StopArtim(), Send((refusal.encode(),)), StartArtim()]
    assert connection.state is State.STA13


@pytest.mark.parametrize(("version", "is_accepted"), [(1, True), (3, True), (0xFFFF, True), (0, False), (2, False)])
def test_only_bit_0_of_the_protocol_version_is_tested(version: int, is_accepted: bool) -> None:
    connection = Connection(is_requestor=False)
    connection.transport_accepted()
    request = AAssociateRQ(**TITLES, protocol_version=version, items=RQ.items)
    effects = connection.receive(request.encode())
    assert (connection.state is State.STA3) == is_accepted
    if not is_accepted:
        assert effects[1] == Send((AAssociateRJ(result=1, source=2, reason=2).encode(),))


def test_after_octets_that_cannot_be_a_pdu_nothing_more_is_looked_at() -> None:
    connection = led_to(State.STA6)
    effects = connection.receive(UNRECOGNIZED + RQ.encode() + b"\x99" * 100_000)
    assert summary(tuple(effects)) == ["send A-ABORT source=2", "indicate A-P-ABORT", "start ARTIM"]
    assert connection.pending_octets == 0


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        pytest.param("99", 1, id="unrecognized PDU type, on its first octet"),
        pytest.param("05 00 00000000", 6, id="A-RELEASE-RQ of length 0"),
        pytest.param("05 00 00000005 0000000000", 6, id="A-RELEASE-RQ of length 5"),
        pytest.param("04 00 00000000", 6, id="P-DATA-TF without an item"),
        pytest.param("04 00 ffffffff", 6, id="P-DATA-TF above our maximum, on its header"),
        pytest.param("04 00 00000006 00000063 01 03", 6, id="item beyond the PDU"),
        pytest.param("04 00 00000006 00000001 01 03", 6, id="item of length 1"),
        pytest.param("02 00 00000000", 6, id="A-ASSOCIATE-AC without its fixed part"),
        pytest.param("06 00 00000004 00000000", 2, id="A-RELEASE-RP that nobody asked for"),
        pytest.param(RQ.encode().hex(), 2, id="second A-ASSOCIATE-RQ"),
    ],
)
def test_the_reason_of_our_abort_says_what_was_wrong(octets: str, reason: int) -> None:
    connection = led_to(State.STA6)
    effects = connection.receive(bytes.fromhex(octets))
    assert effects[0] == Send((AAbort(source=2, reason=reason).encode(),))
    assert isinstance(effects[1], IndicateProviderAbort)
    assert effects[1].cause is not None


def test_what_the_layer_above_finds_invalid_is_event_19() -> None:
    connection = led_to(State.STA6)
    effects = connection.reject_received(DecodeError("two commands at once", abort_reason=5))
    assert effects[0] == Send((AAbort(source=2, reason=5).encode(),))


def test_every_transition_is_reported() -> None:
    seen = []
    connection = Connection(is_requestor=True, on_transition=seen.append)
    for event in REQUESTOR:
        STIMULI[event](connection)
    assert [f"{step.event} {step.state} {step.action.name} {step.next_state}" for step in seen] == [
        "Evt1 Sta1 AE-1 Sta4",
        "Evt2 Sta4 AE-2 Sta5",
        "Evt3 Sta5 AE-3 Sta6",
    ]
