"""One file for each process that runs: rewritten once a second, removed at the end, and locked as long as it lives.

The lock tells the living from the dead: the file that a name leads to is locked by its writer from before it has the
name until after it has lost it. Whoever can lock it may remove it. No fsync: after a crash of the system nothing runs.
"""

import errno
import fcntl
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from dulcet.station.book.configuration import state_path
from dulcet.station.monitor.process_report import ProcessReport, decode

SECONDS = 1.0  # between two writes
END_PATIENCE = 1.0  # seconds for the file to be removed
MAX_OCTETS = 4 * 1024 * 1024  # a hundred associations are 20 kB
UNFINISHED_SECONDS = 60.0  # after which a file that never got its name is removed

_NEW_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_READ_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def processes_path() -> Path:
    """The directory of these files, in that of the state. It need not be there."""
    return state_path() / "processes"


class ProcessFile:
    """The file of this process. Synchronous: its methods run in threads, one after the other."""

    def __init__(self, directory: Path) -> None:
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._directory = directory
        self._path = directory / f"{name}.json"
        self._unfinished = directory / f".{name}.new"
        self._descriptor = -1
        self._is_over = False
        self._lock = threading.Lock()

    def write(self, report: ProcessReport) -> None:
        """Put `report` in place of the one before. OSError when that can't be done; the one before stays then."""
        with self._lock:
            if not self._is_over:
                self._write(report.encode())

    def _write(self, octets: bytes) -> None:
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.write(descriptor, octets) < len(octets):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.rename(self._unfinished, self._path)
        except OSError:
            os.close(descriptor)
            with suppress(OSError):
                os.unlink(self._unfinished)
            raise
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = descriptor

    def _open(self) -> int:
        try:
            return os.open(self._unfinished, _NEW_FLAGS, 0o600)
        except FileExistsError:  # ours, of an attempt that failed
            os.unlink(self._unfinished)
            return os.open(self._unfinished, _NEW_FLAGS, 0o600)
        except FileNotFoundError:
            make_directory(self._directory)
            return os.open(self._unfinished, _NEW_FLAGS, 0o600)

    def remove(self) -> None:
        """The process ends: nothing is written any more."""
        with self._lock:
            self._is_over = True
            if self._descriptor >= 0:
                with suppress(OSError):
                    os.unlink(self._path)
                os.close(self._descriptor)
                self._descriptor = -1


def make_directory(directory: Path) -> None:
    """The directory and the state's above it, for us alone. OSError when they can't be made."""
    directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)


async def publish(
    describe: Callable[[], ProcessReport],
    directory: Path | None = None,
    *,
    failed: Callable[[str], None] = lambda _reason: None,
    written: Callable[[], None] = lambda: None,
) -> None:
    """Write what `describe` says, once a second, until cancelled; then the file is gone.

    A disk that is full, read-only or slow disturbs nobody: `failed` is told once, and again after it had worked.
    `written` is called after each attempt. All three are called in trio's thread; the clock and the writing are a
    thread's, so that a process at rest has no deadline.
    """
    import trio  # those who only read need none of it

    file = ProcessFile(directory or processes_path())
    stopping = threading.Event()
    try:
        await trio.to_thread.run_sync(
            partial(_keep_writing, file, describe, failed, written, stopping),
            abandon_on_cancel=True,
            limiter=trio.CapacityLimiter(1),
        )
    finally:
        stopping.set()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + END_PATIENCE):
            await trio.to_thread.run_sync(file.remove, abandon_on_cancel=True)


def _keep_writing(
    file: ProcessFile,
    describe: Callable[[], ProcessReport],
    failed: Callable[[str], None],
    written: Callable[[], None],
    stopping: threading.Event,
) -> None:
    """In a thread, until `stopping`, or until nobody waits for it any more."""
    import trio

    has_failed = False
    with suppress(trio.Cancelled, trio.RunFinishedError):
        while not stopping.is_set():
            try:
                file.write(trio.from_thread.run_sync(describe))
                has_failed = False
            except Exception as error:  # whatever it is, even of ours: who works must not suffer from who looks on
                reason = (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"
                if not has_failed:
                    trio.from_thread.run_sync(failed, reason)
                has_failed = True
            trio.from_thread.run_sync(written)
            stopping.wait(SECONDS)


def read_processes(directory: Path | None = None) -> list[ProcessReport]:
    """The processes that live, the oldest first. Files of others are removed; nothing is raised for what is wrong."""
    directory = directory or processes_path()
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return []
    found = []
    for name in names:
        if name.endswith(".json") and not name.startswith("."):
            octets = _read(directory / name)
            report = None if octets is None else decode(octets)
            if report is not None:
                found.append(report)
        elif name.endswith(".new"):
            _remove_unfinished(directory / name)
    return sorted(found, key=lambda report: (report.started_at, report.pid))


def _read(path: Path) -> bytes | None:
    """What a living process wrote; None when it is dead, and its file is removed then."""
    for _ in range(3):  # it may be rewritten while we look
        try:
            descriptor = os.open(path, _READ_FLAGS)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            if not _can_lock(descriptor):
                return os.pread(descriptor, MAX_OCTETS, 0)
            with suppress(OSError):
                if os.path.samestat(status, os.lstat(path)):
                    os.unlink(path)  # nobody but its writer gives the name away, and the writer is dead
                    return None
        except OSError:
            return None
        finally:
            os.close(descriptor)
    return None


def _can_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remove_unfinished(path: Path) -> None:
    with suppress(OSError):
        if time.time() - path.lstat().st_mtime > UNFINISHED_SECONDS:
            path.unlink()
