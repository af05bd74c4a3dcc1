"""A session that is cut after each of its octets, by FIN, by RST and by silence: whole or nothing, and nothing is left.

A-ASSOCIATE-RQ, C-STORE with its data set, A-RELEASE-RQ: three messages of the peer, some 600 octets.
"""

import time
from contextlib import contextmanager

import pytest
import trio
from hostile_kit import PATIENCE, SLACK, STORE_CONTEXT, VERIFICATION, image, serving, store

from dulcet.conformance.kit.stimuli import RELEASE_RQ, Request, context, implementation_class, maximum_length, title

CT, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
REQUEST = Request(
    called=title("DULCET"),
    calling=title("CUT"),
    contexts=(context(1, VERIFICATION), context(STORE_CONTEXT, CT, IMPLICIT)),
    user=(maximum_length(), implementation_class("1.2.3")),
).encode()
TIMER = 0.75  # seconds, each of the server's that silence waits for
AT_ONCE = 200  # of a wave; each holds a descriptor here and up to three there
HELD_UP = TIMER / 4  # seconds; a silence is void when a process was, while a timer of the server's ran
MANY = ("--max-associations", "1000", "--max-per-address", "1000")


class Cut:
    """One connection that ends after so many octets."""

    def __init__(self, kind, after):
        self.after = after
        self.uid = f"2.25.{'FIN RST silence'.index(kind) + 1}{after:05}"
        self.octets = image(self.uid)
        stored = store(self.uid, self.octets)
        self.said = (REQUEST + stored + RELEASE_RQ)[:after]
        self.is_associated = after >= len(REQUEST)
        self.is_stored = after >= len(REQUEST) + len(stored)

    def expected(self, kind):
        """What comes before the end; a reset destroys what is on its way, and what has come but was not read."""
        if kind == "RST":
            return None
        answers = ["A-ASSOCIATE-AC(0,0)"] * self.is_associated + ["C-STORE-RSP(0000H)"] * self.is_stored
        if self.after == LENGTH:
            return [*answers, "A-RELEASE-RP", "closed"]
        return [*answers, *["A-ABORT(0,0)"] * (kind == "silence" and self.is_associated), "closed"]


LENGTH = len(REQUEST) + len(store("2.25.100000")) + len(RELEASE_RQ)


@pytest.fixture(scope="module")
def patient():
    """For ends that the peer makes: it may take its time."""
    with ready("--artim", str(PATIENCE), *MANY) as server:
        yield server


@pytest.fixture(scope="module")
def impatient():
    """For silence: each timer ends it soon."""
    timers = ("--artim", TIMER, "--idle-timeout", TIMER, "--pdu-timeout", TIMER)
    with ready(*map(str, timers), *MANY, min_rate_window=TIMER) as server:
        yield server


@contextmanager
def ready(*options, **limits):
    with serving(*options, limits={"max_unassociated": 1000, **limits}) as server:
        server.settle()
        trio.run(server.fairly, server.echo, HELD_UP)
        yield server


async def end(peer, kind):
    if kind == "FIN":
        await peer.stream.send_eof()
    if kind == "RST":
        await peer.reset()
    else:
        await peer.hear()


async def play(server, cut, kind):
    peer = await server.connect()
    started = time.monotonic()
    await peer.send(cut.said)
    await end(peer, kind)
    held = time.monotonic() - started
    await trio.aclose_forcefully(peer.stream)
    expected = cut.expected(kind)
    assert expected is None or peer.answers == expected, f"after {cut.after} octets"
    assert kind != "silence" or held <= 2 * TIMER + 3 * SLACK, f"after {cut.after} octets"


def play_all(server, kind, cuts):
    """What was wrong."""
    wrong = []

    async def run():
        places = trio.CapacityLimiter(AT_ONCE)

        async def play_one(cut):
            async with places:
                try:
                    if kind == "silence":
                        await server.fairly(lambda: play(server, cut, kind), HELD_UP)
                    else:
                        await play(server, cut, kind)
                except AssertionError as error:
                    wrong.append(str(error))

        with trio.fail_after(4 * PATIENCE):
            async with trio.open_nursery() as nursery:
                for cut in cuts:
                    nursery.start_soon(play_one, cut)
        await server.fairly(server.serves_others, HELD_UP)

    with server.comes_back_to_rest(octets=160 << 20):
        trio.run(run)
    return wrong


@pytest.mark.parametrize("kind", ["FIN", "RST", "silence"])
def test_cut_after_every_octet(request, kind):
    server = request.getfixturevalue("impatient" if kind == "silence" else "patient")
    cuts = [Cut(kind, after) for after in range(LENGTH + 1)]
    assert play_all(server, kind, cuts) == []
    stored = server.stored()
    for cut in cuts:
        if cut.uid in stored:
            assert cut.is_stored
            assert stored.pop(cut.uid) == cut.octets
        else:
            assert not cut.is_stored or kind == "RST"
    assert not [uid for uid in stored if uid[:6] == cuts[0].uid[:6]], "nothing else came of it"
