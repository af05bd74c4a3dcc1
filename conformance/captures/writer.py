"""A conversation as packets, for who has its octets but no packets: what a relay saw, or a test made up.

Each octet string becomes TCP segments in IPv4 or IPv6 packets with right checksums, so that every tool reads the file.
"""

import ipaddress
from collections.abc import Iterator
from typing import Protocol

from dulcet.conformance.captures.headers import ETHERNET, IPV4, IPV6, TCP
from dulcet.conformance.captures.packets import ACK, FIN, RST, SYN
from dulcet.conformance.captures.streams import Direction

PSH = 0x08
DEFAULT_SEGMENT_OCTETS = 65_000  # IP allows 65535 with its headers
_WINDOW = 65_535
_TIME_TO_LIVE = 64
_TCP_PROTOCOL = 6
_DO_NOT_FRAGMENT = 0x4000
_SEQUENCE_NUMBERS = 1 << 32
_MAC = {Direction.TO_SERVER: b"\2\0\0\0\0\1", Direction.TO_CLIENT: b"\2\0\0\0\0\2"}  # locally administered


class PacketWriter(Protocol):
    """`PcapWriter` or `PcapngWriter`."""

    def write(self, time: int, octets: bytes) -> None:
        """One packet; `time` in nanoseconds since 1970-01-01 UTC."""


class ConversationWriter:
    """Writes one TCP connection. Addresses are (text, port); sequence numbers begin where the caller says."""

    def __init__(
        self,
        writer: PacketWriter,
        client: tuple[str, int],
        server: tuple[str, int],
        *,
        initial_sequence: tuple[int, int] = (1000, 5000),
        segment_octets: int = DEFAULT_SEGMENT_OCTETS,
    ) -> None:
        self._writer = writer
        ends = {Direction.TO_SERVER: client, Direction.TO_CLIENT: server}
        self._ends = {direction: (ipaddress.ip_address(host), port) for direction, (host, port) in ends.items()}
        self._next = dict(zip(Direction, initial_sequence, strict=True))
        self._segment_octets = segment_octets

    def open(self, time: int) -> None:
        """SYN, SYN and ACK, ACK."""
        self._packet(time, Direction.TO_SERVER, SYN)
        self._advance(Direction.TO_SERVER, 1)
        self._packet(time, Direction.TO_CLIENT, SYN | ACK)
        self._advance(Direction.TO_CLIENT, 1)
        self._packet(time, Direction.TO_SERVER, ACK)

    def send(self, time: int, direction: Direction, octets: bytes) -> None:
        """Octets in as many segments as they need."""
        for segment in _segments(octets, self._segment_octets):
            self._packet(time, direction, ACK | PSH, segment)
            self._advance(direction, len(segment))

    def close(self, time: int, direction: Direction, *, is_reset: bool = False) -> None:
        """FIN or RST of one side."""
        self._packet(time, direction, (RST if is_reset else FIN) | ACK)
        self._advance(direction, 1)

    def packet(self, direction: Direction, flags: int, octets: bytes = b"", *, sequence: int | None = None) -> bytes:
        """One packet as it would be written; `sequence` for one that is out of order."""
        source, here = self._ends[direction]
        destination, there = self._ends[direction.opposite]
        number = self._next[direction] if sequence is None else sequence
        acknowledged = self._next[direction.opposite] if flags & ACK else 0
        segment = TCP.pack(here, there, number, acknowledged, TCP.size // 4 << 4, flags, _WINDOW, 0, 0) + octets
        pseudo = source.packed + destination.packed + len(segment).to_bytes(4, "big") + _TCP_PROTOCOL.to_bytes(4, "big")
        checksum = _checksum(pseudo + segment)
        segment = segment[:16] + checksum.to_bytes(2, "big") + segment[18:]
        return self._frame(direction, source.packed, destination.packed, segment)

    def _packet(self, time: int, direction: Direction, flags: int, octets: bytes = b"") -> None:
        self._writer.write(time, self.packet(direction, flags, octets))

    def _advance(self, direction: Direction, octets: int) -> None:
        self._next[direction] = (self._next[direction] + octets) % _SEQUENCE_NUMBERS

    @staticmethod
    def _frame(direction: Direction, source: bytes, destination: bytes, segment: bytes) -> bytes:
        if len(source) == 4:
            values = (0x45, 0, IPV4.size + len(segment), 0, _DO_NOT_FRAGMENT, _TIME_TO_LIVE, _TCP_PROTOCOL)
            checksum = _checksum(IPV4.pack(*values, 0, source, destination))
            network, ether_type = IPV4.pack(*values, checksum, source, destination), 0x0800
        else:
            network = IPV6.pack(0x60000000, len(segment), _TCP_PROTOCOL, _TIME_TO_LIVE, source, destination)
            ether_type = 0x86DD
        return ETHERNET.pack(_MAC[direction.opposite], _MAC[direction], ether_type) + network + segment


def _segments(octets: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


def _checksum(octets: bytes) -> int:
    """RFC 1071: the ones' complement sum of 16-bit words. 2**16 is 1 modulo 65535, so one division adds them all."""
    padded = octets + b"\0" * (len(octets) % 2)
    total = int.from_bytes(padded, "big")
    folded = total % 0xFFFF or (0xFFFF if total else 0)
    return 0xFFFF - folded
