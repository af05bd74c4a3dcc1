"""Contests without objects: echoes on a kept association, and the start of a whole process."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.contests import Bounds, all_started, heading, in_turns
from benchmarks.processes import run_bounded
from benchmarks.receivers import Receiver
from benchmarks.results import Contest, Run
from benchmarks.senders import NO_NAGLE, OURS, dulcet_program
from dulcet.conformance.peers.address import PeerAddress
from dulcet.conformance.peers.process import find_executable
from dulcet.conformance.peers.pynetdicom import find_pynetdicom_python


@dataclass(frozen=True, kw_only=True, slots=True)
class Echoer:
    """A program that sends C-ECHO several times over one association."""

    name: str
    """What the tables call it."""
    command: Callable[[PeerAddress, int], list[str]]
    """The command line for an address and a number of echoes."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is added to its environment."""
    repeat: int = 1_000
    """How many echoes."""


def echoers() -> list[Echoer]:
    """Every one that is installed here, ours first."""
    everyone = [Echoer(name=OURS, command=lambda peer, n: [dulcet_program(), "echo", str(peer), "--repeat", str(n)])]
    if find_executable("echoscu"):
        everyone += [
            Echoer(name="DCMTK echoscu", command=_echoscu, environment=NO_NAGLE),
            Echoer(name="DCMTK echoscu, as shipped (Nagle on)", command=_echoscu, repeat=50),
        ]
    if python := find_pynetdicom_python():
        application = [str(python), "-m", "pynetdicom", "echoscu", "-q"]
        everyone.append(
            Echoer(
                name="pynetdicom echoscu",
                command=lambda peer, n: [
                    *application, "--repeat", str(n), "-aec", peer.ae_title, peer.host, str(peer.port)
                ],
                repeat=50,
            )
        )  # fmt: skip
    return everyone


def _echoscu(peer: PeerAddress, repeat: int) -> list[str]:
    return ["echoscu", "--repeat", str(repeat), "-aec", peer.ae_title, peer.host, str(peer.port)]


def echo_times(echoer: Echoer, peer: PeerAddress, seconds: float) -> Run:
    """Many echoes less one: what the further ones took."""
    many, one = (
        run_bounded(echoer.command(peer, repeat), seconds=seconds, environment=echoer.environment)
        for repeat in (echoer.repeat, 1)
    )
    return Run(
        seconds=max(many.seconds - one.seconds, 1e-9),
        cpu_seconds=max(many.cpu_seconds - one.cpu_seconds, 0),
        peak_octets=many.peak_octets,
        operations=echoer.repeat - 1,
        octets=0,
        finished=many.finished and one.finished,
        note="" if many.finished and one.finished else f"exit codes {many.exit_code}, {one.exit_code}: {many.output}",
    )


def echo_from(receiver: Receiver, asking: Sequence[Echoer], scratch: Path, bounds: Bounds) -> Contest:
    """Who asks, in turns, the same receiver."""
    title = "C-ECHO on a kept association, as SCU"
    heading(title)
    with all_started([receiver], scratch) as (peer,):
        rows = in_turns(
            [echoer.name for echoer in asking],
            [None] * len(asking),
            bounds.rounds,
            lambda n: echo_times(asking[n], peer.address, bounds.seconds),
        )
    return Contest(section="echo", title=title, objects="", rows=rows)


def echo_to(receivers: Sequence[Receiver], scratch: Path, bounds: Bounds) -> Contest:
    """Who answers, in turns, the same echoscu; CPU and memory are echoscu's."""
    title = "C-ECHO on a kept association, as SCP (CPU and memory are those of the asking echoscu)"
    heading(title)
    asking = Echoer(name="", command=_echoscu, environment=NO_NAGLE)
    with all_started(receivers, scratch) as peers:
        rows = in_turns(
            [receiver.name for receiver in receivers],
            [None] * len(receivers),
            bounds.rounds,
            lambda n: echo_times(asking, peers[n].address, bounds.seconds),
        )
    return Contest(section="echo", title=title, objects="", rows=rows)


def once(echoer: Echoer) -> Callable[[PeerAddress], list[str]]:
    """The command line of one echo."""
    return lambda peer: echoer.command(peer, 1)


def start(receiver: Receiver, asking: Sequence[Echoer], scratch: Path, bounds: Bounds) -> Contest:
    """The whole process of one echo, beside what any Python process costs."""
    title = "One echo, the whole process"
    heading(title)
    commands: list[tuple[str, Callable[[PeerAddress], list[str]]]] = [
        (echoer.name, once(echoer)) for echoer in asking if "as shipped" not in echoer.name
    ]
    commands += [
        ("(python -c pass)", lambda _: [sys.executable, "-c", "pass"]),
        ("(python -c 'import trio')", lambda _: [sys.executable, "-c", "import trio"]),
    ]
    with all_started([receiver], scratch) as (peer,):

        def run(participant: int) -> Run:
            command = commands[participant][1](peer.address)
            measured = run_bounded(command, seconds=bounds.seconds, environment=NO_NAGLE)
            return Run(
                seconds=measured.seconds,
                cpu_seconds=measured.cpu_seconds,
                peak_octets=measured.peak_octets,
                operations=1,
                octets=0,
                finished=measured.finished,
                note="" if measured.finished else measured.output,
            )

        rows = in_turns([name for name, _ in commands], [None] * len(commands), bounds.rounds, run)
    return Contest(section="start", title=title, objects="", rows=rows)
