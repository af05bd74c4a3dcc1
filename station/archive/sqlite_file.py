"""A SQLite file that several processes have open: opened, brought to today's tables, set aside when it is damaged.

One writer at a time, any number of readers (write-ahead log). When one process has set it aside, or somebody has moved
it away, the others go on with the one that stands in its place. Everything here is synchronous: it runs in threads.
"""

import fcntl
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dulcet.errors import ArchiveError, ConfigurationError
from dulcet.station.lines import write_line
from dulcet.station.sqlite_steps import all_or_nothing, is_damage, make_private

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
        if_damaged: str,
        is_derived: bool = False,
        synchronous: str = "NORMAL",
        attached: Mapping[str, Path] | None = None,
        may_be_newer: bool = False,
    ) -> None:
        """Open it; made when it is missing, and made anew when it is damaged, which is told. ConfigurationError.

        `migrations` bring it from one version (PRAGMA user_version) to the next. `what` it is, and what to do
        `if_newer` than we are, or `if_damaged`, complete the sentences of errors; `may_be_newer`: it is then set aside.
        `is_derived`: it can be made anew from other things, so it is set aside, too, when its damage shows in use.
        Readers see the files `attached` under their names.
        """
        self.path = path
        self._what = what
        self._migrations = migrations
        self._if_newer = if_newer
        self._if_damaged = if_damaged
        self._is_derived = is_derived
        self._is_doubtful = False
        self._may_be_newer = may_be_newer
        self._synchronous = synchronous
        self._attached = attached or {}
        self._readers: list[sqlite3.Connection] = []
        self._writing = threading.Lock()
        try:
            with self._alone():
                self._writer = self._open()
                self._ours = self._inodes()
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"the {what} {path} can't be opened: {error}") from error

    def close(self) -> None:
        """Let go of the file. Harmless when repeated."""
        _close(self._readers)
        self._writer.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, and nobody else writes meanwhile: another thread, or process, waits. ArchiveError."""
        with self._writing, self._errors("written"):
            self._follow()
            with all_or_nothing(self._writer):
                yield self._writer

    @contextmanager
    def reader(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with, for as long as the block lasts, for each thread its own. ArchiveError."""
        with self._errors("read"):
            if self._has_to_follow():
                with self._writing:
                    self._follow()
            readers = self._readers
            connection = readers.pop() if readers else self._connect_reader()
            try:
                yield connection
            finally:
                readers.append(connection)
                if readers is not self._readers:  # it is of a file that has been left
                    _close(readers)

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            is_damaged = is_damage(error)
            self._is_doubtful = self._is_doubtful or (is_damaged and self._is_derived)
            detail = f"{error}: {self._if_damaged}" if is_damaged else str(error)
            raise ArchiveError(f"the {self._what} can't be {done}", detail=detail, is_damage=is_damaged) from error

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

    def _has_to_follow(self) -> bool:
        return self._is_doubtful or self._inodes() != self._ours

    def _follow(self) -> None:
        """Go on with the file that stands in the place of ours; ours is set aside before when it is damaged."""
        if not self._has_to_follow():
            return
        try:
            with self._alone():
                if self._is_doubtful and self._inode(self.path) == self._ours[0] and self._is_damaged():
                    self._set_aside()
                writer = self._open()
                left, self._readers = self._readers, []  # those in use are closed when they come back
                left.append(self._writer)
                self._writer, self._ours, self._is_doubtful = writer, self._inodes(), False
        except OSError as error:
            raise ArchiveError(f"the {self._what} can't be opened", detail=str(error)) from error
        _close(left)

    def _is_damaged(self) -> bool:
        """Whether it is this file, and not one that readers see beside it. Some seconds, when it is large."""
        try:
            connection = self._connect()
            try:
                return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            return is_damage(error)

    def _inodes(self) -> tuple[int | None, ...]:
        return tuple(map(self._inode, (self.path, *self._attached.values())))

    def _open(self) -> sqlite3.Connection:
        inode = self._inode(self.path)
        try:
            return self._connect_to_todays()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            if inode == self._inode(self.path):  # else another process was faster
                self._set_aside()
        return self._connect_to_todays()

    @staticmethod
    def _inode(path: Path) -> int | None:
        try:
            return path.stat().st_ino
        except OSError:
            return None

    def _connect_to_todays(self) -> sqlite3.Connection:
        make_private(self.path)
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
        sentence = f"the {self._what} {self.path} was damaged, and was set aside as {aside}: {self._if_damaged}"
        with suppress(OSError, ValueError):
            write_line(f"dulcet: {sentence}", sys.stderr)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        with all_or_nothing(connection):
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > len(self._migrations):
                made_anew = sqlite3.DatabaseError if self._may_be_newer else sqlite3.OperationalError
                raise made_anew(f"a newer dulcet made it; {self._if_newer}")
            for statements in self._migrations[version:]:
                for statement in statements:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(self._migrations)}")


def _close(connections: list[sqlite3.Connection]) -> None:
    while connections:
        connections.pop().close()
