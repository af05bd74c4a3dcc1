"""Messages that a peer got wrong, one thing at a time: what is done, what is answered, when the association ends."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.dimse.command_dictionary import TAGS
from dulcet.dimse.command_set import decode_command_set, encode_command_set
from dulcet.dimse.message import rows
from dulcet.dimse.messages import (
    MESSAGES,
    CCancelRQ,
    CEchoRQ,
    CStoreRQ,
    Message,
    RefusalRSP,
    Response,
    UnacceptableMessage,
    decode_message,
)
from dulcet.errors import DecodeError

CT = "1.2.840.10008.5.1.4.1.1.2"
STORE = {
    "affected_sop_class_uid": CT,
    "command_field": 0x0001,
    "message_id": 7,
    "priority": 0,
    "command_data_set_type": 1,
    "affected_sop_instance_uid": "2.25.7",
}
RESPONSE = {
    "affected_sop_class_uid": CT,
    "command_field": 0x8001,
    "message_id_being_responded_to": 7,
    "command_data_set_type": 0x0101,
    "status": 0,
}


def octets_of(fields, **changed):
    """A command set of fields by name, some of them changed (None: left out)."""
    values = {TAGS[name]: value for name, value in (fields | changed).items() if value is not None}
    return encode_command_set(values)


@pytest.mark.parametrize("data_set_type", [0x0000, 0x0001, 0x0100, 0x0102, 0xFEFE])
def test_any_data_set_type_but_0101_announces_a_data_set(data_set_type):
    message, deviations = decode_message(octets_of(STORE, command_data_set_type=data_set_type))
    assert isinstance(message, CStoreRQ)
    assert message.has_data_set
    assert deviations == ()


@pytest.mark.parametrize("message_id", [0, 1, 0x7FFF, 0x8000, 0xFFFF])
def test_any_message_id(message_id):
    message, _ = decode_message(octets_of(STORE, message_id=message_id))
    assert message.message_id == message_id
    assert message.response(status=0).message_id_being_responded_to == message_id


def test_a_priority_that_is_missing_is_medium():
    message, deviations = decode_message(octets_of(STORE, priority=None))
    assert isinstance(message, CStoreRQ)
    assert message.priority == 0
    assert [(each.clause, each.field, each.explanation) for each in deviations] == [
        ("PS3.7 9.3", "Priority (0000,0700)", "missing, so it is MEDIUM")
    ]


@pytest.mark.parametrize(
    "message_class", [each for each in MESSAGES.values() if not each.TAKES_DATA_SET], ids=lambda each: each.NAME
)
def test_a_data_set_that_the_message_does_not_have(message_class):
    values = {row.name: _value_for(row) for row in rows(message_class) if row.is_required}
    octets = message_class(**values | {"has_data_set": True}).encode()
    message, deviations = decode_message(octets)
    assert isinstance(message, message_class)
    assert message.has_data_set
    assert [(each.clause, each.field) for each in deviations] == [("PS3.7 E.1", "CommandDataSetType (0000,0800)")]
    assert message_class.NAME in deviations[0].explanation


def test_elements_that_the_message_does_not_have_are_left():
    message, deviations = decode_message(octets_of(RESPONSE, message_id=7, error_id=3, move_destination="X"))
    assert message == MESSAGES[0x8001](affected_sop_class_uid=CT, message_id_being_responded_to=7, status=0)
    assert deviations == ()


REFUSED = [
    pytest.param(
        octets_of(STORE, affected_sop_instance_uid=None),
        0x0117,
        "AffectedSOPInstanceUID (0000,1000) is missing",
        id="no instance",
    ),
    pytest.param(
        octets_of(STORE, affected_sop_class_uid=None),
        0x0212,
        "AffectedSOPClassUID (0000,0002) is missing",
        id="no class",
    ),
    pytest.param(
        octets_of(STORE, command_data_set_type=0x0101), 0x0212, "C-STORE-RQ without a data set", id="no data set"
    ),
    pytest.param(
        octets_of(STORE, command_field=0x7777),
        0x0211,
        "Command Field 7777H is no message of PS3.7",
        id="no message of PS3.7",
    ),
    pytest.param(
        octets_of(STORE, command_field=0x0777), 0x0211, "Command Field 0777H is no message of PS3.7", id="another"
    ),
    pytest.param(
        octets_of(STORE, command_field=0x0000), 0x0211, "Command Field 0000H is no message of PS3.7", id="zero"
    ),
    pytest.param(octets_of(STORE)[:-3], 0x0212, "6 octets promised, 3 present", id="cut in the last element"),
    pytest.param(octets_of(STORE) + b"\0\0", 0x0212, "2 stray octets", id="stray octets"),
    pytest.param(
        octets_of(STORE) + struct.pack("<HHLH", 0, 0x0110, 2, 8),
        0x0212,
        "came twice, with different values",
        id="two Message IDs",
    ),
    pytest.param(
        octets_of(STORE) + struct.pack("<HHLL", 0, 0, 4, 4),
        0x0212,
        "came twice, with different values",
        id="two group lengths",
    ),
]


@pytest.mark.parametrize(("octets", "status", "explanation"), REFUSED)
def test_a_request_that_says_its_message_id_is_answered(octets, status, explanation):
    message, _ = decode_message(octets)
    assert isinstance(message, UnacceptableMessage)
    assert (message.message_id, message.status) == (7, status)
    assert explanation in message.explanation
    answer = message.response(status=message.status)
    assert isinstance(answer, RefusalRSP)
    values = decode_command_set(answer.encode()).values
    assert values == {
        0x0000: 40,
        0x0100: message.command_field | 0x8000,
        0x0120: 7,
        0x0800: 0x0101,
        0x0900: status,
    }


def test_what_can_not_be_performed_has_a_name_all_the_same():
    known, _ = decode_message(octets_of(STORE, affected_sop_instance_uid=None))
    unknown, _ = decode_message(octets_of(STORE, command_field=0x7777))
    assert (known.NAME, unknown.NAME) == ("C-STORE-RQ", "message 7777H")
    assert known.has_data_set


ABORTED = [
    pytest.param(b"", "CommandField (0000,0100) is missing", id="empty"),
    pytest.param(b"\x99" * 50, "2576980377 octets promised", id="garbage"),
    pytest.param(octets_of(STORE, command_field=None), "CommandField (0000,0100) is missing", id="no Command Field"),
    pytest.param(
        octets_of(STORE, command_data_set_type=None),
        "CommandDataSetType (0000,0800) is missing",
        id="no Command Data Set Type",
    ),
    pytest.param(
        octets_of(STORE, message_id=None, affected_sop_class_uid=None),
        "AffectedSOPClassUID (0000,0002) is missing",
        id="nothing to answer to",
    ),
    pytest.param(octets_of(STORE, message_id=None), "MessageID (0000,0110) is missing", id="no Message ID"),
    pytest.param(
        octets_of(STORE, message_id=None, command_field=0x7777),
        "Command Field 7777H",
        id="no message and no Message ID",
    ),
    pytest.param(octets_of(STORE, message_id=None)[:-3], "6 octets promised, 3 present", id="cut and no Message ID"),
    pytest.param(octets_of(RESPONSE, status=None), "Status (0000,0900) is missing", id="response without a status"),
    pytest.param(
        octets_of(RESPONSE, message_id_being_responded_to=None, message_id=7),
        "MessageIDBeingRespondedTo (0000,0120) is missing",
        id="response to nothing",
    ),
    pytest.param(octets_of(RESPONSE, message_id=7)[:-3], "7 stray octets", id="response cut"),
    pytest.param(
        octets_of(RESPONSE, command_field=0x8777, message_id=7), "Command Field 8777H", id="response that is no message"
    ),
    pytest.param(
        octets_of({"command_field": 0x0FFF, "message_id": 7, "command_data_set_type": 0x0101}),
        "MessageIDBeingRespondedTo (0000,0120) is missing",
        id="cancel of nothing",
    ),
    pytest.param(bytes.fromhex("0000 0000 554c 0400 38000000"), "281685 octets promised", id="explicit VR"),
]


@pytest.mark.parametrize(("octets", "explanation"), ABORTED)
def test_what_can_not_be_answered_ends_the_association(octets, explanation):
    with pytest.raises(DecodeError) as caught:
        decode_message(octets)
    assert explanation in str(caught.value)
    assert caught.value.abort_reason == 6
    assert caught.value.table == "PS3.7 6.3.1"


@pytest.mark.parametrize("transfer", [bytes, bytearray, memoryview])
def test_whatever_the_octets_are_in(transfer):
    message, _ = decode_message(transfer(octets_of(STORE)))
    assert isinstance(message, CStoreRQ)


@given(st.binary(max_size=200))
def test_no_octets_raise_anything_else(octets):
    try:
        decode_message(octets)
    except DecodeError as error:
        assert error.abort_reason == 6  # noqa: PT017


@given(st.data())
def test_one_octet_changed_is_understood_answered_or_refused(data):
    octets = bytearray(octets_of(STORE))
    position = data.draw(st.integers(0, len(octets) - 1))
    octets[position] ^= data.draw(st.integers(1, 255))
    try:
        message, _ = decode_message(octets)
    except DecodeError as error:
        assert error.abort_reason == 6  # noqa: PT017
        return
    assert isinstance(message, Message | UnacceptableMessage)
    if not isinstance(message, Response | CCancelRQ):
        assert decode_command_set(message.response(status=0x0110).encode()).values[0x0900] == 0x0110


def test_a_message_that_its_elements_can_not_hold():
    with pytest.raises(ValueError, match="can't hold 65536"):
        CEchoRQ(affected_sop_class_uid="1.2", message_id=65536).encode()


def _value_for(row):
    return "2.25.7" if row.name.endswith("uid") else 7
