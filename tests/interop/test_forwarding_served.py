"""`dulcet serve` forwards what arrives: to DCMTK, as the rules say, and as they say after they were changed."""

import json
import os
import signal
import time
from contextlib import contextmanager

import pytest

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.ours import PROGRAM
from dulcet.conformance.peers.process import running_peer

SECONDS = 60.0


@pytest.fixture
def station(tmp_path, storescp):
    """A server with a configuration file and a node book of its own; it runs the queue as well."""
    return Station(tmp_path, storescp)


class Station:
    def __init__(self, room, peer):
        self.room, self.peer = room, peer
        self.address = PeerAddress(ae_title="DULCET", host=LOOPBACK, port=free_port())
        nodes = {"SCP": ("STORESCP", peer.address.port), "NOBODY": ("NOBODY", 1), "BACK": ("CT1", 2)}
        (room / "nodes.toml").write_text(
            "".join(
                f'[{name}]\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n'
                for name, (title, port) in nodes.items()
            )
        )
        self.environment = {
            "DULCET_CONFIG": str(room / "dulcet.toml"),
            "DULCET_NODES": str(room / "nodes.toml"),
            "DULCET_STATE": str(room / "state"),
        }

    def write(self, text):
        (self.room / "dulcet.toml").write_text(text)

    @contextmanager
    def serving(self, *options):
        words = ["serve", "--port", str(self.address.port), "--directory", str(self.room / "received"), "--json"]
        (self.room / "server").mkdir(exist_ok=True)
        with running_peer(
            [*PROGRAM, *words, *options],
            address=self.address,
            directory=self.room / "server",
            storage=self.room / "received",
            environment=self.environment,
        ) as server:
            yield server

    def events(self, server, name):
        whole = server.log.read_text().split("\n")[:-1]  # one that is being written is none yet
        lines = (json.loads(line) for line in whole if line.startswith("{"))
        return [line for line in lines if line["event"] == name]


def wait_for(what):
    """Its first true value."""
    end = time.monotonic() + SECONDS
    while not (found := what()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
    return found


@pytest.fixture
def images(pydicom_files):
    """Seven, in four series: three CR, four CT."""
    return pydicom_files / "dicomdirtests" / "77654033"


def test_what_arrives_is_at_the_peer_soon_and_once(station, dulcet, images):
    station.write('[[route]]\nname = "CT on"\nfrom = "CT*"\nmodality = "CT"\nto = ["BACK", "SCP"]\ndelay = 0.2\n')
    with station.serving() as server:
        for _ in range(2):  # the second time they are here already
            assert dulcet("send", station.address, images, "--aet", "CT1").returncode == 0
        wait_for(lambda: len(station.peer.stored_files()) == 4)
        wait_for(lambda: sum(line["objects"] for line in station.events(server, "forward.queued")) >= 4)
        queued = station.events(server, "forward.queued")  # more than one, when the sender was held up
        assert sum(line["objects"] for line in queued) == 4
        assert {(line["route"], line["node"]) for line in queued} == {("CT on", "SCP")}
        wait_for(lambda: [line["state"] for line in station.events(server, "job.left")].count("done") == len(queued))
    assert len(station.peer.stored_files()) == 4
    journal = station.room / "received" / ".forwarding"
    assert {path.suffix for path in journal.iterdir()} <= {".sqlite", ".lock"}


def test_the_rules_are_read_again(station, dulcet, images):
    station.write("")
    with station.serving("--no-queue") as server:
        assert dulcet("send", station.address, images, "--aet", "CT1").returncode == 0
        station.write('[[route]]\nname = "all"\nto = "NOBODX"\n')
        os.kill(server.pid, signal.SIGHUP)
        (fault,) = wait_for(lambda: station.events(server, "settings.fault"))
        assert "dulcet.toml:3: [[route]] to: 'NOBODX' is no node" in fault["reason"]
        station.write('[[route]]\nname = "all"\nto = "NOBODY"\ndelay = 0\n')
        os.kill(server.pid, signal.SIGHUP)
        assert wait_for(lambda: station.events(server, "settings.read"))[0]["changed"] == ["routes"]
        folder = station.room / "another"
        folder.mkdir()
        (folder / "one.dcm").write_bytes((images.parent / "98892003" / "MR1" / "5641").read_bytes())
        assert dulcet("send", station.address, folder).returncode == 0
        (queued,) = wait_for(lambda: station.events(server, "forward.queued"))
        assert (queued["node"], queued["objects"]) == ("NOBODY", 1)


def test_several_processes_share_a_journal(station, dulcet, images, monkeypatch):
    station.write('[[route]]\nname = "all"\nto = "SCP"\ndelay = 1\n')
    with station.serving("--workers", "2", "--no-queue") as server:
        assert dulcet("send", station.address, images, "--jobs", "4").returncode == 0
        wait_for(lambda: sum(line["objects"] for line in station.events(server, "forward.queued")) == 7)
    monkeypatch.setenv("DULCET_STATE", station.environment["DULCET_STATE"])
    listed = [json.loads(line) for line in dulcet("queue", "list", "--json").stdout.splitlines()]
    assert sum(job["instances"] for job in listed) == 7
    assert {job["origin"] for job in listed} == {"route all"}
