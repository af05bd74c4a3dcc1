"""The processor, shared: one thread serves all associations, so one with much to do lets others go first.

Nobody is slowed while nobody else waits. Where many have much to do they go on one after the other, a slice each, and
who asks for little does not stand in that queue.
"""

from time import perf_counter

import trio
from trio.lowlevel import RunVar

SLICE = 0.005  # seconds without letting others go first; the largest PDU of the default size takes about as long
SHARE = 1 / 32  # of the time: who uses less never stands in the queue
OPERATION = 0.0002  # seconds charged for performing one, since what it waits for is not the processor's time

_queue: RunVar[trio.Lock] = RunVar("queue of those who used up their slice")


class FairShare:
    """What one association has used of the processor."""

    def __init__(self) -> None:
        self._since = perf_counter()
        self._used = 0.0

    def went_on(self) -> None:
        """Since the last call it was waiting."""
        now = perf_counter()
        self._used = max(0.0, self._used - (now - self._since) * SHARE)
        self._since = now

    def used(self) -> bool:
        """Since the last call it was working; whether others should go first now."""
        now = perf_counter()
        self._used += now - self._since
        self._since = now
        return self._used > SLICE

    def charge(self, seconds: float) -> None:
        """For work that is not measured."""
        self._used += seconds

    async def let_others(self) -> None:
        """Others go first: all who used little, and those who stand in the queue already. A checkpoint."""
        self._used = 0.0
        try:
            queue = _queue.get()
        except LookupError:
            queue = trio.Lock()
            _queue.set(queue)
        async with queue:
            pass
        self._since = perf_counter()
