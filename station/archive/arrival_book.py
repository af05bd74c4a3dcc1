"""The record of what came, in a SQLite file of its own beside the index.

Of its own, because the index may be lost: it is made anew when it is damaged, or by `dulcet index --rebuild`. This here
can't be made anew. So each batch is written through to the disk, and `dulcet retrieve` writes it without an index.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dulcet.services.storing.storage_directory import shard_of
from dulcet.station.archive.arrivals import Arrival, How, NewArrival, Source
from dulcet.station.archive.sqlite_file import SQLiteFile
from dulcet.station.archive.vault import name_of, split_name

FILE_NAME = ".arrivals.sqlite"
IF_DAMAGED = (
    "who sent the objects and which hashes they had was in it, and can't be made anew; moved away, it begins empty"
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE arrival (id INTEGER PRIMARY KEY, sop_instance_uid TEXT NOT NULL, digest TEXT NOT NULL,"
        " shard TEXT NOT NULL, series_instance_uid TEXT NOT NULL, ae_title TEXT NOT NULL, address TEXT NOT NULL,"
        " how TEXT NOT NULL, received INTEGER NOT NULL, sha256 BLOB, octets INTEGER,"
        " is_current INTEGER NOT NULL DEFAULT 1, is_leaving INTEGER NOT NULL DEFAULT 0)",
        "CREATE UNIQUE INDEX arrival_now ON arrival (sop_instance_uid, digest) WHERE is_current",
        "CREATE INDEX arrival_of_series ON arrival (series_instance_uid)",
        "CREATE INDEX arrival_shard ON arrival (shard)",
        "CREATE INDEX arrival_beside ON arrival (series_instance_uid) WHERE is_current AND digest != ''",
        "CREATE INDEX arrival_unhashed ON arrival (id) WHERE is_current AND sha256 IS NULL",
        "CREATE INDEX arrival_leaving ON arrival (id) WHERE is_leaving",
    ),
)
"""What brings a file from one version (PRAGMA user_version) to the next."""

COLUMNS = (
    "id",
    "sop_instance_uid",
    "digest",
    "ae_title",
    "address",
    "how",
    "received",
    "series_instance_uid",
    "sha256",
    "octets",
    "is_current",
)
"""What `arrival_of` reads."""
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM arrival"
_NAMED = "sop_instance_uid = ? AND digest = ? AND is_current"


def lost_records(directory: Path) -> list[Path]:
    """Records of a storage directory that were damaged and set aside, the oldest first."""
    return sorted(path for path in directory.glob(f"{FILE_NAME}.damaged-*") if not path.name.endswith("-wal"))


class SQLiteArrivalBook:
    """An `interfaces.ArrivalBook`. UIDs and AE titles are all that it has of anybody."""

    def __init__(self, directory: Path) -> None:
        """Open it; made when it is missing. A damaged one is set aside. ConfigurationError."""
        self.path = directory / FILE_NAME
        self._file = SQLiteFile(
            self.path,
            MIGRATIONS,
            what="record of arrivals",
            if_newer="use that one, or move the file away",
            if_damaged=IF_DAMAGED,
            synchronous="FULL",
        )

    def close(self) -> None:
        """See `interfaces.ArrivalBook`."""
        self._file.close()

    # Writing --------------------------------------------------------------------------------------------------------

    def add(self, arrivals: Iterable[NewArrival]) -> None:
        """See `interfaces.ArrivalBook`."""
        new = list(arrivals)
        if new:
            with self._file.transaction() as connection:
                for each in new:
                    _add(connection, each)

    def hashed(self, hashes: Iterable[tuple[int, bytes, int]]) -> None:
        """See `interfaces.ArrivalBook`."""
        rows = [(sha256, octets, number) for number, sha256, octets in hashes]
        with self._file.transaction() as connection:
            statement = "UPDATE arrival SET sha256 = ?, octets = ? WHERE id = ? AND sha256 IS NULL"
            connection.executemany(statement, rows)

    def leaving(self, names: Iterable[str]) -> None:
        """See `interfaces.ArrivalBook`."""
        keys = [split_name(name) for name in names]
        with self._file.transaction() as connection:
            connection.executemany(f"UPDATE arrival SET is_leaving = 1 WHERE {_NAMED}", keys)

    def forget(self, names: Iterable[str], is_there: Callable[[str], bool]) -> None:
        """See `interfaces.ArrivalBook`."""
        with self._file.transaction() as connection:
            for name in names:
                _settle(connection, name, is_there(name))

    def settle(self, is_there: Callable[[str], bool]) -> None:
        """See `interfaces.ArrivalBook`."""
        with self._file.reader() as connection:
            if connection.execute("SELECT 1 FROM arrival WHERE is_leaving LIMIT 1").fetchone() is None:
                return
        with self._file.transaction() as connection:
            statement = "SELECT DISTINCT sop_instance_uid, digest FROM arrival WHERE is_leaving"
            for key in connection.execute(statement).fetchall():
                name = name_of(*key)
                _settle(connection, name, is_there(name))

    # Reading --------------------------------------------------------------------------------------------------------

    def names(self, part: str) -> Collection[str]:
        """See `interfaces.ArrivalBook`."""
        statement = "SELECT sop_instance_uid, digest FROM arrival WHERE shard = ? AND is_current"
        with self._file.reader() as connection:
            return {name_of(*row) for row in connection.execute(statement, (part,))}

    def get(self, names: Iterable[str]) -> Mapping[str, Arrival]:
        """See `interfaces.ArrivalBook`."""
        with self._file.reader() as connection:
            found = (connection.execute(f"{_SELECT} WHERE {_NAMED}", split_name(name)).fetchone() for name in names)
            return {each.name: each for each in map(arrival_of, filter(None, found))}

    def of_series(self, series_instance_uid: str) -> Sequence[Arrival]:
        """See `interfaces.ArrivalBook`."""
        return list(self._selected("WHERE series_instance_uid = ? ORDER BY id", (series_instance_uid,)))

    def after(self, id: int, limit: int, *, unhashed: bool = False) -> Sequence[Arrival]:
        """See `interfaces.ArrivalBook`."""
        condition = "AND sha256 IS NULL " if unhashed else ""
        return list(self._selected(f"WHERE id > ? AND is_current {condition}ORDER BY id LIMIT ?", (id, limit)))

    def _selected(self, which: str, values: tuple[object, ...]) -> Iterator[Arrival]:
        with self._file.reader() as connection:
            yield from map(arrival_of, connection.execute(f"{_SELECT} {which}", values).fetchall())


def arrival_of(row: Sequence[object]) -> Arrival:
    """The arrival that a row of `COLUMNS` is."""
    number, uid, digest, ae_title, address, how, received, series, sha256, octets, is_current = row
    assert isinstance(number, int)
    assert isinstance(received, int)
    assert sha256 is None or isinstance(sha256, bytes)
    assert octets is None or isinstance(octets, int)
    return Arrival(
        id=number,
        name=name_of(str(uid), str(digest)),
        source=Source(str(ae_title), str(address), How(str(how))),
        received=received,
        series_instance_uid=str(series),
        sha256=sha256,
        octets=octets,
        is_current=bool(is_current),
    )


def _add(connection: sqlite3.Connection, arrival: NewArrival) -> None:
    uid, digest = split_name(arrival.name)
    source = arrival.source
    if source.how is not How.FOUND:
        if arrival.replaces:
            connection.execute(f"UPDATE arrival SET is_current = 0 WHERE {_NAMED}", (uid, digest))
        else:  # nothing had its name: what is recorded is gone, or is this very object, found before it was recorded
            connection.execute("DELETE FROM arrival WHERE sop_instance_uid = ? AND digest = ?", (uid, digest))
    connection.execute(
        "INSERT OR IGNORE INTO arrival (sop_instance_uid, digest, shard, series_instance_uid, ae_title, address, how,"
        " received) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            uid,
            digest,
            shard_of(uid),
            arrival.series_instance_uid,
            _writable(source.ae_title),
            _writable(source.address),
            source.how.value,
            arrival.received,
        ),
    )


def _writable(text: str) -> str:
    """Without lone surrogates, which stand for octets that are no text."""
    return text.encode("utf-8", "replace").decode()


def _settle(connection: sqlite3.Connection, name: str, is_there: bool) -> None:
    if is_there:
        statement = "UPDATE arrival SET is_leaving = 0 WHERE sop_instance_uid = ? AND digest = ?"
    else:
        statement = "DELETE FROM arrival WHERE sop_instance_uid = ? AND digest = ?"
    connection.execute(statement, split_name(name))
