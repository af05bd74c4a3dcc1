"""What a layout can't show to be wrong: one thing is changed in a right conversation, and one deviation says so."""

import pytest

from dulcet.conformance.captures.messages import MessageReader
from dulcet.conformance.captures.rules import Rules
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.transcript import MAX_ASSOCIATE_OCTETS, MAX_VALUES
from dulcet.dimse.assembly import command_values
from dulcet.dimse.messages import CCancelRQ, CEchoRQ, CEchoRSP, CFindRQ, CFindRSP, CStoreRQ, CStoreRSP
from dulcet.dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, STUDY_ROOT_FIND, VERIFICATION
from dulcet.ul.fields import AETitle
from dulcet.ul.items import (
    ApplicationContext,
    ImplementationClassUID,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    UserInformation,
)
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRQ, PDataTF

TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT
CONTEXT = ApplicationContext()
PROPOSED = PresentationContextRQ.propose(1, VERIFICATION, [IMPLICIT_VR_LITTLE_ENDIAN])
ACCEPTED = PresentationContextAC.answer(1, 0, IMPLICIT_VR_LITTLE_ENDIAN)
SUB_ITEMS = (MaximumLength(maximum_length_received=100), ImplementationClassUID(uid="1.2.3"))
USER = UserInformation(sub_items=SUB_ITEMS)
TITLES = {"called_ae_title": AETitle("A"), "calling_ae_title": AETitle("B")}


def request(*items, **changed):
    return AAssociateRQ(**TITLES, items=items or (CONTEXT, PROPOSED, USER), **changed)


def answer(*items, **changed):
    return AAssociateAC(**TITLES, items=items or (CONTEXT, ACCEPTED, USER), **changed)


def value(context_id=1, *, octets=b"ab", is_command=False, is_last=True):
    return PresentationDataValue(context_id, is_command, is_last, octets)


def associated():
    rules = Rules()
    assert list(rules.pdu(TO_SERVER, request())) == []
    assert list(rules.pdu(TO_CLIENT, answer())) == []
    return rules


ECHO = CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=7)
ECHOED = CEchoRSP(message_id_being_responded_to=7, status=0)


def elements(message):
    from dulcet.dimse.command_set import decode_command_set

    return decode_command_set(message.encode()).values


def explained(deviations):
    return [f"{each.clause} {each.field}: {each.explanation}" for each in deviations]


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        (request(CONTEXT, USER), "PS3.8 Table 9-11 presentation_contexts: none proposed; one or more are to be"),
        (request(PROPOSED, USER), "PS3.8 Table 9-11 application_context: the Application Context Item is missing"),
        (request(CONTEXT, PROPOSED), "PS3.8 Table 9-11 user_information: the User Information Item is missing"),
        (
            request(ApplicationContext(name="1.2"), PROPOSED, USER),
            "PS3.7 A.2.1 application_context: 1.2.840.10008.3.1.1.1 is the only one DICOM defines",
        ),
        (
            request(CONTEXT, PROPOSED, UserInformation(sub_items=SUB_ITEMS[1:])),
            "PS3.8 D.1 maximum_length_received: the Maximum Length Sub-Item is missing",
        ),
        (
            request(CONTEXT, PROPOSED, UserInformation(sub_items=SUB_ITEMS[:1])),
            "PS3.7 D.3.3.2 implementation_class_uid: the Implementation Class UID Sub-Item is missing",
        ),
        (request(CONTEXT, PROPOSED, PROPOSED, USER), "PS3.8 Table 9-13 context_id: 1 is used twice"),
        (request(protocol_version=2), "PS3.8 Table 9-11 protocol_version: bit 0 of 0002H is not set"),
        (AAssociateRJ(result=3, source=1, reason=1), "PS3.8 Table 9-21 result: 3 is not defined"),
        (AAssociateRJ(result=1, source=2, reason=7), "PS3.8 Table 9-21 reason: 7 of source 2 is not defined"),
        (AAbort(source=1, reason=0), "PS3.8 Table 9-26 source: 1 is reserved"),
        (AAbort(source=0, reason=2), "PS3.8 Table 9-26 reason: 2, is sent as 0 when the source is the service-user"),
        (AAbort(source=2, reason=3), "PS3.8 Table 9-26 reason: 3 is not defined"),
        (AAbort(source=2, reason=9), "PS3.8 Table 9-26 reason: 9 is not defined"),
    ],
)
def test_a_pdu_by_itself(pdu, expected):
    assert explained(Rules().pdu(TO_SERVER, pdu)) == [expected]


@pytest.mark.parametrize("pdu", [AAssociateRJ(result=2, source=3, reason=1), AAbort(source=2, reason=6), AReleaseRQ()])
def test_what_is_right_by_itself(pdu):
    assert list(Rules().pdu(TO_SERVER, pdu)) == []


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        (answer(CONTEXT, USER), "PS3.8 Table 9-17 presentation_contexts: no answer to context 1"),
        (
            answer(CONTEXT, ACCEPTED, PresentationContextAC.answer(3, 0, IMPLICIT_VR_LITTLE_ENDIAN), USER),
            "PS3.8 Table 9-18 context_id: 3 was not proposed",
        ),
    ],
)
def test_an_answer_that_does_not_fit_the_request(pdu, expected):
    rules = Rules()
    list(rules.pdu(TO_SERVER, request()))
    assert explained(rules.pdu(TO_CLIENT, pdu)) == [expected]


def test_many_contexts_without_an_answer_are_counted():
    contexts = [PresentationContextRQ.propose(2 * n + 1, VERIFICATION, [IMPLICIT_VR_LITTLE_ENDIAN]) for n in range(9)]
    rules = Rules()
    list(rules.pdu(TO_SERVER, request(CONTEXT, *contexts, USER)))
    (found,) = rules.pdu(TO_CLIENT, answer(CONTEXT, USER))
    assert found.explanation == "no answer to context 1, 3, 5, 7, 9, 11, 13, 15 and more"


@pytest.mark.parametrize("direction", list(Direction))
def test_a_pdu_longer_than_the_peer_receives(direction):
    rules = associated()
    assert list(rules.data(direction, 100, [value()])) == []
    (found,) = rules.data(direction, 101, [value()])
    assert (found.clause, found.explanation) == ("PS3.8 D.1", "101 octets, the peer is ready to receive 100")


def test_a_maximum_length_of_zero_is_no_limit():
    rules = Rules()
    anything = UserInformation(sub_items=(MaximumLength(maximum_length_received=0), SUB_ITEMS[1]))
    list(rules.pdu(TO_SERVER, request(CONTEXT, PROPOSED, anything)))
    assert list(rules.data(TO_CLIENT, 1 << 30, [value()])) == []


def test_a_context_that_was_not_accepted():
    (found,) = associated().data(TO_SERVER, 10, [value(3), value(3), value(1)])
    assert (found.field, found.explanation) == ("context_id", "context 3 was not accepted")
    assert list(Rules().data(TO_SERVER, 10, [value(3)])) == [], "nothing is known of what was accepted"


def test_a_message_id_in_use():
    rules = associated()
    assert list(rules.message(TO_SERVER, elements(ECHO))) == []
    (found,) = rules.message(TO_SERVER, elements(ECHO))
    assert found.explanation == "7 is that of an operation that has no final response yet"
    assert list(rules.message(TO_CLIENT, elements(ECHO))) == [], "each side has its own numbers"


def test_a_response_to_nothing():
    rules = associated()
    (found,) = rules.message(TO_CLIENT, elements(ECHOED))
    assert found.explanation == "no operation 7 is waiting for a response"
    assert found.field == "MessageIDBeingRespondedTo (0000,0120)"


def test_a_response_to_what_may_have_been_lost():
    rules = associated()
    rules.forget()
    assert list(rules.message(TO_CLIENT, elements(ECHOED))) == []


def test_a_response_to_another_operation():
    rules = associated()
    find = CFindRQ(affected_sop_class_uid=STUDY_ROOT_FIND, message_id=7, priority=0)
    list(rules.message(TO_SERVER, elements(find)))
    (found,) = rules.message(TO_CLIENT, elements(ECHOED))
    assert found.explanation == "7 is that of another operation (0020H)"


def test_pending_responses_and_a_cancel_keep_an_operation_open():
    rules = associated()
    find = CFindRQ(affected_sop_class_uid=STUDY_ROOT_FIND, message_id=7, priority=0)
    messages = [
        (TO_SERVER, find),
        (TO_CLIENT, CFindRSP(message_id_being_responded_to=7, status=0xFF00, has_data_set=True)),
        (TO_CLIENT, CFindRSP(message_id_being_responded_to=7, status=0xFF01, has_data_set=True)),
        (TO_SERVER, CCancelRQ(message_id_being_responded_to=7)),
        (TO_CLIENT, CFindRSP(message_id_being_responded_to=7, status=0xFE00, has_data_set=False)),
    ]
    assert [each for direction, message in messages for each in rules.message(direction, elements(message))] == []
    assert explained(rules.message(TO_CLIENT, elements(messages[-1][1]))) != []


def test_elements_that_are_missing_break_no_rule():
    assert list(Rules().message(TO_SERVER, {})) == []
    assert list(Rules().message(TO_SERVER, {0x100: 0x0030})) == []
    assert list(Rules().message(TO_SERVER, {0x100: 0x8030})) == []


# Messages -----------------------------------------------------------------------------------------------------------

STORE = CStoreRQ(
    affected_sop_class_uid="1.2", affected_sop_instance_uid="1.2.3", message_id=1, priority=0, has_data_set=True
)
STORED = CStoreRSP(message_id_being_responded_to=1, status=0, has_data_set=False)


def command(message, context_id=1, size=1 << 16):
    return [each for pdu in command_values(context_id, message.encode(), size + 6) for each in pdu.values]


def fed(*values, direction=TO_SERVER):
    """Each value in a PDU of its own."""
    reader, deviations = MessageReader(), []
    for number, each in enumerate(values):
        deviations += reader.feed(direction, number, [each])[1]
    return reader, [each.explanation for each in deviations]


@pytest.mark.parametrize("size", [2, 8, 50, 1 << 16])
def test_a_message_in_fragments_of_any_size(size):
    data = bytes(range(100))
    fragments = [data[start : start + size] for start in range(0, 100, size)]
    values = [value(octets=each, is_last=each is fragments[-1]) for each in fragments]
    reader, deviations = fed(*command(STORE, size=size), *values)
    (record,) = reader.records()
    assert deviations == []
    assert record.name == "C-STORE-RQ"
    assert record.error == ""
    assert (record.data_set.length, record.data_set.pdv_count) == (100, len(fragments))
    assert record.data_set.is_complete
    assert reader.unfinished() == {}


def test_a_data_set_that_does_not_end():
    reader, _ = fed(*command(STORE), value(octets=b"abcd", is_last=False))
    assert reader.unfinished() == {TO_SERVER: {1: 4}}
    assert not reader.records()[0].data_set.is_complete


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([value()], "a data set fragment where a command set was expected"),
        ([*command(ECHO), value()], "a data set after a C-ECHO-RQ that announces none"),
        ([*command(STORE), value(), value()], "a data set fragment after the last one"),
        ([*command(STORE), *command(STORE)], "a command fragment where the data set was expected"),
        (
            [*command(STORE), value(is_last=False), *command(ECHO, 3)],
            "a fragment on context 3 inside a message on context 1",
        ),
        ([*command(STORE), value(octets=b"abc")], "a fragment of 3 octets, an odd number"),
    ],
)
def test_fragments_out_of_place(values, expected):
    _, deviations = fed(*values)
    assert deviations == [expected]


def test_contexts_and_directions_are_put_together_apart():
    reader = MessageReader()
    first, second = command(STORE, size=60), command(ECHO, 3, size=60)
    for pair in zip(first, second, strict=False):
        for direction, each in zip((TO_SERVER, TO_CLIENT), pair, strict=True):
            reader.feed(direction, 0, [each])
    for direction, rest in ((TO_SERVER, first[len(second) :]), (TO_CLIENT, second[len(first) :])):
        reader.feed(direction, 1, rest)
    assert {(record.name, record.direction) for record in reader.records()} == {
        ("C-STORE-RQ", TO_SERVER),
        ("C-ECHO-RQ", TO_CLIENT),
    }


def test_a_command_set_without_end_is_not_kept():
    reader, _ = fed(*[value(is_command=True, is_last=False, octets=bytes(60_000)) for _ in range(50)])
    (lane,) = reader._lanes.values()
    assert len(lane.command) <= 2 * 65536


@pytest.mark.parametrize(
    ("octets", "name", "error"),
    [
        (b"", "message", "CommandField (0000,0100) is missing"),
        (STORE.encode()[:-3], "C-STORE-RQ", "44 octets promised"),
        (STORE.encode().replace(b"\0\1\2\0\0\0\1\0", b"\0\1\2\0\0\0\x99\0"), "message 0099H", "0099H is no message"),
    ],
)
def test_command_sets_that_nobody_can_act_on(octets, name, error):
    reader, _ = fed(value(is_command=True, octets=octets))
    (record,) = reader.records()
    assert record.name == name
    assert error in record.error or error.partition(" ")[2] in record.error


def test_what_is_lost_is_forgotten():
    reader, _ = fed(*command(STORE), value(is_last=False))
    reader.forget()
    assert reader.feed(TO_SERVER, 9, command(ECHO))[1] == []


# PDUs that are not decoded ------------------------------------------------------------------------------------------


def test_more_values_than_are_decoded(packets):
    pdu = PDataTF(values=tuple([value()] * (MAX_VALUES + 1))).encode()
    (stream,) = packets().open().send(TO_SERVER, pdu).transcript.streams
    assert "more than 4096 presentation data values are not decoded" in str(stream.pdus[0].error)
    assert stream.pdus[0].decode() is None


def test_an_association_pdu_larger_than_is_decoded(packets):
    pdu = b"\1\0" + (MAX_ASSOCIATE_OCTETS).to_bytes(4, "big") + bytes(MAX_ASSOCIATE_OCTETS)
    (stream,) = packets().open().send(TO_SERVER, pdu).transcript.streams
    assert "are not decoded" in str(stream.pdus[0].error)


def test_deviations_of_one_pdu_are_bounded(packets):
    values = tuple(value(context_id=5, octets=b"a") for _ in range(200))
    (stream,) = packets().open().send(TO_SERVER, PDataTF(values=values).encode()).transcript.streams
    deviations = stream.pdus[0].deviations
    assert len(deviations) == 65
    assert "deviations more in this PDU" in deviations[-1].explanation
