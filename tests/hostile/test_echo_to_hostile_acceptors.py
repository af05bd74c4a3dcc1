"""`dulcet echo` to acceptors that are hostile, all of them at once: a sentence, an exit code, and no harm."""

import json
import os
import sys

import pytest
import trio
from hostile_acceptors import Hostile, accept, answer_of, echoed, response
from hostile_kit import LOOPBACK, PATIENCE

from dulcet.conformance.kit.stimuli import (
    COMMAND,
    RELEASE_RP,
    RELEASE_RQ,
    UNKNOWN_PDU,
    abort,
    item,
    message,
    p_data,
    pdu,
    pdv,
    rejection,
)

TIMEOUT = 4.0  # seconds, where it is meant to expire; it begins anew with each question
ASKED, ECHO, RELEASE = "A-ASSOCIATE-RQ", "C-ECHO-RQ", "A-RELEASE-RQ"
DONE, LATER, REFUSED, WRONG = 0, 75, 77, 76
USER, UNRECOGNIZED, UNEXPECTED, ORDER, INVALID = (
    f"A-ABORT({numbers})" for numbers in ("0,0", "2,1", "2,2", "2,5", "2,6")
)


def answers(*octets):
    """To the request."""

    async def script(it):
        await it.accepts(*octets)

    return script


def replies(*octets, after=None):
    """To the C-ECHO-RQ."""

    async def script(it):
        await it.until_it_asks(*([] if after is None else [after]))
        await it.say(*octets)

    return script


def at_release(*octets):
    """To the A-RELEASE-RQ."""

    async def script(it):
        await it.until_it_asks()
        await it.say(echoed())
        await it.hear(3)
        await it.say(*octets)

    return script


def ends(how, said=0):
    """FIN or RST after it has heard so many things; the first is accepted, the second answered."""

    async def script(it):
        if said > 0:
            await it.accepts()
        if said > 1:
            await it.hear(2)
            await it.say(echoed())
        await it.hear(said + 1)
        if how == "RST":
            await it.peer.reset()
        else:
            await it.peer.stream.aclose()

    return script


def in_drops(octets, seconds):
    async def script(it):
        await it.hear(1)
        async with trio.open_nursery() as nursery:
            if seconds:
                nursery.start_soon(it.hear, 2)
            for octet in octets:
                if not await it.peer.send(bytes([octet])):
                    break
                await trio.sleep(seconds)

    return script


async def good(it):
    await it.until_it_asks()
    await it.say(echoed())
    await it.hear(3)
    await it.say(RELEASE_RP)


async def good_octet_by_octet(it):
    await in_drops(accept(), 0)(it)
    await it.hear(2)
    for octets in (echoed(), RELEASE_RP):
        for octet in octets:
            await it.say(bytes([octet]))
        await it.hear(3)


async def command_set_without_end(it):
    await it.until_it_asks()
    block = p_data(pdv(1, COMMAND, bytes(16378)))
    for _ in range(1000):
        if not await it.peer.send(block):
            return


async def data_set_without_end(it):
    await it.until_it_asks()
    await it.say(response(0x8030, x0800=1))
    block = p_data(pdv(1, 0, bytes(16378)))
    for _ in range(1000):
        if not await it.peer.send(block):
            return


def finishing(after, asked=3):
    """A good end after what was said first: the last of so many things that are heard asks for it."""

    async def script(it):
        await after(it)
        await it.hear(asked)
        await it.say(RELEASE_RP)

    return script


TWO = accept(answer_of(1), answer_of(1))
NOT_OFFERED = "1.2.840.10008.1.2.4.50"

CASES = {
    "good": (good, DONE, [ASKED, ECHO, RELEASE]),
    "good, octet by octet": (good_octet_by_octet, DONE, [ASKED, ECHO, RELEASE]),
    # A-ASSOCIATE-AC
    "a context that was not proposed": (answers(accept(answer_of(3))), WRONG, [ASKED, INVALID]),
    "an even context": (answers(accept(answer_of(2))), WRONG, [ASKED, INVALID]),
    "a context twice": (answers(TWO), WRONG, [ASKED, INVALID]),
    "a transfer syntax that was not offered": (answers(accept(answer_of(1, 0, NOT_OFFERED))), WRONG, [ASKED, INVALID]),
    "accepted without a transfer syntax": (answers(accept(item(0x21, b"\1\0\0\0"))), WRONG, [ASKED, INVALID]),
    "no answer to the context": (finishing(answers(accept(item(0x77))), 2), WRONG, [ASKED, RELEASE]),
    "maximum length 1": (answers(accept(maximum=1)), WRONG, [ASKED, INVALID]),
    "maximum length 7": (answers(accept(maximum=7)), WRONG, [ASKED, INVALID]),
    "maximum length 8": (finishing(replies(echoed(), after=accept(maximum=8))), DONE, [ASKED, ECHO, RELEASE]),
    "maximum length 0": (finishing(replies(echoed(), after=accept(maximum=0))), DONE, [ASKED, ECHO, RELEASE]),
    "no maximum length": (finishing(replies(echoed(), after=accept(maximum=None))), DONE, [ASKED, ECHO, RELEASE]),
    "other AE titles": (
        finishing(replies(echoed(), after=accept(called="\x1b[31mEVIL", calling="../../x"))),
        DONE,
        [ASKED, ECHO, RELEASE],
    ),
    "another application context": (
        answers(accept().replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")),
        WRONG,
        [ASKED, INVALID],
    ),
    "an unknown item": (
        finishing(replies(echoed(), after=accept(more=item(0x99, b"?")))),
        DONE,
        [ASKED, ECHO, RELEASE],
    ),
    "an item beyond its PDU": (answers(pdu(0x02, accept()[6:] + b"\x50\0\xff\xff")), WRONG, [ASKED, INVALID]),
    "16000 items": (answers(pdu(0x02, accept()[6:74] + item(0x77) * 16000)), WRONG, [ASKED, INVALID]),
    "A-ASSOCIATE-AC of 4 GiB": (answers(pdu(0x02, length=0xFFFFFFFF)), WRONG, [ASKED, INVALID]),
    "A-ASSOCIATE-AC of nothing": (answers(pdu(0x02)), WRONG, [ASKED, INVALID]),
    "A-ASSOCIATE-AC twice": (answers(accept() * 2), WRONG, [ASKED, ECHO, UNEXPECTED]),
    "transfer syntaxes not supported": (
        finishing(answers(accept(answer_of(1, 4))), 2),
        WRONG,
        [ASKED, RELEASE],
    ),
    "a result that is not defined": (finishing(answers(accept(answer_of(1, 255))), 2), WRONG, [ASKED, RELEASE]),
    # instead of it
    "rejected": (answers(rejection(1, 1, 7)), REFUSED, [ASKED]),
    "rejected for now": (answers(rejection(2, 3, 1)), LATER, [ASKED]),
    "rejected in numbers that are not defined": (answers(rejection(9, 9, 200)), REFUSED, [ASKED]),
    "A-ASSOCIATE-RJ of length 3": (answers(pdu(0x03, bytes(3))), WRONG, [ASKED, INVALID]),
    "aborted": (answers(abort(2, 1)), WRONG, [ASKED]),
    "A-ASSOCIATE-RQ": (answers(pdu(0x01, accept()[6:])), WRONG, [ASKED, UNEXPECTED]),
    "a response at once": (answers(echoed()), WRONG, [ASKED, UNEXPECTED]),
    "A-RELEASE-RQ": (answers(RELEASE_RQ), WRONG, [ASKED, UNEXPECTED]),
    "an unknown PDU": (answers(UNKNOWN_PDU), WRONG, [ASKED, UNRECOGNIZED]),
    "HTTP": (answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), WRONG, [ASKED, UNRECOGNIZED]),
    "a TLS alert": (answers(bytes.fromhex("15 03 03 00 02 02 28")), WRONG, [ASKED, UNRECOGNIZED]),
    "SSH": (answers(b"SSH-2.0-OpenSSH\r\n"), WRONG, [ASKED, UNRECOGNIZED]),
    "FIN at once": (ends("FIN"), LATER, [ASKED]),
    "RST at once": (ends("RST"), LATER, [ASKED]),
    "silence": (answers(b""), LATER, [ASKED, USER]),
    "A-ASSOCIATE-AC in drops": (in_drops(accept(), 0.25), LATER, [ASKED, USER]),
    # C-ECHO-RSP
    "a response before the request": (finishing(answers(accept() + echoed())), DONE, [ASKED, ECHO, RELEASE]),
    "a response to another Message ID": (replies(echoed(2)), WRONG, [ASKED, ECHO, USER]),
    "a C-STORE-RSP": (replies(response(0x8001)), WRONG, [ASKED, ECHO, USER]),
    "a request instead": (replies(message(1, b"")), WRONG, [ASKED, ECHO, INVALID]),
    "on another context": (replies(echoed(context_id=3)), WRONG, [ASKED, ECHO, ORDER]),
    "two responses": (replies(echoed() * 2), WRONG, [ASKED, ECHO, RELEASE, USER]),
    "a status that is not defined": (finishing(replies(echoed(1, 0x1234))), WRONG, [ASKED, ECHO, RELEASE]),
    "pending": (finishing(replies(echoed(1, 0xFF00))), WRONG, [ASKED, ECHO, RELEASE]),
    "no status": (replies(echoed(1, None)), WRONG, [ASKED, ECHO, INVALID]),
    "no Message ID": (replies(echoed(x0120=None)), WRONG, [ASKED, ECHO, INVALID]),
    "a command set without end": (command_set_without_end, WRONG, [ASKED, ECHO, INVALID]),
    "a data set without end": (data_set_without_end, WRONG, [ASKED, ECHO, INVALID]),
    "a data set that never comes": (replies(echoed(x0800=1)), LATER, [ASKED, ECHO, USER]),
    "a PDU beyond our maximum": (replies(pdu(0x04, length=0xFFFFFFFF)), WRONG, [ASKED, ECHO, INVALID]),
    "half a response": (replies(echoed()[:30]), LATER, [ASKED, ECHO, USER]),
    "no response": (replies(b""), LATER, [ASKED, ECHO, USER]),
    "A-RELEASE-RQ instead of a response": (replies(RELEASE_RQ), WRONG, [ASKED, ECHO, "A-RELEASE-RP"]),
    "A-ABORT instead of a response": (replies(abort(0, 0)), WRONG, [ASKED, ECHO]),
    "FIN instead of a response": (ends("FIN", 1), LATER, [ASKED, ECHO]),
    "RST instead of a response": (ends("RST", 1), LATER, [ASKED, ECHO]),
    # the end
    "FIN instead of A-RELEASE-RP": (ends("FIN", 2), LATER, [ASKED, ECHO, RELEASE]),
    "A-ABORT instead of A-RELEASE-RP": (at_release(abort(0, 0)), WRONG, [ASKED, ECHO, RELEASE]),
    "no A-RELEASE-RP": (at_release(b""), LATER, [ASKED, ECHO, RELEASE, USER]),
    "release collision": (at_release(RELEASE_RQ + RELEASE_RP), DONE, [ASKED, ECHO, RELEASE, "A-RELEASE-RP"]),
    "an A-RELEASE-RP of length 0": (at_release(pdu(0x06)), WRONG, [ASKED, ECHO, RELEASE, INVALID]),
}


@pytest.fixture(scope="module")
def outcomes():
    """One `dulcet echo` for all that say something, and one that does not wait long for those that don't.

    What was printed, and by name what each acceptor heard, with the line that tells of it.
    """
    acceptors = {name: Hostile(script) for name, (script, _, _) in CASES.items()}
    titles = {name: f"HOSTILE{number}" for number, name in enumerate(CASES)}
    printed = []

    async def echo(patience, names):
        addresses = [f"{titles[name]}@{LOOPBACK}:{acceptors[name].port}" for name in names]
        command = [sys.executable, "-m", "dulcet", "echo", "--json", "--timeout", str(patience), *addresses]
        environment = {**os.environ, "DULCET_CONFIG": os.devnull, "DULCET_NODES": os.devnull, "NO_COLOR": "1"}
        with trio.fail_after(2 * PATIENCE):
            ran = await trio.run_process(
                command, capture_stdout=True, capture_stderr=True, env=environment, check=False
            )
        printed.append(ran)

    async def run():
        silent = [name for name, (_, code, expected) in CASES.items() if (code, expected[-1]) == (LATER, USER)]
        async with trio.open_nursery() as nursery:
            for acceptor in acceptors.values():
                await nursery.start(acceptor.serve)
            nursery.start_soon(echo, TIMEOUT, silent)
            nursery.start_soon(echo, PATIENCE, [name for name in CASES if name not in silent])

    trio.run(run)
    told = [json.loads(line) for ran in printed for line in ran.stdout.splitlines()]
    lines = {line["peer"].partition("@")[0]: line for line in told}
    return printed, {name: (lines[titles[name]], acceptor.heard) for name, acceptor in acceptors.items()}


@pytest.mark.parametrize("name", CASES)
def test_echo_to_a_hostile_acceptor(outcomes, name):
    _, exit_code, expected = CASES[name]
    line, heard = outcomes[1][name]
    assert [word for word in heard if word != "closed"] == expected
    assert line["exit_code"] == exit_code, line


def test_the_program_says_what_was_wrong_and_nothing_else(outcomes):
    printed, by_name = outcomes
    text = "".join(ran.stdout.decode() + ran.stderr.decode() for ran in printed)
    assert "Traceback" not in text
    assert all(character.isprintable() for character in text.replace("\n", "")), "no octets of a peer as they came"
    wrong = [name for name, (line, _) in by_name.items() if line["exit_code"] and not (
        line.get("error") or line["statuses"]
    )]  # fmt: skip
    assert wrong == []
