"""Queue: the jobs, how they get on, and what may be asked of them."""

import time
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType

from dulcet.station.book.nodes import Node
from dulcet.station.queue.jobs import DUE, Job, JobState, Wish
from dulcet.station.tui.dialogs import Question
from dulcet.station.tui.figures import count
from dulcet.station.tui.job_screen import JobScreen, LogScreen
from dulcet.station.tui.job_text import job_row, reason
from dulcet.station.tui.pane import Pane, beside, key
from dulcet.station.tui.send_form import SendForm
from dulcet.station.tui.table import Column, Table

MAX_JOBS = 200  # shown; the newest
POLL_SECONDS = 0.5
HOLD_SECONDS = 4.0  # that an answer stands in the line before it tells of the job again

_COLUMNS = (
    Column("Job", 4, is_right=True),
    Column("Peer", 14, share=1),
    Column("State", 11),
    Column("Progress", 10),
    Column("Done", 14),
    Column("Rate, or when", 15),
    Column("Reason", 20, share=4, drop=1),
)
WORKER = "queue run"
_NEVER = object()  # differs from every version


class QueuePane(Pane):
    """The screen."""

    TITLE, FOCUS = "Queue", "#jobs"
    BINDINGS: ClassVar[list[BindingType]] = [
        *key("c", "cancel", "Cancel", tip="End the job (asks)"),
        *key("t", "retry", "Retry", tip="Try again what failed or was cancelled; one that waits is tried now"),
        *key("p", "pause", "Pause", tip="Finish the object in flight, then stand still"),
        *key("u", "resume", "Resume", tip="Go on with a paused job"),
        *key("i,enter", "details", "Details", tip="The instances of the job, those that failed first", shown_as="⏎"),
        *key("l", "log", "Log", tip="The log of the job, as it grows"),
        *key("n", "new", "Send", tip="Send files to a node"),
    ]

    def __init__(self) -> None:
        super().__init__(id="queue-pane")
        self._jobs: dict[str, Job] = {}
        self._version: Hashable = _NEVER
        self._is_reading = False
        self._fault = ""
        self._is_worked = True
        self._ordered = ""
        self._holds_until = 0.0
        self._offered: Sequence[Node] = ()

    def compose(self) -> ComposeResult:
        """The table and the line."""
        yield Table(_COLUMNS, id="jobs")
        yield self.says()

    def on_mount(self) -> None:
        """Look twice a second whether something changed."""
        self.set_interval(POLL_SECONDS, self.look)
        self.look()

    def offer(self, nodes: Sequence[Node]) -> None:
        """Files may be sent to these."""
        self._offered = nodes

    def shown(self) -> None:
        """Show it at once."""
        self.look()

    @property
    def job(self) -> Job | None:
        """The one under the cursor."""
        return self._jobs.get(self.query_one(Table).selected or "")

    # Looking --------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read the jobs, unless that goes on already, or nobody would see it."""
        if not self._is_reading and self.is_on_screen_now:
            self._is_reading = True
            self._read()

    @property
    def is_on_screen_now(self) -> bool:
        """Whether somebody sees it."""
        return self.station.front is self

    @work(group="jobs")
    async def _read(self) -> None:
        sources, before = self.station.sources, self._version

        def read() -> tuple[Hashable, list[Job] | None, bool]:
            version = sources.jobs.version()
            changed = None if version == before else sources.jobs.jobs(limit=MAX_JOBS)
            return version, changed, any(each.command == WORKER for each in sources.processes.read())

        try:
            found, fault = await beside(read)
        finally:
            self._is_reading = False
        if found is None:
            self._fault = fault
            self.say(fault, is_error=True)
            return
        is_same = not self._fault and found[1] is None and found[2] is self._is_worked
        self._version, self._fault, self._is_worked = found[0], "", found[2]
        if found[1] is not None:
            self._show(found[1])
        if not is_same:
            self._describe()

    def _show(self, jobs: Sequence[Job]) -> None:
        self._jobs = {str(job.id): job for job in jobs}
        self.query_one(Table).show([job_row(job) for job in jobs])
        self._select_ordered()

    def _select_ordered(self) -> None:
        """The job that was ordered here gets the cursor, once."""
        if self._ordered in self._jobs:
            self.query_one(Table).select(self._ordered)
            self._ordered = ""

    def on_data_table_row_highlighted(self) -> None:
        """The line tells of the job under the cursor."""
        self._describe()

    def _describe(self) -> None:
        if time.monotonic() < self._holds_until:
            return
        job = self.job
        if job is None:
            self.say("The queue is empty: n sends files; r in the screen Query retrieves.")
        elif job.state in DUE and not self._is_worked:
            self.say("Nobody works at the queue: start `dulcet serve`, or `dulcet queue run`.", is_error=True)
        elif reason(job):
            self.say(f"{job.id}: {reason(job)}", is_error=job.state in (JobState.FAILED, JobState.PARTIAL))
        else:
            running = sum(each.state is JobState.RUNNING for each in self._jobs.values())
            self.say(f"{count(len(self._jobs), 'job')}, {running} running")

    def _tell(self, text: str, *, is_error: bool = False) -> None:
        """Say it, and let it stand for a while."""
        self._holds_until = time.monotonic() + HOLD_SECONDS
        self.say(text, is_error=is_error)

    # Asking ---------------------------------------------------------------------------------------------------------

    def action_cancel(self) -> None:
        """End it, when that is what is wanted."""
        job = self.job
        if job is None:
            return
        if job.state.is_over:
            self._tell(f"job {job.id} has ended already", is_error=True)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._ask(lambda: self.station.sources.jobs.request(job.id, Wish.CANCEL), f"job {job.id} is cancelled")

        pending = count(job.counts.pending, "instance")
        text = f"Cancel job {job.id}? {pending} not done yet; retry takes up what is left."
        self.app.push_screen(Question("Cancel", text, "Cancel the job"), answered)

    def action_retry(self) -> None:
        """Once more."""
        self._ask_of(lambda job: self.station.sources.jobs.retry(job), "is queued again")

    def action_pause(self) -> None:
        """Stand still."""
        self._ask_of(lambda job: self.station.sources.jobs.request(job, Wish.PAUSE), "is to pause")

    def action_resume(self) -> None:
        """Go on."""
        self._ask_of(lambda job: self.station.sources.jobs.resume(job), "goes on")

    def _ask_of(self, ask: Callable[[int], object], said: str) -> None:
        job = self.job
        if job is not None:
            self._ask(lambda: ask(job.id), f"job {job.id} {said}")

    @work(group="ask")
    async def _ask(self, ask: Callable[[], object], said: str) -> None:
        _, fault = await beside(ask)
        self._tell(fault or said, is_error=bool(fault))
        self.look()

    # More of one job ------------------------------------------------------------------------------------------------

    def on_data_table_row_selected(self) -> None:
        """Enter, or a second click."""
        self.action_details()

    def action_details(self) -> None:
        """Its instances."""
        if self.job is not None:
            self.app.push_screen(JobScreen(self.job))

    def action_log(self) -> None:
        """Its log."""
        if self.job is not None:
            self.app.push_screen(LogScreen(self.job.id))

    # A new one ------------------------------------------------------------------------------------------------------

    def action_new(self) -> None:
        """Send files."""

        def answered(wanted: tuple[str, str] | None) -> None:
            if wanted is not None:
                self._send(*wanted)

        self.app.push_screen(SendForm(self._offered), answered)

    @work(group="send")
    async def _send(self, node: str, path: str) -> None:
        self.say(f"looking for DICOM files in {path} ...")
        answer = await self.station.sources.commands.run("send", "--queue", "--json", "--", node, path)
        self._tell(answer.sentence or f"queued for {node}", is_error=answer.code != 0)
        self._ordered = next((str(event["job"]) for event in answer.events if "job" in event), "")
        self._select_ordered()
        self.look()
