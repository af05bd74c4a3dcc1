"""What `dulcet status` shows, from values; and where the values come from."""

import json
import sqlite3

import pytest
from click.testing import CliRunner

from dulcet.cli import cli
from dulcet.station.monitor import overview as looking
from dulcet.station.monitor.blocks import MAX_ROWS, text
from dulcet.station.monitor.overview import Directory, Looker, Overview, document
from dulcet.station.monitor.process_file import ProcessFile, processes_path
from dulcet.station.monitor.process_report import AssociationRow, ErrorRow, ProcessReport, TransferRow
from dulcet.station.queue.jobs import Counts, Job, JobKind, JobState, NewInstance, Order, Progress, QueueSummary
from dulcet.station.queue.sqlite_store import FILE_NAME, SQLiteJobStore

AT = 1769853610.0  # 2026-01-31T10:00:10Z
EVIL = "A\x1b[31m\n\u202e"
SERVE = ProcessReport(
    pid=12,
    command="serve",
    started_at="2026-01-31T09:58:05.000Z",
    updated_at="2026-01-31T10:00:09.500Z",
    ae_title="STORE",
    addresses=("127.0.0.1:11112",),
    directory="/data",
    associations=(
        AssociationRow(
            direction="in",
            peer="CT1",
            address="10.0.0.1",
            since="2026-01-31T10:00:00.000Z",
            service="C-STORE",
            objects=1200,
            octets=5_100_000_000,
        ),
        AssociationRow(
            direction="out", peer="PACS", address="10.0.0.2:104", since="2026-01-31T10:00:09.000Z", octets=80
        ),
    ),
    errors=(ErrorRow(at="2026-01-31T10:00:01.000Z", event="object.refused", text='reason="no room"'),),
)
SEND = ProcessReport(
    pid=13,
    command="send",
    started_at="2026-01-31T10:00:00.000Z",
    updated_at="2026-01-31T09:59:00.000Z",
    ae_title="WS",
    transfers=(
        TransferRow(
            what="send",
            peer="PACS",
            objects=120,
            total_objects=2000,
            failed=1,
            octets=500_000,
            total_octets=1_000_000,
            octets_per_second=100_000.0,
            seconds_left=5.0,
        ),
    ),
)
JOB = Job(
    id=7,
    order=Order(kind=JobKind.SEND, peer="PACS"),
    state=JobState.RUNNING,
    created_at=AT - 100,
    counts=Counts(instances=10, done=4, failed=1, octets=1000, octets_done=400),
    progress=Progress(octets_in_flight=100, octets_per_second=50.0, seconds_left=10.0),
)
WAITING = Job(
    id=8,
    order=Order(kind=JobKind.RETRIEVE, peer="ARCHIVE"),
    state=JobState.WAITING,
    created_at=AT - 100,
    not_before=AT + 65,
    reason="ARCHIVE refused us",
    counts=Counts(instances=2),
)
SUMMARY = QueueSummary(
    jobs={JobState.RUNNING: 1, JobState.WAITING: 1, JobState.DONE: 0}, oldest_due_at=AT - 61, retries=3, is_held=True
)
NOTHING = Overview(at=AT, processes=(), queue=None, jobs=(), directories=(), faults=())
ALL = Overview(
    at=AT,
    processes=(SERVE, SEND),
    queue=SUMMARY,
    jobs=(JOB, WAITING),
    directories=(Directory(path="/data", objects=1234, octets=5_100_000_000, free_octets=79_600_000_000),),
    faults=("the queue can't be read",),
)
SHOWN = """\
PROCESSES
  serve 12  STORE  127.0.0.1:11112  running                       up 2 min 05 s
  send 13   WS                      running, silent for 1 min 10 s  up 10 s

ASSOCIATIONS
  from CT1  10.0.0.1      C-STORE  1,200 objects, 5.1 GB  for 10 s
  to PACS   10.0.0.2:104           0 objects, 80 B   for 1 s

TRANSFERS
  send PACS  [########........]  120 of 2,000 objects, 1 failed  500.0 kB of 1.0 MB  100.0 kB/s, 5 s left

QUEUE
  1 running, 1 waiting; the oldest has been due for 1 min 01 s; the whole queue is paused
  7 send PACS         running                 [########........]  4 of 10 objects, 1 failed  50 B/s, 10 s left
  8 retrieve ARCHIVE  waiting for 1 min 05 s  [................]  0 of 2 objects             ARCHIVE refused us

STORAGE
  /data  1,234 objects, 5.1 GB  79.6 GB free

LAST ERRORS
  2026-01-31T10:00:01.000Z object.refused reason="no room"

FAULTS
  the queue can't be read
"""


def test_everything():
    assert [line.split() for line in text(ALL).splitlines()] == [line.split() for line in SHOWN.splitlines()]


def test_columns_stand_below_each_other():
    lines = text(ALL).splitlines()
    assert lines[1].index("up ") == lines[2].index("up ")
    assert lines[5].index("objects") > 0
    assert all(line == line.rstrip() for line in lines)


def test_nothing():
    assert text(NOTHING) == "PROCESSES\n  nothing of dulcet is running\n"


def test_no_string_of_a_peer_reaches_a_terminal_raw():
    row = AssociationRow(direction=EVIL, peer=EVIL, address=EVIL, since=EVIL, service=EVIL)
    process = ProcessReport(
        command=EVIL,
        state=EVIL,
        ae_title=EVIL,
        addresses=(EVIL,),
        directory=EVIL,
        associations=(row,),
        transfers=(TransferRow(what=EVIL, peer=EVIL),),
        errors=(ErrorRow(at="2026", event=EVIL, text=EVIL),),
    )
    job = Job(
        id=1,
        order=Order(kind=JobKind.SEND, peer=EVIL),
        state=JobState.FAILED,
        created_at=AT,
        reason=EVIL,
    )
    shown = text(
        Overview(
            at=AT,
            processes=(process,),
            queue=SUMMARY,
            jobs=(job,),
            directories=(Directory(path=EVIL, objects=None, octets=None, free_octets=None),),
            faults=(EVIL,),
        )
    )
    assert shown.isascii()
    assert shown.replace("\n", "").isprintable()


def test_a_long_list_is_cut_and_counted():
    process = ProcessReport(associations=(AssociationRow(peer="A"),) * (MAX_ROWS + 3))
    shown = text(Overview(at=AT, processes=(process,), queue=None, jobs=(), directories=(), faults=()))
    assert "... and 3 more" in shown
    assert shown.count("  from") + shown.count("  to A") == MAX_ROWS


def test_the_document_has_all_of_it():
    found = json.loads(json.dumps(document(ALL)))
    assert (found["v"], found["event"], found["ts"]) == (1, "status", "2026-01-31T10:00:10.000Z")
    assert [process["command"] for process in found["processes"]] == ["serve", "send"]
    assert found["queue"]["jobs"] == {"running": 1, "waiting": 1, "done": 0}
    assert found["jobs"][0]["octets_done"] == 500
    assert found["jobs"][1]["reason"] == "ARCHIVE refused us"
    assert found["directories"][0]["free_octets"] == 79_600_000_000
    assert json.loads(json.dumps(document(NOTHING)))["queue"] is None


# Looking --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("DULCET_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_processes_queue_and_directories_are_found(state, tmp_path):
    stored = tmp_path / "stored"
    stored.mkdir()
    with sqlite3.connect(stored / ".index.sqlite") as index:
        index.execute("CREATE TABLE instance (file_size INTEGER)")
        index.executemany("INSERT INTO instance VALUES (?)", [(100,), (250,)])
    index.close()
    file = ProcessFile(processes_path())
    file.write(ProcessReport(pid=1, command="serve", directory=str(stored)))
    store = SQLiteJobStore(state / FILE_NAME)
    store.add(Order(kind=JobKind.SEND, peer="PACS"), [NewInstance(name="a", file_size=5)])
    store.close()
    looker = Looker([stored, tmp_path / "none"])
    try:
        found = looker.look()
        assert [process.command for process in found.processes] == ["serve"]
        assert [(job.order.peer, job.state) for job in found.jobs] == [("PACS", JobState.QUEUED)]
        assert found.queue.jobs[JobState.QUEUED] == 1
        known, missing = found.directories
        assert (known.path, known.objects, known.octets) == (str(stored), 2, 350)
        assert known.free_octets > 0
        assert (missing.objects, missing.octets, missing.free_octets) == (None, None, None)
        assert found.faults == ()
    finally:
        looker.close()
        file.remove()


def test_looking_makes_nothing(state, tmp_path):
    Looker([tmp_path]).look()
    assert not state.exists()
    assert list(tmp_path.iterdir()) == []


def test_an_index_that_is_none_is_no_fault(state, tmp_path):
    (tmp_path / ".index.sqlite").write_bytes(b"no database" * 1000)
    (found,) = Looker([tmp_path]).look().directories
    assert (found.objects, found.octets) == (None, None)


def test_a_directory_is_counted_now_and_then(state, tmp_path, monkeypatch):
    sizes = iter([(1, 10), (2, 20)])
    monkeypatch.setattr(looking, "_size", lambda index: next(sizes))
    looker = Looker([tmp_path])
    assert [looker.look().directories[0].objects for _ in range(3)] == [1, 1, 1]
    monkeypatch.setattr(looking, "SIZE_SECONDS", -1)
    assert looker.look().directories[0].objects == 2


# The command ----------------------------------------------------------------------------------------------------------


def test_nothing_runs_and_that_is_no_error(state):
    result = CliRunner().invoke(cli, ["status"])
    assert (result.exit_code, result.output) == (0, text(NOTHING))


def test_one_document(state):
    result = CliRunner().invoke(cli, ["status", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.output)["processes"] == []


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_watch_ends_with_an_interrupt_and_that_is_no_error(options, state, monkeypatch):
    times = []

    def sleep(seconds):
        times.append(seconds)
        if len(times) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("dulcet.commands.status.time.sleep", sleep)
    result = CliRunner().invoke(cli, ["status", "--watch", *options])
    assert result.exit_code == 0
    assert times == [1.0, 1.0, 1.0]
    if options:
        assert [json.loads(line)["event"] for line in result.output.splitlines()] == ["status"] * 3
    else:
        assert result.output == (text(NOTHING) + "\n") * 3


def test_a_terminal_is_redrawn(state, monkeypatch):
    times = []

    def sleep(seconds):
        times.append(seconds)
        if len(times) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("dulcet.commands.status.time.sleep", sleep)
    monkeypatch.setattr("dulcet.commands.status.moves_cursor", lambda output: True)
    result = CliRunner().invoke(cli, ["status", "--watch", "0.5"])
    assert result.exit_code == 0
    assert "nothing of dulcet is running" in result.output
    assert times == [0.5, 0.5]
