"""`dulcet serve` as a process that tells of itself: its own state directory, its own configuration file."""

import http.client
import json
import os
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.ours import PROGRAM, SAYS_READY
from dulcet.conformance.peers.process import RunningPeer, running_peer
from dulcet.services.requestor import Peer
from dulcet.station.monitor.process_file import read_processes

PATIENCE = 60.0


@dataclass
class Served:
    """A running server."""

    running: RunningPeer
    state: Path
    http_port: int
    environment: dict = field(default_factory=dict)

    @property
    def peer(self):
        address = self.running.address
        return Peer(host=address.host, port=address.port, ae_title=address.ae_title, calling_ae_title="MODALITY")

    def get(self, path, method="GET"):
        """(status, text) of a page."""
        connection = http.client.HTTPConnection(LOOPBACK, self.http_port, timeout=PATIENCE)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def health(self):
        status, text = self.get("/healthz")
        return status, json.loads(text)

    def processes(self):
        return [report for report in read_processes(self.state / "processes") if report.command == "serve"]

    def log(self):
        return self.running.log.read_text()

    def events(self, name):
        """The lines of one event, as dictionaries; of a server with --json. One that is being written is none yet."""
        lines = [line for line in self.log().split("\n")[:-1] if line.startswith("{")]
        return [each for each in map(json.loads, lines) if each["event"] == name]

    def hang_up(self):
        os.kill(self.running.pid, signal.SIGHUP)

    def start(self, *arguments):
        """A command of dulcet beside it, with the same state."""
        return subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "NO_COLOR": "1", **self.environment},
        )

    def run(self, *arguments):
        """The same, to its end; it has to succeed."""
        with self.start(*arguments) as process:
            try:
                output, errors = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        assert process.returncode == 0, errors
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@pytest.fixture(scope="session")
def served_in():
    """Makes a server in a directory: `with served_in(directory, options..., config=text) as server`."""

    @contextmanager
    def make(directory, *options, config="", ae_title="DULCET", **more):
        http_port = free_port()
        state, book = directory / "state", directory / "dulcet.toml"
        book.write_text(config)
        stored = directory / "stored"
        address = PeerAddress(ae_title=ae_title, host=LOOPBACK, port=free_port())
        environment = {
            "DULCET_STATE": str(state),
            "DULCET_CONFIG": str(book),
            "DULCET_NODES": str(directory / "nodes.toml"),
            **more,
        }
        command = [*PROGRAM, "serve", "--aet", ae_title, "--port", str(address.port), "--directory", str(stored)]
        command += ["--http", str(http_port), "--min-free", "0", *options]
        with running_peer(
            command, address=address, directory=directory, storage=stored, environment=environment, says=SAYS_READY
        ) as running:
            yield Served(running, state, http_port, environment)

    return make


@pytest.fixture
def served(served_in, tmp_path):
    """Makes one server in the test's own directory."""

    def make(*options, **more):
        return served_in(tmp_path, *options, **more)

    return make
