"""What the transfer queue is about: orders, jobs, instances, and what became of them. Values only, frozen.

Times are seconds since 1970, as `time.time` gives them. A file's name is raw, and so is everything that a peer said:
`dulcet.escape.quote` it before showing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class JobKind(Enum):
    """What a job does."""

    SEND = "send"
    """Sends files to a peer (C-STORE)."""
    RETRIEVE = "retrieve"
    """Brings objects here (C-MOVE, C-GET)."""


class JobState(Enum):
    """How a job stands."""

    QUEUED = "queued"
    """A worker may take it at once, in its hours."""
    RUNNING = "running"
    """A worker has it, as long as its lease lasts."""
    WAITING = "waiting"
    """It could not go on; a worker may take it at `not_before`."""
    PAUSED = "paused"
    """Nobody takes it before it is resumed."""
    DONE = "done"
    """Every instance is done."""
    PARTIAL = "partial"
    """It has ended: some instances are done, the others failed."""
    FAILED = "failed"
    """It has ended: no instance is done."""
    CANCELLED = "cancelled"
    """It was ended on request."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens unless somebody asks for it."""
        return self in OVER


OVER = (JobState.DONE, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED)
"""The states in which a job has ended."""
DUE = (JobState.QUEUED, JobState.WAITING)
"""The states in which a job awaits a worker."""


class InstanceState(Enum):
    """How one instance of a job stands."""

    PENDING = "pending"
    """To be done, not before `not_before`."""
    DONE = "done"
    """Done, and never to be done again."""
    FAILED = "failed"
    """It failed for good, or the job was given up before it was done."""
    CANCELLED = "cancelled"
    """The job was cancelled before it was done."""


class Wish(Enum):
    """What somebody asks of a job that is running: its worker looks twice a second."""

    CANCEL = "cancel"
    """End at once."""
    PAUSE = "pause"
    """Finish the object in flight, then stand still until resumed."""
    HOLD = "hold"
    """The whole queue is paused: finish the object in flight, and hand the job back as queued."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What somebody wants done."""

    kind: JobKind
    """What it does."""
    peer: str
    """The peer as it was said: a node's name or AET@host:port. It is looked up when the job runs."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """How, in JSON's types, as the kind understands it: never a password, but the name of a file that holds it."""
    priority: int = 0
    """Jobs of higher priority go first."""
    hours: str = ""
    """When it may run, as `22:00-06:00` by local time; "" at any time. See `dulcet.station.queue.hours`."""
    octets_per_second: int | None = None
    """What it may use of the network at most; None for no limit."""
    origin: str = ""
    """Who ordered it: "" for a person, `route NAME` for a rule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How far a job is; kept in its row, so that it costs nothing to know."""

    instances: int = 0
    """All that are known."""
    done: int = 0
    """Those that are done."""
    failed: int = 0
    """Those that failed."""
    cancelled: int = 0
    """Those that were not done before the job was cancelled."""
    octets: int = 0
    """Octets of all data sets, as far as they are known."""
    octets_done: int = 0
    """Octets of the data sets that are done."""

    @property
    def pending(self) -> int:
        """Those that are still to be done."""
        return self.instances - self.done - self.failed - self.cancelled


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How a running job gets on, as its worker measures it."""

    octets_in_flight: int = 0
    """Of objects that are under way, beyond `Counts.octets_done`."""
    octets_per_second: float = 0.0
    """Lately."""
    instances_per_second: float = 0.0
    """Lately."""
    seconds_left: float | None = None
    """At this pace; None when that can't be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """An order and how it stands."""

    id: int
    """Its number; never given to another job."""
    order: Order
    """What somebody wants done."""
    state: JobState
    """How it stands."""
    created_at: float
    """When it was ordered."""
    not_before: float = 0.0
    """WAITING: when it is to be tried again."""
    started_at: float | None = None
    """When a worker took it last."""
    ended_at: float | None = None
    """When it came to its end; None before that."""
    attempts: int = 0
    """Failures in a row of the job as a whole; 0 again when it gets on."""
    failing_since: float | None = None
    """When the first of them was."""
    reason: str = ""
    """Why it stands as it does, in a sentence, when there is something to say."""
    exit_code: int | None = None
    """What `dulcet send` or `dulcet retrieve` would have ended with; None before the end."""
    worker: str | None = None
    """RUNNING: who has it."""
    lease_until: float | None = None
    """RUNNING: until when, unless it is renewed; afterwards others may take the job."""
    wish: Wish | None = None
    """What is asked of its worker."""
    counts: Counts = field(default_factory=Counts)
    """How far it is."""
    progress: Progress = field(default_factory=Progress)
    """RUNNING: how it gets on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NewInstance:
    """One object of an order. A retrieval knows little but its UIDs."""

    name: str
    """What people call it: the absolute path, or the archive's path and the member's name; a retrieval: "". Raw."""
    path: str = ""
    """The file that has to stay where it is until the instance is done, absolute and without links; "" for none."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """How to open it again, in JSON's types; the kind of job understands it."""
    sop_class_uid: str = ""
    """Its SOP class, if it is known."""
    sop_instance_uid: str = ""
    """Its SOP instance."""
    transfer_syntax_uid: str = ""
    """The transfer syntax of the file."""
    data_set_offset: int = 0
    """Where the data set begins in the file."""
    file_size: int = 0
    """Octets of the file."""

    @property
    def octets(self) -> int:
        """Octets of the data set; 0 when they are not known."""
        return self.file_size - self.data_set_offset


@dataclass(frozen=True, kw_only=True, slots=True)
class JobInstance(NewInstance):
    """One object of a job, and how it stands."""

    id: int
    """Its number, in the order in which they were added; unique in the queue."""
    job: int
    """The job's number."""
    state: InstanceState
    """How it stands."""
    attempts: int = 0
    """How often it was tried without success."""
    failing_since: float | None = None
    """When the first of these attempts failed."""
    not_before: float = 0.0
    """PENDING: not to be tried before."""
    status: int | None = None
    """The status of the last response, if there was one."""
    reason: str = ""
    """Why it failed, or has to be tried again; what the peer warned of."""
    exit_code: int = 0
    """What a command would end with for this alone; 0 unless it failed."""
    ended_at: float | None = None
    """When it was done, or failed for good."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceResult:
    """What one attempt at an instance came to."""

    id: int
    """The instance."""
    state: InstanceState
    """DONE, FAILED, or PENDING: to be tried again at `not_before`. An attempt is counted unless it is DONE."""
    status: int | None = None
    """The status of the response, if there was one."""
    reason: str = ""
    """Why, in a sentence; DONE: what the peer warned of."""
    exit_code: int = 0
    """What a command would end with for this alone."""
    octets: int | None = None
    """DONE: octets of the data set; None when the row knows them. A retrieval says here what it got."""
    not_before: float = 0.0
    """PENDING: when to try again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What a run of a job came to: `finish` puts it into the job's row."""

    state: JobState
    """Any but RUNNING. QUEUED hands it back without a penalty."""
    reason: str = ""
    """Why, in a sentence."""
    exit_code: int | None = None
    """What a command would end with for this."""
    not_before: float = 0.0
    """WAITING: when it is to be tried again."""
    attempts: int = 0
    """WAITING: failures in a row of the job as a whole, this one included; 0 when only instances wait."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobEvent:
    """A line of a job's log."""

    id: int
    """Grows from line to line."""
    line: str
    """One line of JSON, as `dulcet.station.events.Event.to_json` writes it; it has its time within."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueSummary:
    """The queue as a whole, for monitoring."""

    jobs: Mapping[JobState, int]
    """How many jobs there are in each state."""
    oldest_due_at: float | None
    """When the oldest job that awaits a worker became due; None when none does."""
    retries: int
    """Attempts, of jobs and of instances, that failed and were put off; it only grows."""
    is_held: bool
    """Whether the whole queue is paused."""
