import os
import subprocess
import sys
import tempfile
import tracemalloc
import warnings
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.config import disable_value_validation
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset, read_file_meta_info

from dulcet.dimse.transfer_syntaxes import UNCOMPRESSED, convertible
from dulcet.dimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from dulcet.errors import ConversionError
from dulcet.services.conversion import InflationLimits, convert
from dulcet.services.part10 import Part10Header

TEST_DATA = Path(pydicom.__file__).parent / "data"
TRUNCATED = {"MR_truncated.dcm", "rtplan_truncated.dcm"}
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def _uncompressed_test_files():
    for path in sorted((*TEST_DATA.glob("test_files/*.dcm"), *TEST_DATA.glob("charset_files/*.dcm"))):
        try:
            uid = str(read_file_meta_info(path).get("TransferSyntaxUID", ""))
        except Exception:
            continue
        if uid in UNCOMPRESSED and path.name not in TRUNCATED:
            yield pytest.param(path, uid, id=path.name)


UNCOMPRESSED_TEST_FILES = list(_uncompressed_test_files())


def header_of(octets_before, transfer_syntax_uid, file_size=0):
    return Part10Header(
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid=transfer_syntax_uid,
        data_set_offset=octets_before,
        file_size=file_size,
    )


def data_set_octets(path):
    with path.open("rb") as file:
        pydicom.filereader.read_preamble(file, force=False)
        pydicom.filereader._read_file_meta_info(file)
        return file.read()


def converted(octets, source, target, before=b"before", **options):
    """Convert `octets`, which lie behind `before` in a file."""
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(before + octets)
        with convert(file.fileno(), header_of(len(before), source), target, **options) as result:
            assert result.transfer_syntax_uid == target
            assert os.fstat(result.descriptor).st_size == result.offset + result.size
            return os.pread(result.descriptor, result.size, result.offset)


def read(octets, transfer_syntax_uid):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_dataset(
            DicomBytesIO(octets),
            is_implicit_VR=transfer_syntax_uid == IMPLICIT_VR_LITTLE_ENDIAN,
            is_little_endian=transfer_syntax_uid != EXPLICIT_VR_BIG_ENDIAN,
        )


def elements(data_set, big_endian, path=()):
    """(path, value) of every element but group lengths; octets are in Little Endian."""
    for element in data_set:
        here = (*path, int(element.tag))
        if element.tag.element == 0:
            continue
        if element.VR == "SQ":
            yield here, len(element.value)
            for number, item in enumerate(element.value):
                yield from elements(item, big_endian, (*here, number))
        elif isinstance(element.value, bytes) and big_endian and element.VR in ("OW", "OF", "OL", "OD"):
            yield here, swapped(element.value, {"OW": 2, "OF": 4, "OL": 4, "OD": 8}[element.VR])
        else:
            yield here, value_of(element)


def value_of(element):
    """pydicom reads an empty value of unknown VR as None, of a text VR as an empty text."""
    if element.is_empty:
        return None
    return element.value


def swapped(octets, unit):
    pieces = (octets[start : start + unit] for start in range(0, len(octets), unit))
    return b"".join(piece[::-1] if len(piece) == unit else piece for piece in pieces)


@pytest.fixture(autouse=True)
def _as_it_is_in_the_file(monkeypatch):
    """No guessing by pydicom: UN stays UN, so that what is compared is what is there."""
    monkeypatch.setattr(pydicom.config, "replace_un_with_known_vr", False)
    with disable_value_validation():
        yield


@pytest.mark.parametrize("target", UNCOMPRESSED)
@pytest.mark.parametrize(("path", "source"), UNCOMPRESSED_TEST_FILES)
def test_every_element_is_kept(path, source, target):
    if source == target:
        assert target not in convertible(source)
        return
    octets = data_set_octets(path)
    result = converted(octets, source, target)
    before = dict(elements(read(octets, source), source == EXPLICIT_VR_BIG_ENDIAN))
    after = dict(elements(read(result, target), target == EXPLICIT_VR_BIG_ENDIAN))
    assert before.keys() == after.keys()
    for key, value in before.items():
        if not same_value(value, after[key]):
            assert key[-1] >> 16 & 1, f"{key} differs: {value!r} {after[key]!r}"  # a private element lost its VR
            assert IMPLICIT_VR_LITTLE_ENDIAN in (source, target)


def same_value(one, other):
    return one == other or (one != one and other != other)


@pytest.mark.parametrize(("path", "source"), UNCOMPRESSED_TEST_FILES)
def test_there_and_back_is_identical(path, source):
    """But for group lengths, and for VRs that Implicit VR does not have."""
    octets = data_set_octets(path)
    for target in convertible(source):
        there = converted(octets, source, target)
        back = converted(there, target, source)
        again = converted(converted(back, source, target), target, source)
        assert again == back
        if target != IMPLICIT_VR_LITTLE_ENDIAN and not any(e.tag.element == 0 for e in read(octets, source).iterall()):
            assert back == octets


def test_what_can_be_converted_to_what():
    assert convertible(IMPLICIT_VR_LITTLE_ENDIAN) == (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
    assert convertible(EXPLICIT_VR_LITTLE_ENDIAN) == (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
    assert convertible(EXPLICIT_VR_BIG_ENDIAN) == (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
    assert convertible(DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN) == UNCOMPRESSED
    assert convertible(JPEG_2000) == ()
    assert convertible("") == ()


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        (JPEG_2000, EXPLICIT_VR_LITTLE_ENDIAN, "JPEG 2000 .* can't be converted: .* uncompressed and deflated"),
        ("1.2.3.4", EXPLICIT_VR_LITTLE_ENDIAN, r"in 1\.2\.3\.4 can't be converted"),
        (EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, "in Explicit VR Little Endian already"),
        (EXPLICIT_VR_LITTLE_ENDIAN, JPEG_2000, "from Explicit VR Little Endian to JPEG 2000"),
        (EXPLICIT_VR_LITTLE_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "can't be converted from Explicit"),
    ],
)
def test_what_can_not_be_converted_is_said(source, target, sentence):
    with pytest.raises(ConversionError, match=sentence):
        converted(b"", source, target)


# Deflated -----------------------------------------------------------------------------------------------------------


def deflated(octets):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(octets) + compressor.flush()


@pytest.fixture(scope="module")
def deflated_test_file():
    return data_set_octets(TEST_DATA / "test_files" / "image_dfl.dcm")


def test_inflated_is_what_zlib_inflates(deflated_test_file):
    expected = zlib.decompress(deflated_test_file, -zlib.MAX_WBITS)
    assert converted(deflated_test_file, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN) == expected


@pytest.mark.parametrize("target", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])
def test_inflated_can_be_converted_further(deflated_test_file, target):
    explicit = zlib.decompress(deflated_test_file, -zlib.MAX_WBITS)
    expected = converted(explicit, EXPLICIT_VR_LITTLE_ENDIAN, target)
    assert converted(deflated_test_file, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, target) == expected


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 131072, 300_001])
def test_any_size_inflates(size):
    octets = os.urandom(size)
    assert converted(deflated(octets), DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN) == octets
    zeros = bytes(size)
    padded = deflated(zeros) + b"\0"  # PS3.5 A.5
    assert converted(padded, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN) == zeros


def test_every_truncation_of_a_deflated_data_set_is_found(deflated_test_file):
    octets = deflated(b"a data set" * 10 + os.urandom(20))
    for end in range(len(octets)):
        with pytest.raises(ConversionError, match="ends too early"):
            converted(octets[:end], DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)


def test_a_damaged_deflated_data_set_is_refused():
    with pytest.raises(ConversionError, match="damaged: it can't be inflated"):
        converted(b"\xff" * 100, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)


def test_a_bomb_is_refused_by_its_ratio_before_it_fills_the_disk(monkeypatch):
    bomb = deflated(bytes(200_000_000))
    assert len(bomb) < 200_000
    written = []
    monkeypatch.setattr("dulcet.services.conversion._write_all", lambda file, octets: written.append(len(octets)))
    with pytest.raises(ConversionError, match="100 times its size"):
        converted(bomb, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)
    assert sum(written) <= 64 * 1024**2
    assert max(written) <= 64 * 1024


def test_a_bomb_is_refused_by_its_size():
    octets = deflated(bytes(100_000))
    limits = InflationLimits(max_octets=100_000)
    inflated = converted(octets, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, limits=limits)
    assert len(inflated) == 100_000
    with pytest.raises(ConversionError, match="more than 99999 octets"):
        converted(
            octets,
            DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
            EXPLICIT_VR_LITTLE_ENDIAN,
            limits=InflationLimits(max_octets=99_999),
        )


# Resources ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "source"),
    [(b"not a data set", EXPLICIT_VR_LITTLE_ENDIAN), (b"not deflated", DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)],
)
def test_a_failed_conversion_leaves_no_file_open(descriptors, octets, source):
    before = descriptors()
    with pytest.raises(ConversionError):
        converted(octets, source, EXPLICIT_VR_BIG_ENDIAN)
    assert descriptors() == before


def test_a_closed_result_leaves_no_file_open(descriptors, deflated_test_file):
    before = descriptors()
    converted(deflated_test_file, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN)
    assert descriptors() == before


@pytest.mark.parametrize("source", [EXPLICIT_VR_LITTLE_ENDIAN, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN])
def test_a_full_disk_is_a_sentence(monkeypatch, source):
    octets = bytes.fromhex("1000 1000 504e 0400 415e 4220")
    if source == DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
        octets = deflated(octets)
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(octets)
        full = open("/dev/full", "r+b", buffering=0)  # noqa: SIM115 (what is tested is who closes it)
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: full)
        with pytest.raises(ConversionError, match="No space left on device"):
            convert(file.fileno(), header_of(0, source), EXPLICIT_VR_BIG_ENDIAN)
        assert full.closed


def test_memory_does_not_grow_with_the_size_of_a_value():
    size = 64 * 1024**2
    head = bytes.fromhex("e07f 1000 4f57 0000") + size.to_bytes(4, "little")
    with tempfile.TemporaryFile(buffering=0) as file:
        file.write(head)
        file.truncate(len(head) + size)
        tracemalloc.start()
        with convert(file.fileno(), header_of(0, EXPLICIT_VR_LITTLE_ENDIAN), EXPLICIT_VR_BIG_ENDIAN) as result:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert result.size == len(head) + size
    assert peak < 2 * 1024**2


def test_only_a_dictionary_question_imports_pydicom(tmp_path):
    """The ordinary conversion, from an explicit transfer syntax, does not pay for pydicom."""
    program = """
import sys, tempfile
from dulcet.services.converting.transcoding import Encoding, transcode
implicit = Encoding(explicit=False, little_endian=True)
explicit = Encoding(explicit=True, little_endian=True)
for octets, source, target in (
    (bytes.fromhex("1000 1000 504e 0400 415e 4220"), explicit, implicit),
    (bytes.fromhex("1000 1000 0400 0000 415e 4220"), implicit, explicit),
):
    with tempfile.TemporaryFile(buffering=0) as file, tempfile.TemporaryFile(buffering=0) as result:
        file.write(octets)
        transcode(file.fileno(), 0, len(octets), result, source, target)
    print("pydicom" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
