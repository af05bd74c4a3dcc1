"""The queue in a file of SQLite: the `JobStore` that dulcet uses. Synchronous: call it in threads."""

import os
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from dulcet.errors import QueueError
from dulcet.station.lines import write_line
from dulcet.station.queue.hours import is_within
from dulcet.station.queue.jobs import (
    InstanceState,
    Job,
    JobEvent,
    JobInstance,
    JobState,
    NewInstance,
    Order,
    QueueSummary,
)
from dulcet.station.queue.queue_file import QueueFile
from dulcet.station.queue.queue_schema import (
    ADDING,
    INSERT_INSTANCE,
    INSTANCE_COLUMNS,
    JOB_COLUMNS,
    OVER_VALUES,
    REMOVING,
    VISIBLE,
    instance_of,
    job_of,
    meaning_of_pending,
    to_json,
    values_of,
)
from dulcet.station.queue.sqlite_requests import SQLiteRequests, placeholders
from dulcet.station.queue.sqlite_runs import SQLiteRuns

FILE_NAME = "queue.sqlite"
ROWS_AT_ONCE = 1_000  # in one transaction of `add`: some 10 ms in which no other can write
ADDING_SECONDS = 3_600.0  # between two such steps; an order that stood still for longer was left by who made it


def _warn(sentence: str) -> None:
    write_line(f"dulcet: {sentence}", sys.stderr)


def open_queue(state: Path, warn: Callable[[str], None] = _warn) -> "SQLiteJobStore":
    """The queue of the state directory, made when it is missing. See `SQLiteJobStore`."""
    return SQLiteJobStore(state / FILE_NAME, warn)


def has_queue(state: Path) -> bool:
    """Whether anybody has ever ordered something there. QueueError when that can't be known."""
    try:
        return (state / FILE_NAME).exists()
    except OSError as error:
        raise QueueError(f"the queue {state / FILE_NAME} can't be looked for: {error.strerror}") from error


class SQLiteJobStore(SQLiteRuns, SQLiteRequests):
    """See `JobStore`. Several threads may use one; each call holds it for as long as it takes."""

    def __init__(self, path: Path, warn: Callable[[str], None] = _warn, clock: Callable[[], float] = time.time) -> None:
        """Open the file at `path`. QueueError; `warn` is told of a damaged file that was set aside: standard error is.

        `clock` tells the seconds since 1970.
        """
        self.path = path
        self._file = QueueFile(path, warn)
        self._now = clock

    def close(self) -> None:
        """See `JobStore`."""
        self._file.close()

    # Ordering -------------------------------------------------------------------------------------------------------

    def add(self, order: Order, instances: Iterable[NewInstance]) -> int:
        """See `JobStore`. Rows are written some thousand at a time, so that other writers get their turn."""
        self.sweep()
        values = (
            order.kind.value,
            order.peer,
            to_json(order.options),
            order.priority,
            order.hours,
            order.octets_per_second,
            order.origin,
            ADDING,
            self._now(),
            self._now() + ADDING_SECONDS,
        )
        columns = "kind, peer, options, priority, hours, octets_per_second, origin, state, created_at, lease_until"
        with self._file.writing() as connection:
            job = connection.execute(f"INSERT INTO job ({columns}) VALUES ({placeholders(values)})", values).lastrowid
        assert job is not None
        remaining = iter(instances)
        count = octets = 0
        try:
            while rows := list(islice(remaining, ROWS_AT_ONCE)):
                with self._file.writing() as connection:
                    connection.executemany(INSERT_INSTANCE, (values_of(job, row) for row in rows))
                    until = self._now() + ADDING_SECONDS
                    connection.execute("UPDATE job SET lease_until = ? WHERE id = ?", (until, job))
                count += len(rows)
                octets += sum(row.octets for row in rows)
            self._appear(job, count, octets)
        except BaseException:
            self._disappear([job])
            raise
        return job

    def _appear(self, job: int, count: int, octets: int) -> None:
        statement = (
            "UPDATE job SET state = 'queued', lease_until = NULL, instances = ?, octets = ?, created_at = ?"
            f" WHERE id = ? AND state = '{ADDING}'"
        )
        with self._file.writing() as connection:
            if connection.execute(statement, (count, octets, self._now(), job)).rowcount != 1:
                raise QueueError("the order took so long to be put together that it was taken for abandoned")

    def extend(self, job: int, worker: str, instances: Iterable[NewInstance]) -> list[int]:
        """See `JobStore`."""
        added = list(instances)
        with self._file.writing() as connection:
            self._check_lease(connection, job, worker)
            numbers = [connection.execute(INSERT_INSTANCE, values_of(job, one)).lastrowid or 0 for one in added]
            statement = "UPDATE job SET instances = instances + ?, octets = octets + ? WHERE id = ?"
            connection.execute(statement, (len(added), sum(one.octets for one in added), job))
        return numbers

    # Reading --------------------------------------------------------------------------------------------------------

    def jobs(self, states: Sequence[JobState] = (), limit: int = 100) -> list[Job]:
        """See `JobStore`."""
        newest = "SELECT id FROM job WHERE state = ? ORDER BY id DESC LIMIT ?"  # from the index alone, for each state
        wanted = [state.value for state in states] or VISIBLE
        with self._file.reading() as connection:
            found = sorted(
                (row[0] for state in wanted for row in connection.execute(newest, (state, limit))), reverse=True
            )
            rows = (connection.execute(f"SELECT {JOB_COLUMNS} FROM job WHERE id = ?", (one,)) for one in found[:limit])
            return [job_of(row) for cursor in rows for row in cursor]

    def job(self, job: int) -> Job | None:
        """See `JobStore`."""
        statement = f"SELECT {JOB_COLUMNS} FROM job WHERE id = ? AND state IN ({placeholders(VISIBLE)})"
        with self._file.reading() as connection:
            row = connection.execute(statement, (job, *VISIBLE)).fetchone()
        return None if row is None else job_of(row)

    def instances(
        self, job: int, state: InstanceState | None = None, after: int = 0, limit: int = 1000
    ) -> list[JobInstance]:
        """See `JobStore`."""
        with self._file.reading() as connection:
            row = connection.execute("SELECT state, reason FROM job WHERE id = ?", (job,)).fetchone()
            if row is None:
                return []
            left = meaning_of_pending(row["state"])
            wanted = _stored_states(state, left)
            narrowing = f" AND state IN ({', '.join(map(repr, wanted))})" if state is not None else ""
            statement = (
                f"SELECT {INSTANCE_COLUMNS} FROM instance WHERE job = ? AND id > ?{narrowing} ORDER BY id LIMIT ?"
            )
            cursor = connection.execute(statement, (job, after, limit))
            return [instance_of(tuple(each), left, row["reason"]) for each in cursor]

    def events(self, job: int, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        """See `JobStore`."""
        statement = "SELECT id, line FROM event WHERE job = ? AND id > ? ORDER BY id LIMIT ?"
        with self._file.reading() as connection:
            return [
                JobEvent(id=number, line=line) for number, line in connection.execute(statement, (job, after, limit))
            ]

    def paths_in_use(self, paths: Iterable[str]) -> set[str]:
        """See `JobStore`."""
        over = ", ".join(map(repr, (*OVER_VALUES, REMOVING)))
        statement = (
            "SELECT 1 FROM instance JOIN job ON job.id = instance.job WHERE instance.path = ?"
            f" AND instance.state = 'pending' AND job.state NOT IN ({over}) LIMIT 1"
        )
        with self._file.reading() as connection:
            return {path for path in paths if connection.execute(statement, (os.fsencode(path),)).fetchone()}

    def summary(self) -> QueueSummary:
        """See `JobStore`."""
        now = self._now()
        counts = f"SELECT state, count(*) FROM job WHERE state IN ({placeholders(VISIBLE)}) GROUP BY state"
        due = (
            "SELECT hours, min(CASE state WHEN 'queued' THEN created_at ELSE not_before END) FROM job"
            " WHERE state = 'queued' OR (state = 'waiting' AND not_before <= ?) GROUP BY hours"
        )
        with self._file.reading() as connection:
            found = {JobState(state): count for state, count in connection.execute(counts, VISIBLE)}
            since = [at for hours, at in connection.execute(due, (now,)) if is_within(hours, now)]
            settings = dict(connection.execute("SELECT name, value FROM setting").fetchall())
        return QueueSummary(
            jobs={state: found.get(state, 0) for state in JobState},
            oldest_due_at=min(since, default=None),
            retries=settings.get("retries", 0),
            is_held=bool(settings.get("held")),
        )

    def version(self) -> Hashable:
        """See `JobStore`."""
        with self._file.reading() as connection:
            return connection.execute("PRAGMA data_version").fetchone()[0], connection.total_changes


def _stored_states(state: InstanceState | None, left: InstanceState) -> list[str]:
    """The states of rows that stand for `state`, when pending ones stand for `left`."""
    if state is None:
        return []
    if state is InstanceState.PENDING:
        return ["pending"] if left is state else ["none"]
    return [state.value, "pending"] if left is state else [state.value]
