"""The C-STORE sub-operations of a C-MOVE or C-GET, counted (PS3.4 C.4.2.1.6 to C.4.2.1.9, C.4.3.1.5 to C.4.3.1.8).

Each ends as completed, with a warning or failed, whatever happens: a destination that can't be reached, refuses or goes
away fails what was left for it, and nobody waits for longer than the limits say.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import trio

from dulcet.dimse.assembly import fragment_octets
from dulcet.dimse.messages import CGetRQ, CMoveRQ
from dulcet.dimse.status import (
    CANCEL,
    PENDING,
    SUBOPERATIONS_COMPLETE_WITH_FAILURES,
    SUCCESS,
    UNABLE_TO_PERFORM_SUBOPERATIONS,
    Category,
    categorize,
)
from dulcet.dimse.transfer_syntaxes import TRANSFER_SYNTAXES
from dulcet.errors import (
    AssociationError,
    ConversionError,
    NoInputError,
    PeerTimeoutError,
    SourceError,
    StorageError,
)
from dulcet.services.association import Association, Received
from dulcet.services.data_sets import SEND_BUFFER_OCTETS, BytesSource
from dulcet.services.object_to_send import ObjectToSend, PreparedObject
from dulcet.services.part10 import Part10Header
from dulcet.services.querying.elements import Element, encode_elements, padded
from dulcet.services.querying.identifiers import FAILED_SOP_INSTANCE_UID_LIST
from dulcet.services.querying.responding import Performed
from dulcet.services.requestor import Peer
from dulcet.services.retrieving.failure_reasons import Outcome, Reasons
from dulcet.services.retrieving.operation_watch import Watch
from dulcet.services.store import PendingStore, start_store

MAX_UID_LIST_OCTETS = 0xFFFE  # what the length of a UI counts in Explicit VR (PS3.5 7.1.2)


class Choice(Protocol):
    """How an object goes out."""

    @property
    def context_id(self) -> int:
        """On which presentation context."""

    @property
    def convert_to(self) -> str | None:
        """In which other transfer syntax; None: as it is."""


class Choose(Protocol):
    """Chooses for an object; a sentence when there is no way."""

    def __call__(self, header: Part10Header, /) -> Choice | str:
        """The answer depends on SOP class and transfer syntax only."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrieveLimits:
    """What one C-MOVE or C-GET may cost, and how long a destination may take."""

    suboperations: int = 65_535
    """More objects are refused as a whole (A702H); the counters are 16-bit numbers."""
    association_seconds: float = 30.0
    """For a destination to accept the association, and to release it."""
    response_seconds: float = 60.0
    """For each C-STORE-RSP, and for a destination that doesn't read."""
    cancel_seconds: float = 5.0
    """For the sub-operation under way to end after a cancel."""
    pending_seconds: float = 0.01
    """Between two pending responses: a progress display needs no more, and each one costs its reader a turn."""


class SubOperations:
    """Counts the sub-operations of one request and tells its requestor after each."""

    def __init__(
        self,
        association: Association,
        received: Received,
        objects: Sequence[ObjectToSend],
        limits: RetrieveLimits,
        peer: Peer | None = None,
    ) -> None:
        """`peer` is the destination; None: who asked (C-GET)."""
        request = received.message
        assert isinstance(request, CMoveRQ | CGetRQ)
        self.request: CMoveRQ | CGetRQ = request
        self.reasons = Reasons(request.move_destination if isinstance(request, CMoveRQ) else "the requestor", peer)
        """Why some failed."""
        self._association = association
        self._context = received.context
        self._total = self._told = len(objects)
        self._limits = limits
        self._told_at = -math.inf
        self.completed = self.warning = 0
        self.failed: list[str] = []
        """The SOP Instance UIDs of those that failed."""

    @property
    def remaining(self) -> int:
        """Those that have not ended."""
        return self._total - self.completed - self.warning - len(self.failed)

    def is_told_on(self, association: Association) -> bool:
        """Whether the requestor hears of the sub-operations on this association (C-GET)."""
        return association is self._association

    @property
    def counters(self) -> dict[str, int]:
        """What has become of how many."""
        return {"completed": self.completed, "failed": len(self.failed), "warnings": self.warning}

    def count(self, header: Part10Header, outcome: Outcome) -> None:
        """One has ended with this status, or for this reason without one."""
        category = categorize(outcome, "C-STORE") if isinstance(outcome, int) else Category.FAILURE
        if category is Category.SUCCESS:
            self.completed += 1
        elif category is Category.WARNING:
            self.warning += 1
        else:
            self.failed.append(header.sop_instance_uid)
            self.reasons.add(outcome)

    async def tell(self) -> None:
        """A pending response with the counters, if there is news and it is time; nothing when the final one is due.

        PS3.4 C.4.2.3.1 leaves pending responses to us; what they say is exact whenever they come.
        """
        remaining, now = self.remaining, trio.current_time()
        if 0 < remaining < self._told and now >= self._told_at + self._limits.pending_seconds:
            self._told, self._told_at = remaining, now
            await self._send(PENDING, None, number_of_remaining_suboperations=remaining)

    async def end(self, is_cancelled: bool) -> None:
        """The final response (PS3.4 C.4.2.3.1); what a cancel left is counted as remaining."""
        status = self.final_status(is_cancelled)
        if status == CANCEL:
            await self._send(CANCEL, None, number_of_remaining_suboperations=self.remaining)
        elif status == SUCCESS:
            await self._send(status, None)
        else:
            comment = self.reasons.comment(self._total)
            await self._send(status, comment or f"{self.warning} of {self._total} stored with a warning")

    def final_status(self, is_cancelled: bool) -> int:
        """What the request has come to."""
        if is_cancelled and self.remaining:
            return CANCEL
        if not self.failed and not self.warning:
            return SUCCESS
        all_failed = len(self.failed) == self._total
        return UNABLE_TO_PERFORM_SUBOPERATIONS if all_failed else SUBOPERATIONS_COMPLETE_WITH_FAILURES

    def performed(self, is_cancelled: bool) -> Performed:
        """What the request has come to, for who observes it."""
        return Performed(self.final_status(is_cancelled), self.counters, self.reasons.text)

    async def _send(self, status: int, comment: str | None, **counters: int) -> None:
        identifier = self._failed_list() if self.failed and status != PENDING else None
        response = self.request.response(
            status=status,
            error_comment=comment,
            has_data_set=identifier is not None,
            number_of_completed_suboperations=self.completed,
            number_of_failed_suboperations=len(self.failed),
            number_of_warning_suboperations=self.warning,
            **counters,
        )
        source = None if identifier is None else BytesSource(identifier)
        await self._association.send(self._context.context_id, response, source)

    def _failed_list(self) -> bytes:
        """Failed SOP Instance UID List (0008,0058), as many as its length can count."""
        value = "\\".join(self.failed).encode("ascii")
        is_explicit = TRANSFER_SYNTAXES[self._context.transfer_syntax].explicit_vr
        if is_explicit and len(value) > MAX_UID_LIST_OCTETS:
            value = value[: value.rindex(b"\\", 0, MAX_UID_LIST_OCTETS + 1)]
        element = Element(b"UI", padded(b"UI", value))
        return encode_elements({FAILED_SOP_INSTANCE_UID_LIST: element}, self._context.transfer_syntax)


class Transfer:
    """Sends objects over one association, one after the other.

    While the receiver is busy with one, the next is read, and who asked is told of the one before; who asked and
    receives on one association is told before the next begins.
    """

    def __init__(
        self, association: Association, choose: Choose, counted: SubOperations, watch: Watch, limits: RetrieveLimits
    ) -> None:
        self._association = association
        self._is_shared = counted.is_told_on(association)
        self._choose = choose
        self._counted = counted
        self._watch = watch
        self._limits = limits
        self._choices: dict[tuple[str, str], Choice | str] = {}
        self._buffer = memoryview(bytearray(SEND_BUFFER_OCTETS))
        self._originator: str | None = None
        self._originator_message_id: int | None = None

    def on_behalf_of(self, ae_title: str, message_id: int) -> None:
        """Name the AE that asked for it, in each C-STORE-RQ (PS3.7 9.1.1.1.6)."""
        self._originator, self._originator_message_id = ae_title, message_id

    async def send(self, objects: list[ObjectToSend]) -> None:
        """Send all until the request is cancelled. `objects` holds at the end what was not begun.

        AssociationError when the association ends: what was under way is counted as failed then.
        """
        objects.reverse()
        upcoming = await self._next(objects)
        try:
            while upcoming is not None and not self._watch.should_stop:
                current, upcoming = upcoming, None
                outcome: Outcome = None
                if self._is_shared:
                    await self._counted.tell()
                try:
                    pending = await self._start(current)
                    await self._counted.tell()
                    upcoming = await self._next(objects)
                    outcome = await self._finish(pending)
                except (AssociationError, SourceError) as error:
                    outcome = error
                    raise
                finally:
                    self._counted.count(current.object.header, outcome)
                    current.prepared.close()
            await self._counted.tell()
        finally:
            if upcoming is not None:
                upcoming.prepared.close()
                objects.append(upcoming.object)
            objects.reverse()

    async def _next(self, objects: list[ObjectToSend]) -> "_Upcoming | None":
        """The next object, opened and its beginning read; those that have no way out are counted as failed."""
        while objects and not self._watch.should_stop:
            found = objects.pop()
            header = found.header
            kind = header.sop_class_uid, header.transfer_syntax_uid
            choice = self._choices.get(kind)
            if choice is None:
                choice = self._choices[kind] = self._choose(header)
            why: Outcome = None
            if isinstance(choice, str):
                why = choice
            else:
                octets = fragment_octets(self._association.negotiated.max_pdu_length)
                try:
                    prepared = await PreparedObject.prepare(found, choice.convert_to, self._buffer, octets)
                    return _Upcoming(found, choice.context_id, prepared)
                except (NoInputError, SourceError, ConversionError, StorageError) as error:
                    why = error
            self._counted.count(header, why)
            await self._counted.tell()
        return None

    async def _start(self, current: "_Upcoming") -> PendingStore:
        header = current.object.header
        return await start_store(
            self._association,
            current.context_id,
            sop_class_uid=header.sop_class_uid,
            sop_instance_uid=header.sop_instance_uid,
            data_set=current.prepared.source,
            priority=self._counted.request.priority,
            move_originator_ae_title=self._originator,
            move_originator_message_id=self._originator_message_id,
        )

    async def _finish(self, pending: PendingStore) -> int:
        with trio.move_on_after(self._limits.response_seconds):
            return (await pending.response()).status
        raise PeerTimeoutError(f"no response within {self._limits.response_seconds:g} s")


class _Upcoming(NamedTuple):
    """What goes out next."""

    object: ObjectToSend
    context_id: int
    prepared: PreparedObject
