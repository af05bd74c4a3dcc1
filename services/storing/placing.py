"""An object's way from its temporary name to its final one: nothing is overwritten, nothing is seen half.

Synchronous: it runs in a thread wherever it may have to wait for the disk.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dulcet.dimse.status import DUPLICATE_SOP_INSTANCE, OUT_OF_RESOURCES
from dulcet.errors import NotDICOMError, StorageError
from dulcet.services.part10 import Part10Header, read_header
from dulcet.services.storing.file_system import LOCK_ALONE, LOCK_SHARED
from dulcet.services.storing.storage_directory import Shard, StorageDirectory, out_of_resources

COMPARED_OCTETS = 1024 * 1024  # in one step
SHORT_DIGEST, WHOLE_DIGEST = 12, 64  # hexadecimal digits; the whole one where somebody made two short ones equal
MAX_VANISHED = 5  # times that the object which stands in the way may go away while we look at it

_OPEN_EXISTING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


class OnConflict(Enum):
    """What happens to an object that comes with the SOP Instance UID of another, but other contents."""

    KEEP_BOTH = "keep-both"
    """It is stored beside the other, under a name that has a digest of its contents."""
    REFUSE = "refuse"
    """0111H, duplicate SOP instance."""
    REPLACE = "replace"
    """It takes the other's place, in one step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredObject:
    """An object that is stored."""

    folder: str
    """Where it is."""
    name: str
    """Of its file, in `folder`."""
    octets: int
    """Of its data set."""
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    sha256: str | None = None
    """Of its data set, in hexadecimal, where it had to be known."""
    is_duplicate: bool = False
    """It was there already, the same octet for octet: nothing was written."""
    is_conflict: bool = False
    """Another with the same SOP Instance UID and other contents was there: it lies beside it, or took its place."""

    @property
    def path(self) -> Path:
        """Of its file."""
        return Path(self.folder, self.name)


class Placing:
    """One received object, whole and checked, under its temporary name."""

    def __init__(
        self,
        directory: StorageDirectory,
        *,
        temporary: str,
        descriptor: int,
        header: Part10Header,
        on_conflict: OnConflict,
        is_durable: bool,
    ) -> None:
        self._directory = directory
        self._fs = directory.file_system
        self._temporary = temporary
        self._descriptor = descriptor
        self._header = header
        self._on_conflict = on_conflict
        self._is_durable = is_durable
        self._is_synced = False
        self._sha256: str | None = None

    @property
    def sop_instance_uid(self) -> str:
        """Whose directory it goes to."""
        return self._header.sop_instance_uid

    @property
    def name(self) -> str:
        """The name that it gets when there is no other with its UID."""
        return f"{self._header.sop_instance_uid}.dcm"

    def place(self) -> StoredObject:
        """Put it where it belongs, durably if that was asked for. StorageError when it can't be, and then it isn't."""
        try:
            with self._directory.shard(self.sop_instance_uid) as shard:
                return self._place(shard)
        except OSError as error:
            raise out_of_resources(error) from error
        finally:
            self.let_go()

    def place_unless_there(self) -> StoredObject | None:
        """Put it where it belongs without waiting for the disk; None when something is in the way: then `place` it."""
        try:
            with self._directory.shard(self.sop_instance_uid) as shard:
                if not self.link(shard, self.name):
                    return None
                stored = self.stored(shard, self.name)
        except OSError as error:
            self.let_go()
            raise out_of_resources(error) from error
        except StorageError:
            self.let_go()
            raise
        self.let_go()
        return stored

    def let_go(self) -> None:
        """Remove the temporary name, then close. Harmless when repeated."""
        if self._descriptor >= 0:
            with suppress(OSError):
                self._fs.unlink(self._temporary, dir_fd=self._directory.temporary)
            self._directory.release(self._descriptor)
            self._descriptor = -1

    # Steps, in their order ------------------------------------------------------------------------------------------

    def is_there(self, shard: Shard, name: str) -> bool:
        """Whether something has this name."""
        try:
            self._fs.stat(name, dir_fd=shard.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def sync_file(self) -> None:
        """The contents are on the disk."""
        if self._is_durable and not self._is_synced:
            self._directory.sync(self._descriptor)
        self._is_synced = True

    def link(self, shard: Shard, name: str) -> bool:
        """Give it a name that nothing has; False when something has it.

        Until it is durable, the file is locked: who finds it in the way waits for what becomes of it.
        """
        self._lock(self._descriptor, LOCK_ALONE)
        try:
            self._fs.link(
                self._temporary,
                name,
                src_dir_fd=self._directory.temporary,
                dst_dir_fd=shard.descriptor,
                follow_symlinks=False,
            )
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            return self._rename_unless_there(shard, name)
        return True

    def _rename_unless_there(self, shard: Shard, name: str) -> bool:
        """What `link` does, on a file system without hard links."""
        with suppress(OSError):
            self._fs.lock(shard.descriptor, LOCK_ALONE)  # until the shard is closed: nobody looks and renames between
        if self.is_there(shard, name):
            return False
        self._rename(self._temporary, shard, name)
        return True

    def _rename(self, temporary: str, shard: Shard, name: str) -> None:
        self._fs.rename(temporary, name, src_dir_fd=self._directory.temporary, dst_dir_fd=shard.descriptor)

    def _lock(self, descriptor: int, how: int) -> None:
        """Let nobody judge, or change, what may still be taken back; until the descriptor is closed."""
        if self._is_durable:
            with suppress(OSError):  # where there are no locks there is no second process that honours them
                self._fs.lock(descriptor, how)

    def sync_name(self, shard: Shard, name: str) -> None:
        """The name is on the disk; when that fails the name is taken back."""
        if not self._is_durable:
            return
        try:
            self._directory.sync_shard(shard)
        except (StorageError, OSError):
            self.take_back(shard, name)
            raise

    def take_back(self, shard: Shard, name: str) -> None:
        """Remove the name that `link` gave: nobody has been told of it."""
        with suppress(OSError):
            self._fs.unlink(name, dir_fd=shard.descriptor)

    def stored(self, shard: Shard, name: str, *, is_duplicate: bool = False, is_conflict: bool = False) -> StoredObject:
        """What is told of it."""
        header = self._header
        return StoredObject(
            folder=shard.path,
            name=name,
            octets=header.file_size - header.data_set_offset,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            transfer_syntax_uid=header.transfer_syntax_uid,
            sha256=self._sha256,
            is_duplicate=is_duplicate,
            is_conflict=is_conflict,
        )

    # Whether there is another ---------------------------------------------------------------------------------------

    def _place(self, shard: Shard) -> StoredObject:
        is_conflict = False
        for name in self._names():
            stored = self._place_as(shard, name, is_conflict)
            if stored is not None:
                return stored
            is_conflict = True
        if self._on_conflict is OnConflict.REPLACE:
            self._replace(shard, self.name)
            return self.stored(shard, self.name, is_conflict=True)
        raise StorageError("another object with this UID is stored", status=DUPLICATE_SOP_INSTANCE)

    def _place_as(self, shard: Shard, name: str, is_conflict: bool) -> StoredObject | None:
        """None when another object has this name."""
        for _ in range(MAX_VANISHED):
            if not (self._is_durable and self.is_there(shard, name)):  # what is there already needs no fsync here
                self.sync_file()
                if self.link(shard, name):
                    self.sync_name(shard, name)
                    return self.stored(shard, name, is_conflict=is_conflict)
            is_same = self._is_same(shard, name)
            if is_same is not None:
                return self.stored(shard, name, is_duplicate=True) if is_same else None
        raise StorageError("it can't be stored: another process removes its name", status=OUT_OF_RESOURCES)

    def _names(self) -> Iterator[str]:
        """The names that it may get, the first to be tried first."""
        yield self.name
        if self._on_conflict is OnConflict.KEEP_BOTH:
            self._sha256 = self._digest(self._descriptor, self._header.data_set_offset)
            for digits in (SHORT_DIGEST, WHOLE_DIGEST):
                yield f"{self._header.sop_instance_uid}~{self._sha256[:digits]}.dcm"

    def _is_same(self, shard: Shard, name: str) -> bool | None:
        """Whether the object in the way is this one, and as durable as this one shall be; None when it went away."""
        try:
            descriptor = self._fs.open(name, _OPEN_EXISTING, dir_fd=shard.descriptor)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ELOOP:  # a link that isn't ours
                return False
            raise
        try:
            self._lock(descriptor, LOCK_SHARED)
            if not self._fs.fstat(descriptor).st_nlink:
                return None
            if not self._has_same_contents(descriptor):
                return False
            if self._is_durable:
                self._directory.sync(descriptor)
                self._directory.sync_shard(shard)
            return True
        finally:
            self._directory.release(descriptor)

    def _has_same_contents(self, descriptor: int) -> bool:
        ours = self._header
        try:
            theirs = read_header(descriptor)
        except NotDICOMError:
            return False
        left = ours.file_size - ours.data_set_offset
        if left != theirs.file_size - theirs.data_set_offset:
            return False
        if ours.transfer_syntax_uid != theirs.transfer_syntax_uid:
            return False
        one, other = (memoryview(bytearray(COMPARED_OCTETS)) for _ in range(2))
        offset, their_offset = ours.data_set_offset, theirs.data_set_offset
        while left > 0:
            step = min(left, COMPARED_OCTETS)
            read = self._fs.read(self._descriptor, [one[:step]], offset)
            their_read = self._fs.read(descriptor, [other[:read]], their_offset)
            if not read or their_read != read or one[:read] != other[:read]:
                return False
            left, offset, their_offset = left - read, offset + read, their_offset + read
        return True

    def _digest(self, descriptor: int, offset: int) -> str:
        digest = hashlib.sha256()
        buffer = memoryview(bytearray(COMPARED_OCTETS))
        while read := self._fs.read(descriptor, [buffer], offset):
            digest.update(buffer[:read])
            offset += read
        return digest.hexdigest()

    def _replace(self, shard: Shard, name: str) -> None:
        """Take the other's place in one step; the other has a second name until this one is durable.

        When the disk fails just then the other gets its name back, or at least keeps the second one.
        """
        self.sync_file()
        self._lock(shard.descriptor, LOCK_ALONE)
        self._lock(self._descriptor, LOCK_ALONE)
        second = self._second_name(shard, name)
        try:
            if second and self._is_durable:
                self._directory.sync_shard(shard)
            self._rename(self._temporary, shard, name)
            if self._is_durable:
                self._directory.sync_shard(shard)
        except (StorageError, OSError):
            with suppress(OSError):
                if second:
                    self._fs.rename(second, name, src_dir_fd=shard.descriptor, dst_dir_fd=shard.descriptor)
                    self.take_back(shard, second)  # rename(2) leaves both where they are one file
            raise
        if second:
            self.take_back(shard, second)

    def _second_name(self, shard: Shard, name: str) -> str:
        """Give the object that has `name` another; "" where it has no contents, or there are no hard links."""
        try:
            descriptor = self._fs.open(name, _OPEN_EXISTING, dir_fd=shard.descriptor)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOENT):
                return ""
            raise
        try:
            if not stat.S_ISREG(self._fs.fstat(descriptor).st_mode):
                return ""
            second = f"{self._header.sop_instance_uid}~{self._digest(descriptor, 0)}.dcm"
            self._fs.link(name, second, src_dir_fd=shard.descriptor, dst_dir_fd=shard.descriptor, follow_symlinks=False)
        except FileExistsError:  # kept before: a name of this kind tells its contents
            pass
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            return ""
        finally:
            self._directory.release(descriptor)
        return second
