"""Status: what runs, with whom it is connected, how full the disk is, and what went wrong lately."""

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, TypeVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from dulcet.errors import DulcetError
from dulcet.escape import legible
from dulcet.station.tui.pane import Pane, beside, key, sentence
from dulcet.station.tui.sources import Sources
from dulcet.station.tui.status_text import SHOWN_COUNTERS, Disk, Picture, page

POLL_SECONDS = 1.0

T = TypeVar("T")


class StatusPane(Pane):
    """The screen."""

    TITLE, FOCUS = "Status", "#status-scroll"
    BINDINGS: ClassVar[list[BindingType]] = [*key("space", "look", "Look now", tip="Look now, not within a second")]
    DEFAULT_CSS = "StatusPane VerticalScroll { padding: 0 1; scrollbar-size: 1 1; }"

    def __init__(self) -> None:
        super().__init__(id="status-pane")
        self._picture: Picture | None = None
        self._is_looking = False

    def compose(self) -> ComposeResult:
        """One page."""
        with VerticalScroll(id="status-scroll", can_focus=True):
            yield Static("looking ...", id="status", markup=False)

    def on_mount(self) -> None:
        """Look once a second, when somebody sees it."""
        self.set_interval(POLL_SECONDS, self.action_look)

    def shown(self) -> None:
        """Look at once."""
        self.action_look()

    def action_look(self) -> None:
        """Read all of it, unless that goes on already."""
        if not self._is_looking and self.station.front is self:
            self._is_looking = True
            self._read()

    @work(group="status")
    async def _read(self) -> None:
        sources = self.station.sources
        try:
            picture, fault = await beside(lambda: look(sources))
        finally:
            self._is_looking = False
        picture = picture or Picture((), None, None, (fault,))
        if picture != self._picture:
            self._picture = picture
            self.query_one("#status", Static).update(page(picture))


def look(sources: Sources) -> Picture:
    """Everything, now; what can't be read is left out and said. Synchronous."""
    faults: list[str] = []
    processes = _attempt(sources.processes.read, faults) or ()
    queue = _attempt(sources.jobs.summary, faults)
    disk = _attempt(lambda: disk_of(sources.directory), faults)
    # When it was written says nothing to a reader, and would draw the page anew every second.
    steady = tuple(replace(each, updated_at="", latest={}, counters=_shown(each.counters)) for each in processes)
    return Picture(steady, queue, disk, tuple(faults))


def _shown(counters: Mapping[str, float]) -> dict[str, float]:
    return {name: counters[name] for name in SHOWN_COUNTERS if name in counters}


def _attempt(read: Callable[[], T], faults: list[str]) -> T | None:
    try:
        return read()
    except (DulcetError, sqlite3.Error, OSError) as error:
        faults.append(sentence(error))
        return None


def disk_of(directory: Path) -> Disk:
    """The file system in which `directory` is, or will be; in three digits, since a busy disk changes all the time."""
    there = directory.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    usage = shutil.disk_usage(there)
    step = 10 ** max(len(str(usage.free)) - 3, 0)
    return Disk(legible(str(directory), 200), usage.free // step * step, usage.total)
