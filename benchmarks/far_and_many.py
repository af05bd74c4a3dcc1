"""A long line, and many associations at once."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.contests import Bounds, Files, receive, send
from benchmarks.receivers import Receiver, Start, dulcet_serve, floor_receiver
from benchmarks.results import Contest
from benchmarks.senders import FLOOR, HERE, OURS, Sender, dulcet_has, dulcet_send, senders
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


def far(files: Files, scratch: Path, bounds: Bounds) -> list[Contest]:
    """Objects over a round trip of 50 ms: one at a time, several in flight, several associations."""
    everyone = [
        replace(sender, sets=None, most_objects=None)
        for sender in senders()
        if "Nagle on" not in sender.name and "as shipped" not in sender.name
    ]
    ours = []
    if dulcet_has("send", "--async-window"):
        ours.append(Sender(name=f"{OURS} --async-window 32", command=dulcet_send("--async-window", "32")))
    if dulcet_has("send", "--jobs"):
        ours.append(Sender(name=f"{OURS} --jobs 8", command=dulcet_send("--jobs", "8")))
    title = f"A round trip of {2 * ONE_WAY_MILLISECONDS} ms"
    contests = []
    if dulcet_has("serve"):
        receiver = Receiver(name=OURS, start=behind_a_long_line(dulcet_serve("none")))
        contests.append(
            send("far", f"{title}, into dulcet serve", receiver, [*ours, *everyone], files, scratch, bounds)
        )
    if find_executable("storescp"):
        fork = behind_a_long_line(lambda parent: dcmtk.storescp("+B", "--fork", parent=parent))
        receiver = Receiver(name="DCMTK storescp --fork", start=fork)
        contests.append(
            send("far", f"{title}, into storescp --fork", receiver, [*ours[1:], *everyone], files, scratch, bounds)
        )
    return contests


def many(files: Files, associations: int, scratch: Path, bounds: Bounds) -> Contest:
    """Receivers of as many associations at once, 50 objects each, from one sender."""
    limits = ("--max-associations", str(2 * associations), "--max-per-address", str(2 * associations))
    receivers = []
    if dulcet_has("serve", "--max-per-address"):
        receivers.append(Receiver(name=OURS, start=dulcet_serve("none", *limits)))
    if dulcet_has("serve", "--workers"):
        receivers.append(Receiver(name=f"{OURS} --workers 2", start=dulcet_serve("none", *limits, "--workers", "2")))
    if find_executable("storescp"):
        receivers.append(
            Receiver(
                name="DCMTK storescp +B --fork", start=lambda parent: dcmtk.storescp("+B", "--fork", parent=parent)
            )
        )
    receivers.append(Receiver(name=FLOOR, start=floor_receiver))

    def crowd(peer: PeerAddress, directory: Path) -> list[str]:
        module = [sys.executable, "-m", "benchmarks.crowd"]
        return [*module, peer.ae_title, str(peer.port), str(directory), str(associations)]

    return receive("many", f"{associations} associations at once", receivers, crowd, files, scratch, bounds)
