"""The index: what it keeps of an object, that it follows the directory, and that it can always be made anew."""

import os
import sqlite3
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dulcet.errors import ArchiveError, ConfigurationError
from dulcet.services.querying.attributes import BY_TAG
from dulcet.services.querying.identifiers import Identifier, encode_identifier
from dulcet.services.querying.query import read_retrieval, read_search
from dulcet.services.querying.query_models import PATIENT_ROOT, STUDY_ROOT
from dulcet.station.archive.folder_store import FolderStore
from dulcet.station.archive.index import FILE_NAME, PAGE_ROWS, Index
from dulcet.station.archive.index_schema import MIGRATIONS
from dulcet.station.archive.upkeep import bring_up_to_date
from dulcet.station.archive.vault import Entry, Unreadable, path_of, read_entry

LEVEL, PATIENT, STUDY, SERIES, INSTANCE = 0x00080052, 0x00100020, 0x0020000D, 0x0020000E, 0x00080018
NAME, DATE, MODALITIES = 0x00100010, 0x00080020, 0x00080061
IMPLICIT = "1.2.840.10008.1.2"


@pytest.fixture
def index(vault):
    made = Index(vault.directory)
    yield made
    made.close()


def look_through(index, vault):
    changes = bring_up_to_date(FolderStore(vault.directory), index)
    return changes.changed, changes.gone


def searched(keys, model=STUDY_ROOT):
    octets = encode_identifier(keys, IMPLICIT)
    return read_search(model, Identifier(octets, IMPLICIT), relational=True, date_time=False)


def find(index, keys, model=STUDY_ROOT):
    search = searched(keys, model)
    rows, after = [], 0
    while after is not None:
        page = index.page(search, after, 5.0)
        rows += page.rows
        after = page.after
    return [dict(zip([one.name for one in search.attributes], row, strict=True)) for row in rows]


def retrieve(index, keys, model=STUDY_ROOT, limit=1000):
    retrieval = read_retrieval(model, Identifier(encode_identifier(keys, IMPLICIT), IMPLICIT), relational=True)
    return [header.sop_instance_uid for header in index.headers(retrieval, limit, 5.0)]


# What is kept -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_the_attributes_of_an_object(vault, syntax):
    path = vault.put(syntax=syntax, ImageType=["ORIGINAL", "PRIMARY"], StudyDescription=" Chest ", Rows=512)
    entry = read_entry(path)
    assert isinstance(entry, Entry)
    assert entry.header.transfer_syntax_uid == syntax
    assert entry.values == {
        "patient_name": "DOE^JOHN",
        "patient_id": "P1",
        "study_instance_uid": "1.2.1",
        "series_instance_uid": "1.3.1",
        "modality": "CT",
        "study_date": "20260105",
        "instance_number": "1",
        "rows": "512",
        "columns": "2",
        "image_type": "ORIGINAL\\PRIMARY",
        "study_description": "Chest",
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "sop_instance_uid": "1.9.1",
    }


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        ("ISO_IR 100", "Müller^Åsa"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東="),
        ("GB18030", "王^小東"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
        ("ISO_IR 144", "\u042e\u0440\u0438\u0439"),
    ],
)
def test_text_is_text_whatever_its_character_set(vault, character_set, name):
    entry = read_entry(vault.put(SpecificCharacterSet=character_set, PatientName=name))
    assert entry.values["patient_name"].rstrip("=") == name.rstrip("=")


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("undefined", [False, True])
def test_sequences_and_large_private_values_are_passed_over(vault, data_set, syntax, undefined):
    made = data_set()
    inner = Dataset()
    inner.PatientName = "NOT^ME"
    inner.ReferencedSOPSequence = Sequence([Dataset(), Dataset()])
    made.ReferencedStudySequence = Sequence([inner, inner])
    for element in (made["ReferencedStudySequence"], inner["ReferencedSOPSequence"]):
        element.is_undefined_length = undefined
    inner.is_undefined_length_sequence_item = undefined
    made.add_new(0x00090010, "LO", "OURS")
    made.add_new(0x00091001, "OB", bytes(100_000))
    made.BodyPartExamined = "CHEST"
    made.PerformedProcedureStepStartDate = "20260106"
    entry = read_entry(vault.put(syntax=syntax, data_set=made))
    assert entry.values["patient_name"] == "DOE^JOHN"
    assert entry.values["body_part_examined"] == "CHEST"
    assert entry.values["performed_procedure_step_start_date"] == "20260106"


def test_dates_of_old_are_written_as_today(vault, data_set):
    made = data_set()
    made["StudyDate"]._value = "2026.01.05"
    assert read_entry(vault.put(data_set=made)).values["study_date"] == "20260105"


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "it is empty: 0 octets"),
        (b"not DICOM at all", "it is not a DICOM file: it has no DICM prefix and does not begin like a data set"),
    ],
)
def test_what_is_no_object_is_told(vault, octets, reason):
    path = vault.put()
    path.write_bytes(octets)
    assert read_entry(path).reason == reason


def test_an_object_under_another_name_is_none(vault):
    vault.put("1.9.2").rename(vault.put("1.9.1"))
    assert read_entry(vault.path("1.9.1")).reason == "its SOP Instance UID is not its name"


def test_a_link_is_not_followed(vault, tmp_path):
    path = vault.put()
    path.rename(tmp_path / "elsewhere.dcm")
    path.symlink_to(tmp_path / "elsewhere.dcm")
    assert isinstance(read_entry(path), Unreadable)


@pytest.mark.parametrize("cut", [140, 200, 330, 380, 400])
def test_a_truncated_object_is_an_entry_or_told_but_nothing_is_raised(vault, cut):
    path = vault.put()
    os.truncate(path, cut)
    assert isinstance(read_entry(path), Entry | Unreadable)


def test_a_file_that_is_gone(vault):
    assert read_entry(vault.path("1.9.1")) is None


# Following the directory --------------------------------------------------------------------------------------------


def test_it_follows_the_directory(vault, index):
    vault.put("1.9.1")
    vault.put("1.9.2", PatientID="P2", StudyInstanceUID="1.2.2", SeriesInstanceUID="1.3.2")
    assert look_through(index, vault) == (2, 0)
    assert look_through(index, vault) == (0, 0)
    assert index.counts() == {"patient": 2, "study": 2, "series": 2, "instance": 2, "unreadable": 0}
    vault.path("1.9.2").unlink()
    vault.put("1.9.1", PatientName="ROE^JANE", PatientID="P3", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.3.3")
    assert look_through(index, vault) == (1, 1)
    assert index.counts() == {"patient": 1, "study": 1, "series": 1, "instance": 1, "unreadable": 0}
    assert [row["patient_name"] for row in find(index, {LEVEL: "STUDY", NAME: ""})] == ["ROE^JANE"]


def test_what_is_unreadable_is_looked_at_once(vault, index):
    path = vault.put()
    path.write_bytes(b"x" * 100)
    assert look_through(index, vault) == (1, 0)
    assert index.counts()["unreadable"] == 1
    assert look_through(index, vault) == (0, 0)
    vault.put()
    assert look_through(index, vault) == (1, 0)
    assert (index.counts()["unreadable"], index.counts()["instance"]) == (0, 1)
    path.write_bytes(b"x" * 101)
    look_through(index, vault)
    assert (index.counts()["unreadable"], index.counts()["instance"], index.counts()["study"]) == (1, 0, 0)


def test_only_objects_are_listed(vault, index):
    path = vault.put()
    (path.parent / "1.9.1~0123456789ab.dcm").write_bytes(path.read_bytes())
    (path.parent / "1.9.7.tmp").write_bytes(b"")
    (path.parent / "..dcm").mkdir()
    (vault.directory / "1.9.9.dcm").write_bytes(b"")
    assert look_through(index, vault) == (1, 0)


def test_an_update_is_all_or_nothing(vault, index):
    entry = read_entry(vault.put())
    broken = Entry(entry.header, entry.modified, {**entry.values, "instance_number": object()})
    with pytest.raises(ArchiveError):
        index.update([entry, broken])
    assert index.counts()["instance"] == 0
    index.update([entry])
    assert index.counts()["instance"] == 1


# Opening ------------------------------------------------------------------------------------------------------------


def test_it_is_kept_between_lives(vault, index):
    vault.put()
    look_through(index, vault)
    index.close()
    again = Index(vault.directory)
    assert again.counts()["instance"] == 1
    assert look_through(again, vault) == (0, 0)
    again.close()


@pytest.mark.parametrize(
    "octets", [b"this is no database, but long enough to be one" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_file_is_set_aside_and_made_anew(vault, octets):
    vault.put()
    (vault.directory / FILE_NAME).write_bytes(octets)
    index = Index(vault.directory)
    assert look_through(index, vault) == (1, 0)
    index.close()
    (aside,) = vault.directory.glob(f"{FILE_NAME}.damaged-*")
    assert aside.read_bytes() == octets


def test_a_file_of_a_newer_dulcet_is_left_alone(vault):
    with sqlite3.connect(vault.directory / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(ConfigurationError, match="newer dulcet"):
        Index(vault.directory)
    vault.put()
    index = Index(vault.directory, anew=True)
    assert look_through(index, vault) == (1, 0)
    index.close()


def test_a_directory_that_is_not_there(tmp_path):
    with pytest.raises(ConfigurationError, match="can't be opened"):
        Index(tmp_path / "nowhere")


def test_clearing_forgets_everything(vault, index):
    vault.put()
    look_through(index, vault)
    index.clear()
    assert index.counts()["instance"] == 0
    assert look_through(index, vault) == (1, 0)


def test_two_processes_may_write(vault, index):
    other = Index(vault.directory)
    index.update([read_entry(vault.put("1.9.1"))])
    other.update([read_entry(vault.put("1.9.2", StudyInstanceUID="1.2.2"))])
    index.update([read_entry(vault.put("1.9.3", StudyInstanceUID="1.2.2"))])
    assert index.counts() == other.counts() == {"patient": 1, "study": 2, "series": 2, "instance": 3, "unreadable": 0}
    other.close()


# Queries ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory, new_vault):
    """Two patients, three studies, four series, eight instances."""
    vault = new_vault(tmp_path_factory.mktemp("filled") / "vault")
    for number in range(8):
        study = (1, 1, 1, 1, 2, 2, 3, 3)[number]
        series = (1, 1, 2, 2, 3, 3, 4, 4)[number]
        vault.put(
            f"1.9.{number}",
            PatientID="P1" if study < 3 else "P2",
            PatientName="DOE^JOHN" if study < 3 else "ROE^JANE",
            StudyInstanceUID=f"1.2.{study}",
            SeriesInstanceUID=f"1.3.{series}",
            StudyDate=f"2026010{study}",
            Modality="MR" if series == 2 else "CT",
            InstanceNumber=str(10 - number),
            AccessionNumber=f"A{study}",
            StudyDescription="Ωmega" if study == 2 else "Alpha",
            SpecificCharacterSet="ISO_IR 192",
        )
    index = Index(vault.directory)
    look_through(index, vault)
    yield index
    index.close()


def test_counts_and_what_is_below(filled):
    keys = {LEVEL: "PATIENT", PATIENT: "P1", 0x00201200: "", 0x00201202: "", 0x00201204: ""}
    (row,) = find(filled, keys, PATIENT_ROOT)
    assert [row[f"number_of_patient_related_{what}"] for what in ("studies", "series", "instances")] == ["2", "3", "6"]
    keys = {LEVEL: "STUDY", STUDY: "1.2.1", MODALITIES: "", 0x00080062: "", 0x00201206: "", 0x00201208: ""}
    (row,) = find(filled, keys)
    assert row["modalities_in_study"] == "CT\\MR"
    assert row["sop_classes_in_study"] == "1.2.840.10008.5.1.4.1.1.2"
    assert (row["number_of_study_related_series"], row["number_of_study_related_instances"]) == ("2", "4")
    (row,) = find(filled, {LEVEL: "SERIES", SERIES: "1.3.4", 0x00201209: ""})
    assert row["number_of_series_related_instances"] == "2"
    (row,) = find(filled, {LEVEL: "IMAGE", INSTANCE: "1.9.0", 0x00083002: ""})
    assert row["available_transfer_syntax_uid"] == ExplicitVRLittleEndian


@pytest.mark.parametrize(
    ("keys", "studies"),
    [
        ({}, ["1", "2", "3"]),
        ({NAME: "doe*"}, ["1", "2"]),
        ({NAME: "*jane"}, ["3"]),
        ({NAME: "doe*", PATIENT: "P2"}, []),
        ({PATIENT: "P1"}, ["1", "2"]),
        ({PATIENT: "P?"}, ["1", "2", "3"]),
        ({DATE: "20260102"}, ["2"]),
        ({DATE: "20260102-"}, ["2", "3"]),
        ({DATE: "-20260102"}, ["1", "2"]),
        ({DATE: "20260102-20260102"}, ["2"]),
        ({STUDY: "1.2.1\\1.2.3\\1.2.9"}, ["1", "3"]),
        ({MODALITIES: "MR"}, ["1"]),
        ({MODALITIES: "MR\\CT"}, ["1", "2", "3"]),
        ({0x00080050: "A2"}, ["2"]),
        ({0x00080050: "A2\\A3"}, ["2", "3"]),
        ({0x00081030: "Ω*"}, ["2"]),
        ({0x00201208: "4"}, ["1"]),
        ({0x00081030: "x' OR 1=1 --"}, []),
        ({PATIENT: "P1' OR '1'='1"}, []),
    ],
)
def test_studies_by_their_keys(filled, keys, studies):
    rows = find(filled, {LEVEL: "STUDY", STUDY: "", **keys})
    assert [row["study_instance_uid"] for row in rows] == [f"1.2.{number}" for number in studies]


def test_every_attribute_of_every_level_can_be_asked_and_matched(filled):
    for level in ("PATIENT", "STUDY", "SERIES", "IMAGE"):
        model = PATIENT_ROOT if level == "PATIENT" else STUDY_ROOT
        whole = find(filled, {LEVEL: level, **dict.fromkeys(BY_TAG, "")}, model)
        assert len(whole) == {"PATIENT": 2, "STUDY": 3, "SERIES": 4, "IMAGE": 8}[level]
        for tag, attribute in BY_TAG.items():
            value = whole[0].get(attribute.name)
            if value:
                found = find(filled, {LEVEL: level, PATIENT: "", STUDY: "", tag: value.split("\\")[0]}, model)
                assert len(found) >= 1, attribute


def many(entry, count):
    for number in range(count):
        header = replace(entry.header, sop_instance_uid=f"1.9.{number}")
        values = {**entry.values, "study_instance_uid": f"1.2.{number}"}
        yield Entry(header, 0, values)


def test_pages_hold_all_and_each_once(vault, index):
    count = 2 * PAGE_ROWS + 17
    index.update(many(read_entry(vault.put()), count))
    rows = find(index, {LEVEL: "STUDY", STUDY: ""})
    assert [row["study_instance_uid"] for row in rows] == [f"1.2.{number}" for number in range(count)]


def test_a_query_that_takes_too_long_is_stopped(vault, index):
    index.update(many(read_entry(vault.put()), 3000))
    search = searched({LEVEL: "PATIENT", PATIENT: "", 0x00201204: ""}, PATIENT_ROOT)
    with pytest.raises(ArchiveError, match="too long"):
        index.page(search, 0, 0.0)
    assert index.page(search, 0, 5.0).rows == [("P1", "3000")]


@pytest.mark.parametrize(
    ("keys", "model", "found"),
    [
        ({LEVEL: "STUDY", STUDY: "1.2.2"}, STUDY_ROOT, ["1.9.5", "1.9.4"]),
        ({LEVEL: "STUDY", STUDY: "1.2.2\\1.2.3"}, STUDY_ROOT, ["1.9.5", "1.9.4", "1.9.7", "1.9.6"]),
        ({LEVEL: "SERIES", SERIES: "1.3.2"}, STUDY_ROOT, ["1.9.3", "1.9.2"]),
        ({LEVEL: "IMAGE", INSTANCE: "1.9.0\\1.9.7\\1.9.99"}, STUDY_ROOT, ["1.9.0", "1.9.7"]),
        ({LEVEL: "IMAGE", STUDY: "1.2.1", INSTANCE: "1.9.7"}, STUDY_ROOT, []),
        ({LEVEL: "PATIENT", PATIENT: "P2"}, PATIENT_ROOT, ["1.9.7", "1.9.6"]),
        ({LEVEL: "PATIENT", PATIENT: "nobody"}, PATIENT_ROOT, []),
    ],
)
def test_what_is_retrieved(filled, keys, model, found):
    assert sorted(retrieve(filled, keys, model)) == sorted(found)


def test_the_instances_of_a_series_go_in_the_order_of_their_numbers(filled):
    assert retrieve(filled, {LEVEL: "STUDY", STUDY: "1.2.2"}) == ["1.9.5", "1.9.4"]


def test_a_retrieval_is_limited(filled):
    assert len(retrieve(filled, {LEVEL: "PATIENT", PATIENT: "P1"}, PATIENT_ROOT, limit=4)) == 4


def test_headers_are_those_of_the_files(filled):
    keys = {LEVEL: "IMAGE", INSTANCE: "1.9.0"}
    retrieval = read_retrieval(STUDY_ROOT, Identifier(encode_identifier(keys, IMPLICIT), IMPLICIT), relational=True)
    (header,) = filled.headers(retrieval, 10, 5.0)
    assert header == read_entry(path_of(filled.path.parent, "1.9.0")).header
