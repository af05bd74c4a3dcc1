"""`dulcet series` as typed: names, filters, outputs, exit codes, and sentences for whoever types something else."""

import csv
import io
import json
import os
import re
import signal
from pathlib import Path

import click
import pydicom
import pytest
from pydicom.data import get_testdata_file

from dulcet.commands.series_options import perform
from dulcet.errors import ConfigurationError
from dulcet.services.storing.storage_directory import shard_of
from dulcet.station.archive import index as index_module
from dulcet.station.archive.arrivals import How, NewArrival, Source
from dulcet.station.archive.folder_store import FolderStore
from dulcet.station.archive.index import Index
from dulcet.station.archive.upkeep import entry_of, hash_arrivals, record
from dulcet.station.queue.jobs import JobKind, NewInstance, Order
from dulcet.station.queue.sqlite_store import open_queue
from dulcet.station.vault import open_vault as open_vault_module
from dulcet.station.vault.work import Work

CT, MR, RT = "CT_small.dcm", "MR_small.dcm", "rtplan.dcm"
DAY = 24 * 3600 * 10**9
NOW = 1_767_600_000 * 10**9  # 2026-01-05


class VaultAtHand:
    """A storage directory with three series of pydicom's test files; the CT came last, from CT1."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.uids, self.paths, self.studies = {}, {}, {}
        arrivals = []
        for number, name in enumerate((RT, MR, CT)):
            octets = Path(get_testdata_file(name, download=False)).read_bytes()
            data_set = pydicom.dcmread(io.BytesIO(octets), stop_before_pixels=True)
            uid = str(data_set.SOPInstanceUID)
            path = directory / shard_of(uid) / f"{uid}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(octets)
            self.uids[name], self.paths[name] = str(data_set.SeriesInstanceUID), path
            self.studies[name] = str(data_set.StudyInstanceUID)
            source = Source(name[:2] + "1", "192.0.2.7", How.C_STORE)
            arrivals.append(NewArrival(name=path.name, source=source, received=NOW + number * DAY))
        store, index = FolderStore(directory), Index(directory)
        record(index.arrivals, arrivals, {each.name: entry_of(store, each.name) for each in arrivals})
        hash_arrivals(store, index.arrivals, index.arrivals.after(0, 10), lambda _octets: None)
        index.close()

    def beside(self, name):
        """Another file comes with the UID of one that is there."""
        path = self.paths[name]
        path.with_name(f"{path.stem}~0123456789ab.dcm").write_bytes(path.read_bytes())


@pytest.fixture
def vault(tmp_path):
    return VaultAtHand(tmp_path / "vault")


@pytest.fixture
def series(dulcet, vault):
    """`dulcet series ...` on that directory."""

    def call(command, *arguments):
        return dulcet("series", command, *arguments, "--directory", vault.directory)

    return call


def as_it_is(directory):
    """What is in a directory, octet for octet; without the locks and logs that SQLite has where it may."""
    files = (path for path in directory.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal")))
    return {str(path): path.read_bytes() for path in files}


def test_looking_at_a_folder_that_is_no_vault_leaves_nothing_there(dulcet, tmp_path):
    (tmp_path / "folder" / "other").mkdir(parents=True)
    (tmp_path / "folder" / "notes.txt").write_text("of somebody")
    for command in (("list",), ("verify", "--all"), ("prune", "--keep-days", "1")):
        ran = dulcet("series", *command, "--directory", tmp_path / "folder")
        assert ran.code == 0, ran.errors
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["notes.txt", "other"]


def test_a_vault_that_cannot_be_written_can_be_looked_at(series, vault, tmp_path, monkeypatch):
    (vault.directory / ".index.sqlite").unlink()  # so that there is something to be made anew
    before = as_it_is(vault.directory)
    monkeypatch.setattr(open_vault_module.os, "access", lambda path, mode: path != vault.directory)
    newest = json.loads(series("list", "--json").output.splitlines()[0])
    assert (newest["series_instance_uid"], newest["from"], newest["instances"]) == (vault.uids[CT], ["CT1"], 1)
    verified = series("verify", "--all")
    assert (verified.code, verified.output.partition(" as they came")[0]) == (0, "3 files are")
    assert series("export", vault.uids[CT], "--to", tmp_path / "out").code == 0
    assert as_it_is(vault.directory) == before


def test_a_record_that_was_damaged_is_not_forgotten_by_verify(series, vault):
    (record_file := vault.directory / ".arrivals.sqlite").write_bytes(b"no database" * 1000)
    vault.paths[CT].write_bytes(vault.paths[CT].read_bytes()[:-1] + b"?")
    first = series("verify", "--all")
    assert first.code == 1
    assert "3 had no hash, and have one now" in first.output
    (lost,) = vault.directory.glob(f"{record_file.name}.damaged-*")
    assert f"dulcet: {lost}: this record of hashes was damaged and set aside" in first.errors
    again = series("verify", "--all")  # all that came since is what it was
    assert (again.code, again.errors) == (0, "")


def lines(answer):
    return [json.loads(line) for line in answer.output.splitlines()]


# list ----------------------------------------------------------------------------------------------------------------


def test_the_table(series, vault):
    answer = series("list")
    assert (answer.code, answer.errors) == (0, "")
    head, *rows = answer.output.splitlines()
    assert re.split(r" {2,}", head) == [
        "Series",
        "Arrived",
        "Patient",
        "Study date",
        "Mod.",
        "Description",
        "Images",
        "Size",
        "From",
    ]
    assert [re.split(r" {2,}", row)[-1] for row in rows] == ["CT1", "MR1", "rt1"]
    assert "CompressedSamples^CT1 (1CT1)" in rows[0]
    assert "2004-01-19" in rows[0]
    for row, name in zip(rows, (CT, MR, RT), strict=True):
        assert vault.uids[name].endswith(row.split()[0])


def test_json_and_csv_say_the_same(series, vault):
    found = lines(series("list", "--json"))
    assert [(each["v"], each["event"], each["series_instance_uid"]) for each in found] == [
        (1, "series", vault.uids[name]) for name in (CT, MR, RT)
    ]
    assert found[0]["arrived"].startswith("2026-01-07T")
    assert (found[0]["instances"], found[0]["octets"]) == (1, vault.paths[CT].stat().st_size)
    rows = list(csv.DictReader(io.StringIO(series("list", "--csv").output)))
    assert [row["series_instance_uid"] for row in rows] == [each["series_instance_uid"] for each in found]
    assert rows[0]["patient_name"] == found[0]["patient_name"] == "CompressedSamples^CT1"
    assert rows[0]["from"] == "CT1"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--last", "2"], [CT, MR]),
        (["--all"], [CT, MR, RT]),
        (["--modality", "mr"], [MR]),
        (["--patient", "compressed"], [CT, MR]),
        (["--patient", "4MR1"], [MR]),
        (["--date", "20040119"], [CT]),
        (["--date", "2003-01..2003-12"], [RT]),
        (["--since", "2026-01-06T12:00"], [CT]),
        (["--since", "1h"], []),
        (["--from", "MR1"], [MR]),
        (["--from", "MR"], []),
    ],
)
def test_what_is_listed(series, vault, options, expected):
    answer = series("list", "--json", *options)
    assert answer.code == 0
    assert [each["series_instance_uid"] for each in lines(answer)] == [vault.uids[name] for name in expected]


def test_how_many_there_are_is_told(series):
    assert "2 series; there are more: --all shows all" in series("list", "--last", "2").errors
    assert series("list", "--last", "3").errors == ""


def test_nothing_is_told_too(series, dulcet, tmp_path):
    assert "nothing of it has arrived in" in series("list", "--patient", "NOBODY").errors
    (tmp_path / "empty").mkdir()
    assert "nothing has arrived in" in dulcet("series", "list", "--directory", tmp_path / "empty").errors


def test_a_hostile_name_does_nothing_to_a_terminal_or_a_sheet(dulcet, tmp_path):
    octets = Path(get_testdata_file(CT, download=False)).read_bytes()
    uid = str(pydicom.dcmread(io.BytesIO(octets), stop_before_pixels=True).SOPInstanceUID)
    directory = tmp_path / "hostile"
    path = directory / shard_of(uid) / f"{uid}.dcm"
    path.parent.mkdir(parents=True)
    name = b"CompressedSamples^CT1 "
    assert octets.count(name) == 1
    path.write_bytes(octets.replace(name, b"=HYPERLINK^\x1b[2J\r\n".ljust(len(name))))
    for form in ([], ["--csv"], ["--json"]):
        assert "\x1b" not in dulcet("series", "list", *form, "--directory", directory).output
    assert "'=HYPERLINK" in dulcet("series", "list", "--csv", "--directory", directory).output


def test_the_directory_is_a_setting(dulcet, vault, write):
    write("dulcet.toml", f'[dulcet]\ndirectory = "{vault.directory}"\n')
    assert len(lines(dulcet("series", "list", "--json"))) == 3


def test_the_index_is_brought_up_to_date_unless_told_otherwise(series, vault):
    series("list")
    vault.paths[CT].unlink()
    assert len(lines(series("list", "--json", "--no-update"))) == 3
    assert len(lines(series("list", "--json"))) == 2
    assert len(lines(series("list", "--json", "--no-update"))) == 2


def test_a_long_look_is_shown_on_a_terminal(series, vault, monkeypatch):
    monkeypatch.setattr("dulcet.commands.series_options.moves_cursor", lambda _output: True)
    monkeypatch.setattr("dulcet.commands.series_options.PATIENCE_SECONDS", 0.0)
    (vault.directory / ".index.sqlite").unlink()
    answer = series("list")
    assert "1 new objects read" in answer.errors
    assert answer.errors.endswith("\r\x1b[K")
    assert series("list").errors == ""  # nothing was new


# Names ---------------------------------------------------------------------------------------------------------------


def test_a_series_is_named_in_several_ways(series, vault):
    uid = vault.uids[CT]
    short = lines(series("list", "--json"))[0]["series"]
    for word in (uid, short, uid[-20:], uid[:-1]):
        assert lines(series("show", "--json", word))[0]["series_instance_uid"] == uid


def test_a_name_of_none_and_a_name_of_several(series, vault):
    answer = series("show", "9.9.9.9")
    assert (answer.code, answer.output) == (66, "")
    assert answer.errors == "dulcet: there is no series '9.9.9.9' here; `dulcet series list` shows what there is\n"
    assert "4 characters, at least, of a UID" in series("show", "#1").errors
    answer = series("show", "1.3.6.1.4.1.5962.1.3")
    assert answer.code == 2
    assert vault.uids[CT] in answer.errors
    assert vault.uids[MR] in answer.errors


def test_a_study_is_no_series(series, vault, tmp_path):
    study = vault.studies[CT]
    answer = series("show", study)
    assert (answer.code, answer.output) == (66, "")
    assert answer.errors == f"dulcet: '{study}' is a study: its series are {vault.uids[CT]}\n"
    for words in (("export", study, "--to", tmp_path / "out"), ("verify", study), ("remove", study)):
        answer = series(*words)
        assert (answer.code, answer.errors) == (66, f"dulcet: '{study}' is a study: say --study before its UID\n")


# show ----------------------------------------------------------------------------------------------------------------


def test_all_that_is_known_of_a_series(series, vault):
    vault.beside(CT)
    text = series("show", vault.uids[CT]).output
    for line in (
        f"Series {vault.uids[CT]}",
        "Patient name                  CompressedSamples^CT1",
        "Files                         2, ",
        "From                          C-STORE from CT1 at 192.0.2.7 (1)",
        "Hashes                        1 of 2 recorded",
        "Conflicts                     1",
    ):
        assert line in text
    assert f"{vault.paths[CT]}\n" in text
    assert "conflict: another file with its UID is there" in text
    (found,) = lines(series("show", "--json", vault.uids[CT]))
    assert [each["is_conflict"] for each in found["files"]] == [True, False]
    assert found["files"][1]["how"] == "C-STORE"
    assert len(found["files"][1]["sha256"]) == 64


def test_a_series_that_is_lost_is_shown_as_such(series, vault):
    vault.paths[MR].unlink()
    text = series("show", vault.uids[MR]).output
    assert "Missing                       1" in text
    assert f"{vault.paths[MR]}  MISSING" in text


# verify --------------------------------------------------------------------------------------------------------------


def test_verifying(series, vault):
    answer = series("verify", "--all")
    assert (answer.code, answer.output.partition(";")[0]) == (0, "3 files are as they came")
    octets = vault.paths[CT].read_bytes()
    vault.paths[CT].write_bytes(octets[:-1] + b"\x55")
    vault.paths[MR].unlink()
    answer = series("verify", "--all")
    assert answer.code == 1
    assert answer.output.splitlines() == [
        f"missing: {vault.paths[MR]}: it is not there any more",
        f"changed: {vault.paths[CT]}: its contents are not those that came",
        "1 file is as it came, 1 changed, 1 missing; 41.9 kB read.",
    ]
    assert series("verify", vault.uids[RT]).code == 0
    *faults, summary = lines(series("verify", "--json", vault.uids[CT], vault.uids[MR]))
    assert [each["verdict"] for each in faults] == ["changed", "missing"]
    assert (summary["exit_code"], summary["counts"]["intact"]) == (1, 0)
    assert series("verify", "--study", vault.studies[CT], "-q").code == 1


# open and export -----------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_opening_only_to_print(series, vault, cache):
    answer = series("open", "--print", vault.uids[CT])
    folder = Path(answer.output.strip())
    assert (answer.code, folder.parent) == (0, cache / "dulcet" / "opened")
    assert [path.read_bytes() for path in folder.iterdir()] == [vault.paths[CT].read_bytes()]
    assert series("open", "--print", vault.uids[CT]).output == answer.output


def test_opening_in_a_viewer(series, vault, cache, tmp_path, monkeypatch):
    monkeypatch.setattr("dulcet.station.vault.opening.EARLY_SECONDS", 60.0)  # it is waited for to its end
    viewer = tmp_path / "viewer"
    viewer.write_text(f'#!/bin/sh\nls "$2" > {tmp_path}/seen\n')
    viewer.chmod(0o700)
    answer = series("open", vault.uids[CT], "--with", f"'{viewer}' --folder")
    assert (answer.code, answer.output.startswith("1 file in ")) == (0, True)
    assert (tmp_path / "seen").read_text() == "0001.dcm\n"


def test_no_viewer(series, vault, cache, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    answer = series("open", vault.uids[CT])
    assert answer.code == 78
    assert "there is no program 'xdg-open' to open a folder with: --with names a viewer" in answer.errors
    assert not cache.exists()


@pytest.mark.parametrize(
    ("target", "options"),
    [("out", []), ("out.zip", []), ("out", ["--as", "zip"]), ("disc", ["--as", "dicomdir"])],
)
def test_exporting(series, vault, tmp_path, target, options):
    path = tmp_path / target
    answer = series("export", vault.uids[CT], vault.uids[MR], vault.uids[CT], "--to", path, *options)
    assert (answer.code, answer.errors) == (0, "")
    assert answer.output.startswith(f"2 files of 2 series in {path}: ")
    assert path.is_file() is ("zip" in target or "zip" in options)
    again = series("export", vault.uids[CT], "--to", path, *options)
    assert again.code == 2
    assert "is there already, and nothing is overwritten" in again.errors


def test_a_study_is_exported_and_what_is_wrong_is_named(series, vault, tmp_path):
    vault.paths[CT].write_bytes(vault.paths[CT].read_bytes() + b"\0\0")
    answer = series("export", "--study", vault.studies[CT], "--to", tmp_path / "out")
    assert answer.code == 1
    assert re.search(r"\.dcm: it has 39,208 octets, and had 39,206 when it came", answer.errors)


def test_what_is_lost_cannot_be_exported(series, vault, tmp_path):
    vault.paths[MR].unlink()
    answer = series("export", vault.uids[MR], "--to", tmp_path / "out")
    assert answer.code == 66
    assert "nothing is left but the record that it came" in answer.errors
    assert not (tmp_path / "out").exists()


# remove and prune ----------------------------------------------------------------------------------------------------


def test_nothing_is_removed_without_a_yes(series, vault):
    answer = series("remove", vault.uids[CT])
    assert answer.code == 2
    assert "say --yes if it is meant" in answer.errors
    assert vault.paths[CT].exists()


def test_removing(series, vault):
    vault.beside(CT)
    answer = series("remove", "--yes", vault.uids[CT])
    assert answer.code == 0
    assert answer.output.startswith("1 series removed: 2 files, 39.2 kB")
    assert list(vault.paths[CT].parent.iterdir()) == []
    assert series("show", vault.uids[CT]).code == 66
    (removed,) = lines(series("remove", "--yes", "--json", "--study", vault.studies[MR]))
    assert (removed["event"], removed["files"]) == ("series.removed", 1)


def enqueue(path):
    queue = open_queue(Path(os.environ["DULCET_STATE"]))
    instance = NewInstance(
        name=str(path),
        path=os.path.realpath(path),
        sop_class_uid="1.2",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid="1.2",
        data_set_offset=0,
        file_size=1,
    )
    number = queue.add(Order(kind=JobKind.SEND, peer="PACS"), [instance])
    queue.close()
    return number


@pytest.fixture
def state(tmp_path, home, monkeypatch):
    monkeypatch.setenv("DULCET_STATE", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()


def test_what_the_transfer_queue_needs_stays(series, vault, state, dulcet, tmp_path):
    number = enqueue(vault.paths[CT])
    (tmp_path / "link").symlink_to(vault.directory)  # whatever the directory is called
    for directory in (vault.directory, tmp_path / "link"):
        answer = dulcet("series", "remove", "--yes", vault.uids[CT], "--directory", directory)
        assert answer.code == 1
        assert f"series {vault.uids[CT]} stays: the transfer queue still needs 1 of its files" in answer.errors
        assert vault.paths[CT].exists()
    answer = dulcet("series", "prune", "--keep-days", "0", "--directory", tmp_path / "link")
    assert answer.code == 1
    assert [path.exists() for path in vault.paths.values()] == [False, False, True]
    dulcet("queue", "cancel", str(number))
    assert series("remove", "--yes", vault.uids[CT]).code == 0


def test_pruning(series, vault):
    sizes = {name: path.stat().st_size for name, path in vault.paths.items()}
    keep = str(sizes[CT] + sizes[MR])
    (dry,) = lines(series("prune", "--keep-octets", keep, "--dry-run", "--json"))
    assert (dry["series_instance_uid"], dry["why"], dry["octets"]) == (vault.uids[RT], "size", sizes[RT])
    text = series("prune", "--keep-days", "0", "--dry-run").output
    assert "3 series would be removed" in text
    assert "CompressedSamples" not in text
    assert all(path.exists() for path in vault.paths.values())
    answer = series("prune", "--keep-octets", keep)
    assert (answer.code, answer.output) == (0, "1 series removed: 1 file, 2.7 kB.\n")
    assert [path.exists() for path in vault.paths.values()] == [False, True, True]
    assert series("prune", "--keep-octets", keep).output == "0 series removed: 0 files, 0 B.\n"


# Work that is ended ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, click.exceptions.Exit)]
)
def test_a_signal_ends_work_between_two_steps(number, expected):
    steps = []

    def work_on(work):
        os.kill(os.getpid(), number)
        while True:
            steps.append(work.is_stopped)
            work.octets(1)

    work = Work()
    with pytest.raises(expected) as ended:
        perform(work, work_on)
    assert steps[-1] is False or len(steps) == work.transfer.octets
    assert getattr(ended.value, "exit_code", 143) == 143


def test_what_goes_wrong_in_work_leaves_as_it_is():
    def fails(_work):
        raise ConfigurationError("no")

    with pytest.raises(ConfigurationError, match="no"):
        perform(Work(), fails)


# Wrong uses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["list", "--json", "--csv"], "--json and --csv exclude each other"),
        (["list", "--date", "someday"], "'someday' is no date"),
        (["list", "--since", "someday"], "'someday' is no time: 30m, 2h, 7d"),
        (["list", "--last", "0"], "x>=1"),
        (["show"], "Missing argument"),
        (["verify"], "what should be verified?"),
        (["verify", "--all", "1.2.3.4"], "what should be verified?"),
        (["export", "--to", "out"], "what should be exported?"),
        (["export", "1.2.3.4"], "Missing option '--to'"),
        (["remove"], "what should be removed?"),
        (["prune"], "what should be kept?"),
        (["prune", "--keep-octets", "much"], "is no size"),
        (["prune", "--keep-days", "-1"], "x>=0"),
    ],
)
def test_wrong_uses(series, arguments, sentence):
    answer = series(*arguments)
    assert answer.code == 2
    assert sentence in answer.errors
    assert answer.output == ""


@pytest.mark.parametrize("command", [["list"], ["verify", "--all"], ["prune", "--keep-days", "3"]])
def test_no_directory(dulcet, tmp_path, command):
    answer = dulcet("series", *command, "--directory", tmp_path / "nowhere")
    assert (answer.code, answer.errors) == (66, f"dulcet: there is no directory {tmp_path / 'nowhere'}\n")


@pytest.mark.parametrize("command", ["export", "remove", "verify"])
def test_no_study(series, tmp_path, command):
    more = {"export": ["--to", tmp_path / "out"], "remove": ["--yes"], "verify": []}[command]
    answer = series(command, "--study", "9.9.9", *more)
    assert answer.code == 66
    assert "there is no study '9.9.9' here" in answer.errors


def test_no_folder_to_export_to(series, vault, tmp_path):
    answer = series("export", vault.uids[CT], "--to", tmp_path / "no" / "out")
    assert (answer.code, answer.errors) == (66, f"dulcet: there is no folder {tmp_path / 'no'}\n")


def test_no_room(series, vault, tmp_path, monkeypatch):
    monkeypatch.setattr("dulcet.station.vault.target.SPARE_OCTETS", 10**18)
    answer = series("export", vault.uids[CT], "--to", tmp_path / "out")
    assert answer.code == 75
    assert "don't fit where" in answer.errors
    assert not (tmp_path / "out").exists()


def test_an_index_that_cannot_be_read_is_a_sentence(series, vault, monkeypatch):
    series("list")

    def broken(*_arguments):
        raise index_module.sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(index_module.index_series, "series", broken)
    answer = series("list")
    assert answer.code == 78
    assert answer.errors == f"dulcet: {vault.directory} can't be used: the index can't be read: disk I/O error\n"


def test_a_queue_that_cannot_be_asked_removes_nothing(series, vault, monkeypatch):
    def broken(_state):
        raise open_vault_module.NoInputError("the queue can't be read")

    monkeypatch.setattr("dulcet.station.queue.sqlite_store.has_queue", broken)
    assert series("remove", "--yes", vault.uids[CT]).code == 66
    assert vault.paths[CT].exists()
