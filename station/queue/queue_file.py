"""The queue's SQLite file: opened, brought up to date, and set aside, loudly, when it is damaged.

One connection for each process, one statement at a time; writers wait for each other (BEGIN IMMEDIATE), readers wait
for nobody (write-ahead log). Everything is synchronous: it runs in threads.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from dulcet.errors import QueueError
from dulcet.station.queue.queue_schema import MIGRATIONS
from dulcet.station.sqlite_steps import all_or_nothing, is_damage, make_private

BUSY_SECONDS = 20.0  # that a writer waits for another; the longest writing takes well below one


class QueueFile:
    """One open file. `warn` is told, in a sentence, when a damaged file was set aside. QueueError."""

    def __init__(
        self,
        path: Path,
        warn: Callable[[str], None],
        migrations: tuple[tuple[str, ...], ...] = MIGRATIONS,
    ) -> None:
        self.path = path
        self._migrations = migrations
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._connection = self._open(warn)
        except (sqlite3.Error, OSError) as error:
            raise QueueError(f"the queue {path} can't be opened: {_said(error)}") from error

    def close(self) -> None:
        """Let go of the file. Harmless when repeated."""
        with self._lock:
            self._connection.close()

    # Opening --------------------------------------------------------------------------------------------------------

    def _open(self, warn: Callable[[str], None]) -> sqlite3.Connection:
        for _ in range(2):
            inode = self._create()
            try:
                return self._connect()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                self._set_aside(inode, error, warn)
        return self._connect()

    def _create(self) -> int:
        """Make the file unless it is there, for nobody but its owner; which one it is."""
        make_private(self.path)
        return self.path.stat().st_ino

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last results: they are redone
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self, inode: int, error: sqlite3.Error, warn: Callable[[str], None]) -> None:
        """Keep the damaged file beside, with its log, for whoever can repair it; one process does it at a time."""
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            self._set_aside_alone(inode, error, warn)
        finally:
            os.close(folder)

    def _set_aside_alone(self, inode: int, error: sqlite3.Error, warn: Callable[[str], None]) -> None:
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}")
        with suppress(FileNotFoundError):
            if self.path.stat().st_ino != inode:
                return  # another process was faster
            self.path.replace(aside)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).replace(aside.with_name(aside.name + suffix))
        warn(
            f"THE QUEUE WAS DAMAGED ({error}) and is now empty. Its file was kept as {aside}: what was in it is not"
            " being sent or retrieved, so order it again"
        )

    def _migrate(self, connection: sqlite3.Connection) -> None:
        wanted = len(self._migrations)
        if _version(connection) == wanted:
            return
        with all_or_nothing(connection):
            version = _version(connection)  # another process may have been faster
            if version > wanted:
                raise sqlite3.OperationalError(
                    f"a newer dulcet made it (version {version}, this one knows {wanted}): use that one, or move the"
                    " file away to begin with an empty queue"
                )
            if 0 < version < wanted:
                self._back_up(version)
            for statements in self._migrations[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {wanted}")

    def _back_up(self, version: int) -> None:
        """A copy of the file as it is, before it is changed; a backup of that version is replaced."""
        kept = self.path.with_name(f"{self.path.name}.version-{version}")
        temporary = kept.with_name(kept.name + ".new")
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(temporary)) as target:
            source.backup(target)
        temporary.replace(kept)

    # Using ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for statements that only read."""
        with self._lock, self._said_clearly():
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: whole, or nothing of it."""
        with self._lock, self._said_clearly(), all_or_nothing(self._connection):
            yield self._connection

    @contextmanager
    def _said_clearly(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise QueueError(f"the queue {self.path} can't be used: {_said(error)}") from error


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if is_damage(error):
        return f"it is damaged ({error}); to begin with an empty one, move it away, with the files that begin like it"
    if "locked" in str(error):
        return f"another process has been writing to it for {BUSY_SECONDS:g} s"
    return str(error)
