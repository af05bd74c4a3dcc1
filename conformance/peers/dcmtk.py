"""DCMTK's servers: storescp, dcmrecv and dcmqrscp."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.process import RunningPeer, executable, peer_directory, running_peer

LARGEST_PDU_OCTETS = 131_072  # the most that DCMTK's tools announce; their default is 16,384
NO_NAGLE = {"TCP_NODELAY": "1"}  # DCMTK leaves Nagle's algorithm on unless the environment says this

RECEIVED_SOP_CLASSES = (
    "1.2.840.10008.1.1",  # Verification
    "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography
    "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.3.1",  # Ultrasound Multi-frame
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.4.1",  # Enhanced MR
    "1.2.840.10008.5.1.4.1.1.6.1",  # Ultrasound
    "1.2.840.10008.5.1.4.1.1.7",  # Secondary Capture
    "1.2.840.10008.5.1.4.1.1.12.1",  # X-Ray Angiographic
    "1.2.840.10008.5.1.4.1.1.20",  # Nuclear Medicine
    "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
    "1.2.840.10008.5.1.4.1.1.88.22",  # Enhanced SR
    "1.2.840.10008.5.1.4.1.1.104.1",  # Encapsulated PDF
    "1.2.840.10008.5.1.4.1.1.128",  # PET
    "1.2.840.10008.5.1.4.1.1.481.3",  # RT Structure Set
)
"""What dcmrecv is told to accept."""


def tls_options(*, key: Path, certificate: Path, authority: Path) -> tuple[str, ...]:
    """The options of a DCMTK program for TLS with certificates on both sides (PEM files)."""
    return ("+tls", str(key), str(certificate), "+cf", str(authority))


@contextmanager
def storescp(
    *options: str,
    ae_title: str = "STORESCP",
    max_pdu: int = LARGEST_PDU_OCTETS,
    environment: Mapping[str, str] = NO_NAGLE,
    parent: Path | None = None,
) -> Iterator[RunningPeer]:
    """storescp, with any of its options: "+B" (bit preserving), "--fork", "+xa", "--abort-during", `*tls_options(...)`.

    It answers whatever called AE title it is given. `max_pdu` is the maximum length that it announces, in octets;
    `parent` is where its temporary directory is made (a tmpfs, for benchmarks).
    """
    with _storage_server("storescp", options, ae_title, max_pdu, environment, parent) as peer:
        yield peer


@contextmanager
def dcmrecv(
    *options: str,
    ae_title: str = "DCMRECV",
    max_pdu: int = LARGEST_PDU_OCTETS,
    environment: Mapping[str, str] = NO_NAGLE,
    parent: Path | None = None,
) -> Iterator[RunningPeer]:
    """dcmrecv, the simpler receiver, for `RECEIVED_SOP_CLASSES`, uncompressed. Arguments as `storescp`."""
    with peer_directory("dcmrecv-profile", parent) as directory:
        profile = directory / "dcmrecv.cfg"
        profile.write_text(_association_profile(RECEIVED_SOP_CLASSES))
        chosen = ("-xf", str(profile), "Default", *options)
        with _storage_server("dcmrecv", chosen, ae_title, max_pdu, environment, parent) as peer:
            yield peer


def _association_profile(sop_classes: Sequence[str]) -> str:
    """Without such a file dcmrecv accepts nothing but Verification."""
    contexts = "\n".join(
        f"PresentationContext{number} = {sop_class}\\Uncompressed" for number, sop_class in enumerate(sop_classes, 1)
    )
    return f"""[[TransferSyntaxes]]
[Uncompressed]
TransferSyntax1 = LittleEndianExplicit
TransferSyntax2 = BigEndianExplicit
TransferSyntax3 = LittleEndianImplicit
[[PresentationContexts]]
[Received]
{contexts}
[[Profiles]]
[Default]
PresentationContexts = Received
"""


@contextmanager
def dcmqrscp(
    *options: str,
    ae_title: str = "DCMQRSCP",
    destinations: Sequence[PeerAddress] = (),
    max_pdu: int = LARGEST_PDU_OCTETS,
    environment: Mapping[str, str] = NO_NAGLE,
    parent: Path | None = None,
) -> Iterator[RunningPeer]:
    """dcmqrscp, the archive: C-STORE, C-FIND, C-MOVE and C-GET for anyone; C-MOVE sends to `destinations` only."""
    address = PeerAddress(ae_title=ae_title, host=LOOPBACK, port=free_port())
    with peer_directory("dcmqrscp", parent) as directory:
        storage = directory / "stored"
        storage.mkdir()
        configuration = directory / "dcmqrscp.cfg"
        configuration.write_text(_archive_configuration(address, storage, destinations, max_pdu))
        command = [executable("dcmqrscp"), *options, "-c", str(configuration)]
        with running_peer(
            command, address=address, directory=directory, storage=storage, environment=environment
        ) as peer:
            yield peer


def _archive_configuration(
    address: PeerAddress, storage: Path, destinations: Sequence[PeerAddress], max_pdu: int
) -> str:
    """The file format allows no address in place of a host name, so loopback is written as its name."""
    hosts = "\n".join(
        f"destination{number} = ({peer.ae_title}, {'localhost' if peer.host == LOOPBACK else peer.host}, {peer.port})"
        for number, peer in enumerate(destinations)
    )
    return f"""NetworkTCPPort = {address.port}
MaxPDUSize = {max_pdu}
MaxAssociations = 64
HostTable BEGIN
{hosts}
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
{address.ae_title} {storage} RW (500, 4096mb) ANY
AETable END
"""


@contextmanager
def _storage_server(
    program: str,
    options: Sequence[str],
    ae_title: str,
    max_pdu: int,
    environment: Mapping[str, str],
    parent: Path | None,
) -> Iterator[RunningPeer]:
    address = PeerAddress(ae_title=ae_title, host=LOOPBACK, port=free_port())
    with peer_directory(program, parent) as directory:
        storage = directory / "stored"
        storage.mkdir()
        announced = ["-aet", ae_title, "-pdu", str(max_pdu), "-od", str(storage)]
        command = [executable(program), *announced, *options, str(address.port)]
        with running_peer(
            command, address=address, directory=directory, storage=storage, environment=environment
        ) as peer:
            yield peer
