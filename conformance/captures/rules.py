"""What a PDU or message does wrong that its layout can't show: what was negotiated, what was asked, what codes mean.

Nothing here stops a transcript: each finding is a deviation of the one who sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dulcet.conformance.captures.streams import Direction
from dulcet.dimse.command_dictionary import (
    COMMAND_FIELD,
    MESSAGE_ID,
    MESSAGE_ID_BEING_RESPONDED_TO,
    TAGS,
)
from dulcet.dimse.message import RESPONSE_BIT
from dulcet.dimse.messages import CCancelRQ
from dulcet.dimse.status import Category, categorize
from dulcet.ul.deviation import Deviation
from dulcet.ul.items import APPLICATION_CONTEXT_NAME
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import PROTOCOL_VERSION, AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AnyPDU
from dulcet.ul.reasons import ABORT_REASONS, REJECT_REASONS, REJECT_RESULTS
from dulcet.ul.validity import why_invalid

_STATUS = TAGS["status"]
_MAX_OUTSTANDING = 65536  # message IDs have 16 bits


class Rules:
    """The rules of one association, fed with what is seen in its order."""

    def __init__(self) -> None:
        self._request: AAssociateRQ | None = None
        self._requestor = Direction.TO_SERVER
        self._accepted: frozenset[int] | None = None
        self._limits: dict[Direction, int] = {}
        """By direction: the PDU length that the receiver is ready for; 0 is any."""
        self._outstanding: dict[tuple[Direction, int], int] = {}
        """(direction of the request, message ID) -> its Command Field."""
        self._is_complete = True

    def forget(self) -> None:
        """Packets are missing: a response may belong to a request that was not captured."""
        self._is_complete = False

    def pdu(self, direction: Direction, pdu: AnyPDU) -> Iterator[Deviation]:
        """An association PDU, A-ASSOCIATE-RJ or A-ABORT."""
        match pdu:
            case AAssociateRQ():
                yield from self._request_items(direction, pdu)
            case AAssociateAC():
                yield from self._answer(direction, pdu)
            case AAssociateRJ():
                yield from _rejection(pdu)
            case AAbort():
                yield from _abort(pdu)
            case _:
                pass

    def _request_items(self, direction: Direction, pdu: AAssociateRQ) -> Iterator[Deviation]:
        self._request = pdu
        self._requestor = direction
        if pdu.maximum_length_received is not None:
            self._limits[direction.opposite] = pdu.maximum_length_received
        yield from _invalid(pdu, None)
        if not pdu.presentation_contexts:
            yield _wrong("PS3.8 Table 9-11", "presentation_contexts", "none proposed; one or more are to be")
        yield from _user_items(pdu)

    def _answer(self, direction: Direction, pdu: AAssociateAC) -> Iterator[Deviation]:
        if pdu.maximum_length_received is not None:
            self._limits[direction.opposite] = pdu.maximum_length_received
        self._accepted = frozenset(each.context_id for each in pdu.presentation_contexts if each.result == 0)
        yield from _invalid(pdu, self._request)
        if self._request is not None:
            answered = {each.context_id for each in pdu.presentation_contexts}
            left = [each.context_id for each in self._request.presentation_contexts if each.context_id not in answered]
            if left:
                explanation = f"no answer to context {', '.join(map(str, left[:8]))}{' and more' if left[8:] else ''}"
                yield _wrong("PS3.8 Table 9-17", "presentation_contexts", explanation)
        yield from _user_items(pdu)

    def data(
        self, direction: Direction, pdu_length: int, values: Sequence[PresentationDataValue]
    ) -> Iterator[Deviation]:
        """A P-DATA-TF."""
        limit = self._limits.get(direction, 0)
        if limit and pdu_length > limit:
            explanation = f"{pdu_length} octets, the peer is ready to receive {limit}"
            yield _wrong("PS3.8 D.1", "pdu_length", explanation)
        if self._accepted is None:
            return
        for context_id in dict.fromkeys(value.context_id for value in values):
            if context_id not in self._accepted:
                yield _wrong("PS3.8 Table 9-23", "context_id", f"context {context_id} was not accepted")

    def message(self, direction: Direction, values: Mapping[int, Any]) -> Iterator[Deviation]:
        """A command set: a Message ID in use, a response to nothing."""
        command_field = values.get(COMMAND_FIELD)
        if not isinstance(command_field, int) or command_field == CCancelRQ.COMMAND_FIELD:
            return
        if command_field & RESPONSE_BIT:
            yield from self._response(direction, command_field, values)
            return
        message_id = values.get(MESSAGE_ID)
        if isinstance(message_id, int):
            if (direction, message_id) in self._outstanding:
                explanation = f"{message_id} is that of an operation that has no final response yet"
                yield _wrong("PS3.7 9.3", "MessageID (0000,0110)", explanation)
            self._outstanding[direction, message_id] = command_field

    def _response(self, direction: Direction, command_field: int, values: Mapping[int, Any]) -> Iterator[Deviation]:
        message_id = values.get(MESSAGE_ID_BEING_RESPONDED_TO)
        if not isinstance(message_id, int):
            return
        key = (direction.opposite, message_id)
        asked = self._outstanding.get(key)
        what = "MessageIDBeingRespondedTo (0000,0120)"
        if asked is None:
            if self._is_complete:
                yield _wrong("PS3.7 9.3", what, f"no operation {message_id} is waiting for a response")
        elif asked | RESPONSE_BIT != command_field:
            yield _wrong("PS3.7 9.3", what, f"{message_id} is that of another operation ({asked:04X}H)")
        status = values.get(_STATUS)
        if not isinstance(status, int) or categorize(status) is not Category.PENDING:
            self._outstanding.pop(key, None)


def _wrong(clause: str, field: str, explanation: str) -> Deviation:
    return Deviation(clause=clause, field=field, explanation=explanation)


def _invalid(pdu: AnyPDU, request: AAssociateRQ | None) -> Iterator[Deviation]:
    error = why_invalid(pdu, request)
    if error is not None:
        yield _wrong(f"PS3.8 {error.table}", error.field, error.explanation)


def _user_items(pdu: AAssociateRQ | AAssociateAC) -> Iterator[Deviation]:
    table = f"PS3.8 Table {pdu.LAYOUT.table}"
    if not pdu.protocol_version & PROTOCOL_VERSION:
        yield _wrong(table, "protocol_version", f"bit 0 of {pdu.protocol_version:04X}H is not set")
    name = pdu.application_context_name
    if name is None:
        yield _wrong(table, "application_context", "the Application Context Item is missing")
    elif name != APPLICATION_CONTEXT_NAME:
        yield _wrong("PS3.7 A.2.1", "application_context", f"{APPLICATION_CONTEXT_NAME} is the only one DICOM defines")
    if pdu.user_information is None:
        yield _wrong(table, "user_information", "the User Information Item is missing")
        return
    if pdu.maximum_length_received is None:
        yield _wrong("PS3.8 D.1", "maximum_length_received", "the Maximum Length Sub-Item is missing")
    if pdu.implementation_class_uid is None:
        yield _wrong("PS3.7 D.3.3.2", "implementation_class_uid", "the Implementation Class UID Sub-Item is missing")


def _rejection(pdu: AAssociateRJ) -> Iterator[Deviation]:
    if pdu.result not in REJECT_RESULTS:
        yield _wrong("PS3.8 Table 9-21", "result", f"{pdu.result} is not defined")
    if (pdu.source, pdu.reason) not in REJECT_REASONS:
        yield _wrong("PS3.8 Table 9-21", "reason", f"{pdu.reason} of source {pdu.source} is not defined")


def _abort(pdu: AAbort) -> Iterator[Deviation]:
    if pdu.source not in (0, 2):
        yield _wrong("PS3.8 Table 9-26", "source", f"{pdu.source} is reserved")
    if pdu.source == 0 and pdu.reason:
        yield _wrong("PS3.8 Table 9-26", "reason", f"{pdu.reason}, is sent as 0 when the source is the service-user")
    if pdu.source == 2 and (pdu.reason not in ABORT_REASONS or pdu.reason == 3):
        yield _wrong("PS3.8 Table 9-26", "reason", f"{pdu.reason} is not defined")
