"""Kill `dulcet serve` again and again while it receives, and look at what it left: `python tests/crash/kill_loop.py`.

Each lane has a directory, a server and senders of its own. A sender logs every 0000H, and syncs its log, before it goes
on. The server is killed (SIGKILL) at a random moment; then nothing that was acknowledged may be missing, no file may be
less than its object, and none may be there twice. It is started again on the same directory, where what it was
receiving must be gone; a part of what was acknowledged is sent again, and it dies again.

SIGKILL shows what a process may leave; what a system may lose is for other tests.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import trio
from processes import PATIENCE, start
from sender import Objects, Refused, send

from dulcet.services.part10 import read_header

LONGEST_LIFE = 0.3  # seconds from the first association; or from the first connection, in some lives
FROM_CONNECTION = 0.2  # share of them
KILLED_AT_START = 0.05  # share of the lives that end before the server is ready
SENDERS = 3  # on one server at most
LIVES_OF_A_DIRECTORY = 150
MOST = 10  # times as many lives as are wanted, when they show nothing


# A lane ---------------------------------------------------------------------------------------------------------------


class Lane:
    """One directory at a time, and the lives of its server."""

    def __init__(self, number, processes, durability, room, seed, counts, failures):
        self._number = number
        self._processes = processes
        self._durability = durability
        self._room = room / f"lane-{number}"
        self._seed = seed
        self._chance = random.Random(f"{seed}/{number}")
        self._counts = counts
        self._failures = failures
        self._generation = 0
        self._lives = 0
        self._room.mkdir()
        self._renew()

    def _renew(self):
        """A new directory, so that looking at it stays quick."""
        self._generation += 1
        self._directory = self._room / f"stored-{self._generation}"
        self._objects = Objects(self._number, self._generation, self._seed)
        self._acknowledged = set()
        self._whole = {}
        self._log = os.open(self._room / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def live_and_die(self):
        """One life of the server."""
        self._lives += 1
        output = self._room / f"output-{self._lives}"
        output.touch()
        words = ["serve", "--port", "0", "--directory", self._directory, "--durability", self._durability]
        pid = await self._processes.begin([*words, "--min-free", "0", "--no-queue"], output)
        if self._chance.random() < KILLED_AT_START:
            await trio.sleep(self._chance.uniform(0, 0.05))
            self._counts["killed at the start"] += 1
            await self._processes.kill(pid)
        else:
            port = await self._ready(output)
            self._look("after the start")
            self._look_for_leftovers()
            await self._receive(port, pid)
        self._counts["kills"] += 1
        self._counts["killed while receiving"] += bool(self._temporary_files())
        self._look("after the kill")
        if "Traceback" in (text := output.read_text()):
            self._fail(f"a traceback:\n{text}")
        output.unlink()
        if self._lives % LIVES_OF_A_DIRECTORY == 0:
            self._end_of_directory()

    async def _ready(self, output):
        with trio.fail_after(PATIENCE):
            while " is ready on " not in (text := output.read_text()):  # noqa: ASYNC110
                await trio.sleep(0.002)
        return int(text.split(" is ready on ")[1].split(",")[0].rpartition(":")[2])

    async def _receive(self, port, pid):
        """Senders at work when the moment comes."""
        self._is_killed = False
        self._begins = trio.Event()
        async with trio.open_nursery() as nursery:
            for _ in range(self._chance.randint(1, SENDERS)):
                nursery.start_soon(self._send, port)
            if self._chance.random() >= FROM_CONNECTION:
                with trio.fail_after(PATIENCE):
                    await self._begins.wait()
            await trio.sleep(self._chance.uniform(0, LONGEST_LIFE))
            self._is_killed = True
            await self._processes.kill(pid)

    async def _send(self, port):
        try:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await send(
                    stream, self._objects, self._chance, self._log, self._counts, self._acknowledged, self._begins
                )
        except (EOFError, OSError, trio.BrokenResourceError) as error:
            if not self._is_killed:
                self._fail(f"the server ended the connection before it was killed: {error!r}")
        except Refused as refused:
            self._fail(str(refused))

    # What it left ---------------------------------------------------------------------------------------------------

    def _fail(self, what):
        self._failures.append(f"lane {self._number}, life {self._lives}: {what}")

    def _temporary_files(self):
        return list(self._directory.glob(".incoming/*/*"))

    def _look_for_leftovers(self):
        directories = os.listdir(self._directory / ".incoming")
        if len(directories) != 1 or self._temporary_files():
            self._fail(f"left in .incoming after a start: {directories} {self._temporary_files()}")

    def _look(self, when):
        """Every file is whole and wanted; every object that was acknowledged is there."""
        found = set()
        for shard in os.scandir(self._directory) if self._directory.exists() else ():
            if shard.name == ".incoming":
                continue
            for entry in os.scandir(shard.path):
                found.add(entry.name)
                status = entry.stat()
                identity = status.st_ino, status.st_size, status.st_mtime_ns
                if self._whole.get(entry.name) != identity:
                    self._look_at(entry, when)
                    self._whole[entry.name] = identity
        for number in self._acknowledged:
            if f"{self._objects.uid(number)}.dcm" not in found:
                self._fail(f"{when}: {self._objects.uid(number)} was acknowledged and is lost")

    def _look_at(self, entry, when):
        number = self._objects.number(entry.name)
        if number is None:
            self._fail(f"{when}: {entry.name} should not be there")
            return
        with open(entry.path, "rb") as file:
            octets = file.read()
        try:
            with open(entry.path, "rb") as file:
                offset = read_header(file.fileno()).data_set_offset
        except Exception as error:
            self._fail(f"{when}: {entry.name} can't be read: {error}")
            return
        if octets[offset:] != self._objects.octets(number):
            self._fail(f"{when}: {entry.name} is not what was sent")
        self._counts["objects looked at"] += 1

    def _end_of_directory(self):
        """All files once more, whatever was seen before; then a new directory."""
        self._whole.clear()
        self._look("at the end")
        logged = set((self._room / "acknowledged").read_text().split())
        for number in self._acknowledged:
            assert self._objects.uid(number) in logged
        os.close(self._log)
        subprocess.run(["rm", "-rf", str(self._directory)], check=True)
        self._renew()

    def close(self):
        self._end_of_directory()
        os.close(self._log)


# All ------------------------------------------------------------------------------------------------------------------


async def run(options, room):
    """Counts and failures."""
    counts, failures = Counter(), []
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        processes, process = await start(nursery, environment={"DULCET_STATE": str(room / "state")})
        lanes = [
            Lane(number, processes, options.durability, room, options.seed, counts, failures)
            for number in range(options.lanes)
        ]
        async with trio.open_nursery() as working:
            for lane in lanes:
                working.start_soon(live, lane, options, counts, failures)
        for lane in lanes:
            lane.close()
        await process.stdin.aclose()
    counts["seconds"] = round(trio.current_time() - started, 1)
    return counts, failures


def is_enough(counts, options):
    """Whether there were as many lives as are wanted, and they showed something: on a busy machine one does less."""
    is_shown = (
        counts["acknowledgements"] >= options.acknowledgements
        and counts["killed while receiving"] > options.kills / 10
        and counts["resent"] > 0
    )
    return counts["begun"] >= (options.kills if is_shown else MOST * options.kills)


async def live(lane, options, counts, failures):
    """Lives until there were enough of all lanes, or something failed."""
    while not is_enough(counts, options) and not failures:
        counts["begun"] += 1
        await lane.live_and_die()
        if counts["kills"] % 500 == 0:
            print(json.dumps(counts), file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--acknowledgements", type=int, default=0, help="go on until there were so many as well")
    parser.add_argument("--durability", choices=("fsync", "batch", "none"), default="fsync")
    parser.add_argument("--lanes", type=int, default=6, help="servers at the same time")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dulcet-crash-") as room:
        counts, failures = trio.run(run, options, Path(room))
    print(json.dumps({"seed": options.seed, "durability": options.durability, **counts, "failures": failures}))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
