"""What systemd is told, on the socket that it names; and that nothing is said where there is none."""

import socket

import pytest
import trio

from dulcet.station.monitor import service_manager
from dulcet.station.monitor.service_manager import READY, STOPPING, keep_watchdog, notify, reloading


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A socket as systemd's, and the environment that it gives."""
    address = str(tmp_path / "notify") if request.param == "path" else f"\0{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.setblocking(False)
        yield sock, {"NOTIFY_SOCKET": address.replace("\0", "@")}


def test_each_word_is_a_datagram(manager):
    sock, environment = manager
    for text in (READY, STOPPING):
        notify(text, environment)
        assert sock.recv(100) == text.encode()


def test_reloading_has_the_monotonic_time(manager):
    sock, environment = manager
    notify(reloading(), environment)
    first, second = sock.recv(100).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdigit()


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "x"}, {"NOTIFY_SOCKET": "/none"}])
def test_where_nobody_listens_nothing_happens(environment):
    notify(READY, environment)


def test_a_manager_that_does_not_read_does_not_stop_us(manager):
    sock, environment = manager
    for _ in range(10_000):
        notify("x" * 1000, environment)
    assert sock.recv(2000) == b"x" * 1000


async def test_the_watchdog_is_told_twice_in_its_time(monkeypatch, autojump_clock):
    told = []
    monkeypatch.setattr(service_manager, "notify", lambda text, environment: told.append((text, trio.current_time())))
    with trio.move_on_after(60):
        await keep_watchdog({"WATCHDOG_USEC": "20000000"})
    assert [text for text, _ in told] == ["WATCHDOG=1"] * len(told)
    moments = [at - told[0][1] for _, at in told]
    assert moments == [0, 10, 20, 30, 40, 50]


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": ""}])
async def test_nobody_asked_for_a_watchdog(environment):
    await keep_watchdog(environment)
