"""SIGTERM and SIGINT: what is under way is finished and answered truthfully, what is not is ended at once."""

import os
import signal
import time

import trio
from hostile_kit import (
    ACCEPTED,
    ARTIM,
    PATIENCE,
    REQUEST,
    STORE_CONTEXT,
    echo,
    eventually,
    image,
    named,
    serving,
    store,
    store_command,
)

from dulcet.conformance.kit import stimuli

AT_ONCE = 5.0  # seconds, the process' own end on a busy machine included; every timer that could be meant is longer
ABORTED = ["A-ABORT(0,0)"]
CONGESTION = "A-ASSOCIATE-RJ(2,3,1)"
LONG_TIMERS = ("--grace", str(PATIENCE), "--artim", str(PATIENCE))
PIXELS = bytes(100_000)


class Sending:
    """A peer in the middle of a C-STORE."""

    def __init__(self, name, sent=1000):
        self.uid = named(name)
        self.octets = image(self.uid, PIXELS)
        self._whole = stimuli.message(STORE_CONTEXT, store_command(self.uid), self.octets)
        self._sent = sent

    async def begin(self, server, request=REQUEST):
        self.peer = await server.connect()
        await self.peer.send(request.encode())
        await self.peer.hear(1)
        assert self.peer.answers == [ACCEPTED]
        self.peer.answers.clear()
        await self.peer.send(self._whole[: self._sent])
        return self

    async def finish(self):
        await self.peer.send(self._whole[self._sent :])


async def all_kinds_of_peers(server, sendings, answers_to_late, processes=1):
    """At the signal: one says nothing, one is idle, some are in the middle; then the others finish."""
    silent, late, idle = [await server.connect() for _ in range(3)]
    await idle.associate()
    for sending in sendings:
        await sending.begin(server)
    await server.until_received(len(sendings))
    server.signal()
    await eventually(lambda: server.running.log.read_text().count("server.stopping") == processes)
    await idle.hear(1)
    assert idle.answers == ABORTED
    await idle.stream.aclose()
    await late.send(REQUEST.encode())
    await late.hear(1)
    assert late.answers[0] in answers_to_late
    await refuses_connections(server)
    for sending in sendings:
        await sending.finish()
        await sending.peer.send(store(named("begun after the signal")))
        await sending.peer.hear(2)
        assert sending.peer.answers == ["C-STORE-RSP(0000H)", *ABORTED]
        await sending.peer.stream.aclose()
    await silent.hear()
    assert silent.answers == ["closed"]
    assert await server.exit_code() == 0
    assert server.temporary_files() == []
    assert server.stored() == {sending.uid: sending.octets for sending in sendings}
    assert "Traceback" not in server.running.log.read_text()


async def refuses_connections(server):
    """Soon: it has said that it stops before it does."""
    with trio.fail_after(PATIENCE):
        while True:
            try:
                await server.connect()
            except ConnectionRefusedError:
                return


async def test_what_is_under_way_is_finished_and_what_is_not_is_ended():
    with serving(*LONG_TIMERS) as server:
        await all_kinds_of_peers(server, [Sending(f"under way {number}") for number in range(3)], [CONGESTION])


async def test_workers_end_as_one_process_does(monkeypatch):
    """Each worker gets the signal twice: as a member of the process group, as systemd and a terminal do it, and from
    its parent.
    """
    with serving(*LONG_TIMERS, "--workers", "2", "--max-per-address", "20") as server:
        monkeypatch.setattr(server, "signal", lambda: os.killpg(server.running.pid, signal.SIGTERM))
        sendings = [Sending(f"at a worker {number}") for number in range(6)]
        await all_kinds_of_peers(server, sendings, [CONGESTION, "closed"], processes=2)  # idle workers are gone


async def test_an_idle_server_ends_at_once():
    with serving(*LONG_TIMERS) as server:
        async with (await server.connect()).stream:
            server.signal(signal.SIGINT)
            with trio.fail_after(AT_ONCE):
                assert await server.exit_code() == 0


async def test_the_end_of_patience_aborts_what_is_not_finished():
    with serving("--grace", "1") as server:
        sending = await Sending("never finished").begin(server)
        await server.until_received(1)
        started = time.monotonic()
        server.signal()
        await sending.peer.hear(1)
        assert sending.peer.answers == ABORTED
        assert 0.9 < sending.peer.heard_at - started < 1.0 + AT_ONCE
        await sending.peer.stream.aclose()
        assert await server.exit_code() == 0
        assert server.temporary_files() == []
        assert server.stored() == {}


async def test_a_second_signal_aborts_at_once():
    with serving("--grace", str(PATIENCE)) as server:
        sending = await Sending("two signals").begin(server)
        await server.until_received(1)
        server.signal()
        await eventually(lambda: "server.stopping" in server.running.log.read_text())
        with trio.move_on_after(0.5):  # longer than what counts as one signal
            await sending.peer.hear(1)
        assert sending.peer.answers == []
        started = time.monotonic()
        server.signal(signal.SIGINT)
        await sending.peer.hear(1)
        assert sending.peer.answers == ABORTED
        await sending.peer.stream.aclose()
        assert await server.exit_code() == 0
        assert time.monotonic() - started < AT_ONCE
        assert server.temporary_files() == []
        assert server.stored() == {}


async def test_peers_that_never_close_do_not_keep_it():
    """Not one that was aborted, not one that was rejected; nor does one that sends on."""
    with serving("--grace", str(PATIENCE)) as server:
        idle, late = await server.connect(), await server.connect()
        await idle.associate()
        sending = await Sending("never closes").begin(server)
        await server.until_received(1)
        server.signal()
        await late.send(REQUEST.encode())
        await late.hear(1)
        started = time.monotonic()
        await sending.finish()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_echo_for_ever, idle)
            nursery.start_soon(_echo_for_ever, sending.peer)
            assert await server.exit_code() == 0
            nursery.cancel_scope.cancel()
        assert time.monotonic() - started < 2 * ARTIM + AT_ONCE
        assert server.stored() == {sending.uid: sending.octets}


async def _echo_for_ever(peer):
    while await peer.send(echo()):
        pass


async def test_operations_at_once_are_all_finished():
    """An asynchronous operations window of 4: three are whole, the fourth is being sent."""
    with serving("--grace", str(PATIENCE), "--async-window", "4") as server:
        request = REQUEST.with_user(stimuli.window(4, 1))
        sending = Sending("the fourth")
        others = [named(f"at once {number}") for number in range(3)]
        peer = await server.connect()
        await peer.send(request.encode())
        await peer.hear(1)
        assert peer.answers == [ACCEPTED]
        peer.answers.clear()
        sending.peer = peer
        await peer.send(b"".join(store(uid, message_id=number) for number, uid in enumerate(others, 11)))
        await peer.send(sending._whole[:1000])
        await eventually(lambda: [path for path in server.temporary_files() if path.name == "4"])
        server.signal()
        await sending.finish()
        await peer.hear(5)
        assert peer.answers == ["C-STORE-RSP(0000H)"] * 4 + ABORTED
        await peer.stream.aclose()
        assert await server.exit_code() == 0
        assert sorted(server.stored()) == sorted([*others, sending.uid])
