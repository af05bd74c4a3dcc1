"""dulcet's own server as a process, beside the other peers."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.process import RunningPeer, peer_directory, running_peer

PROGRAM = (sys.executable, "-m", "dulcet")
SAYS_READY = ("is ready on ", '"server.ready"')  # to people, with --json; what a signal does is settled by then
DEFAULT_SETTINGS = {"DULCET_CONFIG": os.devnull}  # the user's own configuration file has no say here


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
        command += options
        state = os.environ.get("DULCET_STATE") or str(directory / "state")  # nor has the user's own queue
        environment = {**DEFAULT_SETTINGS, "DULCET_STATE": state}
        with running_peer(
            command, address=address, directory=directory, storage=stored, environment=environment, says=SAYS_READY
        ) as peer:
            yield peer
