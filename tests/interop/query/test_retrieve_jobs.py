"""Jobs that retrieve: what is here is never asked for again, what did not come is tried again, or has a reason."""

import json
import sqlite3
from pathlib import Path

import pytest

from dulcet.conformance.peers.ours import dulcet_serve
from dulcet.station.archive.vault import path_of
from dulcet.station.queue.jobs import InstanceState, JobState
from dulcet.station.queue.sqlite_store import FILE_NAME, open_queue

STUDY, SERIES, INSTANCE, LEVEL = 0x0020000D, 0x0020000E, 0x00080018, 0x00080052


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("DULCET_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("DULCET_CONFIG", "/dev/null")
    monkeypatch.setenv("DULCET_NODES", str(tmp_path / "nodes.toml"))
    return tmp_path / "state"


@pytest.fixture
def queue(state, command, tmp_path, port):
    """Orders retrievals and runs them."""
    return Queue(state, command, tmp_path / "here", port)


class Queue:
    def __init__(self, state, command, directory, port):
        self.state, self.command, self.directory, self.port = state, command, directory, port

    def order(self, archive, *words, via="move", port=None, grace=0.3, code=0):
        answer = self.command(
            *("retrieve", "--queue", f"ARCHIVE@127.0.0.1:{archive.port}", *words, "--via", via, "--grace", grace),
            *("--port", port or self.port, "--bind", "127.0.0.1", "--directory", self.directory),
        )
        assert answer.code == code, answer.errors
        return answer

    def run(self, *words):
        answer = self.command("queue", "run", "--once", *words)
        assert answer.code == 0, answer.errors
        return answer

    @property
    def store(self):
        return open_queue(self.state)

    def job(self, number=1):
        return self.store.job(number)

    def rows(self, state=None, number=1):
        return self.store.instances(number, state)

    def now(self):
        """What waits is due."""
        with sqlite3.connect(self.state / FILE_NAME) as connection:
            connection.execute("UPDATE job SET not_before = 0 WHERE state = 'waiting'")
            connection.execute("UPDATE instance SET not_before = 0 WHERE state = 'pending'")

    def here(self):
        return {path.stem for path in Path(self.directory).glob("??/*.dcm")}


def asked(archive, name="C-MOVE-RQ"):
    """The levels, series and instances that an archive was told to send."""
    return [request for request in archive.requests if name == request.NAME]


def test_a_study_comes_by_move(queue, archive_thread, study):
    one = study(number=1, series=2)
    there = archive_thread(one, destinations={"DULCET": queue.port})
    assert "a retrieval from ARCHIVE@" in queue.order(there, "--study", one.uid).output
    assert (queue.job().state, queue.job().counts.instances) == (JobState.QUEUED, 0)
    assert there.requests == []  # not before it runs
    queue.run()
    job = queue.job()
    assert (job.state, job.exit_code, job.counts.done, job.counts.instances) == (JobState.DONE, 0, 10, 10)
    assert queue.here() == set(one.instance_uids)
    assert job.counts.octets_done == sum(row.octets for row in queue.rows()) > 0
    assert {row.sop_instance_uid for row in queue.rows(InstanceState.DONE)} == set(one.instance_uids)
    assert all(row.sop_class_uid == one.sop_class for row in queue.rows())
    assert len(asked(there)) == 1


def test_a_study_comes_by_get(queue, archive_thread, study, command):
    one = study(number=1, series=2)
    there = archive_thread(one)
    queue.order(there, "--study", one.uid, via="get")
    queue.run()
    assert (queue.job().state, queue.job().counts.done) == (JobState.DONE, 10)
    assert queue.here() == set(one.instance_uids)
    listed = command("series", "list", "--directory", queue.directory, "--json")
    lines = [json.loads(line) for line in listed.output.splitlines()]
    assert [line["from"] for line in lines if line["event"] == "series"] == [["ARCHIVE"], ["ARCHIVE"]]


def test_what_is_here_is_not_asked_for_again(queue, archive_thread, study, command):
    one = study(number=1, series=2)
    there = archive_thread(one, destinations={"DULCET": queue.port})
    queue.order(there, "--study", one.uid)
    queue.run()
    queue.order(there, "--study", one.uid)
    queue.run()
    assert (queue.job(2).state, queue.job(2).counts.done) == (JobState.DONE, 10)
    assert len(asked(there)) == 1


def test_of_what_is_missing_whole_series_and_single_images_are_asked_for(queue, archive_thread, study):
    one = study(number=1, series=3)
    there = archive_thread(one, destinations={"DULCET": queue.port})
    queue.order(there, "--study", one.uid)
    queue.run()
    images = {uid: path_of(queue.directory, uid) for uid in one.instance_uids}
    series = {keys[INSTANCE]: keys[SERIES] for keys in one.objects()}
    first, second, _ = sorted(set(series.values()))
    gone = [uid for uid in series if series[uid] == first]
    gone += [uid for uid in series if series[uid] == second][:2]
    for uid in gone:
        images[uid].unlink()
    before = len(there.asked)
    queue.order(there, "--study", one.uid)
    queue.run()
    assert queue.job(2).state is JobState.DONE
    assert queue.here() == set(one.instance_uids)
    told = [(one[LEVEL], one.get(SERIES), one.get(INSTANCE)) for one in there.asked[before:]]
    assert told == [("SERIES", first, ""), ("IMAGE", second, "\\".join(sorted(gone[-2:])))]


def test_cut_off_it_goes_on_where_it_stopped(queue, archive_thread, study):
    one = study(number=1, series=1)
    there = archive_thread(one, destinations={"DULCET": queue.port}, dies_after=2)
    queue.order(there, "--study", one.uid)
    queue.run()
    job = queue.job()
    assert (job.state, job.counts.done) == (JobState.WAITING, 2)
    assert "abort" in job.reason
    finds = len(asked(there, "C-FIND-RQ"))
    there.dies_after = None
    queue.now()
    queue.run()
    assert (queue.job().state, queue.job().counts.done) == (JobState.DONE, 5)
    assert len(asked(there, "C-FIND-RQ")) == finds  # surveyed once
    assert there.asked[-1][LEVEL] == "IMAGE"
    assert there.asked[-1][INSTANCE].split("\\") == sorted(one.instance_uids)[2:]
    assert queue.here() == set(one.instance_uids)


def test_what_the_archive_does_not_send_fails_with_a_reason_after_some_attempts(queue, archive_thread, study):
    one = study(number=1)
    there = archive_thread(one, destinations={"DULCET": queue.port}, sends=lambda objects: objects[:3], claims=3)
    there.sends = lambda objects: [keys for keys in objects if keys[INSTANCE] not in one.instance_uids[3:]]
    queue.order(there, "--study", one.uid)
    for _ in range(3):
        queue.run()
        queue.now()
    job = queue.job()
    assert (job.state, job.exit_code) == (JobState.PARTIAL, 1)
    assert (job.counts.done, job.counts.failed) == (3, 2)
    assert "did not send it" in job.reason
    failed = queue.rows(InstanceState.FAILED)
    assert [row.sop_instance_uid for row in failed] == one.instance_uids[3:]
    assert all("did not send it" in row.reason and row.attempts == 3 for row in failed)
    lines = [json.loads(event.line) for event in queue.store.events(1)]
    assert any(line["event"] == "retrieve.advice" for line in lines)
    there.sends = lambda objects: objects
    queue.command("queue", "retry", "1")
    queue.run()
    assert queue.job().state is JobState.DONE


def test_a_destination_that_is_not_known_waits_for_its_administrator(queue, archive_thread, study):
    one = study(number=1)
    there = archive_thread(one)
    queue.order(there, "--study", one.uid)
    queue.run()
    job = queue.job()
    assert job.state is JobState.WAITING
    assert "A801H" in job.reason
    there.destinations["DULCET"] = queue.port
    queue.now()
    queue.run()
    assert queue.job().state is JobState.DONE


def test_an_archive_that_is_not_there_is_tried_again(queue, archive_thread, study, port):
    one = study(number=1)
    there = archive_thread(one, destinations={"DULCET": queue.port})
    right, there.port = there.port, 1
    queue.order(there, "--study", one.uid)
    there.port = right
    queue.run()
    job = queue.job()
    assert (job.state, job.attempts, job.counts.instances) == (JobState.WAITING, 1, 0)
    assert "refused the connection" in job.reason


def test_nothing_of_it(queue, archive_thread, study):
    there = archive_thread(study(number=1))
    queue.order(there, "--study", "1.2.3.4")
    queue.run()
    assert (queue.job().state, queue.job().exit_code) == (JobState.FAILED, 66)
    assert "has nothing of it" in queue.job().reason


def test_an_archive_that_lists_no_images_has_a_row_for_each_study(queue, archive_thread, study):
    one, two = study(number=1), study(number=2)
    there = archive_thread(one, two, destinations={"DULCET": queue.port}, lists_images=False)
    queue.order(there, "--study", one.uid, "--study", two.uid)
    queue.run()
    job = queue.job()
    assert (job.state, job.counts.instances, job.counts.done) == (JobState.DONE, 2, 2)
    assert {row.name for row in queue.rows()} == {f"study {one.uid}", f"study {two.uid}"}
    assert queue.here() == {*one.instance_uids, *two.instance_uids}


def test_through_our_own_server(queue, archive_thread, study, tmp_path):
    one = study(number=1, series=2)
    with dulcet_serve("--no-queue", storage=tmp_path / "here") as server:
        there = archive_thread(one, destinations={"DULCET": server.address.port}, final_first=0.2, claims=10)
        queue.order(there, "--study", one.uid, port=server.address.port, grace=60)
        queue.run()
        job = queue.job()
        assert (job.state, job.counts.done, job.reason) == (JobState.DONE, 10, "")
        assert job.counts.octets_done > 0
    assert queue.here() == set(one.instance_uids)


def test_several_jobs_share_a_receiver(queue, archive_thread, study, tmp_path):
    studies = [study(number=number, instances=20) for number in range(1, 5)]
    archives = [archive_thread(one, destinations={"DULCET": queue.port}, ae_title="ARCHIVE") for one in studies]
    for there, one in zip(archives, studies, strict=True):
        queue.order(there, "--study", one.uid)
    queue.run("--workers", "4")
    assert [queue.job(number).state for number in range(1, 5)] == [JobState.DONE] * 4
    assert queue.here() == {uid for one in studies for uid in one.instance_uids}


def test_a_port_that_a_stranger_has(queue, archive_thread, study):
    one = study(number=1)
    there = archive_thread(one)
    queue.order(there, "--study", one.uid, port=there.port)
    queue.run()
    job = queue.job()
    assert (job.state, job.exit_code) == (JobState.FAILED, 78)
    assert "another program listens there" in job.reason


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--priority", "5"], "--priority needs --queue"),
        (["--queue", "--hours", "25:00-26:00"], "--hours"),
        (["--queue", "--report", "x.csv"], "dulcet queue show"),
    ],
)
def test_wrong_use(state, command, words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = command("retrieve", "ARCHIVE@127.0.0.1:104", "--study", "1.2.3", *words)
    assert answer.code == 2
    assert sentence in answer.errors
    assert not (tmp_path / "x.csv").exists()


def test_what_was_asked_is_kept_and_what_a_node_prefers_is_looked_up_late(state, command, tmp_path):
    words = ["ARC", "series", "--study", "1.2.3", "-k", "SeriesDescription=Scout", "--modality", "CT", "--queue"]
    (tmp_path / "nodes.toml").write_text('[ARC]\nae_title = "ARC"\nhost = "127.0.0.1"\nport = 1\n')
    answer = command("retrieve", *words, "--priority", "7", "--hours", "22:00-6:00", "--directory", "x", "--json")
    assert answer.code == 0, answer.errors
    (tmp_path / "nodes.toml").write_text(
        '[ARC]\nae_title = "NEW"\nhost = "127.0.0.1"\nport = 2\nretrieve = "get"\nquery_root = "patient"\njobs = 3\n'
    )
    from dulcet.station.queue.retrieve_order import retrieve_order

    job = open_queue(state).job(1)
    assert (job.order.priority, job.order.hours, job.order.peer) == (7, "22:00-06:00", "ARC")
    order = retrieve_order(job.order)
    assert (order.peer.ae_title, order.peer.port) == ("NEW", 2)
    assert (order.how.via, order.queries.root, order.how.jobs) == ("get", "patient", 3)
    assert order.asked.study == ("1.2.3",)
    assert (order.asked.modality, order.asked.level.value) == ("CT", "SERIES")
    assert order.asked.keys == {0x0008103E: "Scout"}
    assert order.storage.directory == Path("x").absolute()
