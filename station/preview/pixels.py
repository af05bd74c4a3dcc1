"""From pixel data to the cells of one frame: uncompressed as it lies, compressed by pydicom's decoders."""

import os
from dataclasses import dataclass
from typing import Any

from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import as_pixel_options, get_j2k_parameters
from pydicom.uid import UID, JPEG2000TransferSyntaxes

from dulcet.escape import quote
from dulcet.station.preview.dicom_file import DICOMFile, UnshowableError
from dulcet.station.preview.frame import Cells, Frame, cells_of, unpacked
from dulcet.station.preview.greys import StoredValues
from dulcet.station.preview.picture import MAX_REASON_CHARACTERS, ProblemKind

MAX_FRAME_OCTETS = 256 * 1024 * 1024  # a mammogram has 27 MB, a frame of a whole slide less than one
INSTALL_PREVIEW = "pip install 'dulcet[preview]'"

_JPEG_12_BIT = "1.2.840.10008.1.2.4.51"
_VIDEO = ("1.2.840.10008.1.2.4.10", "1.2.840.10008.1.2.7.")  # MPEG2, MPEG-4, HEVC are ...4.100 to ...4.108


@dataclass(frozen=True, kw_only=True, slots=True)
class ImagePixel:
    """The Image Pixel module, PS3.3 C.7.6.3, checked."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    """0 for floating point."""
    is_signed: bool
    is_planar: bool
    photometric_interpretation: str
    frames: int

    @property
    def frame_bits(self) -> int:
        """Bits of one frame, uncompressed."""
        pixels = self.rows * self.columns
        if self.photometric_interpretation == "YBR_FULL_422":
            return pixels * 2 * self.bits_allocated
        return pixels * self.samples * self.bits_allocated


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodedFrame:
    """A frame, and how its cells are read."""

    frame: Frame
    stored: StoredValues
    photometric_interpretation: str
    """After decoding: a codec may have made RGB of it."""


def image_pixel(file: DICOMFile) -> ImagePixel:
    """What the data set says of its pixels. UnshowableError, with a sentence, when they can't be."""
    floats = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(file.pixel_keyword)
    read = file.data_set.get
    samples = _number(read("SamplesPerPixel", 1), "Samples per Pixel")
    allocated = floats or _number(read("BitsAllocated"), "Bits Allocated")
    pixel = ImagePixel(
        rows=_number(read("Rows"), "Rows"),
        columns=_number(read("Columns"), "Columns"),
        samples=samples,
        bits_allocated=allocated,
        bits_stored=0 if floats else _number(read("BitsStored", allocated), "Bits Stored"),
        is_signed=read("PixelRepresentation", 0) == 1,
        is_planar=samples == 3 and read("PlanarConfiguration", 0) == 1,
        photometric_interpretation=str(read("PhotometricInterpretation", "MONOCHROME2")),
        frames=_number(read("NumberOfFrames") or 1, "Number of Frames"),
    )
    if samples not in (1, 3):
        raise UnshowableError(f"it has {samples} samples per pixel, which dulcet does not show")
    if pixel.bits_stored > allocated:
        raise UnshowableError(f"{pixel.bits_stored} bits stored do not fit in {allocated} bits allocated")
    if pixel.frame_bits > MAX_FRAME_OCTETS * 8:
        size = f"{pixel.columns} x {pixel.rows} pixels"
        raise UnshowableError(f"a frame of {size} has more than the {MAX_FRAME_OCTETS >> 20} MiB that are decoded")
    return pixel


def _number(value: object, name: str) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise UnshowableError(f"{name} is missing" if value is None else f"{name} is {quote(str(value), 16)}")
    return number


def frame_of(file: DICOMFile, pixel: ImagePixel, index: int) -> DecodedFrame:
    """Frame `index`, counted from 0. UnshowableError, with a sentence, when it can't be had."""
    try:
        return _encapsulated(file, pixel, index) if file.transfer_syntax.encapsulated else _native(file, pixel, index)
    except ValueError as error:
        raise UnshowableError(f"its pixel data is damaged: {_said(error)}") from error


def _native(file: DICOMFile, pixel: ImagePixel, index: int) -> DecodedFrame:
    if pixel.photometric_interpretation == "YBR_FULL_422" and (pixel.columns % 2 or pixel.bits_allocated != 8):
        raise UnshowableError("YBR_FULL_422 has an even number of columns and 8 bits, and this has not")
    first_bit = index * pixel.frame_bits
    start, end = first_bit // 8, -(-(first_bit + pixel.frame_bits) // 8)
    is_swapped = pixel.bits_allocated == 8 and file.pixel_vr == "OW" and not file.transfer_syntax.little_endian
    if is_swapped:  # octets in words: the first of a frame may lie in the middle of one
        start, end = start // 2 * 2, end + end % 2
    place = file.source.tell()
    present = file.source.seek(0, os.SEEK_END) - place
    if file.pixel_octets is not None:
        present = min(present, file.pixel_octets)
    if present < end - is_swapped:
        wanted, there = f"{end:,}", f"{present:,}"
        raise UnshowableError(f"its pixel data ends early: frame {index + 1} needs {wanted} octets, there are {there}")
    file.source.seek(place + start)
    octets = file.source.read(end - start)
    if is_swapped:
        octets = memoryview(cells_of(octets, 16, is_little=False)).tobytes()[first_bit // 8 - start :]
    return _decoded(file, pixel, octets, skipped_bits=first_bit % 8 if pixel.bits_allocated == 1 else 0)


def _encapsulated(file: DICOMFile, pixel: ImagePixel, index: int) -> DecodedFrame:
    uid = file.transfer_syntax.uid
    try:
        decoder = get_decoder(UID(uid))
    except NotImplementedError:
        what = "is video, which dulcet does not show" if uid.startswith(_VIDEO) else "can't be decoded"
        raise UnshowableError(f"{file.transfer_syntax.name} {what}", ProblemKind.NO_CODEC) from None
    if not decoder.is_available:
        raise _no_codec(file)
    options: dict[str, Any] = as_pixel_options(file.data_set, number_of_frames=pixel.frames)
    place = file.source.tell()
    try:
        octets, properties = decoder.as_buffer(
            file.source, index=index, transfer_syntax_uid=UID(uid), pixel_keyword="PixelData", **options
        )
    except RuntimeError as error:  # of the codecs, each with its own words
        if uid == _JPEG_12_BIT and pixel.bits_stored > 8 and "pylibjpeg" not in decoder.available_plugins:
            way = "of more than 8 bits needs pylibjpeg-libjpeg, which is under the GPL"
            raise UnshowableError(f"{file.transfer_syntax.name} {way}", ProblemKind.NO_CODEC) from error
        raise UnshowableError(f"{file.transfer_syntax.name}: {_said(error)}") from error
    bits_stored, is_signed = pixel.bits_stored, pixel.is_signed
    allocated = int(properties["bits_allocated"])
    if uid in JPEG2000TransferSyntaxes:
        file.source.seek(place)
        codestream = get_j2k_parameters(get_frame(file.source, index, number_of_frames=pixel.frames))
        is_right = codestream.get("is_signed", is_signed) == is_signed
        # The codec gives a whole cell, whatever Bits Stored says; but the sign may be at the top of the precision.
        bits_stored = allocated if is_right else int(codestream.get("precision", bits_stored))
    changed = ImagePixel(
        rows=pixel.rows,
        columns=pixel.columns,
        samples=pixel.samples,
        bits_allocated=allocated,
        bits_stored=bits_stored,
        is_signed=is_signed,
        is_planar=pixel.samples == 3 and properties.get("planar_configuration") == 1,
        photometric_interpretation=str(properties["photometric_interpretation"]),
        frames=pixel.frames,
    )
    return _decoded(file, changed, bytes(octets))


def _decoded(file: DICOMFile, pixel: ImagePixel, octets: bytes, *, skipped_bits: int = 0) -> DecodedFrame:
    is_native = not file.transfer_syntax.encapsulated
    if pixel.bits_allocated == 1 and is_native:
        cells: Cells = unpacked(octets, skipped_bits, pixel.rows * pixel.columns * pixel.samples)
    else:
        is_little = file.transfer_syntax.little_endian
        cells = cells_of(octets, pixel.bits_allocated, is_floating=not pixel.bits_stored, is_little=is_little)
    frame = Frame(
        cells=cells,
        rows=pixel.rows,
        columns=pixel.columns,
        samples=pixel.samples,
        is_planar=pixel.is_planar,
        is_subsampled=is_native and pixel.photometric_interpretation == "YBR_FULL_422",
    )
    stored = StoredValues(bits=pixel.bits_stored, is_signed=pixel.is_signed)
    return DecodedFrame(
        frame=frame,
        stored=stored,
        photometric_interpretation=pixel.photometric_interpretation.replace("_COLOR", " COLOR"),
    )


def _no_codec(file: DICOMFile) -> UnshowableError:
    return UnshowableError(f"{file.transfer_syntax.name} needs a codec: {INSTALL_PREVIEW}", ProblemKind.NO_CODEC)


def _said(error: Exception) -> str:
    """What a library says, in one line that is safe to show."""
    lines = str(error).splitlines()
    told = lines[1:] if lines and lines[0].endswith("plugins:") else lines
    return quote("; ".join(line.strip() for line in told if line.strip()), MAX_REASON_CHARACTERS // 2)
