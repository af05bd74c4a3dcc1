"""How a job, an instance and a line of a job's log read: printable text, nothing of a peer as it came."""

import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rich.text import Text

from dulcet.escape import legible, quote
from dulcet.station.figures import size
from dulcet.station.queue.jobs import InstanceState, Job, JobInstance, JobKind, JobState, Wish
from dulcet.station.tui.figures import bar, count, countdown, moment, rate
from dulcet.station.tui.table import Row

MAX_REASON_CHARACTERS = 300

_LOOKS = {
    JobState.QUEUED: ("○", ""),
    JobState.RUNNING: ("▶", "cyan"),
    JobState.WAITING: ("◷", "yellow"),
    JobState.PAUSED: ("‖", "yellow"),
    JobState.DONE: ("●", "green"),
    JobState.PARTIAL: ("◐", "yellow"),
    JobState.FAILED: ("✗", "red"),
    JobState.CANCELLED: ("⊘", "dim"),
}
_INSTANCE_LOOKS = {
    InstanceState.PENDING: ("○", ""),
    InstanceState.DONE: ("●", "green"),
    InstanceState.FAILED: ("✗", "red"),
    InstanceState.CANCELLED: ("⊘", "dim"),
}
_WISHES = {Wish.CANCEL: "cancelling", Wish.PAUSE: "pausing", Wish.HOLD: "holding"}


def job_row(job: Job) -> Row:
    """Number, peer, state, bar, instances, how it gets on, reason."""
    cells = (str(job.id), peer(job), state(job), progress(job), instances(job), getting_on(job), reason(job))
    return Row(str(job.id), cells)


def peer(job: Job) -> str:
    """`to PACS`, `from PACS`."""
    word = "to" if job.order.kind is JobKind.SEND else "from"
    return f"{word} {quote(job.order.peer)}"


def state(job: Job) -> Text:
    """A mark, and the word that says the same without colours."""
    mark, style = _LOOKS[job.state]
    word = _WISHES[job.wish] if job.wish is not None and not job.state.is_over else job.state.value
    return Text.assemble((mark, style), f" {word}")


def progress(job: Job) -> Text:
    """A bar: octets where they are known, instances else."""
    counts = job.counts
    style = "red" if counts.failed else "green" if job.state is JobState.DONE else "cyan"
    if counts.octets and not job.state.is_over:
        return bar(counts.octets_done + job.progress.octets_in_flight, counts.octets, 10, style)
    return bar(counts.done, counts.instances, 10, style)


def instances(job: Job) -> str:
    """`120/1,500`."""
    counts = job.counts
    failed = f" ✗{counts.failed:,}" if counts.failed else ""
    return f"{counts.done:,}/{counts.instances:,}{failed}" if counts.instances else ""


def getting_on(job: Job) -> str:
    """Rate and time left; when it is tried again; when it ended, or was ordered."""
    if job.state is JobState.RUNNING:
        pace = rate(job.progress.octets_per_second) if job.progress.octets_per_second else ""
        left = "" if job.progress.seconds_left is None else countdown(job.progress.seconds_left)
        return "  ".join(part for part in (pace, left) if part)
    if job.state is JobState.WAITING:
        return f"again {moment(job.not_before)}"
    return moment(job.ended_at if job.state.is_over else job.created_at)


def reason(job: Job) -> str:
    """Why it stands as it does."""
    return legible(job.reason, MAX_REASON_CHARACTERS)


def facts(job: Job) -> str:
    """Some lines about a job as a whole."""
    order, counts = job.order, job.counts
    lines = [
        f"{order.kind.value} {peer(job)}: {state(job).plain}",
        f"{count(counts.instances, 'instance')}: {counts.done:,} done, {counts.failed:,} failed,"
        f" {counts.cancelled:,} cancelled, {counts.pending:,} pending; {size(counts.octets_done)}"
        + (f" of {size(counts.octets)}" if counts.octets else ""),
        f"ordered {moment(job.created_at)}, started {moment(job.started_at) or 'not yet'}"
        + (f", ended {moment(job.ended_at)}" if job.ended_at else "")
        + (f"; {count(job.attempts, 'failure')} in a row" if job.attempts else ""),
    ]
    limits = [
        f"priority {order.priority}" if order.priority else "",
        f"hours {quote(order.hours)}" if order.hours else "",
        f"at most {rate(order.octets_per_second)}" if order.octets_per_second else "",
        f"by {quote(order.origin)}" if order.origin else "",
    ]
    lines += ["; ".join(filter(None, limits)), reason(job)]
    return "\n".join(filter(None, lines))


def instance_row(instance: JobInstance) -> Row:
    """Name, state, status, reason."""
    mark, style = _INSTANCE_LOOKS[instance.state]
    again = instance.state is InstanceState.PENDING and instance.not_before > time.time()
    word = f"again {moment(instance.not_before)}" if again else instance.state.value
    status = "" if instance.status is None else f"{instance.status:04X}H"
    name = legible(instance.name, 500) or quote(instance.sop_instance_uid)
    cells = (
        Text.assemble((mark, style), f" {word}"),
        name,
        status,
        legible(instance.reason, MAX_REASON_CHARACTERS),
    )
    return Row(str(instance.id), cells)


def log_line(line: str) -> str:
    """A line of a job's log, as `station.events` writes it."""
    try:
        event = json.loads(line)
    except ValueError:
        return legible(line, MAX_REASON_CHARACTERS)
    if not isinstance(event, Mapping):
        return legible(line, MAX_REASON_CHARACTERS)
    said = "  ".join(
        f"{quote(str(name))}={_shown(value)}" for name, value in event.items() if name not in ("v", "ts", "event")
    )
    return f"{_clock(event.get('ts'))}  {quote(str(event.get('event', '')))}  {said}"


def _shown(value: Any) -> str:
    return legible(value if isinstance(value, str) else json.dumps(value), MAX_REASON_CHARACTERS)


def _clock(text: object) -> str:
    """The local time of an RFC 3339 time."""
    try:
        return datetime.fromisoformat(str(text)).astimezone().strftime("%H:%M:%S")
    except ValueError:
        return " " * 8
