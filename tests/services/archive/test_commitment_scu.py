"""Storage commitment as SCU: wherever the report comes, and if none does (PS3.4 Annex J)."""

import pytest
import trio

from dulcet.dimse.messages import NActionRQ, NEventReportRQ
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
)
from dulcet.errors import ConnectionLostError, OperationFailedError, PeerTimeoutError
from dulcet.services.association import Received
from dulcet.services.commitment import (
    CommitmentRequest,
    CommitmentResult,
    EventType,
    Reference,
    encode_result,
    read_result,
)
from dulcet.services.data_sets import IdentifierSink
from dulcet.services.querying.identifiers import encode_identifier
from dulcet.station.archive.committing import CommitmentSettings, answers, commit, new_request
from dulcet.ul.negotiation import AcceptedContext
from dulcet.ul.pdu import AReleaseRP, AReleaseRQ

CT = "1.2.840.10008.5.1.4.1.1.2"
ONE, TWO = Reference(CT, "1.9.1"), Reference(CT, "1.9.2")
TRANSACTION = 0x00081195


def report_of(octets, result, message_id=1):
    request = NEventReportRQ(
        affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
        message_id=message_id,
        has_data_set=True,
        affected_sop_instance_uid=STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
        event_type_id=result.event_type,
    )
    information = encode_result(result, EXPLICIT_VR_LITTLE_ENDIAN, "ARCHIVE")
    return octets.message(request, context_id=1) + octets.data(information, context_id=1)


def archive(octets, *, status=0, report=True, releases=True):
    """A peer that commits to the first instance and not to the second."""

    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        action, information = await peer.whole_message()
        assert isinstance(action, NActionRQ)
        assert action.requested_sop_instance_uid == STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
        assert action.action_type_id == 1
        script.information = information
        await peer.send(octets.message(action.response(status=status), context_id=1))
        if report:
            other = CommitmentResult("2.25.1", (ONE,))
            ours = CommitmentResult("2.25.7", (ONE,), ((TWO, 0x0112),))
            for number, result in enumerate((other, ours), 1):
                await peer.send(report_of(octets, result, number))
                assert (await peer.message()).status == 0
        if releases:
            assert isinstance(await peer.pdu(), AReleaseRQ)
            await peer.send(AReleaseRP())

    return script


REQUEST = CommitmentRequest("2.25.7", (ONE, TWO))


async def test_a_report_on_the_same_association(network, octets, autojump_clock):
    network.script = archive(octets)
    result = await commit(network.peer, REQUEST, CommitmentSettings())
    assert (result.committed, result.failed) == ((ONE,), ((TWO, 0x0112),))
    told = answers(REQUEST, result)
    assert [(each.sop_instance_uid, each.committed, each.reason) for each in told] == [
        ("1.9.1", True, None),
        ("1.9.2", False, "0112H: no such object instance"),
    ]
    expected = {TRANSACTION: "2.25.7", 0x00081199: [{0x00081150: CT, 0x00081155: uid} for _, uid in (ONE, TWO)]}
    assert network.script.information == encode_identifier(expected, EXPLICIT_VR_LITTLE_ENDIAN)
    await network.finished()


async def test_a_request_that_is_refused(network, octets, autojump_clock):
    network.script = archive(octets, status=0x0213, report=False)
    with pytest.raises(OperationFailedError, match="0213H") as caught:
        await commit(network.peer, REQUEST, CommitmentSettings())
    assert caught.value.exit_code == 75
    await network.finished()  # released, as it should be


async def test_no_report(network, octets, autojump_clock):
    network.script = archive(octets, report=False)
    with pytest.raises(PeerTimeoutError, match="--port") as caught:
        await commit(network.peer, REQUEST, CommitmentSettings(wait=60))
    assert caught.value.exit_code == 75
    assert trio.current_time() == 60
    await network.finished()


async def test_a_peer_that_goes_away_before_its_report(network, octets, autojump_clock):
    network.script = archive(octets, report=False, releases=False)
    with pytest.raises(ConnectionLostError):
        await commit(network.peer, REQUEST, CommitmentSettings())


async def test_a_peer_that_does_not_answer(network, autojump_clock):
    async def say_nothing(peer):
        await peer.pdu()
        await trio.sleep(1000)

    network.script = say_nothing
    with pytest.raises(PeerTimeoutError, match="30 s"):
        await commit(network.peer, REQUEST, CommitmentSettings())


def received(keys, event_type=1, instance=STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE):
    request = NEventReportRQ(
        affected_sop_class_uid=STORAGE_COMMITMENT_PUSH_MODEL,
        message_id=1,
        has_data_set=True,
        affected_sop_instance_uid=instance,
        event_type_id=event_type,
    )
    context = AcceptedContext(
        context_id=1, abstract_syntax=STORAGE_COMMITMENT_PUSH_MODEL, transfer_syntax=IMPLICIT_VR_LITTLE_ENDIAN
    )
    sink = IdentifierSink()
    sink.write(memoryview(keys if isinstance(keys, bytes) else encode_identifier(keys, IMPLICIT_VR_LITTLE_ENDIAN)))
    return Received(context, request, sink)


@pytest.mark.parametrize(
    ("keys", "options", "status"),
    [
        ({TRANSACTION: "2.25.7"}, {"event_type": 3}, 0x0113),
        ({TRANSACTION: "2.25.7"}, {"instance": "1.2"}, 0x0112),
        ({}, {}, 0x0120),
        (b"\1\2\3", {}, 0x0110),
    ],
)
def test_a_report_that_makes_no_sense(keys, options, status):
    assert read_result(received(keys, **options)) == status


def test_a_report_that_leaves_an_instance_out_does_not_commit_it():
    result = read_result(received({TRANSACTION: "2.25.7", 0x00081199: [{0x00081150: CT, 0x00081155: "1.9.1"}]}))
    assert result.event_type is EventType.SUCCESSFUL
    first, second = answers(REQUEST, result)
    assert first.committed
    assert not second.committed
    assert second.reason == "the report does not mention it"


def test_an_instance_in_both_lists_is_not_committed():
    result = CommitmentResult("2.25.7", (ONE, TWO), ((ONE, 0x0110), (TWO, 0x7777)))
    assert [each.reason for each in answers(REQUEST, result)] == [
        "0110H: processing failure",
        "7777H: not a reason that the standard defines",
    ]
    assert not any(each.committed for each in answers(REQUEST, result))


def test_each_request_has_a_transaction_of_its_own():
    one, other = new_request([ONE, ONE, TWO]), new_request([ONE])
    assert one.transaction_uid != other.transaction_uid
    assert one.references == (ONE, TWO)
    assert len(one.transaction_uid) <= 64
