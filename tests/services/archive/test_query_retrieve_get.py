"""C-GET as SCP: sub-operations on the same association, only where the peer took the role (PS3.4 C.4.3)."""

import os

import pytest
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset

from dulcet.dimse.messages import CGetRQ, CStoreRQ, CStoreRSP
from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, STUDY_ROOT_GET
from dulcet.services.association import Received
from dulcet.services.retrieving.suboperations import RetrieveLimits, SubOperations
from dulcet.ul.negotiation import AcceptedContext
from dulcet.ul.pdu import AAbort, AReleaseRP, AReleaseRQ

MR = "1.2.840.10008.5.1.4.1.1.4"


def counters(message):
    return (
        message.number_of_remaining_suboperations,
        message.number_of_completed_suboperations,
        message.number_of_failed_suboperations,
        message.number_of_warning_suboperations,
    )


def failed_uids(data_set):
    value = data_set.FailedSOPInstanceUIDList
    return [str(value)] if isinstance(value, str) else list(map(str, value))


async def test_objects_come_on_the_same_association(ask, archive, make_objects, network, autojump_clock):
    archive.found = make_objects(3)
    asking = await ask()
    await asking.get(message_id=9)
    steps = []
    for number in (1, 2, 3):
        request = await asking.answer_store()
        assert request.affected_sop_instance_uid == f"1.9.{number}"
        assert request.move_originator_message_id is None
        message, data_set = await asking.response()
        assert message.message_id == 9
        steps.append((message.status, *counters(message), data_set))
    assert steps == [(0xFF00, 2, 1, 0, 0, None), (0xFF00, 1, 2, 0, 0, None), (0, None, 3, 0, 0, None)]
    assert not network.streams
    await asking.peer.send(AReleaseRQ())
    assert isinstance(await asking.peer.pdu(), AReleaseRP)


async def test_nothing_is_stored_against_the_roles(ask, archive, make_objects, autojump_clock):
    archive.found = make_objects(2)
    asking = await ask(roles=False)
    await asking.get()
    *pending, (message, data_set) = await asking.responses()
    assert (message.status, counters(message)) == (0xA702, (None, 0, 2, 0))
    assert failed_uids(data_set) == ["1.9.1", "1.9.2"]
    assert len(pending) == 1


@pytest.mark.parametrize(
    ("answers", "status", "final"),
    [
        ([0, 0xA700], 0xB000, (None, 1, 1, 0)),
        ([0xA700, 0xC000], 0xA702, (None, 0, 2, 0)),
        ([0xB000, 0], 0xB000, (None, 1, 0, 1)),
        ([0xB000, 0xB000], 0xB000, (None, 0, 0, 2)),
    ],
)
async def test_the_final_status_of_a_get(ask, archive, make_objects, answers, status, final, autojump_clock):
    archive.found = make_objects(2)
    asking = await ask()
    await asking.get()
    for answer in answers:
        await asking.answer_store(answer)
        message, data_set = await asking.response()
    assert (message.status, counters(message)) == (status, final)
    assert (data_set is None) is (final[2] == 0)


async def test_what_the_peer_offers_no_context_for_fails(ask, archive, make_objects, autojump_clock):
    archive.found = [*make_objects(1, MR), *make_objects(1, first=2)]
    asking = await ask()
    await asking.get()
    message, _ = await asking.response()
    assert counters(message) == (1, 0, 1, 0)
    assert (await asking.answer_store()).affected_sop_instance_uid == "1.9.2"
    message, data_set = await asking.response()
    assert (message.status, counters(message)) == (0xB000, (None, 1, 1, 0))
    assert failed_uids(data_set) == ["1.9.1"]


async def test_a_cancel_between_objects(ask, archive, make_objects, autojump_clock):
    archive.found = make_objects(5)
    asking = await ask()
    await asking.get()
    await asking.answer_store()
    await asking.response()
    await asking.peer.whole_message()
    await asking.peer.send(asking.cancel(context_id=7))
    await asking.peer.send(asking.octets.message(_store_response(2), context_id=9))
    *_, (message, data_set) = await asking.responses()
    assert (message.status, data_set, counters(message)) == (0xFE00, None, (3, 2, 0, 0))


def _store_response(message_id):
    return CStoreRSP(message_id_being_responded_to=message_id, status=0)


async def test_a_peer_that_aborts_in_the_middle(ask, archive, make_objects, autojump_clock):
    archive.found = make_objects(5)
    asking = await ask()
    await asking.get()
    await asking.answer_store()
    await asking.response()
    await asking.peer.send(AAbort())
    asking.peer.close()
    assert type(await asking.served.end()).__name__ in ("AssociationAbortedError", "UnconfirmedError")


async def test_a_peer_that_never_answers_an_object(ask, archive, make_objects, autojump_clock):
    archive.found = make_objects(2)
    asking = await ask(response_seconds=60)
    await asking.get()
    await asking.peer.whole_message()
    assert isinstance(await asking.peer.pdu(), AAbort)
    asking.peer.close()
    assert type(await asking.served.end()).__name__ == "PeerTimeoutError"


async def test_no_object_is_a_success(ask, autojump_clock):
    asking = await ask()
    await asking.get()
    ((message, data_set),) = await asking.responses()
    assert (message.status, data_set, counters(message)) == (0, None, (None, 0, 0, 0))


async def test_files_are_closed(ask, archive, make_objects, descriptors, autojump_clock):
    archive.found = make_objects(20)
    os.unlink(archive.found[3].name)
    asking = await ask()
    before = descriptors()
    await asking.get()
    stores = 0
    while stores < 19:
        message, _ = await asking.peer.whole_message()
        if isinstance(message, CStoreRQ):
            stores += 1
            await asking.peer.send(asking.octets.message(message.response(status=0), context_id=9))
    assert (await asking.responses())[-1][0].status == 0xB000
    assert descriptors() == before


async def test_a_list_of_failed_instances_longer_than_its_length_can_count(make_objects):
    """In Explicit VR a UI has a 16-bit length: whole UIDs up to it, the counters tell the rest."""
    sent = []

    class Recorder:
        async def send(self, context_id, message, data_set=None):
            sent.append((message, b"".join(bytes(view) for view, _ in data_set.chunks(1024))))

    request = CGetRQ(affected_sop_class_uid=STUDY_ROOT_GET, message_id=1)
    context = AcceptedContext(context_id=1, abstract_syntax=STUDY_ROOT_GET, transfer_syntax=EXPLICIT_VR_LITTLE_ENDIAN)
    (one,) = make_objects(1)
    counted = SubOperations(Recorder(), Received(context, request, None), [one] * 5000, RetrieveLimits())
    counted.failed = [f"1.2.840.113619.1{number:048}" for number in range(5000)]
    await counted.end(False)
    ((message, octets),) = sent
    assert (message.status, message.number_of_failed_suboperations) == (0xA702, 5000)
    uids = read_dataset(DicomBytesIO(octets), False, True).FailedSOPInstanceUIDList
    assert len(uids) == 0xFFFE // 65
    assert list(map(str, uids)) == counted.failed[: len(uids)]
