"""PDUs in words, for the reports: the fields of each, and of the command set in it."""

from dulcet.conformance.kit.command_set import command_name, parse
from dulcet.dimse.command_dictionary import COMMAND_ELEMENTS, describe_tag
from dulcet.dimse.uids import name_of
from dulcet.errors import DecodeError
from dulcet.escape import quote, quoted
from dulcet.ul.items import (
    AsynchronousOperationsWindow,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UnknownItem,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
)
from dulcet.ul.pdu import PDU_TYPES, AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, PDataTF, decode_pdu
from dulcet.ul.reasons import CONTEXT_RESULTS, explain_abort, explain_rejection

MAX_LINES = 60


def name_of_pdu(octets: bytes) -> str:
    """`P-DATA-TF`, or what the first octet is."""
    if not octets:
        return "nothing"
    known = PDU_TYPES.get(octets[0])
    return f"type {octets[0]:02X}H" if known is None else known.NAME


def describe(octets: bytes) -> list[str]:
    """The fields of one PDU, a line each; what can't be decoded says why."""
    if len(octets) < 6:
        return [f"{len(octets)} octets: less than a PDU header"]
    lines = [f"PDU length {int.from_bytes(octets[2:6], 'big')}"]
    try:
        decoded = decode_pdu(octets)
    except DecodeError as error:
        return [*lines, quote(str(error), 200)]
    match decoded.pdu:
        case AAssociateRQ() | AAssociateAC() as pdu:
            lines += _association(pdu)
        case AAssociateRJ() as pdu:
            lines.append(explain_rejection(pdu.result, pdu.source, pdu.reason))
        case AAbort() as pdu:
            lines.append(explain_abort(pdu.source, pdu.reason))
        case PDataTF() as pdu:
            lines += _values(pdu)
        case _:
            pass
    lines += [f"! {deviation.clause}: {deviation.explanation}" for deviation in decoded.deviations]
    return lines if len(lines) <= MAX_LINES else [*lines[:MAX_LINES], f"and {len(lines) - MAX_LINES} more"]


def _uid(uid: str | None) -> str:
    if uid is None:
        return "none"
    known = name_of(uid)
    return f"{quote(uid)} ({known})" if known else quote(uid)


def _association(pdu: AAssociateRQ | AAssociateAC) -> list[str]:
    lines = [
        f"protocol version {pdu.protocol_version:04X}H",
        f"called AE title {quoted(pdu.called_ae_title.octets)}",
        f"calling AE title {quoted(pdu.calling_ae_title.octets)}",
        f"application context {_uid(pdu.application_context_name)}",
    ]
    for item in pdu.items:
        if isinstance(item, PresentationContextRQ):
            syntaxes = ", ".join(_uid(name) for name in item.transfer_syntaxes[:4])
            lines.append(f"context {item.context_id}: {_uid(item.abstract_syntax)} in {syntaxes}")
        elif isinstance(item, PresentationContextAC):
            result = CONTEXT_RESULTS.get(item.result, f"result {item.result}")
            lines.append(f"context {item.context_id}: {result}, {_uid(item.transfer_syntax)}")
        elif isinstance(item, UserInformation):
            lines += [_sub_item(sub_item) for sub_item in item.sub_items]
        elif isinstance(item, UnknownItem):
            lines.append(f"unknown item {item.item_type:02X}H, {len(item.octets)} octets")
    return lines


def _sub_item(item: object) -> str:
    match item:
        case MaximumLength():
            return f"maximum length {item.maximum_length_received}"
        case ImplementationClassUID():
            return f"implementation class {quote(item.uid)}"
        case ImplementationVersionName():
            return f"implementation version {quoted(item.name)}"
        case AsynchronousOperationsWindow():
            invoked, performed = item.maximum_number_operations_invoked, item.maximum_number_operations_performed
            return f"asynchronous operations window {invoked}/{performed}"
        case RoleSelection():
            return f"role selection {_uid(item.sop_class_uid)}: SCU {item.scu_role}, SCP {item.scp_role}"
        case SOPClassExtendedNegotiation():
            information = item.service_class_application_information[:32].hex(" ")
            return f"extended negotiation {_uid(item.sop_class_uid)}: {information}"
        case SOPClassCommonExtendedNegotiation():
            return f"common extended negotiation {_uid(item.sop_class_uid)}"
        case UserIdentityRQ():
            return f"user identity of type {item.user_identity_type}, fields not shown"
        case UserIdentityAC():
            return f"user identity response of {len(item.server_response)} octets"
        case UnknownItem():
            return f"unknown sub-item {item.item_type:02X}H, {len(item.octets)} octets"
        case _:
            return type(item).__name__


def _values(pdu: PDataTF) -> list[str]:
    lines = []
    for value in pdu.values:
        kind = "command" if value.is_command else "data set"
        last = ", last" if value.is_last else ""
        lines.append(f"context {value.context_id}: {kind}{last}, {len(value.fragment)} octets")
        if value.is_command and value.is_last:
            lines += command_lines(bytes(value.fragment))
    return lines


def command_lines(octets: bytes) -> list[str]:
    """The elements of a command set."""
    command = parse(octets)
    lines = []
    for element in command.elements:
        known = COMMAND_ELEMENTS.get(element.tag)
        if element.tag == 0x0100:
            value = f"{element.number:04X}H {command_name(element.number)}"
        elif known is not None and known.vr in ("UI", "AE", "LO", "SH", "CS", "LT"):
            value = _uid(element.text) if known.vr == "UI" else repr(quote(element.octets))
        elif known is not None and known.vr in ("US", "UL"):
            value = f"{element.number:04X}H" if element.tag in (0x0800, 0x0900) else str(element.number)
        else:
            value = element.octets[:32].hex(" ")
        lines.append(f"  {describe_tag(element.tag)} {value}")
    return [*lines, f"  ! {command.fault}"] if command.fault else lines
