"""One side of an association as a machine without a clock or a socket: PS3.8 9.2.

`Connection` interprets `table.py`. The shell tells it what happened (octets received, a primitive to send, the
transport, the ARTIM timer) and performs the effects it answers with, in their order. A peer's fault is an event of the
table (Evt19), so the A-ABORT is on the wire before anybody is told; only a primitive issued where Table 9-10 is blank
raises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dulcet.errors import DecodeError, LocalProtocolError
from dulcet.ul import pdata
from dulcet.ul.deviation import Deviation
from dulcet.ul.framing import MAX_ASSOCIATE_PDU_OCTETS, Frame, Framer
from dulcet.ul.pdu import (
    PROTOCOL_VERSION,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AnyPDU,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
    decode_pdu,
)
from dulcet.ul.table import TRANSITIONS, Action, Event, State, Step, next_state
from dulcet.ul.validity import why_invalid, why_too_many

DEFAULT_MAX_PDU_LENGTH = 128 * 1024  # chosen by measurement: larger ones gain nothing, 16 KiB costs half as much again


class Send(NamedTuple):
    """Write these buffers, in order, before anything else is written."""

    buffers: tuple[bytes | memoryview, ...]


@dataclass(frozen=True, slots=True)
class Indicate:
    """The indication or confirmation primitive that this PDU carries."""

    pdu: AnyPDU
    deviations: tuple[Deviation, ...] = ()


@dataclass(frozen=True, slots=True)
class IndicateProviderAbort:
    """A-P-ABORT indication without a PDU of the peer: the connection was lost, or we aborted because of `cause`."""

    cause: DecodeError | None


@dataclass(frozen=True, slots=True)
class Connect:
    """Open the transport connection, then call `transport_connected()`."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the transport connection."""


@dataclass(frozen=True, slots=True)
class StartArtim:
    """Start the ARTIM timer, or start it again; when it expires call `artim_expired()`."""


@dataclass(frozen=True, slots=True)
class StopArtim:
    """Stop the ARTIM timer if it runs."""


Refuse = Callable[[AAssociateRQ], AAssociateRJ | None]
"""Asked in AE-6 whether the service-provider can take the association (its limits): the A-ASSOCIATE-RJ if not."""

Effect = Send | Indicate | IndicateProviderAbort | Connect | Close | StartArtim | StopArtim


class Transition(NamedTuple):
    """One step of the machine, for logs and study: `Evt10 in Sta6: DT-2, Sta6`."""

    event: Event
    state: State
    action: Action
    next_state: State


_RECEIVED = {
    AAssociateAC: Event.EVT3,
    AAssociateRJ: Event.EVT4,
    AAssociateRQ: Event.EVT6,
    PDataTF: Event.EVT10,
    AReleaseRQ: Event.EVT12,
    AReleaseRP: Event.EVT13,
    AAbort: Event.EVT16,
}
_REQUESTED = {
    AAssociateRQ: Event.EVT1,
    AAssociateAC: Event.EVT7,
    AAssociateRJ: Event.EVT8,
    PDataTF: Event.EVT9,
    AReleaseRQ: Event.EVT11,
    AReleaseRP: Event.EVT14,
    AAbort: Event.EVT15,
}

_UNSUPPORTED_VERSION = AAssociateRJ(result=1, source=2, reason=2)  # PS3.8 Table 9-21: provider (ACSE), permanent
_ASSOCIATE_TYPES = (AAssociateRQ.PDU_TYPE, AAssociateAC.PDU_TYPE)
_NO_EFFECTS: tuple[Effect, ...] = ()
_ALWAYS_THE_SAME: dict[Step, Effect] = {
    Step.CONNECT: Connect(),
    Step.CLOSE: Close(),
    Step.START_ARTIM: StartArtim(),
    Step.STOP_ARTIM: StopArtim(),
    Step.SEND_RELEASE_RQ: Send((AReleaseRQ().encode(),)),
    Step.SEND_RELEASE_RP: Send((AReleaseRP().encode(),)),
    Step.SEND_ABORT_USER: Send((AAbort(source=0, reason=0).encode(),)),
}
"""The effects of the steps that depend on nothing."""


class Connection:
    """The state machine of one association, either role. Memory: one receive buffer (see `framing`).

    `is_requestor` is our role. `max_pdu_length` is what we announce and enforce. `on_transition` sees every
    step of the machine.
    """

    def __init__(
        self,
        *,
        is_requestor: bool,
        max_pdu_length: int = DEFAULT_MAX_PDU_LENGTH,
        max_associate_octets: int = MAX_ASSOCIATE_PDU_OCTETS,
        refuse: Refuse | None = None,
        on_transition: Callable[[Transition], None] | None = None,
    ) -> None:
        self.is_requestor = is_requestor
        self.state = State.STA1
        self.request: AAssociateRQ | None = None
        """The A-ASSOCIATE-RQ sent or received."""
        self._framer = Framer(max_pdu_length=max_pdu_length, max_associate_octets=max_associate_octets)
        self._refuse = refuse
        self._on_transition = on_transition
        self._is_deaf = False
        self._request_octets = b""

    # What the transport says ----------------------------------------------------------------------------------------

    def transport_connected(self) -> tuple[Effect, ...]:
        """Evt2: the connection that `Connect` asked for is open."""
        return self._opened(Event.EVT2)

    def transport_accepted(self) -> tuple[Effect, ...]:
        """Evt5: a peer opened a connection to us."""
        return self._opened(Event.EVT5)

    def transport_closed(self) -> tuple[Effect, ...]:
        """Evt17: the connection ended, whether by FIN, reset or failure. Nothing happens when it was over already."""
        return self._event(Event.EVT17) if self.state is not State.STA1 else _NO_EFFECTS

    def artim_expired(self) -> tuple[Effect, ...]:
        """Evt18: the timer of `StartArtim` ran out."""
        return self._event(Event.EVT18)

    # What the peer says ---------------------------------------------------------------------------------------------

    def receive_buffer(self) -> memoryview:
        """Where to receive into. Invalidates the views of every PDU indicated before."""
        return self._framer.receive_buffer()

    def received(self, count: int) -> None:
        """`count` octets were received into `receive_buffer()`; ask `next_effects()` until it has nothing more."""
        self._framer.received(count)

    @property
    def pending_octets(self) -> int:
        """Octets of a PDU that is not whole yet."""
        return self._framer.pending_octets

    def next_effects(self) -> tuple[Effect, ...] | None:
        """The effects of the next whole PDU received; None when more octets are needed.

        One PDU at a time, so that the answer to one can be sent before the next is looked at.
        """
        if self._is_deaf or self.state is State.STA1:
            self._framer.discard()
            return None
        frame = self._framer.next_frame()
        return None if frame is None else self._pdu_received(frame)

    def receive(self, octets: bytes) -> list[Effect]:
        """All effects of these octets: for tests and for octets that are there already. Copies them."""
        effects: list[Effect] = []
        start = 0
        while start < len(octets):
            buffer = self._framer.receive_buffer()
            count = min(len(buffer), len(octets) - start)
            buffer[:count] = octets[start : start + count]
            self._framer.received(count)
            start += count
            while (more := self.next_effects()) is not None:
                effects.extend(more)
        return effects

    # What the local user says ---------------------------------------------------------------------------------------

    def send(self, pdu: AnyPDU) -> tuple[Effect, ...]:
        """Issue the request or response primitive that `pdu` carries (Evt1, 7, 8, 9, 11, 14, 15).

        LocalProtocolError where Table 9-10 is blank, ValueError for a field that can't be encoded; the machine is as
        before then.
        """
        if not isinstance(pdu, AAssociateRQ):
            return self._event(_REQUESTED[type(pdu)], pdu)
        octets = pdu.encode()  # what can't be sent is refused now, not when a connection has been opened for it
        effects = self._event(Event.EVT1, pdu)
        self.request, self._request_octets = pdu, octets
        return effects

    def reject_received(self, cause: DecodeError) -> tuple[Effect, ...]:
        """Evt19: what a P-DATA-TF carried is invalid, as only the layer above could see (PS3.8 Annex E)."""
        return self._event(Event.EVT19, cause=cause)

    # The machine ----------------------------------------------------------------------------------------------------

    def _opened(self, event: Event) -> tuple[Effect, ...]:
        effects = self._event(event, self.request)
        self._framer.discard()
        self._is_deaf = False
        return effects

    def _pdu_received(self, frame: Frame) -> tuple[Effect, ...]:
        if frame.error is not None:
            self._is_deaf = True
            self._framer.discard()
            return self._event(Event.EVT19, cause=frame.error)
        try:
            if frame.octets[0] in _ASSOCIATE_TYPES and (too_many := why_too_many(frame.octets)) is not None:
                raise too_many
            pdu, deviations = decode_pdu(frame.octets)
        except DecodeError as error:
            return self._event(Event.EVT19, cause=error)
        if type(pdu) is not PDataTF:
            invalid = why_invalid(pdu, self.request if self.state is State.STA5 else None)
            if invalid is not None:
                return self._event(Event.EVT19, cause=invalid)
        return self._event(_RECEIVED[type(pdu)], pdu, deviations=deviations)

    def _event(
        self,
        event: Event,
        pdu: AnyPDU | None = None,
        *,
        deviations: tuple[Deviation, ...] = (),
        cause: DecodeError | None = None,
    ) -> tuple[Effect, ...]:
        state = self.state
        action = TRANSITIONS.get((event, state))
        if action is None:
            raise LocalProtocolError(f"{event} ({event.meaning}) is not defined in {state} ({state.meaning})")
        refusal = self._refusal(pdu) if action.alternative_steps else None
        steps = action.steps if refusal is None else action.alternative_steps
        if cause is None and Step.SEND_ABORT_PROVIDER in steps:
            cause = _unexpected(pdu, state)
        if len(steps) == 1:
            effects: tuple[Effect, ...] = (self._effect(steps[0], pdu, deviations, cause, refusal),)
        else:
            effects = tuple([self._effect(step, pdu, deviations, cause, refusal) for step in steps])
        self.state = next_state(action, is_requestor=self.is_requestor, acceptable=refusal is None)
        if self._on_transition is not None:
            self._on_transition(Transition(event, state, action, self.state))
        return effects

    def _effect(
        self,
        step: Step,
        pdu: AnyPDU | None,
        deviations: tuple[Deviation, ...],
        cause: DecodeError | None,
        refusal: AAssociateRJ | None,
    ) -> Effect:
        match step:
            case Step.SEND if isinstance(pdu, PDataTF):
                return Send(pdata.pack(pdu.values))
            case Step.INDICATE:
                assert pdu is not None
                return Indicate(pdu, deviations)
            case Step.SEND:
                assert pdu is not None
                return Send((self._request_octets if pdu is self.request else pdu.encode(),))
            case Step.SEND_REJECT:
                assert refusal is not None
                return Send((refusal.encode(),))
            case Step.SEND_ABORT_PROVIDER | Step.SEND_ABORT:
                reason = 2 if cause is None else cause.abort_reason
                return Send((AAbort(source=2, reason=reason).encode(),))
            case Step.INDICATE_PROVIDER_ABORT:
                return IndicateProviderAbort(cause)
            case _:
                return _ALWAYS_THE_SAME[step]

    def _refusal(self, pdu: AnyPDU | None) -> AAssociateRJ | None:
        """AE-6: whether the service-provider can take the request (PS3.8 7.1.1, 9.3.4)."""
        assert isinstance(pdu, AAssociateRQ)
        self.request = pdu
        if not pdu.protocol_version & PROTOCOL_VERSION:
            return _UNSUPPORTED_VERSION
        return None if self._refuse is None else self._refuse(pdu)


def _unexpected(pdu: AnyPDU | None, state: State) -> DecodeError:
    name = "PDU" if pdu is None else pdu.NAME
    return DecodeError(
        f"not expected in {state} ({state.meaning})", table="PS3.8 Table 9-10", field=name, abort_reason=2
    )
