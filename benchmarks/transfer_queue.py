"""What the transfer queue costs: `python -m benchmarks.transfer_queue [--quick]`.

Four tables: calls of the store with 100,000 instances and 10,000 old jobs, commands as processes beside the floor
`dulcet --version`, sending through the queue beside sending directly, and the memory of a worker by the size of a job.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks import objects
from benchmarks.processes import Measured, run_bounded
from benchmarks.receivers import null_receiver
from dulcet.station.queue.jobs import (
    InstanceResult,
    InstanceState,
    JobKind,
    JobState,
    NewInstance,
    Order,
    Progress,
    Standing,
    Wish,
)
from dulcet.station.queue.kept_files import keeper
from dulcet.station.queue.sqlite_store import SQLiteJobStore, open_queue
from dulcet.station.sending.files import find_files
from dulcet.station.sending.found import FileToSend

T = TypeVar("T")

PROGRAM = (sys.executable, "-m", "dulcet")
MEBIBYTE = 1024 * 1024
SECONDS = 600.0  # for one process
RESULTS_AT_ONCE = 40  # what a worker records in one go, at 2,000 objects a second


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.transfer_queue", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="Smaller numbers, for a look.")
    quick = parser.parse_args(arguments).quick
    instances, old, rounds = (10_000, 1_000, 5) if quick else (100_000, 10_000, 15)
    with tempfile.TemporaryDirectory(prefix="dulcet-queue-") as scratch:
        state = Path(scratch) / "state"
        with closing(open_queue(state)) as store:
            print(f"Calls of the store, {instances:,} instances in one job and {old:,} old jobs: median, worst")
            calls(store, instances, old, rounds)
        print(f"\nCommands as processes, the same queue: median of {rounds}")
        commands(state, rounds)
        print("\nSending through the queue beside sending directly: medians, and the queue's share of the direct time")
        for one in sets(quick):
            sending(one, Path(scratch), 3 if quick else 9)
        print("\nPeak memory of `dulcet queue run --once`")
        for count in (100, 2_000) if quick else (1_000, 10_000, 100_000):
            memory(count, Path(scratch))
    return 0


def sets(quick: bool) -> tuple[objects.ObjectSet, ...]:
    """Small objects and slices."""
    small, slices = objects.SETS[0], objects.SETS[1]
    return replace(small, count=200 if quick else 2_000), replace(slices, count=50 if quick else 400)


def rows(count: int, folder: str) -> Iterator[NewInstance]:
    """Instances as an order of files has them."""
    for number in range(count):
        path = f"/data/incoming/{folder}/{number:06}.dcm"
        yield NewInstance(
            name=path,
            path=path,
            source={"modified": 1_700_000_000_000_000_000 + number},
            sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
            sop_instance_uid=f"1.2.826.0.1.3680043.10.1.{number}",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            data_set_offset=400,
            file_size=526_000,
        )


# The store ----------------------------------------------------------------------------------------------------------


class Stopwatch:
    """Times of calls by their names."""

    def __init__(self) -> None:
        self._seconds: dict[str, list[float]] = {}

    def __call__(self, name: str, call: Callable[[], T]) -> T:
        began = time.perf_counter()
        answer = call()
        self._seconds.setdefault(name, []).append(time.perf_counter() - began)
        return answer

    def report(self) -> None:
        for name, seconds in self._seconds.items():
            print(f"  {name:28} {median(seconds) * 1000:8.2f} ms {max(seconds) * 1000:8.2f} ms")


def calls(store: SQLiteJobStore, instances: int, old: int, rounds: int) -> None:
    """Every call that a command or a worker makes, `rounds` times."""
    watch = Stopwatch()
    for number in range(old):
        job = store.add(Order(kind=JobKind.SEND, peer=f"P{number}"), rows(1, f"old-{number}"))
        assert store.claim("old") is not None
        store.record(job, "old", [InstanceResult(id=store.due_instances(job)[0].id, state=InstanceState.DONE)])
        store.finish(job, "old", Standing(state=JobState.DONE, exit_code=0))
    began = time.perf_counter()
    job = store.add(Order(kind=JobKind.SEND, peer="PACS"), rows(instances, "new"))
    print(f"  {'add, once':28} {(time.perf_counter() - began) * 1000:8.0f} ms")
    after = 0
    for number in range(rounds):
        worker = f"w{number}"
        watch("list 100", store.jobs)
        watch("list those that run", lambda: store.jobs([JobState.RUNNING, JobState.QUEUED]))
        watch("claim", lambda: store.claim(worker))  # noqa: B023
        due = watch("next 1,000 instances", lambda: store.due_instances(job, after))  # noqa: B023
        results = [InstanceResult(id=one.id, state=InstanceState.DONE) for one in due[:RESULTS_AT_ONCE]]
        watch(f"record {RESULTS_AT_ONCE}", lambda: store.record(job, worker, results, ["{}"]))  # noqa: B023 - at once
        watch("renew", lambda: store.renew(job, worker, progress=Progress(octets_in_flight=number)))  # noqa: B023
        watch("when the next is due", lambda: store.next_due(job))
        watch("summary", store.summary)
        watch("1,000 paths in use", lambda: store.paths_in_use([one.path for one in due]))  # noqa: B023
        watch("finish, hand back", lambda: store.finish(job, worker, Standing(state=JobState.QUEUED)))  # noqa: B023
        watch("cancel", lambda: store.request(job, Wish.CANCEL))
        watch("retry", lambda: store.retry(job))
        store.claim(worker)
        watch("finish, failed", lambda: store.finish(job, worker, Standing(state=JobState.FAILED)))  # noqa: B023
        store.retry(job)
        after = due[RESULTS_AT_ONCE].id
    watch.report()


# Commands -----------------------------------------------------------------------------------------------------------


def commands(state: Path, rounds: int) -> None:
    """Processes in turns, so that what else goes on meets all alike."""
    with closing(open_queue(state)) as store:
        job = str(store.jobs(limit=1)[0].id)
    lines = [
        ("--version",),
        ("queue", "list"),
        ("queue", "show", job),
        ("queue", "cancel", job),
        ("queue", "retry", job),
        ("queue", "set", job, "--priority", "1"),
    ]
    seconds: dict[tuple[str, ...], list[float]] = {line: [] for line in lines}
    for _ in range(rounds):
        for line in lines:
            seconds[line].append(_run(line, state).seconds)
    floor = median(seconds[lines[0]])
    for line in lines:
        took = median(seconds[line])
        beyond = "" if line == lines[0] else f"   {(took - floor) * 1000:+6.0f} ms"
        print(f"  dulcet {' '.join(line):28} {took * 1000:6.0f} ms{beyond}")


def _run(words: Sequence[str], state: Path) -> Measured:
    environment = {"DULCET_STATE": str(state), "DULCET_CONFIG": os.devnull, "DULCET_NODES": os.devnull}
    ran = run_bounded([*PROGRAM, *words], seconds=SECONDS, environment=environment)
    if ran.exit_code != 0:
        raise SystemExit(f"dulcet {' '.join(words)}: {ran.output}")
    return ran


# Sending ------------------------------------------------------------------------------------------------------------


def sending(one: objects.ObjectSet, scratch: Path, rounds: int) -> None:
    """Both ways in turns. The queue finds its files when they are ordered; so the search is counted to its time."""
    folder = scratch / one.name
    objects.generate(one, folder)
    direct, ordered, queued = [], [], []
    with null_receiver(scratch) as peer:
        address = str(peer.address)
        for number in range(rounds):
            state = scratch / f"state-{one.name}-{number}"
            direct.append(_run(["send", "-q", address, str(folder)], state).seconds)
            ordered.append(_run(["send", "-q", "--queue", address, str(folder)], state).seconds)
            queued.append(_run(["queue", "run", "--once", "-q"], state).seconds)
    took = median(queued)
    print(
        f"  {one.count:,} objects of {one.title}: send {median(direct):.2f} s, queue run {took:.2f} s"
        f" ({took / median(direct):.0%}), the order before it {median(ordered):.2f} s"
    )


def memory(count: int, scratch: Path) -> None:
    """A job of so many instances, all of one small file."""
    folder = scratch / "one"
    objects.generate(replace(objects.SETS[0], count=1), folder)
    (file,) = (found for found in find_files([folder]) if isinstance(found, FileToSend))
    state = scratch / f"state-{count}"
    with null_receiver(scratch) as peer, _filled(state, str(peer.address), keeper()(file), count):
        ran = _run(["queue", "run", "--once", "-q"], state)
    print(f"  {count:>7,} instances: {ran.peak_octets / MEBIBYTE:6.1f} MiB, {count / ran.seconds:,.0f} objects/s")


@contextmanager
def _filled(state: Path, peer: str, row: NewInstance, count: int) -> Iterator[None]:
    with closing(open_queue(state)) as store:
        store.add(Order(kind=JobKind.SEND, peer=peer), (row for _ in range(count)))
    yield


if __name__ == "__main__":
    sys.exit(main())
