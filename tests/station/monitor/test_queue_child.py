"""The process beside a server: started when there is a queue, started again when it dies, gone when the server is."""

import errno
import os
import signal
import sys
from itertools import pairwise

import click
import pytest
import trio

from dulcet.cli import cli
from dulcet.station.queue import child as module
from dulcet.station.queue.child import QUEUE_FILE, QueueChild, queue_command
from dulcet.station.queue.sqlite_store import FILE_NAME

WAITS = "import sys; sys.stdin.read()"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"


class Watched:
    """A child of a stub command, and what is told of it."""

    def __init__(self, queue, script, **environment):
        self.told = []
        self._news = trio.Event()
        command = [sys.executable, "-c", script, str(queue.parent)]
        self.child = QueueChild(command, self.tell, queue, {**os.environ, **environment})

    def tell(self, event, **values):
        self.told.append((event, values))
        self._news.set()
        self._news = trio.Event()

    async def until(self, count):
        """So many lines were told."""
        with trio.fail_after(30):
            while len(self.told) < count:
                await self._news.wait()

    @property
    def pid(self):
        return [values["pid"] for event, values in self.told if event == "queue.started"][-1]


@pytest.fixture
def queue(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.005)
    return tmp_path / QUEUE_FILE


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_the_file_is_that_of_the_store():
    assert QUEUE_FILE == FILE_NAME


@pytest.mark.parametrize(
    ("manners", "options"),
    [
        ({"as_json": True, "verbose": 2, "quiet": False}, ["--json", "-v", "-v"]),
        ({"as_json": False, "verbose": 0, "quiet": True}, ["-q"]),
    ],
)
def test_the_command_tells_as_the_server_does_and_can_be_parsed(manners, options):
    _, _, program, *words = queue_command(**manners)
    assert (program, words[:3], words[3:]) == ("dulcet", ["queue", "run", "--until-eof"], options)
    command = cli.get_command(click.Context(cli), "queue").commands["run"]
    command.make_context("run", words[2:], resilient_parsing=False).close()


async def test_it_is_started_when_a_queue_appears_and_its_standard_input_ends_at_stop(queue):
    watched = Watched(queue, WAITS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.child.run)
        await trio.testing.wait_all_tasks_blocked()
        assert watched.told == []
        queue.touch()
        await watched.until(1)
        pid = watched.pid
        watched.child.stop()
        with trio.fail_after(30):
            await watched.child.ended.wait()
    assert is_gone(pid)
    assert [event for event, _ in watched.told] == ["queue.started"]


async def test_without_a_queue_stop_ends_it_at_once(queue):
    watched = Watched(queue, WAITS)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.child.run)
            await trio.testing.wait_all_tasks_blocked()
            watched.child.stop()
    assert watched.child.ended.is_set()


async def test_a_queue_that_can_not_be_looked_for_disturbs_nobody(queue, monkeypatch):
    """A share that is gone for a while, permissions that were changed: before there is a child, and while it lives."""
    stat, refused, looks = os.stat, [True], []

    def refuse(path, *arguments, **options):
        if os.fspath(path) == os.fspath(queue):
            looks.append(path)
            if refused[0]:
                raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", refuse)
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    queue.touch()
    watched = Watched(queue, WAITS)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.child.run)
            while len(looks) < 3:
                await trio.to_thread.run_sync(lambda: None)
            assert watched.told == []
            refused[0] = False
            await watched.until(1)
            refused[0] = True
            os.kill(watched.pid, signal.SIGKILL)
            await watched.until(2)
            seen = len(looks)
            while len(looks) < seen + 3:
                await trio.to_thread.run_sync(lambda: None)
            watched.child.stop()
    assert [event for event, _ in watched.told] == ["queue.started", "queue.ended"]


async def test_one_that_dies_is_started_again_after_pauses_that_grow(queue, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "LONGEST_PAUSE", 0.004)
    queue.touch()
    watched = Watched(queue, "raise SystemExit(3)")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.child.run)
        await watched.until(8)
        watched.child.stop()
    ended = [values for event, values in watched.told if event == "queue.ended"]
    assert {values["how"] for values in ended} == {"exit code 3"}
    pauses = [values["again_in"] for values in ended][:4]
    assert pauses == [0.001, 0.002, 0.004, 0.004]
    assert all(before != after for (before, _), (after, _) in pairwise(watched.told[:8]))


async def test_one_that_lived_for_long_is_started_again_soon(queue, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(module, "STEADY_SECONDS", 0.0)
    queue.touch()
    watched = Watched(queue, "")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.child.run)
        await watched.until(6)
        watched.child.stop()
    assert [values["again_in"] for event, values in watched.told if event == "queue.ended"][:3] == [0.001] * 3


async def test_a_signal_is_named(queue):
    queue.touch()
    watched = Watched(queue, WAITS)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.child.run)
        await watched.until(1)
        os.kill(watched.pid, signal.SIGKILL)
        await watched.until(2)
        watched.child.stop()
    assert watched.told[1][1]["how"] == "signal 9"


async def test_a_command_that_is_not_there_is_told_and_tried_again(queue, monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    queue.touch()
    watched = Watched(queue, "")
    watched.child._command = ["/nowhere/dulcet"]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.child.run)
        await watched.until(2)
        watched.child.stop()
    assert watched.told[0] == (
        "queue.ended",
        {"how": "it can't be started: No such file or directory", "again_in": 0.001},
    )


@pytest.mark.parametrize("script", [WAITS, DEAF])
async def test_when_patience_is_over_it_is_killed(queue, script, monkeypatch):
    monkeypatch.setattr(module, "KILL_SECONDS", 0.05)
    queue.touch()
    watched = Watched(queue, script)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watched.child.run)
            await watched.until(1)
            nursery.cancel_scope.cancel()
    assert is_gone(watched.pid)
    assert watched.child.ended.is_set()


async def test_it_does_not_speak_to_systemd_for_us(queue):
    script = "import os, sys; open(sys.argv[1] + '/told', 'w').write(' '.join(os.environ)); sys.stdin.read()"
    queue.touch()
    watched = Watched(queue, script, NOTIFY_SOCKET="/run/x", WATCHDOG_USEC="1", WATCHDOG_PID="1", KEPT="1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.child.run)
        await watched.until(1)
        watched.child.stop()
    words = (queue.parent / "told").read_text().split()
    assert "KEPT" in words
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(words)
