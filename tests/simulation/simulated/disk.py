"""A disk in memory, with what is surely on it, what may be lost, and what goes wrong.

Of a file the octets that an fsync of it covered are safe, of a directory the names that an fsync of it covered. After a
crash everything else may be there or not, each by itself.
"""

import errno
import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from dulcet.services.storing.file_system import FileSystem

_numbers = itertools.count(1)


class File:
    """Octets, and which of them are safe."""

    def __init__(self, octets: bytes = b"") -> None:
        self.number = next(_numbers)
        self.octets = bytearray(octets)
        self.safe = bytes(octets)

    def after_crash(self, rng: random.Random) -> "File":
        """What may be left: what is safe, and some, all or nothing of what came after it, or zeros."""
        rest = bytes(self.octets[len(self.safe) :])
        kept = rng.choice((0, len(rest), rng.randint(0, len(rest))))
        lost = rng.choice((b"", bytes(len(rest) - kept)))
        return File(self.safe + rest[:kept] + lost)


class Directory:
    """Names, and which of them are safe."""

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.names: dict[str, File | Directory] = {}
        self.safe: dict[str, File | Directory] = {}

    def after_crash(self, rng: random.Random) -> "Directory":
        """What may be left of it."""
        left = Directory()
        for name in sorted({*self.names, *self.safe}):
            node = rng.choice((self.names.get(name), self.safe.get(name)))
            if node is not None:
                left.names[name] = left.safe[name] = node.after_crash(rng)
        return left

    def files(self, path: str = "") -> Iterator[tuple[str, bytes]]:
        """(path, octets) of every file below."""
        for name, below in self.names.items():
            if isinstance(below, File):
                yield f"{path}/{name}", bytes(below.octets)
            else:
                yield from below.files(f"{path}/{name}")

    def safe_files(self, path: str = "") -> Iterator[tuple[str, bytes]]:
        """(path, octets) of every file below that surely survives a crash now."""
        for name, below in self.safe.items():
            if isinstance(below, File):
                yield f"{path}/{name}", below.safe
            else:
                yield from below.safe_files(f"{path}/{name}")

    def everything(self) -> Iterator["File | Directory"]:
        """This directory and all below."""
        yield self
        for below in self.names.values():
            if isinstance(below, Directory):
                yield from below.everything()
            else:
                yield below


class Disk(FileSystem):
    """A `FileSystem` over a tree. `trouble(operation)` may answer an error number; `on_name` sees each new name."""

    can_sync_file_system = True
    path = Path("/")
    """Where the tree's root is: a directory that is there in the real file system too."""
    opened: ClassVar[dict[int, File | Directory]] = {}
    """What each descriptor stands for, on every disk."""
    _descriptors = itertools.count(1 << 20)  # none that the system could have given

    @staticmethod
    def contents(descriptor: int) -> bytes:
        """Of an open file, whatever disk it is on."""
        file = Disk.opened[descriptor]
        assert isinstance(file, File)
        return bytes(file.octets)

    def __init__(self, root: Directory, rng: random.Random, trouble: Callable[[str], int | None]) -> None:
        self.root = root
        self.is_dead = False
        """Crashed: nothing that its process still does counts."""
        self.on_name: Callable[[str, File], None] = lambda _name, _file: None
        self._rng = rng
        self._trouble = trouble
        self._own: set[int] = set()

    # What is asked of it --------------------------------------------------------------------------------------------

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        directory, name = self._place(path, dir_fd)
        node = directory if not name else directory.names.get(name)
        if flags & os.O_CREAT:
            self._go_wrong("create")
            if node is not None:
                raise _error(errno.EEXIST)
            node = directory.names[name] = File()
        if node is None:
            raise _error(errno.ENOENT)
        descriptor = next(Disk._descriptors)
        Disk.opened[descriptor] = node
        self._own.add(descriptor)
        return descriptor

    def close(self, descriptor: int) -> None:
        if descriptor not in self._own:
            raise _error(errno.EBADF)
        self._own.remove(descriptor)
        del Disk.opened[descriptor]

    def write(self, descriptor: int, buffers: Any) -> int:
        self._go_wrong("write")
        octets = b"".join(buffers)
        taken = len(octets) if self._rng.random() < 0.8 else self._rng.randint(1, len(octets))
        self._file(descriptor).octets += octets[:taken]
        return taken

    def read(self, descriptor: int, buffers: Any, offset: int) -> int:
        (buffer,) = buffers
        octets = self._file(descriptor).octets[offset : offset + len(buffer)]
        buffer[: len(octets)] = octets
        return len(octets)

    def fsync(self, descriptor: int) -> None:
        self._go_wrong("fsync")
        self._sync(Disk.opened[descriptor])

    def sync_file_system(self, descriptor: int) -> None:
        self._go_wrong("fsync")
        for node in self.root.everything():
            self._sync(node)

    def link(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int, follow_symlinks: bool) -> None:
        self._go_wrong("link")
        into = self._directory(dst_dir_fd)
        if target in into.names:
            raise _error(errno.EEXIST)
        self._name(into, target, self._directory(src_dir_fd).names[source])

    def rename(self, source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        self._go_wrong("rename")
        self._name(self._directory(dst_dir_fd), target, self._directory(src_dir_fd).names.pop(source))

    def unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._go_wrong("unlink")
        directory, name = self._place(path, dir_fd)
        if not isinstance(directory.names.get(name), File):
            raise _error(errno.ENOENT)
        del directory.names[name]

    def mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._go_wrong("mkdir")
        directory, name = self._place(path, dir_fd)
        if name in directory.names:
            raise _error(errno.EEXIST)
        directory.names[name] = Directory()

    def rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        self._go_wrong("rmdir")
        directory, name = self._place(path, dir_fd)
        below = directory.names.get(name)
        if not isinstance(below, Directory):
            raise _error(errno.ENOENT)
        if below.names:
            raise _error(errno.ENOTEMPTY)
        del directory.names[name]

    def stat(self, path: Any, *, dir_fd: int | None = None, follow_symlinks: bool = True) -> Any:
        directory, name = self._place(path, dir_fd)
        node = directory if not name else directory.names.get(name)
        if node is None:
            raise _error(errno.ENOENT)
        return self._status(node)

    def fstat(self, descriptor: int) -> Any:
        return self._status(Disk.opened[descriptor])

    def statvfs(self, descriptor: int) -> Any:
        return SimpleNamespace(f_blocks=1 << 30, f_frsize=4096, f_bavail=1 << 29, f_files=1 << 20, f_favail=1 << 19)

    def lock(self, descriptor: int, how: int) -> None:
        if descriptor not in self._own:
            raise _error(errno.EBADF)

    def listdir(self, descriptor: int) -> list[str]:
        return sorted(self._directory(descriptor).names)

    @property
    def open_descriptors(self) -> int:
        """How many there are."""
        return len(self._own)

    # How it works ---------------------------------------------------------------------------------------------------

    def _go_wrong(self, operation: str) -> None:
        number = self._trouble(operation)
        if number is not None:
            raise _error(number)

    def _sync(self, node: "File | Directory") -> None:
        if isinstance(node, File):
            node.safe = bytes(node.octets)
        else:
            node.safe = dict(node.names)

    def _name(self, directory: Directory, name: str, node: "File | Directory") -> None:
        directory.names[name] = node
        if isinstance(node, File):
            self.on_name(name, node)

    def _place(self, path: Any, dir_fd: int | None) -> tuple[Directory, str]:
        if dir_fd is not None:
            return self._directory(dir_fd), os.fspath(path)
        *parents, name = os.fspath(path).strip("/").split("/")
        directory = self.root
        for parent in parents:
            below = directory.names.get(parent)
            if not isinstance(below, Directory):
                raise _error(errno.ENOENT)
            directory = below
        return directory, name

    def _directory(self, descriptor: int) -> Directory:
        node = Disk.opened[descriptor]
        assert isinstance(node, Directory)
        return node

    def _file(self, descriptor: int) -> File:
        node = Disk.opened[descriptor]
        assert isinstance(node, File)
        return node

    def _status(self, node: "File | Directory") -> Any:
        directories = [each for each in self.root.everything() if isinstance(each, Directory)]
        links = sum(below is node for directory in directories for below in directory.names.values())
        return SimpleNamespace(st_dev=1, st_ino=node.number, st_nlink=links or int(node is self.root))


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))
