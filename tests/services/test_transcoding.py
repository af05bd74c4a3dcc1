"""Elements one by one, in the octets of PS3.5 7.1."""

import contextlib
import os
import struct
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.errors import ConversionError
from dulcet.services.converting import transcoding
from dulcet.services.converting.transcoding import Encoding, transcode
from dulcet.services.value_representations import MAX_SEQUENCE_DEPTH

IMPLICIT = Encoding(explicit=False, little_endian=True)
EXPLICIT = Encoding(explicit=True, little_endian=True)
BIG = Encoding(explicit=True, little_endian=False)

UNDEFINED = 0xFFFFFFFF
LONG = {"ZZ", "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}


def converted(octets, source, target):
    with tempfile.TemporaryFile(buffering=0) as file, tempfile.TemporaryFile(buffering=0) as result:
        file.write(octets)
        written = transcode(file.fileno(), 0, len(octets), result, source, target)
        whole = os.pread(result.fileno(), written + 1, 0)
        assert len(whole) == written
        return whole


def element(encoding, tag, vr, value, length=None):
    length = len(value) if length is None else length
    order, group, number = encoding.order, tag >> 16, tag & 0xFFFF
    if not encoding.explicit or vr is None:
        return struct.pack(order + "HHI", group, number, length) + value
    if vr in LONG:
        return struct.pack(order + "HH2sHI", group, number, vr.encode(), 0, length) + value
    return struct.pack(order + "HH2sH", group, number, vr.encode(), length) + value


def item(encoding, octets, defined=True):
    if defined:
        return element(encoding, 0xFFFEE000, None, octets)
    end = element(encoding, 0xFFFEE00D, None, b"")
    return element(encoding, 0xFFFEE000, None, octets, UNDEFINED) + end


def sequence(encoding, tag, items, defined=True, vr="SQ"):
    octets = b"".join(items)
    if defined:
        return element(encoding, tag, vr, octets)
    return element(encoding, tag, vr, octets, UNDEFINED) + element(encoding, 0xFFFEE0DD, None, b"")


@pytest.mark.parametrize(
    ("vr", "little", "big"),
    [
        ("AT", "1800 0400", "0018 0004"),
        ("US", "0100 ff00", "0001 00ff"),
        ("SS", "feff", "fffe"),
        ("OW", "0102 0304", "0201 0403"),
        ("UL", "01020304", "04030201"),
        ("SL", "01020304", "04030201"),
        ("FL", "01020304", "04030201"),
        ("OF", "01020304 05060708", "04030201 08070605"),
        ("OL", "01020304", "04030201"),
        ("FD", "0102030405060708", "0807060504030201"),
        ("OD", "0102030405060708", "0807060504030201"),
        ("OV", "0102030405060708", "0807060504030201"),
        ("SV", "0102030405060708", "0807060504030201"),
        ("UV", "0102030405060708", "0807060504030201"),
        ("OB", "01020304", "01020304"),
        ("UN", "01020304", "01020304"),  # PS3.5 6.2.2: shall not be byte-swapped
        ("LO", "41422020", "41422020"),
        ("ZZ", "01020304", "01020304"),
        ("US", "010203", "020103"),  # not a whole number of numbers: the rest stays
        ("FL", "010203", "010203"),
    ],
)
def test_numbers_are_swapped_by_their_vr(vr, little, big):
    one = element(EXPLICIT, 0x00091010, vr, bytes.fromhex(little))
    other = element(BIG, 0x00091010, vr, bytes.fromhex(big))
    assert converted(one, EXPLICIT, BIG) == other
    assert converted(other, BIG, EXPLICIT) == one


@pytest.mark.parametrize("octets", [262143, 262144, 262145, 262150, 524296])
def test_a_number_is_not_cut_between_two_steps(octets):
    value = os.urandom(octets)
    whole = octets - octets % 8
    swapped = b"".join(value[start : start + 8][::-1] for start in range(0, whole, 8)) + value[whole:]
    assert converted(element(EXPLICIT, 0x00091010, "OV", value), EXPLICIT, BIG) == element(
        BIG, 0x00091010, "OV", swapped
    )


@pytest.mark.parametrize(
    ("tag", "vr"),
    [
        (0x00100010, "PN"),
        (0x00280010, "US"),
        (0x7FE00010, "OW"),  # Annex A.1
        (0x60003000, "OW"),
        (0x60023000, "OW"),
        (0x54001010, "OW"),
        (0x00283006, "OW"),
        (0x00281201, "OW"),
        (0x00090010, "LO"),  # 7.8.1: private creator
        (0x000900FF, "LO"),
        (0x00091010, "UN"),
        (0x00290001, "UN"),
        (0x00280999, "UN"),  # no such element
        (0x52009230, "SQ"),
    ],
)
def test_from_implicit_the_dictionary_knows_the_vr(tag, vr):
    value = b"" if vr == "SQ" else b"ab"
    implicit = element(IMPLICIT, tag, None, value)
    assert converted(implicit, IMPLICIT, EXPLICIT) == element(EXPLICIT, tag, vr, value)
    assert converted(element(EXPLICIT, tag, vr, value), EXPLICIT, IMPLICIT) == implicit


@pytest.mark.parametrize("target", [EXPLICIT, BIG])
def test_a_value_too_long_for_its_vr_becomes_un_and_stays_little_endian(target):
    value = bytes(range(256)) * 256
    long = element(IMPLICIT, 0x00280010, None, value)  # Rows, US
    assert converted(long, IMPLICIT, target) == element(target, 0x00280010, "UN", value)


def test_the_longest_value_with_a_16_bit_length_keeps_its_vr():
    value = b"1\\" * 32767
    assert converted(element(IMPLICIT, 0x30060050, None, value), IMPLICIT, EXPLICIT) == element(
        EXPLICIT, 0x30060050, "DS", value
    )


# Pixel Representation decides between US and SS ---------------------------------------------------------------------

PIXEL_REPRESENTATION, PADDING, BEFORE = 0x00280103, 0x00280120, 0x00280071


@pytest.mark.parametrize(("representation", "vr"), [(b"\0\0", "US"), (b"\1\0", "SS"), (b"", "US"), (None, "US")])
def test_pixel_representation_decides_wherever_it_stands(representation, vr):
    def data_set(encoding, vr_wanted):
        octets = sequence(encoding, 0x00221450, [item(encoding, element(encoding, 0x00221452, vr_wanted, b"ab"))])
        octets += element(encoding, BEFORE, vr_wanted, b"ab")
        if representation is not None:
            octets += element(encoding, PIXEL_REPRESENTATION, "US", representation)
        octets += element(encoding, PADDING, vr_wanted, b"ab")
        inner = item(encoding, element(encoding, 0x00409211, vr_wanted, b"ab"))
        return octets + sequence(encoding, 0x00409096, [inner], defined=False)

    assert converted(data_set(IMPLICIT, None), IMPLICIT, EXPLICIT) == data_set(EXPLICIT, vr)


def test_the_pixel_representation_of_an_item_holds_for_that_item():
    def data_set(encoding, inner_vr, outer_vr):
        inner = element(encoding, PIXEL_REPRESENTATION, "US", b"\1\0") + element(encoding, PADDING, inner_vr, b"ab")
        octets = sequence(encoding, 0x00081140, [item(encoding, inner)])
        octets += element(encoding, PIXEL_REPRESENTATION, "US", b"\0\0")
        return octets + element(encoding, PADDING, outer_vr, b"ab")

    assert converted(data_set(IMPLICIT, None, None), IMPLICIT, EXPLICIT) == data_set(EXPLICIT, "SS", "US")


def test_a_vr_is_corrected_even_after_it_was_written_out(monkeypatch):
    monkeypatch.setattr(transcoding, "BUFFER_OCTETS", 16)
    value = bytes(100)

    def data_set(encoding, vr):
        octets = element(encoding, BEFORE, vr, b"ab") + element(encoding, 0x00280099, "UN", value)
        return octets + element(encoding, PIXEL_REPRESENTATION, "US", b"\1\0")

    assert converted(data_set(IMPLICIT, None), IMPLICIT, EXPLICIT) == data_set(EXPLICIT, "SS")


# Sequences ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("target", [IMPLICIT, EXPLICIT, BIG])
@pytest.mark.parametrize("sequence_defined", [True, False])
@pytest.mark.parametrize("item_defined", [True, False])
@pytest.mark.parametrize("buffer_octets", [16, 256 * 1024])
def test_lengths_stay_defined_or_undefined(monkeypatch, source, target, sequence_defined, item_defined, buffer_octets):
    monkeypatch.setattr(transcoding, "BUFFER_OCTETS", buffer_octets)

    def data_set(encoding):
        value = b"\2\1" if encoding == BIG else b"\1\2"
        number = element(encoding, 0x00280010, "US", value)
        text = element(encoding, 0x00081155, "UI", b"1.2\0")
        inner = sequence(encoding, 0x00081199, [item(encoding, text, item_defined)] * 2, sequence_defined)
        outer = [item(encoding, inner + number, item_defined), item(encoding, b"", item_defined)]
        empty = sequence(encoding, 0x00081140, [], sequence_defined)
        return sequence(encoding, 0x00081115, outer, sequence_defined) + empty + text

    assert converted(data_set(source), source, target) == data_set(target)


def nested(encoding, depth):
    octets = b""
    for _ in range(depth):
        octets = sequence(encoding, 0x00081115, [item(encoding, octets, defined=False)], defined=False)
    return octets


def test_the_depth_of_sequences_is_bounded():
    assert converted(nested(EXPLICIT, MAX_SEQUENCE_DEPTH), EXPLICIT, BIG) == nested(BIG, MAX_SEQUENCE_DEPTH)
    with pytest.raises(ConversionError, match="more than 64 sequences deep"):
        converted(nested(EXPLICIT, MAX_SEQUENCE_DEPTH + 1), EXPLICIT, BIG)
    with pytest.raises(ConversionError, match="more than 64 sequences deep"):
        converted(nested(EXPLICIT, 20_000), EXPLICIT, BIG)


@pytest.mark.parametrize("source", [EXPLICIT, BIG])
@pytest.mark.parametrize("inside", [IMPLICIT, EXPLICIT, BIG, Encoding(explicit=False, little_endian=False)])
def test_un_of_undefined_length_is_a_sequence_however_it_is_encoded(source, inside):
    """PS3.5 6.2.2 says Implicit VR Little Endian."""
    if source == EXPLICIT and not inside.little_endian:
        return  # nobody was seen to do that

    def content(encoding):
        return item(
            encoding, element(encoding, 0x00280010, "US", b"\1\2" if encoding.little_endian else b"\2\1"), False
        )

    end = element(inside, 0xFFFEE0DD, None, b"")
    octets = element(source, 0x00091010, "UN", content(inside) + end, UNDEFINED)
    octets += element(source, 0x00100010, "PN", b"A^B ")
    for target in (IMPLICIT, EXPLICIT, BIG):
        expected = sequence(target, 0x00091010, [content(target)], defined=False)
        assert converted(octets, source, target) == expected + element(target, 0x00100010, "PN", b"A^B ")


def test_a_private_sequence_of_undefined_length_is_known_as_one():
    def data_set(encoding):
        return sequence(encoding, 0x00091010, [item(encoding, element(encoding, 0x00091011, "UN", b"ab"))], False)

    assert converted(data_set(IMPLICIT), IMPLICIT, EXPLICIT) == data_set(EXPLICIT)


# What is odd --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [IMPLICIT, BIG])
def test_group_lengths_and_length_to_end_are_dropped(target):
    number = bytes(4)
    kept = element(EXPLICIT, 0x00080060, "CS", b"MR")
    dropped = element(EXPLICIT, 0x00080000, "UL", number) + element(EXPLICIT, 0x00080001, "UL", number)
    inner = element(EXPLICIT, 0x00080000, "UL", number) + kept
    octets = dropped + kept + sequence(EXPLICIT, 0x00081115, [item(EXPLICIT, inner)])
    rest = element(target, 0x00080060, "CS", b"MR")
    assert converted(octets, EXPLICIT, target) == rest + sequence(target, 0x00081115, [item(target, rest)])


def test_an_element_in_implicit_form_in_an_explicit_data_set_is_understood():
    octets = element(EXPLICIT, 0x00080060, "CS", b"MR") + element(IMPLICIT, 0x00280010, None, b"\1\2")
    assert converted(octets, EXPLICIT, BIG) == element(BIG, 0x00080060, "CS", b"MR") + element(
        BIG, 0x00280010, "US", b"\2\1"
    )


def test_an_unknown_vr_with_a_16_bit_length_is_told_by_its_octets():
    """PS3.5 7.1.2 gives a VR that is not known two octets of zero and a 32-bit length."""
    octets = struct.pack("<HH2sH", 0x0009, 0x1010, b"ZZ", 2) + b"ab" + element(EXPLICIT, 0x00100010, "PN", b"A^B ")
    assert converted(octets, EXPLICIT, IMPLICIT) == element(IMPLICIT, 0x00091010, None, b"ab") + element(
        IMPLICIT, 0x00100010, None, b"A^B "
    )


def test_values_of_odd_length_stay_odd():
    octets = element(EXPLICIT, 0x00100010, "PN", b"A^B")
    assert converted(octets, EXPLICIT, IMPLICIT) == element(IMPLICIT, 0x00100010, None, b"A^B")


def test_an_empty_data_set_stays_empty():
    assert converted(b"", EXPLICIT, IMPLICIT) == b""


PATIENT = element(EXPLICIT, 0x00100010, "PN", b"A^B ")


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        (element(EXPLICIT, 0x7FE00010, "OB", b"", UNDEFINED), r"\(7FE0,0010\) is encapsulated"),
        (element(EXPLICIT, 0x7FE00010, "OW", b"", UNDEFINED), r"\(7FE0,0010\) is encapsulated"),
        (element(EXPLICIT, 0x00091010, "OB", b"", UNDEFINED), r"\(0009,1010\) is encapsulated"),
        (element(EXPLICIT, 0x00100010, "PN", b"A^B ", 6), r"\(0010,0010\) goes 2 octets beyond the end"),
        (element(EXPLICIT, 0x00091010, "OB", b"ab", 0xFFFFFFFE), r"goes 4294967292 octets beyond the end"),
        (element(EXPLICIT, 0xFFFEE000, None, b""), r"\(FFFE,E000\) stands where a data element was expected"),
        (element(EXPLICIT, 0xFFFEE00D, None, b""), r"\(FFFE,E00D\) stands where a data element was expected"),
        (element(EXPLICIT, 0x00081115, "SQ", PATIENT), r"\(0010,0010\) stands in \(0008,1115\) where an item"),
        (element(EXPLICIT, 0x00081115, "SQ", b"", UNDEFINED), "the data set ends"),
        (element(EXPLICIT, 0x00081115, "SQ", item(EXPLICIT, PATIENT), UNDEFINED), "the data set ends"),
        (sequence(EXPLICIT, 0x00081115, [element(EXPLICIT, 0xFFFEE000, None, PATIENT, 99)]), "beyond the end"),
        (sequence(EXPLICIT, 0x00081115, [item(EXPLICIT, PATIENT[:-1])]) + PATIENT, "goes 1 octets beyond the end"),
        (sequence(EXPLICIT, 0x00081115, [item(EXPLICIT, PATIENT[:5])]) + PATIENT, "beyond the end"),
        (
            sequence(EXPLICIT, 0x00081115, [item(EXPLICIT, sequence(EXPLICIT, 0x00081199, [], False)[:-3])]) + PATIENT,
            "beyond the end",
        ),
        (sequence(EXPLICIT, 0x00081115, [item(EXPLICIT, PATIENT, False)[:-1]]) + PATIENT, "beyond the end of its seq"),
        (sequence(EXPLICIT, 0x00081115, [item(EXPLICIT, b"")[:5]]) + PATIENT, "beyond the end"),
        (element(EXPLICIT, 0x00081115, "SQ", b"\xfe\xff\0\xe0" + b"\xff" * 4, 8) + PATIENT, "the data set ends|beyond"),
        (PATIENT + b"\1", "the data set ends inside a data element's header, 7 octets too early"),
    ],
)
def test_what_is_broken_is_refused_in_a_sentence(octets, sentence):
    for target in (IMPLICIT, BIG):
        with pytest.raises(ConversionError, match=sentence):
            converted(octets, EXPLICIT, target)


def test_a_sequence_that_gets_longer_than_its_length_can_say_is_refused(monkeypatch):
    octets = sequence(IMPLICIT, 0x00081115, [item(IMPLICIT, element(IMPLICIT, 0x00091010, None, b"ab"))])
    monkeypatch.setattr(transcoding, "MAX_32_BIT_LENGTH", 22)
    assert converted(octets, IMPLICIT, EXPLICIT)
    monkeypatch.setattr(transcoding, "MAX_32_BIT_LENGTH", 21)
    with pytest.raises(ConversionError, match="longer than 4 GiB"):
        converted(octets, IMPLICIT, EXPLICIT)


def test_compressed_pixel_data_in_an_implicit_data_set_is_refused():
    with pytest.raises(ConversionError, match="encapsulated"):
        converted(element(IMPLICIT, 0x7FE00010, None, b"", UNDEFINED), IMPLICIT, EXPLICIT)


def test_every_cut_is_found_or_lies_between_two_elements():
    text = element(EXPLICIT, 0x00081155, "UI", b"1.2\0")
    octets = text + sequence(EXPLICIT, 0x00081115, [item(EXPLICIT, text, False)], False) + text
    whole_at = {0, len(text), len(octets) - len(text), len(octets)}
    for end in range(len(octets) + 1):
        if end in whole_at:
            converted(octets[:end], EXPLICIT, IMPLICIT)
        else:
            with pytest.raises(ConversionError):
                converted(octets[:end], EXPLICIT, IMPLICIT)


@given(st.binary(max_size=300), st.sampled_from([IMPLICIT, EXPLICIT, BIG]), st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_any_octets_give_a_data_set_or_a_sentence(octets, source, target):
    size = 0
    with contextlib.suppress(ConversionError):
        size = len(converted(octets, source, target))
    assert size <= 2 * len(octets) + 16


@st.composite
def data_sets(draw, depth=0):
    tags = st.integers(0x0009, 0x4FFF).map(lambda group: (group | 1) << 16 | 0x1010)
    vrs = st.sampled_from(["US", "UL", "FD", "OW", "OB", "UN", "LO", "UT", "AT", "OV"])
    values = st.binary(max_size=3).map(lambda octets: octets * 8)
    elements = st.tuples(tags, vrs, values)
    if depth < 3:
        items = st.lists(data_sets(depth + 1), max_size=2)
        elements |= st.tuples(tags, st.just("SQ"), st.tuples(items, st.booleans(), st.booleans()))
    return draw(st.lists(elements, max_size=4))


def encoded(encoding, elements):
    octets = b""
    for tag, vr, value in elements:
        if vr == "SQ":
            items, sequence_defined, item_defined = value
            inner = [item(encoding, encoded(encoding, each), item_defined) for each in items]
            octets += sequence(encoding, tag, inner, sequence_defined)
        else:
            octets += element(encoding, tag, vr, value)
    return octets


@given(data_sets())
def test_there_and_back_is_the_identity(elements):
    octets = encoded(EXPLICIT, elements)
    there = converted(octets, EXPLICIT, BIG)
    assert len(there) == len(octets)
    assert converted(there, BIG, EXPLICIT) == octets
    assert converted(octets, EXPLICIT, IMPLICIT) == converted(there, BIG, IMPLICIT)
    assert converted(octets, EXPLICIT, IMPLICIT) == encoded(IMPLICIT, elements)
