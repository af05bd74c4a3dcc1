"""The record of what a retrieval brings here, written while it comes; no index is made for it."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

import trio

from dulcet.dimse.messages import CStoreRQ
from dulcet.errors import ArchiveError, StorageError
from dulcet.services.association import Association
from dulcet.services.storage_scp import StoreObserver
from dulcet.services.storing.placing import StoredObject
from dulcet.station.archive.arrival_book import SQLiteArrivalBook
from dulcet.station.archive.arrivals import How, NewArrival, new_arrival, source_of
from dulcet.station.archive.folder_store import FolderStore
from dulcet.station.archive.hashing import Hashing
from dulcet.station.archive.interfaces import ArrivalBook, ObjectStore
from dulcet.station.archive.telling import silent
from dulcet.station.archive.upkeep import BATCH_OBJECTS, read_and_record

BATCH_SECONDS = 0.2  # objects that come within it are recorded in one transaction
MAX_LAST = 1_000  # recorded after a cancellation, which takes some 150 ms
HASH_PATIENCE = 10.0  # seconds at the end; what has no hash then gets one when it is verified


class Recorder:
    """A `StoreObserver`: what it is told of is recorded as long as `run` runs. Memory: 200 octets for what waits."""

    def __init__(self, store: ObjectStore, book: ArrivalBook) -> None:
        self._store = store
        self._book = book
        self._hashing = Hashing(store, book, silent)
        self._waiting: deque[NewArrival] = deque()
        self._came = trio.Event()
        self._one_at_a_time = trio.Lock()

    def __call__(self, association: Association, request: CStoreRQ, outcome: StoredObject | StorageError) -> None:
        """See `storage_scp.StoreObserver`. Nothing is raised, nothing is waited for."""
        if isinstance(outcome, StoredObject) and not outcome.is_duplicate:
            source = source_of(association, request)
            how = How.C_GET if source.how is How.C_GET else How.C_MOVE  # peers need not say that it was one
            self._waiting.append(new_arrival(outcome, replace(source, how=how)))
            self._came.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hashing.run)
            while True:
                await self._came.wait()
                await trio.sleep(BATCH_SECONDS)
                await self._record()

    async def finish(self) -> None:
        """Record what waits, and wait for hashes, but not for long."""
        await self._record()
        with trio.move_on_after(HASH_PATIENCE):
            await self._hashing.finish()

    async def _record(self) -> None:
        self._came = trio.Event()
        async with self._one_at_a_time:  # and what was cut off is not forgotten: it waits until it is recorded
            while self._waiting:
                batch = list(islice(self._waiting, BATCH_OBJECTS))
                with suppress(ArchiveError):  # the objects are here: they are recorded as found, later
                    await trio.to_thread.run_sync(read_and_record, self._store, self._book, batch)
                    self._hashing.wanted(each.name for each in batch)
                for _ in batch:
                    self._waiting.popleft()

    def record_last(self) -> None:
        """When `run` and `finish` were cut off: one attempt more, which is synchronous. Nothing is raised."""
        with suppress(Exception):  # they are recorded as found, later
            read_and_record(self._store, self._book, islice(self._waiting, MAX_LAST))


@asynccontextmanager
async def recording(directory: Path) -> AsyncIterator[Recorder]:
    """A recorder for a storage directory, which has to be there. ConfigurationError when the record can't be opened."""
    book = SQLiteArrivalBook(directory)
    recorder = Recorder(FolderStore(directory), book)
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(recorder.run)
            try:
                yield recorder
            except Exception as error:  # it leaves by itself, not in the nursery's group
                failure = error
            await recorder.finish()
            nursery.cancel_scope.cancel()
    finally:
        recorder.record_last()
        book.close()
    if failure is not None:
        raise failure


def observed_by(*observers: StoreObserver) -> StoreObserver:
    """One observer that tells several."""

    def observe(association: Association, request: CStoreRQ, outcome: StoredObject | StorageError) -> None:
        for each in observers:
            each(association, request, outcome)

    return observe
