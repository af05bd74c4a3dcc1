"""Ctrl-C while a peer is silent: the command says that it was interrupted, and nothing that is not known."""

import os
import signal
import socket
import subprocess
import sys

import pytest

PATIENCE = 30  # seconds, for a command that takes one

COMMANDS = {
    "find": (["--study", "1.2.3"], "interrupted before a match came"),
    "retrieve": (["--study", "1.2.3"], "interrupted before"),
    "move": (["--study", "1.2.3", "--to", "X"], "interrupted; C-MOVE: 0 sub-operations, 0 failed."),
    "get": (["--study", "1.2.3"], "interrupted; C-GET: 0 sub-operations, 0 failed"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_an_interrupted_command_says_so(name, tmp_path):
    words, expected = COMMANDS[name]
    environment = {**os.environ, "DULCET_CONFIG": os.devnull, "DULCET_NODES": os.devnull, "NO_COLOR": "1"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        address = f"A@127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "dulcet", name, address, *words]
        with subprocess.Popen(command, env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(PATIENCE)
                assert connection.recv(1)[0] == 1, "the A-ASSOCIATE-RQ is there, so it waits for the answer"
                process.send_signal(signal.SIGINT)
                assert process.wait(PATIENCE) == 130
            assert process.stderr is not None
            errors = process.stderr.read()
    assert f"dulcet: {expected}" in errors
    assert "nothing of it" not in errors
    assert "Traceback" not in errors
