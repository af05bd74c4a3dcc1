"""The events of a query: what `dulcet find --json` writes."""

from dataclasses import dataclass
from typing import Any, ClassVar

from dulcet.station.events import Event


@dataclass(frozen=True, kw_only=True, slots=True)
class FindMatch(Event):
    """A match came."""

    EVENT: ClassVar[str] = "find.match"
    peer: str
    """The node as the user named it, or `AET@host:port`."""
    number: int
    """From 1 on."""
    status: str
    """FF00H, or FF01H when the peer does not support all optional keys."""
    identifier: dict[str, Any] | None = None
    """In the DICOM JSON model (PS3.18 F.2)."""
    unreadable: str | None = None
    """Why there is no identifier."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FindEnded(Event):
    """The query is over: always the last event but the summary."""

    EVENT: ClassVar[str] = "find.ended"
    peer: str
    """The node."""
    matches: int
    """How many came."""
    status: str | None = None
    """Of the final response."""
    cancelled: bool | None = None
    """Whether we cancelled it."""
    explanation: str | None = None
    """What went wrong, if anything did."""
