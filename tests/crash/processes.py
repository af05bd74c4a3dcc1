"""Begins processes of dulcet by the zygote, and knows when they are dead."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path

import trio

ZYGOTE = Path(__file__).with_name("zygote.py")
PATIENCE = 60.0  # seconds for a process to begin or to end


class Processes:
    """Any number of them, at once."""

    def __init__(self, process):
        self._process = process
        self._order = trio.Lock()
        self._number = 0
        self._begun = {}
        self._ended = {}
        self._codes = {}

    async def listen(self):
        """What the zygote tells."""
        pending = b""
        async for octets in self._process.stdout:
            *lines, pending = (pending + octets).split(b"\n")
            for line in map(json.loads, lines):
                if "ended" in line:
                    self._codes[line["ended"]] = line["code"]
                    self._ended.setdefault(line["ended"], trio.Event()).set()
                else:
                    begun, values = self._begun.pop(line["number"])
                    values.append(line["pid"])
                    begun.set()

    async def begin(self, words, output, *, environment=None, plant=()):
        """The pid of a new process that runs `dulcet WORDS`."""
        self._number += 1
        begun = self._begun[self._number] = (trio.Event(), [])
        order = {
            "number": self._number,
            "output": str(output),
            "words": [str(word) for word in words],
            "environment": environment or {},
            "plant": list(plant),
        }
        async with self._order:
            await self._process.stdin.send_all(json.dumps(order).encode() + b"\n")
        with trio.fail_after(PATIENCE):
            await begun[0].wait()
        return begun[1][0]

    async def end(self, pid):
        """Its exit code, when it has ended by itself."""
        await self._ended.setdefault(pid, trio.Event()).wait()
        del self._ended[pid]
        return self._codes.pop(pid)

    async def kill(self, pid):
        """SIGKILL, and wait until its locks and its port are free; one that has ended already is no error."""
        if not self._ended.setdefault(pid, trio.Event()).is_set():
            with suppress(ProcessLookupError):  # it has ended, and we have not heard of it yet
                os.kill(pid, signal.SIGKILL)
        with trio.fail_after(PATIENCE):
            return await self.end(pid)


async def start(nursery, plans="", environment=None):
    """Processes, begun by a zygote that lives until its input is closed; its process."""
    begin = partial(
        trio.run_process,
        [sys.executable, str(ZYGOTE), *filter(None, [plans])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "DULCET_CONFIG": os.devnull, **(environment or {})},
    )
    process = await nursery.start(begin)
    processes = Processes(process)
    nursery.start_soon(processes.listen)
    return processes, process
