"""Reading while a long operation is performed: so a C-CANCEL-RQ, and the end of the association, are seen in time.

PS3.7 9.1.2.2: a cancel that comes after the operation's end has no effect, and one of an operation that is not under
way neither.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import trio

from dulcet.errors import AssociationError
from dulcet.services.association import Association


class Watch:
    """What has become of an operation's request while it is performed."""

    def __init__(self, association: Association, message_id: int) -> None:
        self._association = association
        self._message_id = message_id
        self.on_stop: Callable[[], None] = lambda: None
        """Called once, when the operation should stop."""

    @property
    def is_cancelled(self) -> bool:
        """Whether the requestor sent a C-CANCEL-RQ for it."""
        return self._message_id in self._association.cancelled_operations

    @property
    def should_stop(self) -> bool:
        """Whether it was cancelled, or nobody is there to get an answer."""
        return self.is_cancelled or self._association.failure is not None

    async def read(self) -> None:
        """Read until there is a reason to stop. A request that the peer may not send yet is left for later."""
        with suppress(AssociationError):
            await self._association.read_until(lambda: self.is_cancelled or self._association.has_request)
        if self.should_stop:
            self.on_stop()


@asynccontextmanager
async def watched(association: Association, message_id: int) -> AsyncIterator[Watch]:
    """Watch for as long as the block lasts. What the block raises is raised, no group of exceptions."""
    watch = Watch(association, message_id)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.read)
            yield watch
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise _single(group) from None
    finally:
        association.cancelled_operations.discard(message_id)


def _single(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one that matters: an error before a cancellation."""
    inner = [_single(each) if isinstance(each, BaseExceptionGroup) else each for each in group.exceptions]
    return next((each for each in inner if not isinstance(each, trio.Cancelled)), inner[0])
