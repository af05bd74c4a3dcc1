"""A job that retrieves: the archive is surveyed once, what it promised are the rows, and what is missing is asked for.

What is in the storage directory already is done, and never asked for. Of what is missing whole targets are asked for,
or whole series, or images by name. What the archive did not send waits alone; when it can't be asked, the job waits.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, closing
from functools import partial

import trio

from dulcet.errors import ConfigurationError, DulcetError, LeaseLostError, NoInputError, QueueError
from dulcet.services.storage import Storage
from dulcet.services.storage_scp import StoreObserver, storage_operation
from dulcet.station.archive.recording import observed_by, recording
from dulcet.station.events import Event
from dulcet.station.queue.backoff import failure_of
from dulcet.station.queue.endings import ended, patience_of, until_nothing_is_due, wait_or_give_up
from dulcet.station.queue.jobs import InstanceResult, InstanceState, JobState, Progress, Standing
from dulcet.station.queue.retrieve_order import RetrieveOrder, retrieve_order
from dulcet.station.queue.retrieve_outcomes import Outcome, outcome_of, outcome_of_unlisted
from dulcet.station.queue.retrieve_rows import Row, Rows, rows_of
from dulcet.station.queue.running import Assignment
from dulcet.station.retrieval.events import Advice, Arrival, SubOperationsProgress
from dulcet.station.retrieval.events import InstanceResult as Arrived
from dulcet.station.retrieval.faults import faults
from dulcet.station.retrieval.own_server import receiving_or_watching
from dulcet.station.retrieval.receiver import receiving
from dulcet.station.retrieval.reception import Receive, ReceiverSettings, Reception
from dulcet.station.retrieval.retriever import Retriever
from dulcet.station.retrieval.shared_receivers import SharedReceivers
from dulcet.station.retrieval.tally import Tally
from dulcet.station.retrieval.targets import Target
from dulcet.station.retrieval.watching import look_for
from dulcet.station.sending.progress import PaceMeter, Transfer

PAGE = 2_000  # rows at a time
BUSY_SECONDS = 10.0  # until a port that another retrieval has is tried again
MEASURE_SECONDS = 1.0
EXIT_NO_INPUT = 66


async def run(assignment: Assignment, receivers: SharedReceivers | None = None) -> Standing:
    """Retrieve what is pending and due. See `running`: what runners are given, and how they are stopped.

    `receivers` are those of this process; without them the job has one of its own.
    """
    try:
        order = await trio.to_thread.run_sync(retrieve_order, assignment.job.order)
        with closing(Storage(order.storage)) as storage:
            async with recording(order.storage.directory) as record:
                return await _RetrieveJob(assignment, order, storage, record, receivers).run_to_its_end()
    except (
        ConfigurationError,
        NoInputError,
    ) as error:  # a setting, the node book, the directory: somebody has to change something
        return Standing(state=ended(assignment.job), reason=str(error), exit_code=error.exit_code)


class _RetrieveJob:
    """One run of a job."""

    def __init__(
        self,
        assignment: Assignment,
        order: RetrieveOrder,
        storage: Storage,
        record: StoreObserver,
        receivers: SharedReceivers | None,
    ) -> None:
        self._assignment, self._job = assignment, assignment.job
        self._recorder = assignment.recorder
        self._order = order
        self._storage = storage
        self._record = record
        self._receivers = receivers
        self._patience = patience_of(assignment.job)
        self._rows = Rows()
        self._transfer = Transfer(total_objects=assignment.job.counts.pending, total_octets=0)
        self._retriever: Retriever | None = None
        self._trouble: Outcome | None = None
        self._has_got_on = False

    # What runs ------------------------------------------------------------------------------------------------------

    async def run_to_its_end(self) -> Standing:
        """`run`, with what goes on beside it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.measure)
            nursery.start_soon(self.end_when_asked)
            standing = await self.run()
            nursery.cancel_scope.cancel()
        return standing

    async def run(self) -> Standing:
        """Retrieve what is due until nothing is, or nothing can be retrieved."""
        try:
            if not self._job.counts.instances and not await self._survey():
                reason = f"{self._order.peer} has nothing of it"
                return Standing(state=JobState.FAILED, reason=reason, exit_code=EXIT_NO_INPUT)
        except (QueueError, LeaseLostError):
            raise
        except DulcetError as error:
            return self._not_surveyed(error)
        await self._load()
        return await until_nothing_is_due(self._assignment, self._pass, self._why_stuck)

    async def measure(self) -> None:
        """Tell how it gets on, until cancelled."""
        meter = PaceMeter(self._transfer)
        meter.measure(trio.current_time())
        while True:
            await trio.sleep(MEASURE_SECONDS)
            pace = meter.measure(trio.current_time())
            left, rate = self._transfer.total_objects - self._transfer.objects, pace.objects_per_second
            self._recorder.progress = Progress(
                octets_per_second=round(pace.octets_per_second, 1),
                instances_per_second=round(rate, 1),
                seconds_left=round(left / rate, 1) if rate and left > 0 else None,
            )

    async def end_when_asked(self) -> None:
        """Cancel at the archive what is under way, and ask for nothing more; what has come stays."""
        await self._assignment.ending.wait()
        if self._retriever is not None:
            await self._retriever.cancel()

    # What there is ----------------------------------------------------------------------------------------------------

    async def _survey(self) -> int:
        """Ask the archive what it has, and enter it as rows, all at once; how many."""
        retriever = self._new_retriever(Tally(self._report))
        targets = await retriever.survey(self._order.asked)
        rows = list(rows_of(targets))
        if rows:
            extend, number, worker = self._assignment.store.extend, self._job.id, self._assignment.worker
            await trio.to_thread.run_sync(extend, number, worker, rows)
        self._transfer.total_objects = len(rows)
        return len(rows)

    def _not_surveyed(self, error: DulcetError) -> Standing:
        failure = failure_of(error, was_associated=False)
        return wait_or_give_up(self._assignment, failure, str(error), error.exit_code, has_got_on=False)

    async def _load(self) -> None:
        """All rows, from the store."""
        after = 0
        while True:
            page = await trio.to_thread.run_sync(self._assignment.store.instances, self._job.id, None, after, PAGE)
            if not page:
                return
            self._rows.add(page)
            after = page[-1].id

    # One pass ---------------------------------------------------------------------------------------------------------

    async def _pass(self) -> None:
        """Everything that is due, once."""
        tally = Tally(self._report)
        await self._take_what_is_here(tally)
        targets = self._rows.to_ask(self._assignment.now())
        if not targets or self._assignment.ending.is_set():
            return
        wanted = {uid: self._rows.pending[uid] for uid in self._rows.due(self._assignment.now())}
        unlisted = [each for each in self._rows.unlisted.values() if each[0] in targets]
        self._retriever = retriever = self._new_retriever(tally)
        try:
            await retriever.bring(targets)
        finally:
            self._retriever = None
        await self._take_what_is_here(tally)
        if not self._assignment.ending.is_set():
            self._settle(retriever, {uid: row for uid, row in wanted.items() if uid in self._rows.pending}, unlisted)

    def _new_retriever(self, tally: Tally) -> Retriever:
        order = self._order
        store = storage_operation(self._storage, observe=observed_by(tally, self._record))
        ours = receiving if self._receivers is None else self._receivers.receiving
        receive = partial(ours, store=store, expected=tally.expected)
        return Retriever(
            order.peer,
            order.how,
            order.conversation,
            order.queries,
            store=store,
            tally=tally,
            report=self._report,
            receive=lambda settings: self._receive(settings, receive, tally),
        )

    def _receive(
        self, settings: ReceiverSettings, receive: Receive, tally: Tally
    ) -> AbstractAsyncContextManager[Reception]:
        if self._receivers is not None and self._receivers.has(settings):
            return receive(settings)
        return receiving_or_watching(settings, receive, directory=self._order.storage.directory, tally=tally)

    async def _take_what_is_here(self, tally: Tally) -> None:
        """What lies in the directory is done, whoever brought it."""
        directory, uids = self._order.storage.directory, list(self._rows.pending)
        for start in range(0, len(uids), PAGE):
            found = await trio.to_thread.run_sync(look_for, directory, uids[start : start + PAGE])
            for uid, arrived in found.items():
                tally.found(uid, arrived)

    # What came, and what did not --------------------------------------------------------------------------------------

    def _report(self, event: Event) -> None:
        """Into the log, but for what went well: the rows say that."""
        if isinstance(event, Arrived) and event.outcome is Arrival.ARRIVED:
            self._done(event.sop_instance_uid, event.octets or 0)
        elif not isinstance(event, SubOperationsProgress):
            self._recorder.event(event)

    def _done(self, uid: str, octets: int) -> None:
        row = self._rows.pending.pop(uid, None)
        if row is None:
            return
        self._has_got_on = True
        self._transfer.objects += 1
        self._transfer.octets += octets
        self._recorder.result(InstanceResult(id=row.id, state=InstanceState.DONE, octets=octets))

    def _settle(self, retriever: Retriever, missing: Mapping[str, Row], unlisted: Sequence[tuple[Target, Row]]) -> None:
        """What became of what was asked for and is not here."""
        for uid, row in missing.items():
            if self._failed(row, outcome_of(uid, retriever)):
                del self._rows.pending[uid]
        for target, row in unlisted:
            outcome = outcome_of_unlisted(target, retriever)
            if outcome is None:
                self._has_got_on = True
                self._transfer.objects += 1
                self._recorder.result(InstanceResult(id=row.id, state=InstanceState.DONE))
            if outcome is None or self._failed(row, outcome):
                del self._rows.unlisted[row.id]
        lines = faults(retriever, self._order.peer, self._order.how.port) if missing or self._trouble else []
        if lines:
            self._recorder.event(Advice(lines=lines))

    def _failed(self, row: Row, outcome: Outcome) -> bool:
        """Enter why it did not come; whether that is for good."""
        if outcome.is_trouble:
            self._trouble = self._trouble or outcome
            return False
        now = self._assignment.now()
        row.attempts += 1
        at = self._patience.next_attempt(
            outcome.failure, attempts=row.attempts, failing_since=row.failing_since, now=now
        )
        row.failing_since = now if row.failing_since is None else row.failing_since
        row.not_before = at or 0.0
        self._recorder.result(
            InstanceResult(
                id=row.id,
                state=InstanceState.FAILED if at is None else InstanceState.PENDING,
                status=outcome.status,
                reason=outcome.reason,
                exit_code=outcome.exit_code if at is None else 0,
                not_before=row.not_before,
            )
        )
        self._transfer.objects += at is None
        return at is None

    def _why_stuck(self) -> Standing | None:
        trouble = self._trouble
        if trouble is None:
            return None
        if trouble.is_busy:
            at = self._assignment.now() + BUSY_SECONDS
            attempts = self._job.attempts
            return Standing(state=JobState.WAITING, reason=trouble.reason, not_before=at, attempts=attempts)
        failure, reason, code = trouble.failure, trouble.reason, trouble.exit_code
        return wait_or_give_up(self._assignment, failure, reason, code, has_got_on=self._has_got_on)
