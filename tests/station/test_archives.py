"""DICOM files in zip files."""

import os
import zipfile
import zlib

import pytest

from dulcet.errors import NoInputError, SourceError
from dulcet.station.sending import archives
from dulcet.station.sending.files import FileToSend, Problem, find_files


def found(*paths):
    """What was found, as names of files to send and (name, problem, reason, is_failure) of the others."""
    return [item.name if isinstance(item, FileToSend) else item for item in find_files(paths)]


def only(*paths):
    (item,) = find_files(paths)
    return item


def open_descriptors():
    return sorted(os.listdir("/proc/self/fd"))


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
        monkeypatch.setattr("dulcet.station.sending.archives.tempfile.TemporaryFile", lambda **_: full)
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
