"""The A-ASSOCIATE PDUs in the names of the sidecars."""

from typing import Any

from dulcet.ul.items import PresentationContextAC, PresentationContextRQ, UnknownItem
from dulcet.ul.pdu import AAssociateAC, AAssociateRQ


def association(pdu: AAssociateRQ | AAssociateAC) -> dict[str, Any]:
    """The fields of an A-ASSOCIATE-RQ or A-ASSOCIATE-AC."""
    called, calling = pdu.called_ae_title, pdu.calling_ae_title
    found: dict[str, Any] = {
        "protocol_version": pdu.protocol_version,
        "called_ae": called.octets.decode("latin-1"),
        "calling_ae": calling.octets.decode("latin-1"),
        "called_ae_stripped": str(called),
        "calling_ae_stripped": str(calling),
        "application_context": pdu.application_context_name,
        "contexts": [_context(context) for context in pdu.presentation_contexts],
        "max_pdu_length": pdu.maximum_length_received,
        "implementation_class_uid": pdu.implementation_class_uid,
        "implementation_version_name": pdu.implementation_version_name,
    }
    found = {name: value for name, value in found.items() if value is not None}
    return found | _negotiation(pdu)


def _context(context: PresentationContextRQ | PresentationContextAC) -> dict[str, Any]:
    if isinstance(context, PresentationContextRQ):
        return {
            "id": context.context_id,
            "abstract_syntax": context.abstract_syntax,
            "transfer_syntaxes": list(context.transfer_syntaxes),
        }
    syntax = context.transfer_syntax
    return {
        "id": context.context_id,
        "result": context.result,
        "transfer_syntaxes": [] if syntax is None else [syntax],
    }


def _negotiation(pdu: AAssociateRQ | AAssociateAC) -> dict[str, Any]:
    found: dict[str, Any] = {}
    window = pdu.asynchronous_operations_window
    if window is not None:
        found["async_ops_window"] = {
            "invoked": window.maximum_number_operations_invoked,
            "performed": window.maximum_number_operations_performed,
        }
    if pdu.role_selections:
        found["role_selection"] = [
            {"sop_class_uid": role.sop_class_uid, "scu_role": role.scu_role, "scp_role": role.scp_role}
            for role in pdu.role_selections
        ]
    if pdu.sop_class_extended_negotiations:
        found["sop_class_extended"] = [
            {
                "sop_class_uid": item.sop_class_uid,
                "service_class_application_information": item.service_class_application_information.hex(),
            }
            for item in pdu.sop_class_extended_negotiations
        ]
    if pdu.sop_class_common_extended_negotiations:
        found["sop_class_common_extended"] = [
            {
                "sop_class_uid": item.sop_class_uid,
                "service_class_uid": item.service_class_uid,
                "related_general_sop_class_uids": list(item.related_general_sop_class_uids),
            }
            for item in pdu.sop_class_common_extended_negotiations
        ]
    return found | _identity(pdu) | _unknown(pdu)


def _identity(pdu: AAssociateRQ | AAssociateAC) -> dict[str, Any]:
    if isinstance(pdu, AAssociateAC):
        answer = pdu.user_identity
        return {} if answer is None else {"user_identity_response": answer.server_response.hex()}
    identity = pdu.user_identity
    if identity is None:
        return {}
    return {
        "user_identity": {
            "type": identity.user_identity_type,
            "positive_response_requested": identity.positive_response_requested,
            "primary_field": identity.primary_field.hex(),
            "secondary_field": identity.secondary_field.hex(),
        }
    }


def _unknown(pdu: AAssociateRQ | AAssociateAC) -> dict[str, Any]:
    items = [item for item in pdu.user_items if isinstance(item, UnknownItem)]
    if not items:
        return {}
    return {"unknown_user_items": [{"type": item.item_type, "data": item.octets.hex()} for item in items]}
