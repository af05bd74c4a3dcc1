"""The directory that objects are kept in: names, temporary files, and what has to be on the disk before an answer.

    DIRECTORY/1f/1.2.840.113619.2.5.dcm                  an object: the first octet of the SHA-256 of its UID, its UID
    DIRECTORY/1f/1.2.840.113619.2.5~8c0a4f1e77b2.dcm     another that came with the same UID, named by its contents
    DIRECTORY/.incoming/3f5a0c8e9b1d2467/12              what is being received, in a directory for each process

Everything is opened relative to directories that are held open, one name at a time, without following links.
"""

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dulcet.dimse.status import OUT_OF_RESOURCES
from dulcet.errors import ConfigurationError, StorageError
from dulcet.services.storing.file_system import LOCK_ALONE, LOCK_NOW, FileSystem

INCOMING = ".incoming"
DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
TEMPORARY_DIRECTORY_ATTEMPTS = 10

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_OPEN_OWN_DIRECTORY = _OPEN_DIRECTORY | os.O_NOFOLLOW
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PROCESS_DIRECTORY = re.compile(r"[0-9a-f]{16}")
_TEMPORARY = re.compile(r"[0-9]+")


def shard_of(sop_instance_uid: str) -> str:
    """The directory that the objects with this UID lie in."""
    return hashlib.sha256(sop_instance_uid.encode("ascii")).hexdigest()[:2]


def out_of_resources(error: OSError) -> StorageError:
    """A700H with the operating system's words."""
    return StorageError(f"it can't be stored: {error.strerror or error}", status=OUT_OF_RESOURCES)


class StorageDirectory:
    """The directory of one `Storage`; several processes may have the same one open."""

    def __init__(self, path: Path, file_system: FileSystem) -> None:
        """Make what is missing, and remove what processes that are gone left in `.incoming`. ConfigurationError."""
        self.path = path.absolute()
        self.file_system = file_system
        self.has_failed = False
        """An fsync failed: what is on the disk can't be known any more."""
        self._counter = 0
        self._durable_shards: dict[str, int] = {}
        self._root = self._incoming = self.temporary = -1
        try:
            self._make_path()
            self._root = file_system.open(self.path, _OPEN_DIRECTORY)
            self._identity = self._identify(file_system.fstat(self._root))
            with suppress(FileExistsError):
                file_system.mkdir(INCOMING, DIRECTORY_MODE, dir_fd=self._root)
            self._incoming = file_system.open(INCOMING, _OPEN_OWN_DIRECTORY, dir_fd=self._root)
            self._sweep()
            self._temporary_name, self.temporary = self._make_temporary_directory()
        except OSError as error:
            self.close()
            raise ConfigurationError(f"objects can't be stored in {path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Remove what is left of our temporary files and their directory. Harmless when repeated."""
        if self.temporary >= 0:
            self._remove(self._temporary_name, self.temporary)
        for descriptor in (self.temporary, self._incoming, self._root):
            if descriptor >= 0:
                self.release(descriptor)
        self._root = self._incoming = self.temporary = -1

    def release(self, descriptor: int) -> None:
        """Close what has done its work: an error says nothing about what was stored (close(2) closes in any case)."""
        with suppress(OSError):
            self.file_system.close(descriptor)

    # At the start ---------------------------------------------------------------------------------------------------

    def _make_path(self) -> None:
        missing = [path for path in (self.path, *self.path.parents) if not path.exists()]
        for path in reversed(missing):
            with suppress(FileExistsError):  # by a process that starts at the same time
                self.file_system.mkdir(path, DIRECTORY_MODE)
            parent = self.file_system.open(path.parent, _OPEN_DIRECTORY)
            try:
                self.file_system.fsync(parent)
            finally:
                self.release(parent)

    def _make_temporary_directory(self) -> tuple[str, int]:
        """A directory that is locked for as long as we live, so that nobody takes its files for left over."""
        fs = self.file_system
        for _ in range(TEMPORARY_DIRECTORY_ATTEMPTS):
            name = secrets.token_hex(8)
            descriptor = -1
            with suppress(FileExistsError, FileNotFoundError, BlockingIOError):
                fs.mkdir(name, DIRECTORY_MODE, dir_fd=self._incoming)
                descriptor = fs.open(name, _OPEN_OWN_DIRECTORY, dir_fd=self._incoming)
                fs.lock(descriptor, LOCK_ALONE | LOCK_NOW)
                if fs.fstat(descriptor).st_nlink:  # not swept between mkdir and the lock
                    return name, descriptor
            if descriptor >= 0:
                self.release(descriptor)
        raise OSError(errno.EEXIST, "no directory for what is being received could be made")

    def _sweep(self) -> None:
        """Remove the temporary files of processes that are gone; nothing else, whatever lies there."""
        fs = self.file_system
        for name in fs.listdir(self._incoming):
            if not _PROCESS_DIRECTORY.fullmatch(name):
                continue
            with suppress(OSError):
                descriptor = fs.open(name, _OPEN_OWN_DIRECTORY, dir_fd=self._incoming)
                try:
                    fs.lock(descriptor, LOCK_ALONE | LOCK_NOW)
                    self._remove(name, descriptor)
                finally:
                    self.release(descriptor)

    def _remove(self, name: str, descriptor: int) -> None:
        with suppress(OSError):
            for temporary in self.file_system.listdir(descriptor):
                if _TEMPORARY.fullmatch(temporary):
                    self.file_system.unlink(temporary, dir_fd=descriptor)
            self.file_system.rmdir(name, dir_fd=self._incoming)

    # For each object ------------------------------------------------------------------------------------------------

    def create_temporary(self) -> tuple[str, int]:
        """The name in `temporary` and the descriptor of a new file."""
        self._counter += 1
        name = str(self._counter)
        return name, self.file_system.open(name, _CREATE, FILE_MODE, dir_fd=self.temporary)

    @contextmanager
    def shard(self, sop_instance_uid: str) -> Iterator["Shard"]:
        """The directory that a UID's objects lie in, made if need be. StorageError when ours is not where it was."""
        fs = self.file_system
        name = shard_of(sop_instance_uid)
        self.check_place()
        try:
            descriptor = fs.open(name, _OPEN_OWN_DIRECTORY, dir_fd=self._root)
        except FileNotFoundError:
            self._durable_shards.pop(name, None)
            with suppress(FileExistsError):
                fs.mkdir(name, DIRECTORY_MODE, dir_fd=self._root)
            descriptor = fs.open(name, _OPEN_OWN_DIRECTORY, dir_fd=self._root)
        try:
            yield Shard(self, name, descriptor)
        finally:
            self.release(descriptor)

    def check_place(self) -> None:
        """StorageError when another directory, or none, is found by our path: what we store would not be found."""
        try:
            found = self._identify(self.file_system.stat(self.path))
        except OSError as error:
            raise out_of_resources(error) from error
        if found != self._identity:
            raise StorageError("it can't be stored: the directory was replaced", status=OUT_OF_RESOURCES)

    @staticmethod
    def _identify(status: os.stat_result) -> tuple[int, int]:
        return status.st_dev, status.st_ino

    # Making durable -------------------------------------------------------------------------------------------------

    def sync(self, descriptor: int) -> None:
        """fsync(2). When it fails nothing can be promised any more: it is not tried again, and no object is taken."""
        try:
            self.file_system.fsync(descriptor)
        except OSError as error:
            raise self._failed(error) from error

    def sync_shard(self, shard: "Shard") -> None:
        """What was linked in `shard` is found after a crash, and so is `shard` itself."""
        self.sync(shard.descriptor)
        identity = self.file_system.fstat(shard.descriptor).st_ino
        if self._durable_shards.get(shard.name) != identity:  # made by us, by another process, or in a life before
            self.sync(self._root)
            self._durable_shards[shard.name] = identity

    def sync_everything(self) -> None:
        """syncfs(2): all files and directories at once."""
        try:
            self.file_system.sync_file_system(self._root)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> StorageError:
        self.has_failed = True
        return StorageError(f"it can't be made durable: {error.strerror or error}", status=OUT_OF_RESOURCES)


class Shard:
    """One of the directories that objects lie in, open."""

    def __init__(self, directory: StorageDirectory, name: str, descriptor: int) -> None:
        self.directory = directory
        self.name = name
        self.descriptor = descriptor

    @property
    def path(self) -> str:
        """Where it is."""
        return os.path.join(self.directory.path, self.name)
