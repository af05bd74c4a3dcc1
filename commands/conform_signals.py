"""A run of `dulcet conform` that a signal ends early: what was played is not lost."""

import signal
from collections.abc import Awaitable, Callable

import trio

from dulcet.conformance.kit.result import Run
from dulcet.errors import DulcetError


async def until_signal(play: Callable[[trio.CancelScope], Awaitable[Run]]) -> Run:
    """The run that `play` makes; SIGINT or SIGTERM cancels the scope that it was given, and the run says so.

    A second signal does what it does without us. A DulcetError leaves by itself, in no group.
    """
    stop = trio.CancelScope()
    caught: list[int] = []

    async def watch(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                caught.append(number)
                stop.cancel()
                return

    run: Run | None = None
    failure: DulcetError | None = None
    async with trio.open_nursery() as nursery:
        await nursery.start(watch)
        try:
            run = await play(stop)
        except DulcetError as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    assert run is not None
    if stop.cancelled_caught:
        run.interrupted_by = signal.Signals(caught[0]).name
    return run
