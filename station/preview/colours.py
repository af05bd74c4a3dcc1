"""Colours in 8 bits: RGB, YBR_FULL to RGB, and palettes (PS3.3 C.7.6.3.1.2, C.7.6.3.1.5, C.7.9.2)."""

from collections.abc import Sequence
from dataclasses import dataclass

from dulcet.station.preview.frame import Cells
from dulcet.station.preview.greys import StoredValues

MAX_ENTRIES = 1 << 16  # of a palette, PS3.3 C.7.6.3.1.5
DISCRETE, LINEAR, INDIRECT = 0, 1, 2  # the opcodes of segments, PS3.3 C.7.9.2

_SHIFT = 16  # binary places of the weights
_CLIPPED = bytes(256) + bytes(range(256)) + b"\xff" * 256


def _weights(weight: float) -> tuple[int, ...]:
    return tuple(round(weight * (chroma - 128) * (1 << _SHIFT)) for chroma in range(256))


# The inverse of C.7.6.3.1.2: Y = .299 R + .587 G + .114 B, CB = (B - Y) / 1.772 + 128, CR = (R - Y) / 1.402 + 128.
_RED_OF_CR = _weights(1.402)
_BLUE_OF_CB = _weights(1.772)
_GREEN_OF_CB = _weights(-0.114 * 1.772 / 0.587)
_GREEN_OF_CR = _weights(-0.299 * 1.402 / 0.587)


def eight_bits(rows: Sequence[Cells], stored: StoredValues) -> list[bytes]:
    """Rows of one colour, from no light to all there is of it."""
    if stored.bits == 8:
        return [bytes(row) for row in rows]
    highest = stored.range[1]
    level = {cell: int(stored.value(cell)) * 255 // highest for cell in set[float]().union(*rows)}
    return [bytes(map(level.__getitem__, row)) for row in rows]


def rgb_of_ybr(luma: bytes, cb: bytes, cr: bytes) -> tuple[bytes, bytes, bytes]:
    """A row of YBR_FULL as rows of red, green and blue."""
    half = (1 << _SHIFT - 1) + (256 << _SHIFT)  # to the nearest, and never below the start of the table
    clipped, shift = _CLIPPED, _SHIFT
    red = bytes([clipped[y + (_RED_OF_CR[r] + half >> shift)] for y, r in zip(luma, cr, strict=True)])
    blue = bytes([clipped[y + (_BLUE_OF_CB[b] + half >> shift)] for y, b in zip(luma, cb, strict=True)])
    green = bytes(
        [clipped[y + (_GREEN_OF_CB[b] + _GREEN_OF_CR[r] + half >> shift)] for y, b, r in zip(luma, cb, cr, strict=True)]
    )
    return red, green, blue


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """PALETTE COLOR: an index into three tables."""

    tables: tuple[bytes, bytes, bytes]
    """Red, green and blue, of one length."""
    first: int
    """The stored value that has the first entry."""
    stored: StoredValues

    def apply(self, rows: Sequence[Cells]) -> list[list[bytes]]:
        """Rows of indices as rows of red, of green and of blue."""
        last = len(self.tables[0]) - 1
        cells = set[float]().union(*rows)
        place = {cell: min(max(int(self.stored.value(cell)) - self.first, 0), last) for cell in cells}
        channels = []
        for table in self.tables:
            level = {cell: table[index] for cell, index in place.items()}
            channels.append([bytes(map(level.__getitem__, row)) for row in rows])
        return channels


def expand_segments(data: Sequence[int], is_little: bool, is_wide: bool) -> list[int]:
    """The entries of a segmented palette (PS3.3 C.7.9.2). ValueError when it is damaged, or has too many.

    `is_wide`: entries of 16 bits; the offset of an indirect segment has its parts in another order then.
    """
    entries: list[int] = []
    _expand(data, 0, None, entries, (is_little, is_wide))
    return entries


def _expand(
    data: Sequence[int], position: int, segments: int | None, entries: list[int], kind: tuple[bool, bool]
) -> int:
    """Append the entries of `segments` segments, or of all there are, from `position` on."""
    is_little, is_wide = kind
    while position + 2 < len(data) and segments != 0:  # an odd table is padded with an octet
        opcode, length = data[position], data[position + 1]
        position += 2
        if len(entries) + (length if opcode != INDIRECT else 0) > MAX_ENTRIES:
            raise ValueError(f"its palette has more than {MAX_ENTRIES} entries")
        if opcode == DISCRETE:
            entries += data[position : position + length]
            position += length
        elif opcode == LINEAR and entries:
            start, end = entries[-1], data[position]
            entries += [round(start + (end - start) * step / length) for step in range(1, length + 1)]
            position += 1
        elif opcode == INDIRECT and segments is None and entries:  # one that leads to another is not allowed
            octets = data[position : position + (2 if is_wide else 4)]
            offset = octets[0] | octets[1] << 16 if is_wide else int.from_bytes(bytes(octets), "little")
            if not is_wide and not is_little:  # 16-bit words of octets: the lower word first, each as it is encoded
                offset = octets[0] << 8 | octets[1] | octets[2] << 24 | octets[3] << 16
            _expand(data, offset, length, entries, kind)
            position += len(octets)
        else:
            raise ValueError("its palette has a segment that is none of PS3.3 C.7.9.2")
        segments = None if segments is None else segments - 1
    return position
