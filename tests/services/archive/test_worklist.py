"""Modality Worklist as SCP: keys in sequences, what is returned, and a folder of files that changes (PS3.4 Annex K)."""

import os
from dataclasses import replace

import pydicom
import pytest
import trio
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dulcet.dimse.messages import CCancelRQ, CFindRQ
from dulcet.dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, MODALITY_WORKLIST
from dulcet.errors import ArchiveError, ConfigurationError
from dulcet.services.querying.identifiers import encode_identifier
from dulcet.services.querying.responding import QueryLimits
from dulcet.services.worklist import WorklistQuery
from dulcet.station.archive import worklist_folder
from dulcet.station.archive.worklist_folder import WorklistFolder, read_item
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Supported
from dulcet.ul.pdu import AAssociateAC

STEPS, START_DATE, START_TIME, MODALITY, STATION = 0x00400100, 0x00400002, 0x00400003, 0x00080060, 0x00400001
NAME, PATIENT, ACCESSION, CODES, STEP_ID = 0x00100010, 0x00100020, 0x00080050, 0x00321064, 0x00400009


def worklist_item(name="DOE^JANE", station="CT1", date="20260105", time="0930", modality="CT", **values):
    step = Dataset()
    step.Modality = modality
    step.ScheduledStationAETitle = station
    step.ScheduledProcedureStepStartDate = date
    step.ScheduledProcedureStepStartTime = time
    step.ScheduledProcedureStepID = f"SPS-{name}"
    item = Dataset()
    item.SpecificCharacterSet = values.pop("SpecificCharacterSet", "ISO_IR 100")
    item.AccessionNumber = f"A-{name}"
    item.PatientName = name
    item.PatientID = f"P-{name}"
    item.StudyInstanceUID = "1.2.3"
    for keyword, value in values.items():
        setattr(item, keyword, value)
    item.ScheduledProcedureStepSequence = Sequence([step])
    return item


def write(path, item, syntax=ExplicitVRLittleEndian):
    item.file_meta = FileMetaDataset()
    item.file_meta.MediaStorageSOPClassUID = MODALITY_WORKLIST
    item.file_meta.MediaStorageSOPInstanceUID = "1.2.9"
    item.file_meta.TransferSyntaxUID = syntax
    pydicom.dcmwrite(path, item, enforce_file_format=True)


class Log(list):
    def __call__(self, event, about=None, **values):
        self.append((event, values))


@pytest.fixture
def folder(tmp_path):
    directory = tmp_path / "worklist"
    directory.mkdir()
    return directory


class Asking:
    def __init__(self, served, octets):
        self.peer, self.octets = served.peer, octets

    async def find(self, keys, *more, character_set=""):
        request = CFindRQ(affected_sop_class_uid=MODALITY_WORKLIST, message_id=1)
        octets = keys
        if not isinstance(keys, bytes):
            octets = encode_identifier(keys, IMPLICIT_VR_LITTLE_ENDIAN, character_set)
        message = self.octets.message(request, context_id=1)
        await self.peer.send(message + self.octets.data(octets, context_id=1), *more)
        return await self.responses()

    async def responses(self):
        found = []
        while True:
            message, octets = await self.peer.whole_message()
            if message.status not in (0xFF00, 0xFF01):
                return found, message
            found.append(read_dataset(DicomBytesIO(octets), True, True))


class MemoryWorklist:
    """Items as they are, without a thread."""

    def __init__(self, folder):
        self.folder = WorklistFolder(folder, Log())
        self.error = None

    async def items(self):
        if self.error is not None:
            raise self.error
        self.folder._refresh()
        return [read.item for read in self.folder._files.values() if read.item is not None]


@pytest.fixture
def ask(scp, octets, folder):
    """A modality, associated, and the worklist that it asks."""

    async def make(**limits):
        worklist = MemoryWorklist(folder)
        served = scp()
        told = []
        operation = WorklistQuery(
            worklist=worklist,
            observe=lambda _association, _request, performed: told.append((performed.status, dict(performed.counts))),
            limits=QueryLimits(**limits),
        ).operation()
        served.acceptor = replace(
            served.acceptor,
            operations={CFindRQ: operation},
            supported=Supported(
                transfer_syntaxes={MODALITY_WORKLIST: (IMPLICIT_VR_LITTLE_ENDIAN,)}, max_pdu_length=16384
            ),
        )
        context = PresentationContextRQ.propose(1, MODALITY_WORKLIST, (IMPLICIT_VR_LITTLE_ENDIAN,))
        await served.peer.send(octets.request(context))
        assert isinstance(await served.peer.pdu(), AAssociateAC)
        asking = Asking(served, octets)
        asking.worklist, asking.told = worklist, told
        return asking

    return make


@pytest.fixture
def filled(folder):
    """Four steps on two stations in two days."""
    write(folder / "1.wl", worklist_item("DOE^JANE", "CT1", "20260105", "0930"))
    write(folder / "2.wl", worklist_item("ROE^JOHN", "CT1", "20260105", "1430"), ImplicitVRLittleEndian)
    write(folder / "3.DCM", worklist_item("POE^EDGAR", "CT1", "20260106", "0800"))
    write(folder / "4.wl", worklist_item("DOE^JIM", "MR1", "20260105", "1000", "MR"))
    return folder


def moments(times):
    """From a time of the 5th to one of the 6th."""
    return {NAME: "", STEPS: [{START_DATE: "20260105-20260106", START_TIME: times}]}


def names(found):
    return [str(each.PatientName) for each in found]


@pytest.mark.parametrize(
    ("keys", "matches"),
    [
        ({NAME: ""}, ["DOE^JANE", "ROE^JOHN", "POE^EDGAR", "DOE^JIM"]),
        ({NAME: "doe*"}, ["DOE^JANE", "DOE^JIM"]),
        ({NAME: "", PATIENT: "P-ROE^JOHN"}, ["ROE^JOHN"]),
        ({NAME: "", STEPS: []}, ["DOE^JANE", "ROE^JOHN", "POE^EDGAR", "DOE^JIM"]),
        ({NAME: "", STEPS: [{}]}, ["DOE^JANE", "ROE^JOHN", "POE^EDGAR", "DOE^JIM"]),
        ({NAME: "", STEPS: [{MODALITY: ""}]}, ["DOE^JANE", "ROE^JOHN", "POE^EDGAR", "DOE^JIM"]),
        ({NAME: "", STEPS: [{MODALITY: "MR"}]}, ["DOE^JIM"]),
        ({NAME: "", STEPS: [{STATION: "CT1", START_DATE: "20260105"}]}, ["DOE^JANE", "ROE^JOHN"]),
        ({NAME: "", STEPS: [{STATION: "CT*", START_DATE: "20260106-"}]}, ["POE^EDGAR"]),
        ({NAME: "D*", STEPS: [{START_DATE: "20260105", START_TIME: "-0959"}]}, ["DOE^JANE"]),
        # One range of moments: from the afternoon of the 5th to the morning of the 6th (K.5.1.1)
        (moments("1200-0900"), ["ROE^JOHN", "POE^EDGAR"]),
        (moments("0931-1200"), ["ROE^JOHN", "POE^EDGAR", "DOE^JIM"]),
        ({NAME: "", STEPS: [{STATION: "NONE"}]}, []),
        ({NAME: "", CODES: [{0x00080100: "X"}]}, []),  # no item: no match
    ],
)
async def test_steps_by_their_keys(ask, filled, keys, matches, autojump_clock):
    asking = await ask()
    found, final = await asking.find(keys)
    assert final.status == 0
    assert names(found) == matches


async def test_a_key_of_one_item_must_be_met_by_one_item(ask, folder, autojump_clock):
    item = worklist_item()
    second = Dataset()
    second.Modality, second.ScheduledStationAETitle = "MR", "MR1"
    item.ScheduledProcedureStepSequence.append(second)
    write(folder / "1.wl", item)
    asking = await ask()
    found, _ = await asking.find({NAME: "", STEPS: [{MODALITY: "CT", STATION: "MR1"}]})
    assert found == []
    ((match,), _) = await asking.find({NAME: "", STEPS: [{MODALITY: "MR", STATION: ""}]})
    assert [step.ScheduledStationAETitle for step in match.ScheduledProcedureStepSequence] == ["MR1"]


async def test_what_was_asked_for_is_returned_and_no_more(ask, filled, autojump_clock):
    asking = await ask()
    keys = {NAME: "DOE^JANE", ACCESSION: "", 0x00100030: "", CODES: [{0x00080100: ""}]}
    keys[STEPS] = [{MODALITY: "", STEP_ID: ""}]
    ((match,), _) = await asking.find(keys)
    assert [element.keyword for element in match] == [
        *("AccessionNumber", "PatientName", "PatientBirthDate"),
        *("RequestedProcedureCodeSequence", "ScheduledProcedureStepSequence"),
    ]
    assert match.PatientBirthDate == ""
    assert len(match.RequestedProcedureCodeSequence) == 0
    (step,) = match.ScheduledProcedureStepSequence
    assert [(element.keyword, element.value) for element in step] == [
        ("Modality", "CT"),
        ("ScheduledProcedureStepID", "SPS-DOE^JANE"),
    ]


async def test_a_sequence_without_keys_returns_it_whole(ask, filled, autojump_clock):
    asking = await ask()
    ((match,), _) = await asking.find({NAME: "DOE^JANE", STEPS: []})
    assert len(match.ScheduledProcedureStepSequence[0]) == 5


@pytest.mark.parametrize(
    ("stored_in", "asked_in", "name", "answered_in"),
    [
        ("ISO_IR 100", "", "Müller^Åsa", "ISO_IR 100"),
        ("ISO_IR 192", "ISO_IR 100", "Müller^Åsa", "ISO_IR 100"),
        ("ISO_IR 192", "ISO_IR 100", "王^小東", "ISO_IR 192"),
        ("ISO_IR 100", "ISO_IR 192", "Müller^Åsa", "ISO_IR 192"),
        ("ISO_IR 100", "ISO_IR 192", "Doe^Jane", None),
    ],
)
async def test_character_sets(ask, folder, stored_in, asked_in, name, answered_in, autojump_clock):
    write(folder / "1.wl", worklist_item(name, SpecificCharacterSet=stored_in))
    asking = await ask()
    key = name if asked_in and name != "王^小東" else ""
    ((match,), _) = await asking.find({NAME: key.upper(), STEPS: [{STEP_ID: ""}]}, character_set=asked_in)
    assert match.get("SpecificCharacterSet") == answered_in
    match.decode()
    assert str(match.PatientName) == name
    assert match.ScheduledProcedureStepSequence[0].ScheduledProcedureStepID == f"SPS-{name}"


@pytest.mark.parametrize(
    "keys",
    [
        {STEPS: [{MODALITY: "CT"}, {MODALITY: "MR"}]},
        {STEPS: [{START_DATE: "tomorrow"}]},
        b"\x40\x00\x00\x01\xff\xff\xff\xff",
        b"\x40\x00\x00\x01\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 20_000,
    ],
)
async def test_keys_that_are_none(ask, filled, keys, autojump_clock):
    asking = await ask()
    found, final = await asking.find(keys)
    assert (found, final.status) == ([], 0xC000)
    assert final.error_comment
    found, _ = await asking.find({NAME: ""})
    assert len(found) == 4


async def test_limits_of_a_worklist_query(ask, filled, autojump_clock):
    asking = await ask(matches=2)
    found, final = await asking.find({NAME: ""})
    assert (len(found), final.status) == (2, 0xA700)
    asking.worklist.error = ArchiveError("the worklist can't be read")
    found, final = await asking.find({NAME: ""})
    assert (found, final.status, final.error_comment) == ([], 0xA700, "the worklist can't be read")
    assert asking.told == [(0xA700, {"matches": 2}), (0xA700, {})]


async def test_a_worklist_query_is_cancelled(ask, folder, octets, autojump_clock):
    for number in range(60):
        write(folder / f"{number}.wl", worklist_item())
    asking = await ask()
    cancel = octets.message(CCancelRQ(message_id_being_responded_to=1), context_id=1)
    found, final = await asking.find({NAME: ""}, cancel)
    assert final.status == 0xFE00
    assert len(found) < 30


# The folder ---------------------------------------------------------------------------------------------------------


async def test_the_folder_is_read_again_when_it_changes(folder):
    log = Log()
    worklist = WorklistFolder(folder, log)
    assert await worklist.items() == []
    write(folder / "1.wl", worklist_item("ONE"))
    (folder / "2.wl").write_bytes(b"no worklist")
    (folder / "notes.txt").write_bytes(b"not looked at")
    write(folder / "3.wl", worklist_item("THREE"), ExplicitVRBigEndian)
    (first,) = await worklist.items()
    assert [values["name"] for _, values in log] == ["2.wl", "3.wl"]
    (again,) = await worklist.items()
    assert again is first  # not read twice, nor told of twice
    assert len(log) == 2
    write(folder / "1.wl", worklist_item("CHANGED^NAME"))
    write(folder / "4.wl", worklist_item("FOUR"))
    assert len(await worklist.items()) == 2
    (folder / "1.wl").unlink()
    assert len(await worklist.items()) == 1


async def test_a_folder_that_goes_away(folder):
    worklist = WorklistFolder(folder, Log())
    folder.rmdir()
    with pytest.raises(ArchiveError, match="can't be read"):
        await worklist.items()
    with pytest.raises(ConfigurationError, match="no folder"):
        WorklistFolder(folder, Log())


def test_a_file_that_is_too_large(folder, monkeypatch):
    write(folder / "1.wl", worklist_item())
    monkeypatch.setattr(worklist_folder, "MAX_FILE_OCTETS", 100)
    with pytest.raises(Exception, match="at most 100"):
        read_item(folder / "1.wl")


def test_a_link_or_a_pipe_is_not_read(folder, tmp_path):
    write(tmp_path / "elsewhere.dcm", worklist_item())
    (folder / "1.wl").symlink_to(tmp_path / "elsewhere.dcm")
    os.mkfifo(folder / "2.wl")
    log = Log()
    worklist = WorklistFolder(folder, log)
    assert trio.run(worklist.items) == []
    assert len(log) == 2
