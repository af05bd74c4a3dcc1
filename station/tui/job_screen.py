"""One job: its instances, those that failed first, and its log."""

from collections.abc import Hashable
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Log, Static

from dulcet.station.queue.jobs import InstanceState, Job, JobInstance
from dulcet.station.tui.dialogs import MODAL_CSS
from dulcet.station.tui.figures import count
from dulcet.station.tui.job_text import facts, instance_row, log_line
from dulcet.station.tui.pane import beside, station_of
from dulcet.station.tui.table import Column, Table

MAX_INSTANCES = 300  # shown of each state; what matters is at the top
MAX_LOG_LINES = 2000
POLL_SECONDS = 0.5
PAGE_LINES = 500

_ORDER = (InstanceState.FAILED, InstanceState.PENDING, InstanceState.CANCELLED, InstanceState.DONE)
_COLUMNS = (
    Column("State", 15),
    Column("Instance", 24, share=3, keeps_end=True),
    Column("Status", 6, drop=1),
    Column("Reason", 20, share=2),
)
_CLOSE = Binding("escape,q", "app.pop_screen", "Close", key_display="Esc")


class JobScreen(ModalScreen[None]):
    """The instances of a job, as they change."""

    BINDINGS: ClassVar[list[BindingType]] = [_CLOSE, Binding("l", "log", "Log")]
    DEFAULT_CSS = (
        MODAL_CSS.format(name="JobScreen")
        + """
    JobScreen > .box { width: 140; height: 94%; }
    JobScreen #facts { height: auto; margin-bottom: 1; }
    JobScreen #more { height: auto; color: $text-muted; }
    """
    )

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._version: Hashable = None
        self._is_looking = False

    def compose(self) -> ComposeResult:
        """What is known of it, then the instances."""
        with Vertical(classes="box") as box:
            box.border_title = Text(f"Job {self._job.id}")
            yield Static(Text(facts(self._job)), id="facts")
            yield Table(_COLUMNS, id="instances")
            yield Static("", id="more", markup=False)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Look twice a second whether something changed."""
        self.set_interval(POLL_SECONDS, self.look)
        self.look()

    def action_log(self) -> None:
        """Its log."""
        self.app.push_screen(LogScreen(self._job.id))

    def look(self) -> None:
        """Read it, unless that goes on already."""
        if not self._is_looking:
            self._is_looking = True
            self._read()

    @work(group="instances")
    async def _read(self) -> None:
        jobs, number, before = station_of(self).sources.jobs, self._job.id, self._version

        def read() -> tuple[Hashable, Job | None, list[JobInstance]]:
            version = jobs.version()
            if version == before:
                return version, None, []
            found = [each for state in _ORDER for each in jobs.instances(number, state, limit=MAX_INSTANCES)]
            return version, jobs.job(number), found

        try:
            found, fault = await beside(read)
        finally:
            self._is_looking = False
        if not self.query(Table):  # it has been closed
            return
        if found is None:
            self.query_one("#more", Static).update(Text(fault))
        elif found[0] != before:
            self._version = found[0]
            self._show(found[1], found[2])

    def _show(self, job: Job | None, instances: list[JobInstance]) -> None:
        if job is None:
            self.query_one("#facts", Static).update("It is not in the queue any more.")
            return
        self._job = job
        self.query_one("#facts", Static).update(Text(facts(job)))
        self.query_one(Table).show([instance_row(each) for each in instances])
        more = job.counts.instances - len(instances)
        self.query_one("#more", Static).update(f"... and {count(more, 'instance')} more" if more > 0 else "")


class LogScreen(ModalScreen[None]):
    """The log of a job, as it grows. Memory: `MAX_LOG_LINES`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _CLOSE,
        Binding("end,G", "follow", "Follow", key_display="End"),
    ]
    DEFAULT_CSS = (
        MODAL_CSS.format(name="LogScreen")
        + """
    LogScreen > .box { width: 140; height: 94%; }
    LogScreen Log { height: 1fr; background: $surface; scrollbar-size: 1 1; }
    """
    )

    def __init__(self, job: int) -> None:
        super().__init__()
        self._job = job
        self._last = 0
        self._is_looking = False
        self._fault = ""

    def compose(self) -> ComposeResult:
        """The lines."""
        with Vertical(classes="box") as box:
            box.border_title = Text(f"Log of job {self._job}")
            yield Log(max_lines=MAX_LOG_LINES, id="log")
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        """Look twice a second whether there is more."""
        self.query_one(Log).focus()
        self.set_interval(POLL_SECONDS, self.look)
        self.look()

    def action_follow(self) -> None:
        """To the end, and stay there."""
        self.query_one(Log).scroll_end(animate=False)

    def look(self) -> None:
        """Read on, unless that goes on already."""
        if not self._is_looking:
            self._is_looking = True
            self._read()

    @work(group="log")
    async def _read(self) -> None:
        jobs = station_of(self).sources.jobs
        try:
            is_more = True
            while is_more:
                found, fault = await beside(lambda: jobs.events(self._job, self._last, PAGE_LINES))
                lines = [fault] if fault and fault != self._fault else [log_line(each.line) for each in found or ()]
                self._fault = fault
                for log in self.query(Log).results():  # none when it has been closed
                    log.write_lines(lines)
                self._last = found[-1].id if found else self._last
                is_more = found is not None and len(found) == PAGE_LINES
        finally:
            self._is_looking = False
