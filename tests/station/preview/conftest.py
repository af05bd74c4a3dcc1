"""DICOM files for pictures: small, made here, each with one thing that is not as usual."""

import struct
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pydicom.data
import pytest

ORDINARY = {
    "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.1",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.2",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 2,
    "Columns": 2,
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
}
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

MakeFile = Callable[..., Path]


@pytest.fixture
def make_file(tmp_path) -> MakeFile:
    """Writes a file: attributes by keyword over the ordinary ones, None leaves one out."""
    number = 0

    def make(pixels: bytes | None = b"\0\x55\xaa\xff", *, syntax: str = EXPLICIT_LITTLE_ENDIAN, **attributes) -> Path:
        nonlocal number
        number += 1
        return write_file(tmp_path / f"image{number}.dcm", pixels, syntax, attributes)

    return make


def write_file(path: Path, pixels: bytes | None, syntax: str, attributes: dict[str, object]) -> Path:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID

    data_set = Dataset()
    for keyword, value in {**ORDINARY, **attributes}.items():
        if value is not None:
            with warnings.catch_warnings(action="ignore"):  # of values that can't be: some are meant to be
                setattr(data_set, keyword, value)
    if "HighBit" not in attributes and "BitsStored" in data_set:
        data_set.HighBit = data_set.BitsStored - 1
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.save_as(path, enforce_file_format=True)
    if pixels is not None:  # as they are, right or wrong
        is_encapsulated = UID(syntax).is_encapsulated
        vr = b"OW" if attributes.get("BitsAllocated", 8) > 8 else b"OB"
        length = 0xFFFFFFFF if is_encapsulated else len(pixels)
        with path.open("ab") as file:
            file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, vr, 0, length) + pixels)
    return path


@pytest.fixture(scope="session")
def bundled() -> Path:
    """The test files that come with pydicom; nothing is fetched."""
    return Path(pydicom.data.__file__).parent / "test_files"


@pytest.fixture
def words() -> Callable[..., bytes]:
    """Numbers as 16-bit words, little endian."""
    return lambda *numbers: struct.pack(f"<{len(numbers)}h", *numbers)


@pytest.fixture(scope="session")
def faulty_command() -> tuple[str, ...]:
    """A decoder that does what the name of the image says."""
    return (sys.executable, str(Path(__file__).with_name("faulty_decoder.py")))
