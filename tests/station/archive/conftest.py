"""A vault: objects where a storage directory would have them, made by pydicom."""

from pathlib import Path

import pydicom
import pytest
import trio
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dulcet.station.archive.vault import path_of

CT = "1.2.840.10008.5.1.4.1.1.2"


def make_data_set(uid="1.9.1", **values):
    data_set = Dataset()
    data_set.SOPClassUID = CT
    data_set.SOPInstanceUID = uid
    given = {
        "PatientName": "DOE^JOHN",
        "PatientID": "P1",
        "StudyInstanceUID": "1.2.1",
        "SeriesInstanceUID": "1.3.1",
        "Modality": "CT",
        "StudyDate": "20260105",
        "InstanceNumber": "1",
        "Rows": 2,
        "Columns": 2,
    }
    character_set = values.pop("SpecificCharacterSet", None)
    if character_set is not None:
        data_set.SpecificCharacterSet = character_set
    for keyword, value in (given | values).items():
        if value is not None:
            setattr(data_set, keyword, value)
    data_set.PixelData = b"\0" * 8
    data_set["PixelData"].VR = "OW"
    return data_set


class Vault:
    """A directory of objects."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir()

    def path(self, uid):
        return path_of(self.directory, uid)

    def put(self, uid="1.9.1", syntax=ExplicitVRLittleEndian, **values):
        data_set = values.pop("data_set", None) or make_data_set(uid, **values)
        path = self.path(uid)
        path.parent.mkdir(exist_ok=True)
        data_set.file_meta = FileMetaDataset()
        data_set.file_meta.MediaStorageSOPClassUID = data_set.SOPClassUID
        data_set.file_meta.MediaStorageSOPInstanceUID = uid
        data_set.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, data_set, enforce_file_format=True)
        return path


@pytest.fixture
def vault(tmp_path):
    """Empty at first."""
    return Vault(tmp_path / "vault")


@pytest.fixture
def data_set():
    """A small CT image."""
    return make_data_set


@pytest.fixture(scope="session")
def new_vault():
    """Makes another."""
    return Vault


class Told(list):
    """What was written to the log; a test can wait for it."""

    def __init__(self):
        super().__init__()
        self._waiting = trio.lowlevel.ParkingLot()

    def __call__(self, event, about=None, **values):
        self.append((event, values))
        self._waiting.unpark_all()

    async def wait(self, event, count=1):
        """The values of the last of so many such events."""
        with trio.fail_after(120):
            while sum(each == event for each, _ in self) < count:
                await self._waiting.park()
        return [values for each, values in self if each == event][-1]


@pytest.fixture
def new_told():
    """Makes a log."""
    return Told
