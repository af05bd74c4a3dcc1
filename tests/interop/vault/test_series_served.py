"""What arrived at a real server, and what became of it: sources, hashes, conflicts, removal beside a running server."""

import hashlib
import io
import json
import os
import pty
import select
import subprocess
from contextlib import redirect_stdout
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from dulcet.cli import run
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.ours import PROGRAM, dulcet_serve
from dulcet.conformance.peers.process import executable
from dulcet.station.archive.vault import path_of

CT = Path(get_testdata_file("CT_small.dcm", download=False))
MR = Path(get_testdata_file("MR_small.dcm", download=False))
QUERY = ("--query", "--min-free", "1M", "--no-queue")
TRIES = 500  # a command in this process takes some 0.05 s


@pytest.fixture
def archive(tmp_path):
    """`dulcet serve --query`, and where it stores."""
    with dulcet_serve(
        "--query", "--min-free", "1M", "--no-queue", ae_title="ARCHIVE", storage=tmp_path / "vault"
    ) as peer:
        yield peer


@pytest.fixture
def series(tmp_path):
    """`dulcet series ... --json` on that directory, in this process: its lines."""

    def call(command, *arguments):
        output = io.StringIO()
        with redirect_stdout(output):
            code = run(["series", command, *map(str, arguments), "--json", "--directory", str(tmp_path / "vault")])
        assert code == 0
        return [json.loads(line) for line in output.getvalue().splitlines()]

    return call


@pytest.fixture
def arrivals(series):
    """The files of a series, once the server has recorded those of `senders`, and hashed each."""

    def wait(word, *senders):
        for _ in range(TRIES):
            (found,) = series("show", word)
            files = found["files"]
            if {each["from"] for each in files} >= set(senders) and all(each.get("sha256") for each in files):
                return found
        pytest.fail("not all was recorded")

    return wait


def uid_of(path):
    return str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)


def changed(path, folder):
    """Another object with the same UIDs."""
    octets = path.read_bytes()
    made = folder / f"changed-{path.name}"
    middle = len(octets) // 2  # in the pixels
    made.write_bytes(octets[:middle] + bytes([octets[middle] ^ 1]) + octets[middle + 1 :])
    return made


def test_who_sent_what_is_known(archive, dulcet, need, arrivals, series):
    need("storescu")
    assert dulcet("send", archive.address, CT, "--aet", "CT7").returncode == 0
    address = archive.address
    command = [executable("storescu"), "-aet", "MR3", "-aec", "ARCHIVE", address.host, str(address.port), str(MR)]
    subprocess.run(command, check=True, timeout=60)
    for path, title in ((CT, "CT7"), (MR, "MR3")):
        found = arrivals(uid_of(path))
        (file,) = found["files"]
        assert (file["how"], file["from"], file["address"]) == ("C-STORE", title, LOOPBACK)
        octets = Path(file["path"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(octets).hexdigest()
        assert (file["octets"], file["is_conflict"]) == (len(octets), False)
    assert [(each["from"], each["modality"]) for each in series("list")] == [(["MR3"], "MR"), (["CT7"], "CT")]
    assert series("verify", "--all")[-1]["counts"]["intact"] == 2


def test_a_source_is_known_after_the_next_start_and_without_the_index(dulcet, tmp_path, arrivals):
    vault = tmp_path / "vault"
    with dulcet_serve(*QUERY, storage=vault) as peer:
        assert dulcet("send", peer.address, CT, "--aet", "CT7").returncode == 0
    assert dulcet("index", vault, "--rebuild").returncode == 0
    with dulcet_serve(*QUERY, storage=vault):
        (file,) = arrivals(uid_of(CT))["files"]
    assert (file["how"], file["from"]) == ("C-STORE", "CT7")


def test_what_a_server_without_an_index_received_is_found(dulcet, tmp_path, series):
    with dulcet_serve("--min-free", "1M", "--no-queue", storage=tmp_path / "vault") as peer:
        assert dulcet("send", peer.address, CT).returncode == 0
    (file,) = series("show", uid_of(CT))[0]["files"]
    assert (file["how"], file["from"], file["sha256"]) == ("found", None, None)
    assert file["received_ns"] == Path(file["path"]).stat().st_mtime_ns
    assert series("verify", "--all")[-1]["counts"]["recorded"] == 1
    assert series("verify", "--all")[-1]["counts"]["intact"] == 1


def test_conflicts_are_shown_beside_each_other(archive, dulcet, tmp_path, arrivals, series):
    for path, title in ((CT, "CT1"), (changed(CT, tmp_path), "CT2"), (CT, "CT3")):
        assert dulcet("send", archive.address, path, "--aet", title).returncode == 0
    found = arrivals(uid_of(CT), "CT1", "CT2")
    assert sorted((each["from"], each["is_conflict"]) for each in found["files"]) == [("CT1", False), ("CT2", True)]
    assert (series("list")[0]["instances"], series("list")[0]["conflicts"]) == (1, 1)
    assert series("verify", "--all")[-1]["counts"]["intact"] == 2


def test_what_was_replaced_is_in_the_record(dulcet, tmp_path, arrivals, series):
    options = ("--query", "--min-free", "1M", "--no-queue", "--on-conflict", "replace")
    with dulcet_serve(*options, storage=tmp_path / "vault") as peer:
        assert dulcet("send", peer.address, CT, "--aet", "CT1").returncode == 0
        old = arrivals(uid_of(CT))["files"][0]["sha256"]
        assert dulcet("send", peer.address, changed(CT, tmp_path), "--aet", "CT2").returncode == 0
        found = arrivals(uid_of(CT), "CT2")
    (file,), (replaced,) = found["files"], found["replaced"]
    assert (file["from"], replaced["from"], replaced["sha256"]) == ("CT2", "CT1", old)
    assert file["sha256"] != old
    assert series("verify", "--all")[-1]["counts"]["intact"] == 1


@pytest.mark.parametrize("via", ["get", "move"])
def test_what_a_retrieval_brings_is_recorded(dulcet, tmp_path, series, via):
    ours = PeerAddress(ae_title="DULCET", host=LOOPBACK, port=free_port())
    nodes = tmp_path / "nodes.toml"
    nodes.write_text(f'[US]\nae_title = "DULCET"\nhost = "{ours.host}"\nport = {ours.port}\n')
    options = ("--query", "--nodes", str(nodes), "--min-free", "1M", "--no-queue")
    with dulcet_serve(*options, ae_title="PACS", storage=tmp_path / "theirs") as peer:
        assert dulcet("send", peer.address, CT, MR).returncode == 0
        study = str(pydicom.dcmread(CT, stop_before_pixels=True).StudyInstanceUID)
        words = ["--study", study, "--via", via, "--port", ours.port, "--bind", LOOPBACK]
        done = dulcet("retrieve", peer.address, *words, "--directory", tmp_path / "vault")
        assert done.returncode == 0, done.stderr
        assert not (tmp_path / "vault" / ".index.sqlite").exists()
        (file,) = series("show", uid_of(CT))[0]["files"]
        assert (file["how"], file["from"], file["address"]) == (f"C-{via.upper()}", "PACS", LOOPBACK)
        assert file["sha256"] == hashlib.sha256(Path(file["path"]).read_bytes()).hexdigest()
        if via == "get":
            done = dulcet("get", peer.address, "--patient-id", "4MR1", "--directory", tmp_path / "vault")
            assert done.returncode == 0, done.stderr
            assert series("show", uid_of(MR))[0]["files"][0]["how"] == "C-GET"


def test_what_comes_for_a_c_move_of_somebody_is_recorded_so(archive, dulcet, tmp_path, arrivals):
    nodes = tmp_path / "nodes.toml"
    nodes.write_text(f'[A]\nae_title = "ARCHIVE"\nhost = "{LOOPBACK}"\nport = {archive.address.port}\n')
    options = ("--query", "--nodes", str(nodes), "--min-free", "1M", "--no-queue")
    with dulcet_serve(*options, ae_title="PACS", storage=tmp_path / "theirs") as peer:
        assert dulcet("send", peer.address, CT).returncode == 0
        study = str(pydicom.dcmread(CT, stop_before_pixels=True).StudyInstanceUID)
        assert dulcet("move", peer.address, "--to", "ARCHIVE", "--study", study).returncode == 0
    (file,) = arrivals(uid_of(CT))["files"]
    assert (file["how"], file["from"]) == ("C-MOVE", "PACS")


def test_a_running_server_finds_no_more_what_was_removed_and_takes_it_again(archive, dulcet, arrivals, series):
    def found():
        done = dulcet("find", archive.address, "studies", "--json")
        return done.stdout.count('"event":"find.match"')

    assert dulcet("send", archive.address, CT, MR, "--aet", "ONE").returncode == 0
    arrivals(uid_of(CT))
    assert found() == 2
    (removed,) = series("remove", "--yes", uid_of(CT))
    assert removed["files"] == 1
    assert found() == 1
    assert dulcet("send", archive.address, CT, "--aet", "TWO").returncode == 0
    assert found() == 2
    assert arrivals(uid_of(CT), "TWO")["files"][0]["from"] == "TWO"
    assert series("verify", "--all")[-1]["counts"]["intact"] == 2


def test_a_server_keeps_what_it_is_told_to_keep(dulcet, tmp_path, series):
    vault = tmp_path / "vault"
    with dulcet_serve("--min-free", "1M", "--no-queue", storage=vault) as peer:
        assert dulcet("send", peer.address, CT, MR).returncode == 0
    keep = MR.stat().st_size + 1000
    os.utime(next(vault.rglob("*1.3.6.1.4.1.5962.1.1.1*.dcm")), (0, 0))  # the CT came long ago
    options = ("--min-free", "1M", "--no-queue", "--keep-octets", str(keep), "--json")
    with dulcet_serve(*options, storage=vault) as peer:
        for _ in range(TRIES):
            log = peer.log.read_text()
            if "retention" in log or not series("list"):
                break
    assert [each["modality"] for each in series("list")] == ["MR"]
    (line,) = [json.loads(line) for line in log.splitlines() if "retention" in line]
    assert (line["event"], line["why"], line["series"], line["objects"]) == ("retention.removed", "size", 1, 1)
    assert "CompressedSamples" not in log


def test_dcmtk_reads_an_exported_file_set(archive, dulcet, need, tmp_path, series):
    need("dcmdump")
    assert dulcet("send", archive.address, CT, MR).returncode == 0
    words = [uid_of(CT), uid_of(MR), "--to", tmp_path / "disc", "--as", "dicomdir"]
    assert dulcet("series", "export", *words, "--directory", tmp_path / "vault").returncode == 0
    command = [executable("dcmdump"), "+P", "0004,1500", "+P", "0004,1430", str(tmp_path / "disc" / "DICOMDIR")]
    shown = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    assert shown.count("[IMAGE]") == 2
    assert shown.count("[PT00000") == 2
    done = dulcet("send", archive.address, tmp_path / "disc" / "DICOMDIR")
    assert done.stdout.startswith("2 of 2 files stored")


# On a terminal -------------------------------------------------------------------------------------------------------


def answered(command, answer):
    """What a command says on a terminal, where somebody answers its question; and its exit code."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as asking:
        os.close(theirs)
        shown = b""
        while select.select([ours], [], [], 60)[0]:
            try:
                part = os.read(ours, 1024)
            except OSError:  # the other end is closed
                break
            shown += part
            if shown.endswith(b"[y/N]: "):
                os.write(ours, answer)
        os.close(ours)
        return shown.decode(), asking.wait(60)


@pytest.mark.parametrize(("answer", "code", "left"), [(b"\n", 130, 1), (b"y\n", 0, 0)])
def test_a_person_is_asked(series, tmp_path, answer, code, left):
    place = path_of(tmp_path / "vault", str(pydicom.dcmread(CT, stop_before_pixels=True).SOPInstanceUID))
    place.parent.mkdir(parents=True)
    place.write_bytes(CT.read_bytes())
    command = [*PROGRAM, "series", "remove", uid_of(CT), "--directory", str(tmp_path / "vault")]
    shown, ended = answered(command, answer)
    assert "Remove 1 series, 1 file, 39.2 kB? [y/N]: " in shown
    assert ended == code
    assert len(series("list")) == left
