"""`dulcet send` to real peers: what was sent is there octet for octet, and what was not is named with its reason."""

import json
import os
import shutil
import warnings
from pathlib import Path

import pydicom
import pytest

from dulcet.conformance.peers.dcmtk import storescp as run_storescp
from dulcet.conformance.peers.process import RunningPeer
from dulcet.conformance.peers.pynetdicom import pynetdicom_storescp
from dulcet.dimse.uids import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_SOP_CLASSES,
)
from dulcet.errors import NotDICOMError
from dulcet.services.part10 import read_header

JPEG_BASELINE, JPEG_2000, RLE = (f"1.2.840.10008.1.2.{suffix}" for suffix in ("4.50", "4.90", "5"))


def results(ran):
    """The `store.result` events of a `send --json`."""
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    assert events[-1]["event"] == "summary", ran.stderr
    return [event for event in events if event["event"] == "store.result"]


def data_set(path):
    """(SOP Instance UID, transfer syntax, octets of the data set) of a file; None if it is not DICOM."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        header = read_header(descriptor)
    except NotDICOMError:
        return None
    finally:
        os.close(descriptor)
    octets = Path(path).read_bytes()[header.data_set_offset :]
    return header.sop_instance_uid, header.transfer_syntax_uid, octets + b"\0" * (len(octets) % 2)  # PS3.5 A.5


def stored(peer: RunningPeer) -> set[tuple[str, str, bytes]]:
    return {found for path in peer.stored_files() if (found := data_set(path)) is not None}


def was_stored(result):
    return result["outcome"] in ("stored", "stored-with-warning")


UNCOMPRESSED = {IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN}
EVERYTHING = {*UNCOMPRESSED, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, JPEG_BASELINE, JPEG_2000, RLE}


@pytest.fixture
def whole_files(pydicom_files, tmp_path):
    """pydicom's test files without damaged ones: what a receiver makes of them is its own affair."""
    damaged = shutil.ignore_patterns("*truncated*", "SC_rgb_jpeg.dcm")
    return shutil.copytree(pydicom_files, tmp_path / "files", ignore=damaged)


def send_all(dulcet, peer, folder):
    """What `send` says it stored, the last of each SOP Instance; everything else has a reason."""
    ran = dulcet("send", "--json", "--no-convert", "--retries", "0", peer.address, folder)
    files = [result for result in results(ran) if result["outcome"] != "skipped"]
    assert all(result["explanation"] for result in files if not was_stored(result))
    last = {result["sop_instance_uid"]: Path(result["name"]) for result in files if was_stored(result)}
    assert len(last) > 50, ran.stderr
    return last


@pytest.mark.parametrize("fixture", ["storescp", "serve"])
def test_every_transfer_syntax_arrives_octet_for_octet(fixture, request, dulcet, whole_files):
    peer = request.getfixturevalue(fixture)
    last = send_all(dulcet, peer, whole_files)
    expected = {data_set(path) for path in last.values()}
    assert {(uid, syntax, len(octets)) for uid, syntax, octets in expected - stored(peer)} == set(), peer.log_tail()
    assert {syntax for _, syntax, _ in expected} >= EVERYTHING


def test_every_transfer_syntax_that_orthanc_takes_arrives_element_for_element(orthanc, dulcet, whole_files):
    """Orthanc encodes anew what it stores, so elements are compared, without group lengths and padding."""
    last = send_all(dulcet, orthanc, whole_files)
    kept = {}
    for path in orthanc.stored_files():
        if (found := data_set(path)) is not None:
            kept[found[0]] = path
    different = [path.name for uid, path in last.items() if elements(kept[uid]) != elements(path)]
    assert different == []
    assert {data_set(path)[1] for path in last.values()} >= EVERYTHING


def elements(path):
    """Every element of a file that means something, by tag; Orthanc also mends the VR of encapsulated Pixel Data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pydicom.dcmread(path, force=True)
        found.decode()
        padding = 0xFFFCFFFC
        kept = [element for element in found.iterall() if element.tag.element != 0 and element.tag != padding]
        return [(element.tag, element.value) for element in kept if element.VR != "SQ"]


def test_over_tls_with_certificates_on_both_sides(dulcet, storescp_tls, certificates, pydicom_files):
    options = ("--tls", "--tls-ca", certificates.authority)
    ours = ("--tls-cert", certificates.our_certificate, "--tls-key", certificates.our_key)
    ran = dulcet("send", "--json", *options, *ours, storescp_tls.address, pydicom_files / "CT_small.dcm")
    assert ran.returncode == 0, ran.stderr + storescp_tls.log_tail()
    assert stored(storescp_tls) == {data_set(pydicom_files / "CT_small.dcm")}
    without = dulcet("send", *options, storescp_tls.address, pydicom_files / "CT_small.dcm")
    assert without.returncode == 77
    assert "wants a client certificate" in without.stderr + without.stdout


@pytest.mark.parametrize("max_pdu", [4096, 16384, 131072])
def test_a_peer_that_takes_small_pdus(max_pdu, dulcet, pydicom_files):
    with run_storescp("+B", max_pdu=max_pdu) as peer:
        ran = dulcet("send", "--json", peer.address, pydicom_files / "CT_small.dcm")
        assert ran.returncode == 0, ran.stderr + peer.log_tail()
        assert stored(peer) == {data_set(pydicom_files / "CT_small.dcm")}


@pytest.mark.parametrize("max_pdu", [0, 4097, 16383])
def test_a_peer_that_takes_any_length_and_one_that_takes_an_odd_one(max_pdu, dulcet, pydicom_files, request):
    request.getfixturevalue("pynetdicom_peer")  # says what to install where it is missing
    with pynetdicom_storescp(max_pdu=max_pdu) as peer:
        ran = dulcet("send", "--json", peer.address, pydicom_files / "CT_small.dcm")
        assert ran.returncode == 0, ran.stderr + peer.log_tail()
        (path,) = peer.stored_files()
        assert pydicom.dcmread(path) == pydicom.dcmread(pydicom_files / "CT_small.dcm")


@pytest.mark.parametrize("identity", [("--user", "alice"), ("--user", "alice", "--password-file", "{password}")])
def test_a_user_identity_does_no_harm_to_a_peer_that_ignores_it(identity, dulcet, storescp, pydicom_files, tmp_path):
    password = tmp_path / "password"
    password.write_text("secret\n")
    options = [option.format(password=password) for option in identity]
    ran = dulcet("send", *options, storescp.address, pydicom_files / "CT_small.dcm")
    assert ran.returncode == 0, ran.stderr
    assert "secret" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("classes", [128, 140])
def test_as_many_presentation_contexts_as_fit_and_more(classes, dulcet, orthanc, tmp_path, part10_of):
    """One context for each SOP class; what is beyond 128 goes over a second association."""
    for number, sop_class in enumerate(sorted(STORAGE_SOP_CLASSES)[:classes]):
        (tmp_path / f"{number}.dcm").write_bytes(part10_of(sop_class, f"2.25.{classes}{number:04}"))
    ran = dulcet("send", "--json", orthanc.address, tmp_path)
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [event["contexts"] for event in events if event["event"] == "assoc.requested"] == (
        [128] if classes == 128 else [128, classes - 128]
    )
    outcomes = [(event["outcome"], event.get("explanation")) for event in events if event["event"] == "store.result"]
    assert len(outcomes) == classes
    refused = [explanation for outcome, explanation in outcomes if outcome != "stored"]
    assert len(refused) < 10, "Orthanc takes all but a few"
    assert all("abstract-syntax-not-supported" in explanation for explanation in refused)


@pytest.fixture
def part10_of():
    """A small object of any SOP class, with what an archive indexes."""

    def encode(sop_class: str, instance: str) -> bytes:
        import io

        data = pydicom.Dataset()
        data.SOPClassUID, data.SOPInstanceUID = sop_class, instance
        data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.9", "2.25.10"
        data.PatientID, data.PatientName, data.Modality = "1", "CONTEXTS^MANY", "OT"
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        buffer = io.BytesIO()
        data.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()

    return encode


def test_several_associations_and_several_operations_in_flight(dulcet, pydicom_files, request):
    request.getfixturevalue("storescp")
    with run_storescp("+B", "+xa", "--fork") as peer:
        ran = dulcet("send", "--json", "--jobs", 4, "--async-window", 8, peer.address, pydicom_files / "dicomdirtests")
        assert ran.returncode == 0, ran.stderr
        sent = {data_set(result["name"]) for result in results(ran) if was_stored(result)}
        assert sent == stored(peer)
        assert len(sent) > 20
