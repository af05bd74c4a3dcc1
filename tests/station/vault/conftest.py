"""Vaults to work on: the embedded one, and one in memory. What holds has to hold in both."""

import importlib.util
import io
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dulcet.services.storage import Durability, Storage, StorageOptions
from dulcet.station.archive.arrivals import How, NewArrival, Source
from dulcet.station.archive.folder_store import FolderStore
from dulcet.station.archive.index import Index
from dulcet.station.archive.upkeep import bring_up_to_date, entry_of, hash_arrivals, take_in
from dulcet.station.archive.vault import name_of
from dulcet.station.vault.open_vault import Vault

CT = "1.2.840.10008.5.1.4.1.1.2"
SCANNER = Source("CT1", "192.0.2.1", How.C_STORE)
SECOND = 10**9


def memory_vault():
    spec = importlib.util.spec_from_file_location("memory_vault", Path(__file__).with_name("memory_vault.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules["memory_vault"] = module
    spec.loader.exec_module(module)
    return module


def encode(uid, *, syntax=ExplicitVRLittleEndian, **values):
    """The octets of a small CT image's file."""
    data_set = Dataset()
    if "SpecificCharacterSet" in values:
        data_set.SpecificCharacterSet = values.pop("SpecificCharacterSet")
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
    for keyword, value in (given | values).items():
        if value is not None:
            setattr(data_set, keyword, value)
    data_set.PixelData = values.get("PixelData", b"\0" * 8)
    data_set["PixelData"].VR = "OW"
    data_set.file_meta = FileMetaDataset()
    data_set.file_meta.MediaStorageSOPClassUID = CT
    data_set.file_meta.MediaStorageSOPInstanceUID = uid
    data_set.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    pydicom.dcmwrite(file, data_set, enforce_file_format=True)
    return file.getvalue()


@dataclass
class Kept:
    """A vault, and hands to put something in it."""

    vault: Vault
    queued: set[str]
    now: int = 1_700_000_000 * SECOND
    octets: dict[str, bytes] = field(default_factory=dict)

    @property
    def store(self):
        return self.vault.store

    @property
    def index(self):
        return self.vault.index

    @property
    def book(self):
        return self.vault.index.arrivals

    def write(self, name, octets):
        """Put a file there behind everybody's back."""
        self.octets[name] = octets
        if isinstance(self.store, FolderStore):
            path = Path(self.store.place(name))
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(octets)
        else:
            self.store.write(name, octets)

    def lose(self, name):
        """Take a file away behind everybody's back."""
        if isinstance(self.store, FolderStore):
            Path(self.store.place(name)).unlink()
        else:
            self.store.objects.pop(name)

    def put(self, uid="1.9.1", *, digest="", source=SCANNER, replaces=False, hashed=True, **values):
        """An object comes; a second after the one before."""
        name = name_of(uid, digest)
        self.now += SECOND
        self.write(name, encode(uid, **values))
        came = NewArrival(name=name, source=source, received=self.now, replaces=replaces)
        take_in(self.store, self.index, [name], (), [came])
        if hashed:
            hash_arrivals(self.store, self.book, self.book.get([name]).values(), lambda _octets: None)
        return name

    def update(self):
        return bring_up_to_date(self.store, self.index)

    def entry(self, name):
        return entry_of(self.store, name)

    def names(self):
        return sorted(each.name for part in self.store.parts for each in self.store.list(part))


@pytest.fixture
def new_kept(tmp_path):
    """Makes a vault of a kind."""
    made = []

    def make(kind):
        queued = set()
        if kind == "embedded":
            directory = tmp_path / "vault"
            storage = Storage(StorageOptions(directory=directory, durability=Durability.NONE, min_free_octets=1))
            store, index = FolderStore(directory, storage), Index(directory)
        else:
            module = memory_vault()
            store = module.MemoryStore()
            index = module.MemoryIndex(store.part_of)
        made.append(Vault(store, index, lambda places: queued.intersection(places)))
        return Kept(made[-1], queued)

    yield make
    for vault in made:
        vault.close()


@pytest.fixture(params=["embedded", "memory"])
def kept(request, new_kept):
    """Both kinds, one after the other."""
    return new_kept(request.param)


@pytest.fixture
def folder(new_kept):
    """The embedded kind."""
    return new_kept("embedded")


@pytest.fixture(scope="session")
def ct_octets():
    """The octets of a small CT image's file."""
    return encode


@pytest.fixture(scope="session")
def scanner():
    """Where objects come from, unless something else is said."""
    return SCANNER
