"""Received: the series that came last, with a picture of the one under the cursor, and what may be done with it."""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from dulcet.escape import legible, quote
from dulcet.station.book.nodes import Node
from dulcet.station.figures import day, size
from dulcet.station.preview.picture import Picture, Problem
from dulcet.station.tui.dialogs import Question
from dulcet.station.tui.figures import count, moment
from dulcet.station.tui.pane import Pane, beside, key
from dulcet.station.tui.path_input import PathQuestion
from dulcet.station.tui.picture_view import PictureView
from dulcet.station.tui.send_form import SendForm
from dulcet.station.tui.table import Column, Row, Table

if TYPE_CHECKING:
    from dulcet.station.archive.series import Series

MAX_SERIES = 100  # shown; the newest
MAX_PICTURES = 50  # kept, of some 64 kB each
POLL_SECONDS = 1.0
DWELL_SECONDS = 0.15  # that the cursor rests on a series before its picture is made
INDEX_SECONDS = 2.0  # between two looks through the directory
MAX_WORDS = 5_000  # of a command line: files for one job
EXIT_PARTLY_FAILED = 1
NANO = 1_000_000_000

_COLUMNS = (
    Column("Patient", 12, share=3),
    Column("Date", 10),
    Column("Mod", 3),
    Column("Images", 6, is_right=True),
    Column("From", 8, share=1),
    Column("Description", 14, share=3, drop=2),
    Column("Arrived", 11, drop=3),
    Column("Size", 8, drop=1, is_right=True),
)


class ReceivedPane(Pane):
    """The screen."""

    TITLE, FOCUS = "Received", "#series"
    BINDINGS: ClassVar[list[BindingType]] = [
        *key("v,enter", "open", "View", tip="Open the series in the system's viewer"),
        *key("x", "export", "Export", tip="Copy the series into a folder or a zip file"),
        *key("f", "forward", "Forward", tip="Send the series to a node, through the queue"),
        *key("delete,d", "remove", "Remove", tip="Remove the series from this machine (asks)", shown_as="Del"),
        *key("space", "again", "Look now", tip="Look now, and make the picture anew", show=False),
    ]
    DEFAULT_CSS = """
    ReceivedPane Horizontal { height: 1fr; }
    ReceivedPane Table { width: 3fr; }
    ReceivedPane PictureView { width: 2fr; max-width: 70; }
    """

    def __init__(self) -> None:
        super().__init__(id="received-pane")
        self._received: dict[str, Series] = {}
        self._version: Hashable = self  # differs from every version
        self._indexed: Hashable = ()
        self._is_indexing = False
        self._is_reading = False
        self._fault = ""
        self._offered: Sequence[Node] = ()
        self._pictures: OrderedDict[tuple[str, int], Picture | Problem] = OrderedDict()

    def compose(self) -> ComposeResult:
        """The table beside the picture, and the line."""
        with Horizontal():
            yield Table(_COLUMNS, id="series")
            yield PictureView()
        yield self.says()

    def on_mount(self) -> None:
        """Look once a second whether something came."""
        self.set_interval(POLL_SECONDS, self.look)

    def offer(self, nodes: Sequence[Node]) -> None:
        """Series may be sent to these."""
        self._offered = nodes

    def shown(self) -> None:
        """Show it at once."""
        self.look()

    @property
    def selected(self) -> "Series | None":
        """The one under the cursor."""
        return self._received.get(self.query_one(Table).selected or "")

    # Looking --------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read what came, unless that goes on already, or nobody would see it."""
        if not self._is_reading and self.station.front is self:
            self._is_reading = True
            self._read()

    @work(group="series")
    async def _read(self) -> None:
        vault, before = self.station.sources.vault, self._version

        def read() -> "tuple[Hashable, Sequence[Series] | None, Hashable]":
            contents, version = vault.contents(), vault.version()
            return version, None if version == before else vault.series(MAX_SERIES), contents

        try:
            found, fault = await beside(read)
        finally:
            self._is_reading = False
        if found is None:
            if fault != self._fault:
                self.say(fault, is_error=True)
            self._fault = fault
            return
        if self._fault:
            self.say("")
        self._version, self._fault = found[0], ""
        if found[1] is not None:
            self._show(found[1])
        if found[2] and found[2] != self._indexed and not self._is_indexing:
            self._is_indexing = True
            self._bring_up_to_date(found[2])

    @work(group="index")
    async def _bring_up_to_date(self, contents: Hashable) -> None:
        """Have the index brought up to date: files came or went since that was done."""
        self._indexed = contents
        try:
            where = str(self.station.sources.directory)
            answer = await self.station.sources.commands.run("index", "--quiet", "--", where)
            if answer.code not in (0, EXIT_PARTLY_FAILED):
                self.say_how(answer, "")
            self.look()
            await asyncio.sleep(INDEX_SECONDS)
        finally:
            self._is_indexing = False

    def _show(self, series: "Sequence[Series]") -> None:
        self._received = {each.series_instance_uid: each for each in series}
        self.query_one(Table).show([_row(each) for each in series])
        if series:
            newest = " (the newest)" if len(series) == MAX_SERIES else ""
            self.say(f"{count(len(series), 'series', 'series')}{newest} in {self._where}")
        else:
            self.say(f"Nothing has been received in {self._where}.")
        self._preview()

    @property
    def _where(self) -> str:
        return legible(str(self.station.sources.directory), 200)

    # The picture ----------------------------------------------------------------------------------------------------

    def on_data_table_row_highlighted(self) -> None:
        """The cursor is on another one."""
        self._preview()

    def action_again(self) -> None:
        """Look now."""
        self._pictures.clear()
        self._version, self._indexed = self, ()
        self.look()

    @work(group="preview", exclusive=True)
    async def _preview(self) -> None:
        series, view = self.selected, self.query_one(PictureView)
        if series is None:
            view.say("")
            return
        name = (series.series_instance_uid, series.arrived)
        if name not in self._pictures:
            await asyncio.sleep(DWELL_SECONDS)
            view.say(f"{_caption(series)}\n...")
            sources = self.station.sources

            def make() -> Picture | Problem | None:
                files = sources.vault.files(series.series_instance_uid)
                return sources.pictures.picture(files[len(files) // 2]) if files else None

            found, fault = await beside(make)
            if found is None:
                view.say(f"{_caption(series)}\n{fault or 'no file of it is there any more'}")
                return
            self._pictures[name] = found
            while len(self._pictures) > MAX_PICTURES:
                self._pictures.popitem(last=False)
        view.show(self._pictures[name], _caption(series))

    # What to do with it ---------------------------------------------------------------------------------------------

    def on_data_table_row_selected(self) -> None:
        """Enter, or a second click."""
        self.action_open()

    def action_open(self) -> None:
        """In the system's viewer."""
        series = self.selected
        if series is not None:
            self._act("opening ...", "the viewer has it", "open", series.series_instance_uid)

    def action_export(self) -> None:
        """Into a folder or a zip file."""
        series = self.selected
        if series is None:
            return

        def answered(path: str | None) -> None:
            if path:
                to = os.path.abspath(os.path.expanduser(path))
                self._act("exporting ...", f"exported to {to}", "export", f"--to={to}", series.series_instance_uid)

        self.app.push_screen(PathQuestion("Export", _caption(series), "a new folder, or a file NAME.zip"), answered)

    def action_forward(self) -> None:
        """To a node, through the queue."""
        series = self.selected
        if series is None:
            return

        def answered(wanted: tuple[str, str] | None) -> None:
            if wanted is not None:
                self._forward(*wanted)

        self.app.push_screen(SendForm(self._offered, series.series_instance_uid, _caption(series)), answered)

    @work(group="act")
    async def _forward(self, node: str, uid: str) -> None:
        sources = self.station.sources
        files, fault = await beside(lambda: sources.vault.files(uid))
        words = [str(file.absolute()) for file in files or ()]
        if not words:
            self.say(fault or "no file of it is there any more", is_error=True)
            return
        for start in range(0, len(words), MAX_WORDS):
            batch = words[start : start + MAX_WORDS]
            answer = await sources.commands.run("send", "--queue", "--json", "--", node, *batch)
            self.say_how(answer, f"queued for {node}: {count(len(words), 'file')}")
            if answer.code:
                return

    def action_remove(self) -> None:
        """From this machine, when that is what is wanted."""
        series = self.selected
        if series is None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._act("removing ...", "removed", "remove", "--yes", series.series_instance_uid)

        text = f"Remove {_caption(series)}?\nIts files are deleted from {self._where}."
        self.app.push_screen(Question("Remove", text, "Remove the series"), answered)

    @work(group="act")
    async def _act(self, meanwhile: str, success: str, *words: str) -> None:
        self.say(meanwhile)
        where = f"--directory={self.station.sources.directory}"
        answer = await self.station.sources.commands.run("series", words[0], where, *words[1:])
        self.say_how(answer, success)
        self.look()


def _row(series: "Series") -> Row:
    sources = ", ".join(map(quote, series.sources))
    cells = (
        legible(series.patient_name) or legible(series.patient_id) or "(no name)",
        legible(day(series.study_date)),
        quote(series.modality),
        f"{series.instances:,}",
        sources,
        legible(series.series_description or series.study_description),
        moment(series.arrived / NANO),
        size(series.octets),
    )
    return Row(series.series_instance_uid, cells)


def _caption(series: "Series") -> str:
    """What a person calls it."""
    parts = (
        legible(series.patient_name),
        legible(day(series.study_date)),
        quote(series.modality),
        legible(series.series_number),
        legible(series.series_description),
        count(series.instances, "image"),
    )
    return " ".join(part for part in parts if part)
