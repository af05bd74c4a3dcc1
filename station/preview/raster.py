"""A surface of pixels to put pictures and texts on, and its PNG file (PNG, third edition, 5 and 11.2)."""

import struct
import zlib

from dulcet.station.preview.font import GLYPH_HEIGHT, text_rows
from dulcet.station.preview.picture import Picture

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 3: 2}  # greyscale, truecolour


class Raster:
    """Rows of pixels, grey or red, green and blue; memory: an octet for each of them."""

    def __init__(self, width: int, height: int, channels: int, paper: int) -> None:
        self.width = width
        self.channels = channels
        self.rows = [bytearray([paper]) * (width * channels) for _ in range(height)]

    def put(self, picture: Picture, left: int, top: int, size: int, height: int) -> None:
        """A picture in the middle of a place for it; a grey one on a surface of colours too.

        One that is smaller is enlarged, by a whole number, so that each of its pixels can still be seen.
        """
        times = max(1, min(size // picture.width, height // picture.height))
        left += (size - picture.width * times) // 2
        top += (height - picture.height * times) // 2
        octets = picture.width * picture.channels
        for row in range(picture.height):
            pixels = _repeated(picture.pixels[row * octets : (row + 1) * octets], picture.channels, times)
            for copy in range(times):
                self._put_row(pixels, picture.channels, left, top + row * times + copy)

    def write(self, text: str, left: int, top: int, width: int, *, ink: int, paper: int) -> None:
        """One line of text in `width` pixels, cut if it is longer."""
        for row, pixels in enumerate(text_rows(text, width, ink, paper)[:GLYPH_HEIGHT]):
            self._put_row(pixels, 1, left, top + row)

    def fill(self, left: int, top: int, width: int, height: int, grey: int) -> None:
        """A rectangle of one grey."""
        for row in range(top, top + height):
            self._put_row(bytes([grey]) * width, 1, left, row)

    def png(self) -> bytes:
        """As a PNG file. It has no text and no time in it: the same pictures make the same file."""
        head = struct.pack(">IIBBBBB", self.width, len(self.rows), 8, _COLOUR_TYPES[self.channels], 0, 0, 0)
        scanlines = b"".join(b"\0" + row for row in self.rows)  # filter type 0: none
        return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(scanlines)) + _chunk(b"IEND", b"")

    def _put_row(self, pixels: bytes, channels: int, left: int, row: int) -> None:
        if channels < self.channels:
            coloured = bytearray(len(pixels) * self.channels)
            for channel in range(self.channels):
                coloured[channel :: self.channels] = pixels
            pixels = bytes(coloured)
        start = left * self.channels
        self.rows[row][start : start + len(pixels)] = pixels


def _repeated(pixels: bytes, channels: int, times: int) -> bytes:
    if times == 1:
        return pixels
    repeated = bytearray(len(pixels) * times)
    for channel in range(channels):
        for copy in range(times):
            repeated[channel + copy * channels :: channels * times] = pixels[channel::channels]
    return bytes(repeated)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
