"""Run a command while its processes stand still now and then: `python tests/halts/halts.py -- python -m pytest`.

A machine that does too much, or a virtual one that is not its host's only guest, lets processes wait for a second at
any moment: all of them at once, or one between two steps of another. SIGSTOP and SIGCONT do that here, at random, to
all descendants of the command or to one. What depends on how fast or how evenly a machine runs shows itself then; a
test must bear it. A process that something else has stopped is let be.

The exit code is the command's; the last line, on standard error, tells how often it stood still.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

SHARE_OF_ALL = 0.4  # of the halts: everything stands still, as when the machine does
SHORTEST = 0.1  # seconds


def table():
    """Of every process: its parent and its state (a letter)."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            found[int(path.parent.name)] = int(parent), state
    return found


def descendants(pid):
    """Children, their children and so on, without those that are stopped already."""
    processes = table()
    found, generation = [], {pid}
    while generation:
        generation = {child for child, (parent, _) in processes.items() if parent in generation}
        found += [child for child in generation if processes[child][1] not in "TtZ"]
    return found


def halt(pids, seconds):
    """Let them stand still."""
    stopped = []
    for pid in pids:
        with suppress(OSError):
            os.kill(pid, signal.SIGSTOP)
            stopped.append(pid)
    time.sleep(seconds)
    for pid in stopped:
        with suppress(OSError):
            os.kill(pid, signal.SIGCONT)


def run(command, every, longest, chance):
    """Run it; its exit code, and how many halts there were."""
    halts = 0
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait(chance.expovariate(1 / every)), halts
        except subprocess.TimeoutExpired:
            pids = descendants(process.pid)
        if pids:
            chosen = pids if chance.random() < SHARE_OF_ALL else [chance.choice(pids)]
            halt(chosen, chance.uniform(SHORTEST, longest))
            halts += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--every", type=float, default=1.5, help="seconds between two halts, in the mean")
    parser.add_argument("--longest", type=float, default=1.5, help="seconds of one")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    code, halts = run(options.command, options.every, options.longest, random.Random(options.seed))
    print(f"{halts} halts (--seed {options.seed})", file=sys.stderr)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
