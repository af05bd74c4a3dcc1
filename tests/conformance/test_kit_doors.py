"""People start the product: the called AE title chooses the case, however its octets come."""

import pytest
import trio

from dulcet.conformance.kit.product import Patience
from dulcet.conformance.kit.reception import Invitation
from dulcet.conformance.kit.result import Run
from dulcet.conformance.kit.runner import Conditions
from dulcet.conformance.kit.scu_session import Listening, title_of
from dulcet.conformance.kit.scu_session import test_requestor as run_on_requestor
from dulcet.conformance.kit.session import Selection
from dulcet.conformance.kit.stimuli import RELEASE_RP, RELEASE_RQ, Request, title
from dulcet.conformance.peers.address import LOOPBACK, free_port
from dulcet.conformance.tap import reset

CASE = "ul.tcp.r.connect-rq-first"
REQUEST = Request(called=title(title_of(CASE)), calling=title("PRODUCT")).encode()
SECONDS = 30


async def connected(port: int) -> trio.SocketStream:
    """A connection to the kit, once it listens."""
    while True:
        try:
            return await trio.open_tcp_stream(LOOPBACK, port)
        except OSError:
            await trio.lowlevel.checkpoint()


async def ask(port: int, size: int) -> None:
    """An association that sends its request `size` octets at a time, and is released."""
    stream = await connected(port)
    for start in range(0, len(REQUEST), size):
        await stream.send_all(REQUEST[start : start + size])
    answer = b""
    while len(answer) < 6 or len(answer) < 6 + int.from_bytes(answer[2:6], "big"):
        answer += await stream.receive_some()
    assert answer[0] == 2
    await stream.send_all(RELEASE_RQ)
    assert await stream.receive_some() == RELEASE_RP
    await stream.aclose()


async def lost(port: int) -> None:
    """A connection that is reset before it has said which case it is for."""
    stream = await connected(port)
    await stream.send_all(REQUEST[:12])
    await reset(stream)


@pytest.mark.parametrize("size", [1, 25, 26, 1000])
async def test_a_title_chooses_its_case_in_pieces_and_after_a_connection_that_was_lost(size):
    port, runs = free_port(), list[Run]()

    async def kit() -> None:
        invitation, listening = Invitation(host=LOOPBACK), Listening(port=port, idle_seconds=SECONDS)
        conditions, selection = Conditions(patience=Patience()), Selection(prefixes=(CASE,))
        runs.append(await run_on_requestor(invitation, listening, conditions, selection, lambda *_: None, 1))

    with trio.fail_after(SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kit)
            await lost(port)
            await ask(port, size)
    (result,) = runs[0].results
    assert (result.verdict.value, str(result.outcome)) == ("PASS", "RQ")
    (wire,) = result.findings.wires
    assert wire.records[1].octets[:26] == REQUEST[:26][: len(wire.records[1].octets)]
