"""What workers do with jobs, in SQLite: claim, renew, record, finish. One transaction for each step."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict

from dulcet.errors import LeaseLostError
from dulcet.station.queue.hours import is_within
from dulcet.station.queue.job_store import LEASE_SECONDS, LONGEST_LEASE_SECONDS, LONGEST_WAIT_SECONDS
from dulcet.station.queue.jobs import (
    InstanceResult,
    InstanceState,
    Job,
    JobInstance,
    JobState,
    Progress,
    Standing,
    Wish,
)
from dulcet.station.queue.queue_file import QueueFile
from dulcet.station.queue.queue_schema import INSTANCE_COLUMNS, JOB_COLUMNS, instance_of, job_of, to_json
from dulcet.station.queue.sqlite_requests import grant, held, say

_DUE = (
    "SELECT id, priority, peer, hours, state, wish FROM job WHERE state = 'queued' ORDER BY priority DESC, id",
    "SELECT id, priority, peer, hours, state, wish FROM job"
    " WHERE state = 'waiting' AND (not_before <= :now OR not_before > :far) ORDER BY priority DESC, id",
    "SELECT id, priority, peer, hours, state, wish FROM job"
    " WHERE state = 'running' AND lease_until <= :now ORDER BY priority DESC, id",
)
_AHEAD = "SELECT 1 FROM job WHERE state = 'running' AND lease_until > ? LIMIT 1"
_SET_BACK = "UPDATE job SET lease_until = ? WHERE state = 'running' AND lease_until > ?"
_CLAIM = (
    "UPDATE job SET state = 'running', worker = ?, lease_until = ?, started_at = ?, wish = NULL, reason = '',"
    f" progress = '{{}}' WHERE id = ? RETURNING {JOB_COLUMNS}"
)
_RECORD = (
    "UPDATE instance SET state = :state, status = :status, reason = :reason, exit_code = :exit_code,"
    " not_before = :not_before,"
    " attempts = attempts + :failures, failing_since = CASE WHEN :failures THEN coalesce(failing_since, :now) END,"
    " ended_at = :ended_at, file_size = CASE WHEN :octets IS NULL THEN file_size ELSE data_set_offset + :octets END"
    " WHERE id = :id AND job = :job AND state = 'pending' RETURNING file_size - data_set_offset"
)
_OCTETS = "SELECT file_size - data_set_offset FROM instance WHERE id = ? AND job = ? AND state = 'pending'"


class SQLiteRuns:
    """Part of `SQLiteJobStore`."""

    _file: QueueFile
    _now: Callable[[], float]

    def claim(self, worker: str, lease_seconds: float = LEASE_SECONDS, *, per_peer: int = 1) -> Job | None:
        """See `JobStore`. While nothing is due, nothing is written."""
        with self._file.reading() as connection:
            farthest = self._now() + LONGEST_LEASE_SECONDS
            is_ahead = connection.execute(_AHEAD, (farthest,)).fetchone() is not None
            if not is_ahead and self._due(connection, per_peer) is None:
                return None
        with self._file.writing() as connection:
            if is_ahead:  # the clock was set back; whoever has the job and lives renews this
                connection.execute(_SET_BACK, (self._now() + LEASE_SECONDS, farthest))
            while (due := self._due(connection, per_peer)) is not None:
                if due["wish"] is not None:  # its worker died before it could hear
                    grant(connection, due["id"], Wish(due["wish"]), self._now())
                    continue
                now = self._now()
                lease_until = now + min(lease_seconds, LONGEST_LEASE_SECONDS)
                row = connection.execute(_CLAIM, (worker, lease_until, now, due["id"])).fetchone()
                return job_of(row)
        return None

    def _due(self, connection: sqlite3.Connection, per_peer: int) -> sqlite3.Row | None:
        """The job to take next."""
        if held(connection):
            return None
        now = self._now()
        running = "SELECT peer FROM job WHERE state = 'running' AND lease_until > ? GROUP BY peer HAVING count(*) >= ?"
        busy = {peer for (peer,) in connection.execute(running, (now, per_peer))}
        found = [
            row
            for statement in _DUE
            if (row := _first(connection.execute(statement, _times(now)), busy, now)) is not None
        ]
        return min(found, key=lambda row: (-row["priority"], row["id"]), default=None)

    def renew(
        self, job: int, worker: str, lease_seconds: float = LEASE_SECONDS, progress: Progress | None = None
    ) -> Wish | None:
        """See `JobStore`."""
        with self._file.reading() as connection:
            wish, lease_until = self._lease(connection, job, worker)
            is_held = held(connection)
        now = self._now()
        if progress is not None or lease_until - now < lease_seconds * 2 / 3:
            with self._file.writing() as connection:
                wish, _ = self._lease(connection, job, worker)
                lease_until = now + min(lease_seconds, LONGEST_LEASE_SECONDS)
                connection.execute("UPDATE job SET lease_until = ? WHERE id = ?", (lease_until, job))
                if progress is not None:
                    text = to_json(asdict(progress))
                    connection.execute("UPDATE job SET progress = ? WHERE id = ?", (text, job))
        if wish is not None:
            return Wish(wish)
        return Wish.HOLD if is_held else None

    def due_instances(self, job: int, after: int = 0, limit: int = 1000) -> list[JobInstance]:
        """See `JobStore`."""
        statement = (
            f"SELECT {INSTANCE_COLUMNS} FROM instance INDEXED BY instance_pending"
            " WHERE job = :job AND state = 'pending' AND id > :after AND (not_before <= :now OR not_before > :far)"
            " ORDER BY id LIMIT :limit"
        )
        with self._file.reading() as connection:
            values = {"job": job, "after": after, "limit": limit, **_times(self._now())}
            cursor = connection.execute(statement, values)
            return [instance_of(tuple(row), InstanceState.PENDING, "") for row in cursor]

    def next_due(self, job: int) -> float | None:
        """See `JobStore`."""
        statement = (
            "SELECT min(CASE WHEN not_before > :far THEN 0 ELSE not_before END) FROM instance"
            " INDEXED BY instance_pending WHERE job = :job AND state = 'pending'"
        )
        with self._file.reading() as connection:
            at = connection.execute(statement, {"job": job, **_times(self._now())}).fetchone()[0]
        return None if at is None else float(at)

    def record(self, job: int, worker: str, results: Sequence[InstanceResult], lines: Sequence[str] = ()) -> None:
        """See `JobStore`."""
        with self._file.writing() as connection:
            self._check_lease(connection, job, worker)
            done = failed = octets = found = retries = 0
            for result in results:
                known = connection.execute(_OCTETS, (result.id, job)).fetchone()
                if known is None:
                    continue  # it was recorded before
                size = connection.execute(_RECORD, self._values(job, result)).fetchone()[0]
                found += size - known[0]
                done += result.state is InstanceState.DONE
                failed += result.state is InstanceState.FAILED
                retries += result.state is InstanceState.PENDING
                octets += size if result.state is InstanceState.DONE else 0
            connection.execute(
                "UPDATE job SET done = done + ?, failed = failed + ?, octets_done = octets_done + ?,"
                " octets = octets + ? WHERE id = ?",
                (done, failed, octets, found, job),
            )
            if done:
                connection.execute("UPDATE job SET attempts = 0, failing_since = NULL WHERE id = ?", (job,))
            _count_retries(connection, retries)
            say(connection, job, lines)

    def _values(self, job: int, result: InstanceResult) -> dict[str, object]:
        now = self._now()
        return {
            "id": result.id,
            "job": job,
            "state": result.state.value,
            "status": result.status,
            "reason": result.reason,
            "exit_code": result.exit_code,
            "not_before": result.not_before,
            "failures": int(result.state is not InstanceState.DONE),
            "now": now,
            "ended_at": None if result.state is InstanceState.PENDING else now,
            "octets": result.octets if result.state is InstanceState.DONE else None,
        }

    def finish(self, job: int, worker: str, standing: Standing, lines: Sequence[str] = ()) -> None:
        """See `JobStore`."""
        state, now = standing.state, self._now()
        with self._file.writing() as connection:
            wish, _ = self._lease(connection, job, worker)
            say(connection, job, lines)
            if wish is not None and not state.is_over:  # it was asked after the worker had looked for the last time
                grant(connection, job, Wish(wish), now)
                return
            connection.execute(
                "UPDATE job SET state = ?, reason = ?, exit_code = ?, not_before = ?, ended_at = ?, worker = NULL,"
                " lease_until = NULL, wish = NULL, progress = '{}' WHERE id = ?",
                (
                    state.value,
                    standing.reason,
                    standing.exit_code,
                    standing.not_before if state is JobState.WAITING else 0.0,
                    now if state.is_over else None,
                    job,
                ),
            )
            if state is JobState.WAITING:
                connection.execute(
                    "UPDATE job SET attempts = :attempts,"
                    " failing_since = CASE WHEN :attempts THEN coalesce(failing_since, :now) END WHERE id = :job",
                    {"attempts": standing.attempts, "now": now, "job": job},
                )
                _count_retries(connection, 1)
            elif state is JobState.CANCELLED:
                connection.execute("UPDATE job SET cancelled = instances - done - failed WHERE id = ?", (job,))
            elif state.is_over:
                connection.execute("UPDATE job SET failed = instances - done - cancelled WHERE id = ?", (job,))

    # Leases ---------------------------------------------------------------------------------------------------------

    def _check_lease(self, connection: sqlite3.Connection, job: int, worker: str) -> None:
        self._lease(connection, job, worker)

    def _lease(self, connection: sqlite3.Connection, job: int, worker: str) -> tuple[str | None, float]:
        """What is asked of the worker, and until when it has the job. A lease that is over holds until one takes it."""
        statement = "SELECT wish, lease_until FROM job WHERE id = ? AND state = 'running' AND worker = ?"
        row = connection.execute(statement, (job, worker)).fetchone()
        if row is None:
            raise LeaseLostError(f"job {job} was taken from this worker, which had not been heard of for too long")
        return row["wish"], row["lease_until"]


def _times(now: float) -> dict[str, float]:
    """For what `has_come` says, in SQL."""
    return {"now": now, "far": now + LONGEST_WAIT_SECONDS}


def _first(rows: Iterator[sqlite3.Row], busy: set[str], now: float) -> sqlite3.Row | None:
    """The first that may run: within its hours, its peer not busy. A wish is granted to any."""
    for row in rows:
        if row["wish"] is not None or (row["peer"] not in busy and is_within(row["hours"], now)):
            return row
    return None


def _count_retries(connection: sqlite3.Connection, count: int) -> None:
    if count:
        connection.execute(
            "INSERT INTO setting VALUES ('retries', ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
            (count,),
        )
