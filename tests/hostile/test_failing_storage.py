"""A directory that fills, goes or changes while the server runs: truthful refusals, old objects untouched, recovery."""

import os
import subprocess

import pytest
import trio
from hostile_kit import PATIENCE, image, named, serving, store

STORED, NO_ROOM = "C-STORE-RSP(0000H)", "C-STORE-RSP(A700H)"
PAGE = 4096
PIXELS = bytes(range(256)) * 400  # 100 kB: 25 pages and one for the header


class Sender:
    """One association on which objects are sent, one after the other."""

    def __init__(self, server):
        self.server = server
        self.sent = {}
        self._peer = None
        self._message_id = 0

    async def __call__(self, name, pixels=PIXELS):
        """The answer to an object; again the same octets for the same name."""
        if self._peer is None:
            self._peer = await self.server.connect()
            await self._peer.associate()
        self._message_id += 1
        uid = named(name)
        octets = image(uid, pixels)
        self._peer.answers.clear()
        with trio.fail_after(PATIENCE):
            await self._peer.send(store(uid, octets, message_id=self._message_id))
            await self._peer.hear(1)
        if self._peer.answers == [STORED]:
            self.sent[uid] = octets
        return self._peer.answers[0]

    def check(self):
        """Stored is what was acknowledged, octet for octet, and nothing else is left."""
        assert self.server.stored() == self.sent
        assert self.server.temporary_files() == []


@pytest.fixture
def mounted(tmp_path):
    """A file system of 2 MiB."""
    directory = tmp_path / "mounted"
    directory.mkdir()
    if os.geteuid():
        pytest.skip("a full disk can't be shown: mounting a file system takes root")
    options = "size=2m,nr_inodes=5000,mode=755"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    mount = subprocess.run(command, capture_output=True, check=False)
    if mount.returncode:
        pytest.skip(f"a full disk can't be shown: {mount.stderr.decode().strip()}")
    yield directory
    run("umount", "--lazy", directory)


def run(*command):
    subprocess.run(command, check=True)


def leave_free(filler, pages):
    """Fill the file system until so many pages are free."""
    status = os.fstatvfs(filler)
    free = status.f_bavail * status.f_frsize // PAGE
    size = os.fstat(filler).st_size + (free - pages) * PAGE
    os.ftruncate(filler, size)
    if size:
        os.posix_fallocate(filler, 0, size)
    assert os.fstatvfs(filler).f_bavail * os.fstatvfs(filler).f_frsize // PAGE == pages


@pytest.mark.parametrize("durability", ["fsync", "batch"])
async def test_a_disk_that_fills_page_by_page(mounted, durability):
    with serving("--durability", durability, storage=mounted / "stored") as server:
        send = Sender(server)
        assert await send("kept") == STORED
        filler = os.open(mounted / "filler", os.O_RDWR | os.O_CREAT)
        answers = []
        for pages in range(30, -1, -1):
            leave_free(filler, pages)
            name = f"{pages} pages are free"
            answers.append(await send(name))
            assert await send("kept") in (STORED, NO_ROOM), "the same again has no room to come, or is there already"
            send.check()
            if answers[-1] == STORED:
                del send.sent[named(name)]
                next(server.running.storage.glob(f"*/{named(name)}.dcm")).unlink()
        stored = answers.count(STORED)
        assert answers == [STORED] * stored + [NO_ROOM] * (31 - stored)
        assert 3 <= stored <= 6, "26 pages are needed for the object, and some for directories"
        os.close(filler)
        (mounted / "filler").unlink()
        assert await send("there is room again") == STORED
        send.check()
        await server.serves_others()


async def test_a_disk_that_is_read_only_for_a_while(mounted):
    with serving(storage=mounted / "stored") as server:
        send = Sender(server)
        assert await send("before") == STORED
        run("mount", "-o", "remount,ro", mounted)
        assert await send("meanwhile") == NO_ROOM
        await server.serves_others()
        send.check()
        run("mount", "-o", "remount,rw", mounted)
        assert await send("meanwhile") == STORED
        assert await send("before") == STORED
        send.check()


async def test_a_directory_that_goes_and_comes_and_is_replaced(tmp_path):
    """Nothing is acknowledged that would not be found under the directory's name; nothing is written elsewhere."""
    directory, aside, other = tmp_path / "stored", tmp_path / "aside", tmp_path / "other"
    with serving(storage=directory) as server:
        send = Sender(server)
        assert await send("before") == STORED
        directory.rename(aside)
        assert await send("it is gone") == NO_ROOM
        other.mkdir()
        directory.symlink_to(other)
        assert await send("it is a link") == NO_ROOM
        directory.unlink()
        directory.mkdir()
        assert await send("it is another") == NO_ROOM
        assert list(directory.iterdir()) == list(other.iterdir()) == []
        directory.rmdir()
        aside.rename(directory)
        assert await send("it is back") == STORED
        send.check()
        shards = [path for path in directory.iterdir() if path.name != ".incoming"]
        for shard in shards:
            shard.rename(other / shard.name)
            shard.symlink_to(other / shard.name)
        before = sorted(other.rglob("*"))
        assert await send("before", b"another") == NO_ROOM, "no link is followed"
        assert sorted(other.rglob("*")) == before
        await server.serves_others()


async def test_a_directory_that_is_removed(tmp_path):
    with serving(storage=tmp_path / "stored") as server:
        send = Sender(server)
        assert await send("before") == STORED
        run("rm", "-rf", tmp_path / "stored")
        assert await send("it is removed") == NO_ROOM
        assert not (tmp_path / "stored").exists()
        await server.serves_others()
        assert "Traceback" not in server.running.log.read_text()
