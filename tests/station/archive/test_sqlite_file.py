"""A SQLite file of several processes: who opens it damaged, who writes it when the disk is full."""

import errno
import fcntl
import os
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import pytest

from dulcet.errors import ArchiveError, ConfigurationError
from dulcet.station.archive import sqlite_file
from dulcet.station.archive.sqlite_file import SQLiteFile

MIGRATIONS = (("CREATE TABLE t (a)",),)
DAMAGED = b"this is no database, but long enough to be one" * 100
PATIENCE = 30.0


def opened(path, kind=SQLiteFile, **options):
    return kind(path, MIGRATIONS, what="index", if_newer="use that one", if_damaged="make it anew", **options)


def harm(path):
    """Damage what is behind the first page, as a disk does, while it is in use."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))


def filled(path, **options):
    """Opened, with as many rows as need some pages, all of them in the file itself."""
    file = opened(path, **options)
    for number in range(5):
        add(file, f"{number}" * 4000)
    file._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


def values(file):
    with file.reader() as connection:
        return [value for (value,) in connection.execute("SELECT a FROM t")]


def add(file, value):
    with file.transaction() as connection:
        connection.execute("INSERT INTO t VALUES (?)", (value,))


def make_good(path):
    """What another process makes in its place."""
    new = path.with_name("new")
    with closing(opened(new)) as file:
        add(file, "new")
    new.replace(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.sqlite"


def test_who_comes_while_another_sets_it_aside_waits_and_takes_the_new_one(path, monkeypatch):
    path.write_bytes(DAMAGED)
    waits, flock = threading.Event(), fcntl.flock
    descriptor = os.open(path.parent, os.O_RDONLY)
    flock(descriptor, fcntl.LOCK_EX)

    def waited_for(*arguments):
        if threading.current_thread() is not threading.main_thread():
            waits.set()
            flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", waited_for)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(opened, path)
        try:
            assert waits.wait(PATIENCE)
            assert path.read_bytes() == DAMAGED
            make_good(path)
        finally:
            os.close(descriptor)
        with closing(late.result(PATIENCE)) as file:
            assert values(file) == ["new"]
    assert not list(path.parent.glob("*.damaged*"))


def test_without_locks_what_is_set_aside_is_what_was_found_damaged(path, monkeypatch):
    def no_locks(*_arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    class Late(SQLiteFile):
        def _connect(self):
            try:
                return super()._connect()
            except sqlite3.DatabaseError:
                make_good(path)
                raise

    monkeypatch.setattr(fcntl, "flock", no_locks)
    path.write_bytes(DAMAGED)
    with closing(opened(path, Late)) as file:
        assert values(file) == ["new"]
    assert not list(path.parent.glob("*.damaged*"))


def test_every_damaged_file_is_kept(path, monkeypatch):
    stamps = iter(("1", "2"))
    monkeypatch.setattr(sqlite_file, "time", SimpleNamespace(strftime=lambda _format: next(stamps)))
    for number in (1, 2):
        path.write_bytes(DAMAGED + b"%d" % number)
        opened(path).close()
    kept = {each.name: each.read_bytes() for each in path.parent.glob("*.damaged-*")}
    assert kept == {
        "x.sqlite.damaged-1": DAMAGED + b"1",
        "x.sqlite.damaged-2": DAMAGED + b"2",
    }


def test_a_file_that_is_damaged_while_it_is_used_is_set_aside_by_nobody(path):
    """The one who writes has it: a reader that finds it damaged says so, and leaves it where it is."""
    with closing(opened(path)) as file:
        file._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        path.write_bytes(DAMAGED)
        with pytest.raises(ArchiveError, match="the index can't be read"):
            values(file)
    assert path.exists()
    assert not list(path.parent.glob("*.damaged*"))


def test_what_can_be_made_anew_is_set_aside_when_its_damage_shows_in_use(path, capsys):
    with closing(filled(path, is_derived=True)) as file, closing(opened(path, is_derived=True)) as other:
        assert len(values(file)) == len(values(other)) == 5
        harm(path)
        damaged = path.read_bytes()
        for each in (file, other):  # so that nothing is remembered
            each._readers.pop().close()
        with pytest.raises(ArchiveError) as failure:
            values(file)
        assert failure.value.is_damage
        assert failure.value.detail == "database disk image is malformed: make it anew"
        assert values(file) == []
        add(file, "new")
        assert values(other) == ["new"]  # the other has followed
        add(other, "newer")
        assert values(file) == ["new", "newer"]
    (aside,) = [each for each in path.parent.glob("*.damaged-*") if not each.name.endswith("-wal")]
    assert aside.read_bytes() == damaged
    sentence = f"dulcet: the index {path} was damaged, and was set aside as {aside.name}: make it anew\n"
    assert capsys.readouterr().err == sentence


def test_damage_of_what_lies_beside_it_is_no_damage_of_it(path):
    beside = path.with_name("beside.sqlite")
    with closing(filled(beside)), closing(opened(path, is_derived=True, attached={"beside": beside})) as file:
        add(file, "kept")
        harm(beside)
        for _ in range(2):
            with pytest.raises(ArchiveError) as failure, file.reader() as connection:
                connection.execute("SELECT sum(length(a)) FROM beside.t").fetchall()
            assert failure.value.is_damage
        assert values(file) == ["kept"]
    assert not list(path.parent.glob("*.damaged*"))


def test_who_has_it_open_follows_when_it_is_moved_away(path):
    with closing(opened(path)) as file:
        add(file, "old")
        with file.reader() as connection:
            path.rename(path.with_name("moved"))
            assert connection.execute("SELECT a FROM t").fetchall() == [("old",)]  # to its end
            add(file, "new")
        assert values(file) == ["new"]
        assert len(file._readers) == 1


def test_a_directory_that_has_gone_is_an_error_of_ours(path):
    (folder := path.parent / "folder").mkdir()
    with closing(opened(folder / "x.sqlite")) as file:
        folder.rename(path.parent / "away")
        with pytest.raises(ArchiveError, match="the index can't be opened"):
            add(file, 1)
        (path.parent / "away").rename(folder)
        add(file, 1)
        assert values(file) == [1]


def test_it_is_for_its_owner_alone(path):
    before = os.umask(0o022)
    try:
        with closing(filled(path)) as file:
            add(file, 1)
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"x.sqlite": 0o600, "x.sqlite-wal": 0o600, "x.sqlite-shm": 0o600}


def test_a_full_disk_is_what_is_said_and_what_fits_is_written_later(path):
    with closing(opened(path)) as file:
        file._writer.execute("PRAGMA max_page_count = 3")
        with pytest.raises(ArchiveError) as failure:
            add(file, bytes(100_000))
        assert failure.value.detail == "database or disk is full"
        add(file, 1)
        assert values(file) == [1]


def test_a_directory_that_is_not_there_is_said(path):
    with pytest.raises(ConfigurationError, match=r"the index .* can't be opened"):
        opened(path / "x.sqlite")
