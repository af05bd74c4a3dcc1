"""Several server processes on one listening socket: whoever is idle accepts."""

import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from dulcet.errors import DulcetError
from dulcet.station.server import ServerSettings, run_server

EXIT_INTERNAL = 70


def run_workers(settings: ServerSettings, sockets: Sequence[socket.socket]) -> int:
    """Fork `settings.workers` processes that serve on `sockets` and wait for them; the first exit code that isn't 0.

    The limits on associations hold for each process in its share. Signals are passed on. When a worker dies of itself
    the others are ended too: a server at half its strength should be seen.
    """
    count = settings.workers
    limits = replace(
        settings.limits,
        max_associations=-(-settings.limits.max_associations // count),
        max_per_address=-(-settings.limits.max_per_address // count),
    )
    share = replace(settings, limits=limits)
    workers = {_fork(share, sockets, announce=index == 0) for index in range(count)}
    for sock in sockets:  # theirs alone: when they accept no more, nobody does
        sock.close()

    def pass_on(number: int, frame: object) -> None:
        _signal(workers, number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    exit_code = 0
    while workers:
        pid, status = os.wait()
        workers.discard(pid)
        code = os.waitstatus_to_exitcode(status)
        if code:
            exit_code = exit_code or (code if code > 0 else 128 - code)
            _signal(workers, signal.SIGTERM)
    return exit_code


def _signal(workers: set[int], number: int) -> None:
    for pid in workers:
        with suppress(ProcessLookupError):  # it has just been waited for
            os.kill(pid, number)


def _fork(settings: ServerSettings, sockets: Sequence[socket.socket], *, announce: bool) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = EXIT_INTERNAL
    try:
        code = run_server(settings, sockets, announce=announce)
    except DulcetError as error:
        print(f"dulcet: {error}", file=sys.stderr, flush=True)
        code = error.exit_code
    finally:
        sys.stdout.flush()
        os._exit(code)
