"""Ports of this machine that retrievals receive on: each has a lock, which tells them from servers."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from dulcet.station.book.configuration import state_path


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


def _path(port: int) -> Path:
    return state_path() / "receivers" / f"{port}.lock"
