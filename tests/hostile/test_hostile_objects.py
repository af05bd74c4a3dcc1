"""C-STORE with objects that are wrong, or want to be elsewhere (PS3.4 Annex B, PS3.5 7, PS3.7 9.1.1)."""

import os
import re
import struct
import zlib
from itertools import pairwise

import pytest
import trio
from hostile_kit import (
    CT,
    DEFLATED_CONTEXT,
    ECHO_CONTEXT,
    EXPLICIT_CONTEXT,
    PATIENCE,
    STORE_CONTEXT,
    VERIFICATION,
    image,
    named,
    store,
    store_command,
)

from dulcet.conformance.kit.stimuli import COMMAND, LAST, message, p_data, pdv
from dulcet.conformance.kit.synthetic import data_set, element

ASSOCIATED = True
LARGEST = 2_000_000
OPTIONS = ("--max-object", str(LARGEST))
STORED, NO_ROOM, OTHER_CLASS, NOT_UNDERSTOOD, NO_INSTANCE, NOT_SUPPORTED, MISTYPED = (
    f"C-STORE-RSP({status}H)" for status in ("0000", "A700", "A900", "C000", "0117", "0122", "0212")
)
MR = "1.2.840.10008.5.1.4.1.1.4"
ITEM, ITEM_END, SEQUENCE_END = (struct.pack("<HH", 0xFFFE, number) for number in (0xE000, 0xE00D, 0xE0DD))
UNDEFINED = b"\xff\xff\xff\xff"


def head(instance):
    """SOP class and instance."""
    return data_set({0x00080016: ("UI", CT), 0x00080018: ("UI", instance)})


def sent(name, *octets, instance=None):
    """An object of its own, its data set these octets after SOP class and instance."""
    uid = named(name) if instance is None else instance
    return store(uid, head(uid) + b"".join(octets))


def header(tag, length):
    """Of an element in Implicit VR."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length)


SEQUENCE = header(0x00081140, 0xFFFFFFFF)


def nested(depth, *, closed=True):
    """So many sequences of undefined length, each in an item of the one before."""
    return (SEQUENCE + ITEM + UNDEFINED) * depth + (ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)) * depth * closed


def nested_with_lengths(depth):
    octets = b""
    for _ in range(depth):
        octets = ITEM + len(octets).to_bytes(4, "little") + octets
        octets = header(0x00081140, len(octets)) + octets
    return octets


def named_by(instance, **elements):
    """A C-STORE that gives the UID in the command and the data set."""
    octets = instance.encode("latin-1") if isinstance(instance, str) else instance
    data = element(0x00080016, "UI", CT) + element(0x00080018, "UI", octets)
    return message(STORE_CONTEXT, store_command(octets, **elements), data)


def deflated(name, octets):
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -15)
    return message(DEFLATED_CONTEXT, store_command(named(name)), squeezed.compress(octets) + squeezed.flush())


def in_odd_pieces(name):
    octets = image(named(name), b"x" * 3000)
    cuts = [0, 1, 8, 9, 500, 501, 1200, len(octets)]
    values = [pdv(STORE_CONTEXT, 0, octets[start:stop]) for start, stop in pairwise(cuts)]
    values[-1] = pdv(STORE_CONTEXT, LAST, octets[cuts[-2] :])
    return p_data(pdv(STORE_CONTEXT, COMMAND | LAST, store_command(named(name)))) + b"".join(map(p_data, values))


async def larger_than_allowed(peer):
    """100 MB where 2 are taken."""
    uid = named("B10")
    await peer.send(p_data(pdv(STORE_CONTEXT, COMMAND | LAST, store_command(uid))))
    await peer.send(p_data(pdv(STORE_CONTEXT, 0, head(uid) + header(0x7FE00010, 100_000_000))))
    block = p_data(pdv(STORE_CONTEXT, 0, bytes(100_000)))
    for _ in range(1000):
        await peer.send(block)
    await peer.send(p_data(pdv(STORE_CONTEXT, LAST, b"")))


HOSTILE_UIDS = {
    "two dots": "..",
    "a dot": ".",
    "up and away": "../../../PWNED",
    "absolute": "/tmp/PWNED",
    "in .incoming": ".incoming/1",
    "a NUL inside": "1.2\0x",
    "a NUL and a path": "1.2\0/../x",
    "backslashes": "..\\..\\x",
    "65 characters": "1." * 32 + "1",
    "4000 characters": "1." * 2000,
    "60000 characters": "1." * 30000,
    "letters": "1.2.x",
    "a name of ours": "1.2~0123456789ab",
    "a line end": "1.2\r\n3",
    "a leading zero": "1.02.3",
    "an empty component": "1..2",
    "a dot first": ".1.2",
    "a dot last": "1.2.",
    "8 bits": b"1.2.\xe9\xff",
    "full-width digits": b"\xef\xbc\x91.\xef\xbc\x92",
    "a format": "%s%n",
    "a space": "1.2 3",
    "a minus": "-1.2",
}  # fmt: skip

CASES = {
    # B15, B16: what the command says
    "B15 no Affected SOP Instance": (message(STORE_CONTEXT, store_command("1", x1000=None), head("1.2")), NO_INSTANCE,
                                     ...),
    "B15 an empty Affected SOP Instance": (named_by(b""), NO_INSTANCE, ...),
    "B15 no Affected SOP Class": (message(STORE_CONTEXT, store_command("1.2", x0002=None), head("1.2")), MISTYPED, ...),
    "B15 no data set": (message(STORE_CONTEXT, store_command("1.2", x0800=0x0101)), MISTYPED, ...),
    "B15 on the Verification context": (
        message(ECHO_CONTEXT, store_command("1.2"), head("1.2")),
        NOT_SUPPORTED,
        ...,
    ),
    "B15 of the Verification class": (
        message(ECHO_CONTEXT, store_command("1.2", x0002=VERIFICATION), head("1.2")),
        NOT_SUPPORTED,
        ...,
    ),
    "B15 of another class than the context's": (
        message(STORE_CONTEXT, store_command("1.2", x0002=MR), head("1.2")),
        NOT_SUPPORTED,
        ...,
    ),
    "B15 of a class that is a path": (
        message(STORE_CONTEXT, store_command("1.2", x0002="../../x "), head("1.2")),
        NOT_SUPPORTED,
        ...,
    ),
    "B16 the data set names another instance": (store(named("B16"), head(named("B16 other"))), OTHER_CLASS, ...),
    "B16 the data set names another class": (
        store(named("B16 class"), image(named("B16 class"), sop_class=MR)),
        OTHER_CLASS,
        ...,
    ),
    "B16 the data set names no instance": (
        store(named("B16 none"), data_set({0x00080016: ("UI", CT), 0x00100020: ("LO", "1")})),
        OTHER_CLASS,
        ...,
    ),
    "B16 the data set names nothing": (store(named("B16 nothing"), element(0x00100020, "LO", "1")), OTHER_CLASS, ...),
    "B16 the data set's instance is padded with a space": (
        store("1.2.3.4.5", element(0x00080016, "UI", CT) + element(0x00080018, "UI", "1.2.3.4.5 ")),
        STORED,
        ...,
    ),
    # B17: UIDs, by name below; and those that are good
    **{f"B17 {name}": (named_by(uid), NO_INSTANCE, ...) for name, uid in HOSTILE_UIDS.items()},
    "B17 64 characters": (sent("", instance="1." * 31 + "12"), STORED, ...),
    "B17 one number": (sent("", instance="5"), STORED, ...),
    "B17 zeros": (sent("", instance="0.0.0"), STORED, ...),
    "B17 a path as originator": (
        message(STORE_CONTEXT, store_command(named("B17 o"), x1030="../../../etc/x", x1031=1), head(named("B17 o"))),
        STORED,
        ...,
    ),
    # B18: data sets
    "B18 an element beyond the end": (sent("B18 a", header(0x00100020, 500), b"short"), NOT_UNDERSTOOD, ...),
    "B18 pixel data cut off by 500 octets": (sent("B18 b", header(0x7FE00010, 4000), bytes(3500)), NOT_UNDERSTOOD, ...),
    "B18 an element of 4 GiB": (sent("B18 c", header(0x7FE00010, 0xFFFFFFFE), bytes(100)), NOT_UNDERSTOOD, ...),
    "B18 half a header": (sent("B18 d", header(0x00100020, 0)[:5]), NOT_UNDERSTOOD, ...),
    "B18 garbage": (store(named("B18 e"), os.urandom(3000)), NOT_UNDERSTOOD, ...),
    "B18 empty": (store(named("B18 f"), b""), NOT_UNDERSTOOD, ...),
    "B18 descending tags": (
        sent("B18 g", element(0x00100020, "LO", "x"), element(0x00080020, "DA", "")),
        NOT_UNDERSTOOD,
        ...,
    ),
    "B18 the instance twice": (sent("B18 h", element(0x00080018, "UI", "1.2.3")), NOT_UNDERSTOOD, ...),
    "B18 group 0002": (store(named("B18 i"), element(0x00020010, "UI", "1.2") + head(named("B18 i"))), NOT_UNDERSTOOD,
                       ...),
    "B18 a command set": (store(named("B18 j"), store_command(named("B18 j"))), NOT_UNDERSTOOD, ...),
    "B18 a Part 10 file": (store(named("B18 k"), bytes(128) + b"DICM" + head(named("B18 k"))), NOT_UNDERSTOOD, ...),
    "B18 explicit elements on an implicit context": (
        store(named("B18 l"), image(named("B18 l"), explicit=True)),
        NOT_UNDERSTOOD,
        ...,
    ),
    "B18 implicit elements on an explicit context, which is common": (
        message(EXPLICIT_CONTEXT, store_command(named("B18 p")), image(named("B18 p"), bytes(70_000))),
        STORED,
        ...,
    ),
    "B18 a delimiter out of place": (sent("B18 m", SEQUENCE_END, bytes(4)), NOT_UNDERSTOOD, ...),
    "B18 fragments of odd lengths": (in_odd_pieces("B18 n"), STORED, ...),
    "B18 a VR that is none": (
        message(
            EXPLICIT_CONTEXT,
            store_command(named("B18 o")),
            image(named("B18 o"), explicit=True)[:-14] + b"\x10\x00\x20\x00\xff\xff\x02\x00ab",
        ),
        NOT_UNDERSTOOD,
        ...,
    ),
    # B19: depth
    "B19 20000 sequences": (sent("B19 a", nested(20_000)), NOT_UNDERSTOOD, ...),
    "B19 20000 sequences, never closed": (sent("B19 b", nested(20_000, closed=False)), NOT_UNDERSTOOD, ...),
    "B19 65 sequences": (sent("B19 c", nested(65)), NOT_UNDERSTOOD, ...),
    "B19 64 sequences": (sent("B19 d", nested(64)), STORED, ...),
    "B19 65 sequences with lengths": (sent("B19 e", nested_with_lengths(65)), NOT_UNDERSTOOD, ...),
    "B19 64 sequences with lengths": (sent("B19 f", nested_with_lengths(64)), STORED, ...),
    "B19 an item that is never closed": (sent("B19 g", SEQUENCE, ITEM, UNDEFINED), NOT_UNDERSTOOD, ...),
    "B19 an item beyond its sequence": (
        sent("B19 h", header(0x00081140, 8), ITEM, struct.pack("<L", 8), bytes(8)),
        NOT_UNDERSTOOD,
        ...,
    ),
    "B19 100000 empty items": (sent("B19 i", SEQUENCE, (ITEM + bytes(4)) * 100_000, SEQUENCE_END, bytes(4)), STORED,
                               ...),
    # B20, B21: contents that are not looked at
    "B20 a deflate bomb": (deflated("B20 a", head(named("B20 a")) + header(0x7FE00010, 60_000_000) + bytes(60_000_000)),
                           STORED, ...),
    "B20 what is no deflate": (
        message(DEFLATED_CONTEXT, store_command(named("B20 b")), os.urandom(5000)),
        STORED,
        ...,
    ),
    "B21 names that would write a terminal": (
        sent("B21 a", element(0x00100010, "PN", b"\x1b[2J\x1b]0;owned\a\r\nX^Y\0\xe2\x80\xae")),
        STORED,
        ...,
    ),
    "B21 a character set that is none": (
        store(
            named("B21 b"),
            element(0x00080005, "CS", "ISO 9999\\" * 50) + head(named("B21 b")),
        ),
        STORED,
        ...,
    ),
    "B21 pixels that are a program": (sent("B21 c", element(0x7FE00010, "OW", b"MZ\x90\0" + bytes(100))), STORED, ...),
    # B10, B22: size
    "B10 more than is allowed": (larger_than_allowed, NO_ROOM, ...),
    "B10 as much as is allowed": (
        sent("B10 b", header(0x7FE00010, LARGEST - len(head(named("B10 b"))) - 8),
             bytes(LARGEST - len(head(named("B10 b"))) - 8)),
        STORED,
        ...,
    ),
    "B10 two octets more": (
        sent("B10 c", header(0x7FE00010, LARGEST - len(head(named("B10 c"))) - 6),
             bytes(LARGEST - len(head(named("B10 c"))) - 6)),
        NO_ROOM,
        ...,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_hostile_object(played, name):
    played(name)


def test_the_server_is_as_it_was_before(played):
    played("the server came back to rest")


def test_stored_is_what_was_acknowledged_and_nothing_else_anywhere(played, server):
    """Every file under the server's own directory: its objects, its log, what it holds and tells; no hostile name."""
    assert sorted(server.stored()) == sorted(server.acknowledged)
    files = [path for path in server.running.directory.rglob("*") if path.is_file()]
    objects = [path for path in files if path.suffix == ".dcm"]
    told = [path for path in files if path.parent == server.running.directory / "state" / "processes"]
    others = {path.name for path in files} - {path.name for path in (*objects, *told)}
    assert others == {"log.txt", "holdings.json", "pulse", "pulse-here"}
    assert all(re.fullmatch(r"\.?\d+-[0-9a-f]{8}\.(json|new)", path.name) for path in told)
    assert all(path.parent.parent == server.running.storage for path in objects)
    assert not os.path.exists("/tmp/PWNED")
    assert all(path.read_bytes()[:132] == bytes(128) + b"DICM" for path in objects)


def test_nothing_of_an_object_is_in_the_log(played, server):
    text = server.running.log.read_text()
    assert text.isascii()
    assert "owned" not in text
    assert "\x1b" not in text


# B24: the same UID at the same time ----------------------------------------------------------------------------------


async def _together(server, uid, *contents):
    """Each on an association of its own, the last octets of all at the same time; the answers."""
    with trio.fail_after(PATIENCE):
        peers = [await server.connect() for _ in contents]
        for peer, octets in zip(peers, contents, strict=True):
            await peer.associate()
            await peer.send(store(uid, octets)[:-2])
        async with trio.open_nursery() as nursery:
            for peer, octets in zip(peers, contents, strict=True):
                nursery.start_soon(peer.send, octets[-2:])
        answers = []
        for peer in peers:
            await peer.hear(1)
            answers += peer.answers
            server.acknowledged += peer.acknowledged
            await peer.stream.aclose()
    return answers


async def test_the_same_object_ten_times_at_once_is_stored_once(server):
    uid = named("B24 same")
    octets = image(uid, os.urandom(50_000))
    assert await _together(server, uid, *[octets] * 10) == [STORED] * 10
    assert {name: kept for name, kept in server.stored().items() if name.startswith(uid)} == {uid: octets}


async def test_ten_objects_of_one_uid_at_once_are_all_stored_whole(server):
    uid = named("B24 different")
    contents = [image(uid, os.urandom(50_000)) for _ in range(10)]
    assert await _together(server, uid, *contents) == [STORED] * 10
    found = {name: kept for name, kept in server.stored().items() if name.startswith(uid)}
    assert len(found) == 10
    assert set(found.values()) == set(contents)
    assert uid in found
