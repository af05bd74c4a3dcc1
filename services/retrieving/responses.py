"""The responses to one request that has several: C-FIND, C-MOVE, C-GET (PS3.7 9.1.2 to 9.1.4).

Pending ones come as the iteration's items, the final one ends it. Who leaves before that cancels the operation: a
C-CANCEL-RQ goes out (PS3.7 9.3.2.3), and what still comes is read up to the final response, so that the association can
go on.
"""

from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Generic, Self, TypeVar

import trio

from dulcet.dimse.messages import CCancelRQ, CFindRSP, CGetRSP, CMoveRSP, Message
from dulcet.dimse.status import CANCEL, PENDING, PENDING_WITH_WARNING, SUCCESS, Category, categorize, find
from dulcet.dimse.status import explain as explain_status
from dulcet.errors import AssociationError, OperationFailedError, PeerProtocolError, PeerTimeoutError
from dulcet.escape import quote
from dulcet.services.association import Association, Received
from dulcet.services.data_sets import BytesSource
from dulcet.services.timers import NEVER
from dulcet.ul.deviation import Deviation

CANCEL_PATIENCE = 10.0  # seconds from the C-CANCEL-RQ to the final response
FAIRNESS = 64  # items between two turns of the scheduler, when the peer is faster than we are

FinalResponse = CFindRSP | CMoveRSP | CGetRSP
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """Seconds that an operation may take; None sets no bound, and leaves it to the caller's cancel scope."""

    response: float | None = None
    """From one response to the next."""
    total: float | None = None
    """For all of it: then it is cancelled."""
    cancel: float = CANCEL_PATIENCE
    """From the C-CANCEL-RQ to the final response."""


FOR_EVER = Patience()


class Responses(Generic[Item]):
    """An operation with several responses, as an async iterator and an async context manager.

    `async with` cancels the operation when its block is left early. A plain `async for` that is left early does so too,
    but only when the association is used again (and nothing refers to this any more) or released. Cancelled (trio), an
    association that goes on does the same.

    Errors: `AssociationError` and its kinds, the association has to be aborted then; PeerTimeoutError when the patience
    has an end. Memory: what one read of the connection brought.
    """

    RESPONSE: ClassVar[type[FinalResponse]]

    def __init__(
        self, association: Association, context_id: int, request: Message, identifier: bytes, patience: Patience
    ) -> None:
        self.final: FinalResponse | None = None
        """The final response, once it has come."""
        self.is_cancelled = False
        """Whether we sent a C-CANCEL-RQ."""
        self._association = association
        self._context_id = context_id
        self._request = request
        self._identifier = identifier
        self._patience = patience
        self._arrived: deque[Received] = deque()
        self._is_started = False
        self._end = NEVER
        self._items = 0

    # For the operations ---------------------------------------------------------------------------------------------

    def _pending(self, received: Received) -> Item | None:
        """The item that a pending response brings; None when it brings none."""
        raise NotImplementedError

    def _ended(self, received: Received) -> None:
        """The final response has come."""

    async def _receive(self) -> deque[Received]:
        """At least one response, to be taken from the left."""
        return await self._association.responses_to(self._request.message_id)

    def _note(self, clause: str, field: str, explanation: str) -> None:
        self._association.note((Deviation(clause=clause, field=field, explanation=explanation),))

    # Iterating ------------------------------------------------------------------------------------------------------

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        if not self._is_started:
            await self._start()
        while self.final is None:
            item = self._take(self._arrived.popleft() if self._arrived else await self._next())
            if item is not None:
                self._items += 1
                if not self._items % FAIRNESS:
                    await trio.lowlevel.checkpoint()
                return item
        raise StopAsyncIteration

    async def cancel(self) -> None:
        """Send a C-CANCEL-RQ, once; go on iterating to the final response. Nothing happens when it has come."""
        if self._is_started and self.final is None and not self.is_cancelled:
            self.is_cancelled = True
            request = CCancelRQ(message_id_being_responded_to=self._request.message_id)
            await self._association.send(self._context_id, request)

    async def aclose(self) -> None:
        """Cancel and read to the final response, whatever it is; PeerTimeoutError when it does not come."""
        await self.cancel()
        self._end = trio.current_time() + self._patience.cancel
        while self._is_started and self.final is None:
            self._take(self._arrived.popleft() if self._arrived else await self._next())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or (isinstance(error, Exception) and not isinstance(error, AssociationError)):
            await self.aclose()
        else:
            self._leave()

    def __del__(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._is_started and self.final is None:
            self._association.leave(self.aclose)

    async def _start(self) -> None:
        self._is_started = True
        if self._patience.total is not None:
            self._end = trio.current_time() + self._patience.total
        await self._association.start(self._context_id, self._request, BytesSource(self._identifier))
        self._association.end_with(self._request.message_id, self.aclose)

    async def _next(self) -> Received:
        now, response = trio.current_time(), self._patience.response
        deadline = self._end if response is None else min(self._end, now + response)
        if now < deadline:
            with trio.move_on_at(deadline):
                self._arrived = await self._receive()
                return self._arrived.popleft()
        raise await self._late(deadline == self._end)

    async def _late(self, is_end: bool) -> PeerTimeoutError:
        service = self.RESPONSE.SERVICE
        if self.is_cancelled:
            return PeerTimeoutError(f"the peer went on with the {service} after it was cancelled")
        if not is_end:
            return PeerTimeoutError(f"no response to the {service} within {self._patience.response:g} s")
        await self.aclose()
        return PeerTimeoutError(f"the {service} took longer than {self._patience.total:g} s, so it was cancelled")

    def _take(self, received: Received) -> Item | None:
        response = received.message
        if not isinstance(response, self.RESPONSE):
            raise PeerProtocolError(f"the peer answered a {self._request.NAME} with {response.NAME}")
        if response.status in (PENDING, PENDING_WITH_WARNING):
            return self._pending(received)
        self.final = response
        self._association.finish(response.message_id)
        if find(response.status, response.SERVICE) is None:
            self._note("PS3.7 Annex C", "status", f"{response.status:04X}H is not a code of {response.SERVICE}")
        if self._arrived:
            raise PeerProtocolError(f"the peer sent a {response.NAME} after the final one")
        self._ended(received)
        return None


def failure(response: FinalResponse) -> OperationFailedError | None:
    """The error that a final response stands for; None for success, warning and cancel."""
    if categorize(response.status, response.SERVICE) is not Category.FAILURE:
        return None
    comment = response.error_comment or ""
    said = f"; the peer says: {quote(comment)}" if comment else ""
    meaning = explain_status(response.status, response.SERVICE)
    explanation = f"the peer answered the {response.SERVICE} with {response.status:04X}H: {meaning}{said}"
    return OperationFailedError(explanation, status=response.status, error_comment=comment)


def is_complete(response: FinalResponse | None) -> bool:
    """Whether an operation went to its end and had success."""
    return response is not None and response.status == SUCCESS


def was_cancelled(response: FinalResponse | None) -> bool:
    """Whether the peer says that it stopped because it was asked to."""
    return response is not None and response.status == CANCEL
