"""Orthanc, the archive, with everything allowed and only its DICOM port and a REST port on loopback."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.process import RunningPeer, executable, peer_directory, running_peer

NO_NAGLE = {"TCP_NODELAY": "1"}  # Orthanc's DICOM side is DCMTK


@contextmanager
def orthanc(
    *,
    ae_title: str = "ORTHANC",
    modalities: Sequence[PeerAddress] = (),
    settings: Mapping[str, Any] | None = None,
    http_port: int | None = None,
    environment: Mapping[str, str] = NO_NAGLE,
    parent: Path | None = None,
) -> Iterator[RunningPeer]:
    """Orthanc as storage and query/retrieve SCP; refuses another called AE title than its own.

    `modalities` are the destinations that its C-MOVE knows; `settings` replace keys of the configuration. C-MOVE is
    answered when the transfer is done (SynchronousCMove). With `http_port` its REST API listens there, on loopback: the
    way to have it ask others.
    """
    rest = {} if http_port is None else {"HttpServerEnabled": True, "HttpPort": http_port, "RemoteAccessAllowed": False}
    address = PeerAddress(ae_title=ae_title, host=LOOPBACK, port=free_port())
    with peer_directory("orthanc", parent) as directory:
        storage = directory / "stored"
        storage.mkdir()
        configuration = directory / "orthanc.json"
        chosen = {**_configuration(address, storage, modalities), **rest, **(settings or {})}
        configuration.write_text(json.dumps(chosen))
        command = [executable("Orthanc"), str(configuration)]
        with running_peer(
            command, address=address, directory=directory, storage=storage, environment=environment
        ) as peer:
            yield peer


def _configuration(address: PeerAddress, storage: Path, modalities: Sequence[PeerAddress]) -> dict[str, Any]:
    return {
        "Name": "dulcet peer",
        "StorageDirectory": str(storage),
        "IndexDirectory": str(storage),
        "Plugins": [],
        "HttpServerEnabled": False,
        "DicomAet": address.ae_title,
        "DicomPort": address.port,
        "DicomCheckCalledAet": True,
        "DicomTlsEnabled": False,
        "AcceptedTransferSyntaxes": ["1.2.840.10008.1.*"],
        "UnknownSopClassAccepted": True,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowFindWorklist": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomCheckModalityHost": False,
        "DicomModalities": {
            f"modality{number}": [peer.ae_title, peer.host, peer.port] for number, peer in enumerate(modalities)
        },
        "SynchronousCMove": True,
        "OverwriteInstances": True,
        "StableAge": 1,
        "StorageAccessOnFind": "Always",
    }
