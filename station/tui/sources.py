"""What the screens read, and what they act through: the seams at which a test puts its own.

Everything that reads is synchronous and is called in threads. What goes wrong is a DulcetError, an sqlite3.Error or an
OSError, and becomes a sentence on the screen.
"""

import os
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dulcet.station.archive.vault import path_of
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.nodes import Node
from dulcet.station.monitor.process_report import ProcessReport
from dulcet.station.preview.decoding import Decoder, DecoderLimits
from dulcet.station.preview.picture import Image, Picture, PreviewOptions, Problem, ProblemKind
from dulcet.station.queue.job_store import JobStore
from dulcet.station.queue.jobs import (
    InstanceState,
    Job,
    JobEvent,
    JobInstance,
    JobState,
    QueueSummary,
    Wish,
)
from dulcet.station.queue.sqlite_store import has_queue, open_queue
from dulcet.station.tui.children import Commands

if TYPE_CHECKING:
    from dulcet.station.archive.index import Index  # they load trio, and nobody needs them before the vault is shown
    from dulcet.station.archive.series import Series

PICTURE_PIXELS = 256  # of the longer side: more than a terminal has


class Nodes(Protocol):
    """The node book."""

    def read(self) -> tuple[list[Node], list[str]]:
        """Every node in order, and a sentence for each that is at fault. ConfigurationError when it can't be read."""


class Jobs(Protocol):
    """The part of a `JobStore` that the screens need; what each does stands there."""

    def version(self) -> Hashable: ...
    def jobs(self, states: Sequence[JobState] = (), limit: int = 100) -> list[Job]: ...
    def job(self, job: int) -> Job | None: ...
    def instances(
        self, job: int, state: InstanceState | None = None, after: int = 0, limit: int = 1000
    ) -> list[JobInstance]: ...
    def events(self, job: int, after: int = 0, limit: int = 1000) -> list[JobEvent]: ...
    def summary(self) -> QueueSummary: ...
    def request(self, job: int, wish: Wish) -> JobState: ...
    def resume(self, job: int) -> None: ...
    def retry(self, job: int) -> None: ...
    def close(self) -> None: ...


class Processes(Protocol):
    """What runs on this machine."""

    def read(self) -> Sequence[ProcessReport]:
        """Every process of dulcet that tells of itself, the oldest first."""


class Vault(Protocol):
    """What was received."""

    def version(self) -> Hashable:
        """Differs from what it was when something came or went since. Cheap: it is polled."""

    def series(self, limit: int) -> "Sequence[Series]":
        """What arrived last comes first."""

    def files(self, series_instance_uid: str) -> Sequence[Path]:
        """The files of a series, by instance number."""

    def contents(self) -> Hashable:
        """Differs from what it was when files came or went since, whatever the index says; false without a vault."""

    def close(self) -> None:
        """Let go of it. Harmless when repeated."""


class Pictures(Protocol):
    """What makes pictures, in a process of its own."""

    def picture(self, path: Path) -> Picture | Problem:
        """The picture of a file, or why there is none. Blocks as long as it takes."""

    def close(self) -> None:
        """End the process. Harmless when repeated."""


@dataclass(frozen=True, slots=True)
class BookNodes:
    """The node book of a file."""

    path: Path

    def read(self) -> tuple[list[Node], list[str]]:
        """See `Nodes`."""
        return NodeBook.read(self.path).nodes()


@dataclass(frozen=True, slots=True)
class ReportedProcesses:
    """The process files of a directory."""

    directory: Path

    def read(self) -> Sequence[ProcessReport]:
        """See `Processes`."""
        from dulcet.station.monitor.process_file import read_processes

        return read_processes(self.directory)


@dataclass(slots=True)
class QueueJobs:
    """The queue of a state directory. A queue that isn't there yet is an empty one, and is not made by looking."""

    directory: Path
    warn: Callable[[str], None]
    """Told, in a thread, when a damaged file was set aside."""
    _store: JobStore | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def version(self) -> Hashable:
        """See `JobStore`; so are the others."""
        store = self._opened()
        return None if store is None else store.version()

    def jobs(self, states: Sequence[JobState] = (), limit: int = 100) -> list[Job]:
        store = self._opened()
        return [] if store is None else store.jobs(states, limit)

    def job(self, job: int) -> Job | None:
        store = self._opened()
        return None if store is None else store.job(job)

    def instances(
        self, job: int, state: InstanceState | None = None, after: int = 0, limit: int = 1000
    ) -> list[JobInstance]:
        store = self._opened()
        return [] if store is None else store.instances(job, state, after, limit)

    def events(self, job: int, after: int = 0, limit: int = 1000) -> list[JobEvent]:
        store = self._opened()
        return [] if store is None else store.events(job, after, limit)

    def summary(self) -> QueueSummary:
        store = self._opened()
        return QueueSummary(jobs={}, oldest_due_at=None, retries=0, is_held=False) if store is None else store.summary()

    def request(self, job: int, wish: Wish) -> JobState:
        return self._needed().request(job, wish)

    def resume(self, job: int) -> None:
        self._needed().resume(job)

    def retry(self, job: int) -> None:
        self._needed().retry(job)

    def close(self) -> None:
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _needed(self) -> JobStore:
        store = self._opened()
        if store is None:
            raise FileNotFoundError(2, "there is no queue", str(self.directory))
        return store

    def _opened(self) -> JobStore | None:
        with self._lock:
            if self._store is None and has_queue(self.directory):
                self._store = open_queue(self.directory, self.warn)
            return self._store


@dataclass(slots=True)
class IndexVault:
    """The index of a storage directory. One that isn't there yet is empty, and is not made by looking."""

    directory: Path
    _index: "Index | None" = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def version(self) -> Hashable:
        """See `Vault`; so are the others."""
        from dulcet.station.archive.index import FILE_NAME

        files = (self.directory / f"{FILE_NAME}{suffix}" for suffix in ("", "-wal"))
        return tuple((file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists())

    def series(self, limit: int) -> "Sequence[Series]":
        from dulcet.station.archive.series import Wanted

        index = self._opened()
        return () if index is None else index.series(Wanted(), limit)

    def files(self, series_instance_uid: str) -> Sequence[Path]:
        index = self._opened()
        found = () if index is None else index.instances(series_instance_uid)
        return [path_of(self.directory, each.sop_instance_uid) for each in found if each.octets is not None]

    def contents(self) -> Hashable:
        if not self.directory.is_dir():
            return ()
        with os.scandir(self.directory) as entries:
            shards = [(entry.name, entry.stat().st_mtime_ns) for entry in entries if entry.is_dir()]
        return tuple(sorted(shards))

    def close(self) -> None:
        with self._lock:
            if self._index is not None:
                self._index.close()
                self._index = None

    def _opened(self) -> "Index | None":
        from dulcet.station.archive.index import FILE_NAME, Index

        with self._lock:
            if self._index is None and (self.directory / FILE_NAME).exists():
                self._index = Index(self.directory)
            return self._index


class DecodedPictures:
    """Pictures by a decoder process, one after the other; it is started when the first is wanted."""

    def __init__(self) -> None:
        self._decoder = Decoder(DecoderLimits())
        self._lock = threading.Lock()
        self._is_closed = False

    def picture(self, path: Path) -> Picture | Problem:
        """See `Pictures`."""
        image = Image(path)
        with self._lock:
            if self._is_closed:
                return Problem(image=image, kind=ProblemKind.NOT_SHOWN, reason="the previews are closed")
            return self._decoder.preview(image, PreviewOptions(size=PICTURE_PIXELS))

    def close(self) -> None:
        """See `Pictures`; what is decoded just then is ended."""
        self._is_closed = True
        self._decoder.kill()
        with self._lock:
            self._decoder.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """All of them."""

    commands: Commands
    nodes: Nodes
    jobs: Jobs
    processes: Processes
    vault: Vault
    pictures: Pictures
    directory: Path
    """Where retrieved objects go: the vault."""
