"""Elements of identifiers: read beside pydicom, written and read again, and what can't be read (PS3.5 7)."""

import struct
from contextlib import suppress
from io import BytesIO

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_dataset

from dulcet.errors import DecodeError
from dulcet.services.querying.elements import Element, encode_elements, padded, read_elements

IMPLICIT, EXPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".2", ".1.99"))
NAME, STEPS, MODALITY, ROWS, TEXT = 0x00100010, 0x00400100, 0x00080060, 0x00280010, 0x0040A160
BOTH = pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])

TEXTS = st.sampled_from([0x00080080, 0x00081030, 0x00200010])


def data_sets(values, depth=2):
    texts = st.dictionaries(TEXTS, values.map(lambda value: Element(b"LO", value)), max_size=2)
    if not depth:
        return texts
    sequences = st.lists(data_sets(values, depth - 1), max_size=2).map(lambda items: Element(b"SQ", items=tuple(items)))
    return st.builds(lambda plain, inner: {**plain, STEPS: inner}, texts, sequences)


def as_pydicom(data_set):
    return {
        int(each.tag): [as_pydicom(item) for item in each.value] if each.VR == "SQ" else str(each.value or "")
        for each in data_set
    }


def as_read(elements):
    return {
        tag: element.value.decode().rstrip(" ") if element.items is None else [as_read(item) for item in element.items]
        for tag, element in elements.items()
    }


@BOTH
@settings(max_examples=50, deadline=None)
@given(elements=data_sets(st.sampled_from([b"", b"AB", b"ABC "])))
def test_pydicom_reads_the_same(syntax, elements):
    octets = encode_elements(elements, syntax)
    assert as_read(read_elements(octets, syntax)) == as_pydicom(read_dataset(BytesIO(octets), syntax == IMPLICIT, True))


@settings(max_examples=100, deadline=None)
@given(elements=data_sets(st.binary(max_size=6)))
def test_what_is_written_is_read_again(elements):
    assert read_elements(encode_elements(elements, EXPLICIT), EXPLICIT) == elements


@BOTH
def test_undefined_lengths_as_pydicom_writes_them(syntax):
    step = pydicom.Dataset()
    step.Modality = "CT"
    code = pydicom.Dataset()
    code.CodeValue = "1"
    step.ScheduledProtocolCodeSequence = [code]
    step["ScheduledProtocolCodeSequence"].is_undefined_length = True
    code.is_undefined_length_sequence_item = True
    data_set = pydicom.Dataset()
    data_set.PatientName = "A"
    data_set.ScheduledProcedureStepSequence = [step, pydicom.Dataset()]
    data_set["ScheduledProcedureStepSequence"].is_undefined_length = True
    step.is_undefined_length_sequence_item = True
    stream = pydicom.filebase.DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, syntax == IMPLICIT
    pydicom.filewriter.write_dataset(stream, data_set)
    octets = stream.getvalue()
    assert octets.count(b"\xff\xff\xff\xff") == 4
    read = read_elements(octets, syntax)
    first, second = read[STEPS].items
    assert first[MODALITY].value == b"CT"
    assert [code[0x00080100].value for code in first[0x00400008].items] == [b"1 "]
    assert second == {}


def test_the_vr_comes_from_the_dictionary_where_it_is_not_written():
    octets = b"".join(
        struct.pack("<HHI", tag >> 16, tag & 0xFFFF, 2) + b"AB" for tag in (NAME, ROWS, 0x00090010, 0x00091001)
    )
    vrs = [element.vr for element in read_elements(octets, IMPLICIT).values()]
    assert vrs == [b"PN", b"US", b"LO", b"UN"]


def test_a_sequence_of_unknown_vr_with_an_undefined_length_is_read():
    octets = b"\x09\0\x01\x10UN\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert read_elements(octets, EXPLICIT) == {0x00091001: Element(b"SQ", items=({},))}


def test_the_first_of_two_with_one_tag_counts():
    octets = encode_elements({NAME: Element(b"PN", b"A ")}, EXPLICIT) + encode_elements(
        {NAME: Element(b"PN", b"B ")}, EXPLICIT
    )
    assert read_elements(octets, EXPLICIT) == {NAME: Element(b"PN", b"A ")}


def sequence(item_octets, length=None):
    size = len(item_octets) if length is None else length
    return struct.pack("<HH2sHI", 0x0040, 0x0100, b"SQ", 0, size) + item_octets


ITEM = b"\xfe\xff\x00\xe0"
OPEN = b"\xff\xff\xff\xff"
END_ITEM, END = b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"


@pytest.mark.parametrize(
    ("octets", "explanation"),
    [
        (b"\x10\0\x10\0PN", "6 stray octets where an element was expected"),
        (b"\x10\0\x10\0PN\x04\0AB", r"\(0010,0010\): 4 octets promised, 2 present"),
        (b"\x10\0\x10\0\1\2\x02\0AB", r"\(0010,0010\) has no VR that is known"),
        (b"\x40\0\x60\xa1UT\0\0\2\0", "has no VR that is known"),
        (END_ITEM, r"\(FFFE,E00D\) stands where an element was expected"),
        (sequence(b"\x10\0\x10\0PN\x02\0AB"), r"\(0010,0010\) stands where an item was expected"),
        (sequence(ITEM + b"\x09\0\0\0"), "an item: 9 octets promised, 0 present"),
        (sequence(ITEM + OPEN), "an item is never closed"),
        (sequence(ITEM + b"\0\0\0\0", 0xFFFFFFFF), "a sequence is never closed"),
        (sequence(ITEM + OPEN + END), r"\(FFFE,E0DD\) stands where an element was expected"),
        (sequence(ITEM, 100), "100 octets promised, 4 present"),
        (sequence(b"AB"), "2 stray octets"),
    ],
)
def test_what_can_not_be_read(octets, explanation):
    with pytest.raises(DecodeError, match=explanation):
        read_elements(octets, EXPLICIT)


@pytest.mark.parametrize("length", ["defined", "undefined"])
def test_sequences_nested_too_deep(length):
    octets = b""
    for _ in range(65):
        if length == "defined":
            octets = sequence(ITEM + struct.pack("<I", len(octets)) + octets)
        else:
            octets = sequence(ITEM + OPEN + octets + END_ITEM + END, 0xFFFFFFFF)
    with pytest.raises(DecodeError, match="more than 64 sequences in one another"):
        read_elements(octets, EXPLICIT)


def test_twenty_thousand_nested_sequences_are_no_recursion():
    octets = sequence(ITEM + OPEN, 0xFFFFFFFF) * 20_000
    with pytest.raises(DecodeError, match="more than 64"):
        read_elements(octets, EXPLICIT)


@pytest.mark.parametrize("syntax", [BIG, DEFLATED, "1.2.3"])
def test_other_transfer_syntaxes_are_not_read(syntax):
    with pytest.raises(DecodeError, match="not read in this transfer syntax"):
        read_elements(b"", syntax)


@settings(max_examples=300, deadline=None)
@given(octets=st.binary(max_size=60), syntax=st.sampled_from([IMPLICIT, EXPLICIT]))
def test_any_octets_are_elements_or_a_decode_error(octets, syntax):
    with suppress(DecodeError):
        encode_elements(read_elements(octets, syntax), syntax)


def test_a_value_longer_than_its_vr_can_count():
    uids = Element(b"UI", b"1" * 0xFFFE)
    assert read_elements(encode_elements({STEPS: uids}, EXPLICIT), EXPLICIT) == {STEPS: uids}
    with pytest.raises(ValueError, match="65536 octets are more than a UI can count"):
        encode_elements({0x0020000D: Element(b"UI", b"1" * 0x10000)}, EXPLICIT)
    assert len(encode_elements({0x0020000D: Element(b"UI", b"1" * 0x10000)}, IMPLICIT)) == 0x10008


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [(b"UI", b"1", b"1\0"), (b"PN", b"A", b"A "), (b"PN", b"AB", b"AB"), (b"UN", b"1", b"1\0"), (b"OB", b"", b"")],
)
def test_padding(vr, value, expected):
    assert padded(vr, value) == expected
