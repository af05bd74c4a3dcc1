"""The peers that listen, set up for a whole run of the kit, and how long one takes.

    python -m dulcet.conformance.peers.whole_run orthanc dcmqrscp

plays every case against each peer that is named, one peer after the other; without a name, against all four.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dulcet.conformance.peers import dcmtk
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.orthanc import orthanc
from dulcet.conformance.peers.ours import PROGRAM
from dulcet.conformance.peers.process import RunningPeer
from dulcet.errors import DulcetError

DESTINATION = "KITDEST"
ACCEPTORS = ("orthanc", "dcmqrscp", "storescp", "dcmrecv")
PROMISCUOUS = ("storescp", "dcmrecv")  # they answer to any called AE title


@contextmanager
def acceptor(name: str, directory: Path) -> Iterator[tuple[RunningPeer, Path]]:
    """One of `ACCEPTORS`, running, and the kit's configuration for it, written into `directory`.

    The archives know the kit as the destination of a C-MOVE. ConfigurationError when the program is not installed.
    """
    destination = PeerAddress(ae_title=DESTINATION, host=LOOPBACK, port=free_port())
    configuration = directory / "kit.toml"
    promiscuous = str(name in PROMISCUOUS).lower()
    configuration.write_text(
        f'[product]\npromiscuous = {promiscuous}\n[move]\ndestination = "{DESTINATION}"\nport = {destination.port}\n'
    )
    if name == "storescp":
        manager = dcmtk.storescp("+xa", "--fork")
    elif name == "dcmrecv":
        manager = dcmtk.dcmrecv()
    elif name == "dcmqrscp":
        manager = dcmtk.dcmqrscp(destinations=[destination])
    else:
        manager = orthanc(modalities=[destination])
    with manager as peer:
        yield peer, configuration


def main(names: list[str]) -> int:
    """Time each, all without names; the exit code."""
    unknown = [name for name in names if name not in ACCEPTORS]
    if unknown:
        print(f"{', '.join(unknown)}: known are {', '.join(ACCEPTORS)}", file=sys.stderr)
        return 2
    try:
        for name in names or ACCEPTORS:
            _measure(name)
    except DulcetError as error:
        print(f"dulcet: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _measure(name: str) -> None:
    with tempfile.TemporaryDirectory() as directory, acceptor(name, Path(directory)) as (peer, configuration):
        load, began = os.getloadavg()[0], time.monotonic()
        command = [*PROGRAM, "conform", "scp", str(peer.address), "--config", str(configuration), "--quiet"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        seconds = time.monotonic() - began
    conclusion = done.stdout.partition("\n")[0]
    print(f"{name:9} {seconds:4.0f} s, load {load:.1f} to {os.getloadavg()[0]:.1f}: {conclusion}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
