"""Each example does what it says, beside real peers, and fits on a screen."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dulcet
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.process import executable, peer_directory, running_peer

EXAMPLES = Path(dulcet.__file__).parent / "examples"
MOST_LINES = 40
SECONDS = 60


def run(name, *arguments):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_echo_a_peer(storescp):
    ran = run("echo_a_peer.py", storescp.address.ae_title, LOOPBACK, storescp.address.port)
    assert ran.returncode == 0, ran.stderr
    assert "answered 0000H" in ran.stdout


def test_echo_a_peer_that_is_not_there():
    ran = run("echo_a_peer.py", "NOBODY", LOOPBACK, free_port())
    assert ran.returncode == 1
    assert "is not there" in ran.stdout


def test_send_a_file(storescp, pydicom_files):
    path = pydicom_files / "CT_small.dcm"
    ran = run("send_a_file.py", storescp.address.ae_title, LOOPBACK, storescp.address.port, path)
    assert ran.returncode == 0, ran.stderr
    assert "status 0000H" in ran.stdout
    assert len(storescp.stored_files()) == 1


def test_find_studies(dcmqrscp, pydicom_files, dulcet):
    folder = pydicom_files / "dicomdirtests" / "98892001"
    assert dulcet("send", "--quiet", dcmqrscp.address, folder).returncode in (0, 1)
    ran = run("find_studies.py", dcmqrscp.address.ae_title, LOOPBACK, dcmqrscp.address.port, "Doe*")
    assert ran.returncode == 0, ran.stderr
    assert "Doe^Peter" in ran.stdout


def test_receive_objects(pydicom_files):
    address = PeerAddress(ae_title="EXAMPLE", host=LOOPBACK, port=free_port())
    with peer_directory("example") as directory:
        command = [sys.executable, str(EXAMPLES / "receive_objects.py"), str(address.port), str(directory / "stored")]
        with running_peer(
            command, address=address, directory=directory, storage=directory / "stored", environment=os.environ
        ) as peer:
            sender = [executable("storescu"), "-aec", "EXAMPLE", LOOPBACK, str(address.port)]
            sent = subprocess.run([*sender, str(pydicom_files / "CT_small.dcm")], timeout=SECONDS, check=False)
            assert sent.returncode == 0
            assert [path for path in peer.stored_files() if path.suffix == ".dcm"]


def test_watch_the_state_machine():
    ran = run("watch_the_state_machine.py")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.rstrip().endswith("requestor Sta1, acceptor Sta13")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_fits_on_a_screen(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES
    assert f"def test_{path.stem}(" in Path(__file__).read_text()
