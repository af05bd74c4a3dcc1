"""What the runner of a job is given, and the `Recorder` that brings what it reports into the store.

A runner is `async def run(assignment) -> Standing`: it reports results as they come and returns how the job stands.
When `assignment.ending` is set it finishes what is in flight and returns a Standing of QUEUED, unless nothing is left
to do; when it is cancelled it raises as ever, and the worker knows why. What its rows say is done it does not do again.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from dulcet.errors import QueueError
from dulcet.station.events import Event
from dulcet.station.queue.job_store import JobStore
from dulcet.station.queue.jobs import InstanceResult, Job, Progress, Standing

GROUP_SECONDS = 0.02  # between two commits: a killed worker has sent some tens of objects more than its rows say
TRIES, PAUSE_SECONDS = 5, 1.0  # for a store that can't be written


class Recorder:
    """Groups results and log lines, and commits them in a thread while the runner goes on.

    Reporting costs an append. Memory: what comes while one commit lasts.
    """

    def __init__(self, store: JobStore, job: int, worker: str, listen: Callable[[Event], None] | None = None) -> None:
        """`listen` is told of each event as well."""
        self._listen = listen
        self._store = store
        self._job = job
        self._worker = worker
        self._results: list[InstanceResult] = []
        self._lines: list[str] = []
        self._something = trio.Event()
        self._committing = trio.Lock()
        self.progress = Progress()
        """How the job gets on; the runner puts it here now and then, and the worker stores it."""

    def result(self, result: InstanceResult) -> None:
        """What became of an instance."""
        self._results.append(result)
        self._something.set()

    def event(self, event: Event) -> None:
        """A line for the log, and for whoever listens."""
        if self._listen is not None:
            self._listen(event)
        self.line(event.to_json())

    def line(self, text: str) -> None:
        """A line for the log: an event as `to_json` writes it."""
        self._lines.append(text)
        self._something.set()

    async def flush(self) -> None:
        """Returns when all that was reported is in the store. LeaseLostError, QueueError."""
        async with self._committing:
            results, self._results = self._results, []
            lines, self._lines = self._lines, []
            if not results and not lines:
                return
            try:
                await self._commit(results, lines)
            except BaseException:  # whoever flushes next has them
                self._results[:0], self._lines[:0] = results, lines
                raise

    async def _commit(self, results: list[InstanceResult], lines: list[str]) -> None:
        for attempt in range(1, TRIES + 1):
            try:
                await trio.to_thread.run_sync(self._store.record, self._job, self._worker, results, lines)
            except QueueError:
                if attempt == TRIES:
                    raise
                await trio.sleep(PAUSE_SECONDS)
            else:
                return

    async def run(self) -> None:
        """Commit what comes until cancelled. LeaseLostError, QueueError."""
        while True:
            await self._something.wait()
            self._something = trio.Event()
            await self.flush()
            await trio.sleep(GROUP_SECONDS)


@dataclass(kw_only=True)
class Assignment:
    """A job, and what its runner needs."""

    job: Job
    """As it was when it was claimed."""
    worker: str
    """Who has it: for `JobStore.extend`."""
    store: JobStore
    """To read its instances from; call it in threads."""
    recorder: Recorder
    """Takes what became of instances."""
    ending: trio.Event = field(default_factory=trio.Event)
    """Set: finish what is in flight and return."""
    now: Callable[[], float] = time.time
    """Seconds since 1970."""


Runner = Callable[[Assignment], Awaitable[Standing]]
