"""What people ask of jobs, in SQLite: cancel, pause, resume, retry, change, clear. One transaction for each request."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence

from dulcet.errors import NoSuchJobError, WrongStateError
from dulcet.station.queue.job_store import MAX_EVENTS
from dulcet.station.queue.jobs import JobState, Wish
from dulcet.station.queue.queue_file import QueueFile
from dulcet.station.queue.queue_schema import ADDING, OVER_VALUES, REMOVING, VISIBLE

ROWS_REMOVED_AT_ONCE = 5_000  # some 20 ms in which no other can write
EXIT_INTERRUPTED = 130  # of a job that was cancelled, as of a command
_NOT_ENDED = "ended_at = NULL, exit_code = NULL, reason = ''"
_NOT_TAKEN = "worker = NULL, lease_until = NULL, wish = NULL, progress = '{}'"


class SQLiteRequests:
    """Part of `SQLiteJobStore`."""

    _file: QueueFile
    _now: Callable[[], float]

    def request(self, job: int, wish: Wish) -> JobState:
        """See `JobStore`."""
        with self._file.writing() as connection:
            row = _row(connection, job)
            if row["state"] in OVER_VALUES:
                raise WrongStateError(f"job {job} is {row['state']}: there is nothing to {wish.value}")
            if row["state"] == "running" and row["lease_until"] > self._now():
                if row["wish"] != Wish.CANCEL.value:  # what was cancelled is not to be paused instead
                    connection.execute("UPDATE job SET wish = ? WHERE id = ?", (wish.value, job))
                return JobState.RUNNING
            return grant(connection, job, wish, self._now())

    def resume(self, job: int) -> None:
        """See `JobStore`."""
        with self._file.writing() as connection:
            row = _row(connection, job)
            if row["state"] == "running" and row["wish"] == Wish.PAUSE.value:
                connection.execute("UPDATE job SET wish = NULL WHERE id = ?", (job,))
            elif row["state"] == "paused":
                connection.execute(
                    f"UPDATE job SET state = 'queued', not_before = 0, {_NOT_TAKEN} WHERE id = ?", (job,)
                )
            else:
                raise WrongStateError(f"job {job} is not paused but {row['state']}")

    def retry(self, job: int) -> None:
        """See `JobStore`."""
        with self._file.writing() as connection:
            state = _row(connection, job)["state"]
            if state not in ("waiting", "partial", "failed", "cancelled"):
                raise WrongStateError(f"job {job} is {state}: there is nothing to retry")
            connection.execute(
                "UPDATE instance SET state = 'pending', attempts = 0, failing_since = NULL, not_before = 0,"
                " status = NULL, reason = '', exit_code = 0, ended_at = NULL WHERE job = ? AND state = 'failed'",
                (job,),
            )
            connection.execute(
                "UPDATE instance SET not_before = 0, attempts = 0, failing_since = NULL"
                " WHERE job = ? AND state = 'pending' AND attempts > 0",
                (job,),
            )
            connection.execute(
                f"UPDATE job SET state = 'queued', failed = 0, cancelled = 0, attempts = 0, failing_since = NULL,"
                f" not_before = 0, {_NOT_ENDED}, {_NOT_TAKEN} WHERE id = ?",
                (job,),
            )

    def reprioritise(self, job: int, priority: int) -> None:
        """See `JobStore`."""
        self._change(job, "priority", priority)

    def revise(self, job: int, *, hours: str | None = None, octets_per_second: int | None = None) -> None:
        """See `JobStore`."""
        if hours is not None:
            self._change(job, "hours", hours)
        if octets_per_second is not None:
            self._change(job, "octets_per_second", octets_per_second or None)

    def _change(self, job: int, column: str, value: int | str | None) -> None:
        with self._file.writing() as connection:
            state = _row(connection, job)["state"]
            if state in OVER_VALUES:
                raise WrongStateError(f"job {job} is {state}: there is nothing to change")
            connection.execute(f"UPDATE job SET {column} = ? WHERE id = ?", (value, job))

    def hold(self, is_held: bool) -> None:
        """See `JobStore`."""
        with self._file.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO setting VALUES ('held', ?)", (int(is_held),))

    def is_held(self) -> bool:
        """See `JobStore`."""
        with self._file.reading() as connection:
            return held(connection)

    def log(self, job: int, lines: Sequence[str]) -> None:
        """See `JobStore`."""
        if not lines:
            return
        with self._file.writing() as connection:
            if connection.execute("SELECT 1 FROM job WHERE id = ?", (job,)).fetchone() is not None:
                say(connection, job, lines)

    # Forgetting -----------------------------------------------------------------------------------------------------

    def clear(self, states: Sequence[JobState], older_than: float | None = None, jobs: Sequence[int] = ()) -> int:
        """See `JobStore`."""
        wanted = tuple(state.value for state in states if state.is_over)
        statement = f"SELECT id FROM job WHERE state IN ({placeholders(wanted)})"
        values: tuple[object, ...] = wanted
        if older_than is not None:
            statement, values = f"{statement} AND ended_at < ?", (*values, older_than)
        with self._file.reading() as connection:
            found = [number for (number,) in connection.execute(statement, values)]
        chosen = [number for number in found if not jobs or number in set(jobs)]
        cleared = self._disappear(chosen, wanted)
        self.sweep()
        return cleared

    def sweep(self) -> None:
        """Remove the rows of jobs that were cleared, and of orders that were left in the middle, a few at a time."""
        left = f"SELECT id FROM job WHERE state = '{REMOVING}' OR (state = '{ADDING}' AND lease_until < ?)"
        with self._file.reading() as connection:
            jobs = [number for (number,) in connection.execute(left, (self._now(),))]
        if not jobs:
            return
        self._disappear(jobs, (ADDING, REMOVING))
        removing = f"SELECT id FROM job WHERE state = '{REMOVING}'"
        for table in ("instance", "event"):
            rows = f"SELECT id FROM {table} WHERE job IN ({removing}) LIMIT {ROWS_REMOVED_AT_ONCE}"
            removed = ROWS_REMOVED_AT_ONCE
            while removed == ROWS_REMOVED_AT_ONCE:
                with self._file.writing() as connection:
                    removed = connection.execute(f"DELETE FROM {table} WHERE id IN ({rows})").rowcount
        with self._file.writing() as connection:
            gone = f"id IN ({removing}) AND NOT EXISTS (SELECT 1 FROM instance WHERE instance.job = job.id)"
            connection.execute(f"DELETE FROM job WHERE {gone}")

    def _disappear(self, jobs: Sequence[int], states: tuple[str, ...] = (ADDING,)) -> int:
        statement = f"UPDATE job SET state = '{REMOVING}' WHERE id = ? AND state IN ({placeholders(states)})"
        with self._file.writing() as connection:
            return sum(connection.execute(statement, (job, *states)).rowcount for job in jobs)


def placeholders(values: Iterable[object]) -> str:
    """`?, ?, ?` for as many values."""
    return ", ".join("?" for _ in values)


def held(connection: sqlite3.Connection) -> bool:
    """Whether the whole queue is paused."""
    row = connection.execute("SELECT value FROM setting WHERE name = 'held'").fetchone()
    return row is not None and bool(row[0])


def say(connection: sqlite3.Connection, job: int, lines: Sequence[str]) -> None:
    """Lines for a job's log; the oldest beyond MAX_EVENTS go. Within a transaction."""
    connection.executemany("INSERT INTO event (job, line) VALUES (?, ?)", [(job, line) for line in lines])
    last = "SELECT id FROM event WHERE job = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
    row = connection.execute(last, (job, MAX_EVENTS)).fetchone()
    if row is not None:
        connection.execute("DELETE FROM event WHERE job = ? AND id <= ?", (job, row[0]))


def grant(connection: sqlite3.Connection, job: int, wish: Wish, now: float) -> JobState:
    """Do at once what is asked of a job that nobody has. Within a transaction."""
    if wish is Wish.CANCEL:
        connection.execute(
            f"UPDATE job SET state = 'cancelled', cancelled = instances - done - failed, ended_at = ?, exit_code = ?,"
            f" reason = '', {_NOT_TAKEN} WHERE id = ?",
            (now, EXIT_INTERRUPTED, job),
        )
        return JobState.CANCELLED
    state = JobState.PAUSED if wish is Wish.PAUSE else JobState.QUEUED
    connection.execute(f"UPDATE job SET state = ?, {_NOT_TAKEN} WHERE id = ?", (state.value, job))
    return state


def _row(connection: sqlite3.Connection, job: int) -> sqlite3.Row:
    statement = f"SELECT state, lease_until, wish FROM job WHERE id = ? AND state IN ({placeholders(VISIBLE)})"
    row: sqlite3.Row | None = connection.execute(statement, (job, *VISIBLE)).fetchone()
    if row is None:
        raise NoSuchJobError(f"there is no job {job}")
    return row
