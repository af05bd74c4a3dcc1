"""Words for jobs on a command line: `12`, `3-7`, `all`; and TAB for them."""

import re
from collections.abc import Sequence

import click
from click.shell_completion import CompletionItem

from dulcet.errors import NoSuchJobError
from dulcet.station.book.configuration import state_path
from dulcet.station.queue.jobs import Job, JobState
from dulcet.station.queue.sqlite_store import SQLiteJobStore, has_queue, open_queue

ALL = "all"
MAX_OFFERED = 50  # at a TAB
MAX_RANGE = 100_000
EVERY_JOB = 1_000_000_000  # a limit that none reaches
_NUMBERS = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


class JobWord(click.types.StringParamType):
    """A job's number, a range of them, or `all`."""

    name = "job"

    def __init__(self, states: Sequence[JobState] = ()) -> None:
        """`states`: of the jobs that TAB offers; all when there are none."""
        self._states = tuple(states)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The newest jobs whose numbers begin so; those that stand there already are left out."""
        if not has_queue(state_path()):
            return []
        taken = ctx.params.get(param.name or "") or ()
        store = open_queue(state_path())
        try:
            jobs = store.jobs(self._states, MAX_OFFERED)
        finally:
            store.close()
        return [
            CompletionItem(str(job.id), help=f"{job.order.kind.value} {job.order.peer}: {job.state.value}")
            for job in jobs
            if str(job.id).startswith(incomplete) and str(job.id) not in taken
        ]


def the_queue() -> SQLiteJobStore:
    """The queue; NoSuchJobError when nobody has ever ordered something."""
    if not has_queue(state_path()):
        raise NoSuchJobError("there are no jobs: nothing has been queued yet (`dulcet send --queue`)")
    return open_queue(state_path())


def numbers(store: SQLiteJobStore, words: Sequence[str], states: Sequence[JobState] = ()) -> list[int]:
    """The jobs that `words` name, each once; `all` are those in one of `states`.

    click.UsageError for a word that is none; NoSuchJobError for a number that nobody has.
    """
    found: dict[int, None] = {}
    for word in words:
        if word == ALL:
            found.update(dict.fromkeys(sorted(job.id for job in store.jobs(states, EVERY_JOB))))
            continue
        matched = _NUMBERS.fullmatch(word)
        if matched is None:
            raise click.UsageError(f"{word!r} is no job: write a number, a range like 3-7, or {ALL}")
        first = int(matched[1])
        last = int(matched[2] or first)
        if last < first or last - first > MAX_RANGE:
            raise click.UsageError(f"{word!r} is no range of jobs")
        there = [number for number in range(first, last + 1) if store.job(number) is not None]
        if not there:
            raise NoSuchJobError(f"there is no job {word}")
        found.update(dict.fromkeys(there))
    return list(found)


def one_job(store: SQLiteJobStore, word: str) -> Job:
    """The job of a number. click.UsageError, NoSuchJobError."""
    if not word.isdecimal() or len(word) > 18:
        raise click.UsageError(f"{word!r} is no job: write its number")
    job = store.job(int(word))
    if job is None:
        raise NoSuchJobError(f"there is no job {word}")
    return job
