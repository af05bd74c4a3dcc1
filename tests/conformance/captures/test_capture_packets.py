"""From packets to TCP segments: link types, tags, IP of both versions, and what is left out and said."""

import pytest

from dulcet.conformance.captures.build import read_capture
from dulcet.conformance.captures.headers import ETHERNET, IPV4, IPV6, LINUX_COOKED, LINUX_COOKED_2, TCP, VLAN_TAG
from dulcet.conformance.captures.packets import LINK_TYPES, Packet, PacketReader
from dulcet.errors import NotDICOMError

PAYLOAD = b"what is carried"
A, B = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
A6, B6 = bytes(15) + b"\1", bytes(15) + b"\2"


def tcp(payload=PAYLOAD, options=b""):
    offset = (TCP.size + len(options)) // 4 << 4
    return TCP.pack(50000, 104, 7, 9, offset, 0x18, 512, 0, 0) + options + payload


def ipv4(segment, *, protocol=6, total=None, fragment=0x4000, options=b"", first=None):
    header = (IPV4.size + len(options)) // 4
    length = IPV4.size + len(options) + len(segment) if total is None else total
    return (
        IPV4.pack(0x40 | header if first is None else first, 0, length, 1, fragment, 64, protocol, 0, A, B)
        + options
        + segment
    )


def ipv6(segment, *, next_header=6, length=None):
    return IPV6.pack(0x60000000, len(segment) if length is None else length, next_header, 64, A6, B6) + segment


def ethernet(packet, *ether_types):
    *tags, last = ether_types
    octets = ETHERNET.pack(bytes(6), bytes(6), ether_types[0])
    for following in (*tags[1:], last) if tags else ():
        octets += VLAN_TAG.pack(1, following)
    return octets + packet


def read(octets, link_type=1, stop=None):
    reader = PacketReader(octets)
    return reader, reader.segment(Packet(1, 0, link_type, 0, len(octets) if stop is None else stop))


def payload(octets, link_type=1):
    _, segment = read(octets, link_type)
    assert (segment.source, segment.destination) in (((A, 50000), (B, 104)), ((A6, 50000), (B6, 104)))
    assert (segment.sequence, segment.acknowledgment, segment.flags) == (7, 9, 0x18)
    assert segment.length == segment.stop - segment.start
    return octets[segment.start : segment.stop]


@pytest.mark.parametrize(
    ("link_type", "octets"),
    [
        (1, ethernet(ipv4(tcp()), 0x0800)),
        (1, ethernet(ipv6(tcp()), 0x86DD)),
        (1, ethernet(ipv4(tcp()), 0x8100, 0x0800)),
        (1, ethernet(ipv4(tcp()), 0x88A8, 0x8100, 0x0800)),
        (1, ethernet(ipv4(tcp()), 0x9100, 0x8100, 0x0800)),
        (0, b"\2\0\0\0" + ipv4(tcp())),
        (0, b"\0\0\0\2" + ipv4(tcp())),
        (0, b"\x1e\0\0\0" + ipv6(tcp())),
        (0, b"\x18\0\0\0" + ipv6(tcp())),
        (0, b"\x1c\0\0\0" + ipv6(tcp())),
        (108, b"\0\0\0\2" + ipv4(tcp())),
        (101, ipv4(tcp())),
        (101, ipv6(tcp())),
        (12, ipv4(tcp())),
        (14, ipv6(tcp())),
        (228, ipv4(tcp())),
        (229, ipv6(tcp())),
        (113, LINUX_COOKED.pack(0, 1, 6, bytes(8), 0x0800) + ipv4(tcp())),
        (276, LINUX_COOKED_2.pack(0x86DD, 0, 1, 1, 0, 6, bytes(8)) + ipv6(tcp())),
    ],
)
def test_link_types(link_type, octets):
    assert payload(octets, link_type) == PAYLOAD


def test_each_link_type_is_tried_above():
    assert set(LINK_TYPES) == {0, 1, 12, 14, 101, 108, 113, 228, 229, 276}


def test_a_link_type_that_is_not_known_is_named():
    with pytest.raises(NotDICOMError, match=r"link type 127 is not supported \(packet 1\)"):
        read(bytes(60), link_type=127)


@pytest.mark.parametrize(
    "packet",
    [
        ipv4(tcp(), options=b"\1\1\1\1"),
        ipv4(tcp(options=b"\2\4\5\xb4")),
        ipv4(tcp()) + bytes(6),
        ipv4(tcp(), total=0),
    ],
    ids=["IP options", "TCP options", "padding of the frame", "length left to the network card"],
)
def test_ipv4(packet):
    assert payload(packet, 101) == PAYLOAD


@pytest.mark.parametrize(
    "packet",
    [
        ipv6(b"\x3c\0" + bytes(6) + b"\6\1" + bytes(14) + tcp(), next_header=0),
        ipv6(b"\6\0" + bytes(6) + tcp(), next_header=43),
        ipv6(tcp(), length=0),
        ipv6(tcp()) + bytes(3),
    ],
    ids=["hop-by-hop and destination options", "routing", "jumbogram", "padding of the frame"],
)
def test_ipv6(packet):
    if packet == ipv6(tcp()) + bytes(3):
        assert payload(packet, 101) == PAYLOAD
    else:
        assert payload(packet, 101)[: len(PAYLOAD)] == PAYLOAD


@pytest.mark.parametrize(
    ("octets", "note"),
    [
        (ipv4(tcp(), fragment=0x2000), "IPv4 fragment of a TCP segment, left out"),
        (ipv4(tcp(), fragment=0x0010), "IPv4 fragment of a TCP segment, left out"),
        (ipv4(tcp(), first=0x44), "packet with a malformed IP header"),
        (ipv4(tcp(), first=0x35), "packet with a malformed IP header"),
        (ipv4(tcp())[:15], "packet cut short in its IP header"),
        (ipv4(tcp())[:35], "packet cut short in its TCP header"),
        (ipv4(TCP.pack(1, 2, 3, 4, 0x40, 0, 0, 0, 0)), "packet with a malformed TCP header"),
        (ipv4(TCP.pack(1, 2, 3, 4, 0xF0, 0, 0, 0, 0)), "packet with a malformed TCP header"),
        (ipv6(tcp())[:39], "packet cut short in its IP header"),
        (ipv6(b"\6", next_header=0), "packet cut short in its IP header"),
        (ipv6(bytes(8) + tcp(), next_header=44), "IPv6 fragment, left out"),
    ],
)
def test_what_can_not_be_used_is_noted(octets, note):
    reader, segment = read(octets, 101)
    assert segment is None
    assert dict(reader.notes) == {note: 1}


@pytest.mark.parametrize(
    ("octets", "link_type"),
    [
        (ipv4(b"query", protocol=17), 101),
        (ipv6(b"query", next_header=17), 101),
        (ethernet(b"who has", 0x0806), 1),
        (ethernet(b"", 0x8100), 1),
        (b"short", 1),
        (b"\2\0", 0),
        (b"\x99\0\0\0" + ipv4(tcp()), 0),
        (bytes(15), 113),
        (bytes(19), 276),
        (b"", 101),
    ],
)
def test_what_is_not_tcp_is_passed_over(octets, link_type):
    reader, segment = read(octets, link_type)
    assert segment is None
    assert not reader.notes


def test_a_packet_that_the_capture_cut_knows_what_was_sent():
    octets = ipv4(tcp())
    reader, segment = read(octets, 101, stop=len(octets) - 5)
    assert segment.length == len(PAYLOAD)
    assert octets[segment.start : segment.stop] == PAYLOAD[:-5]
    assert dict(reader.notes) == {"TCP segment that the capture cut short": 1}


def test_the_notes_come_with_the_transcript(packets):
    capture = packets().open()
    capture.raw(ethernet(ipv4(tcp(), fragment=0x2000), 0x0800))
    capture.raw(ethernet(ipv4(tcp(), fragment=0x2000), 0x0800))
    assert read_capture("made", capture.octets).notes == ("2 x IPv4 fragment of a TCP segment, left out",)
