import os
import socket
import stat
import subprocess
import sys
import zipfile

import pytest

from dulcet.errors import NoInputError
from dulcet.station.sending.files import FileToSend, Problem, Unusable, find_files

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


@pytest.mark.parametrize("octets", [132 + 9, 160, 200])
def test_a_dicom_file_that_is_cut_is_a_failure_wherever_it_lies(tmp_path, part10, octets):
    """Nobody can tell from a folder what was lost: it has the DICM prefix, so it is no letter that lies there."""
    (tmp_path / "cut.dcm").write_bytes(part10()[:octets])
    (tmp_path / "whole.dcm").write_bytes(part10())
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("cut", part10()[:octets])
        archive.writestr("whole", part10())
    cut, whole, member, _ = find_files([tmp_path])
    assert isinstance(whole, FileToSend)
    for item in (cut, member, only(tmp_path / "cut.dcm")):
        assert (item.problem, item.is_failure) == (Problem.INCOMPLETE, True)


@pytest.mark.parametrize(
    ("told", "what"),
    [({"sop_class": None}, "SOP class"), ({"instance": None}, "SOP instance"), ({"syntax": None}, "transfer syntax")],
)
def test_a_file_that_lacks_what_a_request_has_to_name_is_a_failure(tmp_path, part10, told, what):
    path = tmp_path / "incomplete"
    path.write_bytes(part10(data_set=b"", **told))
    item = only(tmp_path)
    assert (item.problem, item.is_failure) == (Problem.INCOMPLETE, True)
    assert what in item.reason


@pytest.mark.parametrize("field", ["sop_class", "instance", "syntax"])
@pytest.mark.parametrize("uid", ["../../x", "1.2\x1b[2J", "1" * 65, "1.2.a"])
def test_what_is_no_uid_is_never_sent(tmp_path, part10, field, uid):
    path = tmp_path / "hostile"
    path.write_bytes(part10(**{field: uid}))
    item = only(tmp_path)
    assert (item.problem, item.is_failure) == (Problem.INCOMPLETE, True)
    assert item.reason.isascii()
    assert item.reason.isprintable()


def test_uids_as_the_field_has_them_are_sent(tmp_path, part10):
    path = tmp_path / "odd"
    path.write_bytes(part10(instance="1.02.003"))
    assert only(path).header.sop_instance_uid == "1.02.003"


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_an_error_of_the_operating_system_is_a_sentence(tmp_path, part10, monkeypatch, error):
    path = tmp_path / "image"
    path.write_bytes(part10())

    def refuse(*_arguments):
        raise error

    monkeypatch.setattr("dulcet.station.sending.found.os.open", refuse)
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


def test_an_odd_data_set_is_damage_unless_it_is_deflated(tmp_path, part10):
    path = tmp_path / "image"
    path.write_bytes(part10(data_set=b"odd"))
    found = only(path)
    assert isinstance(found, Unusable)
    assert "3 octets, an odd number" in found.reason
    path.write_bytes(part10(data_set=b"odd", syntax="1.2.840.10008.1.2.1.99"))
    assert isinstance(only(path), FileToSend)


def test_a_file_that_changed_is_said(tmp_path, part10):
    path = tmp_path / "image"
    path.write_bytes(part10(data_set=b"once"))
    file = only(path)
    path.write_bytes(part10(data_set=b"otherwise"))
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


# Cost ---------------------------------------------------------------------------------------------------------------


def test_ordinary_files_are_found_without_pydicom(tmp_path, part10):
    (tmp_path / "image").write_bytes(part10())
    program = (
        "import sys; from dulcet.station.sending.files import find_files; "
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

    monkeypatch.setattr("dulcet.station.sending.found.os.open", count)
    assert len(found(tmp_path)) == 10
    assert len(opened) == 10
