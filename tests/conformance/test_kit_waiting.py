"""Patience is counted while the kit runs: a halt of the machine takes none of it, and what came meanwhile is heard."""

import math

import pytest
import trio
import trio.testing

from dulcet.conformance.kit.catalogue import acceptor_cases
from dulcet.conformance.kit.exchange import Wire
from dulcet.conformance.kit.product import Patience, Product
from dulcet.conformance.kit.raw_peer import RawPeer
from dulcet.conformance.kit.runner import play
from dulcet.conformance.kit.verdict import Verdict
from dulcet.conformance.kit.waiting import LATE_SECONDS, PIECE_SECONDS, within

HALT_SECONDS = 60


@pytest.mark.parametrize("seconds", [0.02, 0.25, 0.4, 2.0, 5.0])
async def test_silence_is_told_after_the_time_and_not_earlier(seconds, autojump_clock):
    began = trio.current_time()
    assert await within(seconds, trio.sleep_forever) is None
    assert trio.current_time() - began == pytest.approx(seconds)


async def test_what_comes_is_given_and_nothing_is_lost(autojump_clock):
    sender, receiver = trio.open_memory_channel[int](math.inf)

    async def send():
        for number in range(40):
            await trio.sleep(PIECE_SECONDS / 3)
            sender.send_nowait(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        assert [await within(2, receiver.receive) for _ in range(40)] == list(range(40))
        assert await within(2, receiver.receive) is None


async def test_an_error_is_passed_on(autojump_clock):
    sender, receiver = trio.open_memory_channel[int](0)
    sender.close()
    with pytest.raises(trio.EndOfChannel):
        await within(2, receiver.receive)


@pytest.mark.parametrize("after", [0.0, 0.1, 1.0, 1.9])
async def test_a_halt_takes_no_patience(after, autojump_clock):
    """The whole machine stands still; the answer needs a second more then."""
    answered = trio.Event()

    async def halt():
        await trio.sleep(after)
        autojump_clock.jump(HALT_SECONDS)
        await trio.sleep(2.0 - after - 0.05)
        answered.set()

    async def answer():
        await answered.wait()
        return "answer"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(halt)
        assert await within(2, answer) == "answer"


async def test_after_halts_the_rest_of_the_time_is_waited_and_no_more(autojump_clock):
    began = trio.current_time()

    async def halts():
        for _ in range(5):
            await trio.sleep(PIECE_SECONDS / 2)
            autojump_clock.jump(HALT_SECONDS)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(halts)
        assert await within(2, trio.sleep_forever) is None
    awake = trio.current_time() - began - 5 * HALT_SECONDS
    assert 2 <= awake <= 2 + 5 * (PIECE_SECONDS + LATE_SECONDS)


async def test_a_machine_that_is_always_late_makes_no_wait_endless(autojump_clock):
    async def halts():
        while True:
            await trio.sleep(PIECE_SECONDS / 2)
            autojump_clock.jump(HALT_SECONDS)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(halts)
        assert await within(2, trio.sleep_forever) is None
        nursery.cancel_scope.cancel()


async def test_what_lay_in_the_socket_all_the_time_is_no_silence(autojump_clock, nursery):
    """The deadline had long passed when the kit went on, and the octets were there before."""
    near, far = trio.testing.memory_stream_pair()
    peer = RawPeer(near, Wire(1), trio.current_time())
    nursery.start_soon(peer.run)

    async def halt():
        await trio.sleep(0.1)
        autojump_clock.jump(HALT_SECONDS)
        await far.send_all(b"\6\0\0\0\0\4\0\0\0\0")

    nursery.start_soon(halt)
    assert str(await peer.outcome(2.0)) == "RP"
    assert str(await peer.outcome(2.0)) == "SILENCE"


class LeavesAtARTIM(trio.abc.Stream):
    """A product that waits for an A-ASSOCIATE-RQ for `artim` seconds, and closes."""

    def __init__(self, artim):
        self.closes_at = trio.current_time() + artim

    async def receive_some(self, max_bytes=None):
        await trio.sleep_until(self.closes_at)
        return b""

    async def send_all(self, data):
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self):
        await trio.lowlevel.checkpoint()

    async def aclose(self):
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("artim", "declared", "verdict", "code"),
    [
        (60, 30, Verdict.PASS, ""),
        (0.5, 30, Verdict.FAIL, "CLOSED"),  # it had no right to
        (0.5, 0.5, Verdict.INCONCLUSIVE, "PRECONDITION"),
    ],
)
@pytest.mark.parametrize("case_id", ["ul.tcp.accept-silent", "ul.fsm.Sta1.Evt5"])
async def test_a_close_that_artim_explains_is_no_fault(
    case_id, artim, declared, verdict, code, autojump_clock, monkeypatch
):
    async def connected(host, port):
        await trio.lowlevel.checkpoint()
        return LeavesAtARTIM(artim)

    monkeypatch.setattr(trio, "open_tcp_stream", connected)
    (case,) = (case for case in acceptor_cases() if case.id == case_id)
    product = Product(host="product", port=104, called="A", can_be_probed=False)
    result = await play(case, product, Patience(artim=declared))
    assert (result.verdict, result.judgement.code) == (verdict, code)
