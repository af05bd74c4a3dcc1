"""What arrived and has to be forwarded, from before it is stored until it is in the queue: durable at each step.

An object is entered before it gets its name in the storage directory. So whatever is killed when, an object that has
its name is in here or has been passed on; what never got its name is found out by its file's size and time, and
dropped. Three steps: `arrival` (entered, not yet looked at), `forward` (for each node that it goes to), a job of the
queue. A batch that goes into a job has a token; the job has it too, and tells what was passed on before we were killed.

Synchronous: it runs in threads. QueueError when the file can't be used.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from dulcet.errors import QueueError
from dulcet.station.archive.vault import split_name
from dulcet.station.forwarding.routes import JOURNAL
from dulcet.station.queue.queue_file import BUSY_SECONDS, QueueFile

MIGRATIONS = (
    (
        "CREATE TABLE arrival (id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, sop_instance_uid TEXT NOT"
        " NULL, inode INTEGER NOT NULL, file_size INTEGER NOT NULL, modified INTEGER NOT NULL, calling TEXT NOT NULL,"
        " called TEXT NOT NULL, name TEXT)",
        "CREATE TABLE forward (id INTEGER PRIMARY KEY AUTOINCREMENT, route TEXT NOT NULL, node TEXT NOT NULL, series"
        " TEXT NOT NULL, name TEXT NOT NULL, sop_class_uid TEXT NOT NULL, sop_instance_uid TEXT NOT NULL,"
        " transfer_syntax_uid TEXT NOT NULL, data_set_offset INTEGER NOT NULL, file_size INTEGER NOT NULL, modified"
        " INTEGER NOT NULL, token TEXT)",
        "CREATE INDEX forward_batch ON forward (route, node, series, id)",
        "CREATE INDEX forward_token ON forward (token) WHERE token IS NOT NULL",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Arriving:
    """An object that is whole and about to be stored. Texts are a peer's."""

    sop_instance_uid: str
    inode: int
    """Of its file, `shortened`: with its size and time it tells this file from others of the same name."""
    file_size: int
    modified: int
    """Nanoseconds since 1970. Not enough: a clock of the kernel ticks some hundred times a second."""
    calling: str
    called: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival(Arriving):
    """An object that was entered."""

    id: int
    owner: str
    """Of the process that received it."""
    name: str | None
    """Of its file, within the storage directory; None as long as nobody has said that it is stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forward:
    """An object for one node."""

    route: str
    node: str
    series: str
    """Series Instance UID; "" when it can't be read."""
    name: str
    """Of its file, within the storage directory."""
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    file_size: int
    modified: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes into one job: objects of one series, by one rule, to one node."""

    route: str
    node: str
    series: str


_ARRIVING = "sop_instance_uid, inode, file_size, modified, calling, called"
_FORWARD = (
    "route, node, series, name, sop_class_uid, sop_instance_uid, transfer_syntax_uid, data_set_offset, file_size,"
    " modified"
)
_OF_BATCH = "route = ? AND node = ? AND series = ? AND token IS NULL"


class ForwardingJournal:
    """The journal of one storage directory; several processes may have it open."""

    def __init__(self, directory: Path, warn: Callable[[str], None] = lambda _: None) -> None:
        self.path = directory / JOURNAL
        self._file = QueueFile(self.path, warn, MIGRATIONS)

    def close(self) -> None:
        """Let go of it. Harmless when repeated."""
        self._file.close()

    # Objects come ---------------------------------------------------------------------------------------------------

    def enter(self, owner: str, arriving: Sequence[Arriving], *, durably: bool) -> list[int]:
        """Enter objects before they are stored; their numbers. `durably`: they are on the disk then."""
        statement = f"INSERT INTO arrival (owner, {_ARRIVING}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        with self._file.writing() as connection:
            numbers = [connection.execute(statement, (owner, *astuple(one))).lastrowid or 0 for one in arriving]
        if durably:
            try:
                sync_database(self.path)
            except OSError:
                with suppress(QueueError):
                    self.settle((), numbers)  # they are refused
                raise
        return numbers

    def settle(self, stored: Iterable[tuple[int, str]], dropped: Iterable[int]) -> None:
        """Under which names objects were stored, and which need no forwarding: refused, or here already."""
        with self._file.writing() as connection:
            connection.executemany("UPDATE arrival SET name = ? WHERE id = ?", [(name, id) for id, name in stored])
            connection.executemany("DELETE FROM arrival WHERE id = ?", [(id,) for id in dropped])

    def owners(self) -> set[str]:
        """Who has entered objects without saying yet what became of them."""
        with self._file.reading() as connection:
            return {owner for (owner,) in connection.execute("SELECT DISTINCT owner FROM arrival WHERE name IS NULL")}

    def open_ends(self, owner: str, limit: int = 1000) -> list[Arrival]:
        """What a process that is gone has not said of its objects."""
        return self._arrivals("owner = ? AND name IS NULL", (owner,), limit)

    def stored(self, limit: int = 500) -> list[Arrival]:
        """Objects to be looked at, the oldest first."""
        return self._arrivals("name IS NOT NULL", (), limit)

    def _arrivals(self, condition: str, values: tuple[str, ...], limit: int) -> list[Arrival]:
        statement = f"SELECT id, owner, name, {_ARRIVING} FROM arrival WHERE {condition} ORDER BY id LIMIT ?"
        with self._file.reading() as connection:
            return [Arrival(**dict(row)) for row in connection.execute(statement, (*values, limit))]

    # They are looked at, and passed on ------------------------------------------------------------------------------

    def plan(self, arrivals: Iterable[int], forwards: Iterable[Forward]) -> None:
        """What becomes of arrivals; none of `forwards` for those that no rule is for."""
        statement = f"INSERT INTO forward ({_FORWARD}) VALUES ({', '.join('?' * 10)})"
        rows = [
            (
                *(one.route, one.node, one.series, one.name, one.sop_class_uid, one.sop_instance_uid),
                *(one.transfer_syntax_uid, one.data_set_offset, one.file_size, one.modified),
            )
            for one in forwards
        ]
        with self._file.writing() as connection:
            connection.executemany(statement, rows)
            connection.executemany("DELETE FROM arrival WHERE id = ?", [(id,) for id in arrivals])

    def batches(self) -> dict[Batch, int]:
        """What waits to be passed on, and how many objects are in each."""
        statement = "SELECT route, node, series, count(*) FROM forward WHERE token IS NULL GROUP BY 1, 2, 3"
        with self._file.reading() as connection:
            return {Batch(*row[:3]): row[3] for row in connection.execute(statement)}

    def take(self, batch: Batch, token: str, limit: int) -> list[Forward]:
        """Give so many objects of a batch, the oldest first, a token, durably; they are in no batch from now on.

        The token has to be on the disk before a job with it can be: else the same objects could become another one.
        """
        chosen = f"SELECT id FROM forward WHERE {_OF_BATCH} ORDER BY id LIMIT ?"
        statement = f"UPDATE forward SET token = ? WHERE id IN ({chosen})"
        with self._file.writing() as connection:
            connection.execute(statement, (token, batch.route, batch.node, batch.series, limit))
            forwards = self._with_token(connection, token)
        sync_database(self.path)
        return forwards

    def tokens(self) -> list[str]:
        """Of what was taken and is not known to be in the queue."""
        with self._file.reading() as connection:
            return [token for (token,) in connection.execute("SELECT DISTINCT token FROM forward WHERE token NOT NULL")]

    def put_back(self, token: str) -> None:
        """It is not in the queue."""
        with self._file.writing() as connection:
            connection.execute("UPDATE forward SET token = NULL WHERE token = ?", (token,))

    def passed_on(self, token: str) -> None:
        """It is in the queue, durably, or not wanted any more."""
        with self._file.writing() as connection:
            connection.execute("DELETE FROM forward WHERE token = ?", (token,))

    @staticmethod
    def _with_token(connection: sqlite3.Connection, token: str) -> list[Forward]:
        rows = connection.execute(f"SELECT {_FORWARD} FROM forward WHERE token = ? ORDER BY id", (token,))
        return [Forward(**dict(row)) for row in rows]


def waiting(directory: Path, names: Iterable[str]) -> set[str]:
    """Those of some names within a storage directory that arrived to be forwarded, and may not be in the queue yet.

    Nothing is made, and nothing changed. QueueError when there is a journal that can't be read.
    """
    path, wanted = directory / JOURNAL, set(names)
    try:
        if not path.exists():
            return set()
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_SECONDS)) as reader:
            if not reader.execute("PRAGMA user_version").fetchone()[0]:
                return set()  # it is being made: nothing is entered yet
            entered = {uid for (uid,) in reader.execute("SELECT sop_instance_uid FROM arrival WHERE name IS NULL")}
            named = "SELECT name FROM arrival WHERE name NOT NULL UNION SELECT name FROM forward"
            still = wanted.intersection(name for (name,) in reader.execute(named))
    except (sqlite3.Error, OSError) as error:
        raise QueueError(f"the journal {path} of what is to be forwarded can't be read: {error}") from error
    return still.union(name for name in wanted if split_name(os.path.basename(name))[0] in entered)


def shortened(inode: int) -> int:
    """What SQLite can keep of it: it has no unsigned numbers of 64 bits."""
    return inode & (2**63 - 1)


def sync_database(path: Path) -> None:
    """What was committed before to a SQLite file that we have open is on the disk: fsync(2) of its log. OSError.

    What is in the file itself SQLite has synced. We must not open the file: to close it again would take from us all
    locks that SQLite has on it for us (fcntl(2)), and another process that ends would remove the log as the last one.
    """
    _sync(path.with_name(path.name + "-wal"))
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
