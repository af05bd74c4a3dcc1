"""The queue as people use it: the commands on real files, a worker, a server that runs it, and DCMTK's storescp."""

import json
import os
import signal
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from dulcet.conformance.peers.address import free_port
from dulcet.conformance.peers.ours import PROGRAM, dulcet_serve

SECONDS = 60


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """A queue of the test's own."""
    monkeypatch.setenv("DULCET_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def queue(dulcet):
    def run(*words, code=0):
        ran = dulcet("queue", *words, seconds=SECONDS)
        assert "Traceback" not in ran.stderr
        assert ran.returncode == code, ran.stdout + ran.stderr
        return ran.stdout

    return run


@pytest.fixture
def job(queue):
    """A job as a program sees it."""
    return lambda number=1: json.loads(queue("show", number, "--limit", 0, "--json"))


@pytest.fixture
def images(pydicom_files):
    return pydicom_files / "dicomdirtests"


@contextmanager
def working(*options, stdin=None):
    """`dulcet queue run` in the background."""
    process = subprocess.Popen(
        [*PROGRAM, "queue", "run", "--json", *options],
        stdin=stdin,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "DULCET_CONFIG": os.devnull, "DULCET_NODES": os.devnull},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def states(pid):
    """Of its threads, as /proc has them: T is stopped."""
    return {path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")}


def test_from_the_order_to_the_last_object(dulcet, queue, job, storescp, images):
    ran = dulcet("send", "--queue", storescp.address, images)
    assert ran.returncode == 0, ran.stderr
    assert "job 1: 81 files" in ran.stdout
    assert "nothing runs the queue now" in ran.stdout
    queue("run", "--once", "-q")
    done = job()
    assert (done["state"], done["done"], done["exit_code"]) == ("done", 81, 0)
    assert len(storescp.stored_files()) == 81
    assert "assoc.accepted" in queue("log", 1)
    queue("wait", 1)
    queue("clear")
    assert queue("list", "--json") == ""


def test_a_server_runs_the_queue(dulcet, queue, job, images):
    with dulcet_serve() as peer:
        ran = dulcet("send", "--queue", "-aec", "DULCET", "127.0.0.1", peer.address.port, images)
        assert ran.returncode == 0, ran.stderr
        assert "the server (process" in ran.stdout or "a worker (process" in ran.stdout
        queue("wait", "--timeout", 50, 1)
        assert job()["done"] == 81
        assert len(peer.stored_files()) == 81


def test_a_closed_port_and_an_order_that_gives_up(dulcet, queue, job, images):
    port = free_port()
    for retries in ([], ["--retries", 0]):
        assert dulcet("send", "--queue", *retries, f"ANY@127.0.0.1:{port}", images).returncode == 0
    queue("run", "--once", "-q", "--per-peer", 2)
    waiting, failed = job(1), job(2)
    assert (waiting["state"], waiting["attempts"]) == ("waiting", 1)
    assert "nothing listens on that port" in waiting["reason"]
    assert (failed["state"], failed["exit_code"], failed["failed"]) == ("failed", 69, 81)
    queue("wait", 2, code=69)
    queue("show", 2, "--exit-code", "--limit", 0, code=69)


def test_what_is_refused_and_what_is_gone(dulcet, queue, job, dcmrecv, pydicom_files, tmp_path):
    """dcmrecv takes uncompressed objects only."""
    gone = tmp_path / "gone.dcm"
    gone.write_bytes((pydicom_files / "MR_small.dcm").read_bytes())
    files = [pydicom_files / "CT_small.dcm", pydicom_files / "JPEG2000.dcm", gone]
    assert dulcet("send", "--queue", dcmrecv.address, *files).returncode == 0
    gone.unlink()
    queue("run", "--once", "-q")
    assert (job()["state"], job()["exit_code"], job()["failed"]) == ("partial", 1, 2)
    report = tmp_path / "report.json"
    queue("show", 1, "--report", report)
    rows = {row["name"]: row for row in json.loads(report.read_text())["files"]}
    assert rows[str(files[0])]["outcome"] == "stored"
    assert "but not in JPEG 2000" in rows[str(files[1])]["explanation"]
    assert rows[str(gone)]["explanation"] == "it has vanished since it was found"
    gone.write_bytes((pydicom_files / "MR_small.dcm").read_bytes())
    queue("retry", 1)
    queue("run", "--once", "-q")
    assert (job()["done"], job()["failed"]) == (2, 1)


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "end of input"])
def test_a_worker_that_is_asked_to_end_hands_its_job_back(dulcet, queue, job, storescp, images, wait_until, how):
    assert dulcet("send", "--queue", "--bandwidth", "20K", storescp.address, images).returncode == 0
    options = ["--until-eof"] if how == "end of input" else []
    with working(*options, stdin=subprocess.PIPE) as worker:
        wait_until(lambda: job()["done"])
        if how == "end of input":
            worker.stdin.close()
        else:
            worker.send_signal(getattr(signal, how))
        assert worker.wait(SECONDS) == 0
        worker.stdin.close()
    handed_back = job()
    assert handed_back["state"] == "queued"
    assert 0 < handed_back["done"] < 81
    assert handed_back["attempts"] == 0
    assert len(storescp.stored_files()) == handed_back["done"]
    queue("set", 1, "--bandwidth", 0)
    queue("run", "--once", "-q")
    assert job()["state"] == "done"
    assert len(storescp.stored_files()) == 81


def test_a_worker_that_was_stopped_beyond_its_lease_leaves_the_job_to_the_other(
    dulcet, queue, job, store_peer, images, state, wait_until
):
    """The peer is one that serves several associations: the sleeper's stays open."""
    assert dulcet("send", "--queue", "--bandwidth", "20K", store_peer, images).returncode == 0
    with working() as sleeper:
        wait_until(lambda: job()["done"])
        sleeper.send_signal(signal.SIGSTOP)
        wait_until(lambda: states(sleeper.pid) == {"T"})
        before = job()
        with sqlite3.connect(state / "queue.sqlite") as connection:  # half a minute passes
            connection.execute("UPDATE job SET lease_until = 1, octets_per_second = NULL")
        connection.close()
        queue("run", "--once", "-q")
        assert job()["state"] == "done"
        sleeper.send_signal(signal.SIGCONT)
        told = (json.loads(line) for line in sleeper.stdout)
        left = next(event for event in told if event["event"] == "job.left")
        assert left["state"] == "lost"
        sleeper.terminate()
        assert sleeper.wait(SECONDS) == 0
    after = job()
    assert (after["state"], after["done"], after["failed"]) == ("done", 81, 0)
    assert before["done"] < 81


def test_pause_cancel_and_retry_of_a_running_job(dulcet, queue, job, storescp, images, wait_until):
    assert dulcet("send", "--queue", "--bandwidth", "20K", storescp.address, images).returncode == 0
    with working():
        wait_until(lambda: job()["done"])
        assert "pauses after the object in flight" in queue("pause", 1)
        wait_until(lambda: job()["state"] == "paused")
        queue("resume", 1)
        wait_until(lambda: job()["state"] == "running")
        assert "is being cancelled" in queue("cancel", 1)
        wait_until(lambda: job()["state"] == "cancelled")
        queue("wait", 1, code=130)
        queue("pause")
        queue("retry", 1)
        queue("set", 1, "--bandwidth", 0)
        time.sleep(1.2)  # a worker looks twice a second
        assert job()["state"] == "queued"
        queue("resume")
        queue("wait", 1)
    assert job()["done"] == 81
    assert len(storescp.stored_files()) == 81


def test_a_log_that_is_followed(dulcet, queue, job, storescp, images):
    assert dulcet("send", "--queue", storescp.address, images).returncode == 0
    follower = subprocess.Popen([*PROGRAM, "queue", "log", "1", "--follow"], stdout=subprocess.PIPE, text=True)
    try:
        with working():
            text, _ = follower.communicate(timeout=SECONDS)
    finally:
        follower.kill()
    assert follower.returncode == 0
    assert [line.split()[1] for line in text.splitlines()][:4] == [
        "job.taken", "assoc.requested", "assoc.accepted", "assoc.ended",
    ]  # fmt: skip


def test_a_bandwidth_in_the_foreground(dulcet, storescp, pydicom_files):
    image = pydicom_files / "CT_small.dcm"  # 39 kB
    began = time.monotonic()
    assert dulcet("send", "--bandwidth", "20K", storescp.address, image).returncode == 0
    assert time.monotonic() - began > 1.7
    assert len(storescp.stored_files()) == 1
