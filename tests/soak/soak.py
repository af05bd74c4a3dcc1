"""A server at work for as long as one likes: `python tests/soak/soak.py --seconds 3600`, or `make soak SECONDS=3600`.

A station receives, indexes, hashes, forwards all of it to a second server, is asked and gives back; some callers break
off in the middle, some talk nonsense, a monitor looks; old series are removed. All the while what its processes use is
looked at: memory of their own, descriptors, threads. At the end the queue is empty, the second server has every object
that was ever acknowledged, and nothing has grown from the second fifth of the time to the last.

The last line printed is JSON; the exit code is 1 when anything failed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import trio
from callers import FAILURES, Callers
from usage import Usage, children

from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.ours import PROGRAM
from dulcet.conformance.peers.process import running_peer

LOOKS = 100  # at what is used
SERIES_KEPT = 50
DRAIN_SECONDS = 300.0  # for what is still to be forwarded at the end
SETTINGS = """
[queue.run]
keep_done = "{keep}s"

[[route]]
name = "all"
to = "SECOND"
delay = 1
"""


class World:
    """Both servers, the station's configuration, and what is found in their directories."""

    def __init__(self, room, stack, seconds):
        self._stack = stack
        self.room, self.station, self.second = room, room / "station", room / "second"
        self.http = free_port()
        self._nodes, self._settings = room / "nodes.toml", room / "dulcet.toml"
        second = self._serve("SECOND", self.second, "--no-queue")
        self._nodes.write_text(
            f'[SECOND]\nae_title = "SECOND"\nhost = "{LOOPBACK}"\nport = {second.address.port}\n', "utf-8"
        )
        self._settings.write_text(SETTINGS.format(keep=max(int(seconds / 10), 1)), "utf-8")
        station = self._serve("STATION", self.station, "--query", "--http", str(self.http))
        self.address = station.address
        self._pids = {"station": station.pid, "second": second.pid}

    def _environment(self, title):
        return {
            "DULCET_CONFIG": str(self._settings) if title == "STATION" else os.devnull,
            "DULCET_NODES": str(self._nodes),
            "DULCET_STATE": str(self.room / f"state-{title}"),
        }

    def _serve(self, title, directory, *options):
        directory.mkdir()
        (logs := self.room / f"logs-{title}").mkdir()
        address = PeerAddress(ae_title=title, host=LOOPBACK, port=free_port())
        words = ["serve", "--aet", title, "--port", str(address.port), "--directory", str(directory), "--min-free", "0"]
        peer = running_peer(
            [*PROGRAM, *words, "--durability", "none", "--quiet", *options],
            address=address,
            directory=logs,
            storage=directory,
            environment=self._environment(title),
        )
        return self._stack.enter_context(peer)

    def run(self, *words):
        """A command of the station's user: what it printed."""
        environment = {**os.environ, **self._environment("STATION")}
        ran = subprocess.run([*PROGRAM, *map(str, words)], env=environment, capture_output=True, text=True, timeout=120)
        if ran.returncode:
            raise OSError(f"dulcet {words[0]} {words[1]} ended with {ran.returncode}: {ran.stderr[-500:]}")
        return ran.stdout

    def remove(self, series):
        """Series that nobody needs any more, or that are to be forwarded still: those stay."""
        self.run("series", "remove", "--yes", "--directory", self.station, *series)

    def look(self, usage, seconds):
        """At all processes, and at the files that could grow."""
        for name, pid in self._pids.items():
            usage.look(name, pid, seconds)
        for child in children(self._pids["station"]):
            usage.look("queue", child, seconds)
        state = self.room / "state-STATION"
        usage.look_at_files(
            [*state.glob("queue.sqlite*"), *self.station.glob(".*.sqlite*"), *self.station.glob(".*/*.sqlite*")]
        )

    def is_drained(self):
        """Whether all has been forwarded."""
        return not json.loads(self.run("status", "--json"))["jobs"]

    def forwarded(self):
        """SOP Instance UIDs that the second server has."""
        return {path.stem for path in self.second.glob("??/*.dcm")}

    def tracebacks(self):
        """What nobody should ever see."""
        return [path for path in self.room.glob("logs-*/log.txt") if "Traceback" in path.read_text()]


async def keep_calling(callers, until, pace, counts, failures):
    """One caller after another, a bit apart; longer than that when a slow machine has not done everything by then."""
    chance = random.Random(pace)
    while trio.current_time() < until or not (callers.have_done_everything or failures):
        try:
            await callers.do_something()
        except FAILURES as error:
            failures.append(f"{type(error).__name__}: {error}")
            counts["failed"] += 1
        await trio.sleep(chance.expovariate(pace) if pace else 0)


async def keep_removing(world, callers, until, counts, failures):
    """The oldest series, when there are many."""
    while trio.current_time() < until:
        await trio.sleep(2)
        if old := callers.give_up(SERIES_KEPT):
            try:
                await trio.to_thread.run_sync(world.remove, old)
            except OSError as error:
                failures.append(str(error))
            counts["removed"] += len(old)


async def keep_looking(world, usage, until, seconds):
    started = trio.current_time()
    while trio.current_time() < until:
        await trio.sleep(seconds / LOOKS)
        world.look(usage, trio.current_time() - started)


async def run(world, options, counts, failures, usage):
    """The whole time."""
    until = trio.current_time() + options.seconds
    callers = Callers(world.address, world.http, options.seed, counts)
    async with trio.open_nursery() as nursery:
        for _ in range(options.callers):
            nursery.start_soon(keep_calling, callers, until, options.pace, counts, failures)
        nursery.start_soon(keep_removing, world, callers, until, counts, failures)
        nursery.start_soon(keep_looking, world, usage, until, options.seconds)
    with trio.move_on_after(DRAIN_SECONDS):
        while not callers.acknowledged <= world.forwarded() or not await trio.to_thread.run_sync(world.is_drained):  # noqa: ASYNC110
            await trio.sleep(1)
    lost = callers.acknowledged - world.forwarded()
    if lost:
        failures.append(f"{len(lost)} objects were acknowledged and never forwarded, {min(lost)} among them")
    failures += [f"a traceback in {path}" for path in world.tracebacks()]
    counts["acknowledged"] = len(callers.acknowledged)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--callers", type=int, default=4, help="at once")
    parser.add_argument(
        "--pace", type=float, default=2.0, help="deeds of each caller in a second; 0: one after the other"
    )
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    options = parser.parse_args()
    counts, failures, usage = Counter(), [], Usage()
    with tempfile.TemporaryDirectory(prefix="dulcet-soak-") as directory, ExitStack() as stack:
        world = World(Path(directory), stack, options.seconds)
        trio.run(run, world, options, counts, failures, usage)
    rows = list(usage.rows())
    for name, what, early, late in rows:
        print(f"{what} of {name}: {early:,.1f}, then {late:,.1f}", file=sys.stderr)
    for name, sizes in sorted(usage.files.items()):
        print(f"{name}: {max(sizes):,.2f} MiB at most, {sizes[-1]:,.2f} at the end", file=sys.stderr)
    failures += usage.failures()
    grown = {f"{what} of {name}": [early, late] for name, what, early, late in rows}
    print(
        json.dumps({"seed": options.seed, "seconds": options.seconds, **counts, "usage": grown, "failures": failures})
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
