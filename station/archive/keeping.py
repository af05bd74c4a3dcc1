"""The archive: a storage directory and its index, kept in step while objects come, and asked by query and retrieve.

An object is acknowledged before it is indexed, and whatever happens to the index, the object is there: what the index
missed it finds again by looking through the directory, which it does at the start, and after a failure. Who sent it is
recorded with it, and then its file is read once more for the hash that it is to have.
"""

import math
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

import trio

from dulcet.errors import ArchiveError
from dulcet.services.object_to_send import ObjectToSend
from dulcet.services.querying.query import Retrieval, Search
from dulcet.services.querying.responding import Page
from dulcet.services.storing.placing import StoredObject
from dulcet.station.archive.arrivals import NewArrival, Source, new_arrival
from dulcet.station.archive.folder_store import FolderStore
from dulcet.station.archive.hashing import Hashing
from dulcet.station.archive.index import Index
from dulcet.station.archive.interfaces import ObjectStore, VaultIndex
from dulcet.station.archive.telling import Tell, reason_of
from dulcet.station.archive.upkeep import (
    BATCH_OBJECTS,
    batches,
    differences,
    read_and_record,
    settle_removals,
    take_in,
)

BATCH_SECONDS = 0.05  # objects that come within it are indexed in one transaction, unless somebody asks
MAX_WAITING = 100_000  # objects not indexed, or not recorded, yet; beyond it the directory is looked through later
MAX_LAST = 1_000  # taken in before the end, which takes some 150 ms
SETTLE_SECONDS = 5.0  # that a query waits for what was acknowledged before it, and for the look at the start
RETRY_SECONDS = 30.0  # from a failure of the index, or of the record, to the next attempt
ATTEMPTS = 20  # to record who sent what, which are ten minutes; then it is recorded as found
READING_THREADS = 2  # for queries; more would only take turns

Answer = TypeVar("Answer")


class VaultArchive:
    """The archive in a storage directory: a `services.query_retrieve.Archive`. `run` keeps the index in step."""

    def __init__(
        self,
        directory: Path,
        tell: Tell,
        *,
        looks_at_start: bool = True,
        store: ObjectStore | None = None,
        index: VaultIndex | None = None,
    ) -> None:
        """`store` and `index`: those embedded in `directory`, unless others are given. ConfigurationError.

        Of several processes one looks through at the start.
        """
        self._store = FolderStore(directory) if store is None else store
        self._index = Index(directory.absolute()) if index is None else index
        self._tell = tell
        self._hashing = Hashing(self._store, self._index.arrivals, tell, quiet=self._quiet)
        self._waiting: deque[NewArrival] = deque()
        self._unrecorded: deque[NewArrival] = deque()
        """Taken in, but the record could not be written; in the order in which they came, which counts."""
        self._attempts = 0
        self._acknowledged = self._indexed = 0
        self._last_came = self._damaged_at = -math.inf
        self._looks_first = looks_at_start
        self._look_at = 0.0 if looks_at_start else math.inf
        self._wanted = trio.Event()
        self._arrived = trio.Event()
        self._progress = trio.lowlevel.ParkingLot()
        self._is_looked_through = not looks_at_start
        self._readers = trio.CapacityLimiter(READING_THREADS)

    def close(self) -> None:
        """Let go of the index, when `run` has ended. What was not indexed yet is found at the next start.

        Who sent it would not be: so the last are taken in now.
        """
        last = [*self._unrecorded, *self._waiting][:MAX_LAST]
        with suppress(Exception):  # it was told while there was time
            take_in(self._store, self._index, [each.name for each in last], (), last)
        self._index.close()

    @property
    def lag(self) -> int:
        """How many objects were acknowledged and are not in the index yet."""
        return self._acknowledged - self._indexed

    # Objects come ---------------------------------------------------------------------------------------------------

    def stored(self, stored: StoredObject, source: Source) -> None:
        """An object is durable, and about to be acknowledged. Nothing is raised, nothing is waited for."""
        if stored.is_duplicate:
            return
        if len(self._waiting) + len(self._unrecorded) >= MAX_WAITING:
            self._look_at = min(self._look_at, trio.current_time() + RETRY_SECONDS)
            return
        self._waiting.append(new_arrival(stored, source))
        self._acknowledged += 1
        self._last_came = trio.current_time()
        self._arrived.set()

    def _quiet(self) -> float:
        return trio.current_time() - self._last_came

    async def run(self) -> None:
        """Keep the index in step, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._hashing.run)
            await trio.to_thread.run_sync(_import_what_queries_need)
            while True:
                if trio.current_time() >= self._look_at:
                    await self._look_through()
                if not self._waiting:
                    self._arrived = trio.Event()
                    with trio.move_on_at(self._look_at):
                        await self._arrived.wait()
                if len(self._waiting) < BATCH_OBJECTS:
                    with trio.move_on_after(BATCH_SECONDS):
                        await self._wanted.wait()
                await self._take_in_waiting()

    async def settled(self) -> None:
        """See `services.query_retrieve.Archive`."""
        goal = self._acknowledged
        with trio.move_on_after(SETTLE_SECONDS):
            while self._indexed < goal or not self._is_looked_through:
                self._wanted.set()
                await self._progress.park()

    async def _take_in_waiting(self) -> None:
        """They wait until they are taken in: of what an end cuts off `close` makes one more attempt."""
        batch = list(islice(self._waiting, BATCH_OBJECTS))
        if len(batch) == len(self._waiting):
            self._wanted = trio.Event()
        names = [each.name for each in batch]
        is_late, recorded = bool(self._unrecorded), threading.Event()
        await self._take_in(names, (), () if is_late else batch, recorded.set)
        if is_late or not recorded.is_set():
            self._unrecorded.extend(batch)
        else:
            self._hashing.wanted(names)
        for _ in batch:
            self._waiting.popleft()
        self._indexed += len(batch)
        self._progress.unpark_all()

    async def _record_late(self) -> None:
        """What could not be recorded when it came; whatever the record raises, as long as it may still do better."""
        while self._unrecorded:
            batch = list(islice(self._unrecorded, BATCH_OBJECTS))
            try:
                await trio.to_thread.run_sync(read_and_record, self._store, self._index.arrivals, batch)
                self._attempts = 0
            except Exception:
                self._attempts += 1
                if self._attempts < ATTEMPTS:
                    raise
            for _ in batch:
                self._unrecorded.popleft()
            self._hashing.wanted(each.name for each in batch)

    async def _look_through(self) -> None:
        """Compare the directory with the index, shard by shard; what comes meanwhile has its turn in between."""
        self._look_at = math.inf
        try:
            await self._look_through_parts()
        finally:
            self._is_looked_through = True
            self._progress.unpark_all()

    async def _look_through_parts(self) -> None:
        changed = 0
        try:
            await self._record_late()  # else they were recorded as found
            await trio.to_thread.run_sync(settle_removals, self._store, self._index)
            for part in self._store.parts:
                found = await trio.to_thread.run_sync(differences, self._store, self._index, part)
                changed += len(found.changed) + len(found.gone)
                for batch in batches(found):
                    if not await self._take_in(*batch):
                        return
                while self._waiting:
                    await self._take_in_waiting()
        except Exception as error:
            self._failed(error)
            return
        self._tell("index.ready", changed=changed)
        if self._looks_first:
            self._hashing.all_wanted()

    async def _take_in(
        self,
        names: Sequence[str],
        gone: Sequence[str],
        came: Sequence[NewArrival],
        recorded: Callable[[], None] = lambda: None,
    ) -> bool:
        try:
            if names or gone:
                await trio.to_thread.run_sync(take_in, self._store, self._index, names, gone, came, recorded)
        except Exception as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: Exception) -> None:
        """Whatever it is: objects go on being stored, and are found when it has passed."""
        now = trio.current_time()
        if isinstance(error, ArchiveError) and error.is_damage and now >= self._damaged_at + RETRY_SECONDS:
            self._damaged_at = self._look_at = now  # it is made anew at once, and queries wait for it
            self._is_looked_through = False
            self._arrived.set()
        self._look_at = min(self._look_at, now + RETRY_SECONDS)
        self._tell("index.failed", reason=reason_of(error))

    # Queries --------------------------------------------------------------------------------------------------------

    async def page(self, search: Search, after: int, seconds: float) -> Page[Sequence[str]]:
        """See `services.query_retrieve.Archive`."""
        return await self._ask(lambda: self._index.page(search, after, seconds))

    async def objects(self, retrieval: Retrieval, limit: int, seconds: float) -> Sequence[ObjectToSend]:
        """See `services.query_retrieve.Archive`."""
        headers = await self._ask(lambda: self._index.headers(retrieval, limit, seconds))
        return [self._store.to_send(header) for header in headers if header.sop_instance_uid]

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            return await trio.to_thread.run_sync(question, limiter=self._readers)
        except ArchiveError as error:
            if error.is_damage:
                self._failed(error)
            elif error.detail:
                self._tell("index.failed", reason=error.detail)
            raise


def _import_what_queries_need() -> None:
    """pydicom's dictionaries and character sets, so that no association waits for their import later."""
    import pydicom.charset
    import pydicom.datadict  # noqa: F401
