"""An overview as lines of text: blocks with a title each. What came from a peer is quoted here."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dulcet.escape import quote
from dulcet.station.figures import bar, duration, plural, rate, size
from dulcet.station.monitor.overview import Directory, Overview
from dulcet.station.monitor.process_report import (
    AssociationRow,
    ErrorRow,
    ProcessReport,
    TransferRow,
    moment,
    seconds_between,
)

if TYPE_CHECKING:
    from dulcet.station.queue.jobs import Job

MAX_ROWS = 50  # of a block
MAX_ERRORS = 8
NOTHING = "nothing of dulcet is running"

Rows = Sequence[Sequence[str]]


def blocks(overview: Overview) -> Iterator[tuple[str, list[str]]]:
    """(title, lines) of each block that has any; the first one is about the processes in any case."""
    now = moment(overview.at)
    processes = overview.processes
    yield "PROCESSES", _table([_process(each, now) for each in processes]) or [f"  {NOTHING}"]
    rows = [row for process in processes for row in process.associations]
    transfers = [row for process in processes for row in process.transfers]
    candidates = (
        ("ASSOCIATIONS", _table([_association(row, now) for row in rows])),
        ("TRANSFERS", _table([_transfer(row) for row in transfers])),
        ("QUEUE", _queue(overview)),
        ("STORAGE", _table([_directory(each) for each in overview.directories])),
        ("LAST ERRORS", [f"  {each.at} {quote(each.event)} {_safe(each.text)}" for _, each in _last(overview)]),
        ("FAULTS", [f"  {quote(fault, 300)}" for fault in overview.faults]),
    )
    for title, lines in candidates:
        if lines:
            yield title, lines


def text(overview: Overview) -> str:
    """All blocks, an empty line between them."""
    return "\n\n".join("\n".join([title, *lines]) for title, lines in blocks(overview)) + "\n"


def _table(rows: Rows) -> list[str]:
    """Columns two blanks apart; what is too much is counted."""
    shown = rows[:MAX_ROWS]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown
    ]
    return lines if len(rows) == len(shown) else [*lines, f"  ... and {len(rows) - len(shown):,} more"]


def _process(process: ProcessReport, now: str) -> Sequence[str]:
    where = " ".join(quote(address) for address in process.addresses)
    silent = seconds_between(process.updated_at, now)
    state = process.state if silent < 10 else f"{process.state}, silent for {duration(silent)}"
    up = f"up {duration(seconds_between(process.started_at, now))}"
    return f"{quote(process.command)} {process.pid}", quote(process.ae_title), where, quote(state), up


def _association(row: AssociationRow, now: str) -> Sequence[str]:
    amount = f"{plural(row.objects, 'object')}, {size(row.octets)}"
    since = f"for {duration(seconds_between(row.since, now))}"
    who = f"{'from' if row.direction == 'in' else 'to'} {quote(row.peer)}"
    return who, quote(row.address), quote(row.service), amount, since


def _transfer(row: TransferRow) -> Sequence[str]:
    by_octets = bool(row.total_octets)
    done, total = (row.octets, row.total_octets) if by_octets else (row.objects, row.total_objects)
    total_objects = row.objects if row.total_objects is None else row.total_objects
    of_total = "" if row.total_objects is None else f"{row.objects:,} of "
    failed = f", {row.failed:,} failed" if row.failed else ""
    objects = f"{of_total}{plural(total_objects, 'object')}{failed}"
    octets = size(row.octets) + (f" of {size(row.total_octets)}" if row.total_octets else "")
    name = f"{quote(row.what)} {quote(row.peer)}" + ("" if row.job is None else f" (job {row.job})")
    return name, bar(done, total or 0), objects, octets, _pace(row.octets_per_second, row.seconds_left)


def _pace(octets_per_second: float, seconds_left: float | None) -> str:
    left = "" if seconds_left is None else f", {duration(seconds_left)} left"
    return f"{rate(octets_per_second)}{left}"


def _queue(overview: Overview) -> list[str]:
    summary = overview.queue
    if summary is None:
        return []
    counts = [f"{count:,} {state.value}" for state, count in summary.jobs.items() if count]
    head = ", ".join(counts) or "empty"
    if summary.oldest_due_at is not None:
        head += f"; the oldest has been due for {duration(max(0.0, overview.at - summary.oldest_due_at))}"
    if summary.is_held:
        head += "; the whole queue is paused"
    return [f"  {head}", *_table([_job(job, overview.at) for job in overview.jobs])]


def _job(job: "Job", now: float) -> Sequence[str]:
    counts, progress = job.counts, job.progress
    is_running = job.state.value == "running"
    done = counts.octets_done + progress.octets_in_flight
    drawn = bar(done, counts.octets) if counts.octets else bar(counts.done + counts.failed, counts.instances)
    failed = f", {counts.failed:,} failed" if counts.failed else ""
    state = job.state.value
    if state == "waiting" and job.not_before > now:
        state += f" for {duration(job.not_before - now)}"
    more = _pace(progress.octets_per_second, progress.seconds_left) if is_running else quote(job.reason, 100)
    name = f"{job.id} {job.order.kind.value} {quote(job.order.peer)}"
    return name, state, drawn, f"{counts.done:,} of {plural(counts.instances, 'object')}{failed}", more


def _directory(directory: Directory) -> Sequence[str]:
    kept = "" if directory.objects is None else f"{plural(directory.objects, 'object')}, {size(directory.octets or 0)}"
    free = "" if directory.free_octets is None else f"{size(directory.free_octets)} free"
    return quote(directory.path, 200), kept, free


def _safe(text: str) -> str:
    """As it is when it was quoted already, by who wrote it."""
    return text if text.isascii() and text.isprintable() else quote(text, 300)


def _last(overview: Overview) -> Iterable[tuple[ProcessReport, ErrorRow]]:
    return overview.errors[-MAX_ERRORS:]
