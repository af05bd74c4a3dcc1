"""pynetdicom's storescp, from an environment of its own: dulcet never depends on it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.process import RunningPeer, how_to_install, peer_directory, running_peer
from dulcet.errors import ConfigurationError


def find_pynetdicom_python() -> Path | None:
    """The Python that can import pynetdicom, or None: `DULCET_PYNETDICOM`, else the one that install.sh made."""
    named = os.environ.get("DULCET_PYNETDICOM")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    python = Path(named) if named else cache / "dulcet/peers/pynetdicom/bin/python"
    return python if python.is_file() else None


def pynetdicom_python() -> Path:
    """The Python that can import pynetdicom. Raises ConfigurationError that says how to install it."""
    python = find_pynetdicom_python()
    if python is None:
        raise ConfigurationError(how_to_install("pynetdicom"))
    return python


@contextmanager
def pynetdicom_storescp(
    *options: str, ae_title: str = "PYNETDICOM", max_pdu: int = 131_072, parent: Path | None = None
) -> Iterator[RunningPeer]:
    """pynetdicom's storescp application, with any of its options."""
    address = PeerAddress(ae_title=ae_title, host=LOOPBACK, port=free_port())
    with peer_directory("pynetdicom", parent) as directory:
        storage = directory / "stored"
        storage.mkdir()
        announced = ["-aet", ae_title, "-pdu", str(max_pdu), "-od", str(storage)]
        command = [str(pynetdicom_python()), "-m", "pynetdicom", "storescp", *announced, *options, str(address.port)]
        with running_peer(command, address=address, directory=directory, storage=storage) as peer:
            yield peer
