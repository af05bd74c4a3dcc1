"""PDUs that can be decoded and are invalid all the same: what Evt19 means beyond the layout (PS3.8 9.2.2)."""

from collections.abc import Iterator

from dulcet.errors import DecodeError
from dulcet.ul.framing import MIN_PDU_LENGTH
from dulcet.ul.items import APPLICATION_CONTEXT_NAME, PresentationContextAC, PresentationContextRQ, UserInformation
from dulcet.ul.pdu import PROTOCOL_VERSION, AAssociateAC, AAssociateRQ, AnyPDU

MAX_PRESENTATION_CONTEXTS = 128  # the odd numbers from 1 to 255
MAX_TRANSFER_SYNTAXES = 128  # for each context; there are not as many in use
MIN_MAXIMUM_LENGTH = MIN_PDU_LENGTH
MAX_USER_ITEMS = 512  # three for each of 128 SOP classes, and some
MAX_ITEMS = 4096  # others, sub-items included: 128 contexts of 30 transfer syntaxes have fewer
_VARIABLE_ITEMS_AT = 74  # PS3.8 Tables 9-11 and 9-17: octet 75
_CONTEXT_TYPES = (PresentationContextRQ.ITEM_TYPE, PresentationContextAC.ITEM_TYPE)


def why_too_many(octets: memoryview) -> DecodeError | None:
    """None for an A-ASSOCIATE PDU that is worth decoding: counting its items takes a hundredth of the time.

    What does not add up is left for the decoder to say.
    """
    contexts = user_items = others = 0
    for start, end, item_type in _items(octets, _VARIABLE_ITEMS_AT, len(octets)):
        if item_type in _CONTEXT_TYPES:
            contexts += 1
            others += sum(1 for _ in _items(octets, start + 4, end))
        elif item_type == UserInformation.ITEM_TYPE:
            user_items += 1 + sum(1 for _ in _items(octets, start, end))
        else:
            others += 1
    if contexts > MAX_PRESENTATION_CONTEXTS:
        return _too_many_contexts(contexts, "9-13" if octets[0] == AAssociateRQ.PDU_TYPE else "9-18")
    if user_items > MAX_USER_ITEMS or others > MAX_ITEMS:
        return _error("9-11", "items", f"{contexts + user_items + others} items and sub-items are more than are taken")
    return None


def _items(octets: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Where the body of each item begins and ends, and its type; as far as the lengths make sense."""
    while start + 4 <= end:
        body = start + 4
        stop = body + (octets[start + 2] << 8 | octets[start + 3])
        yield body, min(stop, end), octets[start]
        start = stop


def why_invalid(pdu: AnyPDU, request: AAssociateRQ | None) -> DecodeError | None:
    """None for a PDU that may be acted on. `request` is our own A-ASSOCIATE-RQ when its answer is awaited."""
    if isinstance(pdu, AAssociateRQ):
        return _invalid_request(pdu)
    if isinstance(pdu, AAssociateAC) and request is not None:
        return _invalid_answer(pdu, request)
    return None


def _invalid_request(pdu: AAssociateRQ) -> DecodeError | None:
    if not pdu.protocol_version & PROTOCOL_VERSION:
        return None  # AE-6 rejects it, whatever another version has in it
    contexts = pdu.presentation_contexts
    wrong = _wrong_context_ids(contexts, "9-13")
    if wrong is not None:
        return wrong
    for context in contexts:
        count = len(context.transfer_syntaxes)
        if count > MAX_TRANSFER_SYNTAXES:
            explanation = f"{count} in context {context.context_id}, at most {MAX_TRANSFER_SYNTAXES} are taken"
            return _error("9-13", "transfer_syntaxes", explanation)
    return None


def _invalid_answer(pdu: AAssociateAC, request: AAssociateRQ) -> DecodeError | None:
    wrong = _wrong_context_ids(pdu.presentation_contexts, "9-18")
    if wrong is not None:
        return wrong
    if pdu.application_context_name not in (APPLICATION_CONTEXT_NAME, None):  # PS3.8 7.1.1.2: we know no other
        return _error("9-12", "name", "the application context returned is not DICOM's")
    proposed = {context.context_id: context for context in request.presentation_contexts}
    for answer in pdu.presentation_contexts:
        context = proposed.get(answer.context_id)
        if context is None:
            return _error("9-18", "context_id", f"{answer.context_id} was not proposed")
        if answer.result == 0 and answer.transfer_syntax not in context.transfer_syntaxes:
            explanation = f"context {answer.context_id} accepted with a transfer syntax that was not offered"
            return _error("9-18", "transfer_syntax", explanation)
    length = pdu.maximum_length_received
    if length is not None and 0 < length < MIN_MAXIMUM_LENGTH:
        return _error("D.1-1", "maximum_length_received", f"{length} octets can carry nothing")
    return None


def _wrong_context_ids(
    contexts: tuple[PresentationContextRQ, ...] | tuple[PresentationContextAC, ...], table: str
) -> DecodeError | None:
    if len(contexts) > MAX_PRESENTATION_CONTEXTS:
        return _too_many_contexts(len(contexts), table)
    seen: set[int] = set()
    for context in contexts:
        if context.context_id % 2 == 0:
            return _error(table, "context_id", f"{context.context_id} is not odd")
        if context.context_id in seen:
            return _error(table, "context_id", f"{context.context_id} is used twice")
        seen.add(context.context_id)
    return None


def _too_many_contexts(count: int, table: str) -> DecodeError:
    return _error(table, "context_id", f"{count} contexts, at most {MAX_PRESENTATION_CONTEXTS} are possible")


def _error(table: str, field: str, explanation: str) -> DecodeError:
    return DecodeError(explanation, table=f"Table {table}", field=field, abort_reason=6)
