"""The command lines of find, move, get and retrieve: what is shown when, what a signal does, wrong use."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

SECONDS = 60


@contextmanager
def process(*arguments):
    """A command line as a process of its own; it is ended when it is left."""
    started = subprocess.Popen(
        [sys.executable, "-m", "dulcet", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "DULCET_CONFIG": os.devnull, "DULCET_NODES": os.devnull},
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        started.stdout.close()
        started.stderr.close()


def end(started):
    output, errors = started.communicate(timeout=SECONDS)
    return started.returncode, output, errors


def address(archive):
    return f"{archive.ae_title}@127.0.0.1:{archive.port}"


@pytest.mark.parametrize("how", [[], ["--csv"], ["--json"]])
def test_the_first_match_is_shown_before_the_last_is_found(archive_thread, study, how):
    archive = archive_thread(*[study(number=number) for number in range(1, 4)], holds_after=1)
    with process("find", address(archive), *how) as started:
        lines = [started.stdout.readline() for _ in range(1 if how == ["--json"] else 2)]
        assert study(number=1).uid in lines[-1]
        archive.release()
        code, rest, _ = end(started)
    assert code == 0
    assert study(number=3).uid in rest


def test_a_signal_cancels_the_query_at_the_peer(archive_thread, study):
    archive = archive_thread(*[study(number=number) for number in range(1, 9)], holds_after=2)
    with process("find", address(archive), "--json") as started:
        started.stdout.readline()
        started.stdout.readline()
        started.send_signal(signal.SIGINT)
        code, output, _ = end(started)
    assert code == 130
    ended, summary = [json.loads(line) for line in output.splitlines()]
    assert (ended["event"], ended["status"], ended["cancelled"]) == ("find.ended", "FE00H", True)
    assert summary["exit_code"] == 130


def test_a_reader_that_goes_away_ends_the_query(archive_thread, study):
    archive = archive_thread(*[study(number=number) for number in range(1, 9)], holds_after=1)
    with process("find", address(archive)) as started:
        started.stdout.readline()
        started.stdout.close()
        archive.release()
        assert started.wait(SECONDS) == 141
        assert started.stderr.read() == ""


def test_a_limit_that_stopped_the_query_is_told(archive_thread, study):
    """The archive has found all before it reads the C-CANCEL-RQ, so it does not say FE00H."""
    archive = archive_thread(*[study(number=number) for number in range(1, 9)])
    for limit, said in ((1, "1 study"), (7, "7 studies")):
        with process("find", address(archive), "--limit", limit) as started:
            code, output, errors = end(started)
        assert (code, len(output.splitlines())) == (0, limit + 1)
        assert errors == f"dulcet: {said}; there may be more: --limit stopped the query.\n"
    with process("find", address(archive), "--limit", 9) as started:
        assert end(started)[2] == "dulcet: 8 studies.\n"


def test_a_signal_cancels_a_move(archive_thread, study, port, tmp_path):
    archive = archive_thread(study(number=1, instances=9), destinations={"DULCET": port}, holds_move_after=3)
    words = ["retrieve", address(archive), "--study", study(number=1).uid, "--via", "move", "--json"]
    with process(*words, "--port", port, "--bind", "127.0.0.1", "--directory", tmp_path) as started:
        for _ in range(8):  # found, ready, three objects, three pending responses; then it holds
            started.stdout.readline()
        started.send_signal(signal.SIGTERM)
        code, output, errors = end(started)
    assert code == 143, errors
    (ended,) = [json.loads(line) for line in output.splitlines() if '"move.ended"' in line]
    assert (ended["status"], ended["completed"]) == ("FE00H", 3)
    assert len(list(tmp_path.rglob("*.dcm"))) == 3  # what came stays


# Wrong use ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["find"], "Missing argument"),
        (["find", "PACS@h:1", "everything"], "is none of patients, studies, series, images, worklist"),
        (["find", "PACS@h:1", "study"], "did you mean studies?"),
        (["find", "PACS@h:1", "series", "more"], "is too much"),
        (["find", "PACS@h:1", "--json", "--csv"], "exclude each other"),
        (["find", "PACS@h:1", "--date", "soon"], "is no date"),
        (["find", "PACS@h:1", "-k", "PatientNam=X"], "did you mean 'PatientName'"),
        (["find", "PACS@h:1", "patients", "--root", "study"], "has no patients"),
        (["find", "PACS@h:1", "series"], "StudyInstanceUID is missing"),
        (["find", "PACS@h:1", "worklist", "--series", "1.2"], "--series can't choose from a worklist"),
        (["find", "PACS@h:1", "worklist", "--image", "1.2"], "--image can't choose from a worklist"),
        (["find", "PACS@h:1", "-k", "StudyDate=20209999"], "'20209999' is no date and no range of dates"),
        (["find", "PACS@h:1", "--limit", "0"], "Invalid value for '--limit'"),
        (["find", "PACS@h:1", "--charset", "ISO IR 100"], "did you mean 'ISO_IR 100'"),
        (["find", "PACS@h:1", "--charset", r"ISO_IR 100\nonsense"], "'nonsense' is no character set"),
        (
            ["find", "PACS@h:1", "--charset", "ISO_IR 100", "--patient", "山田*"],
            "can't be written in the character set",
        ),
        (["find", "PACS@h:1", "--no-check", "-k", "StudyInstanceUID=é"], "holds nothing else"),
        (["retrieve", "PACS@h:1", "--charset", "nonsense", "--study", "1.2"], "is no character set"),
        (["move", "PACS@h:1", "--study", "1.2"], "Missing option '--to'"),
        (["move", "PACS@h:1", "--to", "A", "more"], "one PEER is expected"),
        (["move", "PACS@h:1", "--to", "A"], "what should be sent?"),
        (["move", "PACS@h:1", "--to", "A" * 17, "--study", "1.2"], "is no AE title"),
        (["move", "PACS@h:1", "--to", "A", "--series", "1.2"], "StudyInstanceUID is missing"),
        (["move", "PACS@h:1", "--to", "A", "--study", "1.2", "-k", "PatientName=X"], "can't choose what is sent"),
        (["move", "PACS@h:1", "--to", "A", "--study", "../x"], "is no UID"),
        (["get", "PACS@h:1", "--study", "1.2", "--sop-class", "Nonsense"], "is no storage SOP class"),
        (["retrieve", "PACS@h:1"], "what should be retrieved?"),
        (["retrieve", "PACS@h:1", "patients", "--patient", "X"], "after PEER one of studies, series, images"),
        (["retrieve", "PACS@h:1", "--patient", "X", "--allow", "A@nonsense"], "nonsense"),
        (["retrieve", "PACS@h:1", "series", "--patient", "X"], "StudyInstanceUID is missing"),
    ],
)
def test_wrong_use_is_told_in_a_sentence_and_nothing_is_sent(command, words, sentence):
    answer = command(*words)
    assert (answer.code, answer.output) == (2, "")
    assert sentence in answer.errors.replace("\n", " ")


@pytest.mark.parametrize("words", [["find"], ["move", "--to", "A", "--study", "1.2"], ["get", "--study", "1.2"]])
def test_nobody_is_there(command, port, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = command(words[0], f"PACS@127.0.0.1:{port}", *words[1:])
    assert answer.code == 69
    assert "nothing listens on that port" in answer.errors


def test_a_query_file_that_is_not_there(command):
    answer = command("find", "PACS@h:1", "--query-file", "/nowhere")
    assert answer.code == 66


def test_help_names_no_peer_and_needs_none(command):
    for name in ("find", "move", "get", "retrieve"):
        answer = command(name, "--help")
        assert answer.code == 0
        assert "Usage: dulcet" in answer.output
