"""The benchmarks' command: `python -m benchmarks.run`, or `make bench`."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from benchmarks import contests, far_and_many, objects, operations, queries, receivers, report, results, senders
from benchmarks.contests import Bounds, Files
from benchmarks.receivers import Receiver
from benchmarks.results import Contest
from dulcet.conformance.peers import dcmtk
from dulcet.conformance.peers.process import find_executable, how_to_install
from dulcet.conformance.peers.pynetdicom import find_pynetdicom_python

SECTIONS = ("send", "store", "receive", "durable", "echo", "start", "far", "many", "query")
SET_NAMES = tuple(objects_of_set.name for objects_of_set in objects.SETS)
FAR_OBJECTS = 200
FAR_OBJECTS_QUICK = 40
OBJECTS_OF_AN_ASSOCIATION = 50
START_ROUNDS_FACTOR = 4  # a start is short and varies
ECHO_ROUNDS = 5
FAR_ROUNDS = 3
SPARE_OCTETS = 1 << 30
TMPFS = Path("/dev/shm")
Participant = TypeVar("Participant", senders.Sender, Receiver, operations.Echoer, queries.Archive)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description="dulcet beside its peers, in one run")
    choices = ", ".join((*SECTIONS, *SET_NAMES))
    parser.add_argument("--only", default="", help=f"sections and sets, with commas: {choices}")
    parser.add_argument("--rounds", type=int, help="rounds of every contest")
    parser.add_argument("--seconds", type=float, default=180, help="the longest that one run may take")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller objects, two rounds")
    parser.add_argument("--who", default="", help="participants whose name contains one of these, with commas")
    parser.add_argument("--cache", type=Path, default=_cache(), help="where the objects are made (4 GB)")
    parser.add_argument("--keep", action="store_true", help="keep the objects for the next run")
    parser.add_argument("--results", type=Path, default=senders.HERE / "results", help="where the JSON file goes")
    parser.add_argument("--readme", action="store_true", help="write the tables into README.md")
    parser.add_argument(
        "--from-results",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="measure nothing: show the tables of earlier JSON files, each contest from the first that has it",
    )
    chosen = parser.parse_args(argv)
    unknown = set(filter(None, chosen.only.split(","))) - {*SECTIONS, *SET_NAMES}
    if unknown:
        parser.error(f"--only takes {choices}; not {', '.join(sorted(unknown))}")
    return chosen


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dulcet" / "benchmarks"


class Benchmark:
    """What was chosen, and the contests that it comes to."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        only = set(filter(None, chosen.only.split(",")))
        self.sections = {name for name in SECTIONS if name in only or not only & set(SECTIONS)}
        sets = objects.QUICK_SETS if chosen.quick else objects.SETS
        self.sets = [one for one in sets if one.name in only or not only & set(SET_NAMES)]
        self.cache: Path = chosen.cache
        self.null = Receiver(name="null", start=receivers.null_receiver, one_file_each=False)

    def bounds(self, rounds: int) -> Bounds:
        """How often, unless the command line says it."""
        if self.chosen.rounds:
            rounds = self.chosen.rounds
        elif self.chosen.quick:
            rounds = min(rounds, 2)
        return Bounds(rounds=rounds, seconds=self.chosen.seconds)

    def taking_part(self, everyone: list[Participant]) -> list[Participant]:
        """Those whom --who chooses."""
        who = [name for name in self.chosen.who.split(",") if name]
        return [one for one in everyone if not who or any(name in one.name for name in who)]

    def contests(self) -> Iterator[Contest]:
        """Every contest that was chosen, one after the other."""
        for one in self.sets:
            if self.sections & {"send", "store", "receive", "durable"}:
                with self.files(one) as files:
                    yield from self.transfers(files)
        yield from self.echoes()
        yield from self.far_and_many()
        if "query" in self.sections:
            with scratch_directory(0) as scratch:
                taking_part = self.taking_part(queries.archives())
                yield from queries.contests(scratch, self.bounds(ECHO_ROUNDS), taking_part, is_quick=self.chosen.quick)

    def transfers(self, files: Files) -> Iterator[Contest]:
        """One set of objects, from everybody and to everybody."""
        bounds = self.bounds(files.objects.rounds)
        sending = self.taking_part(senders.senders())
        command = contests.by_dcmsend if find_executable("dcmsend") else contests.by_the_floor
        octets = files.first(None)[2]
        with scratch_directory(octets) as scratch:
            if "send" in self.sections:
                title = "Sending to a receiver that discards everything"
                yield contests.send("send", title, self.null, sending, files, scratch, bounds)
            if "store" in self.sections and find_executable("storescp"):
                storescp = Receiver(name="DCMTK storescp +B", start=lambda parent: dcmtk.storescp("+B", parent=parent))
                yield contests.send("store", "Sending to storescp +B", storescp, sending, files, scratch, bounds)
            if "receive" in self.sections:
                title = f"Receiving from {command.__name__.removeprefix('by_')}, {place(scratch)}"
                receiving = self.taking_part(receivers.receivers())
                yield contests.receive("receive", title, receiving, command, files, scratch, bounds)
        if "durable" in self.sections:
            with tempfile.TemporaryDirectory(prefix="scratch-", dir=self.cache) as disk:
                receiving = self.taking_part(receivers.durable_receivers())
                title = "Receiving on a disk"
                yield contests.receive("durable", title, receiving, command, files, Path(disk), bounds)

    def echoes(self) -> Iterator[Contest]:
        """Operations without objects."""
        bounds = self.bounds(ECHO_ROUNDS)
        with scratch_directory(0) as scratch:
            if "echo" in self.sections:
                yield operations.echo_from(self.null, self.taking_part(operations.echoers()), scratch, bounds)
                yield operations.echo_to(self.taking_part(receivers.receivers()), scratch, bounds)
            if "start" in self.sections:
                asking = self.taking_part(operations.echoers())
                bounds = replace(bounds, rounds=bounds.rounds * START_ROUNDS_FACTOR)
                yield operations.start(self.null, asking, scratch, bounds)

    def far_and_many(self) -> Iterator[Contest]:
        """A long line, and many associations; both of small objects."""
        small = objects.SETS[0]
        bounds = self.bounds(FAR_ROUNDS)
        if "far" in self.sections:
            few = replace(small, name="far", count=FAR_OBJECTS_QUICK if self.chosen.quick else FAR_OBJECTS)
            with self.files(few) as files, scratch_directory(0) as scratch:
                yield from far_and_many.far(files, self.taking_part(far_and_many.far_senders()), scratch, bounds)
        if "many" in self.sections:
            associations = far_and_many.FEW_ASSOCIATIONS if self.chosen.quick else far_and_many.ASSOCIATIONS
            crowd = replace(small, name="many", count=associations * OBJECTS_OF_AN_ASSOCIATION)
            with self.files(crowd) as files, scratch_directory(files.first(None)[2]) as scratch:
                receiving = self.taking_part(far_and_many.many_receivers(associations))
                yield far_and_many.many(files, associations, receiving, scratch, bounds)

    @contextmanager
    def files(self, one: objects.ObjectSet) -> Iterator[Files]:
        """The objects of a set, made now and removed afterwards unless they are to be kept."""
        contests.heading(f"making {one.title_with_count}")
        directory = self.cache / one.name
        try:
            objects.generate(one, directory)
            yield Files(objects=one, directory=directory)
        finally:
            if not self.chosen.keep:
                for path in self.cache.glob(f"{one.name}*"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def scratch_directory(octets: int) -> Iterator[Path]:
    """Where receivers write: in memory when it has room, so that no disk is measured."""
    in_memory = TMPFS.is_dir() and shutil.disk_usage(TMPFS).free > 2 * octets + SPARE_OCTETS
    with tempfile.TemporaryDirectory(prefix="dulcet-bench-", dir=TMPFS if in_memory else None) as directory:
        yield Path(directory)


def place(scratch: Path) -> str:
    """What a title says of it."""
    return "written to memory (tmpfs)" if scratch.is_relative_to(TMPFS) else "written to the temporary directory"


def say_what_is_missing() -> None:
    """A comparison without peers is none; say so at the start."""
    for program in ("dcmsend", "Orthanc"):
        if not find_executable(program):
            contests.heading(how_to_install(program))
    if not find_pynetdicom_python():
        contests.heading(how_to_install("pynetdicom"))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, keep the figures, show the tables."""
    chosen = arguments(argv)
    if chosen.from_results:
        documents = [results.read(path) for path in chosen.from_results]
    else:
        say_what_is_missing()
        chosen.cache.mkdir(parents=True, exist_ok=True)
        everything = list(Benchmark(chosen).contests())
        measured = results.document(everything)
        contests.heading(f"kept in {results.write(measured, chosen.results)}")
        documents = [(measured, everything)]
    text = report.reports(documents)
    print(text)
    if chosen.readme:
        report.write_between_markers(senders.HERE.parent / "README.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
