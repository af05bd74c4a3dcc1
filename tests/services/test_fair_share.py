"""The processor is shared: who used much stands in one queue, who used little does not."""

import pytest
import trio

from dulcet.services import fair_share
from dulcet.services.fair_share import OPERATION, SHARE, SLICE, FairShare


class Clock:
    """The processor's time."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(fair_share, "perf_counter", clock)
    return clock


def test_a_slice_is_used_up_by_working(clock):
    share = FairShare()
    assert not share.used()
    clock.now += 0.9 * SLICE
    assert not share.used()
    clock.now += 0.2 * SLICE
    assert share.used()


def test_waiting_uses_nothing_and_gives_a_little_back(clock):
    share = FairShare()
    clock.now += 0.9 * SLICE
    share.used()
    clock.now += SLICE / SHARE / 2
    share.went_on()
    clock.now += 0.5 * SLICE
    assert not share.used()
    clock.now += 1000.0
    share.went_on()
    clock.now += 0.9 * SLICE
    assert not share.used(), "what is given back is no treasure"
    clock.now += 0.2 * SLICE
    assert share.used()


def test_operations_have_a_price(clock):
    share = FairShare()
    for _ in range(round(SLICE / OPERATION)):
        assert not share.used()
        share.charge(OPERATION)
    share.charge(OPERATION)
    assert share.used()


async def test_of_many_with_much_to_do_one_goes_on_in_each_round(autojump_clock):
    """So a round takes as long as one slice, however many there are."""
    heavy, rounds = [], []

    async def much_to_do(number):
        share = FairShare()
        while True:
            heavy.append(number)
            await share.let_others()

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(much_to_do, number)
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        for _ in range(40):
            before = len(heavy)
            await trio.lowlevel.checkpoint()
            rounds.append(len(heavy) - before)
        nursery.cancel_scope.cancel()
    assert max(rounds) <= 2, "in which order tasks run within a round is left to trio"
    assert len(rounds) - 2 <= sum(rounds) <= len(rounds) + 2
    turns = heavy[8:40]
    assert turns == turns[:8] * 4, "they take turns"


async def test_alone_it_goes_on_after_one_round(clock):
    share = FairShare()
    clock.now += 2 * SLICE
    assert share.used()
    rounds = 0

    async def count():
        nonlocal rounds
        while True:
            rounds += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await trio.lowlevel.checkpoint()
        before = rounds
        with trio.testing.assert_checkpoints():
            await share.let_others()
        assert rounds - before <= 2
        nursery.cancel_scope.cancel()
    assert not share.used()


async def test_who_is_cancelled_in_the_queue_leaves_it():
    first, second, third = FairShare(), FairShare(), FairShare()
    gone = []

    async def wait(share):
        await share.let_others()
        gone.append(share)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, first)
        with trio.CancelScope() as scope:
            scope.cancel()
            await second.let_others()
        assert scope.cancelled_caught
        nursery.start_soon(wait, third)
    assert set(gone) == {first, third}
