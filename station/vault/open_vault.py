"""A vault, opened: the store, the index with its record, and what of it is still needed by somebody."""

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dulcet.errors import NoInputError
from dulcet.station.archive.interfaces import ObjectStore, VaultIndex
from dulcet.station.book.configuration import state_path

InUse = Callable[[Iterable[str]], Collection[str]]
"""Those of some places (`ObjectStore.place`) that are still needed: they are queued, or about to be."""


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
    in_use = partial(needed, directory) if in_use is None else in_use
    return Vault(FolderStore(directory), Index(directory.absolute()), in_use)


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
