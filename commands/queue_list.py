"""`dulcet queue list`."""

import json
import time

import click

from dulcet.commands.queue_jobs import EVERY_JOB
from dulcet.station.book.configuration import state_path
from dulcet.station.queue.jobs import OVER, Job, JobState
from dulcet.station.queue.showing import HEADINGS, job_values, row_of, table
from dulcet.station.queue.sqlite_store import SQLiteJobStore, has_queue, open_queue

MAX_ENDED = 10  # jobs that are over, of those that were not asked for
_NOT_OVER = tuple(state for state in JobState if not state.is_over)


@click.command("list")
@click.option("--all", "show_all", is_flag=True, help="All jobs, also those that ended long ago.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in JobState]),
    help="Only jobs that stand so; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
def list_jobs(show_all: bool, states: tuple[str, ...], as_json: bool) -> int:
    """List jobs, the newest first: those that are not over, and the last that ended."""
    if not has_queue(state_path()):
        jobs, is_held = [], False
    else:
        store = open_queue(state_path())
        try:
            jobs, is_held = _jobs(store, show_all, states), store.is_held()
        finally:
            store.close()
    if as_json:
        for job in jobs:
            click.echo(json.dumps(job_values(job)))
        return 0
    if jobs:
        now = time.time()
        for line in table([HEADINGS, *(row_of(job, now) for job in jobs)]):
            click.echo(line)
    else:
        click.echo("no jobs: `dulcet send --queue` makes one", err=True)
    if is_held:
        click.echo("the whole queue is paused: `dulcet queue resume` lets it go on", err=True)
    return 0


def _jobs(store: SQLiteJobStore, show_all: bool, states: tuple[str, ...]) -> list[Job]:
    if states or show_all:
        return store.jobs([JobState(state) for state in states], EVERY_JOB)
    found = [*store.jobs(_NOT_OVER, EVERY_JOB), *store.jobs(OVER, MAX_ENDED)]
    return sorted(found, key=lambda job: -job.id)
