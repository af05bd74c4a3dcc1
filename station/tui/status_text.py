"""What runs, as the status screen shows it: made of values, so that it is known whether anything changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dulcet.escape import legible, quote
from dulcet.station.figures import duration, size
from dulcet.station.monitor.process_report import AssociationRow, ProcessReport, TransferRow
from dulcet.station.queue.jobs import JobState, QueueSummary
from dulcet.station.tui.figures import bar, moment, rate

MAX_LINES = 12  # of each list; the terminal interface is no archive
_PROCESS = ("command", "pid", "state", "AE title", "listens", "since", "objects")
_ASSOCIATION = ("peer", "address", "service", "since", "objects", "octets")
_TRANSFER = ("what", "", "objects", "rate", "left")
_RUNNING_STYLES = {"running": "green", "stopping": "yellow", "failed": "red"}
SHOWN_COUNTERS = ("dulcet_received_objects_total", "dulcet_sent_objects_total")


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system of the vault."""

    directory: str
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Picture:
    """All that the screen shows; two that are equal look alike."""

    processes: tuple[ProcessReport, ...]
    queue: QueueSummary | None
    disk: Disk | None
    faults: tuple[str, ...] = ()

    @property
    def associations(self) -> list[AssociationRow]:
        """Of all processes."""
        return [row for process in self.processes for row in process.associations]

    @property
    def transfers(self) -> list[TransferRow]:
        """Of all processes."""
        return [row for process in self.processes for row in process.transfers]


def page(picture: Picture) -> RenderableType:
    """The whole screen."""
    parts: list[RenderableType] = [_summary(picture)]
    parts += _section("Processes", _PROCESS, [_process(each) for each in picture.processes], "Nothing of dulcet runs.")
    parts += _section("Associations", _ASSOCIATION, [_association(each) for each in picture.associations], "None.")
    if picture.transfers:
        parts += _section("Transfers", _TRANSFER, [_transfer(each) for each in picture.transfers], "")
    errors = sorted((error for process in picture.processes for error in process.errors), key=lambda error: error.at)
    lines = [(local(each.at), quote(each.event), legible(each.text, 300)) for each in errors[-MAX_LINES:]]
    parts += _section("Log: what somebody should look at", ("at", "event", ""), lines, "Nothing.")
    parts += [Text(f"✗ {fault}", "red") for fault in picture.faults]
    return Group(*parts)


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str | Text]], none: str) -> list[RenderableType]:
    head = Text(f"\n{title}", "bold")
    if not rows:
        return [head, Text(f"  {none}", "dim")]
    grid = Table.grid(padding=(0, 2, 0, 0))
    for name in heads[:-1]:
        grid.add_column(no_wrap=True, min_width=len(name))
    grid.add_column()
    grid.add_row(*(Text(name, "dim") for name in heads))
    for row in rows[:MAX_LINES]:
        grid.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    more = len(rows) - MAX_LINES
    return [head, Padding(grid, (0, 0, 0, 2)), *([Text(f"  ... and {more:,} more", "dim")] if more > 0 else [])]


def _summary(picture: Picture) -> Text:
    lines = Text()
    if picture.disk is not None:
        disk = picture.disk
        lines.append_text(bar(disk.total - disk.free, disk.total, 10, "yellow"))
        lines.append(f" {size(disk.free)} free of {size(disk.total)}, {disk.directory}\n")
    lines.append_text(_queue(picture.queue))
    return lines


def _queue(summary: QueueSummary | None) -> Text:
    if summary is None or not any(summary.jobs.values()):
        return Text("Queue: empty")
    text = Text("Queue: ")
    text.append(", ".join(f"{summary.jobs[state]:,} {state.value}" for state in JobState if summary.jobs.get(state)))
    if summary.oldest_due_at is not None:
        text.append(f"; the oldest that awaits a worker is due since {moment(summary.oldest_due_at)}")
    if summary.is_held:
        text.append("; the whole queue is paused", "yellow")
    return text


def _process(process: ProcessReport) -> tuple[str | Text, ...]:
    state = Text(process.state, _RUNNING_STYLES.get(process.state, ""))
    where = " ".join(quote(address) for address in process.addresses)
    objects = [
        (word, int(process.counters.get(name, 0))) for word, name in zip(("in", "out"), SHOWN_COUNTERS, strict=True)
    ]
    done = ", ".join(f"{number:,} {word}" for word, number in objects if number)
    return (
        quote(process.command),
        str(process.pid),
        state,
        quote(process.ae_title),
        where,
        local(process.started_at),
        done,
    )


def _association(row: AssociationRow) -> tuple[str, ...]:
    arrow = "← from" if row.direction == "in" else "→ to"
    amount = f"{row.objects:,}"
    return (
        f"{arrow} {quote(row.peer)}",
        quote(row.address),
        quote(row.service),
        local(row.since),
        amount,
        size(row.octets),
    )


def _transfer(row: TransferRow) -> tuple[str | Text, ...]:
    if row.total_octets:
        drawn = bar(row.octets, row.total_octets, 10, "cyan")
    else:
        drawn = bar(row.objects, row.total_objects or 0, 10, "cyan")
    total = "" if row.total_objects is None else f"/{row.total_objects:,}"
    failed = f" ✗{row.failed:,}" if row.failed else ""
    left = "" if row.seconds_left is None else duration(row.seconds_left)
    name = f"{row.what} {quote(row.peer)}" + ("" if row.job is None else f" (job {row.job})")
    return name, drawn, f"{row.objects:,}{total}{failed}", rate(row.octets_per_second), left


def local(text: str) -> str:
    """An RFC 3339 time as `moment` shows it; "" for what is none."""
    try:
        return moment(datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError, OSError):
        return ""
