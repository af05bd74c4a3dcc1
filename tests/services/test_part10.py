"""DICOM files' headers: what pydicom reads is read, what it doesn't is tolerated or told, what is written it reads."""

import os
import struct
import tempfile
import warnings
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.filereader import read_preamble

from dulcet.dimse.uids import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from dulcet.errors import DamagedFileError, NotDICOMError
from dulcet.services import part10
from dulcet.services.part10 import encode_header, read_header
from dulcet.ul.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

TEST_DATA = Path(pydicom.__file__).parent / "data"
CT = "1.2.840.10008.5.1.4.1.1.2"
PREFIX = bytes(128) + b"DICM"


def header_of(octets):
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(octets)
        file.seek(1)
        header = read_header(file.fileno())
        assert file.tell() == 1, "the position is nobody's business"
    assert header.file_size == len(octets)
    return header


def told(octets):
    """The UIDs and where the data set begins."""
    header = header_of(octets)
    return header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid, header.data_set_offset


def meta(number, vr, value, *, long_form=False):
    if long_form:
        return struct.pack("<HH2sHI", 2, number, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


def element(tag, vr, value, syntax=EXPLICIT_VR_LITTLE_ENDIAN):
    if syntax == IMPLICIT_VR_LITTLE_ENDIAN:
        return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value
    order = ">" if syntax == EXPLICIT_VR_BIG_ENDIAN else "<"
    return struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def data_set(instance=b"1.2.3\0", syntax=EXPLICIT_VR_LITTLE_ENDIAN):
    return (
        element(0x00080005, b"CS", b"ISO_IR 100", syntax)
        + element(0x00080016, b"UI", CT.encode() + b"\0", syntax)
        + element(0x00080018, b"UI", instance, syntax)
        + element(0x00100010, b"PN", b"A^B ", syntax)
    )


def group_2(sop_class=CT, instance="1.2.3", syntax=EXPLICIT_VR_LITTLE_ENDIAN):
    uids = ((2, sop_class), (3, instance), (0x10, syntax))
    return b"".join(
        meta(number, b"UI", uid.encode() + b"\0" * (len(uid) % 2)) for number, uid in uids if uid is not None
    )


GROUP_2 = group_2()
EXPECTED = (CT, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN)


# Beside pydicom -----------------------------------------------------------------------------------------------------

NOT_DICOM = {"README.txt", "README", "FileInfo.txt", "crayons.icc", "rtplan.dump", "rtstruct.dump", "test1.json",
             "test_PN.json", "zipMR.gz",
             "no_meta.dcm"}  # fmt: skip  # a data set behind a stray octet
TEST_FILES = [
    pytest.param(path, id=path.name)
    for path in sorted((*TEST_DATA.glob("test_files/**/*"), *TEST_DATA.glob("charset_files/*")))
    if path.is_file()
]


@pytest.mark.parametrize("path", TEST_FILES)
def test_every_test_file_of_pydicom(path):
    octets = path.read_bytes()
    if path.name in NOT_DICOM:
        with pytest.raises(NotDICOMError, match="it is not a DICOM file: it has no DICM prefix"):
            header_of(octets)
        return
    header = header_of(octets)
    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        read = pydicom.dcmread(BytesIO(octets), force=True, stop_before_pixels=True)
        file = BytesIO(octets)
        read_preamble(file, force=True)
        pydicom.filereader._read_file_meta_info(file)
    assert header.data_set_offset == file.tell()
    of_file = read.file_meta
    assert header.sop_class_uid == read.get("SOPClassUID", of_file.get("MediaStorageSOPClassUID", ""))
    assert header.sop_instance_uid == read.get("SOPInstanceUID", of_file.get("MediaStorageSOPInstanceUID", ""))
    if "TransferSyntaxUID" in of_file:
        assert header.transfer_syntax_uid == of_file.TransferSyntaxUID
    elif path.name != "meta_missing_tsyntax.dcm":  # nothing there to guess it from
        implicit, little = read.original_encoding
        guess = {(True, True): IMPLICIT_VR_LITTLE_ENDIAN, (False, True): EXPLICIT_VR_LITTLE_ENDIAN}
        assert header.transfer_syntax_uid == guess.get((implicit, little), EXPLICIT_VR_BIG_ENDIAN)


def test_there_are_enough_test_files():
    assert len(TEST_FILES) > 100
    assert {parameter.id for parameter in TEST_FILES} >= NOT_DICOM


# What is odd, and read ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "before",
    [
        PREFIX + meta(0, b"UL", struct.pack("<I", len(GROUP_2))),
        PREFIX,
        PREFIX + meta(0, b"UL", struct.pack("<I", 4)),
        PREFIX + meta(0, b"UL", b"\xff" * 4),
        PREFIX + meta(0, b"UL", b""),
        PREFIX + meta(1, b"OB", b"\0\1", long_form=True),
        PREFIX + meta(1, b"OB", bytes(100_000), long_form=True),
        PREFIX + meta(1, b"UN", bytes(4096), long_form=True),
        *(PREFIX + meta(1, b"OB", bytes(4096 - 132 - 12 - short), long_form=True) for short in range(0, 120, 7)),
        b"DICM",
        b"DICM" + meta(0, b"UL", b"abcd"),
        bytes(range(128)) + b"DICM",
        meta(0, b"UL", b"abcd"),
        b"",
    ],
)
def test_file_meta_information_as_the_field_has_it(before):
    octets = before + GROUP_2 + data_set()
    assert told(octets) == (*EXPECTED, len(before + GROUP_2))


def test_file_meta_information_in_implicit_form():
    """PS3.10 7.1 asks for Explicit VR, but some wrote it as their data sets."""
    uids = ((2, CT + "\0"), (3, "1.2.3\0"), (0x10, EXPLICIT_VR_LITTLE_ENDIAN + "\0"))
    group = b"".join(struct.pack("<HHI", 2, number, len(uid)) + uid.encode() for number, uid in uids)
    assert told(PREFIX + group + data_set()) == (*EXPECTED, len(PREFIX + group))


@pytest.mark.parametrize(
    ("syntax", "bare"),
    [(syntax, data_set(syntax=syntax)) for syntax in (
        EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)],
)  # fmt: skip
def test_a_data_set_without_anything_before_it(syntax, bare):
    assert told(bare) == (CT, "1.2.3", syntax, 0)
    assert told(PREFIX + bare) == (CT, "1.2.3", syntax, len(PREFIX))
    without = group_2(syntax=None)
    assert told(PREFIX + without + bare) == (CT, "1.2.3", syntax, len(PREFIX + without))


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])
def test_what_the_meta_information_lacks_the_data_set_tells(syntax):
    group = group_2(sop_class=None, instance=None, syntax=syntax)
    assert told(PREFIX + group + data_set(syntax=syntax)) == (CT, "1.2.3", syntax, len(PREFIX + group))
    group = group_2(sop_class="", instance="", syntax=syntax)
    assert told(PREFIX + group + data_set(syntax=syntax)) == (CT, "1.2.3", syntax, len(PREFIX + group))


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])
@pytest.mark.parametrize("instance", ["1.2.4", "1.2", "1.2.33", "1.2.3.4"])
def test_where_they_differ_the_data_set_is_what_a_peer_will_compare(syntax, instance):
    octets = PREFIX + group_2(instance="1.2.3", syntax=syntax)
    value = instance.encode() + b"\0" * (len(instance) % 2)
    assert header_of(octets + data_set(instance=value, syntax=syntax)).sop_instance_uid == instance
    octets = PREFIX + group_2(sop_class=CT + ".1", syntax=syntax)
    assert header_of(octets + data_set(syntax=syntax)).sop_class_uid == CT


@pytest.mark.parametrize("missing", ["sop_class", "instance", "syntax"])
@pytest.mark.parametrize("rest", [b"", b"not a data set", b"\xff" * 100, b"\x08\0"])
def test_what_nothing_tells_is_empty(missing, rest):
    header = told(PREFIX + group_2(**{missing: None}) + rest)
    expected = {"sop_class": CT, "instance": "1.2.3", "syntax": EXPLICIT_VR_LITTLE_ENDIAN} | {missing: ""}
    assert header[:3] == tuple(expected.values())


def test_uids_are_told_as_they_are():
    assert told(PREFIX + group_2("../../x", "1.2\x1b[2J", "no"))[:3] == ("../../x", "1.2\x1b[2J", "no")
    group = meta(3, b"UI", b"\xff\xfe") + meta(0x10, b"UI", b"1" * 1000)
    _, instance, syntax, _ = told(PREFIX + group)
    assert instance.encode("ascii", "surrogateescape") == b"\xff\xfe"
    assert syntax == "1" * 128  # cut, and no UID in either case


@pytest.mark.parametrize("rest", [b"", b"\x08\0", b"\x08\0\x05\0CS"])
def test_a_file_may_end_behind_its_meta_information(rest):
    header = header_of(PREFIX + GROUP_2 + rest)
    assert (header.sop_class_uid, header.sop_instance_uid, header.transfer_syntax_uid) == EXPECTED
    assert header.data_set_offset == len(PREFIX + GROUP_2)


# What is no DICOM file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "sentence"),
    [
        (b"", "it is empty: 0 octets"),
        (b"D", "no DICM prefix and does not begin like a data set"),
        (b"DIC", "no DICM prefix"),
        (bytes(128), "no DICM prefix"),
        (bytes(128) + b"DIC", "no DICM prefix"),
        (bytes(1000), "no DICM prefix"),
        (b"\x08\0", "no DICM prefix"),
        (b"\x08\0\x05\0\xff\xff\xff\xff", "no DICM prefix"),
        (b"\2\0\2\0\xff\xff\xff\xff" * 10, "no DICM prefix"),
        (b"\x08\0\x05\0CS\x02\0ab", "begins like a data set, but names no SOP class or instance"),
        (b"\0\x08\0\x05CS\0\2ab", "begins like a data set, but names no SOP class or instance"),
        (b"\x08\0\x05\0\x04\0\0\0text and so on", "begins like a data set, but names no SOP class or instance"),
        (PREFIX + meta(2, b"UI", CT.encode())[:-1], r"damaged: \(0002,0002\) goes beyond its end"),
        (PREFIX + struct.pack("<HH2sHI", 2, 1, b"OB", 0, 0xFFFFFFFF), r"damaged: \(0002,0001\) goes beyond its end"),
        (PREFIX + meta(0x100, b"UI", b"") * 2000, "its File Meta Information does not end"),
    ],
)
def test_what_is_no_dicom_file_is_said(octets, sentence):
    with pytest.raises(NotDICOMError, match=sentence):
        header_of(octets)


def test_what_has_the_prefix_and_is_cut_is_a_damaged_dicom_file():
    whole = PREFIX + GROUP_2
    for end in range(len(PREFIX) + 12, len(whole)):
        try:
            header_of(whole[:end])
        except DamagedFileError:
            continue
        except NotDICOMError as error:  # pragma: no cover
            pytest.fail(f"cut at {end}: {error}")


def test_what_has_no_prefix_is_not_called_a_damaged_dicom_file():
    with pytest.raises(NotDICOMError) as raised:
        header_of(b"\2\0\2\0UI\x40\0" + b"text that happens to begin so")
    assert type(raised.value) is NotDICOMError


def test_a_pipe_a_folder_and_a_device_are_no_files(tmp_path):
    reading, writing = os.pipe()
    folder = os.open(tmp_path, os.O_RDONLY)
    device = os.open("/dev/zero", os.O_RDONLY)
    for descriptor in (reading, folder, device):
        with pytest.raises(NotDICOMError, match="it is not a file"):
            read_header(descriptor)
    for descriptor in (reading, writing, folder, device):
        os.close(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        read_header(device)


@given(octets=st.binary(max_size=300))
@example(octets=PREFIX)
@example(octets=PREFIX + b"\2\0\x10\0UI\4\0ab")
@settings(max_examples=300, deadline=None)
def test_random_octets_raise_nothing_else(octets):
    for before in (b"", PREFIX, PREFIX + GROUP_2[:30], b"DICM", b"\x08\0", b"\2\0", b"\0\x08"):
        try:
            header = header_of(before + octets)
        except NotDICOMError:
            continue
        assert 0 <= header.data_set_offset <= header.file_size


@given(st.data())
@settings(deadline=None)
def test_every_cut_and_any_damage_raise_nothing_else(data):
    octets = bytearray(PREFIX + meta(1, b"OB", b"\0\1", long_form=True) + GROUP_2 + data_set())
    for position in data.draw(st.lists(st.integers(0, len(octets) - 1), max_size=4)):
        octets[position] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(octets)))
    try:
        header = header_of(octets[:end])
    except NotDICOMError:
        return
    assert 0 <= header.data_set_offset <= end


# What it costs ------------------------------------------------------------------------------------------------------


def test_a_usual_header_is_read_at_once(monkeypatch):
    reads = []

    real = os.pread
    monkeypatch.setattr(part10.os, "pread", lambda *arguments: (reads.append(arguments[1:]), real(*arguments))[1])
    assert told(PREFIX + GROUP_2 + data_set() + bytes(100_000))[:3] == EXPECTED
    assert reads == [(4096, 0)]


def test_no_more_is_read_than_is_needed(monkeypatch):
    reads = []
    real = os.pread
    monkeypatch.setattr(part10.os, "pread", lambda *arguments: (reads.append(arguments[1]), real(*arguments))[1])
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(PREFIX + struct.pack("<HH2sHI", 2, 1, b"OB", 0, 1 << 30))
        file.truncate(1 << 31)
        read_header(file.fileno())
    assert sum(reads) < 100_000


# Writing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["SCANNER", "A", "SIXTEEN OCTETS..", "odd", ""])
@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34", "1" * 64])
def test_pydicom_reads_what_is_written(source, instance):
    octets = encode_header(
        sop_class_uid=CT,
        sop_instance_uid=instance,
        transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN,
        source_ae_title=source,
    )
    assert octets.startswith(PREFIX)
    assert len(octets) % 2 == 0
    read = pydicom.dcmread(BytesIO(octets + data_set(instance=instance.encode())))
    of_file = read.file_meta
    assert [int(item.tag) & 0xFFFF for item in of_file] == [0, 1, 2, 3, 0x10, 0x12, 0x13] + ([0x16] if source else [])
    assert of_file.FileMetaInformationGroupLength == len(octets) - 144
    assert of_file.FileMetaInformationVersion == b"\0\1"
    assert of_file.MediaStorageSOPClassUID == CT
    assert of_file.MediaStorageSOPInstanceUID == instance
    assert of_file.TransferSyntaxUID == EXPLICIT_VR_LITTLE_ENDIAN
    assert of_file.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert of_file.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert of_file.get("SourceApplicationEntityTitle", "") == source
    assert read.PatientName == "A^B"
    assert told(octets) == (CT, instance, EXPLICIT_VR_LITTLE_ENDIAN, len(octets))


@pytest.mark.parametrize("title", ["", "   ", "SEVENTEEN OCTETS.", "A\\B", "A\nB", "A\x1b[2J", "\u00c4", "A\0", "\x7f"])
def test_a_title_that_is_none_is_left_out(title):
    octets = encode_header(
        sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN, source_ae_title=title
    )
    assert octets == encode_header(
        sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN
    )


def test_a_title_loses_its_padding():
    octets = encode_header(
        sop_class_uid=CT,
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=IMPLICIT_VR_LITTLE_ENDIAN,
        source_ae_title=" A B  ",
    )
    assert octets.endswith(b"\2\0\x16\0AE\4\0A B ")
