"""The processes of `dulcet serve --workers`: all of them serve, or none is left, whatever becomes of one."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest

from dulcet.conformance.peers.address import LOOPBACK, free_port

PATIENCE = 60.0
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


def test_they_end_when_their_parent_is_killed(tmp_path):
    with serving(tmp_path) as process:
        assert "is ready on" in process.stdout.readline()
        process.kill()
        code, output = ended(process)
    assert code == -signal.SIGKILL
    assert output.count("server.stopping") == 2, output


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
