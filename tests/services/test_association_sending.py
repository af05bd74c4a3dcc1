"""Messages going out: whole, one after the other, and what can still be said when one was cut off."""

import dataclasses

import pytest
import trio
from trio.testing import lockstep_stream_one_way_pair

from dulcet.dimse.messages import CEchoRQ, CStoreRQ, CStoreRSP
from dulcet.errors import (
    AssociationAbortedError,
    PeerProtocolError,
    PeerTimeoutError,
    SourceError,
)
from dulcet.services.data_sets import BytesSource
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.limits import NO_TIMERS
from dulcet.services.requestor import LEAVING_PATIENCE, associate
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.pdu import AAbort, AReleaseRP, AReleaseRQ, PDataTF, decode_pdu

CT, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
CONTEXTS = (VERIFICATION_CONTEXT, PresentationContextRQ.propose(3, CT, (IMPLICIT,)))
ABORT = AAbort(source=0, reason=0).encode()


def store(message_id=1):
    return CStoreRQ(affected_sop_class_uid=CT, message_id=message_id, affected_sop_instance_uid="2.25.7")


class Pieces:
    """A source that gives pieces, and may fail or wait for somebody in between."""

    def __init__(self, *pieces):
        self._pieces = pieces

    def chunks(self, fragment_octets):
        for index, piece in enumerate(self._pieces):
            if isinstance(piece, Exception):
                raise piece
            yield memoryview(piece), index == len(self._pieces) - 1


def accepting(octets, then):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        await then(peer)

    return script


def whole_pdus(octets):
    """(PDUs, what is left of one that was cut off)."""
    pdus = []
    while len(octets) >= 6 and len(octets) >= 6 + int.from_bytes(octets[2:6], "big"):
        end = 6 + int.from_bytes(octets[2:6], "big")
        pdus.append(decode_pdu(octets[:end]).pdu)
        octets = octets[end:]
    return pdus, octets


async def test_a_data_set_goes_out_in_whole_even_fragments_within_the_peers_maximum(network, octets, autojump_clock):
    received = []

    async def then(peer):
        while not (received and received[-1].values[0].is_last and not received[-1].values[0].is_command):
            received.append(await peer.pdu())
        await peer.send(octets.message(store().response(status=0), context_id=3))
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(AReleaseRP())

    octets.max_pdu_length = 129
    network.script = accepting(octets, then)
    data_set = bytes(range(250)) * 4
    async with associate(network.peer, CONTEXTS) as association:
        await association.invoke(3, store(), BytesSource(data_set))
    assert all(len(pdu.encode()) - 6 <= 129 for pdu in received)
    values = [value for pdu in received for value in pdu.values]
    assert all(len(value.fragment) % 2 == 0 for value in values)
    assert {value.context_id for value in values} == {3}
    assert b"".join(value.fragment for value in values if value.is_command) == store().encode()
    assert b"".join(value.fragment for value in values if not value.is_command) == data_set
    assert [value.is_command for value in values] == sorted((value.is_command for value in values), reverse=True)


async def test_a_source_that_fails_between_pdus_is_followed_by_an_abort(network, octets, autojump_clock):
    said = []

    async def then(peer):
        said.append(await peer.rest())

    network.script = accepting(octets, then)
    with pytest.raises(SourceError):
        async with associate(network.peer, CONTEXTS) as association:
            await association.invoke(3, store(), Pieces(bytes(1000), SourceError("it can't be read")))
    await network.finished()
    pdus, cut = whole_pdus(said[0])
    assert cut == b""
    assert pdus[-1] == AAbort(source=0, reason=0)
    assert [type(pdu) for pdu in pdus[:-1]] == [PDataTF, PDataTF]


async def test_after_a_message_that_was_not_sent_to_its_end_no_other_is(network, octets, autojump_clock):
    async def then(peer):
        pdus, cut = whole_pdus(await peer.rest())
        assert (len(pdus), pdus[-1], cut) == (3, AAbort(source=0, reason=0), b"")

    network.script = accepting(octets, then)
    async with associate(network.peer, CONTEXTS) as association:
        with pytest.raises(SourceError):
            await association.invoke(3, store(), Pieces(bytes(1000), SourceError("it can't be read")))
        for _ in range(2):
            with pytest.raises(AssociationAbortedError, match="could not be sent to its end"):
                await echo(association)
        await association.abort()
    await network.finished()


async def test_a_source_that_fails_at_once_costs_nothing(network, octets, autojump_clock):
    async def then(peer):
        assert (await peer.message()).NAME == "C-ECHO-RQ"
        await peer.send(
            octets.message(CEchoRQ(affected_sop_class_uid="", message_id=1).response(status=0), context_id=1)
        )
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(AReleaseRP())

    network.script = accepting(octets, then)
    async with associate(network.peer, CONTEXTS) as association:
        with pytest.raises(SourceError):
            await association.invoke(3, store(), Pieces(SourceError("it can't be read")))
        await echo(association)
    await network.finished()
    assert association.failure is None


@pytest.mark.parametrize("cancelled_at", [0.0, 5.0], ids=["at once", "while it waits"])
@pytest.mark.parametrize("read_after", [0.5, 10.0], ids=["while we leave", "later"])
async def test_cancelled_inside_a_pdu_the_connection_is_closed_and_nothing_follows(
    network, octets, cancelled_at, read_after, autojump_clock
):
    said = []

    async def then(peer):
        await trio.sleep(cancelled_at + read_after)
        said.append(await peer.rest())

    network.one_way = None
    network.script = accepting(octets, then)
    async with associate(network.peer, CONTEXTS) as association:
        with trio.move_on_after(cancelled_at) as scope:
            await association.invoke(3, store(), BytesSource(bytes(10_000_000)))
        assert scope.cancelled_caught
        await association.abort()
    await network.finished()
    pdus, cut = whole_pdus(said[0])
    assert len(said[0]) < 10_000_000
    assert all(isinstance(pdu, PDataTF) for pdu in pdus)
    assert cut
    assert cut[0] == PDataTF.PDU_TYPE
    assert not cut.endswith(ABORT)


async def test_cancelled_for_one_operation_inside_a_pdu_no_other_is_sent(network, octets, autojump_clock):
    async def then(peer):
        await trio.sleep(10)
        pdus, _ = whole_pdus(await peer.rest())
        assert all(isinstance(pdu, PDataTF) for pdu in pdus)

    network.one_way = None
    network.script = accepting(octets, then)
    async with associate(network.peer, CONTEXTS) as association:
        with trio.move_on_after(5):
            await association.invoke(3, store(), BytesSource(bytes(10_000_000)))
        with pytest.raises(AssociationAbortedError, match="could not be sent to its end"):
            await echo(association)
    await network.finished()


async def test_a_peer_that_does_not_read_is_given_up(network, octets, autojump_clock):
    async def then(peer):
        await trio.sleep(1000)

    network.one_way = lockstep_stream_one_way_pair
    network.script = accepting(octets, then)
    limits = dataclasses.replace(NO_TIMERS, write_stall=30)
    start = trio.current_time()
    with pytest.raises(PeerTimeoutError, match="does not read what it is sent"):
        async with associate(network.peer, CONTEXTS, limits=limits) as association:
            await association.invoke(3, store(), BytesSource(bytes(10_000)))
    assert trio.current_time() == start + 30


async def test_an_abort_does_not_wait_for_ever_for_the_message_before_it(network, octets, autojump_clock):
    """The peer breaks the protocol while it doesn't read what we send: the A-ABORT can't get out."""

    async def then(peer):
        await peer.stream.receive_some(100)
        await peer.send(b"\x99")
        await trio.sleep(1000)

    network.one_way = lockstep_stream_one_way_pair
    network.script = accepting(octets, then)
    start = trio.current_time()

    async def send(association):
        with pytest.raises(PeerProtocolError):
            await association.start(3, store(), BytesSource(bytes(10_000)))

    async def send_and_read(association):
        network.nursery.start_soon(send, association)
        await association.next_request()

    with pytest.raises(PeerProtocolError, match="type 99H is not a PDU type"):
        async with associate(network.peer, CONTEXTS) as association:
            await send_and_read(association)
    assert trio.current_time() - start <= 1.0 + LEAVING_PATIENCE


async def test_messages_of_several_tasks_do_not_mix(network, octets, autojump_clock):
    octets.max_pdu_length = 64
    order = []

    async def then(peer):
        for _ in range(5):
            message, data_set = await peer.whole_message()
            assert data_set == bytes((message.message_id,)) * 1000
            order.append(message.message_id)
        for message_id in reversed(order):
            await peer.send(octets.message(store(message_id).response(status=0), context_id=3))
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(AReleaseRP())

    async def accept(peer):
        await peer.send(octets.accept(await peer.pdu(), items=(octets.window(5),)))
        await then(peer)

    network.one_way = lockstep_stream_one_way_pair
    network.script = accept
    statuses = {}

    async def send(association, message_id):
        received = await association.invoke(3, store(message_id), BytesSource(bytes((message_id,)) * 1000))
        statuses[message_id] = (received.message.message_id, received.message.status)

    async with (
        associate(network.peer, CONTEXTS, user_items=(octets.window(5),)) as association,
        trio.open_nursery() as nursery,
    ):
        for message_id in range(1, 6):
            nursery.start_soon(send, association, message_id)
    await network.finished()
    assert statuses == {message_id: (message_id, 0) for message_id in range(1, 6)}


async def test_cancelled_while_a_fault_is_being_answered_the_association_is_over_all_the_same(
    network, octets, autojump_clock
):
    """The A-ABORT of AA-8 is on its way when the caller loses patience: the fault is not forgotten."""

    async def then(peer):
        await peer.message()
        await peer.send(b"\x99")
        await trio.sleep(100)

    def lose_patience(step):
        if step.action.name == "AA-8":
            scope.cancel()

    network.script = accepting(octets, then)
    async with associate(network.peer, CONTEXTS, on_transition=lose_patience) as association:
        with trio.CancelScope() as scope:
            await echo(association)
        assert scope.cancelled_caught
        assert isinstance(association.failure, PeerProtocolError)
        with pytest.raises(PeerProtocolError):
            await echo(association)


async def test_an_error_while_the_answer_to_a_fault_is_sent_does_not_hide_the_fault(network, octets, autojump_clock):
    async def then(peer):
        await peer.message()
        await peer.send(b"\x99")
        peer.close()

    network.script = accepting(octets, then)
    with pytest.raises(PeerProtocolError, match="type 99H is not a PDU type"):
        async with associate(network.peer, CONTEXTS) as association:
            await echo(association)


async def test_an_abort_that_came_before_the_connection_broke_is_what_happened(network, octets, autojump_clock):
    async def then(peer):
        await peer.send(AAbort(source=2, reason=2))

    network.one_way = None
    network.script = accepting(octets, then)
    async with associate(network.peer, CONTEXTS) as association:
        await network.finished()
        with pytest.raises(AssociationAbortedError) as caught:
            await echo(association)
    assert caught.value.by_peer


async def test_a_response_before_the_request_is_whole(network, octets, autojump_clock):
    """An early failure response (PS3.7 9.1.1.2): the request is sent to its end, then the response is there."""

    async def then(peer):
        response = CStoreRSP(message_id_being_responded_to=1, status=0xA700)
        await peer.send(octets.message(response, context_id=3))
        await peer.whole_message()
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(AReleaseRP())

    octets.max_pdu_length = 64
    network.script = accepting(octets, then)
    async with associate(network.peer, CONTEXTS) as association:
        received = await association.invoke(3, store(), BytesSource(bytes(1000)))
    assert received.message.status == 0xA700
    await network.finished()
