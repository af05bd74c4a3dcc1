"""A long line, and many associations at once."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.contests import Bounds, Files, receive, send
from benchmarks.receivers import Receiver, Start, dulcet_serve, floor_receiver
from benchmarks.results import Contest
from benchmarks.senders import FLOOR, HERE, OURS, Sender, dulcet_send, senders
from dulcet.conformance.peers import dcmtk
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.process import RunningPeer, find_executable, peer_directory, running_peer

ONE_WAY_MILLISECONDS = 25
ASSOCIATIONS = 200
FEW_ASSOCIATIONS = 20  # in a quick run


def behind_a_long_line(start: Start) -> Start:
    """The same receiver, 25 ms away in each direction."""

    @contextmanager
    def started(parent: Path) -> Iterator[RunningPeer]:
        with start(parent) as target, peer_directory("relay") as directory:
            port = free_port()
            address = PeerAddress(ae_title=target.address.ae_title, host=LOOPBACK, port=port)
            line = [str(port), str(target.address.port), str(ONE_WAY_MILLISECONDS)]
            with running_peer(
                [sys.executable, "-m", "benchmarks.relay", *line],
                address=address,
                directory=directory,
                storage=directory,
                environment={"PYTHONPATH": str(HERE.parent)},
            ):
                yield replace(target, address=address)

    return started


def far_senders() -> list[Sender]:
    """One at a time, several in flight, several associations: ours first. What Nagle delays is left out."""
    ours = [
        Sender(name=f"{OURS} {' '.join(options)}", command=dulcet_send(*options))
        for options in (("--async-window", "32"), ("--jobs", "24"))
    ]
    others = [replace(sender, sets=None) for sender in senders() if "as shipped" not in sender.name]
    return [*ours, *others]


def far(files: Files, sending: Sequence[Sender], scratch: Path, bounds: Bounds) -> Iterator[Contest]:
    """Objects over a round trip of 50 ms, into dulcet and into storescp."""
    title = f"A round trip of {2 * ONE_WAY_MILLISECONDS} ms"
    receiver = Receiver(name=OURS, start=behind_a_long_line(dulcet_serve("none", "--async-window", "32")))
    yield send("far", f"{title}, into dulcet serve", receiver, sending, files, scratch, bounds)
    if find_executable("storescp"):
        fork = behind_a_long_line(lambda parent: dcmtk.storescp("+B", "--fork", parent=parent))
        receiver = Receiver(name="DCMTK storescp --fork", start=fork)
        yield send("far", f"{title}, into storescp --fork", receiver, sending, files, scratch, bounds)


def many_receivers(associations: int) -> list[Receiver]:
    """Receivers that serve more than one association at a time, ours first."""
    limits = ("--max-associations", str(2 * associations), "--max-per-address", str(2 * associations))
    everyone = [
        Receiver(name=OURS, start=dulcet_serve("none", *limits)),
        Receiver(name=f"{OURS} --workers 2", start=dulcet_serve("none", *limits, "--workers", "2")),
    ]
    if find_executable("storescp"):
        everyone.append(
            Receiver(
                name="DCMTK storescp +B --fork", start=lambda parent: dcmtk.storescp("+B", "--fork", parent=parent)
            )
        )
    everyone.append(Receiver(name=FLOOR, start=floor_receiver))
    return everyone


def many(files: Files, associations: int, receiving: Sequence[Receiver], scratch: Path, bounds: Bounds) -> Contest:
    """As many associations at once from one sender, 50 objects each."""

    def crowd(peer: PeerAddress, directory: Path) -> list[str]:
        module = [sys.executable, "-m", "benchmarks.crowd"]
        return [*module, peer.ae_title, str(peer.port), str(directory), str(associations)]

    return receive("many", f"{associations} associations at once", receiving, crowd, files, scratch, bounds)
