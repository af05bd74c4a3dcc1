"""The commands round the archive as processes: what they import, what they refuse, what they say."""

import json
import shutil
import subprocess
import sys

import pytest

from dulcet.conformance.peers.address import free_port
from dulcet.conformance.peers.ours import dulcet_serve

CT = "1.2.840.10008.5.1.4.1.1.2"
SECONDS = 60


@pytest.fixture
def small_vault(tmp_path, vault):
    """A few of the objects, in a directory of their own."""
    directory = tmp_path / "small"
    for path in sorted(vault.rglob("*.9.7.5.2.*.dcm")):
        (directory / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, directory / path.parent.name)
    return directory


@pytest.mark.parametrize(
    "module", ["sqlite3", "pydicom", "dulcet.services.query_retrieve", "dulcet.station.archive.index"]
)
def test_a_plain_server_imports_nothing_of_the_archive(module):
    code = (
        "import sys; from dulcet.commands.serve import serve; import dulcet.station.server, dulcet.services.storage;"
        f"sys.exit({module!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_index_is_made_and_made_anew(dulcet, small_vault):
    done = dulcet("index", small_vault)
    assert (done.returncode, done.stdout) == (0, "9 objects in 9 series of 3 studies; 9 new or changed, 0 gone.\n")
    done = dulcet("index", small_vault)
    assert "0 new or changed" in done.stdout
    done = dulcet("index", small_vault, "--rebuild", "--json")
    counts = json.loads(done.stdout)
    assert counts == {
        "v": 1,
        "ts": counts["ts"],
        "event": "index",
        "changed": 9,
        "gone": 0,
        "patient": 1,
        "study": 3,
        "series": 9,
        "instance": 9,
        "unreadable": 0,
    }


def test_what_is_no_object_is_named(dulcet, small_vault):
    broken = sorted(small_vault.rglob("*.dcm"))[0]
    broken.write_bytes(b"no object")
    done = dulcet("index", small_vault)
    assert done.returncode == 1
    assert f"{broken}: it is not a DICOM file" in done.stderr


def test_a_damaged_index_does_not_keep_an_archive_from_starting(dulcet, small_vault):
    (small_vault / ".index.sqlite").write_bytes(b"broken" * 1000)
    with dulcet_serve("--query", "--min-free", "1M", storage=small_vault) as peer:
        done = dulcet("find", peer.address, "studies", "--json")
    assert done.returncode == 0
    assert done.stdout.count('"event":"find.match"') == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("index", "/nowhere/at/all"), 66, "there is no directory"),
        (("serve", "--nodes", "/dev/null"), 2, "--nodes needs --query"),
        (("serve", "--query", "--nodes", "/nowhere/nodes.toml", "--port", "0"), 78, "there is no node book"),
        (("serve", "--worklist", "/nowhere", "--port", "0", "--directory", "{tmp}"), 78, "there is no folder"),
        (("serve", "--query", "--max-suboperations", "70000"), 2, "70000"),
        (("commit", "X@127.0.0.1:1"), 2, "what should be committed"),
        (("commit", "X@127.0.0.1:1", "/nowhere.dcm"), 66, "there is no such file"),
        (("commit", "X@127.0.0.1:1", "/etc/hostname"), 66, "not a DICOM file"),
        (("commit", "X@127.0.0.1:1", f"{CT}:1.2.3"), 69, "refused the connection"),
        (("commit", "X@127.0.0.1:1", "1.2.3", "--sop-class", CT), 69, "refused the connection"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(dulcet, tmp_path, arguments, code, words):
    done = dulcet(*(word.replace("{tmp}", str(tmp_path / "stored")) for word in arguments))
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_files_in_another_layout_are_told_of(dulcet, tmp_path, small_vault):
    """They are in no index, and "0 objects" alone looks as if there were none."""
    for number, path in enumerate(sorted(small_vault.rglob("*.dcm"))[:3]):
        folder = tmp_path / "flat" / ("." if number else "study/series")
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folder / f"IM{number}.DCM")
    done = dulcet("index", tmp_path / "flat")
    assert (done.returncode, done.stdout.partition(";")[0]) == (0, "0 objects in 0 series of 0 studies")
    assert f"dulcet: 3 files like *.dcm lie in {tmp_path / 'flat'} in another layout" in done.stderr
    assert "dulcet send PEER" in done.stderr
    assert dulcet("index", tmp_path / "flat", "--quiet").stderr == ""
    assert dulcet("index", small_vault).stderr == ""


def test_what_is_sent_is_found_committed_and_still_there_after_a_kill(dulcet, tmp_path, small_vault):
    """The whole way: send, find, commit; then the process is killed, and the next one knows all of it."""
    objects, stored = sorted(small_vault.rglob("*.dcm")), tmp_path / "stored"
    with dulcet_serve("--query", "--min-free", "1M", storage=stored) as peer:
        assert dulcet("send", peer.address, small_vault, "-q").returncode == 0
        done = dulcet("find", peer.address, "studies", "--patient", "few*", "--json")
        assert done.stdout.count('"event":"find.match"') == 3
        done = dulcet("commit", peer.address, *objects)
        assert done.stdout == f"{peer.address} keeps 9 of 9 instances.\n", done.stderr
        subprocess.run(["kill", "-9", str(peer.pid)], check=True)
    with dulcet_serve("--query", "--min-free", "1M", storage=stored) as peer:
        done = dulcet("find", peer.address, "studies", "--patient", "few*", "--json")
        assert done.stdout.count('"event":"find.match"') == 3


def log_with_a_move(peer):
    """The log, if it tells of the C-MOVE: whoever asked has the answer before."""
    text = peer.log.read_text()
    return text if any("request.done" in line and "C-MOVE" in line for line in text.split("\n")[:-1]) else None


def test_the_log_tells_of_requests_and_of_no_patient(dulcet, small_vault, wait_until):
    with dulcet_serve("--query", "--min-free", "1M", "--json", storage=small_vault) as peer:
        dulcet("find", peer.address, "studies", "--patient", "FEW*", "-q")
        dulcet("move", peer.address, "--study", "1.2", "--to", "NOBODY", "-q")
        text = wait_until(lambda: log_with_a_move(peer))
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    done, *_, refused = [line for line in lines if line["event"] == "request.done"]
    assert (done["service"], done["status"], done["matches"], done["calling"]) == ("C-FIND", "0000H", 3, "DULCET")
    assert (refused["service"], refused["status"], refused["to"]) == ("C-MOVE", "A801H", "NOBODY")
    assert refused["reason"] == "NOBODY is not in the node book"
    assert "FEW" not in text


@pytest.mark.parametrize(
    ("host", "words"), [("127.0.0.1", "refused the connection"), ("nosuch.invalid", "has no address")]
)
def test_who_cannot_be_sent_to_is_said_in_the_log_and_to_who_asked(
    dulcet, tmp_path, small_vault, wait_until, host, words
):
    port, book = free_port(), tmp_path / "nodes.toml"
    book.write_text(f'[here]\nae_title = "HERE"\nhost = "{host}"\nport = {port}\n')
    with dulcet_serve("--query", "--min-free", "1M", "--nodes", str(book), storage=small_vault) as peer:
        found = dulcet("find", peer.address, "studies", "--json").stdout.splitlines()
        uid = json.loads(found[0])["identifier"]["0020000D"]["Value"][0]
        done = dulcet("move", peer.address, "--study", uid, "--to", "HERE")
        text = wait_until(lambda: log_with_a_move(peer))
    assert done.returncode != 0
    assert f"the peer says: HERE at {host}:{port} {words}" in done.stderr
    (line,) = [line for line in text.splitlines() if line.startswith("request.done") and "C-MOVE" in line]
    assert f'to="HERE" status="A702H" reason="HERE@{host}:{port}' in line
    assert words in line
