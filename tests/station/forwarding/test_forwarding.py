"""What arrives is forwarded: series by series, when it is quiet, once, and also what a process left that was killed."""

import errno
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from dulcet.dimse.messages import CStoreRQ
from dulcet.errors import QueueError
from dulcet.services.acceptor import Operation
from dulcet.services.querying.identifiers import encode_identifier
from dulcet.services.storage import Durability, OnConflict, Storage, StorageOptions
from dulcet.services.storage_scp import storage_operation
from dulcet.station.archive.vault import path_of
from dulcet.station.book.nodes import Node
from dulcet.station.forwarding import forwarding, work
from dulcet.station.forwarding.forwarding import Forwarding
from dulcet.station.forwarding.journal import Arriving, ForwardingJournal, shortened
from dulcet.station.forwarding.route import Route
from dulcet.station.forwarding.routes import JOURNAL, Routes
from dulcet.station.forwarding.work import TOKEN, ForwardingWork, Lead, Owner
from dulcet.station.queue.jobs import JobKind, Wish
from dulcet.station.queue.sqlite_store import SQLiteJobStore
from dulcet.station.vault import open_vault
from dulcet.station.vault.open_vault import needed

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"


class Told(list):
    """The log."""

    def __call__(self, event, **values):
        self.append((event, values))

    def of(self, event):
        return [values for each, values in self if each == event]


class Queue:
    """A queue that can fail."""

    def __init__(self, path):
        self.store = SQLiteJobStore(path)
        self.synced = 0
        self.fails = 0
        self._add = self.store.add
        self.store.add = self.add

    def add(self, *arguments):
        if self.fails:
            self.fails -= 1
            raise QueueError("the disk is full")
        return self._add(*arguments)

    def sync(self):
        self.synced += 1


def routes(*rules, **nodes):
    book = {
        name: Node(name=name, ae_title=title, host="10.0.0.1", port=104 + number)
        for number, (name, title) in enumerate({"PACS": "PACS", "OTHER": "OTHER", **nodes}.items())
    }
    return Routes(tuple(rules), book)


def rule(**fields):
    return Route(**{"name": "a", "to": ("PACS",), "delay": 5.0, **fields})


class Station:
    """A storage directory, and what comes to it."""

    def __init__(self, directory, told, queue, **options):
        self.directory, self.told, self.queue = directory, told, queue
        self.storage = Storage(
            StorageOptions(directory=directory, durability=Durability.NONE, min_free_octets=0, **options)
        )
        self.statuses = []
        self.refused = []
        self._messages = 0

    def forwarding(self, rules):
        return Forwarding(
            self.directory, rules, self.told, queue=lambda: self.queue, options={"aet": "DULCET"}, is_durable=True
        )

    @asynccontextmanager
    async def running(self, *rules, **nodes):
        made = self.forwarding(routes(*rules, **nodes))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.run)
            try:
                yield made
            finally:
                nursery.cancel_scope.cancel()

    async def receive(self, made, uid="1.2.3", series="1.2", modality="CT", calling="CT1", more=""):
        """One C-STORE, as an association performs it."""
        observe = made.stored
        store = made.operation(storage_operation(self.storage, observe=observe), self._refused)
        self._messages += 1
        request = CStoreRQ(affected_sop_class_uid=CT, message_id=self._messages, affected_sop_instance_uid=uid)
        association = SimpleNamespace(
            request=SimpleNamespace(calling_ae_title=calling, called_ae_title="DULCET"), send=self._send
        )
        context = SimpleNamespace(context_id=1, transfer_syntax=EXPLICIT)
        sink = store.open_sink(association, context, request)
        keys = {0x00080016: CT, 0x00080018: uid, 0x00080060: modality, 0x0008103E: more, 0x0020000E: series}
        sink.write(memoryview(encode_identifier(keys, EXPLICIT, "")))
        await store.perform(association, SimpleNamespace(message=request, context=context, sink=sink))

    def _refused(self, _association, request, outcome):
        self.refused.append((request.affected_sop_instance_uid, outcome.status))

    async def _send(self, _context_id, response):
        self.statuses.append(response.status)

    def jobs(self):
        """(rule, node, UIDs) of each job, the oldest first."""
        jobs = reversed(self.queue.store.jobs())
        return [(job.order.origin, job.order.peer, self._uids(job.id)) for job in jobs]

    def _uids(self, job):
        return [row.sop_instance_uid for row in self.queue.store.instances(job)]

    async def wait(self, count):
        """Until there are so many jobs."""
        with trio.fail_after(100):
            while len(self.queue.store.jobs()) < count:  # noqa: ASYNC110
                await trio.sleep(0.1)

    def is_all_passed_on(self):
        journal = ForwardingJournal(self.directory)
        try:
            return not (journal.batches() or journal.stored() or journal.owners() or journal.tokens())
        finally:
            journal.close()


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def queue(tmp_path):
    made = Queue(tmp_path / "queue.sqlite")
    yield made
    made.store.close()


@pytest.fixture
def station(tmp_path, told, queue):
    made = Station(tmp_path / "received", told, queue)
    yield made
    made.storage.close()


async def at_once(function, *arguments, **_options):
    """Work that is to see trio's clock, and so is in no thread."""
    await trio.lowlevel.checkpoint()
    return function(*arguments)


@pytest.fixture(autouse=True)
def as_tests_need_it(monkeypatch):
    """The queue is the test's, so it stays open."""
    monkeypatch.setattr(ForwardingWork, "close", lambda _self: None)


# From an object to a job ----------------------------------------------------------------------------------------------


async def test_a_series_becomes_a_job_when_it_is_quiet(station, autojump_clock):
    wanted = rule(priority=3, hours="22:00-06:00", octets_per_second=5_000)
    async with station.running(wanted) as made:
        for number in range(4):
            await station.receive(made, f"1.2.{number}")
            await trio.sleep(4)  # less than the delay
        assert station.jobs() == []
        await station.wait(1)
    assert station.statuses == [0, 0, 0, 0]
    assert station.jobs() == [("route a", "PACS", ["1.2.0", "1.2.1", "1.2.2", "1.2.3"])]
    (job,) = station.queue.store.jobs()
    order = job.order
    assert (order.kind, order.priority, order.hours, order.octets_per_second) == (JobKind.SEND, 3, "22:00-06:00", 5_000)
    assert order.options["aet"] == "DULCET"
    for row in station.queue.store.instances(job.id):
        path = path_of(station.directory, row.sop_instance_uid)
        assert (row.name, row.path, row.file_size) == (str(path), str(path.resolve()), path.stat().st_size)
        assert (row.sop_class_uid, row.transfer_syntax_uid) == (CT, EXPLICIT)
        assert path.read_bytes()[row.data_set_offset :].startswith(b"\x08\0")
    assert station.is_all_passed_on()
    assert station.queue.synced > 0  # before the journal forgets them
    assert station.told.of("forward.queued") == [{"job": 1, "route": "a", "node": "PACS", "objects": 4}]


async def test_each_series_and_each_node_has_a_job(station, autojump_clock):
    async with station.running(rule(to=("PACS", "OTHER"))) as made:
        await station.receive(made, "1.1", series="1")
        await station.receive(made, "2.1", series="2")
        await station.receive(made, "1.2", series="1")
        await station.wait(4)
    assert sorted(station.jobs()) == [
        ("route a", "OTHER", ["1.1", "1.2"]),
        ("route a", "OTHER", ["2.1"]),
        ("route a", "PACS", ["1.1", "1.2"]),
        ("route a", "PACS", ["2.1"]),
    ]


async def test_without_a_delay_it_goes_at_once(station, autojump_clock):
    async with station.running(rule(delay=0.0)) as made:
        started = trio.current_time()
        await station.receive(made)
        await station.wait(1)
        assert trio.current_time() - started < 2


async def test_a_series_that_never_gets_quiet_goes_out_in_parts(station, monkeypatch, autojump_clock):
    monkeypatch.setattr(forwarding, "LONGEST_WAIT", 20.0)
    async with station.running(rule()) as made:
        for number in range(20):
            await station.receive(made, f"1.2.{number}")
            await trio.sleep(3)
        assert 2 <= len(station.jobs()) <= 4
    assert sorted(uid for job in station.jobs() for uid in job[2]) == sorted(f"1.2.{number}" for number in range(20))


async def test_a_job_is_not_larger_than_it_may_be(station, monkeypatch, autojump_clock):
    monkeypatch.setattr(forwarding, "MAX_OBJECTS", 2)
    monkeypatch.setattr(work, "MAX_OBJECTS", 2)
    async with station.running(rule(delay=1000.0)) as made:
        for number in range(5):
            await station.receive(made, f"1.2.{number}")
        await station.wait(2)
        await trio.sleep(10)
        assert [job[2] for job in station.jobs()] == [["1.2.0", "1.2.1"], ["1.2.2", "1.2.3"]]


async def test_at_the_end_the_quiet_is_not_waited_for(station, autojump_clock):
    async with station.running(rule(delay=1000.0)) as made:
        await station.receive(made)
        await trio.sleep(3)
        assert station.jobs() == []
    assert [job[2] for job in station.jobs()] == [["1.2.3"]]
    assert station.is_all_passed_on()


async def test_the_rules_are_asked(station, autojump_clock):
    rules = rule(modalities=("CT",), origins=("CT*",)), rule(name="b", to=("OTHER",), origins=("MR1",), delay=1.0)
    async with station.running(*rules) as made:
        await station.receive(made, "1.1", modality="MR")
        await station.receive(made, "1.2", calling="XA1")
        await station.receive(made, "1.3", calling="MR1", modality="MR")
        await station.receive(made, "1.4")
        await station.wait(2)
    assert sorted(station.jobs()) == [("route a", "PACS", ["1.4"]), ("route b", "OTHER", ["1.3"])]
    assert station.is_all_passed_on()


async def test_never_back(station, autojump_clock):
    async with station.running(rule(to=("PACS", "OTHER"))) as made:
        await station.receive(made, calling="PACS")
        await station.wait(1)
    assert station.jobs() == [("route a", "OTHER", ["1.2.3"])]


async def test_what_no_rule_is_for_costs_nothing(station, tmp_path, autojump_clock):
    async with station.running(rule(origins=("MR*",))) as made:
        await station.receive(made)
        await trio.sleep(10)
        assert station.statuses == [0]
        assert ForwardingJournal(station.directory).batches() == {}
    assert station.jobs() == []


async def test_other_rules_hold_from_now_on(station, autojump_clock):
    async with station.running(rule(origins=("MR*",))) as made:
        await station.receive(made, "1.1")
        made.change(routes(rule()))
        await station.receive(made, "1.2")
        await station.wait(1)
        made.change(routes())
        await station.receive(made, "1.3")
        await trio.sleep(10)
    assert [job[2] for job in station.jobs()] == [["1.2"]]


async def test_a_rule_that_is_gone_takes_its_objects_with_it_and_says_so(station, autojump_clock):
    async with station.running(rule()) as made:
        await station.receive(made)
        await trio.sleep(2)  # looked at, and waiting for quiet
        made.change(routes())
        await trio.sleep(10)
    assert station.jobs() == []
    (dropped,) = station.told.of("forward.dropped")
    assert (dropped["route"], dropped["node"], dropped["objects"]) == ("a", "PACS", 1)
    assert station.is_all_passed_on()


# What is no new object ------------------------------------------------------------------------------------------------


async def test_what_is_here_already_is_not_forwarded_again(station, autojump_clock):
    async with station.running(rule()) as made:
        await station.receive(made)
        await station.wait(1)
        await station.receive(made)
        await trio.sleep(10)
    assert station.statuses == [0, 0]
    assert len(station.jobs()) == 1
    assert station.is_all_passed_on()


async def test_another_object_with_the_same_uid_is_forwarded_too(station, autojump_clock):
    async with station.running(rule()) as made:
        await station.receive(made)
        await station.receive(made, more="another")
        await station.wait(1)
    (job,) = station.queue.store.jobs()
    names = [row.name for row in station.queue.store.instances(job.id)]
    assert names[0].endswith("/1.2.3.dcm")
    assert "/1.2.3~" in names[1]


async def test_what_is_refused_is_not_forwarded(tmp_path, told, queue, autojump_clock):
    station = Station(tmp_path / "received", told, queue, on_conflict=OnConflict.REFUSE)
    async with station.running(rule()) as made:
        await station.receive(made)
        await station.receive(made, more="another")
        await station.wait(1)
        await trio.sleep(10)
    assert station.statuses == [0, 0x0111]
    assert [job[2] for job in station.jobs()] == [["1.2.3"]]
    assert station.is_all_passed_on()


async def test_an_object_that_can_not_be_entered_is_refused(station, tmp_path, autojump_clock):
    (station.directory / ".forwarding").write_text("in the way")
    async with station.running(rule()) as made:
        await station.receive(made)
        assert station.statuses == [0xA700]
        assert not path_of(station.directory, "1.2.3").exists()
        await station.receive(made, calling="PACS", uid="1.2.4")  # a rule may be for it
        assert station.statuses == [0xA700, 0xA700]
    assert station.refused == [("1.2.3", 0xA700), ("1.2.4", 0xA700)]
    assert len(station.told.of("forward.failed")) == 1  # once


async def test_a_queue_that_can_not_be_written_is_tried_again(station, autojump_clock):
    station.queue.fails = 2
    async with station.running(rule()) as made:
        await station.receive(made)
        await station.wait(1)
    assert [job[2] for job in station.jobs()] == [["1.2.3"]]
    assert len(station.told.of("forward.failed")) == 1


async def test_a_fault_of_ours_keeps_nobody_from_storing(station, monkeypatch, autojump_clock):
    monkeypatch.setattr(ForwardingWork, "look_at_stored", lambda _self, _routes: 1 / 0)
    async with station.running(rule()) as made:
        await station.receive(made)
        await trio.sleep(20)
        await station.receive(made, "1.2.4")
    assert station.statuses == [0, 0]
    assert "ZeroDivisionError" in station.told.of("forward.failed")[0]["reason"]


async def test_an_object_that_vanished_is_told(station, autojump_clock):
    async with station.running(rule()) as made:
        await station.receive(made)
        path_of(station.directory, "1.2.3").unlink()
        await trio.sleep(10)
    assert station.jobs() == []
    assert "can't be read" in station.told.of("forward.failed")[0]["reason"]
    assert station.is_all_passed_on()


class NoDescriptors:
    """`os`, as it is when a process may open nothing more."""

    def __init__(self, *names):
        self.names = names

    def __getattr__(self, name):
        def fails(*_arguments, **_options):
            raise OSError(errno.EMFILE, "Too many open files")

        return fails if name in self.names else getattr(os, name)


async def test_an_object_that_can_not_be_read_for_a_moment_is_looked_at_again(station, monkeypatch, autojump_clock):
    async with station.running(rule()) as made:
        await trio.sleep(1)
        with monkeypatch.context() as patch:
            patch.setattr(work, "os", NoDescriptors("open"))
            await station.receive(made)
            await trio.sleep(60)
        assert station.jobs() == []
        await station.wait(1)
    assert [job[2] for job in station.jobs()] == [["1.2.3"]]
    (told,) = station.told.of("forward.failed")
    assert told["reason"] == "it can't be read now, and is tried again: [Errno 24] Too many open files"


async def test_an_object_that_can_not_be_read_for_long_is_given_up_and_others_go(station, monkeypatch, autojump_clock):
    read = work.read_subject

    def damaged(path):
        if path.stem == "1.2.3":
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    monkeypatch.setattr(work, "read_subject", damaged)
    monkeypatch.setattr(work.time, "monotonic", trio.current_time)
    monkeypatch.setattr(trio.to_thread, "run_sync", at_once)
    async with station.running(rule()) as made:
        await station.receive(made)
        await station.receive(made, "1.2.4")
        await station.wait(1)
        assert [job[2] for job in station.jobs()] == [["1.2.4"]]
        await trio.sleep(work.UNREADABLE_SECONDS - 20)
        assert not station.is_all_passed_on()
        await trio.sleep(40)
    assert station.is_all_passed_on()
    assert [told["reason"][:24] for told in station.told.of("forward.failed")] == [
        "it can't be read now, an", "it can't be read: [Errno",
    ]  # fmt: skip


# Several processes, and what they leave -------------------------------------------------------------------------------


async def test_one_process_leads_for_all(station, autojump_clock):
    async with station.running(rule()) as first:
        await station.receive(first, "1.1")
        await trio.sleep(1)
        async with station.running(rule()) as second:
            await station.receive(second, "1.2")
            await station.receive(first, "1.3")
            await station.wait(1)
            assert [sorted(job[2]) for job in station.jobs()] == [["1.1", "1.2", "1.3"]]


def entered(station, journal, owner, uid="1.2.3"):
    """An object that a process entered, stored, and then was killed."""
    path = path_of(station.directory, uid)
    status = path.stat()
    arriving = Arriving(
        sop_instance_uid=uid,
        inode=shortened(status.st_ino),
        file_size=status.st_size,
        modified=status.st_mtime_ns,
        calling="CT1",
        called="DULCET",
    )
    return journal.enter(owner, [arriving], durably=False)[0]


@pytest.fixture
async def killed(station):
    """A journal in which a process that is gone has entered things, and what takes them up."""
    made = station.forwarding(routes())
    await station.receive(made, "1.2.3")
    await station.receive(made, "1.2.3", more="another")
    journal = ForwardingJournal(station.directory)
    work = ForwardingWork(station.directory, journal, station.told, lambda: station.queue, {})
    yield SimpleNamespace(journal=journal, work=work)
    journal.close()


async def test_killed_after_it_was_stored_it_is_forwarded(station, killed):
    entered(station, killed.journal, "gone")
    assert killed.work.close_open_ends() == 1
    assert killed.work.look_at_stored(routes(rule())) == 1
    (batch,) = killed.journal.batches()
    killed.work.pass_on(batch, rule())
    assert station.jobs() == [("route a", "PACS", ["1.2.3"])]


async def test_killed_after_the_other_with_its_uid_was_stored_that_one_is_forwarded(station, killed):
    (other,) = path_of(station.directory, "1.2.3").parent.glob("1.2.3~*")
    status = other.stat()
    arriving = Arriving(
        sop_instance_uid="1.2.3",
        inode=status.st_ino,
        file_size=status.st_size,
        modified=status.st_mtime_ns,
        calling="CT1",
        called="DULCET",
    )
    killed.journal.enter("gone", [arriving], durably=True)
    killed.work.close_open_ends()
    assert [arrival.name for arrival in killed.journal.stored()] == [f"{other.parent.name}/{other.name}"]


@pytest.mark.parametrize("field", ["inode", "file_size", "modified"])
async def test_killed_before_it_was_stored_it_is_dropped(station, killed, field):
    status = path_of(station.directory, "1.2.3").stat()
    values = {"inode": status.st_ino, "file_size": status.st_size, "modified": status.st_mtime_ns}
    values[field] += 1  # another object with this UID lies there
    arriving = Arriving(sop_instance_uid="1.2.3", calling="CT1", called="DULCET", **values)
    killed.journal.enter("gone", [arriving], durably=False)
    killed.work.close_open_ends()
    assert killed.journal.stored() == []
    assert killed.journal.owners() == set()


async def test_what_a_living_process_has_entered_is_left_alone(station, killed):
    owner = Owner(station.directory)
    entered(station, killed.journal, owner.name)
    assert killed.work.close_open_ends() == 0
    owner.end()
    assert killed.work.close_open_ends() == 1


@pytest.mark.parametrize("name", ["stat", "listdir"])
async def test_what_can_not_be_told_after_a_kill_is_left_until_it_can(station, killed, monkeypatch, name):
    (other,) = path_of(station.directory, "1.2.3").parent.glob("1.2.3~*")
    status = other.stat()
    arriving = Arriving(
        sop_instance_uid="1.2.3",
        inode=shortened(status.st_ino),
        file_size=status.st_size,
        modified=status.st_mtime_ns,
        calling="CT1",
        called="DULCET",
    )
    (number,) = killed.journal.enter("gone", [arriving], durably=False)
    with monkeypatch.context() as patch:
        patch.setattr(work, "os", NoDescriptors(name))
        assert killed.work.settle(killed.journal.open_ends("gone")) == [number]
    assert killed.journal.owners() == {"gone"}
    assert killed.work.close_open_ends() == 1
    assert len(killed.journal.stored()) == 1


def test_a_process_has_one_name_though_two_threads_begin_at_once(station, monkeypatch):
    meeting, made = threading.Barrier(2), []

    class Met(Owner):
        def __init__(self, directory):
            with suppress(threading.BrokenBarrierError):
                meeting.wait(0.3)
            super().__init__(directory)
            made.append(self)

    monkeypatch.setattr(forwarding, "Owner", Met)
    begun = station.forwarding(routes(rule()))
    with ThreadPoolExecutor(2) as pool:
        first, second = [each.result()[1] for each in [pool.submit(begun._open) for _ in range(2)]]
    assert first is second
    assert made == [first]
    first.end()
    begun._journal.close()


def taken(killed, station):
    entered(station, killed.journal, "gone")
    killed.work.close_open_ends()
    killed.work.look_at_stored(routes(rule()))
    (batch,) = killed.journal.batches()
    killed.journal.take(batch, "TOKEN", 10)
    return batch


async def test_killed_before_the_job_was_there_it_is_made(station, killed):
    batch = taken(killed, station)
    assert killed.journal.batches() == {}
    killed.work.take_up()
    assert killed.journal.batches() == {batch: 1}


async def test_killed_after_the_job_was_there_it_is_not_made_twice(station, killed):
    batch = taken(killed, station)
    station.queue.store.add(killed.work._order(batch, rule(), "TOKEN"), [])
    killed.work.take_up()
    assert killed.journal.batches() == {}
    assert killed.journal.tokens() == []
    assert len(station.jobs()) == 1
    assert station.queue.store.job(1).order.options[TOKEN] == "TOKEN"


async def test_one_process_has_the_lead(station):
    (station.directory / ".forwarding").mkdir()
    first, second = Lead(station.directory), Lead(station.directory)
    assert (first.take(), first.take(), second.take()) == (True, True, False)
    first.release()
    assert second.take()
    second.release()


async def test_an_association_that_ends_in_between_leaves_nothing_open(station, autojump_clock):
    async with station.running(rule()) as made:

        async def perform(_association, _received):
            raise trio.BrokenResourceError

        store = made.operation(
            Operation(perform=perform, sop_classes=frozenset(), open_sink=storage_operation(station.storage).open_sink),
            observe=print,
        )
        request = CStoreRQ(affected_sop_class_uid=CT, message_id=1, affected_sop_instance_uid="1.2.3")
        association = SimpleNamespace(request=SimpleNamespace(calling_ae_title="CT1", called_ae_title="DULCET"))
        context = SimpleNamespace(context_id=1, transfer_syntax=EXPLICIT)
        sink = store.open_sink(association, context, request)
        sink.write(memoryview(encode_identifier({0x00080016: CT, 0x00080018: "1.2.3"}, EXPLICIT, "")))
        with pytest.raises(trio.BrokenResourceError):
            await store.perform(association, SimpleNamespace(message=request, context=context, sink=sink))
        sink.abandon()
        await trio.sleep(10)
    assert station.is_all_passed_on()
    assert station.jobs() == []


# What is to be forwarded stays ----------------------------------------------------------------------------------------


def needed_names(station):
    places = [str(path) for path in station.directory.glob("??/*.dcm")]
    return sorted(re.split(r"~|\.dcm", Path(place).name)[0] for place in needed(station.directory, places))


async def test_what_is_to_be_forwarded_is_needed_from_its_arrival_until_it_is_sent(station, killed, monkeypatch):
    monkeypatch.setattr(open_vault, "queued", station.queue.store.paths_in_use)
    made = station.forwarding(routes())
    await station.receive(made, "1.9.1")
    assert needed_names(station) == []
    entered(station, killed.journal, "gone")
    assert needed_names(station) == ["1.2.3", "1.2.3"]  # nobody knows yet which of the two it is
    killed.work.close_open_ends()
    assert needed_names(station) == ["1.2.3"]
    killed.work.look_at_stored(routes(rule()))
    assert needed_names(station) == ["1.2.3"]
    killed.journal.take(*killed.journal.batches(), "TOKEN", 10)
    assert needed_names(station) == ["1.2.3"]
    killed.journal.put_back("TOKEN")
    killed.work.pass_on(*killed.journal.batches(), rule())
    assert station.is_all_passed_on()
    assert needed_names(station) == ["1.2.3"]  # by the queue now
    station.queue.store.request(station.queue.store.jobs()[0].id, Wish.CANCEL)
    assert needed_names(station) == []


async def test_what_leaves_the_journal_while_it_is_looked_for_is_found_in_the_queue(station, killed, monkeypatch):
    entered(station, killed.journal, "gone")
    killed.work.close_open_ends()
    killed.work.look_at_stored(routes(rule()))

    def queued(places):
        killed.work.pass_on(*killed.journal.batches(), rule())
        return ()

    monkeypatch.setattr(open_vault, "queued", queued)
    assert needed_names(station) == ["1.2.3"]


def test_without_a_journal_none_is_made(tmp_path):
    assert needed(tmp_path, [str(tmp_path / "00" / "1.2.3.dcm")]) == set()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_cannot_be_read_lets_nothing_go(tmp_path):
    journal = tmp_path / JOURNAL
    journal.parent.mkdir()
    journal.write_bytes(b"no journal" * 100)
    with pytest.raises(QueueError, match=r"forwarded can't be read: file is not a database"):
        needed(tmp_path, [str(tmp_path / "00" / "1.2.3.dcm")])
    assert [path.name for path in journal.parent.iterdir()] == [journal.name]
