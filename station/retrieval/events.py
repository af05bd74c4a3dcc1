"""The events of a retrieval: what `dulcet move`, `get` and `retrieve` write with --json."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from dulcet.station.events import Event


class Arrival(Enum):
    """What became of an instance."""

    ARRIVED = "arrived"
    """It is stored here."""
    REFUSED = "refused"
    """It came, and we could not or would not store it."""
    FAILED = "failed"
    """The archive says that it could not send it."""
    MISSING = "missing"
    """It did not come, and the archive does not say why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found(Event):
    """What the archive says it has of what was asked for."""

    EVENT: ClassVar[str] = "retrieve.found"
    peer: str
    """The node."""
    studies: int
    """Studies that instances are wanted of."""
    requests: int
    """C-MOVE or C-GET requests that it takes."""
    instances: int | None
    """How many there are; None when the archive does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiverReady(Event):
    """Our storage SCP listens, and answered a C-ECHO of ours."""

    EVENT: ClassVar[str] = "receiver.ready"
    ae_title: str
    """The move destination."""
    address: str
    """Where it listens."""
    port: int
    """The TCP port."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubOperationsProgress(Event):
    """A pending response."""

    EVENT: ClassVar[str] = "move.progress"
    peer: str
    """The node."""
    service: str
    """C-MOVE or C-GET."""
    remaining: int | None = None
    """Sub-operations, as the archive counts them."""
    completed: int
    """With success."""
    failed: int
    """Without."""
    warning: int
    """Stored with a warning."""
    here: int | None = None
    """Instances that have arrived here, of all that are retrieved."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievalEnded(Event):
    """The final response of one C-MOVE or C-GET, or what came instead."""

    EVENT: ClassVar[str] = "move.ended"
    peer: str
    """The node."""
    service: str
    """C-MOVE or C-GET."""
    what: str
    """What was asked for."""
    status: str | None = None
    """Of the final response."""
    completed: int | None = None
    """Sub-operations, as the archive counts them."""
    failed: int | None = None
    """Without success."""
    warning: int | None = None
    """Stored with a warning."""
    failed_instances: tuple[str, ...] | None = None
    """SOP Instance UIDs that the archive names."""
    explanation: str | None = None
    """What went wrong, if anything did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceResult(Event):
    """What became of one instance: the report's row."""

    EVENT: ClassVar[str] = "receive.result"
    sop_instance_uid: str
    """The instance. Raw: quote it before showing."""
    outcome: Arrival
    """What became of it."""
    sop_class_uid: str | None = None
    """Its SOP class, when it came."""
    path: str | None = None
    """Where it is."""
    octets: int | None = None
    """Of its data set."""
    explanation: str | None = None
    """Why it is not here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice(Event):
    """Whose fault it was, and what to do."""

    EVENT: ClassVar[str] = "retrieve.advice"
    lines: list[str]
    """For a person."""
