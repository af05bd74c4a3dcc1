"""A frame of decoded pixels, and where in it the values of a row of the picture are (PS3.5 8, PS3.3 C.7.6.3.1)."""

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

MAX_SAMPLES_A_SIDE = (
    3  # of the frame for a pixel of the picture: their mean is smooth, and costs the same for any frame
)

_UNPACKED = tuple(bytes(octet >> bit & 1 for bit in range(8)) for octet in range(256))  # PS3.5 8.1.1: the lowest first
_TYPE_CODES = {array(code).itemsize * 8: code for code in "HILQ"}
"""By bits; of two types of one size the one that comes later stands."""

Cells: TypeAlias = "bytes | array[int] | array[float]"
"""In this machine's byte order: cells of one bit and of eight as octets, else unsigned or floating point numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """One frame, as its cells lie in memory."""

    cells: Cells
    """All samples."""
    rows: int
    columns: int
    samples: int
    """Samples per Pixel: 1 or 3."""
    is_planar: bool = False
    """Planar Configuration 1: plane by plane. Else pixel by pixel."""
    is_subsampled: bool = False
    """Y, Y, CB, CR of two pixels in turn: uncompressed YBR_FULL_422."""

    def rows_of(self, width: int, height: int) -> "Sampled":
        """The cells from which a picture of `width` to `height` pixels is made; it has no more than the frame."""
        side = min(MAX_SAMPLES_A_SIDE, self.columns // width, self.rows // height)
        columns, rows = _spread(width * side, self.columns), _spread(height * side, self.rows)
        return Sampled([self._channel(columns, rows, sample) for sample in range(self.samples)], side)

    def _channel(self, columns: Sequence[int], rows: Sequence[int], sample: int) -> list[Cells]:
        """Of each of `rows`, the cells of one sample in `columns`."""
        start, stride, places = 0, self.columns * self.samples, [column * self.samples + sample for column in columns]
        if self.is_planar:
            start, stride, places = sample * self.rows * self.columns, self.columns, list(columns)
        elif self.is_subsampled:
            stride = self.columns * 2
            places = [column // 2 * 4 + (column % 2 if sample == 0 else sample + 1) for column in columns]
        cells = self.cells
        if places == list(range(stride)):  # as they lie
            return [cells[start + row * stride : start + (row + 1) * stride] for row in rows]
        pick: Callable[[Cells], tuple[Any, ...]]
        pick = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)
        picked: Iterator[Any] = (pick(cells[start + row * stride : start + (row + 1) * stride]) for row in rows)
        if isinstance(cells, bytes):
            return [bytes(row) for row in picked]
        return [array(cells.typecode, row) for row in picked]


@dataclass(frozen=True, slots=True)
class Sampled:
    """The cells of a frame that a picture is made from."""

    channels: Sequence[Sequence[Cells]]
    """For each sample of a pixel, the rows of its cells."""
    side: int
    """A pixel of the picture is the mean of `side` * `side` cells, once they are in 8 bits."""

    def shrunk(self, rows: Sequence[bytes]) -> list[bytes]:
        """The rows of a channel, now in 8 bits, as rows of the picture."""
        side, area = self.side, self.side * self.side
        if side == 1:
            return list(rows)
        shrunk = []
        for first in range(0, len(rows), side):
            columns = [row[start::side] for row in rows[first : first + side] for start in range(side)]
            shrunk.append(bytes([(total + area // 2) // area for total in map(sum, zip(*columns, strict=True))]))
        return shrunk


def fitting(columns: int, rows: int, size: int) -> tuple[int, int]:
    """The width and height of a picture whose longer side has at most `size` pixels; no more than the frame has."""
    longer = max(columns, rows)
    if longer <= size:
        return columns, rows
    return max(1, round(columns * size / longer)), max(1, round(rows * size / longer))


def _spread(count: int, length: int) -> list[int]:
    """`count` places in `length`, each in the middle of its share."""
    return [(2 * index + 1) * length // (2 * count) for index in range(count)]


def cells_of(octets: bytes | bytearray, bits: int, *, is_floating: bool = False, is_little: bool = True) -> Cells:
    """Octets as cells of `bits` bits. ValueError when Python has no such numbers: 24 bits, 40 bits."""
    if bits == 8:
        return bytes(octets)
    code = {32: "f", 64: "d"}[bits] if is_floating else _TYPE_CODES.get(bits)
    if code is None:
        raise ValueError(f"{bits} bits allocated are not supported")
    cells: array[Any] = array(code)
    cells.frombytes(octets[: len(octets) // cells.itemsize * cells.itemsize])
    if is_little != (sys.byteorder == "little"):
        cells.byteswap()
    return cells


def unpacked(octets: bytes | bytearray, skipped_bits: int, count: int) -> bytes:
    """Cells of one bit, each as an octet, after the first `skipped_bits` of `octets`."""
    return b"".join(map(_UNPACKED.__getitem__, octets))[skipped_bits : skipped_bits + count]
