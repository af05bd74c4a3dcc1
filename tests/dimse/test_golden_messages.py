"""Every message of PS3.7 9.3 and 10.3 as octets that an independent encoder made and that a comment explains."""

import pytest

from dulcet.dimse.command_set import decode_command_set, encode_command_set
from dulcet.dimse.messages import (
    MESSAGES,
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    CFindRQ,
    CFindRSP,
    CGetRQ,
    CGetRSP,
    CMoveRQ,
    CMoveRSP,
    CStoreRQ,
    CStoreRSP,
    NActionRQ,
    NActionRSP,
    NCreateRQ,
    NCreateRSP,
    NDeleteRQ,
    NDeleteRSP,
    NEventReportRQ,
    NEventReportRSP,
    NGetRQ,
    NGetRSP,
    NSetRQ,
    NSetRSP,
    decode_message,
)

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{last}" for last in (1, 2, 3))
COMMITMENT, COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
STEP = "1.2.840.10008.3.1.2.3.3"
PRINTER, PRINTER_INSTANCE = "1.2.840.10008.5.1.1.16", "1.2.840.10008.5.1.1.17"
FILM_BOX = "1.2.840.10008.5.1.1.2"
INSTANCE = "2.25.7"
COUNTS = {
    "number_of_remaining_suboperations": 3,
    "number_of_completed_suboperations": 258,
    "number_of_failed_suboperations": 1,
    "number_of_warning_suboperations": 2,
}


def about(sop_class, message_id=None, **values):
    """The fields that nearly all messages have."""
    identified = {} if message_id is None else {"message_id": message_id}
    return {"affected_sop_class_uid": sop_class, **identified, **values}


def answering(sop_class, message_id, status, **values):
    return about(sop_class, message_id_being_responded_to=message_id, status=status, **values)


def requested(sop_class, message_id, instance, **values):
    return {
        "requested_sop_class_uid": sop_class,
        "message_id": message_id,
        "requested_sop_instance_uid": instance,
        **values,
    }


GOLDEN = {
    "c-store-rq": CStoreRQ(**about(CT, 7), affected_sop_instance_uid=INSTANCE),
    "c-store-rq-sub-operation": CStoreRQ(
        **about(CT, 65535),
        priority=2,
        affected_sop_instance_uid=INSTANCE,
        move_originator_application_entity_title="WORKSTATION",
        move_originator_message_id=258,
    ),
    "c-store-rsp": CStoreRSP(**answering(CT, 7, 0), affected_sop_instance_uid=INSTANCE),
    "c-store-rsp-cannot-understand": CStoreRSP(
        **answering(CT, 7, 0xC123),
        offending_element=(0x00280010, 0x7FE00010),
        error_comment="rows missing",
        affected_sop_instance_uid=INSTANCE,
    ),
    "c-find-rq": CFindRQ(**about(FIND, 8), priority=1),
    "c-find-rsp": CFindRSP(**answering(FIND, 8, 0)),
    "c-find-rsp-pending": CFindRSP(**answering(FIND, 8, 0xFF00), has_data_set=True),
    "c-cancel-rq": CCancelRQ(message_id_being_responded_to=8),
    "c-get-rq": CGetRQ(**about(GET, 9)),
    "c-get-rsp": CGetRSP(**answering(GET, 9, 0xFF00), **COUNTS),
    "c-move-rq": CMoveRQ(**about(MOVE, 10), move_destination="STORAGE"),
    "c-move-rsp": CMoveRSP(**answering(MOVE, 10, 0xB000), has_data_set=True, **COUNTS),
    "c-move-rsp-destination-unknown": CMoveRSP(**answering(MOVE, 10, 0xA801), error_comment="no such AE"),
    "c-echo-rq": CEchoRQ(**about(VERIFICATION, 1)),
    "c-echo-rsp": CEchoRSP(**answering(VERIFICATION, 1, 0)),
    "n-event-report-rq": NEventReportRQ(
        **about(COMMITMENT, 11), has_data_set=True, affected_sop_instance_uid=COMMITMENT_INSTANCE, event_type_id=2
    ),
    "n-event-report-rsp": NEventReportRSP(
        **answering(COMMITMENT, 11, 0), affected_sop_instance_uid=COMMITMENT_INSTANCE, event_type_id=2
    ),
    "n-get-rq": NGetRQ(**requested(PRINTER, 12, PRINTER_INSTANCE), attribute_identifier_list=(0x21100010, 0x21100020)),
    "n-get-rsp": NGetRSP(**answering(PRINTER, 12, 0), has_data_set=True, affected_sop_instance_uid=PRINTER_INSTANCE),
    "n-get-rsp-attribute-list-error": NGetRSP(
        **answering(PRINTER, 12, 0x0107),
        has_data_set=True,
        affected_sop_instance_uid=PRINTER_INSTANCE,
        attribute_identifier_list=(0x21100099,),
    ),
    "n-set-rq": NSetRQ(**requested(STEP, 13, INSTANCE)),
    "n-set-rsp": NSetRSP(**answering(STEP, 13, 0x0116), has_data_set=True, affected_sop_instance_uid=INSTANCE),
    "n-set-rsp-processing-failure": NSetRSP(
        **answering(STEP, 13, 0x0110),
        error_comment="it may no longer be updated",
        error_id=0xA710,
        affected_sop_instance_uid=INSTANCE,
    ),
    "n-action-rq": NActionRQ(**requested(COMMITMENT, 14, COMMITMENT_INSTANCE), has_data_set=True, action_type_id=1),
    "n-action-rsp": NActionRSP(
        **answering(COMMITMENT, 14, 0), affected_sop_instance_uid=COMMITMENT_INSTANCE, action_type_id=1
    ),
    "n-create-rq": NCreateRQ(**about(STEP, 15), has_data_set=True, affected_sop_instance_uid=INSTANCE),
    "n-create-rq-without-instance": NCreateRQ(**about(STEP, 15)),
    "n-create-rsp": NCreateRSP(**answering(STEP, 15, 0), affected_sop_instance_uid=INSTANCE),
    "n-delete-rq": NDeleteRQ(**requested(FILM_BOX, 16, INSTANCE)),
    "n-delete-rsp": NDeleteRSP(**answering(FILM_BOX, 16, 0), affected_sop_instance_uid=INSTANCE),
}


def test_every_case_and_every_message_has_one(golden_command_set_cases):
    assert sorted(GOLDEN) == golden_command_set_cases
    assert {type(message) for message in GOLDEN.values()} == set(MESSAGES.values())


@pytest.mark.parametrize("case", GOLDEN)
def test_encoded(golden_command_set, case):
    assert GOLDEN[case].encode() == golden_command_set(case)


@pytest.mark.parametrize("case", GOLDEN)
def test_decoded(golden_command_set, case):
    message, deviations = decode_message(golden_command_set(case))
    assert message == GOLDEN[case]
    assert type(message) is type(GOLDEN[case])
    assert deviations == ()


@pytest.mark.parametrize("case", GOLDEN)
def test_as_a_command_set_without_a_message(golden_command_set, case):
    octets = golden_command_set(case)
    found = decode_command_set(octets)
    assert found.error is None
    assert found.deviations == []
    assert encode_command_set(found.values) == octets


@pytest.mark.parametrize("case", GOLDEN)
def test_frozen_and_of_few_octets(case):
    message = GOLDEN[case]
    assert not hasattr(message, "__dict__")
    with pytest.raises((AttributeError, TypeError)):
        message.has_data_set = None
