"""The workstation over sources of a test's own, driven by keys as a person would."""

import asyncio
import json
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from textual import app as textual_app
from textual import pilot as textual_pilot
from textual._context import active_app
from textual.events import Paste
from textual.widgets import Static

from dulcet.errors import ConfigurationError, WrongStateError
from dulcet.station.archive.series import Series
from dulcet.station.book.nodes import Node
from dulcet.station.monitor.process_report import ProcessReport
from dulcet.station.preview.picture import Image, Picture, Problem
from dulcet.station.queue.jobs import (
    InstanceState,
    Job,
    JobEvent,
    JobInstance,
    JobKind,
    JobState,
    Order,
    QueueSummary,
    Wish,
)
from dulcet.station.tui.application import Workstation
from dulcet.station.tui.children import Answer, Ended
from dulcet.station.tui.sources import Sources

STARTED = "2026-01-31T12:00:00.000Z"
SECONDS = 60  # for what is awaited: never reached when all is well
DRAWING_SECONDS = 0.02  # a little more than a screen waits before it is drawn
READER = "dulcet-tui-reader"  # the name of the threads that read what is shown
PACS = Node(name="PACS", ae_title="ARCHIVE", host="127.0.0.1", port=11112)
CT = Node(name="CT1", ae_title="CT", host="192.0.2.7", port=104, tls=True, notes="first floor")


class Told:
    """A command that says what the test wrote; it ends when it is let, or interrupted."""

    def __init__(self, answer, gate):
        self.answer, self.gate, self.interrupts = answer, gate, 0

    async def lines(self):
        for line in self.answer.lines:
            yield line
        if self.gate is not None:
            await self.gate.wait()

    async def ended(self):
        return Ended(130 if self.interrupts else self.answer.code, self.answer.errors)

    def interrupt(self):
        self.interrupts += 1
        if self.gate is not None:
            self.gate.set()


@dataclass
class Script:
    """What commands answer, by the words that they begin with; the longest beginning counts."""

    answers: dict = field(default_factory=dict)
    said: list = field(default_factory=list)
    """The words of each command that was started."""
    started: list = field(default_factory=list)
    held: set = field(default_factory=set)
    """Beginnings of commands that don't end of themselves."""
    closed: bool = False

    def on(self, *words, code=0, lines=(), errors=()):
        texts = tuple(line if isinstance(line, str) else json.dumps(line) for line in lines)
        self.answers[words] = Answer(code, tuple(errors), texts)

    def _found(self, table, words):
        return max((known for known in table if words[: len(known)] == known), key=len, default=None)

    async def start(self, *words):
        self.said.append(words)
        known = self._found(self.answers, words)
        answer = Answer(0) if known is None else self.answers[known]
        if isinstance(answer, OSError):
            raise answer
        gate = asyncio.Event() if self._found(self.held, words) is not None else None
        self.started.append(Told(answer, gate))
        return self.started[-1]

    async def run(self, *words):
        told = await self.start(*words)
        lines = tuple([line async for line in told.lines()])
        ended = await told.ended()
        return Answer(ended.code, ended.errors, lines)

    async def close(self):
        self.closed = True


@dataclass
class Book:
    nodes: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    error: str = ""

    def read(self):
        if self.error:
            raise ConfigurationError(self.error)
        return list(self.nodes), list(self.faults)


@dataclass
class Store:
    """Jobs in memory."""

    rows: dict = field(default_factory=dict)
    parts: dict = field(default_factory=dict)
    lines: dict = field(default_factory=dict)
    changes: int = 0
    reads: int = 0
    error: Exception | None = None
    asked: list = field(default_factory=list)

    def put(self, number, *, instances=(), **values):
        order = values.pop("order", None) or Order(
            kind=values.pop("kind", JobKind.SEND), peer=values.pop("peer", "PACS")
        )
        defaults = {"state": JobState.QUEUED, "created_at": 1_800_000_000.0}
        self.rows[number] = Job(id=number, order=order, **{**defaults, **values})
        self.parts[number] = list(instances)
        self.changes += 1

    def change(self, number, **values):
        self.rows[number] = replace(self.rows[number], **values)
        self.changes += 1

    def _look(self):
        if self.error is not None:
            raise self.error

    def version(self):
        self._look()
        return self.changes

    def jobs(self, states=(), limit=100):
        self.reads += 1
        return [self.rows[number] for number in sorted(self.rows, reverse=True)][:limit]

    def job(self, job):
        return self.rows.get(job)

    def instances(self, job, state=None, after=0, limit=1000):
        return [each for each in self.parts[job] if state in (None, each.state) and each.id > after][:limit]

    def events(self, job, after=0, limit=1000):
        self._look()
        lines = enumerate(self.lines.get(job, ()), 1)
        return [JobEvent(id=number, line=line) for number, line in lines if number > after][:limit]

    def summary(self):
        self._look()
        states = [job.state for job in self.rows.values()]
        return QueueSummary(
            jobs={state: states.count(state) for state in JobState}, oldest_due_at=None, retries=0, is_held=False
        )

    def request(self, job, wish):
        self.asked.append((wish.value, job))
        self.change(job, state=JobState.CANCELLED if wish is Wish.CANCEL else JobState.PAUSED)
        return self.rows[job].state

    def resume(self, job):
        self.asked.append(("resume", job))
        if self.rows[job].state is not JobState.PAUSED:
            raise WrongStateError(f"job {job} is not paused")
        self.change(job, state=JobState.QUEUED)

    def retry(self, job):
        self.asked.append(("retry", job))
        self.change(job, state=JobState.QUEUED, reason="")

    def close(self):
        pass


@dataclass
class Machine:
    reports: list = field(default_factory=lambda: [ProcessReport(pid=1, command="queue run", started_at=STARTED)])
    error: Exception | None = None

    def read(self):
        if self.error is not None:
            raise self.error
        return tuple(self.reports)


@dataclass
class Shelf:
    """A vault."""

    rows: list = field(default_factory=list)
    changes: int = 0
    error: Exception | None = None
    gone: set = field(default_factory=set)
    shards: tuple = ()

    def version(self):
        if self.error is not None:
            raise self.error
        return self.changes

    def series(self, limit):
        return self.rows[:limit]

    def files(self, series_instance_uid):
        return [] if series_instance_uid in self.gone else [Path(f"/vault/{series_instance_uid}.dcm")]

    def contents(self):
        return self.shards

    def close(self):
        pass


@dataclass
class Painter:
    """Pictures: what the test says, or a grey slope."""

    answers: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)

    def picture(self, path):
        self.asked.append(path.stem)
        answer = self.answers.get(path.stem)
        if isinstance(answer, Exception):
            raise answer
        return answer or slope(16, 16)

    def close(self):
        pass


def slope(width, height, channels=1):
    pixels = bytes(x * 255 // (width - 1) for _ in range(height) for x in range(width) for _ in range(channels))
    return Picture(
        image=Image("/vault/x.dcm"), frame=1, frames=1, width=width, height=height, channels=channels, pixels=pixels,
        rows=512, columns=512,
    )  # fmt: skip


def received(number, **values):
    defaults = {
        "series_instance_uid": f"1.2.{number}",
        "study_instance_uid": "1.2",
        "patient_name": f"DOE^{number}",
        "patient_id": f"P{number}",
        "study_date": "20260131",
        "study_description": "",
        "modality": "CT",
        "series_number": str(number),
        "series_description": "axial",
        "instances": 12,
        "octets": 6_300_000,
        "conflicts": 0,
        "arrived": 1_800_000_000_000_000_000,
        "sources": ("CT1",),
    }
    return Series(**{**defaults, **values})


def part(number, state=InstanceState.PENDING, **values):
    defaults = {"name": f"/data/{number}.dcm", "sop_instance_uid": f"1.2.3.{number}"}
    return JobInstance(id=number, job=1, state=state, **{**defaults, **values})


class Desk:
    """A workstation that is to be driven, and all that it stands on."""

    def __init__(self, size=(80, 24), **options):
        self.script, self.book, self.store = Script(), Book([PACS, CT]), Store()
        self.machine, self.shelf, self.painter = Machine(), Shelf(), Painter()
        self.size = size
        self.options = options
        self.app = None
        self.pilot = None

    def drive(self, steps):
        """Run `steps(desk)` with the workstation in front of it."""

        async def run():
            sources = Sources(
                commands=self.script,
                nodes=self.book,
                jobs=self.store,
                processes=self.machine,
                vault=self.shelf,
                pictures=self.painter,
                directory=Path("vault"),
            )
            self.app = Workstation(sources, **self.options)
            self.app.animation_level = "none"
            async with self.app.run_test(size=self.size, notifications=True) as self.pilot:
                await self.pilot.pause()  # what is read at the start is shown
                await steps(self)

        asyncio.run(run())

    async def press(self, *keys):
        await self.pilot.press(*keys)

    async def type(self, text):
        """As a terminal gives what is pasted: a key for each letter would take most of the test's time."""
        self.app.focused.post_message(Paste(text))
        await self.pilot.pause()

    async def until(self, is_so, what=""):
        """Wait until it is so; what is on the screen when it never comes."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if is_so():
                return
            await self.pilot.pause(0.05)
        pytest.fail(f"it never came about: {what}\n{self.screen}")

    async def sees(self, *texts):
        """Wait until all of the texts are on the screen."""
        await self.until(lambda: all(text in self.screen for text in texts), f"sees {texts}")

    async def loses(self, *texts):
        """Wait until none of the texts is on the screen."""
        await self.until(lambda: not any(text in self.screen for text in texts), f"loses {texts}")

    @property
    def screen(self):
        """What is on the screen, as text."""
        return "\n".join(
            "".join(segment.text for segment in strip) for strip in self.app.screen._compositor.render_strips()
        )

    @property
    def line(self):
        """What the screen in front says in its line."""
        return str(self.app.front.query_one(".says", Static).render())

    @property
    def said(self):
        return self.script.said


async def settled(*_seconds):
    """Until all that a key set off is done and drawn: no callback is due, nothing is being read.

    textual's own is content when the process needs little of the processor, as one does that is not given any.
    """
    loop, app = asyncio.get_running_loop(), active_app.get()
    async with asyncio.timeout(SECONDS):
        is_drawn = False
        while not (is_drawn or app._exit):  # who leaves draws nothing more
            await asyncio.sleep(DRAWING_SECONDS)
            while loop._ready or any(each.name == READER for each in threading.enumerate()):
                if app._exit:
                    break
                await asyncio.sleep(0)
            is_drawn = not any(each.is_running and each._update_timer._active.is_set() for each in app.screen_stack)


@pytest.fixture(autouse=True)
def _keys_are_waited_for(monkeypatch):
    for module in (textual_app, textual_pilot):
        monkeypatch.setattr(module, "wait_for_idle", settled)


@pytest.fixture
def desk():
    return Desk


@pytest.fixture
def values():
    """How to make what the sources hold."""

    class Values:
        pacs, ct = PACS, CT

    Values.part, Values.series, Values.slope = staticmethod(part), staticmethod(received), staticmethod(slope)
    Values.report, Values.problem = ProcessReport, Problem
    return Values
