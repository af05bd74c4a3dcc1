"""One association, either role: messages and operations of DIMSE on the upper layer (PS3.7 7 and 8).

Several operations at once (asynchronous operations) are multiplexed by their Message ID, as far as the window that was
negotiated allows. Memory: the receive buffer of the connection. Data sets go from the wire to a sink and from a source
to the wire; none is held whole.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from weakref import WeakMethod

import trio

from dulcet.dimse.assembly import Assembler, CommandReceived, command_values, data_values, fragment_octets
from dulcet.dimse.messages import CCancelRQ, Message, Response, UnacceptableMessage
from dulcet.errors import AssociationError, DecodeError, PeerProtocolError
from dulcet.services.accounts import Activity
from dulcet.services.data_sets import DataSetSource, IdentifierSink, Sink, open_identifier
from dulcet.services.endings import unfinished
from dulcet.services.fair_share import OPERATION
from dulcet.services.limits import NO_TIMERS, Limits
from dulcet.services.trace import Trace
from dulcet.services.transport import Transport
from dulcet.services.upper_layer import UpperLayer
from dulcet.ul.connection import Connection, Send
from dulcet.ul.negotiation import AcceptedContext, Negotiated
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import AAssociateAC, AAssociateRQ, AnyPDU, AReleaseRP, PDataTF
from dulcet.ul.table import State

MAX_OPERATIONS = 256  # where the window negotiated is unlimited (PS3.7 D.3.3.3)
VALUES_AT_ONCE = 256  # of one P-DATA-TF, before others have their turn; most have one
MAX_REQUESTS_WAITING = 16  # beyond the window, while we read for a response: each may have an identifier in memory


class Received(NamedTuple):
    """One whole message from the peer; its data set went to `sink` as it came."""

    context: AcceptedContext
    message: Message | UnacceptableMessage
    sink: Sink | None
    """None when the message had no data set."""

    @property
    def octets(self) -> bytes | None:
        """The data set, if there was one and it was kept as a whole: an identifier."""
        return bytes(self.sink.octets) if isinstance(self.sink, IdentifierSink) else None


class Association(UpperLayer):
    """An association being made, in force, or ending. Make one with `requestor.associate` or the listener.

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
        super().__init__(connection, transport, limits=limits, trace=trace)
        self.request: AAssociateRQ | None = None
        self.response: AAssociateAC | None = None
        self.negotiated = Negotiated(contexts={}, refused={}, max_pdu_length=0)
        self.open_sink: Callable[[AcceptedContext, Message], Sink] = open_identifier
        """Chooses where a data set goes when its command arrives."""
        self.cancelled_operations: set[int] = set()
        """Message IDs that a C-CANCEL-RQ named."""
        self.activity = Activity()
        self.is_ending = False
        """Whether no new request is taken."""
        self._assembler = Assembler({})
        self._incoming: Received | None = None
        self._requests: deque[Received] = deque()
        self._responses: dict[int, deque[Received]] = {}
        self._message_id = 0
        self._window = 1
        self._window_waiters = trio.lowlevel.ParkingLot()
        self._left: list[Callable[[], Awaitable[None]]] = []
        self._unfinished: dict[int, WeakMethod[Callable[[], Awaitable[None]]]] = {}
        self._performing = 0

    async def association_pdu(self) -> AnyPDU:
        """Wait for the A-ASSOCIATE PDU that the role awaits; AssociationRejectedError when AE-6 did not take it."""
        await self.read_until(lambda: self._established is not None)
        assert self._established is not None
        return self._established

    def established(self, request: AAssociateRQ, response: AAssociateAC, negotiated: Negotiated) -> None:
        """From now on this is in force."""
        self.request, self.response, self.negotiated = request, response, negotiated
        self._assembler = Assembler(negotiated.contexts)
        own = negotiated.operations_invoked if self.connection.is_requestor else negotiated.operations_performed
        self._window = own or MAX_OPERATIONS

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

    # Operations that we invoke --------------------------------------------------------------------------------------

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
        await self.settle()
        while len(self._responses) >= self._window and self.failure is None:
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
            await self._read_for(responses.__len__)
        return responses.popleft()

    async def responses_to(self, message_id: int) -> deque[Received]:
        """The responses to an outstanding request that are there, at least one: take them from the left.

        What one read of the connection brought is performed in one go, so their number is bounded by its buffer.
        """
        responses = self._responses[message_id]
        if not responses:
            await self._read_for(responses.__len__)
            await self.perform_received()
        return responses

    async def response_or_request(self, message_id: int) -> Received:
        """What comes first: a response to an outstanding request, or a request of the peer (PS3.4 C.4.3: C-GET)."""
        responses, requests = self._responses[message_id], self._requests
        if not responses and not requests:
            await self._read_for(lambda: responses or requests)
        return requests.popleft() if requests else responses.popleft()

    async def _read_for(self, is_there: Callable[[], object]) -> None:
        """Read until a response is there; after the peer's A-RELEASE-RQ none can come (PS3.8 7.2.2.1).

        A release is affirmed all the same (PS3.8 7.2.2.4), unless a message is on its way out.
        """
        await self.read_until(lambda: is_there() or self._release_requested)
        if not is_there():
            error = PeerProtocolError("the peer asked to release the association before it answered")
            if self.connection.state is State.STA8 and not self._send_lock.locked():
                self.fail(error)
                await self.perform(self.connection.send(AReleaseRP()))
            raise error

    async def response_or_release(self, message_id: int) -> Received | None:
        """The next response to an outstanding request; None when the peer asks to release the association before it."""
        responses = self._responses[message_id]
        if not responses:
            await self.read_until(lambda: responses or self._release_requested)
        return responses.popleft() if responses else None

    async def is_kept_open(self, seconds: float) -> bool:
        """Wait: whether the association is in force then. A request of the peer ends the wait, it is still there."""
        with trio.move_on_after(seconds):
            await self.read_until(lambda: self._requests or self._release_requested)
        return self.failure is None and not self._release_requested

    def end_with(self, message_id: int, settle: Callable[[], Awaitable[None]]) -> None:
        """An outstanding operation that is not over when the association is released is ended by the method `settle`.

        It is not kept alive for that: see `leave`.
        """
        self._unfinished[message_id] = WeakMethod(settle)

    def finish(self, message_id: int) -> None:
        """The operation is over; a later response to it would be a protocol error."""
        self._unfinished.pop(message_id, None)
        if self._responses.pop(message_id, None) is not None:
            if self._window_waiters:
                self._window_waiters.unpark()
            self._has_ended()

    def leave(self, settle: Callable[[], Awaitable[None]]) -> None:
        """An operation was left before its final response. `settle` ends it, before the next one and before release."""
        if self.failure is None:
            self._left.append(settle)

    async def settle(self) -> None:
        """End what was left in the middle."""
        while self._left and self.failure is None:
            await self._left.pop()()

    async def release(self) -> None:
        """See `UpperLayer`; what is outstanding is ended first."""
        await self.settle()
        for settle in [reference() for reference in self._unfinished.values()]:
            if settle is not None and self.failure is None:
                await settle()
        await super().release()

    # Operations that the peer invokes -------------------------------------------------------------------------------

    async def next_request(self) -> Received | None:
        """The next request of the peer, whole; None when it asks to release the association, or after `end`."""
        if not self._requests:
            await self.read_until(lambda: self._requests or self._release_requested or self._may_end())
        self.share.charge(OPERATION)
        return self._requests.popleft() if self._requests else None

    @property
    def has_request(self) -> bool:
        """Whether a request of the peer has come that nobody took yet."""
        return bool(self._requests)

    def end(self) -> None:
        """Take no new request: what is under way is finished, then `next_request` answers None."""
        self.is_ending = True
        self.wake()

    def _may_end(self) -> bool:
        return self.is_ending and not self.is_in_message()

    @contextmanager
    def performing(self) -> Iterator[None]:
        """While a request of the peer is being performed the idle timer waits."""
        self._performing += 1
        self.rearm()
        try:
            yield
        finally:
            self._performing -= 1
            self._has_ended()

    def _has_ended(self) -> None:
        """An operation, of either side: the association may be idle from now on."""
        self._timers.restart_quiet()
        self.rearm()

    def abandon(self) -> None:
        """Give up what came and was not performed: sinks let go of what they hold, and nobody opens one any more."""
        self.open_sink = open_identifier  # it may refer to us: a circle would keep our buffers until it is found
        for received in (self._incoming, *self._requests):
            if received is not None and received.sink is not None:
                received.sink.abandon()
        self._incoming = None
        self._requests.clear()

    # Messages out ---------------------------------------------------------------------------------------------------

    async def send(self, context_id: int, message: Message, data_set: DataSetSource | None = None) -> None:
        """Send one message, whole, before any other (PS3.8 E.1: fragments of messages don't mix)."""
        try:
            self._send_lock.acquire_nowait()
        except trio.WouldBlock:
            await self._send_lock.acquire()
        try:
            self.check()
            self.activity.said(message)
            if self.trace is not None:
                self.trace(">", message)
            await self._send_locked(context_id, message, data_set)
        finally:
            self._send_lock.release()

    async def _send_locked(self, context_id: int, message: Message, data_set: DataSetSource | None) -> None:
        limit = self.negotiated.max_pdu_length
        buffers: list[bytes | memoryview] = []
        self._pack(command_values(context_id, message.encode(), limit), buffers)
        is_begun = False
        try:
            if data_set is not None:
                for view, is_last in data_set.chunks(fragment_octets(limit)):
                    self._pack(data_values(context_id, view, is_last, limit), buffers)
                    is_begun = True
                    await self.write(buffers)
                    buffers.clear()
            if buffers:
                is_begun = True
                await self.write(buffers)
            self._timers.restart_quiet()
        except BaseException:
            if is_begun:
                self.fail(unfinished())
            raise

    def _pack(self, pdus: list[PDataTF], buffers: list[bytes | memoryview]) -> None:
        for pdu in pdus:
            for effect in self.connection.send(pdu):
                assert type(effect) is Send
                buffers.extend(effect.buffers)

    # Messages in ----------------------------------------------------------------------------------------------------

    async def p_data(self, pdu: PDataTF) -> None:
        """See `UpperLayer`."""
        values = pdu.values
        if len(values) <= VALUES_AT_ONCE:
            self._take(values)
            return
        for start in range(0, len(values), VALUES_AT_ONCE):
            if start and self.share.used():
                await self.share.let_others()
            self._take(values[start : start + VALUES_AT_ONCE])

    def _take(self, values: tuple[PresentationDataValue, ...]) -> None:
        for part in self._assembler.feed(values):
            if part.deviations:
                self.note(part.deviations)
            if isinstance(part, CommandReceived):
                self._command(self.negotiated.contexts[part.context_id], part.message)
            else:
                assert self._incoming is not None
                assert self._incoming.sink is not None
                self._incoming.sink.write(part.fragment)
                if part.is_last:
                    self._message_done()

    def is_idle(self) -> bool:
        """See `UpperLayer`."""
        return self._incoming is None and not self._performing and not self._responses

    def is_in_message(self) -> bool:
        """See `UpperLayer`."""
        return self._incoming is not None or self._assembler.is_in_message

    def fail(self, error: AssociationError) -> None:
        """See `UpperLayer`."""
        super().fail(error)
        self._window_waiters.unpark_all()

    def _command(self, context: AcceptedContext, message: Message | UnacceptableMessage) -> None:
        self.activity.heard(message)
        if self.trace is not None:
            self.trace("<", message)
        sink: Sink | None = None
        if message.has_data_set:
            if isinstance(message, UnacceptableMessage):
                sink = open_identifier(context, message)
            else:
                sink = self.open_sink(context, message)
        self._incoming = Received(context, message, sink)
        if sink is None:
            self._message_done()

    def _message_done(self) -> None:
        assert self._incoming is not None
        received = self._incoming
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
            if len(self._requests) >= max(self.performed_window, MAX_REQUESTS_WAITING):
                what = f"{len(self._requests)} requests wait to be performed"
                raise DecodeError(what, table="PS3.7 D.3.3.3", field=message.NAME, abort_reason=0)
            self.cancelled_operations.discard(message.message_id)  # of an operation that had the number before
            self._requests.append(received)
        self.wake()
