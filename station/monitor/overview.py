"""All that goes on at a station at one moment, put together from what processes, queue and disks tell of themselves."""

import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dulcet.errors import DulcetError
from dulcet.station.book.configuration import state_path
from dulcet.station.monitor.process_file import read_processes
from dulcet.station.monitor.process_report import ErrorRow, ProcessReport, moment
from dulcet.station.queue.child import QUEUE_FILE

if TYPE_CHECKING:
    from dulcet.station.queue.job_store import JobStore
    from dulcet.station.queue.jobs import Job, QueueSummary

MAX_JOBS = 50  # shown of those that are not over
SIZE_SECONDS = 30.0  # between two countings of a directory: a million rows take half a second
INDEX_FILE = ".index.sqlite"  # `archive.index.FILE_NAME`, without what it imports


@dataclass(frozen=True, kw_only=True, slots=True)
class Directory:
    """Where objects are stored."""

    path: str
    objects: int | None
    """In its index; None when there is none."""
    octets: int | None
    """Of their files; None as `objects`."""
    free_octets: int | None
    """Of its file system, for us; None when it can't be asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """What goes on."""

    at: float
    """Seconds since 1970."""
    processes: "tuple[ProcessReport, ...]"
    queue: "QueueSummary | None"
    """None: there is no queue."""
    jobs: "tuple[Job, ...]"
    """Those that are not over."""
    directories: tuple[Directory, ...]
    faults: tuple[str, ...]
    """What could not be found out, in sentences."""

    @property
    def errors(self) -> list[tuple[ProcessReport, ErrorRow]]:
        """The last error lines of all processes, the oldest first."""
        found = [(process, error) for process in self.processes for error in process.errors]
        return sorted(found, key=lambda pair: pair[1].at)


class Looker:
    """Looks again and again, and remembers what does not change fast. Synchronous."""

    def __init__(self, directories: Iterable[Path] = ()) -> None:
        """`directories`: storage directories to tell of, beside those of the processes."""
        self._directories = [str(path.absolute()) for path in directories]
        self._store: JobStore | None = None
        self._sizes: dict[str, tuple[float, int | None, int | None]] = {}

    def close(self) -> None:
        """Let go of the queue. Harmless when repeated."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def look(self) -> Overview:
        """What goes on now; nothing is raised for what can't be found out."""
        processes = read_processes()
        faults: list[str] = []
        queue, jobs = self._queue(faults)
        named = dict.fromkeys([*(each.directory for each in processes if each.directory), *self._directories])
        return Overview(
            at=time.time(),
            processes=tuple(processes),
            queue=queue,
            jobs=jobs,
            directories=tuple(self._directory(path) for path in named),
            faults=tuple(faults),
        )

    def _queue(self, faults: list[str]) -> "tuple[QueueSummary | None, tuple[Job, ...]]":
        path = state_path() / QUEUE_FILE
        try:
            is_there = path.exists()
        except OSError as error:
            faults.append(f"the queue {path} can't be looked for: {error.strerror}")
            is_there = False
        if not is_there:
            self.close()
            return None, ()
        from dulcet.station.queue.jobs import JobState
        from dulcet.station.queue.sqlite_store import SQLiteJobStore

        try:
            if self._store is None:
                self._store = SQLiteJobStore(path, faults.append)
            alive = [state for state in JobState if not state.is_over]
            return self._store.summary(), tuple(self._store.jobs(alive, MAX_JOBS))
        except DulcetError as error:
            faults.append(str(error))
            self.close()
            return None, ()

    def _directory(self, path: str) -> Directory:
        free = None
        with suppress(OSError):
            status = os.statvfs(path)
            free = status.f_bavail * status.f_frsize
        counted = self._sizes.get(path)
        if counted is None or time.monotonic() - counted[0] > SIZE_SECONDS:
            counted = self._sizes[path] = (time.monotonic(), *_size(Path(path) / INDEX_FILE))
        return Directory(path=path, objects=counted[1], octets=counted[2], free_octets=free)


def _size(index: Path) -> tuple[int | None, int | None]:
    """How many objects an index has, and their octets. It is only read: not even made when it is missing."""
    if not os.path.isfile(index):  # Path.is_file raises when it can't be looked for
        return None, None
    try:
        with closing(sqlite3.connect(f"{index.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as connection:
            objects, octets = connection.execute("SELECT count(*), total(file_size) FROM instance").fetchone()
            return int(objects), int(octets)
    except sqlite3.Error:
        return None, None


def document(overview: Overview) -> dict[str, Any]:
    """The overview in JSON's types. Texts of peers are in it as they came: JSON escapes them."""
    from dataclasses import asdict

    from dulcet.station.events import JSON_SCHEMA_VERSION

    summary = overview.queue
    return {
        "v": JSON_SCHEMA_VERSION,
        "ts": moment(overview.at),
        "event": "status",
        "processes": [asdict(process) for process in overview.processes],
        "queue": None
        if summary is None
        else {
            "jobs": {state.value: count for state, count in summary.jobs.items()},
            "oldest_due_at": None if summary.oldest_due_at is None else moment(summary.oldest_due_at),
            "retries": summary.retries,
            "is_held": summary.is_held,
        },
        "jobs": [_job(job) for job in overview.jobs],
        "directories": [asdict(directory) for directory in overview.directories],
        "faults": list(overview.faults),
    }


def _job(job: "Job") -> dict[str, Any]:
    counts, progress = job.counts, job.progress
    return {
        "id": job.id,
        "kind": job.order.kind.value,
        "peer": job.order.peer,
        "state": job.state.value,
        "created_at": moment(job.created_at),
        "not_before": moment(job.not_before) if job.not_before else None,
        "instances": counts.instances,
        "done": counts.done,
        "failed": counts.failed,
        "octets": counts.octets,
        "octets_done": counts.octets_done + progress.octets_in_flight,
        "octets_per_second": progress.octets_per_second,
        "seconds_left": progress.seconds_left,
        "reason": job.reason,
    }
