"""Seeds of the simulation, and the proof that it would find what it looks for.

make simulate SEEDS=0:100000          as many as you like
make simulate SEEDS=4711              one of them, step by step
"""

import os
import random
from collections import Counter
from unittest import mock

import pytest
import trio
from simulate import innermost
from simulated import wire
from simulated.determinism import run
from simulated.disk import Directory, Disk, File
from simulated.senders import live
from simulated.world import Violation, WiredListener

from dulcet.errors import UnconfirmedError
from dulcet.services import storage_scp
from dulcet.services.store import PendingStore, Stored
from dulcet.services.storing import placing
from dulcet.services.storing.incoming import IncomingObject
from dulcet.services.storing.storage_directory import StorageDirectory

SEEDS = int(os.environ.get("DULCET_SEEDS", "2000"))
BATCHES = 20
SITUATIONS = (
    *("0000H", "A700H", "0111H", "C000H", "crashes at", "does not start", "stored again", "beside another"),
    *("UnconfirmedError", "ConnectionLostError", "AssociationAbortedError", "PeerUnavailableError"),
    *("PeerProtocolError", "PeerTimeoutError", "AssociationRejectedError", "ARTIM expired", "does not read"),
    *("did not get whole", "temporary-congestion", "local-limit-exceeded", "batch", "fsync"),
)
"""What must have happened in all seeds together, by how the simulation says it."""


@pytest.fixture(scope="module")
def seen():
    """How many seeds came into each situation."""
    return Counter()


@pytest.mark.parametrize("batch", range(BATCHES))
def test_seeds(seen, batch):
    for seed in range(batch, SEEDS, BATCHES):
        lines = []
        try:
            run(seed, lambda rng: live(rng, lines.append))  # noqa: B023
        except Exception as error:
            pytest.fail(f"seed {seed}: {innermost(error)}\nmake simulate SEEDS={seed}")
        text = "\n".join(lines)
        seen.update(["seeds", *(situation for situation in SITUATIONS if situation in text)])


def test_the_seeds_came_into_every_situation(seen):
    if seen["seeds"] < 2000:
        pytest.skip("too few seeds to say so")
    assert set(SITUATIONS) - set(seen) == set()


@pytest.mark.parametrize("seed", [7, 44, 100])
def test_a_seed_is_always_the_same(seed):
    stories = []
    for _ in range(2):
        stories.append([])
        run(seed, lambda rng: live(rng, stories[-1].append))
    assert stories[0] == stories[1]
    assert len(stories[0]) > 5


# Faults that are planted --------------------------------------------------------------------------------------------


def found(target, name, fault):
    """The violation that a planted fault leads to, in the first seed in which it does."""
    with mock.patch.object(target, name, fault):
        for seed in range(150):
            try:
                run(seed, lambda rng: live(rng, lambda what: None))
            except Exception as error:
                violation = innermost(error)
                assert isinstance(violation, Violation), repr(violation)
                return str(violation)
    return "nothing"


def nothing(*_arguments, **_keywords):
    """An operation that is forgotten."""


async def claims_success(pending):
    return Stored(status=0)


real_response, real_finish, real_receive = PendingStore.response, IncomingObject.finish, wire.End.receive_into


async def takes_no_answer_for_success(pending):
    try:
        return await real_response(pending)
    except UnconfirmedError:
        return Stored(status=0)


async def answers_before_the_disk(sink):
    raise ZeroDivisionError


async def lets_an_error_out(end, buffer):
    try:
        return await real_receive(end, buffer)
    except OSError as error:
        raise trio.BrokenResourceError from error


def keeps_a_place(listener, scope, *_):
    listener._unassociated[scope] = listener._unassociated[trio.CancelScope()] = None


async def leaves_a_task(sink):
    trio.lowlevel.spawn_system_task(trio.sleep, 1e9)
    return await real_finish(sink)


FAULTS = [
    pytest.param(Disk, "fsync", nothing, "not whole, or not surely", id="no fsync at all"),
    pytest.param(placing.Placing, "sync_file", nothing, "not whole, or not surely", id="no fsync of the file"),
    pytest.param(StorageDirectory, "sync_shard", nothing, "not surely on the disk", id="no fsync of the directory"),
    pytest.param(PendingStore, "response", claims_success, "was not acknowledged", id="stored without an answer"),
    pytest.param(
        PendingStore, "response", takes_no_answer_for_success, "was not acknowledged", id="no answer is success"
    ),
    pytest.param(IncomingObject, "finish", answers_before_the_disk, "ended with ZeroDivision", id="a bug in the SCP"),
    pytest.param(wire.End, "receive_into", lets_an_error_out, "BrokenResourceError", id="an error of trio"),
    pytest.param(WiredListener, "_await_association", keeps_a_place, "places", id="a place that is kept"),
    pytest.param(IncomingObject, "finish", leaves_a_task, "something was left", id="a task and its deadline"),
    pytest.param(IncomingObject, "abandon", nothing, "descriptors are open", id="a descriptor that stays open"),
    pytest.param(storage_scp, "SUCCESS", 0x0110, "not served any more", id="a good sender that is refused"),
]


@pytest.mark.parametrize(("target", "name", "fault", "sentence"), FAULTS)
def test_a_planted_fault_is_found(target, name, fault, sentence):
    assert sentence in found(target, name, fault)


# The disk and the wire themselves -----------------------------------------------------------------------------------


def test_what_is_not_synced_may_be_lost_and_what_is_synced_is_not():
    outcomes = set()
    for seed in range(200):
        root, rng = Directory(), random.Random(seed)
        root.names["safe"] = File(b"abc")
        root.safe = dict(root.names)
        root.names["new"] = File()
        root.names["new"].octets += b"xyz"
        root.names["safe"].octets += b"def"
        left = root.after_crash(rng)
        assert left.names["safe"].octets.startswith(b"abc")
        outcomes.add(
            (bytes(left.names["safe"].octets), bytes(left.names["new"].octets) if "new" in left.names else None)
        )
    assert {(b"abc", None), (b"abcdef", b"xyz"), (b"abc", b""), (b"abc\0\0\0", None)} <= outcomes


def test_a_wire_keeps_the_order_of_octets_and_a_cut_loses_the_tail():
    async def main(rng):
        kinds = set()
        for _ in range(200):
            line = wire.Wire(rng, wire.Weather.bad(rng), "192.0.2.1")
            sent, received = rng.randbytes(3000), bytearray()
            buffer = memoryview(bytearray(500))

            async def send(line=line, sent=sent):
                try:
                    await line.client.send([sent[:1000], memoryview(sent)[1000:]])
                    line.client.close()
                except ConnectionResetError:
                    kinds.add("cut while sending")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(send)
                try:
                    while count := await line.server.receive_into(buffer):
                        received += buffer[:count]
                except ConnectionResetError:
                    kinds.add("cut")
                    assert len(received) < 3000
                else:
                    kinds.add("whole")
                    assert len(received) == 3000
            assert sent.startswith(received)
        return kinds

    assert run(5, main) == {"whole", "cut", "cut while sending"}
