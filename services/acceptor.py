"""One association from the acceptor's side: PS3.8 7.1.1 to 7.2, with the services it performs.

Operations are performed in the order they come; when an asynchronous operations window was negotiated, as many at once
as it allows.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import trio

from dulcet.dimse.messages import CEchoRQ, Message, UnacceptableMessage
from dulcet.dimse.status import (
    DUPLICATE_INVOCATION,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    UNRECOGNIZED_OPERATION,
)
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import AssociationAbortedError, AssociationError, AssociationRejectedError
from dulcet.services.accounts import accepted
from dulcet.services.admission import Admission
from dulcet.services.association import Association, Received
from dulcet.services.data_sets import Discard, Sink, open_identifier
from dulcet.services.limits import Limits
from dulcet.services.requestor import leave
from dulcet.services.trace import Trace
from dulcet.services.transport import Transport
from dulcet.ul.connection import Connection, Refuse, Transition
from dulcet.ul.negotiation import AcceptedContext, Supported, answer, outcome
from dulcet.ul.pdu import AAssociateRJ, AAssociateRQ
from dulcet.ul.table import State

Perform = Callable[[Association, Received], Awaitable[None]]
"""Performs one operation and sends its response or responses."""

OpenSink = Callable[[Association, AcceptedContext, Message], Sink]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """How one kind of request is performed."""

    perform: Perform
    sop_classes: frozenset[str]
    """Abstract syntaxes whose contexts may carry the request."""
    open_sink: OpenSink | None = None
    """Where its data set goes; None: kept as an identifier."""


Operations = Mapping[type[Message], Operation]
"""What is performed, by the kind of request."""


async def perform_echo(association: Association, received: Received) -> None:
    """C-ECHO SCP (PS3.7 9.1.5): success."""
    request = received.message
    assert isinstance(request, CEchoRQ)
    await association.send(received.context.context_id, request.response(status=SUCCESS))


ECHO = Operation(perform=perform_echo, sop_classes=frozenset({VERIFICATION}))


@dataclass(frozen=True, kw_only=True)
class Observers:
    """Who is told what happens on associations."""

    trace: Callable[[Association], Trace | None] = lambda _association: None
    on_transition: Callable[[Transition], None] | None = None
    established: Callable[[Association], None] = lambda _association: None
    rejected: Callable[[AAssociateRQ, AAssociateRJ, str], None] = lambda _request, _rejection, _address: None
    ended: Callable[[Association, Exception | None], None] = lambda _association, _error: None


@dataclass(frozen=True, kw_only=True)
class Acceptor:
    """What this application entity performs, for whom, within which limits."""

    admission: Admission
    supported: Supported
    operations: Operations
    limits: Limits = field(default_factory=Limits)
    observers: Observers = field(default_factory=Observers)

    async def serve(
        self,
        transport: Transport,
        refuse: Refuse | None = None,
        was_refused: Callable[[], None] = lambda: None,
        established: Callable[[Association], None] = lambda _association: None,
    ) -> None:
        """One association from its transport connection to the close. Its errors end it and go no further.

        `was_refused` is called when an association that `refuse` let pass is rejected; the connection still waits for
        its end then. `established` is called when it is in force: `Association.end` ends it as soon as nothing is under
        way. Cancelled, the association is aborted within `requestor.LEAVING_PATIENCE`.
        """
        connection = Connection(
            is_requestor=False,
            max_pdu_length=self.supported.max_pdu_length,
            refuse=refuse,
            on_transition=self.observers.on_transition,
        )
        association = Association(connection, transport, limits=self.limits)
        association.trace = self.observers.trace(association)
        failure: Exception | None = None
        try:
            if await self._establish(association, was_refused):
                accepted().opened(association)
                self.observers.established(association)
                established(association)
                await self._perform_operations(association)
        except* AssociationError as group:
            failure = _first(group)
            if connection.state is State.STA13:
                await association.wait_closed()
        except* Exception as group:
            failure = _first(group)
        finally:
            association.abandon()
            if connection.state not in (State.STA1, State.STA2, State.STA13):
                await leave(association)
            transport.close()
            accepted().closed(association)
            self.observers.ended(association, failure)
            association.failure = failure = None  # its traceback leads here: a circle would keep all of it for long

    async def _establish(self, association: Association, was_refused: Callable[[], None]) -> bool:
        connection, address = association.connection, association.transport.peer_address
        await association.perform(connection.transport_accepted())
        try:
            request = await association.association_pdu()
        except AssociationRejectedError:
            assert connection.request is not None
            assert association.rejection is not None
            self.observers.rejected(connection.request, association.rejection, address)
            await association.wait_closed()
            return False
        assert isinstance(request, AAssociateRQ)
        reply = self.admission.refuse(request, address) or answer(request, self.supported)
        await association.perform(connection.send(reply))
        if isinstance(reply, AAssociateRJ):
            was_refused()
            self.observers.rejected(request, reply, address)
            await association.wait_closed()
            return False
        association.established(request, reply, outcome(request, reply, is_requestor=False))
        association.open_sink = lambda context, message: open_sink(self.operations, association, context, message)
        return True

    async def _perform_operations(self, association: Association) -> None:
        if association.performed_window == 1:
            while (received := await association.next_request()) is not None:
                await perform(self.operations, association, received)
        else:
            await self._perform_at_once(association)
        association.check()
        if association.is_ending and association.connection.state is State.STA6:
            raise AssociationAbortedError("we are shutting down", source=0, reason=0, by_peer=False)
        await association.answer_release()

    async def _perform_at_once(self, association: Association) -> None:
        outstanding: set[int] = set()
        places = trio.Semaphore(association.performed_window)

        async def perform_one(received: Received, message_id: int) -> None:
            try:
                await perform(self.operations, association, received)
            finally:
                outstanding.discard(message_id)
                places.release()

        async with trio.open_nursery() as nursery:
            while (received := await association.next_request()) is not None:
                message_id = received.message.message_id
                try:
                    if message_id in outstanding:
                        await _answer(association, received, DUPLICATE_INVOCATION)
                        continue
                    await places.acquire()
                except BaseException:
                    _abandon(received)
                    raise
                outstanding.add(message_id)
                nursery.start_soon(perform_one, received, message_id)


async def perform(operations: Operations, association: Association, received: Received) -> None:
    """Perform a request of the peer, or answer why it can't be."""
    message, context = received.message, received.context
    status = why_not(operations, context, message)
    if status is None and isinstance(message, Message):
        with association.performing():
            try:
                await operations[type(message)].perform(association, received)
            finally:
                _abandon(received)
    else:
        await _answer(association, received, status or UNRECOGNIZED_OPERATION)


async def _answer(association: Association, received: Received, status: int) -> None:
    """The response to a request that is not performed."""
    _abandon(received)
    await association.send(received.context.context_id, received.message.response(status=status))


def _abandon(received: Received) -> None:
    if received.sink is not None:
        received.sink.abandon()


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """One of the errors that ended an association: tasks of one association mostly fail for one reason."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def why_not(operations: Operations, context: AcceptedContext, message: Message | UnacceptableMessage) -> int | None:
    """The status that refuses a request; None when it can be performed (PS3.7 9.1, 10.1)."""
    if isinstance(message, UnacceptableMessage):
        return message.status
    operation = operations.get(type(message))
    if operation is None:
        return UNRECOGNIZED_OPERATION
    if context.abstract_syntax not in operation.sop_classes or message.sop_class_uid != context.abstract_syntax:
        return SOP_CLASS_NOT_SUPPORTED
    return None


def open_sink(operations: Operations, association: Association, context: AcceptedContext, message: Message) -> Sink:
    """Where the data set of a request goes."""
    if why_not(operations, context, message) is not None:
        return Discard()
    open_sink = operations[type(message)].open_sink
    return open_identifier(context, message) if open_sink is None else open_sink(association, context, message)
