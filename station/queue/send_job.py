"""A job that sends: its rows, slice by slice, through the `Sender` that `dulcet send` uses.

The sender tries nothing twice: what it could not send it gives back, and here is decided when that is due again. An
object that is on its way when its association is lost waits alone, since it may be the reason; what was not begun stays
as it is. When no association can be made, or the peer has no room for one object after the other, the job waits.
"""

from collections import deque

import trio

from dulcet.errors import AssociationError, DulcetError
from dulcet.escape import quote
from dulcet.services.pacing import Bandwidth
from dulcet.station.events import ContextResult, Event, Outcome, StoreResult
from dulcet.station.queue.backoff import Failure, failure_of, failure_of_status
from dulcet.station.queue.calling import identity_of, peer_of, preferred, timeout_of
from dulcet.station.queue.endings import ended, patience_of, until_nothing_is_due, wait_or_give_up
from dulcet.station.queue.jobs import (
    InstanceResult,
    InstanceState,
    JobInstance,
    Order,
    Progress,
    Standing,
)
from dulcet.station.queue.kept_files import file_of
from dulcet.station.queue.running import Assignment
from dulcet.station.sending.found import FileToSend
from dulcet.station.sending.progress import PaceMeter, Transfer
from dulcet.station.sending.sender import Sender, SendOptions
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH

SLICE = 1_000  # instances in memory, and on one association; making another costs as much as sending a few
FULL_AFTER = 8  # objects in a row for which the peer had no room: it is full, not just too busy for one
LOST_AFTER = 3  # associations in a row that were lost before an object was done: no single object is to blame
MAX_LOST = 64  # associations of one job at once
MEASURE_SECONDS = 1.0
EXIT_TEMPORARY = 75
DEFAULTS = {"jobs": 1, "async_window": 1, "no_convert": False, "max_pdu": DEFAULT_MAX_PDU_LENGTH}
"""What `dulcet send` has for options that neither the order nor the node speaks of."""


async def run(assignment: Assignment) -> Standing:
    """Send what is pending and due. See `running`: what runners are given, and how they are stopped."""
    try:
        job = _SendJob(assignment)
    except DulcetError as error:  # the node book, a certificate, an identity: nothing to try again before it is changed
        return Standing(state=ended(assignment.job), reason=str(error), exit_code=error.exit_code)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(job.measure)
        nursery.start_soon(job.end_when_asked)
        standing = await job.run()
        nursery.cancel_scope.cancel()
    return standing


def send_options(order: Order) -> SendOptions:
    """How the order wants its files sent, as things stand now. NoInputError, ConfigurationError."""
    wishes = {name: preferred(order, name, default) for name, default in DEFAULTS.items()}
    return SendOptions(
        jobs=wishes["jobs"],
        window=wishes["async_window"],
        convert=not wishes["no_convert"],
        max_pdu_length=wishes["max_pdu"],
        retries=0,
        timeout=timeout_of(order),
        user_items=identity_of(order),
        bandwidth=None if order.octets_per_second is None else Bandwidth(order.octets_per_second),
    )


class _SendJob:
    """One run of a job; the `Custody` of its files."""

    def __init__(self, assignment: Assignment) -> None:
        job = assignment.job
        self._assignment, self._job = assignment, job
        self._recorder = assignment.recorder
        self._patience = patience_of(job)
        counts = job.counts
        self._transfer = Transfer(total_objects=counts.pending, total_octets=max(counts.octets - counts.octets_done, 0))
        self._sender = Sender(peer_of(job.order), send_options(job.order), self._report, self._transfer, custody=self)
        self._instances: dict[int, JobInstance] = {}
        self._settled_octets = 0
        self._refused_in_a_row = 0
        self._lost: deque[AssociationError] = deque(maxlen=MAX_LOST)
        self._lost_in_a_row = 0
        self._has_sent = False
        self._trouble: tuple[Failure, str, int] | None = None

    # What runs ------------------------------------------------------------------------------------------------------

    async def run(self) -> Standing:
        """Send what is due until nothing is, or nothing can be sent."""
        return await until_nothing_is_due(self._assignment, self._pass, self._why_stuck)

    def _why_stuck(self) -> Standing | None:
        if self._trouble is None:
            return None
        return wait_or_give_up(self._assignment, *self._trouble, has_got_on=self._has_sent)

    async def _pass(self) -> None:
        """Everything that is due, once."""
        store, after = self._assignment.store, 0
        while self._trouble is None and not self._assignment.ending.is_set():
            slice_ = await trio.to_thread.run_sync(store.due_instances, self._job.id, after, SLICE)
            if not slice_:
                return
            after = slice_[-1].id
            files = [file_of(instance) for instance in slice_]
            self._instances = {id(file): instance for file, instance in zip(files, slice_, strict=True)}
            await self._sender.send(files)

    async def measure(self) -> None:
        """Tell how it gets on, until cancelled."""
        meter = PaceMeter(self._transfer)
        meter.measure(trio.current_time())
        while True:
            await trio.sleep(MEASURE_SECONDS)
            pace = meter.measure(trio.current_time())
            self._recorder.progress = Progress(
                octets_in_flight=max(self._transfer.octets - self._settled_octets, 0),
                octets_per_second=round(pace.octets_per_second, 1),
                instances_per_second=round(pace.objects_per_second, 1),
                seconds_left=None if pace.seconds_left is None else round(pace.seconds_left, 1),
            )

    async def end_when_asked(self) -> None:
        """Finish what is in flight, no more."""
        await self._assignment.ending.wait()
        self._sender.end()

    # Custody --------------------------------------------------------------------------------------------------------

    def settled(self, file: FileToSend, result: StoreResult) -> None:
        """See `Custody`."""
        instance = self._instances[id(file)]
        self._settled_octets += file.size
        failure = _failure_of_result(result)
        if failure is not Failure.OUT_OF_RESOURCES:
            self._refused_in_a_row = 0
        if failure is None:
            self._has_sent = True
            self._lost_in_a_row = 0
            self._recorder.result(
                InstanceResult(
                    id=instance.id,
                    state=InstanceState.DONE,
                    status=result.status,
                    reason=_reason_of(result) if result.outcome is Outcome.WARNING else "",
                )
            )
            return
        self._failed(instance, failure, _reason_of(result), result.exit_code, result.status)
        if failure is Failure.OUT_OF_RESOURCES:
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= FULL_AFTER:
                self._stop(failure, f"the peer has no room: {result.explanation}", EXIT_TEMPORARY)

    def given_back(self, file: FileToSend, error: AssociationError | None, *, was_begun: bool) -> None:
        """See `Custody`."""
        if error is None:
            return
        failure = failure_of(error, was_associated=was_begun)
        is_known = any(error is lost for lost in self._lost)
        if not was_begun:
            if not is_known:
                self._stop(failure, str(error), error.exit_code)
            return
        self._report(
            StoreResult(
                name=file.name,
                outcome=Outcome.UNCONFIRMED,
                explanation=str(error),
                exit_code=error.exit_code,
                sop_instance_uid=file.header.sop_instance_uid,
            )
        )
        self._failed(self._instances[id(file)], failure, str(error), error.exit_code)
        if not is_known:
            self._lost.append(error)
            self._lost_in_a_row += 1
        if self._lost_in_a_row >= LOST_AFTER:
            self._stop(failure, str(error), error.exit_code)

    def _stop(self, failure: Failure, reason: str, exit_code: int) -> None:
        """The job as a whole can't go on for now."""
        if self._trouble is None:
            self._trouble = failure, reason, exit_code
            self._sender.end()

    def _failed(
        self, instance: JobInstance, failure: Failure, reason: str, exit_code: int, status: int | None = None
    ) -> None:
        at = self._patience.next_attempt(
            failure,
            attempts=instance.attempts + 1,
            failing_since=instance.failing_since,
            now=self._assignment.now(),
        )
        state = InstanceState.FAILED if at is None else InstanceState.PENDING
        self._recorder.result(
            InstanceResult(
                id=instance.id,
                state=state,
                status=status,
                reason=reason,
                exit_code=exit_code if at is None else 0,
                not_before=at or 0.0,
            )
        )

    def _report(self, event: Event) -> None:
        """Into the log, but for what went well: the rows say that."""
        if isinstance(event, StoreResult) and event.outcome is Outcome.STORED:
            return
        if isinstance(event, ContextResult) and event.result == 0:
            return
        self._recorder.event(event)


def _failure_of_result(result: StoreResult) -> Failure | None:
    """None when it is stored."""
    if result.status is not None:
        return failure_of_status(result.status)
    return Failure.LOCAL if result.outcome is Outcome.NOT_SENT else None


def _reason_of(result: StoreResult) -> str:
    said = f" (the peer says: {quote(result.error_comment)})" if result.error_comment else ""
    return (result.explanation or "") + said
