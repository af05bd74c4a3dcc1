"""A picture in a terminal: a character is two pixels, the upper in the colour of a half block, the lower behind it."""

from collections.abc import Iterator, Mapping

from dulcet.station.preview.raster import Raster

UPPER_HALF = "\u2580"
RESET = "\x1b[0m"
_LEVELS = (0, 95, 135, 175, 215, 255)  # of each colour in the palette of 256, from colour 16 on
_NEAREST = tuple(min(range(6), key=lambda place: abs(_LEVELS[place] - level)) for level in range(256))
_GREYS = 24  # from colour 232 on


def has_true_colour(environment: Mapping[str, str]) -> bool:
    """Whether the terminal says that it has 16 million colours; most that have say so."""
    return environment.get("COLORTERM", "") in ("truecolor", "24bit")


def lines_of(raster: Raster, *, true_colour: bool) -> Iterator[str]:
    """A line of characters for each two rows of a surface of colours. A colour is said when it changes."""
    code = _true if true_colour else _indexed
    for upper, lower in zip(raster.rows[::2], raster.rows[1::2], strict=True):
        line, before = [], ("", "")
        for place in range(0, raster.width * 3, 3):
            colours = code(upper[place : place + 3]), code(lower[place : place + 3])
            if colours[0] != before[0]:
                line.append(f"\x1b[38;{colours[0]}m")
            if colours[1] != before[1]:
                line.append(f"\x1b[48;{colours[1]}m")
            line.append(UPPER_HALF)
            before = colours
        yield "".join(line) + RESET


def _true(colour: bytearray) -> str:
    return "2;{};{};{}".format(*colour)


def _indexed(colour: bytearray) -> str:
    red, green, blue = colour
    if red == green == blue:
        if 4 <= red <= 246:
            return f"5;{232 + (red - 4) * _GREYS // 243}"
        return "5;16" if red < 4 else "5;231"
    return f"5;{16 + 36 * _NEAREST[red] + 6 * _NEAREST[green] + _NEAREST[blue]}"
