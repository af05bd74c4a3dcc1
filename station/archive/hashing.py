"""The hash of each object that came, made after it was acknowledged, one file at a time, when others need no time."""

from collections import deque
from collections.abc import Callable, Iterable

import trio

from dulcet.errors import ArchiveError
from dulcet.station.archive.interfaces import ArrivalBook, ObjectStore
from dulcet.station.archive.telling import Tell, reason_of
from dulcet.station.archive.upkeep import hash_arrivals

BATCH_FILES = 50
QUIET_SECONDS = 0.5  # without an object: then nobody waits for the processor, or the disk
PATIENCE_SECONDS = 30.0  # that files wait for such a moment
PAUSE_SECONDS = 1.0  # from a failure of the record to the next files
MAX_WAITING = 100_000  # names; beyond it the record itself is asked, once those have been read


class Hashing:
    """Makes hashes as long as `run` runs. What it does not come to is in the record without one, and not lost."""

    def __init__(
        self, store: ObjectStore, arrivals: ArrivalBook, tell: Tell, *, quiet: Callable[[], float] | None = None
    ) -> None:
        """`quiet`: for how many seconds nothing has come; files wait for a moment in which nothing does."""
        self._quiet = quiet
        self._store = store
        self._arrivals = arrivals
        self._tell = tell
        self._names: deque[str] = deque()
        self._asks_record = False
        self._one_at_a_time = trio.CapacityLimiter(1)
        self._wanted = trio.Event()
        self._is_idle = trio.Event()
        self._is_idle.set()

    def wanted(self, names: Iterable[str]) -> None:
        """These came, and are recorded."""
        for name in names:
            if len(self._names) < MAX_WAITING:
                self._names.append(name)
            else:
                self._asks_record = True
        self._wake()

    def all_wanted(self) -> None:
        """Whatever the record has without a hash."""
        self._asks_record = True
        self._wake()

    async def finish(self) -> None:
        """Wait until all that was wanted has its hash, as far as it can be read; `run` is to be running."""
        await self._is_idle.wait()

    def _wake(self) -> None:
        if self._names or self._asks_record:
            self._is_idle = trio.Event()
            self._wanted.set()

    async def run(self) -> None:
        """Until cancelled; what is being read then is given up."""
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            await self._wait_for_quiet()
            try:
                await self._hash_names()
                if self._asks_record:
                    self._asks_record = False
                    await self._hash_what_has_none()
            except ArchiveError as error:  # whatever it is: a file without a hash is found again
                self._tell("index.failed", reason=reason_of(error))
                if self._names or self._asks_record:
                    await trio.sleep(PAUSE_SECONDS)
                    self._wanted.set()
            if not self._names and not self._asks_record:
                self._is_idle.set()

    async def _wait_for_quiet(self) -> None:
        with trio.move_on_after(PATIENCE_SECONDS):
            while self._quiet is not None and (left := QUIET_SECONDS - self._quiet()) > 0:  # noqa: ASYNC110
                await trio.sleep(left)

    async def _hash_names(self) -> None:
        while self._names:
            names = [self._names.popleft() for _ in range(min(BATCH_FILES, len(self._names)))]
            await trio.to_thread.run_sync(self._hash, names, limiter=self._one_at_a_time)

    async def _hash_what_has_none(self) -> None:
        after: int | None = 0
        while after is not None:
            after = await trio.to_thread.run_sync(self._hash_after, after, limiter=self._one_at_a_time)
            await self._hash_names()

    def _hash(self, names: Iterable[str]) -> None:
        found = self._arrivals.get(names).values()
        wanted = [each for each in found if each.sha256 is None]
        hash_arrivals(self._store, self._arrivals, wanted, _give_way)

    def _hash_after(self, after: int) -> int | None:
        found = self._arrivals.after(after, BATCH_FILES, unhashed=True)
        hash_arrivals(self._store, self._arrivals, found, _give_way)
        return found[-1].id if found else None


def _give_way(_octets: int) -> None:
    trio.from_thread.check_cancelled()
