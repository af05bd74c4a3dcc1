"""What happens to jobs, as events: for the job's log, and for what a worker says."""

from dataclasses import dataclass
from typing import ClassVar

from dulcet.station.events import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class JobTaken(Event):
    """A worker has taken a job."""

    EVENT: ClassVar[str] = "job.taken"
    job: int
    """Its number."""
    kind: str
    """`send` or `retrieve`."""
    peer: str
    """The peer as it was ordered. Raw: quote it before showing."""
    pending: int
    """Instances that are to be done."""
    worker: str
    """Who has it: `HOST/PROCESS/CLAIM`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobLeft(Event):
    """A worker has let go of a job."""

    EVENT: ClassVar[str] = "job.left"
    job: int
    """Its number."""
    peer: str
    """The peer as it was ordered. Raw: quote it before showing."""
    state: str
    """How it stands; `lost` when another worker has taken it."""
    reason: str | None = None
    """Why, if there is something to say."""
    exit_code: int | None = None
    """What a command would have ended with, when it is over."""
    done: int
    """Instances that are done."""
    failed: int
    """Instances that failed."""
    instances: int
    """All instances."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobsForgotten(Event):
    """Jobs that had been over for long are not in the queue any more."""

    EVENT: ClassVar[str] = "jobs.forgotten"
    jobs: int
    """How many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerTrouble(Event):
    """The queue can't be read or written: nothing is taken until it can."""

    EVENT: ClassVar[str] = "worker.trouble"
    explanation: str
    """Why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobQueued(Event):
    """An order has become a job."""

    EVENT: ClassVar[str] = "job.queued"
    job: int
    """Its number."""
    peer: str
    """The peer as it was ordered. Raw: quote it before showing."""
    instances: int
    """Objects of it."""
    octets: int
    """Of their data sets."""
    is_run: bool
    """Whether something runs the queue just now."""
