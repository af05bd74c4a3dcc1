"""Several server processes on one listening socket: whoever is idle accepts."""

import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from dulcet.errors import DulcetError
from dulcet.station.server import Part, ServerSettings, run_server

EXIT_INTERNAL = 70
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def run_workers(settings: ServerSettings, sockets: Sequence[socket.socket], part: Part) -> int:
    """Fork `settings.workers` processes that serve on `sockets` and wait for them; the first exit code that isn't 0.

    The limits on associations hold for each process in its share. Signals are passed on. When a worker dies of itself
    the others are ended too: a server at half its strength should be seen.
    """
    share = _share(settings)
    part = replace(part, family=os.getpid(), read_settings=_shared(part.read_settings))
    workers = {_fork(share, sockets, replace(part, is_first=index == 0)) for index in range(settings.workers)}
    for sock in (*sockets, *part.http_sockets):  # theirs alone: when they accept no more, nobody does
        sock.close()

    def pass_on(number: int, frame: object) -> None:
        _signal(workers, number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    exit_code = 0
    while workers:
        pid, status = os.wait()
        workers.discard(pid)
        code = os.waitstatus_to_exitcode(status)
        if code:
            exit_code = exit_code or (code if code > 0 else 128 - code)
            _signal(workers, signal.SIGTERM)
    return exit_code


def _share(settings: ServerSettings) -> ServerSettings:
    """What one process may take of what all may."""
    count = settings.workers
    limits = replace(
        settings.limits,
        max_associations=-(-settings.limits.max_associations // count),
        max_per_address=-(-settings.limits.max_per_address // count),
    )
    return replace(settings, limits=limits)


def _shared(read_settings: Callable[[], ServerSettings] | None) -> Callable[[], ServerSettings] | None:
    return None if read_settings is None else lambda: _share(read_settings())


def _signal(workers: set[int], number: int) -> None:
    for pid in workers:
        with suppress(ProcessLookupError):  # it has just been waited for
            os.kill(pid, number)


def _fork(settings: ServerSettings, sockets: Sequence[socket.socket], part: Part) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = EXIT_INTERNAL
    try:
        if not part.is_first:
            for sock in part.http_sockets:
                sock.close()
            part = replace(part, http_sockets=())
        code = run_server(settings, sockets, part)
    except DulcetError as error:
        print(f"dulcet: {error}", file=sys.stderr, flush=True)
        code = error.exit_code
    finally:
        sys.stdout.flush()
        os._exit(code)
