"""One direction of a connection as octets, without a copy of them: where each run of octets lies, and when it came."""

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256


class Direction(Enum):
    """Who sent; the value is how a sidecar writes it."""

    TO_SERVER = "C>S"
    TO_CLIENT = "S>C"

    @property
    def opposite(self) -> "Direction":
        """The other one."""
        return Direction.TO_CLIENT if self is Direction.TO_SERVER else Direction.TO_SERVER


@dataclass(frozen=True, slots=True)
class Gap:
    """Octets of a stream that the capture doesn't have."""

    start: int
    stop: int
    """Offsets in the stream."""


@dataclass(slots=True)
class Octets:
    """The octets of one direction in their order. `source` holds them; 32 octets of memory for each run."""

    source: bytes = b""
    length: int = 0
    """Up to the end of the last run; gaps count."""
    gaps: list[Gap] = field(default_factory=list)
    _starts: array = field(default_factory=lambda: array("q"))  # type: ignore[type-arg]
    _positions: array = field(default_factory=lambda: array("q"))  # type: ignore[type-arg]
    _lengths: array = field(default_factory=lambda: array("q"))  # type: ignore[type-arg]
    _packets: array = field(default_factory=lambda: array("q"))  # type: ignore[type-arg]

    def append(self, position: int, length: int, packet: int) -> None:
        """The next run: `length` octets at `position` of the source, complete with `packet`."""
        self._starts.append(self.length)
        self._positions.append(position)
        self._lengths.append(length)
        self._packets.append(packet)
        self.length += length

    def skip(self, octets: int) -> None:
        """A gap of so many octets."""
        self.gaps.append(Gap(self.length, self.length + octets))
        self.length += octets

    @property
    def captured(self) -> int:
        """Octets that are there."""
        return self.length - sum(gap.stop - gap.start for gap in self.gaps)

    @property
    def runs_count(self) -> int:
        """Runs of octets that came at once."""
        return len(self._starts)

    def next_gap(self, offset: int) -> Gap | None:
        """The first gap that ends after `offset`."""
        index = bisect_right(self.gaps, offset, key=lambda gap: gap.stop)
        return self.gaps[index] if index < len(self.gaps) else None

    def packet_at(self, offset: int) -> int | None:
        """The packet with which the octet at `offset`, and all before it, had come. None when there are no packets."""
        index = bisect_right(self._starts, offset) - 1
        packet = self._packets[max(index, 0)] if self._packets else 0
        return packet or None

    def runs(self, start: int, stop: int) -> Iterator[memoryview]:
        """The octets from `start` to `stop` that are there, as views of the source."""
        view = memoryview(self.source)
        index = max(bisect_right(self._starts, start) - 1, 0)
        while index < len(self._starts) and self._starts[index] < stop:
            begin = self._starts[index]
            skipped = max(start - begin, 0)
            taken = min(stop - begin, self._lengths[index])
            if taken > skipped:
                position = self._positions[index]
                yield view[position + skipped : position + taken]
            index += 1

    def read(self, start: int, stop: int) -> memoryview:
        """The octets from `start` to `stop` that are there; joined only when they lie apart."""
        runs = list(self.runs(start, stop))
        return runs[0] if len(runs) == 1 else memoryview(b"".join(runs))

    def sha256(self) -> str:
        """Of all that is there."""
        digest = sha256()
        for run in self.runs(0, self.length):
            digest.update(run)
        return digest.hexdigest()


def whole(octets: bytes) -> Octets:
    """Octets that came in no packets."""
    stream = Octets(octets)
    if octets:
        stream.append(0, len(octets), 0)
    return stream
