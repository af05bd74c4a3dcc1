"""An association that is asked to end: what is under way is finished, nothing new is begun."""

import itertools

import pytest
import trio

from dulcet.dimse.status import SUCCESS
from dulcet.errors import AssociationAbortedError, PeerTimeoutError
from dulcet.services import fair_share
from dulcet.ul.pdu import AAbort

DATA = bytes(100)


async def ends(served):
    """It is aborted, by us, and says why."""
    assert await served.peer.pdu() == AAbort(source=0, reason=0)
    served.peer.close()
    error = await served.end()
    assert isinstance(error, AssociationAbortedError)
    assert not error.by_peer
    assert str(error) == "we are shutting down"


async def test_idle_it_ends_at_once(scp, octets, autojump_clock):
    served = scp()
    await served.associate(octets)
    await trio.testing.wait_all_tasks_blocked()
    served.association.end()
    await ends(served)
    assert trio.current_time() == served.ended_at


async def test_before_it_has_read_anything(scp, octets, autojump_clock):
    served = scp()
    await served.associate(octets)
    served.association.end()
    await ends(served)


async def test_while_it_lets_others_go_first(scp, octets, monkeypatch, autojump_clock):
    """It has used up its share of the processor, so it does not read just now."""
    monkeypatch.setattr(fair_share, "perf_counter", itertools.count().__next__)
    for _ in range(10):  # in whatever order trio runs tasks
        served = scp()
        await served.associate(octets)
        served.association.end()
        await ends(served)
    assert trio.current_time() == 0.0


async def test_a_message_under_way_is_finished_and_the_next_is_not_begun(scp, octets, store, autojump_clock):
    served = scp()
    await served.associate(octets)
    await served.peer.send(octets.store(DATA, is_last=False))
    await trio.testing.wait_all_tasks_blocked()
    served.association.end()
    await trio.testing.wait_all_tasks_blocked()
    await served.peer.send(octets.data(DATA), octets.store(DATA, message_id=2))
    assert (await served.peer.message()).status == SUCCESS
    await ends(served)
    assert store.performed == [1]


async def test_a_message_under_way_has_the_time_it_had_before(scp, octets, store, autojump_clock):
    served = scp(min_rate_window=60.0)
    await served.associate(octets)
    await served.peer.send(octets.store(DATA, is_last=False))
    await trio.testing.wait_all_tasks_blocked()
    served.association.end()
    assert await served.peer.pdu() == AAbort(source=0, reason=0)
    assert trio.current_time() == pytest.approx(trio.current_time() // 60 * 60)
    served.peer.close()
    assert isinstance(await served.end(), PeerTimeoutError)
    assert store.sinks[0].is_abandoned


async def test_an_operation_under_way_is_answered(scp, octets, store, autojump_clock):
    store.seconds = 5.0
    served = scp()
    await served.associate(octets)
    await served.peer.send(octets.store(DATA))
    await trio.testing.wait_all_tasks_blocked()
    served.association.end()
    assert (await served.peer.message()).status == SUCCESS
    await ends(served)


async def test_operations_at_once_are_all_answered(scp, octets, store, autojump_clock):
    store.seconds = 5.0
    served = scp(operations_invoked=4)
    await served.peer.send(octets.request(items=(octets.window(4),)))
    await served.peer.pdu()
    await served.peer.send(octets.store(DATA, 1), octets.store(DATA, 2), octets.store(DATA, 3, is_last=False))
    await trio.testing.wait_all_tasks_blocked()
    served.association.end()
    served.association.rearm()  # as when one is done before the task that reads is woken
    await trio.testing.wait_all_tasks_blocked()
    await served.peer.send(octets.data(DATA))
    assert [(await served.peer.message()).status for _ in range(3)] == [SUCCESS] * 3
    await ends(served)
    assert sorted(store.performed) == [1, 2, 3]
