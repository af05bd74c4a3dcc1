"""The walk over a data set: what holds together passes, what doesn't is refused, in whatever pieces it comes."""

import struct
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dulcet.dimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from dulcet.errors import DecodeError
from dulcet.services.part10 import read_header
from dulcet.services.storing.data_set_walk import DataSetWalk

TEST_DATA = Path(pydicom.__file__).parent / "data"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
LONG_VRS = (b"OB", b"OW", b"SQ", b"UN", b"UT")
UNDEFINED = 0xFFFFFFFF

EXPLICIT, IMPLICIT, BIG_ENDIAN = EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN
SYNTAXES = (EXPLICIT, IMPLICIT, BIG_ENDIAN)


def order(syntax):
    return ">" if syntax == BIG_ENDIAN else "<"


def element(tag, vr, value=b"", *, length=None, syntax=EXPLICIT):
    """One data element; `length` is what its header says if that isn't true."""
    length = len(value) if length is None else length
    group, number = tag >> 16, tag & 0xFFFF
    if syntax == IMPLICIT:
        return struct.pack("<HHI", group, number, length) + value
    if vr in LONG_VRS:
        return struct.pack(order(syntax) + "HH2sHI", group, number, vr, 0, length) + value
    return struct.pack(order(syntax) + "HH2sH", group, number, vr, length) + value


def delimiter(number, length=0, syntax=EXPLICIT):
    return struct.pack(order(syntax) + "HHI", 0xFFFE, number, length)


def item(content, *, closed=True, length=None, syntax=EXPLICIT):
    """An item of defined length, or one that is closed by a delimiter when `length` is UNDEFINED."""
    is_undefined = length == UNDEFINED
    length = len(content) if length is None else length
    end = delimiter(0xE00D, syntax=syntax) if is_undefined and closed else b""
    return delimiter(0xE000, length, syntax) + content + end


def sequence(tag, *items, vr=b"SQ", undefined=False, closed=True, syntax=EXPLICIT):
    content = b"".join(items)
    if not undefined:
        return element(tag, vr, content, syntax=syntax)
    end = delimiter(0xE0DD, syntax=syntax) if closed else b""
    return element(tag, vr, content + end, length=UNDEFINED, syntax=syntax)


def nested(depth, *, undefined, syntax=EXPLICIT, vr=b"SQ"):
    octets = element(0x00100010, b"PN", b"A^B ", syntax=syntax)
    for _ in range(depth):
        within = item(octets, length=UNDEFINED if undefined else None, syntax=syntax)
        octets = sequence(0x00081140, within, undefined=undefined, syntax=syntax, vr=vr)
    return octets


def uids(sop_class=b"1.2.840.10008.5.1.4.1.1.2\0", instance=b"1.2.3.4\0", syntax=EXPLICIT):
    return element(0x00080016, b"UI", sop_class, syntax=syntax) + element(0x00080018, b"UI", instance, syntax=syntax)


def walked(octets, syntax=EXPLICIT, *, pieces=None):
    walk = DataSetWalk(syntax)
    for piece in [octets] if pieces is None else pieces:
        walk.feed(memoryview(piece))
    walk.finish()
    return walk


def verdict(octets, syntax, *, pieces=None):
    """The UIDs, or what is wrong."""
    try:
        walk = walked(octets, syntax, pieces=pieces)
    except DecodeError as error:
        return str(error)
    return walk.sop_class_uid, walk.sop_instance_uid, walk.octets


def cut(octets, positions):
    bounds = [0, *sorted(position % (len(octets) + 1) for position in positions), len(octets)]
    return [octets[start:end] for start, end in pairwise(bounds)]


# Real data sets -----------------------------------------------------------------------------------------------------

BROKEN = {
    "MR_truncated.dcm": "it ends 62 octets before its Pixel Data does",
    "rtplan_truncated.dcm": "it ends in the middle of a sequence",
    "DICOMDIR-nooffset": "its one sequence says that it is 24 octets longer than the file",
}


def _test_files():
    for path in sorted((*TEST_DATA.glob("test_files/**/*"), *TEST_DATA.glob("charset_files/*"))):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            try:
                header = read_header(file.fileno())
            except Exception:  # test_part10 says which these are
                continue
        yield pytest.param(path, header, id=path.name)


TEST_FILES = list(_test_files())


@pytest.mark.parametrize(("path", "header"), TEST_FILES)
def test_real_data_sets_are_taken_unless_they_are_broken(path, header):
    octets = path.read_bytes()[header.data_set_offset :]
    if path.name in BROKEN:
        with pytest.raises(DecodeError, match=r"octets (too early|beyond the end)"):
            walked(octets, header.transfer_syntax_uid)
        return
    walk = walked(octets, header.transfer_syntax_uid)
    assert walk.octets == len(octets)
    if walk.sop_instance_uid:
        assert walk.sop_instance_uid.decode() == header.sop_instance_uid
        assert walk.sop_class_uid.decode() == header.sop_class_uid


def test_there_are_enough_real_data_sets():
    assert len(TEST_FILES) > 100
    assert BROKEN.keys() <= {parameter.id for parameter in TEST_FILES}


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "SC_rgb_rle_2frame.dcm", "UN_sequence.dcm",
     "JPEG2000-embedded-sequence-delimiter.dcm", "rtplan_truncated.dcm", "test-SR.dcm", "badVR.dcm"],
)  # fmt: skip
@pytest.mark.parametrize("step", [1, 7, 4096])
def test_real_data_sets_in_pieces(name, step):
    with (TEST_DATA / "test_files" / name).open("rb") as file:
        header = read_header(file.fileno())
        file.seek(header.data_set_offset)
        octets = file.read()[:12_000]  # all cut in their pixels but the small ones
    pieces = [octets[start : start + step] for start in range(0, len(octets), step)]
    syntax = header.transfer_syntax_uid
    assert verdict(octets, syntax, pieces=pieces) == verdict(octets, syntax)


# Any split, any octets ----------------------------------------------------------------------------------------------


@st.composite
def data_sets(draw, syntax, depth=3):
    """Elements of a data set that holds together, in the encoding of `syntax`."""
    tags = sorted(draw(st.sets(st.integers(0x00090001, 0x7FE00010), max_size=5)))
    octets = b""
    for tag in tags:
        kind = draw(st.sampled_from(["short", "long", "sequence", "UN"] if depth else ["short", "long"]))
        if kind in ("short", "long"):
            value = draw(st.binary(max_size=20))
            octets += element(tag, {"short": b"LO", "long": b"OB"}[kind], value, syntax=syntax)
            continue
        content = draw(st.lists(data_sets(syntax, depth - 1), max_size=2))
        lengths = st.sampled_from([None, UNDEFINED])
        items = [item(inner, length=draw(lengths), syntax=syntax) for inner in content]
        undefined = draw(st.booleans()) and tag != 0x7FE00010
        octets += sequence(tag, *items, undefined=undefined, vr=b"SQ" if kind == "sequence" else b"UN", syntax=syntax)
    return octets


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(data=st.data())
@settings(deadline=None)
def test_what_holds_together_is_taken(syntax, data):
    octets = uids(syntax=syntax) + data.draw(data_sets(syntax))
    walk = walked(octets, syntax)
    assert (walk.sop_class_uid, walk.sop_instance_uid) == (b"1.2.840.10008.5.1.4.1.1.2", b"1.2.3.4")


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(data=st.data())
@settings(deadline=None)
def test_any_split_gives_the_same_verdict(syntax, data):
    octets = bytearray(uids(syntax=syntax) + data.draw(data_sets(syntax)))
    for position, octet in data.draw(
        st.lists(st.tuples(st.integers(0, len(octets) - 1), st.integers(0, 255)), max_size=2)
    ):
        octets[position] = octet  # some are broken, some are not
    octets = bytes(octets[: data.draw(st.integers(0, len(octets)))]) if data.draw(st.booleans()) else bytes(octets)
    pieces = cut(octets, data.draw(st.lists(st.integers(0, len(octets)), max_size=10)))
    assert verdict(octets, syntax, pieces=pieces) == verdict(octets, syntax)
    assert verdict(octets, syntax, pieces=[bytes([octet]) for octet in octets]) == verdict(octets, syntax)


@pytest.mark.parametrize("syntax", [*SYNTAXES, JPEG_BASELINE, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "1.2.3", ""])
@given(octets=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_random_octets_raise_nothing_but_a_decode_error(syntax, octets):
    verdict(octets, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
def test_every_truncation_is_found(syntax, undefined):
    last = sequence(0x00081140, item(uids(syntax=syntax), syntax=syntax), undefined=undefined, syntax=syntax)
    first = uids(syntax=syntax)
    octets = first + last
    walked(octets, syntax)
    boundaries = {len(first), len(element(0x00080016, b"UI", bytes(26), syntax=syntax))}
    for end in range(1, len(octets)):
        if end in boundaries:  # a shorter data set, which is as good as any
            walked(octets[:end], syntax)
            continue
        with pytest.raises(DecodeError, match=r"ends in|never closed"):
            walked(octets[:end], syntax)


# What is refused ----------------------------------------------------------------------------------------------------


def test_an_empty_data_set_is_refused():
    for syntax in (*SYNTAXES, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "1.2.3"):
        with pytest.raises(DecodeError, match="the data set is empty"):
            walked(b"", syntax)


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        (element(0x00100010, b"PN") + element(0x00080005, b"CS"), r"\(0008,0005\) comes after \(0010,0010\)"),
        (element(0x00100010, b"PN") * 2, r"\(0010,0010\) comes after \(0010,0010\)"),
        (element(0x00000002, b"UI"), r"\(0000,0002\) does not belong in a data set"),
        (element(0x00020010, b"UI"), r"\(0002,0010\) does not belong in a data set"),
        (bytes(300), r"\(0000,0000\) does not belong"),
        (element(0x00100010, b"PN", b"ab", length=4), r"ends in \(0010,0010\), 2 octets too early"),
        (element(0x7FE00010, b"OW", b"ab", length=0xFFFFFF00), r"ends in \(7FE0,0010\), 4294967038 octets too early"),
        (b"\x10\0\x10", "ends in the header of an element"),
        (element(0x7FE00010, b"OW")[:11], "ends in the header of an element"),
        (item(b""), r"\(FFFE,E000\) stands where an element was expected"),
        (delimiter(0xE00D), r"\(FFFE,E00D\) stands where an element was expected"),
        (delimiter(0xE0DD), r"\(FFFE,E0DD\) stands where an element was expected"),
        (sequence(0x00081140, b"12345678"), r"\(3231,3433\) stands in \(0008,1140\) where an item was expected"),
        (sequence(0x00081140, element(0x00100010, b"PN")), r"\(0010,0010\) stands in \(0008,1140\) where an item"),
        (sequence(0x00081140, delimiter(0xE00D)), r"\(FFFE,E00D\) stands in \(0008,1140\)"),
        (sequence(0x00081140, delimiter(0xE0DD), item(b"")), r"\(FFFE,E0DD\) stands in \(0008,1140\)"),
        (sequence(0x00081140, item(b"", length=2)), r"\(0008,1140\) goes 2 octets beyond the end of what it lies in"),
        (
            sequence(0x00081140, item(element(0x00100010, b"PN", b"ab", length=6)), item(b"abcd")),
            r"\(0010,0010\) goes 4 octets beyond the end of what it lies in",
        ),
        (
            sequence(0x00081140, item(element(0x00081140, b"SQ", b"", length=8))),
            r"\(0008,1140\) goes 8 octets beyond the end of what it lies in",
        ),
        (sequence(0x00081140, item(delimiter(0xE00D))), r"\(FFFE,E00D\) stands where an element was expected"),
        (sequence(0x00081140, undefined=True, closed=False), r"\(0008,1140\) is never closed"),
        (sequence(0x00081140, item(b"", length=UNDEFINED, closed=False)), r"\(0008,1140\) is never closed"),
        (
            sequence(0x00081140, item(sequence(0x00081140, undefined=True, closed=False))),
            r"\(0008,1140\) is never closed",
        ),
        (sequence(0x00081140, item(b"", length=UNDEFINED, closed=False), undefined=True), "stands where an element"),
        (sequence(0x7FE00010, item(b"", length=UNDEFINED), vr=b"OB", undefined=True), "where an item was expected"),
        (sequence(0x7FE00010, item(b"ab"), vr=b"OB", undefined=True, closed=False), r"\(7FE0,0010\) is never closed"),
        (
            sequence(0x00081140, item(sequence(0x7FE00010, item(b"ab", length=4), vr=b"OB", undefined=True))),
            r"\(7FE0,0010\) ends in the header",
        ),
    ],
)
def test_what_no_reader_can_make_sense_of_is_refused(octets, sentence):
    with pytest.raises(DecodeError, match=sentence):
        walked(octets)
    with pytest.raises(DecodeError, match=sentence):
        walked(octets, pieces=[octets[start : start + 1] for start in range(len(octets))])


def test_an_error_says_where():
    with pytest.raises(DecodeError) as raised:
        walked(element(0x00100010, b"PN", b"abcd") + element(0x00080005, b"CS"))
    assert raised.value.offset == 12


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("vr", [b"SQ", b"UN"])
def test_64_sequences_may_lie_in_each_other_and_no_more(syntax, undefined, vr):
    walked(nested(64, undefined=undefined, syntax=syntax, vr=vr), syntax)
    with pytest.raises(DecodeError, match="nested more than 64 sequences deep"):
        walked(nested(65, undefined=undefined, syntax=syntax, vr=vr), syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_20_000_nested_sequences_cost_nothing(syntax):
    opening = element(0x00081140, b"SQ", length=UNDEFINED, syntax=syntax) + delimiter(0xE000, UNDEFINED, syntax)
    walk = DataSetWalk(syntax)
    with pytest.raises(DecodeError, match=r"\(0008,1140\) is nested more than 64 sequences deep"):
        walk.feed(opening * 20_000)
    assert len(walk._above) <= 2 * 65


# What is odd, and taken ---------------------------------------------------------------------------------------------

AFTER = element(0x00100010, b"PN", b"ab")


@pytest.mark.parametrize(
    "octets",
    [
        element(0x00090010, b"LO", b"odd"),
        element(0x00090010, b"XX", b"ab"),
        struct.pack("<HH2sHI", 9, 0x10, b"XX", 0, 2) + b"ab",
        element(0x00090010, b"", b"an implicit element", syntax=IMPLICIT),
        struct.pack("<HH2sH", 9, 0x10, b"\0\0", 0),
        element(0x00090010, b"SQ", item(b"") + delimiter(0xE0DD)),
        element(0x00090010, b"SQ", item(AFTER, length=UNDEFINED) + delimiter(0xE0DD, 0x1234), length=UNDEFINED),
        sequence(0x00090010, delimiter(0xE000, UNDEFINED) + delimiter(0xE00D, 7), undefined=True),
        sequence(0x00090010, item(AFTER), vr=b"UN", undefined=True),
        sequence(0x00090010, item(element(0x00100010, b"", b"ab", syntax=IMPLICIT)), vr=b"UN", undefined=True),
        sequence(0x00090010, item(b"a"), item(b""), vr=b"OB", undefined=True),
        sequence(0x00090010, item(b"a"), vr=b"OW", undefined=True),
        element(0x00010001, b"LO", b"a group that PS3.5 7.8.1 forbids"),
    ],
)
def test_what_is_odd_but_clear_is_taken(octets):
    whole = octets + AFTER
    walked(whole)
    walked(whole, pieces=[whole[start : start + 1] for start in range(len(whole))])


def test_big_endian_un_holds_little_endian_items():
    """PS3.5 6.2.2: Implicit VR Little Endian, whatever is around it."""
    within = item(element(0x00100010, b"", b"abcd", syntax=IMPLICIT), length=UNDEFINED)
    head = element(0x00090010, b"UN", length=UNDEFINED, syntax=BIG_ENDIAN)
    walked(head + within + delimiter(0xE0DD) + element(0x00100010, b"PN", b"ab", syntax=BIG_ENDIAN), BIG_ENDIAN)


@pytest.mark.parametrize(
    "value",
    [
        item(b"this is not a data set at all"),
        item(b"", length=1000),
        item(element(0x00100010, b"LO", b"ab", length=200)),
        item(b"ab") + b"no item",
        item(sequence(0x00081140, undefined=True, closed=False)) + bytes(20),
        item(item(item(b"abc"))),
        item(b"") + b"a tail",
        item(AFTER + b"a tail"),
    ],
)
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_value_that_only_begins_like_a_sequence_is_skipped(syntax, value):
    octets = element(0x00090010, b"UN", value, syntax=syntax)
    walked(octets, syntax)
    octets += element(0x00100010, b"PN", b"abcd", syntax=syntax)
    walked(octets, syntax)
    walked(octets, syntax, pieces=[octets[start : start + 1] for start in range(len(octets))])
    with pytest.raises(DecodeError, match="comes after"):  # the walk is where it should be
        walked(octets * 2, syntax)


def test_a_value_that_is_no_sequence_and_cut_short_is_found_whatever_the_split():
    """Its last octets end an element of what looked like an item, so that only the end tells that it is none."""
    octets = bytes.fromhex("40 00 06 FF ED 45 54 00  FE FF 00 E0 11 00 00 00  08 00 60 00 02 00 00 00 43 54")
    for at in range(len(octets) + 1):
        with pytest.raises(DecodeError, match=r"ends in \(0040,FF06\), 5522907 octets too early"):
            walked(octets, IMPLICIT, pieces=[octets[:at], octets[at:]])


def test_pixel_data_is_never_taken_for_a_sequence():
    octets = element(0x7FE00010, b"", nested(65, undefined=False, syntax=IMPLICIT), syntax=IMPLICIT)
    walked(octets, IMPLICIT)


@pytest.mark.parametrize("syntax", [DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "1.2.3.4", ""])
def test_what_can_not_be_looked_into_is_taken_as_it_is(syntax):
    walk = walked(b"\xff" * 100, syntax)
    assert walk.is_opaque
    assert walk.octets == 100
    assert walk.sop_instance_uid is None


# What it says of itself ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"1.2.3\0", b"1.2.3"),
        (b"1.2.3 ", b"1.2.3"),
        (b"1.2.3.", b"1.2.3."),
        (b"", b""),
        (b"1" * 128, b"1" * 128),
        (b"1" * 129, b""),
        (b"1" * 1000, b""),
    ],
)
def test_uids_are_kept_whatever_the_split(syntax, value, expected):
    octets = uids(instance=value, syntax=syntax) + element(0x00100010, b"PN", b"abcd", syntax=syntax)
    for position in range(len(octets)):
        walk = walked(octets, syntax, pieces=[octets[:position], octets[position:]])
        assert walk.sop_instance_uid == expected
        assert walk.sop_class_uid == b"1.2.840.10008.5.1.4.1.1.2"


def test_uids_of_items_are_not_those_of_the_object():
    walk = walked(sequence(0x00081140, item(uids()), item(uids(), length=UNDEFINED)))
    assert (walk.sop_class_uid, walk.sop_instance_uid) == (None, None)


# Resources ----------------------------------------------------------------------------------------------------------


def test_a_value_of_1500_mb_is_only_counted():
    octets = memoryview(bytes(1024 * 1024))
    walk = DataSetWalk(EXPLICIT)
    walk.feed(uids() + element(0x7FE00010, b"OW", length=1500 * len(octets)))
    tracemalloc.start()
    for _ in range(1500):
        walk.feed(octets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    walk.finish()
    assert walk.octets > 1500 * len(octets)
    assert peak < 10_000


def test_what_is_carried_over_is_bounded():
    """No more than a header and a UID, whatever the lengths say and however small the pieces are."""
    octets = uids(instance=b"1" * 128) + element(0x00090010, b"UN", b"a" * 500)
    octets += sequence(0x00101000, item(nested(20, undefined=True)))
    walk = DataSetWalk(EXPLICIT)
    for octet in octets:
        walk.feed(bytes([octet]))
        assert len(walk._carry) < 12 + 128
