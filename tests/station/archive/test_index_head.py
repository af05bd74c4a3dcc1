"""Reading the head of an object: what it takes, what it passes over, where it stops, what it refuses."""

import struct

import pytest

from dulcet.dimse.uids import EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dulcet.errors import DecodeError
from dulcet.services.part10 import Part10Header
from dulcet.services.querying.head import MAX_ELEMENTS, MAX_VALUE_OCTETS, WINDOW_OCTETS, read_head

NAME, ID, ROWS = 0x00100010, 0x00100020, 0x00280010
WANTED = frozenset({NAME, ID, ROWS})
DEFLATED = "1.2.840.10008.1.2.1.99"


def short(tag, vr, value, order="<"):
    return struct.pack(f"{order}HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def long(tag, vr, value, length=None):
    return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value) if length is None else length) + value


def structure(tag, length):
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length)


OPEN = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = (structure(tag, 0) for tag in (0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD))
OPEN_ITEM = structure(0xFFFEE000, OPEN)


@pytest.fixture
def read(tmp_path):
    def run(octets, syntax=EXPLICIT_VR_LITTLE_ENDIAN, before=b"x" * 7):
        path = tmp_path / "object"
        path.write_bytes(before + octets)
        header = Part10Header(
            sop_class_uid="",
            sop_instance_uid="",
            transfer_syntax_uid=syntax,
            data_set_offset=len(before),
            file_size=len(before) + len(octets),
        )
        with path.open("rb") as file:
            return read_head(file.fileno(), header, WANTED)

    return run


HEAD = short(NAME, b"PN", b"DOE^J ") + short(ID, b"LO", b"P1") + short(ROWS, b"US", b"\x00\x02")
FOUND = {NAME: b"DOE^J ", ID: b"P1", ROWS: b"\x00\x02"}


INNER = long(0x00080008, b"SQ", OPEN_ITEM + ITEM_END + SEQUENCE_END, OPEN)
LARGE = bytes(3 * WINDOW_OCTETS)


@pytest.mark.parametrize(
    "before",
    [
        b"",
        short(0x00080005, b"CS", b"ISO_IR 100"),
        long(0x00080007, b"OB", bytes(100)),
        long(0x00080007, b"OB", LARGE),
        long(0x00080007, b"SQ", b""),
        long(0x00080007, b"SQ", ITEM + ITEM),
        long(0x00080007, b"SQ", OPEN_ITEM + HEAD + ITEM_END + SEQUENCE_END, OPEN),
        long(0x00080007, b"UN", OPEN_ITEM + INNER + ITEM_END + SEQUENCE_END, OPEN),
        long(0x00080007, b"SQ", structure(0xFFFEE000, len(HEAD)) + HEAD + SEQUENCE_END, OPEN),
        long(0x00080007, b"SQ", structure(0xFFFEE000, len(LARGE)) + LARGE + SEQUENCE_END, OPEN),
    ],
    ids=range(10),
)
def test_what_comes_before_is_passed_over(read, before):
    assert read(before + HEAD + b"and then whatever") == FOUND


@pytest.mark.parametrize("cut", range(0, WINDOW_OCTETS + 200, 97))
def test_it_does_not_matter_where_a_window_ends(read, cut):
    assert read(long(0x00080007, b"OB", bytes(cut)) + HEAD) == FOUND


def test_it_stops_after_the_last_that_is_wanted(read):
    assert read(HEAD + short(0x00280011, b"US", b"\0\1") + b"\xff" * 100) == FOUND


def test_what_is_missing_is_left_out(read):
    assert read(short(ID, b"LO", b"P1")) == {ID: b"P1"}
    assert read(b"") == {}


def test_a_value_too_long_to_search_by_is_left_out(read):
    assert read(long(NAME, b"UT", bytes(MAX_VALUE_OCTETS + 2)) + short(ID, b"LO", b"P1")) == {ID: b"P1"}


def test_other_encodings(read):
    implicit = structure(NAME, 6) + b"DOE^J " + structure(ID, 2) + b"P1" + structure(ROWS, 2) + b"\0\2"
    assert read(implicit, IMPLICIT_VR_LITTLE_ENDIAN) == FOUND
    assert read(short(ROWS, b"US", b"\2\0", ">"), EXPLICIT_VR_BIG_ENDIAN) == {ROWS: b"\2\0"}


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (HEAD[:5], "in the header of an element"),
        (short(NAME, b"PN", b"DOE^J ")[:-2], "6 octets promised, 4 present"),
        (long(0x00080007, b"OB", b"")[:10], "in the header of an element"),
        (struct.pack("<HH2sH", 8, 5, b"??", 0), "no VR that is known"),
        (long(0x00080007, b"SQ", HEAD, OPEN), "where an item was expected"),
        (long(0x00080007, b"SQ", ITEM, OPEN), "in the header of an element"),
        (long(0x00080007, b"SQ", OPEN_ITEM + HEAD, OPEN), "in the header of an element"),
        ((long(0x00080007, b"SQ", b"", OPEN) + OPEN_ITEM) * 65, "more than 64 sequences"),
        ((long(0x00080007, b"SQ", b"", OPEN) + OPEN_ITEM) * 20_000, "more than 64 sequences"),
        (short(0x00080005, b"CS", b"") * (MAX_ELEMENTS + 1), f"more than {MAX_ELEMENTS} elements"),
        (long(0x00080007, b"SQ", ITEM * (MAX_ELEMENTS + 1), OPEN), f"more than {MAX_ELEMENTS} elements"),
    ],
)
def test_what_cannot_be_read(read, octets, words):
    with pytest.raises(DecodeError, match=words):
        read(octets)


@pytest.mark.parametrize(("syntax", "words"), [("1.2.3.4", "not known"), (DEFLATED, "can't be inflated")])
def test_transfer_syntaxes_that_do_not_help(read, syntax, words):
    with pytest.raises(DecodeError, match=words):
        read(b"\xff" * 100, syntax)
