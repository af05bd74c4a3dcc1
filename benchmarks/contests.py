"""What is measured: each contest lets its participants take turns, in an order that moves on with every round."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.objects import ObjectSet, subset
from benchmarks.processes import Measured, group_usage, run_bounded
from benchmarks.receivers import Receiver
from benchmarks.results import Contest, Row, Run, transfer_run
from benchmarks.senders import NO_NAGLE, Sender
from dulcet.conformance.peers.address import PeerAddress
from dulcet.conformance.peers.process import RunningPeer
from dulcet.errors import PeerUnavailableError


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How often, and how long at most."""

    rounds: int
    """Rounds of a contest."""
    seconds: float
    """The longest that one run may take; then it is killed and counts as not finished."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """A set of objects on disk."""

    objects: ObjectSet
    """What it is."""
    directory: Path
    """Where."""

    def first(self, count: int | None) -> tuple[Path, int, int]:
        """(directory, objects, octets) of the first `count` objects, or of all."""
        directory = self.directory if count is None or count >= self.objects.count else subset(self.directory, count)
        sizes = [path.stat().st_size for path in directory.iterdir()]
        return directory, len(sizes), sum(sizes)


def by_dcmsend(peer: PeerAddress, directory: Path) -> list[str]:
    """The sender that receivers are compared with."""
    return ["dcmsend", "-aec", peer.ae_title, peer.host, str(peer.port), "+sd", str(directory)]


def by_the_floor(peer: PeerAddress, directory: Path) -> list[str]:
    """The one where DCMTK is missing."""
    return [sys.executable, "-m", "benchmarks.floor_sender", peer.ae_title, str(peer.port), str(directory)]


def in_turns(names: Sequence[str], limits: Sequence[int | None], rounds: int, run: Callable[[int], Run]) -> list[Row]:
    """Rows of `rounds` runs each; `run(n)` lets participant n have its turn. A limit lets one take part less often."""
    rows = [Row(name=name) for name in names]
    for number in range(rounds):
        for turn in range(len(rows)):
            participant = (turn + number) % len(rows)
            limit = limits[participant]
            if limit is None or number < limit:
                result = run(participant)
                rows[participant].runs.append(result)
                _say(names[participant], number, result)
    return rows


def _say(name: str, number: int, run: Run) -> None:
    speed = f"{run.octets / run.seconds / 1e6:8,.0f} MB/s" if run.octets else f"{run.seconds * 1e3:8.1f} ms"
    print(
        f"  {number + 1}  {name:42} {speed}  cpu {run.cpu_seconds:6.2f} s  {run.note.strip()[-300:]}", file=sys.stderr
    )


def heading(title: str) -> None:
    """Say what comes now."""
    print(title, file=sys.stderr)


def send(
    section: str, title: str, receiver: Receiver, senders: Sequence[Sender], files: Files, scratch: Path, bounds: Bounds
) -> Contest:
    """Senders in turns, each into a receiver that was just started; the figures are the senders'."""
    heading(f"{title}, {files.objects.title_with_count}")
    taking_part = [sender for sender in senders if sender.sets is None or files.objects.name in sender.sets]

    def run(participant: int) -> Run:
        sender = taking_part[participant]
        directory, count, octets = files.first(sender.most_objects)
        try:
            with receiver.start(scratch) as peer:
                measured = run_bounded(
                    sender.command(peer.address, directory), seconds=bounds.seconds, environment=sender.environment
                )
                missing = count - len(peer.stored_files()) if receiver.one_file_each else 0
        except PeerUnavailableError as error:
            return no_run(str(error))
        return transfer_run(measured, operations=count, octets=octets, missing=missing)

    rows = in_turns([s.name for s in taking_part], [s.rounds for s in taking_part], bounds.rounds, run)
    return Contest(section=section, title=title, objects=files.objects.title_with_count, rows=rows)


def no_run(note: str) -> Run:
    """A run that could not even begin."""
    return Run(seconds=1, cpu_seconds=0, peak_octets=0, operations=1, octets=0, finished=False, note=note)


class Watch:
    """What a receiver, with all that it forks, uses while it is sent something."""

    def __init__(self, peer: RunningPeer) -> None:
        self.peer = peer
        self.before = group_usage(peer.pid)
        self.peak_octets = 0

    def look(self) -> None:
        """Processes that end before the end are seen here only."""
        self.peak_octets = max(self.peak_octets, group_usage(self.peer.pid).peak_octets)

    def measured(self, sender: Measured) -> Measured:
        """The sender's time with the receiver's CPU and memory."""
        after = group_usage(self.peer.pid)
        return Measured(
            seconds=sender.seconds,
            cpu_seconds=after.cpu_seconds - self.before.cpu_seconds,
            peak_octets=max(self.peak_octets, after.peak_octets),
            exit_code=sender.exit_code,
            output=sender.output,
        )


def receive(
    section: str,
    title: str,
    receivers: Sequence[Receiver],
    command: Callable[[PeerAddress, Path], list[str]],
    files: Files,
    scratch: Path,
    bounds: Bounds,
) -> Contest:
    """Receivers in turns, each just started and sent the same by `command`; CPU and memory are the receivers'."""
    heading(f"{title}, {files.objects.title_with_count}")
    directory, count, octets = files.first(None)

    def run(participant: int) -> Run:
        receiver = receivers[participant]
        try:
            with receiver.start(scratch) as peer:
                watch = Watch(peer)
                sender = run_bounded(
                    command(peer.address, directory), seconds=bounds.seconds, environment=NO_NAGLE, meanwhile=watch.look
                )
                measured = watch.measured(sender)
                missing = count - len(peer.stored_files()) if receiver.one_file_each else 0
        except PeerUnavailableError as error:
            return no_run(str(error))
        return transfer_run(measured, operations=count, octets=octets, missing=missing)

    rows = in_turns([r.name for r in receivers], [r.rounds for r in receivers], bounds.rounds, run)
    return Contest(section=section, title=title, objects=files.objects.title_with_count, rows=rows)


@contextmanager
def all_started(receivers: Sequence[Receiver], scratch: Path) -> Iterator[list[RunningPeer]]:
    """Several receivers at once, for operations that leave nothing behind."""
    with ExitStack() as stack:
        yield [stack.enter_context(receiver.start(scratch)) for receiver in receivers]
