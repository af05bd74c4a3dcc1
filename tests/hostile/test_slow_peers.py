"""Peers that say little, or nothing, or do not listen: each is ended by its timer, octets that trickle restart none.

The timers stand to each other, and to the drops, as the defaults do: a tenth of each.
"""

import socket
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
ABORTED = ["A-ABORT(0,0)", "closed"]


@pytest.fixture(scope="module")
def server():
    options = ("--artim", ARTIM, "--idle-timeout", IDLE, "--pdu-timeout", PDU, "--max-per-address", 30)
    with serving(*map(str, options), limits={"min_rate_window": RATE, "write_stall": STALL}) as server:
        server.settle()
        trio.run(server.echo)
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


@pytest.fixture(scope="module")
def outcomes(server):
    """All of them at once: what was heard, seconds until the first of it, seconds from there to the close."""
    found = {}

    async def play_all():
        async with trio.open_nursery() as nursery:
            for name in CASES:
                nursery.start_soon(play, name)
            nursery.start_soon(never_reads)

    async def play(name):
        is_associated, says, _, _ = CASES[name]
        peer = await server.connect()
        if is_associated:
            await peer.associate()
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(says, peer)
            with trio.fail_after(PATIENCE):
                await peer.hear(1)
                heard = trio.current_time()
                await peer.hear()
            nursery.cancel_scope.cancel()
        found[name] = peer.answers, heard - started, peer.closed_at - heard

    async def never_reads():
        """A peer with a small buffer: the server's responses have nowhere to go."""
        sock = trio.socket.socket()
        server.sockets.append(sock._sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await sock.connect((LOOPBACK, server.port))
        peer = Peer(trio.SocketStream(sock))
        await peer.associate()
        started = trio.current_time()
        with trio.fail_after(PATIENCE):
            await echoes_unread(peer)
        found["never reads"] = [], trio.current_time() - started, 0.0

    with server.comes_back_to_rest():
        trio.run(play_all)
    trio.run(server.serves_others)
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_slow_peer_is_ended_by_its_timer(outcomes, name):
    _, _, seconds, expected = CASES[name]
    answers, until_heard, until_closed = outcomes[name]
    assert answers == expected
    assert seconds * 0.98 <= until_heard <= seconds + LATE
    assert until_closed <= (ARTIM + LATE if expected != ["closed"] else 0.0)


def test_a_peer_that_never_reads_is_ended(outcomes):
    """The kernel's buffers are filled first; then the write stalls. There is no room left to say why it ends."""
    _, seconds, _ = outcomes["never reads"]
    assert STALL * 0.9 <= seconds <= STALL + ARTIM + 3 * LATE


def test_a_host_that_vanishes_is_noticed(server):
    """TCP keepalive: on an idle association the kernel asks within a minute whether the host is there (proc(5))."""

    async def play():
        peer = await server.connect()
        await peer.associate()
        ours = peer.stream.socket.getsockname()[1]
        ends = f":{server.port:04X}", f":{ours:04X}"
        (found,) = [line for line in connections() if (line[1][8:], line[2][8:]) == ends]
        timer, jiffies = found[5].split(":")
        assert timer == "02", "the keepalive timer runs"
        assert int(jiffies, 16) <= 60 * 100

    trio.run(play)
    server.hang_up()


def connections():
    return [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]


def test_nothing_is_left_of_what_came_slowly(outcomes, server):
    assert server.stored() == {}
    assert server.temporary_files() == []
