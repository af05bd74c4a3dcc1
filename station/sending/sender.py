"""Sending files: associations, lanes, retries, and an outcome for every file.

Each lane is one association at a time that takes work from the plan's queue; on it as many operations are outstanding
as the window allows. While a response is awaited the next file is opened and its first octets are read. A file whose
fate is open goes back into the queue until its attempts are used up, so that whatever ends the work, each file has an
outcome and the report can name it.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import trio

from dulcet.dimse.assembly import fragment_octets
from dulcet.errors import (
    AssociationAbortedError,
    AssociationError,
    AssociationRejectedError,
    ConversionError,
    NoAcceptedContextError,
    NoInputError,
    PeerTimeoutError,
    SourceError,
)
from dulcet.services.association import Association
from dulcet.services.data_sets import SEND_BUFFER_OCTETS
from dulcet.services.limits import NO_TIMERS
from dulcet.services.pacing import Bandwidth
from dulcet.services.requestor import Peer, associate
from dulcet.services.trace import Trace
from dulcet.station.events import (
    AssociationAccepted,
    AssociationEnded,
    AssociationRejected,
    AssociationRequested,
    ContextResult,
    Event,
    Outcome,
    StoreResult,
)
from dulcet.station.sending.found import FileToSend
from dulcet.station.sending.outgoing import Outgoing
from dulcet.station.sending.presentation_contexts import AssociationPlan, ContextChoice, choose, plan_associations
from dulcet.station.sending.progress import Transfer
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH, Transition
from dulcet.ul.items import AsynchronousOperationsWindow, Item
from dulcet.ul.negotiation import Negotiated

OUT_OF_RESOURCES = range(0xA700, 0xA800)  # PS3.4 B.2.3: the one refusal that time may cure
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before a retry; doubled each time
TEMPORARY = 75  # the exit code of what may pass


@dataclass(frozen=True, kw_only=True, slots=True)
class SendOptions:
    """How to send."""

    jobs: int = 1
    """Associations at once."""
    window: int = 1
    """Operations outstanding on each association, if the peer agrees (PS3.7 D.3.3.3); 1 does not ask."""
    convert: bool = True
    """Whether uncompressed and deflated data sets may be converted to what the peer takes."""
    max_pdu_length: int = DEFAULT_MAX_PDU_LENGTH
    retries: int = 2
    """More attempts for what failed for a reason that may pass."""
    timeout: float = 60.0
    """Seconds for the association to be made, for a response, and for a peer that doesn't read."""
    user_items: tuple[Item, ...] = ()
    """More user information: an identity."""
    bandwidth: Bandwidth | None = None
    """What all associations together may use; None for no limit."""


class Custody(Protocol):
    """Who handed the files over and keeps account of them: the queue, which has its own ways to try again."""

    def settled(self, file: FileToSend, result: StoreResult) -> None:
        """The fate of a file is known; it was reported as well."""

    def given_back(self, file: FileToSend, error: AssociationError | None, *, was_begun: bool) -> None:
        """A file that could not be sent now, for no fault of its own: nothing was reported.

        `error`: how its association ended; None when the sending was ended. `was_begun`: some of it has gone out, so
        the peer may have stored it, or broken down over it.
        """


class Sender:
    """Sends files to one peer. `report` gets every event; `transfer` is kept up to date for a progress display.

    With a `custody` each file is either settled or given back; without one, what can't be sent is reported so.
    Memory: for each association its receive buffer and one send buffer.
    """

    def __init__(
        self,
        peer: Peer,
        options: SendOptions,
        report: Callable[[Event], None],
        transfer: Transfer,
        *,
        trace: Trace | None = None,
        on_transition: Callable[[Transition], None] | None = None,
        custody: Custody | None = None,
    ) -> None:
        self._peer = peer
        self._options = options
        self._report = report
        self._transfer = transfer
        self._trace = trace
        self._on_transition = on_transition
        self._custody = custody
        self._is_ending = False
        self._queue: deque[Outgoing] = deque()
        self._under_way: dict[Outgoing, None] = {}
        self._lanes = 0
        self._associations = 0
        self._has_associated = False
        self.last_failure: AssociationError | None = None
        """Why an association was not made or did not last, the last time that happened."""

    def end(self) -> None:
        """Begin no more files: `send` returns when those that are on their way have their answers."""
        self._is_ending = True

    async def send(self, files: Sequence[FileToSend]) -> None:
        """Send all. Each file gets one `StoreResult`, also when cancelled; nothing is raised for what goes wrong."""
        plans = deque(plan_associations(files, convert=self._options.convert))
        try:
            while plans and not self._is_ending:
                plan = plans.popleft()
                self._queue = deque(Outgoing(file, self._transfer) for file in plan.files)
                async with trio.open_nursery() as nursery:
                    for _ in range(min(self._options.jobs, len(plan.files))):
                        self._lanes += 1
                        nursery.start_soon(self._lane, plan)
        finally:
            self._queue.extend(Outgoing(file, self._transfer) for plan in plans for file in plan.files)
            for work in [*self._under_way, *self._queue]:
                is_out = work.pending is not None
                outcome = Outcome.UNCONFIRMED if is_out else Outcome.NOT_SENT
                self._leave(work, outcome, None)

    # Lanes and retries ----------------------------------------------------------------------------------------------

    async def _lane(self, plan: AssociationPlan) -> None:
        failures = 0
        try:
            while self._queue and not self._is_ending:
                done = self._transfer.objects
                try:
                    await self._one_association(plan)
                except AssociationError as error:
                    failures = 0 if self._transfer.objects > done else failures + 1
                    if isinstance(error, AssociationRejectedError) and self._lanes > 1:
                        return
                    if not self._may_pass(error) or failures > self._options.retries:
                        self._give_up(plan, error)
                        return
                    await trio.sleep(_pause(max(failures, 1)))
        finally:
            self._lanes -= 1

    def _may_pass(self, error: AssociationError) -> bool:
        """A refusal for the moment, a lost connection; a port that is closed only if it was open before."""
        return error.exit_code == TEMPORARY or (self._has_associated and not isinstance(error, NoAcceptedContextError))

    def _give_up(self, plan: AssociationPlan, error: AssociationError) -> None:
        while self._queue:
            work = self._queue.popleft()
            if isinstance(error, NoAcceptedContextError):
                nothing = Negotiated(contexts={}, refused=error.refused, max_pdu_length=0)
                reason = str(choose(work.file.header, plan.contexts, nothing, convert=self._options.convert))
                self._settled(work, work.result(Outcome.NOT_SENT, reason, exit_code=error.exit_code))
            else:
                self._leave(work, Outcome.NOT_SENT, error)

    def _try_again(self, work: Outgoing, outcome: Outcome, error: AssociationError) -> None:
        """Back into the queue, unless its attempts are used up."""
        if work.attempts <= self._options.retries:
            self._put_back(work)
        else:
            del self._under_way[work]
            self._leave(work, outcome, error)

    def _leave(self, work: Outgoing, outcome: Outcome, error: AssociationError | None) -> None:
        """It is not sent, or may not be: `error` says why, None that the sending was ended."""
        if self._custody is None:
            reason, code = ("interrupted", TEMPORARY) if error is None else (str(error), error.exit_code)
            self._report(work.result(outcome, reason, exit_code=code))
            return
        was_begun = work.attempts > 0
        work.rewind()
        self._custody.given_back(work.file, error, was_begun=was_begun)

    def _settled(self, work: Outgoing, result: StoreResult) -> None:
        self._report(result)
        if self._custody is not None:
            self._custody.settled(work.file, result)

    # One association ------------------------------------------------------------------------------------------------

    async def _one_association(self, plan: AssociationPlan) -> None:
        options, peer = self._options, str(self._peer)
        self._associations += 1
        number = self._associations
        self._report(AssociationRequested(peer=peer, association=number, contexts=len(plan.contexts)))
        is_made = False
        with trio.CancelScope(deadline=trio.current_time() + options.timeout) as patience:
            try:
                async with associate(
                    self._peer,
                    plan.contexts,
                    user_items=(*self._window_item(), *options.user_items),
                    max_pdu_length=options.max_pdu_length,
                    limits=replace(NO_TIMERS, write_stall=self._write_seconds(), response=options.timeout),
                    trace=self._trace,
                    on_transition=self._on_transition,
                    bandwidth=options.bandwidth,
                ) as association:
                    patience.deadline = float("inf")
                    is_made = self._has_associated = True
                    self._report_contexts(association, number)
                    await self._send_queue(association, plan)
                    patience.deadline = trio.current_time() + options.timeout
            except AssociationError as error:
                self._report_failure(error, number, is_made)
                raise
        if patience.cancelled_caught and not is_made:
            late = PeerTimeoutError(f"{peer} did not answer within {options.timeout:g} s")
            self._report_failure(late, number, is_made)
            raise late
        self._report(AssociationEnded(peer=peer, association=number, how="released"))

    async def _send_queue(self, association: Association, plan: AssociationPlan) -> None:
        """Keep the window full; the next file is prepared before a response is awaited."""
        choices: dict[tuple[str, str], ContextChoice | str] = {}
        buffer = memoryview(bytearray(SEND_BUFFER_OCTETS))
        depth = min(association.window, self._options.window)
        outstanding: deque[Outgoing] = deque()
        upcoming = await self._next(association, plan, choices, buffer)
        try:
            while upcoming is not None or outstanding:
                if upcoming is not None and self._is_ending:
                    self._put_back(upcoming)
                    upcoming = None
                elif upcoming is not None and len(outstanding) < depth:
                    work, upcoming = upcoming, None
                    await self._start(association, work)
                    outstanding.append(work)
                    upcoming = await self._next(association, plan, choices, buffer)
                else:
                    await self._finish(outstanding.popleft())
        except AssociationError as error:
            for work in outstanding:
                self._try_again(work, Outcome.UNCONFIRMED, error)
            if upcoming is not None:
                self._put_back(upcoming)
            raise

    def _put_back(self, work: Outgoing) -> None:
        """It is the next one again."""
        del self._under_way[work]
        work.rewind()
        self._queue.appendleft(work)

    async def _next(
        self,
        association: Association,
        plan: AssociationPlan,
        choices: dict[tuple[str, str], ContextChoice | str],
        buffer: memoryview,
    ) -> Outgoing | None:
        """The next file, opened; what turns out not to be sendable is settled on the way."""
        while self._queue and not self._is_ending:
            work = self._queue.popleft()
            self._under_way[work] = None
            header = work.file.header
            key = (header.sop_class_uid, header.transfer_syntax_uid)
            choice = choices.get(key)
            if choice is None:
                convert = self._options.convert
                choice = choices[key] = choose(header, plan.contexts, association.negotiated, convert=convert)
            if isinstance(choice, str):
                self._settle(work, Outcome.NOT_SENT, choice, NoAcceptedContextError.exit_code)
                continue
            if work.not_before > trio.current_time():
                await trio.sleep_until(work.not_before)
            try:
                await work.open(choice, buffer, fragment_octets(association.negotiated.max_pdu_length))
            except (NoInputError, SourceError, ConversionError) as error:
                self._settle(work, Outcome.NOT_SENT, str(error), error.exit_code)
                continue
            return work
        return None

    async def _start(self, association: Association, work: Outgoing) -> None:
        try:
            await work.start(association)
        except AssociationError as error:
            self._try_again(work, Outcome.NOT_SENT, error)
            raise
        except SourceError as error:
            self._settle(work, Outcome.NOT_SENT, str(error), error.exit_code)
            broken = "a file could not be read to its end, so the association was aborted"
            raise AssociationAbortedError(broken, source=0, reason=0, by_peer=False) from error

    async def _finish(self, work: Outgoing) -> None:
        try:
            stored = await work.finish()
        except AssociationError as error:
            self._try_again(work, Outcome.UNCONFIRMED, error)
            raise
        if stored.status in OUT_OF_RESOURCES and work.attempts <= self._options.retries:
            del self._under_way[work]
            work.rewind()
            work.not_before = trio.current_time() + _pause(work.attempts)
            self._queue.append(work)
            return
        del self._under_way[work]
        self._settled(work, work.judge(stored))

    def _settle(self, work: Outgoing, outcome: Outcome, explanation: str, exit_code: int) -> None:
        del self._under_way[work]
        self._settled(work, work.result(outcome, explanation, exit_code=exit_code))

    def _write_seconds(self) -> float:
        """For one buffer to get out: the peer's time to read it, and what the bandwidth takes for all of them."""
        options = self._options
        if options.bandwidth is None:
            return options.timeout
        return options.timeout + options.jobs * SEND_BUFFER_OCTETS / options.bandwidth.octets_per_second

    def _window_item(self) -> tuple[Item, ...]:
        if self._options.window == 1:
            return ()
        return (
            AsynchronousOperationsWindow(
                maximum_number_operations_invoked=self._options.window, maximum_number_operations_performed=1
            ),
        )

    # Telling --------------------------------------------------------------------------------------------------------

    def _report_contexts(self, association: Association, number: int) -> None:
        negotiated = association.negotiated
        self._report(
            AssociationAccepted(
                peer=str(self._peer),
                association=number,
                contexts=len(negotiated.contexts),
                max_pdu_length=negotiated.max_pdu_length,
            )
        )
        assert association.request is not None
        for proposed in association.request.presentation_contexts:
            accepted = negotiated.contexts.get(proposed.context_id)
            self._report(
                ContextResult(
                    association=number,
                    context_id=proposed.context_id,
                    abstract_syntax=proposed.abstract_syntax or "",
                    result=0 if accepted else negotiated.refused[proposed.context_id],
                    transfer_syntax=accepted.transfer_syntax if accepted else None,
                )
            )

    def _report_failure(self, error: AssociationError, number: int, is_made: bool) -> None:
        self.last_failure = error
        peer = str(self._peer)
        if is_made:
            how = "aborted" if isinstance(error, AssociationAbortedError) else "lost"
            self._report(AssociationEnded(peer=peer, association=number, how=how, explanation=str(error)))
        else:
            code = error.exit_code
            self._report(AssociationRejected(peer=peer, association=number, explanation=str(error), exit_code=code))


def _pause(failures: int) -> float:
    return min(FIRST_PAUSE * 2.0 ** (failures - 1), LONGEST_PAUSE)
