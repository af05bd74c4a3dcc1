"""Pictures side by side: a contact sheet. Each tile says that it is not for diagnosis, and no tile says whose it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dulcet.station.preview.font import LINE_HEIGHT, wrapped
from dulcet.station.preview.picture import Picture
from dulcet.station.preview.raster import Raster

STAMP = "NOT FOR DIAGNOSIS"
MIN_WIDTH = 220  # of a sheet, for the heading of one with a single small tile

_GAP = 4
_PAPER, _TILE, _INK, _FAINT = 0x18, 0x00, 0xE8, 0x90
_CAPTION_HEIGHT = 2 * LINE_HEIGHT + 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """One place on the sheet."""

    caption: str
    """Which image it is."""
    picture: Picture | None
    """None where there is none."""
    words: str = ""
    """Why there is none."""


def contact_sheet(tiles: Sequence[Tile], *, size: int, columns: int, heading: Sequence[str]) -> Raster:
    """All of `tiles`, `columns` in a row, each `size` pixels a side with two lines below, under `heading`.

    In colours if one of them is, else grey.
    """
    columns = max(1, min(columns, len(tiles)))
    width = max(MIN_WIDTH, columns * (size + _GAP) + _GAP)
    lines = [line for text in (STAMP, *heading) for line in wrapped(text, width - 2 * _GAP, 4)]
    top = len(lines) * LINE_HEIGHT + 2 * _GAP
    rows = -(-len(tiles) // columns)
    channels = max((tile.picture.channels for tile in tiles if tile.picture is not None), default=1)
    sheet = Raster(width, top + rows * (size + _CAPTION_HEIGHT + _GAP), channels, _PAPER)
    for number, line in enumerate(lines):
        ink = _INK if line == STAMP else _FAINT
        sheet.write(line, _GAP, _GAP + number * LINE_HEIGHT, width - 2 * _GAP, ink=ink, paper=_PAPER)
    for number, tile in enumerate(tiles):
        left = _GAP + number % columns * (size + _GAP)
        _draw(sheet, tile, left, top + number // columns * (size + _CAPTION_HEIGHT + _GAP), size)
    return sheet


def _draw(sheet: Raster, tile: Tile, left: int, top: int, size: int) -> None:
    picture = tile.picture
    sheet.fill(left, top, size, size, _TILE)
    if picture is not None:
        sheet.put(picture, left, top, size, size)
    else:
        for number, line in enumerate(wrapped(tile.words, size - 2 * _GAP, (size - _GAP) // LINE_HEIGHT)):
            place = top + _GAP + number * LINE_HEIGHT
            sheet.write(line, left + _GAP, place, size - 2 * _GAP, ink=_FAINT, paper=_TILE)
    sheet.write(tile.caption, left, top + size + 2, size, ink=_INK, paper=_PAPER)
    sheet.write(STAMP, left, top + size + 2 + LINE_HEIGHT, size, ink=_FAINT, paper=_PAPER)


def strips(tiles: Sequence[Tile], *, size: int, columns: int) -> Iterator[tuple[Raster, list[str]]]:
    """For a terminal: the rows of tiles one by one, without texts, and beside each its captions."""
    columns = max(1, min(columns, len(tiles)))
    for first in range(0, len(tiles), columns):
        row = tiles[first : first + columns]
        pictures = [tile.picture for tile in row if tile.picture is not None]
        height = max((one.height * max(1, size // max(one.width, one.height)) for one in pictures), default=2)
        strip = Raster(columns * (size + 1) - 1, height + height % 2, 3, _TILE)
        for number, tile in enumerate(row):
            if tile.picture is not None:
                strip.put(tile.picture, number * (size + 1), 0, size, height)
        yield strip, [tile.caption for tile in row]
