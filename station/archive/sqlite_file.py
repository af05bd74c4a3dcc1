"""A SQLite file that several processes have open: opened, brought to today's tables, set aside when it is damaged.

One writer at a time, any number of readers (write-ahead log). Everything here is synchronous: it runs in threads.
"""

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dulcet.errors import ArchiveError, ConfigurationError

BUSY_SECONDS = 10.0  # that a writer waits for another


class SQLiteFile:
    """One file, with one connection that writes and as many that read as there are readers at once."""

    def __init__(
        self,
        path: Path,
        migrations: Sequence[Sequence[str]],
        *,
        what: str,
        if_newer: str,
        synchronous: str = "NORMAL",
        attached: Mapping[str, Path] | None = None,
        may_be_newer: bool = False,
    ) -> None:
        """Open it; made when it is missing, and made anew when it is damaged. ConfigurationError.

        `migrations` bring it from one version (PRAGMA user_version) to the next. `what` it is and what to do
        `if_newer` than we are complete the sentences of errors; `may_be_newer`: it is then set aside. Readers see the
        files `attached` under their names.
        """
        self.path = path
        self._what = what
        self._migrations = migrations
        self._if_newer = if_newer
        self._may_be_newer = may_be_newer
        self._synchronous = synchronous
        self._attached = attached or {}
        self._readers: list[sqlite3.Connection] = []
        self._writing = threading.Lock()
        try:
            with self._alone():
                self._writer = self._open()
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"the {what} {path} can't be opened: {error}") from error

    def close(self) -> None:
        """Let go of the file. Harmless when repeated."""
        for connection in (*self._readers, self._writer):
            connection.close()
        self._readers.clear()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and nobody else writes meanwhile: another thread, or process, waits. ArchiveError."""
        with self._writing, self._errors("written"), _all_or_nothing(self._writer):
            yield self._writer

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with, for as long as the block lasts, for each thread its own. ArchiveError."""
        with self._errors("read"):
            connection = self._readers.pop() if self._readers else self._connect_reader()
            try:
                yield connection
            finally:
                self._readers.append(connection)

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ArchiveError(f"the {self._what} can't be {done}", detail=str(error)) from error

    def _connect_reader(self) -> sqlite3.Connection:
        connection = self._connect()
        for name, path in self._attached.items():
            connection.execute(f"ATTACH DATABASE ? AS {name}", (str(path),))
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        except BaseException:
            connection.close()
            raise
        return connection

    # Opening --------------------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process opens it meanwhile: it might find damaged, and set aside, what we have just made anew.

        The lock is the directory's. It is never the file's own: that SQLite has, and it would lose its locks with ours.
        """
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # a file system that has no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _open(self) -> sqlite3.Connection:
        inode = self._inode()
        try:
            return self._connect_to_todays()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            if inode == self._inode():  # else another process was faster
                self._set_aside()
        return self._connect_to_todays()

    def _inode(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return None

    def _connect_to_todays(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        """Keep a damaged file, with its log, under another name, for whoever can repair it."""
        aside = f"{self.path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
        self.path.with_name(self.path.name + "-shm").unlink(missing_ok=True)
        for suffix in ("-wal", ""):  # the log first: a new file must not find it
            with suppress(FileNotFoundError):
                self.path.with_name(self.path.name + suffix).replace(self.path.with_name(aside + suffix))

    def _migrate(self, connection: sqlite3.Connection) -> None:
        with _all_or_nothing(connection):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(self._migrations):
                made_anew = sqlite3.DatabaseError if self._may_be_newer else sqlite3.OperationalError
                raise made_anew(f"a newer dulcet made it; {self._if_newer}")
            for statements in self._migrations[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")


@contextmanager
def _all_or_nothing(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise
