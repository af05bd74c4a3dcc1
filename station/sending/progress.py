"""How far the work is: on a terminal a bar, elsewhere a line now and then, always on standard error.

The one who works only adds to `Transfer`; a task of its own looks at it and shows it. rich is imported only when work
on a terminal lasts more than a second; it starts no thread of its own and leaves the standard streams alone.
"""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import trio

from dulcet.station.figures import duration, plural, rate, size
from dulcet.station.terminal import moves_cursor

if TYPE_CHECKING:
    from rich.progress import Progress

REFRESH_SECONDS = 0.1  # ten times a second looks smooth; more costs the work something
PATIENCE_SECONDS = 1.0  # what is done sooner needs no bar, nor the import for it
LINE_SECONDS = 10.0  # for those who read logs
RATE_WINDOW_SECONDS = 10.0  # long enough to be steady, short enough to notice a peer that slows down


@dataclass(kw_only=True, slots=True)
class Transfer:
    """What was done and what is to be done. Whoever works counts here; adding is all it costs."""

    total_objects: int
    """Objects to do."""
    total_octets: int
    """Octets of their data sets."""
    objects: int = 0
    """Objects that are done, well or not."""
    failed: int = 0
    """Those of them that were not stored."""
    octets: int = 0
    """Octets that are done: sent, or never to be sent because their object failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast the work goes, and how long it will take."""

    octets_per_second: float
    """In the last ten seconds."""
    objects_per_second: float
    """In the last ten seconds."""
    seconds_left: float | None
    """At this pace; None when nothing moved."""


class PaceMeter:
    """Measures the pace of a `Transfer` over the last `RATE_WINDOW_SECONDS`. The caller brings the clock."""

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer
        self._samples: deque[tuple[float, int, int]] = deque()

    def measure(self, now: float) -> Pace:
        """Take a sample at `now`, in seconds of any clock, and answer the pace."""
        transfer, samples = self._transfer, self._samples
        samples.append((now, transfer.octets, transfer.objects))
        while len(samples) > 2 and samples[1][0] <= now - RATE_WINDOW_SECONDS:
            samples.popleft()
        then, octets, objects = samples[0]
        elapsed = now - then
        if elapsed <= 0:
            return Pace(octets_per_second=0.0, objects_per_second=0.0, seconds_left=None)
        octet_rate = (transfer.octets - octets) / elapsed
        object_rate = (transfer.objects - objects) / elapsed
        return Pace(
            octets_per_second=octet_rate,
            objects_per_second=object_rate,
            seconds_left=self._seconds_left(octet_rate, object_rate),
        )

    def _seconds_left(self, octet_rate: float, object_rate: float) -> float | None:
        """By the octets, for objects differ in size; by the objects once all octets went out."""
        octets = self._transfer.total_octets - self._transfer.octets
        objects = self._transfer.total_objects - self._transfer.objects
        if octets > 0:
            return octets / octet_rate if octet_rate > 0 else None
        if objects > 0:
            return objects / object_rate if object_rate > 0 else None
        return 0.0


def describe(transfer: Transfer, pace: Pace) -> str:
    """One line: `120 of 2,000 objects, 61.4 MB of 1.1 GB, 98.3 MB/s, 190 objects/s, 10 s left`."""
    parts = [
        f"{transfer.objects:,} of {plural(transfer.total_objects, 'object')}",
        f"{size(transfer.octets)} of {size(transfer.total_octets)}",
        rate(pace.octets_per_second),
        f"{pace.objects_per_second:,.0f} objects/s",
    ]
    if pace.seconds_left is not None:
        parts.append(f"{duration(pace.seconds_left)} left")
    if transfer.failed:
        parts.append(f"{transfer.failed:,} failed")
    return ", ".join(parts)


async def show_progress(transfer: Transfer, output: TextIO, *, quiet: bool = False) -> None:
    """Show `transfer` on `output`, standard error by habit, until cancelled; on a terminal the bar is then wiped away.

    Start it in a nursery beside the work, and cancel it when the work is done. `quiet` (-q, --json): nothing is shown.
    Colours only as NO_COLOR and the terminal allow.
    """
    if quiet:
        return
    meter = PaceMeter(transfer)
    meter.measure(trio.current_time())
    if moves_cursor(output):
        await trio.sleep(PATIENCE_SECONDS)
        await _show_bar(transfer, meter, output)
    else:
        await _show_lines(transfer, meter, output)


async def _show_lines(transfer: Transfer, meter: PaceMeter, output: TextIO) -> None:
    while True:
        await trio.sleep(LINE_SECONDS)
        output.write(describe(transfer, meter.measure(trio.current_time())) + "\n")
        output.flush()


async def _show_bar(transfer: Transfer, meter: PaceMeter, output: TextIO) -> None:
    progress = _bar(output)
    task = progress.add_task("", total=max(transfer.total_octets, 1))
    with progress:
        while True:
            pace = meter.measure(trio.current_time())
            progress.update(task, completed=transfer.octets, description=describe(transfer, pace))
            progress.refresh()
            await trio.sleep(REFRESH_SECONDS)


def _bar(output: TextIO) -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        BarColumn(bar_width=24),
        TextColumn("{task.description}", markup=False),
        console=Console(file=output, force_terminal=True),
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
    )
