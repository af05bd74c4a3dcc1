"""Several objects with one SOP Instance UID at once, several processes, cancellation in the middle.

Promises (see test_storage): idempotent, all_or_nothing, acknowledged_means_durable, a_resend_never_harms.
"""

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time

import pytest
import trio

from dulcet.errors import StorageError
from dulcet.services.storage import Durability, OnConflict, StoredObject
from dulcet.services.storing.durability import DISK_THREADS

CT = "1.2.840.10008.5.1.4.1.1.2"
PATIENCE = 60.0  # seconds, for what happens at once
DURABLE = [Durability.FSYNC, Durability.BATCH]


@pytest.fixture(params=list(Durability), ids=lambda durability: durability.value)
def durability(request):
    return request.param


def begun(storage, octets, uid="1.2.3"):
    incoming = storage.begin(sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax_uid="1.2.840.10008.1.2.1")
    incoming.write(memoryview(octets))
    return incoming


async def finish_at_once(incoming):
    """What becomes of each."""
    outcomes = [None] * len(incoming)

    async def finish(index):
        try:
            outcomes[index] = await incoming[index].finish()
        except StorageError as error:
            outcomes[index] = error

    async with trio.open_nursery() as nursery:
        for index in range(len(incoming)):
            nursery.start_soon(finish, index)
    return outcomes


def directory_of(tmp_path):
    return list((tmp_path / "stored").rglob("*.dcm"))


@pytest.mark.parametrize("storages", [1, 2])
@pytest.mark.parametrize("on_conflict", list(OnConflict))
async def test_idempotent_when_the_same_comes_at_once(
    tmp_path, open_storage, make_object, stored_data_set, durability, on_conflict, storages
):
    opened = [open_storage(durability=durability, on_conflict=on_conflict) for _ in range(storages)]
    octets = make_object(pixels=os.urandom(10_000))
    outcomes = await finish_at_once([begun(opened[number % storages], octets) for number in range(10)])
    assert all(isinstance(outcome, StoredObject) for outcome in outcomes)
    assert [outcome.is_duplicate for outcome in outcomes].count(False) == 1
    (path,) = directory_of(tmp_path)
    assert stored_data_set(path) == octets


@pytest.mark.parametrize("storages", [1, 2])
@pytest.mark.parametrize("on_conflict", list(OnConflict))
async def test_never_a_mixture_when_others_come_at_once(
    tmp_path, open_storage, make_object, stored_data_set, durability, on_conflict, storages
):
    opened = [open_storage(durability=durability, on_conflict=on_conflict) for _ in range(storages)]
    objects = [make_object(pixels=os.urandom(10_000)) for _ in range(6)]
    outcomes = await finish_at_once(
        [begun(opened[number % storages], octets) for number, octets in enumerate(objects * 2)]
    )
    stored = sorted(stored_data_set(path) for path in directory_of(tmp_path))
    if on_conflict is OnConflict.KEEP_BOTH:
        assert stored == sorted(objects)
        assert all(isinstance(outcome, StoredObject) for outcome in outcomes)
    elif on_conflict is OnConflict.REPLACE:
        assert len(stored) == 1
        assert stored[0] in objects
        assert all(isinstance(outcome, StoredObject) for outcome in outcomes)
    else:
        (winner,) = stored
        for octets, outcome in zip(objects * 2, outcomes, strict=True):
            assert isinstance(outcome, StoredObject) == (octets == winner)
            assert octets == winner or outcome.status == 0x0111


PROGRAM = """
import sys, trio
from pathlib import Path
from dulcet.errors import StorageError
from dulcet.services.storage import *

directory, durability, seed = sys.argv[1:]
CT = "1.2.840.10008.5.1.4.1.1.2"

async def main():
    storage = Storage(StorageOptions(directory=Path(directory), durability=Durability(durability), min_free_octets=0))
    async def store(number):
        uid = f"1.2.3.{number}"
        padded = uid.encode() + bytes(len(uid) % 2)
        head = b"\\x08\\0\\x16\\0UI\\x1a\\0" + CT.encode() + b"\\0"[: len(CT) % 2]
        head += b"\\x08\\0\\x18\\0UI" + len(padded).to_bytes(2, "little") + padded
        pixels = (b"same" if number % 2 else seed.encode() * 4) * 1000
        data_set = head + b"\\xe0\\x7f\\x10\\0OW\\0\\0" + len(pixels).to_bytes(4, "little") + pixels
        incoming = storage.begin(sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax_uid="1.2.840.10008.1.2.1")
        incoming.write(memoryview(data_set))
        stored = await incoming.finish()
        print(stored.path, flush=True)
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(store, number)
    storage.close()

sys.stdin.readline()
trio.run(main)
"""


def test_several_processes_share_a_directory(tmp_path, stored_data_set, durability):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path / "stored"), durability.value, seed],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("a", "b", "c")
    ]
    printed = set()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        printed.update(output.split())
    stored = {str(path): stored_data_set(path)[-4000:] for path in directory_of(tmp_path)}
    assert printed == set(stored)
    assert len(stored) == 10 + 10 * 3
    expected = [b"same" * 1000] * 10 + [seed * 4000 for seed in (b"a", b"b", b"c")] * 10
    assert sorted(stored.values()) == sorted(expected)
    assert os.listdir(tmp_path / "stored" / ".incoming") == []


# What may still be taken back ---------------------------------------------------------------------------------------


def is_waited_for(path):
    """Whether somebody waits for a lock on the file."""
    try:
        inode = path.stat().st_ino
    except FileNotFoundError:
        return False
    with open("/proc/locks") as locks:
        return any(" -> FLOCK" in line and f":{inode} " in line for line in locks)


def wait_until(condition):
    """For what another thread is about to do."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.001)


class Rivals:
    """One storage stops at an operation until another has done its work, or waits for the first one's locks."""

    def __init__(self, tmp_path, watched, open_storage, stops_at, on_conflict=OnConflict.KEEP_BOTH):
        self.tmp_path = tmp_path
        self.outcomes = []
        self.fails = False
        rivals = self

        class Stopping(watched.FaultyFileSystem):
            def before(self, operation, arguments, keywords):
                super().before(operation, arguments, keywords)
                if rivals.thread is None or rivals.thread.is_alive() or not stops_at(operation, rivals.names()):
                    return
                rivals.thread.start()
                wait_until(lambda: rivals.outcomes or rivals.is_waiting())
                assert rivals.outcomes == []

            def fsync(self, descriptor):
                super().fsync(descriptor)
                if rivals.fails and rivals.thread.is_alive():
                    raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.thread = None
        self.file_systems = Stopping(), watched.FaultyFileSystem()
        self.first, self.second = (open_storage(each, on_conflict=on_conflict) for each in self.file_systems)

    def names(self):
        return {path.name: path for path in directory_of(self.tmp_path)}

    def is_waiting(self):
        """Whether the second waits for a lock."""
        return any(is_waited_for(path) for path in (self.tmp_path / "stored").glob("**/*"))

    async def run(self, octets, of_second, *, fails):
        """Store `octets` with the first while the second stores its own; what becomes of the second's."""
        self.fails = fails

        def run_second():
            self.outcomes.append(trio.run(begun(self.second, of_second).finish))

        self.thread = threading.Thread(target=run_second)
        if fails:
            with pytest.raises(StorageError, match="can't be made durable"):
                await begun(self.first, octets).finish()
        else:
            await begun(self.first, octets).finish()
        await trio.to_thread.run_sync(self.thread.join, PATIENCE)
        (outcome,) = self.outcomes
        return outcome


def at_fsync_when_linked(operation, names):
    return operation == "fsync" and "1.2.3.dcm" in names


@pytest.mark.parametrize("fails", [True, False])
async def test_nobody_is_told_of_what_may_still_be_taken_back(
    tmp_path, watched, open_storage, make_object, stored_data_set, fails
):
    """One has linked the object and waits for the disk; another, with the same, waits for what becomes of it."""
    rivals = Rivals(tmp_path, watched, open_storage, at_fsync_when_linked)
    octets = make_object()
    outcome = await rivals.run(octets, octets, fails=fails)
    assert outcome.is_duplicate is not fails
    (path,) = directory_of(tmp_path)
    assert stored_data_set(path) == octets


@pytest.mark.parametrize("fails", [True, False])
async def test_nobody_is_told_of_what_may_still_be_replaced_back(
    tmp_path, watched, open_storage, make_object, stored_data_set, fails
):
    """One has replaced an object and waits for the disk; another, with the same, waits for what becomes of it."""
    one, other = make_object(), make_object(pixels=b"others")

    def at_fsync_when_replaced(operation, names):
        return operation == "fsync" and stored_data_set(names["1.2.3.dcm"]) == other

    rivals = Rivals(tmp_path, watched, open_storage, at_fsync_when_replaced, OnConflict.REPLACE)
    await begun(rivals.second, one).finish()
    outcome = await rivals.run(other, other, fails=fails)
    assert outcome.is_duplicate is not fails
    (path,) = directory_of(tmp_path)
    assert stored_data_set(path) == other


@pytest.mark.parametrize("fails", [True, False])
async def test_a_resend_never_harms_another_that_replaces_at_the_same_time(
    tmp_path, watched, open_storage, make_object, stored_data_set, fails
):
    """What one puts back when the disk fails must not take the place of what the other was told is stored."""
    objects = [make_object(pixels=pixels) for pixels in (b"one", b"two", b"three")]
    rivals = Rivals(tmp_path, watched, open_storage, lambda operation, _: operation == "rename", OnConflict.REPLACE)
    await begun(rivals.second, objects[0]).finish()
    outcome = await rivals.run(objects[1], objects[2], fails=fails)
    assert outcome.is_conflict
    (path,) = directory_of(tmp_path)
    assert stored_data_set(path) == objects[2]


async def test_nothing_is_overwritten_where_there_are_no_hard_links(
    tmp_path, watched, open_storage, make_object, stored_data_set
):
    """Between looking for the name and taking it nobody else may take it."""
    objects = [make_object(pixels=pixels) for pixels in (b"one", b"two")]
    rivals = Rivals(tmp_path, watched, open_storage, lambda operation, _: operation == "rename")
    for file_system in rivals.file_systems:
        file_system.fails = lambda number, operation: errno.EPERM if operation == "link" else None
    (tmp_path / "stored" / hashlib.sha256(b"1.2.3").hexdigest()[:2]).mkdir()
    await rivals.run(*objects, fails=False)
    assert sorted(stored_data_set(path) for path in directory_of(tmp_path)) == sorted(objects)


# Cancellation -------------------------------------------------------------------------------------------------------


class Held:
    """An fsync that waits until it is let go; trio is told when it has begun."""

    def __init__(self, watched, times=1):
        self.begun = trio.Event()
        self.let_go = threading.Event()
        self.calls = 0
        token = trio.lowlevel.current_trio_token()
        held = self

        class HeldFileSystem(watched.FaultyFileSystem):
            is_held = False

            def fsync(self, descriptor):
                super().fsync(descriptor)
                if not self.is_held:
                    return
                held.calls += 1
                if held.calls == times:
                    token.run_sync_soon(held.begun.set)
                assert held.let_go.wait(PATIENCE)

        self.file_system = HeldFileSystem()


@pytest.mark.parametrize("durability", DURABLE)
async def test_a_cancelled_finish_waits_for_the_disk(
    tmp_path, watched, open_storage, make_object, stored_data_set, durability
):
    held = Held(watched)
    storage = open_storage(held.file_system, durability=durability)
    held.file_system.is_held = True
    incoming = begun(storage, make_object())
    ended = trio.Event()

    async def finish(scope):
        with scope:
            await incoming.finish()
        ended.set()

    scope = trio.CancelScope()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(finish, scope)
            await held.begun.wait()
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert not ended.is_set()
            held.let_go.set()
            await ended.wait()
    (path,) = directory_of(tmp_path)
    assert stored_data_set(path) == make_object()
    assert list((tmp_path / "stored").glob(".incoming/*/*")) == []


async def test_cancelled_before_its_turn_an_object_is_dropped(tmp_path, watched, open_storage, make_object):
    held = Held(watched, times=DISK_THREADS)
    storage = open_storage(held.file_system)
    held.file_system.is_held = True
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for number in range(DISK_THREADS):
                nursery.start_soon(begun(storage, make_object(f"1.2.{number}"), f"1.2.{number}").finish)
            await held.begun.wait()
            with trio.move_on_after(0) as scope:
                await begun(storage, make_object()).finish()
            assert scope.cancelled_caught
            assert len(list((tmp_path / "stored").glob(".incoming/*/*"))) == DISK_THREADS
            held.let_go.set()
    assert sorted(path.name for path in directory_of(tmp_path)) == [
        f"1.2.{number}.dcm" for number in range(DISK_THREADS)
    ]


@pytest.mark.parametrize("cancelled", [0, 1, 2])
async def test_a_group_is_stored_even_if_one_of_it_is_cancelled(
    tmp_path, watched, open_storage, make_object, cancelled
):
    held = Held(watched)
    held.file_system.can_sync_file_system = False
    storage = open_storage(held.file_system, durability=Durability.BATCH)
    held.file_system.is_held = True
    scopes = [trio.CancelScope() for _ in range(3)]
    stored = []

    async def finish(number):
        with scopes[number]:
            stored.append((await incoming[number].finish()).sop_instance_uid)

    incoming = [begun(storage, make_object(f"1.2.{number}"), f"1.2.{number}") for number in range(3)]
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(finish, number)
            await held.begun.wait()
            scopes[cancelled].cancel()
            held.let_go.set()
    assert len(directory_of(tmp_path)) == 3
    assert set(stored) >= {f"1.2.{number}" for number in range(3) if number != cancelled}


async def test_who_comes_while_a_group_is_on_its_way_is_of_the_next(tmp_path, watched, open_storage, make_object):
    held = Held(watched)
    held.file_system.can_sync_file_system = True
    storage = open_storage(held.file_system, durability=Durability.BATCH)
    held.file_system.is_held = True
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(begun(storage, make_object("1.2.0"), "1.2.0").finish)
            await held.begun.wait()
            for number in range(1, 6):
                nursery.start_soon(begun(storage, make_object(f"1.2.{number}"), f"1.2.{number}").finish)
            await trio.testing.wait_all_tasks_blocked()
            held.let_go.set()
    assert len(directory_of(tmp_path)) == 6
    assert held.file_system.operations.count("sync_file_system") == 2


async def test_one_of_a_group_that_fails_does_not_harm_the_others(
    tmp_path, watched, open_storage, make_object, stored_data_set
):
    """Of three objects one can't be linked and one is there already."""
    plain = open_storage()
    await begun(plain, make_object("1.2.1"), "1.2.1").finish()

    class OneFails(watched.WatchedFileSystem):
        def before(self, operation, arguments, keywords):
            if operation == "link" and arguments[1] == "1.2.0.dcm":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    storage = open_storage(OneFails(), durability=Durability.BATCH)
    outcomes = await finish_at_once([begun(storage, make_object(f"1.2.{n}"), f"1.2.{n}") for n in range(3)])
    assert outcomes[0].status == 0xA700
    assert outcomes[1].is_duplicate
    assert not outcomes[2].is_duplicate
    assert {path.name: stored_data_set(path) for path in directory_of(tmp_path)} == {
        f"1.2.{number}.dcm": make_object(f"1.2.{number}") for number in (1, 2)
    }


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("can_sync_file_system", [True, False])
async def test_a_group_is_refused_when_the_disk_fails(
    tmp_path, watched, open_storage, make_object, call, can_sync_file_system
):
    """Before or after the names were given: none is left, and the file system is not trusted any more."""
    syncs = []

    class Fails(watched.FaultyFileSystem):
        def before(self, operation, arguments, keywords):
            super().before(operation, arguments, keywords)
            if operation == ("sync_file_system" if can_sync_file_system else "fsync") and is_running:
                syncs.append(operation)
                if len(syncs) == (call if can_sync_file_system else 3 * call):
                    raise OSError(errno.EIO, os.strerror(errno.EIO))

    is_running = False
    file_system = Fails()
    file_system.can_sync_file_system = can_sync_file_system
    storage = open_storage(file_system, durability=Durability.BATCH)
    incoming = [begun(storage, make_object(f"1.2.{number}"), f"1.2.{number}") for number in range(3)]
    is_running = True
    outcomes = await finish_at_once(incoming)
    assert [outcome.status for outcome in outcomes] == [0xA700] * 3
    assert storage.failed
    assert directory_of(tmp_path) == []


async def test_an_error_of_ours_refuses_a_group_too(tmp_path, open_storage, make_object, monkeypatch):
    """A mistake in dulcet must not leave anybody waiting, nor answer success."""
    storage = open_storage(durability=Durability.BATCH)
    keeper = storage._shelf.keeper
    monkeypatch.setattr(keeper, "_sync_files", lambda fresh: 1 / 0)
    outcomes, failures = [], []

    async def finish(incoming):
        try:
            outcomes.append(await incoming.finish())
        except StorageError as error:
            outcomes.append(error)
        except ZeroDivisionError as error:
            failures.append(error)

    incoming = [begun(storage, make_object(f"1.2.{number}"), f"1.2.{number}") for number in range(3)]
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for one in incoming:
                nursery.start_soon(finish, one)
    assert len(failures) == 1
    assert [outcome.status for outcome in outcomes] == [0x0110] * 2
    assert directory_of(tmp_path) == []
    assert list((tmp_path / "stored").glob(".incoming/*/*")) == []
