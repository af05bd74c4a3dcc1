"""PDUs and messages in a line or a few, in the standard's words. What a peer sent is quoted."""

from collections.abc import Iterator, Mapping

from dulcet.conformance.captures.fields import USER_IDENTITY_TYPES
from dulcet.conformance.captures.messages import MessageRecord
from dulcet.dimse.command_dictionary import MESSAGE_ID, MESSAGE_ID_BEING_RESPONDED_TO, TAGS, describe_tag
from dulcet.dimse.command_set import Value
from dulcet.dimse.status import explain
from dulcet.dimse.uids import name_of
from dulcet.escape import quote
from dulcet.ul.items import PresentationContextAC, PresentationContextRQ, UnknownItem
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AnyPDU
from dulcet.ul.reasons import CONTEXT_RESULTS, explain_abort, explain_rejection

_SHOWN_CONTEXTS = 8
_SHOWN_SYNTAXES = 4
_USER_NAMES = (1, 2)  # PS3.7 Table D.3-14: with a user name that is no secret
_STATUS = TAGS["status"]
_SUBOPERATIONS = ("remaining", "completed", "failed", "warning")


def uid(text: str) -> str:
    """A UID by the standard's name, or as it is."""
    return name_of(text) or quote(text)


def describe_pdu(pdu: AnyPDU, *, is_all: bool = False) -> Iterator[str]:
    """What a PDU other than a P-DATA-TF says; `is_all` contexts or the first ones."""
    match pdu:
        case AAssociateRQ() | AAssociateAC():
            yield from _association(pdu, is_all)
        case AAssociateRJ():
            yield explain_rejection(pdu.result, pdu.source, pdu.reason)
        case AAbort():
            yield explain_abort(pdu.source, pdu.reason)
        case _:
            pass


def _association(pdu: AAssociateRQ | AAssociateAC, is_all: bool) -> Iterator[str]:
    if isinstance(pdu, AAssociateRQ):
        yield f"called '{quote(pdu.called_ae_title)}', calling '{quote(pdu.calling_ae_title)}'"
    contexts = pdu.presentation_contexts
    shown = contexts if is_all or len(contexts) <= _SHOWN_CONTEXTS else contexts[: _SHOWN_CONTEXTS - 1]
    for context in shown:
        yield f"context {context.context_id}: {_context(context)}"
    if len(shown) < len(contexts):
        yield f"... {len(contexts) - len(shown)} contexts more{_counted(pdu)}"
    yield from _user_information(pdu)


def _context(context: PresentationContextRQ | PresentationContextAC) -> str:
    if isinstance(context, PresentationContextRQ):
        syntaxes = [uid(name) for name in context.transfer_syntaxes]
        more = f" and {len(syntaxes) - _SHOWN_SYNTAXES} more" if len(syntaxes) > _SHOWN_SYNTAXES else ""
        return f"{uid(context.abstract_syntax or '')} in {', '.join(syntaxes[:_SHOWN_SYNTAXES])}{more}"
    result = CONTEXT_RESULTS.get(context.result, f"result {context.result}, not defined")
    return f"{result}, {uid(context.transfer_syntax or '')}" if context.result == 0 else result


def _counted(pdu: AAssociateRQ | AAssociateAC) -> str:
    if isinstance(pdu, AAssociateRQ):
        return ""
    accepted = sum(context.result == 0 for context in pdu.presentation_contexts)
    return f"; accepted are {accepted} of {len(pdu.presentation_contexts)}"


def _user_information(pdu: AAssociateRQ | AAssociateAC) -> Iterator[str]:
    length = pdu.maximum_length_received
    if length is not None:
        yield f"ready to receive PDUs of {f'at most {length} octets' if length else 'any length'}"
    window = pdu.asynchronous_operations_window
    if window is not None:
        invoked, performed = window.maximum_number_operations_invoked, window.maximum_number_operations_performed
        yield f"asynchronous operations: invoked {invoked or 'any number'}, performed {performed or 'any number'}"
    for role in pdu.role_selections[:_SHOWN_CONTEXTS]:
        yield f"role selection, {uid(role.sop_class_uid)}: SCU {role.scu_role}, SCP {role.scp_role}"
    if len(pdu.role_selections) > _SHOWN_CONTEXTS:
        yield f"... {len(pdu.role_selections) - _SHOWN_CONTEXTS} role selections more"
    for item in pdu.sop_class_extended_negotiations[:_SHOWN_CONTEXTS]:
        information = item.service_class_application_information
        yield f"extended negotiation, {uid(item.sop_class_uid)}: {information[:16].hex(' ')}"
    for common in pdu.sop_class_common_extended_negotiations[:_SHOWN_CONTEXTS]:
        related = ", ".join(uid(each) for each in common.related_general_sop_class_uids)
        text = f"common extended negotiation, {uid(common.sop_class_uid)}: service {quote(common.service_class_uid)}"
        yield f"{text}, related to {related}" if related else text
    yield from _identity(pdu)
    unknown = [item for item in pdu.user_items if isinstance(item, UnknownItem)]
    for other in unknown[:_SHOWN_CONTEXTS]:
        yield f"sub-item of type {other.item_type:02X}H, not known: skipped ({len(other.octets)} octets)"


def _identity(pdu: AAssociateRQ | AAssociateAC) -> Iterator[str]:
    if isinstance(pdu, AAssociateAC):
        answer = pdu.user_identity
        if answer is not None:
            octets = len(answer.server_response)
            yield f"user identity confirmed{f', {octets} octets of server response' if octets else ''}"
        return
    identity = pdu.user_identity
    if identity is not None:
        kind = USER_IDENTITY_TYPES.get(identity.user_identity_type, f"type {identity.user_identity_type}")
        name = f" '{quote(identity.primary_field)}'" if identity.user_identity_type in _USER_NAMES else ""
        yield f"user identity: {kind}{name}{', response requested' if identity.positive_response_requested else ''}"


def describe_message(message: MessageRecord) -> Iterator[str]:
    """What a command set says: the operation, its object, its status."""
    values = message.values
    number = values.get(MESSAGE_ID, values.get(MESSAGE_ID_BEING_RESPONDED_TO))
    parts = [message.name if number is None else f"{message.name} {_show(number)}"]
    status = values.get(_STATUS)
    if isinstance(status, int):
        parts[0] += f": {status:04X}H {explain(status, message.name.removesuffix('-RSP'))}"
    if not message.name.endswith("-RSP"):  # a response repeats what the request said
        parts += _operands(values)
    yield ", ".join(parts)
    yield from _remarks(values)
    if message.error:
        yield f"nobody can act on it: {message.error}"


def _operands(values: Mapping[int, Value]) -> Iterator[str]:
    for prefix in ("affected", "requested"):
        sop_class = values.get(TAGS[f"{prefix}_sop_class_uid"])
        if isinstance(sop_class, str) and sop_class:
            yield uid(sop_class)
        instance = values.get(TAGS[f"{prefix}_sop_instance_uid"])
        if isinstance(instance, str) and instance:
            yield quote(instance)
    for name, what in (("event_type_id", "event type"), ("action_type_id", "action type")):
        value = values.get(TAGS[name])
        if value is not None:
            yield f"{what} {_show(value)}"
    destination = values.get(TAGS["move_destination"])
    if destination is not None:
        yield f"to '{_show(destination)}'"
    originator = values.get(TAGS["move_originator_application_entity_title"])
    if originator:
        yield f"moved for '{_show(originator)}' {_show(values.get(TAGS['move_originator_message_id'], ''))}".rstrip()


def _show(value: Value) -> str:
    return quote(value if isinstance(value, bytes) else str(value))


def _remarks(values: Mapping[int, Value]) -> Iterator[str]:
    counted = [(what, values.get(TAGS[f"number_of_{what}_suboperations"])) for what in _SUBOPERATIONS]
    text = ", ".join(f"{what} {_show(count)}" for what, count in counted if count is not None)
    if text:
        yield f"sub-operations: {text}"
    comment = values.get(TAGS["error_comment"])
    if comment:
        yield f"error comment: '{_show(comment)}'"
    elements = values.get(TAGS["offending_element"])
    if isinstance(elements, tuple) and elements:
        yield f"offending element: {', '.join(describe_tag(tag) for tag in elements[:_SHOWN_CONTEXTS])}"
    identifiers = values.get(TAGS["attribute_identifier_list"])
    if isinstance(identifiers, tuple):
        shown = ", ".join(f"({tag >> 16:04X},{tag & 0xFFFF:04X})" for tag in identifiers[:_SHOWN_CONTEXTS])
        yield f"attributes: {shown or 'an empty list'}"
