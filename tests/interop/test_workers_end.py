"""The processes of `dulcet serve --workers`: all of them serve, or none is left, whatever becomes of one."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dulcet.conformance.kit.command_set import encode
from dulcet.conformance.kit.stimuli import Request, context, message, title
from dulcet.conformance.kit.synthetic import data_set
from dulcet.conformance.peers.address import LOOPBACK, free_port

PATIENCE = 60.0
CT, IMPLICIT, INSTANCE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2", "2.25.1"
REQUEST = Request(called=title("ARCHIVE"), calling=title("TEST"), contexts=(context(1, CT, IMPLICIT),)).encode()
STORE = message(
    1,
    encode({0x0002: CT, 0x0100: 0x0001, 0x0110: 1, 0x0700: 0, 0x0800: 1, 0x1000: INSTANCE}),
    data_set({0x00080016: ("UI", CT), 0x00080018: ("UI", INSTANCE), 0x7FE00010: ("OW", bytes(1000))}, explicit=False),
)
STORED = bytes.fromhex("0000 0009 02000000 0000")  # the Status of its response
PLANTED = """
import errno, os, signal, sys
import dulcet.station.workers as workers
from dulcet.cli import main
fork, forked = os.fork, []
def run_server(*arguments):
    raise RuntimeError("planted")
def planted_fork():
    {planted}
    forked.append(fork())
    return forked[-1]
os.fork = planted_fork
main()
"""
"""A server with something planted into its forking."""


@contextmanager
def serving(directory, planted="pass", **environment):
    """Two workers. Their output ends when the last of them has ended: nobody else holds the pipe."""
    command = [sys.executable, "-c", PLANTED.format(planted=planted), "serve", "--aet", "ARCHIVE", "--workers", "2"]
    command += ["--bind", LOOPBACK, "--port", str(free_port()), "--directory", str(directory / "stored")]
    command += ["--min-free", "0"]
    own = {"DULCET_CONFIG": os.devnull, "DULCET_STATE": str(directory / "state")}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, **own, **environment},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ended(process):
    """(exit code, what they printed), when all have ended."""
    output, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, output


def test_a_signal_while_they_are_started_ends_all(tmp_path):
    with serving(tmp_path, "forked and os.kill(os.getpid(), signal.SIGTERM)") as process:
        code, output = ended(process)
    assert code == 0, output
    assert output.count("server.stopping") == 2, output


def test_they_end_when_their_parent_is_killed(tmp_path, wait_until):
    with serving(tmp_path) as process:
        assert "is ready on" in process.stdout.readline()
        wait_until(lambda: len(children(process)) == 2)  # the first is ready perhaps before there is a second
        process.kill()
        code, output = ended(process)
    assert code == -signal.SIGKILL
    assert output.count("server.stopping") == 2, output


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_a_group_that_is_signalled_finishes_what_is_in_flight(tmp_path):
    """As a terminal and systemd do it: the workers hear of it, and hear of it again from their parent."""
    with serving(tmp_path) as process:
        host, port = re.search(r"ready on ([0-9.]+):(\d+)", process.stdout.readline()).groups()
        with socket.create_connection((host, int(port)), PATIENCE) as peer:
            peer.settimeout(PATIENCE)
            peer.sendall(REQUEST + STORE[:-100])
            assert peer.recv(1) == b"\x02"
            for pid in children(process):
                os.kill(pid, signal.SIGTERM)
            stopping = 0
            while stopping < 2:
                line = process.stdout.readline()
                assert line, "all have ended"
                stopping += line.startswith("server.stopping ")
            process.send_signal(signal.SIGTERM)
            peer.sendall(STORE[-100:])
            octets = b""
            while received := peer.recv(1000):
                octets += received
        assert STORED in octets, octets.hex()
        code, output = ended(process)
    assert (code, output.count("server.stopping")) == (0, 0), output
    assert len(list((tmp_path / "stored").glob("*/*.dcm"))) == 1


def test_when_one_can_not_be_started_the_others_end_and_it_is_said(tmp_path):
    with serving(tmp_path, "if forked: raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))") as process:
        code, output = ended(process)
    assert code == 75, output
    assert "dulcet: the workers can't be started: Resource temporarily unavailable\n" in output
    assert output.count("server.stopping") == 1, output


@pytest.mark.parametrize("debug", ["", "1"])
def test_a_fault_of_a_worker_is_said(tmp_path, debug):
    with serving(tmp_path, "workers.run_server = run_server", DULCET_DEBUG=debug) as process:
        code, output = ended(process)
    assert code == 70, output
    assert "dulcet: a fault of dulcet's own: RuntimeError: planted (DULCET_DEBUG=1 shows where)\n" in output
    assert ("Traceback" in output) is bool(debug)
