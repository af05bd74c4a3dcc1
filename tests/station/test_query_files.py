"""Queries in files: DICOM, the DICOM JSON model, plain JSON, TOML, lines."""

import io
import json

import pydicom
import pytest

from dulcet.errors import ConfigurationError, NoInputError
from dulcet.station.query.files import merged, read_query_file
from dulcet.station.query.keys import from_words

NAME, MODALITY, STEPS, STUDY = 0x00100010, 0x00080060, 0x00400100, 0x0020000D
EXPECTED = {NAME: "DOE*", STUDY: "1.2\\1.3", STEPS: [{MODALITY: "CT"}], 0x00280010: "512"}


@pytest.fixture
def dicom():
    data_set = pydicom.Dataset()
    data_set.PatientName = "DOE*"
    data_set.StudyInstanceUID = ["1.2", "1.3"]
    data_set.Rows = 512
    step = pydicom.Dataset()
    step.Modality = "CT"
    data_set.ScheduledProcedureStepSequence = [step]
    return data_set


def save(data_set, path, syntax, *, preamble=True):
    data_set.file_meta = pydicom.dataset.FileMetaDataset()
    data_set.file_meta.TransferSyntaxUID = syntax
    data_set.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.2.2.1"
    data_set.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, data_set, enforce_file_format=True)
    path.write_bytes(stream.getvalue())
    return path


@pytest.mark.parametrize("syntax", [pydicom.uid.ImplicitVRLittleEndian, pydicom.uid.ExplicitVRLittleEndian])
def test_a_dicom_file(tmp_path, dicom, syntax):
    assert read_query_file(save(dicom, tmp_path / "query", syntax)) == EXPECTED


def test_names_in_a_dicom_file_are_in_its_character_set(tmp_path, dicom):
    dicom.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    dicom.PatientName = "Yamada^Tarou=山田^太郎"
    path = save(dicom, tmp_path / "query.dcm", pydicom.uid.ExplicitVRLittleEndian)
    assert read_query_file(path)[NAME] == "Yamada^Tarou=山田^太郎"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "query.json",
            json.dumps(
                {
                    "PatientName": "DOE*",
                    "0020,000D": ["1.2", "1.3"],
                    "Rows": 512,
                    "ScheduledProcedureStepSequence": [{"Modality": "CT"}],
                }
            ),
        ),
        (
            "dicom.json",
            json.dumps(
                {
                    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "DOE*"}]},
                    "0020000D": {"vr": "UI", "Value": ["1.2", "1.3"]},
                    "00280010": {"vr": "US", "Value": [512]},
                    "00400100": {"vr": "SQ", "Value": [{"00080060": {"vr": "CS", "Value": ["CT"]}}]},
                }
            ),
        ),
        (
            "query.toml",
            'PatientName = "DOE*"\nStudyInstanceUID = ["1.2", "1.3"]\nRows = 512\n'
            '[ScheduledProcedureStepSequence]\nModality = "CT"\n',
        ),
        (
            "query.txt",
            "\ufeff# last week\nPatientName=DOE*\n\n  StudyInstanceUID=1.2\\1.3\n0028,0010=512\n"
            "ScheduledProcedureStepSequence.Modality=CT\n",
        ),
        (
            "no-suffix",
            ' {"PatientName": "DOE*", "StudyInstanceUID": "1.2\\\\1.3", "Rows": "512", "00400100.00080060": "CT"}',
        ),
    ],
)
def test_a_text(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert read_query_file(path) == EXPECTED


def test_the_dicom_json_model_says_that_a_key_is_only_returned(tmp_path):
    path = tmp_path / "query.json"
    document = {
        "00100010": {"vr": "PN"},
        "00400100": {"vr": "SQ"},
        "00081060": {"vr": "PN", "Value": [{"Ideographic": "山田"}]},
    }
    path.write_text(json.dumps([document]))
    assert read_query_file(path) == {NAME: "", STEPS: [], 0x00081060: "=山田"}


def test_later_files_and_options_hold(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_text("PatientName=A\nModality=CT")
    second.write_text("PatientName=B\nStudyID")
    assert merged([first, second], from_words(["Modality=MR"])) == {NAME: "B", MODALITY: "MR", 0x00200010: ""}


@pytest.mark.parametrize(
    ("name", "octets", "explanation"),
    [
        ("q.txt", b"PatientName=A\nNoSuchKey=1", "q.txt:2: 'NoSuchKey' is no attribute"),
        ("q.json", b'{"PatientName": ', "q.json is no JSON"),
        ("q.json", b"[1, 2]", "an object of keys is expected"),
        ("q.toml", b"PatientName = ", "q.toml is no TOML"),
        ("q.txt", b"\xff\xfe\x00", "neither a DICOM file nor text in UTF-8"),
        ("q.txt", b"x" * (1024 * 1024 + 1), "is too large for a query"),
        ("q.dcm", bytes(128) + b"DICM" + b"\2\0\2\0UI\xff\xff", "can't be read as a query"),
        ("q.dcm", b"\x08\0\x52\0CS\x06\0STU", "can't be read as a query"),
    ],
)
def test_what_is_no_query(tmp_path, name, octets, explanation):
    (tmp_path / name).write_bytes(octets)
    with pytest.raises(ConfigurationError, match=explanation):
        read_query_file(tmp_path / name)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(NoInputError, match="No such file"):
        read_query_file(tmp_path / "nothing")
    with pytest.raises(NoInputError):
        read_query_file(tmp_path)
