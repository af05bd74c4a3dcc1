"""What processes use, from /proc, as a server goes on: looked at again and again, and judged at the end."""

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

MIB = 1024 * 1024
GROWTH_MIB, GROWTH_SHARE = 4.0, 0.10  # of memory, that is no leak: caches fill, and the allocator keeps some
CACHES_MIB = {"station": 12.0}  # what SQLite keeps of its files grows with them: to 2 MiB for each of its connections
GROWTH_DESCRIPTORS, GROWTH_THREADS = 12, 6  # an association more has two, and a thread is kept for ten seconds


@dataclass(frozen=True)
class Sample:
    """One look at one process."""

    seconds: float
    memory: float
    """MiB that are its own: without what it shares with others."""
    descriptors: int
    threads: int


@dataclass
class Usage:
    """All looks, by the name of what was looked at."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    files: dict[str, list[float]] = field(default_factory=dict)
    """MiB of files that grow."""

    def look(self, name, pid, seconds):
        with suppress(FileNotFoundError, ProcessLookupError):
            status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            sample = Sample(
                seconds=seconds,
                memory=int(status["RssAnon"].split()[0]) / 1024,
                descriptors=len(os.listdir(f"/proc/{pid}/fd")),
                threads=int(status["Threads"]),
            )
            self.samples.setdefault(name, []).append(sample)

    def look_at_files(self, paths):
        for path in paths:
            with suppress(FileNotFoundError):
                self.files.setdefault(path.name, []).append(path.stat().st_size / MIB)

    def rows(self):
        """(name, what, early, late) for each process: medians of the second and of the last fifth."""
        for name, samples in self.samples.items():
            fifth = max(len(samples) // 5, 1)
            early, late = samples[fifth : 2 * fifth] or samples[:1], samples[-fifth:]
            for what in ("memory", "descriptors", "threads"):
                yield name, what, *(median(getattr(each, what) for each in part) for part in (early, late))

    def failures(self):
        """What grew beyond what is no leak."""
        for name, what, early, late in self.rows():
            allowed = {
                "memory": max(GROWTH_MIB, early * GROWTH_SHARE) + CACHES_MIB.get(name, 0.0),
                "descriptors": GROWTH_DESCRIPTORS,
                "threads": GROWTH_THREADS,
            }[what]
            if late - early > allowed:
                yield f"{what} of {name} grew from {early:.1f} to {late:.1f}"


def children(pid):
    """The processes that a process has begun and that live."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):  # a child is that of the thread that began it
        with suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, path.read_text().split())
    return found
