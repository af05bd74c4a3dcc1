"""1.5 GB from one process to another: neither holds more than its buffers."""

import os
import struct
import subprocess

import pydicom
import pytest

from dulcet.conformance.peers.ours import PROGRAM, dulcet_serve

OBJECT_OCTETS = 1_500_000_000
MOST_MEMORY = 64 * 1024 * 1024  # octets, above the idle process
SECONDS = 240


@pytest.fixture
def large_file(tmp_path):
    """An object whose pixels are a hole in the file."""
    data = pydicom.Dataset()
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.SecondaryCaptureImageStorage, "2.25.15"
    data.StudyInstanceUID, data.SeriesInstanceUID = "2.25.16", "2.25.17"
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    path = tmp_path / "large.dcm"
    data.save_as(path, enforce_file_format=True)
    with path.open("ab") as file:
        file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, OBJECT_OCTETS))
        file.truncate(file.tell() + OBJECT_OCTETS)
    return path


def resident(pid, field):
    """Octets that /proc says of a process: VmRSS now, VmHWM at most."""
    with open(f"/proc/{pid}/status") as status:
        line = next(line for line in status if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def send(address, path):
    """(exit code, most octets resident) of a `dulcet send`."""
    process = subprocess.Popen([*PROGRAM, "send", "--quiet", str(address), str(path)])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * 1024


def test_memory_does_not_grow_with_the_object(large_file, pydicom_files, tmp_path):
    storage = tmp_path / "stored"
    with dulcet_serve("--durability", "none", "--min-free", "0", storage=storage) as peer:
        code, small = send(peer.address, pydicom_files / "CT_small.dcm")
        assert code == 0, peer.log_tail()
        idle = resident(peer.pid, "VmRSS")
        code, large = send(peer.address, large_file)
        assert code == 0, peer.log_tail()
        assert large - small < MOST_MEMORY
        assert resident(peer.pid, "VmHWM") - idle < MOST_MEMORY
        (stored,) = [path for path in peer.stored_files() if path.stem == "2.25.15"]
        assert stored.stat().st_size >= OBJECT_OCTETS
