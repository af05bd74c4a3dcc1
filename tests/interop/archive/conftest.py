"""Our archive with 5,000 small studies, three others and one of 500 objects; and what its peers say of it."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dulcet.conformance.peers import dcmtk
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.orthanc import orthanc as run_orthanc
from dulcet.conformance.peers.ours import PROGRAM, dulcet_serve
from dulcet.conformance.peers.process import RunningPeer, executable
from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from dulcet.services.part10 import encode_header
from dulcet.services.querying.elements import Element, encode_elements, padded
from dulcet.station.archive.vault import path_of

CT = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.9.7.5"
MANY, BIG = 5000, 500
PROGRAM_SECONDS = 180
MEMORY, ROOM_OCTETS = "/dev/shm", 200_000_000


@dataclass(frozen=True)
class Made:
    """One object."""

    patient: str
    study: str
    series: str
    instance: str
    number: int
    date: str = "20260105"

    def octets(self, pixels: int) -> bytes:
        texts = {
            0x00080005: (b"CS", "ISO_IR 192"),
            0x00080016: (b"UI", CT),
            0x00080018: (b"UI", self.instance),
            0x00080020: (b"DA", self.date),
            0x00080030: (b"TM", "101500"),
            0x00080050: (b"SH", f"A{self.patient[-12:]}"),
            0x00080060: (b"CS", "CT"),
            0x00080090: (b"PN", "REFERRING"),
            0x00081030: (b"LO", "A study"),
            0x00100010: (b"PN", self.patient),
            0x00100020: (b"LO", f"ID-{self.patient}"),
            0x0020000D: (b"UI", self.study),
            0x0020000E: (b"UI", self.series),
            0x00200010: (b"SH", "1"),
            0x00200011: (b"IS", "1"),
            0x00200013: (b"IS", str(self.number)),
        }
        elements = {tag: Element(vr, padded(vr, text.encode())) for tag, (vr, text) in texts.items()}
        for tag, value in ((0x00280010, 2), (0x00280011, 2), (0x00280100, 16)):
            elements[tag] = Element(b"US", value.to_bytes(2, "little"))
        elements[0x7FE00010] = Element(b"OW", bytes(pixels))
        header = encode_header(
            sop_class_uid=CT, sop_instance_uid=self.instance, transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN
        )
        return header + encode_elements(elements, EXPLICIT_VR_LITTLE_ENDIAN)


def one_of_many(number: int) -> Made:
    uid = f"{ROOT}.1.{number}"
    return Made(f"MANY^{number}", uid, f"{uid}.1", f"{uid}.1.1", 1)


def others() -> Iterator[Made]:
    """Three studies of one patient, one study of 500 objects in five series."""
    for number in range(1, 4):
        uid = f"{ROOT}.2.{number}"
        for series in range(1, 4):
            yield Made("FEW^ÅSA", uid, f"{uid}.{series}", f"{uid}.{series}.1", 1, f"2026020{number}")
    for number in range(BIG):
        series = f"{ROOT}.3.{number % 5 + 1}"
        yield Made("BIG^ONE", f"{ROOT}.3", series, f"{series}.{number}", number, "20260301")


@pytest.fixture(scope="session")
def vault() -> Iterator[Path]:
    """A storage directory with all that, and 5,000 studies of a patient each; in memory, where it takes no time."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_OCTETS else None
    with tempfile.TemporaryDirectory(prefix="dulcet-vault-", dir=parent) as directory:
        fill(Path(directory))
        yield Path(directory)


def fill(directory: Path) -> None:
    for shard in range(256):
        (directory / f"{shard:02x}").mkdir()
    template = one_of_many(9999).octets(8)
    for number in range(1000, 1000 + MANY):
        octets = template.replace(b"9999", str(number).encode())
        path_of(directory, one_of_many(number).instance).write_bytes(octets)
    for made in others():
        path_of(directory, made.instance).write_bytes(made.octets(4096 if made.patient == "BIG^ONE" else 8))


@dataclass(frozen=True)
class Archive:
    """Our archive, running, and whom it knows."""

    peer: RunningPeer
    nodes: Path

    @property
    def address(self) -> PeerAddress:
        return self.peer.address

    def know(self, **addresses: PeerAddress) -> None:
        """Write the node book anew; the archive reads it when it is asked to move something."""
        tables = [
            f'[{name}]\nae_title = "{one.ae_title}"\nhost = "{one.host}"\nport = {one.port}\n'
            for name, one in addresses.items()
        ]
        self.nodes.write_text("\n".join(tables))


@pytest.fixture(scope="session")
def archive(vault: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """`dulcet serve --query` over the vault, indexed."""
    nodes = tmp_path_factory.mktemp("nodes") / "nodes.toml"
    nodes.write_text("")
    subprocess.run([*PROGRAM, "index", str(vault), "-q"], check=True, timeout=PROGRAM_SECONDS)
    options = ("--query", "--nodes", str(nodes), "--min-free", "1M", "--max-per-address", "32")
    with dulcet_serve(*options, ae_title="ARCHIVE", storage=vault) as peer:
        yield Archive(peer, nodes)


@dataclass(frozen=True)
class Said:
    """What one of DCMTK's programs printed."""

    code: int
    text: str

    @property
    def pending(self) -> int:
        """Pending responses."""
        return len(re.findall(r"(?:Find|Move|Get) Response:? ?\d* \(Pending", self.text))

    @property
    def statuses(self) -> list[str]:
        """Of every response, where the program was told to say everything (-d)."""
        return re.findall(r"DIMSE Status\s*: 0x([0-9a-f]{4})", self.text)

    @property
    def final(self) -> str:
        """What it says of the final response."""
        return re.findall(r"Received Final \w+ Response \((.*)\)", self.text)[-1]


Run = Callable[..., Said]


@pytest.fixture(scope="session")
def program(need: Callable[[str], None]) -> Run:
    """Runs a program of DCMTK, skipped or failed where it is missing."""

    def run(name: str, *arguments: object) -> Said:
        need(name)
        done = subprocess.run(
            [executable(name), *map(str, arguments)],
            capture_output=True,
            timeout=PROGRAM_SECONDS,
            check=False,
            env={"TCP_NODELAY": "1", "PATH": "/usr/bin:/bin"},
        )
        return Said(done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace"))

    return run


@pytest.fixture(scope="session")
def findscu(archive: Archive, program: Run) -> Run:
    """findscu's answer to keys, as KEYWORD=VALUE."""

    def run(*keys: str, model: str = "-S", options: tuple[object, ...] = ()) -> Said:
        named = [word for key in keys for word in ("-k", key)]
        address = archive.address
        return program("findscu", "-v", model, *options, "-aec", address.ae_title, LOOPBACK, address.port, *named)

    return run


@pytest.fixture
def storescp(need: Callable[[str], None]) -> Iterator[Callable[..., Any]]:
    """DCMTK's storescp as a destination, with any of its options."""
    need("storescp")
    return dcmtk.storescp


@dataclass(frozen=True)
class Orthanc:
    """Orthanc with its REST API."""

    peer: RunningPeer
    http_port: int

    @property
    def address(self) -> PeerAddress:
        return self.peer.address

    def ask(self, path: str, body: Any = None, method: str | None = None) -> Any:
        """The JSON that a path answers, posted to when there is a body."""
        octets = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{LOOPBACK}:{self.http_port}{path}", octets, method=method)
        with urllib.request.urlopen(request, timeout=PROGRAM_SECONDS) as answer:
            text = answer.read()
        return json.loads(text) if text else None


@pytest.fixture(scope="module")
def orthanc_rest(archive: Archive, need: Callable[[str], None]) -> Iterator[Orthanc]:
    """Orthanc that knows our archive as `modality0`, and is known to it."""
    need("Orthanc")
    port = free_port()
    with run_orthanc(modalities=[archive.address], http_port=port) as peer:
        archive.know(ORTHANC=peer.address)
        yield Orthanc(peer, port)
