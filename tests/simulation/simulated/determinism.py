"""Everything that would make two runs of one seed different, pinned in one place.

trio shuffles the tasks that are ready, waits for threads, and dulcet's fair share looks at the processor's clock. Here
the order comes from the seed, "threads" are pauses of the mock clock, and the processor's time is made up.
"""

import random
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import trio
from trio.testing import MockClock

from dulcet.services import fair_share

STEPS = (0.0, 0.0, 0.0, 0.0001, 0.002)  # seconds of the processor that something may have taken


def run(seed: int, main: Callable[[random.Random], Awaitable[Any]]) -> Any:
    """`main(rng)` to its end, on a clock that jumps; what it returns. The same for the same seed."""
    rng = random.Random(seed)
    processor = random.Random(seed ^ 0x5EED)
    elapsed = 0.0

    def processor_time() -> float:
        nonlocal elapsed
        elapsed += processor.choice(STEPS)
        return elapsed

    async def thread(function: Callable[..., Any], *arguments: Any, limiter: trio.CapacityLimiter, **_: Any) -> Any:
        """What a thread does: it waits for the limiter, can't be cancelled from then on, and takes its time."""
        async with limiter:
            with trio.CancelScope(shield=True):
                await trio.sleep(rng.expovariate(100.0))
            return function(*arguments)

    core = trio._core._run  # private: the only way to have trio's order from a seed
    state = core._r.getstate()
    core._r.seed(seed)
    try:
        with (
            mock.patch.object(core, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
            mock.patch.object(trio.to_thread, "run_sync", thread),
            mock.patch.object(fair_share, "perf_counter", processor_time),
        ):
            return trio.run(main, rng, clock=MockClock(autojump_threshold=0.0))
    finally:
        core._r.setstate(state)
