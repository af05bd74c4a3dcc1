"""One association on trio, either role: the shell round `ul.Connection` and `dimse.assembly`.

Whoever waits reads: the task that needs something from the peer reads the connection until it is there, and hands what
belongs to others to them. So a conversation of one operation at a time costs no task switch, and several operations at
once (PS3.7 7.3, asynchronous operations) are multiplexed by their Message ID without a task of their own.

Memory: the receive buffer of the connection and, once something large is sent, one send buffer. Data sets go from
the wire to a sink and from a source to the wire; none is held whole.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

import trio

from dulcet.dimse.assembly import Assembler, CommandReceived, command_values, data_values
from dulcet.dimse.messages import CCancelRQ, Message, Response, UnacceptableMessage
from dulcet.errors import (
    AssociationAbortedError,
    AssociationError,
    ConnectionLostError,
    DecodeError,
    PeerProtocolError,
    PeerTimeoutError,
)
from dulcet.services.data_sets import DataSetSource, Sink, open_identifier
from dulcet.services.limits import NO_TIMERS, Limits
from dulcet.services.timers import NEVER, Expiry, Timers
from dulcet.services.transport import Transport
from dulcet.ul.connection import (
    Close,
    Connection,
    Effect,
    Indicate,
    IndicateProviderAbort,
    Send,
    StartArtim,
    StopArtim,
)
from dulcet.ul.negotiation import AcceptedContext, Negotiated
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRQ, AnyPDU, AReleaseRP, AReleaseRQ, PDataTF
from dulcet.ul.reasons import explain_abort
from dulcet.ul.table import State

if TYPE_CHECKING:
    from dulcet.ul.deviation import Deviation

ABORT_PATIENCE = 1.0  # seconds to get an A-ABORT out past a peer that doesn't read
MAX_OPERATIONS = 256  # where the window negotiated is unlimited (PS3.7 D.3.3.3)


class Received(NamedTuple):
    """One whole message from the peer; its data set went to `sink` as it came."""

    context: AcceptedContext
    message: Message | UnacceptableMessage
    sink: Sink | None
    """None when the message had no data set."""


class Trace(Protocol):
    """Sees the conversation: the association's PDUs and the messages, each as it is sent (">") or received ("<")."""

    def __call__(self, direction: str, said: AnyPDU | Message | UnacceptableMessage, /) -> None:
        """Called in the order of the wire."""


class Association:
    """An association being made, in force, or ending. Make one with `requestor.associate` or the listener.

    Errors: `AssociationError` and its kinds, the same one for every task that waits when the association ends.
    Cancelled while a message goes out, the association can only be aborted, and leaving its context does that.
    """

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        *,
        limits: Limits = NO_TIMERS,
        trace: Trace | None = None,
    ) -> None:
        self.connection = connection
        self.transport = transport
        self.deviations: list[Deviation] = []
        """What the peer got wrong so far."""
        self.request: AAssociateRQ | None = None
        self.response: AAssociateAC | None = None
        self.negotiated = Negotiated(contexts={}, refused={}, max_pdu_length=0)
        self.open_sink: Callable[[AcceptedContext, Message], Sink] = open_identifier
        """Chooses where a data set goes when its command arrives."""
        self.is_busy = False
        """Set while a request is being performed: the idle timer waits."""
        self.cancelled_operations: set[int] = set()
        """Message IDs that a C-CANCEL-RQ named."""
        self._limits = limits
        self.trace = trace
        self._assembler = Assembler({})
        self._failure: AssociationError | None = None
        self._requests: deque[Received] = deque()
        self._responses: dict[int, deque[Received]] = {}
        self._established: AnyPDU | None = None
        self._release_requested = False
        self._released = False
        self._incoming: tuple[AcceptedContext, Message | UnacceptableMessage, Sink | None] | None = None
        self._is_reading = False
        self._waiters = trio.lowlevel.ParkingLot()
        self._send_lock = trio.Lock()
        self._is_cut = False
        self._message_id = 0
        self._window = 1
        self._window_waiters = trio.lowlevel.ParkingLot()
        self._timers = Timers(limits)

    # Establishing: `requestor` and `listener` drive it --------------------------------------------------------------

    def established(self, request: AAssociateRQ, response: AAssociateAC, negotiated: Negotiated) -> None:
        """From now on this is in force."""
        self.request, self.response, self.negotiated = request, response, negotiated
        self._assembler = Assembler(negotiated.contexts)
        own = negotiated.operations_invoked if self.connection.is_requestor else negotiated.operations_performed
        self._window = own or MAX_OPERATIONS

    def said(self, pdu: AnyPDU) -> None:
        """Tell the trace what was sent."""
        if self.trace is not None:
            self.trace(">", pdu)

    async def association_pdu(self) -> AnyPDU:
        """Wait for the A-ASSOCIATE PDU that the role awaits."""
        await self._read_until(lambda: self._established is not None)
        assert self._established is not None
        return self._established

    # Operations -----------------------------------------------------------------------------------------------------

    @property
    def contexts(self) -> Mapping[int, AcceptedContext]:
        """The accepted presentation contexts by their ID."""
        return self.negotiated.contexts

    @property
    def window(self) -> int:
        """How many operations we may have outstanding."""
        return self._window

    @property
    def performed_window(self) -> int:
        """How many operations the peer may have outstanding."""
        negotiated = self.negotiated
        is_requestor = self.connection.is_requestor
        peers = negotiated.operations_performed if is_requestor else negotiated.operations_invoked
        return peers or MAX_OPERATIONS

    def next_message_id(self) -> int:
        """A Message ID that no outstanding operation has: 1, 2, ... 65535, 1, ..."""
        while True:
            self._message_id = self._message_id % 0xFFFF + 1
            if self._message_id not in self._responses:
                return self._message_id

    async def invoke(self, context_id: int, request: Message, data_set: DataSetSource | None = None) -> Received:
        """Send a request and wait for its one response. Waits its turn when the window is full."""
        await self.start(context_id, request, data_set)
        try:
            return await self.response_to(request.message_id)
        finally:
            self.finish(request.message_id)

    async def start(self, context_id: int, request: Message, data_set: DataSetSource | None = None) -> None:
        """Send a request; `response_to` brings its responses, `finish` ends the operation."""
        while len(self._responses) >= self._window and self._failure is None:
            await self._window_waiters.park()
        self._responses[request.message_id] = deque()
        try:
            await self.send(context_id, request, data_set)
        except BaseException:
            self.finish(request.message_id)
            raise

    async def response_to(self, message_id: int) -> Received:
        """The next response to an outstanding request."""
        responses = self._responses[message_id]
        if not responses:
            await self._read_until(responses.__len__)
        return responses.popleft()

    def finish(self, message_id: int) -> None:
        """The operation is over; a later response to it would be a protocol error."""
        if self._responses.pop(message_id, None) is not None:
            self._window_waiters.unpark()

    async def send(self, context_id: int, message: Message, data_set: DataSetSource | None = None) -> None:
        """Send one message, whole, before any other (PS3.8 E.1: fragments of messages don't mix)."""
        try:
            self._send_lock.acquire_nowait()
        except trio.WouldBlock:
            await self._send_lock.acquire()
        try:
            await self._send_locked(context_id, message, data_set)
        except OSError as error:
            self._transport_lost(error)
            raise self._failed() from error
        except BaseException:
            self._is_cut = True
            raise
        finally:
            self._send_lock.release()

    async def next_request(self) -> Received | None:
        """The next request of the peer, whole; None when the peer asks to release the association."""
        if not self._requests:
            await self._read_until(lambda: bool(self._requests) or self._release_requested)
        return self._requests.popleft() if self._requests else None

    # Ending ---------------------------------------------------------------------------------------------------------

    async def release(self) -> None:
        """A-RELEASE (PS3.8 7.2), either side of a collision included; the connection is closed after it."""
        if self._failure is not None or self._released:
            return
        await self.perform(self.connection.send(AReleaseRQ()))
        await self._read_until(lambda: self._released or self._release_requested)
        if self._release_requested:  # collision: PS3.8 7.2.2.7
            if self.connection.state is State.STA9:
                await self.perform(self.connection.send(AReleaseRP()))
                await self._read_until(lambda: self._released)
            else:
                await self._read_until(lambda: self._released)
                await self.answer_release()
        self.transport.close()

    async def answer_release(self) -> None:
        """A-RELEASE response: always affirmative. Waits for the peer to close, or for ARTIM (Sta13)."""
        await self.perform(self.connection.send(AReleaseRP()))
        await self.wait_closed()

    async def abort(self, cause: DecodeError | None = None) -> None:
        """A-ABORT, with Evt19 and its reason when `cause` is what the peer did; then wait as Sta13 asks."""
        if self.connection.state in (State.STA1, State.STA2, State.STA13):
            await self.wait_closed()
            return
        effects = self.connection.send(AAbort()) if cause is None else self.connection.reject_received(cause)
        if self._failure is None:
            self._failure = AssociationAbortedError("the association was aborted", source=0, reason=0, by_peer=False)
        await self.perform(effects)
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Sta13: discard what still comes until the peer closes or ARTIM expires."""
        try:
            while self.connection.state is State.STA13:
                await self._fill()
                while (effects := self.connection.next_effects()) is not None:
                    await self.perform(effects)
        except OSError:
            self.connection.transport_closed()
        finally:
            self.transport.close()

    # Reading --------------------------------------------------------------------------------------------------------

    async def _read_until(self, is_ready: Callable[[], object]) -> None:
        while not is_ready():
            if self._failure is not None:
                raise self._failed()
            if self._is_reading:
                await self._waiters.park()
                continue
            self._is_reading = True
            try:
                while not is_ready() and self._failure is None:
                    await self._read_step()
            finally:
                self._is_reading = False
                self._waiters.unpark_all()

    async def _read_step(self) -> None:
        effects = self.connection.next_effects()
        if effects is not None:
            await self.perform(effects)
            return
        try:
            await self._fill()
        except OSError as error:
            self._transport_lost(error)

    async def _fill(self) -> None:
        buffer = self.connection.receive_buffer()
        timers = self._timers
        deadline = timers.deadline(self.connection.pending_octets, self._incoming is not None, self._is_idle())
        if deadline == NEVER:
            count = await self.transport.receive_into(buffer)
        else:
            count = -1
            with trio.move_on_at(deadline):
                count = await self.transport.receive_into(buffer)
            if count < 0:
                await self._expired()
                return
        if count:
            self.connection.received(count)
            timers.received(count)
        else:
            await self.perform(self.connection.transport_closed())
            self.transport.close()

    def _is_idle(self) -> bool:
        return self._incoming is None and not self.is_busy and not self._responses

    async def _expired(self) -> None:
        why = self._timers.why_expired()
        if why is Expiry.ARTIM:
            await self.perform(self.connection.artim_expired())
        elif why is not None:
            await self.perform(self.connection.send(AAbort()))
        if why is not None:
            self._fail(PeerTimeoutError(why.value))

    async def perform(self, effects: tuple[Effect, ...]) -> None:
        """Do what the connection asks for, in its order."""
        for effect in effects:
            if type(effect) is Indicate:
                await self._indicated(effect)
            elif type(effect) is Send:
                await self._send_control(effect)
            elif type(effect) is StartArtim:
                self._timers.start_artim()
            elif type(effect) is StopArtim:
                self._timers.stop_artim()
            elif type(effect) is Close:
                self.transport.close()
            elif type(effect) is IndicateProviderAbort:
                self._provider_abort(effect.cause)

    async def _send_control(self, effect: Send) -> None:
        """A PDU of the association itself: it waits for the message being sent, but not for ever."""
        with trio.move_on_after(ABORT_PATIENCE) as patience:
            async with self._send_lock:
                if self._is_cut:
                    raise ConnectionLostError("the connection was cut inside a message")
                patience.deadline = NEVER if self._limits.write_stall is None else self._patience()
                try:
                    await self.transport.send(effect.buffers)
                except OSError as error:
                    self._transport_lost(error)
        if patience.cancelled_caught:
            self._fail(PeerTimeoutError("the peer does not read what it is sent"))
            self.transport.close()

    async def _indicated(self, indication: Indicate) -> None:
        pdu = indication.pdu
        if type(pdu) is PDataTF:
            self._timers.progressed()
            try:
                self._p_data(pdu)
            except DecodeError as error:
                await self._reject(error)
            return
        self.deviations.extend(indication.deviations)
        if self.trace is not None:
            self.trace("<", pdu)
        if type(pdu) is AReleaseRQ:
            self._release_requested = True
        elif type(pdu) is AReleaseRP:
            self._released = True
        elif type(pdu) is AAbort:
            text = f"the peer aborted the association ({explain_abort(pdu.source, pdu.reason)})"
            self._fail(AssociationAbortedError(text, source=pdu.source, reason=pdu.reason))
        else:
            self._established = pdu

    async def _reject(self, error: DecodeError) -> None:
        """A fault that only DIMSE could see: A-ABORT of the provider with its reason, or of the user without one."""
        if error.abort_reason:
            await self.perform(self.connection.reject_received(error))
            return
        self._provider_abort(error)
        await self.perform(self.connection.send(AAbort()))

    def _p_data(self, pdu: PDataTF) -> None:
        for part in self._assembler.feed(pdu.values):
            if type(part) is CommandReceived:
                self.deviations.extend(part.deviations)
                self._command(self.negotiated.contexts[part.context_id], part.message)
            else:
                assert self._incoming is not None
                sink = self._incoming[2]
                assert sink is not None
                sink.write(part.fragment)
                if part.is_last:
                    self._message_done()

    def _command(self, context: AcceptedContext, message: Message | UnacceptableMessage) -> None:
        if self.trace is not None:
            self.trace("<", message)
        if not message.has_data_set:
            self._incoming = (context, message, None)
            self._message_done()
            return
        sink = open_identifier(context, message)
        if not isinstance(message, UnacceptableMessage):
            sink = self.open_sink(context, message)
        self._incoming = (context, message, sink)

    def _message_done(self) -> None:
        assert self._incoming is not None
        received = Received(*self._incoming)
        self._incoming = None
        message = received.message
        if isinstance(message, Response):
            responses = self._responses.get(message.message_id_being_responded_to)
            if responses is None:
                what = f"{message.NAME} to Message ID {message.message_id_being_responded_to}, which is not outstanding"
                raise DecodeError(what, table="PS3.7 9.1", field="message_id_being_responded_to", abort_reason=0)
            responses.append(received)
        elif isinstance(message, CCancelRQ):
            self.cancelled_operations.add(message.message_id_being_responded_to)
        else:
            self._requests.append(received)
        self._waiters.unpark_all()

    # Sending --------------------------------------------------------------------------------------------------------

    async def _send_locked(self, context_id: int, message: Message, data_set: DataSetSource | None) -> None:
        if self._failure is not None:
            raise self._failed()
        if self.trace is not None:
            self.trace(">", message)
        limit = self.negotiated.max_pdu_length
        buffers: list[bytes | memoryview] = []
        self._pack(command_values(context_id, message.encode(), limit), buffers)
        if data_set is not None:
            for view, is_last in data_set.chunks():
                self._pack(data_values(context_id, view, is_last, limit), buffers)
                await self._write(buffers)
                buffers = []
        if buffers:
            await self._write(buffers)

    def _pack(self, pdus: list[PDataTF], buffers: list[bytes | memoryview]) -> None:
        for pdu in pdus:
            for effect in self.connection.send(pdu):
                assert type(effect) is Send
                buffers.extend(effect.buffers)

    async def _write(self, buffers: list[bytes | memoryview]) -> None:
        if self._limits.write_stall is None:
            await self.transport.send(buffers)
            return
        with trio.move_on_at(self._patience()) as scope:
            await self.transport.send(buffers)
        if scope.cancelled_caught:
            self._is_cut = True
            self._fail(PeerTimeoutError("the peer does not read what it is sent"))
            raise self._failed()

    def _patience(self) -> float:
        assert self._limits.write_stall is not None
        return trio.current_time() + self._limits.write_stall

    # Failing --------------------------------------------------------------------------------------------------------

    def _provider_abort(self, cause: DecodeError | None) -> None:
        if cause is None:
            self._fail(ConnectionLostError("the connection was lost"))
        else:
            self._fail(PeerProtocolError(f"the peer broke the protocol, so the association was aborted: {cause}"))

    def _transport_lost(self, error: OSError) -> None:
        """The connection broke; if the peer's A-ABORT was received before, that is what happened."""
        self.connection.received(self.transport.try_receive_into(self.connection.receive_buffer()))
        while (effects := self.connection.next_effects()) is not None:
            for effect in effects:
                if isinstance(effect, Indicate) and type(effect.pdu) is AAbort:
                    text = f"the peer aborted the association ({explain_abort(effect.pdu.source, effect.pdu.reason)})"
                    self._fail(AssociationAbortedError(text, source=effect.pdu.source, reason=effect.pdu.reason))
        self.connection.transport_closed()
        self._fail(ConnectionLostError(f"the connection was lost ({error.strerror or error})"))
        self.transport.close()

    def _fail(self, error: AssociationError) -> None:
        if self._failure is None:
            self._failure = error
        self._waiters.unpark_all()
        self._window_waiters.unpark_all()

    def _failed(self) -> AssociationError:
        assert self._failure is not None
        return self._failure
