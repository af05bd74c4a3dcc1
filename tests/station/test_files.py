import os
import socket
import stat
import subprocess
import sys
import zipfile
import zlib

import pydicom
import pytest

from dulcet.errors import NoInputError, SourceError
from dulcet.station import archives
from dulcet.station.files import FileToSend, Problem, Unusable, find_files

DICOMDIR_CLASS = "1.2.840.10008.1.3.10"


def found(*paths):
    """What was found, as names of files to send and (name, problem, reason, is_failure) of the others."""
    return [item.name if isinstance(item, FileToSend) else item for item in find_files(paths)]


def only(*paths):
    (item,) = find_files(paths)
    return item


def open_descriptors():
    return sorted(os.listdir("/proc/self/fd"))


def test_a_file_says_what_it_is_and_where_its_data_set_lies(tmp_path, part10):
    path = tmp_path / "image"
    path.write_bytes(part10(instance="1.2.3.4", data_set=b"the data set"))
    file = only(path)
    assert file.name == str(path)
    assert file.header.sop_instance_uid == "1.2.3.4"
    assert file.header.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert file.size == len(b"the data set")
    with file.open() as opened:
        assert os.pread(opened.descriptor, opened.size, opened.offset) == b"the data set"
        descriptor = opened.descriptor
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_no_descriptor_stays_open(tmp_path, part10):
    (tmp_path / "a").write_bytes(part10())
    (tmp_path / "b").write_bytes(b"text")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("d", part10())
    before = open_descriptors()
    items = list(find_files([tmp_path]))
    assert len(items) == 3
    assert open_descriptors() == before


def test_a_folder_is_walked_in_the_order_of_names(tmp_path, part10):
    for name in ("b/2", "b/1", "a", "c/d/e", "B"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(part10())
    assert found(tmp_path) == [str(tmp_path / name) for name in ("B", "a", "b/1", "b/2", "c/d/e")]


def test_what_is_named_comes_in_the_order_given(tmp_path, part10):
    for name in ("1", "2", "3"):
        (tmp_path / name).write_bytes(part10())
    assert found(tmp_path / "3", tmp_path / "1") == [str(tmp_path / "3"), str(tmp_path / "1")]


def test_hidden_files_are_sent_only_when_named(tmp_path, part10):
    (tmp_path / ".hidden").write_bytes(part10())
    (tmp_path / ".folder").mkdir()
    (tmp_path / ".folder" / "image").write_bytes(part10())
    (tmp_path / "seen").write_bytes(part10())
    assert found(tmp_path) == [str(tmp_path / "seen")]
    assert found(tmp_path / ".hidden", tmp_path / ".folder") == [
        str(tmp_path / ".hidden"),
        str(tmp_path / ".folder" / "image"),
    ]


@pytest.mark.parametrize("name", ["missing", "missing/below", "nul\0"])
def test_what_is_not_there_is_said(tmp_path, name):
    item = only(str(tmp_path / name))
    assert item.problem is Problem.NO_INPUT
    assert item.is_failure
    assert item.reason in ("there is no such file or folder", "no file can have this name")


def test_a_folder_without_files_is_said(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".hidden").touch()
    item = only(tmp_path)
    assert (item.problem, item.reason) == (Problem.NO_INPUT, "the folder holds no files")


def test_an_empty_file_is_a_failure_wherever_it_lies(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    expected = Unusable(name=str(path), problem=Problem.EMPTY, reason="it is empty: 0 octets")
    assert found(path) == [expected]
    assert found(tmp_path) == [expected]


def test_what_is_not_dicom_is_a_failure_only_when_named(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("Dear colleague,\n" * 20)
    named, inside = only(path), only(tmp_path)
    assert (named.problem, named.is_failure) == (Problem.NOT_DICOM, True)
    assert (inside.problem, inside.is_failure) == (Problem.NOT_DICOM, False)
    assert named.reason == inside.reason != ""


@pytest.mark.parametrize("missing", [{"sop_class": None}, {"instance": None}, {"syntax": None}])
def test_a_file_that_lacks_what_a_request_has_to_name_is_a_failure(tmp_path, part10, missing):
    path = tmp_path / "incomplete"
    path.write_bytes(part10(data_set=b"", **missing))
    item = only(tmp_path)
    assert (item.problem, item.is_failure) == (Problem.INCOMPLETE, True)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_an_error_of_the_operating_system_is_a_sentence(tmp_path, part10, monkeypatch, error):
    path = tmp_path / "image"
    path.write_bytes(part10())

    def refuse(*_arguments):
        raise error

    monkeypatch.setattr("dulcet.station.found.os.open", refuse)
    item = only(path)
    assert item.problem is Problem.UNREADABLE
    assert item.reason in ("there is no permission to read it", "it can't be read: Input/output error")


def test_a_folder_that_may_not_be_read_does_not_stop_the_walk(tmp_path, part10, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").write_bytes(part10())
    scandir = os.scandir

    def refuse_one(path):
        if str(path).endswith("/a"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse_one)
    refused, file = find_files([tmp_path])
    assert (refused.name, refused.problem) == (str(tmp_path / "a"), Problem.UNREADABLE)
    assert file.name == str(tmp_path / "b")


def test_loops_of_links_end_and_linked_files_are_found(tmp_path, part10):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "image").write_bytes(part10())
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "itself").symlink_to("itself")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to("a/image")
    (tmp_path / "d").symlink_to("nowhere")
    names = found(tmp_path)
    assert [name for name in names if isinstance(name, str)] == [str(tmp_path / "a" / "image"), str(tmp_path / "c")]
    assert {(item.name, item.reason) for item in names if isinstance(item, Unusable)} == {
        (str(tmp_path / "a" / "itself"), "it is a link that leads nowhere"),
        (str(tmp_path / "d"), "it is a link that leads nowhere"),
    }


def test_a_pipe_or_socket_is_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(tmp_path, os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{here}/socket")
        finally:
            os.close(here)
        items = list(find_files([tmp_path, tmp_path / "pipe"]))
    assert [stat.S_IFMT(os.stat(item.name).st_mode) for item in items] == [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFIFO]
    assert [item.is_failure for item in items] == [False, False, True]
    assert {item.reason for item in items} == {"it is neither a file nor a folder"}


def test_a_file_whose_name_is_no_text_is_found(tmp_path, part10):
    path = os.fsencode(tmp_path) + b"/\xff\x1b"
    with open(path, "wb") as file:
        file.write(part10())
    (file,) = find_files([tmp_path])
    assert os.fsencode(file.name) == path
    with file.open():
        pass


def test_a_folder_deeper_than_the_stack_is_walked(tmp_path, part10):
    path = tmp_path
    for _ in range(sys.getrecursionlimit() + 100):
        path = path / "d"
        path.mkdir()
    (path / "image").write_bytes(part10())
    try:
        assert found(tmp_path) == [str(path / "image")]
    finally:  # what removes the folder otherwise is recursive
        (path / "image").unlink()
        while path != tmp_path:
            path.rmdir()
            path = path.parent


# Between finding and sending ----------------------------------------------------------------------------------------


def test_a_file_that_vanished_is_said(tmp_path, part10):
    path = tmp_path / "image"
    path.write_bytes(part10())
    file = only(path)
    path.unlink()
    with pytest.raises(NoInputError, match="it has vanished since it was found"), file.open():
        pass


def test_a_file_that_changed_is_said(tmp_path, part10):
    path = tmp_path / "image"
    path.write_bytes(part10(data_set=b"one"))
    file = only(path)
    path.write_bytes(part10(data_set=b"another"))
    before = open_descriptors()
    with pytest.raises(NoInputError, match=r"it has changed: \d+ octets now, \d+ when it was found"), file.open():
        pass
    assert open_descriptors() == before


def test_a_file_that_became_a_folder_or_a_pipe_is_said(tmp_path, part10):
    for replace in (os.mkdir, os.mkfifo):
        path = tmp_path / replace.__name__
        path.write_bytes(part10())
        file = only(path)
        path.unlink()
        replace(path)
        with pytest.raises(NoInputError, match="it has changed"), file.open():
            pass


# DICOMDIR -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def file_set(tmp_path, part10):
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


# Zip files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def zip_file(tmp_path):
    def make(members, name="study.zip", compression=zipfile.ZIP_DEFLATED):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", compression) as archive:
            for member, octets in members.items():
                archive.writestr(member, octets)
        return path

    return make


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_members_of_a_zip_file_are_read(part10, zip_file, compression, size):
    data_set = os.urandom(size)
    octets = part10(data_set=data_set)
    path = zip_file({"b/2": octets, "a/1": octets, "a/": b""}, compression=compression)
    files = list(find_files([path]))
    assert [file.name for file in files] == [f"{path}/a/1", f"{path}/b/2"]
    before = open_descriptors()
    for file in files:
        assert file.size == size
        with file.open() as opened:
            assert os.pread(opened.descriptor, size + 1, opened.offset) == data_set
            assert opened.size == size
            assert os.fstat(opened.descriptor).st_nlink == 0  # it has no name
    assert open_descriptors() == before


def test_a_zip_file_in_a_folder_is_entered(tmp_path, part10, zip_file):
    path = zip_file({"image": part10()})
    assert found(tmp_path) == [f"{path}/image"]


def test_a_zip_file_by_any_name_is_entered_when_named(tmp_path, part10, zip_file):
    path = zip_file({"image": part10()}, name="export")
    assert found(path) == [f"{path}/image"]
    assert only(tmp_path).problem is Problem.NOT_DICOM


def test_names_in_a_zip_file_lead_nowhere(tmp_path, part10, zip_file):
    path = zip_file({"../../outside": part10(), "/absolute": part10()})
    files = list(find_files([path]))
    assert [file.name for file in files] == [f"{path}/../../outside", f"{path}//absolute"]
    for file in files:
        with file.open():
            assert os.listdir(tmp_path) == ["study.zip"]


def test_what_else_is_in_a_zip_file_is_said(part10, zip_file, file_set):
    inner = zip_file({"image": part10()}, name="inner.zip").read_bytes()
    index = file_set("I1").read_bytes()
    members = {
        "DICOMDIR": index,
        "empty": b"",
        "image": part10(),
        "inner.zip": inner,
        "letter.txt": b"Dear colleague," * 20,
        "__MACOSX/._image": b"x",
        ".DS_Store": b"x",
    }
    path = zip_file(members)
    items = {item.name.removeprefix(f"{path}/"): item for item in find_files([path])}
    assert set(items) == {"DICOMDIR", "empty", "image", "inner.zip", "letter.txt"}
    assert isinstance(items["image"], FileToSend)
    assert (items["DICOMDIR"].is_failure, "index" in items["DICOMDIR"].reason) == (False, True)
    assert (items["empty"].problem, items["empty"].is_failure) == (Problem.EMPTY, True)
    assert (items["letter.txt"].problem, items["letter.txt"].is_failure) == (Problem.NOT_DICOM, False)
    assert items["inner.zip"].is_failure
    assert "a zip file within a zip file is not entered" in items["inner.zip"].reason


def test_a_zip_file_without_dicom_is_said(tmp_path, zip_file):
    path = zip_file({"letter.txt": b"Dear colleague," * 20})
    for given, is_failure in ((path, True), (tmp_path, False)):
        *_, last = find_files([given])
        assert (last.name, last.reason, last.is_failure) == (str(path), "the zip file holds no DICOM files", is_failure)
    empty = zip_file({}, name="empty.zip")
    assert only(empty).reason == "the zip file holds no DICOM files"


def test_encrypted_members_are_said(zip_file, part10):
    path = zip_file({"image": part10()})
    octets = bytearray(path.read_bytes())
    octets[6] |= 1  # the local header's flags
    octets[octets.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(octets)
    first, _ = find_files([path])
    assert (first.problem, first.reason) == (Problem.UNREADABLE, "it is encrypted in the zip file")


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_said(zip_file, part10, compression):
    first, _ = find_files([zip_file({"image": part10()}, compression=compression)])
    assert f"by method {compression}" in first.reason


@pytest.mark.parametrize("cut", [10, 100, -1])
def test_a_zip_file_that_is_cut_is_said(zip_file, part10, cut):
    path = zip_file({"image": part10(data_set=os.urandom(1000))})
    path.write_bytes(path.read_bytes()[:cut])
    item = only(path)
    assert (item.problem, item.reason, item.is_failure) == (Problem.UNREADABLE, "the zip file is damaged", True)


def test_a_damaged_member_is_found_when_it_is_unpacked(zip_file, part10):
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        octets = part10(data_set=bytes(1000) + os.urandom(1000))
        path = zip_file({"image": octets}, compression=compression)
        file = only(path)
        archive = bytearray(path.read_bytes())
        archive[archive.index(b"PK\1\2") - 20] ^= 0xFF
        path.write_bytes(archive)
        with pytest.raises(SourceError, match=r"damaged|too early|more than"), file.open():
            pass


def test_a_member_that_is_not_where_the_directory_says_is_said(zip_file, part10):
    path = zip_file({"a": part10(), "b": part10()})
    octets = bytearray(path.read_bytes())
    second = octets.rindex(b"PK\3\4")
    octets[second : second + 4] = b"\0\0\0\0"
    path.write_bytes(octets)
    first, second = find_files([path])
    assert isinstance(first, FileToSend)
    assert (second.problem, second.is_failure) == (Problem.UNREADABLE, True)
    assert second.reason == "the zip file is damaged: it has no member where its directory says"


def test_a_member_whose_head_is_damaged_is_said(zip_file, part10):
    path = zip_file({"a": part10(data_set=b"")})
    octets = bytearray(path.read_bytes())
    octets[31] ^= 0xFF  # the first octet behind the local header and the name
    path.write_bytes(octets)
    first, last = find_files([path])
    assert (first.problem, last.problem) == (Problem.UNREADABLE, Problem.NOT_DICOM)
    assert first.reason == "the member of the zip file is damaged: it can't be inflated"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_zip_file_that_can_not_be_read_is_said(zip_file, part10, monkeypatch, error):
    path = zip_file({"a": part10()})

    def refuse(*_arguments, **_options):
        raise error

    monkeypatch.setattr(archives.zipfile, "ZipFile", refuse)
    assert only(path).reason == f"it can't be read: {error.strerror}"
    monkeypatch.setattr("builtins.open", refuse)
    assert only(path).problem is Problem.NOT_DICOM


def test_a_zip_file_that_vanished_is_said(zip_file, part10):
    path = zip_file({"image": part10()})
    file = only(path)
    path.unlink()
    with pytest.raises(NoInputError, match="vanished"), file.open():
        pass


def test_a_zip_file_that_got_shorter_is_said(zip_file, part10):
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = zip_file({"image": part10(data_set=os.urandom(1000))}, compression=compression)
        file = only(path)
        os.truncate(path, 500)
        with pytest.raises(SourceError, match=r"damaged|too early"), file.open():
            pass


def test_a_full_disk_is_said_when_a_member_is_unpacked(zip_file, part10, monkeypatch):
    file = only(zip_file({"image": part10()}))
    with open("/dev/full", "r+b", buffering=0) as full:
        monkeypatch.setattr("dulcet.station.archives.tempfile.TemporaryFile", lambda **_: full)
        with pytest.raises(SourceError, match="it can't be unpacked: No space left on device"), file.open():
            pass


def test_a_bomb_in_a_zip_file_is_refused_by_what_it_promises(zip_file, part10):
    path = zip_file({"image": part10(data_set=bytes(100 * 1024 * 1024))})
    first, _ = find_files([path])
    assert first.problem is Problem.UNSAFE
    assert "as only a bomb does" in first.reason


def test_a_bomb_that_promises_little_is_stopped_there(zip_file, part10, monkeypatch):
    octets = part10(data_set=bytes(1_000_000))
    path = zip_file({"image": octets})
    archive = bytearray(path.read_bytes())
    directory = archive.index(b"PK\1\2")
    archive[directory + 24 : directory + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(archive)
    file = only(path)
    assert file.header.file_size == 1000
    with pytest.raises(SourceError, match="inflates to more than 1000 octets"), file.open():
        pass


def test_a_zip_file_with_too_many_members_is_refused(zip_file, part10, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    assert len(found(zip_file({name: part10() for name in "ab"}))) == 2
    item = only(zip_file({name: part10() for name in "abc"}))
    assert (item.problem, item.reason) == (Problem.UNSAFE, "the zip file has more than 2 members")


def test_a_member_whose_checksum_is_right_is_what_was_packed(zip_file, part10):
    octets = part10(data_set=os.urandom(200_000))
    file = only(zip_file({"image": octets}))
    with file.open() as opened:
        assert zlib.crc32(os.pread(opened.descriptor, 1_000_000, 0)) == zlib.crc32(octets)


# Cost ---------------------------------------------------------------------------------------------------------------


def test_ordinary_files_are_found_without_pydicom(tmp_path, part10):
    (tmp_path / "image").write_bytes(part10())
    program = (
        "import sys; from dulcet.station.files import find_files; "
        "print(len(list(find_files(sys.argv[1:]))), 'pydicom' in sys.modules, 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False", "False"]


def test_each_file_is_opened_once(tmp_path, part10, monkeypatch):
    for number in range(10):
        (tmp_path / str(number)).write_bytes(part10())
    opened = []
    really_open = os.open

    def count(path, *arguments):
        opened.append(path)
        return really_open(path, *arguments)

    monkeypatch.setattr("dulcet.station.found.os.open", count)
    assert len(found(tmp_path)) == 10
    assert len(opened) == 10
