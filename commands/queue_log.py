"""`dulcet queue log`: what happened to a job, as events."""

import json
import time
from contextlib import closing
from typing import Any

import click

from dulcet.commands.queue_jobs import JobWord, one_job, the_queue
from dulcet.escape import quote

LOOK_SECONDS = 0.25  # between two looks with --follow
PAGE = 1_000
_HEAD = ("v", "ts", "event")


@click.command()
@click.argument("job", metavar="JOB", type=JobWord())
@click.option("--follow", "-f", is_flag=True, help="Go on until the job is over.")
@click.option("--tail", type=click.IntRange(1), metavar="N", help="Only the last N lines.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
def log(job: str, follow: bool, tail: int | None, as_json: bool) -> int:
    """Show the log of JOB: associations, what failed, warnings, how it was taken and left.

    What went well is not in it: `dulcet queue show JOB` lists the objects. The last 2,000 lines are kept.
    """
    with closing(the_queue()) as store:
        number = one_job(store, job).id
        after, is_first = 0, True
        while True:
            version, found = store.version(), store.job(number)
            lines = []
            while events := store.events(number, after, PAGE):
                after = events[-1].id
                lines += [event.line for event in events]
            for line in lines[-tail:] if tail and is_first else lines:
                print(line if as_json else readable(line), flush=follow)
            is_first = False
            if not follow or found is None or found.state.is_over:
                return 0
            while store.version() == version:
                time.sleep(LOOK_SECONDS)


def readable(line: str) -> str:
    """A line for a person; what peers said is quoted."""
    try:
        values: dict[str, Any] = json.loads(line)
    except ValueError:
        return quote(line, 500)
    told = (f"{name}={_value(value)}" for name, value in values.items() if name not in _HEAD)
    return f"{quote(str(values.get('ts', '')))} {quote(str(values.get('event', '')))} {' '.join(told)}"


def _value(value: object) -> str:
    """As JSON, but that what is escaped already is not escaped again."""
    return json.dumps(quote(value, 500)).replace("\\\\", "\\") if isinstance(value, str) else json.dumps(value)
