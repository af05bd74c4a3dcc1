"""`dulcet queue` and `dulcet send --queue`: what is asked, what is shown, what is wrong and how that is said."""

import json
import os
import re
import struct
import subprocess
import sys
import time

import pytest
from click.shell_completion import BashComplete

from dulcet.cli import cli
from dulcet.errors import QueueError
from dulcet.station.queue.jobs import (
    InstanceResult,
    InstanceState,
    JobKind,
    JobState,
    NewInstance,
    Order,
    Progress,
    Standing,
)
from dulcet.station.queue.sqlite_store import SQLiteJobStore

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
PEER = "SCP@127.0.0.1:104"


@pytest.fixture
def state(home, monkeypatch, tmp_path):
    monkeypatch.setenv("DULCET_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def store(state):
    made = SQLiteJobStore(state / "queue.sqlite")
    yield made
    made.close()


@pytest.fixture
def queue(dulcet, state):
    return lambda *arguments: dulcet("queue", *arguments)


@pytest.fixture
def add(store):
    """Adds jobs: `add(3, "A")` has three objects for A."""

    def make(count=1, peer="PACS", **more):
        files = [
            NewInstance(
                name=f"/d/{number}.dcm", path=f"/d/{number}.dcm", sop_instance_uid=f"2.25.{number}", file_size=1_000_000
            )
            for number in range(count)
        ]
        return store.add(Order(kind=JobKind.SEND, peer=peer, **more), files)

    return make


@pytest.fixture
def end(store):
    """Ends the jobs that are due: `end(done=2, state=JobState.PARTIAL)`."""

    def make(done=1, state=JobState.DONE, exit_code=0, reason=""):
        job = store.claim("w")
        results = [InstanceResult(id=one.id, state=InstanceState.DONE) for one in store.due_instances(job.id)[:done]]
        store.record(job.id, "w", results, ['{"v":1,"ts":"2026-01-01T00:00:00.000Z","event":"job.taken","job":1}'])
        store.finish(job.id, "w", Standing(state=state, exit_code=exit_code, reason=reason))

    return make


@pytest.fixture
def image(tmp_path):
    def element(number, vr, value):
        value += b"\0" * (len(value) % 2)
        if vr == b"OB":
            return struct.pack("<HH2sHI", 2, number, vr, 0, len(value)) + value
        return struct.pack("<HH2sH", 2, number, vr, len(value)) + value

    def make(name="ct.dcm", uid="1.2.3"):
        group = element(1, b"OB", b"\0\1")
        for number, text in ((2, CT), (3, uid), (0x10, EXPLICIT)):
            group += element(number, b"UI", text.encode())
        path = tmp_path / name
        path.write_bytes(bytes(128) + b"DICM" + element(0, b"UL", struct.pack("<I", len(group))) + group)
        return path

    return make


MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def lines(answer):
    return [json.loads(line) for line in answer.output.splitlines()]


# send --queue -------------------------------------------------------------------------------------------------------


def test_an_order(dulcet, state, image, tmp_path, store):
    image("a.dcm", "1.2.1")
    image("b.dcm", "1.2.2")
    (tmp_path / "state").mkdir(exist_ok=True)
    answer = dulcet("send", "--queue", "--priority", 7, "--hours", "22:00-6:00", "--bandwidth", "1.5M", PEER, tmp_path)
    assert answer.code == 0
    assert answer.output.startswith(f"job 1: 2 files for {PEER} are queued; nothing runs the queue now: ")
    assert "`dulcet queue run`" in answer.output
    job = store.job(1)
    assert (job.order.priority, job.order.hours, job.order.octets_per_second) == (7, "22:00-06:00", 1_500_000)
    assert [one.name for one in store.instances(1)] == [str(tmp_path / name) for name in ("a.dcm", "b.dcm")]
    assert store.paths_in_use([str(tmp_path / "a.dcm")])


def test_a_relative_name_and_a_link_are_found_again(dulcet, state, image, tmp_path, store, monkeypatch):
    (tmp_path / "real").mkdir()
    path = image("real/a.dcm")
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert dulcet("send", "--queue", PEER, "link/a.dcm").code == 0
    (one,) = store.instances(1)
    assert (one.name, one.path) == (str(tmp_path / "link/a.dcm"), str(path))


def test_what_the_order_keeps_of_the_command_line(dulcet, state, image, tmp_path, store, write):
    secret = tmp_path / "secret.txt"
    secret.write_text("open sesame")
    write("dulcet.toml", '[dulcet]\naet = "WS1"\n[send]\nretries = 9\njobs = 3\n')
    given = ["--user", "me", "--password-file", secret, "--timeout", 5, "--async-window", 4, "--give-up-after", "12h"]
    assert dulcet("send", "--queue", *given, PEER, image()).code == 0
    options = store.job(1).order.options
    assert options["given"] == ["timeout", "user", "password_file", "async_window"]
    assert options == {
        "aet": "WS1", "timeout": 5.0, "user": "me", "password_file": str(secret), "jobs": 3, "async_window": 4,
        "no_convert": False, "max_pdu": options["max_pdu"], "retries": 9, "give_up_after": 43_200.0,
        "given": options["given"],
    }  # fmt: skip
    assert "sesame" not in (state / "queue.sqlite").read_bytes().decode("latin-1")


def test_what_can_not_be_sent_is_reported_and_the_rest_is_queued(dulcet, state, image, tmp_path, store):
    (tmp_path / "text.dcm").write_text("no image")
    answer = dulcet("send", "--queue", PEER, image(), tmp_path / "text.dcm", tmp_path / "gone")
    assert answer.code == 1
    assert "job 1: 1 file for" in answer.output
    assert "there is no such file" in answer.errors
    assert "it is not a DICOM file" in answer.errors


def test_a_report_of_what_is_not_sent_yet_is_wrong_use(dulcet, state, image, tmp_path):
    """It had a header only; `queue show` writes that of the job."""
    answer = dulcet("send", "--queue", "--report", tmp_path / "report.csv", PEER, image())
    assert answer.code == 2
    assert "dulcet queue show" in answer.errors
    assert not (tmp_path / "report.csv").exists()
    assert not (state / "queue.sqlite").exists()


@pytest.mark.parametrize(("name", "code"), [("text.dcm", 65), ("gone.dcm", 66)])
def test_nothing_to_send_is_no_job(dulcet, state, tmp_path, name, code):
    (tmp_path / "text.dcm").write_text("no image")
    assert dulcet("send", "--queue", PEER, tmp_path / name).code == code
    assert not (state / "queue.sqlite").exists()


def test_an_order_for_a_program(dulcet, state, image):
    answer = dulcet("send", "--queue", "--json", PEER, image())
    queued, summary = lines(answer)
    assert (queued["event"], queued["job"], queued["instances"], queued["is_run"]) == ("job.queued", 1, 1, False)
    assert (summary["event"], summary["exit_code"], summary["counts"]) == ("summary", 0, {"queued": 1})
    assert answer.errors == ""


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["--priority", "1"], 2, "--priority needs --queue"),
        (["--hours", "22:00-06:00"], 2, "--hours needs --queue"),
        (["--give-up-after", "1h"], 2, "--give-up-after needs --queue"),
        (["--queue", "--hours", "late"], 2, "hours are written like 22:00-06:00"),
        (["--queue", "--priority", "1000"], 2, "-100<=x<=100"),
        (["--queue", "--bandwidth", "fast"], 2, "'fast' is no rate"),
        (["--bandwidth", "10"], 2, "'10' is too slow"),
        (["--queue", "--give-up-after", "soon"], 2, "'soon' is no length of time"),
        (["--queue", "--password-file", "/nowhere"], 2, "--password-file needs --user"),
        (["--queue", "--user", "me", "--password-file", "/nowhere"], 66, "/nowhere"),
        (["--queue", "--tls-ca", "/nowhere"], 2, "need --tls"),
    ],
)
def test_an_order_that_is_wrong(dulcet, state, image, words, code, sentence):
    answer = dulcet("send", *words, PEER, image())
    assert answer.code == code
    assert sentence in answer.errors
    assert not (state / "queue.sqlite").exists()


def test_a_peer_that_nobody_knows_is_told_at_once(dulcet, state, image):
    answer = dulcet("send", "--queue", "PACS1", image())
    assert (answer.code, "'PACS1' is no node" in answer.errors) == (78, True)


# list, show, log ----------------------------------------------------------------------------------------------------


def test_an_empty_queue(queue, state):
    answer = queue("list")
    assert (answer.code, answer.output) == (0, "")
    assert "no jobs" in answer.errors
    assert queue("list", "--json").output == ""
    assert not state.exists()
    for words in (["show", 1], ["log", 1], ["cancel", "all"], ["wait", 1], ["pause"], ["clear"]):
        answer = queue(*words)
        assert (answer.code, "nothing has been queued yet" in answer.errors) == (66, True)


def test_the_list(queue, store, add, end):
    add(4, "DONE")
    end(4)
    add(4, "HALF", priority=3, hours="00:00-24:00")
    store.claim("w")
    store.record(2, "w", [InstanceResult(id=store.due_instances(2)[0].id, state=InstanceState.DONE)])
    told = Progress(octets_in_flight=500_000, octets_per_second=2e6, instances_per_second=2.0, seconds_left=1.25)
    store.renew(2, "w", progress=told)
    add(2, "\x1b[31mRED")
    answer = queue("list")
    assert [line.split()[:4] for line in answer.output.splitlines()[1:]] == [
        ["3", "queued", "to", "\\x1b[31mRED"],
        ["2", "running", "to", "HALF"],
        ["1", "done", "to", "DONE"],
    ]
    running = answer.output.splitlines()[2]
    assert "[######..........]" in running
    assert "1/4" in running
    assert running.split()[5:] == [
        *("1/4", "1.5", "MB", "of", "4.0", "MB", "2.0", "MB/s", "1", "s", "priority", "3;", "00:00-24:00"),
    ]
    store.hold(True)
    assert "the whole queue is paused" in queue("list").errors


def test_the_list_shows_the_last_that_ended_and_all_on_request(queue, add, end):
    for number in range(14):
        add(1, f"P{number}")
        end()
    add()
    assert len(queue("list").output.splitlines()) == 1 + 1 + 10
    assert len(queue("list", "--all").output.splitlines()) == 1 + 15
    assert len(queue("list", "--state", "done").output.splitlines()) == 1 + 14
    assert len(queue("list", "--state", "queued", "--state", "running").output.splitlines()) == 1 + 1


def test_jobs_for_a_program(queue, store, add, end):
    add(2, options={"aet": "WS1"})
    end(1, JobState.PARTIAL, 1, "1 of 2 failed")
    (job,) = lines(queue("list", "--json"))
    assert job == {
        "v": 1, "ts": job["ts"], "event": "job",
        "job": 1, "kind": "send", "peer": "PACS", "state": "partial", "priority": 0, "attempts": 0,
        "created_at": job["created_at"], "started_at": job["started_at"], "ended_at": job["ended_at"],
        "reason": "1 of 2 failed", "exit_code": 1, "instances": 2, "done": 1, "failed": 1, "cancelled": 0,
        "octets": 2_000_000, "octets_done": 1_000_000,
    }  # fmt: skip
    shown, first, second = lines(queue("show", 1, "--json"))
    assert shown == {**job, "ts": shown["ts"]}
    assert all(MOMENT.fullmatch(one["ts"]) for one in (job, shown, first, second))
    assert [one["event"] for one in (first, second)] == ["job.object"] * 2
    assert (first["state"], first["name"], second["state"], second["reason"]) == (
        "done", "/d/0.dcm", "failed", "1 of 2 failed",
    )  # fmt: skip


def test_one_job(queue, store, add, end):
    add(25, options={"aet": "WS1", "given": ["aet"]}, octets_per_second=2_000_000, origin="route night")
    end(3, JobState.PARTIAL, 1, "the peer is away")
    answer = queue("show", 1)
    text = answer.output
    assert "job 1: send to PACS, partial" in text
    assert "the peer is away; route night" in text
    assert "at most 2.0 MB/s" in text
    assert 'aet: "WS1"' in text
    assert "given" not in text
    assert "exit code 1" in text
    assert "more: --after 20" in text
    assert [line.split()[0] for line in queue("show", 1, "--after", 20).output.splitlines()[-5:]] == [
        "21", "22", "23", "24", "25",
    ]  # fmt: skip
    assert len(lines(queue("show", 1, "--state", "done", "--json"))) == 1 + 3
    assert queue("show", 1, "--limit", 0, "--exit-code").code == 1


@pytest.mark.parametrize(
    "words", [("send", PEER, "x"), ("retrieve", PEER, "--study", "1.2"), ("queue", "show", "1")], ids=" ".join
)
def test_a_report_has_a_name_that_says_what_it_is(dulcet, tmp_path, words):
    answer = dulcet(*words, "--report", tmp_path / "x.foo")
    assert (answer.code, answer.output) == (2, "")
    assert "it has to end in .csv or .json" in answer.errors.replace("\n", " ")
    assert not (tmp_path / "x.foo").exists()


@pytest.mark.parametrize("name", ["report.csv", "report.json"])
def test_a_report_of_a_job(queue, add, end, tmp_path, name):
    add(3)
    end(1, JobState.PARTIAL, 1, "the peer is away")
    path = tmp_path / name
    assert queue("show", 1, "--report", path).code == 0
    text = path.read_text()
    assert (text.count("the peer is away"), text.count("/d/")) == (2, 3)
    assert text.index("/d/1.dcm") < text.index("/d/0.dcm")  # failures first


def test_a_log(queue, store, add, end):
    add()
    end()
    store.log(1, ['{"v":1,"ts":"2026-01-01T00:00:01.000Z","event":"x","text":"a\\u001b[31m"}', "not JSON \x1b"])
    answer = queue("log", 1)
    assert answer.output.splitlines() == [
        "2026-01-01T00:00:00.000Z job.taken job=1",
        '2026-01-01T00:00:01.000Z x text="a\\x1b[31m"',
        "not JSON \\x1b",
    ]
    assert queue("log", 1, "--tail", 1).output == "not JSON \\x1b\n"
    assert json.loads(queue("log", 1, "--json").output.splitlines()[0])["event"] == "job.taken"
    assert queue("log", 1, "--follow").code == 0  # it is over


@pytest.mark.parametrize("command", ["show", "log"])
@pytest.mark.parametrize(("word", "code"), [("7", 66), ("1-3", 2), ("x", 2), ("9" * 40, 2)])
def test_a_job_that_is_none(queue, add, command, word, code):
    add()
    answer = queue(command, word)
    assert answer.code == code
    assert "Traceback" not in answer.errors


# What is asked of jobs ----------------------------------------------------------------------------------------------


def states(store):
    return {job.id: job.state.value for job in store.jobs()}


def test_several_jobs_ranges_and_all(queue, store, add):
    for _ in range(6):
        add()
    answer = queue("cancel", 1, "3-4", 4)
    assert answer.output.splitlines() == ["job 1 is cancelled", "job 3 is cancelled", "job 4 is cancelled"]
    assert states(store) == {
        1: "cancelled", 2: "queued", 3: "cancelled", 4: "cancelled", 5: "queued", 6: "queued",
    }  # fmt: skip
    assert queue("pause", "5-99").code == 0
    assert queue("cancel", "all").code == 0
    assert set(states(store).values()) == {"cancelled"}
    answer = queue("cancel", "all")
    assert (answer.code, answer.errors) == (0, "there is nothing to cancel\n")
    assert queue("retry", "1-3").code == 0
    assert list(states(store).values()).count("queued") == 3


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["cancel", "x"], 2, "'x' is no job: write a number, a range like 3-7, or all"),
        (["cancel", "7-3"], 2, "'7-3' is no range of jobs"),
        (["cancel", "1-999999999"], 2, "is no range of jobs"),
        (["cancel", "5"], 66, "there is no job 5"),
        (["cancel", "5-9"], 66, "there is no job 5-9"),
        (["cancel"], 2, "Missing argument 'JOB...'"),
        (["resume", "1"], 1, "job 1 is not paused but queued"),
        (["retry", "1"], 1, "job 1 is queued: there is nothing to retry"),
        (["set", "1"], 2, "what should be set?"),
        (["set", "1", "--hours", "x"], 2, "hours are written like"),
        (["set", "1", "--priority", "x"], 2, "'x' is not a valid integer"),
        (["clear", "--older-than", "x"], 2, "'x' is no length of time"),
        (["clear", "--state", "queued"], 2, "'queued' is not one of"),
        (["list", "--state", "odd"], 2, "'odd' is not one of"),
        (["wait", "9"], 66, "there is no job 9"),
        (["run", "--workers", "0"], 2, "0 is not in the range"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_wrong_use(queue, add, words, code, sentence):
    add()
    answer = queue(*words)
    assert answer.code == code
    assert sentence in answer.errors
    assert "Traceback" not in answer.errors


def test_what_can_not_be_done_to_one_keeps_no_other_from_it(queue, store, add, end):
    add()
    end()
    add()
    answer = queue("cancel", 1, 2)
    assert answer.code == 1
    assert "job 1 is done: there is nothing to cancel" in answer.errors
    assert states(store) == {1: "done", 2: "cancelled"}


def test_pausing_a_job_and_the_whole_queue(queue, store, add):
    add()
    assert queue("pause", 1).output == "job 1 is paused\n"
    assert queue("resume", 1).output.startswith("job 1 goes on; nothing runs the queue now")
    store.claim("w")
    assert queue("pause", 1).output == "job 1 pauses after the object in flight\n"
    assert queue("cancel", 1).output == "job 1 is being cancelled\n"
    assert queue("pause").output.startswith("the queue is paused")
    assert store.is_held()
    assert queue("resume").output.startswith("the queue goes on")
    assert not store.is_held()


def test_changing_a_job(queue, store, add):
    add()
    assert queue("set", 1, "--priority", -5, "--hours", "9:00-17:00", "--bandwidth", "500K").code == 0
    order = store.job(1).order
    assert (order.priority, order.hours, order.octets_per_second) == (-5, "09:00-17:00", 500_000)
    assert queue("set", 1, "--hours", "", "--bandwidth", 0).code == 0
    assert (store.job(1).order.hours, store.job(1).order.octets_per_second) == ("", None)


def test_clearing(queue, store, add, end):
    for number, state in enumerate([JobState.DONE, JobState.FAILED, JobState.DONE, JobState.PARTIAL]):
        add(1, f"P{number}")
        end(state is JobState.DONE, state)
    add()
    assert queue("clear", "--older-than", "1h").output == "0 jobs are forgotten\n"
    assert queue("clear").output == "2 jobs are forgotten\n"
    assert sorted(states(store)) == [2, 4, 5]
    assert queue("clear", "--state", "partial").output == "1 job is forgotten\n"
    assert queue("clear", "all").output == "1 job is forgotten\n"
    assert queue("clear", 5).output == "0 jobs are forgotten\n"
    assert states(store) == {5: "queued"}


def test_waiting(queue, store, add, end):
    add(1, "A")
    end(1, JobState.DONE, 0)
    add(1, "B")
    end(0, JobState.FAILED, 77)
    add(1, "C")
    end(0, JobState.FAILED, 77)
    assert [queue("wait", *jobs).code for jobs in ([1], [2], [2, 3], [1, 2])] == [0, 77, 77, 1]
    add(1, "D")
    answer = queue("wait", "--timeout", 0, 4)
    assert answer.code == 75
    assert "nothing runs the queue now" in answer.errors
    assert queue("wait", "--timeout", 0, 1, 4).code == 75


# TAB ----------------------------------------------------------------------------------------------------------------


def offered(*words):
    completer = BashComplete(cli, {}, "dulcet", "_DULCET_COMPLETE")
    return [(item.value, item.help) for item in completer.get_completions(list(words[:-1]), words[-1])]


def test_jobs_are_offered_at_a_tab(queue, store, add, end, state):
    assert offered("queue", "cancel", "") == []
    add(1, "A")
    end()
    for _ in range(10):
        add(1, "B")
    assert offered("queue", "show", "1") == [
        ("11", "send B: queued"), ("10", "send B: queued"), ("1", "send A: done"),
    ]  # fmt: skip
    assert [value for value, _ in offered("queue", "cancel", "1")] == ["11", "10"]
    assert [value for value, _ in offered("queue", "cancel", "11", "1")] == ["10"]
    assert offered("queue", "resume", "") == []
    assert [value for value, _ in offered("queue", "clear", "")] == ["1"]


def test_a_tab_makes_no_queue(home, monkeypatch, tmp_path):
    monkeypatch.setenv("DULCET_STATE", str(tmp_path / "state"))
    assert offered("queue", "show", "") == []
    assert not (tmp_path / "state").exists()


# A damaged queue ----------------------------------------------------------------------------------------------------


def test_a_queue_that_can_not_be_read_is_no_empty_one(queue, add, monkeypatch):
    def claim(*_arguments, **_options):
        raise QueueError("the queue can't be used: disk I/O error")

    add()
    monkeypatch.setattr(SQLiteJobStore, "claim", claim)
    answer = queue("run", "--once")
    assert answer.code == 75
    assert answer.errors.endswith("dulcet: the queue can't be used: disk I/O error\n")


def test_a_full_disk_under_the_log_costs_no_job(state, add, store):
    """Each line of --json fails: the job is worked on all the same, and let go of; nothing is said of a fault."""
    add(peer="SCP@127.0.0.1:1")
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [sys.executable, "-m", "dulcet", "queue", "run", "--once", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert "fault" not in ran.stderr
    (job,) = store.jobs()
    assert (job.state, job.worker, job.attempts) == (JobState.WAITING, None, 1)


def test_an_order_whose_lines_can_not_be_written_is_whole(state, image, store, tmp_path):
    image()
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [*(sys.executable, "-m", "dulcet", "send", "--queue", "--json"), PEER, tmp_path],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert ran.returncode > 0
    assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert [job.counts.instances for job in store.jobs()] == [1]


def test_a_damaged_queue_is_told_of_on_standard_error(queue, state):
    state.mkdir()
    (state / "queue.sqlite").write_bytes(b"no database" * 1000)
    began = time.monotonic()
    answer = queue("list")
    assert (answer.code, answer.output) == (0, "")
    assert "THE QUEUE WAS DAMAGED" in answer.errors
    assert time.monotonic() - began < 10


def test_listing_loads_nothing_of_the_network(state, add):
    add()
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dulcet", "queue", "list"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "DULCET_CONFIG": os.devnull},
    )
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "dulcet.station.queue.sqlite_store" in loaded
    assert loaded & {"trio", "construct", "ssl", "pydicom", "rich", "textual"} == set()
