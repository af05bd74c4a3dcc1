"""The operations that storing an object consists of, in one place: tests put faults and records between.

Each is the operating system's, with its arguments and its errors. A path given with a directory's descriptor is one
name, never more.
"""

import ctypes
import fcntl
import os
import sys

LOCK_ALONE = fcntl.LOCK_EX
LOCK_SHARED = fcntl.LOCK_SH
LOCK_NOW = fcntl.LOCK_NB

_SYNCFS_TELLS_ERRORS_SINCE = (5, 8)  # before this Linux it answers success when a write failed (syncfs(2))


class FileSystem:
    """What the operating system offers."""

    open = staticmethod(os.open)
    close = staticmethod(os.close)
    write = staticmethod(os.writev)
    read = staticmethod(os.preadv)
    fsync = staticmethod(os.fsync)
    link = staticmethod(os.link)
    rename = staticmethod(os.rename)
    unlink = staticmethod(os.unlink)
    mkdir = staticmethod(os.mkdir)
    rmdir = staticmethod(os.rmdir)
    stat = staticmethod(os.stat)
    fstat = staticmethod(os.fstat)
    statvfs = staticmethod(os.fstatvfs)
    lock = staticmethod(fcntl.flock)

    def listdir(self, descriptor: int) -> list[str]:
        """The names in an open directory."""
        return os.listdir(descriptor)

    can_sync_file_system = False
    """Whether `sync_file_system` exists here and tells of errors."""

    def sync_file_system(self, descriptor: int) -> None:
        """syncfs(2): all that was written to the file system of `descriptor` is on the disk; OSError if not."""
        if _libc().syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _can_sync_file_system() -> bool:
    if sys.platform != "linux":
        return False
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    version = tuple(int(number) for number in numbers if number.isdigit())
    return version >= _SYNCFS_TELLS_ERRORS_SINCE and hasattr(_libc(), "syncfs")


FileSystem.can_sync_file_system = _can_sync_file_system()
