"""`dulcet send` to real peers: what was sent is there octet for octet, and what was not is named with its reason."""

import json
import os
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

JPEG_BASELINE, JPEG_LOSSLESS, JPEG_LS, JPEG_2000, RLE = (
    f"1.2.840.10008.1.2.{suffix}" for suffix in ("4.50", "4.70", "4.80", "4.90", "5")
)


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
    return header.sop_instance_uid, header.transfer_syntax_uid, Path(path).read_bytes()[header.data_set_offset :]


def stored(peer: RunningPeer) -> set[tuple[str, str, bytes]]:
    return {found for path in peer.stored_files() if (found := data_set(path)) is not None}


def was_stored(result):
    return result["outcome"] in ("stored", "stored-with-warning")


@pytest.mark.parametrize(
    ("fixture", "taken"),
    [
        (
            "storescp",
            {IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, JPEG_BASELINE, JPEG_LOSSLESS}
            | {JPEG_LS, JPEG_2000, RLE, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN},
        ),
        (
            "orthanc",
            {IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN, JPEG_BASELINE, JPEG_LOSSLESS}
            | {JPEG_LS, JPEG_2000, RLE, DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN},
        ),
        ("serve", set()),
    ],
)
def test_every_transfer_syntax_that_the_peer_takes_arrives_octet_for_octet(
    fixture, taken, request, dulcet, pydicom_files
):
    peer = request.getfixturevalue(fixture)
    ran = dulcet("send", "--json", "--no-convert", peer.address, pydicom_files)
    files = [result for result in results(ran) if result["outcome"] != "skipped"]
    last_of_instance = {result["sop_instance_uid"]: result for result in files if was_stored(result)}
    expected = {data_set(result["name"]) for result in last_of_instance.values()}
    assert len(expected) > 50, ran.stderr
    missing = {(uid, syntax, len(octets)) for uid, syntax, octets in expected - stored(peer)}
    assert missing == set(), peer.log_tail()
    assert {syntax for _, syntax, _ in expected} >= taken
    assert all(result["explanation"] for result in files if not was_stored(result))


def test_over_tls_with_certificates_on_both_sides(dulcet, storescp_tls, certificates, pydicom_files):
    options = ("--tls", "--tls-ca", certificates.authority)
    ours = ("--tls-cert", certificates.our_certificate, "--tls-key", certificates.our_key)
    ran = dulcet("send", "--json", *options, *ours, storescp_tls.address, pydicom_files / "CT_small.dcm")
    assert ran.returncode == 0, ran.stderr + storescp_tls.log_tail()
    assert stored(storescp_tls) == {data_set(pydicom_files / "CT_small.dcm")}
    without = dulcet("send", *options, storescp_tls.address, pydicom_files / "CT_small.dcm")
    assert without.returncode != 0
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
    assert ran.returncode == 0, ran.stderr
    assert [event["contexts"] for event in events if event["event"] == "assoc.requested"] == (
        [128] if classes == 128 else [128, classes - 128]
    )
    assert len([event for event in events if event["event"] == "store.result"]) == classes


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
