"""Real peers for the interop tests.

A peer that is missing skips its tests with a sentence that says how to install it; with DULCET_REQUIRE_PEERS=1 that
is a failure. `DULCET_PEER_STORE=AET@host:port` and its like (CONTRIBUTING.md) put another product in a peer's place.
"""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pydicom
import pytest
import trustme

from dulcet.conformance.peers import dcmtk
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port, from_environment
from dulcet.conformance.peers.orthanc import orthanc as run_orthanc
from dulcet.conformance.peers.ours import PROGRAM, dulcet_serve
from dulcet.conformance.peers.process import RunningPeer, find_executable, how_to_install
from dulcet.conformance.peers.pynetdicom import find_pynetdicom_python, pynetdicom_storescp


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """PEM files of one throw-away authority and of both sides; the peer's is valid for localhost and 127.0.0.1."""

    authority: Path
    peer_certificate: Path
    peer_key: Path
    our_certificate: Path
    our_key: Path


def need(program: str) -> None:
    """Skip, or fail where peers are required, unless the peer's program is installed."""
    found = find_pynetdicom_python() if program == "pynetdicom" else find_executable(program)
    if found is None:
        sentence = how_to_install(program)
        if os.environ.get("DULCET_REQUIRE_PEERS") == "1":
            pytest.fail(f"{sentence} (DULCET_REQUIRE_PEERS=1)", pytrace=False)
        pytest.skip(sentence)


@pytest.fixture(scope="session", name="need")
def need_fixture() -> Callable[[str], None]:
    """For tests that start a peer of their own."""
    return need


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    directory = tmp_path_factory.mktemp("certificates")
    files = Certificates(
        authority=directory / "authority.pem",
        peer_certificate=directory / "peer.pem",
        peer_key=directory / "peer.key",
        our_certificate=directory / "our.pem",
        our_key=directory / "our.key",
    )
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(files.authority))
    for issued, certificate, key in (
        (authority.issue_cert("localhost", LOOPBACK), files.peer_certificate, files.peer_key),
        (authority.issue_cert("dulcet.example"), files.our_certificate, files.our_key),
    ):
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
    return files


@pytest.fixture(scope="module")
def store_peer() -> Iterator[PeerAddress]:
    """Where C-ECHO and C-STORE go: DCMTK's storescp, or DULCET_PEER_STORE."""
    address = from_environment("DULCET_PEER_STORE")
    if address is not None:
        yield address
        return
    need("storescp")
    with dcmtk.storescp("+xa", "--fork") as peer:
        yield peer.address


@pytest.fixture
def storescp() -> Iterator[RunningPeer]:
    """A storescp of the test's own, writing what it gets octet for octet: `storescp.stored_files()`."""
    need("storescp")
    with dcmtk.storescp("+B", "+xa") as peer:
        yield peer


@pytest.fixture
def storescp_tls(certificates: Certificates) -> Iterator[RunningPeer]:
    """storescp over TLS; it demands our certificate."""
    need("storescp")
    options = dcmtk.tls_options(
        key=certificates.peer_key, certificate=certificates.peer_certificate, authority=certificates.authority
    )
    with dcmtk.storescp("+B", "+xa", "-pw", *options) as peer:
        yield peer


@pytest.fixture
def dcmrecv() -> Iterator[RunningPeer]:
    need("dcmrecv")
    with dcmtk.dcmrecv("+B") as peer:
        yield peer


@pytest.fixture(scope="session")
def move_destination() -> PeerAddress:
    """The destination that the archives know, for a C-MOVE: nobody listens there until the test does."""
    return PeerAddress(ae_title="DULCET", host=LOOPBACK, port=free_port())


@pytest.fixture(scope="module")
def dcmqrscp(move_destination: PeerAddress) -> Iterator[RunningPeer]:
    """An archive that is empty when the module starts."""
    need("dcmqrscp")
    with dcmtk.dcmqrscp(destinations=[move_destination]) as peer:
        yield peer


@pytest.fixture(scope="module")
def orthanc(move_destination: PeerAddress) -> Iterator[RunningPeer]:
    """An archive that is empty when the module starts; refuses another called AE title than ORTHANC."""
    need("Orthanc")
    with run_orthanc(modalities=[move_destination]) as peer:
        yield peer


@pytest.fixture
def pynetdicom_peer() -> Iterator[RunningPeer]:
    need("pynetdicom")
    with pynetdicom_storescp() as peer:
        yield peer


Condition = Callable[[], Any]
PATIENCE = 60.0


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Condition], Any]:
    """Asks until it is so, and gives what it was told: another process does not tell us of itself."""

    def wait(is_so: Condition) -> Any:
        deadline = time.monotonic() + PATIENCE
        while not (found := is_so()):
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.02)
        return found

    return wait


Run = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM_SECONDS = 120


@pytest.fixture(scope="session")
def dulcet() -> Run:
    """The command line as a process of its own, as a user runs it."""

    def run(*arguments: object, seconds: float = PROGRAM_SECONDS) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env={**os.environ, "NO_COLOR": "1", "DULCET_CONFIG": os.devnull, "DULCET_NODES": os.devnull},
        )

    return run


@pytest.fixture
def serve() -> Iterator[RunningPeer]:
    """`dulcet serve` with its defaults."""
    with dulcet_serve() as peer:
        yield peer


@pytest.fixture(scope="session")
def pydicom_files() -> Path:
    """The folder of DICOM files, odd ones too, that pydicom brings for its own tests."""
    return Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.fixture(scope="session")
def need_program() -> Callable[[str], None]:
    """`need`, for tests that find out late what they need."""
    return need


@pytest.fixture(scope="session")
def pages() -> ModuleType:
    """How a page of commands is read: pages.py beside this file."""
    spec = importlib.util.spec_from_file_location("interop_pages", Path(__file__).with_name("pages.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["interop_pages"] = module
    spec.loader.exec_module(module)
    return module
