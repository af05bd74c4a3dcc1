"""Objects to store, and a seam between the storage and the system."""

import importlib.util
import os
import struct
import sys
import tempfile
from pathlib import Path

import pytest

from dulcet.services.part10 import read_header
from dulcet.services.storage import Storage, StorageOptions

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"


def _load(name):
    """A plain module that lies here: tests are no package."""
    full_name = f"storing_{name}"
    if full_name not in sys.modules:
        spec = importlib.util.spec_from_file_location(full_name, Path(__file__).with_name(f"{name}.py"))
        sys.modules[full_name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full_name]


@pytest.fixture
def tmp_path():
    """A directory, in memory where the system has such a file system: thousands of files are made in these tests."""
    memory = Path("/dev/shm")
    parent = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="dulcet-storing-", dir=parent) as directory:
        yield Path(directory).resolve()


@pytest.fixture(scope="session")
def watched():
    """The module with file systems that are watched and fail."""
    return _load("watched_file_system")


@pytest.fixture(scope="session")
def system_calls():
    """The module that reads what strace wrote."""
    return _load("system_calls")


@pytest.fixture(scope="session")
def crash_model(watched):
    """The module that knows what a crash may leave."""
    return _load("crash_model")


def element(tag, vr, value):
    value += b"\0" * (len(value) % 2)
    if vr in (b"OW", b"OB"):
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, len(value)) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def encode_object(uid="1.2.3", pixels=b"pixels", sop_class=CT):
    octets = b""
    if sop_class is not None:
        octets += element(0x00080016, b"UI", sop_class.encode())
    if uid is not None:
        octets += element(0x00080018, b"UI", uid.encode())
    return octets + element(0x7FE00010, b"OW", pixels)


async def receive_object(
    storage, octets, *, uid="1.2.3", sop_class=CT, syntax=EXPLICIT_VR_LITTLE_ENDIAN, calling="SCANNER", step=16
):
    incoming = storage.begin(
        sop_class_uid=sop_class, sop_instance_uid=uid, transfer_syntax_uid=syntax, calling_ae_title=calling
    )
    for start in range(0, len(octets), step):
        incoming.write(memoryview(octets)[start : start + step])
    return await incoming.finish()


def files_below(directory):
    """Every file, link and the like below a directory, by its path in it."""
    return sorted(
        os.path.relpath(os.path.join(folder, name), directory)
        for folder, folders, names in os.walk(directory)
        for name in (*names, *(name for name in folders if os.path.islink(os.path.join(folder, name))))
    )


def data_set_of(path):
    """The octets of a stored object behind its header."""
    with open(path, "rb") as file:
        header = read_header(file.fileno())
        file.seek(header.data_set_offset)
        return file.read()


@pytest.fixture(scope="session")
def make_object():
    """A small data set."""
    return encode_object


@pytest.fixture(scope="session")
def receive():
    """Receive one object, as an association does."""
    return receive_object


@pytest.fixture(scope="session")
def files():
    """What lies below a directory."""
    return files_below


@pytest.fixture(scope="session")
def stored_data_set():
    """The data set in a file."""
    return data_set_of


@pytest.fixture
def open_storage(tmp_path):
    """Open a storage in `tmp_path / "stored"`; it is closed when the test ends.

    Its clock stands still: after a second it would ask for the free space again, one operation more than a test counts.
    """
    opened = []

    def open_one(file_system=None, directory=None, **options):
        options.setdefault("min_free_octets", 0)
        storage = Storage(StorageOptions(directory=directory or tmp_path / "stored", **options), file_system)
        storage._shelf.space._clock = lambda: 0.0
        opened.append(storage)
        return storage

    yield open_one
    for storage in opened:
        storage.close()
