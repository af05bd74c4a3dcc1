"""Who sends, and the command that does it."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dulcet.conformance.peers.address import PeerAddress
from dulcet.conformance.peers.process import find_executable
from dulcet.conformance.peers.pynetdicom import find_pynetdicom_python

HERE = Path(__file__).resolve().parent
NO_NAGLE = {"TCP_NODELAY": "1"}
OURS = "dulcet"
FLOOR = "floor: Python, framing only"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """A program that stores the files of a directory to a peer."""

    name: str
    """What the tables call it."""
    command: Callable[[PeerAddress, Path], list[str]]
    """The command line for an address and a directory."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is added to its environment."""
    rounds: int | None = None
    """The most rounds that it takes part in: what is slow, and known to be, is run less often."""
    most_objects: int | None = None
    """It gets this many objects of a set at most: milliseconds for each are too long for thousands."""
    sets: tuple[str, ...] | None = None
    """The sets that it takes part in; None: all."""


def dulcet_program() -> str:
    """The `dulcet` command of the environment that runs the benchmarks."""
    return str(Path(sys.executable).parent / "dulcet")


def dulcet_send(*options: str) -> Callable[[PeerAddress, Path], list[str]]:
    """`dulcet send` with options."""
    return lambda peer, directory: [
        dulcet_program(), "send", "--aet", "BENCH", *options, str(peer), str(directory)
    ]  # fmt: skip


def _dcmtk(program: str, *options: str) -> Callable[[PeerAddress, Path], list[str]]:
    return lambda peer, directory: [
        program, *options, "-aec", peer.ae_title, peer.host, str(peer.port), "+sd", str(directory)
    ]  # fmt: skip


def _floor(peer: PeerAddress, directory: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.floor_sender", peer.ae_title, str(peer.port), str(directory)]


def _pynetdicom_script(peer: PeerAddress, directory: Path) -> list[str]:
    script = str(HERE / "pynetdicom_sender.py")
    return [str(find_pynetdicom_python()), script, peer.ae_title, str(peer.port), str(directory)]


def _pynetdicom_storescu(peer: PeerAddress, directory: Path) -> list[str]:
    application = [str(find_pynetdicom_python()), "-m", "pynetdicom", "storescu", "-q", "-cx", "-r"]
    return [*application, "-pdu", "131072", "-aec", peer.ae_title, peer.host, str(peer.port), str(directory)]


def senders() -> list[Sender]:
    """Every sender that is installed here, ours first."""
    everyone = [Sender(name=OURS, command=dulcet_send())]
    if find_executable("dcmsend"):
        everyone += [
            Sender(name="DCMTK dcmsend", command=_dcmtk("dcmsend"), environment=NO_NAGLE),
            Sender(name="DCMTK storescu", command=_dcmtk("storescu", "-R"), environment=NO_NAGLE),
            Sender(
                name="DCMTK storescu, as shipped (Nagle on)",
                command=_dcmtk("storescu", "-R"),
                rounds=1,
                most_objects=200,
                sets=("small", "slices"),
            ),
        ]
    if find_pynetdicom_python():
        everyone += [
            Sender(
                name="pynetdicom, tuned (chunked, no Nagle)",
                command=_pynetdicom_script,
                rounds=2,
                most_objects=2_000,
            ),
            Sender(
                name="pynetdicom storescu, as shipped",
                command=_pynetdicom_storescu,
                rounds=1,
                most_objects=200,
            ),
        ]
    everyone.append(Sender(name=FLOOR, command=_floor, environment={"PYTHONPATH": str(HERE.parent)}))
    return everyone
