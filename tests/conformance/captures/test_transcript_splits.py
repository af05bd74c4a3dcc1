"""The same octets in any segments, in any order, give the same transcript."""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dulcet.conformance.captures.framing import Kind, cut
from dulcet.conformance.captures.packets import ACK
from dulcet.conformance.captures.streams import Direction, Octets, whole
from dulcet.ul.framing import Framer
from dulcet.ul.pdu import PDU_TYPES

TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT


def said(document):
    """What doesn't depend on packets."""
    (stream,) = document["streams"]
    pdus = [
        {key: value for key, value in pdu.items() if key not in ("frame", "first_frame", "time")}
        for pdu in stream["pdus"]
    ]
    messages = [{key: value for key, value in message.items() if key != "frame"} for message in stream["dimse"]]
    rest = {key: stream.get(key) for key in ("undecodable_tail", "incomplete_data_set_bytes", "pdu_sequence")}
    events = [(each["what"], each["events"]) for each in stream["transport_events"]]
    return pdus, messages, rest, events


def pieces(octets, ends):
    bounds = [0, *sorted(ends), len(octets)]
    return [octets[start:stop] for start, stop in itertools.pairwise(bounds) if stop > start]


def made(packets, conversation, split):
    """A capture of a conversation, each PDU sent as `split` says."""
    capture = packets().open()
    for index, (direction, octets) in enumerate(conversation):
        for piece in pieces(octets, split(index, len(octets))):
            capture.send(direction, piece)
    return capture.close(TO_SERVER).close(TO_CLIENT)


@pytest.fixture(scope="session")
def expected(packets, echo, document):
    return said(document(made(packets, echo, lambda _, _size: ()).transcript))


def test_the_conversation_is_as_recorded(expected, recording, document):
    recorded = said(document(recording("echo__dcmtk-echoscu__pynetdicom").transcript))
    assert expected[:3] == recorded[:3]


def test_one_cut_anywhere(packets, echo, document, expected):
    for index, (_, octets) in enumerate(echo):
        for position in range(1, len(octets)):
            split = {index: (position,)}
            found = said(document(made(packets, echo, lambda pdu, _, split=split: split.get(pdu, ())).transcript))
            assert found == expected, f"PDU {index} cut at {position}"


def test_one_octet_in_each_segment(packets, echo, document, expected):
    assert said(document(made(packets, echo, lambda _, size: range(1, size)).transcript)) == expected


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_cuts_of_a_longer_conversation(data, packets, recording, document):
    capture = recording("async-ops__dcmjs-dimse__dcmjs-dimse")
    conversation = capture.conversation
    cuts = [data.draw(st.sets(st.integers(1, len(octets) - 1), max_size=6)) for _, octets in conversation]
    found = said(document(made(packets, conversation, lambda index, _: cuts[index]).transcript))
    assert found[:3] == said(document(capture.transcript))[:3]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_segments_in_any_order_some_of_them_twice(data, packets, sides, document, expected):
    """One direction's octets in a shuffled order: the PDUs of that direction, and its messages, are the same."""
    octets = sides[TO_SERVER]
    cuts = data.draw(st.sets(st.integers(1, len(octets) - 1), max_size=8))
    bounds = list(itertools.pairwise([0, *sorted(cuts), len(octets)]))
    order = data.draw(st.permutations(bounds + data.draw(st.lists(st.sampled_from(bounds), max_size=3))))
    capture = packets().open()
    for start, stop in order:
        capture.raw(capture.conversation.packet(TO_SERVER, ACK, octets[start:stop], sequence=1001 + start))
    (stream,) = document(capture.transcript)["streams"]
    wanted = [pdu for pdu in expected[0] if pdu["dir"] == "C>S"]
    assert [(pdu["offset"], pdu["sha256"]) for pdu in stream["pdus"]] == [
        (pdu["offset"], pdu["sha256"]) for pdu in wanted
    ]
    assert [message["name"] for message in stream["dimse"]] == ["C-ECHO-RQ"]


def live(octets):
    """What `dulcet.ul.framing` cuts, as (start, stop), and whether it refused the rest."""
    framer, found, position = Framer(max_pdu_length=1 << 20, max_associate_octets=1 << 20), [], 0
    for start in range(0, len(octets), 4096):
        chunk = octets[start : start + 4096]
        framer.receive_buffer()[: len(chunk)] = chunk
        framer.received(len(chunk))
        while (frame := framer.next_frame()) is not None:
            if frame.error is not None:
                return found, True
            found.append((position, position + len(frame.octets)))
            position += len(frame.octets)
    return found, False


def test_cuts_as_a_live_connection_does(recording):
    """On all that was recorded `cut` and the connection's own framer agree, up to what the framer refuses."""
    for path in sorted((Path(__file__).parents[2] / "captures").glob("*.pcap")):
        for stream in recording(path.stem).transcript.streams:
            for octets in {bytes(pdu.stream.read(0, pdu.stream.length)) for pdu in stream.pdus}:
                found, is_refused = live(octets)
                ours = [
                    (piece.start, piece.stop) for piece in cut(whole(octets), is_whole=True) if piece.kind is Kind.PDU
                ]
                assert ours[: len(found)] == found
                assert is_refused or ours == found


@given(st.binary(max_size=80))
def test_cut_covers_every_octet_once(octets):
    position = 0
    for piece in cut(whole(octets), is_whole=True):
        assert piece.start == position < piece.stop
        position = piece.stop
    assert position == len(octets)


@given(
    st.lists(
        st.tuples(
            st.sampled_from((b"\5\0\0\0\0\4\0\0\0\0", b"\4\0\0\0\0\6\0\0\0\2\1\2", b"noise", b"\1\0")),
            st.integers(0, 9),
        )
    ),
    st.booleans(),
)
def test_cut_covers_every_octet_once_with_gaps(parts, is_whole):
    octets, position = Octets(b"".join(part for part, _ in parts)), 0
    for number, (part, gap) in enumerate(parts, 1):
        octets.append(position, len(part), number)
        position += len(part)
        if gap:
            octets.skip(gap)
    position = 0
    for piece in cut(octets, is_whole=is_whole):
        assert piece.start == position < piece.stop
        assert piece.missing == piece.stop - piece.start - len(octets.read(piece.start, piece.stop))
        position = piece.stop
        if piece.kind is Kind.PDU:
            assert octets.read(piece.start, piece.start + 1)[0] in PDU_TYPES
    assert position == octets.length


def test_a_length_that_promises_the_world_costs_nothing():
    (piece,) = cut(whole(b"\4\0\xff\xff\xff\xff\0"), is_whole=True)
    assert (piece.kind, piece.why) == (Kind.TAIL, "incomplete P-DATA-TF (length field 4294967295)")


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"\x09\0\0\0\0\4", "unrecognised PDU type 0x09"),
        (b"\0", "unrecognised PDU type 0x00"),
        (b"\5\0\0", "incomplete A-RELEASE-RQ header (3 of 6 octets)"),
        (b"\5\0\0\0\0\4\0\0\0", "incomplete A-RELEASE-RQ (length field 4)"),
    ],
)
def test_why_the_end_can_not_be_read(octets, why):
    assert [piece.why for piece in cut(whole(octets), is_whole=True)] == [why]
