"""What went over the wire in a case: every octet both ways, with its time."""

from dataclasses import dataclass, field
from enum import Enum

MAX_KEPT_OCTETS = 1024 * 1024  # of one connection, each way; more is counted, not kept


class Kind(Enum):
    """What happened at one moment."""

    CONNECTED = "connected"
    SENT = "sent"
    RECEIVED = "received"
    FIN_SENT = "kit closed"
    FIN = "product closed"
    RST_SENT = "kit reset"
    RST = "product reset"


@dataclass(frozen=True, slots=True)
class Record:
    """One moment of a connection."""

    time: float
    """Seconds since the case began."""
    kind: Kind
    octets: bytes = b""
    """What was sent or received; as much of it as is kept."""
    length: int = 0
    """All that was sent or received."""
    text: str = ""


@dataclass(slots=True)
class Wire:
    """One TCP connection of a case."""

    number: int
    """1 for the case's first connection."""
    records: list[Record] = field(default_factory=list)
    judged: bool = True
    """False when the kit's own request was so wrong that the rules for the answer don't bind."""
    kit_connected: bool = True
    """The kit connected to the product; else the product connected to the kit."""
    _kept: dict[Kind, int] = field(default_factory=dict)

    def add(self, time: float, kind: Kind, octets: bytes | bytearray | memoryview = b"", text: str = "") -> None:
        """Keep what happened, up to MAX_KEPT_OCTETS each way."""
        room = MAX_KEPT_OCTETS - self._kept.get(kind, 0)
        kept = bytes(octets[:room]) if octets else b""
        self._kept[kind] = self._kept.get(kind, 0) + len(kept)
        self.records.append(Record(time, kind, kept, len(octets), text))

    def octets(self, kind: Kind) -> bytes:
        """Everything kept of one direction, joined."""
        return b"".join(record.octets for record in self.records if record.kind is kind)

    @property
    def is_whole(self) -> bool:
        """Whether all octets were kept."""
        return all(record.length == len(record.octets) for record in self.records)
