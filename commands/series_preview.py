"""`dulcet series preview`: a contact sheet of a series, as a PNG file or in the terminal."""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from dulcet.commands.options import FILE, PNG, is_given
from dulcet.errors import ConfigurationError, NoInputError
from dulcet.escape import legible, quote
from dulcet.station.events import EventStream, JSONLinesWriter, Summary
from dulcet.station.preview.decoding import previews
from dulcet.station.preview.events import event_of
from dulcet.station.preview.half_blocks import has_true_colour, lines_of
from dulcet.station.preview.picture import MAX_SIZE, Picture, PreviewOptions, Problem, Window
from dulcet.station.preview.selection import MAX_NAME_CHARACTERS, Chosen, SeriesObject, choose, find_objects
from dulcet.station.preview.sheet import Tile, contact_sheet, strips
from dulcet.station.terminal import has_colour, moves_cursor

EXIT_PARTLY_FAILED = 1
MAX_SHEET_PIXELS = 64 * 1024 * 1024  # 4,096 tiles of 128 pixels, or 4 of the largest
TERMINAL_TILE = 38  # pixels, that a tile in a terminal has at least: columns of characters


class _WindowType(click.ParamType[Window]):
    name = "CENTER/WIDTH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Window:
        """`40/400`."""
        if isinstance(value, Window):
            return value
        try:
            return Window.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("series", nargs=-1, required=True, metavar="SERIES")
@click.option(
    "--directory", type=FILE, default=Path("received"), show_default=True, metavar="DIR", help="Where objects went."
)
@click.option("--output", type=PNG, metavar="FILE.png", help="Write the sheet as a PNG file.")
@click.option("--terminal", is_flag=True, help="Show it in the terminal. [default: without --output]")
@click.option("--frame", type=click.IntRange(1), metavar="N", help="This frame of multi-frame objects.")
@click.option("--window", type=_WindowType(), metavar="C/W", help="Window center and width, for grey images.")
@click.option(
    "--size",
    type=click.IntRange(16, MAX_SIZE),
    default=128,
    show_default=True,
    metavar="PIXELS",
    help="Of the longer side of an image.",
)
@click.option("--columns", type=click.IntRange(1, 100), metavar="N", help="Images beside one another. [default: 5]")
@click.option(
    "--images", type=click.IntRange(1, 10_000), default=20, show_default=True, metavar="N", help="At most so many."
)
@click.option("--phi", is_flag=True, help="Write patient, study and series above the sheet.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
def preview(series: tuple[str, ...], **options: Any) -> int:
    """Show a few images of SERIES, evenly chosen: not for diagnosis.

    SERIES is the UID of one in --directory, or as much of its end as no other has; or a DICOM file, or a folder. Each
    image has the window of its file, or --window.

    \b
    dulcet series preview 1.2.840.113619.2.5 --output sheet.png
    dulcet series preview cine.dcm --images 9 --columns 3 --output cine.png
    dulcet series preview cine.dcm --frame 12 --size 512 --output frame.png

    Without --output the images are shown in the terminal. The exit code is 1 when some can't be shown: the reason is
    said. `pip install 'dulcet[preview]'` is needed for JPEG and JPEG 2000 alone.
    """
    job = _PreviewJob(options)
    job.check()
    return job.run(find_objects([path for word in series for path in _paths(word, options["directory"])]))


def _paths(word: str, directory: Path) -> list[str]:
    """A file or folder as it is; else the files of a series of the vault in `directory`."""
    if os.path.lexists(word):
        return [word]
    from dulcet.station.vault.naming import matching
    from dulcet.station.vault.open_vault import open_vault

    said = quote(word, MAX_NAME_CHARACTERS)
    if not directory.is_dir():
        raise NoInputError(f"there is no file or folder {said}, and no directory {directory} with such a series")
    vault = open_vault(directory, in_use=lambda places: ())
    try:
        found = matching(word, vault.index.series_uids())
        if len(found) == 1:
            instances = vault.index.instances(found[0])
            return [vault.store.place(one.name) for one in instances if one.octets is not None]
    finally:
        vault.close()
    if found:
        raise click.UsageError(f"{said} may be any of {len(found)} series in {directory}: give more of the UID")
    raise NoInputError(f"there is no file or folder {said}, and no such series in {directory}")


@dataclass
class _PreviewJob:
    options: dict[str, Any]
    events: EventStream = field(default_factory=EventStream)
    pictures: int = 0
    problems: int = 0
    failures: int = 0
    without_pixels: dict[str, list[str]] = field(default_factory=dict)
    """Those that are no failure, by the reason: they are told together."""

    @property
    def in_terminal(self) -> bool:
        """Where it was asked for, and where nothing else was."""
        return bool(self.options["terminal"] or (self.options["output"] is None and not self.options["as_json"]))

    def check(self) -> None:
        """Before the work: that what it makes can be shown and written."""
        if self.options["as_json"]:
            if self.options["terminal"]:
                raise click.UsageError("--json and --terminal exclude each other")
            self.events.subscribe(JSONLinesWriter(sys.stdout))
        if self.in_terminal:
            if not moves_cursor(sys.stdout):
                raise click.UsageError("standard output is no terminal: --output FILE.png")
            if not has_colour(sys.stdout):
                raise click.UsageError("the terminal has no colours, or NO_COLOR is set: --output FILE.png")

    def run(self, objects: Sequence[SeriesObject]) -> int:
        """Make the pictures and show them; the exit code."""
        started = time.monotonic()
        chosen = choose(objects, self.options["images"], self.options["frame"])
        columns, size = self._layout(len(chosen))
        if len(chosen) * size**2 > MAX_SHEET_PIXELS:
            raise click.UsageError("such a sheet has more than 64 million pixels: a smaller --size, or fewer --images")
        tiles = self._tiles(chosen, size)
        if self.options["output"] is not None:
            sheet = contact_sheet(tiles, size=size, columns=columns, heading=self._heading(objects, chosen))
            _write(self.options["output"], sheet.png())
        if self.in_terminal:
            _show(tiles, size, columns)
        code = EXIT_PARTLY_FAILED if self.failures else 0
        counts = {"shown": self.pictures, "not-shown": self.problems}
        self.events(Summary(exit_code=code, counts=counts, octets=0, seconds=round(time.monotonic() - started, 3)))
        return code

    def _layout(self, count: int) -> tuple[int, int]:
        """Columns, and pixels a side of a tile: in the terminal alone, as many and as large as it is wide."""
        columns = min(self.options["columns"] or 5, count)
        if not self.in_terminal or self.options["output"] is not None:
            return columns, self.options["size"]
        width = max(1, shutil.get_terminal_size().columns)
        columns = self.options["columns"] or max(1, min(count, width // TERMINAL_TILE))
        widest = max(2, (width + 1) // columns - 1)
        return columns, min(widest, self.options["size"]) if is_given("size") else widest

    def _tiles(self, chosen: Sequence[Chosen], size: int) -> list[Tile]:
        tiles = []
        options = PreviewOptions(size=size, window=self.options["window"])
        results = previews([one.image for one in chosen], options)
        for one, result in zip(chosen, results, strict=True):
            self.events(event_of(result))
            if isinstance(result, Picture):
                self.pictures += 1
                tiles.append(Tile(caption=one.caption, picture=result))
            else:
                tiles.append(Tile(caption=one.caption, picture=None, words=result.reason))
                self._note(result)
        for reason, names in self.without_pixels.items():
            others = f", and {len(names) - 1:,} more" if len(names) > 1 else ""
            click.echo(f"dulcet: {names[0]}{others}: {reason}", err=True)
        return tiles

    def _note(self, problem: Problem) -> None:
        self.problems += 1
        self.failures += problem.is_failure
        name = quote(os.fspath(problem.image.path), 200)
        if problem.is_failure:
            click.echo(f"dulcet: {name}: {problem.reason}", err=True)
        else:
            self.without_pixels.setdefault(problem.reason, []).append(name)

    def _heading(self, objects: Sequence[SeriesObject], chosen: Sequence[Chosen]) -> list[str]:
        heading = [_count(objects, chosen)]
        if self.options["phi"]:
            heading.append(" / ".join(legible(text.replace("^", " ")) for text in objects[0].patient_words()))
        return heading


def _count(objects: Sequence[SeriesObject], chosen: Sequence[Chosen]) -> str:
    """What the sheet shows of what there is."""
    if len(objects) == 1:
        return f"{len(chosen)} of {objects[0].frames} frames"
    return f"{len({one.image.path for one in chosen})} of {len(objects)} objects"


def _write(path: Path, octets: bytes) -> None:
    try:
        path.write_bytes(octets)
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror or error}") from error


def _show(tiles: Sequence[Tile], size: int, columns: int) -> None:
    """Half blocks, each row of images with its captions below."""
    true_colour = has_true_colour(os.environ)
    for strip, captions in strips(tiles, size=size, columns=columns):
        for line in lines_of(strip, true_colour=true_colour):
            click.echo(line, color=True)
        click.echo(" ".join(caption[:size].center(size) for caption in captions).rstrip())
    click.echo("Not for diagnosis.")
