"""Messages from presentation data values and into them: PS3.8 Annex E, its rules one at a time."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.dimse.assembly import (
    LARGEST_PDU_OCTETS,
    MAX_COMMAND_SET_OCTETS,
    MAX_EMPTY_FRAGMENTS,
    Assembler,
    CommandReceived,
    DataReceived,
    command_values,
    data_values,
    fragment_octets,
)
from dulcet.dimse.messages import CEchoRQ, CStoreRQ, UnacceptableMessage
from dulcet.errors import DecodeError
from dulcet.ul.negotiation import AcceptedContext
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import decode_pdu

CT, VERIFICATION, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1", "1.2.840.10008.1.2"
CONTEXTS = {
    number: AcceptedContext(context_id=number, abstract_syntax=abstract, transfer_syntax=IMPLICIT)
    for number, abstract in ((1, VERIFICATION), (3, CT), (5, CT))
}
ECHO = CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=1)
STORE = CStoreRQ(affected_sop_class_uid=CT, message_id=2, affected_sop_instance_uid="2.25.7")
DATA = bytes(range(256)) * 3


def command(octets, *, context=3, last=True):
    return PresentationDataValue(context, True, last, octets)


def data(octets, *, context=3, last=True):
    return PresentationDataValue(context, False, last, octets)


def fed(*pdus):
    """What the values of these PDUs bring, to a new assembler."""
    assembler = Assembler(CONTEXTS)
    return [part for values in pdus for part in assembler.feed(values)]


def joined(parts):
    """(messages, their data sets, whether each was ended)."""
    return [
        part.message if isinstance(part, CommandReceived) else (bytes(part.fragment), part.is_last) for part in parts
    ]


def deviations(parts):
    return [deviation.explanation for part in parts for deviation in part.deviations]


# Messages in --------------------------------------------------------------------------------------------------------


def test_a_command_without_a_data_set():
    assembler = Assembler(CONTEXTS)
    (received,) = assembler.feed((command(ECHO.encode(), context=1),))
    assert received == CommandReceived(1, ECHO, ())
    assert not assembler.is_in_message


def test_a_command_and_its_data_set():
    assembler = Assembler(CONTEXTS)
    assert not assembler.is_in_message
    assert list(assembler.feed((command(STORE.encode()[:20], last=False),))) == []
    assert assembler.is_in_message
    (received,) = assembler.feed((command(STORE.encode()[20:]),))
    assert received == CommandReceived(3, STORE, ())
    assert assembler.is_in_message
    (first,) = assembler.feed((data(DATA, last=False),))
    assert (bytes(first.fragment), first.is_last, first.deviations) == (DATA, False, ())
    assert assembler.is_in_message
    (second,) = assembler.feed((data(b"\0\0"),))
    assert second.is_last
    assert not assembler.is_in_message


def test_command_and_data_set_in_one_pdu():
    assert joined(fed((command(STORE.encode()), data(DATA)))) == [STORE, (DATA, True)]


def test_two_fragments_of_one_type_in_one_pdu_are_received():
    octets = STORE.encode()
    parts = fed((command(octets[:30], last=False), command(octets[30:]), data(DATA[:2], last=False), data(DATA[2:])))
    assert joined(parts) == [STORE, (DATA[:2], False), (DATA[2:], True)]
    assert deviations(parts) == []


def test_a_fragment_is_a_view_of_what_was_received():
    buffer = bytearray(DATA)
    view = memoryview(buffer)[10:20]
    _, received = fed((command(STORE.encode()), data(view)))
    assert received.fragment.obj is buffer
    buffer[10] = 0xEE
    assert received.fragment[0] == 0xEE
    (again,) = [part for part in fed((command(STORE.encode()), data(DATA))) if isinstance(part, DataReceived)]
    assert again.fragment.obj is DATA


def test_one_message_after_the_other_on_different_contexts():
    parts = fed(
        (command(ECHO.encode(), context=1),),
        (command(STORE.encode(), context=3),),
        (data(DATA, context=3),),
        (command(STORE.encode(), context=5), data(DATA, context=5)),
    )
    assert [part.context_id for part in parts if isinstance(part, CommandReceived)] == [1, 3, 5]
    assert deviations(parts) == []


def test_a_request_that_is_refused_has_its_data_set_taken():
    octets = STORE.encode().replace(b"\0\0\0\1\2\0\0\0\1\0", b"\0\0\0\1\2\0\0\0\x77\x07", 1)
    first, second, third = fed((command(octets), data(DATA)), (command(ECHO.encode(), context=1),))
    assert isinstance(first.message, UnacceptableMessage)
    assert isinstance(second, DataReceived)
    assert third.message == ECHO


def test_deviations_of_the_command_set_come_with_it():
    octets = bytearray(ECHO.encode())
    octets[8] += 2
    (received,) = fed((command(bytes(octets), context=1),))
    assert deviations([received]) == ["58 announced, 56 octets follow"]


@given(st.data())
def test_every_split_into_values_and_pdus_brings_the_same(drawn):
    octets = STORE.encode()
    values = [*_cut(drawn, octets, command), *_cut(drawn, DATA, data)]
    pdus, start = [], 0
    while start < len(values):
        stop = start + drawn.draw(st.integers(1, len(values) - start))
        pdus.append(tuple(values[start:stop]))
        start = stop
    first, *rest = fed(*pdus)
    assert (first.context_id, first.message, first.deviations) == (3, STORE, ())
    assert b"".join(part.fragment for part in rest) == DATA
    assert [part.is_last for part in rest] == [False] * (len(rest) - 1) + [True]


def _cut(drawn, octets, value):
    cuts = drawn.draw(st.sets(st.integers(1, len(octets) // 2 - 1).map(lambda half: 2 * half), max_size=12))
    bounds = [0, *sorted(cuts), len(octets)]
    return [value(octets[start:stop], last=stop == len(octets)) for start, stop in pairwise(bounds)]


def test_every_command_in_fragments_of_two_octets():
    octets = STORE.encode()
    pdus = [(command(octets[at : at + 2], last=at + 2 == len(octets)),) for at in range(0, len(octets), 2)]
    assert joined(fed(*pdus)) == [STORE]


# What breaks Annex E and can be understood --------------------------------------------------------------------------


def test_odd_fragments_are_taken_and_noted_once():
    octets = STORE.encode()
    parts = fed(
        (command(octets[:21], last=False), command(octets[21:])),
        (data(DATA[:3], last=False),),
        (data(DATA[3:5], last=False),),
        (data(DATA[5:]),),
    )
    assert joined(parts)[0] == STORE
    assert deviations(parts) == ["a fragment of an odd number of octets: 21"]
    assert parts[0].deviations[0].clause == "PS3.8 E.1"


def test_an_odd_fragment_of_a_data_set():
    parts = fed((command(STORE.encode()),), (data(DATA[:3], last=False),), (data(DATA[3:]),))
    assert [len(part.deviations) for part in parts] == [0, 1, 0]
    assert deviations(parts) == ["a fragment of an odd number of octets: 3"]


def test_an_empty_last_fragment_is_taken_and_noted_once():
    parts = fed((command(STORE.encode(), last=False),), (command(b""),), (data(DATA, last=False),), (data(b""),))
    assert joined(parts) == [STORE, (DATA, False), (b"", True)]
    assert deviations(parts) == ["a fragment without octets"]


def test_two_messages_in_one_pdu_are_taken_and_noted_once():
    echo = command(ECHO.encode(), context=1)
    parts = fed((echo, echo, command(STORE.encode()), data(DATA)), (echo, echo))
    assert joined(parts) == [ECHO, ECHO, STORE, (DATA, True), ECHO, ECHO]
    assert [len(part.deviations) for part in parts] == [0, 1, 0, 0, 0, 0]
    assert deviations(parts) == ["fragments of two messages in one P-DATA-TF"]


# What ends the association ------------------------------------------------------------------------------------------

HALF = STORE.encode()[:20]
REFUSED = [
    pytest.param([(command(HALF, context=99),)], 5, "context 99 was not accepted", id="context that was not proposed"),
    pytest.param([(command(HALF, context=2),)], 5, "context 2 was not accepted", id="even context"),
    pytest.param([(command(HALF, context=7),)], 5, "context 7 was not accepted", id="refused context"),
    pytest.param([(data(DATA),)], 5, "a data set fragment where a command set was expected", id="data set first"),
    pytest.param(
        [(command(ECHO.encode(), context=1), data(DATA, context=1))],
        5,
        "a data set fragment where a command set was expected",
        id="data set that was not announced",
    ),
    pytest.param(
        [(command(HALF, last=False), data(DATA))],
        5,
        "a data set fragment where a command set was expected",
        id="data set before the command is whole",
    ),
    pytest.param(
        [(command(STORE.encode()),), (command(STORE.encode()),)],
        5,
        "a command fragment where the data set was expected",
        id="command instead of the data set",
    ),
    pytest.param(
        [(command(STORE.encode()), data(DATA, last=False), command(ECHO.encode()))],
        5,
        "a command fragment where the data set was expected",
        id="command inside the data set",
    ),
    pytest.param(
        [(command(HALF, last=False),), (command(STORE.encode()[20:], context=5),)],
        5,
        "a fragment on context 5 inside a message on context 3",
        id="command on two contexts",
    ),
    pytest.param(
        [(command(STORE.encode()),), (data(DATA, context=5),)],
        5,
        "a fragment on context 5 inside a message on context 3",
        id="data set on another context than its command",
    ),
    pytest.param(
        [(command(STORE.encode()), data(DATA, last=False), data(DATA, context=99))],
        5,
        "a fragment on context 99 inside a message on context 3",
        id="data set on two contexts",
    ),
    pytest.param([(command(b""),)], 6, "CommandField (0000,0100) is missing", id="empty command set"),
    pytest.param([(command(b"\x99" * 50),)], 6, "octets promised", id="garbage"),
]


@pytest.mark.parametrize(("pdus", "reason", "explanation"), REFUSED)
def test_what_ends_the_association(pdus, reason, explanation):
    with pytest.raises(DecodeError) as caught:
        fed(*pdus)
    assert explanation in str(caught.value)
    assert caught.value.abort_reason == reason


def test_what_came_before_the_fault_is_given_out():
    assembler = Assembler(CONTEXTS)
    parts = assembler.feed((command(ECHO.encode(), context=1), data(DATA, context=1)))
    assert next(parts).message == ECHO
    with pytest.raises(DecodeError):
        next(parts)


def test_a_command_set_without_end_is_cut_off_at_its_cap():
    assembler = Assembler(CONTEXTS)
    whole = bytes(16 * 1024)
    for _ in range(MAX_COMMAND_SET_OCTETS // len(whole)):
        assert list(assembler.feed((command(whole, last=False),))) == []
    with pytest.raises(DecodeError, match="a command set of more than 65536 octets") as caught:
        list(assembler.feed((command(b"\0\0", last=False),)))
    assert caught.value.abort_reason == 6


def test_the_largest_command_set_is_read():
    filling = MAX_COMMAND_SET_OCTETS - len(ECHO.encode()) - 8
    octets = ECHO.encode() + struct.pack("<HHL", 0, 0x9998, filling) + bytes(filling)
    (received,) = fed((command(octets[: 1 << 15], context=1, last=False),), (command(octets[1 << 15 :], context=1),))
    assert len(octets) == MAX_COMMAND_SET_OCTETS
    assert received.message == ECHO
    with pytest.raises(DecodeError, match="more than 65536"):
        fed((command(octets + b"\0\0", context=1),))


@pytest.mark.parametrize("is_command", [True, False])
def test_empty_fragments_are_counted_for_each_message(is_command):
    store = STORE.encode()
    empty = command(b"", last=False) if is_command else data(b"", last=False)

    def message(count):
        values = [empty] * count
        return (*values, command(store), data(DATA)) if is_command else (command(store), *values, data(DATA))

    parts = fed(message(MAX_EMPTY_FRAGMENTS), message(MAX_EMPTY_FRAGMENTS))
    assert [part.message for part in parts if isinstance(part, CommandReceived)] == [STORE, STORE]
    with pytest.raises(DecodeError, match="more than 16 empty fragments in one message") as caught:
        fed(message(MAX_EMPTY_FRAGMENTS + 1))
    assert caught.value.abort_reason == 6


# Messages out -------------------------------------------------------------------------------------------------------


def test_what_we_send_at_most():
    assert LARGEST_PDU_OCTETS == 128 * 1024


def test_a_data_set_without_octets_has_a_last_fragment_all_the_same():
    (pdu,) = data_values(3, memoryview(b""), True, 4096)
    assert pdu.values == (data(b""),)


MAXIMA = [0, 8, 9, 10, 128, 4096, 4097, 16383, 16384, LARGEST_PDU_OCTETS, LARGEST_PDU_OCTETS + 1, 0xFFFFFFFF]


@pytest.mark.parametrize("maximum", MAXIMA)
def test_the_largest_fragment_is_even_and_fits(maximum):
    size = fragment_octets(maximum)
    allowed = min(maximum or LARGEST_PDU_OCTETS, LARGEST_PDU_OCTETS)
    assert size % 2 == 0
    assert size + 6 <= allowed < size + 8


@pytest.mark.parametrize("maximum", MAXIMA)
def test_what_is_sent_keeps_the_peers_maximum_and_is_what_was_meant(maximum):
    octets = memoryview(bytes(range(250)) * 1200 + b"\1\2")[: 602 if 0 < maximum < 100 else 300_002]
    pdus = [*command_values(3, STORE.encode(), maximum), *data_values(3, octets, True, maximum)]
    assembler, parts = Assembler(CONTEXTS), []
    for pdu in pdus:
        encoded = pdu.encode()
        assert len(encoded) - 6 <= (maximum or LARGEST_PDU_OCTETS)
        assert len(pdu.values) == 1
        assert len(pdu.values[0].fragment) % 2 == 0
        assert len(pdu.values[0].fragment) > 0
        decoded, noted = decode_pdu(encoded)
        assert noted == ()
        parts.extend(assembler.feed(decoded.values))
    assert parts[0].message == STORE
    assert deviations(parts) == []
    assert b"".join(part.fragment for part in parts[1:]) == octets
    assert [part.is_last for part in parts[1:]] == [False] * (len(parts) - 2) + [True]


@given(st.integers(8, 400), st.integers(1, 300).map(lambda half: 2 * half), st.integers(1, 5))
def test_a_data_set_in_pieces_is_fragmented_as_a_whole_one(maximum, length, piece_fragments):
    octets = bytes(index % 251 for index in range(length))
    piece = fragment_octets(maximum) * piece_fragments
    whole = data_values(3, memoryview(octets), True, maximum)
    in_pieces = [
        pdu
        for start in range(0, length, piece)
        for pdu in data_values(3, memoryview(octets)[start : start + piece], start + piece >= length, maximum)
    ]
    assert in_pieces == whole


def test_fragments_are_views_of_what_was_read():
    source = bytearray(DATA)
    for pdu in data_values(3, memoryview(source), True, 100):
        assert pdu.values[0].fragment.obj is source
    (pdu,) = data_values(3, memoryview(source), False, 0)
    assert pdu.values[0].fragment.obj is source
    assert not pdu.values[0].is_last
    octets = STORE.encode()
    (pdu,) = command_values(3, octets, 0)
    assert pdu.values[0].fragment.obj is octets
    assert pdu.values[0].is_command
