"""Forwarding beside a storage SCP: what arrives is entered before it is stored, and is in the queue when it is quiet.

The order for each object that a rule may be for: it is entered in the journal (durably, before it has a name in the
storage directory), stored, acknowledged; then its series and its modality are read, the rules decide, and when nothing
came for its series for a while, a job is made of it. An object that can't be entered is refused (A700H): what we answer
for goes on its way, whatever is killed when. See `forwarding_journal`.
"""

import math
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from dulcet.dimse.messages import CStoreRQ
from dulcet.dimse.status import OUT_OF_RESOURCES
from dulcet.errors import QueueError, StorageError
from dulcet.services.acceptor import Operation
from dulcet.services.association import Association, Received
from dulcet.services.storage_scp import StoreObserver
from dulcet.services.storing.incoming import IncomingObject
from dulcet.services.storing.placing import StoredObject
from dulcet.station.book.configuration import state_path
from dulcet.station.forwarding.journal import Arriving, Batch, ForwardingJournal, shortened, sync_database
from dulcet.station.forwarding.route import DEFAULT_DELAY, Subject
from dulcet.station.forwarding.routes import Routes
from dulcet.station.forwarding.work import MAX_OBJECTS, ForwardingWork, Lead, Owner, Queue, Tell
from dulcet.station.queue.sqlite_store import FILE_NAME, open_queue

if TYPE_CHECKING:
    from dulcet.station.queue.job_store import JobStore

SETTLE_SECONDS = 0.02  # objects whose outcome comes within it are settled in one transaction
LOOK_SECONDS = 1.0  # between two looks for what other processes received, and for series that are quiet
LEAD_SECONDS = 2.0  # between two attempts to lead
OPEN_ENDS_SECONDS = 10.0  # between two looks for processes that are gone
RETRY_SECONDS = 10.0  # from a failure of the journal or of the queue to the next attempt
LONGEST_WAIT = 300.0  # seconds: a series that never gets quiet goes out in parts
END_SECONDS = 5.0  # at the end, to pass on what has arrived


class StationQueue:
    """The queue of this station: a `forwarding_work.Queue`."""

    def __init__(self) -> None:
        """Open it, made when it is missing. QueueError."""
        self.store: JobStore = open_queue(state_path())

    def sync(self) -> None:
        """See `forwarding_work.Queue`."""
        sync_database(state_path() / FILE_NAME)


@dataclass(eq=False, slots=True)
class _Entry:
    """An object that waits to be entered."""

    arriving: Arriving
    done: trio.Event = field(default_factory=trio.Event)
    outcome: int | Exception = field(default_factory=lambda: OSError("the server ends"))
    """The number under which it is entered, or why it is not."""
    is_abandoned: bool = False


@dataclass(slots=True)
class _Quiet:
    """Since when nothing came for a batch."""

    count: int
    first: float
    last: float


class Forwarding:
    """Sees to it that what arrives in a storage directory is forwarded as the rules say."""

    def __init__(
        self,
        directory: Path,
        routes: Routes,
        tell: Tell,
        *,
        queue: Callable[[], Queue],
        options: Mapping[str, Any],
        is_durable: bool = True,
    ) -> None:
        """`queue` opens the queue; `options` are those of every order. `is_durable`: journal as objects are."""
        self._directory = directory.absolute()
        self._routes = routes
        self._tell = tell
        self._queue = queue
        self._options = options
        self._is_durable = is_durable
        self._journal: ForwardingJournal | None = None
        self._owner: Owner | None = None
        self._entries: list[_Entry] = []
        self._entered: dict[tuple[int, int], int] = {}
        self._stored: list[tuple[int, str]] = []
        self._dropped: list[int] = []
        self._doubtful: list[int] = []
        self._to_enter, self._to_settle, self._to_look = trio.Event(), trio.Event(), trio.Event()
        self._quiet: dict[Batch, _Quiet] = {}
        self._failing: dict[str, str] = {}
        self._opening = threading.Lock()

    def change(self, routes: Routes) -> None:
        """Other rules from now on, also for what has arrived and was not looked at yet."""
        self._routes = routes
        self._to_look.set()

    # Objects come ---------------------------------------------------------------------------------------------------

    def operation(self, store: Operation, observe: StoreObserver) -> Operation:
        """C-STORE as `store` performs it, for objects that are to be forwarded only when they are entered.

        `observe` is told of those that are not, and so are refused.
        """

        async def perform(association: Association, received: Received) -> None:
            request = received.message
            assert isinstance(request, CStoreRQ)
            try:
                number = await self._enter(association, received)
            except (QueueError, OSError) as error:
                self._failed("entering", error)
                comment = "it can't be entered to be forwarded"
                observe(association, request, StorageError(f"{comment}: {error}", status=OUT_OF_RESOURCES))
                response = request.response(status=OUT_OF_RESOURCES, error_comment=comment)
                await association.send(received.context.context_id, response)
                return
            if number is None:
                await store.perform(association, received)
                return
            key = (id(association), request.message_id)
            self._entered[key] = number
            try:
                await store.perform(association, received)
            finally:
                if self._entered.pop(key, None) is not None:  # cancelled: it may be stored or not
                    self._doubtful.append(number)
                    self._to_settle.set()

        return replace(store, perform=perform)

    def stored(self, association: Association, request: CStoreRQ, outcome: StoredObject | StorageError) -> None:
        """What became of an object, before it is answered: a `StoreObserver`. What was here already goes nowhere."""
        number = self._entered.pop((id(association), request.message_id), None)
        if number is None:
            return
        if isinstance(outcome, StorageError) or outcome.is_duplicate:
            self._dropped.append(number)
        else:
            self._stored.append((number, f"{Path(outcome.folder).name}/{outcome.name}"))
        self._to_settle.set()

    async def _enter(self, association: Association, received: Received) -> int | None:
        """The number under which an object is entered; None when no rule is for it."""
        request, sink, message = association.request, received.sink, received.message
        assert request is not None
        assert isinstance(message, CStoreRQ)
        calling, called = str(request.calling_ae_title), str(request.called_ae_title)
        subject = Subject(calling=calling, called=called, sop_class_uid=message.affected_sop_class_uid)
        if not isinstance(sink, IncomingObject) or not self._routes.may_apply(subject):
            return None
        identity = sink.identity
        if identity is None:
            return None
        uid = message.affected_sop_instance_uid
        entry = _Entry(
            Arriving(
                sop_instance_uid=uid,
                inode=shortened(identity[0]),
                file_size=identity[1],
                modified=identity[2],
                calling=calling,
                called=called,
            )
        )
        self._entries.append(entry)
        self._to_enter.set()
        try:
            await entry.done.wait()
        except trio.Cancelled:
            entry.is_abandoned = True
            raise
        if isinstance(entry.outcome, Exception):
            raise entry.outcome
        return entry.outcome

    # Beside the associations ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled; then what has arrived is passed on, as far as that goes quickly."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_entering)
                nursery.start_soon(self._keep_settling)
                nursery.start_soon(self._keep_leading)
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + END_SECONDS):
                await self._end()

    async def _end(self) -> None:
        for entry in self._entries:
            entry.done.set()
        try:
            if self._journal is not None:
                await self._settle()
        except (QueueError, OSError) as error:
            self._failed("settling", error)
        finally:
            if self._owner is not None:
                self._owner.end()
            if self._journal is not None:
                self._journal.close()

    def _open(self) -> tuple[ForwardingJournal, Owner]:
        """In a thread, once."""
        with self._opening:
            if self._journal is None:
                self._journal = ForwardingJournal(
                    self._directory, lambda text: self._tell("forward.failed", reason=text)
                )
            if self._owner is None:
                self._owner = Owner(self._directory)
            return self._journal, self._owner

    async def _keep_entering(self) -> None:
        """Group commit: what comes while one group is written is the next one."""
        while True:
            await self._to_enter.wait()
            self._to_enter = trio.Event()
            group, self._entries = self._entries, []
            try:
                numbers = await trio.to_thread.run_sync(self._write_entries, [entry.arriving for entry in group])
            except Exception as error:
                for entry in group:
                    entry.outcome = error
            else:
                self._failing.pop("entering", None)
                for entry, number in zip(group, numbers, strict=True):
                    entry.outcome = number
                    if entry.is_abandoned:
                        self._dropped.append(number)
                        self._to_settle.set()
            finally:
                for entry in group:
                    entry.done.set()

    def _write_entries(self, arriving: list[Arriving]) -> list[int]:
        journal, owner = self._open()
        return journal.enter(owner.name, arriving, durably=self._is_durable)

    async def _keep_settling(self) -> None:
        while True:
            await self._to_settle.wait()
            await trio.sleep(SETTLE_SECONDS)
            self._to_settle = trio.Event()
            try:
                await self._settle()
                self._failing.pop("settling", None)
            except Exception as error:
                self._failed("settling", error)
                await trio.sleep(RETRY_SECONDS)
                self._to_settle.set()

    async def _settle(self) -> None:
        stored, self._stored = self._stored, []
        dropped, self._dropped = self._dropped, []
        doubtful, self._doubtful = self._doubtful, []
        try:
            self._doubtful += await trio.to_thread.run_sync(self._write_outcomes, stored, dropped, doubtful)
        except BaseException:
            self._stored[:0], self._dropped[:0], self._doubtful[:0] = stored, dropped, doubtful
            raise
        self._to_look.set()

    def _write_outcomes(self, stored: list[tuple[int, str]], dropped: list[int], doubtful: list[int]) -> list[int]:
        """Those of the doubtful that remain so."""
        journal, owner = self._open()
        journal.settle(stored, dropped)
        if not doubtful:
            return []
        return self._work(journal).settle([end for end in journal.open_ends(owner.name) if end.id in doubtful])

    # Leading --------------------------------------------------------------------------------------------------------

    async def _keep_leading(self) -> None:
        """Wait until nobody else does; then work until cancelled."""
        lead = Lead(self._directory)
        try:
            while True:
                try:
                    journal, owner = await trio.to_thread.run_sync(self._open)
                    if await trio.to_thread.run_sync(lead.take):
                        await self._lead(journal, owner)
                    await trio.sleep(LEAD_SECONDS)
                except Exception as error:  # whatever it is: objects go on being stored, and entered
                    self._failed("leading", error)
                    await trio.sleep(RETRY_SECONDS)
        finally:
            lead.release()

    async def _lead(self, journal: ForwardingJournal, owner: Owner) -> None:
        work = self._work(journal)
        try:
            await trio.to_thread.run_sync(work.take_up)
            looked = -math.inf
            while True:
                if trio.current_time() >= looked + OPEN_ENDS_SECONDS:
                    await trio.to_thread.run_sync(work.close_open_ends, owner.name)
                    looked = trio.current_time()
                pause = await self._step(journal, work)
                self._failing.pop("leading", None)
                await self._something_to_look_at(pause)
        except trio.Cancelled:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + END_SECONDS):
                await self._last_step(journal, work)
            raise
        finally:
            work.close()

    def _work(self, journal: ForwardingJournal) -> ForwardingWork:
        return ForwardingWork(self._directory, journal, self._tell, self._queue, self._options)

    async def _something_to_look_at(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self._to_look.wait()
        self._to_look = trio.Event()

    async def _step(self, journal: ForwardingJournal, work: ForwardingWork, *, is_last: bool = False) -> float:
        """Look at what is new, and make jobs of what is quiet; seconds until something may be quiet next."""
        while await trio.to_thread.run_sync(work.look_at_stored, self._routes):
            pass
        batches = await trio.to_thread.run_sync(journal.batches)
        now = trio.current_time()
        self._quiet = {batch: self._since(batch, count, now) for batch, count in batches.items()}
        pause = LOOK_SECONDS
        for batch, quiet in self._quiet.items():
            wait = min(quiet.last + self._delay(batch), quiet.first + LONGEST_WAIT) - now
            if wait <= 0 or quiet.count >= MAX_OBJECTS or is_last:
                await trio.to_thread.run_sync(work.pass_on, batch, self._routes.get(batch.route))
            else:
                pause = min(pause, wait)
        return pause

    def _since(self, batch: Batch, count: int, now: float) -> _Quiet:
        known = self._quiet.get(batch)
        if known is None or count < known.count:
            return _Quiet(count, now, now)
        return known if count == known.count else _Quiet(count, known.first, now)

    def _delay(self, batch: Batch) -> float:
        route = self._routes.get(batch.route)
        return DEFAULT_DELAY if route is None else route.delay

    async def _last_step(self, journal: ForwardingJournal, work: ForwardingWork) -> None:
        """The quiet is not waited for when the server ends: whoever runs the queue then has it all."""
        with suppress(QueueError, OSError):
            await self._settle()
            await self._step(journal, work, is_last=True)

    def _failed(self, doing: str, error: Exception) -> None:
        """Told once, until it succeeds again; and once though it hinders several things."""
        is_ours = isinstance(error, QueueError | OSError)
        reason = str(error) if is_ours else f"{type(error).__name__}: {error}"
        if doing not in self._failing and reason not in self._failing.values():
            self._tell("forward.failed", reason=reason)
        self._failing[doing] = reason
