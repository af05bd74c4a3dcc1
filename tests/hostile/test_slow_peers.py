"""Peers that say little, or nothing, or do not listen: each is ended by its timer, octets that trickle restart none.

The timers stand to each other, and to the drops, as the defaults do: a tenth of each.
"""

import socket
import time
from functools import partial
from pathlib import Path

import pytest
import trio
from hostile_kit import (
    LOOPBACK,
    PATIENCE,
    REQUEST,
    STORE_CONTEXT,
    Peer,
    echo,
    eventually,
    image,
    named,
    serving,
    store,
    store_command,
)

from dulcet.conformance.kit.stimuli import p_data, pdu, pdv

ARTIM, IDLE, PDU, RATE, STALL = 1.0, 6.0, 3.0, 6.0, 3.0
DROP = 0.5  # seconds between octets
LATE = 1.5  # seconds that a busy machine may take longer
HELD_UP = 0.25  # seconds; what is wrong is void when a process was, while the timers ran on
ABORTED = ["A-ABORT(0,0)", "closed"]


@pytest.fixture(scope="module")
def server():
    options = ("--artim", ARTIM, "--idle-timeout", IDLE, "--pdu-timeout", PDU, "--max-per-address", 30)
    with serving(*map(str, options), limits={"min_rate_window": RATE, "write_stall": STALL}) as server:
        server.settle()
        trio.run(server.fairly, server.echo, HELD_UP)
        yield server


async def silence(peer):
    """Nothing."""


def once(octets):
    """These octets, then nothing."""

    async def say(peer):
        await peer.send(octets)

    return say


def drops(*pieces, first=b""):
    """These pieces, or the octets of the only one, at long intervals."""
    pieces = pieces if len(pieces) > 1 else [bytes([octet]) for octet in pieces[0]]

    async def say(peer):
        await peer.send(first)
        for piece in pieces:
            if not await peer.send(piece):
                return
            await trio.sleep(DROP)

    return say


async def flood(peer):
    while await peer.send(b"\xff" * 65536):
        pass


async def echoes_unread(peer):
    """More responses than any buffer holds."""
    block = echo() * 1000
    while await peer.send(block):
        pass


def fragments(context_id, control, octets):
    return [p_data(pdv(context_id, control, octets))] * 200


COMMAND_OF_A_STORE = p_data(pdv(STORE_CONTEXT, 3, store_command(named("drops"))))
CASES = {
    # name: (is there an association?, what is said, seconds until something is heard, what is heard)
    "connected, silent": (False, silence, ARTIM, ["closed"]),
    "A-ASSOCIATE-RQ octet by octet": (False, drops(REQUEST.encode()), ARTIM, ["closed"]),
    "associated, idle": (True, silence, IDLE, ABORTED),
    "half a PDU, then silent": (True, once(echo()[:40]), PDU, ABORTED),
    "C-STORE octet by octet": (
        True, drops(*fragments(STORE_CONTEXT, 0, b"\0"), first=COMMAND_OF_A_STORE), RATE, ABORTED,
    ),
    "C-STORE octet by octet in one PDU": (
        True, drops(p_data(pdv(STORE_CONTEXT, 2, bytes(1000))), first=COMMAND_OF_A_STORE), PDU, ABORTED,
    ),
    "half a data set, then silent": (True, once(store(named("half"), image(named("half"), bytes(9000)))[:5000]), PDU,
                                     ABORTED),
    "a command, then no data set": (True, once(COMMAND_OF_A_STORE), RATE, ABORTED),
    "command set in drops": (True, drops(*fragments(1, 1, b"\0\0")), RATE, ABORTED),
    "three octets of a header": (True, once(pdu(0x04, length=1000)[:3]), PDU, ABORTED),
    "never closes after a rejection": (
        False, once(REQUEST.but(called=b"SOMEBODY".ljust(16)).encode()), 0.0, ["A-ASSOCIATE-RJ(1,1,7)", "closed"],
    ),
    "drips after an abort": (False, drops(bytes(100)), 0.0, ABORTED),
    "floods after an abort": (False, flood, 0.0, ABORTED),
}  # fmt: skip


async def play(server, name):
    """Heard is what should be, when it should be: not before its timer, and not long after it."""
    is_associated, says, seconds, expected = CASES[name]
    before = time.monotonic()
    peer = await server.connect()
    if is_associated:
        await peer.associate()
    started = time.monotonic()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(says, peer)
        with trio.fail_after(PATIENCE):
            await peer.hear(1)
            heard = time.monotonic()
            await peer.hear()
        nursery.cancel_scope.cancel()
    assert peer.answers == expected
    assert heard - before >= seconds * 0.98
    assert heard - started <= seconds + LATE
    assert peer.closed_at - heard <= (ARTIM + LATE if expected != ["closed"] else 0.0)


async def never_reads(server):
    """A peer with a small buffer: the server's responses have nowhere to go.

    The kernel's buffers are filled first; then the write stalls. There is no room left to say why it ends.
    """
    sock = trio.socket.socket()
    server.sockets.append(sock._sock)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await sock.connect((LOOPBACK, server.port))
    peer = Peer(trio.SocketStream(sock))
    await peer.associate()
    started = time.monotonic()
    with trio.fail_after(PATIENCE):
        await echoes_unread(peer)
    assert STALL * 0.9 <= time.monotonic() - started <= STALL + ARTIM + 3 * LATE


@pytest.fixture(scope="module")
def outcomes(server):
    """All of them at once: what was wrong, by name."""
    wrong = {}

    async def play_all():
        async with trio.open_nursery() as nursery:
            for name in CASES:
                nursery.start_soon(play_one, name, partial(play, server, name))
            nursery.start_soon(play_one, "never reads", partial(never_reads, server))

    async def play_one(name, trial):
        try:
            await server.fairly(trial, HELD_UP)
        except (Exception, BaseExceptionGroup) as error:
            wrong[name] = error

    with server.comes_back_to_rest():
        trio.run(play_all)
    trio.run(server.fairly, server.serves_others, HELD_UP)
    return wrong


@pytest.mark.parametrize("name", [*CASES, "never reads"])
def test_a_slow_peer_is_ended_by_its_timer(outcomes, name):
    if name in outcomes:
        raise outcomes[name]


def test_a_host_that_vanishes_is_noticed(server):
    """TCP keepalive: on an idle association the kernel asks within a minute whether the host is there (proc(5))."""

    async def play():
        peer = await server.connect()
        await peer.associate()
        ours = peer.stream.socket.getsockname()[1]
        ends = f":{server.port:04X}", f":{ours:04X}"

        def keepalive():
            """The timer, when it is this one; until our acknowledgement has come it is another."""
            (found,) = [line for line in connections() if (line[1][8:], line[2][8:]) == ends]
            timer, jiffies = found[5].split(":")
            return timer == "02" and jiffies

        assert int(await eventually(keepalive), 16) <= 60 * 100

    trio.run(server.fairly, play, HELD_UP)
    server.hang_up()


def connections():
    return [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]


def test_nothing_is_left_of_what_came_slowly(outcomes, server):
    assert server.stored() == {}
    assert server.temporary_files() == []
