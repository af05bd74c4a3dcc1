"""The archive: a storage directory and its index, kept in step while objects come, and asked by query and retrieve.

An object is acknowledged before it is indexed, and whatever happens to the index, the object is there: what the index
missed it finds again by looking through the directory, which it does at the start, and after a failure.
"""

import math
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import trio

from dulcet.errors import ArchiveError
from dulcet.services.association import Association
from dulcet.services.querying.query import Retrieval, Search
from dulcet.services.querying.responding import Page
from dulcet.services.storing.placing import StoredObject
from dulcet.services.storing.storage_directory import shard_of
from dulcet.station.archive.index import Index
from dulcet.station.archive.vault import SHARDS
from dulcet.station.sending.found import FileToSend

BATCH_SECONDS = 0.05  # objects that come within it are indexed in one transaction, unless somebody asks
BATCH_OBJECTS = 200  # read in one thread: some 30 ms
MAX_WAITING = 100_000  # objects acknowledged and not indexed yet; beyond it the directory is looked through later
SETTLE_SECONDS = 5.0  # that a query waits for what was acknowledged before it, and for the look at the start
RETRY_SECONDS = 30.0  # from a failure of the index to the next attempt
READING_THREADS = 2  # for queries; more would only take turns

Answer = TypeVar("Answer")


class Tell(Protocol):
    """Writes one line of the log."""

    def __call__(self, event: str, about: Association | None = None, **values: Any) -> None:
        """An event, the association that it is about, and what there is to know of it."""


class VaultArchive:
    """The archive in a storage directory: a `services.query_retrieve.Archive`. `run` keeps the index in step."""

    def __init__(self, directory: Path, tell: Tell, *, looks_at_start: bool = True) -> None:
        """ConfigurationError when the index can't be opened. Of several processes one looks through at the start."""
        self._directory = directory.absolute()
        self._index = Index(self._directory)
        self._tell = tell
        self._waiting: deque[Path] = deque()
        self._acknowledged = self._indexed = 0
        self._look_at = 0.0 if looks_at_start else math.inf
        self._wanted = trio.Event()
        self._arrived = trio.Event()
        self._progress = trio.lowlevel.ParkingLot()
        self._is_looked_through = not looks_at_start
        self._readers = trio.CapacityLimiter(READING_THREADS)

    def close(self) -> None:
        """Let go of the index, when `run` has ended. What was not indexed yet is found at the next start."""
        self._index.close()

    # Objects come ---------------------------------------------------------------------------------------------------

    def stored(self, stored: StoredObject) -> None:
        """An object is durable, and about to be acknowledged. Nothing is raised, nothing is waited for."""
        if stored.path.stem != stored.sop_instance_uid or (stored.is_duplicate and not stored.is_conflict):
            return
        if len(self._waiting) >= MAX_WAITING:
            self._look_at = min(self._look_at, trio.current_time() + RETRY_SECONDS)
            return
        self._waiting.append(stored.path)
        self._acknowledged += 1
        self._arrived.set()

    async def run(self) -> None:
        """Keep the index in step, until cancelled."""
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
        batch = [self._waiting.popleft() for _ in range(min(BATCH_OBJECTS, len(self._waiting)))]
        if not self._waiting:
            self._wanted = trio.Event()
        await self._take_in(batch, ())
        self._indexed += len(batch)
        self._progress.unpark_all()

    async def _look_through(self) -> None:
        """Compare the directory with the index, shard by shard; what comes meanwhile has its turn in between."""
        self._look_at = math.inf
        try:
            await self._look_through_shards()
        finally:
            self._is_looked_through = True
            self._progress.unpark_all()

    async def _look_through_shards(self) -> None:
        changed = 0
        for shard in SHARDS:
            try:
                found, gone = await trio.to_thread.run_sync(self._index.differences, self._directory, shard)
            except Exception as error:
                self._failed(error)
                return
            changed += len(found) + len(gone)
            batches = [found[start : start + BATCH_OBJECTS] for start in range(0, len(found), BATCH_OBJECTS)]
            for paths in batches or [[]]:
                if not await self._take_in(paths, gone):
                    return
                gone = []
            while self._waiting:
                await self._take_in_waiting()
        self._tell("index.ready", changed=changed)

    async def _take_in(self, paths: Sequence[Path], gone: Sequence[str]) -> bool:
        try:
            if paths or gone:
                await trio.to_thread.run_sync(self._index.take_in, paths, gone)
        except Exception as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: Exception) -> None:
        """Whatever it is: objects go on being stored, and are found when it has passed."""
        self._look_at = trio.current_time() + RETRY_SECONDS
        self._tell("index.failed", reason=f"{type(error).__name__}: {error}")

    # Queries --------------------------------------------------------------------------------------------------------

    async def page(self, search: Search, after: int, seconds: float) -> Page[Sequence[str]]:
        """See `services.query_retrieve.Archive`."""
        return await self._ask(lambda: self._index.page(search, after, seconds))

    async def objects(self, retrieval: Retrieval, limit: int, seconds: float) -> Sequence[FileToSend]:
        """See `services.query_retrieve.Archive`."""
        headers = await self._ask(lambda: self._index.headers(retrieval, limit, seconds))
        directory = str(self._directory)
        return [
            FileToSend(name=f"{directory}/{shard_of(uid)}/{uid}.dcm", header=header)
            for header in headers
            if (uid := header.sop_instance_uid)
        ]

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        try:
            return await trio.to_thread.run_sync(question, limiter=self._readers)
        except sqlite3.Error as error:
            self._tell("index.failed", reason=str(error))
            raise ArchiveError("the index can't be read") from error


def _import_what_queries_need() -> None:
    """pydicom's dictionaries and character sets, so that no association waits for their import later."""
    import pydicom.charset
    import pydicom.datadict  # noqa: F401
