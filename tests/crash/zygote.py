"""The process that others are forked from: it has loaded dulcet's commands already, so a life costs milliseconds.

A program. Lines in: {"number", "output", "words", "environment", "plant"}. Lines out: {"number", "pid"} and {"ended":
pid, "code"}. It ends when no more lines can come; however it ends, none of them outlives it. Its one argument is a
module with a function `plant(name)`, which changes the process that it is called in.
"""

import contextlib
import ctypes
import importlib
import json
import os
import select
import signal
import sys

from dulcet import cli
from dulcet.commands import serve  # noqa: F401  a command is loaded when it is used: now

PR_SET_PDEATHSIG = 1  # prctl(2)


def main() -> None:
    plans = importlib.import_module(sys.argv[1]) if sys.argv[1:] else None
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
                    _become(order, plans)
                _tell(number=order["number"], pid=pid)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            _tell(ended=ended[0], code=os.waitstatus_to_exitcode(ended[1]))


def _tell(**values: int) -> None:
    os.write(1, json.dumps(values).encode() + b"\n")


def _become(order, plans) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(order["environment"])
    for name in order["plant"]:
        plans.plant(name)
    os._exit(cli.run(order["words"]))


if __name__ == "__main__":
    main()
