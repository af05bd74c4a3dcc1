"""Before there is an association (Sta2): what is no A-ASSOCIATE-RQ, and every way to get one wrong (PS3.8 9.2, 9.3)."""

import os

import pytest
from hostile_kit import ACCEPTED, CT, IMPLICIT, REQUEST, VERIFICATION, echo

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.stimuli import (
    ABORT,
    REJECTION,
    RELEASE_RP,
    RELEASE_RQ,
    abstract_syntax,
    application_context,
    context,
    context_of,
    item,
    maximum_length,
    pdu,
    title,
    transfer_syntax,
    user_information,
)

ASSOCIATED = False
WHOLE = REQUEST.encode()
ABORTED = "A-ABORT(0,0)"  # AA-1
NOT_OFFERED = "1.2.826.0.1.3680043.10.999.77"


def rq(**changes):
    return REQUEST.but(**changes).encode()


def user(*sub_items):
    """With these sub-items beside the others."""
    return REQUEST.with_user(*sub_items).encode()


def items(*found):
    """With these variable items and no others."""
    return rq(items=found)


def titled(calling):
    return rq(calling=title(calling))


def accepted(*results):
    return f"A-ASSOCIATE-AC({','.join(map(str, results))})"


async def flooded(peer):
    """100 MB after a header that promises 4 GiB."""
    block = bytes(1 << 20)
    await peer.send(b"\1\0\xff\xff\xff\xff")
    for _ in range(100):
        if not await peer.send(block):
            return


async def in_single_octets(peer):
    for octet in WHOLE:
        await peer.send(bytes([octet]))


NAME = application_context()
USER = user_information(*REQUEST.user)
ONE = context(1, VERIFICATION)
MANY = tuple(context(2 * number + 1, VERIFICATION) for number in range(128))

CASES = {
    # A1, A2, A3: the first octet is no A-ASSOCIATE-RQ's
    "A1 unknown PDU": (pdu(0x09, bytes(4)), ABORTED),
    "A1 first octet of an unknown PDU": (b"\x09", ABORTED),
    "A1 PDU type 0": (pdu(0x00, bytes(4)), ABORTED),
    "A1 PDU type FF": (pdu(0xFF, bytes(4)), ABORTED),
    "A1 unknown PDU of 4 GiB": (pdu(0x55, length=0xFFFFFFFF), ABORTED),
    "A1 HTTP": (b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", ABORTED),
    "A1 TLS ClientHello": (bytes.fromhex("16 03 01 02 00 01 00 01 fc 03 03") + os.urandom(505), ABORTED),
    "A1 SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", ABORTED),
    "A1 SMB": (bytes.fromhex("00 00 00 85 ff 53 4d 42 72 00 00 00 00"), ABORTED),
    "A1 HL7": (b"\x0bMSH|^~\\&|ADT1|MCM|FINGER|MCM|198808181126||ADT^A01|1|P|2.3\r\x1c\r", ABORTED),
    "A1 zeros": (bytes(1000), ABORTED),
    "A1 random octets": (b"\xa5" + os.urandom(4000), ABORTED),
    "A2 P-DATA-TF": (echo(), ABORTED),
    "A2 A-ASSOCIATE-AC": (pdu(0x02, WHOLE[6:]), ABORTED),
    "A2 A-ASSOCIATE-RJ": (REJECTION, ABORTED),
    "A2 A-RELEASE-RQ": (RELEASE_RQ, ABORTED),
    "A2 A-RELEASE-RP": (RELEASE_RP, ABORTED),
    "A2 A-ABORT of a wrong length": (pdu(0x07, bytes(6)), ABORTED),
    "A3 A-ABORT": (ABORT,),
    "A3 A-ABORT of the provider": (stimuli.abort(2, 5),),
    # A4, A5: its length
    "A4 4 GiB": (pdu(0x01, length=0xFFFFFFFF), ABORTED),
    "A4 4 GiB and 100 MB of it": (flooded, ABORTED),
    "A4 2 GiB": (pdu(0x01, length=0x80000000), ABORTED),
    "A4 one octet more than is taken": (pdu(0x01, length=65537), ABORTED),
    "A4 as much as is taken, and never sent": (pdu(0x01, length=65536),),
    "A5 length 0": (pdu(0x01), ABORTED),
    "A5 length 40": (pdu(0x01, WHOLE[6:46]), ABORTED),
    "A5 length 67": (pdu(0x01, WHOLE[6:73]), ABORTED),
    "A5 no items": (pdu(0x01, WHOLE[6:74]), "A-ASSOCIATE-RJ(1,1,2)"),
    "A5 half of it": (WHOLE[:100],),
    "A5 all but one octet": (WHOLE[:-1],),
    "A5 shorter than its items": (pdu(0x01, WHOLE[6:], length=len(WHOLE) - 7), ABORTED, "A-ABORT(2,1)"),  # AA-7
    "A5 octet by octet": (in_single_octets, ACCEPTED, ...),
    "A5 nothing": (b"",),
    # A6: lengths of items
    "A6 an item beyond its PDU": (items(NAME, ONE, item(0x50, b"", length=9)), ABORTED),
    "A6 an item of 65535 octets": (items(NAME, item(0x20, bytes(8), length=65535)), ABORTED),
    "A6 a sub-item beyond its context": (
        items(NAME, context_of(1, abstract_syntax(VERIFICATION), item(0x40, b"1.2", length=4)), USER),
        ABORTED,
    ),
    "A6 a context of length 0": (items(NAME, item(0x20), USER), ABORTED),
    "A6 a context of length 3": (items(NAME, item(0x20, b"\1\0\0"), USER), ABORTED),
    "A6 three stray octets in a context": (items(NAME, context_of(1, b"\x30\0\0"), USER), ABORTED),
    "A6 user information beyond its PDU": (items(NAME, ONE, item(0x50, b"\x51\0\0\4", length=8)), ABORTED),
    "A6 maximum length of 0 octets": (items(NAME, ONE, user_information(item(0x51))), ABORTED),
    "A6 maximum length of 3 octets": (items(NAME, ONE, user_information(item(0x51, bytes(3)))), ABORTED),
    "A6 maximum length of 5 octets": (items(NAME, ONE, user_information(item(0x51, bytes(5)))), ABORTED),
    "A6 maximum length of 65535 octets": (
        items(NAME, ONE, user_information(item(0x51, bytes(4), length=65535))),
        ABORTED,
    ),
    "A6 a role whose UID goes beyond it": (user(item(0x54, b"\xff\xff1.2\0\0")), ABORTED),
    "A6 a window of 3 octets": (user(item(0x53, bytes(3))), ABORTED),
    "A6 an identity whose field goes beyond it": (user(item(0x58, b"\2\0\xff\xffsecret\0\0")), ABORTED),
    "A6 related classes that go beyond it": (user(item(0x57, b"\0\0031.2\0\0031.3\xff\xff")), ABORTED),
    "A6 one stray octet at the end": (pdu(0x01, WHOLE[6:] + b"\x50"), ABORTED),
    # A7, A8: what must be passed over
    "A7 an unknown item": (items(NAME, item(0x77, b"what"), ONE, USER), accepted(0), ...),
    "A7 an unknown item in a context": (
        items(NAME, context_of(1, abstract_syntax(VERIFICATION), transfer_syntax(IMPLICIT), item(0x77, b"x")), USER),
        accepted(0),
        ...,
    ),
    "A7 an unknown sub-item": (user(item(0x77, bytes(300))), ACCEPTED, ...),
    "A7 a thousand unknown items": (items(NAME, *(item(0x78),) * 1000, ONE, USER), accepted(0), ...),
    "A8 reserved octets": (
        rq(reserved_2=0xFF, reserved_9_10=0xFFFF, reserved_43_74=b"\xff" * 32, contexts=(context_of(
            1, abstract_syntax(VERIFICATION, reserved=9), transfer_syntax(IMPLICIT, reserved=9), reserved=0xFF
        ),)),
        accepted(0),
        ...,
    ),
    "A8 version 0": (rq(version=0), "A-ASSOCIATE-RJ(1,2,2)"),
    "A8 version 2": (rq(version=2), "A-ASSOCIATE-RJ(1,2,2)"),
    "A8 version 8001": (rq(version=0x8001), ACCEPTED, ...),
    "A8 version FFFF": (rq(version=0xFFFF), ACCEPTED, ...),
    # A9, A10: contexts
    "A9 another application context": (rq(context_name=application_context("1.2.3.4.5")), "A-ASSOCIATE-RJ(1,1,2)"),
    "A9 no application context": (items(ONE, USER), "A-ASSOCIATE-RJ(1,1,2)"),
    "A9 an empty application context": (rq(context_name=application_context("")), "A-ASSOCIATE-RJ(1,1,2)"),
    "A9 two application contexts": (items(NAME, application_context("1.2.3"), ONE, USER), accepted(0), ...),
    "A10 an even context": (rq(contexts=(context(2, VERIFICATION),)), ABORTED),
    "A10 context 0": (rq(contexts=(context(0, VERIFICATION),)), ABORTED),
    "A10 a context twice": (rq(contexts=(ONE, context(1, CT))), ABORTED),
    "A10 no context": (rq(contexts=()), "A-ASSOCIATE-RJ(1,1,1)"),
    "A10 128 contexts": (rq(contexts=MANY), accepted(*[0] * 128), ...),
    "A10 129 contexts": (rq(contexts=(*MANY, ONE)), ABORTED),
    "A10 contexts up to the cap": (rq(contexts=(context_of(1),) * 7900), ABORTED),
    "A10 items up to the cap": (items(NAME, *(item(0x77),) * 16000, USER), ABORTED),
    "A10 application contexts up to the cap": (items(*(item(0x10),) * 16000, USER), ABORTED),
    "A10 transfer syntaxes up to the cap": (
        rq(contexts=(context_of(1, abstract_syntax(VERIFICATION), *(item(0x40),) * 16000),)),
        ABORTED,
    ),
    "A10 sub-items up to the cap": (rq(user=(maximum_length(),) * 8000), ABORTED),
    "A10 3000 transfer syntaxes": (rq(contexts=(context(1, VERIFICATION, *[IMPLICIT] * 3000),)), ABORTED),
    "A10 3000 transfer syntaxes over all contexts": (
        rq(contexts=tuple(context(2 * n + 1, VERIFICATION, *[IMPLICIT] * 22) for n in range(128))),
        accepted(*[0] * 128),
        ...,
    ),
    "A10 an abstract syntax of 60000 characters": (
        rq(contexts=(context(1, "1." * 30000), context(3, VERIFICATION))) + RELEASE_RQ,
        accepted(3, 0), "A-RELEASE-RP",
    ),
    "A10 no abstract syntax": (
        rq(contexts=(context_of(1, transfer_syntax(IMPLICIT)),)) + RELEASE_RQ,
        accepted(3),
        "A-RELEASE-RP",
    ),
    "A10 no transfer syntax": (
        rq(contexts=(context_of(1, abstract_syntax(VERIFICATION)),)) + RELEASE_RQ,
        accepted(4),
        "A-RELEASE-RP",
    ),
    "A10 nothing that is known": (rq(contexts=(context(1, NOT_OFFERED),)) + RELEASE_RQ, accepted(3), "A-RELEASE-RP"),
    # A11: AE titles
    "A11 called by another title": (rq(called=title("OTHER")), "A-ASSOCIATE-RJ(1,1,7)"),
    "A11 called by 16 spaces": (rq(called=title("")), "A-ASSOCIATE-RJ(1,1,7)"),
    "A11 called in lower case": (rq(called=title("dulcet")), "A-ASSOCIATE-RJ(1,1,7)"),
    "A11 called with a NUL": (rq(called=b"DULCET\0".ljust(16)), "A-ASSOCIATE-RJ(1,1,7)"),
    "A11 calling 16 spaces": (titled(""), "A-ASSOCIATE-RJ(1,1,3)"),
    "A11 calling 16 NULs": (titled(bytes(16)), "A-ASSOCIATE-RJ(1,1,3)"),
    "A11 calling in 8 bits": (titled(b"M\xdcLLER\xff"), "A-ASSOCIATE-RJ(1,1,3)"),
    "A11 calling a forged line of log": (titled(b"A\r\nE: FAKE\x1b[31m"), "A-ASSOCIATE-RJ(1,1,3)"),
    "A11 calling BEL and DEL": (titled(b"\a\x7f"), "A-ASSOCIATE-RJ(1,1,3)"),
    "A11 calling a path": (titled("../../etc/passwd"), ACCEPTED, ...),
    "A11 calling a backslash": (titled("..\\..\\x"), ACCEPTED, ...),
    "A11 calling a format": (titled("%s%n{0}$(id)`id`"), ACCEPTED, ...),
    # A12, A13: user information
    "A12 maximum length 1": (rq(user=(maximum_length(1),)), "A-ASSOCIATE-RJ(1,1,1)"),
    "A12 maximum length 7": (rq(user=(maximum_length(7),)), "A-ASSOCIATE-RJ(1,1,1)"),
    "A12 maximum length 8": (rq(user=(maximum_length(8),)), ACCEPTED, ...),
    "A12 maximum length 0, which is any": (rq(user=(maximum_length(0),)), ACCEPTED, ...),
    "A12 maximum length 4 GiB": (rq(user=(maximum_length(0xFFFFFFFF),)), ACCEPTED, ...),
    "A12 no maximum length": (rq(user=()), ACCEPTED, ...),
    "A12 no user information": (items(NAME, *REQUEST.contexts), ACCEPTED, ...),
    "A13 a role for a class that is not offered": (user(stimuli.role(NOT_OFFERED, 1, 1)), ACCEPTED, ...),
    "A13 roles of 255": (user(stimuli.role(CT, 255, 255)), ACCEPTED, ...),
    "A13 extended negotiation of a class that is not offered": (
        user(stimuli.extended(NOT_OFFERED, bytes(4000))),
        ACCEPTED,
        ...,
    ),
    "A13 thirty thousand related classes": (user(stimuli.common_extended("1.2", "1.3", [""] * 30000)), ACCEPTED, ...),
    "A13 an identity of 60000 octets": (user(stimuli.user_identity(2, b"U" * 40000, b"P" * 20000)), ACCEPTED, ...),
    "A13 an identity of a kind that is not defined": (user(stimuli.user_identity(9, b"x", response=1)), ACCEPTED, ...),
    "A13 window 0": (user(stimuli.window(0, 0)), ACCEPTED, ...),
    "A13 window 65535": (user(stimuli.window(65535, 65535)), ACCEPTED, ...),
    "A13 a version name of 60000 characters": (user(stimuli.version_name("V" * 60000)), ACCEPTED, ...),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_before_association(played, name):
    played(name)


def test_the_server_is_as_it_was_before(played):
    played("the server came back to rest")


def test_no_peer_writes_the_log(played, server):
    """Every line is one that we wrote: nothing of a peer's ends a line, or reaches a terminal as it came."""
    text = server.running.log.read_text()
    assert text.isascii()
    assert all(character.isprintable() for character in text.replace("\n", ""))
    assert "secret" not in text
    assert "UUUU" not in text
    assert len(text) < 1000 * len(CASES)
