"""Identifiers: read when asked, by tag; written from keys, with what an element can't hold named."""

import subprocess
import sys

import pytest

from dulcet.errors import ConfigurationError, DecodeError
from dulcet.services.querying.identifiers import (
    Identifier,
    encode_identifier,
    keyword_of,
    keywords,
    tag_of,
    value_text,
    vr_of,
)

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
NAME, LEVEL, MODALITIES, STUDY, COUNT = 0x00100010, 0x00080052, 0x00080061, 0x0020000D, 0x00201208
STEPS, MODALITY, ROWS, POINTER, SPACING = 0x00400100, 0x00080060, 0x00280010, 0x00280009, 0x00189087
BOTH = pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])


def written(keys, syntax=EXPLICIT, terms=""):
    return Identifier(encode_identifier(keys, syntax, terms), syntax)


@BOTH
def test_keys_of_every_kind(syntax):
    keys = {
        NAME: "DOE*",
        MODALITIES: "CT\\MR",
        STUDY: "1.2.3",
        COUNT: "300",
        ROWS: "512\\4",
        POINTER: "00181063",
        SPACING: "1.5",
        STEPS: [{MODALITY: "CT", STEPS: []}, {}],
        0x00080090: "",
    }
    identifier = written(keys, syntax)
    read = {tag: value_text(element, "") for tag, element in identifier.elements.items()}
    assert list(read) == sorted(keys)
    assert read == {**keys, STEPS: ""}
    first, second = identifier.elements[STEPS].items
    assert (value_text(first[MODALITY], ""), first[STEPS].items, second) == ("CT", (), {})


def test_the_octets():
    assert encode_identifier({NAME: "DOE", STUDY: "1.2"}, EXPLICIT) == (
        b"\x10\0\x10\0PN\x04\0DOE " + b"\x20\0\x0d\0UI\x04\x001.2\0"
    )
    assert encode_identifier({NAME: "DOE"}, IMPLICIT) == b"\x10\0\x10\0\x04\0\0\0DOE "
    assert encode_identifier({STEPS: [{MODALITY: "CT"}]}, EXPLICIT) == (
        b"\x40\0\x00\x01SQ\0\0\x12\0\0\0" + b"\xfe\xff\x00\xe0\x0a\0\0\0" + b"\x08\0\x60\0CS\x02\0CT"
    )


def test_values_one_by_one():
    identifier = written({MODALITIES: "CT \\MR", COUNT: " 12", STUDY: "1.2\\1.3", NAME: ""})
    assert identifier.values(MODALITIES) == ["CT", "MR"]
    assert identifier.values(STUDY) == ["1.2", "1.3"]
    assert (identifier.values(NAME), identifier.values(0x00080020), identifier.text(0x00080020)) == ([], [], "")
    assert identifier.number(COUNT) == 12
    assert identifier.number(MODALITIES) is None
    assert identifier.number(0x00201209) is None
    assert "octets" in repr(identifier)


@pytest.mark.parametrize("text", ["²", "1e3", "-5", "0x10", "1_000", ""])
def test_what_is_no_count(text):
    identifier = Identifier(b"\x20\0\x08\x12IS" + bytes([len(text.encode()), 0]) + text.encode(), EXPLICIT)
    assert identifier.number(COUNT) is None


def test_the_same_as_pydicom():
    identifier = written({NAME: "Müller", STEPS: [{MODALITY: "CT"}], ROWS: "4"}, IMPLICIT, "ISO_IR 100")
    data_set = identifier.data_set
    assert (data_set.PatientName, data_set.Rows) == ("Müller", 4)
    assert data_set.ScheduledProcedureStepSequence[0].Modality == "CT"
    assert identifier.data_set is not data_set


def test_pydicom_gets_the_character_set_of_the_node():
    octets = b"\x10\0\x10\0PN\x02\0\xc4\xe9"
    assert Identifier(octets, EXPLICIT, "ISO_IR 126").data_set.PatientName == "Δι"


def test_what_can_not_be_read_is_told_each_time():
    identifier = Identifier(b"\x10\0\x10\0PN\x09\0AB", EXPLICIT)
    for ask in (lambda: identifier.text(NAME), lambda: identifier.elements, lambda: identifier.data_set):
        with pytest.raises(DecodeError, match="9 octets promised"):
            ask()


def test_nothing_is_read_before_it_is_asked_for():
    assert Identifier(b"!", EXPLICIT).octets == b"!"


@pytest.mark.parametrize(
    ("keys", "explanation"),
    [
        ({ROWS: "many"}, "Rows: 'many' is no US"),
        ({ROWS: "70000"}, "Rows: '70000' is no US"),
        ({ROWS: "-1"}, "is no US"),
        ({SPACING: "wide"}, "is no FD"),
        ({POINTER: "PatientName"}, "'PatientName' is no tag"),
        ({STEPS: "CT"}, "ScheduledProcedureStepSequence: a sequence has keys, and no value of its own"),
        ({0x7FE00010: "x"}, r"PixelData: octets \(OW\) can be asked for, not matched"),
        ({MODALITY: "Ä"}, "a CS holds nothing else"),
        ({STUDY: "1." * 40000 + "1"}, "more than a UI can count"),
        ({0x00091001: "Ä"}, "a UN holds nothing else"),
    ],
)
def test_what_an_element_can_not_hold(keys, explanation):
    with pytest.raises(ConfigurationError, match=explanation):
        encode_identifier(keys, EXPLICIT)


def test_octets_and_private_elements_can_be_asked_for():
    identifier = written({0x7FE00010: "", 0x00090010: "ACME", 0x00091001: "x"})
    assert {tag: element.value for tag, element in identifier.elements.items()} == {
        0x00090010: b"ACME",
        0x00091001: b"x\0",
        0x7FE00010: b"",
    }


def test_names():
    assert (tag_of("PatientName"), tag_of("NoSuchThing")) == (NAME, None)
    assert (keyword_of(NAME), keyword_of(0x00091001)) == ("PatientName", "(0009,1001)")
    assert (vr_of(NAME), vr_of(0x00280106), vr_of(0x00091001)) == (b"PN", b"US", b"UN")
    assert {"PatientName", "ScheduledProcedureStepSequence"} <= set(keywords())


def test_an_identifier_in_explicit_vr_is_read_without_pydicom():
    program = (
        "import sys; from dulcet.services.find import find;"
        "from dulcet.services.querying.identifiers import Identifier;"
        f" assert Identifier({encode_identifier({STUDY: '1.2.3'}, EXPLICIT)!r}, {EXPLICIT!r}).text({STUDY}) == '1.2.3';"
        " sys.exit('pydicom' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
