"""findscu -W against our worklist and DCMTK's wlmscpfs on the same folder: the same answers."""

import shutil

import pydicom
import pytest

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.ours import dulcet_serve
from dulcet.conformance.peers.process import executable, running_peer

STEP = "ScheduledProcedureStepSequence[0]"


def write(path, name, station, date, time, modality):
    step = pydicom.Dataset()
    step.Modality, step.ScheduledStationAETitle = modality, station
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = date, time
    step.ScheduledPerformingPhysicianName = "SMITH^A"
    step.ScheduledProcedureStepID = "SPS1"
    step.ScheduledProcedureStepDescription = "Something"
    item = pydicom.Dataset()
    item.SpecificCharacterSet = "ISO_IR 100"
    item.AccessionNumber = f"A{path.stem}"
    item.PatientName, item.PatientID = name, f"P{path.stem}"
    item.PatientBirthDate, item.PatientSex = "19700101", "F"
    item.StudyInstanceUID, item.RequestedProcedureID = f"1.2.{path.stem}", "RP1"
    item.RequestedProcedureDescription = "Some procedure"
    item.ScheduledProcedureStepSequence = pydicom.Sequence([step])
    item.file_meta = pydicom.dataset.FileMetaDataset()
    item.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.31"
    item.file_meta.MediaStorageSOPInstanceUID = f"1.2.9.{path.stem}"
    item.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    item.save_as(path, enforce_file_format=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    directory = tmp_path_factory.mktemp("worklists") / "WORKLIST"
    directory.mkdir()
    (directory / "lockfile").touch()
    write(directory / "1.wl", "DOE^JANE", "CT1", "20260105", "0930", "CT")
    write(directory / "2.wl", "ROE^JOHN", "CT1", "20260105", "1430", "CT")
    write(directory / "3.wl", "POE^EDGAR", "CT1", "20260106", "0800", "CT")
    write(directory / "4.wl", "M\u00fcller^\u00c5sa", "MR1", "20260105", "1000", "MR")
    return directory


@pytest.fixture(scope="module")
def peers(folder, need):
    """(ours, wlmscpfs)."""
    need("wlmscpfs")
    theirs = PeerAddress(ae_title="WORKLIST", host=LOOPBACK, port=free_port())
    command = [executable("wlmscpfs"), "-dfp", str(folder.parent), str(theirs.port)]
    with (
        running_peer(command, address=theirs, directory=folder.parent, storage=folder),
        dulcet_serve("--worklist", str(folder), "--min-free", "1M", ae_title="WORKLIST") as ours,
    ):
        yield ours.address, theirs


@pytest.fixture
def ask(program, tmp_path):
    def run(address, keys):
        directory = tmp_path / str(address.port)
        directory.mkdir()
        named = [word for key in keys for word in ("-k", key)]
        said = program(
            *("findscu", "-v", "-W", "-X", "-od", directory, "-aec", address.ae_title, LOOPBACK, address.port, *named)
        )
        assert said.code == 0
        found = [pydicom.dcmread(path, force=True) for path in sorted(directory.iterdir())]
        shutil.rmtree(directory)
        return found

    return run


RETURNED = ("PatientName", "PatientID", "AccessionNumber", f"{STEP}.ScheduledProcedureStepID")


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        (RETURNED, 4),
        ((*RETURNED, f"{STEP}.Modality=CT"), 3),
        ((*RETURNED, f"{STEP}.Modality=CT", f"{STEP}.ScheduledProcedureStepStartDate=20260105"), 2),
        ((*RETURNED, f"{STEP}.ScheduledStationAETitle=MR1", f"{STEP}.ScheduledProcedureStepStartDate=20260101-"), 1),
        ((*RETURNED, f"{STEP}.ScheduledProcedureStepStartDate=-20260105"), 3),
        (("PatientName=*o*", *RETURNED[1:]), 0),  # lower case: person names differ, see below
        (("PatientName=DOE*", *RETURNED[1:]), 1),
        (("PatientName", "PatientID=P2"), 1),
        (("PatientName", "AccessionNumber=NONE"), 0),
        (("PatientName", "RequestedProcedureDescription", "PatientBirthDate", "PatientSex"), 4),
    ],
)
def test_the_same_answers_as_wlmscpfs(peers, ask, keys, count):
    ours, theirs = (ask(address, keys) for address in peers)
    if "PatientName=*o*" in keys:
        assert len(ours) == 3  # DOE, ROE, POE: matched without regard to case, which C.2.2.2.1.1 leaves open
        return
    assert len(ours) == len(theirs) == count
    ours, theirs = (sorted(found, key=lambda item: str(item.PatientName)) for found in (ours, theirs))
    for one, other in zip(ours, theirs, strict=True):
        for element in one:
            if element.keyword != "SpecificCharacterSet":
                assert other[element.tag] == element
        assert {element.keyword for element in other} - {element.keyword for element in one} <= {"SpecificCharacterSet"}


def test_a_new_file_is_there_in_the_next_query(peers, ask, folder):
    ours, _ = peers
    write(folder / "5.wl", "NEW^ONE", "CT1", "20260107", "0930", "CT")
    assert [str(found.PatientName) for found in ask(ours, ("PatientName=NEW*",))] == ["NEW^ONE"]
    (folder / "5.wl").unlink()
    assert ask(ours, ("PatientName=NEW*",)) == []
