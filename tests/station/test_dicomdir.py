"""What a DICOMDIR refers to."""

import os

import pydicom
import pytest

from dulcet.station.sending.files import FileToSend, Problem, Unusable, find_files

DICOMDIR_CLASS = "1.2.840.10008.1.3.10"


def found(*paths):
    """What was found, as names of files to send and (name, problem, reason, is_failure) of the others."""
    return [item.name if isinstance(item, FileToSend) else item for item in find_files(paths)]


def only(*paths):
    (item,) = find_files(paths)
    return item


def test_a_dicomdir_stands_for_the_files_that_it_refers_to(tmp_path, part10, file_set):
    (tmp_path / "IMAGES").mkdir()
    for name in ("IMAGES/I2", "IMAGES/I1", "IMAGES/OTHER"):
        (tmp_path / name).write_bytes(part10())
    index = file_set(["IMAGES", "I2"], ["IMAGES", "I1"], ["IMAGES", "I2"])
    assert found(index) == [str(tmp_path / "IMAGES" / "I2"), str(tmp_path / "IMAGES" / "I1")]


def test_a_dicomdir_in_a_folder_is_passed_over(tmp_path, part10, file_set):
    index = file_set("I1")
    (tmp_path / "I1").write_bytes(part10())
    passed_over, image = find_files([tmp_path])
    assert (passed_over.name, passed_over.is_failure) == (str(index), False)
    assert "index" in passed_over.reason
    assert image.name == str(tmp_path / "I1")


def test_a_dicomdir_by_another_name_is_one(tmp_path, part10, file_set):
    (tmp_path / "I1").write_bytes(part10())
    index = file_set("I1").rename(tmp_path / "index")
    assert found(index) == [str(tmp_path / "I1")]


def test_names_are_found_whatever_their_case(tmp_path, part10, file_set):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "i1.dcm").write_bytes(part10())
    assert found(file_set(["IMAGES", "I1.DCM"])) == [str(tmp_path / "images" / "i1.dcm")]


def test_a_dicomdir_named_without_its_folder_is_found(tmp_path, part10, file_set, monkeypatch):
    (tmp_path / "i1").write_bytes(part10())
    file_set("I1")
    monkeypatch.chdir(tmp_path)
    assert found("DICOMDIR") == ["i1"]


def test_what_a_dicomdir_refers_to_and_is_missing_is_said(tmp_path, file_set):
    item = only(file_set(["NO", "SUCH"]))
    assert item == Unusable(
        name=str(tmp_path / "NO" / "SUCH"),
        problem=Problem.NO_INPUT,
        reason="the DICOMDIR refers to it, but there is no such file",
    )


def test_records_that_are_not_in_use_are_passed_over(tmp_path, part10, file_set):
    (tmp_path / "I1").write_bytes(part10())
    old = pydicom.Dataset()
    old.RecordInUseFlag = 0
    old.ReferencedFileID = "GONE"
    patient = pydicom.Dataset()
    patient.DirectoryRecordType = "PATIENT"
    assert found(file_set("I1", records=[old, patient])) == [str(tmp_path / "I1")]


@pytest.mark.parametrize(
    "file_id",
    [
        ["..", "secret"],
        ["IMAGES", "..", "..", "secret"],
        "../secret",
        "/etc/passwd",
        ["IMAGES/../../secret"],
        ["", "secret"],
        ["."],
        ["a\0b"],
    ],
    ids=str,
)
def test_a_file_id_that_is_no_plain_name_is_refused(tmp_path, part10, file_set, file_id):
    (tmp_path / "secret").write_bytes(part10())
    (tmp_path / "set" / "IMAGES").mkdir(parents=True)
    item = only(file_set(file_id, folder=tmp_path / "set"))
    assert isinstance(item, Unusable)
    assert (item.problem, item.is_failure) == (Problem.UNSAFE, True)


def test_a_link_that_leads_out_of_the_file_set_is_refused(tmp_path, part10, file_set):
    (tmp_path / "secret").write_bytes(part10())
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "LINK").symlink_to(tmp_path / "secret")
    (tmp_path / "set" / "UP").symlink_to(tmp_path)
    items = list(find_files([file_set("LINK", ["UP", "SECRET"], folder=tmp_path / "set")]))
    assert [item.problem for item in items] == [Problem.UNSAFE] * 2


def test_a_file_set_behind_a_link_is_read(tmp_path, part10, file_set):
    file_set("I1", folder=tmp_path / "set")
    (tmp_path / "set" / "I1").write_bytes(part10())
    (tmp_path / "link").symlink_to("set")
    assert found(tmp_path / "link" / "DICOMDIR") == [str(tmp_path / "link" / "I1")]


def test_a_dicomdir_that_refers_to_nothing_is_said(file_set):
    item = only(file_set())
    assert (item.problem, item.reason) == (Problem.NO_INPUT, "the DICOMDIR refers to no files")


@pytest.mark.parametrize("rest", [b"\xff" * 100, b"\x04\x00\x20\x12SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0" * 7])
def test_a_dicomdir_that_is_damaged_is_said(tmp_path, part10, rest):
    path = tmp_path / "DICOMDIR"
    path.write_bytes(part10(sop_class=DICOMDIR_CLASS, data_set=rest))
    item = only(path)
    assert item.is_failure
    assert item.reason.startswith(("the DICOMDIR can't be read: ", "the DICOMDIR refers to no files"))
    assert item.reason.isascii()
    assert item.reason.isprintable()


def test_a_dicomdir_nested_too_deep_is_said(tmp_path, part10):
    deep = (b"\x04\x00\x20\x12SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff") * 20_000
    path = tmp_path / "DICOMDIR"
    path.write_bytes(part10(sop_class=DICOMDIR_CLASS, data_set=deep))
    assert only(path).is_failure


def test_a_huge_dicomdir_is_not_read(tmp_path, part10):
    path = tmp_path / "DICOMDIR"
    path.write_bytes(part10(sop_class=DICOMDIR_CLASS))
    os.truncate(path, 300 * 1024 * 1024)
    assert "larger than" in only(path).reason
