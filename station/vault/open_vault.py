"""A vault, opened: the store, the index with its record, and what of it is still needed by somebody."""

import os
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dulcet.errors import ConfigurationError, NoInputError
from dulcet.services.storing.storage_directory import INCOMING
from dulcet.station.archive.interfaces import ObjectStore, VaultIndex
from dulcet.station.archive.vault import SHARDS
from dulcet.station.book.configuration import state_path

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

FILES = (".index.sqlite", ".arrivals.sqlite")  # `index.FILE_NAME`, `arrival_book.FILE_NAME`
InUse = Callable[[Iterable[str]], Collection[str]]
"""Those of some places (`ObjectStore.place`) that are still needed: they are queued, or about to be."""


@dataclass(frozen=True, slots=True)
class Vault:
    """What the operations on a vault are about."""

    store: ObjectStore
    index: VaultIndex
    in_use: InUse
    copies: "TemporaryDirectory[str] | None" = None
    """Of index and record, where only these can be written."""

    def close(self) -> None:
        """Let go of all of it. Harmless when repeated."""
        self.index.close()
        self.store.close()
        if self.copies is not None:
            self.copies.cleanup()


def open_vault(directory: Path, in_use: InUse | None = None) -> Vault:
    """The vault in a storage directory, with the embedded store and index, and the queue of this user.

    In a directory that can't be written, or that is no vault, nothing is made: index and record are copies then, and
    go with `close`. NoInputError when there is no such directory, ConfigurationError when its index can't be opened.
    """
    from dulcet.station.archive.folder_store import FolderStore
    from dulcet.station.archive.index import Index

    if not directory.is_dir():
        raise NoInputError(f"there is no directory {directory}")
    in_use = partial(needed, directory) if in_use is None else in_use
    store = FolderStore(directory)
    if os.access(directory, os.W_OK) and _is_vault(directory):
        return Vault(store, Index(directory.absolute()), in_use)
    copies = _copies(directory)
    try:
        return Vault(store, Index(Path(copies.name)), in_use, copies)
    except ConfigurationError:
        copies.cleanup()
        raise


def _is_vault(directory: Path) -> bool:
    """Whether anything was ever stored there, or is about to be."""
    return any((directory / name).exists() for name in (*FILES, INCOMING, *SHARDS))


def _copies(directory: Path) -> "TemporaryDirectory[str]":
    from tempfile import TemporaryDirectory

    room = TemporaryDirectory(prefix="dulcet-vault-")
    try:
        for name in FILES:
            if (directory / name).exists():
                _copy(directory / name, Path(room.name, name))
    except BaseException:
        room.cleanup()
        raise
    return room


def _copy(source: Path, target: Path) -> None:
    """A file of SQLite, with what its log has. ConfigurationError."""
    import sqlite3

    for how in ("mode=ro", "immutable=1"):  # the latter where not even its locks can be written, so nobody writes it
        try:
            with (
                closing(sqlite3.connect(f"{source.absolute().as_uri()}?{how}", uri=True)) as opened,
                closing(sqlite3.connect(target)) as copy,
            ):
                opened.backup(copy)
        except sqlite3.Error as error:
            why = error
            target.unlink(missing_ok=True)
        else:
            return
    raise ConfigurationError(f"{source} can't be read: {why}")


def needed(directory: Path, places: Iterable[str]) -> Collection[str]:
    """Those of a storage directory that are to be forwarded, or are queued. QueueError when that can't be known."""
    from dulcet.station.forwarding.journal import waiting

    names = {os.path.join(*place.rsplit(os.sep, 2)[-2:]): place for place in places}
    forwarded = {names[name] for name in waiting(directory, names)}  # asked first: what leaves it is in the queue then
    return forwarded.union(queued(names.values()))


def queued(places: Iterable[str]) -> Collection[str]:
    """Those that a job of this user's transfer queue still needs. QueueError when it can't be asked."""
    from dulcet.station.queue.sqlite_store import has_queue, open_queue

    state = state_path(os.environ)
    if not has_queue(state):
        return ()
    queue = open_queue(state)
    try:
        return queue.paths_in_use(places)
    finally:
        queue.close()
