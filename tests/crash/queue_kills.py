"""Kill the queue's workers, the server that forwards and the commands that order: `python tests/crash/queue_kills.py`.

Four processes are killed (SIGKILL) at random moments and begun again: two workers, a server with a rule that forwards,
and the commands that put jobs into the queue; another one looks at the journal of what is to be forwarded meanwhile.
What they send goes to a server that is never killed, what they retrieve comes from an archive that is not either. Then
there is peace, until every job is over; then everything is counted: each job is done or has failed with its reason,
each object is where it should be, once, octet for octet, and nothing that was acknowledged is missing. Waiting is made
short (`queue_plans.haste`); faults can be planted, to see that they are noticed.
"""

import argparse
import json
import os
import random
import sqlite3
import sys
import tempfile
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import trio
from processes import start
from queue_world import NO_STUDY, Outgoing, World
from sender import Refused, send

from dulcet.errors import QueueError
from dulcet.station.forwarding.journal import waiting
from dulcet.station.queue.jobs import InstanceState, JobKind, JobState
from dulcet.station.queue.sqlite_store import FILE_NAME, open_queue

LONGEST_LIFE = 0.7  # seconds of a worker; of the server from when it is ready
KILLED_AT_START = 0.1  # share of the servers that are killed before they are ready
ORDERS_KILLED = 0.3  # share of the commands that order
ORDER_SECONDS = 0.15  # in which they are killed
MOST = 5  # times as many kills as are wanted, when they show nothing
MOST_JOBS = 15  # that are not over, before another one is ordered
LONGEST_LOOK = 0.2  # seconds between two looks at the journal
PATIENCE = 60.0  # seconds for a server to begin


class Killer:
    """Begins, kills, and counts."""

    def __init__(self, world, processes, options, counts, failures):
        self._world = world
        self._processes = processes
        self._options = options
        self._chance = random.Random(options.seed)
        self._counts = counts
        self._failures = failures
        self._plant = ["haste", *([options.fault] if options.fault else [])]
        self._number = 0
        self._forwarded, self._reasons = Counter(), counts["reasons"]
        self._is_shown = bool(options.fault)  # that it was noticed shows enough
        self.store = open_queue(world.state)

    @property
    def is_enough(self):
        """Whether there were as many kills as are wanted, and they showed something, or something failed."""
        wanted = self._options.kills if self._is_shown else MOST * self._options.kills
        return self._counts["kills"] >= wanted or bool(self._failures)

    async def begin(self, words, **environment):
        """A pid, and where its output goes."""
        self._number += 1
        output = self._world.room / f"output-{self._number}"
        output.touch()
        pid = await self._processes.begin(
            words, output, environment={**self._world.environment, **environment}, plant=self._plant
        )
        return pid, output

    async def kill(self, pid, output, what):
        await self._processes.kill(pid)
        self._counts["kills"] += 1
        self._counts[f"{what} killed"] += 1
        self._look_at(output)

    def _look_at(self, output):
        text = output.read_text()
        if "Traceback" in text or "a fault of dulcet" in text:
            self._failures.append(f"{output.name}: {text}")
        output.unlink()

    # What is killed -------------------------------------------------------------------------------------------------

    async def workers(self):
        """One worker after the other."""
        while not self.is_enough:
            pid, output = await self.begin(self._world.worker)
            await trio.sleep(self._chance.uniform(0.05, LONGEST_LIFE))
            await self.kill(pid, output, "workers")

    async def servers(self):
        """One server after the other, with senders."""
        while not self.is_enough:
            pid, output = await self.begin(self._world.router, DULCET_CONFIG=str(self._world.configuration))
            if self._chance.random() < KILLED_AT_START:
                await trio.sleep(self._chance.uniform(0, 0.1))
                await self.kill(pid, output, "servers")
            elif await self.is_ready(pid, output):
                await self._send_and_kill(pid, output)

    async def is_ready(self, pid, output):
        """Wait until a server accepts; False for one that could not have the port, which a retrieval has."""
        with trio.fail_after(PATIENCE):
            while " is ready on " not in (text := output.read_text()):
                if "listens there" in text:
                    await self._processes.end(pid)
                    output.unlink()
                    self._counts["ports taken"] += 1
                    return False
                await trio.sleep(0.005)
        return True

    async def _send_and_kill(self, pid, output):
        is_killed = False

        async def send_some():
            try:
                async with await trio.open_tcp_stream("127.0.0.1", self._world.router_port) as stream:
                    await self._world.routed.send(stream, self._chance, self._counts, send)
            except (EOFError, OSError, trio.BrokenResourceError) as error:
                if not is_killed:
                    self._failures.append(f"the server ended the connection before it was killed: {error!r}")
            except Refused as refused:
                self._failures.append(str(refused))

        async with trio.open_nursery() as nursery:
            for _ in range(self._chance.randint(1, 2)):
                nursery.start_soon(send_some)
            await trio.sleep(self._chance.uniform(0, LONGEST_LIFE))
            is_killed = True
            await self.kill(pid, output, "servers")

    async def orders(self):
        """One job after the other."""
        while not self.is_enough:
            if len(await self._not_over()) >= MOST_JOBS:
                await trio.sleep(0.05)
                continue
            words, then = self._world.an_order(self._chance)
            pid, output = await self.begin(words)
            if self._chance.random() < ORDERS_KILLED:
                await trio.sleep(self._chance.uniform(0, ORDER_SECONDS))
                await self.kill(pid, output, "orders")
            elif code := await self._processes.end(pid):
                self._failures.append(f"exit code {code}: {words}\n{output.read_text()}")
            else:
                self._look_at(output)
                then()

    async def onlookers(self):
        """Others open the journal and close it again, as who removes series does; that must harm nobody."""
        while not self.is_enough:
            await trio.sleep(self._chance.uniform(0, LONGEST_LOOK))
            try:
                await trio.to_thread.run_sync(waiting, self._world.router_directory, ())
                self._counts["looks"] += 1
            except QueueError as error:
                self._failures.append(str(error))

    async def until_shown(self):
        """A busy machine gets less done between two kills."""
        while not self._is_shown and not self.is_enough:
            await trio.sleep(0.2)
            if self._counts["kills"] >= self._options.kills:
                self._is_shown = await trio.to_thread.run_sync(self._shows)

    def _shows(self):
        kills, jobs = self._options.kills, self.store.jobs(limit=10_000)
        done = Counter(job.order.kind for job in jobs if job.state is JobState.DONE)
        return (
            self._counts["acknowledgements"] > kills / 2
            and sum(map(self._taken_again, jobs)) > kills / 10
            and sum(job.counts.done for job in jobs if job.order.kind is JobKind.SEND) > kills
            and done[JobKind.SEND] > kills / 10
            and done[JobKind.RETRIEVE] > 0
            and any(job.reason for job in jobs if job.state in (JobState.PARTIAL, JobState.FAILED))
        )

    def _taken_again(self, job):
        taken = sum('"job.taken"' in event.line for event in self.store.events(job.id, limit=10_000))
        return max(taken - 1, 0)

    async def _not_over(self):
        states = [state for state in JobState if not state.is_over]
        return await trio.to_thread.run_sync(self.store.jobs, states, 1000)

    # Peace ----------------------------------------------------------------------------------------------------------

    async def peace(self):
        """All run until there is nothing left to do."""
        begun = [await self.begin(self._world.worker) for _ in range(2)]
        while True:
            router = await self.begin(self._world.router, DULCET_CONFIG=str(self._world.configuration))
            if await self.is_ready(*router):
                break
        with trio.move_on_after(self._options.patience):
            while await self._not_over() or self._world.is_anything_to_forward():  # noqa: ASYNC110
                await trio.sleep(0.1)
        for pid, output in (*begun, router):
            await self._processes.kill(pid)
            self._look_at(output)

    # Judgement ------------------------------------------------------------------------------------------------------

    def judge(self):
        """Every job, every object."""
        with closing(sqlite3.connect(self._world.state / FILE_NAME)) as connection:
            (said,) = connection.execute("PRAGMA integrity_check").fetchone()
            if said != "ok":
                self._failures.append(f"the queue's file: {said}")
        if self._world.is_anything_to_forward():
            self._failures.append("something is still to be forwarded")
        for job in self.store.jobs(limit=10_000):
            self._judge_job(job)
        self._failures.extend(self._world.routed.missing(self._world.peer_directory))
        self._failures.extend(f"{uid} was forwarded twice" for uid, times in self._forwarded.items() if times > 1)
        self._failures.extend(self._world.wrong_files())

    def _judge_job(self, job):
        counts, rows = job.counts, self.store.instances(job.id, limit=10_000)
        self._counts[f"{job.order.kind.value} jobs {job.state.value}"] += 1
        self._counts["taken up again"] += self._taken_again(job)
        what = f"job {job.id} ({job.order.kind.value} {job.order.origin or job.order.peer})"
        if job.state not in (JobState.DONE, JobState.PARTIAL, JobState.FAILED):
            self._failures.append(f"{what} is {job.state.value}: {job.reason}")
            return
        if job.state is not JobState.DONE:
            self._reasons[job.reason] += 1
            if not job.reason:
                self._failures.append(f"{what} is {job.state.value} without a reason")
        if any(row.state is InstanceState.FAILED and not row.reason for row in rows):
            self._failures.append(f"{what}: an instance has failed without a reason")
        done = [row for row in rows if row.state is InstanceState.DONE]
        if (counts.instances, counts.done, counts.octets_done) != (len(rows), len(done), sum(r.octets for r in done)):
            self._failures.append(f"{what} is counted wrong: {counts}, {len(done)} of {len(rows)} rows are done")
        if job.order.kind is JobKind.SEND:
            self._judge_sent(what, job, rows)
        else:
            self._judge_retrieved(what, job, done)

    def _judge_sent(self, what, job, rows):
        world = self._world
        if not job.order.origin:
            outgoing = world.outgoing_of(rows)
            if len(rows) != Outgoing.OBJECTS:
                self._failures.append(f"{what} has {len(rows)} of {Outgoing.OBJECTS} rows")
            failed = {row.name for row in rows if row.state is not InstanceState.DONE}
            if failed - outgoing.vanished and job.order.peer != "NOBODY":
                self._failures.append(f"{what}: what is there failed: {job.reason} {sorted(failed)[:3]}")
            if job.order.peer == "NOBODY" and (job.state is not JobState.FAILED or "given up" not in job.reason):
                self._failures.append(f"{what} is {job.state.value}: {job.reason}")
        else:
            self._forwarded.update(row.sop_instance_uid for row in rows)
            if job.state is not JobState.DONE:
                self._failures.append(f"{what} is {job.state.value}: {job.reason}")
        self._counts["objects sent"] += job.counts.done
        for row in rows:
            if row.state is InstanceState.DONE and not world.is_at(world.peer_directory, row.sop_instance_uid):
                self._failures.append(f"{what}: {row.sop_instance_uid} is done, and not at the peer")

    def _judge_retrieved(self, what, job, done):
        directory = Path(job.order.options["directory"])
        self._counts["objects retrieved"] += len(done)
        for row in done:
            if not self._world.is_at(directory, row.sop_instance_uid):
                self._failures.append(f"{what}: {row.sop_instance_uid} is done, and not here")
        if job.order.options["asked"]["study"] == [NO_STUDY]:
            if (job.state, job.exit_code) != (JobState.FAILED, 66):
                self._failures.append(f"{what}, of nothing, is {job.state.value}: {job.reason}")
        elif job.state is not JobState.FAILED and job.counts.instances != self._world.archived.in_study:
            self._failures.append(f"{what}: {job.counts.instances} rows")
        if job.state is JobState.DONE and len(done) != self._world.archived.in_study:
            self._failures.append(f"{what}: {len(done)} instances of {self._world.archived.in_study}")


async def run(options, room):
    """Counts and failures."""
    counts, failures = Counter(reasons=Counter()), []
    world = World(room, options.seed)
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        processes, process = await start(nursery, "queue_plans", world.environment)
        killer = Killer(world, processes, options, counts, failures)
        standing = [await killer.begin(words) for words in (world.peer, world.archive)]
        for pid, output in standing:
            await killer.is_ready(pid, output)
        async with trio.open_nursery() as working:
            begun = (
                killer.workers,
                killer.workers,
                killer.servers,
                killer.orders,
                killer.onlookers,
                killer.until_shown,
            )
            for task in begun:
                working.start_soon(task)
        counts["seconds of war"] = round(trio.current_time() - started, 1)
        if not failures:
            await killer.peace()
        counts["seconds"] = round(trio.current_time() - started, 1)
        if not failures:
            killer.judge()
        killer.store.close()
        for pid, _ in standing:
            await processes.kill(pid)
        with suppress(trio.BrokenResourceError):
            await process.stdin.aclose()
    return counts, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument("--patience", type=float, default=60.0, help="seconds of peace until every job is over")
    parser.add_argument("--fault", help="a function of queue_plans.py")
    parser.add_argument("--room", help="where to work; it is left there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dulcet-queue-crash-") as directory:
        room = Path(options.room or directory)
        room.mkdir(exist_ok=True)
        counts, failures = trio.run(run, options, room)
    print(json.dumps({"seed": options.seed, "fault": options.fault, **counts, "failures": failures[:20]}))
    return 1 if failures else 0


if __name__ == "__main__":
    os.environ.pop("DULCET_CONFIG", None)
    sys.exit(main())
