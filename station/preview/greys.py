"""From stored values to greys: modality LUT, VOI LUT or window, presentation (PS3.3 C.11.1, C.11.2, C.11.6).

All of it depends on the stored value alone. So it is worked out once for each value that occurs, and the pixels are
looked up: that is fast without numpy, and the only way there is.
"""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dulcet.station.preview.frame import Cells
from dulcet.station.preview.picture import Window

WHITE = 255
LOWEST_SHARE, HIGHEST_SHARE = 0.01, 0.99  # of the values, when nothing says which of them matter
MAX_BITS_SHOWN_WHOLE = 8  # without a window: a screen shows them all

Mapping = Callable[[float], float]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredValues:
    """How a cell is read as a number (PS3.5 8.1.1)."""

    bits: int
    """That mean something: Bits Stored, the lowest of the cell. 0 for floating point."""
    is_signed: bool
    """Pixel Representation 1: two's complement."""

    def value(self, cell: float) -> float:
        """The number in a cell, whatever stands in the bits above."""
        if not self.bits:
            return cell
        number = int(cell) & (1 << self.bits) - 1
        return number - (1 << self.bits) if self.is_signed and number >> self.bits - 1 else number

    @property
    def range(self) -> tuple[int, int]:
        """The lowest and the highest number that there can be."""
        return (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.is_signed else (0, (1 << self.bits) - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class GreyScale:
    """What the data set says of its grey values."""

    stored: StoredValues
    modality: Mapping
    """Stored value to modality value."""
    voi: Mapping | None
    """Modality value to 0 (black) .. 1 (white); None where the data set says nothing."""
    window: Window | None = None
    """The one that `voi` applies, if it is one."""
    padding: tuple[float, float] | None = None
    """The stored values, from and to, that are no part of the image (PS3.3 C.7.5.1.1.2)."""
    is_inverted: bool = False
    """MONOCHROME1, or Presentation LUT Shape INVERSE: the lowest value is white."""

    def apply(self, rows: Sequence[Cells]) -> tuple[list[bytes], Window | None]:
        """Rows of cells in 8 bits, and the window that was applied. Memory: a number for each value that occurs."""
        if not self.stored.bits:
            rows = [array(row.typecode, map(_comparable, row)) if isinstance(row, array) else row for row in rows]
        values = {cell: self.stored.value(cell) for cell in set[float]().union(*rows)}
        modality = {cell: self.modality(value) for cell, value in values.items()}
        voi, window = self.voi, self.window
        if voi is None:
            window = self._window_of_values(rows, values, modality)
            voi = linear_exact(window)
        white = -WHITE if self.is_inverted else WHITE
        black = WHITE if self.is_inverted else 0
        greys = {cell: black + round(white * voi(value)) for cell, value in modality.items()}
        octets = bytes(greys.get(cell, 0) for cell in range(256))
        look_up = greys.__getitem__
        return [row.translate(octets) if isinstance(row, bytes) else bytes(map(look_up, row)) for row in rows], window

    def _window_of_values(
        self, rows: Sequence[Cells], values: dict[float, float], modality: dict[float, float]
    ) -> Window:
        """All values where there are few, else those between the first and the last hundredth."""
        if 0 < self.stored.bits <= MAX_BITS_SHOWN_WHOLE:
            low, high = map(self.modality, self.stored.range)
            return _between(min(low, high), max(low, high))
        counts: Counter[float] = Counter()
        for row in rows:
            counts.update(row)
        first, last = self.padding or (math.inf, -math.inf)
        image = {cell: n for cell, n in counts.items() if not first <= values[cell] <= last} or counts
        ordered = sorted((modality[cell], n) for cell, n in image.items() if math.isfinite(modality[cell]))
        highest = sum(n for _, n in ordered) - 1
        if highest < 0:  # not a number in all of it
            return Window(0, 1)
        return _between(
            _at(ordered, math.floor(highest * LOWEST_SHARE)), _at(ordered, math.ceil(highest * HIGHEST_SHARE))
        )


def _comparable(cell: float) -> float:
    """What is not a number is equal to nothing, itself included, and can't be looked up: below all numbers then."""
    return cell if cell == cell else -math.inf


def _at(ordered: Iterable[tuple[float, int]], place: int) -> float:
    """The value at `place`, each counted as often as it occurs."""
    for value, count in ordered:
        place -= count
        if place < 0:
            return value
    raise IndexError(place)


def _between(low: float, high: float) -> Window:
    return Window((low + high) / 2, high - low)


# PS3.3 C.11.2.1.2 and C.11.2.1.3 -------------------------------------------------------------------------------------


def linear(window: Window) -> Mapping:
    """LINEAR, C.11.2.1.2.1: the lowest of `width` whole numbers is black, the highest white."""
    return linear_exact(Window(window.center - 0.5, window.width - 1))


def linear_exact(window: Window) -> Mapping:
    """LINEAR_EXACT, C.11.2.1.3.2."""
    center, width = window
    low, high = center - width / 2, center + width / 2

    def voi(value: float) -> float:
        if value > high:
            return 1
        return (value - center) / width + 0.5 if value > low else 0

    return voi


def sigmoid(window: Window) -> Mapping:
    """SIGMOID, C.11.2.1.3.1."""
    center, width = window

    def voi(value: float) -> float:
        exponent = -4 * (value - center) / width
        return 1 / (1 + math.exp(exponent)) if exponent < 700 else 0  # beyond, exp overflows

    return voi


VOI_LUT_FUNCTIONS = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}
"""VOI LUT Function (0028,1056) -> what it makes of a window."""


def lookup(table: Sequence[int], first: int) -> Callable[[float], int]:
    """A LUT, C.11.1.1: values below the first mapped and above the last have the entry at that end."""
    last = len(table) - 1

    def entry(value: float) -> int:
        return table[min(max(int(value) - first, 0), last)]

    return entry
