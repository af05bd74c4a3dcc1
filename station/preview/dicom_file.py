"""A DICOM file as its pictures need it: the data set without the pixels, and where in the file the pixels lie.

Only the process that decodes imports this: pydicom reads what strangers wrote.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from dulcet.dimse.transfer_syntaxes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TRANSFER_SYNTAXES,
    TransferSyntax,
)
from dulcet.dimse.uids import name_of
from dulcet.errors import DecodeError, NotDICOMError
from dulcet.escape import quote
from dulcet.services.part10 import Part10Header, read_header
from dulcet.services.storing.data_set_walk import DataSetWalk
from dulcet.services.value_representations import UNDEFINED_LENGTH
from dulcet.station.preview.picture import ProblemKind

MAX_INFLATED_OCTETS = 320 * 1024 * 1024  # of a deflated data set: a mammogram has 27 MB

PIXEL_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe must not hold us
_PIECE_OCTETS = 1024 * 1024


class UnshowableError(Exception):
    """There is no picture of this image; the text is the sentence that says why."""

    def __init__(self, reason: str, kind: ProblemKind = ProblemKind.NOT_SHOWN) -> None:
        self.kind = kind
        super().__init__(reason)


@dataclass(frozen=True, kw_only=True, slots=True)
class DICOMFile:
    """An open file."""

    data_set: Dataset
    """All before the pixels."""
    transfer_syntax: TransferSyntax
    source: BinaryIO
    """Positioned at the value of the pixel data."""
    pixel_keyword: str
    pixel_vr: str
    """"" in Implicit VR."""
    pixel_octets: int | None
    """Length of the value; None when it is undefined, as that of encapsulated pixel data is."""


@contextmanager
def opened(path: str) -> Iterator[DICOMFile]:
    """Open a file for as long as the block lasts. UnshowableError when it has no pixels, or is no DICOM file."""
    try:
        with os.fdopen(os.open(path, OPEN_FLAGS), "rb") as file:
            header = read_header(file.fileno())
            syntax = TRANSFER_SYNTAXES.get(header.transfer_syntax_uid)
            if syntax is None:
                said = quote(header.transfer_syntax_uid) or "which it does not say"
                raise UnshowableError(f"its transfer syntax, {said}, is not known")
            file.seek(header.data_set_offset)
            source = BytesIO(_inflated(file)) if syntax.deflated else file
            yield _before_pixels(source, syntax, header)
    except OSError as error:
        raise UnshowableError(f"it can't be read: {error.strerror or error}") from error
    except NotDICOMError as error:
        raise UnshowableError(str(error)) from error


def _inflated(file: BinaryIO) -> bytes:
    inflate, octets = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    while piece := file.read(_PIECE_OCTETS):
        try:
            octets += inflate.decompress(piece, MAX_INFLATED_OCTETS + 1 - len(octets))
        except zlib.error as error:
            raise UnshowableError("its data set can't be inflated: it is damaged") from error
        if len(octets) > MAX_INFLATED_OCTETS:
            raise UnshowableError(f"its data set would inflate to more than {MAX_INFLATED_OCTETS >> 20} MiB")
    return bytes(octets)


def _before_pixels(source: BinaryIO, syntax: TransferSyntax, header: Part10Header) -> DICOMFile:
    start = source.tell()
    try:
        data_set = read_dataset(source, not syntax.explicit_vr, syntax.little_endian, stop_when=_is_pixel_data)
    except (OSError, EOFError, struct.error):
        _check_whole(source, start, is_implicit=not syntax.explicit_vr, little_endian=syntax.little_endian)
        raise
    is_implicit, _ = data_set.original_encoding  # which some files have where their transfer syntax says otherwise
    order = "<" if syntax.little_endian else ">"
    head = source.read(8)
    if len(head) < 8:
        _check_whole(source, start, is_implicit=bool(is_implicit), little_endian=syntax.little_endian)
        if "Rows" in data_set and "PixelDataProviderURL" not in data_set:
            raise UnshowableError("its pixels are missing, though it has rows of them: it is cut short")
        what = name_of(header.sop_class_uid) or f"an object of class {quote(header.sop_class_uid) or 'unknown'}"
        raise UnshowableError(f"it has no pixels: {what}", ProblemKind.NO_PIXELS)
    if not is_implicit:
        group, element, vr = struct.unpack(f"{order}HH2s", head[:6])
        length = struct.unpack(f"{order}I", source.read(4).ljust(4, b"\0"))[0]  # OB, OW, OF, OD: PS3.5 7.1.2
    else:
        group, element, length = struct.unpack(f"{order}HHI", head)
        vr = b""
    return DICOMFile(
        data_set=data_set,
        transfer_syntax=syntax,
        source=source,
        pixel_keyword=PIXEL_KEYWORDS[group << 16 | element],
        pixel_vr=vr.decode("latin-1"),
        pixel_octets=None if length == UNDEFINED_LENGTH else length,
    )


def _check_whole(source: BinaryIO, start: int, *, is_implicit: bool, little_endian: bool) -> None:
    """Without pixels only if there never were any: UnshowableError when the data set ends before its end."""
    plain = EXPLICIT_VR_LITTLE_ENDIAN if little_endian else EXPLICIT_VR_BIG_ENDIAN
    walk = DataSetWalk(IMPLICIT_VR_LITTLE_ENDIAN if is_implicit else plain)
    source.seek(start)
    try:
        while piece := source.read(_PIECE_OCTETS):
            walk.feed(piece)
    except DecodeError as error:
        raise UnshowableError(f"it is damaged: {error}") from error
    try:
        walk.finish()
    except DecodeError as error:
        raise UnshowableError(f"it is cut short: {error}") from error


def _is_pixel_data(tag: BaseTag, vr: str | None, length: int) -> bool:
    return int(tag) in PIXEL_KEYWORDS
