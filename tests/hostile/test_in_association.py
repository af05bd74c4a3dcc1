"""In an association (Sta6): PDUs, PDVs, fragments and command sets that are wrong (PS3.8 9.2, Annex E, PS3.7 6.3)."""

import os

import pytest
from hostile_kit import (
    CT,
    DEFLATED_CONTEXT,
    ECHO_CONTEXT,
    EXPLICIT_CONTEXT,
    REFUSED_CONTEXT,
    REQUEST,
    STORE_CONTEXT,
    VERIFICATION,
    command,
    echo,
    image,
    named,
    store,
    store_command,
)

from dulcet.conformance.kit.command_set import element, joined
from dulcet.conformance.kit.stimuli import (
    ABORT,
    COMMAND,
    LAST,
    REJECTION,
    RELEASE_RP,
    RELEASE_RQ,
    abort,
    message,
    p_data,
    pdu,
    pdv,
)
from dulcet.conformance.kit.synthetic import cancel_rq, find_rq, query_rq, study_query

ASSOCIATED = True
UNRECOGNIZED, UNEXPECTED, BAD_ORDER, INVALID = (f"A-ABORT(2,{reason})" for reason in (1, 2, 5, 6))
ABORTED = "A-ABORT(0,0)"
ECHOED, STORED, RELEASED = "C-ECHO-RSP(0000H)", "C-STORE-RSP(0000H)", "A-RELEASE-RP"
MAXIMUM = 128 * 1024  # that the server announces
ECHO = command({0x0002: VERIFICATION, 0x0100: 0x0030, 0x0110: 1}, {})


def echo_command(*elements):
    """A command set of these elements, as they are, on the Verification context."""
    return message(ECHO_CONTEXT, joined(elements))


def last(context_id, octets):
    return p_data(pdv(context_id, COMMAND | LAST, octets))


async def command_set_without_end(peer):
    block = p_data(pdv(ECHO_CONTEXT, COMMAND, bytes(16378)))
    for _ in range(3200):
        if not await peer.send(block):
            return


async def identifiers_without_end(peer):
    """A data set where none belongs: 100 MB to a request that is refused, then its end."""
    await peer.send(message(ECHO_CONTEXT, find_rq(5)))
    block = p_data(pdv(ECHO_CONTEXT, 0, bytes(16378)))
    for _ in range(6400):
        await peer.send(block)
    await peer.send(p_data(pdv(ECHO_CONTEXT, LAST, b"")))


async def ten_thousand_echoes(peer):
    await peer.send(b"".join(echo(number % 65535 + 1) for number in range(10_000)))


def empty_fragments(count):
    return p_data(*[pdv(ECHO_CONTEXT, COMMAND, b"")] * count, pdv(ECHO_CONTEXT, COMMAND | LAST, ECHO))


def fragments_of(size):
    pieces = [ECHO[start : start + size] for start in range(0, len(ECHO), size)]
    values = [pdv(ECHO_CONTEXT, COMMAND, piece) for piece in pieces[:-1]]
    return p_data(*values, pdv(ECHO_CONTEXT, COMMAND | LAST, pieces[-1]))


FIELD, NUMBER, NO_DATA = element(0x0100, 0x0030), element(0x0110, 1), element(0x0800, 0x0101)
CLASS = element(0x0002, VERIFICATION)
HALF = p_data(pdv(STORE_CONTEXT, COMMAND | LAST, store_command("1.2.3"))) + p_data(pdv(STORE_CONTEXT, 0, b"\0\0"))

CASES = {
    # B1, B2, B3: PDUs
    "B1 an unknown PDU": (pdu(0x55, bytes(4)), UNRECOGNIZED),
    "B1 the first octet of one": (b"\x09", UNRECOGNIZED),
    "B1 PDU type 0": (bytes(6), UNRECOGNIZED),
    "B1 HTTP": (b"GET / HTTP/1.1\r\n\r\n", UNRECOGNIZED),
    "B1 random octets": (b"\xa5" + os.urandom(3000), UNRECOGNIZED),
    "B1 inside a message": (HALF + pdu(0x55, bytes(4)), UNRECOGNIZED),
    "B2 A-ASSOCIATE-RQ": (REQUEST.encode(), UNEXPECTED),
    "B2 A-ASSOCIATE-RQ inside a message": (HALF + REQUEST.encode(), UNEXPECTED),
    "B2 A-ASSOCIATE-RQ of 4 GiB": (pdu(0x01, length=0xFFFFFFFF), INVALID),
    "B2 A-ASSOCIATE-RQ of no octets": (pdu(0x01), INVALID),
    "B2 A-ASSOCIATE-AC": (pdu(0x02, REQUEST.encode()[6:]), UNEXPECTED),
    "B2 A-ASSOCIATE-RJ": (REJECTION, UNEXPECTED),
    "B2 A-RELEASE-RP": (RELEASE_RP, UNEXPECTED),
    "B2 A-ABORT": (ABORT,),
    "B2 A-ABORT of no source": (abort(1, 99),),
    "B2 A-ABORT inside a message": (HALF + ABORT,),
    "B2 A-RELEASE-RQ inside a message": (HALF + RELEASE_RQ, RELEASED),
    "B2 A-RELEASE-RQ twice": (RELEASE_RQ * 2, RELEASED),
    "B2 A-RELEASE-RQ, then a C-ECHO": (RELEASE_RQ + echo(), RELEASED),
    "B3 A-RELEASE-RQ of length 0": (pdu(0x05), INVALID),
    "B3 A-RELEASE-RQ of length 5": (pdu(0x05, bytes(5)), INVALID),
    "B3 A-RELEASE-RQ of 4 GiB": (pdu(0x05, length=0xFFFFFFFF), INVALID),
    "B3 A-RELEASE-RP of length 0": (pdu(0x06), INVALID),
    "B3 A-ABORT of length 0": (pdu(0x07), INVALID),
    "B3 A-ABORT of length 6": (pdu(0x07, bytes(6)), INVALID),
    "B3 A-ASSOCIATE-RJ of length 3": (pdu(0x03, bytes(3)), INVALID),
    # B4, B5, B6: P-DATA-TF and its PDVs
    "B4 P-DATA-TF of length 0": (pdu(0x04), INVALID),
    "B4 P-DATA-TF of length 3": (pdu(0x04, bytes(3)), INVALID),
    "B4 PDV of length 0": (p_data(pdv(1, COMMAND | LAST, b"", length=0)), INVALID),
    "B4 PDV of length 1": (p_data(bytes.fromhex("00000001 01")), INVALID),
    "B4 PDV beyond its PDU": (p_data(pdv(1, COMMAND | LAST, ECHO, length=len(ECHO) + 3)), INVALID),
    "B4 PDV shorter than its fragment": (p_data(pdv(1, COMMAND | LAST, ECHO, length=len(ECHO))), INVALID),
    "B4 PDV of 4 GiB": (p_data(pdv(1, COMMAND | LAST, ECHO, length=0xFFFFFFFF)), INVALID),
    "B4 PDV of 2 GiB": (p_data(pdv(1, COMMAND | LAST, ECHO, length=0x80000000)), INVALID),
    "B4 PDV of which 2 and 4 octets are beyond 4 GiB": (
        p_data(pdv(1, COMMAND | LAST, ECHO, length=0xFFFFFFFE)),
        INVALID,
    ),
    "B4 a good PDV and a bad one": (p_data(pdv(1, COMMAND | LAST, ECHO), pdv(1, 0, b"", length=9)), INVALID),
    "B5 an empty last fragment": (p_data(pdv(1, COMMAND, ECHO), pdv(1, COMMAND | LAST, b"")), ECHOED, ...),
    "B5 16 empty fragments": (empty_fragments(16), ECHOED, ...),
    "B5 17 empty fragments": (empty_fragments(17), INVALID),
    "B5 empty fragments without end": (p_data(*[pdv(1, COMMAND, b"")] * 20_000), INVALID),
    "B5 a command set of nothing": (last(1, b""), INVALID),
    "B6 as much as we announced": (
        p_data(pdv(EXPLICIT_CONTEXT, COMMAND | LAST, store_command(named("B6"))))
        + p_data(pdv(EXPLICIT_CONTEXT, LAST, image(named("B6"), bytes(MAXIMUM - 6 - 126), explicit=True))),
        STORED,
        ...,
    ),
    "B6 one octet more than we announced": (pdu(0x04, length=MAXIMUM + 1), INVALID),
    "B6 twice as much as we announced": (p_data(pdv(1, COMMAND, bytes(2 * MAXIMUM))), INVALID),
    "B6 P-DATA-TF of 4 GiB": (pdu(0x04, length=0xFFFFFFFF), INVALID),
    # B7, B8: contexts and the order of fragments
    "B7 a context that was not proposed": (last(99, ECHO), BAD_ORDER),
    "B7 an even context": (last(2, ECHO), BAD_ORDER),
    "B7 context 0": (last(0, ECHO), BAD_ORDER),
    "B7 a context that was refused": (last(REFUSED_CONTEXT, ECHO), BAD_ORDER),
    "B8 a data set first": (p_data(pdv(STORE_CONTEXT, LAST, bytes(10))), BAD_ORDER),
    "B8 a command inside a data set": (HALF + p_data(pdv(STORE_CONTEXT, COMMAND | LAST, ECHO)), BAD_ORDER),
    "B8 a command on another context inside a data set": (HALF + echo(), BAD_ORDER),
    "B8 a command set over two contexts": (
        p_data(pdv(1, COMMAND, ECHO[:20])) + p_data(pdv(STORE_CONTEXT, COMMAND | LAST, ECHO[20:])),
        BAD_ORDER,
    ),
    "B8 a data set on another context than its command": (
        HALF + p_data(pdv(EXPLICIT_CONTEXT, LAST, b"\0\0")),
        BAD_ORDER,
    ),
    "B8 a data set over two contexts in one PDU": (
        p_data(
            pdv(STORE_CONTEXT, COMMAND | LAST, store_command("1.2.3")),
            pdv(STORE_CONTEXT, 0, b"\0\0"),
            pdv(DEFLATED_CONTEXT, LAST, b"\0\0"),
        ),
        BAD_ORDER,
    ),
    "B8 a data set that was not announced": (echo() + p_data(pdv(1, LAST, b"\0\0")), ECHOED, BAD_ORDER),
    "B8 a data set after its last fragment": (
        store(named("B8")) + p_data(pdv(STORE_CONTEXT, LAST, b"\0\0")),
        STORED,
        BAD_ORDER,
    ),
    "B8 two messages in one PDU": (p_data(pdv(1, COMMAND | LAST, ECHO), pdv(1, COMMAND | LAST, ECHO)), ECHOED, ECHOED,
                                   ...),
    "B8 control header FF": (p_data(pdv(1, 0xFF, ECHO)), ECHOED, ...),
    # B9, B10: without end
    "B9 a command set without end": (command_set_without_end, INVALID),
    "B9 a command set of 64 KiB": (
        message(1, command({0x0002: VERIFICATION, 0x0100: 0x0030, 0x0110: 1, 0x1031: b"\0" * 65454}, {})),
        ECHOED,
        ...,
    ),
    "B9 a command set of two octets more": (message(1, ECHO + bytes(65538 - len(ECHO))), INVALID),
    "B10 an identifier without end to a request that is refused": (identifiers_without_end, "C-FIND-RSP(0211H)", ...),
    # B11, B12: command sets
    "B11 garbage": (last(1, b"\x99" * 16), INVALID),
    "B11 random octets": (last(1, os.urandom(400)), INVALID),
    "B11 an element beyond the end": (last(1, ECHO + b"\0\0\0\x10\xff\xff\0\0"), "C-ECHO-RSP(0212H)", ...),
    "B11 an element of 4 GiB": (last(1, ECHO + b"\0\0\0\x10\xff\xff\xff\xff"), "C-ECHO-RSP(0212H)", ...),
    "B11 stray octets": (last(1, ECHO + b"\0\0\0"), "C-ECHO-RSP(0212H)", ...),
    "B11 no Command Field": (echo_command(CLASS, NUMBER, NO_DATA), INVALID),
    "B11 no Command Data Set Type": (echo_command(CLASS, FIELD, NUMBER), INVALID),
    "B11 no Message ID": (echo_command(CLASS, FIELD, NO_DATA), INVALID),
    "B11 a Command Field of one octet": (echo_command(CLASS, element(0x0100, b"\x30"), NUMBER, NO_DATA), INVALID),
    "B11 no SOP class": (echo_command(FIELD, NUMBER, NO_DATA), "C-ECHO-RSP(0212H)", ...),
    "B11 no group length": (last(1, CLASS + FIELD + NUMBER + NO_DATA), ECHOED, ...),
    "B11 a wrong group length": (last(1, element(0, 9) + CLASS + FIELD + NUMBER + NO_DATA), ECHOED, ...),
    "B11 in descending order": (last(1, NO_DATA + NUMBER + FIELD + CLASS), ECHOED, ...),
    "B11 an element twice": (echo_command(CLASS, CLASS, FIELD, NUMBER, NO_DATA), ECHOED, ...),
    "B11 two Message IDs": (echo_command(CLASS, FIELD, NUMBER, element(0x0110, 2), NO_DATA), "C-ECHO-RSP(0212H)", ...),
    "B11 an element of another group": (
        echo_command(CLASS, FIELD, NUMBER, NO_DATA, element(0x00080016, b"1.2 ")),
        ECHOED,
        ...,
    ),
    "B11 thousands of elements": (
        message(1, joined([CLASS, FIELD, NUMBER, NO_DATA, *[element(0x9999, b"")] * 7000])),
        ECHOED,
        ...,
    ),
    "B12 an unknown command": (echo(x0100=0x7777), "command F777H(0211H)", ...),
    "B12 command 0": (echo(x0100=0), "command 8000H(0211H)", ...),
    "B12 an unknown response": (echo(x0100=0xF777), INVALID),
    "B12 N-EVENT-REPORT": (echo(x0100=0x0100, x1000="1.2.3", x1002=1), "N-EVENT-REPORT-RSP(0211H)", ...),
    "B12 N-DELETE": (echo(x0100=0x0150, x0003="1.2.840.10008.1.1", x1001="1.2.3"), "N-DELETE-RSP(0211H)", ...),
    "B12 C-FIND where none is answered": (
        message(1, find_rq(5, VERIFICATION), study_query()),
        "C-FIND-RSP(0211H)",
        ...,
    ),
    "B12 C-MOVE where none is answered": (
        message(1, query_rq(0x0021, 5, VERIFICATION, x0600="EVIL"), study_query()),
        "C-MOVE-RSP(0211H)",
        ...,
    ),
    "B12 C-ECHO of another SOP class": (echo(x0002="1.2.3.4"), "C-ECHO-RSP(0122H)", ...),
    "B12 C-ECHO on a storage context": (message(STORE_CONTEXT, ECHO), "C-ECHO-RSP(0122H)", ...),
    "B12 C-ECHO of the storage class": (
        message(STORE_CONTEXT, command({0x0002: CT, 0x0100: 0x0030, 0x0110: 1}, {})),
        "C-ECHO-RSP(0122H)",
        ...,
    ),
    # B13, B14: responses, cancels, message IDs
    "B13 a response to nothing": (echo(x0100=0x8030, x0110=None, x0120=1, x0900=0), ABORTED),
    "B13 a C-STORE-RSP to nothing": (echo(x0100=0x8001, x0110=None, x0120=1, x0900=0, x1000="1.2"), ABORTED),
    "B13 a cancel of nothing": (message(1, cancel_rq(77)) + echo(), ECHOED, ...),
    "B13 a thousand cancels": (b"".join(message(1, cancel_rq(number)) for number in range(1000)) + echo(), ECHOED, ...),
    "B13 a C-ECHO with a data set": (message(1, command({0x0002: VERIFICATION, 0x0100: 0x0030, 0x0110: 1, 0x0800: 1},
                                                        {}), bytes(5000)), ECHOED, ...),
    "B14 a Message ID twice": (echo(7) + echo(7), ECHOED, ECHOED, ...),
    "B14 a Message ID on two contexts": (
        store(named("B14 a"))
        + message(EXPLICIT_CONTEXT, store_command(named("B14 b")), image(named("B14 b"), explicit=True)),
        STORED,
        STORED,
        ...,
    ),
    "B14 Message ID 0 and 65535": (echo(0) + echo(65535), ECHOED, ECHOED, ...),
    "B14 ten thousand requests at once": (ten_thousand_echoes, *[ECHOED] * 10_000, ...),
    # fragments as they may be
    "B5 fragments of 2 octets": (fragments_of(2), ECHOED, ...),
    "B5 fragments of 1 octet": (fragments_of(1), ECHOED, ...),
    "B5 fragments of 5 octets": (fragments_of(5), ECHOED, ...),
    "C12 C-ECHO and A-RELEASE-RQ at once": (echo() + RELEASE_RQ, ECHOED, RELEASED),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_in_association(played, name):
    played(name)


def test_the_server_is_as_it_was_before(played):
    played("the server came back to rest")


def test_nothing_is_stored_but_what_was_acknowledged(played, server):
    assert sorted(server.stored()) == sorted(server.acknowledged)
