"""C-STORE as SCU: what was answered, what was not, and what is therefore unknown."""

from dataclasses import replace

import pytest
import trio

from dulcet.dimse.messages import CStoreRQ, CStoreRSP
from dulcet.dimse.status import SUCCESS
from dulcet.errors import (
    AssociationAbortedError,
    ConnectionLostError,
    PeerProtocolError,
    PeerTimeoutError,
    UnconfirmedError,
)
from dulcet.services.data_sets import BytesSource
from dulcet.services.limits import Limits
from dulcet.services.requestor import associate
from dulcet.services.store import start_store
from dulcet.services.store import store as send_object
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.pdu import AAbort, AReleaseRP, AReleaseRQ

CT, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
CONTEXTS = (PresentationContextRQ.propose(3, CT, (IMPLICIT,)),)
OBJECT = {"sop_class_uid": CT, "sop_instance_uid": "2.25.7"}


async def test_our_two_ends(network, scp, store, autojump_clock):
    served = []
    network.scp = lambda: served.append(scp()) or served[-1]
    data_set = bytes(range(256)) * 1000
    async with associate(network.peer, CONTEXTS) as association:
        for _ in range(2):
            answer = await _send(association, data_set)
            assert (answer.status, answer.error_comment) == (SUCCESS, "")
    assert await served[0].end() is None
    assert [bytes(sink.octets) for sink in store.sinks] == [data_set] * 2


async def _send(association, data_set=b"\0\0"):
    return await send_object(association, 3, data_set=BytesSource(data_set), **OBJECT)


def answering(octets, answer):
    """A peer that takes the object and then says this."""

    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        message, data_set = await peer.whole_message()
        script.received = (message, data_set)
        said = answer(message)
        await peer.send(*([said] if isinstance(said, bytes | AAbort) else [octets.message(said, context_id=3)]))
        if isinstance(said, CStoreRSP):
            pdu = await peer.pdu()
            if pdu == AReleaseRQ():
                await peer.send(AReleaseRP())
            else:
                script.last = pdu

    return script


@pytest.mark.parametrize("status", [0x0000, 0xB000, 0xB006, 0xA700, 0xA900, 0xC123, 0x0117, 0x0124, 0x4242])
async def test_the_peers_status_and_comment_are_told(network, octets, status, autojump_clock):
    comment = "why\x1b[31m"
    network.script = answering(octets, lambda message: replace(message.response(status=status), error_comment=comment))
    async with associate(network.peer, CONTEXTS) as association:
        answer = await _send(association)
    assert (answer.status, answer.error_comment) == (status, "why\x1b[31m")


async def test_what_the_request_says(network, octets, autojump_clock):
    network.script = script = answering(octets, lambda message: message.response(status=SUCCESS))
    async with associate(network.peer, CONTEXTS) as association:
        pending = await start_store(
            association,
            3,
            data_set=BytesSource(b"\1\2\3\4"),
            priority=2,
            move_originator_ae_title="WORKSTATION",
            move_originator_message_id=77,
            **OBJECT,
        )
        assert (await pending.response()).status == SUCCESS
    assert script.received == (
        CStoreRQ(
            affected_sop_class_uid=CT,
            message_id=1,
            priority=2,
            affected_sop_instance_uid="2.25.7",
            move_originator_application_entity_title="WORKSTATION",
            move_originator_message_id=77,
        ),
        b"\1\2\3\4",
    )


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        pytest.param(AAbort(source=2, reason=0), AssociationAbortedError, id="abort"),
        pytest.param(b"", ConnectionLostError, id="end of the connection"),
        pytest.param(b"\x99", PeerProtocolError, id="a fault"),
        pytest.param(AReleaseRQ().encode(), PeerProtocolError, id="release request"),
    ],
)
async def test_sent_whole_and_not_answered_is_unknown(network, octets, said, cause, autojump_clock):
    network.script = answering(octets, lambda message: said)
    with pytest.raises(UnconfirmedError, match="sent whole, then no answer: ") as caught:
        async with associate(network.peer, CONTEXTS) as association:
            await _send(association)
    assert isinstance(caught.value.__cause__, cause)
    assert caught.value.exit_code == 75


async def test_no_answer_in_time_is_unknown(network, octets, autojump_clock):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        await peer.whole_message()
        await peer.rest()

    network.script = script
    with pytest.raises(UnconfirmedError) as caught:
        async with associate(network.peer, CONTEXTS, limits=Limits(idle=None, response=30.0)) as association:
            await _send(association)
    assert isinstance(caught.value.__cause__, PeerTimeoutError)


async def test_lost_before_it_was_sent_whole_is_not_stored(network, octets, autojump_clock):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        await peer.stream.receive_some(1000)

    network.one_way = None
    network.script = script
    with pytest.raises(ConnectionLostError):
        async with associate(network.peer, CONTEXTS) as association:
            await _send(association, bytes(10_000_000))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"affected_sop_instance_uid": "2.25.8"}, "about another SOP instance", id="another instance"),
        pytest.param({"message_id_being_responded_to": 9}, "sent whole, then no answer", id="another Message ID"),
    ],
)
async def test_a_success_about_something_else_is_no_success(network, octets, change, sentence, autojump_clock):
    network.script = script = answering(octets, lambda message: message.response(status=SUCCESS, **change))
    with pytest.raises((PeerProtocolError, UnconfirmedError), match=sentence):
        async with associate(network.peer, CONTEXTS) as association:
            await _send(association)
    await network.finished()
    assert script.last == AAbort(source=0, reason=0)


async def test_a_success_without_the_instance_is_one(network, octets, autojump_clock):
    network.script = answering(octets, lambda message: message.response(status=SUCCESS, affected_sop_instance_uid=None))
    async with associate(network.peer, CONTEXTS) as association:
        assert (await _send(association)).status == SUCCESS


async def test_cancelled_while_it_waits(network, octets, autojump_clock):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        await peer.whole_message()
        assert await peer.pdu() == AAbort(source=0, reason=0)

    network.script = script
    with trio.move_on_after(5) as scope:
        async with associate(network.peer, CONTEXTS) as association:
            await _send(association)
    assert scope.cancelled_caught
    await network.finished()
