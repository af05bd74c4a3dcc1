"""What is exported is what came, octet for octet, under its name only when it is whole, and over nothing."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from dulcet.errors import ConfigurationError, NoInputError, SourceError, StorageError
from dulcet.station.archive.series import Wanted
from dulcet.station.sending.dicomdir import referenced_files
from dulcet.station.vault import exporting, opening, target
from dulcet.station.vault.exporting import export_folder, export_zip
from dulcet.station.vault.file_sets import export_file_set
from dulcet.station.vault.layout import laid_out, plain
from dulcet.station.vault.opening import KEPT_FOLDERS, cache_path, hand_over, make_folder, viewer
from dulcet.station.vault.target import check_room, check_target, file_target, folder_target
from dulcet.station.vault.work import Work

WAYS = {"folder": export_folder, "zip": export_zip, "dicomdir": export_file_set}


def items_of(kept, *uids):
    series = kept.index.series(Wanted(series=uids))
    return laid_out((each, kept.index.instances(each.series_instance_uid)) for each in sorted(series, key=str))


def contents(path):
    """What was written, by name."""
    if path.is_file():
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            return {name: archive.read(name) for name in archive.namelist()}
    return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}


def in_records(path):
    """The SOP Instance UIDs that a DICOMDIR has."""
    records = pydicom.dcmread(path / "DICOMDIR").DirectoryRecordSequence
    return {str(record.ReferencedSOPInstanceUIDInFile) for record in records if "ReferencedFileID" in record}


@pytest.fixture
def filled(kept):
    """Two studies; one of two series, one with a file beside another."""
    for number in range(3):
        kept.put(f"1.9.{number}", SeriesNumber="2", SeriesDescription="Head/../ Ax^ial", InstanceNumber=str(9 - number))
    kept.put("1.9.0", digest="0123456789ab", PatientName="ROE")
    kept.put("1.9.4", SeriesInstanceUID="1.3.2", SeriesNumber="2", SeriesDescription="head/../ ax^ial")
    kept.put("1.9.5", SeriesInstanceUID="1.3.3", StudyInstanceUID="1.2.2", StudyDate="", Modality="", PatientID="")
    return kept


# Names ---------------------------------------------------------------------------------------------------------------


def test_folders_and_files_have_names_that_people_can_read(filled):
    names = ["/".join(item.parts) for item in items_of(filled)]
    assert len({name.casefold() for name in names}) == len(names) == 6
    assert {name.split("/")[0] for name in names} == {"20260105", "undated"}
    assert {name.split("/")[1].casefold() for name in names} == {
        "002_ct_head-ax-ial",
        "002_ct_head-ax-ial-2",
        "000",
    }
    in_order = [item.instance.name for item in items_of(filled, "1.3.1")]
    assert in_order == ["1.9.0~0123456789ab.dcm", "1.9.2.dcm", "1.9.1.dcm", "1.9.0.dcm"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("../../etc", "etc"),
        ("\x1b[2Jx", "2Jx"),
        ("a" * 99, "a" * 24),
        ("Schädel", "Sch-del"),
        ("", ""),
        ("CON.", "CON"),
    ],
)
def test_what_is_left_of_a_peers_words(text, expected):
    assert plain(text) == expected


# Each way ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["folder", "zip"])
def test_files_are_as_they_came(filled, tmp_path, way):
    items, work = items_of(filled), Work()
    exported = WAYS[way](filled.store, items, tmp_path / "out", work)
    assert contents(tmp_path / "out") == {"/".join(item.parts): filled.octets[item.instance.name] for item in items}
    total = sum(map(len, filled.octets.values()))
    assert (exported.files, exported.octets, exported.faults) == (6, total, [])
    assert (work.transfer.objects, work.transfer.octets) == (6, total)
    assert os.listdir(tmp_path) == ["out"] or set(os.listdir(tmp_path)) == {"out", "vault"}


def test_a_file_set(filled, tmp_path):
    items = items_of(filled)
    exported = export_file_set(filled.store, items, tmp_path / "out", Work())
    assert exported.faults == [("1.9.0.dcm", "a file-set can't have two files with one UID: it is left out")]
    found = contents(tmp_path / "out")
    assert sorted(octets for name, octets in found.items() if name != "DICOMDIR") == sorted(
        octets for name, octets in filled.octets.items() if name != "1.9.0.dcm"
    )
    for name in found:
        assert all((len(part) <= 8 and part.isupper()) or part.isdigit() for part in name.split("/"))
    assert in_records(tmp_path / "out") == {f"1.9.{number}" for number in (0, 1, 2, 4, 5)}
    assert sorted(referenced_files(str(tmp_path / "out" / "DICOMDIR"))) == sorted(
        str(tmp_path / "out" / name) for name in found if name != "DICOMDIR"
    )


def test_records_have_what_the_objects_lack(kept, tmp_path):
    bare = dict.fromkeys(["PatientID", "StudyDate", "Modality", "InstanceNumber"], None)
    kept.put("1.9.1", **bare, ContentDate="20260203", StudyInstanceUID="1.2.1")
    kept.put("1.9.2", **bare, StudyInstanceUID="1.2.2", SeriesInstanceUID="1.3.2")
    exported = export_file_set(kept.store, items_of(kept), tmp_path / "out", Work())
    assert (exported.files, exported.faults) == (2, [])
    records = pydicom.dcmread(tmp_path / "out" / "DICOMDIR").DirectoryRecordSequence
    by_type = {}
    for record in records:
        by_type.setdefault(record.DirectoryRecordType, []).append(record)
    assert {kind: len(found) for kind, found in by_type.items()} == {"PATIENT": 2, "STUDY": 2, "SERIES": 2, "IMAGE": 2}
    assert len({record.PatientID for record in by_type["PATIENT"]}) == 2
    assert {record.StudyDate for record in by_type["STUDY"]} == {"20260203", "19000101"}
    assert all(record.StudyTime and record.StudyID for record in by_type["STUDY"])
    assert all(octets in kept.octets.values() for name, octets in contents(tmp_path / "out").items() if "IM" in name)


BUNDLED = [
    "CT_small.dcm",
    "MR_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "JPEG2000.dcm",
    "rtplan.dcm",
    "rtdose_1frame.dcm",
    "reportsi.dcm",
    "image_dfl.dcm",
    "waveform_ecg.dcm",
    "liver_1frame.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "test-SR.dcm",
    "examples_palette.dcm",
    "JPEGLSNearLossless_08.dcm",
]


@pytest.mark.parametrize("way", sorted(WAYS))
def test_objects_of_many_kinds(folder, tmp_path, way):
    put = {}
    for name in BUNDLED:
        path = get_testdata_file(name, download=False)
        assert path is not None, name
        uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        folder.write(f"{uid}.dcm", Path(path).read_bytes())
        put[uid] = name
    folder.update()
    assert folder.index.unreadable() == []
    items = items_of(folder)
    exported = WAYS[way](folder.store, items, tmp_path / "out", Work())
    assert exported.faults == []
    found = contents(tmp_path / "out")
    found.pop("DICOMDIR", None)
    assert sorted(found.values()) == sorted(folder.octets.values())
    if way == "dicomdir":
        assert {put[uid] for uid in in_records(tmp_path / "out")} == set(put.values())


def test_what_is_compressed_is_not_compressed_again(folder, tmp_path):
    for name in ("JPEG2000.dcm", "CT_small.dcm", "image_dfl.dcm"):
        path = get_testdata_file(name, download=False)
        uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
        folder.write(f"{uid}.dcm", Path(path).read_bytes())
    folder.update()
    export_zip(folder.store, items_of(folder), tmp_path / "out.zip", Work())
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        kinds = {info.filename.split("/")[1]: info.compress_type for info in archive.infolist()}
    assert sorted(kinds.values()) == [zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]


# What is wrong -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", sorted(WAYS))
def test_what_is_not_as_it_came_is_named(filled, tmp_path, way):
    items = items_of(filled, "1.3.1")
    octets = filled.octets["1.9.1.dcm"]
    filled.write("1.9.1.dcm", octets[:-1] + b"\1")
    filled.lose("1.9.2.dcm")
    exported = WAYS[way](filled.store, items, tmp_path / "out", Work())
    assert ("1.9.1.dcm", "its contents are not those that came") in exported.faults
    assert ("1.9.2.dcm", "it is not there any more") in exported.faults
    found = contents(tmp_path / "out")
    assert octets[:-1] + b"\1" in found.values()
    assert octets not in found.values()


def test_an_object_that_vanishes_late_is_no_record(kept, tmp_path):
    """Its head was read, then it went: the DICOMDIR refers to nothing that is not there."""
    for number in range(3):
        kept.put(f"1.9.{number}", InstanceNumber=str(number))
    items, opens = items_of(kept), []
    plain_open = kept.store.open

    def open_and_lose(name):
        opens.append(name)
        if len(opens) == 4:
            kept.lose("1.9.1.dcm")
        return plain_open(name)

    kept.vault.store.open = open_and_lose
    exported = export_file_set(kept.store, items, tmp_path / "out", Work())
    assert exported.faults == [("1.9.1.dcm", "it is not there any more")]
    assert in_records(tmp_path / "out") == {"1.9.0", "1.9.2"}
    assert len(contents(tmp_path / "out")) == 3


def test_no_head_of_a_file_set_is_left_in_a_temporary_folder(kept, tmp_path, monkeypatch):
    """Heads name patients."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    kept.put()
    export_file_set(kept.store, items_of(kept), tmp_path / "out", Work())
    assert os.listdir(tmp_path / "temporary") == []
    with pytest.raises(KeyboardInterrupt):
        export_file_set(kept.store, items_of(kept), tmp_path / "other", Work(is_stopped=True))
    assert os.listdir(tmp_path / "temporary") == []


def test_a_hostile_object_has_no_record(kept, tmp_path):
    kept.put("1.9.1")
    name = kept.put("1.9.2", InstanceNumber="2")
    octets = kept.octets[name]
    at = octets.index(b"\x20\0\x13\0")
    kept.write(name, octets[:at] + b"\x20\0\x13\0SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff" * 5000)
    exported = export_file_set(kept.store, items_of(kept), tmp_path / "out", Work())
    assert [fault for fault, _ in exported.faults] == [name]
    assert len(contents(tmp_path / "out")) == 2


@pytest.mark.parametrize("way", ["folder", "zip"])
def test_a_disk_that_fails_in_the_middle_of_a_file(filled, tmp_path, way, monkeypatch):
    monkeypatch.setattr(exporting, "READ_OCTETS", 16)
    items, reads = items_of(filled, "1.3.1"), []
    preadv = os.preadv

    def fails_late(descriptor, buffers, offset):
        reads.append(offset)
        if len(reads) == 3:
            raise OSError(5, "Input/output error")
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", fails_late)
    if way == "zip":  # of which nothing can be taken out again
        with pytest.raises(SourceError, match="Input/output error"):
            WAYS[way](filled.store, items, tmp_path / "out", Work())
        assert not (tmp_path / "out").exists()
    else:
        exported = WAYS[way](filled.store, items, tmp_path / "out", Work())
        assert [fault for fault, _ in exported.faults] == [items[0].instance.name]
        assert len(contents(tmp_path / "out")) == 3
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob(".*"))


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_full_disk_leaves_nothing(filled, tmp_path, way, monkeypatch):
    fsync, synced = os.fsync, []

    def full(descriptor):
        synced.append(descriptor)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        WAYS[way](filled.store, items_of(filled), tmp_path / "out", Work())
    monkeypatch.setattr(os, "fsync", fsync)
    assert synced
    assert set(os.listdir(tmp_path)) <= {"vault"}


@pytest.mark.parametrize("way", sorted(WAYS))
def test_work_that_is_stopped_leaves_nothing(filled, tmp_path, way):
    class Stopping(Work):
        def octets(self, count):
            Work.octets(self, count)
            self.is_stopped = True

    with pytest.raises(KeyboardInterrupt):
        WAYS[way](filled.store, items_of(filled), tmp_path / "out", Stopping())
    assert set(os.listdir(tmp_path)) <= {"vault"}


KILLED = """
import os, signal, sys
from pathlib import Path
from dulcet.station.archive.series import Wanted
from dulcet.station.vault.exporting import export_folder, export_zip
from dulcet.station.vault.file_sets import export_file_set
from dulcet.station.vault.layout import laid_out
from dulcet.station.vault.open_vault import open_vault
from dulcet.station.vault.work import Work

class Dying(Work):
    def octets(self, count):
        Work.octets(self, count)
        if self.transfer.octets > 2000:
            os.kill(os.getpid(), signal.SIGKILL)

vault = open_vault(Path(sys.argv[1]))
items = laid_out((each, vault.index.instances(each.series_instance_uid)) for each in vault.index.series(Wanted()))
ways = {"folder": export_folder, "zip": export_zip, "dicomdir": export_file_set}
ways[sys.argv[2]](vault.store, items, Path(sys.argv[3]), Dying())
"""


@pytest.mark.parametrize("way", sorted(WAYS))
def test_a_kill_leaves_nothing_under_the_name(folder, tmp_path, way):
    for number in range(6):
        folder.put(f"1.9.{number}", PixelData=bytes(1000))
    command = [sys.executable, "-c", KILLED, str(folder.store.directory), way, str(tmp_path / "out")]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    assert not (tmp_path / "out").exists()
    (left,) = tmp_path.glob(".out*")
    assert left.name.endswith(".partial")


# Where it goes -------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "file").write_bytes(b"precious")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").write_bytes(b"")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "folder", "link"):
        for may_be_empty_folder in (True, False):
            with pytest.raises(ConfigurationError, match="is there already"):
                check_target(tmp_path / name, may_be_empty_folder=may_be_empty_folder)
    with pytest.raises(NoInputError, match="there is no folder"):
        check_target(tmp_path / "no" / "thing", may_be_empty_folder=True)
    check_target(tmp_path / "new", may_be_empty_folder=False)


@pytest.mark.parametrize("hard_links", [True, False])
def test_nothing_is_overwritten_that_came_meanwhile(tmp_path, monkeypatch, hard_links):
    if not hard_links:

        def link(*_given, **_how):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
    for make in (file_target, folder_target):
        path = tmp_path / make.__name__

        def export(make=make, path=path):
            with make(path) as making:
                if make is file_target:
                    making.write_bytes(b"ours")
                path.write_bytes(b"precious")

        with pytest.raises(ConfigurationError, match="is there already"):
            export()
        assert path.read_bytes() == b"precious"
    assert len(os.listdir(tmp_path)) == 2


def test_a_file_without_hard_links(tmp_path, monkeypatch):
    def link(*_given, **_how):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    with file_target(tmp_path / "out") as making:
        making.write_bytes(b"ours")
    assert (tmp_path / "out").read_bytes() == b"ours"
    assert os.listdir(tmp_path) == ["out"]


def test_an_empty_folder_is_filled_and_the_index_comes_last(tmp_path, monkeypatch):
    """A stick, which no folder can take the place of."""
    (tmp_path / "stick").mkdir()
    identity = (tmp_path / "stick").stat().st_ino
    moved, rename = [], Path.rename
    monkeypatch.setattr(Path, "rename", lambda self, to: (moved.append(self.name), rename(self, to)))
    check_target(tmp_path / "stick", may_be_empty_folder=True)
    with folder_target(tmp_path / "stick") as making:
        for name in ("DICOMDIR", "A", "Z"):
            (making / name).write_bytes(b"")
        assert making.parent == tmp_path / "stick"
    assert moved == ["A", "Z", "DICOMDIR"]
    assert sorted(os.listdir(tmp_path / "stick")) == ["A", "DICOMDIR", "Z"]
    assert (tmp_path / "stick").stat().st_ino == identity


def test_everything_is_on_the_disk_before_it_has_its_name(folder, tmp_path, monkeypatch):
    folder.put()
    told = []

    def telling(module, name):
        call = getattr(module, name)
        return lambda *given, **how: (told.append(name), call(*given, **how))[1]

    monkeypatch.setattr(os, "fsync", telling(os, "fsync"))
    monkeypatch.setattr(os, "link", telling(os, "link"))
    monkeypatch.setattr(Path, "rename", telling(Path, "rename"))
    export_folder(folder.store, items_of(folder), tmp_path / "out", Work())
    assert told == ["fsync"] * 4 + ["rename", "fsync"]  # the file and three folders, then the one that it is in
    told.clear()
    export_zip(folder.store, items_of(folder), tmp_path / "out.zip", Work())
    assert told == ["fsync", "link", "fsync"]


def test_room_is_asked_for_before(tmp_path, monkeypatch):
    free = 100_000_000 + target.SPARE_OCTETS
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(10**12, 10**12 - free, free))
    check_room(tmp_path / "new", 100_000_000)
    with pytest.raises(StorageError, match=r"200.0 MB don't fit .* 100.0 MB too few") as caught:
        check_room(tmp_path / "new", 200_000_000)
    assert caught.value.exit_code == 75


# To a viewer ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "opened"


def test_a_viewer_gets_copies_that_it_cannot_change(folder, cache):
    folder.put()
    folder.put("1.9.2", InstanceNumber="2")
    path, exported = make_folder(folder.store, items_of(folder), "CT-1", cache, Work())
    assert (path, exported.files) == (cache / "CT-1", 2)
    assert stat.S_IMODE(cache.stat().st_mode) == stat.S_IMODE(path.stat().st_mode) == 0o700
    for name, uid in (("0001.dcm", "1.9.1"), ("0002.dcm", "1.9.2")):
        assert (path / name).read_bytes() == folder.octets[f"{uid}.dcm"]
        assert stat.S_IMODE((path / name).stat().st_mode) == 0o400
        assert (path / name).stat().st_nlink == 1
    assert folder.update().changed == 0


def test_a_folder_is_used_again_as_long_as_it_is_whole(folder, cache, ct_octets):
    folder.now = 10**9  # long ago
    name = folder.put()
    path, _ = make_folder(folder.store, items_of(folder), "CT-1", cache, Work())
    assert make_folder(folder.store, items_of(folder), "CT-1", cache, Work())[1].files == 0
    (path / "0001.dcm").unlink()
    assert make_folder(folder.store, items_of(folder), "CT-1", cache, Work())[1].files == 1
    folder.now = int(4e18)  # it was replaced, by one of the same size
    folder.put(replaces=True)
    assert make_folder(folder.store, items_of(folder), "CT-1", cache, Work())[1].files == 1
    assert name == "1.9.1.dcm"


def test_the_last_folders_are_kept(folder, cache):
    folder.put()
    for number in range(KEPT_FOLDERS + 3):
        path, _ = make_folder(folder.store, items_of(folder), f"CT-{number}", cache, Work())
        os.utime(path, (number, number))
    (cache / ".CT-9abc.partial").mkdir()
    make_folder(folder.store, items_of(folder), "CT-99", cache, Work())
    names = {f"CT-{number}" for number in range(4, KEPT_FOLDERS + 3)} | {"CT-99"}
    assert set(os.listdir(cache)) == names


def test_where_folders_for_viewers_are():
    assert cache_path({"XDG_CACHE_HOME": "/c"}) == Path("/c/dulcet/opened")
    assert cache_path({}) == Path.home() / ".cache/dulcet/opened"


@pytest.mark.parametrize(
    ("command", "reason"),
    [("no-such-viewer --dir", "no program 'no-such-viewer'"), ("", "needs a command"), ("'open", "is no command")],
)
def test_no_viewer_is_a_sentence(command, reason):
    with pytest.raises(ConfigurationError, match=reason):
        viewer(command)


def test_no_viewer_of_the_system_is_a_sentence(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(ConfigurationError, match="--with names a viewer, --print only makes the folder"):
        viewer(None)


@pytest.fixture
def to_its_end(monkeypatch):
    """A viewer is waited for to its end, however long it takes."""
    monkeypatch.setattr(opening, "EARLY_SECONDS", 60.0)


def test_a_viewer_is_given_the_folder(tmp_path, to_its_end):
    script = tmp_path / "viewer"
    script.write_text('#!/bin/sh\necho "$@" > "$1"/seen\n')
    script.chmod(0o700)
    (tmp_path / "a folder").mkdir()
    hand_over([str(script), str(tmp_path)], tmp_path / "a folder")
    assert (tmp_path / "seen").read_text() == f"{tmp_path} {tmp_path / 'a folder'}\n"


def test_a_viewer_that_fails_at_once_is_told_of(tmp_path, to_its_end):
    with pytest.raises(ConfigurationError, match=r"it ended with 1; --with names a viewer"):
        hand_over(["false"], tmp_path)


def test_a_viewer_that_goes_on_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "EARLY_SECONDS", 0.01)
    mark = tmp_path / "pid"
    with suppress(ConfigurationError):
        hand_over(["sh", "-c", f"echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 60"], tmp_path)
    while not mark.exists():
        os.sched_yield()
    os.kill(int(mark.read_text()), 15)
