"""One run of a job that retrieves: ended, cancelled, out of luck with its port or its lease; and what it shares."""

import socket

import pytest
import trio

from dulcet.errors import LeaseLostError, QueueError
from dulcet.station.archive.vault import path_of
from dulcet.station.queue import retrieve_job
from dulcet.station.queue.jobs import InstanceState, JobKind, JobState, Order
from dulcet.station.queue.retrieve_job import BUSY_SECONDS
from dulcet.station.queue.running import Assignment, Recorder
from dulcet.station.queue.sqlite_store import SQLiteJobStore
from dulcet.station.retrieval.ports import PortClaim
from dulcet.station.retrieval.shared_receivers import SharedReceivers

SECONDS = 60  # for what takes one
OPTIONS = {
    "given": [],
    "aet": "DULCET",
    "timeout": 60.0,
    "root": "auto",
    "charset": "",
    "via": "move",
    "jobs": 1,
    "relational": False,
    "is_checked": True,
    "max_time": None,
    "bind_to": "127.0.0.1",
    "allow": [],
    "allow_any": False,
    "grace": 0.3,
    "patience": 20.0,
    "durability": "none",
    "on_conflict": "keep-both",
    "sop_classes": [],
    "give_up_after": None,
}
ASKED = {
    "level": "STUDY",
    "keys": {},
    "patient": "",
    "patient_id": "",
    "accession": "",
    "dates": "",
    "modality": "",
    "study": [],
    "series": [],
    "images": [],
}


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("DULCET_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def store(tmp_path, state):
    made = SQLiteJobStore(tmp_path / "queue.sqlite")
    yield made
    made.close()


@pytest.fixture
def order(store, tmp_path, port):
    """Order a study of an archive; where it will be."""

    def make(archive, study, **options):
        directory = tmp_path / f"here-{study.number}"
        kept = {**OPTIONS, "port": port, "directory": str(directory), "asked": {**ASKED, "study": [study.uid]}}
        peer = f"ARCHIVE@127.0.0.1:{archive.port}"
        store.add(Order(kind=JobKind.RETRIEVE, peer=peer, options={**kept, **options}), [])
        return directory

    return make


@pytest.fixture
def claim(store):
    """Take the next job; what its runner is given."""

    def take(worker="worker"):
        job = store.claim(worker, per_peer=10)
        return Assignment(job=job, worker=worker, store=store, recorder=Recorder(store, job.id, worker))

    return take


def done(store, job=1):
    return {row.sop_instance_uid for row in store.instances(job, InstanceState.DONE)}


async def run(assignment, *more):
    """As a worker runs it."""
    with trio.fail_after(SECONDS):
        standing = await retrieve_job.run(assignment, *more)
        await assignment.recorder.flush()
    assignment.store.finish(assignment.job.id, assignment.worker, standing)
    return standing


async def test_asked_to_end_it_cancels_at_the_archive_and_keeps_what_came(archive, study, order, claim, store, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, holds_move_after=2)
    order(there, one)
    assignment = claim()

    async def end_when_two_are_here():
        while len(done(store)) < 2:
            await assignment.recorder.flush()
            await trio.sleep(0.01)
        assignment.ending.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end_when_two_are_here)
        standing = await run(assignment)
    assert (standing.state, standing.attempts) == (JobState.QUEUED, 0)
    assert len(done(store)) == 2
    there.holds_move_after = None
    assert (await run(claim())).state is JobState.DONE
    assert done(store) == set(one.instance_uids)


async def test_cancelled_what_came_is_known(archive, study, order, claim, store, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port}, holds_move_after=3)
    directory = order(there, one)
    assignment = claim()
    with trio.fail_after(SECONDS), trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def cancel():
                while len(done(store)) < 3:
                    await assignment.recorder.flush()
                    await trio.sleep(0.01)
                scope.cancel()

            nursery.start_soon(cancel)
            await retrieve_job.run(assignment)
    assert scope.cancelled_caught
    assert len(done(store)) == 3
    assert all(path_of(directory, uid).is_file() for uid in done(store))
    assert not list(directory.glob(".incoming/*/*"))


async def test_a_port_that_another_retrieval_has_is_waited_for_without_a_failure(archive, study, order, claim, port):
    one = study(number=1)
    there = await archive(one, destinations={"DULCET": port})
    order(there, one)
    assignment = claim()
    claimed = PortClaim(port)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen()
        before = assignment.now()
        standing = await run(assignment)
    claimed.release()
    assert (standing.state, standing.attempts) == (JobState.WAITING, 0)
    assert BUSY_SECONDS <= standing.not_before - before <= BUSY_SECONDS + 20
    assert f"another retrieval receives on port {port}" in standing.reason


@pytest.mark.parametrize("error", [LeaseLostError("gone"), QueueError("the disk is full")])
async def test_trouble_with_the_queue_is_no_trouble_of_the_job(archive, study, order, claim, store, error, monkeypatch):
    one = study(number=1)
    order(await archive(one), one)
    assignment = claim()

    def fail(*_arguments):
        raise error

    monkeypatch.setattr(store, "extend", fail)
    with pytest.RaisesGroup(type(error), flatten_subgroups=True, allow_unwrapped=True):
        await retrieve_job.run(assignment)


async def test_a_setting_that_is_wrong_now_ends_it(store, claim, study, order, archive, tmp_path):
    one = study(number=1)
    there = await archive(one)
    order(there, one, directory=str(tmp_path / "file" / "below"))
    (tmp_path / "file").write_text("in the way")
    standing = await run(claim())
    assert (standing.state, standing.exit_code) == (JobState.FAILED, 78)


async def test_receivers_are_shared_and_each_job_gets_its_own_objects(archive, study, order, claim, store, port):
    studies = [study(number=number, instances=15) for number in range(1, 4)]
    directories = []
    for one in studies:
        there = await archive(one, destinations={"DULCET": port}, final_first=0.05, claims=15)
        directories.append(order(there, one, grace=60.0))  # ends when all is here
    assignments = [claim(f"worker-{number}") for number in range(3)]
    standings = []
    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as living:
            receivers = SharedReceivers(living)
            async with trio.open_nursery() as nursery:

                async def one_job(assignment):
                    standings.append(await run(assignment, receivers))

                for assignment in assignments:
                    nursery.start_soon(one_job, assignment)
            assert receivers._open == {}  # the last one closes the port
            living.cancel_scope.cancel()
    assert [standing.state for standing in standings] == [JobState.DONE] * 3
    for one, directory in zip(studies, directories, strict=True):
        assert {path.stem for path in directory.glob("??/*.dcm")} == set(one.instance_uids)
