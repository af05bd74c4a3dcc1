"""TCP segments into connections: RFC 9293. Order restored, repetitions dropped, what the capture misses marked.

A connection is read as its receiver got it: octets count from the packet that made all before them complete. What came
first of octets that came twice stands.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

from dulcet.conformance.captures.packets import ACK, FIN, RST, SYN, Segment
from dulcet.conformance.captures.streams import Direction, Octets
from dulcet.errors import NotDICOMError

Address = tuple[bytes, int]

MAX_CONNECTIONS = 100_000  # some 2 kB each; what has more is a port scan, or meant to exhaust the memory
_SEQUENCE_NUMBERS = 1 << 32
_MAX_LOST_SEGMENTS = 64  # acknowledged octets after which so many segments came are lost, not late


class Closing(NamedTuple):
    """A FIN or RST."""

    flag: str
    """`FIN` or `RST`."""
    by: Direction
    """The direction that it was sent in."""
    packet: int


class _Early(NamedTuple):
    """A segment that came before its predecessor; ordered by where it belongs."""

    start: int
    packet: int
    position: int
    captured: int


@dataclass(slots=True)
class Half:
    """One direction of a connection while its segments are read."""

    octets: Octets
    base: int | None = None
    """Sequence number of the first octet; None before it is known."""
    has_begun: bool = False
    """Whether the SYN was seen."""
    segments: int = 0
    """With payload."""
    repeated: int = 0
    """With payload that had come before."""
    early: list[_Early] = field(default_factory=list)
    acknowledged: int = 0
    """Octets that the other side has confirmed."""
    sent: int = 0
    """Octets up to the end of the last segment; more than `octets.length` when some were not captured."""

    def offset(self, sequence: int) -> int:
        """Where an octet belongs in the stream: sequence numbers wrap, and are taken near what is expected next."""
        expected = self.octets.length
        base = self.base or 0
        distance = (sequence - base - expected) % _SEQUENCE_NUMBERS
        return expected + (distance if distance < _SEQUENCE_NUMBERS // 2 else distance - _SEQUENCE_NUMBERS)

    def add(self, segment: Segment, sequence: int) -> None:
        """A segment with payload; `sequence` is that of its first octet."""
        if self.base is None:
            self.base = sequence
        self.segments += 1
        start = self.offset(sequence)
        captured = segment.stop - segment.start
        self.sent = max(self.sent, start + segment.length)
        if start == self.octets.length and not self.early:
            self.octets.append(segment.start, captured, segment.packet)
        elif start + segment.length <= self.octets.length:
            self.repeated += 1
        else:
            heappush(self.early, _Early(start, segment.packet, segment.start, captured))
            self.deliver(segment.packet)

    def deliver(self, packet: int) -> None:
        """Append what is no longer early; `packet` made it complete, if its own came before."""
        octets, early = self.octets, self.early
        while early and early[0].start <= octets.length:
            start, own_packet, position, captured = heappop(early)
            packet = max(packet, own_packet)
            done = octets.length - start
            if done < captured:
                octets.append(position + done, captured - done, packet)
            else:
                self.repeated += 1

    def acknowledge(self, sequence: int) -> None:
        """The other side has all octets before `sequence`: what is still missing long after that will not come."""
        if self.base is None:
            return
        self.acknowledged = max(self.acknowledged, self.offset(sequence))
        while len(self.early) >= _MAX_LOST_SEGMENTS and self.acknowledged > self.octets.length:
            self._give_up()

    def end(self) -> None:
        """No segment follows: what is missing is a gap."""
        while self.early:
            self._give_up()
        if self.sent > self.octets.length:
            self.octets.skip(self.sent - self.octets.length)

    def _give_up(self) -> None:
        first = self.early[0]
        if first.start > self.octets.length:
            self.octets.skip(first.start - self.octets.length)
        latest = self.octets.packet_at(self.octets.length) or 0
        self.deliver(max(first.packet, latest))


@dataclass(slots=True)
class TCPConnection:
    """One connection, both directions."""

    number: int
    """In the order of first packets, as Wireshark's `tcp.stream`."""
    client: Address
    server: Address
    halves: dict[Direction, Half]
    first_packet: int
    accepted: int | None = None
    """The packet with the server's SYN."""
    closings: list[Closing] = field(default_factory=list)
    """FIN and RST in their order, each once for each side."""
    initial_sequence: int | None = None
    """Of the client's SYN; None for a connection whose begin was not captured."""

    def octets(self, direction: Direction) -> Octets:
        """What was sent in one direction."""
        return self.halves[direction].octets

    def swap(self) -> None:
        """The client is the server after all: known from what they say, when the begin was not captured."""
        self.client, self.server = self.server, self.client
        there, back = self.halves[Direction.TO_SERVER], self.halves[Direction.TO_CLIENT]
        self.halves = {Direction.TO_SERVER: back, Direction.TO_CLIENT: there}
        self.closings = [closing._replace(by=closing.by.opposite) for closing in self.closings]


class Reassembler:
    """Sorts segments into connections. Memory: as `Octets` says, and some 2 kB for each connection."""

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._open: dict[tuple[Address, Address], TCPConnection] = {}
        self.connections: list[TCPConnection] = []

    def add_all(self, segments: Iterable[Segment]) -> list[TCPConnection]:
        """Every connection, its octets in order."""
        for segment in segments:
            self.add(segment)
        for connection in self.connections:
            for half in connection.halves.values():
                half.end()
        return self.connections

    def add(self, segment: Segment) -> None:
        """One segment, in the order of the capture."""
        connection = self._connection(segment)
        direction = Direction.TO_SERVER if segment.source == connection.client else Direction.TO_CLIENT
        half = connection.halves[direction]
        sequence, flags = segment.sequence, segment.flags
        if flags & SYN:
            sequence = (sequence + 1) % _SEQUENCE_NUMBERS
            if not half.has_begun:
                half.has_begun = True
                half.base = sequence
                if direction is Direction.TO_CLIENT:
                    connection.accepted = segment.packet
        if segment.length:
            half.add(segment, sequence)
        if flags & ACK:
            connection.halves[direction.opposite].acknowledge(segment.acknowledgment)
        if flags & (FIN | RST):
            self._close(connection, direction, segment)

    def _connection(self, segment: Segment) -> TCPConnection:
        key = (segment.source, segment.destination)
        if key[0] > key[1]:
            key = (key[1], key[0])
        connection = self._open.get(key)
        is_first = segment.flags & (SYN | ACK) == SYN
        if connection is None or (is_first and segment.sequence != connection.initial_sequence):
            connection = self._new(segment, is_first)
            self._open[key] = connection
        return connection

    def _new(self, segment: Segment, is_first: bool) -> TCPConnection:
        if len(self.connections) >= MAX_CONNECTIONS:
            raise NotDICOMError(f"more than {MAX_CONNECTIONS} TCP connections: filter the capture first")
        client, server = segment.source, segment.destination
        is_answer = segment.flags & (SYN | ACK) == SYN | ACK
        if is_answer or (not is_first and client[1] < server[1]):
            client, server = server, client  # a guess, without a SYN: the lower port is the server's
        connection = TCPConnection(
            number=len(self.connections),
            client=client,
            server=server,
            halves={direction: Half(Octets(self._source)) for direction in Direction},
            first_packet=segment.packet,
            initial_sequence=segment.sequence if is_first else None,
        )
        self.connections.append(connection)
        return connection

    @staticmethod
    def _close(connection: TCPConnection, direction: Direction, segment: Segment) -> None:
        flag = "RST" if segment.flags & RST else "FIN"
        if not any(closing.flag == flag and closing.by is direction for closing in connection.closings):
            connection.closings.append(Closing(flag, direction, segment.packet))


def describe_address(address: Address) -> str:
    """`127.0.0.1:104`, `[::1]:104`."""
    octets, port = address
    host = ipaddress.ip_address(octets)
    return f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}"
