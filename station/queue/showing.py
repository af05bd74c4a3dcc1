"""A job as a line: of a table, for a person, and of JSON, for a program."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dulcet.escape import quote
from dulcet.station.events import json_head, rfc3339
from dulcet.station.figures import bar, duration, rate, size
from dulcet.station.queue.jobs import Job, JobInstance, JobState

MAX_PEER_CHARACTERS = 40
MAX_REASON_CHARACTERS = 120
HEADINGS = ("JOB", "STATE", "PEER", "PROGRESS", "DONE", "SIZE", "RATE", "LEFT", "NOTE")


def row_of(job: Job, now: float) -> tuple[str, ...]:
    """What HEADINGS say. Safe to show."""
    counts, progress = job.counts, job.progress
    is_running = job.state is JobState.RUNNING
    octets = counts.octets_done + progress.octets_in_flight
    pace = rate(progress.octets_per_second) if is_running and progress.octets_per_second else ""
    left = duration(progress.seconds_left) if is_running and progress.seconds_left is not None else ""
    kind = "to" if job.order.kind.value == "send" else "from"
    failed = f" ({counts.failed:,} failed)" if counts.failed else ""
    return (
        str(job.id),
        job.state.value,
        f"{kind} {quote(job.order.peer, MAX_PEER_CHARACTERS)}",
        bar(_share(job), 1),
        f"{counts.done:,}/{counts.instances:,}{failed}",
        _amount(octets, counts.octets) if counts.octets else "",
        pace,
        left,
        _note(job, now),
    )


def _amount(done: int, total: int) -> str:
    """`0 B of 38.3 kB`; once all of it is done, how much that is."""
    return size(total) if done == total else f"{size(done)} of {size(total)}"


def _share(job: Job) -> float:
    counts = job.counts
    if counts.octets:
        return min((counts.octets_done + job.progress.octets_in_flight) / counts.octets, 1.0)
    return counts.done / counts.instances if counts.instances else float(job.state is JobState.DONE)


def _note(job: Job, now: float) -> str:
    parts = []
    if job.wish is not None:
        parts.append(f"{job.wish.value} asked for")
    if job.lease_until is not None and job.lease_until < now:
        parts.append("its worker is gone, another will take it")
    if job.state is JobState.WAITING and job.not_before > now:
        parts.append(f"again in {duration(job.not_before - now)}")
    if job.order.priority and not job.state.is_over:
        parts.append(f"priority {job.order.priority}")
    if job.order.hours and not job.state.is_over:
        parts.append(job.order.hours)
    if job.reason:
        parts.append(quote(job.reason, MAX_REASON_CHARACTERS))
    if job.order.origin:
        parts.append(quote(job.order.origin))
    return "; ".join(parts)


def local_time(at: float) -> str:
    """`2026-01-31 23:59:59`, on this machine's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def job_values(job: Job) -> dict[str, Any]:
    """A job for a program: JSON's types, times as RFC 3339, without what is not said."""
    order, counts, progress = job.order, job.counts, job.progress
    values: dict[str, Any] = {
        **json_head("job"),
        "job": job.id,
        "kind": order.kind.value,
        "peer": order.peer,
        "state": job.state.value,
        "priority": order.priority,
        "hours": order.hours or None,
        "octets_per_second_limit": order.octets_per_second,
        "origin": order.origin or None,
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "ended_at": moment(job.ended_at),
        "not_before": moment(job.not_before or None),
        "attempts": job.attempts,
        "reason": job.reason or None,
        "exit_code": job.exit_code,
        "worker": job.worker,
        "wish": None if job.wish is None else job.wish.value,
        "instances": counts.instances,
        "done": counts.done,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
        "octets": counts.octets,
        "octets_done": counts.octets_done,
    }
    if job.state is JobState.RUNNING:
        values["octets_in_flight"] = progress.octets_in_flight
        values["octets_per_second"] = progress.octets_per_second
        values["instances_per_second"] = progress.instances_per_second
        values["seconds_left"] = progress.seconds_left
    return said(values)


def instance_values(instance: JobInstance) -> dict[str, Any]:
    """An instance of a job, for a program."""
    return said(
        {
            **json_head("job.object"),
            "job": instance.job,
            "id": instance.id,
            "name": instance.name or None,
            "state": instance.state.value,
            "status": None if instance.status is None else f"{instance.status:04X}H",
            "reason": instance.reason or None,
            "attempts": instance.attempts,
            "not_before": moment(instance.not_before or None),
            "ended_at": moment(instance.ended_at),
            "sop_class_uid": instance.sop_class_uid or None,
            "sop_instance_uid": instance.sop_instance_uid or None,
            "transfer_syntax_uid": instance.transfer_syntax_uid or None,
            "octets": instance.octets or None,
        }
    )


def said(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is None."""
    return {name: value for name, value in values.items() if value is not None}


def moment(at: float | None) -> str | None:
    """RFC 3339, UTC."""
    return None if at is None else rfc3339(datetime.fromtimestamp(at, UTC))
