"""For how long a process was held up, by the machine or by a signal: time that nobody in it can be blamed for.

A thread wants to run fifty times a second. When it could not, and its process used no processor meanwhile, the process
was stopped. A process that computes, or blocks in a call, is not held up: the thread runs, or processor time goes by.
"""

import os
import signal
import struct
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

BEAT = 0.02  # seconds
NOTICED = 0.1  # seconds; what is shorter is told from nothing


@contextmanager
def pulse(path: Path) -> Iterator[None]:
    """Write to `path`: when this process ran last, then from when until when it did not (time.monotonic, doubles)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(descriptor, ended), name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        os.close(descriptor)


def _beat(descriptor: int, ended: threading.Event) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the thread that waits for them
    end = struct.calcsize("d")
    then, used = time.monotonic(), time.process_time()
    while not ended.wait(BEAT):
        now, processor = time.monotonic(), time.process_time()
        lost = now - then - max(BEAT, processor - used)
        if lost > NOTICED:
            end += os.pwrite(descriptor, struct.pack("2d", now - lost, now), end)
        then, used = now, processor
        os.pwrite(descriptor, struct.pack("d", then), 0)


def last_beat(path: Path) -> float:
    """When the process ran last."""
    octets = path.read_bytes()[: struct.calcsize("d")]
    return float(struct.unpack("d", octets)[0]) if octets else 0.0


def held_up(paths: Iterable[Path], start: float, end: float) -> float:
    """Seconds between `start` and `end` for which one process or another was held up; each must have run since."""
    lost, until = 0.0, start
    for begins, ends in sorted(gap for path in paths for gap in struct.iter_unpack("2d", path.read_bytes()[8:])):
        begins, ends = max(begins, until), min(ends, end)
        if begins < ends:
            lost += ends - begins
            until = ends
    return lost
