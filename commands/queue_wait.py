"""`dulcet queue wait`: for scripts."""

import time
from contextlib import closing

import click

from dulcet.commands.queue_jobs import JobWord, numbers, the_queue
from dulcet.station.queue.attendance import NOBODY, who_runs
from dulcet.station.queue.jobs import JobState

EXIT_PARTLY_FAILED, EXIT_NO_INPUT, EXIT_TEMPORARY = 1, 66, 75
LOOK_SECONDS = 0.25
_ALIVE = tuple(state for state in JobState if not state.is_over)


@click.command()
@click.argument("jobs", nargs=-1, required=True, metavar="JOB...", type=JobWord(_ALIVE))
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Give up waiting, not the jobs.")
def wait(jobs: tuple[str, ...], timeout: float | None) -> int:
    """Wait until the jobs are over. The exit code is the job's: what `dulcet send` or `retrieve` would have had.

    Of several jobs: theirs, if it is the same for all, else 1. 75 when --timeout is over first.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    with closing(the_queue()) as store:
        waiting = numbers(store, jobs, _ALIVE)
        if any(not job.state.is_over for job in filter(None, map(store.job, waiting))) and not who_runs():
            click.echo(f"dulcet: {NOBODY}", err=True)
        codes = set()
        while True:
            version, left = store.version(), []
            for number in waiting:
                job = store.job(number)
                if job is None:
                    codes.add(EXIT_NO_INPUT)  # it was cleared in the meantime
                elif job.state.is_over:
                    codes.add(job.exit_code or 0)
                else:
                    left.append(number)
            waiting = left
            if not waiting:
                return codes.pop() if len(codes) == 1 else EXIT_PARTLY_FAILED if codes else 0
            while store.version() == version:
                if deadline is not None and time.monotonic() >= deadline:
                    return EXIT_TEMPORARY
                time.sleep(LOOK_SECONDS)
