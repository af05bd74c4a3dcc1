"""pcap and pcapng: every magic, byte order, resolution and block that is read, and files that end too early."""

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.conformance.captures import headers, pcap, pcapng
from dulcet.conformance.captures.headers import Header
from dulcet.conformance.captures.reader import CaptureFile, is_capture, why_no_capture
from dulcet.errors import NotDICOMError

PACKETS = [
    (1_700_000_000, 123_456_789, b"first packet"),
    (1_700_000_001, 0, b""),
    (1_700_000_002, 999_999_000, b"x" * 61),
]


def header_layouts():
    found = [value for value in vars(headers).values() if isinstance(value, Header)]
    found += [*pcap.FILE_HEADER.values(), *pcap.PACKET_RECORD.values()]
    for layouts in pcapng.LAYOUTS.values():
        found += [value for value in vars(layouts).values() if isinstance(value, Header)]
    return found


@pytest.mark.parametrize("layout", header_layouts(), ids=lambda layout: layout.title)
@given(data=st.data())
def test_struct_reads_what_construct_describes(layout, data):
    octets = data.draw(st.binary(min_size=layout.size, max_size=layout.size))
    assert layout.layout.sizeof() == layout.size
    assert dict(zip(layout.names, layout.unpack_from(octets), strict=True)) == layout.parse(octets)
    assert layout.pack(*layout.unpack_from(octets)) == octets


def test_a_header_has_one_byte_order():
    with pytest.raises(ValueError, match="one byte order"):
        Header("mixed", *pcap.FILE_HEADER["little"].layout.subcons[1:2], *pcap.FILE_HEADER["big"].layout.subcons[1:2])


def read(octets):
    file = CaptureFile(octets)
    packets = [
        (time, octets[packet.start : packet.stop])
        for packet, time in zip(list(file.packets()), file.times, strict=True)
    ]
    return file, packets


def pcap_file(order, magic, unit):
    octets = magic + struct.pack(f"{order}HHIIII", 2, 4, 0, 0, 65535, 1)
    for seconds, nanoseconds, packet in PACKETS:
        octets += struct.pack(f"{order}IIII", seconds, nanoseconds // unit, len(packet), len(packet)) + packet
    return octets


@pytest.mark.parametrize(
    ("magic", "order", "unit"),
    [
        (b"\xd4\xc3\xb2\xa1", "<", 1000),
        (b"\xa1\xb2\xc3\xd4", ">", 1000),
        (b"\x4d\x3c\xb2\xa1", "<", 1),
        (b"\xa1\xb2\x3c\x4d", ">", 1),
    ],
    ids=["little-us", "big-us", "little-ns", "big-ns"],
)
def test_pcap(magic, order, unit):
    file, packets = read(pcap_file(order, magic, unit))
    assert file.format == "pcap"
    assert packets == [(s * 10**9 + n // unit * unit, octets) for s, n, octets in PACKETS]
    assert file.damage == []


def test_the_link_type_of_pcap_is_without_the_frame_check_bits():
    octets = bytearray(pcap_file("<", b"\xd4\xc3\xb2\xa1", 1000))
    octets[20:24] = (0xF0000000 | 113).to_bytes(4, "little")
    assert {packet.link_type for packet in CaptureFile(bytes(octets)).packets()} == {113}


def block(order, block_type, body):
    body += bytes(-len(body) % 4)
    length = len(body) + 12
    return struct.pack(f"{order}II", block_type, length) + body + struct.pack(f"{order}I", length)


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1))


def option(order, code, value):
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(order, *options, link_type=1, snap_length=0):
    return block(order, 1, struct.pack(f"{order}HHI", link_type, 0, snap_length) + b"".join(options))


def enhanced(order, ticks, octets, interface_id=0):
    head = struct.pack(f"{order}IIIII", interface_id, ticks >> 32, ticks & 0xFFFFFFFF, len(octets), len(octets))
    return block(order, 6, head + octets + bytes(-len(octets) % 4) + option(order, 0, b""))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("options", "ticks_in_a_second"),
    [
        ((), 10**6),
        ((b"\x03",), 10**3),
        ((b"\x09",), 10**9),
        ((b"\x0a",), 10**10),
        ((b"\x8a",), 1 << 10),
        ((b"\x80",), 1),
    ],
    ids=["default", "ms", "ns", "10-to-the-10", "2-to-the-10", "s"],
)
def test_pcapng_resolutions(order, options, ticks_in_a_second):
    comment = option(order, 1, b"a comment")
    found = [comment, *(option(order, 9, value) for value in options), option(order, 0, b"")]
    ticks = 5 * ticks_in_a_second + ticks_in_a_second // 2
    octets = section(order) + interface(order, *found) + enhanced(order, ticks, b"packet")
    file, packets = read(octets)
    assert file.format == "pcapng"
    assert packets == [(5 * 10**9 + (10**9 * (ticks_in_a_second // 2)) // ticks_in_a_second, b"packet")]
    assert file.damage == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_offset_of_the_time_stamps(order):
    offset = option(order, 14, struct.pack(f"{order}q", -3))
    _, packets = read(section(order) + interface(order, offset) + enhanced(order, 10_000_000, b"late"))
    assert packets == [(7 * 10**9, b"late")]


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_simple_and_obsolete_packets(order):
    simple = block(order, 3, struct.pack(f"{order}I", 10) + b"0123456789")
    obsolete = block(order, 2, struct.pack(f"{order}HHIIII", 0, 7, 0, 2_000_000, 3, 3) + b"old")
    _, packets = read(section(order) + interface(order, snap_length=8) + simple + obsolete)
    assert packets == [(0, b"01234567"), (2 * 10**9, b"old")]


def test_pcapng_interfaces_are_those_of_their_section():
    first = section("<") + interface("<", link_type=1) + interface("<", link_type=101) + enhanced("<", 0, b"a", 1)
    second = section(">") + interface(">", link_type=113) + enhanced(">", 0, b"b", 0)
    file = CaptureFile(first + second)
    assert [packet.link_type for packet in file.packets()] == [101, 113]
    assert file.damage == []


def test_pcapng_blocks_of_no_interest_are_skipped():
    octets = (
        section("<") + block("<", 4, b"names") + interface("<") + block("<", 0xBAD, b"custom") + enhanced("<", 0, b"a")
    )
    assert [octets for _, octets in read(octets)[1]] == [b"a"]


def test_pcapng_keeps_tls_keys():
    keys = b"CLIENT_RANDOM " + b"ab" * 32 + b" " + b"cd" * 48 + b"\n"
    secrets = block("<", 10, struct.pack("<II", 0x544C534B, len(keys)) + keys)
    file, _ = read(section("<") + secrets + block("<", 10, struct.pack("<II", 1, 0)))
    assert file.key_log.strip() == keys.strip()


@pytest.mark.parametrize(
    ("octets", "damage"),
    [
        (section("<") + enhanced("<", 0, b"a"), "names an interface that is not described"),
        (section("<") + interface("<") + enhanced("<", 0, b"a", 1), "names an interface that is not described"),
        (section("<") + block("<", 3, struct.pack("<I", 10) + b"0123456789"), "names an interface"),
        (section("<") + interface("<") + block("<", 6, bytes(8)), "is malformed"),
        (section("<") + interface("<") + struct.pack("<II", 6, 8) + bytes(8), "promises 8 octets"),
        (section("<") + interface("<") + struct.pack("<II", 6, 4000) + bytes(8), "promises 4000 octets"),
        (section("<") + interface("<") + b"\0\0", "no block of pcapng begins at octet 48"),
        (b"\x0a\x0d\x0d\x0a" + bytes(24), "no block of pcapng begins at octet 0"),
    ],
)
def test_pcapng_damage_is_said(octets, damage):
    file, packets = read(octets)
    assert packets == []
    assert damage in file.damage[0]


def test_a_packet_longer_than_its_block_is_cut():
    head = struct.pack("<IIIII", 0, 0, 0, 9, 9)
    file, packets = read(section("<") + interface("<") + block("<", 6, head + b"four"))
    assert packets == [(0, b"four")]
    assert "promises 9 octets, its block has 4" in file.damage[0]


WHOLE = [
    pcap_file("<", b"\xd4\xc3\xb2\xa1", 1000),
    section("<") + interface("<") + enhanced("<", 1, b"a" * 7) + enhanced("<", 2, b"b"),
]


@pytest.mark.parametrize("octets", WHOLE, ids=["pcap", "pcapng"])
def test_a_file_cut_anywhere_gives_the_packets_before_the_cut(octets):
    _, whole = read(octets)
    ends = set()
    for size in range(4, len(octets)):
        file, packets = read(octets[:size])
        complete = packets[:-1] if file.damage and packets and packets[-1] not in whole else packets
        assert complete == whole[: len(complete)]
        if not file.damage:
            ends.add(size)
    assert len(ends) <= len(whole) + 2, "only a cut between two packets or blocks goes unnoticed"


def test_times_that_64_bits_cannot_hold_are_bounded():
    octets = section("<") + interface("<", option("<", 9, b"\x80")) + enhanced("<", (1 << 64) - 1, b"a")
    assert read(octets)[1] == [((1 << 63) - 1, b"a")]


@pytest.mark.parametrize(("writer", "name"), [(pcap.PcapWriter, "pcap"), (pcapng.PcapngWriter, "pcapng")])
def test_what_is_written_is_read(writer, name):
    file = io.BytesIO()
    written = writer(file)
    for seconds, nanoseconds, octets in PACKETS:
        written.write(seconds * 10**9 + nanoseconds, octets)
    found, packets = read(file.getvalue())
    assert found.format == name
    assert packets == [(s * 10**9 + n, octets) for s, n, octets in PACKETS]


def test_keys_that_are_written_are_read():
    file = io.BytesIO()
    pcapng.PcapngWriter(file).write_key_log(b"CLIENT_RANDOM 00 11")
    assert read(file.getvalue())[0].key_log == b"CLIENT_RANDOM 00 11\n"


@pytest.mark.parametrize(
    ("begin", "why"),
    [
        (bytes(128) + b"DICM", "a DICOM file"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"snoop\0\0\0", "snoop"),
    ],
)
def test_other_formats_are_named(begin, why):
    assert not is_capture(begin)
    assert why in why_no_capture(begin)


def test_what_is_no_capture_is_refused():
    with pytest.raises(NotDICOMError, match="neither a pcap nor a pcapng"):
        list(CaptureFile(b"anything").packets())
