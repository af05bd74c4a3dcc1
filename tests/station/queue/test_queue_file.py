"""The queue's file: who may read it, what becomes of a damaged, an old and a newer one."""

import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dulcet.errors import QueueError
from dulcet.station.queue import queue_file
from dulcet.station.queue.jobs import InstanceState, JobState
from dulcet.station.queue.queue_file import QueueFile
from dulcet.station.queue.queue_schema import MIGRATIONS
from dulcet.station.queue.sqlite_store import SQLiteJobStore, has_queue, open_queue

SCHEMAS = Path(__file__).parent / "schemas"  # a dump of a queue for each version that was ever released


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def opened(path, **more):
    told = []
    return SQLiteJobStore(path, told.append, **more), told


def test_it_is_for_its_owner_alone(tmp_path, order, files):
    assert not has_queue(tmp_path / "state")
    with closing(open_queue(tmp_path / "state")) as store:
        store.add(order(), files(1))
        assert has_queue(tmp_path / "state")
        assert mode(tmp_path / "state") == 0o700
        assert {mode(path) for path in (tmp_path / "state").iterdir()} == {0o600}


def test_it_is_a_write_ahead_log_that_survives_a_killed_writer(tmp_path, order, files):
    path = tmp_path / "queue.sqlite"
    store, _ = opened(path)
    with closing(store):
        mode_, synchronous = (
            store._file._connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        )
        assert (mode_, synchronous) == ("wal", 1)
    code = (
        "import os, sys; from pathlib import Path; from dulcet.station.queue.sqlite_store import SQLiteJobStore\n"
        "from dulcet.station.queue.jobs import *\n"
        "store = SQLiteJobStore(Path(sys.argv[1]))\n"
        "def files():\n"
        "    for n in range(5000):\n"
        "        if n == 4999: os._exit(9)\n"
        "        yield NewInstance(name=f'/{n}', path=f'/{n}')\n"
        "store.add(Order(kind=JobKind.SEND, peer='A'), [NewInstance(name='/x')])\n"
        "store.add(Order(kind=JobKind.SEND, peer='B'), files())\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    store, told = opened(path)
    with closing(store):
        assert [job.order.peer for job in store.jobs()] == ["A"]
        assert store.claim("w").order.peer == "A"
        assert told == []


@pytest.mark.parametrize("damage", ["text", "head", "schema"])
def test_a_damaged_file_is_set_aside_loudly(tmp_path, order, files, damage):
    path = tmp_path / "queue.sqlite"
    if damage != "text":
        store, _ = opened(path)
        store.add(order(), files(10))
        store.close()
    octets = bytearray(path.read_bytes() if damage != "text" else b"this is no database, but a letter\n" * 200)
    if damage == "head":
        octets[:100] = bytes(100)
    elif damage == "schema":
        octets[100:4096] = random.Random(1).randbytes(3996)
    path.write_bytes(octets)
    store, told = opened(path)
    with closing(store):
        assert store.jobs() == []
        number = store.add(order(), files(1))
        assert store.claim("w").id == number
    (aside,) = [found for found in tmp_path.iterdir() if ".damaged-" in found.name and "-wal" not in found.name]
    assert aside.read_bytes()[:4096] == octets[:4096]
    assert len(told) == 1
    assert told[0].startswith("THE QUEUE WAS DAMAGED")
    assert str(aside) in told[0]


def test_another_process_that_set_it_aside_before_us_is_not_disturbed(tmp_path, order, files, monkeypatch):
    path = tmp_path / "queue.sqlite"
    path.write_bytes(b"no database" * 1000)
    made = []
    connect = QueueFile._connect

    def late(self):
        try:
            return connect(self)
        except sqlite3.DatabaseError:
            if not made:  # now the other one does what we are about to do
                path.rename(tmp_path / "aside")
                made.append(SQLiteJobStore(path))
                made[0].add(order(), files(1))
            raise

    monkeypatch.setattr(QueueFile, "_connect", late)
    store, told = opened(path)
    with closing(store), closing(made[0]):
        assert len(store.jobs()) == 1
        assert told == []


def test_two_processes_set_one_damaged_file_aside_once(tmp_path, order, files):
    path = tmp_path / "queue.sqlite"
    path.write_bytes(b"no database" * 1000)
    store, told = opened(path)
    number = store.add(order(), files(1))
    damaged = path.stat().st_ino  # a second process that found the first file damaged comes too late
    (aside,) = tmp_path.glob("*.damaged-*")
    with closing(store):
        store._file._set_aside(aside.stat().st_ino, sqlite3.DatabaseError("damaged"), told.append)
        assert path.stat().st_ino == damaged
        assert store.claim("w").id == number
    assert len(told) == 1


def test_damage_that_shows_later_is_said_and_nothing_is_thrown_away(tmp_path, order, files):
    path = tmp_path / "queue.sqlite"
    store, _ = opened(path)
    store.add(order(), files(3000))
    store.close()
    octets = bytearray(path.read_bytes())
    for page in range(3, len(octets) // 4096):
        octets[page * 4096 : page * 4096 + 512] = bytes(512)
    path.write_bytes(octets)
    store, told = opened(path)
    with (
        closing(store),
        pytest.raises(QueueError, match=r"is damaged \(.* malformed\); .* move it away, with the files"),
    ):
        store.instances(1)
    assert told == []
    assert path.read_bytes() == octets


def test_a_newer_file_gets_a_sentence_and_is_left_alone(tmp_path, order, files):
    path = tmp_path / "queue.sqlite"
    store, _ = opened(path)
    store.add(order(), files(1))
    store._file._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    store.close()
    with pytest.raises(QueueError, match="a newer dulcet made it"):
        opened(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM job").fetchone() == (1,)


@pytest.mark.parametrize("what", ["no right", "a folder"])
def test_a_file_that_cannot_be_opened_gets_a_sentence(tmp_path, what):
    path = tmp_path / "queue.sqlite"
    if what == "a folder":
        path.mkdir()
    else:
        (tmp_path / "state").write_text("a file where the directory should be")
        path = tmp_path / "state" / "queue.sqlite"
    with pytest.raises(QueueError, match=r"the queue .* can.t be opened"):
        opened(path)


def test_a_writer_that_never_ends_gets_a_sentence(tmp_path, monkeypatch, order, files):
    monkeypatch.setattr(queue_file, "BUSY_SECONDS", 0.05)
    path = tmp_path / "queue.sqlite"
    store, _ = opened(path)
    with closing(store), closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(QueueError, match=r"another process has been writing to it for 0\.05 s"):
            store.add(order(), files(1))
        other.execute("ROLLBACK")
        store.add(order(), files(1))


def test_a_full_disk_gets_a_sentence_and_leaves_nothing_half_done(tmp_path, order, files):
    store, _ = opened(tmp_path / "queue.sqlite")
    with closing(store):
        job = store.add(order(), files(2))
        pages = store._file._connection.execute("PRAGMA page_count").fetchone()[0]
        store._file._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(QueueError, match="full"):
            store.log(job, ["x" * 100_000])
        assert store.events(job) == []
        assert store.claim("w").id == job


# Versions -----------------------------------------------------------------------------------------------------------

NEXT = (*MIGRATIONS, ("ALTER TABLE job ADD COLUMN colour TEXT NOT NULL DEFAULT 'grey'",))


def test_an_upgrade_keeps_what_was_there_and_a_copy_of_it(tmp_path, order, files):
    path = tmp_path / "queue.sqlite"
    store, _ = opened(path)
    store.add(order(), files(3))
    store.close()
    old = len(MIGRATIONS)
    with closing(QueueFile(path, pytest.fail, NEXT)) as newer, newer.reading() as connection:
        assert connection.execute("SELECT colour, instances FROM job").fetchall()[0][:] == ("grey", 3)
        assert connection.execute("PRAGMA user_version").fetchone()[0] == old + 1
    copy = path.with_name(f"queue.sqlite.version-{old}")
    assert mode(copy) == 0o600
    store, _ = opened(copy)
    with closing(store):
        assert [job.counts.instances for job in store.jobs()] == [3]


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path, order, files):
    path = tmp_path / "queue.sqlite"
    store, _ = opened(path)
    store.add(order(), files(3))
    store.close()
    broken = (*MIGRATIONS, ("ALTER TABLE job ADD COLUMN colour TEXT", "ALTER TABLE nothing ADD COLUMN x TEXT"))
    with pytest.raises(QueueError, match="can't be opened"):
        QueueFile(path, pytest.fail, broken)
    store, _ = opened(path)
    with closing(store):
        assert len(store.jobs()) == 1
        columns = [row[1] for row in store._file._connection.execute("PRAGMA table_info(job)")]
        assert "colour" not in columns


def test_a_new_file_has_no_copy(tmp_path):
    with closing(QueueFile(tmp_path / "queue.sqlite", pytest.fail, NEXT)):
        assert [found.name for found in tmp_path.iterdir() if "version" in found.name] == []


def test_there_is_a_dump_of_every_version():
    assert sorted(path.name for path in SCHEMAS.iterdir()) == [
        f"version-{number + 1}.sql" for number in range(len(MIGRATIONS))
    ]


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_every_old_queue_still_goes_on(tmp_path, version, clock):
    path = tmp_path / "queue.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((SCHEMAS / f"version-{version}.sql").read_text())
        assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    clock.now = 1_800_000_000.0
    store, told = opened(path, clock=clock)
    with closing(store):
        assert told == []
        found = {job.id: job for job in store.jobs()}
        assert [found[number].state for number in sorted(found)] == [
            JobState.PARTIAL, JobState.RUNNING, JobState.WAITING, JobState.QUEUED,
        ]  # fmt: skip
        assert found[1].counts.done == 1
        assert [one.state for one in store.instances(1)] == [InstanceState.DONE, InstanceState.FAILED]
        assert found[3].order.options == {"aet": "WS1"}
        assert [event.line for event in store.events(1)] == ['{"event":"job.taken"}']
        assert store.claim("w").id == 4  # of the highest priority
        assert store.claim("w2").id == 2  # its worker is dead
        assert store.claim("w3").id == 3


def dump_of_this_version(path):
    """How the dumps were made: `python -c` with this, when a version is released."""
    from dulcet.station.queue import jobs as j

    now = [1_700_000_000.0]
    store = SQLiteJobStore(path, clock=lambda: now[0])
    files = [
        j.NewInstance(name=f"/d/{n}.dcm", path=f"/d/{n}.dcm", source={"modified": n}, data_set_offset=4, file_size=14)
        for n in range(2)
    ]
    for peer, priority in (("A", 0), ("B", 0), ("C", 0), ("D", 5)):
        options = {"aet": "WS1"} if peer == "C" else {}
        store.add(j.Order(kind=j.JobKind.SEND, peer=peer, priority=-priority, options=options), files)
    store.claim("a")
    first, second = store.instances(1)
    store.record(1, "a", [j.InstanceResult(id=first.id, state=InstanceState.DONE)], ['{"event":"job.taken"}'])
    store.record(1, "a", [j.InstanceResult(id=second.id, state=InstanceState.FAILED, reason="no")])
    store.finish(1, "a", j.Standing(state=JobState.PARTIAL, reason="1 of 2 failed", exit_code=1))
    store.claim("b")
    store.claim("c")
    store.finish(3, "c", j.Standing(state=JobState.WAITING, not_before=now[0] + 9, attempts=1))
    store.reprioritise(4, 5)
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        return "\n".join([*connection.iterdump(), f"PRAGMA user_version = {version};", ""])


def test_the_dump_of_this_version_is_that_of_the_code(tmp_path):
    """A table that is changed needs a migration: the dump of a released version is never made anew."""
    dump = (SCHEMAS / f"version-{len(MIGRATIONS)}.sql").read_text()
    assert dump_of_this_version(tmp_path / "queue.sqlite") == dump


def test_copies_of_a_file_in_use_are_whole(tmp_path, order, files):
    """The write-ahead log is part of it: a copy of both opens."""
    path = tmp_path / "queue.sqlite"
    store, _ = opened(path)
    with closing(store):
        store.add(order(), files(3))
        (tmp_path / "copy").mkdir()
        for found in tmp_path.glob("queue.sqlite*"):
            shutil.copy(found, tmp_path / "copy" / found.name)
    copy, told = opened(tmp_path / "copy" / "queue.sqlite")
    with closing(copy):
        assert (len(copy.jobs()), told) == (1, [])
