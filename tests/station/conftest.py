import struct

import pydicom
import pytest

CT = "1.2.840.10008.5.1.4.1.1.2"
DICOMDIR_CLASS = "1.2.840.10008.1.3.10"


def encode_part10(sop_class=CT, instance="1.2.3", syntax="1.2.840.10008.1.2.1", data_set=b"data set"):
    def element(number, vr, value):
        value += b"\0" * (len(value) % 2)
        if vr == b"OB":
            return struct.pack("<HH2sHI", 2, number, vr, 0, len(value)) + value
        return struct.pack("<HH2sH", 2, number, vr, len(value)) + value

    group = element(1, b"OB", b"\0\1")
    for number, uid in ((2, sop_class), (3, instance), (0x10, syntax)):
        if uid is not None:
            group += element(number, b"UI", uid.encode())
    return bytes(128) + b"DICM" + element(0, b"UL", struct.pack("<I", len(group))) + group + data_set


@pytest.fixture
def part10():
    """Octets of a small DICOM file."""
    return encode_part10


@pytest.fixture
def file_set(tmp_path):
    """A folder with images and a DICOMDIR that refers to the given File IDs."""

    def make(*file_ids, records=None, folder=tmp_path):
        folder.mkdir(exist_ok=True)
        index = pydicom.Dataset()
        index.DirectoryRecordSequence = []
        for file_id in file_ids:
            record = pydicom.Dataset()
            record.RecordInUseFlag = 0xFFFF
            record.DirectoryRecordType = "IMAGE"
            with pydicom.config.disable_value_validation():
                record.ReferencedFileID = file_id
            index.DirectoryRecordSequence.append(record)
        index.DirectoryRecordSequence.extend(records or ())
        index.file_meta = pydicom.dataset.FileMetaDataset()
        index.file_meta.MediaStorageSOPClassUID = DICOMDIR_CLASS
        index.file_meta.MediaStorageSOPInstanceUID = "1.2.3.9"
        index.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        index.save_as(folder / "DICOMDIR", enforce_file_format=True)
        return folder / "DICOMDIR"

    return make
