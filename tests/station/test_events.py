import errno
import io
import json
import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest

from dulcet.station import events
from dulcet.station.events import (
    AssociationRejected,
    ContextResult,
    Event,
    EventStream,
    JSONLinesWriter,
    Outcome,
    StoreResult,
    Summary,
    json_head,
    rfc3339,
)

AT = datetime(2026, 1, 31, 23, 59, 59, 123999, tzinfo=UTC)

EVENT_NAMES = {
    "assoc.requested",
    "assoc.accepted",
    "assoc.rejected",
    "assoc.ended",
    "pc.result",
    "store.result",
    "summary",
}


def test_a_line_says_version_time_and_event_first():
    event = ContextResult(at=AT, context_id=3, abstract_syntax="1.2", result=0, transfer_syntax="1.3")
    assert event.to_json() == (
        '{"v":1,"ts":"2026-01-31T23:59:59.123Z","event":"pc.result",'
        '"association":1,"context_id":3,"abstract_syntax":"1.2","result":0,"transfer_syntax":"1.3"}'
    )


def test_what_has_no_value_is_left_out():
    line = json.loads(StoreResult(at=AT, name="a", outcome=Outcome.STORED, octets=0).to_json())
    assert line == {
        "v": 1,
        "ts": "2026-01-31T23:59:59.123Z",
        "event": "store.result",
        "name": "a",
        "outcome": "stored",
        "exit_code": 0,
        "octets": 0,
        "attempts": 1,
    }


def test_times_are_in_utc():
    assert rfc3339(AT.astimezone(timezone(timedelta(hours=-8)))) == "2026-01-31T23:59:59.123Z"
    before = datetime.now(UTC)
    assert before <= Summary(exit_code=0, counts={}, octets=0).at <= datetime.now(UTC)


@pytest.mark.parametrize("text", ["\x1b[2J\r\n\u2028", "name\udcff", "Müller", '"\\'])
def test_a_hostile_text_stays_in_its_line(text):
    line = AssociationRejected(peer="PACS", explanation=text, exit_code=77).to_json()
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["explanation"] == text


def test_every_event_has_a_name_of_its_own_and_documented_fields():
    kinds = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]
    names = [kind.EVENT for kind in kinds if kind is not Event]
    assert sorted(names) == sorted(EVENT_NAMES)
    for kind in kinds:
        assert not {"v", "ts", "event"} & {field.name for field in fields(kind)}


def test_the_stream_tells_all_who_listen_in_order():
    stream, heard = EventStream(), []
    stream.subscribe(lambda event: heard.append(("first", event)))
    stream.subscribe(lambda event: heard.append(("second", event)))
    one, two = Summary(exit_code=0, counts={}, octets=0), Summary(exit_code=1, counts={}, octets=0)
    stream(one)
    stream(two)
    assert heard == [("first", one), ("second", one), ("first", two), ("second", two)]


def test_each_event_is_a_line_and_the_summary_is_the_last():
    output = io.StringIO()
    writer = JSONLinesWriter(output)
    writer(StoreResult(name="a", outcome=Outcome.STORED))
    writer(Summary(exit_code=1, counts={"stored": 1}, octets=7, seconds=0.5))
    writer(StoreResult(name="late", outcome=Outcome.STORED))
    first, last = output.getvalue().splitlines()
    assert json.loads(first)["event"] == "store.result"
    assert json.loads(last) | {"ts": ""} == {
        "v": 1,
        "ts": "",
        "event": "summary",
        "exit_code": 1,
        "counts": {"stored": 1},
        "octets": 7,
        "seconds": 0.5,
    }


class Pipe(io.StringIO):
    def __init__(self, lines):
        super().__init__()
        self.lines = lines
        self.flushes = 0

    def flush(self):
        self.flushes += 1
        if self.flushes > self.lines:
            raise BrokenPipeError


def test_each_line_is_flushed():
    pipe = Pipe(lines=9)
    writer = JSONLinesWriter(pipe)
    for number in range(3):
        writer(StoreResult(name=str(number), outcome=Outcome.STORED))
    assert pipe.flushes == 3
    assert not writer.broken


def test_a_reader_that_went_away_ends_the_writing_only():
    pipe = Pipe(lines=1)
    writer = JSONLinesWriter(pipe)
    for number in range(4):
        writer(StoreResult(name=str(number), outcome=Outcome.STORED))
    assert writer.broken
    assert pipe.flushes == 2


class Disk(io.StringIO):
    """A file on a disk that is full between two lines."""

    def __init__(self, full):
        super().__init__()
        self.full = full
        self.lines = []

    def write(self, text):
        self.lines.append(text)
        if len(self.lines) in self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(text)


def test_a_full_disk_costs_lines_and_no_work():
    disk = Disk(full=(2, 3))
    writer = JSONLinesWriter(disk)
    for number in range(5):
        writer(StoreResult(name=str(number), outcome=Outcome.STORED))
    assert [json.loads(line)["name"] for line in disk.getvalue().splitlines()] == ["0", "3", "4"]
    assert not writer.broken


@pytest.mark.parametrize("full", [1, 4], ids=["a line", "the summary"])
def test_what_could_not_be_written_is_known_when_the_work_is_done(full):
    writer = JSONLinesWriter(Disk(full=(full,)))
    for number in range(3):
        writer(StoreResult(name=str(number), outcome=Outcome.STORED))
    with pytest.raises(OSError, match="No space left on device"):
        writer(Summary(exit_code=0, counts={}, octets=0))
    writer(Summary(exit_code=0, counts={}, octets=0))


def test_a_reader_that_went_away_does_not_change_the_exit_code():
    program = """
import sys
from dulcet.station.events import JSONLinesWriter, Outcome, StoreResult, Summary
writer = JSONLinesWriter(sys.stdout)
sys.stdin.read()
for number in range(100):
    writer(StoreResult(name="x" * 1000, outcome=Outcome.STORED))
writer(Summary(exit_code=7, counts={}, octets=0))
sys.exit(7 if writer.broken else 1)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        process.stdin.close()
        complaint = process.stderr.read()
        assert (process.wait(), complaint) == (7, b"")


def test_every_line_begins_alike():
    head = json_head("node")
    assert list(head) == ["v", "ts", "event"]
    assert (head["v"], head["event"]) == (1, "node")
    assert datetime.fromisoformat(head["ts"]).tzinfo is not None
    assert list(json.loads(Summary(exit_code=0, counts={}, octets=0).to_json()))[:3] == list(head)
