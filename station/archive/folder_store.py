"""A storage directory as a store of objects: listed, read, removed."""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dulcet.errors import ConfigurationError
from dulcet.services.part10 import Part10Header
from dulcet.services.storage import Storage
from dulcet.services.storage_scp import Incoming
from dulcet.services.storing.storage_directory import shard_of
from dulcet.station.archive.interfaces import Kept
from dulcet.station.archive.vault import OPEN_FLAGS, SHARDS, Listed, list_shard, name_of, split_name
from dulcet.station.sending.found import FileToSend

_OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FolderStore:
    """An `interfaces.ObjectStore` in a storage directory; `storage` receives into it, where that is wanted."""

    parts: Sequence[str] = SHARDS

    def __init__(self, directory: Path, storage: Storage | None = None) -> None:
        self.directory = Path(os.path.realpath(directory))  # as the transfer queue names files
        self._storage = storage

    def begin(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_ae_title: str = ""
    ) -> Incoming:
        """See `services.storage.Storage.begin`."""
        if self._storage is None:
            raise ConfigurationError(f"{self.directory} was not opened to receive")
        return self._storage.begin(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            calling_ae_title=calling_ae_title,
        )

    def list(self, part: str) -> Iterable[Listed]:
        """See `interfaces.ObjectStore`."""
        return list_shard(self.directory, part)

    def place(self, name: str) -> str:
        """The path of an object's file."""
        return os.path.join(self.directory, shard_of(split_name(name)[0]), name)

    @contextmanager
    def open(self, name: str) -> Iterator[int]:
        """See `interfaces.ObjectStore`."""
        descriptor = os.open(self.place(name), OPEN_FLAGS)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def make_durable(self, name: str) -> None:
        """See `interfaces.ObjectStore`."""
        with self.open(name) as descriptor:
            os.fsync(descriptor)
        for directory in (self.directory / shard_of(split_name(name)[0]), self.directory):
            opened = os.open(directory, _OPEN_DIRECTORY)
            try:
                os.fsync(opened)
            finally:
                os.close(opened)

    def to_send(self, header: Part10Header) -> FileToSend:
        """See `interfaces.ObjectStore`."""
        return FileToSend(name=self.place(name_of(header.sop_instance_uid)), header=header)

    def close(self) -> None:
        """See `interfaces.ObjectStore`."""
        if self._storage is not None:
            self._storage.close()

    # Removing -------------------------------------------------------------------------------------------------------

    def remove(self, names: Iterable[str]) -> Sequence[Kept]:
        """See `interfaces.ObjectStore`. What is being compared with an object that comes is waited for."""
        kept: list[Kept] = []
        shards: dict[str, list[str]] = {}
        for name in names:
            shards.setdefault(shard_of(split_name(name)[0]), []).append(name)
        for shard, listed in shards.items():
            try:
                descriptor = os.open(self.directory / shard, _OPEN_DIRECTORY)
            except FileNotFoundError:
                continue
            except OSError as error:
                kept += [_kept(name, error) for name in listed]
                continue
            try:
                kept += self._remove(descriptor, listed)
            finally:
                os.close(descriptor)
        return kept

    def _remove(self, shard: int, names: Sequence[str]) -> Iterator[Kept]:
        removed = []
        for name in names:
            try:
                _unlink(name, shard)
                removed.append(name)
            except OSError as error:
                yield _kept(name, error)
        try:
            os.fsync(shard)
        except OSError as error:
            yield from (_kept(name, error) for name in removed)


def _kept(name: str, error: OSError) -> Kept:
    return Kept(name, f"it can't be removed: {error.strerror or error}")


def _unlink(name: str, shard: int) -> None:
    """Remove a name. The lock is the one that who stores takes: nobody acknowledges a resend of what goes just now."""
    try:
        descriptor = os.open(name, OPEN_FLAGS, dir_fd=shard)
    except FileNotFoundError:
        return
    except OSError:  # a link, or not ours to read: it can be removed for all that
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=shard)
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=shard)
    finally:
        os.close(descriptor)
