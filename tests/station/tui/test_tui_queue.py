"""The screen Queue: how jobs get on, what is asked of them, details, log, sending."""

import json
import sqlite3

from dulcet.errors import QueueError
from dulcet.station.queue.jobs import Counts, InstanceState, JobKind, JobState, Progress, Wish
from dulcet.station.tui import figures, job_text

RUNNING = {
    "state": JobState.RUNNING,
    "counts": Counts(instances=500, done=200, failed=3, octets=1000, octets_done=400),
    "progress": Progress(octets_per_second=11e6, seconds_left=75.0),
}


def test_jobs_are_shown_newest_first_with_how_they_get_on(desk):
    async def steps(desk):
        desk.store.put(1, **RUNNING)
        desk.store.put(
            2, kind=JobKind.RETRIEVE, state=JobState.WAITING, reason="PACS can't be reached", not_before=1.8e9
        )
        await desk.press("f3")
        await desk.sees("to PACS", "▶ running", "200/500 ✗3", "11.0 MB/s  1:15", "from PACS", "◷ waiting", "again")
        await desk.sees("2: PACS can't be reached")
        assert desk.screen.index("from PACS") < desk.screen.index("to PACS")

    desk().drive(steps)


def test_a_wide_terminal_shows_the_reason_beside_each(desk):
    async def steps(desk):
        desk.store.put(1, state=JobState.FAILED, reason="nothing listens on that port", ended_at=1.8e9)
        desk.store.put(2)
        await desk.press("f3")
        await desk.sees("nothing listens on that port", "Reason")

    desk(size=(200, 60)).drive(steps)


def test_what_changes_is_seen_and_what_does_not_is_not_read_again(desk):
    async def steps(desk):
        desk.store.put(1, **RUNNING)
        await desk.press("f3")
        await desk.sees("200/500")
        reads, polls = desk.store.reads, []
        look = desk.store.version
        desk.store.version = lambda: polls.append(1) or look()
        await desk.until(lambda: len(polls) > 2)
        assert desk.store.reads == reads
        desk.store.change(1, counts=Counts(instances=500, done=500), state=JobState.DONE, ended_at=1.8e9)
        await desk.sees("● done", "500/500")
        assert desk.store.reads == reads + 1

    desk().drive(steps)


def test_the_cursor_stays_on_its_job_when_another_comes(desk):
    async def steps(desk):
        desk.store.put(1)
        desk.store.put(2)
        await desk.press("f3")
        await desk.sees("2 jobs, 0 running")
        await desk.press("down")
        assert desk.app.front.job.id == 1
        desk.store.put(3)
        await desk.sees("3 jobs")
        assert desk.app.front.job.id == 1

    desk().drive(steps)


def test_a_job_is_cancelled_only_when_that_is_meant(desk):
    async def steps(desk):
        desk.store.put(1, **RUNNING)
        await desk.press("f3")
        await desk.sees("running")
        await desk.press("c")
        await desk.sees("Cancel job 1? 297 instances not done yet")
        await desk.press("n")
        await desk.loses("297 instances")
        assert desk.store.asked == []
        await desk.press("c", "y")
        await desk.sees("job 1 is cancelled", "⊘ cancelled")
        assert desk.store.asked == [("cancel", 1)]

    desk().drive(steps)


def test_pause_resume_retry(desk):
    async def steps(desk):
        desk.store.put(1, **RUNNING)
        await desk.press("f3")
        await desk.sees("running")
        for pressed, said in (("p", "job 1 is to pause"), ("u", "job 1 goes on"), ("t", "job 1 is queued again")):
            await desk.press(pressed)
            await desk.sees(said)
        assert desk.store.asked == [("pause", 1), ("resume", 1), ("retry", 1)]
        await desk.press("u")
        await desk.sees("job 1 is not paused")

    desk().drive(steps)


def test_an_empty_queue_says_how_to_begin_and_keys_do_nothing(desk):
    async def steps(desk):
        await desk.press("f3")
        await desk.sees("The queue is empty")
        await desk.press("c", "t", "p", "u", "l", "enter")
        assert desk.store.asked == []
        assert len(desk.app.screen_stack) == 1

    desk().drive(steps)


FAULTS = (
    (QueueError("the queue /q can't be used: another process has it"), "the queue /q can't be used: another process"),
    (sqlite3.OperationalError("database is locked"), "the database can't be read: database is locked"),
    (PermissionError(13, "Permission denied", "/q"), "/q: Permission denied"),
)


def test_a_queue_that_cannot_be_read_is_a_sentence_and_comes_back(desk):
    async def steps(desk):
        desk.store.put(1)
        await desk.press("f3")
        for error, sentence in FAULTS:
            desk.store.error = error
            await desk.sees(sentence)
        desk.store.error = None
        await desk.sees("1 job, 0 running")

    desk().drive(steps)


def test_details_show_what_failed_first_and_change(desk, values):
    async def steps(desk):
        instances = [values.part(n, InstanceState.DONE, status=0) for n in range(1, 4)]
        instances.append(values.part(4, InstanceState.FAILED, status=0xA900, reason="it does not match"))
        desk.store.put(1, **RUNNING, instances=instances, reason="3 failed")
        await desk.press("f3", "enter")
        await desk.sees("Job 1", "500 instances: 200 done, 3 failed", "A900H", "it does not match", "3 failed")
        assert desk.screen.index("/data/4.dcm") < desk.screen.index("/data/1.dcm")
        desk.store.parts[1] = [values.part(4, InstanceState.DONE)]
        desk.store.change(1, counts=Counts(instances=1, done=1), state=JobState.DONE)
        await desk.sees("1 instance: 1 done")
        await desk.loses("it does not match")
        del desk.store.rows[1]
        desk.store.changes += 1
        await desk.sees("not in the queue any more")

    desk(size=(120, 30)).drive(steps)


def test_the_log_is_live(desk):
    async def steps(desk):
        desk.store.put(1, **RUNNING)
        line = {"v": 1, "ts": "2026-01-31T12:00:00.000Z", "event": "store.result", "name": "a\x1b[2J", "attempts": 1}
        desk.store.lines[1] = [json.dumps(line), "no JSON", "7"]
        await desk.press("f3", "l")
        await desk.sees("Log of job 1", "store.result  name=a\\x1b[2J  attempts=1", "no JSON")
        desk.store.lines[1].append(json.dumps({"event": "association.accepted"}))
        await desk.sees("association.accepted")
        desk.store.error = sqlite3.OperationalError("database is locked")
        await desk.sees("database is locked")
        desk.store.error = None
        await desk.press("escape")
        await desk.loses("Log of job 1")

    desk().drive(steps)


def test_files_are_sent_through_the_queue(desk, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)

    async def steps(desk):
        desk.script.on("send", lines=['{"event": "job.queued", "job": 2}'])
        for number in (1, 3):
            desk.store.put(number)
        await desk.press("f3", "n")
        await desk.sees("Send", "choose a node")
        await desk.type("im")
        await desk.sees("images/")
        await desk.press("tab")
        await desk.until(lambda: desk.app.focused.value == "images/", "completed")
        desk.app.screen.query_one("#to").value = "PACS"
        await desk.press("enter")
        await desk.sees("queued for PACS")
        assert desk.app.front.job.id == 3
        desk.store.put(2)
        await desk.until(lambda: desk.app.front.job.id == 2, "the new one")
        assert desk.said[-1] == ("send", "--queue", "--json", "--", "PACS", f"{tmp_path}/images")

    desk(size=(160, 40)).drive(steps)


def test_what_cannot_be_sent_is_said_in_the_form(desk):
    async def steps(desk):
        await desk.press("f3", "n")
        await desk.press("ctrl+s")
        await desk.sees("What should be sent?")
        await desk.type("/no/such/file")
        await desk.press("ctrl+s")
        await desk.sees("There is no such file or folder.")
        desk.app.focused.value = "/"
        await desk.press("ctrl+s")
        await desk.sees("To which node?")
        await desk.press("escape")
        assert desk.said == []

    desk().drive(steps)


def test_what_has_ended_is_not_cancelled(desk):
    async def steps(desk):
        desk.store.put(1, state=JobState.DONE, ended_at=1.8e9)
        await desk.press("f3")
        await desk.sees("● done")
        await desk.press("c")
        await desk.sees("job 1 has ended already")

    desk().drive(steps)


def test_how_a_job_reads(desk):
    store = desk().store
    store.put(1, **RUNNING, wish=Wish.CANCEL)
    assert job_text.state(store.job(1)).plain == "▶ cancelling"
    store.put(1, state=JobState.QUEUED, peer="PACS\x1b")
    assert job_text.peer(store.job(1)) == "to PACS\\x1b"
    assert job_text.getting_on(store.job(1)) == figures.moment(1.8e9)
    assert "ordered" in job_text.facts(store.job(1))


def test_a_queue_at_which_nobody_works_says_so(desk):
    async def steps(desk):
        report, *_ = desk.machine.reports
        desk.machine.reports.clear()
        desk.store.put(1)
        await desk.press("f3")
        await desk.sees("Nobody works at the queue: start `dulcet serve`")
        desk.machine.reports.append(report)
        await desk.sees("1 job, 0 running")

    desk().drive(steps)
