"""Images that were made to do harm: each gets a sentence, within its time and memory, and the next one its picture."""

import os
import random
import resource
import struct
import time
import zlib

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame

from dulcet.station.preview.decoding import DecoderLimits, previews
from dulcet.station.preview.picture import Picture, PreviewOptions, Problem

LIMITS = DecoderLimits(seconds=20, memory_octets=1 << 30)
JPEG_2000, JPEG_BASELINE, RLE = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.5"
DEFLATED = "1.2.840.10008.1.2.1.99"
SIXTEEN = {"BitsAllocated": 16, "BitsStored": 16}
LARGEST = {"Rows": 65535, "Columns": 65535}


@pytest.fixture
def shown(bundled):
    """What becomes of hostile images, with a good one between them; each within its time."""

    def show(*paths) -> list[Problem]:
        good = bundled / "MR_small.dcm"
        started = time.monotonic()
        results = list(previews([each for path in paths for each in (path, good)], limits=LIMITS))
        assert time.monotonic() - started < 20 * len(paths)
        assert all(isinstance(one, Picture) for one in results[1::2]), "the good one is shown each time"
        for one in results[::2]:
            assert isinstance(one, Problem), one
            assert one.reason.isprintable()
            assert "Traceback" not in one.reason
        return results[::2]

    return show


@pytest.fixture
def codestream(bundled) -> bytes:
    """A JPEG 2000 image of 64 x 64."""
    return get_frame(dcmread(bundled / "MR_small_jp2klossless.dcm").PixelData, 0, number_of_frames=1)


def test_pixel_data_that_is_cut(make_file, shown):
    whole = make_file(bytes(8192), Rows=64, Columns=64, **SIXTEEN).read_bytes()
    paths = []
    for missing in (1, 4096, 8191, 8192):
        path = make_file()
        path.write_bytes(whole[:-missing])
        paths.append(path)
    problems = shown(*paths, make_file(b"", Rows=64, Columns=64))
    assert [one.reason for one in problems] == [
        f"its pixel data ends early: frame 1 needs {wanted} octets, there are {there}"
        for wanted, there in [("8,192", "8,191"), ("8,192", "4,096"), ("8,192", "1"), ("8,192", "0"), ("4,096", "0")]
    ]


def test_rows_and_columns_that_lie(make_file, shown):
    problems = shown(
        make_file(**LARGEST),
        make_file(**{**LARGEST, "Rows": 4000}),
        make_file(**LARGEST, BitsAllocated=1, BitsStored=1),
        make_file(Rows=0),
        make_file(Columns=None),
        make_file(
            encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + bytes(64)]), syntax=RLE, Rows=16000, Columns=16000
        ),
    )
    assert [one.reason for one in problems] == [
        "a frame of 65535 x 65535 pixels has more than the 256 MiB that are decoded",
        "its pixel data ends early: frame 1 needs 262,140,000 octets, there are 4",
        "a frame of 65535 x 65535 pixels has more than the 256 MiB that are decoded",
        "Rows is 0",
        "Columns is missing",
        "RLE Lossless: pydicom: The amount of decoded RLE segment data doesn't match the expected amount (32 vs. "
        "256000000 bytes)",
    ]


def test_a_number_of_frames_that_lies(make_file, shown, codestream):
    attributes = {"Rows": 64, "Columns": 64, **SIXTEEN}
    problems = shown(
        make_file(NumberOfFrames=2**31 - 1),
        make_file(encapsulate([codestream]), syntax=JPEG_2000, NumberOfFrames=2**31 - 1, **attributes),
        make_file(
            encapsulate([codestream] * 3, has_bot=False), syntax=JPEG_2000, NumberOfFrames=2**31 - 1, **attributes
        ),
    )
    assert problems[0].reason == ("its pixel data ends early: frame 1073741824 needs 4,294,967,296 octets, there are 4")
    assert "enough offsets" in problems[1].reason
    assert "insufficient pixel data" in problems[2].reason


def test_bombs(make_file, shown, codestream):
    """Small files that would fill the memory: JPEG 2000, deflate, RLE."""
    siz = codestream.index(b"\xff\x51")
    bomb = bytearray(codestream)
    bomb[siz + 6 : siz + 14] = struct.pack(">2I", 60000, 60000)  # Xsiz, Ysiz
    bomb[siz + 22 : siz + 30] = struct.pack(">2I", 60000, 60000)  # XTsiz, YTsiz
    usual = {"Rows": 64, "Columns": 64, **SIXTEEN}
    problems = shown(
        make_file(encapsulate([bytes(bomb)]), syntax=JPEG_2000, **usual),
        deflate_bomb(make_file()),
        make_file(encapsulate([rle_bomb()]), syntax=RLE, **{**usual, "Rows": 11000, "Columns": 11000}),
    )
    assert problems[1].reason == "its data set would inflate to more than 320 MiB"
    assert all(len(one.reason) < 400 for one in problems)


def deflate_bomb(path):
    """A deflated data set of 4 GiB in 4 MB: one block, repeated (RFC 1951: a full flush ends at an octet)."""
    ordinary = dcmread(path)
    ordinary.file_meta.TransferSyntaxUID = DEFLATED
    ordinary.save_as(path, enforce_file_format=True)
    head = path.read_bytes()
    meta = head[: head.index(b"\x02\x00\x10\x00")] + element(0x0010, b"UI", DEFLATED.encode() + b"\0")
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    begun = squeeze.compress(b"\x08\x00\x08\x00UN\0\0" + struct.pack("<I", 0xFFFFFFF0)) + squeeze.flush(
        zlib.Z_FULL_FLUSH
    )
    block = squeeze.compress(bytes(1 << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(meta + begun + block * 4096)
    return path


def element(number: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


def rle_bomb() -> bytes:
    """A segment of 128 MB of zeros in as few octets as there can be, 128 for 2; and none after it."""
    return struct.pack("<16I", 2, 64, 64 + 2_000_000, *[0] * 13) + b"\x81\x00" * 1_000_000


def test_offset_tables_that_lead_nowhere(make_file, shown, codestream):
    usual = {"Rows": 64, "Columns": 64, **SIXTEEN, "NumberOfFrames": 2}
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(codestream)) + codestream
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)

    def with_offsets(*offsets):
        table = struct.pack("<HHI", 0xFFFE, 0xE000, 4 * len(offsets)) + struct.pack(f"<{len(offsets)}I", *offsets)
        return make_file(table + item + item + end, syntax=JPEG_2000, **usual)

    huge = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFF0) + bytes(64)
    shown(
        with_offsets(0xFFFFFFF0, 0xFFFFFFFF),
        with_offsets(5, 9),
        with_offsets(len(item) * 2, 0),
        make_file(huge, syntax=JPEG_2000, **usual),
        make_file(struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFC), syntax=JPEG_2000, **usual),
        make_file(b"", syntax=JPEG_2000, **usual),
    )


def test_garbage(tmp_path, make_file, shown):
    chance = random.Random(20)
    head = bytes(128) + b"DICM"
    contents = [b"", b"\0" * 4096, b"not DICOM", head, head + chance.randbytes(4096)]
    paths = []
    for number, octets in enumerate(contents):
        paths.append(tmp_path / f"garbage{number}")
        paths[-1].write_bytes(octets)
    pixels = encapsulate([chance.randbytes(5000)])
    paths += [make_file(pixels, syntax=syntax, Rows=64, Columns=64) for syntax in (JPEG_2000, JPEG_BASELINE, RLE)]
    paths += [tmp_path / "nothing", tmp_path]
    problems = shown(*paths)
    assert problems[0].reason == "it is empty: 0 octets"
    assert problems[-2].reason == "it can't be read: No such file or directory"
    assert problems[-1].reason == "it can't be read: Is a directory"


def test_a_pipe_or_a_device_is_no_image(tmp_path, shown):
    os.mkfifo(tmp_path / "pipe")
    problems = shown(tmp_path / "pipe", "/dev/zero")
    assert [one.reason for one in problems] == ["it is not a file", "it is not a file"]


def test_values_that_are_not_what_they_should_be(make_file, shown):
    from pydicom.dataset import Dataset

    item = Dataset()
    item.LUTDescriptor = [4, 0, 99]
    item.add_new("LUTData", "US", [1, 2, 3, 4])
    nothing = Dataset()
    unknown = make_file()
    unknown.write_bytes(unknown.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.8\0"))
    problems = shown(
        make_file(VOILUTSequence=[item]),
        make_file(VOILUTSequence=[nothing]),
        make_file(BitsStored=9),
        make_file(SamplesPerPixel=7),
        make_file(PhotometricInterpretation="\x1b[31mRED"),
        unknown,
    )
    assert [one.reason for one in problems] == [
        "its look-up table has no entries that can be used",
        "its look-up table is not complete",
        "9 bits stored do not fit in 8 bits allocated",
        "it has 7 samples per pixel, which dulcet does not show",
        "Photometric Interpretation \\x1b[31mRED with 1 samples is not shown",
        "its transfer syntax, 1.2.840.10008.1.2.8, is not known",
    ]


def test_changed_octets_anywhere(bundled, tmp_path, shown):
    """A hundred files, each with a few octets of it changed: a picture or a sentence for each."""
    chance = random.Random(6)
    names = [
        "CT_small.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "examples_palette.dcm",
    ]
    paths = []
    for number in range(100):
        octets = bytearray((bundled / names[number % len(names)]).read_bytes())
        for _ in range(chance.choice([1, 4, 64])):
            octets[chance.randrange(132, len(octets))] = chance.randrange(256)
        paths.append(tmp_path / f"changed{number}")
        paths[-1].write_bytes(octets)
    results = list(previews(paths, PreviewOptions(size=64), limits=LIMITS))
    assert len(results) == 100
    assert all(one.reason.isprintable() for one in results if isinstance(one, Problem))
    assert any(isinstance(one, Picture) for one in results)


def test_the_parent_keeps_its_memory(make_file, shown):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    shown(make_file(Rows=4000, Columns=65535))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024
