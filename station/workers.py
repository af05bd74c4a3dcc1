"""Several server processes on one listening socket: whoever is idle accepts."""

import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from dulcet.errors import DulcetError
from dulcet.escape import quote
from dulcet.station.lines import write_line
from dulcet.station.server import BLOCKED, PASSED_ON, SIGNALS, Part, ServerSettings, run_server

EXIT_INTERNAL = 70
EXIT_TRY_LATER = 75


def run_workers(settings: ServerSettings, sockets: Sequence[socket.socket], part: Part) -> int:
    """Fork `settings.workers` processes that serve on `sockets` and wait for them; the first exit code that isn't 0.

    The limits on associations hold for each process in its share. Signals are passed on, those too that come before
    there is anybody to take them. When a worker dies of itself, or can't be started, the others are ended too: a server
    at half its strength should be seen. They end when we are gone, however that came.
    """
    share = _share(settings)
    part = replace(part, family=os.getpid(), read_settings=_shared(part.read_settings))
    exit_code = 0
    workers = _Workers()
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    life = _Life()
    try:
        for index in range(settings.workers):
            workers.pids.add(_fork(share, sockets, replace(part, is_first=index == 0), life))
    except OSError as error:
        write_line(f"dulcet: the workers can't be started: {error.strerror or error}", sys.stderr)
        exit_code = EXIT_TRY_LATER
        workers.end()
    for sock in (*sockets, *part.http_sockets):  # theirs alone: when they accept no more, nobody does
        sock.close()
    for number in SIGNALS:
        signal.signal(number, workers.pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)
    while workers.pids:
        pid, status = os.wait()
        workers.pids.discard(pid)
        code = os.waitstatus_to_exitcode(status)
        if code:
            exit_code = exit_code or (code if code > 0 else 128 - code)
            workers.end()
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


class _Workers:
    """Those that live, and whether they were told to end."""

    def __init__(self) -> None:
        self.pids: set[int] = set()
        self._are_ending = False

    def pass_on(self, number: int, frame: object) -> None:
        """A handler of signals; those that end a server go on as others, see `PASSED_ON`."""
        self._are_ending |= number in PASSED_ON
        for pid in self.pids:
            with suppress(ProcessLookupError):  # it has just been waited for
                os.kill(pid, PASSED_ON.get(signal.Signals(number), number))

    def end(self) -> None:
        """In order, unless they are about to: to be told twice is to break off."""
        if not self._are_ending:
            self.pass_on(signal.SIGTERM, None)


class _Life:
    """A pipe that nobody writes to: who waits at its other end learns that we are gone."""

    def __init__(self) -> None:
        self._waits, self._lives = os.pipe()

    def end_with_it(self) -> None:
        """In a worker: its end is a SIGTERM for us."""
        os.close(self._lives)

        def wait() -> None:
            os.read(self._waits, 1)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=wait, name="life of the parent", daemon=True).start()


def _fork(settings: ServerSettings, sockets: Sequence[socket.socket], part: Part, life: _Life) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = EXIT_INTERNAL
    try:
        life.end_with_it()
        if not part.is_first:
            for sock in part.http_sockets:
                sock.close()
            part = replace(part, http_sockets=())
        code = run_server(settings, sockets, part)
    except DulcetError as error:
        write_line(f"dulcet: {error}", sys.stderr)
        code = error.exit_code
    except BaseException as error:
        _tell_fault(error)
    finally:
        with suppress(OSError):  # who read it may be gone
            sys.stdout.flush()
        os._exit(code)


def _tell_fault(error: BaseException) -> None:
    """As the command line does it, which a worker never comes back to."""
    if os.environ.get("DULCET_DEBUG"):
        traceback.print_exception(error)
    text = f"{type(error).__name__}: {quote(str(error), 300)}"
    write_line(f"dulcet: a fault of dulcet's own: {text} (DULCET_DEBUG=1 shows where)", sys.stderr)
