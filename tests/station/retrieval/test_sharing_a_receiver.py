"""A receiver that several retrievals share is there for as long as anybody needs it, and no longer."""

import threading

import pytest
import trio

from dulcet.conformance.peers.address import free_port
from dulcet.services.acceptor import Operation
from dulcet.services.requestor import Peer
from dulcet.station.retrieval import receiver
from dulcet.station.retrieval.reception import ReceiverSettings
from dulcet.station.retrieval.shared_receivers import SharedReceivers

STORE = Operation(perform=None, sop_classes=frozenset())


def settings(port, host):
    return ReceiverSettings(
        ae_title="US",
        port=port,
        host="127.0.0.1",
        archive=Peer(host=host, port=104, ae_title="ARCHIVE"),
        allowed=(),
        allow_any=False,
        max_pdu_length=16384,
    )


@pytest.fixture
def port():
    """One where nothing listens."""
    return free_port()


class Names:
    """Has an answer for `slow.example` only when it is told."""

    def __init__(self):
        self.asked = trio.Event()
        self.may_answer = threading.Event()

    def addresses_of(self, host):
        if host == "slow.example":
            trio.from_thread.run_sync(self.asked.set)
            assert self.may_answer.wait(30)
        return {"192.0.2.1"}


@pytest.fixture
async def names(monkeypatch):
    made = Names()
    monkeypatch.setattr(receiver, "_addresses_of", made.addresses_of)
    yield made
    made.may_answer.set()


async def test_who_leaves_does_not_close_it_for_who_is_about_to_join(port, names, nursery):
    receivers, is_over = SharedReceivers(nursery), []

    async def second():
        async with receivers.receiving(settings(port, "slow.example"), store=STORE, expected=()) as joined:
            assert joined.port == port
        is_over.append("second")

    with trio.fail_after(30):
        async with trio.open_nursery() as retrievals:
            async with receivers.receiving(settings(port, "fast.example"), store=STORE, expected=()):
                retrievals.start_soon(second)
                await names.asked.wait()
            is_over.append("first")
            assert receivers.has(settings(port, ""))
            names.may_answer.set()
    assert is_over == ["first", "second"]
    assert not receivers.has(settings(port, ""))


async def test_who_gives_up_while_it_joins_leaves_nothing_open(port, names, nursery):
    receivers = SharedReceivers(nursery)

    async def joining(scope):
        with scope:
            async with receivers.receiving(settings(port, "slow.example"), store=STORE, expected=()):
                pytest.fail("it was cancelled before it joined")

    scope = trio.CancelScope()
    with trio.fail_after(30):
        async with trio.open_nursery() as retrievals:
            retrievals.start_soon(joining, scope)
            await names.asked.wait()
            assert receivers.has(settings(port, ""))
            scope.cancel()
            names.may_answer.set()
    assert not receivers.has(settings(port, ""))
