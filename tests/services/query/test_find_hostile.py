"""An SCP that breaks the rules of C-FIND: each gets a sentence, what can't go on an A-ABORT, and nothing hangs."""

import pytest
import trio
import trio.lowlevel

from dulcet.dimse.messages import CEchoRSP, CFindRSP, CMoveRSP
from dulcet.dimse.uids import STUDY_ROOT_FIND, VERIFICATION
from dulcet.errors import (
    AssociationAbortedError,
    ConnectionLostError,
    OperationFailedError,
    PeerProtocolError,
    PeerTimeoutError,
)
from dulcet.services.data_sets import MAX_IDENTIFIER_OCTETS
from dulcet.services.find import find, find_contexts
from dulcet.services.requestor import associate
from dulcet.services.retrieving.responses import FOR_EVER, Patience
from dulcet.ul.pdu import AAbort, AReleaseRQ

CONTEXTS = find_contexts([STUDY_ROOT_FIND])
NAME = 0x00100010
KEYS = {0x00080052: "STUDY"}
SUCCESS, PENDING, CANCEL = 0, 0xFF00, 0xFE00


async def count(network, *, patience=FOR_EVER, leave_after=None):
    """Query and count; how many matches came, and what the association was told of the peer."""
    found = 0
    try:
        async with associate(network.peer, CONTEXTS) as association:
            async with find(association, STUDY_ROOT_FIND, KEYS, patience=patience) as matches:
                async for _ in matches:
                    found += 1
                    if found == leave_after:
                        break
            return found, [deviation.explanation for deviation in association.deviations]
    finally:
        await network.finished()


async def everything_from(peer):
    while True:
        await peer.pdu()


async def match_for_ever(scp):
    while True:
        await scp.send(scp.match())
        await trio.sleep(1)


async def aborted(scp, source, reason):
    assert await scp.peer.pdu() == AAbort(source=source, reason=reason)


async def test_an_identifier_larger_than_the_cap(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.octets.message(scp.request.response(status=PENDING, has_data_set=True), context_id=1))
        for _ in range(MAX_IDENTIFIER_OCTETS // 16000 + 1):
            await scp.send(scp.octets.data(bytes(16000), context_id=1, is_last=False))
        await aborted(scp, 2, 6)

    with pytest.raises(PeerProtocolError, match=f"more than {MAX_IDENTIFIER_OCTETS} octets"):
        await count(answering(play))


async def test_pending_for_ever_is_cancelled_when_the_time_is_up(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        with trio.move_on_after(59.5):
            await match_for_ever(scp)
        await scp.send(scp.match())
        await scp.cancel()
        await scp.send(scp.match() + scp.response(CANCEL))
        await aborted(scp, 0, 0)

    started = trio.current_time()
    with pytest.raises(PeerTimeoutError, match="took longer than 60 s, so it was cancelled"):
        await count(answering(play), patience=Patience(response=30, total=60))
    assert trio.current_time() - started == pytest.approx(60, abs=3)


async def test_pending_for_ever_without_a_pause_is_cancelled_too(answering, network, autojump_clock):
    """The clock goes on with what is sent: there is no moment in which everybody waits."""
    network.one_way = None

    async def play(scp):
        await scp.next_request()
        octets = scp.match() * 100
        with trio.CancelScope() as sending:
            async with trio.open_nursery() as nursery:

                async def stop():
                    await scp.cancel()
                    sending.cancel()

                nursery.start_soon(stop)
                while True:
                    await scp.send(octets)
                    autojump_clock.jump(1)
        with pytest.raises((EOFError, OSError, trio.BrokenResourceError)):
            await everything_from(scp.peer)

    with pytest.raises(PeerTimeoutError, match="went on with the C-FIND after it was cancelled"):
        await count(answering(play), patience=Patience(total=30, cancel=30))


async def test_a_silent_peer_is_left_after_the_time_for_a_response(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match())
        await aborted(scp, 0, 0)

    with pytest.raises(PeerTimeoutError, match="no response to the C-FIND within 30 s"):
        await count(answering(play), patience=Patience(response=30))


async def test_pending_for_ever_after_the_cancel_is_aborted(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match())
        await scp.cancel()
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            await match_for_ever(scp)

    started = trio.current_time()
    with pytest.raises(PeerTimeoutError, match="went on with the C-FIND after it was cancelled"):
        await count(answering(play), leave_after=1)
    assert trio.current_time() - started < 20


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("second", ["final", "pending"])
async def test_two_final_responses(answering, second, at_once, autojump_clock):
    async def play(scp):
        await scp.next_request()
        after = scp.response(SUCCESS) if second == "final" else scp.match()
        if at_once:
            await scp.send(scp.match() + scp.response(SUCCESS) + after)
        else:
            await scp.send(scp.match() + scp.response(SUCCESS))
            assert await scp.peer.pdu() == AReleaseRQ()
            await scp.send(after)
        await aborted(scp, 0, 0)

    what = "a C-FIND-RSP after the final one" if at_once else "C-FIND-RSP to Message ID 1, which is not outstanding"
    with pytest.raises(PeerProtocolError, match=what):
        await count(answering(play))


async def test_what_comes_before_a_fault_is_there_first(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A") + scp.match("B") + bytes(6))
        await scp.peer.rest()

    network = answering(play)
    found = []

    async def query():
        async with associate(network.peer, CONTEXTS) as association:
            async for match in find(association, STUDY_ROOT_FIND, KEYS):
                found.append(match.text(NAME))  # noqa: PERF401

    with pytest.raises(PeerProtocolError, match="00H is not a PDU type"):
        await query()
    assert found == ["A", "B"]


@pytest.mark.parametrize("message_id", [0, 2, 65535])
async def test_a_response_with_a_wrong_message_id(answering, message_id, autojump_clock):
    async def play(scp):
        await scp.next_request()
        response = CFindRSP(message_id_being_responded_to=message_id, status=SUCCESS)
        await scp.send(scp.octets.message(response, context_id=1))
        await aborted(scp, 0, 0)

    with pytest.raises(PeerProtocolError, match=f"Message ID {message_id}, which is not outstanding"):
        await count(answering(play))


@pytest.mark.parametrize(
    "response",
    [
        CEchoRSP(message_id_being_responded_to=1, status=SUCCESS, affected_sop_class_uid=VERIFICATION),
        CMoveRSP(message_id_being_responded_to=1, status=SUCCESS),
    ],
    ids=lambda response: response.NAME,
)
async def test_a_response_of_another_service(answering, response, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.octets.message(response, context_id=1))
        await aborted(scp, 0, 0)

    with pytest.raises(PeerProtocolError, match=f"answered a C-FIND-RQ with {response.NAME}"):
        await count(answering(play))


async def test_a_final_response_with_an_identifier_is_understood(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match() + scp.response(SUCCESS, b"\x10\0\x10\0PN\x02\0AB"))
        await scp.release()

    assert await count(answering(play)) == (1, ["a final C-FIND-RSP with an identifier"])


async def test_a_pending_response_without_an_identifier_is_no_match(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match() + scp.response(PENDING) + scp.match() + scp.response(SUCCESS))
        await scp.release()

    assert await count(answering(play)) == (2, ["a pending C-FIND-RSP without an identifier"])


async def test_an_unknown_status_is_a_failure_and_is_named(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match() + scp.response(0x1234))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        with pytest.raises(
            OperationFailedError, match="1234H: Failure: not a code that the standard defines for C-FIND"
        ):
            async for _ in find(association, STUDY_ROOT_FIND, KEYS):
                pass
        assert [deviation.explanation for deviation in association.deviations] == ["1234H is not a code of C-FIND"]
    await network.finished()


async def test_a_response_without_a_status(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        octets = scp.response(SUCCESS)
        without = octets[:-10]  # (0000,0900) is the last element
        await scp.send(without[:5] + bytes([without[5] - 10]) + without[6:9] + bytes([without[9] - 10]) + without[10:])
        await aborted(scp, 2, 6)

    with pytest.raises(PeerProtocolError, match=r"Status \(0000,0900\) is missing"):
        await count(answering(play))


@pytest.mark.parametrize("after", [0, 1])
async def test_the_peer_aborts(answering, after, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(*[scp.match()] * after, AAbort(source=0, reason=0))

    with pytest.raises(AssociationAbortedError, match="the peer aborted"):
        await count(answering(play))


async def test_the_connection_is_lost(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match()[:-3])

    with pytest.raises(ConnectionLostError):
        await count(answering(play))


async def test_a_request_of_the_peer_in_the_middle_of_our_query(answering, octets, autojump_clock):
    """It waits until somebody asks for it; the query is not disturbed."""

    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match() + octets.echo(message_id=7) + scp.match() + scp.response(SUCCESS))
        await scp.release()

    assert await count(answering(play)) == (2, [])
