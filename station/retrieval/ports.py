"""Ports of this machine that retrievals receive on: each has a lock, which tells them from servers."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dulcet.errors import ConfigurationError
from dulcet.services.listener import bind
from dulcet.station.book.configuration import state_path

WAIT_SECONDS = 60.0  # of a server for a retrieval that has its port
LOOK_SECONDS = 0.2


class PortClaim:
    """Held as long as a retrieval of this process receives on a port. Nothing is raised: it is a sign for others."""

    def __init__(self, port: int) -> None:
        self._descriptor = -1
        with suppress(OSError):
            path = _path(port)
            path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        """Harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_claimed(port: int) -> bool:
    """Whether a retrieval of ours, in whatever process, receives on the port."""
    try:
        descriptor = os.open(_path(port), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def is_taken(error: ConfigurationError) -> bool:
    """Whether a port could not be had because somebody listens there."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE


def bind_when_free(
    host: str, port: int, *, backlog: int, waiting: Callable[[str], None], clock: Callable[[], float] = time.monotonic
) -> list[socket.socket]:
    """As `bind`, but a retrieval of ours that has the port is waited for, a minute at most. Synchronous.

    `waiting` is told so, once. A server that is begun again finds its port taken when a job has used the moment.
    """
    until = clock() + WAIT_SECONDS
    is_told = False
    while True:
        try:
            return bind(host, port, backlog=backlog)
        except ConfigurationError as error:
            if not is_taken(error) or not is_claimed(port):
                raise
            if clock() >= until:
                raise ConfigurationError(
                    f"a retrieval receives on port {port}; `dulcet queue list` shows which, and `queue pause` ends it"
                ) from error
        if not is_told:
            waiting(f"a retrieval receives on port {port}: waiting until it is done")
        is_told = True
        time.sleep(LOOK_SECONDS)


def _path(port: int) -> Path:
    return state_path() / "receivers" / f"{port}.lock"
