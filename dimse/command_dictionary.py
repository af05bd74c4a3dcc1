"""The command dictionary: PS3.7 Annex E, every element of group 0000, retired ones too."""

from typing import NamedTuple


class CommandElement(NamedTuple):
    """One row of PS3.7 Table E.1-1 or E.2-1."""

    tag: int
    """The element number; the group is 0000, so it is the tag too."""
    keyword: str
    vr: str
    vm: str
    name: str
    """The keyword as a field's name here: AffectedSOPClassUID is `affected_sop_class_uid`."""
    is_retired: bool = False


COMMAND_GROUP_LENGTH = 0x0000
COMMAND_FIELD = 0x0100
MESSAGE_ID = 0x0110
MESSAGE_ID_BEING_RESPONDED_TO = 0x0120
PRIORITY = 0x0700
COMMAND_DATA_SET_TYPE = 0x0800
AFFECTED_SOP_INSTANCE_UID = 0x1000
REQUESTED_SOP_INSTANCE_UID = 0x1001

_REGISTRY = (  # Table E.1-1
    CommandElement(COMMAND_GROUP_LENGTH, "CommandGroupLength", "UL", "1", "command_group_length"),
    CommandElement(0x0002, "AffectedSOPClassUID", "UI", "1", "affected_sop_class_uid"),
    CommandElement(0x0003, "RequestedSOPClassUID", "UI", "1", "requested_sop_class_uid"),
    CommandElement(COMMAND_FIELD, "CommandField", "US", "1", "command_field"),
    CommandElement(MESSAGE_ID, "MessageID", "US", "1", "message_id"),
    CommandElement(
        MESSAGE_ID_BEING_RESPONDED_TO, "MessageIDBeingRespondedTo", "US", "1", "message_id_being_responded_to"
    ),
    CommandElement(0x0600, "MoveDestination", "AE", "1", "move_destination"),
    CommandElement(PRIORITY, "Priority", "US", "1", "priority"),
    CommandElement(COMMAND_DATA_SET_TYPE, "CommandDataSetType", "US", "1", "command_data_set_type"),
    CommandElement(0x0900, "Status", "US", "1", "status"),
    CommandElement(0x0901, "OffendingElement", "AT", "1-n", "offending_element"),
    CommandElement(0x0902, "ErrorComment", "LO", "1", "error_comment"),
    CommandElement(0x0903, "ErrorID", "US", "1", "error_id"),
    CommandElement(AFFECTED_SOP_INSTANCE_UID, "AffectedSOPInstanceUID", "UI", "1", "affected_sop_instance_uid"),
    CommandElement(REQUESTED_SOP_INSTANCE_UID, "RequestedSOPInstanceUID", "UI", "1", "requested_sop_instance_uid"),
    CommandElement(0x1002, "EventTypeID", "US", "1", "event_type_id"),
    CommandElement(0x1005, "AttributeIdentifierList", "AT", "1-n", "attribute_identifier_list"),
    CommandElement(0x1008, "ActionTypeID", "US", "1", "action_type_id"),
    CommandElement(0x1020, "NumberOfRemainingSuboperations", "US", "1", "number_of_remaining_suboperations"),
    CommandElement(0x1021, "NumberOfCompletedSuboperations", "US", "1", "number_of_completed_suboperations"),
    CommandElement(0x1022, "NumberOfFailedSuboperations", "US", "1", "number_of_failed_suboperations"),
    CommandElement(0x1023, "NumberOfWarningSuboperations", "US", "1", "number_of_warning_suboperations"),
    CommandElement(
        0x1030, "MoveOriginatorApplicationEntityTitle", "AE", "1", "move_originator_application_entity_title"
    ),
    CommandElement(0x1031, "MoveOriginatorMessageID", "US", "1", "move_originator_message_id"),
)

_RETIRED = (  # Table E.2-1
    CommandElement(0x0001, "CommandLengthToEnd", "UL", "1", "command_length_to_end", True),
    CommandElement(0x0010, "CommandRecognitionCode", "SH", "1", "command_recognition_code", True),
    CommandElement(0x0200, "Initiator", "AE", "1", "initiator", True),
    CommandElement(0x0300, "Receiver", "AE", "1", "receiver", True),
    CommandElement(0x0400, "FindLocation", "AE", "1", "find_location", True),
    CommandElement(0x0850, "NumberOfMatches", "US", "1", "number_of_matches", True),
    CommandElement(0x0860, "ResponseSequenceNumber", "US", "1", "response_sequence_number", True),
    CommandElement(0x4000, "DialogReceiver", "LT", "1", "dialog_receiver", True),
    CommandElement(0x4010, "TerminalType", "LT", "1", "terminal_type", True),
    CommandElement(0x5010, "MessageSetID", "SH", "1", "message_set_id", True),
    CommandElement(0x5020, "EndMessageID", "SH", "1", "end_message_id", True),
    CommandElement(0x5110, "DisplayFormat", "LT", "1", "display_format", True),
    CommandElement(0x5120, "PagePositionID", "LT", "1", "page_position_id", True),
    CommandElement(0x5130, "TextFormatID", "CS", "1", "text_format_id", True),
    CommandElement(0x5140, "NormalReverse", "CS", "1", "normal_reverse", True),
    CommandElement(0x5150, "AddGrayScale", "CS", "1", "add_gray_scale", True),
    CommandElement(0x5160, "Borders", "CS", "1", "borders", True),
    CommandElement(0x5170, "Copies", "IS", "1", "copies", True),
    CommandElement(0x5180, "CommandMagnificationType", "CS", "1", "command_magnification_type", True),
    CommandElement(0x5190, "Erase", "CS", "1", "erase", True),
    CommandElement(0x51A0, "Print", "CS", "1", "print", True),
    CommandElement(0x51B0, "Overlays", "US", "1-n", "overlays", True),
)

COMMAND_ELEMENTS: dict[int, CommandElement] = {element.tag: element for element in sorted(_REGISTRY + _RETIRED)}
"""By tag, in the order of the wire."""

TAGS: dict[str, int] = {element.name: element.tag for element in COMMAND_ELEMENTS.values()}
"""By the field's name."""


def describe_tag(tag: int) -> str:
    """`Message ID (0000,0110)` would be the standard's way: the keyword stands for the name here."""
    element = COMMAND_ELEMENTS.get(tag)
    number = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return number if element is None else f"{element.keyword} {number}"
