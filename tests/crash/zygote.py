"""The process that servers are forked from: it has loaded `dulcet serve` already, so a life costs milliseconds.

A program. Lines in: {"number", "output", "arguments"}. Lines out: {"number", "pid"} and {"ended": pid}. It ends when no
more lines can come; however it ends, no server outlives it.
"""

import contextlib
import ctypes
import json
import os
import select
import signal

from dulcet import cli
from dulcet.commands import serve  # noqa: F401  a command is loaded when it is used: now

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    wakeup, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    pending = b""
    while True:
        ready, _, _ = select.select([0, wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 4096)
            _reap()
        if 0 in ready:
            octets = os.read(0, 65536)
            if not octets:
                break
            *lines, pending = (pending + octets).split(b"\n")
            for line in lines:
                order = json.loads(line)
                pid = os.fork()
                if not pid:
                    _become_server(order)
                _tell(number=order["number"], pid=pid)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(ended=ended[0])


def _tell(**values: int) -> None:
    os.write(1, json.dumps(values).encode() + b"\n")


def _become_server(order) -> None:
    signal.set_wakeup_fd(-1)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os._exit(cli.run(["serve", *order["arguments"]]))


if __name__ == "__main__":
    main()
