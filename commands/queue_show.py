"""`dulcet queue show`: one job, its order and its objects."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from dulcet.commands.options import REPORT
from dulcet.commands.queue_jobs import JobWord, one_job, the_queue
from dulcet.escape import quote
from dulcet.station.figures import duration, rate
from dulcet.station.queue.jobs import InstanceState, Job, JobInstance
from dulcet.station.queue.showing import instance_values, job_values, local_time, row_of, table
from dulcet.station.queue.sqlite_store import SQLiteJobStore

PAGE = 1_000
MAX_NAME_CHARACTERS = 120
MAX_REASON_CHARACTERS = 300


@click.command()
@click.argument("job", metavar="JOB", type=JobWord())
@click.option(
    "--state",
    "wanted",
    type=click.Choice([state.value for state in InstanceState]),
    help="Only objects that stand so.",
)
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, metavar="N", help="Objects shown.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="ID", help="Those behind this one: the next page.")
@click.option("--report", "report_file", type=REPORT, metavar="FILE", help="Write every object (.csv or .json).")
@click.option("--exit-code", "as_exit_code", is_flag=True, help="End with the job's exit code, once it is over.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines: the job, then its objects.")
def show(
    job: str,
    wanted: str | None,
    limit: int,
    after: int,
    report_file: Path | None,
    as_exit_code: bool,
    as_json: bool,
) -> int:
    """Show JOB: what was ordered, how it stands, and its objects."""
    with closing(the_queue()) as store:
        found = one_job(store, job)
        state = None if wanted is None else InstanceState(wanted)
        instances = store.instances(found.id, state, after, limit)
        if as_json:
            for values in (job_values(found), *map(instance_values, instances)):
                click.echo(json.dumps(values))
        else:
            for line in _lines(found, instances, limit):
                click.echo(line)
        if report_file is not None:
            _write_report(store, found, report_file)
    return (found.exit_code or 0) if as_exit_code else 0


def _lines(job: Job, instances: list[JobInstance], limit: int) -> Iterator[str]:
    order, now = job.order, time.time()
    _, state, whom, progress, done, octets, pace, left, note = row_of(job, now)
    yield f"job {job.id}: {order.kind.value} {whom}, {state}"
    if note:
        yield f"  {note}"
    objects = "object" if job.counts.instances == 1 else "objects"
    yield f"  {progress} {done} {objects}" + (f", {octets}" if octets else "")
    if pace:
        yield f"  {pace}" + (f", {left} left" if left else "")
    for what, at in (("ordered", job.created_at), ("begun", job.started_at), ("ended", job.ended_at)):
        if at is not None:
            yield f"  {what} {local_time(at)}"
    if order.octets_per_second:
        yield f"  at most {rate(order.octets_per_second)}"
    for name, value in order.options.items():
        if name != "given":
            yield f"  {name}: {quote(json.dumps(value), MAX_REASON_CHARACTERS)}"
    if job.exit_code is not None:
        yield f"  exit code {job.exit_code}"
    if instances:
        yield ""
        yield from table([("ID", "STATE", "TRIES", "OBJECT", "NOTE"), *(_row(each, now) for each in instances)])
        if len(instances) == limit:
            yield f"more: --after {instances[-1].id}"


def _row(instance: JobInstance, now: float) -> tuple[str, ...]:
    note = quote(instance.reason, MAX_REASON_CHARACTERS) if instance.reason else ""
    if instance.state is InstanceState.PENDING and instance.not_before > now:
        note = f"again in {duration(instance.not_before - now)}: {note}"
    name = instance.name or instance.sop_instance_uid
    tries = instance.attempts + (instance.state is InstanceState.DONE)
    return str(instance.id), instance.state.value, str(tries or ""), quote(name, MAX_NAME_CHARACTERS), note


def _write_report(store: SQLiteJobStore, job: Job, path: Path) -> None:
    """As `dulcet send --report`, or `retrieve`."""
    from dulcet.station.queue.job_report import report_of

    report_of(job, _all_instances(store, job)).write(path)


def _all_instances(store: SQLiteJobStore, job: Job) -> Iterator[JobInstance]:
    after = 0
    while page := store.instances(job.id, None, after, PAGE):
        after = page[-1].id
        yield from page
