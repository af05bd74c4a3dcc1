"""A vault, opened: the store, the index with its record, and what of it is still needed by somebody."""

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from dulcet.errors import NoInputError
from dulcet.station.archive.interfaces import ObjectStore, VaultIndex
from dulcet.station.book.configuration import state_path

InUse = Callable[[Iterable[str]], Collection[str]]
"""Those of some places (`ObjectStore.place`) that a job of the transfer queue still needs."""


@dataclass(frozen=True, slots=True)
class Vault:
    """What the operations on a vault are about."""

    store: ObjectStore
    index: VaultIndex
    in_use: InUse

    def close(self) -> None:
        """Let go of all of it. Harmless when repeated."""
        self.index.close()
        self.store.close()


def open_vault(directory: Path, in_use: InUse | None = None) -> Vault:
    """The vault in a storage directory, with the embedded store and index, and the queue of this user.

    NoInputError when there is no such directory, ConfigurationError when its index can't be opened.
    """
    from dulcet.station.archive.folder_store import FolderStore
    from dulcet.station.archive.index import Index

    if not directory.is_dir():
        raise NoInputError(f"there is no directory {directory}")
    return Vault(FolderStore(directory), Index(directory.absolute()), queued if in_use is None else in_use)


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
