"""Storage Commitment, Push Model: what is asked and what is answered, by either side (PS3.4 Annex J, PS3.7 10.1).

The SCU names instances in an N-ACTION; the SCP answers at once that it has understood, and later, in an
N-EVENT-REPORT on this association or on another, which of them it will keep.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from dulcet.dimse.messages import NActionRQ, NActionRSP, NEventReportRQ, NEventReportRSP
from dulcet.dimse.status import (
    CANNOT_UNDERSTAND,
    CLASS_INSTANCE_CONFLICT,
    INVALID_ATTRIBUTE_VALUE,
    MISSING_ATTRIBUTE,
    MISSING_ATTRIBUTE_VALUE,
    NO_SUCH_ACTION_TYPE,
    NO_SUCH_EVENT_TYPE,
    NO_SUCH_SOP_INSTANCE,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    explain,
)
from dulcet.dimse.uids import (
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
    is_valid_uid,
)
from dulcet.errors import DecodeError, OperationFailedError, PeerProtocolError
from dulcet.services.association import Association, Received
from dulcet.services.data_sets import BytesSource
from dulcet.services.querying.elements import Element, Elements, encode_elements, padded, read_elements
from dulcet.services.querying.identifiers import RETRIEVE_AE_TITLE, value_text
from dulcet.services.querying.query import Refusal
from dulcet.services.value_representations import tag_text
from dulcet.ul.items import RoleSelection

TRANSACTION_UID = 0x00081195
FAILURE_REASON = 0x00081197
FAILED_SOP_SEQUENCE = 0x00081198
REFERENCED_SOP_SEQUENCE = 0x00081199
REFERENCED_SOP_CLASS_UID = 0x00081150
REFERENCED_SOP_INSTANCE_UID = 0x00081155

REQUEST_STORAGE_COMMITMENT = 1  # the Action Type of PS3.4 Table J.3-1
MAX_REFERENCES = 50_000  # in one request

PROVIDER_ROLE = RoleSelection(sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL, scu_role=0, scp_role=1)
"""What an SCP that calls to report proposes (PS3.4 J.3.3.1.2, note)."""

FAILURE_REASONS = {  # PS3.3 C.14.1.1
    PROCESSING_FAILURE: "processing failure",
    NO_SUCH_SOP_INSTANCE: "no such object instance",
    RESOURCE_LIMITATION: "resource limitation",
    SOP_CLASS_NOT_SUPPORTED: "referenced SOP class not supported",
    CLASS_INSTANCE_CONFLICT: "class / instance conflict",
    0x0131: "duplicate transaction UID",
}
"""What Failure Reason (0008,1197) can be."""


class EventType(IntEnum):
    """Event Type IDs of PS3.4 Table J.3-2."""

    SUCCESSFUL = 1
    FAILURES_EXIST = 2


class Reference(NamedTuple):
    """An instance that is to be kept."""

    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """An N-ACTION's Action Information."""

    transaction_uid: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class CommitmentResult:
    """An N-EVENT-REPORT's Event Information."""

    transaction_uid: str
    committed: tuple[Reference, ...]
    failed: tuple[tuple[Reference, int], ...] = ()
    """With the Failure Reason of each."""

    @property
    def event_type(self) -> EventType:
        """Which event it is."""
        return EventType.FAILURES_EXIST if self.failed else EventType.SUCCESSFUL


# SCP ----------------------------------------------------------------------------------------------------------------


def read_request(received: Received) -> CommitmentRequest | Refusal:
    """What an N-ACTION-RQ asks for, or the status that refuses it. Time is linear: run it in a thread."""
    request = received.message
    assert isinstance(request, NActionRQ)
    if request.requested_sop_instance_uid != STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE:
        return Refusal(NO_SUCH_SOP_INSTANCE, f"the instance is {STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE}, no other")
    if request.action_type_id != REQUEST_STORAGE_COMMITMENT:
        return Refusal(NO_SUCH_ACTION_TYPE, f"action type {request.action_type_id} is not defined")
    try:
        elements = _information(received)
    except DecodeError as error:
        return Refusal(CANNOT_UNDERSTAND, f"the action information can't be read: {error}")
    transaction = _uid(elements, TRANSACTION_UID)
    if isinstance(transaction, Refusal):
        return transaction
    items = elements[REFERENCED_SOP_SEQUENCE].items if REFERENCED_SOP_SEQUENCE in elements else None
    if items is None:
        return _refusal(MISSING_ATTRIBUTE, REFERENCED_SOP_SEQUENCE, "is missing")
    if not 0 < len(items) <= MAX_REFERENCES:
        status = RESOURCE_LIMITATION if items else MISSING_ATTRIBUTE_VALUE
        return _refusal(status, REFERENCED_SOP_SEQUENCE, f"has {len(items)} items; 1 to {MAX_REFERENCES} are taken")
    references = []
    for item in items:
        uids = [_uid(item, tag) for tag in (REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID)]
        refusal = next((uid for uid in uids if isinstance(uid, Refusal)), None)
        if refusal is not None:
            return refusal
        references.append(Reference(*map(str, uids)))
    return CommitmentRequest(transaction, tuple(dict.fromkeys(references)))


def _uid(elements: Elements, tag: int) -> str | Refusal:
    if tag not in elements:
        return _refusal(MISSING_ATTRIBUTE, tag, "is missing")
    text = value_text(elements[tag], "").strip(" \0")
    if not text:
        return _refusal(MISSING_ATTRIBUTE_VALUE, tag, "is empty")
    return text if is_valid_uid(text) else _refusal(INVALID_ATTRIBUTE_VALUE, tag, "is no UID")


def _refusal(status: int, tag: int, explanation: str) -> Refusal:
    return Refusal(status, f"{tag_text(tag)} {explanation}")


def _information(received: Received) -> Elements:
    return read_elements(received.octets or b"", received.context.transfer_syntax)


def encode_result(result: CommitmentResult, transfer_syntax_uid: str, retrieve_ae_title: str) -> bytes:
    """The Event Information (PS3.4 Table J.3-2)."""
    elements = {TRANSACTION_UID: _element(b"UI", result.transaction_uid)}
    if result.committed:
        elements[RETRIEVE_AE_TITLE] = _element(b"AE", retrieve_ae_title)
        elements[REFERENCED_SOP_SEQUENCE] = _sequence(_item(one) for one in result.committed)
    if result.failed:
        elements[FAILED_SOP_SEQUENCE] = _sequence(
            {**_item(one), FAILURE_REASON: Element(b"US", reason.to_bytes(2, "little"))}
            for one, reason in result.failed
        )
    return encode_elements(elements, transfer_syntax_uid)


async def report(
    association: Association, context_id: int, result: CommitmentResult, retrieve_ae_title: str
) -> int | None:
    """N-EVENT-REPORT as SCP: the status of the response; None when the peer releases the association instead.

    AssociationError when the association ends. Deadlines are the caller's.
    """
    context = association.contexts[context_id]
    request = NEventReportRQ(
        affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
        message_id=association.next_message_id(),
        has_data_set=True,
        affected_sop_instance_uid=STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
        event_type_id=result.event_type,
    )
    information = encode_result(result, context.transfer_syntax, retrieve_ae_title)
    await association.start(context_id, request, BytesSource(information))
    try:
        received = await association.response_or_release(request.message_id)
    finally:
        association.finish(request.message_id)
    if received is None:
        return None
    if not isinstance(received.message, NEventReportRSP):
        raise PeerProtocolError(f"the peer answered an N-EVENT-REPORT-RQ with {received.message.NAME}")
    return received.message.status


# SCU ----------------------------------------------------------------------------------------------------------------


async def request_commitment(association: Association, context_id: int, request: CommitmentRequest) -> None:
    """N-ACTION as SCU: returns when the peer has taken the request on. OperationFailedError when it refuses it."""
    context = association.contexts[context_id]
    message = NActionRQ(
        requested_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
        message_id=association.next_message_id(),
        has_data_set=True,
        requested_sop_instance_uid=STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
        action_type_id=REQUEST_STORAGE_COMMITMENT,
    )
    elements = {
        TRANSACTION_UID: _element(b"UI", request.transaction_uid),
        REFERENCED_SOP_SEQUENCE: _sequence(map(_item, request.references)),
    }
    information = encode_elements(elements, context.transfer_syntax)
    response = (await association.invoke(context_id, message, BytesSource(information))).message
    if not isinstance(response, NActionRSP):
        raise PeerProtocolError(f"the peer answered an N-ACTION-RQ with {response.NAME}")
    if response.status != SUCCESS:
        raise OperationFailedError(
            f"the peer refused the request: {response.status:04X}H, {explain(response.status, 'N-ACTION')}",
            status=response.status,
            error_comment=response.error_comment or "",
        )


def read_result(received: Received) -> CommitmentResult | int:
    """What an N-EVENT-REPORT-RQ says, or the status that refuses it."""
    request = received.message
    assert isinstance(request, NEventReportRQ)
    if request.affected_sop_instance_uid != STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE:
        return NO_SUCH_SOP_INSTANCE
    if request.event_type_id not in tuple(EventType):
        return NO_SUCH_EVENT_TYPE
    try:
        elements = _information(received)
    except DecodeError:
        return PROCESSING_FAILURE
    transaction = _uid(elements, TRANSACTION_UID)
    if isinstance(transaction, Refusal):
        return transaction.status
    committed = tuple(_reference(item) for item in _items(elements, REFERENCED_SOP_SEQUENCE))
    failed = tuple((_reference(item), _reason(item)) for item in _items(elements, FAILED_SOP_SEQUENCE))
    return CommitmentResult(transaction, committed, failed)


def _items(elements: Elements, tag: int) -> Sequence[Elements]:
    return (elements[tag].items or ()) if tag in elements else ()


def _reference(item: Elements) -> Reference:
    texts = (
        value_text(item[tag], "").strip(" \0") if tag in item else ""
        for tag in (REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID)
    )
    return Reference(*texts)


def _reason(item: Elements) -> int:
    return int.from_bytes(item[FAILURE_REASON].value[:2], "little") if FAILURE_REASON in item else PROCESSING_FAILURE


def _item(reference: Reference) -> Elements:
    return {
        REFERENCED_SOP_CLASS_UID: _element(b"UI", reference.sop_class_uid),
        REFERENCED_SOP_INSTANCE_UID: _element(b"UI", reference.sop_instance_uid),
    }


def _element(vr: bytes, text: str) -> Element:
    return Element(vr, padded(vr, text.encode("ascii")))


def _sequence(items: Iterable[Elements]) -> Element:
    return Element(b"SQ", items=tuple(items))
