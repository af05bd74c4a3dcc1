"""Where jobs are kept: what the queue asks of a store, whatever lies behind it.

Everything here is synchronous and is called in threads. Each call is one transaction or none: it happens whole, or not
at all, whatever is killed in the middle. A worker's calls name it, and are refused once another has its job. Errors:
QueueError when the store can't be reached.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

from dulcet.station.queue.jobs import (
    InstanceResult,
    InstanceState,
    Job,
    JobEvent,
    JobInstance,
    JobState,
    NewInstance,
    Order,
    Progress,
    QueueSummary,
    Standing,
    Wish,
)

LEASE_SECONDS = 30.0  # a worker that is silent for so long is taken for dead
LONGEST_LEASE_SECONDS = 10 * LEASE_SECONDS  # longer ones are cut
LONGEST_WAIT_SECONDS = 3660.0  # a minute more than any pause of `backoff.POLICIES`
MAX_EVENTS = 2_000  # of a job's log; the oldest go first


def has_come(at: float, now: float) -> bool:
    """Whether a time to wait for is over. One that no pause reaches was said by a clock that was set back since."""
    return at <= now or at > now + LONGEST_WAIT_SECONDS


class JobStore(Protocol):
    """Keeps jobs. Any number of processes may use one at once.

    A worker's name has to be new for each claim, so that a job that comes back to the same process is told apart.
    A clock that is set back holds nothing up: see `claim` and `has_come`.
    """

    # Ordering -------------------------------------------------------------------------------------------------------

    def add(self, order: Order, instances: Iterable[NewInstance]) -> int:
        """A new job; its number. Nobody sees it before `instances` have ended, or ever if they raise.

        Memory: a few thousand instances, however many there are.
        """

    def extend(self, job: int, worker: str, instances: Iterable[NewInstance]) -> list[int]:
        """More instances, which a run found out about; their numbers. All of them or none. LeaseLostError."""

    # Reading --------------------------------------------------------------------------------------------------------

    def jobs(self, states: Sequence[JobState] = (), limit: int = 100) -> list[Job]:
        """Newest first; those in one of `states`, or all."""

    def job(self, job: int) -> Job | None:
        """One; None when there is none of this number."""

    def instances(
        self, job: int, state: InstanceState | None = None, after: int = 0, limit: int = 1000
    ) -> list[JobInstance]:
        """Those with numbers beyond `after`, in their order; `state` is what `JobInstance.state` says.

        What is still pending when its job is over has failed with the job's reason, or is cancelled.
        """

    def events(self, job: int, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        """The lines of its log beyond `after`."""

    def paths_in_use(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths` that an instance of a job which is not over still needs. Absolute, links resolved."""

    def summary(self) -> QueueSummary:
        """The queue as a whole."""

    def version(self) -> Hashable:
        """Differs from what it was when anything has changed since, whoever did it. Cheap: readers poll it."""

    # Working --------------------------------------------------------------------------------------------------------

    def claim(self, worker: str, lease_seconds: float = LEASE_SECONDS, *, per_peer: int = 1) -> Job | None:
        """Take the due job of highest priority, among these the oldest; RUNNING from now on. None when none is due.

        Due: QUEUED, WAITING and its time has come, or RUNNING and its lease is over; and it is within its hours, the
        queue is not held, and fewer than `per_peer` jobs with the same peer are running. A lease that ends later than
        LONGEST_LEASE_SECONDS from now, for the clock was set back, ends in LEASE_SECONDS unless it is renewed.
        """

    def renew(
        self, job: int, worker: str, lease_seconds: float = LEASE_SECONDS, progress: Progress | None = None
    ) -> Wish | None:
        """Go on having it, tell how it gets on, and hear what is asked of it. LeaseLostError.

        Cheap enough for twice a second: it writes only when a third of the lease is over or `progress` is new.
        """

    def due_instances(self, job: int, after: int = 0, limit: int = 1000) -> list[JobInstance]:
        """Pending instances whose time has come, with numbers beyond `after`, in their order."""

    def next_due(self, job: int) -> float | None:
        """When the next pending instance is due, which may be past; None when none is pending."""

    def record(self, job: int, worker: str, results: Sequence[InstanceResult], lines: Sequence[str] = ()) -> None:
        """What became of instances, the job's counters, and lines for its log, in one transaction. LeaseLostError.

        An instance that is done or failed already keeps that state and is not counted again.
        """

    def finish(self, job: int, worker: str, standing: Standing, lines: Sequence[str] = ()) -> None:
        """Let go of it; how it stands from now on. LeaseLostError.

        What is still pending when it is over has failed with the job's reason, or is cancelled.
        """

    # Asking ---------------------------------------------------------------------------------------------------------

    def request(self, job: int, wish: Wish) -> JobState:
        """Cancel or pause: at once unless it is running, else as a wish; its state now.

        NoSuchJobError, WrongStateError.
        """

    def resume(self, job: int) -> None:
        """A paused job is queued again; a wish to pause is withdrawn. NoSuchJobError, WrongStateError."""

    def retry(self, job: int) -> None:
        """What failed or was cancelled is pending again, and the job queued; one that waits is due now.

        NoSuchJobError, WrongStateError for what is running, paused or wholly done.
        """

    def reprioritise(self, job: int, priority: int) -> None:
        """Change its priority. NoSuchJobError, WrongStateError when it is over."""

    def revise(self, job: int, *, hours: str | None = None, octets_per_second: int | None = None) -> None:
        """Change what is given; "" and 0 take a limit away. A running job keeps its own until it is taken again.

        NoSuchJobError, WrongStateError when it is over.
        """

    def hold(self, is_held: bool) -> None:
        """Pause the whole queue, or let it go on."""

    def is_held(self) -> bool:
        """Whether the whole queue is paused."""

    def clear(self, states: Sequence[JobState], older_than: float | None = None, jobs: Sequence[int] = ()) -> int:
        """Forget jobs that are over, in one of `states`, ended before `older_than`; only `jobs` if any. How many."""

    def log(self, job: int, lines: Sequence[str]) -> None:
        """Lines for its log, whoever has it; the oldest beyond MAX_EVENTS go. Nothing for a job that is gone."""

    def close(self) -> None:
        """Let go of it. Harmless when repeated."""
