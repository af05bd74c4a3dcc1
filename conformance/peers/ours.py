"""dulcet's own server as a process, beside the other peers."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.process import RunningPeer, peer_directory, running_peer

PROGRAM = (sys.executable, "-m", "dulcet")


@contextmanager
def dulcet_serve(
    *options: str, ae_title: str = "DULCET", storage: Path | None = None, parent: Path | None = None
) -> Iterator[RunningPeer]:
    """`dulcet serve` with any of its options; answers only to its AE title. `storage` outlives it when it is given."""
    address = PeerAddress(ae_title=ae_title, host=LOOPBACK, port=free_port())
    with peer_directory("dulcet", parent) as directory:
        stored = directory / "stored" if storage is None else storage
        stored.mkdir(exist_ok=True)
        command = [*PROGRAM, "serve", "--aet", ae_title, "--port", str(address.port), "--directory", str(stored)]
        with running_peer([*command, *options], address=address, directory=directory, storage=stored) as peer:
            yield peer
