"""The process beside a server that runs the jobs of the queue: started when there is a queue, kept, ended with it.

Its standard input is a pipe that we hold: when that ends, because we close it or because we are gone, it finishes what
it can and ends. It writes to our standard output and error, so its lines go on with ours.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import trio

from dulcet.station.book.configuration import state_path

LOOK_SECONDS = 1.0  # between two looks whether there is a queue
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before it is started again; doubled each time
STEADY_SECONDS = 60.0  # after so long a life the first pause is enough
KILL_SECONDS = 1.0  # from SIGTERM to SIGKILL, when patience is over
QUEUE_FILE = "queue.sqlite"  # `sqlite_store.FILE_NAME`; a server without a queue has no use for SQLite
_NOT_ITS_OWN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")  # of systemd: the server speaks for both


class Tell(Protocol):
    """Writes one line of the log."""

    def __call__(self, event: str, **values: Any) -> None:
        """An event, and what there is to know of it."""


def queue_command(*, as_json: bool, verbose: int, quiet: bool) -> list[str]:
    """What runs the jobs, telling of them as the server does of itself."""
    manners = [*(["--json"] if as_json else ()), *["-v"] * verbose, *(["-q"] if quiet else ())]
    return [sys.executable, "-m", "dulcet", "queue", "run", "--until-eof", *manners]


class QueueChild:
    """Keeps one process `command` while the file of the queue is there."""

    def __init__(
        self,
        command: Sequence[str],
        tell: Tell,
        queue: Path | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """`queue`: its file, that in the state directory if none is named."""
        self.ended = trio.Event()
        """`run` is over, and nothing of the process is left."""
        self._command = command
        self._queue = queue or state_path(environment) / QUEUE_FILE
        self._tell = tell
        self._environment = {name: value for name, value in environment.items() if name not in _NOT_ITS_OWN}
        self._stopping = trio.Event()

    def stop(self) -> None:
        """Ask it to end: `run` returns when it has."""
        self._stopping.set()

    async def run(self) -> None:
        """Keep it until `stop`, then wait for its end. Cancelled, it is terminated, and killed a second later."""
        try:
            await self._keep()
        finally:
            self.ended.set()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            if not self._is_there():
                await self._wait_for_queue()
                continue
            began = trio.current_time()
            how = await self._live()
            if self._stopping.is_set():
                return
            if trio.current_time() - began >= STEADY_SECONDS:
                pause = FIRST_PAUSE
            self._tell("queue.ended", how=how, again_in=pause)
            await self._stopped_within(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    def _is_there(self) -> bool:
        """Whether there is a queue; one that can't be looked for (no permission, a share that is gone) is none yet."""
        return os.path.exists(self._queue)  # Path.exists raises then

    async def _wait_for_queue(self) -> None:
        """Until there is one, or `stop`. The clock is a thread's: a process at rest has no deadline."""
        found = threading.Event()

        def look() -> None:
            while not self._is_there() and not found.wait(LOOK_SECONDS):
                pass

        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            try:
                await self._stopping.wait()
                nursery.cancel_scope.cancel()
            finally:
                found.set()

    async def _stopped_within(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._stopping.wait()

    async def _live(self) -> str:
        """One life; how it ended."""
        try:
            process = await trio.lowlevel.open_process(
                list(self._command), stdin=subprocess.PIPE, env=self._environment
            )
        except OSError as error:
            return f"it can't be started: {error.strerror or error}"
        self._tell("queue.started", pid=process.pid)
        assert process.stdin is not None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._close_when_stopping, process.stdin)
                await process.wait()
                nursery.cancel_scope.cancel()
        finally:
            await _end(process)
        code = process.returncode
        assert code is not None
        return f"exit code {code}" if code >= 0 else f"signal {-code}"

    async def _close_when_stopping(self, pipe: trio.abc.SendStream) -> None:
        await self._stopping.wait()
        await pipe.aclose()


async def _end(process: trio.Process) -> None:
    """Whatever happens, nothing of it is left."""
    with trio.CancelScope(shield=True):
        assert process.stdin is not None
        await process.stdin.aclose()
        if process.returncode is None:
            process.terminate()
            with trio.move_on_after(KILL_SECONDS):
                await process.wait()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
