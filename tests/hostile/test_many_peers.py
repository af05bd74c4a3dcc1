"""Many peers, or few with much to say: others are served all the while, and when they are gone nothing is left."""

import signal
import struct

import pytest
import trio
from hostile_kit import (
    ACCEPTED,
    ARTIM,
    ECHO_CONTEXT,
    PATIENCE,
    REQUEST,
    SLACK,
    STORE_CONTEXT,
    echo,
    eventually,
    image,
    named,
    serving,
    store,
    store_command,
)

from dulcet.conformance.kit.stimuli import (
    RELEASE_RQ,
    abstract_syntax,
    application_context,
    context_of,
    item,
    message,
    p_data,
    pdv,
    role,
    user_information,
)
from dulcet.conformance.kit.synthetic import find_rq

FULL = "A-ASSOCIATE-RJ(2,3,2)"
ATTACKER = "127.0.0.2"
MAXIMUM = 128 * 1024
FLOODS = 8  # as many associations as one address may have
FLOOD_SECONDS = 1.0


@pytest.fixture(scope="module")
def server():
    """With the default limits, but for ARTIM."""
    with serving("--max-object", "100G") as server:
        server.settle()
        trio.run(server.echo)
        yield server


# Many connections ---------------------------------------------------------------------------------------------------


def test_three_hundred_silent_connections(server):
    """64 may wait, each new one takes the place of the oldest of the same address; who was there before keeps its."""

    async def play():
        peers = [await server.connect(ATTACKER) for _ in range(200)]
        first = await server.connect()
        peers += [await server.connect(ATTACKER) for _ in range(100)]
        await first.send(REQUEST.encode() + echo() + RELEASE_RQ)
        await first.hear(3)
        assert first.answers == [ACCEPTED, "C-ECHO-RSP(0000H)", "A-RELEASE-RP"]
        await first.stream.aclose()
        await server.serves_others()
        await server.echo(ATTACKER)
        with trio.fail_after(PATIENCE):  # no other timer is as short
            for peer in peers:
                await peer.hear()
        assert all(peer.answers == ["closed"] for peer in peers)

    with server.comes_back_to_rest():
        trio.run(play)


def test_one_address_has_eight_associations_and_leaves_room_for_others(server):
    async def play():
        peers = [await server.connect(ATTACKER) for _ in range(20)]
        for peer in peers:
            await peer.send(REQUEST.encode())
            await peer.hear(1)
        assert [peer.answers[0] for peer in peers] == [ACCEPTED] * 8 + [FULL] * 12
        await server.serves_others()
        peers[0].stream.socket.close()
        await eventually_accepted(server, ATTACKER)

    with server.comes_back_to_rest():
        trio.run(play)
        server.hang_up()


def test_all_addresses_have_thirty_two_associations(server):
    async def play():
        answers = []
        for number in range(40):
            peer = await server.connect(f"127.0.1.{number % 10 + 1}")
            await peer.send(REQUEST.encode())
            await peer.hear(1)
            answers += peer.answers
        assert answers == [ACCEPTED] * 32 + [FULL] * 8

    with server.comes_back_to_rest():
        trio.run(play)
        server.hang_up()
        trio.run(eventually_accepted, server, ATTACKER)


async def eventually_accepted(server, source):
    """When others have gone there is room; it takes them a moment to go."""
    with trio.fail_after(PATIENCE):
        answers = [FULL]
        while answers == [FULL]:
            peer = await server.connect(source)
            async with peer.stream:
                await peer.send(REQUEST.encode())
                await peer.hear(1)
            answers = peer.answers
    assert answers == [ACCEPTED]


def test_a_thousand_connections_that_come_and_go(server):
    async def play():
        for _ in range(10):
            peers = [await server.connect(ATTACKER) for _ in range(100)]
            for number, peer in enumerate(peers):
                await peer.send(REQUEST.encode()[: number * 2])
                await peer.reset()
        await server.serves_others()

    with server.comes_back_to_rest(octets=128 << 20):  # a hundred at once, and those before them that are just ending
        trio.run(play)


# Few with much to say -----------------------------------------------------------------------------------------------


def of_largest_size(octets):
    return p_data(pdv(STORE_CONTEXT, 0, octets * ((MAXIMUM - 6) // len(octets))))


SEQUENCE = struct.pack("<HHL", 0x0009, 0x1010, 0xFFFFFFFF)
ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
EMPTY_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
EMPTY_ELEMENT = struct.pack("<HHL", 0x0009, 0x1001, 0)
PIXELS = struct.pack("<HHL", 0x7FE0, 0x0010, 0xFFFFFFF0)

OBJECTS = {
    "pixels": (PIXELS, of_largest_size(bytes(100))),
    "empty items": (SEQUENCE, of_largest_size(EMPTY_ITEM)),
    "empty elements": (SEQUENCE + ITEM, of_largest_size(EMPTY_ELEMENT)),
    "fragments of 16 octets": (PIXELS, p_data(*[pdv(STORE_CONTEXT, 0, bytes(16))] * (MAXIMUM // 22))),
}
REQUESTS = {
    "contexts": REQUEST.but(contexts=(context_of(1),) * 7900),
    "items": REQUEST.but(items=(item(0x77),) * 16000),
    "faulty transfer syntaxes": REQUEST.but(contexts=(context_of(1, abstract_syntax("x"), *[item(0x40)] * 4000),)),
    "roles": REQUEST.but(items=(application_context(), user_information(*[role("1", 0, 0)] * 500))),
}
CONVERSATIONS = {
    "echoes": echo() * 2000,
    "requests that are not performed": message(ECHO_CONTEXT, find_rq(1, x0800=0x0101)) * 2000,
    "small objects": b"".join(store(named(f"small {number}")) for number in range(200)),
}


async def flood_an_object(server, name, number):
    first, block = OBJECTS[name]
    peer = await server.connect(ATTACKER)
    await peer.associate()
    uid = named(f"{name} {number}")
    await peer.send(message(STORE_CONTEXT, store_command(uid)))
    await peer.send(p_data(pdv(STORE_CONTEXT, 0, image(uid)[:-14] + first)))
    while await peer.send(block):
        pass


async def flood_requests(server, name, _number):
    octets = REQUESTS[name].encode()
    while True:
        peer = await server.connect(ATTACKER)
        async with peer.stream:
            await peer.send(octets)
            await peer.hear(1)


async def flood_a_conversation(server, name, _number):
    peer = await server.connect(ATTACKER)
    await peer.associate()

    async def listen():
        while await peer.stream.receive_some(1 << 20):
            pass

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        while await peer.send(CONVERSATIONS[name]):
            pass


ALL_FLOODS = {
    **dict.fromkeys(OBJECTS, flood_an_object),
    **dict.fromkeys(REQUESTS, flood_requests),
    **dict.fromkeys(CONVERSATIONS, flood_a_conversation),
}


@pytest.mark.parametrize("name", ALL_FLOODS)
def test_others_are_served_while_all_that_one_address_may_have_is_at_full_speed(server, name):
    """A C-ECHO beside them takes less than a second, from TCP to TCP."""

    async def play():
        async with trio.open_nursery() as nursery:
            for number in range(FLOODS):
                nursery.start_soon(ALL_FLOODS[name], server, name, number)
            with trio.move_on_after(FLOOD_SECONDS / 3):
                await trio.sleep_forever()
            until = trio.current_time() + FLOOD_SECONDS
            while trio.current_time() < until:
                await server.serves_others()
            nursery.cancel_scope.cancel()

    with server.comes_back_to_rest():
        trio.run(play)
        server.hang_up()


# A process without descriptors, and one that was stopped ------------------------------------------------------------


DESCRIPTORS = 40


async def until_none_is_left(server):
    """The server has as many descriptors as it may, and one more by which it tells of them."""
    await eventually(lambda: server.holdings()["descriptors"] > DESCRIPTORS)


def test_a_process_without_descriptors_recovers():
    """EMFILE at accept(2): new ones wait in the queue, and have their turn when others go."""
    with serving("--max-per-address", "100", descriptors=DESCRIPTORS) as server:
        server.settle()

        async def play():
            first = await server.connect()
            await first.associate()
            peers = [await server.connect(ATTACKER) for _ in range(2 * DESCRIPTORS)]
            waiting = await server.connect()
            await waiting.send(REQUEST.encode() + echo() + RELEASE_RQ)
            await until_none_is_left(server)
            await first.send(store(named("no descriptor")))
            await first.hear(1)
            for peer in peers:
                await peer.reset()
            with trio.fail_after(PATIENCE):
                await waiting.hear(3)
            assert waiting.answers == [ACCEPTED, "C-ECHO-RSP(0000H)", "A-RELEASE-RP"]
            assert first.answers[0] in ("C-STORE-RSP(A700H)", "C-STORE-RSP(0000H)")
            await waiting.stream.aclose()
            await eventually(lambda: server.holdings()["descriptors"] < DESCRIPTORS)
            await first.send(store(named("a descriptor again"), message_id=2))
            await first.hear(2)
            assert first.answers[1:] == ["C-STORE-RSP(0000H)"]
            assert sorted(server.stored()) == sorted(first.acknowledged)

        with server.comes_back_to_rest():
            trio.run(play)
            server.hang_up()


def test_objects_are_refused_without_a_descriptor_and_taken_again_with_one():
    with serving("--max-per-address", "100", "--max-associations", "100", descriptors=DESCRIPTORS) as server:

        async def play():
            first, *others, last = [await server.connect() for _ in range(DESCRIPTORS)]
            for peer in (first, *others, last):
                await peer.send(REQUEST.encode())
            await until_none_is_left(server)
            await first.hear(1)
            await first.send(store(named("no descriptor")))
            await first.hear(2)
            assert first.answers == [ACCEPTED, "C-STORE-RSP(A700H)"]
            for other in others:
                await other.stream.aclose()
            await last.hear(1)
            assert last.answers == [ACCEPTED]
            await eventually(lambda: server.holdings()["descriptors"] < DESCRIPTORS)
            await first.send(store(named("no descriptor"), message_id=2))
            await first.hear(3)
            assert first.answers[2:] == ["C-STORE-RSP(0000H)"]
            assert list(server.stored()) == [named("no descriptor")]

        trio.run(play)


def test_a_process_that_was_stopped_goes_on(server):
    """SIGSTOP for longer than ARTIM: what came meanwhile is answered, what did not come is late."""

    async def play():
        associated, silent, half = [await server.connect() for _ in range(3)]
        await associated.associate()
        await half.send(REQUEST.encode()[:100])
        server.signal(signal.SIGSTOP)
        await associated.send(echo())
        with trio.move_on_after(ARTIM + SLACK):
            await trio.sleep_forever()
        server.signal(signal.SIGCONT)
        with trio.fail_after(PATIENCE):
            await associated.hear(1)
            await silent.hear()
            await half.hear()
        assert associated.answers == ["C-ECHO-RSP(0000H)"]
        assert silent.answers == half.answers == ["closed"]
        await associated.send(RELEASE_RQ)
        await associated.hear(2)
        assert associated.answers[1:] == ["A-RELEASE-RP"]

    with server.comes_back_to_rest():
        trio.run(play)
        server.hang_up()
