"""A picture in a terminal: two pixels in a cell, the upper one as the colour of a half block, the lower one behind."""

from collections.abc import Sequence
from itertools import pairwise

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from dulcet.station.preview.picture import Picture

HALF_BLOCK = "▀"
BLACK = (0, 0, 0)

Colour = tuple[int, int, int]


def fitted(width: int, height: int, columns: int, rows: int) -> tuple[int, int]:
    """The largest (width, height) in pixels, shaped as a picture of `width` * `height`, for so many cells."""
    if min(width, height, columns, rows) < 1:
        return 0, 0
    scale = min(columns / width, 2 * rows / height)
    return max(1, min(columns, round(width * scale))), max(1, min(2 * rows, round(height * scale)))


def scaled(picture: Picture, width: int, height: int) -> list[list[Colour]]:
    """The picture in `height` rows of `width` pixels: the mean of what falls into each. Time: that of its pixels."""
    xs, ys = _bounds(picture.width, width), _bounds(picture.height, height)
    stride, channels = picture.width * picture.channels, picture.channels
    rows = []
    for top, bottom in ys:
        lines = [picture.pixels[y * stride : (y + 1) * stride] for y in range(top, bottom)]
        means = [_means([line[channel::channels] for line in lines], xs) for channel in range(channels)]
        rows.append([(value, value, value) for value in means[0]] if channels == 1 else list(zip(*means, strict=True)))
    return rows


def _bounds(length: int, parts: int) -> list[tuple[int, int]]:
    """`parts` ranges that cover `length`, none of them empty; where there are more parts than places, places repeat."""
    starts = [index * length // parts for index in range(parts + 1)] if parts else []
    return [(start, max(end, start + 1)) for start, end in pairwise(starts)]


def _means(lines: Sequence[bytes], ranges: Sequence[tuple[int, int]]) -> list[int]:
    return [
        sum(sum(line[start:end]) for line in lines) // ((end - start) * len(lines)) if lines else 0
        for start, end in ranges
    ]


def strips(rows: Sequence[Sequence[Colour]]) -> list[Strip]:
    """Lines of cells; under the last row of an odd number is black."""
    made = []
    for top in range(0, len(rows), 2):
        upper = rows[top]
        lower = rows[top + 1] if top + 1 < len(rows) else [BLACK] * len(upper)
        made.append(Strip([_cell(*pair) for pair in zip(upper, lower, strict=True)], len(upper)))
    return made


def _cell(upper: Colour, lower: Colour) -> Segment:
    return Segment(HALF_BLOCK, Style(color=Color.from_rgb(*upper), bgcolor=Color.from_rgb(*lower)))
