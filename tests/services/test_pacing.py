"""A bandwidth holds, within objects too, and all who share it keep to it together."""

import pytest
import trio

from dulcet.services.data_sets import BytesSource
from dulcet.services.pacing import MAX_PIECE_OCTETS, SAVED_SECONDS, Bandwidth, PacedTransport
from dulcet.services.requestor import associate
from dulcet.services.store import store as send_object
from dulcet.services.transport import StreamTransport
from dulcet.ul.items import PresentationContextRQ

CT, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"


class Wire:
    """A transport that takes what it gets at once and notes when; it has `coming` to be read."""

    peer_address = "192.0.2.1"
    octets_received = octets_sent = 0

    def __init__(self, coming=b""):
        self.sent = []
        self.coming = coming
        self.is_closed = False

    async def send(self, buffers):
        self.sent.append((trio.current_time(), b"".join(buffers)))

    async def receive_into(self, buffer):
        octets, self.coming = self.coming[: len(buffer)], self.coming[len(buffer) :]
        buffer[: len(octets)] = octets
        return len(octets)

    def try_receive_into(self, buffer):
        return 7

    def tls_session(self):
        return "a session"

    def close(self):
        self.is_closed = True


async def test_octets_go_at_the_rate_and_in_order(autojump_clock):
    wire = Wire()
    transport = PacedTransport(wire, Bandwidth(10_000))
    octets = bytes(range(256)) * 400
    began = trio.current_time()
    assert transport.send_now([octets]) == [octets]
    await transport.send([octets[:1], memoryview(octets)[1:70_000], octets[70_000:]])
    assert b"".join(piece for _, piece in wire.sent) == octets
    assert transport.octets_sent == len(octets)
    assert max(len(piece) for _, piece in wire.sent) == 500
    gone = 0
    for at, piece in wire.sent:  # at no moment more than the rate, and what may be made up for
        gone += len(piece)
        assert gone <= 10_000 * (at - began + SAVED_SECONDS) + 501
    assert wire.sent[-1][0] - began == pytest.approx(10.24 - SAVED_SECONDS - 0.04, abs=0.05)


async def test_what_was_not_used_is_not_saved_up(autojump_clock):
    wire = Wire()
    transport = PacedTransport(wire, Bandwidth(1_000))
    await trio.sleep(1_000)
    began = trio.current_time()
    await transport.send([bytes(2_000)])
    assert trio.current_time() - began == pytest.approx(2.0 - SAVED_SECONDS, abs=0.06)


async def test_all_who_share_it_keep_to_it_together(autojump_clock):
    bandwidth = Bandwidth(1_000)
    wires = [Wire(), Wire(), Wire()]
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for wire in wires:
            nursery.start_soon(PacedTransport(wire, bandwidth).send, [bytes(1_000)])
    assert trio.current_time() - began == pytest.approx(3.0 - SAVED_SECONDS, abs=0.06)
    ends = [wire.sent[-1][0] for wire in wires]
    assert min(ends) - began > 1.5  # and none is served before the others


async def test_two_that_do_not_share_do_not_wait_for_each_other(autojump_clock):
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(PacedTransport(Wire(), Bandwidth(1_000)).send, [bytes(1_000)])
    assert trio.current_time() - began < 1.0


async def test_what_comes_keeps_to_it_too(autojump_clock):
    wire = Wire(bytes(5_000))
    transport = PacedTransport(wire, Bandwidth(1_000))
    buffer = memoryview(bytearray(100_000))
    began, count = trio.current_time(), 0
    assert transport.receive_now(buffer) is None
    while count < 5_000:
        count += await transport.receive_into(buffer)
    assert trio.current_time() - began == pytest.approx(5.0 - SAVED_SECONDS, abs=0.06)
    assert transport.octets_received == 5_000


async def test_a_response_does_not_wait_for_the_request_to_be_paid(autojump_clock):
    transport = PacedTransport(Wire(b"response"), Bandwidth(1_000))
    await transport.send([bytes(3_000)])
    began = trio.current_time()
    assert await transport.receive_into(memoryview(bytearray(10))) == 8
    assert trio.current_time() == began


async def test_cancelled_while_it_waits_nothing_is_lost(autojump_clock):
    wire = Wire(bytes(range(200)))
    transport = PacedTransport(wire, Bandwidth(100))
    buffer, came = memoryview(bytearray(100)), b""
    while wire.coming:
        with trio.move_on_after(0.03):
            count = await transport.receive_into(buffer)
            came += bytes(buffer[:count])
    assert came == bytes(range(200))


@pytest.mark.parametrize("rate", [1, 10, 1_000, 10**12])
def test_pieces_are_never_empty_nor_large(rate):
    assert 1 <= Bandwidth(rate).piece_octets <= MAX_PIECE_OCTETS


def test_the_rest_is_the_transports():
    wire = Wire()
    transport = PacedTransport(wire, Bandwidth(1))
    assert (transport.tls_session(), transport.peer_address) == ("a session", "192.0.2.1")
    assert transport.try_receive_into(memoryview(b"")) == 7
    transport.close()
    assert wire.is_closed


async def test_an_object_takes_as_long_as_the_bandwidth_says(network, scp, store, autojump_clock):
    network.scp = scp
    data_set = bytes(range(256)) * 400
    contexts = (PresentationContextRQ.propose(3, CT, (IMPLICIT,)),)
    began = trio.current_time()
    async with associate(network.peer, contexts, bandwidth=Bandwidth(10_000)) as association:
        source = BytesSource(data_set)
        await send_object(association, 3, sop_class_uid=CT, sop_instance_uid="2.25.7", data_set=source)
    assert 10.0 < trio.current_time() - began < 11.5
    assert bytes(store.sinks[0].octets) == data_set


async def test_without_one_nothing_is_wrapped(network, scp, autojump_clock):
    network.scp = scp
    contexts = (PresentationContextRQ.propose(3, CT, (IMPLICIT,)),)
    async with associate(network.peer, contexts) as association:
        assert type(association.transport) is StreamTransport
