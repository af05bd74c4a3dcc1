"""From a captured packet to the TCP segment in it: link layer, IPv4 or IPv6, TCP.

Nothing is copied: a segment says where in the capture its octets are.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from dulcet.conformance.captures.headers import (
    ETHERNET,
    IPV4,
    IPV6,
    IPV6_EXTENSION,
    LINUX_COOKED,
    LINUX_COOKED_2,
    TCP,
    VLAN_TAG,
)
from dulcet.errors import NotDICOMError

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_IPV4_TYPE, _IPV6_TYPE = 0x0800, 0x86DD
_VLAN_TYPES = frozenset((0x8100, 0x88A8, 0x9100))
_MAX_VLAN_TAGS = 4
_TCP_PROTOCOL = 6
_IPV6_EXTENSIONS = frozenset((0, 43, 60, 135, 139, 140))  # RFC 8200 4: length in units of 8 octets
_IPV6_FRAGMENT = 44
_IPV4_FRAGMENT_BITS = 0x3FFF  # more fragments, and the offset
_LOOPBACK_FAMILIES = {2: _IPV4_TYPE, 24: _IPV6_TYPE, 28: _IPV6_TYPE, 30: _IPV6_TYPE}  # AF_INET, AF_INET6 by system


class Packet(NamedTuple):
    """One packet of a capture file."""

    number: int
    """From 1, as Wireshark counts frames."""
    time: int
    """Nanoseconds since 1970-01-01 UTC."""
    link_type: int
    """LINKTYPE value: 1 is Ethernet."""
    start: int
    """Where its octets begin in the file."""
    stop: int
    """Where they end; a capture may hold less than was sent."""


class Segment(NamedTuple):
    """One TCP segment."""

    packet: int
    source: tuple[bytes, int]
    """Address and port."""
    destination: tuple[bytes, int]
    sequence: int
    acknowledgment: int
    flags: int
    start: int
    """Where its payload begins in the file."""
    stop: int
    """Where what was captured of it ends."""
    length: int
    """Octets of payload that were sent; more than `stop - start` when the capture cut the packet short."""


class PacketReader:
    """Finds the TCP segments in packets; counts in `notes` what it had to leave out."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.notes: Counter[str] = Counter()

    def segment(self, packet: Packet) -> Segment | None:
        """The segment in `packet`; None when there is none. NotDICOMError for a link type that is not known."""
        find = LINK_TYPES.get(packet.link_type)
        if find is None:
            raise NotDICOMError(
                f"link type {packet.link_type} is not supported (packet {packet.number}); "
                f"Ethernet, Linux cooked, loopback and raw IP are"
            )
        found = find(self._octets, packet.start, packet.stop)
        if found is None:
            return None
        start, ether_type = found
        if ether_type == _IPV4_TYPE:
            return self._ipv4(packet, start)
        if ether_type == _IPV6_TYPE:
            return self._ipv6(packet, start)
        return None

    def _ipv4(self, packet: Packet, start: int) -> Segment | None:
        if start + IPV4.size > packet.stop:
            return self._leave_out("packet cut short in its IP header")
        first, _, total, _, fragment, _, protocol, _, source, destination = IPV4.unpack_from(self._octets, start)
        if protocol != _TCP_PROTOCOL:
            return None
        if fragment & _IPV4_FRAGMENT_BITS:
            return self._leave_out("IPv4 fragment of a TCP segment, left out")
        header = (first & 0x0F) * 4
        if first >> 4 != 4 or header < IPV4.size:
            return self._leave_out("packet with a malformed IP header")
        end = start + total if total else packet.stop  # zero: the network card cuts it later
        return self._tcp(packet, start + header, end, source, destination)

    def _ipv6(self, packet: Packet, start: int) -> Segment | None:
        if start + IPV6.size > packet.stop:
            return self._leave_out("packet cut short in its IP header")
        _, length, protocol, _, source, destination = IPV6.unpack_from(self._octets, start)
        position = start + IPV6.size
        end = position + length if length else packet.stop
        while protocol in _IPV6_EXTENSIONS:
            if position + IPV6_EXTENSION.size > packet.stop:
                return self._leave_out("packet cut short in its IP header")
            protocol, units = IPV6_EXTENSION.unpack_from(self._octets, position)
            position += 8 + units * 8
        if protocol == _IPV6_FRAGMENT:
            return self._leave_out("IPv6 fragment, left out")
        return self._tcp(packet, position, end, source, destination) if protocol == _TCP_PROTOCOL else None

    def _tcp(self, packet: Packet, start: int, end: int, source: bytes, destination: bytes) -> Segment | None:
        if start + TCP.size > packet.stop:
            return self._leave_out("packet cut short in its TCP header")
        here, there, sequence, acknowledgment, offset, flags, _, _, _ = TCP.unpack_from(self._octets, start)
        header = (offset >> 4) * 4
        payload = start + header
        if header < TCP.size or payload > end:
            return self._leave_out("packet with a malformed TCP header")
        stop = max(payload, min(end, packet.stop))
        if stop < end:
            self.notes["TCP segment that the capture cut short"] += 1
        return Segment(
            packet.number,
            (source, here),
            (destination, there),
            sequence,
            acknowledgment,
            flags,
            payload,
            stop,
            end - payload,
        )

    def _leave_out(self, why: str) -> Segment | None:
        self.notes[why] += 1
        return None


def _ethernet(octets: bytes, start: int, stop: int) -> tuple[int, int] | None:
    start += ETHERNET.size
    if start > stop:
        return None
    ether_type = ETHERNET.unpack_from(octets, start - ETHERNET.size)[2]
    for _ in range(_MAX_VLAN_TAGS):
        if ether_type not in _VLAN_TYPES or start + VLAN_TAG.size > stop:
            break
        ether_type = VLAN_TAG.unpack_from(octets, start)[1]
        start += VLAN_TAG.size
    return start, ether_type


def _linux_cooked(octets: bytes, start: int, stop: int) -> tuple[int, int] | None:
    start += LINUX_COOKED.size
    return None if start > stop else (start, LINUX_COOKED.unpack_from(octets, start - LINUX_COOKED.size)[4])


def _linux_cooked_2(octets: bytes, start: int, stop: int) -> tuple[int, int] | None:
    start += LINUX_COOKED_2.size
    return None if start > stop else (start, LINUX_COOKED_2.unpack_from(octets, start - LINUX_COOKED_2.size)[0])


def _loopback(octets: bytes, start: int, stop: int) -> tuple[int, int] | None:
    """LINKTYPE_NULL has the byte order of the capturing machine, LINKTYPE_LOOP that of the network: either is tried."""
    if start + 4 > stop:
        return None
    family = octets[start : start + 4]
    for number in (int.from_bytes(family, "little"), int.from_bytes(family, "big")):
        if number in _LOOPBACK_FAMILIES:
            return start + 4, _LOOPBACK_FAMILIES[number]
    return None


def _raw(octets: bytes, start: int, stop: int) -> tuple[int, int] | None:
    if start >= stop:
        return None
    return start, _IPV6_TYPE if octets[start] >> 4 == 6 else _IPV4_TYPE


LINK_TYPES: dict[int, Callable[[bytes, int, int], tuple[int, int] | None]] = {
    0: _loopback,
    1: _ethernet,
    12: _raw,
    14: _raw,
    101: _raw,
    108: _loopback,
    113: _linux_cooked,
    228: _raw,
    229: _raw,
    276: _linux_cooked_2,
}
"""By LINKTYPE value: where the network header begins, and its EtherType."""
