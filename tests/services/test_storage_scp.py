"""C-STORE performed: what each object is answered with, and what is on the disk then."""

import errno
import os
import struct
import threading

import pytest
import trio

from dulcet.dimse.messages import CEchoRQ, CStoreRQ
from dulcet.dimse.status import SUCCESS
from dulcet.errors import StorageError
from dulcet.services.acceptor import ECHO
from dulcet.services.storage import Durability, OnConflict, Storage, StorageOptions
from dulcet.services.storage_scp import storage_operation
from dulcet.ul.pdu import AAbort, AAssociateAC, AReleaseRP, AReleaseRQ

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
PATIENCE = 60  # seconds


def element(group, number, value):
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", group, number, len(value)) + value


def data_set(instance="2.25.7", sop_class=CT, pixels=b"\1\2" * 500):
    """In Implicit VR Little Endian."""
    return (
        element(0x0008, 0x0016, sop_class.encode())
        + element(0x0008, 0x0018, instance.encode())
        + element(0x7FE0, 0x0010, pixels)
    )


def failing(number):
    """An operation of the file system that fails."""

    def fail(*_arguments, **_keywords):
        raise OSError(number, os.strerror(number))

    return fail


class Stored:
    """A storage SCP with a peer."""

    def __init__(self, scp, octets, directory, **options):
        self.directory = directory / "objects"
        self.octets = octets
        self.storage = Storage(StorageOptions(**{"directory": self.directory, "min_free_octets": 0} | options))
        self.observed = []
        operation = storage_operation(
            self.storage, observe=lambda association, request, outcome: self.observed.append((request, outcome))
        )
        self.served = scp(operations={CEchoRQ: ECHO, CStoreRQ: operation}, operations_invoked=8)
        self.peer = self.served.peer

    async def associate(self, window=1):
        await self.peer.send(self.octets.request(items=(self.octets.window(window),)))
        assert isinstance(await self.peer.pdu(), AAssociateAC)

    async def send(self, octets, instance="2.25.7", message_id=1):
        """The response to one object."""
        await self.peer.send(self.octets.store(octets, instance=instance, message_id=message_id))
        with trio.fail_after(PATIENCE):
            return await self.peer.message()

    async def end(self):
        """The association is released and the storage closed."""
        await self.peer.send(AReleaseRQ())
        with trio.fail_after(PATIENCE):
            assert await self.peer.pdu() == AReleaseRP()
            self.peer.close()
            assert await self.served.end() is None

    def files(self):
        """{path below the directory: octets} of every file, unfinished ones too."""
        return {
            str(path.relative_to(self.directory)): path.read_bytes()
            for path in sorted(self.directory.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def stored(scp, octets, tmp_path):
    """Makes a storage SCP with a peer."""
    made = []

    def make(**options):
        made.append(Stored(scp, octets, tmp_path, **options))
        return made[-1]

    yield make
    for one in made:
        one.storage.close()


@pytest.mark.parametrize("durability", list(Durability))
async def test_an_object_is_there_before_it_is_acknowledged(stored, durability, autojump_clock):
    one = stored(durability=durability)
    await one.associate()
    response = await one.send(data_set())
    assert (response.NAME, response.status, response.affected_sop_instance_uid) == ("C-STORE-RSP", SUCCESS, "2.25.7")
    (name,) = one.files()
    assert name.endswith("/2.25.7.dcm")
    assert one.files()[name].endswith(data_set())
    assert b"PEER" in one.files()[name]  # Source Application Entity Title
    ((request, outcome),) = one.observed
    assert (request.affected_sop_instance_uid, outcome.octets) == ("2.25.7", len(data_set()))
    await one.end()


async def test_the_same_again_is_stored_once(stored, autojump_clock):
    one = stored()
    await one.associate()
    for number in range(3):
        assert (await one.send(data_set(), message_id=number)).status == SUCCESS
    assert len(one.files()) == 1
    assert [outcome.is_duplicate for _, outcome in one.observed] == [False, True, True]
    await one.end()


@pytest.mark.parametrize(
    ("on_conflict", "status", "count"),
    [(OnConflict.KEEP_BOTH, SUCCESS, 2), (OnConflict.REFUSE, 0x0111, 1), (OnConflict.REPLACE, SUCCESS, 1)],
)
async def test_another_with_the_same_uid(stored, on_conflict, status, count, autojump_clock):
    one = stored(on_conflict=on_conflict)
    await one.associate()
    assert (await one.send(data_set())).status == SUCCESS
    assert (await one.send(data_set(pixels=b"\3\4"), message_id=2)).status == status
    assert len(one.files()) == count
    await one.end()


HOSTILE = [
    "",
    ".",
    "..",
    "../../../PWNED",
    "/etc/passwd",
    "1.2\\0x",
    "1..2",
    "1.02",
    "letters",
    "1.2\r\n",
    "\xe9",
    "9" * 66,
]


@pytest.mark.parametrize("instance", HOSTILE)
async def test_what_is_no_uid_is_refused_and_leaves_nothing(stored, instance, autojump_clock):
    one = stored()
    await one.associate()
    response = await one.send(data_set(instance="1.2"), instance=instance)
    assert response.status == 0x0117
    assert one.files() == {}
    assert isinstance(one.observed[0][1], StorageError)
    assert (await one.send(data_set(), message_id=2)).status == SUCCESS
    await one.end()


WRONG = [
    pytest.param(data_set(instance="2.25.8"), 0xA900, id="another instance"),
    pytest.param(data_set(sop_class=MR), 0xA900, id="another class"),
    pytest.param(element(0x7FE0, 0x0010, b"\0\0"), 0xA900, id="neither class nor instance"),
    pytest.param(data_set()[:-500], 0xC000, id="cut inside Pixel Data"),
    pytest.param(data_set()[: len(data_set()) - 1004], 0xC000, id="cut inside an element's head"),
    pytest.param(b"", 0xC000, id="empty"),
    pytest.param(b"\x99" * 3000, 0xC000, id="garbage"),
    pytest.param(data_set() + element(0x0008, 0x0016, CT.encode()), 0xC000, id="elements not ascending"),
]


@pytest.mark.parametrize(("contents", "status"), WRONG)
async def test_a_data_set_that_is_no_good_is_refused_and_leaves_nothing(stored, contents, status, autojump_clock):
    one = stored()
    await one.associate()
    response = await one.send(contents)
    assert response.status == status
    assert response.error_comment
    assert len(response.error_comment) <= 64
    assert one.files() == {}
    assert (await one.send(data_set(), message_id=2)).status == SUCCESS
    assert len(one.files()) == 1
    await one.end()


async def test_a_larger_one_than_allowed(stored, autojump_clock):
    one = stored(max_object_octets=1000)
    await one.associate()
    assert (await one.send(data_set(pixels=bytes(1000)))).status == 0xA700
    assert one.files() == {}
    assert (await one.send(data_set(pixels=bytes(100)), message_id=2)).status == SUCCESS
    await one.end()


async def test_without_room_nothing_is_taken(stored, autojump_clock):
    one = stored(min_free_octets=1 << 62)
    await one.associate()
    response = await one.send(data_set())
    assert response.status == 0xA700
    assert "octets are free on the disk" in response.error_comment
    assert one.files() == {}
    await one.end()


FAULTS = [
    pytest.param({"write": errno.ENOSPC}, "No space left on device", id="no space"),
    pytest.param({"write": errno.EDQUOT}, "quota exceeded", id="quota"),
    pytest.param({"link": errno.ENOSPC}, "No space left on device", id="no space for a name"),
    pytest.param({"link": errno.EROFS}, "Read-only file system", id="read-only"),
    pytest.param({"fsync": errno.EIO}, "can't be made durable", id="the disk fails"),
]


@pytest.mark.parametrize(("fails", "comment"), FAULTS)
async def test_what_the_disk_refuses_is_refused_and_leaves_nothing(stored, fails, comment, autojump_clock):
    one = stored()
    await one.associate()
    assert (await one.send(data_set())).status == SUCCESS  # the copy that must stay
    before = one.files()
    file_system = one.storage._directory.file_system
    for operation, number in fails.items():
        setattr(file_system, operation, failing(number))
    response = await one.send(data_set(instance="2.25.9"), instance="2.25.9", message_id=2)
    assert response.status == 0xA700
    assert comment in response.error_comment
    again = await one.send(data_set(pixels=b"\5\6"), message_id=3)
    assert again.status == 0xA700
    assert one.files() == before
    for operation in fails:
        delattr(file_system, operation)
    last = await one.send(data_set(instance="2.25.9"), instance="2.25.9", message_id=4)
    assert one.storage.failed == ("fsync" in fails)
    assert last.status == (0xA700 if one.storage.failed else SUCCESS)
    await one.end()


@pytest.mark.parametrize("how", ["abort", "fault", "end"])
async def test_an_object_that_does_not_come_to_its_end_leaves_nothing(stored, how, autojump_clock):
    one = stored()
    await one.associate()
    assert (await one.send(data_set())).status == SUCCESS
    before = one.files()
    part = one.octets.store(data_set(pixels=b"\7\7" * 900)[:700], message_id=2, is_last=False)
    await one.peer.send(part)
    await trio.testing.wait_all_tasks_blocked()
    assert len(one.files()) == 2  # it is being received
    if how != "end":
        await one.peer.send(AAbort() if how == "abort" else b"\x99")
    one.peer.close()
    with trio.fail_after(PATIENCE):
        assert await one.served.end() is not None
    assert one.files() == before


async def test_several_at_once_on_one_association(stored, autojump_clock):
    one = stored(durability=Durability.BATCH)
    await one.associate(window=8)
    for number in range(20):
        instance = f"2.25.{number}"
        await one.peer.send(one.octets.store(data_set(instance), instance=instance, message_id=number))
    with trio.fail_after(PATIENCE):
        responses = [await one.peer.message() for _ in range(20)]
    assert {response.message_id for response in responses} == set(range(20))
    assert {response.status for response in responses} == {SUCCESS}
    assert len(one.files()) == 20
    await one.end()


async def test_cancelled_while_the_disk_works_the_object_is_whole_or_not_there(stored, autojump_clock):
    one = stored()
    await one.associate()
    at_work, go_on = trio.Event(), threading.Event()
    token, file_system = trio.lowlevel.current_trio_token(), one.storage._directory.file_system
    fsync = file_system.fsync

    def held(descriptor):
        token.run_sync_soon(at_work.set)
        assert go_on.wait(PATIENCE)
        fsync(descriptor)

    file_system.fsync = held
    with trio.fail_after(PATIENCE):
        await one.peer.send(one.octets.store(data_set()))
        await at_work.wait()
        one.served.scope.cancel()
        go_on.set()
        assert await one.peer.pdu() == AAbort(source=0, reason=0)
        one.peer.close()
        await one.served.over.wait()
    assert [name for name in one.files() if name.startswith(".incoming")] == []
    assert all(contents.endswith(data_set()) for contents in one.files().values())
