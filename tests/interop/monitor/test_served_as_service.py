"""A real server as systemd has it: it says when it is ready, reads again, is alive, and ends. And `check --healthz`."""

import os
import signal
import socket
import subprocess

import pytest
from click.testing import CliRunner

from dulcet.cli import cli
from dulcet.conformance.peers.ours import PROGRAM

WATCHDOG = "1000000"  # two in a second: a socket keeps ten datagrams for who is held up, and the rest is lost


@pytest.fixture
def manager(tmp_path):
    """A socket as systemd's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(60)
        yield sock, {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": WATCHDOG}


def heard(sock, word):
    """Wait for a datagram that begins so; the watchdog's come in between."""
    while not (said := sock.recv(1000).decode()).startswith(word):
        assert said == "WATCHDOG=1", said
    return said


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_systemd_is_told(options, manager, served, wait_until):
    sock, environment = manager
    with served("--json", *options, **environment) as server:
        heard(sock, "READY=1")
        heard(sock, "WATCHDOG=1")
        heard(sock, "WATCHDOG=1")
        server.hang_up()
        assert "MONOTONIC_USEC=" in heard(sock, "RELOADING=1")
        heard(sock, "READY=1")
        os.kill(server.running.pid, signal.SIGTERM)
        heard(sock, "STOPPING=1")


def test_check_asks_how_it_is(served):
    with served() as server:
        asked = server.run("check", "--healthz", server.http_port)
        assert asked.stdout == "DICOM OK - DULCET takes objects, 0 associations\n"


def test_check_says_what_is_wrong(served):
    with served("--min-free", "900T") as server, server.start("check", "--healthz", server.http_port) as process:
        output, _ = process.communicate(timeout=60)
        assert output == "DICOM CRITICAL - less than 900,000,000,000,000 octets are free on the disk\n"
        assert process.returncode == 2


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["--healthz", "1"], "DICOM CRITICAL - 1 does not say how it is: ", 2),
        (["--healthz", "x"], "DICOM UNKNOWN - 'x' is neither PORT nor HOST:PORT", 3),
        (["--healthz", "1", "PACS"], "DICOM UNKNOWN - --healthz asks a server", 3),
        ([], "DICOM UNKNOWN - which PEER should be watched?", 3),
    ],
)
def test_check_has_a_line_whatever_is_asked(words, said, code):
    result = CliRunner().invoke(cli, ["check", *words], standalone_mode=False)
    assert result.output.startswith(said)
    assert result.output.count("\n") == 1
    assert code in (result.return_value, getattr(result.exception, "exit_code", None), result.exit_code)


def test_a_terminal_that_has_gone_ends_it(tmp_path, wait_until):
    """SIGHUP comes from a terminal whose window was closed, too: then there is nobody to read settings for."""
    ours, theirs = os.openpty()
    log = tmp_path / "log.txt"
    command = [*PROGRAM, "serve", "--json", "--port", "0", "--directory", str(tmp_path / "stored")]
    environment = {**os.environ, "DULCET_STATE": str(tmp_path / "state"), "DULCET_CONFIG": os.devnull}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=theirs, stdout=output, env=environment, start_new_session=True)
    try:
        os.close(theirs)
        wait_until(lambda: "server.ready" in log.read_text())
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: "settings.read" in log.read_text())
        os.close(ours)
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 0
        assert "server.stopping" in log.read_text()
    finally:
        process.kill()
        process.wait()
