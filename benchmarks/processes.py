"""A command as a whole process: how long, how much CPU, how much memory; bounded in time."""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 0.01
SAMPLES_BETWEEN = 25  # looking through all processes costs milliseconds
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
OUTPUT_TAIL_OCTETS = 600
KIB = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One run of a command."""

    seconds: float
    """From its start to its end."""
    cpu_seconds: float
    """User and system time of it and of the children that it waited for."""
    peak_octets: int
    """The most resident memory that it had (VmHWM), to within one hundredth of a second of its end."""
    exit_code: int | None
    """None: it did not end in time and was killed."""
    output: str
    """The end of what it printed."""

    @property
    def finished(self) -> bool:
        """Whether it ended in time and said that all went well."""
        return self.exit_code == 0


def run_bounded(
    command: Sequence[str],
    *,
    seconds: float,
    environment: Mapping[str, str],
    meanwhile: Callable[[], None] | None = None,
) -> Measured:
    """Run a command to its end, or kill it and its process group after `seconds`; call `meanwhile` now and then."""
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        in_time, peak_octets = _watch(process.pid, started + seconds, meanwhile)
        if not in_time:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        ended = time.perf_counter()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(max(0, output.tell() - OUTPUT_TAIL_OCTETS))
        return Measured(
            seconds=ended - started,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            # ru_maxrss begins with what this process had when it forked, so it stands in only where nothing was seen.
            peak_octets=peak_octets or usage.ru_maxrss * KIB,
            exit_code=process.returncode if in_time else None,
            output=output.read().decode("utf-8", "backslashreplace"),
        )


def _watch(pid: int, deadline: float, meanwhile: Callable[[], None] | None) -> tuple[bool, int]:
    """(ended before the deadline, the highest memory mark that was seen)."""
    descriptor = os.pidfd_open(pid)
    peak_octets = samples = 0
    try:
        while (left := deadline - time.perf_counter()) > 0:
            ended, _, _ = select.select([descriptor], [], [], min(left, SAMPLE_SECONDS))
            if ended:
                return True, peak_octets
            peak_octets = max(peak_octets, high_water_octets(pid))
            samples += 1
            if meanwhile and samples % SAMPLES_BETWEEN == 0:
                meanwhile()
    finally:
        os.close(descriptor)
    return False, peak_octets


def high_water_octets(pid: int) -> int:
    """The most resident memory that a living process had so far (VmHWM); 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    line = next((line for line in status.splitlines() if line.startswith("VmHWM:")), "VmHWM: 0 kB")
    return int(line.split()[1]) * KIB


def proportional_octets(pid: int) -> int:
    """The resident memory of a living process, a page of N processes counted as 1/N (PSS); 0 where it is gone."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    line = next((line for line in rollup.splitlines() if line.startswith("Pss:")), "Pss: 0 kB")
    return int(line.split()[1]) * KIB


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupUsage:
    """What the processes of a group used so far."""

    cpu_seconds: float
    """User and system time, of children that ended as well; in steps of a clock tick, 10 ms as a rule."""
    peak_octets: int
    """The high water mark of one process; of several, what they have now, pages that they share counted once (PSS)."""


def group_usage(group: int) -> GroupUsage:
    """Usage of a server and of what it forked."""
    ticks = 0
    members = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
            members.append(int(entry.name))
    peak_octets = high_water_octets(members[0]) if len(members) == 1 else sum(map(proportional_octets, members))
    return GroupUsage(cpu_seconds=ticks / TICKS_PER_SECOND, peak_octets=peak_octets)
