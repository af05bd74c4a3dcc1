"""`dulcet queue cancel`, `retry`, `pause`, `resume`, `set` and `clear`: what is asked of jobs."""

import time
from collections.abc import Callable, Sequence

import click

from dulcet.commands.queue_jobs import JobWord, numbers, the_queue
from dulcet.commands.queue_options import AGE, MAX_PRIORITY, OCTETS_PER_SECOND, hours_of
from dulcet.errors import NoSuchJobError, WrongStateError
from dulcet.station.queue.attendance import NOBODY, who_runs
from dulcet.station.queue.jobs import OVER, JobState, Wish
from dulcet.station.queue.sqlite_store import SQLiteJobStore

EXIT_PARTLY_FAILED = 1
_ALIVE = tuple(state for state in JobState if not state.is_over)
_RETRIABLE = (JobState.WAITING, JobState.PARTIAL, JobState.FAILED, JobState.CANCELLED)


def _each(
    words: Sequence[str], states: Sequence[JobState], act: Callable[[SQLiteJobStore, int], str], none: str
) -> int:
    """Do it to every job that is named; a sentence for each. What can't be done to one keeps no other from it."""
    store, code = the_queue(), 0
    try:
        chosen = numbers(store, words, states)
        if not chosen:
            click.echo(none, err=True)
        for job in chosen:
            try:
                click.echo(act(store, job))
            except (NoSuchJobError, WrongStateError) as error:
                click.echo(f"dulcet: {error}", err=True)
                code = error.exit_code if len(chosen) == 1 else EXIT_PARTLY_FAILED
    finally:
        store.close()
    return code


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...", type=JobWord(_ALIVE))
def cancel(jobs: tuple[str, ...]) -> int:
    """End jobs. What is done stays done; `dulcet queue retry` takes up the rest."""

    def act(store: SQLiteJobStore, job: int) -> str:
        state = store.request(job, Wish.CANCEL)
        return f"job {job} " + ("is being cancelled" if state is JobState.RUNNING else "is cancelled")

    return _each(jobs, _ALIVE, act, "there is nothing to cancel")


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...", type=JobWord(_RETRIABLE))
def retry(jobs: tuple[str, ...]) -> int:
    """Try what failed again, and what was cancelled; a job that waits is tried at once."""

    def act(store: SQLiteJobStore, job: int) -> str:
        store.retry(job)
        return f"job {job} is queued again{_unless_run()}"

    return _each(jobs, _RETRIABLE, act, "there is nothing to retry")


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB...]", type=JobWord(_ALIVE))
def pause(jobs: tuple[str, ...]) -> int:
    """Let jobs stand still after the object in flight, until they are resumed; without JOB the whole queue."""
    if not jobs:
        return _hold(True, "the queue is paused: what runs finishes its object, and nothing new is begun")

    def act(store: SQLiteJobStore, job: int) -> str:
        state = store.request(job, Wish.PAUSE)
        return f"job {job} " + ("pauses after the object in flight" if state is JobState.RUNNING else "is paused")

    return _each(jobs, _ALIVE, act, "there is nothing to pause")


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB...]", type=JobWord((JobState.PAUSED, JobState.RUNNING)))
def resume(jobs: tuple[str, ...]) -> int:
    """Let paused jobs go on; without JOB the whole queue."""
    if not jobs:
        return _hold(False, f"the queue goes on{_unless_run()}")

    def act(store: SQLiteJobStore, job: int) -> str:
        store.resume(job)
        return f"job {job} goes on{_unless_run()}"

    return _each(jobs, (JobState.PAUSED,), act, "no job is paused")


@click.command("set")
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...", type=JobWord(_ALIVE))
@click.option("--priority", type=click.IntRange(-MAX_PRIORITY, MAX_PRIORITY), metavar="N", help="Higher ones go first.")
@click.option("--hours", metavar="FROM-TO", help="When it may run, as 22:00-06:00; '' at any time.")
@click.option(
    "--bandwidth", type=OCTETS_PER_SECOND, metavar="RATE", help="Octets per second at most, as 500K or 2M; 0: no limit."
)
def change(jobs: tuple[str, ...], priority: int | None, hours: str | None, bandwidth: int | None) -> int:
    """Change jobs that are not over. One that runs keeps its hours and its bandwidth until it is taken again."""
    if priority is None and hours is None and bandwidth is None:
        raise click.UsageError("what should be set? Say --priority, --hours or --bandwidth")
    window = None if hours is None else hours_of(hours)

    def act(store: SQLiteJobStore, job: int) -> str:
        if priority is not None:
            store.reprioritise(job, priority)
        store.revise(job, hours=window, octets_per_second=bandwidth)
        return f"job {job} is changed"

    return _each(jobs, _ALIVE, act, "there is nothing to change")


@click.command()
@click.argument("jobs", nargs=-1, metavar="[JOB...]", type=JobWord(OVER))
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in OVER]),
    help="Only jobs that ended so; may be repeated. [default: done, without JOB]",
)
@click.option("--older-than", type=AGE, metavar="AGE", help="Only jobs that ended so long ago: 12h, 7d.")
def clear(jobs: tuple[str, ...], states: tuple[str, ...], older_than: float | None) -> int:
    """Forget jobs that are over, with their rows and logs. What was transferred is not touched."""
    before = None if older_than is None else time.time() - older_than
    store = the_queue()
    try:
        chosen = numbers(store, jobs, OVER)
        wanted = [JobState(state) for state in states] or (list(OVER) if jobs else [JobState.DONE])
        count = store.clear(wanted, before, chosen) if chosen or not jobs else 0
    finally:
        store.close()
    click.echo("1 job is forgotten" if count == 1 else f"{count:,} jobs are forgotten")
    return 0


def _hold(is_held: bool, sentence: str) -> int:
    store = the_queue()
    try:
        store.hold(is_held)
    finally:
        store.close()
    click.echo(sentence)
    return 0


def _unless_run() -> str:
    return "" if who_runs() else f"; {NOBODY}"
