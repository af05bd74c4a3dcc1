"""Draws the pictures of `dulcet tui` that tui.md shows: `python docs/pictures.py` writes docs/_static/tui-*.svg.

Everything in them is invented: names, nodes, jobs, and the image, which is computed.
"""

import asyncio
import json
import math
import os
import re
import shutil
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace

from textual.pilot import Pilot
from textual.widgets import Select

from dulcet.station.archive.series import Series
from dulcet.station.book.nodes import Node
from dulcet.station.monitor.process_report import AssociationRow, ErrorRow, ProcessReport, TransferRow
from dulcet.station.preview.picture import Image, Picture, Window
from dulcet.station.queue.jobs import (
    Counts,
    InstanceState,
    Job,
    JobEvent,
    JobInstance,
    JobKind,
    JobState,
    Order,
    Progress,
    QueueSummary,
)
from dulcet.station.tui import figures, nodes_pane
from dulcet.station.tui.application import DARK, LIGHT, Workstation
from dulcet.station.tui.children import Answer, Ended
from dulcet.station.tui.sources import Sources

FOLDER = Path(__file__).with_name("_static")
NOW = 1_769_868_202.0  # 2026-01-31 14:03:22 UTC
NARROW, WIDE = (80, 24), (120, 30)
FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)  # a page should not fetch fonts from elsewhere


def rfc3339(seconds_ago: float) -> str:
    """A time before NOW."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(NOW - seconds_ago))


# What the sources hold -----------------------------------------------------------------------------------------------

NODES = [
    Node(name="ARCHIVE", ae_title="MAINPACS", host="192.0.2.20", port=11112, notes="the archive"),
    Node(name="CT1", ae_title="CT_ROOM_1", host="192.0.2.31", port=104, notes="first floor"),
    Node(name="MR1", ae_title="MR_ROOM_4", host="192.0.2.34", port=104),
    Node(
        name="PARTNER", ae_title="VALLEYHOSP", host="pacs.valley.example", port=2762, tls=True, notes="ask for Ms Reed"
    ),
]
ECHOES = {"ARCHIVE": 1.9, "CT1": 3.4, "PARTNER": 21.7}
MATCHES = [
    ("NOVAK^ADA", "V-1041", "19610412", "F", "20260129", "CT", "Chest", 3, 412, "1.2.1"),
    ("NOVAK^ADA", "V-1041", "19610412", "F", "20251103", "CR", "Chest PA", 1, 2, "1.2.2"),
    ("LINDEN^OTTO", "V-2288", "19780919", "M", "20260130", "MR", "Knee left", 6, 184, "1.2.3"),
    ("OKORO^GRACE", "V-0930", "19901101", "F", "20260131", "CT\\SR", "Abdomen", 4, 655, "1.2.4"),
]
SERIES_MATCHES = [(1, "CT", "Scout", 2), (2, "CT", "Chest 1.0 lung", 205), (3, "CT", "Chest 1.0 soft", 205)]


def attribute(vr: str, *values: object) -> dict[str, object]:
    """In the DICOM JSON model."""
    return {"vr": vr, "Value": list(values)}


def study_match(row: tuple[object, ...]) -> dict[str, object]:
    """A line of `dulcet find --json`."""
    name, patient, born, sex, date, modalities, text, series, images, uid = row
    tags = {
        "00100010": attribute("PN", {"Alphabetic": name}), "00100020": attribute("LO", patient),
        "00100030": attribute("DA", born), "00100040": attribute("CS", sex), "00080020": attribute("DA", date),
        "00080061": attribute("CS", *str(modalities).split("\\")), "00081030": attribute("LO", text),
        "00201206": attribute("IS", series), "00201208": attribute("IS", images), "0020000D": attribute("UI", uid),
    }  # fmt: skip
    return {"event": "find.match", "identifier": tags}


def series_match(number: int, modality: str, text: str, images: int) -> dict[str, object]:
    """A line of `dulcet find --json` for the series of a study."""
    tags = {
        "00200011": attribute("IS", number), "00080060": attribute("CS", modality), "0008103E": attribute("LO", text),
        "00201209": attribute("IS", images), "0020000E": attribute("UI", f"1.2.1.{number}"),
    }  # fmt: skip
    return {"event": "find.match", "identifier": tags}


def job(number: int, kind: JobKind, peer: str, state: JobState, ago: float, **values: object) -> Job:
    """A job that was ordered some seconds ago."""
    return Job(id=number, order=Order(kind=kind, peer=peer), state=state, created_at=NOW - ago, **values)  # type: ignore[arg-type]


JOBS = [
    job(17, JobKind.RETRIEVE, "ARCHIVE", JobState.QUEUED, 4),
    job(16, JobKind.SEND, "PARTNER", JobState.WAITING, 900, not_before=NOW + 60, attempts=3,
        reason="pacs.valley.example:2762 did not answer within 30 s", counts=Counts(instances=655, done=120)),
    job(15, JobKind.SEND, "ARCHIVE", JobState.RUNNING, 61, started_at=NOW - 58,
        counts=Counts(instances=1_500, done=910, failed=2, octets=789_000_000, octets_done=478_000_000),
        progress=Progress(octets_per_second=38.2e6, seconds_left=8.0)),
    job(14, JobKind.RETRIEVE, "ARCHIVE", JobState.DONE, 700, ended_at=NOW - 540,
        counts=Counts(instances=412, done=412)),
    job(13, JobKind.SEND, "MR1", JobState.FAILED, 3600, ended_at=NOW - 3540, counts=Counts(instances=4, failed=4),
        reason="MR1 accepts no Secondary Capture Image Storage")
]  # fmt: skip
INSTANCES = [
    JobInstance(id=1, job=15, name="/data/chest/IM0907.dcm", state=InstanceState.FAILED, status=0xA900,
                reason="the peer says that the data set does not match its SOP class"),
    JobInstance(id=2, job=15, name="/data/chest/IM0908.dcm", state=InstanceState.FAILED, status=0x0122,
                reason="the peer does not store this SOP class"),
    *(JobInstance(id=n, job=15, name=f"/data/chest/IM{n:04}.dcm", state=InstanceState.PENDING)
      for n in range(912, 940)),
]  # fmt: skip
LOG = [
    {"ts": rfc3339(58), "event": "job.taken", "kind": "send", "peer": "ARCHIVE", "pending": 1500},
    {"ts": rfc3339(58), "event": "assoc.requested", "peer": "ARCHIVE", "contexts": 3},
    {"ts": rfc3339(58), "event": "assoc.accepted", "peer": "ARCHIVE", "contexts": 3},
    {"ts": rfc3339(23), "event": "store.result", "name": "IM0907.dcm", "outcome": "refused", "status": "A900H"},
    {"ts": rfc3339(23), "event": "store.result", "name": "IM0908.dcm", "outcome": "refused", "status": "0122H"},
]
RECEIVED = [
    ("OKORO^GRACE", "20260131", "CT", "Abdomen 2.0", 310, "CT1", 45, 163_000_000),
    ("OKORO^GRACE", "20260131", "CT", "Scout", 2, "CT1", 61, 1_050_000),
    ("LINDEN^OTTO", "20260130", "MR", "PD fs sag", 32, "MR1", 7_000, 8_500_000),
    ("NOVAK^ADA", "20260129", "CT", "Chest 1.0 lung", 205, "MAINPACS", 9_100, 108_000_000),
    ("NOVAK^ADA", "20251103", "CR", "Chest PA", 1, "MAINPACS", 9_160, 16_900_000),
]


def series(number: int, row: tuple[object, ...]) -> Series:
    """A series that was received."""
    name, date, modality, text, images, source, ago, octets = row
    return Series(
        series_instance_uid=f"1.3.{number}", study_instance_uid="1.3", patient_name=str(name), patient_id="",
        study_date=str(date), study_description="", modality=str(modality), series_number=str(number),
        series_description=str(text), instances=int(str(images)), octets=int(str(octets)), conflicts=0,
        arrived=int((NOW - float(str(ago))) * 1e9), sources=(str(source),),
    )  # fmt: skip


def phantom(side: int = 256) -> Picture:
    """Ellipses, as a section through a body might look."""
    ellipses = [  # x, y, half width, half height, grey
        (0, 0, 0.92, 0.70, 95), (0, 0, 0.86, 0.64, 150), (-0.34, -0.1, 0.28, 0.34, 118), (0.38, -0.02, 0.2, 0.24, 128),
        (0, 0.42, 0.15, 0.15, 235), (0, 0.40, 0.06, 0.06, 120), (-0.62, 0.12, 0.06, 0.14, 220),
        (0.64, 0.1, 0.06, 0.14, 220), (0.05, -0.18, 0.09, 0.08, 205), (-0.2, 0.2, 0.12, 0.1, 70),
        (0.24, 0.22, 0.1, 0.12, 175), (-0.45, -0.28, 0.05, 0.05, 60),
    ]  # fmt: skip
    pixels = bytearray(side * side)
    for y in range(side):
        for x in range(side):
            at = (2 * x / side - 1, 2 * y / side - 1)
            inside = [grey for cx, cy, a, b, grey in ellipses if math.hypot((at[0] - cx) / a, (at[1] - cy) / b) < 1]
            pixels[y * side + x] = inside[-1] if inside else 8
    return Picture(
        image=Image("IM0155.dcm"), frame=1, frames=1, width=side, height=side, channels=1, pixels=bytes(pixels),
        rows=512, columns=512, window=Window(40, 400),
    )  # fmt: skip


def report() -> ProcessReport:
    """A server with three associations."""
    rows = (
        AssociationRow(direction="in", peer="CT_ROOM_1", address="192.0.2.31", since=rfc3339(47), service="C-STORE",
                       objects=310, octets=163_400_000),
        AssociationRow(direction="in", peer="VIEWER3", address="192.0.2.77", since=rfc3339(3), service="C-FIND",
                       octets=8_200),
    )  # fmt: skip
    errors = (
        ErrorRow(at=rfc3339(4_300), event="object.refused", text="A900H from MR_ROOM_4: another class than announced"),
    )
    return ProcessReport(
        pid=812, command="serve", started_at=rfc3339(22_000), ae_title="DULCET", addresses=("0.0.0.0:11112",),
        associations=rows, counters={"dulcet_received_objects_total": 8_211, "dulcet_sent_objects_total": 1_954},
        errors=errors,
    )  # fmt: skip


def worker() -> ProcessReport:
    """A worker of the queue that sends."""
    rows = (AssociationRow(direction="out", peer="MAINPACS", address="192.0.2.20:11112", since=rfc3339(58),
                           service="C-STORE", objects=910, octets=478_000_000),)  # fmt: skip
    transfer = TransferRow(
        what="send", peer="ARCHIVE", job=15, objects=912, total_objects=1_500, failed=2, octets=478_000_000,
        total_octets=789_000_000, octets_per_second=38.2e6, seconds_left=8,
    )  # fmt: skip
    return ProcessReport(
        pid=815, command="queue run", started_at=rfc3339(21_999), associations=rows, transfers=(transfer,)
    )


# The sources ---------------------------------------------------------------------------------------------------------


class Told:
    """A command that says what was written here."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def lines(self) -> AsyncGenerator[str]:
        for line in self._answer.lines:
            yield line

    async def ended(self) -> Ended:
        return self._answer

    def interrupt(self) -> None:
        return None


class Commands:
    """Answers to echo and find."""

    async def start(self, *words: str) -> Told:
        return Told(await self.run(*words))

    async def run(self, *words: str) -> Answer:
        if words[0] == "echo":
            lines = [
                {"event": "echo.result", "peer": f"{name} (", "exit_code": 0, "median_ms": ms}
                for name, ms in ECHOES.items()
            ]
            return Answer(69, (), tuple(map(json.dumps, lines)))
        events = [series_match(*row) for row in SERIES_MATCHES] if words[-1] == "series" else map(study_match, MATCHES)
        return Answer(0, (), tuple(map(json.dumps, events)))

    async def close(self) -> None:
        return None


class Demo:
    """Everything that is read."""

    def read(self) -> tuple[list[Node], list[str]]:
        return NODES, []

    def version(self) -> int:
        return 1

    def jobs(self, states: object = (), limit: int = 100) -> list[Job]:
        return JOBS

    def job(self, number: int) -> Job | None:
        return next((each for each in JOBS if each.id == number), None)

    def instances(self, number: int, state: object = None, after: int = 0, limit: int = 1000) -> list[JobInstance]:
        return [each for each in INSTANCES if each.state is state]

    def events(self, number: int, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        lines = [JobEvent(id=at, line=json.dumps({"v": 1, **line})) for at, line in enumerate(LOG, 1)]
        return [line for line in lines if line.id > after]

    def summary(self) -> QueueSummary:
        counts = {state: sum(each.state is state for each in JOBS) for state in JobState}
        return QueueSummary(jobs=counts, oldest_due_at=None, retries=3, is_held=False)

    def series(self, limit: int) -> list[Series]:
        return [series(number, row) for number, row in enumerate(RECEIVED, 1)]

    def files(self, uid: str) -> list[Path]:
        return [Path("IM0155.dcm")]

    def contents(self) -> tuple[()]:
        return ()

    def picture(self, path: Path) -> Picture:
        return phantom()

    def close(self) -> None:
        return None


class Running:
    """What runs."""

    def read(self) -> list[ProcessReport]:
        return [report(), worker()]


# The pictures --------------------------------------------------------------------------------------------------------


async def nodes(pilot: Pilot[int]) -> None:
    await pilot.press("E", "down")


async def query(pilot: Pilot[int]) -> None:
    await pilot.press("f2")
    pilot.app.query_one("#node", Select).value = "ARCHIVE"
    await pilot.press("enter")
    await pilot.pause(0.3)
    await pilot.press("down", "enter")
    await pilot.pause(0.3)
    await pilot.press("down", "down")


async def queue(pilot: Pilot[int]) -> None:
    await pilot.press("f3")
    await pilot.pause(0.3)
    await pilot.press("down")


async def job_details(pilot: Pilot[int]) -> None:
    await queue(pilot)
    await pilot.press("down", "enter")


async def log(pilot: Pilot[int]) -> None:
    await queue(pilot)
    await pilot.press("down", "l")


async def received(pilot: Pilot[int]) -> None:
    await pilot.press("f4")
    await pilot.pause(1.5)


async def status(pilot: Pilot[int]) -> None:
    await pilot.press("f5")


PICTURES = {
    "nodes": (nodes, NARROW, DARK),
    "query": (query, NARROW, DARK),
    "queue": (queue, WIDE, DARK),
    "job": (job_details, NARROW, DARK),
    "log": (log, NARROW, DARK),
    "received": (received, WIDE, DARK),
    "status": (status, (100, 30), DARK),
    "light": (nodes, NARROW, LIGHT),
}
"""Name, what is pressed, columns and lines, the theme."""


def stop_the_clock() -> None:
    """It is NOW, in UTC."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    figures.time = SimpleNamespace(  # type: ignore[attr-defined]
        localtime=lambda at=None: time.gmtime(NOW if at is None else at), strftime=time.strftime
    )
    shutil.disk_usage = lambda path: SimpleNamespace(free=1_310_000_000_000, total=4_000_000_000_000)  # type: ignore[assignment,return-value]
    nodes_pane.time = SimpleNamespace(time=lambda: NOW)  # type: ignore[attr-defined]


async def draw(name: str) -> str:
    """One picture, as SVG."""
    press, size, theme = PICTURES[name]
    demo = Demo()
    app = Workstation(
        Sources(
            commands=Commands(), nodes=demo, jobs=demo, processes=Running(), vault=demo, pictures=demo,
            directory=Path("received"),
        ),
        theme=theme,
    )  # fmt: skip
    app.animation_level = "none"
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.3)
        await press(pilot)
        await pilot.pause(0.8)
        return FONT_FACE.sub("", app.export_screenshot(title="dulcet tui")) + "\n"


def main(folder: Path = FOLDER, names: list[str] | None = None) -> None:
    """Draw all, or some."""
    stop_the_clock()
    for name in names or PICTURES:
        (folder / f"tui-{name}.svg").write_text(asyncio.run(draw(name)), encoding="utf-8")


if __name__ == "__main__":
    main(names=sys.argv[1:])
