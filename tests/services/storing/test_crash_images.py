"""Every state that a crash may leave behind: what was acknowledged is there, and what is there is whole.

Promises (see test_storage): acknowledged_means_durable, all_or_nothing, a_resend_never_harms, restart_cleans.
"""

import hashlib
import itertools
import shutil
import threading

import pytest
import trio

from dulcet.services.storage import Durability, OnConflict

DURABLE = [Durability.FSYNC, Durability.BATCH]


@pytest.fixture
def crash(tmp_path, crash_model, open_storage, receive, make_object, stored_data_set):
    """A disk on which objects are stored, and then everything that a crash may have left of it."""
    return Crash(tmp_path, crash_model, open_storage, receive, make_object, stored_data_set)


class Crash:
    def __init__(self, tmp_path, crash_model, open_storage, receive, make_object, stored_data_set):
        self.tmp_path = tmp_path
        self.model = crash_model
        self.open_storage, self.receive = open_storage, receive
        self.make_object, self.data_set_of = make_object, stored_data_set
        self.recording = crash_model.Recording(tmp_path)
        self.sent = {}
        self.images = 0

    def storage(self, *, can_sync_file_system=False, forgets="", before_sync=lambda what: None, **options):
        file_system = self.model.RecordingFileSystem(self.recording, forgets, before_sync)
        file_system.can_sync_file_system = can_sync_file_system
        return self.open_storage(file_system, **options)

    async def store(self, storage, uid="1.2.3", pixels=b"pixels"):
        octets = self.make_object(uid, pixels=pixels)
        if octets not in self.sent.setdefault(uid, []):
            self.sent[uid].append(octets)
        stored = await self.receive(storage, octets, uid=uid, step=40)
        self.recording.acknowledge(uid, octets)
        return stored

    def losses(self, *, replaces=False):
        """Sentences about what is wrong after any of the crashes; what else must hold is asserted.

        `replaces`: what was acknowledged is there, or what was sent to replace it.
        """
        wrong = set()
        for number, (acknowledged, tree) in enumerate(self.model.images(self.recording)):
            self.images = number + 1
            base = self.tmp_path / f"crash {number}"
            self.model.materialize(tree, base)
            self.open_storage(directory=base / "stored", durability=Durability.NONE).close()
            there = self.there(base / "stored", wrong)
            for uid, octets in dict(acknowledged).items() if replaces else acknowledged:
                newer = self.sent[uid][self.sent[uid].index(octets) :] if replaces else [octets]
                if not any(one in there[uid] for one in newer):
                    wrong.add("an acknowledged object is lost")
            shutil.rmtree(base)
        return wrong

    def there(self, directory, wrong):
        """The data sets by UID."""
        there = {uid: [] for uid in self.sent}
        assert {path.name for path in directory.iterdir() if len(path.name) != 2} == {".incoming"}
        assert list((directory / ".incoming").iterdir()) == []
        for path in directory.glob("*/*"):
            uid = path.name.removesuffix(".dcm").split("~")[0]
            try:
                octets = self.data_set_of(path)
            except Exception:
                octets = None
            if octets not in self.sent[uid]:
                wrong.add("a file under its final name is not whole")
            there[uid].append(octets)
        return there


@pytest.mark.parametrize("durability", DURABLE)
async def test_acknowledged_means_durable_after_any_crash(crash, durability):
    storage = crash.storage(durability=durability)
    for uid in ("1.2.3", "1.2.4", "1.2.5"):
        await crash.store(storage, uid)
    storage.close()
    assert crash.losses() == set()
    assert crash.images > 100


@pytest.mark.parametrize("durability", DURABLE)
@pytest.mark.parametrize("on_conflict", list(OnConflict))
async def test_a_resend_never_harms_after_any_crash(crash, durability, on_conflict):
    storage = crash.storage(durability=durability, on_conflict=on_conflict)
    await crash.store(storage)
    await crash.store(storage)
    if on_conflict is not OnConflict.REFUSE:
        await crash.store(storage, pixels=b"others")
        await crash.store(storage, pixels=b"others")
        await crash.store(storage, pixels=b"more")
    storage.close()
    assert crash.losses(replaces=on_conflict is OnConflict.REPLACE) == set()


@pytest.mark.parametrize("durability", DURABLE)
async def test_a_resend_never_harms_until_the_other_is_surely_there(crash, durability):
    """At no moment may a crash leave either this one or that one."""
    storage = crash.storage(durability=durability, on_conflict=OnConflict.REPLACE)
    await crash.store(storage)
    start = len(crash.recording.changes)
    await crash.store(storage, pixels=b"others")
    one, other = crash.sent["1.2.3"]
    for trees in list(crash.model.moments(crash.recording))[start:]:
        contents = [list(crash.model.octets_of_files(tree)) for tree in trees]
        assert any(all(any(file.endswith(octets) for file in image) for image in contents) for octets in (one, other))


async def test_a_resend_never_harms_what_a_storage_without_promises_had_stored(crash):
    """What is acknowledged as being there already has to be there after a crash, too."""
    careless = crash.storage(durability=Durability.NONE)
    octets = crash.make_object()
    await crash.receive(careless, octets, step=40)
    await crash.store(crash.storage())
    assert crash.losses() == {"a file under its final name is not whole"}, "before it was acknowledged"


@pytest.mark.parametrize("can_sync_file_system", [False, True])
async def test_acknowledged_means_durable_for_groups_after_any_crash(crash, can_sync_file_system):
    storage = crash.storage(durability=Durability.BATCH, can_sync_file_system=can_sync_file_system)
    for uids in (("1.2.3", "1.2.4"), ("1.2.5", "1.2.3")):
        async with trio.open_nursery() as nursery:
            for uid in uids:
                nursery.start_soon(crash.store, storage, uid)
    storage.close()
    assert crash.losses() == set()
    assert crash.images > 100


def _neighbours():
    """Two UIDs whose objects lie in one directory."""
    found = {}
    for number in itertools.count():
        uid = f"1.2.{number}"
        other = found.setdefault(hashlib.sha256(uid.encode()).hexdigest()[:2], uid)
        if other != uid:
            return other, uid


async def test_acknowledged_means_durable_in_a_directory_that_another_process_has_just_made(crash):
    """Its own object is not on the disk yet, nor is the directory: ours waits for both."""
    one, other = _neighbours()
    second = crash.storage()

    def store_other(what):
        if not crash.sent.get(other) and crash.model.BASE not in (what,) and is_linked():
            crash.sent[other] = [crash.make_object(other)]
            thread = threading.Thread(target=trio.run, args=(crash.store, second, other))
            thread.start()
            thread.join()

    def is_linked():
        return list((crash.tmp_path / "stored").glob(f"*/{one}.dcm"))

    first = crash.storage(before_sync=store_other)
    await crash.store(first, one)
    assert [change[1] for change in crash.recording.changes if change[0] == "acknowledged"] == [other, one]
    assert crash.losses() == set()


# The model itself: it must find what is wrong -----------------------------------------------------------------------


async def test_the_model_finds_what_no_promise_loses(crash):
    storage = crash.storage(durability=Durability.NONE)
    await crash.store(storage)
    assert crash.losses() == {"an acknowledged object is lost", "a file under its final name is not whole"}


@pytest.mark.parametrize("durability", DURABLE)
@pytest.mark.parametrize(
    ("forgets", "sentences"),
    [
        ("files", {"an acknowledged object is lost", "a file under its final name is not whole"}),
        ("directories", {"an acknowledged object is lost"}),
    ],
)
async def test_the_model_finds_what_a_forgotten_fsync_loses(crash, durability, forgets, sentences):
    storage = crash.storage(durability=durability, forgets=forgets)
    await crash.store(storage)
    assert crash.losses() == sentences


def test_the_model_knows_the_rules(crash_model):
    disk = crash_model.Disk()
    for change in (("name", 0, "a", 1), ("written", 1, b"x"), ("written", 1, b"y")):
        disk.apply(change)
    empty = frozenset()
    before = {empty, *(frozenset({("a", octets)}) for octets in (b"", b"x", b"xy", b"x\0"))}
    assert set(disk.images()) == before
    disk.apply(("synced", 1))
    assert set(disk.images()) == {empty, frozenset({("a", b"xy")})}
    disk.apply(("synced", 0))
    disk.apply(("name", 0, "b", 1))
    disk.apply(("name", 0, "a", None))
    both, neither = frozenset({("a", b"xy"), ("b", b"xy")}), empty
    assert set(disk.images()) == {both, neither, frozenset({("a", b"xy")}), frozenset({("b", b"xy")})}
    disk.apply(("all synced",))
    assert set(disk.images()) == {frozenset({("b", b"xy")})}
