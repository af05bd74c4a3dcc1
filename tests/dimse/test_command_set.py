"""Command sets that a peer got wrong, one thing at a time: what is kept, what is recorded, where reading ends."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.dimse.command_dictionary import COMMAND_ELEMENTS, TAGS
from dulcet.dimse.command_set import decode_command_set, encode_command_set, encode_element

VERIFICATION = "1.2.840.10008.1.1"
GROUP_LENGTH, SOP_CLASS, FIELD, MESSAGE_ID, DATA_SET_TYPE = 0x0000, 0x0002, 0x0100, 0x0110, 0x0800
ECHO = {SOP_CLASS: VERIFICATION, FIELD: 0x0030, MESSAGE_ID: 7, DATA_SET_TYPE: 0x0101}


def element(tag, value):
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def counted(*elements):
    body = b"".join(elements)
    return element(GROUP_LENGTH, struct.pack("<L", len(body))) + body


def echo(**replaced):
    """The elements of a C-ECHO-RQ, some of them replaced (None: left out)."""
    elements = {
        "sop_class": element(SOP_CLASS, VERIFICATION.encode() + b"\0"),
        "field": element(FIELD, b"\x30\0"),
        "message_id": element(MESSAGE_ID, b"\7\0"),
        "data_set_type": element(DATA_SET_TYPE, b"\1\1"),
    } | replaced
    return [octets for octets in elements.values() if octets is not None]


def test_what_is_right_has_no_deviation():
    found = decode_command_set(counted(*echo()))
    assert found.values == {GROUP_LENGTH: 56, **ECHO}
    assert found.deviations == []
    assert found.error is None


DEVIATIONS = [
    pytest.param(b"".join(echo()), "CommandGroupLength (0000,0000)", "missing", ECHO, id="group length missing"),
    pytest.param(
        element(GROUP_LENGTH, struct.pack("<L", 66)) + b"".join(echo()),
        "CommandGroupLength (0000,0000)",
        "66 announced, 56 octets follow",
        ECHO,
        id="group length off by ten",
    ),
    pytest.param(
        element(GROUP_LENGTH, b"\x38\0") + b"".join(echo()),
        "CommandGroupLength (0000,0000)",
        "2 octets for one UL",
        ECHO,
        id="group length of two octets",
    ),
    pytest.param(
        counted(*reversed(echo())),
        "MessageID (0000,0110)",
        "elements are not in ascending order",
        ECHO,
        id="descending order",
    ),
    pytest.param(
        counted(*echo(message_id=element(MESSAGE_ID, b"\7\0") * 2)),
        "MessageID (0000,0110)",
        "the element came twice",
        ECHO,
        id="an element twice with one value",
    ),
    pytest.param(
        counted(*echo(), element(0x9998, b"?!")),
        "(0000,9998)",
        "no command element",
        ECHO | {0x9998: b"?!"},
        id="unknown element",
    ),
    pytest.param(
        counted(*echo(), element(0x00080018, b"1.2\0")),
        "(0008,0018)",
        "not of group 0000",
        ECHO | {0x00080018: b"1.2\0"},
        id="element of another group",
    ),
    pytest.param(
        counted(*echo(sop_class=element(SOP_CLASS, VERIFICATION.encode()))),
        "AffectedSOPClassUID (0000,0002)",
        "the value has 17 octets, an odd number",
        ECHO,
        id="odd value length",
    ),
    pytest.param(
        counted(*echo(sop_class=element(SOP_CLASS, VERIFICATION.encode() + b" "))),
        "AffectedSOPClassUID (0000,0002)",
        "a UID is padded with one NUL at most",
        ECHO,
        id="UID padded with a space",
    ),
    pytest.param(
        counted(*echo(sop_class=element(SOP_CLASS, VERIFICATION.encode() + b"\0\0\0"))),
        "AffectedSOPClassUID (0000,0002)",
        "a UID is padded with one NUL at most",
        ECHO,
        id="UID padded with three NULs",
    ),
    pytest.param(
        counted(*echo(sop_class=element(SOP_CLASS, VERIFICATION.encode() + b"\0\0"))),
        "AffectedSOPClassUID (0000,0002)",
        "a UID is padded with one NUL at most",
        ECHO,
        id="UID padded with two NULs",
    ),
    pytest.param(
        counted(*echo(message_id=element(MESSAGE_ID, b"\7\0\0\0"))),
        "MessageID (0000,0110)",
        "4 octets for one US",
        ECHO,
        id="US of four octets",
    ),
    pytest.param(
        counted(*echo(message_id=element(MESSAGE_ID, b"\7"))),
        "MessageID (0000,0110)",
        "1 octets for one US",
        {tag: value for tag, value in ECHO.items() if tag != MESSAGE_ID},
        id="US of one octet",
    ),
    pytest.param(
        counted(*echo(), element(0x0902, b"full\0\0")),
        "ErrorComment (0000,0902)",
        "text is padded with spaces",
        ECHO | {0x0902: "full"},
        id="text padded with NUL",
    ),
    pytest.param(
        counted(*echo(), element(0x0901, b"\x10\0\x20\0\x10\0")),
        "OffendingElement (0000,0901)",
        "6 octets, a tag has 4",
        ECHO | {0x0901: (0x00100020,)},
        id="half a tag",
    ),
]


@pytest.mark.parametrize(("octets", "field", "explanation", "values"), DEVIATIONS)
def test_what_can_be_understood_is_kept_and_recorded(octets, field, explanation, values):
    found = decode_command_set(octets)
    assert (field, explanation) in [(deviation.field, deviation.explanation) for deviation in found.deviations]
    assert {tag: value for tag, value in found.values.items() if tag != GROUP_LENGTH} == values
    assert found.error is None
    assert {deviation.clause for deviation in found.deviations} == {"PS3.7 6.3.1"}


RETIRED = [
    pytest.param(0x0001, b"\x10\0\0\0", 16, id="Length to End"),
    pytest.param(0x0850, b"\2\0", 2, id="Number of Matches"),
    pytest.param(0x51B0, b"\1\0\2\0", 1, id="Overlays, of which the first is kept"),
    pytest.param(0x0200, b" OTHER  ", "OTHER", id="Initiator"),
    pytest.param(0x5010, b"1 ", "1", id="Message Set ID"),
]


@pytest.mark.parametrize(("tag", "octets", "value"), RETIRED)
def test_retired_elements_are_no_deviation(tag, octets, value):
    elements = sorted([*echo(), element(tag, octets)], key=lambda each: struct.unpack_from("<HH", each))
    found = decode_command_set(counted(*elements))
    assert found.values[tag] == value
    assert found.deviations == []


@pytest.mark.parametrize("tag", [0x0002, 0x0902, 0x0901, 0x0110, 0x0000])
def test_an_empty_value_is_no_deviation(tag):
    elements = {TAGS[COMMAND_ELEMENTS[tag].name]: element(tag, b"")}
    found = decode_command_set(elements[tag])
    vr = COMMAND_ELEMENTS[tag].vr
    assert found.values.get(tag) == {"US": None, "UL": None, "AT": ()}.get(vr, "")
    assert all(deviation.explanation == "missing" for deviation in found.deviations)


def test_what_is_shown_of_a_wrong_value_is_bounded():
    found = decode_command_set(counted(element(0x9998, b"x" * 1000)))
    assert found.deviations[0].octets == b"x" * 64


ERRORS = [
    pytest.param(
        counted(*echo(), element(0x1000, b"1.2\0"))[:-2],
        80 - 12,
        "AffectedSOPInstanceUID (0000,1000)",
        "4 octets promised, 2 present",
        id="the last value cut",
    ),
    pytest.param(
        counted(*echo()) + b"\0\0\0\x10\4\0\0",
        68,
        "command set",
        "7 stray octets where an element was expected",
        id="an element's head cut",
    ),
    pytest.param(
        counted(*echo(message_id=struct.pack("<HHL", 0, MESSAGE_ID, 0xFFFFFFFF) + b"\7\0")),
        48,
        "MessageID (0000,0110)",
        "4294967295 octets promised, 12 present",
        id="undefined length",
    ),
    pytest.param(
        counted(*echo(message_id=element(MESSAGE_ID, b"\7\0") + element(MESSAGE_ID, b"\x08\0"))),
        58,
        "MessageID (0000,0110)",
        "came twice, with different values",
        id="an element twice with two values",
    ),
    pytest.param(
        counted(*echo()) + element(GROUP_LENGTH, b"\0\0\0\0"),
        68,
        "CommandGroupLength (0000,0000)",
        "came twice, with different values",
        id="group length twice with two values",
    ),
    pytest.param(
        # Explicit VR: the two letters are read as the low octets of the length.
        bytes.fromhex("00000000 55 4c 0400 38000000"),
        0,
        "CommandGroupLength (0000,0000)",
        "281685 octets promised, 4 present",
        id="explicit VR",
    ),
    pytest.param(b"\x99" * 50, 0, "(9999,9999)", "2576980377 octets promised, 42 present", id="garbage"),
]


@pytest.mark.parametrize(("octets", "offset", "field", "explanation"), ERRORS)
def test_where_reading_ends(octets, offset, field, explanation):
    error = decode_command_set(octets).error
    assert error is not None
    assert (error.table, error.field, error.explanation) == ("PS3.7 6.3.1", field, explanation)
    assert error.abort_reason == 6
    assert error.offset == offset


def test_the_first_error_is_the_one_that_is_told():
    octets = counted(*echo(message_id=element(MESSAGE_ID, b"\7\0") + element(MESSAGE_ID, b"\x08\0"))) + element(
        DATA_SET_TYPE, b"\2\2"
    )
    found = decode_command_set(octets)
    assert found.error is not None
    assert found.error.field == "MessageID (0000,0110)"
    assert found.values[MESSAGE_ID] == 7


def test_what_came_before_the_end_of_reading_is_kept():
    octets = counted(*echo())
    for cut in range(len(octets)):
        found = decode_command_set(octets[:cut])
        assert (found.error is None) == (cut in (0, 12, 38, 48, 58))
        assert set(found.values) <= {GROUP_LENGTH, *ECHO}


@given(st.binary(max_size=300))
def test_any_octets_can_be_read(octets):
    for kind in (bytes, bytearray, memoryview):
        found = decode_command_set(kind(octets))
        assert len(found.deviations) <= 3 * (len(octets) // 8) + 1


VALUES = {
    "UI": st.from_regex(r"[0-9][0-9.]{0,62}", fullmatch=True),
    "US": st.integers(0, 0xFFFF),
    "UL": st.integers(0, 0xFFFFFFFF),
    "AE": st.from_regex(r"[A-Z][A-Z ]{0,14}[A-Z]", fullmatch=True),
    "AT": st.lists(st.integers(0, 0xFFFFFFFF), max_size=5).map(tuple),
    "LO": st.from_regex(r"[a-z]([ -~]{0,62}[a-z])?", fullmatch=True),
}
COMMON = [tag for tag, row in COMMAND_ELEMENTS.items() if row.vr in VALUES and tag and not row.is_retired]


@given(
    st.sets(st.sampled_from(COMMON)).flatmap(
        lambda tags: st.fixed_dictionaries({tag: VALUES[COMMAND_ELEMENTS[tag].vr] for tag in tags})
    )
)
def test_what_is_written_is_read(values):
    octets = encode_command_set(values)
    found = decode_command_set(octets)
    assert found.error is None
    assert found.deviations == []
    assert found.values == values | {GROUP_LENGTH: len(octets) - 12}
    assert len(octets) % 2 == 0


def test_the_group_length_is_counted_not_taken():
    assert encode_command_set({GROUP_LENGTH: 999, MESSAGE_ID: 1}) == bytes.fromhex(
        "00000000 04000000 0a000000  00001001 02000000 0100"
    )


@pytest.mark.parametrize(
    ("tag", "value", "explanation"),
    [
        (MESSAGE_ID, 0x10000, r"MessageID \(0000,0110\) can't hold 65536"),
        (MESSAGE_ID, -1, r"MessageID \(0000,0110\) can't hold -1"),
        (0x0001, 1 << 32, r"CommandLengthToEnd \(0000,0001\) can't hold 4294967296"),
        (0x0902, "\u20ac", r"ErrorComment \(0000,0902\) holds characters that a command set can't"),
    ],
)
def test_a_value_that_does_not_fit_is_the_callers_fault(tag, value, explanation):
    with pytest.raises(ValueError, match=explanation):
        encode_element(tag, value)


@pytest.mark.parametrize(
    ("tag", "value", "octets"),
    [
        pytest.param(0x0002, "1.2", "00000200 04000000 312e3200", id="a UID is padded with NUL"),
        pytest.param(0x0902, "odd", "00000209 04000000 6f646420", id="text is padded with a space"),
        pytest.param(0x9998, b"odd", "00009899 04000000 6f646400", id="octets of no known element"),
        pytest.param(0x9998, 258, "00009899 02000000 0201", id="a number for no known element"),
        pytest.param(0x0901, (), "00000109 00000000", id="no tags"),
        pytest.param(0x00080018, b"1.22", "08001800 04000000 312e3232", id="another group"),
    ],
)
def test_one_element(tag, value, octets):
    assert encode_element(tag, value) == bytes.fromhex(octets)
