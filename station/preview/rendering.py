"""A picture of a file: from its octets to 8 bits. Only the process that decodes imports this."""

from dulcet.escape import quote
from dulcet.station.preview.colours import eight_bits, rgb_of_ybr
from dulcet.station.preview.dicom_file import DICOMFile, UnshowableError, opened
from dulcet.station.preview.frame import Sampled, fitting
from dulcet.station.preview.picture import Image, Picture, PreviewOptions, Window
from dulcet.station.preview.pixels import DecodedFrame, frame_of, image_pixel
from dulcet.station.preview.presentation import grey_scale, palette

Channels = list[list[bytes]]


def render(image: Image, options: PreviewOptions) -> Picture:
    """Decode a frame and make a picture of it. UnshowableError, with a sentence, when there is none."""
    with opened(str(image.path)) as file:
        pixel = image_pixel(file)
        number = (pixel.frames + 1) // 2 if image.frame is None else image.frame
        if not 1 <= number <= pixel.frames:
            raise UnshowableError(f"it has no frame {number}: it has {pixel.frames}")
        decoded = frame_of(file, pixel, number - 1)
        width, height = fitting(pixel.columns, pixel.rows, options.size)
        sampled = decoded.frame.rows_of(width, height)
        channels, window = _in_eight_bits(file, decoded, sampled, number - 1, options.window)
    channels = [sampled.shrunk(channel) for channel in channels]
    return Picture(
        image=image,
        frame=number,
        frames=pixel.frames,
        width=width,
        height=height,
        channels=len(channels),
        pixels=b"".join(map(_interleaved, zip(*channels, strict=True))),
        rows=pixel.rows,
        columns=pixel.columns,
        window=window,
    )


def _in_eight_bits(
    file: DICOMFile, decoded: DecodedFrame, sampled: Sampled, index: int, window: Window | None
) -> tuple[Channels, Window | None]:
    """By the Photometric Interpretation, PS3.3 C.7.6.3.1.2."""
    kind, stored, cells = decoded.photometric_interpretation, decoded.stored, sampled.channels
    if kind == "PALETTE COLOR" and len(cells) == 1:
        return palette(file, stored).apply(cells[0]), None
    if len(cells) == 1 and kind in ("MONOCHROME1", "MONOCHROME2"):
        greys = grey_scale(file, index, stored, window, monochrome1=kind == "MONOCHROME1")
        rows, window = greys.apply(cells[0])
        return [rows], window
    if len(cells) == 3 and kind in ("RGB", "YBR_FULL", "YBR_FULL_422"):
        channels = [eight_bits(channel, stored) for channel in cells]
        if kind == "RGB":
            return channels, None
        rows_of_rgb = [rgb_of_ybr(*row) for row in zip(*channels, strict=True)]
        return [list(channel) for channel in zip(*rows_of_rgb, strict=True)], None
    raise UnshowableError(f"Photometric Interpretation {quote(kind, 16)} with {len(cells)} samples is not shown")


def _interleaved(rows: tuple[bytes, ...]) -> bytes:
    """A row of each channel as a row of pixels."""
    pixels = bytearray(len(rows) * len(rows[0]))
    for channel, row in enumerate(rows):
        pixels[channel :: len(rows)] = row
    return bytes(pixels)
