"""What `Storage` promises, sentence by sentence, and the tests of each.

acknowledged means durable      test_acknowledged_means_durable_*       the order of operations, each durability
                                test_crash_images                       every state that a crash may leave
                                test_crash_system_calls                 the order as the kernel sees it; SIGKILL
all or nothing                  test_all_or_nothing_*                   nothing under the name before all is there
a resend never harms            test_a_resend_never_harms_*             broken off, refused, on a full disk
idempotent                      test_idempotent_*                       the same again; another; each policy
refusals are truthful           test_refusals_are_truthful_*            the status, and nothing left
                                test_storage_faults                     every error at every operation
bytes are kept                  test_bytes_are_kept_*                   each test file of pydicom
restart cleans                  test_restart_cleans_*                   what is left over, and only that
the peer never chooses a path   test_the_peer_never_chooses_a_path_*    UIDs and titles of any kind
"""

import hashlib
import os
import shutil
import stat
import string
import zlib
from pathlib import Path

import pydicom
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dulcet.dimse.uids import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN
from dulcet.errors import ConfigurationError, StorageError
from dulcet.services.part10 import read_header
from dulcet.services.storage import Durability, OnConflict, Storage, StorageOptions
from dulcet.services.storing import placing, storage_directory

TEST_DATA = Path(pydicom.__file__).parent / "data"
CT = "1.2.840.10008.5.1.4.1.1.2"
DURABILITIES = list(Durability)
POLICIES = list(OnConflict)


TRUNCATIONS = [end for end in range(66) if end != 48]
"""Where the data set of `make_object` may be cut so that it is seen: before its Pixel Data it is a smaller one."""


def shard(uid):
    return hashlib.sha256(uid.encode()).hexdigest()[:2]


def place(uid="1.2.3"):
    return f"{shard(uid)}/{uid}.dcm"


def identity(path):
    """Changes when a file is written, replaced or linked anew."""
    status = os.stat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size, status.st_nlink


@pytest.fixture(params=DURABILITIES, ids=lambda durability: durability.value)
def durability(request):
    return request.param


# Acknowledged means durable -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", [Durability.FSYNC, Durability.BATCH])
async def test_acknowledged_means_durable_by_the_order_of_operations(
    tmp_path, watched, open_storage, receive, make_object, durability
):
    file_system = watched.ListedFileSystem()
    storage = open_storage(file_system, durability=durability)
    directory = str(tmp_path / "stored")
    uids = ("1.2.3", "1.2.3.4")
    for uid in uids:
        file_system.operations.clear()
        await receive(storage, make_object(uid), uid=uid)
        number = str(uids.index(uid) + 1)
        assert file_system.done("write", "fsync", "link", "rename", "mkdir") == [
            *[("write", number)] * -(-len(make_object(uid)) // 16),
            ("mkdir", shard(uid)),
            ("fsync", number),
            ("link", f"{number} -> {uid}.dcm"),
            ("fsync", shard(uid)),
            ("fsync", directory),
        ]
        assert file_system.operations.index(("fsync", directory)) < file_system.operations.index(("unlink", number))


async def test_acknowledged_means_durable_for_a_directory_that_somebody_else_made(
    tmp_path, watched, open_storage, receive, make_object
):
    """It may not be on the disk yet: whoever made it is still waiting for that."""
    open_storage()
    (tmp_path / "stored" / shard("1.2.3")).mkdir()
    file_system = watched.ListedFileSystem()
    storage = open_storage(file_system)
    await receive(storage, make_object())
    directory = str(tmp_path / "stored")
    assert ("fsync", directory) in file_system.operations
    file_system.operations.clear()
    await receive(storage, make_object(pixels=b"others"))
    assert ("fsync", directory) not in file_system.operations, "once is enough"
    shutil.rmtree(tmp_path / "stored" / shard("1.2.3"))
    await receive(storage, make_object())
    assert ("fsync", directory) in file_system.operations, "it is another directory now"
    shutil.rmtree(tmp_path / "stored" / shard("1.2.3"))
    (tmp_path / "stored" / "filler").mkdir()  # so that the new one gets another inode
    await receive(open_storage(), make_object())
    file_system.operations.clear()
    await receive(storage, make_object(pixels=b"others"))
    assert ("fsync", directory) in file_system.operations, "it is another directory again, which somebody else made"


@pytest.mark.parametrize("can_sync_file_system", [False, True])
async def test_acknowledged_means_durable_for_a_group(
    tmp_path, watched, open_storage, make_object, stored_data_set, can_sync_file_system
):
    file_system = watched.ListedFileSystem()
    file_system.can_sync_file_system = can_sync_file_system
    storage = open_storage(file_system, durability=Durability.BATCH)
    uids = [f"1.2.3.{number}" for number in range(5)]
    incoming = [_begun(storage, uid, make_object(uid)) for uid in uids]
    file_system.operations.clear()
    stored = {}

    async def finish(one):
        result = await one.finish()
        stored[result.sop_instance_uid] = result

    async with trio.open_nursery() as nursery:
        for one in incoming:
            nursery.start_soon(finish, one)
    assert sorted(stored) == uids
    for uid in uids:
        assert stored_data_set(stored[uid].path) == make_object(uid)
    order = [operation for operation, _ in file_system.done("fsync", "link", "sync_file_system")]
    if can_sync_file_system:
        assert order == ["sync_file_system", *["link"] * 5, "sync_file_system"]
    else:
        assert order[:10] == ["fsync"] * 5 + ["link"] * 5
        names = {name for operation, name in file_system.done("fsync")}
        assert names >= {shard(uid) for uid in uids} | {str(tmp_path / "stored")}


def _begun(storage, uid, octets):
    incoming = storage.begin(
        sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax_uid="1.2.840.10008.1.2.1", calling_ae_title="X"
    )
    incoming.write(memoryview(octets))
    return incoming


@pytest.mark.parametrize("durability", [Durability.FSYNC, Durability.BATCH])
async def test_acknowledged_means_durable_for_what_was_there_already(
    watched, open_storage, receive, make_object, durability
):
    """Whoever stored it may have had no such promise to keep, or may not be done."""
    await receive(open_storage(durability=Durability.NONE), make_object())
    file_system = watched.ListedFileSystem()
    stored = await receive(open_storage(file_system, durability=durability), make_object())
    assert stored.is_duplicate
    synced = [name for _, name in file_system.done("fsync")]
    assert synced[-3:] == ["1.2.3.dcm", shard("1.2.3"), str(stored.path.parent.parent)]


async def test_durability_none_waits_for_nothing(watched, open_storage, receive, make_object, monkeypatch):
    """A handful of operations, no thread, no digest, no answer from the disk."""
    file_system = watched.ListedFileSystem()
    storage = open_storage(file_system, durability=Durability.NONE)
    await receive(storage, make_object("1.2"), uid="1.2")
    monkeypatch.setattr(trio.to_thread, "run_sync", None)
    monkeypatch.setattr(placing.Placing, "_digest", None)
    (storage._directory.path / shard("1.2.3")).mkdir()
    file_system.operations.clear()
    stored = await receive(storage, make_object(), step=1000)
    operations = [operation for operation, _ in file_system.operations]
    assert operations == ["open", "write", "stat", "open", "link", "close", "unlink", "close"]
    assert stored.sha256 is None


@pytest.mark.parametrize("missing", ["a", "a/b/c"])
def test_a_directory_that_is_made_is_made_durable(tmp_path, watched, open_storage, missing):
    file_system = watched.ListedFileSystem()
    open_storage(file_system, directory=tmp_path / missing)
    made = [tmp_path.joinpath(*missing.split("/")[: number + 1]) for number in range(missing.count("/") + 1)]
    expected = [pair for path in made for pair in (("mkdir", str(path)), ("fsync", str(path.parent)))]
    assert file_system.done("mkdir", "fsync")[: len(expected)] == expected


# All or nothing -----------------------------------------------------------------------------------------------------


async def test_all_or_nothing_until_the_end(tmp_path, open_storage, make_object, files, stored_data_set, durability):
    storage = open_storage(durability=durability)
    octets = make_object(pixels=os.urandom(1000))
    incoming = storage.begin(sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid="1.2.840.10008.1.2.1")
    for start in range(0, len(octets), 100):
        incoming.write(memoryview(octets)[start : start + 100])
        assert [name for name in files(tmp_path / "stored") if not name.startswith(".incoming/")] == []
        assert incoming.octets == min(start + 100, len(octets))
    stored = await incoming.finish()
    assert files(tmp_path / "stored") == [place()]
    assert stored.path == tmp_path / "stored" / place()
    assert stored_data_set(stored.path) == octets
    assert (stored.octets, stored.is_duplicate, stored.is_conflict) == (len(octets), False, False)


async def test_all_or_nothing_when_the_rest_never_comes(tmp_path, open_storage, make_object, files, durability):
    storage = open_storage(durability=durability)
    octets = make_object()
    for end in range(len(octets) + 1):
        incoming = _begun(storage, "1.2.3", octets[:end])
        incoming.abandon()
        assert files(tmp_path / "stored") == []
        incoming.abandon()
        with pytest.raises(StorageError, match="abandoned"):
            await incoming.finish()
        incoming.write(memoryview(b"more"))
    assert files(tmp_path / "stored") == []


async def test_all_or_nothing_when_the_storage_is_closed(tmp_path, open_storage, make_object, files):
    storage = open_storage()
    incoming = _begun(storage, "1.2.3", make_object())
    storage.close()
    storage.close()
    assert files(tmp_path / "stored") == []
    assert os.listdir(tmp_path / "stored" / ".incoming") == []
    with pytest.raises(StorageError):
        await incoming.finish()
    incoming.abandon()


async def test_short_writes_and_empty_fragments_are_no_matter(
    watched, open_storage, receive, make_object, stored_data_set
):
    class Slow(watched.WatchedFileSystem):
        def write(self, descriptor, buffers):
            return os.write(descriptor, b"".join(buffers)[:7])

    storage = open_storage(Slow())
    octets = make_object(pixels=os.urandom(1000))
    assert stored_data_set((await receive(storage, octets, step=100)).path) == octets
    incoming = _begun(storage, "1.2.4", b"")
    for piece in (b"", make_object("1.2.4")[:9], b"", make_object("1.2.4")[9:], b""):
        incoming.write(memoryview(piece))
    assert stored_data_set((await incoming.finish()).path) == make_object("1.2.4")


# A resend never harms -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_conflict", POLICIES)
async def test_a_resend_never_harms_when_it_is_broken_off(
    tmp_path, open_storage, receive, make_object, files, durability, on_conflict
):
    storage = open_storage(durability=durability, on_conflict=on_conflict)
    stored = await receive(storage, make_object())
    before = identity(stored.path)
    for octets in (make_object(), make_object(pixels=b"other pixels")):
        for end in TRUNCATIONS:
            incoming = _begun(storage, "1.2.3", octets[:end])
            if end % 2:
                incoming.abandon()
            else:
                with pytest.raises(StorageError):
                    await incoming.finish()
    assert identity(stored.path) == before
    assert files(tmp_path / "stored") == [place()]


@pytest.mark.parametrize("on_conflict", POLICIES)
async def test_a_resend_never_harms_on_a_full_disk(
    tmp_path, watched, open_storage, receive, make_object, files, durability, on_conflict
):
    file_system = watched.FaultyFileSystem()
    storage = open_storage(file_system, durability=durability, on_conflict=on_conflict)
    stored = await receive(storage, make_object())
    before = identity(stored.path)
    file_system.fails = lambda number, operation: 28 if operation == "write" else None
    for pixels in (b"pixels", b"other pixels"):
        with pytest.raises(StorageError, match="No space left") as raised:
            await receive(storage, make_object(pixels=pixels))
        assert raised.value.status == 0xA700
    assert identity(stored.path) == before
    assert files(tmp_path / "stored") == [place()]


# Idempotent ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on_conflict", POLICIES)
async def test_idempotent_when_the_same_comes_again(
    tmp_path, open_storage, receive, make_object, files, durability, on_conflict
):
    storage = open_storage(durability=durability, on_conflict=on_conflict)
    octets = make_object(pixels=os.urandom(3_000_000))
    first = await receive(storage, octets, step=100_000)
    before = identity(first.path)
    for calling in ("SCANNER", "ANOTHER", ""):
        again = await receive(storage, octets, step=70_000, calling=calling)
        assert (again.path, again.is_duplicate, again.octets) == (first.path, True, len(octets))
    assert identity(first.path) == before
    assert files(tmp_path / "stored") == [place()]


@pytest.mark.parametrize("change", [0, -1, 2_000_000])
async def test_idempotent_keeps_both_when_they_differ(
    tmp_path, open_storage, receive, make_object, files, stored_data_set, durability, change
):
    storage = open_storage(durability=durability)
    one = make_object(pixels=os.urandom(3_000_000))
    other = bytearray(one)
    start = one.index(b"OW\0\0") + 8
    other[start:][change] ^= 1
    position = start + change if change >= 0 else len(one) + change
    other[position] ^= 1
    other = bytes(other)
    await receive(storage, one, step=100_000)
    for is_first in (True, False):
        stored = await receive(storage, other, step=100_000)
        digest = hashlib.sha256(other).hexdigest()
        assert stored.sha256 == digest
        assert stored.path == tmp_path / "stored" / shard("1.2.3") / f"1.2.3~{digest[:12]}.dcm"
        assert (stored.is_conflict, stored.is_duplicate) == (is_first, not is_first)
    assert (await receive(storage, one, step=100_000)).is_duplicate
    assert [stored_data_set(tmp_path / "stored" / name) for name in files(tmp_path / "stored")] == [one, other]


async def test_idempotent_keeps_all_even_if_somebody_makes_digests_equal(
    tmp_path, open_storage, receive, make_object, files, stored_data_set, durability, monkeypatch
):
    monkeypatch.setattr(placing, "SHORT_DIGEST", 0)
    storage = open_storage(durability=durability)
    objects = [make_object(pixels=os.urandom(100)) for _ in range(4)]
    for octets in objects * 2:
        await receive(storage, octets)
    assert sorted(stored_data_set(tmp_path / "stored" / name) for name in files(tmp_path / "stored")) == sorted(objects)


async def test_idempotent_takes_another_encoding_for_another_object(
    tmp_path, open_storage, receive, files, stored_data_set, durability
):
    """The same octets mean something else in another transfer syntax."""
    storage = open_storage(durability=durability)
    syntaxes = (DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
    for syntax in (*syntaxes, *syntaxes):
        await receive(storage, b"deflated", syntax=syntax)
    assert len(files(tmp_path / "stored")) == 3
    with pytest.raises(StorageError) as raised:  # there is no fourth name for the same digest
        await receive(storage, b"deflated", syntax="1.2.3")
    assert raised.value.status == 0x0111
    assert len(files(tmp_path / "stored")) == 3


async def test_idempotent_refuses_another_when_told_to(tmp_path, open_storage, receive, make_object, files, durability):
    storage = open_storage(durability=durability, on_conflict=OnConflict.REFUSE)
    stored = await receive(storage, make_object())
    before = identity(stored.path)
    with pytest.raises(StorageError, match="another object with this UID is stored") as raised:
        await receive(storage, make_object(pixels=b"others"))
    assert raised.value.status == 0x0111
    assert identity(stored.path) == before
    assert files(tmp_path / "stored") == [place()]


async def test_idempotent_replaces_when_told_to(
    tmp_path, watched, open_storage, receive, make_object, files, stored_data_set, durability
):
    file_system = watched.ListedFileSystem()
    storage = open_storage(file_system, durability=durability, on_conflict=OnConflict.REPLACE)
    first = await receive(storage, make_object())
    with first.path.open("rb") as reader:  # whoever reads the old one goes on reading it
        file_system.operations.clear()
        second = await receive(storage, make_object(pixels=b"others"))
        before = reader.read()
        assert before.endswith(make_object())
    assert (second.path, second.is_conflict) == (first.path, True)
    assert stored_data_set(first.path) == make_object(pixels=b"others")
    assert files(tmp_path / "stored") == [place()]
    if durability is not Durability.NONE:
        second = f"1.2.3~{hashlib.sha256(before).hexdigest()}.dcm"
        assert file_system.done("fsync", "rename", "link") == [
            ("fsync", "2"),
            ("link", f"1.2.3.dcm -> {second}"),
            ("fsync", shard("1.2.3")),
            ("rename", "2 -> 1.2.3.dcm"),
            ("fsync", shard("1.2.3")),
        ]


@pytest.mark.parametrize("on_conflict", POLICIES)
@pytest.mark.parametrize("what", ["damaged", "link", "directory", "pipe"])
async def test_what_else_has_the_name_is_another(
    tmp_path, open_storage, receive, make_object, stored_data_set, durability, on_conflict, what
):
    storage = open_storage(durability=durability, on_conflict=on_conflict)
    path = tmp_path / "stored" / place()
    path.parent.mkdir()
    outside = tmp_path / "outside"
    outside.write_bytes(b"not to be touched")
    {
        "damaged": lambda: path.write_bytes(b"damaged"),
        "link": lambda: path.symlink_to(outside),
        "directory": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
    }[what]()
    if on_conflict is OnConflict.REFUSE or (on_conflict is OnConflict.REPLACE and what == "directory"):
        with pytest.raises(StorageError):
            await receive(storage, make_object())
    else:
        stored = await receive(storage, make_object())
        assert stored.is_conflict
        assert not stored.path.is_symlink()
        assert stored_data_set(stored.path) == make_object()
        assert (stored.path == path) is (on_conflict is OnConflict.REPLACE)
    assert outside.read_bytes() == b"not to be touched"


# Refusals are truthful ----------------------------------------------------------------------------------------------


REFUSALS = [
    ({"octets": b""}, 0xC000, "the data set is empty"),
    ({"octets": b"garbage, and nothing else"}, 0xC000, "."),
    ({"octets": bytes(300)}, 0xC000, r"\(0000,0000\) does not belong"),
    ({"uid": "1.2.4"}, 0xA900, "the data set names another SOP instance"),
    ({"uid": "1.2"}, 0xA900, "the data set names another SOP instance"),
    ({"uid": "1.2.3.4"}, 0xA900, "the data set names another SOP instance"),
    ({"sop_class": CT + ".1"}, 0xA900, "the data set names another SOP class"),
    ({"made": {"uid": None}}, 0xA900, "the data set does not name its SOP instance"),
    ({"made": {"sop_class": None}}, 0xA900, "the data set does not name its SOP class"),
    ({"made": {"uid": ""}}, 0xA900, "the data set does not name its SOP instance"),
    ({"syntax": IMPLICIT_VR_LITTLE_ENDIAN}, 0xC000, "."),
    ({"made": {"pixels": bytes(2000)}}, 0xA700, "it is larger than 2,000 octets"),
    ({"uid": "1.2.x"}, 0x0117, "is no UID"),
    ({"uid": ""}, 0x0117, "is no UID"),
    ({"sop_class": "1.2.x"}, 0x0122, "is no UID"),
    ({"syntax": "1.2.x"}, 0x0122, "is no UID"),
]


@pytest.mark.parametrize(("wrong", "status", "sentence"), REFUSALS)
async def test_refusals_are_truthful(
    tmp_path, open_storage, receive, make_object, files, durability, wrong, status, sentence
):
    storage = open_storage(durability=durability, max_object_octets=2000)
    octets = wrong.get("octets", make_object(**wrong.get("made", {})))
    options = {name: value for name, value in wrong.items() if name in ("uid", "sop_class", "syntax")}
    with pytest.raises(StorageError, match=sentence) as raised:
        await receive(storage, octets, **options)
    assert raised.value.status == status
    assert files(tmp_path / "stored") == []
    await receive(storage, make_object())
    assert files(tmp_path / "stored") == [place()]


async def test_refusals_are_truthful_at_every_truncation(
    tmp_path, open_storage, receive, make_object, files, durability
):
    storage = open_storage(durability=durability)
    octets = make_object()
    for end in TRUNCATIONS:
        with pytest.raises(StorageError) as raised:
            await receive(storage, octets[:end])
        assert raised.value.status in (0xC000, 0xA900)  # A900H where it ends before its UIDs
        assert files(tmp_path / "stored") == []


async def test_refusals_are_truthful_as_soon_as_they_are_certain(tmp_path, open_storage, files, make_object):
    """What is refused is no longer on the disk, and what still comes is counted only."""
    storage = open_storage()
    incoming = _begun(storage, "1.2.3", b"\0" * 1000)
    assert files(tmp_path / "stored") == []
    incoming.write(memoryview(bytes(1000)))
    assert incoming.octets == 2000
    with pytest.raises(StorageError) as raised:
        await incoming.finish()
    assert raised.value.status == 0xC000


class _Full:
    """What statvfs answers on a file system of 100 GiB."""

    f_frsize = 4096
    f_blocks = 100 * 1024**3 // 4096
    f_files, f_favail = 1_000_000, 1_000_000

    def __init__(self, free, inodes=1_000_000, files=1_000_000):
        self.f_bavail, self.f_favail, self.f_files = free // 4096, inodes, files


@pytest.mark.parametrize(
    ("status", "options", "is_refused"),
    [
        (_Full(2 * 1024**3 - 4096), {"min_free_octets": None}, True),
        (_Full(2 * 1024**3 + 4096), {"min_free_octets": None}, False),
        (_Full(2 * 1024**3), {"min_free_octets": 2 * 1024**3}, False),
        (_Full(2 * 1024**3 - 4096), {"min_free_octets": 2 * 1024**3}, True),
        (_Full(0), {"min_free_octets": 0}, False),
        (_Full(5 * 1024**3), {"min_free_octets": None, "min_free_share": 0.05}, False),
        (_Full(5 * 1024**3 - 4096), {"min_free_octets": None, "min_free_share": 0.05}, True),
        (_Full(1024**2), {"min_free_octets": None, "min_free_share": 0.0}, False),
        (_Full(50 * 1024**3, inodes=999), {"min_free_octets": None}, True),
        (_Full(50 * 1024**3, inodes=0, files=0), {"min_free_octets": None}, False),
    ],
)
async def test_refusals_are_truthful_below_the_watermark(
    tmp_path, watched, open_storage, receive, make_object, files, status, options, is_refused
):
    file_system = watched.ListedFileSystem()
    answer = [status]
    file_system.statvfs = lambda descriptor: answer[0]
    storage = open_storage(file_system, **options)
    if not is_refused:
        await receive(storage, make_object())
        return
    with pytest.raises(StorageError, match=r"free on the disk|hardly any inodes") as raised:
        await receive(storage, make_object())
    assert raised.value.status == 0xA700
    assert files(tmp_path / "stored") == []
    answer[0] = _Full(50 * 1024**3)
    await receive(storage, make_object())  # it clears itself


async def test_refusals_are_truthful_when_the_disk_fills_while_it_comes(
    tmp_path, watched, open_storage, files, make_object
):
    file_system = watched.ListedFileSystem()
    free = [100 * 1024**3]
    asked = []
    file_system.statvfs = lambda descriptor: asked.append(1) or _Full(free[0])
    storage = open_storage(file_system, min_free_octets=None)
    octets = make_object(pixels=bytes(40 * 1024**2))
    incoming = _begun(storage, "1.2.3", octets[: 1024**2])
    assert len(asked) == 1
    free[0] = 0
    for start in range(1024**2, len(octets), 1024**2):
        incoming.write(memoryview(octets)[start : start + 1024**2])
    assert len(asked) == 2, "once for each 16 MiB"
    assert files(tmp_path / "stored") == []
    with pytest.raises(StorageError, match="free on the disk"):
        await incoming.finish()


async def test_the_disk_is_asked_now_and_then(watched, receive, make_object, open_storage):
    file_system = watched.ListedFileSystem()
    storage = open_storage(file_system, durability=Durability.NONE)
    clock = [0.0]
    storage._shelf.space._clock = lambda: clock[0]
    storage._shelf.space._next_check = 1.0
    storage._shelf.space._octets_until_check = 1000
    for number in range(5):
        uid = f"1.2.{number}"
        await receive(storage, make_object(uid), uid=uid)
    assert file_system.done("statvfs") == []
    clock[0] = 1.0
    await receive(storage, make_object())
    assert len(file_system.done("statvfs")) == 1


# The directory ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["moved", "deleted", "replaced", "linked"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_refusals_are_truthful_when_the_directory_is_gone(
    tmp_path, open_storage, make_object, files, durability, what, when
):
    storage = open_storage(durability=durability)
    directory, other = tmp_path / "stored", tmp_path / "other"
    other.mkdir()
    incoming = _begun(storage, "1.2.3", make_object()) if when == "meanwhile" else None
    directory.rename(tmp_path / "elsewhere")
    if what == "deleted":
        shutil.rmtree(tmp_path / "elsewhere")
    elif what == "replaced":
        directory.mkdir()
    elif what == "linked":
        directory.symlink_to(other)
    with pytest.raises(StorageError) as raised:
        await (incoming or _begun(storage, "1.2.3", make_object())).finish()
    assert raised.value.status == 0xA700
    for path in (directory, other, tmp_path / "elsewhere"):
        assert [name for name in files(path) if not name.startswith(".incoming")] == []


@pytest.mark.parametrize("what", ["link", "file"])
async def test_refusals_are_truthful_when_a_part_of_it_was_replaced(
    tmp_path, open_storage, receive, make_object, files, durability, what
):
    storage = open_storage(durability=durability)
    (tmp_path / "other").mkdir()
    part = tmp_path / "stored" / shard("1.2.3")
    part.symlink_to(tmp_path / "other") if what == "link" else part.touch()
    with pytest.raises(StorageError) as raised:
        await receive(storage, make_object())
    assert raised.value.status == 0xA700
    assert files(tmp_path / "other") == []


async def test_a_part_that_was_deleted_is_made_again(tmp_path, open_storage, receive, make_object, durability):
    storage = open_storage(durability=durability)
    await receive(storage, make_object())
    shutil.rmtree(tmp_path / "stored" / shard("1.2.3"))
    stored = await receive(storage, make_object())
    assert stored.path.exists()
    assert not stored.is_duplicate


async def test_only_we_may_read_what_is_stored(tmp_path, open_storage, receive, make_object):
    before = os.umask(0)
    try:
        storage = open_storage(directory=tmp_path / "a" / "b")
        stored = await receive(storage, make_object())
        for path in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/.incoming", stored.path.parent):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE(stored.path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_directory_that_can_not_be_used_is_said(tmp_path, open_storage, watched):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"can't be stored in .*file: Not a directory"):
        open_storage(directory=tmp_path / "file")
    with pytest.raises(ConfigurationError, match="Not a directory"):
        open_storage(directory=tmp_path / "file" / "below")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / ".incoming").symlink_to(tmp_path)
    with pytest.raises(ConfigurationError, match=r"Not a directory|Too many levels"):
        open_storage(directory=tmp_path / "linked")
    for error in (13, 30):
        file_system = watched.FaultyFileSystem(lambda number, operation, e=error: e if operation == "mkdir" else None)
        with pytest.raises(ConfigurationError, match=os.strerror(error)):
            open_storage(file_system, directory=tmp_path / "refused")


def test_a_relative_directory_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage = Storage(StorageOptions(directory=Path("here"), min_free_octets=0, durability=Durability.NONE))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    _begun(storage, "1.2.3", b"").abandon()
    storage._directory.check_place()
    storage.close()
    assert (tmp_path / "here").is_dir()


# Bytes are kept -----------------------------------------------------------------------------------------------------


def _test_files():
    for path in sorted((*TEST_DATA.glob("test_files/*.dcm"), *TEST_DATA.glob("charset_files/*.dcm"))):
        with path.open("rb") as file:
            try:
                header = read_header(file.fileno())
            except Exception:
                continue
        if header.sop_instance_uid and header.transfer_syntax_uid:
            yield pytest.param(path, header, id=path.name)


NOT_STORED = {
    "MR_truncated.dcm": 0xC000,
    "rtplan_truncated.dcm": 0xC000,
    **dict.fromkeys(  # their data sets don't name what they are
        ("UN_sequence.dcm", "priv_SQ.dcm", "no_meta_group_length.dcm", "chrSQEncoding.dcm", "chrSQEncoding1.dcm"),
        0xA900,
    ),
}


@pytest.mark.parametrize(("path", "header"), list(_test_files()))
async def test_bytes_are_kept_of_every_test_file(tmp_path, open_storage, receive, stored_data_set, files, path, header):
    storage = open_storage(durability=Durability.NONE)
    octets = path.read_bytes()[header.data_set_offset :]
    names = {"uid": header.sop_instance_uid, "sop_class": header.sop_class_uid, "syntax": header.transfer_syntax_uid}
    if path.name in NOT_STORED:
        with pytest.raises(StorageError) as raised:
            await receive(storage, octets, **names, step=5000)
        assert raised.value.status == NOT_STORED[path.name]
        assert files(tmp_path / "stored") == []
        return
    stored = await receive(storage, octets, **names, step=5000)
    assert stored_data_set(stored.path) == octets
    with stored.path.open("rb") as file:
        again = read_header(file.fileno())
    assert (again.sop_class_uid, again.sop_instance_uid) == (header.sop_class_uid, header.sop_instance_uid)
    assert again.transfer_syntax_uid == header.transfer_syntax_uid
    read = pydicom.filereader.read_file_meta_info(stored.path)
    assert read.MediaStorageSOPInstanceUID == header.sop_instance_uid
    assert read.SourceApplicationEntityTitle == "SCANNER"


async def test_bytes_are_kept_of_a_bomb_without_inflating_it(open_storage, receive, stored_data_set):
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = compressor.compress(bytes(60_000_000)) + compressor.flush()
    stored = await receive(open_storage(), bomb, syntax=DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, step=10_000)
    assert stored_data_set(stored.path) == bomb


# Restart cleans -----------------------------------------------------------------------------------------------------


async def test_restart_cleans_what_a_dead_process_left_and_nothing_else(
    tmp_path, open_storage, receive, make_object, files
):
    living = open_storage(durability=Durability.NONE)
    await receive(living, make_object())
    its = _begun(living, "1.2.4", make_object("1.2.4"))
    incoming = tmp_path / "stored" / ".incoming"
    its_files = [name for name in files(tmp_path / "stored") if name != place()]
    for name in ("0123456789abcdef/1", "0123456789abcdef/22", "0123456789abcdef/3333"):
        _put(incoming / name)
    (incoming / "fedcba9876543210").mkdir()
    kept = ["notes.txt", "0123456789abcdeX/1", "1111111111111111/notes.txt"]
    for name in kept:
        _put(incoming / name)
    _put(tmp_path / "outside" / "1")
    (incoming / "2222222222222222").symlink_to(tmp_path / "outside")
    open_storage()
    expected = [place(), *its_files, ".incoming/2222222222222222", *(f".incoming/{name}" for name in kept)]
    assert files(tmp_path / "stored") == sorted(expected)
    assert files(tmp_path / "outside") == ["1"]
    assert not (incoming / "0123456789abcdef").exists()
    assert not (incoming / "fedcba9876543210").exists()
    assert (await its.finish()).path.exists()


def _put(path):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"somebody's")


def test_restart_cleans_when_a_process_ends_in_good_order(tmp_path, open_storage, make_object):
    storage = open_storage()
    _begun(storage, "1.2.3", make_object())
    storage.close()
    assert os.listdir(tmp_path / "stored" / ".incoming") == []


def test_restart_cleans_beside_a_process_that_is_starting(tmp_path, open_storage, watched):
    """Between making its directory and locking it, another process may sweep it away: then it makes another."""

    class Swept(watched.WatchedFileSystem):
        times = 0

        def before(self, operation, arguments, keywords):
            if operation == "lock" and self.times < 3:
                self.times += 1
                open_storage().close()

    storage = open_storage(Swept())
    assert os.listdir(tmp_path / "stored" / ".incoming") == [storage._directory._temporary_name]
    _begun(storage, "1.2.3", b"").abandon()


def test_a_start_that_never_gets_a_directory_of_its_own_is_said(open_storage, watched, monkeypatch):
    monkeypatch.setattr(storage_directory.secrets, "token_hex", lambda octets: "0123456789abcdef")
    open_storage()
    with pytest.raises(ConfigurationError, match="no directory for what is being received could be made"):
        open_storage()


# The peer never chooses a path --------------------------------------------------------------------------------------

HOSTILE = (
    ".", "..", "../../../X", "/etc/passwd", "1.2/3", "1.2\\3", "1.2\0", "1.2\0x", "1" * 65, "1." * 2000, "", "a",
    "1.2.a", "1.2\r\n", "1.2\n", "1.02", "1..2", ".1", "1.", "1.2 ", " 1.2", "\u0661.\u0662", "\uff11.2", "1\u00b2",
    "-1", "+1", "1~2", "1.2.3.dcm", "CON", "\x1b[2J", "1.2\udcff", "0x1", "1_000",
)  # fmt: skip


@pytest.mark.parametrize("uid", HOSTILE)
def test_the_peer_never_chooses_a_path_by_a_uid(tmp_path, open_storage, files, uid):
    storage = open_storage()
    with pytest.raises(StorageError) as raised:
        _begun(storage, uid, b"")
    assert raised.value.status == 0x0117
    assert str(raised.value).isascii()
    lenient = open_storage(lenient_uid=True)
    if uid == "1.02":
        _begun(lenient, uid, b"").abandon()
    else:
        with pytest.raises(StorageError):
            _begun(lenient, uid, b"")
    assert files(tmp_path) == []


async def test_uids_with_leading_zeros_are_stored_when_told_to(open_storage, receive, make_object):
    stored = await receive(open_storage(lenient_uid=True), make_object("1.002.03"), uid="1.002.03")
    assert stored.path.name == "1.002.03.dcm"


@given(st.text(max_size=70) | st.text(alphabet="0123456789./\\~ \0", max_size=70))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_the_peer_never_chooses_a_path_whatever_it_says(open_storage, text):
    """A name is made of digits and dots, or there is none."""
    for lenient in (False, True):
        storage = open_storage(lenient_uid=lenient, durability=Durability.NONE)
        is_refused = False
        try:
            _begun(storage, text, b"").abandon()
        except StorageError as error:
            is_refused = error.status == 0x0117
        if not is_refused:
            assert 1 <= len(text) <= 64
            assert set(text) <= {*string.digits, "."}
            assert all(text.split("."))
        storage.close()


@pytest.mark.parametrize("title", ["../../etc", "..", "/", "A\\B", "A\r\nB", "A\x1b[2J", "\0", "X" * 100, "\u00e4"])
async def test_the_peer_never_chooses_a_path_by_its_title(
    tmp_path, open_storage, receive, make_object, files, stored_data_set, title
):
    stored = await receive(open_storage(), make_object(), calling=title)
    assert files(tmp_path) == [f"stored/{place()}"]
    assert stored_data_set(stored.path) == make_object()
    assert pydicom.dcmread(stored.path).file_meta.get("SourceApplicationEntityTitle") in (None, title)
