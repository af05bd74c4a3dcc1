"""The message classes beside a transcription of PS3.7's tables: which elements, which of them required."""

import pytest

from dulcet.dimse.command_dictionary import COMMAND_ELEMENTS, COMMAND_FIELD, COMMAND_GROUP_LENGTH, TAGS
from dulcet.dimse.message import RESPONSE_BIT, rows
from dulcet.dimse.messages import MESSAGES, CCancelRQ, Response

CLASSES = {message_class.NAME: message_class for message_class in MESSAGES.values()}
COUNTED = {COMMAND_GROUP_LENGTH, COMMAND_FIELD}  # not fields: the one is counted, the other is the class
DEFAULTED = {TAGS["priority"], TAGS["command_data_set_type"]}  # required, with a default that fits


def tags_by_status(fields):
    """(0000,gggg) of every element that a status adds to a response (PS3.7 Annex C)."""
    return {tag for row in fields.values() for tag in row["elements"]}


@pytest.mark.parametrize("name", CLASSES)
def test_fields_are_the_tables(transcription, name):
    table = transcription("message_tables")["messages"][name]
    standard = {int(tag[6:10], 16): use for tag, (_, _, _, use) in table["elements"].items()}
    ours = {row.tag: row.is_required for row in rows(CLASSES[name])}
    assert set(standard) >= COUNTED
    assert set(standard) - COUNTED <= set(ours)
    for tag, use in standard.items():
        if tag not in COUNTED | DEFAULTED:
            assert ours[tag] == (use in ("M", "R")), f"({tag:04X}) is {use}"
    added = {f"(0000,{tag:04X})" for tag in set(ours) - set(standard)}
    assert added <= (
        tags_by_status(transcription("message_tables")["status_fields"])
        if issubclass(CLASSES[name], Response)
        else set()
    )


def test_every_message_of_the_tables_and_no_other(transcription):
    messages = transcription("message_tables")["messages"]
    assert {name: int(row["command_field"][:4], 16) for name, row in messages.items()} == {
        name: message_class.COMMAND_FIELD for name, message_class in CLASSES.items()
    }
    assert len(CLASSES) == 23


@pytest.mark.parametrize("name", CLASSES)
def test_vr_and_vm_of_each_element(transcription, name):
    for tag, (_, vr, vm, _) in transcription("message_tables")["messages"][name]["elements"].items():
        element = COMMAND_ELEMENTS[int(tag[6:10], 16)]
        assert (element.vr, element.vm) == (vr, vm)


@pytest.mark.parametrize("name", CLASSES)
def test_the_data_set(transcription, name):
    use = transcription("message_tables")["messages"][name]["data_set"]
    message_class = CLASSES[name]
    assert message_class.NEEDS_DATA_SET is (use == "M")
    assert message_class.TAKES_DATA_SET is (use != "-")
    default = next(field for field in message_class.__dataclass_fields__.values() if field.name == "has_data_set")
    assert default.default is (use == "M")


@pytest.mark.parametrize("name", CLASSES)
def test_a_docstring_names_its_tables(transcription, name):
    documentation = CLASSES[name].__doc__
    assert name in documentation
    assert [
        table for table in transcription("message_tables")["messages"][name]["tables"] if table not in documentation
    ] == []


@pytest.mark.parametrize("name", [name for name in CLASSES if name.endswith("-RQ") and name != CCancelRQ.NAME])
def test_a_request_makes_its_response(transcription, name):
    request = CLASSES[name](
        **{row.name: _value_for(row.tag) for row in rows(CLASSES[name]) if row.name != "has_data_set"}
    )
    response = request.response(status=0x0110, error_comment="\u00e9\\\n\x7f" + "x" * 70)
    table = transcription("message_tables")["messages"][name.removesuffix("-RQ") + "-RSP"]
    assert response.COMMAND_FIELD == request.COMMAND_FIELD | RESPONSE_BIT
    assert response.message_id == request.message_id == response.message_id_being_responded_to
    assert response.sop_class_uid == request.sop_class_uid == "2.25.1"
    assert response.status == 0x0110
    assert response.error_comment == "????" + "x" * 60
    assert not response.has_data_set
    for tag in ("(0000,1000)", "(0000,1002)", "(0000,1008)"):
        if tag in table["elements"]:
            assert getattr(response, COMMAND_ELEMENTS[int(tag[6:10], 16)].name) == _value_for(int(tag[6:10], 16))
    assert CLASSES[response.NAME] is type(response)


def test_a_response_takes_further_fields_of_its_own():
    request = CLASSES["C-MOVE-RQ"](affected_sop_class_uid="2.25.1", message_id=5, move_destination="A")
    response = request.response(status=0xFF00, number_of_remaining_suboperations=4)
    assert response.number_of_remaining_suboperations == 4
    assert response.error_comment is None


def test_a_cancel_request_is_known_by_what_it_cancels():
    assert CCancelRQ(message_id_being_responded_to=9).message_id == 9
    assert CCancelRQ(message_id_being_responded_to=9).sop_class_uid is None


def _value_for(tag):
    by_vr = {"UI": "2.25.1", "US": 7, "AE": "SOMEBODY", "AT": (0x00100010,), "LO": "text"}
    return {0x1000: "2.25.2", 0x1001: "2.25.2"}.get(tag) or by_vr[COMMAND_ELEMENTS[tag].vr]
