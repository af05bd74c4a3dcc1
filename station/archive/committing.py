"""Storage Commitment as SCU: a peer is asked to keep instances, and its report awaited, wherever it comes (PS3.4 J)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar
from uuid import uuid4

import trio

from dulcet.dimse.messages import CEchoRQ, NEventReportRQ
from dulcet.dimse.status import SUCCESS, UNRECOGNIZED_OPERATION
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_COMMITMENT_PUSH_MODEL,
    TRANSFER_SYNTAXES,
    VERIFICATION,
)
from dulcet.errors import DulcetError, OperationFailedError, PeerTimeoutError
from dulcet.services.acceptor import ECHO, Acceptor, Operation
from dulcet.services.admission import Admission
from dulcet.services.association import Association, Received
from dulcet.services.commitment import (
    FAILURE_REASONS,
    CommitmentRequest,
    CommitmentResult,
    Reference,
    read_result,
    request_commitment,
)
from dulcet.services.listener import Listener, bind
from dulcet.services.requestor import Peer, associate
from dulcet.services.trace import Trace
from dulcet.station.events import Event
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH, Transition
from dulcet.ul.items import Item, PresentationContextRQ
from dulcet.ul.negotiation import Supported

CONTEXT = PresentationContextRQ.propose(
    1, STORAGE_COMMITMENT_PUSH_MODEL, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
)
BACKLOG = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitmentAnswer(Event):
    """What the peer says of one instance."""

    EVENT: ClassVar[str] = "commitment.result"
    sop_class_uid: str
    sop_instance_uid: str
    committed: bool
    reason: str | None = None
    """Why not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CommitmentSettings:
    """How to ask, and how to wait."""

    timeout: float = 30.0
    """Seconds for the association and for the answer to the request."""
    wait: float = 60.0
    """Seconds for the report."""
    port: int | None = None
    """Where to listen for a report on another association; None: nowhere, only on the one that asks."""
    host: str = ""
    """The address to listen on; "" is every one."""
    user_items: tuple[Item, ...] = ()
    trace: Trace | None = None
    on_transition: Callable[[Transition], None] | None = None


def new_request(references: Iterable[Reference]) -> CommitmentRequest:
    """A request with a Transaction UID of its own (PS3.5 B.2)."""
    return CommitmentRequest(f"2.25.{uuid4().int}", tuple(dict.fromkeys(references)))


async def commit(peer: Peer, request: CommitmentRequest, settings: CommitmentSettings) -> CommitmentResult:
    """Ask `peer` and wait for its report. PeerTimeoutError when none comes, OperationFailedError when it refuses.

    The association is kept open until the report is there, since many peers report on it; others report on one of
    their own, to the address that they know us by.
    """
    waiting = _Waiting(request)
    async with trio.open_nursery() as nursery:
        if settings.port is not None:
            sockets = bind(settings.host, settings.port, backlog=BACKLOG)
            nursery.start_soon(Listener(sockets, waiting.acceptor(peer.calling_ae_title)).serve)
        failure: DulcetError | None = None
        try:
            await waiting.ask(peer, settings)
        except DulcetError as error:
            failure = error
        if waiting.result is None and settings.port is not None and waiting.is_taken_on:
            with trio.move_on_at(waiting.deadline):
                await waiting.reported.wait()
            failure = None
        nursery.cancel_scope.cancel()
    if failure is not None and waiting.result is None:
        raise failure
    if waiting.result is None:
        where = "" if settings.port is not None else "; some peers report on another association only, see --port"
        raise PeerTimeoutError(f"{peer} took the request on and did not report within {settings.wait:g} s{where}")
    return waiting.result


class _Waiting:
    """One request whose report is awaited."""

    def __init__(self, request: CommitmentRequest) -> None:
        self._request = request
        self.result: CommitmentResult | None = None
        self.reported = trio.Event()
        self.is_taken_on = False
        self.deadline = 0.0
        self._reading = trio.CancelScope()

    async def ask(self, peer: Peer, settings: CommitmentSettings) -> None:
        """Ask, and read the association for as long as it lasts, up to the report."""
        refusal: OperationFailedError | None = None
        with trio.CancelScope(deadline=trio.current_time() + settings.timeout) as patience:
            async with associate(
                peer,
                (CONTEXT,),
                user_items=settings.user_items,
                trace=settings.trace,
                on_transition=settings.on_transition,
            ) as association:
                try:
                    await request_commitment(association, 1, self._request)
                except OperationFailedError as error:
                    refusal = error
                else:
                    self.is_taken_on = True
                    patience.deadline = float("inf")
                    await self._await_report(association, trio.current_time() + settings.wait)
                    patience.deadline = trio.current_time() + settings.timeout
        if refusal is not None:
            raise refusal
        if patience.cancelled_caught and not self.is_taken_on:
            raise PeerTimeoutError(f"{peer} did not answer within {settings.timeout:g} s")

    async def _await_report(self, association: Association, deadline: float) -> None:
        self.deadline = self._reading.deadline = deadline
        with self._reading:
            while self.result is None and (received := await association.next_request()) is not None:
                await self._perform(association, received)

    def acceptor(self, ae_title: str) -> Acceptor:
        """Takes the report on another association; whose it is its Transaction UID says."""
        syntaxes = frozenset(TRANSFER_SYNTAXES)
        return Acceptor(
            admission=Admission(ae_title=ae_title, allow_any=True),
            supported=Supported(
                transfer_syntaxes={
                    VERIFICATION: syntaxes,
                    STORAGE_COMMITMENT_PUSH_MODEL: frozenset(CONTEXT.transfer_syntaxes),
                },
                max_pdu_length=DEFAULT_MAX_PDU_LENGTH,
                requestor_may_be_scp={STORAGE_COMMITMENT_PUSH_MODEL},
            ),
            operations={
                CEchoRQ: ECHO,
                NEventReportRQ: Operation(
                    perform=self._perform, sop_classes=frozenset({STORAGE_COMMITMENT_PUSH_MODEL})
                ),
            },
        )

    async def _perform(self, association: Association, received: Received) -> None:
        """Answer a report; one of another transaction is heard and forgotten."""
        message = received.message
        if not isinstance(message, NEventReportRQ):
            await association.send(received.context.context_id, message.response(status=UNRECOGNIZED_OPERATION))
            return
        found = read_result(received)
        status = found if isinstance(found, int) else SUCCESS
        await association.send(received.context.context_id, message.response(status=status))
        if not isinstance(found, int) and found.transaction_uid == self._request.transaction_uid:
            self.result = found
            self.reported.set()
            self._reading.cancel()


def answers(request: CommitmentRequest, result: CommitmentResult) -> list[CommitmentAnswer]:
    """For each instance of the request, in its order, what the report says; what it leaves out is not committed."""
    committed = {reference.sop_instance_uid for reference in result.committed}
    failed = {reference.sop_instance_uid: reason for reference, reason in result.failed}
    return [
        CommitmentAnswer(
            sop_class_uid=reference.sop_class_uid,
            sop_instance_uid=reference.sop_instance_uid,
            committed=reference.sop_instance_uid in committed and reference.sop_instance_uid not in failed,
            reason=_reason(reference.sop_instance_uid, committed, failed),
        )
        for reference in request.references
    ]


def _reason(uid: str, committed: set[str], failed: dict[str, int]) -> str | None:
    if uid in failed:
        code = failed[uid]
        return f"{code:04X}H: {FAILURE_REASONS.get(code, 'not a reason that the standard defines')}"
    return None if uid in committed else "the report does not mention it"
