"""Sending to acceptors that are hostile: each file's outcome is the truth, and `stored` only when it was said of it."""

import json
import os
import sys

import pytest
import trio
from hostile_acceptors import Hostile, accept, answer_of, response
from hostile_kit import CT, IMPLICIT, LOOPBACK, PATIENCE, image, named

from dulcet.conformance.kit.stimuli import RELEASE_RP, RELEASE_RQ, UNKNOWN_PDU, abort, pdu, rejection
from dulcet.services.part10 import encode_header
from dulcet.services.requestor import Peer
from dulcet.station.events import Outcome, StoreResult
from dulcet.station.sending.files import find_files
from dulcet.station.sending.progress import Transfer
from dulcet.station.sending.sender import Sender, SendOptions

TIMEOUT = 4.0  # seconds, where it is meant to expire; it begins anew with each question
SMALL, LARGE = named("small"), named("large")
LARGE_OCTETS = 30_000_000  # more than the kernel takes for a peer that does not read
STORED, WARNING, REFUSED, UNCONFIRMED, NOT_SENT = (
    Outcome.STORED, Outcome.WARNING, Outcome.REFUSED, Outcome.UNCONFIRMED, Outcome.NOT_SENT,
)  # fmt: skip


def stored(instance=SMALL, status=0, message_id=1, **elements):
    """A C-STORE-RSP."""
    return response(0x8001, message_id, status, **{"x0002": CT, "x1000": instance, **elements})


def replies(*octets, releases=True, maximum=0):
    """To a C-STORE that has come whole."""

    async def script(it):
        await it.until_it_asks(accept(maximum=maximum))
        await it.say(*octets)
        if releases:
            await it.hear(3)
            await it.say(RELEASE_RP)

    return script


def answers(*octets):
    """To the A-ASSOCIATE-RQ."""

    async def script(it):
        await it.accepts(*octets)

    return script


def when_it_has_come(how):
    """FIN or RST after the last octet of the data set."""

    async def script(it):
        await it.until_it_asks()
        await ends(it, how)

    return script


async def ends(it, how):
    if how == "RST":
        await it.peer.reset()
    else:
        await it.peer.stream.aclose()


def in_the_middle(*octets, how=""):
    """Of a large data set: read a little of it, say this, then end or read no more."""

    async def script(it):
        it.small_buffer()
        await it.accepts()
        await it.peer.stream.receive_some(100_000)
        await it.say(*octets)
        if how:
            await ends(it, how)
        else:
            await trio.sleep_forever()

    return script


def early(octets):
    """An answer while a large data set is on its way, which is read to its end."""

    async def script(it):
        await it.accepts()
        await it.peer.stream.receive_some(100_000)
        await it.say(octets)
        while await it.peer.stream.receive_some(1 << 20):
            pass

    return script


CASES = {
    # name: (script, is the object large?, outcome, status)
    "good": (replies(stored()), False, STORED, 0),
    "good, in fragments of two octets": (replies(stored(), maximum=8), False, STORED, 0),
    "a warning": (replies(stored(status=0xB000)), False, WARNING, 0xB000),
    "a refusal": (replies(stored(status=0xA700)), False, REFUSED, 0xA700),
    "a refusal with a comment that writes terminals": (
        replies(stored(status=0xC123, x0902="\x1b[31mX\r\nstored: all\a")), False, REFUSED, 0xC123,
    ),
    "a status that is not defined": (replies(stored(status=0x1234)), False, REFUSED, 0x1234),
    "pending, then nothing": (replies(stored(status=0xFF00)), False, REFUSED, 0xFF00),
    "no SOP instance in the response": (replies(stored(x1000=None)), False, STORED, 0),
    "success of another instance": (replies(stored("1.2.3"), releases=False), False, UNCONFIRMED, None),
    "success of another message": (replies(stored(message_id=7), releases=False), False, UNCONFIRMED, None),
    "a C-ECHO-RSP": (replies(response(0x8030), releases=False), False, UNCONFIRMED, None),
    "success on another context": (replies(stored(context_id=99), releases=False), False, UNCONFIRMED, None),
    "no status": (replies(stored(status=None), releases=False), False, UNCONFIRMED, None),
    "success twice": (replies(stored() * 2, releases=False), False, STORED, 0),
    "success, then an abort": (replies(stored() + abort(0, 0), releases=False), False, STORED, 0),
    "success, then nothing": (replies(stored(), releases=False), False, STORED, 0),
    # it has come whole, and there is no answer
    "FIN instead of a response": (when_it_has_come("FIN"), False, UNCONFIRMED, None),
    "RST instead of a response": (when_it_has_come("RST"), False, UNCONFIRMED, None),
    "A-ABORT instead of a response": (replies(abort(2, 0), releases=False), False, UNCONFIRMED, None),
    "A-RELEASE-RQ instead of a response": (replies(RELEASE_RQ, releases=False), False, UNCONFIRMED, None),
    "an unknown PDU instead of a response": (replies(UNKNOWN_PDU, releases=False), False, UNCONFIRMED, None),
    "4 GiB instead of a response": (replies(pdu(0x04, length=0xFFFFFFFF), releases=False), False, UNCONFIRMED, None),
    "no response": (replies(b"", releases=False), False, UNCONFIRMED, None),
    "half a response": (replies(stored()[:40], releases=False), False, UNCONFIRMED, None),
    # it has not come whole
    "success in the middle, then FIN": (in_the_middle(stored(LARGE), how="FIN"), True, NOT_SENT, None),
    "success in the middle, then RST": (in_the_middle(stored(LARGE), how="RST"), True, NOT_SENT, None),
    "success in the middle, then no reading": (in_the_middle(stored(LARGE)), True, NOT_SENT, None),
    "FIN in the middle": (in_the_middle(how="FIN"), True, NOT_SENT, None),
    "RST in the middle": (in_the_middle(how="RST"), True, NOT_SENT, None),
    "A-ABORT in the middle": (in_the_middle(abort(0, 0), how="FIN"), True, NOT_SENT, None),
    "no reading in the middle": (in_the_middle(), True, NOT_SENT, None),
    "a refusal in the middle, and it is read": (early(stored(LARGE, 0xA700)), True, REFUSED, 0xA700),
    # no association
    "rejected": (answers(rejection(1, 1, 3)), False, NOT_SENT, None),
    "rejected for now": (answers(rejection(2, 3, 2)), False, NOT_SENT, None),
    "a context that was not proposed": (answers(accept(answer_of(99))), False, NOT_SENT, None),
    "a transfer syntax that was not offered": (
        answers(accept(answer_of(1, 0, "1.2.840.10008.1.2.4.50"))), False, NOT_SENT, None,
    ),
    "maximum length 1": (answers(accept(maximum=1)), False, NOT_SENT, None),
    "silence": (answers(b""), False, NOT_SENT, None),
    "HTTP": (answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), False, NOT_SENT, None),
}  # fmt: skip


SILENT = {
    "success, then nothing", "no response", "half a response", "silence",
    "success in the middle, then no reading", "no reading in the middle", "a refusal in the middle, and it is read",
}  # fmt: skip
"""Those that let a question go unanswered, be it the A-RELEASE-RQ."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A small object and a large one."""
    directory = tmp_path_factory.mktemp("objects")
    for name, uid, pixels in (("small.dcm", SMALL, b"pixels"), ("large.dcm", LARGE, bytes(LARGE_OCTETS))):
        header = encode_header(
            sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax_uid=IMPLICIT, source_ae_title="TEST"
        )
        (directory / name).write_bytes(header + image(uid, pixels))
    return directory


@pytest.fixture(scope="module")
def results(files):
    """Every case, all at once, each with a sender and an acceptor of its own; the result of its file."""
    found = {}

    async def play(name, nursery):
        script, is_large, _, _ = CASES[name]
        acceptor = Hostile(script)
        await nursery.start(acceptor.serve)
        to_send = list(find_files([files / ("large.dcm" if is_large else "small.dcm")]))
        transfer = Transfer(total_objects=1, total_octets=to_send[0].size)
        events = []
        peer = Peer(host=LOOPBACK, port=acceptor.port, ae_title="HOSTILE")
        options = SendOptions(retries=0, timeout=TIMEOUT if name in SILENT else PATIENCE)
        with trio.fail_after(2 * PATIENCE):
            await Sender(peer, options, events.append, transfer).send(to_send)
        found[name] = [event for event in events if isinstance(event, StoreResult)]

    async def play_all():
        async with trio.open_nursery() as acceptors:
            async with trio.open_nursery() as senders:
                for name in CASES:
                    senders.start_soon(play, name, acceptors)
            acceptors.cancel_scope.cancel()

    trio.run(play_all)
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_outcome_is_the_truth(results, name):
    _, _, outcome, status = CASES[name]
    (result,) = results[name]
    assert (result.outcome, result.status) == (outcome, status), result
    assert bool(result.exit_code) == (outcome not in (STORED, WARNING))


def test_the_program_escapes_what_a_peer_says_and_fails_when_it_is_not_sure(files):
    """`dulcet send` as people run it, to an acceptor that refuses with an attack on terminals, and one that goes."""
    refusing = Hostile(CASES["a refusal with a comment that writes terminals"][0])
    going = Hostile(CASES["FIN instead of a response"][0])

    async def send(acceptor, *options):
        command = [sys.executable, "-m", "dulcet", "send", "--retries", "0", *options]
        environment = {**os.environ, "DULCET_CONFIG": os.devnull, "DULCET_NODES": os.devnull, "NO_COLOR": "1"}
        return await trio.run_process(
            [*command, f"HOSTILE@{LOOPBACK}:{acceptor.port}", str(files / "small.dcm")],
            env=environment, capture_stdout=True, capture_stderr=True, check=False,
        )  # fmt: skip

    ran = {}

    async def run():
        async with trio.open_nursery() as nursery:
            for acceptor in (refusing, going):
                await nursery.start(acceptor.serve)
            ran["refused"] = await send(refusing)
            ran["unconfirmed"] = await send(going, "--json")

    trio.run(run)
    text = (ran["refused"].stdout + ran["refused"].stderr).decode()
    assert ran["refused"].returncode == 76
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert "\nstored: all" not in text
    assert ran["unconfirmed"].returncode == 75
    lines = [json.loads(line) for line in ran["unconfirmed"].stdout.splitlines()]
    assert [line["outcome"] for line in lines if line["event"] == "store.result"] == ["unconfirmed"]
