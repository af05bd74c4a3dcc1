"""Takes jobs from the queue and runs them, some at once, until it is stopped.

Each job has its lease, which is renewed while it runs, its recorder, and a watch that hears what is asked of it. When
the lease is lost everything stops and nothing more is recorded: another worker has the job.
"""

import math
import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio

from dulcet.errors import LeaseLostError, QueueError
from dulcet.escape import quote
from dulcet.station.events import Event
from dulcet.station.queue.hours import is_within
from dulcet.station.queue.job_store import LEASE_SECONDS, JobStore
from dulcet.station.queue.jobs import OVER, Job, JobKind, JobState, Progress, Standing, Wish
from dulcet.station.queue.queue_events import JobLeft, JobsForgotten, JobTaken, WorkerTrouble
from dulcet.station.queue.running import Assignment, Recorder, Runner

POLL_SECONDS = 0.5  # between two looks for a job that is due, and at what is asked of those that run
LEAVING_SECONDS = 10.0  # for an object in flight when the worker is to end, and for the last results to be written
FORGETTING_SECONDS = 3600.0  # between two looks for jobs that have been over for long
FINISHING_SECONDS = 900.0  # for an object in flight at the end of a job's hours, or when it is paused
EXIT_INTERNAL = 70


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerOptions:
    """How a worker works."""

    jobs: int = 2
    """At once."""
    per_peer: int = 1
    """Of all workers, at once to one peer."""
    is_once: bool = False
    """Whether to end when nothing is due."""
    leaving_seconds: float = LEAVING_SECONDS
    """For what is in flight when it is stopped; afterwards that is aborted."""
    keep_done: float = math.inf
    """Seconds after which a job that went well is forgotten."""
    keep_failed: float = math.inf
    """The same for a job that ended otherwise."""


@dataclass(kw_only=True)
class _Run:
    """One job that this worker has."""

    assignment: Assignment
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    is_lost: bool = False
    renewed_at: float = 0.0
    told: Progress = field(default_factory=Progress)
    standing: Standing = field(default_factory=lambda: Standing(state=JobState.QUEUED))
    """Handed back, until the runner says otherwise: what is asked of the job, the store makes of that."""

    def end(self, seconds: float) -> None:
        """Ask the runner to finish what is in flight, within `seconds` from the first time that it is asked."""
        self.assignment.ending.set()
        self.scope.deadline = min(self.scope.deadline, trio.current_time() + seconds)


class Worker:
    """Runs the jobs of one store. `report` is told of jobs that are taken and left."""

    def __init__(
        self,
        store: JobStore,
        runners: Mapping[JobKind, Runner],
        options: WorkerOptions,
        report: Callable[[Event], None],
        now: Callable[[], float] = time.time,
        details: Callable[[Event], None] | None = None,
    ) -> None:
        """`details`: is told of what goes into the logs of jobs as well."""
        self._details = details
        self._store = store
        self._runners = runners
        self._options = options
        self._report = report
        self._now = now
        self._stopping = trio.Event()
        self._left = trio.Event()
        self._runs = 0
        self._claims = 0
        self._trouble: QueueError | None = None
        """Why the last claim was none."""
        self.name = f"{socket.gethostname()}/{os.getpid()}-{secrets.token_hex(3)}"
        """Unique among all workers, also those of other machines and of the past."""

    def stop(self) -> None:
        """Take nothing more, finish what is in flight, hand the jobs back: `run` returns when that is done."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to end."""
        return self._stopping.is_set()

    async def run(self) -> None:
        """Work until `stop`; once, until nothing is due. Cancelled, what is in flight is aborted and handed back.

        QueueError, once, when it can't be known whether anything is due.
        """
        async with trio.open_nursery() as beside:
            if not self._options.is_once:
                beside.start_soon(self._keep_forgetting)
            await self._work()
            beside.cancel_scope.cancel()
        if self._options.is_once:
            if self._trouble is not None:
                raise self._trouble
            await self._forget()

    async def _work(self) -> None:
        async with trio.open_nursery() as nursery:
            while not self._stopping.is_set():
                assignment = await self._claim() if self._runs < self._options.jobs else None
                if assignment is not None:
                    self._runs += 1
                    nursery.start_soon(self._have, _Run(assignment=assignment, renewed_at=trio.current_time()))
                    continue
                if self._options.is_once and not self._runs:
                    return
                await self._something_happens()

    async def _something_happens(self) -> None:
        """A job was left, or `stop`, or some time has passed."""
        self._left = trio.Event()
        with trio.move_on_after(POLL_SECONDS):
            async with trio.open_nursery() as nursery:
                for event in (self._left, self._stopping):
                    nursery.start_soon(_cancel_after, event, nursery.cancel_scope)

    async def _keep_forgetting(self) -> None:
        while True:
            await self._forget()
            await trio.sleep(FORGETTING_SECONDS)

    async def _forget(self) -> None:
        """Jobs that have been over for long: else the queue of a server that forwards would grow for ever."""
        now, options, count = self._now(), self._options, 0
        otherwise = [state for state in OVER if state is not JobState.DONE]
        try:
            for states, seconds in (([JobState.DONE], options.keep_done), (otherwise, options.keep_failed)):
                if math.isfinite(seconds):
                    count += await trio.to_thread.run_sync(self._store.clear, states, now - seconds)
        except QueueError as error:
            self._report(WorkerTrouble(explanation=str(error)))
        if count:
            self._report(JobsForgotten(jobs=count))

    async def _claim(self) -> Assignment | None:
        self._claims += 1
        worker = f"{self.name}/{self._claims}"
        claim, options = self._store.claim, self._options
        try:
            job = await trio.to_thread.run_sync(lambda: claim(worker, LEASE_SECONDS, per_peer=options.per_peer))
        except QueueError as error:
            if self._trouble is None:
                self._report(WorkerTrouble(explanation=str(error)))
            self._trouble = error
            return None
        self._trouble = None
        if job is None:
            return None
        recorder = Recorder(self._store, job.id, worker, self._details)
        return Assignment(job=job, worker=worker, store=self._store, recorder=recorder, now=self._now)

    # One job --------------------------------------------------------------------------------------------------------

    async def _have(self, run: _Run) -> None:
        job = run.assignment.job
        taken = JobTaken(
            job=job.id,
            kind=job.order.kind.value,
            peer=job.order.peer,
            pending=job.counts.pending,
            worker=run.assignment.worker,
        )
        try:
            self._report(taken)
            run.assignment.recorder.line(taken.to_json())
            with run.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._record, run)
                    nursery.start_soon(self._watch, run)
                    run.standing = await self._try(run)
                    nursery.cancel_scope.cancel()
        finally:
            try:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + LEAVING_SECONDS):
                    await self._leave(run)
            finally:
                self._runs -= 1
                self._left.set()

    async def _try(self, run: _Run) -> Standing:
        job = run.assignment.job
        try:
            return await self._runners[job.order.kind](run.assignment)
        except Exception as raised:
            error = _innermost(raised)
        if isinstance(error, LeaseLostError):
            run.is_lost = True
            return run.standing
        if isinstance(error, QueueError):
            return Standing(state=JobState.QUEUED, reason=str(error))
        if os.environ.get("DULCET_DEBUG"):
            raise error
        text = f"a fault of dulcet's own: {type(error).__name__}: {quote(str(error), 300)} (DULCET_DEBUG=1 shows where)"
        state = JobState.PARTIAL if job.counts.done else JobState.FAILED
        return Standing(state=state, reason=text, exit_code=EXIT_INTERNAL)

    async def _record(self, run: _Run) -> None:
        try:
            await run.assignment.recorder.run()
        except LeaseLostError:
            run.is_lost = True
        except QueueError as error:
            self._report(WorkerTrouble(explanation=str(error)))
        run.scope.cancel()

    async def _leave(self, run: _Run) -> None:
        """Write the last results, and how the job stands; if that can't be written, its lease runs out."""
        assignment, standing = run.assignment, run.standing
        job, left = assignment.job, "lost"
        if not run.is_lost:
            try:
                await assignment.recorder.flush()
                finish = self._store.finish
                await trio.to_thread.run_sync(finish, job.id, assignment.worker, standing)
                left = ""
            except LeaseLostError:
                pass
            except QueueError as error:
                self._report(WorkerTrouble(explanation=str(error)))
        try:
            now = await trio.to_thread.run_sync(self._store.job, job.id) or job
        except QueueError:
            now = job
        event = _left(now, left or now.state.value, standing)
        self._report(event)
        if left:
            return
        try:
            await trio.to_thread.run_sync(self._store.log, job.id, [event.to_json()])
        except QueueError as error:  # only the last line of its log is missing
            self._report(WorkerTrouble(explanation=str(error)))

    # What is asked of it --------------------------------------------------------------------------------------------

    async def _watch(self, run: _Run) -> None:
        """Renew the lease, and hear wishes, twice a second."""
        hours = run.assignment.job.order.hours
        while True:
            with trio.move_on_after(POLL_SECONDS):
                await self._stopping.wait()
                if run.assignment.ending.is_set():
                    await trio.sleep_forever()
            wish = await self._renew(run)
            if run.is_lost or wish is Wish.CANCEL:
                run.scope.cancel()
                return
            if self._stopping.is_set():
                run.end(self._options.leaving_seconds)
            elif wish is not None or not is_within(hours, self._now()):
                run.end(FINISHING_SECONDS)

    async def _renew(self, run: _Run) -> Wish | None:
        assignment = run.assignment
        progress = assignment.recorder.progress
        news = None if progress == run.told else progress
        renew = self._store.renew
        try:
            wish = await trio.to_thread.run_sync(renew, assignment.job.id, assignment.worker, LEASE_SECONDS, news)
        except LeaseLostError:
            run.is_lost = True
            return None
        except QueueError:
            if trio.current_time() - run.renewed_at > LEASE_SECONDS:  # others may take it from now on
                run.is_lost = True
            return None
        run.told, run.renewed_at = progress, trio.current_time()
        return wish


async def _cancel_after(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _innermost(error: Exception) -> Exception:
    """What was raised in a nursery, without the groups around it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _left(job: Job, state: str, standing: Standing) -> JobLeft:
    counts = job.counts
    return JobLeft(
        job=job.id,
        peer=job.order.peer,
        state=state,
        reason=standing.reason or None,
        exit_code=standing.exit_code,
        done=counts.done,
        failed=counts.failed,
        instances=counts.instances,
    )
