"""Every error at every operation of the store path: the answer is true, and what was acknowledged before is untouched.

Also: refusals_are_truthful, all_or_nothing, a_resend_never_harms, restart_cleans (see test_storage).
"""

import errno
import os
import subprocess
from dataclasses import dataclass, field

import pytest
import trio

from dulcet.errors import StorageError
from dulcet.services.storage import Durability, OnConflict

CT = "1.2.840.10008.5.1.4.1.1.2"
ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.EINTR)
SYNCS = ("fsync", "sync_file_system")


@dataclass
class Scenario:
    """What was stored before, and what comes now while something fails."""

    before: list = field(default_factory=list)
    now: list = field(default_factory=lambda: [b"first"])
    on_conflict: OnConflict = OnConflict.KEEP_BOTH
    uids: tuple = ("1.2.3",)


SCENARIOS = {
    "new": Scenario(),
    "same": Scenario(before=[b"first"]),
    "keep both": Scenario(before=[b"first"], now=[b"second"]),
    "keep both again": Scenario(before=[b"first", b"second"], now=[b"second"]),
    "replace": Scenario(before=[b"first"], now=[b"second"], on_conflict=OnConflict.REPLACE),
    "three at once": Scenario(uids=("1.2.3", "1.2.4", "1.2.5")),
}


class Trial:
    """One run of a scenario in a fresh directory."""

    def __init__(self, scenario, durability, *, watched, open_storage, receive, make_object, directory):
        self.scenario = scenario
        self.receive, self.make_object = receive, make_object
        self.directory = directory
        self.file_system = watched.FaultyFileSystem()
        self.file_system.can_sync_file_system = True
        self.storage = open_storage(
            self.file_system, directory=directory, durability=durability, on_conflict=scenario.on_conflict
        )

    async def prepare(self):
        for pixels in self.scenario.before:
            await self.receive(self.storage, self.make_object(pixels=pixels))
        self.first = self.file_system.count
        self.there_before = self.objects()

    async def run(self):
        """{(uid, octets): StoredObject or StorageError}."""
        outcomes = {}

        async def one(uid, octets):
            try:
                outcomes[uid, octets] = await self.receive(self.storage, octets, uid=uid, step=1000)
            except StorageError as error:
                outcomes[uid, octets] = error

        async with trio.open_nursery() as nursery:
            for uid in self.scenario.uids:
                for pixels in self.scenario.now:
                    nursery.start_soon(one, uid, self.make_object(uid, pixels=pixels))
        return outcomes

    def objects(self):
        return {path: path.read_bytes() for path in self.directory.rglob("*.dcm")}

    def temporary(self):
        return list(self.directory.glob(".incoming/*/*"))


@pytest.fixture
def trials(tmp_path, watched, open_storage, receive, make_object):
    """Make a trial."""
    parts = {"watched": watched, "open_storage": open_storage, "receive": receive, "make_object": make_object}
    number = [0]

    def make(scenario, durability):
        number[0] += 1
        return Trial(scenario, durability, directory=tmp_path / str(number[0]), **parts)

    return make


def check_outcomes(trial, outcomes, stored_data_set, *, may_leave=False):
    """What was said is true, and nothing else is there."""
    expected = set(trial.there_before)
    for (_uid, octets), outcome in outcomes.items():
        if isinstance(outcome, StorageError):
            assert outcome.status == 0xA700
        else:
            expected.add(outcome.path)
            assert stored_data_set(outcome.path) == octets
    now = trial.objects()
    if may_leave:
        assert set(now) >= expected
    else:
        assert set(now) == expected
    replaced = trial.scenario.on_conflict is OnConflict.REPLACE
    for path, octets in trial.there_before.items():
        if replaced and not any(isinstance(outcome, StorageError) for outcome in outcomes.values()):
            continue
        assert octets in now.values(), "what was acknowledged before is still there"
        assert may_leave or now[path] == octets
    sent = {octets for _, octets in outcomes}
    for path in now:
        assert now[path] in trial.there_before.values() or stored_data_set(path) in sent, "what has a name is whole"


@pytest.mark.parametrize("durability", list(Durability), ids=lambda durability: durability.value)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_refusals_are_truthful_whatever_fails_once(
    trials, stored_data_set, open_storage, descriptors, durability, name
):
    """Every error where an object is new; elsewhere they take turns, for nothing depends on which it is."""
    scenario = SCENARIOS[name]
    clean = trials(scenario, durability)
    await clean.prepare()
    check_outcomes(clean, await clean.run(), stored_data_set)
    assert clean.temporary() == []
    operations = clean.file_system.operations[clean.first :]
    assert len(operations) >= 8
    for position in range(len(operations)):
        for error in ERRORS if name == "new" else (ERRORS[position % len(ERRORS)],):
            trial = trials(scenario, durability)
            await trial.prepare()
            before = descriptors()
            failing = trial.first + position
            trial.file_system.fails = lambda number, _, failing=failing, error=error: (
                error if number == failing else None
            )
            outcomes = await trial.run()
            trial.file_system.fails = lambda number, operation: None
            failed = trial.file_system.operations[failing]
            check_outcomes(trial, outcomes, stored_data_set, may_leave=failed == "unlink")
            assert descriptors() == before
            assert failed == "unlink" or trial.temporary() == []
            assert trial.storage.failed == (failed in SYNCS)
            await check_next(trial)
            trial.storage.close()
            open_storage(directory=trial.directory).close()
            assert trial.temporary() == []


async def check_next(trial):
    """The next object is stored, unless the disk can't be trusted any more."""
    octets = trial.make_object("1.2.9")
    if not trial.storage.failed:
        assert (await trial.receive(trial.storage, octets, uid="1.2.9")).path.exists()
        return
    with pytest.raises(StorageError, match="the disk has failed before") as raised:
        await trial.receive(trial.storage, octets, uid="1.2.9")
    assert raised.value.status == 0xA700


@pytest.mark.parametrize("durability", list(Durability), ids=lambda durability: durability.value)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_resend_never_harms_when_the_disk_dies(trials, stored_data_set, open_storage, durability, name):
    """From one operation on everything fails: nothing can be cleaned up then, and nothing must be lost."""
    scenario = SCENARIOS[name]
    clean = trials(scenario, durability)
    await clean.prepare()
    await clean.run()
    for position in range(len(clean.file_system.operations) - clean.first):
        trial = trials(scenario, durability)
        await trial.prepare()
        first = trial.first + position
        trial.file_system.fails = lambda number, _, first=first: errno.EIO if number >= first else None
        check_outcomes(trial, await trial.run(), stored_data_set, may_leave=True)
        trial.file_system.fails = lambda number, operation: None
        open_storage(directory=trial.directory).close()
        trial.storage.close()
        open_storage(directory=trial.directory).close()
        assert trial.temporary() == []


@pytest.mark.parametrize("durability", [Durability.FSYNC, Durability.BATCH])
async def test_a_failed_fsync_is_not_tried_again(watched, open_storage, receive, make_object, durability):
    """What came before the failed one may be lost, and the next one would answer success for it."""
    file_system = watched.FaultyFileSystem()
    storage = open_storage(file_system, durability=durability)
    begun = storage.begin(sop_class_uid=CT, sop_instance_uid="1.2.4", transfer_syntax_uid="1.2.840.10008.1.2.1")
    begun.write(memoryview(make_object("1.2.4")))
    file_system.operations.clear()
    file_system.fails = lambda number, operation: errno.EIO if operation == "fsync" else None
    assert not storage.failed
    with pytest.raises(StorageError, match="can't be made durable: Input/output error") as raised:
        await receive(storage, make_object())
    assert raised.value.status == 0xA700
    assert storage.failed
    assert file_system.operations.count("fsync") == 1
    with pytest.raises(StorageError, match="the disk has failed before"):
        await begun.finish()
    assert file_system.operations.count("fsync") == 1


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.parametrize("durability", list(Durability), ids=lambda durability: durability.value)
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_file_system_without_hard_links_is_served(trials, stored_data_set, durability, name, error):
    trial = trials(SCENARIOS[name], durability)
    trial.file_system.fails = lambda number, operation: error if operation == "link" else None
    await trial.prepare()
    outcomes = await trial.run()
    assert not any(isinstance(outcome, StorageError) for outcome in outcomes.values())
    check_outcomes(trial, outcomes, stored_data_set)
    assert trial.temporary() == []


async def test_without_locks_the_store_goes_on(trials, stored_data_set):
    trial = trials(SCENARIOS["replace"], Durability.FSYNC)
    trial.file_system.fails = lambda number, operation: errno.ENOLCK if operation == "lock" and number > 20 else None
    await trial.prepare()
    check_outcomes(trial, await trial.run(), stored_data_set)


# A full disk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", list(Durability), ids=lambda durability: durability.value)
async def test_refusals_are_truthful_on_a_disk_that_fills_at_any_octet(
    tmp_path, watched, open_storage, receive, make_object, files, stored_data_set, durability
):
    octets = make_object(pixels=os.urandom(40_000))

    class Small(watched.FaultyFileSystem):
        room = 1 << 30

        def write(self, descriptor, buffers):
            joined = b"".join(buffers)
            written = joined[: self.room]
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= len(written)
            return os.write(descriptor, written)

    file_system = Small()
    storage = open_storage(file_system, durability=durability)
    acknowledged = await receive(storage, make_object("1.2.4"), uid="1.2.4")
    for room in (*range(0, 500, 50), *range(500, 40_000, 4096)):
        file_system.room = room
        with pytest.raises(StorageError, match="No space left on device") as raised:
            await receive(storage, octets, step=10_000)
        assert raised.value.status == 0xA700
        assert files(tmp_path / "stored") == [f"{acknowledged.path.parent.name}/{acknowledged.path.name}"]
    file_system.room = 1 << 30
    assert stored_data_set((await receive(storage, octets, step=10_000)).path) == octets


@pytest.fixture
def tmpfs(tmp_path):
    """A real file system of 1 MiB with few inodes, where we may mount one."""
    directory = tmp_path / "mounted"
    directory.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=60", "tmpfs", str(directory)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a file system takes root")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


@pytest.mark.parametrize("durability", list(Durability), ids=lambda durability: durability.value)
@pytest.mark.parametrize("octets", [500, 100_000], ids=["inodes", "octets"])
async def test_refusals_are_truthful_on_a_real_disk_that_is_full(
    tmpfs, open_storage, receive, make_object, stored_data_set, durability, octets, monkeypatch
):
    monkeypatch.setattr("dulcet.services.storing.disk_space.MIN_FREE_INODES", 0)
    storage = open_storage(directory=tmpfs / "stored", durability=durability)
    acknowledged, refused = {}, 0
    for number in range(100):
        uid = f"1.2.3.{number}"
        sent = make_object(uid, pixels=os.urandom(octets))
        try:
            stored = await receive(storage, sent, uid=uid, step=7000)
        except StorageError as error:
            refused += 1
            status = error.status
            assert status == 0xA700
        else:
            acknowledged[stored.path] = sent
    assert refused
    assert {path: stored_data_set(path) for path in (tmpfs / "stored").rglob("*.dcm")} == acknowledged
    assert list((tmpfs / "stored").glob(".incoming/*/*")) == []
    for path in list(acknowledged)[:3]:
        path.unlink()
    again = await receive(storage, make_object("1.2.3.0", pixels=bytes(octets)), uid="1.2.3.0", step=7000)
    assert stored_data_set(again.path) == make_object("1.2.3.0", pixels=bytes(octets))
    storage.close()
