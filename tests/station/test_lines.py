"""Lines that several processes write to one descriptor: each in one write(2)."""

import os
import socket
import subprocess
import sys

import pytest

from dulcet.station.lines import write_line

PROGRAM = "import sys; from dulcet.station.lines import write_line as w; w('one', sys.{0}); w('two', sys.{0})"


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_line_is_one_write(name, unbuffered):
    """A datagram is what one write(2) said."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(name)], env=environment, check=True, timeout=60, **{name: theirs}
        )
        ours.setblocking(False)
        assert [ours.recv(100), ours.recv(100)] == [b"one\n", b"two\n"]


def test_nobody_is_told_without_a_stream(capsys):
    write_line("one", None)
    assert capsys.readouterr() == ("", "")
