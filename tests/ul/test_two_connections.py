"""Two connections on a wire that delivers in pieces, changes octets and breaks; each with a user who tries everything.

The reference knows what PS3.8 section 7 lets a user issue and promises to tell, and that a wire keeps the order: it is
the user of `model.py`, not the table.
"""

from dataclasses import replace
from types import ModuleType

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dulcet.errors import LocalProtocolError
from dulcet.ul.connection import Close, Connect, Connection, Effect, Indicate, IndicateProviderAbort, Send, StartArtim
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Supported, answer, propose
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, PDataTF
from dulcet.ul.table import TRANSITIONS, Event, State

VERIFICATION, IMPLICIT = "1.2.840.10008.1.1", "1.2.840.10008.1.2"
RQ = propose(
    called_ae_title="CALLED",
    calling_ae_title="CALLING",
    contexts=[PresentationContextRQ.propose(1, VERIFICATION, [IMPLICIT])],
    max_pdu_length=64,
)
AC = answer(RQ, Supported(transfer_syntaxes={VERIFICATION: {IMPLICIT}}, max_pdu_length=64))
RJ = AAssociateRJ(result=1, source=1, reason=1)
PRIMITIVES = {
    Event.EVT1: RQ,
    Event.EVT7: AC,
    Event.EVT8: RJ,
    Event.EVT9: None,
    Event.EVT11: AReleaseRQ(),
    Event.EVT14: AReleaseRP(),
    Event.EVT15: AAbort(),
}
NAMES = {
    AAssociateRQ: "RQ",
    AAssociateAC: "AC",
    AAssociateRJ: "RJ",
    PDataTF: "DATA",
    AReleaseRQ: "RELEASE-RQ",
    AReleaseRP: "RELEASE-RP",
}
sides = st.sampled_from([0, 1])


class Party:
    """One connection, what its user knows, and what is on the way to it."""

    def __init__(self, *, is_requestor: bool) -> None:
        self.connection = Connection(is_requestor=is_requestor, max_pdu_length=64)
        self.phase = "nobody"
        self.transport = "none"
        self.artim = False
        self.has_aborted = False
        self.incoming = bytearray()
        self.is_tainted = False
        self.data_sent: list[int] = []
        self.data_received: list[int] = []


class TwoConnections(RuleBasedStateMachine):
    """See the module."""

    user: ModuleType

    def __init__(self) -> None:
        super().__init__()
        self.parties = (Party(is_requestor=True), Party(is_requestor=False))

    @initialize(steps=st.integers(0, 12))
    def begin(self, steps: int) -> None:
        """Some way into an association and a release collision, so that the later states are reached often."""
        way = (
            lambda: self.issue(0, Event.EVT1),
            self.accept,
            self.connect,
            lambda: self.deliver(1, 10_000),
            lambda: self.issue(1, Event.EVT7),
            lambda: self.deliver(0, 10_000),
            lambda: self.issue(1, Event.EVT11),
            lambda: self.issue(0, Event.EVT11),
            lambda: self.deliver(0, 10_000),
            lambda: self.deliver(1, 10_000),
            lambda: self.issue(0, Event.EVT14),
            lambda: self.deliver(1, 10_000),
        )
        for step in way[:steps]:
            step()

    @rule(side=sides, event=st.sampled_from([*PRIMITIVES]))
    def issue(self, side: int, event: Event) -> None:
        party = self.parties[side]
        if event is Event.EVT1 and party.connection.state is State.STA1 and (side == 1 or party.phase == "over"):
            return  # another association would begin
        pdu = PRIMITIVES[event]
        if pdu is None:
            pdu = PDataTF(values=(PresentationDataValue(1, False, False, len(party.data_sent).to_bytes(2, "big")),))
        is_alive = party.phase not in self.user.NOT_ALIVE
        is_allowed = event in self.user.ISSUED[party.phase] or (event is Event.EVT15 and is_alive)
        if event is Event.EVT1 and party.connection.state is not State.STA1:
            is_allowed = False
        if not is_allowed:
            before = party.connection.state
            with pytest.raises(LocalProtocolError):
                party.connection.send(pdu)
            assert party.connection.state is before
            return
        effects = party.connection.send(pdu)
        party.phase = "over" if event is Event.EVT15 else self.user.ISSUED[party.phase][event]
        if event is Event.EVT9:
            party.data_sent.append(len(party.data_sent))
        self.perform(side, effects)

    @precondition(lambda self: self.parties[0].transport == "opening" and self.parties[1].transport == "none")
    @rule()
    def accept(self) -> None:
        self.parties[1].transport = "open"
        self.perform(1, self.parties[1].connection.transport_accepted())

    @precondition(lambda self: self.parties[0].transport == "opening" and self.parties[1].transport != "none")
    @rule()
    def connect(self) -> None:
        self.parties[0].transport = "open"
        self.perform(0, self.parties[0].connection.transport_connected())

    @rule(side=sides, count=st.one_of(st.integers(1, 12), st.just(10_000)))
    def deliver(self, side: int, count: int) -> None:
        party = self.parties[side]
        if party.transport != "open":
            return
        chunk = bytes(party.incoming[:count])
        del party.incoming[:count]
        self.perform(side, party.connection.receive(chunk))
        if not party.incoming and self.parties[1 - side].transport == "closed" and party.transport == "open":
            self.close(side)

    @rule(side=sides, position=st.integers(0, 200), octet=st.integers(0, 255))
    def change(self, side: int, position: int, octet: int) -> None:
        party = self.parties[side]
        if position < len(party.incoming) and party.incoming[position] != octet:
            party.incoming[position] = octet
            party.is_tainted = True

    @rule(side=sides, octets=st.binary(min_size=1, max_size=8))
    def insert(self, side: int, octets: bytes) -> None:
        party = self.parties[side]
        if party.transport == "open":
            party.incoming += octets
            party.is_tainted = True

    @precondition(lambda self: any(party.transport in ("opening", "open") for party in self.parties))
    @rule()
    def break_down(self) -> None:
        for side, party in enumerate(self.parties):
            if party.transport in ("opening", "open"):
                self.close(side)

    @rule(side=sides)
    def expire(self, side: int) -> None:
        party = self.parties[side]
        if party.artim:
            party.artim = False
            self.perform(side, party.connection.artim_expired())
            assert party.transport == "closed"
        else:
            with pytest.raises(LocalProtocolError):
                party.connection.artim_expired()

    def close(self, side: int) -> None:
        party = self.parties[side]
        party.transport = "closed"
        party.incoming.clear()
        self.perform(side, party.connection.transport_closed())

    def perform(self, side: int, effects: tuple[Effect, ...] | list[Effect]) -> None:
        party, peer = self.parties[side], self.parties[1 - side]
        for effect in effects:
            if isinstance(effect, Send):
                octets = b"".join(effect.buffers)
                assert party.transport == "open"
                assert not party.has_aborted or octets[0] == 7
                party.has_aborted = octets[0] == 7
                if peer.transport == "open":
                    peer.incoming += octets
            elif isinstance(effect, Indicate | IndicateProviderAbort):
                self.tell(side, effect)
            elif isinstance(effect, Connect | Close):
                assert party.transport in (("none",) if isinstance(effect, Connect) else ("opening", "open"))
                party.transport = "opening" if isinstance(effect, Connect) else "closed"
                party.incoming.clear()
            else:
                party.artim = isinstance(effect, StartArtim)

    def tell(self, side: int, effect: Indicate | IndicateProviderAbort) -> None:
        party = self.parties[side]
        assert party.phase not in self.user.NOT_ALIVE or (side == 1 and party.phase == "nobody")
        if isinstance(effect, IndicateProviderAbort) or isinstance(effect.pdu, AAbort):
            assert party.phase != "nobody"
            party.phase = "over"
            return
        following = self.user.TOLD[party.phase][NAMES[type(effect.pdu)]]
        if following == "collision":
            following = "collision, answers first" if side == 0 else "collision, waits"
        party.phase = following
        if isinstance(effect.pdu, PDataTF):
            party.data_received += (int.from_bytes(value.fragment, "big") for value in effect.pdu.values)

    @invariant()
    def everybody_knows(self) -> None:
        for side, party in enumerate(self.parties):
            state, peer = party.connection.state, self.parties[1 - side]
            assert party.artim == (state in (State.STA2, State.STA13))
            assert (state is State.STA1) == (party.transport in ("none", "closed"))
            assert (party.phase in self.user.NOT_ALIVE) == (state in (State.STA1, State.STA2, State.STA13))
            assert party.connection.pending_octets <= 64 * 1024 + 5
            if not party.is_tainted:
                assert party.data_received == peer.data_sent[: len(party.data_received)]

    def teardown(self) -> None:
        for side, party in enumerate(self.parties):
            if party.transport in ("opening", "open"):
                self.close(side)
            assert party.connection.state is State.STA1


@pytest.fixture
def machine(model) -> type[TwoConnections]:
    return type("Machine", (TwoConnections,), {"user": model})


def test_two_connections_on_a_chaotic_wire(machine) -> None:
    run_state_machine_as_test(machine, settings=settings(max_examples=300, stateful_step_count=30))


def test_it_begins_in_every_state_of_an_association_and_a_collision(machine) -> None:
    reached = set()
    for steps in range(13):
        both = machine()
        both.begin(steps)
        both.everybody_knows()
        reached |= {party.connection.state for party in both.parties}
        both.teardown()
    assert reached == set(State) - {State.STA8, State.STA13}


def test_the_reference_notices_a_machine_that_breaks_its_promise(machine, monkeypatch) -> None:
    """Planted: nobody is told of a lost connection (AA-4)."""
    silent = replace(TRANSITIONS[Event.EVT17, State.STA6], steps=())
    monkeypatch.setattr("dulcet.ul.connection.TRANSITIONS", {**TRANSITIONS, (Event.EVT17, State.STA6): silent})
    both = machine()
    both.begin(6)
    both.everybody_knows()
    both.break_down()
    with pytest.raises(AssertionError):
        both.everybody_knows()
