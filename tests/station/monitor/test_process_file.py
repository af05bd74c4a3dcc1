"""Process files: written by who lives, removed of who died, and never in anybody's way."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
import trio

from dulcet.station.monitor import process_file
from dulcet.station.monitor.process_file import ProcessFile, publish, read_processes
from dulcet.station.monitor.process_report import (
    AssociationRow,
    ErrorRow,
    ProcessReport,
    TransferRow,
    decode,
    seconds_between,
)

REPORT = ProcessReport(
    pid=os.getpid(),
    command="serve",
    family=7,
    state="stopping",
    started_at="2026-01-31T10:00:00.000Z",
    updated_at="2026-01-31T10:00:05.000Z",
    ae_title="STORE",
    addresses=("127.0.0.1:11112",),
    directory="/data",
    associations=(AssociationRow(direction="in", peer="CT1\x1b", address="10.0.0.1", service="C-STORE", octets=5),),
    transfers=(TransferRow(what="send", peer="PACS", objects=1, total_objects=2, seconds_left=1.5),),
    counters={"a_total": 3, 'b{c="d"}': 0.5},
    latest={"e": 1e9},
    errors=(ErrorRow(at="2026-01-31T10:00:01.000Z", event="object.refused", text="x"),),
)
HOLDER = """
import sys
from pathlib import Path
from dulcet.station.monitor.process_file import ProcessFile
from dulcet.station.monitor.process_report import ProcessReport
file = ProcessFile(Path(sys.argv[1]))
file.write(ProcessReport(command="holder"))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "state" / "processes"


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def descriptors(directory):
    """What this process has open there; what other tests left open is closed at any time."""
    opened = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # closed meanwhile
            opened.append(os.readlink(f"/proc/self/fd/{number}"))
    return [each for each in opened if each.startswith(f"{directory}/")]


# The report -----------------------------------------------------------------------------------------------------------


def test_a_report_is_read_as_it_was_written():
    assert decode(REPORT.encode()) == REPORT
    assert REPORT.encode().isascii()
    assert REPORT.encode().count(b"\n") == 1


@pytest.mark.parametrize(
    "octets", [b"", b"no JSON", b"[]", b"1", b'{"v": 2}', b"{}", b'{"v": "1"}', b"[" * 100_000, b"\xff\xfe"]
)
def test_what_is_no_report_is_none(octets):
    assert decode(octets) is None


@pytest.mark.parametrize("wrong", ["text", -1.5, None, True, [], {}, [[]], [1], {"x": "y"}])
def test_a_value_of_another_type_has_its_default(wrong):
    whole = json.loads(REPORT.encode())
    for name in whole.keys() - {"v"}:
        found = decode(json.dumps({**whole, name: wrong}).encode())
        assert found is not None
        default, value = getattr(ProcessReport(), name), getattr(found, name)
        assert type(value) is type(default) or (name == "addresses" and isinstance(value, tuple)), name
    rows = decode(json.dumps({"v": 1, "associations": [{"since": wrong, "octets": wrong}, 5]}).encode())
    (row,) = rows.associations
    assert isinstance(row.since, str)
    assert isinstance(row.octets, int)


@pytest.mark.parametrize(
    ("earlier", "later", "seconds"),
    [
        ("2026-01-31T10:00:00.000Z", "2026-01-31T10:00:05.500Z", 5.5),
        ("2026-01-31T10:00:05.500Z", "2026-01-31T10:00:00.000Z", 0.0),
        ("", "2026-01-31T10:00:00.000Z", 0.0),
        ("nonsense", "2026-01-31T10:00:00.000Z", 0.0),
        ("2026-01-31T10:00:00", "2026-01-31T10:00:00.000Z", 0.0),
    ],
)
def test_seconds_between(earlier, later, seconds):
    assert seconds_between(earlier, later) == seconds


# The file -------------------------------------------------------------------------------------------------------------


def test_it_is_there_for_nobody_else_and_gone_at_the_end(directory):
    file = ProcessFile(directory)
    file.write(REPORT)
    assert read_processes(directory) == [REPORT]
    (path,) = directory.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == stat.S_IMODE(directory.parent.stat().st_mode) == 0o700
    assert len(descriptors(directory)) == 1
    for _ in range(3):
        file.write(REPORT)
    assert len(descriptors(directory)) == 1
    file.remove()
    assert names(directory) == []
    assert descriptors(directory) == []
    file.write(REPORT)  # a thread that was left behind
    assert names(directory) == []


def test_the_dead_are_removed_and_the_living_are_not(directory):
    ours = ProcessFile(directory)
    ours.write(REPORT)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout.readline() == b"written\n"
        assert [report.command for report in read_processes(directory)] == ["holder", "serve"]
        assert len(names(directory)) == 2
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert [report.command for report in read_processes(directory)] == ["serve"]
        assert len(names(directory)) == 1
    finally:
        child.kill()
        child.communicate()
        ours.remove()


def test_a_file_that_is_rewritten_while_it_is_read_is_not_taken_for_dead(directory):
    file = ProcessFile(directory)
    file.write(REPORT)
    stopping = threading.Event()

    def rewrite():
        while not stopping.is_set():
            file.write(REPORT)

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        for _ in range(300):
            assert read_processes(directory) in ([REPORT], [])  # replaced three times while it was looked at
            assert [name for name in names(directory) if name.endswith(".json")]
    finally:
        stopping.set()
        writer.join()
        file.remove()


def test_strange_files_are_left_alone_and_old_unfinished_ones_removed(directory):
    directory.mkdir(parents=True)
    (directory / "note.txt").write_text("mine")
    (directory / "sub.json").mkdir()
    (directory / "link.json").symlink_to(directory / "note.txt")
    (directory / ".1-a.new").write_text("")
    (directory / ".1-b.new").write_text("")
    os.utime(directory / ".1-a.new", (0, 0))
    assert read_processes(directory) == []
    assert names(directory) == [".1-b.new", "link.json", "note.txt", "sub.json"]


def test_no_directory_has_no_processes(tmp_path):
    assert read_processes(tmp_path / "none") == []


# Publishing -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """Written often; and its end is waited for, however long it takes."""
    monkeypatch.setattr(process_file, "SECONDS", 0.001)
    monkeypatch.setattr(process_file, "END_PATIENCE", 60.0)


async def test_it_is_written_again_and_again_until_cancelled(directory, quick):
    reports = iter(range(1, 1000))
    five = trio.Event()
    last = []

    def describe():
        last.append(next(reports))
        if len(last) == 5:
            five.set()
        return ProcessReport(pid=last[-1])

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish, describe, directory)
            await five.wait()
            nursery.cancel_scope.cancel()
    assert names(directory) == []


async def test_a_disk_that_refuses_disturbs_nobody_and_is_told_once(tmp_path, monkeypatch, quick):
    (tmp_path / "state").write_text("in the way")
    told, attempts, done = [], [], trio.Event()

    def written():
        attempts.append(1)
        if len(attempts) == 3:
            (tmp_path / "state").unlink()
        if len(attempts) == 5:
            assert read_processes(tmp_path / "state" / "processes") == [REPORT]
            (tmp_path / "state").rename(tmp_path / "elsewhere")
            (tmp_path / "state").write_text("in the way again")
        if len(attempts) == 8:
            done.set()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_publish, tmp_path / "state" / "processes", told.append, written)
            await done.wait()
            nursery.cancel_scope.cancel()
    assert len(told) == 2
    assert all(isinstance(reason, str) and reason for reason in told)


async def _publish(directory, failed, written):
    await publish(lambda: REPORT, directory, failed=failed, written=written)


async def test_a_full_disk_leaves_nothing_half_written(directory, monkeypatch, quick):
    def full(descriptor, octets):
        return len(octets) // 2

    told, done = [], trio.Event()
    monkeypatch.setattr(process_file.os, "write", full)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_publish, directory, told.append, done.set)
            await done.wait()
            assert names(directory) == []
            nursery.cancel_scope.cancel()
    assert told == [os.strerror(28)]


async def test_a_disk_that_hangs_keeps_nobody_from_ending(directory, monkeypatch):
    hanging, writing = threading.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    def hang(self, octets):
        token.run_sync_soon(writing.set)
        hanging.wait(120)

    monkeypatch.setattr(ProcessFile, "_write", hang)
    monkeypatch.setattr(process_file, "END_PATIENCE", 0.01)
    try:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish, lambda: REPORT, directory)
                await writing.wait()
                nursery.cancel_scope.cancel()
    finally:
        hanging.set()
