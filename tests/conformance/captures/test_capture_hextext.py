"""Hexadecimal as people have it: every tool's way of writing the same octets."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.conformance.captures.hextext import looks_like_hex, read_hex
from dulcet.conformance.captures.streams import Direction
from dulcet.errors import NotDICOMError

OCTETS = bytes.fromhex(
    "0100000000b70001000053 48525f5343505f31 3437202020 2020616220 636420656620 2020aaab00".replace(" ", "")
)

XXD = """\
00000000: 0100 0000 00b7 0001 0000 5348 525f 5343  ..........SHR_SC
00000010: 505f 3134 3720 2020 2020 6162 2063 6420  P_147     ab cd
00000020: 6566 2020 20aa ab00                      ef   ...
"""
XXD_SINGLE = """\
00000000: 01 00 00 00 00 b7 00 01 00 00 53 48 52 5f 53 43  ..........SHR_SC
00000010: 50 5f 31 34 37 20 20 20 20 20 61 62 20 63 64 20  P_147     ab cd
00000020: 65 66 20 20 20 aa ab 00                          ef   ...
"""
XXD_PLAIN = "0100000000b70001000053485 25f5343505f3134372020202020616220636420656620 2020aaab00".replace(" ", "")
XXD_INCLUDE = """\
unsigned char abort_pdu[] = {
  0x01, 0x00, 0x00, 0x00, 0x00, 0xb7, 0x00, 0x01, 0x00, 0x00, 0x53, 0x48,
  0x52, 0x5f, 0x53, 0x43, 0x50, 0x5f, 0x31, 0x34, 0x37, 0x20, 0x20, 0x20,
  0x20, 0x20, 0x61, 0x62, 0x20, 0x63, 0x64, 0x20, 0x65, 0x66, 0x20, 0x20,
  0x20, 0xaa, 0xab, 0x00
};
unsigned int abort_pdu_len = 40;
"""
HEXDUMP = """\
00000000  01 00 00 00 00 b7 00 01  00 00 53 48 52 5f 53 43  |..........SHR_SC|
00000010  50 5f 31 34 37 20 20 20  20 20 61 62 20 63 64 20  |P_147     ab cd |
00000020  65 66 20 20 20 aa ab 00                           |ef   ...|
00000028
"""
OD = """\
000000 01 00 00 00 00 b7 00 01 00 00 53 48 52 5f 53 43
000010 50 5f 31 34 37 20 20 20 20 20 61 62 20 63 64 20
000020 65 66 20 20 20 aa ab 00
000028
"""
WIRESHARK = """\
0000   01 00 00 00 00 b7 00 01 00 00 53 48 52 5f 53 43   ..........SHR_SC
0010   50 5f 31 34 37 20 20 20 20 20 61 62 20 63 64 20   P_147     ab cd
0020   65 66 20 20 20 aa ab 00                           ef   ...
"""
COMMENTED = """\
# A-ASSOCIATE-RQ, the begin
01                # pdu_type
00 00 00 00 b7    // length
0001 00 00        ; version
53:48:52:5f:53:43:50:5f:31:34:37:20:20:20:20:20
'61622063 64206566', {20 20 20}, [aa], (ab), \\x00
"""


@pytest.mark.parametrize(
    "text", [XXD, XXD_SINGLE, XXD_PLAIN, XXD_INCLUDE, HEXDUMP, OD, WIRESHARK, COMMENTED, OCTETS.hex(" ").upper()]
)
def test_ways_to_write_octets(text):
    found = read_hex(text)
    assert found.octets == OCTETS
    assert not found.has_directions
    assert bytes(found.halves[Direction.TO_SERVER].read(0, 99)) == OCTETS


FOLLOWED = """\
===================================================================
Follow: tcp,hex
Filter: tcp.stream eq 0
Node 0: 127.0.0.1:41828
Node 1: 127.0.0.1:14242
00000000  05 00 00 00 00 04 00 00  00 00                    ........ ..
\t00000000  04 00 00 00 00 06 00 00  00 02 01 02              ........ ....
\t0000000C  06 00 00 00 00 04 00 00  00 00                    ........ ..
0000000A  07 00 00 00 00 04 00 00  00 00                    ........ ..
===================================================================
"""


def test_a_followed_stream_keeps_its_directions():
    found = read_hex(FOLLOWED)
    assert found.has_directions
    halves = {direction: bytes(octets.read(0, 99)) for direction, octets in found.halves.items()}
    assert halves[Direction.TO_SERVER] == bytes.fromhex("05000000000400000000 07000000000400000000")
    assert halves[Direction.TO_CLIENT] == bytes.fromhex("040000000006000000020102 06000000000400000000")
    assert [found.halves[Direction.TO_SERVER].packet_at(offset) for offset in (0, 10)] == [1, 3]
    assert found.halves[Direction.TO_CLIENT].packet_at(12) == 2


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "data").rglob("*.hex")), ids=lambda path: path.stem
)
def test_golden_octets_of_the_tests_are_read(path):
    lines = path.read_text().splitlines()
    assert read_hex(path.read_text()).octets == bytes.fromhex(" ".join(line.partition("#")[0] for line in lines))


@given(st.binary(min_size=1, max_size=70), st.sampled_from((" ", "", ", ", "\n", ":", "\t")))
def test_any_octets_any_separator(octets, separator):
    assert read_hex(separator.join(f"{octet:02x}" for octet in octets)).octets == octets


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "line 1 is no hexadecimal: 'hello'"),
        ("00 00\n00 0", "line 2 is no hexadecimal"),
        ("", "it holds no octets"),
        ("# nothing\n\n", "it holds no octets"),
        ("0000  01\n  0000  02\n    0000  03\n", "indented in more than two ways"),
        ("\x1b[31mred", r"no hexadecimal: '\\x1b\[31mred'"),
    ],
)
def test_what_is_no_hexadecimal_is_named(text, message):
    with pytest.raises(NotDICOMError, match=message):
        read_hex(text)


def test_an_offset_that_is_none_is_part_of_the_octets():
    """`0100` at the begin of a line is no offset unless the rows before it end there."""
    assert read_hex("0700 0000\n0004 0000 0201").octets == bytes.fromhex("07000000000400000201")


@pytest.mark.parametrize(
    ("word", "expected"),
    [("07 00", True), ("0x07,0x00", True), ("0700", True), ("7", False), ("capture.pcap", False), ("-", False)],
)
def test_looks_like_hex(word, expected):
    assert looks_like_hex(word) is expected
