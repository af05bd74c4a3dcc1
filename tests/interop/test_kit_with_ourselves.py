"""The kit against dulcet itself, in each part that it plays: all that is required or recommended passes."""

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
import trustme

from dulcet.cli import run as dulcet
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.ours import dulcet_serve
from dulcet.conformance.peers.process import RunningPeer

ARTIM_SECONDS = 5
PATIENT = ("--timeout", "4")  # beyond what a machine may hold us up for
LONG_QUERY_MATCHES = 1000
DESTINATION = "KITDEST"
LEVELS = ("--level", "required", "--level", "recommended")
DECIDED_ELSEWHERE = {
    "dimse.find.cancel.running": "a few matches are all in one write: test_a_long_query_is_cancelled",
    "dimse.move.cancel.running": "three objects are sent before a busy kit can cancel; move.cancel.immediate tells",
}
Cases = dict[str, dict[str, Any]]


def conform(arguments: list[str], directory: Path) -> Cases:
    """The cases by id."""
    output = directory / "result.json"
    dulcet(["conform", *arguments, *LEVELS, "--quiet", "--output", str(output)])
    return {case["id"]: case for case in json.loads(output.read_text())["cases"]}


def of(verdict: str, cases: Cases) -> dict[str, str]:
    return {case_id: case["explanation"] for case_id, case in cases.items() if case["verdict"] == verdict}


def assert_nothing_is_wrong(cases: Cases, passed: int) -> None:
    assert of("FAIL", cases) == {}
    assert of("WARN", cases) == {}
    assert of("INCONCLUSIVE", cases).keys() - DECIDED_ELSEWHERE.keys() == set()
    assert len(of("PASS", cases)) >= passed


@pytest.fixture
def our_server(tmp_path: Path) -> Iterator[Callable[..., PeerAddress]]:
    """Starts `dulcet serve` as an archive and a worklist that knows the kit as a destination."""
    running = []
    port = free_port()
    (tmp_path / "nodes.toml").write_text(f'[kit]\nae_title = "{DESTINATION}"\nhost = "{LOOPBACK}"\nport = {port}\n')
    (tmp_path / "kit.toml").write_text(f'[move]\ndestination = "{DESTINATION}"\nport = {port}\n')
    (tmp_path / "worklist").mkdir()
    options = ("--query", "--worklist", str(tmp_path / "worklist"), "--nodes", str(tmp_path / "nodes.toml"))
    options += ("--artim", str(ARTIM_SECONDS), "--max-per-address", "100", "--async-window", "4", "--allow-any")

    def start(*others: str, storage: Path | None = None) -> RunningPeer:
        manager = dulcet_serve(*options, *others, storage=storage)
        running.append(manager)
        return manager.__enter__()

    yield lambda *others, **named: start(*others, **named).address
    for manager in running:
        manager.__exit__(None, None, None)


def test_our_server(our_server, tmp_path):
    arguments = ["scp", str(our_server()), "--artim", str(ARTIM_SECONDS), "--config", str(tmp_path / "kit.toml")]
    arguments += PATIENT
    assert_nothing_is_wrong(conform(arguments, tmp_path), 220)


def test_our_server_over_tls(our_server, tmp_path):
    """The kit's and the server's certificate are one, of an RSA key: the suites of the profile are RSA's."""
    authority, certificate = tmp_path / "authority.pem", tmp_path / "certificate.pem"
    issuer = trustme.CA(key_type=trustme.KeyType.RSA)
    issuer.cert_pem.write_to_path(str(authority))
    issuer.issue_cert("localhost", LOOPBACK, key_type=trustme.KeyType.RSA).private_key_and_cert_chain_pem.write_to_path(
        str(certificate)
    )
    server = our_server("--tls-cert", str(certificate), "--tls-ca", str(authority))
    arguments = ["scp", str(server), "--artim", str(ARTIM_SECONDS), "--config", str(tmp_path / "kit.toml"), "--tls"]
    arguments += ["--tls-ca", str(authority), "--tls-cert", str(certificate), "--tls-name", "localhost"]
    arguments += PATIENT
    assert_nothing_is_wrong(conform(arguments, tmp_path), 230)


@pytest.mark.parametrize("kind", [trustme.KeyType.ECDSA, trustme.KeyType.RSA], ids=["EC", "RSA"])
def test_the_key_of_the_certificate_chooses_among_the_suites(kind, our_server, tmp_path):
    """An EC key can't serve an RSA suite: nobody is to blame for that."""
    authority, certificate = tmp_path / "authority.pem", tmp_path / "certificate.pem"
    issuer = trustme.CA(key_type=kind)
    issuer.cert_pem.write_to_path(str(authority))
    issuer.issue_cert("localhost", LOOPBACK, key_type=kind).private_key_and_cert_chain_pem.write_to_path(
        str(certificate)
    )
    server = our_server("--tls-cert", str(certificate), "--tls-anonymous")
    chosen = [word for group in ("tls.cipher", "tls.version", "tls.dh", "tls.ecdhe") for word in ("--case", group)]
    arguments = ["scp", str(server), *chosen, "--tls", "--tls-ca", str(authority), "--tls-name", "localhost"]
    cases = conform(arguments, tmp_path)
    assert {case_id: case["verdict"] for case_id, case in cases.items()} == dict.fromkeys(cases, "PASS")
    assert len(cases) == 10
    refused = [case["observed"] for case in cases.values() if case["outcome"] == "REFUSED"]
    assert all(observed.partition("failed: ")[2] for observed in refused)


def test_a_node_says_itself_that_it_speaks_tls(our_server, tmp_path, monkeypatch):
    authority, certificate = tmp_path / "authority.pem", tmp_path / "certificate.pem"
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(str(authority))
    issuer.issue_cert("pacs.example").private_key_and_cert_chain_pem.write_to_path(str(certificate))
    server = our_server("--tls-cert", str(certificate), "--tls-anonymous")
    (tmp_path / "book.toml").write_text(
        f'[TESTED]\nae_title = "{server.ae_title}"\nhost = "{server.host}"\nport = {server.port}\n'
        f'tls = true\ntls_ca = "{authority}"\ntls_name = "pacs.example"\n'
    )
    monkeypatch.setenv("DULCET_NODES", str(tmp_path / "book.toml"))
    cases = conform(["scp", "TESTED", "--case", "tls.version", "--case", "dimse.echo"], tmp_path)
    assert of("PASS", cases).keys() == cases.keys()
    assert any(case_id.startswith("tls.") for case_id in cases)


def test_a_long_query_is_cancelled(our_server, tmp_path):
    """With so many matches the C-CANCEL comes in the middle."""
    files = tmp_path / "files"
    files.mkdir()
    octets = an_image(tmp_path).read_bytes()
    for number in range(LONG_QUERY_MATCHES):
        name = f"2.25.{10**9 + number}"
        (files / f"{name}.dcm").write_bytes(octets.replace(b"2.25.1000000000", name.encode()))
    server = str(our_server("--durability", "none"))
    assert dulcet(["send", server, str(files), "--quiet", "--async-window", "4"]) == 0
    cases = conform(["scp", server, "--case", "dimse.find.cancel.running"], tmp_path)
    assert of("PASS", cases).keys() == {"dimse.find.cancel.running"}


def an_image(directory: Path, uid: str = "2.25.1000000000") -> Path:
    """A small synthetic image whose UIDs are all `uid`."""
    image = pydicom.Dataset()
    image.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    image.SOPInstanceUID = image.StudyInstanceUID = image.SeriesInstanceUID = uid
    image.PatientName, image.PatientID = "DULCET^CONFORMANCE", "DULCET-CONFORMANCE"
    image.StudyDate, image.StudyTime, image.Modality = "20260101", "120000", "OT"
    image.PixelData = bytes(20_000)
    image["PixelData"].VR = "OB"
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    path = directory / f"{uid}.dcm"
    image.save_as(path, enforce_file_format=True)
    return path


COMMANDS = {
    "echo": "echo {aet}@{host}:{port}",
    "store": "send {aet}@{host}:{port} FILES --retries 0",
    "find": "find {aet}@{host}:{port} studies --patient DULCET*",
    "find-cancel": "find {aet}@{host}:{port} studies --patient DULCET* --limit 1",
    "move": "move {aet}@{host}:{port} --study 2.25.1 --to ELSEWHERE",
    "get": "get {aet}@{host}:{port} --study 2.25.1 --directory RECEIVED",
    "tls": "echo {aet}@{host}:{port} --tls",
}


def commands(directory: Path, *activities: str, more: str = "") -> list[str]:
    """`--exec` for these activities of `COMMANDS`."""
    for number in range(4):
        files = directory / "files"
        files.mkdir(exist_ok=True)
        an_image(files, f"2.25.{number + 1}")
    program = f"{shlex.quote(sys.executable)} -m dulcet"
    places = {"FILES": str(directory / "files"), "RECEIVED": str(directory / "received")}
    arguments = []
    for activity in activities:
        words = [places.get(word, word) for word in COMMANDS[activity].split()]
        arguments += ["--exec", f"{activity}={program} {shlex.join(words)} --timeout 10 {more}"]
    return arguments


WITH_A_WINDOW = ("dimse.async.r.out-of-order", "dimse.async.r.window-kept")


def test_our_commands(tmp_path, monkeypatch):
    """echo, send, find, move, get: each with its own exit code."""
    monkeypatch.setenv("DULCET_CONFIG", "/dev/null")
    without = [word for case_id in WITH_A_WINDOW for word in ("--without", case_id)]
    arguments = ["scu", "--exit-code-tells", "--artim", "10", *without, *commands(tmp_path, *COMMANDS)]
    assert_nothing_is_wrong(conform(arguments, tmp_path), 130)


def test_our_operations_in_flight(tmp_path, monkeypatch):
    monkeypatch.setenv("DULCET_CONFIG", "/dev/null")
    chosen = [word for case_id in WITH_A_WINDOW for word in ("--case", case_id)]
    cases = conform(["scu", *chosen, *commands(tmp_path, "store", more="--async-window 2")], tmp_path)
    assert of("PASS", cases).keys() == set(WITH_A_WINDOW)
