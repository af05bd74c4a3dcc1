"""Who receives: each a context manager that gives a running peer with a directory of its own."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.senders import FLOOR, HERE, OURS
from dulcet.conformance.peers import dcmtk, ours
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.orthanc import orthanc
from dulcet.conformance.peers.process import RunningPeer, find_executable, peer_directory, running_peer
from dulcet.conformance.peers.pynetdicom import find_pynetdicom_python, pynetdicom_storescp

Start = Callable[[Path], AbstractContextManager[RunningPeer]]
"""Starts a receiver whose directory lies in the one given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receiver:
    """A program that stores what it is sent."""

    name: str
    """What the tables call it."""
    start: Start
    """How it is started."""
    rounds: int | None = None
    """The most rounds that it takes part in."""
    one_file_each: bool = True
    """Whether each object becomes one file, so that they can be counted."""


@contextmanager
def _server(command: list[str], ae_title: str, port: int, directory: Path) -> Iterator[RunningPeer]:
    storage = directory / "stored"
    storage.mkdir(exist_ok=True)
    address = PeerAddress(ae_title=ae_title, host=LOOPBACK, port=port)
    environment = {"PYTHONPATH": str(HERE.parent)}
    with running_peer(command, address=address, directory=directory, storage=storage, environment=environment) as peer:
        yield peer


@contextmanager
def null_receiver(parent: Path) -> Iterator[RunningPeer]:
    """Discards everything."""
    with peer_directory("null", parent) as directory:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.null_receiver", str(port)]
        with _server(command, "NULL", port, directory) as peer:
            yield peer


@contextmanager
def floor_receiver(parent: Path) -> Iterator[RunningPeer]:
    """Writes files and checks nothing."""
    with peer_directory("floor", parent) as directory:
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.floor_receiver", str(port), str(directory / "stored")]
        with _server(command, "FLOOR", port, directory) as peer:
            yield peer


def dulcet_serve(durability: str, *options: str) -> Start:
    """`dulcet serve` with a durability and other options."""

    def start(parent: Path) -> AbstractContextManager[RunningPeer]:
        return ours.dulcet_serve("--durability", durability, *options, parent=parent)

    return start


def receivers() -> list[Receiver]:
    """Every receiver that is installed here, ours first; none of them waits for the disk."""
    everyone = [Receiver(name=f"{OURS} (--durability none)", start=dulcet_serve("none"))]
    if find_executable("storescp"):
        everyone += [
            Receiver(name="DCMTK storescp +B", start=lambda parent: dcmtk.storescp("+B", parent=parent)),
            Receiver(name="DCMTK storescp", start=lambda parent: dcmtk.storescp(parent=parent)),
            Receiver(name="DCMTK dcmrecv +B", start=lambda parent: dcmtk.dcmrecv("+B", parent=parent)),
            Receiver(name="DCMTK dcmrecv", start=lambda parent: dcmtk.dcmrecv(parent=parent)),
        ]
    if find_executable("Orthanc"):
        everyone.append(
            Receiver(name="Orthanc", start=lambda parent: orthanc(parent=parent), rounds=2, one_file_each=False)
        )
    if find_pynetdicom_python():
        everyone.append(
            Receiver(
                name="pynetdicom storescp", start=lambda parent: pynetdicom_storescp("-q", parent=parent), rounds=2
            )
        )
    everyone.append(Receiver(name=FLOOR, start=floor_receiver))
    return everyone


def durable_receivers() -> list[Receiver]:
    """What a receiver's promises cost on a disk: ours with each durability, beside ones that promise nothing."""
    everyone = [
        Receiver(name=f"{OURS} (--durability {durability})", start=dulcet_serve(durability))
        for durability in ("fsync", "batch", "none")
    ]
    if find_executable("storescp"):
        everyone.append(
            Receiver(name="DCMTK storescp +B (no fsync)", start=lambda parent: dcmtk.storescp("+B", parent=parent))
        )
    everyone.append(Receiver(name=f"{FLOOR}, no fsync", start=floor_receiver))
    return everyone
