"""The one stream of events: what happens while something is sent or retrieved, as values.

The same events feed the terminal, the JSON Lines of `--json`, the log of a job and the report. An event is a fact with
its time; it knows nothing of who shows it. Texts of a peer are kept as they came: JSON escapes them, everything else
quotes them.
"""

import json
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from dulcet.station.lines import write_line
from dulcet.station.terminal import discard

if TYPE_CHECKING:
    from collections.abc import Callable

JSON_SCHEMA_VERSION = 1  # the `v` of each line; a change that breaks readers raises it


def _now() -> datetime:
    return datetime.now(UTC)


class Outcome(Enum):
    """What became of a file."""

    STORED = "stored"
    """Sent, and the peer answered Success."""
    WARNING = "stored-with-warning"
    """Sent, and the peer stored it but has something to say (PS3.4 B.2.3, warning)."""
    REFUSED = "refused"
    """Sent, and the peer answered with a failure: it has not stored it."""
    UNCONFIRMED = "unconfirmed"
    """Sent to the last octet, then the connection was lost before the response: the peer may have stored it."""
    NOT_SENT = "not-sent"
    """Not sent, or not wholly: the peer has not stored it."""
    SKIPPED = "skipped"
    """Nobody asked to send it: something else that lay in the folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened."""

    EVENT: ClassVar[str] = ""
    """The `event` of its JSON line."""
    at: datetime = field(default_factory=_now)
    """When it happened."""

    def to_json(self) -> str:
        """One line: `v`, `ts` (RFC 3339, UTC), `event`, and the fields that have a value; ASCII, without line ends."""
        line: dict[str, Any] = {"v": JSON_SCHEMA_VERSION, "ts": rfc3339(self.at), "event": self.EVENT}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name != "at" and value is not None:
                line[each.name] = value.value if isinstance(value, Enum) else value
        return json.dumps(line, ensure_ascii=True, separators=(",", ":"))


def json_head(event: str) -> dict[str, Any]:
    """What a line begins with that is not made of an `Event`: `v`, `ts` of now, `event`."""
    return {"v": JSON_SCHEMA_VERSION, "ts": rfc3339(_now()), "event": event}


def rfc3339(at: datetime) -> str:
    """The time in UTC with milliseconds: `2026-01-31T23:59:59.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociationRequested(Event):
    """An A-ASSOCIATE-RQ was sent."""

    EVENT: ClassVar[str] = "assoc.requested"
    peer: str
    """The node as the user named it, or `AET@host:port`."""
    association: int = 1
    """Counts the associations of this job."""
    contexts: int
    """How many presentation contexts were proposed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociationAccepted(Event):
    """The peer accepted the association."""

    EVENT: ClassVar[str] = "assoc.accepted"
    peer: str
    """The node."""
    association: int = 1
    """Counts the associations of this job."""
    contexts: int
    """How many presentation contexts were accepted."""
    max_pdu_length: int
    """The largest P-DATA-TF that the peer takes; 0: any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociationRejected(Event):
    """The association was not made: rejected, refused by TCP, no such host, no answer."""

    EVENT: ClassVar[str] = "assoc.rejected"
    peer: str
    """The node."""
    association: int = 1
    """Counts the associations of this job."""
    explanation: str
    """Who refused, and what it means."""
    exit_code: int
    """What the command would end with for this alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociationEnded(Event):
    """The association was released, aborted or lost."""

    EVENT: ClassVar[str] = "assoc.ended"
    peer: str
    """The node."""
    association: int = 1
    """Counts the associations of this job."""
    how: str
    """`released`, `aborted` (by either side) or `lost`."""
    explanation: str | None = None
    """Why, unless it was released."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextResult(Event):
    """What the peer answered to one proposed presentation context."""

    EVENT: ClassVar[str] = "pc.result"
    association: int = 1
    """Counts the associations of this job."""
    context_id: int
    """Its ID in the association."""
    abstract_syntax: str
    """The SOP class."""
    result: int
    """PS3.8 Table 9-18: 0 is acceptance."""
    transfer_syntax: str | None = None
    """The accepted transfer syntax."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreResult(Event):
    """What became of one file: the report's row."""

    EVENT: ClassVar[str] = "store.result"
    name: str
    """The file, as it is called on this machine. Raw: quote it before showing."""
    outcome: Outcome
    """What became of it."""
    explanation: str | None = None
    """Why, in a sentence; None when it was simply stored."""
    status: int | None = None
    """The status of the C-STORE response, if there was one."""
    error_comment: str | None = None
    """What the peer wrote into Error Comment (0000,0902). Raw: quote it before showing."""
    exit_code: int = 0
    """What the command would end with if this were all that happened."""
    sop_class_uid: str | None = None
    """The object's SOP class; None when the file is not DICOM."""
    sop_instance_uid: str | None = None
    """The object."""
    transfer_syntax_uid: str | None = None
    """The transfer syntax of the file."""
    converted_to: str | None = None
    """The transfer syntax in which it was sent, when it is another one."""
    octets: int | None = None
    """Octets of the data set as sent."""
    seconds: float | None = None
    """From the first octet of the request to the response."""
    attempts: int = 1
    """How often it was tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary(Event):
    """The end of it all: always the last event."""

    EVENT: ClassVar[str] = "summary"
    exit_code: int
    """What the command ends with."""
    counts: dict[str, int]
    """How many files for each outcome."""
    octets: int
    """Octets of the data sets that were stored."""
    seconds: float | None = None
    """How long it took."""


class EventStream:
    """Hands each event to all who listen, in the order in which they came; a listener is a plain function."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], None]] = []

    def subscribe(self, listener: "Callable[[Event], None]") -> None:
        """From now on, call `listener` with each event. It has to return soon: it runs in the task that reports."""
        self._listeners.append(listener)

    def __call__(self, event: Event) -> None:
        """Report an event."""
        for listener in self._listeners:
            listener(event)


class JSONLinesWriter:
    """A listener that writes each event as a line to `output`, and nothing after the summary.

    Lines are flushed one by one, so that a reader at the other end of a pipe is never behind. A reader that went away
    (`| head`) ends the writing, not the work; `broken` tells. A line that can't be written, for the disk is full, is
    left out and disturbs no work either; the summary then raises that OSError, for the work is done.
    """

    def __init__(self, output: TextIO) -> None:
        self._output = output
        self._finished = False
        self._fault: OSError | None = None
        self.broken = False

    def __call__(self, event: Event) -> None:
        """Write one line. OSError with the summary, when it or a line before it could not be written."""
        if self.broken or self._finished:
            return
        self._finished = isinstance(event, Summary)
        try:
            write_line(event.to_json(), self._output)
        except BrokenPipeError:
            self.broken = True
            discard(self._output)
        except OSError as error:
            self._fault = self._fault or error
        if self._finished and self._fault is not None:
            raise self._fault
