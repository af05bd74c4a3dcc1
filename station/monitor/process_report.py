"""What a process tells of itself while it runs: values, and the JSON that they are written as.

Nothing of a data set is in it. Texts of a peer are kept as they came: quote them before showing.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from dulcet.station.events import rfc3339

VERSION = 1  # a change that breaks readers raises it


@dataclass(frozen=True, kw_only=True, slots=True)
class AssociationRow:
    """An association in force."""

    direction: str = ""
    """`in`: the peer called; `out`: we did."""
    peer: str = ""
    """The peer's AE title."""
    address: str = ""
    """Its IP address, with the port where we called."""
    since: str = ""
    """RFC 3339."""
    service: str = ""
    """Of the last request: `C-STORE`; "" before the first."""
    objects: int = 0
    """That were acknowledged on it, either way."""
    octets: int = 0
    """That went over it, both ways."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferRow:
    """What a foreground command, or a worker, has done of what it is to do."""

    what: str = ""
    """`send`, `retrieve`, `move`, `get`."""
    peer: str = ""
    """As the user called it."""
    job: int | None = None
    """Of the queue, when a job is the reason."""
    objects: int = 0
    """That are done, well or not."""
    total_objects: int | None = None
    """None: not known."""
    failed: int = 0
    octets: int = 0
    total_octets: int | None = None
    octets_per_second: float = 0.0
    """In the last ten seconds."""
    seconds_left: float | None = None
    """At this pace; None: not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorRow:
    """A line of the log that somebody should look at."""

    at: str = ""
    """RFC 3339."""
    event: str = ""
    """Its name: `object.refused`."""
    text: str = ""
    """What it says; safe to show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessReport:
    """A process, at the moment when it last wrote."""

    pid: int = 0
    command: str = ""
    """`serve`, `send`, `queue run`."""
    family: int = 0
    """The process that started the workers of one server; its own pid for one that stands alone."""
    state: str = "running"
    """`running`, `stopping`, or `failed`: it stores nothing any more."""
    started_at: str = ""
    """RFC 3339."""
    updated_at: str = ""
    """RFC 3339."""
    ae_title: str = ""
    addresses: tuple[str, ...] = ()
    """Where it listens: `127.0.0.1:11112`."""
    directory: str = ""
    """Where it stores."""
    runs_queue: bool = False
    """Whether it runs the jobs of the transfer queue, itself or in a process beside."""
    associations: tuple[AssociationRow, ...] = ()
    transfers: tuple[TransferRow, ...] = ()
    counters: Mapping[str, float] = field(default_factory=dict)
    """Series of `station.monitor.metrics`, by name and labels; those of several processes may be added up."""
    latest: Mapping[str, float] = field(default_factory=dict)
    """Moments, in seconds since 1970, by name and labels; of several processes the latest counts."""
    errors: tuple[ErrorRow, ...] = ()
    """The last few, the oldest first."""

    def encode(self) -> bytes:
        """One line of JSON, in ASCII."""
        return json.dumps({"v": VERSION, **asdict(self)}, separators=(",", ":")).encode("ascii") + b"\n"


_ROWS: dict[str, type] = {"associations": AssociationRow, "transfers": TransferRow, "errors": ErrorRow}
_Row = TypeVar("_Row")


def decode(octets: bytes) -> ProcessReport | None:
    """A report as `encode` wrote it; None for what is none. What is missing, or of another type, has its default."""
    try:
        found = json.loads(octets)
    except (ValueError, RecursionError):
        return None
    return _read(ProcessReport, found) if isinstance(found, dict) and found.get("v") == VERSION else None


def _read(kind: type[_Row], found: Mapping[str, Any]) -> _Row:
    values: dict[str, Any] = {}
    default = kind()
    for each in fields(kind):  # type: ignore[arg-type]
        name, value = each.name, found.get(each.name)
        if name in _ROWS and isinstance(value, list):
            values[name] = tuple(_read(_ROWS[name], row) for row in value if isinstance(row, dict))
        elif name == "addresses" and isinstance(value, list):
            values[name] = tuple(map(str, value))
        elif name in ("counters", "latest") and isinstance(value, dict):
            values[name] = {key: number for key, number in value.items() if _is_number(number)}
        elif _fits(value, getattr(default, name)):
            values[name] = value
    return kind(**values)


def _fits(value: object, default: object) -> bool:
    if default is None or isinstance(default, float):
        return _is_number(value)
    return type(value) is type(default) and not isinstance(value, dict | tuple)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def now() -> str:
    """The time, RFC 3339."""
    return rfc3339(datetime.now(UTC))


def moment(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def seconds_between(earlier: str, later: str) -> float:
    """Between two times, RFC 3339; never negative, and 0 when one of them is none."""
    try:
        return max(0.0, (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
