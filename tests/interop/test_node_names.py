"""Real peers called by the names of the node book, with what the book says of them."""

import json
import os
import socket
import subprocess

import pytest

from dulcet.conformance.peers.address import LOOPBACK, free_port
from dulcet.conformance.peers.orthanc import orthanc as run_orthanc
from dulcet.conformance.peers.ours import PROGRAM, dulcet_serve
from dulcet.station.book.own_address import address_towards
from dulcet.station.book.snippets import OurSide, snippet

SECONDS = 60


@pytest.fixture
def named(tmp_path):
    """The command line with a node book of the test's own."""

    def run(*arguments, **variables):
        places = {"DULCET_CONFIG": os.devnull, "DULCET_NODES": str(tmp_path / "nodes.toml")}
        return subprocess.run(
            [*PROGRAM, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env={**os.environ, **places, **variables},
        )

    return run


def test_a_peer_is_called_by_its_name_with_our_title_for_it(named):
    with dulcet_serve("--allow", "WS7", ae_title="ARCHIVE") as peer:
        named("node", "add", "PACS1", peer.address, "--calling-ae-title", "WS7")
        ran = named("echo", "PACS1")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith(f"PACS1 ({peer.address}): success in ")
        refused = named("echo", "PACS1", "-aec", "OTHER", "--json")
        assert refused.returncode == 77
        assert json.loads(refused.stdout)["peer"] == f"PACS1 (OTHER@127.0.0.1:{peer.address.port})"


def test_all_nodes_are_asked_and_those_of_a_tag(named, serve):
    named("node", "add", "HERE", serve.address, "--tag", "up")
    named("node", "add", "GONE", f"NOBODY@127.0.0.1:{free_port()}")
    ran = named("echo", "--all")
    assert ran.returncode == 69
    assert ran.stdout.startswith(f"HERE ({serve.address}): success in ")
    assert ran.stderr.startswith("dulcet: GONE (NOBODY@127.0.0.1:")
    assert named("echo", "--tag", "up").returncode == 0


def test_a_node_brings_its_tls(named, certificates):
    options = ("--tls-cert", certificates.peer_certificate, "--tls-key", certificates.peer_key)
    with dulcet_serve(*map(str, options), "--tls-ca", str(certificates.authority)) as peer:
        ours = ("--tls-cert", certificates.our_certificate, "--tls-key", certificates.our_key)
        named("node", "add", "SAFE", peer.address, "--tls", "--tls-ca", certificates.authority, *ours)
        assert named("echo", "SAFE").returncode == 0
        named("node", "edit", "SAFE", "--unset", "tls_cert", "--unset", "tls_key")
        assert named("echo", "SAFE").returncode != 0


def test_files_go_to_a_name_as_its_node_prefers(named, serve, pydicom_files):
    named("node", "add", "PACS1", serve.address, "--jobs", 2, "--max-pdu", 5000)
    ran = named("send", "-v", "PACS1", pydicom_files / "CT_small.dcm", pydicom_files / "MR_small.dcm")
    assert ran.returncode == 0
    assert ran.stderr.count("> A-ASSOCIATE-RQ ") == 2
    assert len(serve.stored_files()) == 2


def test_a_setting_reaches_the_wire(named, tmp_path):
    (tmp_path / "site.toml").write_text('[dulcet]\naet = "SITE"\n')
    with dulcet_serve("--allow", "SITE") as peer:
        assert named("echo", peer.address).returncode == 77
        assert named("echo", peer.address, DULCET_CONFIG=str(tmp_path / "site.toml")).returncode == 0
        assert named("echo", peer.address, DULCET_AET="SITE").returncode == 0


def test_orthanc_takes_our_snippet_and_its_configuration_is_imported(named, tmp_path):
    us = OurSide(ae_title="WS_7", address=LOOPBACK, port=11112)
    text = snippet("orthanc", us)
    entry = json.loads(text[text.index("{") :])
    with run_orthanc(settings=entry) as peer:
        ran = named("node", "import", peer.directory / "orthanc.json")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout.startswith("ws-7: WS_7@127.0.0.1:11112: added\n")
        assert named("echo", peer.address).returncode == 0


def test_our_address_is_found_without_a_packet():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind((LOOPBACK, 0))
        peer.setblocking(False)
        assert address_towards(LOOPBACK, peer.getsockname()[1]) == LOOPBACK
        with pytest.raises(BlockingIOError):
            peer.recv(1)
