"""Orthanc against our archive by its REST API: queries, C-MOVE to it, C-STORE from it, commitment both ways."""

import io
import threading

import pydicom
import pytest

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.orthanc import orthanc as run_orthanc

ROOT = "1.2.826.0.1.3680043.9.7.5"
FEW, BIG = f"{ROOT}.2.1", f"{ROOT}.3"
CT = "1.2.840.10008.5.1.4.1.1.2"
MODALITY = "/modalities/modality0"


@pytest.mark.parametrize(
    ("level", "query", "count"),
    [
        ("Patient", {"PatientID": "ID-FEW*"}, 1),
        ("Study", {"PatientName": "NOBODY"}, 0),
        ("Study", {"StudyDate": "20260201-20260203", "PatientName": ""}, 3),
        ("Study", {"PatientName": "MANY*"}, 5000),
        ("Series", {"StudyInstanceUID": FEW}, 3),
        ("Instance", {"StudyInstanceUID": BIG, "SeriesInstanceUID": f"{BIG}.1"}, 100),
    ],
)
def test_queries_of_orthanc(orthanc_rest, level, query, count):
    asked = orthanc_rest.ask(f"{MODALITY}/query", {"Level": level, "Query": query})
    assert len(orthanc_rest.ask(f"/queries/{asked['ID']}/answers")) == count


def test_a_study_moved_to_orthanc(orthanc_rest):
    asked = orthanc_rest.ask(f"{MODALITY}/query", {"Level": "Study", "Query": {"StudyInstanceUID": BIG}})
    job = orthanc_rest.ask(f"/queries/{asked['ID']}/retrieve", b"ORTHANC")
    assert job["Query"][0]["0020,000d"] == BIG
    assert orthanc_rest.ask("/statistics")["CountInstances"] == 500
    (study,) = orthanc_rest.ask("/studies?expand")
    assert study["PatientMainDicomTags"]["PatientName"] == "BIG^ONE"


def test_a_series_moved_to_orthanc(orthanc_rest):
    before = orthanc_rest.ask("/statistics")["CountInstances"]
    resources = [{"StudyInstanceUID": FEW, "SeriesInstanceUID": f"{FEW}.2"}]
    orthanc_rest.ask(f"{MODALITY}/move", {"Level": "Series", "Resources": resources, "TargetAet": "ORTHANC"})
    assert orthanc_rest.ask("/statistics")["CountInstances"] == before + 1


def new_object(uid):
    data_set = pydicom.Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = CT, uid
    data_set.PatientName, data_set.PatientID = "SENT^BY", "ORTHANC"
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.Modality = f"{uid}.1", f"{uid}.2", "CT"
    data_set.file_meta = pydicom.dataset.FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data_set.file_meta.MediaStorageSOPClassUID, data_set.file_meta.MediaStorageSOPInstanceUID = CT, uid
    octets = io.BytesIO()
    data_set.save_as(octets, enforce_file_format=True)
    return octets.getvalue()


def test_what_orthanc_stores_it_finds_at_once(orthanc_rest):
    """No waiting in between: what was acknowledged is in the next query."""
    for number in range(5):
        uid = f"{ROOT}.9.{number}"
        stored = orthanc_rest.ask("/instances", new_object(uid))
        orthanc_rest.ask(f"{MODALITY}/store", [stored["ID"]])
        asked = orthanc_rest.ask(f"{MODALITY}/query", {"Level": "Study", "Query": {"StudyInstanceUID": f"{uid}.1"}})
        assert len(orthanc_rest.ask(f"/queries/{asked['ID']}/answers")) == 1


def test_orthanc_asks_us_for_commitment(orthanc_rest):
    """It releases the association and takes the report on another."""
    instances = [{"SOPClassUID": CT, "SOPInstanceUID": uid} for uid in (f"{BIG}.1.0", f"{BIG}.2.1", "1.2.3.4")]
    asked = orthanc_rest.ask(f"{MODALITY}/storage-commitment", {"DicomInstances": instances, "Timeout": 30})
    waiting = threading.Event()
    for _ in range(1200):
        report = orthanc_rest.ask(f"/storage-commitment/{asked['ID']}")
        if report["Status"] != "Pending":
            break
        waiting.wait(0.05)
    assert report["Status"] == "Failure"
    assert {one["SOPInstanceUID"] for one in report["Success"]} == {f"{BIG}.1.0", f"{BIG}.2.1"}
    assert [(one["SOPInstanceUID"], one["FailureReason"]) for one in report["Failures"]] == [("1.2.3.4", 0x0112)]


def test_we_ask_orthanc_for_commitment(dulcet, need, tmp_path):
    """It reports on another association, to the port where we listen."""
    need("Orthanc")
    ours = PeerAddress(ae_title="DULCET", host=LOOPBACK, port=free_port())
    path = tmp_path / "one.dcm"
    path.write_bytes(new_object(f"{ROOT}.10.1"))
    with run_orthanc(modalities=[ours]) as peer:
        assert dulcet("send", peer.address, path, "-q").returncode == 0
        listening = ("--port", ours.port, "--bind", LOOPBACK, "--wait", 30)
        done = dulcet("commit", peer.address, path, *listening)
        assert (done.returncode, done.stdout) == (0, f"{peer.address} keeps 1 of 1 instance.\n"), done.stderr
        done = dulcet("commit", peer.address, path, f"{CT}:1.2.3.4", *listening, "--json")
        assert done.returncode == 1
        assert '"sop_instance_uid":"1.2.3.4","committed":false,"reason":"0112H: no such object instance"' in done.stdout
        done = dulcet("commit", peer.address, path, "--wait", 1)
        assert done.returncode == 75
        assert "--port" in done.stderr
