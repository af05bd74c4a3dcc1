"""Every timer at its very moment, and no peer that holds a place for longer by saying little."""

from contextlib import suppress
from dataclasses import replace

import pytest
import trio
from trio.testing import lockstep_stream_one_way_pair

from dulcet.dimse.messages import CEchoRQ
from dulcet.dimse.status import SUCCESS
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import ConnectionLostError, PeerTimeoutError
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.limits import NO_TIMERS, Limits
from dulcet.services.requestor import associate
from dulcet.services.timers import NEVER, Expiry, Timers
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AETitle, AReleaseRP, AReleaseRQ

ABORT = AAbort(source=0, reason=0).encode()


async def until_the_end(served, *, closes=True):
    """(what the peer still got, when) up to the end of the connection."""
    octets = bytearray()
    moment = None
    while received := await served.peer.stream.receive_some():
        octets += received
        moment = trio.current_time()
        if closes:
            served.peer.close()
            break
    return bytes(octets), moment if octets else trio.current_time()


async def dribble(served, parts, seconds=5.0):
    """A part (an octet, if they are octets) every few seconds, for as long as the other end takes them."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        for part in parts:
            await served.peer.send(bytes((part,)) if isinstance(part, int) else part)
            await trio.sleep(seconds)


# ARTIM --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("artim", [10.0, 0.5, 77.0])
async def test_a_peer_that_says_nothing_is_dropped_when_artim_expires(scp, artim, autojump_clock):
    served = scp(artim=artim)
    assert await until_the_end(served) == (b"", artim)
    error = await served.end()
    assert isinstance(error, PeerTimeoutError)
    assert str(error).startswith("ARTIM expired")
    assert served.transitions == ["Evt5 AE-5 Sta2", "Evt18 AA-2 Sta1"]


@pytest.mark.parametrize("cut", [1, 3, 6, 100])
async def test_half_a_request_does_not_stop_artim(scp, octets, cut, autojump_clock):
    served = scp()
    await trio.sleep(4)
    await served.peer.send(octets.request().encode()[:cut])
    assert await until_the_end(served) == (b"", 10.0)
    assert isinstance(await served.end(), PeerTimeoutError)


async def test_octets_that_trickle_in_do_not_restart_artim(scp, octets, nursery, autojump_clock):
    served = scp()
    nursery.start_soon(dribble, served, octets.request().encode())
    assert await until_the_end(served) == (b"", 10.0)
    await served.end()


async def test_a_request_in_the_last_moment_is_in_time(scp, octets, autojump_clock):
    served = scp()
    await trio.sleep(9.999)
    await served.associate(octets)
    served.peer.close()
    await served.end()


async def rejects(served, octets):
    await served.peer.send(octets.request(called_ae_title=AETitle("OTHER")))
    assert isinstance(await served.peer.pdu(), AAssociateRJ)


async def releases(served, octets):
    await served.associate(octets)
    await served.peer.send(AReleaseRQ())
    assert isinstance(await served.peer.pdu(), AReleaseRP)


async def is_aborted(served, octets):
    await served.associate(octets)
    await served.peer.send(b"\x99")
    assert isinstance(await served.peer.pdu(), AAbort)


async def is_aborted_in_sta2(served, octets):
    await served.peer.send(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(await served.peer.pdu(), AAbort)


async def is_aborted_in_a_message(served, octets):
    await served.associate(octets)
    await served.peer.send(octets.store(b"\0\0", is_last=False), b"\x99")
    assert isinstance(await served.peer.pdu(), AAbort)


STA13 = [rejects, releases, is_aborted, is_aborted_in_sta2, is_aborted_in_a_message]


@pytest.mark.parametrize("way", STA13, ids=lambda way: way.__name__)
@pytest.mark.parametrize("how", ["silent", "dribbles", "floods"])
async def test_a_peer_that_does_not_close_in_sta13(scp, octets, nursery, way, how, autojump_clock):
    served = scp(min_rate_window=3.0, pdu=2.0, idle=1.0)  # none of these counts any more
    await trio.sleep(1.5)
    await way(served, octets)
    assert trio.current_time() == 1.5
    if how != "silent":
        said = octets.store(bytes(1000)) if how == "dribbles" else [octets.echo() * 100] * 1000
        nursery.start_soon(dribble, served, said, 0.5 if how == "dribbles" else 0.05)
    if how != "floods":
        assert await until_the_end(served) == (b"", 11.5)
    await served.over.wait()
    assert served.ended_at == 11.5
    assert served.transitions[-1] == "Evt18 AA-2 Sta1"


async def test_waiting_in_sta13_takes_no_processor(scp, octets, monkeypatch, autojump_clock):
    """A message was under way, and its own timer would end before ARTIM."""
    served = scp(min_rate_window=3.0)
    await is_aborted_in_a_message(served, octets)
    fills = 0
    fill = type(served.association)._fill

    async def counted(association):
        nonlocal fills
        fills += 1
        await fill(association)

    monkeypatch.setattr(type(served.association), "_fill", counted)
    await served.over.wait()
    assert served.ended_at == 10.0
    assert fills <= 1


# In an association --------------------------------------------------------------------------------------------------


async def test_an_idle_association_is_aborted(scp, octets, autojump_clock):
    served = scp(idle=60.0)
    await trio.sleep(3)
    await served.associate(octets)
    assert await until_the_end(served) == (ABORT, 63.0)
    assert str(await served.end()) == Expiry.IDLE.value


async def test_every_pdu_restarts_idle(scp, octets, autojump_clock):
    served = scp(idle=60.0)
    await served.associate(octets)
    for _ in range(5):
        await trio.sleep(59.9)
        await served.peer.send(octets.echo())
        await served.peer.message()
    assert await until_the_end(served) == (ABORT, 59.9 * 5 + 60.0)


@pytest.mark.parametrize("window", [1, 3])
async def test_idle_starts_when_an_operation_has_ended(scp, octets, store, window, autojump_clock):
    store.seconds = 100.0
    served = scp(idle=60.0, operations_invoked=3)
    await served.peer.send(octets.request(items=(octets.window(window),)))
    assert isinstance(await served.peer.pdu(), AAssociateAC)
    await served.peer.send(octets.store(b"\0\0"))
    assert (await served.peer.message()).status == SUCCESS
    assert trio.current_time() == 100.0
    assert await until_the_end(served) == (ABORT, 160.0)
    assert str(await served.end()) == Expiry.IDLE.value


async def test_idle_waits_for_every_operation(scp, octets, store, autojump_clock):
    served = scp(idle=60.0, operations_invoked=3)

    async def perform(association, received):
        await trio.sleep({1: 10.0, 2: 200.0}[received.message.message_id])
        await association.send(3, received.message.response(status=SUCCESS))

    store.perform = perform
    await served.peer.send(octets.request(items=(octets.window(3),)))
    assert isinstance(await served.peer.pdu(), AAssociateAC)
    await served.peer.send(octets.store(b"\0\0", message_id=1), octets.store(b"\0\0", message_id=2))
    assert [(await served.peer.message()).message_id for _ in range(2)] == [1, 2]
    assert await until_the_end(served) == (ABORT, 260.0)


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
async def test_a_pdu_must_be_whole_in_time(scp, octets, cut, autojump_clock):
    served = scp(pdu=30.0, idle=60.0)
    await served.associate(octets)
    await trio.sleep(7)
    await served.peer.send(octets.echo()[:cut])
    assert await until_the_end(served) == (ABORT, 37.0)
    assert str(await served.end()) == Expiry.PDU.value


async def test_octets_that_trickle_in_do_not_restart_the_timer_of_a_pdu(scp, octets, nursery, autojump_clock):
    served = scp(pdu=30.0)
    await served.associate(octets)
    nursery.start_soon(dribble, served, octets.echo())
    assert await until_the_end(served) == (ABORT, 30.0)
    assert str(await served.end()) == Expiry.PDU.value


async def test_the_next_pdu_has_all_its_time(scp, octets, autojump_clock):
    served = scp(pdu=30.0)
    await served.associate(octets)
    echo = octets.echo()
    for _ in range(3):
        await served.peer.send(echo[:10])
        await trio.sleep(29)
        await served.peer.send(echo[10:])
        await served.peer.message()
    served.peer.close()
    assert isinstance(await served.end(), ConnectionLostError)


async def test_a_message_in_drops_is_aborted(scp, octets, nursery, store, autojump_clock):
    served = scp(min_rate_octets=1024, min_rate_window=60.0, pdu=30.0)
    await served.associate(octets)

    async def store_in_drops():
        await served.peer.send(octets.store(b"\0\0", is_last=False))
        for _ in range(100):
            await trio.sleep(5)
            await served.peer.send(octets.data(b"\0\0", is_last=False))

    nursery.start_soon(_until_broken, store_in_drops)
    assert await until_the_end(served) == (ABORT, 60.0)
    assert str(await served.end()) == Expiry.RATE.value
    assert store.sinks[0].is_abandoned


async def _until_broken(function):
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await function()


@pytest.mark.parametrize("per_second", [1000, 1050, 1100])
async def test_the_least_rate(scp, octets, nursery, per_second, autojump_clock):
    """Octets are counted as they come, headers too; just enough is enough."""
    served = scp(min_rate_octets=1024, min_rate_window=60.0)
    await served.associate(octets)

    async def store_slowly():
        await served.peer.send(octets.store(b"\0\0", is_last=False))
        for _ in range(200):
            await trio.sleep(1)
            await served.peer.send(octets.data(bytes(per_second - 12), is_last=False))
        await served.peer.send(octets.data(b"\0\0"))

    nursery.start_soon(_until_broken, store_slowly)
    if per_second < 1024:
        assert await until_the_end(served) == (ABORT, 60.0)
    else:
        assert (await served.peer.message()).status == SUCCESS
        assert trio.current_time() == 200.0
        served.peer.close()
    await served.end()


@pytest.mark.parametrize(("octets_in_window", "expiry"), [(600, None), (599, Expiry.RATE)])
async def test_exactly_the_least_rate_is_enough(octets_in_window, expiry, autojump_clock):
    timers = Timers(Limits(min_rate_octets=10, min_rate_window=60.0))
    for _ in range(3 if expiry is None else 1):
        end = timers.deadline(0, is_in_message=True, is_idle=False)
        assert end == trio.current_time() + 60.0
        timers.received(500)
        await trio.sleep(30)
        timers.received(octets_in_window - 500)
        assert timers.deadline(0, is_in_message=True, is_idle=False) == end
        await trio.sleep_until(end)
        assert timers.why_expired() is expiry


async def test_the_time_that_we_take_is_not_the_peers(scp, octets, store, autojump_clock):
    """A slow disk: each fragment takes ten seconds to be written."""
    served = scp(min_rate_octets=1024, min_rate_window=60.0)
    await served.associate(octets)
    store.on_write = lambda: autojump_clock.jump(10.0)
    await served.peer.send(octets.store(b"\0\0", is_last=False))
    for _ in range(10):
        await trio.testing.wait_all_tasks_blocked()
        await served.peer.send(octets.data(b"\0\0", is_last=False))
    await trio.testing.wait_all_tasks_blocked()
    await served.peer.send(octets.data(b"\0\0"))
    assert (await served.peer.message()).status == SUCCESS
    assert trio.current_time() == 120.0
    served.peer.close()
    await served.end()


async def test_a_message_that_begins_fast_and_stops(scp, octets, autojump_clock):
    served = scp(min_rate_octets=1024, min_rate_window=60.0)
    await served.associate(octets)
    await served.peer.send(octets.store(b"\0\0", is_last=False))
    await trio.testing.wait_all_tasks_blocked()
    await served.peer.send(octets.data(bytes(100_000), is_last=False))
    assert await until_the_end(served) == (ABORT, 120.0)  # a window that was good, and one in which nothing came


async def test_what_the_peer_could_not_send_is_not_held_against_it(scp, octets, store, autojump_clock):
    """Nobody reads while as many operations go on as were agreed on: half a message waits, and half a PDU."""
    store.seconds = 100.0
    served = scp(operations_invoked=2, pdu=30.0, min_rate_window=60.0, idle=None)
    await served.peer.send(octets.request(items=(octets.window(2),)))
    assert isinstance(await served.peer.pdu(), AAssociateAC)
    requests = [octets.store(b"\0\0", message_id=number) for number in range(1, 5)]
    await served.peer.send(*requests[:3], requests[3][:50])
    assert {(await served.peer.message()).message_id for _ in range(2)} == {1, 2}
    assert trio.current_time() == 100.0
    await trio.sleep(29)
    await served.peer.send(requests[3][50:])
    assert {(await served.peer.message()).message_id for _ in range(2)} == {3, 4}
    served.peer.close()
    assert isinstance(await served.end(), ConnectionLostError)


async def test_a_peer_that_does_not_read_our_answers(scp, octets, autojump_clock):
    served = scp(one_way=lockstep_stream_one_way_pair, write_stall=30.0)

    async def send():
        await served.peer.send(octets.request())
        await served.peer.send(octets.echo())

    await _alone(send)
    await served.over.wait()
    assert isinstance(served.ended[0], PeerTimeoutError)
    assert str(served.ended[0]) == "the peer does not read what it is sent"
    assert served.ended_at == 30.0


async def _alone(function):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_until_broken, function)


async def test_an_association_does_not_last_for_ever(scp, octets, nursery, autojump_clock):
    served = scp(association=24 * 3600.0)
    await served.associate(octets)

    async def echo():
        while True:
            await trio.sleep(50)
            await served.peer.send(octets.echo())
            await served.peer.message()

    nursery.start_soon(_until_ended, echo)
    await served.over.wait()
    assert served.ended_at == 24 * 3600.0 + 10.0  # the peer does not close: ARTIM
    assert str(served.ended[0]) == Expiry.ASSOCIATION.value


async def _until_ended(function):
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError, EOFError, AssertionError):
        await function()


@pytest.mark.parametrize("asked", [True, False])
async def test_an_association_that_may_last_no_longer_than_artim(scp, octets, asked, autojump_clock):
    served = scp(association=4.0, artim=10.0)
    if asked:
        await served.associate(octets)
        assert await until_the_end(served) == (ABORT, 4.0)
    else:  # there is no association yet
        assert await until_the_end(served) == (b"", 10.0)
    assert str(await served.end()) == (Expiry.ASSOCIATION if asked else Expiry.ARTIM).value


async def test_without_timers_nothing_expires(scp, octets, autojump_clock):
    served = scp(idle=None, pdu=None, min_rate_window=None, write_stall=None, association=None)
    await served.associate(octets)
    store = octets.store(bytes(100))
    for start in range(0, len(store), 40):
        await trio.sleep(80_000)
        await served.peer.send(store[start : start + 40])
    assert (await served.peer.message()).status == SUCCESS
    served.peer.close()
    await served.end()


# As requestor -------------------------------------------------------------------------------------------------------


async def accepts_and_waits(peer, octets, first):
    await peer.send(octets.accept(await peer.pdu()))
    assert (await peer.message()).message_id == 1
    await trio.sleep(first)
    request = CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=1)
    await peer.send(octets.message(request.response(status=SUCCESS), context_id=1))
    assert (await peer.message()).message_id == 2
    assert await peer.pdu() == AAbort(source=0, reason=0)


@pytest.mark.parametrize("first", [0.0, 19.0])
async def test_a_response_that_does_not_come(network, octets, first, autojump_clock):
    network.script = lambda peer: accepts_and_waits(peer, octets, first)
    limits = replace(NO_TIMERS, response=20.0)
    async with associate(network.peer, (VERIFICATION_CONTEXT,), limits=limits) as association:
        assert (await echo(association)).seconds == first
        await trio.sleep(50)  # nothing is outstanding
        with pytest.raises(PeerTimeoutError) as caught:
            await echo(association)
    assert trio.current_time() == first + 50.0 + 20.0
    assert str(caught.value) == Expiry.RESPONSE.value


def test_a_requestor_leaves_time_to_its_caller():
    assert (NO_TIMERS.idle, NO_TIMERS.pdu, NO_TIMERS.min_rate_window) == (None, None, None)
    assert (NO_TIMERS.write_stall, NO_TIMERS.association) == (None, None)


async def test_the_deadline_of_nothing(autojump_clock):
    timers = Timers(NO_TIMERS)
    assert timers.deadline(0, is_in_message=False, is_idle=True) == NEVER
    timers.start_artim()
    assert timers.deadline(100, is_in_message=True, is_idle=False) == trio.current_time() + Limits().artim
    timers.stop_artim()
    assert timers.deadline(100, is_in_message=True, is_idle=False) == NEVER
