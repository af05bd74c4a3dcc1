"""The index of a storage directory: SQLite, a row for each patient, study, series and instance.

It can be made anew from the objects at any time, and is never asked whether an object is stored: the directory is the
truth. One writer at a time, any number of readers (write-ahead log); several processes may have it open. Everything
here is synchronous: it runs in threads.
"""

import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dulcet.errors import ArchiveError, ConfigurationError
from dulcet.services.part10 import Part10Header
from dulcet.services.querying.attributes import Attribute
from dulcet.services.querying.matching import Key, Kind
from dulcet.services.querying.query import Retrieval, Search
from dulcet.services.querying.query_models import Level
from dulcet.services.querying.responding import Page
from dulcet.services.storing.storage_directory import shard_of
from dulcet.station.archive import index_series
from dulcet.station.archive.arrival_book import SQLiteArrivalBook
from dulcet.station.archive.index_schema import (
    CREATE_TABLES,
    EXPRESSIONS,
    FILE_COLUMNS,
    MIGRATIONS,
    TABLE_NAMES,
    TABLES,
)
from dulcet.station.archive.series import Instance, Series, Wanted
from dulcet.station.archive.sqlite_file import SQLiteFile
from dulcet.station.archive.vault import Entry, Unreadable, name_of, split_name

FILE_NAME = ".index.sqlite"
PAGE_ROWS = 500  # looked at in one slice, some 3 ms of matching
STEPS_BETWEEN_LOOKS = 20_000  # of SQLite's machine: below a millisecond, then the clock is looked at

_LEVELS = tuple(TABLES)
_NARROWING_TEXT = {"patient_id", "accession_number"}


class Index:
    """An `interfaces.VaultIndex` in one file. ArchiveError, everywhere, when SQLite can't."""

    def __init__(self, directory: Path, *, anew: bool = False) -> None:
        """Open it; made when it is missing, and made anew when it is damaged, or `anew`. ConfigurationError."""
        self.path = directory / FILE_NAME
        self.arrivals = SQLiteArrivalBook(directory)
        try:
            self._file = SQLiteFile(
                self.path,
                MIGRATIONS,
                what="index",
                if_newer="`dulcet index --rebuild` makes it anew",
                if_damaged="it is made anew from the objects the next time",
                is_derived=True,
                attached={index_series.ATTACHED: self.arrivals.path},
                may_be_newer=anew,
            )
        except ConfigurationError:
            self.arrivals.close()
            raise
        if anew:
            self._begin_anew()

    def _begin_anew(self) -> None:
        try:
            self.clear()
        except ArchiveError as error:
            if not error.is_damage:
                raise
            self.clear()  # of the empty one that stands in its place now

    def close(self) -> None:
        """Let go of the file. Harmless when repeated."""
        self._file.close()
        self.arrivals.close()

    # Writing --------------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget every object."""
        with self._file.transaction() as connection:
            for table in TABLE_NAMES:
                connection.execute(f"DROP TABLE {table}")
            for statement in CREATE_TABLES:
                connection.execute(statement)

    def update(self, found: Iterable[Entry | Unreadable], gone: Iterable[str] = ()) -> None:
        """Take in what was found, in place of what was known of it, and forget what is gone; all or nothing."""
        with self._file.transaction() as connection:
            removed = self._remove(connection, gone)
            parents: dict[tuple[str, ...], int] = {}
            for one in found:
                if isinstance(one, Entry):
                    removed |= self._add(connection, one, parents)
                else:
                    removed |= self._remove(connection, [one.listed.sop_instance_uid])
                    uid, size, modified, _ = one.listed
                    values = (uid, shard_of(uid), size, modified, one.reason)
                    connection.execute("INSERT INTO unreadable VALUES (?, ?, ?, ?, ?)", values)
            if removed:
                self._remove_childless(connection)

    def forget(self, names: Iterable[str], is_there: Callable[[str], bool]) -> None:
        """See `interfaces.VaultIndex`."""
        names = list(names)
        with self._file.transaction() as connection:
            split = ((name, *split_name(name)) for name in names)
            if self._remove(connection, [uid for name, uid, digest in split if not digest and not is_there(name)]):
                self._remove_childless(connection)
        self.arrivals.forget(names, is_there)

    def _remove_childless(self, connection: sqlite3.Connection) -> None:
        for level in (Level.SERIES, Level.STUDY, Level.PATIENT):
            table, child = TABLES[level], TABLES[_LEVELS[_LEVELS.index(level) + 1]]
            childless = f"NOT EXISTS (SELECT 1 FROM {child.name} WHERE {child.parent} = {table.name}.id)"
            connection.execute(f"DELETE FROM {table.name} WHERE {childless}")

    def _remove(self, connection: sqlite3.Connection, uids: Iterable[str]) -> bool:
        removed = False
        for uid in uids:
            cursor = connection.execute("DELETE FROM instance WHERE sop_instance_uid = ?", (uid,))
            removed |= cursor.rowcount > 0
            connection.execute("DELETE FROM unreadable WHERE sop_instance_uid = ?", (uid,))
        return removed

    def _add(self, connection: sqlite3.Connection, entry: Entry, parents: dict[tuple[str, ...], int]) -> bool:
        header, values = entry.header, entry.values
        above: tuple[str, ...] = ()
        parent: int | None = None
        for level in _LEVELS[:-1]:
            above += tuple(values.get(name, "") for name in TABLES[level].identity if name != "study")
            if above not in parents:
                parents[above] = self._parent(connection, level, values, parent)
            parent = parents[above]
        removed = self._remove(connection, [header.sop_instance_uid])
        columns = TABLES[Level.IMAGE].columns
        own = {**values, "sop_instance_uid": header.sop_instance_uid, "sop_class_uid": header.sop_class_uid}
        file = (
            shard_of(header.sop_instance_uid),
            header.transfer_syntax_uid,
            header.data_set_offset,
            header.file_size,
            entry.modified,
        )
        connection.execute(_INSERT_INSTANCE, (parent, *(own.get(name, "") for name in columns), *file))
        return removed

    def _parent(self, connection: sqlite3.Connection, level: Level, values: dict[str, str], parent: int | None) -> int:
        """The ID of an entity, which is made from the first object that has it."""
        table = TABLES[level]
        known = {**values, table.parent: parent} if table.parent else values
        identity = tuple(known.get(name, "") for name in table.identity)
        found = connection.execute(_SELECT_PARENT[level], identity).fetchone()
        if found is not None:
            return int(found[0])
        row = tuple(values.get(name, "") for name in table.columns)
        cursor = connection.execute(_INSERT_PARENT[level], row if parent is None else (parent, *row))
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    # Reading --------------------------------------------------------------------------------------------------------

    def known(self, shard: str) -> dict[str, tuple[int, int]]:
        """(size, modified) of each file of a shard that is in the index, the unreadable ones too, by its UID."""
        statement = "SELECT sop_instance_uid, file_size, modified FROM {} WHERE shard = ?"
        with self._file.reader() as connection:
            return {
                uid: (size, modified)
                for table in ("instance", "unreadable")
                for uid, size, modified in connection.execute(statement.format(table), (shard,))
            }

    def counts(self) -> dict[str, int]:
        """How many patients, studies, series, instances and unreadable files there are."""
        with self._file.reader() as connection:
            return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLE_NAMES}

    def unreadable(self, limit: int = 100) -> list[tuple[str, str]]:
        """See `interfaces.VaultIndex`."""
        statement = "SELECT sop_instance_uid, reason FROM unreadable ORDER BY sop_instance_uid LIMIT ?"
        with self._file.reader() as connection:
            return [(name_of(uid), reason) for uid, reason in connection.execute(statement, (limit,))]

    def page(self, search: Search, after: int, seconds: float) -> Page[Sequence[str]]:
        """The next slice of matches. ArchiveError when it takes longer than `seconds`."""
        table = TABLES[search.level]
        attributes = search.attributes
        conditions, values = _narrowing(search.keys)
        statement = (
            f"SELECT {', '.join([f'{table.alias}.id', *(EXPRESSIONS[one.name] for one in attributes)])}"
            f" FROM {_joined(search.level, [*attributes, *(one for one, _ in search.keys)])}"
            f" WHERE {' AND '.join([f'{table.alias}.id > ?', *conditions])} ORDER BY {table.alias}.id LIMIT {PAGE_ROWS}"
        )
        with self._file.reader() as connection, _no_longer_than(connection, seconds):
            rows = connection.execute(statement, (after, *values)).fetchall()
        matches = search.matcher()
        found = [row[1:] for row in rows if matches(row[1:])]
        return Page(found, rows[-1][0] if len(rows) == PAGE_ROWS else None)

    def headers(self, retrieval: Retrieval, limit: int, seconds: float) -> Sequence[Part10Header]:
        """The files that a retrieval is about, at most `limit`, in the order of their series and numbers."""
        conditions, values = _narrowing(retrieval.keys)
        statement = (
            "SELECT i.sop_class_uid, i.sop_instance_uid, i.transfer_syntax_uid, i.data_set_offset, i.file_size"
            f" FROM {_joined(Level.IMAGE, [one for one, _ in retrieval.keys])} WHERE {' AND '.join(conditions)}"
            " ORDER BY i.series, CAST(i.instance_number AS INTEGER), i.id LIMIT ?"
        )
        with self._file.reader() as connection, _no_longer_than(connection, seconds):
            return [
                Part10Header(
                    sop_class_uid=row[0],
                    sop_instance_uid=row[1],
                    transfer_syntax_uid=row[2],
                    data_set_offset=row[3],
                    file_size=row[4],
                )
                for row in connection.execute(statement, (*values, limit))
            ]

    # Series ---------------------------------------------------------------------------------------------------------

    def series(self, wanted: Wanted, limit: int | None = None) -> Sequence[Series]:
        """See `interfaces.VaultIndex`."""
        with self._file.reader() as connection:
            return index_series.series(connection, wanted, limit)

    def series_uids(self) -> Collection[str]:
        """See `interfaces.VaultIndex`."""
        with self._file.reader() as connection:
            return index_series.series_uids(connection)

    def attributes(self, series_instance_uid: str) -> Mapping[str, str]:
        """See `interfaces.VaultIndex`."""
        with self._file.reader() as connection:
            return index_series.attributes(connection, series_instance_uid)

    def instances(self, series_instance_uid: str) -> Sequence[Instance]:
        """See `interfaces.VaultIndex`."""
        with self._file.reader() as connection:
            return index_series.instances(connection, series_instance_uid)


@contextmanager
def _no_longer_than(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, STEPS_BETWEEN_LOOKS)
    try:
        yield
    except sqlite3.OperationalError as error:
        if time.monotonic() > end:
            raise ArchiveError("finding the matches took too long: narrow the query") from error
        raise
    finally:
        connection.set_progress_handler(None, 0)


def _joined(level: Level, attributes: Iterable[Attribute]) -> str:
    """The table of a level, and those above it that are needed."""
    top = min((_LEVELS.index(attribute.level) for attribute in attributes), default=_LEVELS.index(level))
    depth = _LEVELS.index(level)
    joined = f"{TABLES[level].name} {TABLES[level].alias}"
    for index in range(depth - 1, top - 1, -1):
        table, child = TABLES[_LEVELS[index]], TABLES[_LEVELS[index + 1]]
        joined += f" JOIN {table.name} {table.alias} ON {table.alias}.id = {child.alias}.{child.parent}"
    return joined


def _narrowing(keys: Iterable[tuple[Attribute, Key]]) -> tuple[list[str], list[str]]:
    """Conditions that every match meets, and that SQLite can check by an index or fast; matching proper comes after."""
    conditions: list[str] = []
    values: list[str] = []
    for attribute, key in keys:
        column = EXPRESSIONS[attribute.name]
        if attribute.is_derived:
            continue
        if key.kind in (Kind.SINGLE_VALUE, Kind.LIST) and (attribute.vr == "UI" or attribute.name in _NARROWING_TEXT):
            conditions.append(f"{column} IN ({', '.join('?' * len(key.values))})")
            values += key.values
        elif attribute.vr == "DA" and key.range is not None:
            for end, sign in ((key.range.low, ">="), (key.range.high, "<=")):
                if end:
                    conditions.append(f"{column} {sign} ?")
                    values.append(end)
    return conditions, values


_PARENTS = _LEVELS[:-1]
_SELECT_PARENT = {
    level: f"SELECT id FROM {TABLES[level].name} WHERE {' AND '.join(f'{name} = ?' for name in TABLES[level].identity)}"
    for level in _PARENTS
}


def _insert(level: Level, more: tuple[str, ...] = ()) -> str:
    table = TABLES[level]
    columns = (*filter(None, [table.parent]), *table.columns, *more)
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


_INSERT_PARENT = {level: _insert(level) for level in _PARENTS}
_INSERT_INSTANCE = _insert(Level.IMAGE, FILE_COLUMNS)
