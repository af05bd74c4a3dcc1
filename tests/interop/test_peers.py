"""The peers themselves: each answers DCMTK's echoscu, and leaves no process behind."""

import subprocess
from pathlib import Path

import pydicom
import pytest

from dulcet.conformance.peers import dcmtk
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port, from_environment
from dulcet.conformance.peers.process import executable, find_executable, peer_directory, running_peer
from dulcet.errors import ConfigurationError, PeerUnavailableError

ECHO_SECONDS = 30


def echo(address: PeerAddress, *options: str) -> subprocess.CompletedProcess[str]:
    command = [executable("echoscu"), *options, "-aec", address.ae_title, address.host, str(address.port)]
    return subprocess.run(command, capture_output=True, text=True, timeout=ECHO_SECONDS, check=False)


@pytest.mark.parametrize("fixture", ["storescp", "dcmrecv", "dcmqrscp", "orthanc", "pynetdicom_peer"])
def test_each_peer_answers(fixture, request):
    peer = request.getfixturevalue(fixture)
    answer = echo(peer.address)
    assert answer.returncode == 0, answer.stderr + peer.log_tail()


@pytest.mark.parametrize("fixture", ["storescp", "dcmrecv", "dcmqrscp", "orthanc", "pynetdicom_peer"])
def test_each_peer_stores(fixture, request, tmp_path):
    peer = request.getfixturevalue(fixture)
    before = peer.stored_files()
    command = [executable("storescu"), "-aec", peer.address.ae_title, peer.address.host, str(peer.address.port)]
    sent = subprocess.run(
        [*command, str(an_object(tmp_path))], capture_output=True, text=True, timeout=ECHO_SECONDS, check=False
    )
    assert sent.returncode == 0, sent.stderr + peer.log_tail()
    assert len(peer.stored_files()) > len(before)


def an_object(directory: Path) -> Path:
    data_set = pydicom.Dataset()
    data_set.SOPClassUID = pydicom.uid.CTImageStorage
    data_set.SOPInstanceUID, data_set.StudyInstanceUID, data_set.SeriesInstanceUID = "2.25.1", "2.25.2", "2.25.3"
    data_set.PatientName, data_set.PatientID, data_set.StudyID = "TEST^PEERS", "1", "1"
    data_set.StudyDate, data_set.StudyTime, data_set.AccessionNumber = "20260101", "120000", "1"
    data_set.Modality, data_set.SeriesNumber, data_set.InstanceNumber = "CT", 1, 1
    data_set.file_meta = pydicom.dataset.FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    path = directory / "object.dcm"
    data_set.save_as(path, enforce_file_format=True)
    return path


def test_orthanc_refuses_another_called_ae_title(orthanc):
    other = PeerAddress(ae_title="SOMEBODY", host=LOOPBACK, port=orthanc.address.port)
    answer = echo(other)
    assert answer.returncode != 0
    assert "Called AE Title Not Recognized" in answer.stderr


def test_storescp_speaks_tls_and_wants_a_certificate(storescp_tls, certificates):
    ours = dcmtk.tls_options(
        key=certificates.our_key, certificate=certificates.our_certificate, authority=certificates.authority
    )
    assert echo(storescp_tls.address, "-pw", *ours).returncode == 0, storescp_tls.log_tail()
    assert echo(storescp_tls.address, "-ta", "5").returncode != 0


def test_the_process_and_its_directory_are_gone_afterwards():
    with dcmtk.storescp() as peer:
        assert peer.storage.is_dir()
        assert echo(peer.address).returncode == 0
    assert not peer.directory.exists()
    assert not Path(f"/proc/{peer.pid}").exists()
    assert echo(peer.address).returncode != 0


def test_a_forked_child_ends_with_its_peer(wait_until):
    with dcmtk.storescp("--fork") as peer:
        sender = subprocess.Popen(
            [executable("echoscu"), "--repeat", "1000000", peer.address.host, str(peer.address.port)],
            stderr=subprocess.DEVNULL,
        )
        try:
            while not (members := [pid for pid in group_members(peer.pid) if pid != peer.pid]):
                assert sender.poll() is None
        except BaseException:
            sender.kill()
            raise
    assert members
    sender.wait(ECHO_SECONDS)
    wait_until(lambda: not group_members(peer.pid))  # killed, they let go of the connection before they are gone


def group_members(group: int) -> list[int]:
    """The living processes of a process group."""
    members = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        if entry.name.isdigit() and int(fields[2]) == group and fields[0] != "Z":
            members.append(int(entry.name))
    return members


def test_a_peer_that_dies_says_why(tmp_path):
    address = PeerAddress(ae_title="X", host=LOOPBACK, port=free_port())
    command = ["sh", "-c", "echo out of luck; exit 3"]
    with (
        pytest.raises(PeerUnavailableError, match=r"(?s)ended with 3 .*out of luck"),
        running_peer(command, address=address, directory=tmp_path, storage=tmp_path),
    ):
        pytest.fail("it was never ready")


def test_a_peer_that_never_listens_is_given_up_and_ended(tmp_path, monkeypatch):
    address = PeerAddress(ae_title="X", host=LOOPBACK, port=free_port())
    popen, started = subprocess.Popen, []

    def start(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    command = ["sleep", "1000"]
    with (
        pytest.raises(PeerUnavailableError, match=r"was not ready within 0\.3 s"),
        running_peer(command, address=address, directory=tmp_path, storage=tmp_path, ready_seconds=0.3),
    ):
        pytest.fail("it was never ready")
    (process,) = started
    assert process.returncode is not None  # it was waited for, and is no more


def test_a_program_that_is_not_installed_says_how_to_install_it():
    assert find_executable("no-such-peer") is None
    with pytest.raises(ConfigurationError, match="make peers"):
        executable("no-such-peer")


def test_a_directory_of_a_peer_can_lie_elsewhere(tmp_path):
    with peer_directory("x", tmp_path) as directory:
        assert directory.parent == tmp_path
    assert not directory.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PACS@example:104", ("PACS", "example", 104)),
        ("A@B@10.0.0.1:11112", ("A@B", "10.0.0.1", 11112)),
        ("PACS@[::1]:104", ("PACS", "::1", 104)),
    ],
)
def test_an_address_is_read_and_written(text, expected, monkeypatch):
    monkeypatch.setenv("DULCET_PEER_TEST", text)
    address = from_environment("DULCET_PEER_TEST")
    assert (address.ae_title, address.host, address.port) == expected
    assert str(address) == text


@pytest.mark.parametrize(
    "text", ["PACS", "PACS@host", "@host:104", "PACS@:104", "PACS@host:", "PACS@h:x", "A@h:0", "A@h:65536"]
)
def test_what_is_no_address_is_refused(text, monkeypatch):
    monkeypatch.setenv("DULCET_PEER_TEST", text)
    with pytest.raises(ConfigurationError, match=r"AET@host:port|65535"):
        from_environment("DULCET_PEER_TEST")


def test_no_address_in_the_environment_is_none(monkeypatch):
    monkeypatch.setenv("DULCET_PEER_TEST", "")
    assert from_environment("DULCET_PEER_TEST") is None
