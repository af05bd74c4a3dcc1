"""Archives that answer the same queries and send the same study: C-FIND with 5,000 matches, C-MOVE of 500 objects.

`python -m benchmarks.queries`, or the section `query` of `python -m benchmarks.run`.
"""

import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import objects, receivers
from benchmarks.archive_asker import INSTANCE, SERIES, STUDY
from benchmarks.contests import Bounds, Watch, heading, in_turns
from benchmarks.objects import CONSTANT_ELEMENTS, UID_ROOT, element, element_header
from benchmarks.processes import run_bounded
from benchmarks.results import Contest, Run
from benchmarks.senders import HERE, NO_NAGLE, OURS, dulcet_send
from dulcet.conformance.peers import dcmtk, ours
from dulcet.conformance.peers.address import PeerAddress
from dulcet.conformance.peers.orthanc import orthanc
from dulcet.conformance.peers.process import RunningPeer, find_executable

MATCHES, MOVED = 5_000, 500
QUICK_MATCHES, QUICK_MOVED = 500, 50
TINY_PIXELS = 64
WITH_OUR_CODE = {"PYTHONPATH": str(HERE.parent), **NO_NAGLE}
ONE_SERIES = (f"{UID_ROOT}8", f"{UID_ROOT}81")
"""The study and the series of the 5,000 images."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """A program that answers queries."""

    name: str
    """What the tables call it."""
    start: Callable[[Path, PeerAddress], AbstractContextManager[RunningPeer]]
    """Starts it in a directory; it knows one destination."""
    takes_many_studies: bool = True
    """dcmqrscp keeps 500 at most."""


def archives() -> list[Archive]:
    """Every one that is installed here, ours first."""
    everyone = [Archive(name=f"{OURS} serve --query", start=_ours)]
    if find_executable("dcmqrscp"):
        everyone.append(
            Archive(
                name="DCMTK dcmqrscp",
                start=lambda parent, known: dcmtk.dcmqrscp(destinations=[known], parent=parent),
                takes_many_studies=False,
            )
        )
    if find_executable("Orthanc"):
        everyone.append(Archive(name="Orthanc", start=lambda parent, known: orthanc(modalities=[known], parent=parent)))
    return everyone


@contextmanager
def _ours(parent: Path, known: PeerAddress) -> Iterator[RunningPeer]:
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        nodes = Path(directory) / "nodes.toml"
        nodes.write_text(f'[known]\nae_title = "{known.ae_title}"\nhost = "{known.host}"\nport = {known.port}\n')
        options = ("--query", "--nodes", str(nodes), "--durability", "none", "--min-free", "1M")
        with ours.dulcet_serve(*options, parent=parent) as peer:
            yield peer


def make(directory: Path, count: int, uids: Callable[[int], tuple[str, str, str]]) -> None:
    """Tiny images; `uids` tells the study, series and instance of each."""
    directory.mkdir(parents=True)
    one = objects.SETS[0]
    for number in range(count):
        study, series, instance = uids(number)
        own: dict[int, tuple[str, str | int]] = {
            0x00080016: ("UI", one.sop_class_uid),
            INSTANCE: ("UI", instance),
            STUDY: ("UI", study),
            SERIES: ("UI", series),
            0x00200013: ("IS", str(number + 1)),
            0x00280010: ("US", 8),
            0x00280011: ("US", 8),
        }
        octets = b"".join(
            element(tag, vr, struct.pack("<H", value) if isinstance(value, int) else value.encode())
            for tag, (vr, value) in sorted({**CONSTANT_ELEMENTS, **own}.items())
        )
        octets += element_header(0x7FE00010, "OW", TINY_PIXELS) + bytes(TINY_PIXELS)
        (directory / f"{number}.dcm").write_bytes(_meta(one.sop_class_uid, instance) + octets)


def _meta(sop_class_uid: str, instance: str) -> bytes:
    elements = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", sop_class_uid.encode())
        + element(0x00020003, "UI", instance.encode())
        + element(0x00020010, "UI", objects.EXPLICIT_VR_LITTLE_ENDIAN.encode())
        + element(0x00020012, "UI", objects.IMPLEMENTATION_CLASS_UID.encode())
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(elements))) + elements


def in_one_series(number: int) -> tuple[str, str, str]:
    return (*ONE_SERIES, f"{UID_ROOT}82{number:06}")


def _in_many_studies(number: int) -> tuple[str, str, str]:
    return f"{UID_ROOT}84{number:06}", f"{UID_ROOT}85{number:06}", f"{UID_ROOT}86{number:06}"


def ask(archive: RunningPeer, arguments: Sequence[str], operations: int, octets: int, bounds: Bounds) -> Run:
    """One request; the time is the asker's, CPU and memory are the archive's."""
    watch = Watch(archive)
    kind, *rest = arguments
    command = [sys.executable, "-m", "benchmarks.archive_asker", kind, archive.address.ae_title]
    command += [str(archive.address.port), *rest]
    asked = run_bounded(command, seconds=bounds.seconds, environment=WITH_OUR_CODE, meanwhile=watch.look)
    measured = watch.measured(asked)
    words = asked.output.split()
    return Run(
        seconds=float(words[0]) if asked.finished else bounds.seconds,
        cpu_seconds=measured.cpu_seconds,
        peak_octets=measured.peak_octets,
        operations=operations,
        octets=octets,
        finished=asked.finished,
        note="" if asked.finished else f"exit code {asked.exit_code}: {asked.output}",
    )


def fill(archive: RunningPeer, directory: Path) -> None:
    """Send everything there, by our sender."""
    sent = run_bounded(dulcet_send("-q")(archive.address, directory), seconds=600, environment=WITH_OUR_CODE)
    if not sent.finished:
        raise RuntimeError(f"{archive.address} did not take {directory}: {sent.output}")


def find(everyone: Sequence[Archive], scratch: Path, bounds: Bounds, level: str, matches: int) -> Contest:
    """Many matches: the images of one series, or as many studies."""
    of_images = level == "IMAGE"
    title = f"C-FIND as SCP, {matches:,} {'images of one series' if of_images else 'studies'}"
    heading(title)
    taking_part = [one for one in everyone if of_images or one.takes_many_studies]
    made = scratch / f"find-{level}"
    make(made, matches, in_one_series if of_images else _in_many_studies)
    arguments = ("find", level, str(matches), *(ONE_SERIES if of_images else ()))
    known = PeerAddress(ae_title="NOBODY", host="127.0.0.1", port=1)
    with _filled(taking_part, scratch, known, made) as running:
        rows = in_turns(
            [one.name for one in taking_part],
            [None] * len(taking_part),
            bounds.rounds,
            lambda n: ask(running[n], arguments, matches, 0, bounds),
        )
    return Contest(section="query", title=title, objects="", rows=rows)


def move(everyone: Sequence[Archive], scratch: Path, bounds: Bounds, count: int = MOVED) -> Contest:
    """A study to a destination that discards it."""
    small = objects.SETS[0]
    made = scratch / "move"
    few = objects.ObjectSet(**{name: getattr(small, name) for name in small.__slots__} | {"count": count})
    octets = objects.generate(few, made)
    title = f"C-MOVE as SCP, {few.title_with_count}, to a receiver that discards everything"
    heading(title)
    study = f"{UID_ROOT}1{few.first_instance:010}"
    with receivers.null_receiver(scratch) as null, _filled(everyone, scratch, null.address, made) as running:
        arguments = ("move", null.address.ae_title, str(count), study)
        rows = in_turns(
            [one.name for one in everyone],
            [None] * len(everyone),
            bounds.rounds,
            lambda n: ask(running[n], arguments, count, octets, bounds),
        )
    return Contest(section="query", title=title, objects="", rows=rows)


@contextmanager
def _filled(
    everyone: Sequence[Archive], scratch: Path, known: PeerAddress, directory: Path
) -> Iterator[list[RunningPeer]]:
    with ExitStack() as stack:
        running = [stack.enter_context(one.start(scratch, known)) for one in everyone]
        for peer in running:
            fill(peer, directory)
        shutil.rmtree(directory)
        yield running


def contests(
    scratch: Path, bounds: Bounds, everyone: Sequence[Archive], *, is_quick: bool = False
) -> Iterator[Contest]:
    """All of them."""
    matches, moved = (QUICK_MATCHES, QUICK_MOVED) if is_quick else (MATCHES, MOVED)
    yield find(everyone, scratch, bounds, "IMAGE", matches)
    yield find(everyone, scratch, bounds, "STUDY", matches)
    yield move(everyone, scratch, bounds, moved)


def main() -> int:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    parent = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="dulcet-queries-", dir=parent) as scratch:
        for contest in contests(Path(scratch), Bounds(rounds=rounds, seconds=180), archives()):
            print(contest.title)
            for row in contest.rows:
                seconds, cpu = row.median(lambda run: run.seconds), row.median(lambda run: run.cpu_seconds)
                shown = "failed" if seconds is None or cpu is None else f"{seconds:8.3f} s  cpu {cpu:6.2f} s"
                print(f"  {row.name:28} {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
