"""A capture of what a TCP connection carried, made up from its octets: pcapng with Ethernet, IPv4 and TCP round them.

The octets and the times are real; addresses, sequence numbers and acknowledgements are made so that a dissector follows
the stream. Segments are at most SEGMENT_OCTETS long.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

SEGMENT_OCTETS = 1400
_ETHERNET, _MICROSECONDS = 1, 1_000_000
_FIN, _SYN, _RST, _PSH, _ACK = 0x01, 0x02, 0x04, 0x08, 0x10


def section(comment: str = "") -> bytes:
    """The Section Header Block and the Interface Description Block: the beginning of a file."""
    body = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options((1, comment.encode()))
    return _block(0x0A0D0D0A, body) + _block(1, struct.pack("<HHI", _ETHERNET, 0, 0))


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body) + -len(body) % 4
    return struct.pack("<II", kind, length) + body + bytes(-len(body) % 4) + struct.pack("<I", length)


def _options(*options: tuple[int, bytes]) -> bytes:
    octets = b"".join(
        struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in options if value
    )
    return octets + bytes(4) if octets else b""


def packet(time: float, octets: bytes) -> bytes:
    """An Enhanced Packet Block; `time` is seconds since 1970."""
    stamp = int(time * _MICROSECONDS)
    head = struct.pack("<IIIII", 0, stamp >> 32, stamp & 0xFFFFFFFF, len(octets), len(octets))
    return _block(6, head + octets)


@dataclass(slots=True)
class Conversation:
    """One TCP connection; the methods give the blocks of its packets, in the order of time."""

    client: tuple[str, int]
    """IPv4 address and port of who connected."""
    server: tuple[str, int]
    _next: dict[bool, int] = field(default_factory=lambda: {True: 1000, False: 5000})

    def opened(self, time: float) -> bytes:
        """SYN, SYN ACK, ACK."""
        return b"".join(
            (self._segment(time, True, _SYN), self._segment(time, False, _SYN | _ACK), self._segment(time, True, _ACK))
        )

    def sent(self, time: float, by_client: bool, octets: bytes) -> bytes:
        """Data, in segments."""
        pieces = (octets[start : start + SEGMENT_OCTETS] for start in range(0, len(octets), SEGMENT_OCTETS))
        return b"".join(self._segment(time, by_client, _PSH | _ACK, piece) for piece in pieces)

    def finished(self, time: float, by_client: bool) -> bytes:
        """FIN."""
        return self._segment(time, by_client, _FIN | _ACK)

    def reset(self, time: float, by_client: bool) -> bytes:
        """RST."""
        return self._segment(time, by_client, _RST | _ACK)

    def _segment(self, time: float, by_client: bool, flags: int, data: bytes = b"") -> bytes:
        source, target = (self.client, self.server) if by_client else (self.server, self.client)
        acknowledged = self._next[not by_client] if flags & _ACK else 0
        head = struct.pack(
            ">HHIIBBHHH", source[1], target[1], self._next[by_client], acknowledged, 5 << 4, flags, 65535, 0, 0
        )
        addresses = _address(source[0]) + _address(target[0])
        pseudo = addresses + struct.pack(">BBH", 0, 6, len(head) + len(data))
        checksum = _checksum(pseudo + head + data)
        segment = head[:16] + struct.pack(">H", checksum) + head[18:] + data
        self._next[by_client] += len(data) + bool(flags & (_SYN | _FIN))
        return packet(time, _ethernet(by_client) + _ip(addresses, segment))


def _ethernet(by_client: bool) -> bytes:
    ends = (b"\x02\0\0\0\0\1", b"\x02\0\0\0\0\2")
    return b"".join(ends[::-1] if by_client else ends) + b"\x08\0"


def _ip(addresses: bytes, segment: bytes) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, 6, 0) + addresses
    return head[:10] + struct.pack(">H", _checksum(head)) + head[12:] + segment


def _address(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def _checksum(octets: bytes) -> int:
    if len(octets) % 2:
        octets += b"\0"
    total: int = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def write(blocks: Iterable[bytes], comment: str = "") -> bytes:
    """A whole file."""
    return section(comment) + b"".join(blocks)
