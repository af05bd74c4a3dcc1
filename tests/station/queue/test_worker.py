"""A worker, jobs that send, and an archive in memory: what is sent, how often, and how the job stands afterwards.

Time is trio's mock clock, for the store too; what runs in threads otherwise runs here at once.
"""

import functools
import json
import os
import struct
import time
import zipfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import trio
from trio.testing import memory_stream_pair

from dulcet.dimse.messages import CStoreRQ
from dulcet.errors import PeerUnavailableError, QueueError
from dulcet.services import requestor
from dulcet.services.acceptor import Acceptor, Operation
from dulcet.services.admission import Admission
from dulcet.services.limits import Limits
from dulcet.services.transport import StreamTransport
from dulcet.station.queue import send_job, worker
from dulcet.station.queue.jobs import InstanceState, JobKind, JobState, Order, Standing, Wish
from dulcet.station.queue.kept_files import keeper
from dulcet.station.queue.worker import Worker, WorkerOptions
from dulcet.station.sending.files import find_files
from dulcet.ul.negotiation import Supported
from dulcet.ul.pdu import AAssociateRJ

CT, MR, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.2.1"
START = 1_767_222_000.0  # 2025-12-31T23:00:00Z
S, IS = JobState, InstanceState
OUT_OF_RESOURCES, CANNOT_UNDERSTAND, ELEMENTS_DISCARDED = 0xA700, 0xC000, 0xB006


def now():
    return START + trio.current_time()


@pytest.fixture(autouse=True)
def no_threads(monkeypatch):
    async def run_sync(function, *arguments, **_more):
        await trio.lowlevel.checkpoint()
        return function(*arguments)

    monkeypatch.setattr(trio.to_thread, "run_sync", run_sync)


@pytest.fixture
def node_book(monkeypatch, tmp_path):
    path = tmp_path / "nodes.toml"
    monkeypatch.setenv("DULCET_NODES", str(path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield path
    monkeypatch.undo()
    time.tzset()


class Nowhere:
    """A sink that counts."""

    def __init__(self):
        self.octets = 0

    def write(self, fragment):
        self.octets += len(fragment)

    def abandon(self):
        pass


@dataclass
class Archive:
    """A storage SCP in memory that does as it is told."""

    nursery: trio.Nursery
    answers: dict[str, list] = field(default_factory=dict)
    """By SOP Instance UID: a status for each attempt; `abort`, or seconds to think first. Afterwards success."""
    always: Any = 0
    """The answer to all others."""
    unreachable: int = 0
    """So many connections are refused by TCP."""
    rejection: AAssociateRJ | None = None
    sop_classes: tuple = (CT,)
    seconds: float = 0.0
    """For each object."""
    received: list[str] = field(default_factory=list)
    """SOP Instance UIDs, each time that an object came whole."""
    stored: Counter = field(default_factory=Counter)
    associations: int = 0
    busy: int = 0
    most_busy: int = 0
    called: list[str] = field(default_factory=list)

    async def connect(self, host, port, tls=None, server_name=None):
        if self.unreachable:
            self.unreachable -= 1
            raise PeerUnavailableError(f"{host}:{port} refused the connection")
        ours, theirs = memory_stream_pair()
        self.associations += 1
        self.called.append(host)
        self.nursery.start_soon(self._serve, StreamTransport(theirs))
        return StreamTransport(ours)

    async def _serve(self, transport):
        acceptor = Acceptor(
            admission=Admission(ae_title="SCP", allow_any=True, any_called_ae_title=True),
            supported=Supported(
                transfer_syntaxes={each: {EXPLICIT} for each in self.sop_classes}, max_pdu_length=16384
            ),
            operations={
                CStoreRQ: Operation(
                    perform=self._store, sop_classes=frozenset(self.sop_classes), open_sink=lambda *_: Nowhere()
                )
            },
            limits=Limits(),
        )
        await acceptor.serve(transport, (lambda *_: self.rejection) if self.rejection else None)

    async def _store(self, association, received):
        request = received.message
        uid = request.affected_sop_instance_uid
        self.received.append(uid)
        answers = self.answers.get(uid)
        answer = answers.pop(0) if answers else self.always
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        await trio.sleep(self.seconds)
        self.busy -= 1
        if isinstance(answer, float):
            await trio.sleep(answer)
            answer = 0
        if answer == "abort":
            await association.abort()
            return
        self.stored[uid] += answer in (0, ELEMENTS_DISCARDED)
        await association.send(received.context.context_id, request.response(status=answer))


@pytest.fixture
async def archive(nursery, monkeypatch):
    made = Archive(nursery)
    monkeypatch.setattr(requestor, "connect", made.connect)
    return made


def part10(uid, sop_class=CT, pixels=100):
    def element(group, number, vr, value):
        value += b"\0" * (len(value) % 2)
        if vr in (b"OB", b"OW"):
            return struct.pack("<HH2sHI", group, number, vr, 0, len(value)) + value
        return struct.pack("<HH2sH", group, number, vr, len(value)) + value

    meta = element(2, 1, b"OB", b"\0\1")
    for number, text in ((2, sop_class), (3, uid), (0x10, EXPLICIT)):
        meta += element(2, number, b"UI", text.encode())
    data_set = element(8, 0x16, b"UI", sop_class.encode()) + element(8, 0x18, b"UI", uid.encode())
    data_set += element(0x7FE0, 0x10, b"OW", bytes(pixels))
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + data_set


def uid(number):
    return f"2.25.{number + 1}"


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of objects; their SOP Instance UIDs are `uid(0)` and so on."""

    def make(count, sop_class=CT):
        path = tmp_path / "objects"
        path.mkdir(exist_ok=True)
        for number in range(count):
            (path / f"{number:03}.dcm").write_bytes(part10(uid(number), sop_class))
        return path

    return make


@dataclass
class Station:
    """A store in SQLite, and workers on it."""

    store: Any
    events: list = field(default_factory=list)
    workers: list = field(default_factory=list)

    def order(self, *paths, peer="SCP@pacs.example:104", options=None, **more):
        order = Order(kind=JobKind.SEND, peer=peer, options=options or {}, **more)
        return self.store.add(order, map(keeper(), find_files(paths)))

    def worker(self, *, runner=send_job.run, **options):
        made = Worker(
            self.store, {JobKind.SEND: runner}, WorkerOptions(**options), self.events.append, now, self.events.append
        )
        self.workers.append(made)
        return made

    async def run_once(self, **options):
        await self.worker(is_once=True, **options).run()

    async def run_until_over(self, *jobs, seconds=10**6):
        """A worker until the jobs are over."""
        with trio.fail_after(seconds):
            async with trio.open_nursery() as nursery:
                working = self.worker()
                nursery.start_soon(working.run)
                while any(not self.store.job(job).state.is_over for job in jobs):  # noqa: ASYNC110 - as a reader does
                    await trio.sleep(1)
                working.stop()

    def job(self, number=1):
        return self.store.job(number)

    def log(self, number=1):
        return [json.loads(event.line) for event in self.store.events(number)]


@pytest.fixture
async def station(make_store, node_book, monkeypatch):
    store = make_store("sqlite")
    monkeypatch.setattr(store, "_now", now)
    return Station(store)


@contextmanager
def sending_slices_of(count, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(send_job, "SLICE", count)
        yield


# It goes well -------------------------------------------------------------------------------------------------------


async def test_every_object_is_sent_once(station, archive, folder, autojump_clock):
    job = station.order(folder(5))
    await station.run_once()
    assert archive.stored == {uid(number): 1 for number in range(5)}
    assert archive.associations == 1
    done = station.job()
    assert (done.id, done.state, done.exit_code, done.reason) == (job, S.DONE, 0, "")
    assert (done.counts.done, done.counts.octets_done) == (5, done.counts.octets)
    assert [line["event"] for line in station.log()] == [
        "job.taken", "assoc.requested", "assoc.accepted", "assoc.ended", "job.left",
    ]  # fmt: skip
    assert [event.EVENT for event in station.events][-1] == "job.left"


async def test_what_is_done_is_never_sent_again(station, archive, folder, autojump_clock):
    station.order(folder(4))
    archive.always = "abort"
    archive.answers = {uid(0): [0], uid(1): [0]}
    await station.run_once()
    assert station.job().counts.done == 2
    archive.always = 0
    await station.run_until_over(1)
    assert station.job().state is S.DONE
    assert [archive.received.count(uid(number)) for number in (0, 1)] == [1, 1]


async def test_a_large_job_goes_in_slices(station, archive, folder, autojump_clock, monkeypatch):
    station.order(folder(10))
    asked = []
    due = station.store.due_instances
    monkeypatch.setattr(station.store, "due_instances", lambda *given: asked.append(given) or due(*given))
    with sending_slices_of(3, monkeypatch):
        await station.run_once()
    assert station.job().state is S.DONE
    assert archive.received == [uid(number) for number in range(10)]
    assert archive.associations == 4
    assert {limit for _, _, limit in asked} == {3}


async def test_a_member_of_a_zip_file_is_opened_again(station, archive, tmp_path, autojump_clock):
    path = tmp_path / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(3):
            packed.writestr(f"a/{number}.dcm", part10(uid(number)))
    station.order(path)
    assert station.store.paths_in_use([str(path)]) == {str(path)}
    await station.run_once()
    assert station.job().state is S.DONE
    assert archive.stored == {uid(number): 1 for number in range(3)}


async def test_a_warning_is_no_failure_and_is_kept(station, archive, folder, autojump_clock):
    station.order(folder(2))
    archive.answers = {uid(1): [ELEMENTS_DISCARDED]}
    await station.run_once()
    assert (station.job().state, station.job().exit_code) == (S.DONE, 0)
    warned = station.store.instances(1)[1]
    assert (warned.state, warned.status) == (IS.DONE, ELEMENTS_DISCARDED)
    assert "Elements" in warned.reason


async def test_one_peer_has_one_job_and_two_peers_have_two(station, archive, folder, autojump_clock):
    archive.seconds = 10
    for host in ("a", "a", "b"):
        station.order(folder(2), peer=f"SCP@{host}.example:104")
    began = trio.current_time()
    await station.run_once(jobs=3)
    assert trio.current_time() - began == pytest.approx(40, abs=3)
    assert archive.most_busy == 2
    assert archive.called[:2] == ["a.example", "b.example"]


async def test_jobs_may_share_a_peer_when_that_is_asked_for(station, archive, folder, autojump_clock):
    archive.seconds = 10
    for _ in range(3):
        station.order(folder(1))
    await station.run_once(jobs=3, per_peer=2)
    assert archive.most_busy == 2


async def test_a_node_that_was_corrected_counts(station, archive, folder, node_book, autojump_clock):
    station.order(folder(1), peer="PACS")
    node_book.write_text('[PACS]\nae_title = "SCP"\nhost = "new.example"\nport = 104\n')
    await station.run_once()
    assert station.job().state is S.DONE
    assert archive.called == ["new.example"]


# It goes wrong ------------------------------------------------------------------------------------------------------


async def test_a_peer_that_is_away_is_tried_until_it_is_there(station, archive, folder, autojump_clock):
    station.order(folder(3))
    archive.unreachable = 8
    await station.run_once()
    waiting = station.job()
    assert (waiting.state, waiting.attempts) == (S.WAITING, 1)
    assert "refused the connection" in waiting.reason
    assert 3.75 <= waiting.not_before - now() <= 5
    await station.run_until_over(1)
    assert station.job().state is S.DONE
    assert archive.received == [uid(number) for number in range(3)]
    assert [one.attempts for one in station.store.instances(1)] == [0, 0, 0]
    assert station.store.summary().retries == 8


async def test_a_peer_that_stays_away_is_given_up(station, archive, folder, autojump_clock):
    station.order(folder(3), options={"give_up_after": 3600.0})
    archive.unreachable = 10**6
    await station.run_until_over(1)
    failed = station.job()
    assert (failed.state, failed.exit_code, failed.counts.failed) == (S.FAILED, 69, 3)
    assert "refused the connection; given up after" in failed.reason
    assert 3600 <= failed.ended_at - START < 3600 + 700
    assert {one.state for one in station.store.instances(1)} == {IS.FAILED}


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3)])
async def test_retries_of_the_order(station, archive, folder, autojump_clock, retries, attempts):
    station.order(folder(1), options={"retries": retries})
    archive.unreachable = 100
    await station.run_until_over(1)
    assert (station.job().state, archive.unreachable) == (S.FAILED, 100 - attempts)


async def test_a_peer_that_rejects_us_is_given_up_soon(station, archive, folder, autojump_clock):
    station.order(folder(3))
    archive.rejection = AAssociateRJ(result=1, source=1, reason=7)
    await station.run_until_over(1)
    failed = station.job()
    assert (failed.state, failed.exit_code, archive.associations) == (S.FAILED, 77, 3)
    assert "Called AE title not recognized" in failed.reason or "called-AE-title-not-recognized" in failed.reason
    assert failed.ended_at - START < 300


async def test_a_rejection_that_passes(station, archive, folder, autojump_clock):
    station.order(folder(3))
    archive.rejection = AAssociateRJ(result=2, source=3, reason=2)
    await station.run_once()
    assert station.job().state is S.WAITING
    archive.rejection = None
    await station.run_until_over(1)
    assert station.job().state is S.DONE


async def test_an_object_that_the_peer_has_no_room_for_waits_alone(station, archive, folder, autojump_clock):
    station.order(folder(5))
    archive.answers = {uid(1): [OUT_OF_RESOURCES] * 2}
    await station.run_once()
    waiting = station.job()
    assert (waiting.state, waiting.counts.done, waiting.attempts) == (S.WAITING, 4, 0)
    (one,) = station.store.instances(1, IS.PENDING)
    assert (one.status, one.attempts) == (OUT_OF_RESOURCES, 1)
    assert "Out of resources" in one.reason
    assert one.not_before == waiting.not_before
    await station.run_until_over(1)
    assert archive.stored == {uid(number): 1 for number in range(5)}
    assert archive.received.count(uid(1)) == 3


async def test_a_peer_without_room_is_left_alone_for_a_while(station, archive, folder, autojump_clock):
    station.order(folder(50))
    archive.always = OUT_OF_RESOURCES
    await station.run_once()
    waiting = station.job()
    assert len(archive.received) == send_job.FULL_AFTER
    assert (waiting.state, waiting.attempts) == (S.WAITING, 1)
    assert "the peer has no room" in waiting.reason
    archive.always = 0
    await station.run_until_over(1)
    assert archive.stored == {uid(number): 1 for number in range(50)}


async def test_what_is_refused_for_good_is_not_sent_again(station, archive, folder, autojump_clock):
    station.order(folder(4))
    archive.answers = {uid(2): [CANNOT_UNDERSTAND] * 5}
    await station.run_once()
    partial = station.job()
    assert (partial.state, partial.exit_code, partial.counts.failed) == (S.PARTIAL, 1, 1)
    assert partial.reason.startswith("1 of 4 failed: ")
    (one,) = station.store.instances(1, IS.FAILED)
    assert (one.status, one.exit_code) == (CANNOT_UNDERSTAND, 76)
    assert archive.received.count(uid(2)) == 1
    assert [line["status"] for line in station.log() if line["event"] == "store.result"] == [CANNOT_UNDERSTAND]


async def test_a_lost_association_costs_only_what_was_on_its_way(station, archive, folder, autojump_clock):
    station.order(folder(6))
    archive.answers = {uid(2): ["abort"]}
    await station.run_until_over(1)
    assert station.job().state is S.DONE
    assert archive.received.count(uid(2)) == 2
    assert archive.stored == {uid(number): 1 for number in range(6)}
    assert archive.received.index(uid(5)) < len(archive.received) - 1  # the others did not wait for it


async def test_several_associations_of_a_job_may_be_lost_at_once(station, archive, folder, autojump_clock):
    station.order(folder(30), options={"jobs": 4})
    archive.seconds = 1
    archive.answers = {uid(number): ["abort"] for number in range(8, 12)}
    await station.run_until_over(1)
    assert station.job().state is S.DONE
    assert archive.stored == {uid(number): 1 for number in range(30)}
    assert archive.most_busy == 4
    assert max(archive.received.count(uid(number)) for number in range(30)) == 2


async def test_an_object_that_kills_every_association_is_given_up_and_the_others_go(
    station, archive, folder, autojump_clock
):
    station.order(folder(6))
    archive.answers = {uid(0): ["abort"] * 100}
    await station.run_until_over(1)
    partial = station.job()
    assert (partial.state, partial.counts.done, partial.counts.failed) == (S.PARTIAL, 5, 1)
    assert archive.received.count(uid(0)) == 10
    (one,) = station.store.instances(1, IS.FAILED)
    assert "aborted" in one.reason


async def test_a_peer_that_aborts_whatever_comes_is_given_up(station, archive, folder, autojump_clock):
    station.order(folder(30))
    archive.always = "abort"
    await station.run_until_over(1)
    failed = station.job()
    assert failed.state is S.FAILED
    assert failed.counts.failed == 30
    assert archive.associations <= 10 * send_job.LOST_AFTER  # not one for each object and attempt


@pytest.mark.parametrize("what", ["gone", "shorter", "another object", "touched"])
async def test_a_file_that_is_not_what_it_was(station, archive, folder, autojump_clock, what):
    path = folder(3)
    station.order(path)
    changed = path / "001.dcm"
    octets = changed.read_bytes()
    if what == "gone":
        changed.unlink()
    else:
        changes = {"shorter": octets[:-2], "another object": octets.replace(b"2.25.2", b"2.25.9"), "touched": octets}
        changed.write_bytes(changes[what])
        os.utime(changed, ns=(0, changed.stat().st_mtime_ns + 10**9))
    await station.run_once()
    if what == "touched":
        assert station.job().state is S.DONE
        return
    assert (station.job().state, station.job().exit_code) == (S.PARTIAL, 1)
    (one,) = station.store.instances(1, IS.FAILED)
    assert one.exit_code == 66
    assert ("vanished" if what == "gone" else "changed") in one.reason
    assert sorted(archive.stored) == [uid(0), uid(2)]


@pytest.mark.parametrize("both", [True, False])
async def test_an_object_that_no_context_takes_fails_at_once(station, archive, folder, tmp_path, autojump_clock, both):
    station.order(*([folder(2)] if both else []), *_mr(tmp_path))
    await station.run_once()
    failed = station.store.instances(1, IS.FAILED)
    assert [(one.sop_class_uid, one.exit_code, one.attempts) for one in failed] == [(MR, 76, 1)]
    assert "does not take" in failed[0].reason
    assert station.job().state is (S.PARTIAL if both else S.FAILED)
    assert station.job().exit_code == (1 if both else 76)
    assert archive.associations == 1


def _mr(tmp_path):
    (tmp_path / "mr.dcm").write_bytes(part10("2.25.99", MR))
    return [tmp_path / "mr.dcm"]


@pytest.mark.parametrize(
    ("peer", "options", "code", "sentence"),
    [
        ("NOBODY", {}, 78, "'NOBODY' is no node"),
        ("SCP@pacs.example:104", {"password_file": "/nowhere/secret", "user": "me"}, 66, "/nowhere/secret"),
        ("SCP@pacs.example:104", {"tls": True, "tls_ca": "/nowhere/ca.pem"}, 78, "/nowhere/ca.pem"),
    ],
)
async def test_an_order_that_can_not_be_run(station, archive, folder, autojump_clock, peer, options, code, sentence):
    station.order(folder(2), peer=peer, options=options)
    await station.run_once()
    failed = station.job()
    assert (failed.state, failed.exit_code, failed.counts.failed) == (S.FAILED, code, 2)
    assert sentence in failed.reason
    station.store.retry(1)
    assert station.job().state is S.QUEUED


async def test_a_fault_of_our_own_ends_the_job_and_not_the_worker(station, archive, folder, autojump_clock):
    async def runner(assignment):
        if assignment.job.id == 1:
            raise ZeroDivisionError("what now")
        return await send_job.run(assignment)

    station.order(folder(1))
    station.order(folder(1))
    await station.run_once(runner=runner)
    assert (station.job(1).state, station.job(1).exit_code) == (S.FAILED, 70)
    assert "a fault of dulcet's own: ZeroDivisionError: what now" in station.job(1).reason
    assert station.job(2).state is S.DONE


# It is stopped ------------------------------------------------------------------------------------------------------


async def during(station, seconds, act, **options):
    """A worker; after some seconds `act` is called, and soon after the worker is stopped."""
    async with trio.open_nursery() as nursery:
        working = station.worker(**options)
        nursery.start_soon(working.run)
        await trio.sleep(seconds)
        act(working)
        await trio.sleep(30)
        working.stop()


@pytest.mark.parametrize(
    ("ask", "state"),
    [
        (lambda station, _: station.store.request(1, Wish.PAUSE), S.PAUSED),
        (lambda station, _: station.store.hold(True), S.QUEUED),
        (lambda _, working: working.stop(), S.QUEUED),
    ],
    ids=["pause", "hold", "stop"],
)
async def test_the_object_in_flight_is_finished(station, archive, folder, autojump_clock, ask, state):
    station.order(folder(20))
    archive.seconds = 4
    await during(station, 9.9, lambda working: ask(station, working))
    stopped = station.job()
    assert stopped.state is state
    assert stopped.counts.done == 3
    assert archive.received == [uid(number) for number in range(3)]
    assert (stopped.attempts, stopped.worker, stopped.wish) == (0, None, None)
    assert [one.attempts for one in station.store.instances(1)] == [0] * 20
    assert [line["how"] for line in station.log() if line["event"] == "assoc.ended"] == ["released"]
    archive.seconds = 0
    station.store.hold(False)
    if state is S.PAUSED:
        station.store.resume(1)
    await station.run_until_over(1)
    assert archive.stored == {uid(number): 1 for number in range(20)}


async def test_cancelling_waits_for_nothing(station, archive, folder, autojump_clock):
    station.order(folder(20))
    archive.seconds = 1000
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        working = station.worker()
        nursery.start_soon(working.run)
        await trio.sleep(5)
        station.store.request(1, Wish.CANCEL)
        await trio.sleep(4)
        working.stop()
    assert trio.current_time() - began < 20
    cancelled = station.job()
    assert (cancelled.state, cancelled.exit_code, cancelled.counts.cancelled) == (S.CANCELLED, 130, 20)
    assert [line["state"] for line in station.log() if line["event"] == "job.left"] == ["cancelled"]


async def test_an_object_that_takes_too_long_is_aborted_when_the_worker_ends(station, archive, folder, autojump_clock):
    station.order(folder(3))
    archive.seconds = 25
    await during(station, 30, lambda working: working.stop(), leaving_seconds=10)
    handed_back = station.job()
    assert (handed_back.state, handed_back.counts.done) == (S.QUEUED, 1)
    assert [one.attempts for one in station.store.instances(1)] == [0, 0, 0]


async def test_a_worker_that_is_cancelled_hands_its_jobs_back(station, archive, folder, autojump_clock):
    station.order(folder(3))
    archive.seconds = 5
    with trio.move_on_after(7):
        await station.worker().run()
    assert (station.job().state, station.job().counts.done, station.job().worker) == (S.QUEUED, 1, None)


async def test_the_end_of_the_hours_stops_a_job_and_their_beginning_takes_it_up(
    station, archive, folder, autojump_clock, monkeypatch
):
    monkeypatch.setattr(worker, "POLL_SECONDS", 20)  # a day has many halves of a second
    station.order(folder(10), hours="23:30-00:30", options={"timeout": 10_000.0})  # it is 23:00 UTC
    archive.seconds = 601
    async with trio.open_nursery() as nursery:
        working = station.worker()
        nursery.start_soon(working.run)
        await trio.sleep(1700)
        assert (station.job().state, archive.received) == (S.QUEUED, [])
        await trio.sleep(2 * 3600)
        paused = station.job()
        assert (paused.state, paused.counts.done, paused.attempts) == (S.QUEUED, 6, 0)
        await trio.sleep(24 * 3600)
        assert station.job().state is S.DONE
        working.stop()
    assert archive.stored == {uid(number): 1 for number in range(10)}


async def test_a_bandwidth_holds(station, archive, tmp_path, autojump_clock):
    (tmp_path / "large.dcm").write_bytes(part10(uid(0), pixels=50_000))
    station.order(tmp_path / "large.dcm", octets_per_second=1000)
    began = trio.current_time()
    await station.run_once()
    assert station.job().state is S.DONE
    assert 48 < trio.current_time() - began < 54


# Leases -------------------------------------------------------------------------------------------------------------


async def test_a_job_that_takes_long_stays_with_its_worker(station, archive, folder, autojump_clock):
    station.order(folder(2))
    archive.seconds = 25
    archive.answers = {uid(0): [200.0]}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(station.run_once)
        for _ in range(40):
            await trio.sleep(5)
            assert station.store.claim("another") is None
    assert station.job().state is S.DONE


async def test_a_worker_that_slept_beyond_its_lease_records_nothing(station, archive, folder, autojump_clock):
    job = station.order(folder(10))
    archive.seconds = 1
    async with trio.open_nursery() as nursery:
        working = station.worker()
        nursery.start_soon(working.run)
        await trio.sleep(3.2)
        before = station.job().counts.done
        # What SIGSTOP does: the clock on the wall goes on, and another takes the job.
        station.store._file._connection.execute("UPDATE job SET lease_until = ?", (now() - 1,))
        assert station.store.claim("another", 10_000).worker == "another"
        await trio.sleep(20)
        working.stop()
    assert station.job().counts.done == before
    assert (station.job().state, station.job().worker) == (S.RUNNING, "another")
    assert len(archive.received) <= before + 2
    assert station.events[-1].state == "lost"
    left = station.store.due_instances(job)
    assert len(left) == 10 - before


async def test_a_dead_workers_job_is_taken_up_where_its_rows_say(station, archive, folder, autojump_clock):
    station.order(folder(6))
    archive.seconds = 1

    class Killed(BaseException):
        pass

    with pytest.raises(BaseExceptionGroup) as raised:  # noqa: PT012 - the nursery is what a process would be
        async with trio.open_nursery() as nursery:
            working = station.worker()

            async def dies_at_once(_run):
                await trio.lowlevel.checkpoint()

            working._leave = dies_at_once
            nursery.start_soon(working.run)
            await trio.sleep(3.3)
            raise Killed
    assert raised.group_contains(Killed, depth=1)
    assert station.job().state is S.RUNNING
    done = station.job().counts.done
    assert 0 < done < 6
    began = trio.current_time()
    await station.run_until_over(1)
    assert 25 < trio.current_time() - began < 45
    assert station.job().state is S.DONE
    assert sum(archive.stored.values()) <= 7  # the one that was in flight may have come twice
    assert all(archive.received.count(one.sop_instance_uid) == 1 for one in station.store.instances(1)[:done])


# A store in trouble -------------------------------------------------------------------------------------------------


def failing(method, times, left):
    @functools.wraps(method)
    def fail(*given, **more):
        if left[0] < times:
            left[0] += 1
            raise QueueError("the queue can't be used: database or disk is full")
        return method(*given, **more)

    return fail


@pytest.mark.parametrize("name", ["record", "renew", "claim"])
async def test_a_store_that_fails_for_a_moment(station, archive, folder, autojump_clock, monkeypatch, name):
    station.order(folder(5))
    archive.seconds = 1
    left = [0]
    monkeypatch.setattr(station.store, name, failing(getattr(station.store, name), 3, left))
    await station.run_until_over(1)
    assert left == [3]
    assert station.job().state is S.DONE
    assert archive.stored == {uid(number): 1 for number in range(5)}


async def test_a_store_that_can_not_be_written_stops_the_job_and_says_so(
    station, archive, folder, autojump_clock, monkeypatch
):
    station.order(folder(50))
    archive.seconds = 1
    with monkeypatch.context() as patch:
        patch.setattr(station.store, "record", failing(station.store.record, 10**6, [0]))
        async with trio.open_nursery() as nursery:
            working = station.worker()
            nursery.start_soon(working.run)
            await trio.sleep(15)
            working.stop()
    told = [event for event in station.events if event.EVENT == "worker.trouble"]
    assert told
    assert "disk is full" in told[0].explanation
    assert len(archive.received) < 12  # what can't be recorded is not sent for long
    await trio.sleep(60)
    archive.seconds = 0
    await station.run_until_over(1)
    assert station.job().state is S.DONE


async def test_a_last_line_that_can_not_be_written_ends_nothing(station, archive, folder, autojump_clock, monkeypatch):
    first, second = station.order(folder(1)), station.order(folder(20), peer="OTHER@pacs2.example:104")
    archive.seconds = 1
    monkeypatch.setattr(station.store, "log", failing(station.store.log, 1, [0]))
    await station.run_once()
    assert [station.job(job).state for job in (first, second)] == [S.DONE, S.DONE]
    assert archive.most_busy == 2
    assert "disk is full" in next(event.explanation for event in station.events if event.EVENT == "worker.trouble")
    assert [station.log(job)[-1]["event"] == "job.left" for job in (first, second)] == [False, True]


async def test_a_listener_that_fails_leaves_no_job_with_its_lease(station, archive, folder, autojump_clock):
    def report(event):
        if event.EVENT == "job.taken":
            raise ZeroDivisionError

    job = station.order(folder(1))
    working = station.worker()
    working._report = report
    with pytest.raises(ExceptionGroup):
        await working.run()
    assert (station.job(job).state, station.job(job).worker) == (S.QUEUED, None)


async def test_once_ends_when_nothing_is_due(station, archive, folder, autojump_clock):
    began = trio.current_time()
    await station.run_once()
    assert trio.current_time() - began < 1
    first, second = station.order(folder(1)), station.order(folder(1), hours="03:00-04:00")
    await station.run_once()
    assert [station.job(job).state for job in (first, second)] == [S.DONE, S.QUEUED]


async def test_once_says_that_it_could_not_look(station, archive, folder, autojump_clock, monkeypatch):
    job = station.order(folder(1))
    with monkeypatch.context() as patch:
        patch.setattr(station.store, "claim", failing(station.store.claim, 10**6, [0]))
        with pytest.raises(QueueError, match="disk is full"):
            await station.run_once()
    assert [event.EVENT for event in station.events] == ["worker.trouble"]
    assert station.job(job).state is S.QUEUED
    await station.run_once()
    assert station.job(job).state is S.DONE


DAY = 24 * 3600.0


async def test_jobs_that_have_been_over_for_long_are_forgotten(station, archive, folder, autojump_clock, monkeypatch):
    monkeypatch.setattr(worker, "POLL_SECONDS", DAY / 48)
    archive.answers = {uid(1): [CANNOT_UNDERSTAND]}
    done, partial = station.order(folder(1)), station.order(folder(2))
    async with trio.open_nursery() as nursery:
        working = station.worker(keep_done=2 * DAY, keep_failed=5 * DAY)
        nursery.start_soon(working.run)
        for days, left in ((1.9, [done, partial]), (2.1, [partial]), (4.9, [partial]), (5.1, [])):
            await trio.sleep_until(days * DAY)
            assert [number for number in (done, partial) if station.job(number)] == left
        working.stop()
    assert [event.jobs for event in station.events if event.EVENT == "jobs.forgotten"] == [1, 1]


async def test_once_forgets_too_and_no_age_keeps_for_ever(station, archive, folder, autojump_clock):
    done = station.order(folder(1))
    await station.run_once()
    await trio.sleep(1000 * DAY)
    await station.run_once()
    assert station.job(done).state is S.DONE
    await station.run_once(keep_done=999 * DAY)
    assert station.job(done) is None


async def test_a_queue_that_forgets_nothing_for_a_fault_says_so(station, archive, folder, autojump_clock, monkeypatch):
    station.order(folder(1))
    monkeypatch.setattr(station.store, "clear", failing(station.store.clear, 1, [0]))
    await station.run_once(keep_done=0.0)
    assert [event.explanation for event in station.events if event.EVENT == "worker.trouble"]
    assert station.job().state is S.DONE


async def test_progress_is_told_while_a_job_runs(station, archive, folder, autojump_clock):
    station.order(folder(40))
    archive.seconds = 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(station.run_once)
        await trio.sleep(20)
        progress = station.job().progress
    assert progress.instances_per_second == pytest.approx(1.0, abs=0.2)
    assert progress.seconds_left == pytest.approx(20, abs=4)
    assert station.job().progress.octets_per_second == 0


def test_workers_have_names_of_their_own(make_store):
    names = {Worker(make_store("memory"), {}, WorkerOptions(), print).name for _ in range(100)}
    assert len(names) == 100
    assert replace(WorkerOptions(), jobs=5).leaving_seconds == worker.LEAVING_SECONDS
    assert Standing(state=S.QUEUED).attempts == 0
