"""One wish to end reaches a worker twice when a whole process group is signalled; two wishes break off."""

import os
import subprocess
import sys
from signal import SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2
from types import SimpleNamespace

import pytest
import trio

from dulcet.conformance.peers.address import LOOPBACK
from dulcet.station import server
from dulcet.station.server import asked_again

PROGRAM = """
import os, signal
from dulcet.cli import main
from dulcet.services.storage import Storage
close = Storage.close
def close_late(self):
    os.kill(os.getpid(), signal.SIGTERM)
    close(self)
Storage.close = close_late
main()
"""
"""A server that is signalled once more when nobody listens to signals any more."""


@pytest.mark.parametrize(
    ("heard", "is_again"),
    [
        ((SIGTERM,), False),
        ((SIGUSR1,), False),
        ((SIGTERM, SIGUSR1), False),
        ((SIGUSR2, SIGINT), False),
        ((SIGTERM, SIGTERM), True),
        ((SIGTERM, SIGINT), True),
        ((SIGUSR1, SIGUSR1), True),
        ((SIGTERM, SIGUSR1, SIGTERM), True),
        ((SIGINT, SIGUSR2, SIGUSR2), True),
        ((SIGUSR1, SIGTERM, SIGUSR2, SIGINT), True),
    ],
)
async def test_asked_again(heard, is_again, autojump_clock):
    """By the parent of the workers, or by anybody else: what comes from both is one."""
    first, *others = heard
    says, signals = trio.open_memory_channel(10)

    async def say():
        for number in others:
            await trio.sleep(1)
            says.send_nowait(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say)
        with trio.move_on_after(3600) as patience:
            await asked_again(signals, first)
    assert patience.cancelled_caught is not is_again
    says.close()
    signals.close()


async def test_what_comes_at_once_is_one(autojump_clock):
    """As timeout(1) does it; the next one counts."""
    says, signals = trio.open_memory_channel(2)
    says.send_nowait(SIGTERM)
    with trio.move_on_after(1) as patience:
        await asked_again(signals, SIGTERM)
    assert patience.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asked_again, signals, SIGTERM)
        await trio.sleep(1)
        says.send_nowait(SIGTERM)
    says.close()
    signals.close()


async def test_a_terminal_hangs_up_once(monkeypatch):
    """A worker hears of it from the kernel and from its parent, and tells itself to end."""
    says, signals = trio.open_memory_channel(2)
    for _ in range(2):
        says.send_nowait(SIGHUP)
    says.close()
    told = []
    monkeypatch.setattr(server, "has_hung_up", lambda terminals: terminals == ["a terminal"])
    monkeypatch.setattr(os, "kill", lambda *about: told.append(about))
    worker = SimpleNamespace(_terminals=["a terminal"])
    await server._Server._await_reloads(worker, signals, None, None)
    assert told == [(os.getpid(), SIGTERM)]


def test_a_signal_that_comes_when_it_has_ended_changes_nothing(tmp_path):
    """timeout(1) signals its child, and then the group that it is in."""
    command = [sys.executable, "-c", PROGRAM, "serve", "--bind", LOOPBACK, "--port", "0", "--min-free", "0"]
    environment = {**os.environ, "DULCET_CONFIG": os.devnull, "DULCET_STATE": str(tmp_path / "state")}
    with subprocess.Popen(
        [*command, "--directory", str(tmp_path / "stored")], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert "is ready on" in process.stdout.readline()
        process.terminate()
        assert process.wait(60) == 0
