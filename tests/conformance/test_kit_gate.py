"""A product that takes connections one after the other: a case that it leaves waiting keeps no other case waiting."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import trio
import trio.testing

from dulcet.conformance.kit.configuration import Declaration
from dulcet.conformance.kit.gate import Gate
from dulcet.conformance.kit.preflight import look_at
from dulcet.conformance.kit.product import Patience, Product
from dulcet.conformance.kit.result import Run
from dulcet.conformance.kit.runner import Conditions
from dulcet.conformance.kit.session import Selection
from dulcet.conformance.kit.session import test_acceptor as run_on_acceptor
from dulcet.conformance.kit.verdict import Verdict

PATIENCE = Patience(answer=0.4, settle=0.02, patient=0.8, artim=3.0, artim_declared=True, artim_margin=2.0)
NEVER_SECONDS = 600.0
CASES = ("ul.tcp.accept-silent", "ul.assoc.rq.version", "ul.fsm.Sta2", "ul.fsm.Sta6.Evt19", "dimse.echo.basic")
WAITS_FOR_ARTIM = "ul.fsm.Sta2.Evt18"


async def never() -> bool:
    return False


async def always() -> bool:
    return True


async def test_the_next_one_waits_until_the_first_has_left(autojump_clock):
    gate, order = Gate(never), []

    async def case(name: str, seconds: float) -> None:
        await gate.enter(name)
        order.append(f"{name} in")
        await trio.sleep(seconds)
        order.append(f"{name} out")
        gate.leave(name)

    async with trio.open_nursery() as nursery:
        for name in ("one", "two", "three"):
            nursery.start_soon(case, name, 1.0)
            await trio.lowlevel.checkpoint()
    assert order == ["one in", "one out", "two in", "two out", "three in", "three out"]


async def test_a_case_does_not_wait_for_itself_and_leaves_once(autojump_clock):
    gate = Gate(never)
    with trio.fail_after(1):
        await gate.enter("one")
        await gate.enter("one")
        gate.leave("one")
        gate.leave("one")
        await gate.enter("two")
        gate.leave("one")
    with trio.move_on_after(1) as waiting:
        await gate.enter("three")
    assert waiting.cancelled_caught


@pytest.mark.parametrize(("is_open", "enters"), [(always, True), (never, False)])
async def test_silence_that_keeps_nobody_does_not_hold_the_gate(is_open, enters, autojump_clock):
    gate = Gate(is_open)
    await gate.enter("silent")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.look, "silent", 0.25)
        with trio.move_on_after(10) as waiting:
            await gate.enter("next")
        nursery.cancel_scope.cancel()
    assert waiting.cancelled_caught is not enters


async def test_a_look_at_an_earlier_connection_says_nothing_of_a_later_one(autojump_clock):
    async def slowly() -> bool:
        await trio.sleep(1)
        return True

    gate = Gate(slowly)
    await gate.enter("one")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.look, "one", 0.25)
        await trio.sleep(0.5)
        await gate.enter("one")
        with trio.move_on_after(10) as waiting:
            await gate.enter("two")
        nursery.cancel_scope.cancel()
    assert waiting.cancelled_caught


# How many at once ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slow", "at_once"), [({3}, 12), ({3, 4}, 2), (set(), 12)], ids=["once", "twice", "never"])
async def test_an_echo_that_is_slow_for_once_is_asked_again(
    slow, at_once, kit_acceptor, autojump_clock, monkeypatch, nursery
):
    """The third is late, and may be in the queue of a product that serves two; or somebody was held up."""
    acceptor, echoes = kit_acceptor.Acceptor(artim=NEVER_SECONDS), []

    class Late(UntilAnswered):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            if data[0] == 4:
                echoes.append(len(echoes) + 1)
                await trio.sleep(1.0 if echoes[-1] in slow else 0.01)
            await super().send_all(data)

    async def connected(host: str, port: int) -> trio.abc.Stream:
        near, far = trio.testing.memory_stream_pair()
        nursery.start_soon(acceptor.serve, Late(far, trio.Semaphore(1)))
        await trio.lowlevel.checkpoint()
        return near

    monkeypatch.setattr(trio, "open_tcp_stream", connected)
    observed = await look_at(Product(host="product", port=104, called="MUTANT"), Patience())
    assert observed.associations_at_once == at_once


# A product behind a gate ----------------------------------------------------------------------------------------------


class UntilAnswered(trio.abc.Stream):
    """Holds a lock until something was sent: nobody else is served before."""

    def __init__(self, stream: trio.SocketStream, lock: trio.Semaphore) -> None:
        self.stream, self.lock = stream, lock
        self.holds = True

    def let_go(self) -> None:
        if self.holds:
            self.holds = False
            self.lock.release()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.stream.send_all(data)
        if data[0] == 2:
            self.let_go()

    async def wait_send_all_might_not_block(self) -> None:
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        self.let_go()
        await self.stream.aclose()


@pytest.fixture(scope="module")
def kit_acceptor() -> ModuleType:
    for name in ("kit_acceptor_messages", "kit_acceptor"):
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return module


async def run_against(kit_acceptor: ModuleType, *faults: str, one_after_the_other: bool) -> Run:
    """A product with faults is left waiting: its ARTIM must not end that, and is not played."""
    acceptor = kit_acceptor.Acceptor(frozenset(faults), artim=NEVER_SECONDS if faults else PATIENCE.artim)
    lock = trio.Semaphore(1)

    async def serve(stream: trio.SocketStream) -> None:
        if not one_after_the_other:
            return await acceptor.serve(stream)
        await lock.acquire()
        held = UntilAnswered(stream, lock)
        try:
            await acceptor.serve(held)
        finally:
            held.let_go()

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        port: int = listeners[0].socket.getsockname()[1]
        run = await run_on_acceptor(
            Product(host="127.0.0.1", port=port, called="MUTANT", promiscuous=False, parallel=12),
            Declaration(),
            Conditions(patience=PATIENCE),
            Selection(prefixes=CASES, without=(WAITS_FOR_ARTIM,) if faults else ()),
            lambda *_: None,
        )
        nursery.cancel_scope.cancel()
    return run


def verdicts(run: Run) -> dict[str, tuple[Verdict, str]]:
    return {
        result.case.id: (result.verdict, result.judgement.code)
        for result in run.results
        if "Sta3" not in result.case.id and not result.case.timing
    }


@pytest.mark.parametrize("faults", [(), ("ignores-unknown-pdu",)], ids=["right", "hangs"])
async def test_the_verdicts_are_those_of_a_product_that_serves_all_at_once(faults, kit_acceptor):
    free = await run_against(kit_acceptor, *faults, one_after_the_other=False)
    gated = await run_against(kit_acceptor, *faults, one_after_the_other=True)
    assert not free.observed.is_blocked_by_silence
    assert gated.observed.is_blocked_by_silence
    assert gated.observed.associations_at_once > 1
    assert verdicts(gated) == verdicts(free)
    assert ("FAIL", "HANG") in {(verdict.value, code) for verdict, code in verdicts(gated).values()} or not faults
