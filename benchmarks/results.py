"""What was measured: runs, their medians, and the file that keeps them."""

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.processes import Measured
from dulcet.conformance.peers.process import find_executable
from dulcet.conformance.peers.pynetdicom import find_pynetdicom_python

FORMAT = "dulcet-benchmark/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One participant in one round."""

    seconds: float
    """The whole process of the sender, its start included; for operations in a row, what they took."""
    cpu_seconds: float
    """CPU of the participant that the row is about."""
    peak_octets: int
    """Its highest resident memory."""
    operations: int
    """Objects, echoes or processes."""
    octets: int
    """Of the files that were sent."""
    finished: bool
    """Ended in time, without an error, and everything had arrived."""
    note: str = ""
    """What went wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One participant in one contest."""

    name: str
    """Who."""
    runs: list[Run] = field(default_factory=list)
    """One for each round."""

    def median(self, value: Callable[[Run], float]) -> float | None:
        """The median over the runs that finished; None when none did."""
        values = [value(run) for run in self.runs if run.finished]
        return median(values) if values else None

    @property
    def rate(self) -> float | None:
        """Operations in a second."""
        return self.median(lambda run: run.operations / run.seconds)

    @property
    def finished(self) -> int:
        """How many runs finished."""
        return sum(run.finished for run in self.runs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """Participants that did the same thing in turns."""

    section: str
    """How it is chosen on the command line: send, receive, ..."""
    title: str
    """The heading of its table."""
    objects: str
    """What was sent: "2,000 of 34 kB"; empty for operations."""
    rows: list[Row]
    """Ours first, where it took part."""

    @property
    def ours(self) -> Row | None:
        """The row that the ratios are of."""
        return next((row for row in self.rows if row.name.startswith("dulcet")), None)


def transfer_run(measured: Measured, *, operations: int, octets: int, missing: int = 0) -> Run:
    """The run of a sender, which failed when objects are missing at the other end."""
    note = "" if measured.finished else f"exit code {measured.exit_code}: {measured.output}"
    return Run(
        seconds=measured.seconds,
        cpu_seconds=measured.cpu_seconds,
        peak_octets=measured.peak_octets,
        operations=operations,
        octets=octets,
        finished=measured.finished and not missing,
        note=f"{note} {missing} objects did not arrive" if missing else note,
    )


def _first_line(*command: str) -> str:
    try:
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (shown.stdout.splitlines() or [""])[0].strip("$ ")


def environment() -> dict[str, str]:
    """The machine and the versions; no host name."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    facts = {
        "cpu": f"{os.cpu_count()} x {cpu}",
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "dulcet": f"{version('dulcet')} {_first_line('git', 'rev-parse', '--short', 'HEAD')}".strip(),
        "trio": version("trio"),
    }
    if find_executable("storescp"):
        facts["DCMTK"] = _first_line("storescp", "--version").split()[2].removeprefix("v")
    if orthanc := find_executable("Orthanc"):
        facts["Orthanc"] = _first_line(orthanc, "--version").rpartition(" ")[2]
    if python := find_pynetdicom_python():
        shown = "import pynetdicom; print(pynetdicom.__version__)"
        facts["pynetdicom"] = _first_line(str(python), "-I", "-c", shown)
    return facts


def document(contests: list[Contest]) -> dict[str, Any]:
    """Everything, for the file."""
    return {
        "format": FORMAT,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv[1:]),
        "environment": environment(),
        "contests": [asdict(contest) for contest in contests],
    }


def write(results: dict[str, Any], directory: Path) -> Path:
    """Write `<date>.json`, named to the minute; returns its path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{results['date'][:16].replace(':', '')}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    return path


def read(path: Path) -> tuple[dict[str, Any], list[Contest]]:
    """What `write` wrote."""
    results = json.loads(path.read_text())
    contests = [
        Contest(
            **{
                **contest,
                "rows": [Row(name=r["name"], runs=[Run(**run) for run in r["runs"]]) for r in contest["rows"]],
            }
        )
        for contest in results["contests"]
    ]
    return results, contests
