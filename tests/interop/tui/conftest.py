"""A station with an archive beside it, as an operator has it: a node book, a queue with a worker, a vault."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pydicom.data
import pytest

from dulcet.conformance.peers.address import LOOPBACK, free_port
from dulcet.conformance.peers.ours import dulcet_serve

IMAGES = ("CT_small.dcm", "MR_small.dcm")
MARK = "DULCET_PEER_OF_TUI_TEST"  # in the environment of everything that a workstation starts


@dataclass(frozen=True, kw_only=True)
class Station:
    """Where everything is."""

    directory: Path
    silent_port: int
    """Somebody listens there and never says a word."""
    mark: str

    @property
    def image(self) -> Path:
        return Path(pydicom.data.get_testdata_file(IMAGES[0]))

    @property
    def vault(self) -> Path:
        return self.directory / "received"

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def nodes(self) -> Path:
        return self.directory / "nodes.toml"

    @property
    def settings(self) -> dict[str, str]:
        return {
            "DULCET_CONFIG": os.devnull,
            "DULCET_NODES": str(self.nodes),
            "DULCET_STATE": str(self.state),
            "DULCET_RETRIEVE_VIA": "get",  # no port that others may have
            "XDG_CACHE_HOME": str(self.directory / "cache"),
            MARK: self.mark,
        }

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.settings}

    def processes(self) -> dict[int, str]:
        """The command lines of the workstation and of what it started, by their process ID."""
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"{MARK}={self.mark}".encode() in process.joinpath("environ").read_bytes().split(b"\0"):
                    command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode()
                    if " -m dulcet" in command:
                        found[int(process.name)] = command
            except OSError:
                continue
        return found


@contextmanager
def worker(station: Station) -> Iterator[None]:
    """`dulcet queue run`, as `dulcet serve` keeps one."""
    environment = {name: value for name, value in station.environment.items() if name != MARK}
    process = subprocess.Popen(
        [sys.executable, "-m", "dulcet", "queue", "run", "--until-eof", "--quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        yield
    finally:
        process.communicate(timeout=30)


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    """A node book that knows nobody but one who isn't there, and somebody who is there and silent."""
    with closing(socket.create_server((LOOPBACK, 0))) as silent:
        made = Station(directory=tmp_path, silent_port=silent.getsockname()[1], mark=uuid4().hex)
        made.nodes.write_text(f'[GONE]\nae_title = "GONE"\nhost = "{LOOPBACK}"\nport = {free_port()}\n')
        yield made


@pytest.fixture
def archive_port(station: Station) -> Iterator[int]:
    """Where an archive with a CT and an MR listens; the queue of the station has a worker meanwhile."""
    with dulcet_serve("--query", "--no-queue", ae_title="ARCHIVE") as archive, worker(station):
        files = [pydicom.data.get_testdata_file(name) for name in IMAGES]
        sent = subprocess.run(
            [sys.executable, "-m", "dulcet", "send", f"ARCHIVE@{LOOPBACK}:{archive.address.port}", *files],
            env=station.environment,
            capture_output=True,
            check=False,
        )
        assert sent.returncode == 0, sent.stderr
        yield archive.address.port
