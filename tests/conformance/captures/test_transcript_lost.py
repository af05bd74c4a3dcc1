"""Captures that lack packets or begin too late: what is there is read, what isn't is said."""

import pytest

from dulcet.conformance.captures.packets import ACK
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.text import View, show
from dulcet.conformance.captures.transcript import Lost, PDURecord

TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT


@pytest.fixture(scope="module")
def store(recording):
    """A store of two objects: (direction, octets of a PDU)."""
    return recording("store-many__pynetdicom__dcmtk-dcmrecv").conversation


def names(stream):
    return [pdu.name for pdu in stream.pdus]


def without_packets(packets, conversation, lost, *, is_open=True):
    """A capture in which the PDUs of `lost` were sent and not captured."""
    capture = packets()
    if is_open:
        capture.open()
    for index, (direction, octets) in enumerate(conversation):
        if index in lost:
            capture.conversation._advance(direction, len(octets))
        else:
            capture.send(direction, octets)
    return capture.transcript


def test_each_pdu_lost_by_itself(packets, store):
    for index in range(len(store) - 2):
        transcript = without_packets(packets, store, {index})
        (stream,) = transcript.streams
        expected = [octets for number, (_, octets) in enumerate(store) if number != index]
        assert [bytes(pdu.octets) for pdu in stream.pdus] == expected
        (lost,) = (entry for entry in stream.entries if isinstance(entry, Lost))
        assert (lost.direction, lost.length, lost.missing) == (
            store[index][0],
            len(store[index][1]),
            len(store[index][1]),
        )


def test_what_is_lost_blames_nobody(packets, store):
    """After a gap a machine may be in any state, and a response may belong to a request that was not captured."""
    for index in range(len(store) - 2):
        (stream,) = without_packets(packets, store, {index}).streams
        assert [pdu.deviations for pdu in stream.pdus if pdu.deviations] == []


def test_joined_late(packets, store):
    for begin in range(1, len(store) - 1):
        (stream,) = without_packets(packets, store[begin:], set(), is_open=False).streams
        assert not stream.has_begin
        assert [bytes(pdu.octets) for pdu in stream.pdus] == [octets for _, octets in store[begin:]]
        assert [pdu.direction for pdu in stream.pdus] == [direction for direction, _ in store[begin:]]
        assert [pdu.deviations for pdu in stream.pdus if pdu.deviations] == []


@pytest.mark.parametrize("start", range(1, 200, 7))
def test_joined_in_the_middle_of_a_pdu(packets, store, start):
    """The rest of the PDU is passed over; the next header that can be one is taken."""
    index = next(number for number, (_, octets) in enumerate(store) if len(octets) > 200)
    capture = packets()
    capture.send(TO_SERVER, store[index][1][start:])
    for direction, octets in store[index + 1 :]:
        capture.send(direction, octets)
    (stream,) = capture.transcript.streams
    assert [bytes(pdu.octets) for pdu in stream.pdus] == [octets for _, octets in store[index + 1 :]]
    assert [entry.offset for entry in stream.entries if isinstance(entry, Lost)] == [0]


def test_a_hole_within_a_data_set_costs_one_pdu(packets, store):
    index = next(number for number, (_, octets) in enumerate(store) if len(octets) > 200)
    for hole in (slice(12, 40), slice(50, 60), slice(100, None)):
        capture = packets().open()
        for number, (direction, octets) in enumerate(store):
            if number == index:
                start, stop, _ = hole.indices(len(octets))
                capture.send(direction, octets[:start])
                capture.conversation._advance(direction, stop - start)
                capture.send(direction, octets[stop:])
            else:
                capture.send(direction, octets)
        (stream,) = capture.transcript.streams
        assert names(stream) == [pdu.name for pdu in without_packets(packets, store, set()).streams[0].pdus]
        broken = [pdu for pdu in stream.pdus if pdu.missing]
        assert [pdu.number for pdu in broken] == [index]
        assert str(broken[0].error).endswith(f"{broken[0].missing} of its octets were not captured")
        assert broken[0].decode() is None
        assert len(broken[0].octets) == len(store[index][1]) - broken[0].missing


@pytest.mark.parametrize("swapped", [False, True])
def test_who_is_the_server_shows_in_what_they_say(packets, echo, swapped):
    """Without a SYN the lower port is taken for the server's; an A-ASSOCIATE-RQ from it tells otherwise."""
    capture = packets()
    for direction, octets in echo:
        capture.send(direction.opposite if swapped else direction, octets)
    (stream,) = capture.transcript.streams
    assert stream.client == ("10.0.0.2:104" if swapped else "10.0.0.1:50000")
    assert [pdu.direction for pdu in stream.pdus] == [direction for direction, _ in echo]


def test_a_connection_of_another_protocol_is_no_dicom(packets):
    (stream,) = packets().open().send(TO_SERVER, b"GET / HTTP/1.1\r\n\r\n").transcript.streams
    assert not stream.is_dicom
    assert stream.tails[0].why == "unrecognised PDU type 0x47"


def test_noise_after_a_gap_is_passed_over(packets, store):
    capture = packets().open()
    capture.send(TO_SERVER, store[0][1])
    capture.conversation._advance(TO_SERVER, 5)
    capture.send(TO_SERVER, b"\4\0\0\0\0\6 no PDU \5\0\0\0\0\4" + b"\xff" * 300 + b"\5\0\0\0\0\4\0\0\0\0")
    (stream,) = capture.transcript.streams
    assert names(stream) == ["A-ASSOCIATE-RQ", "A-RELEASE-RQ"]


def test_a_false_header_after_a_gap_is_left_again(packets):
    """What looked like a header promised octets after which there is none: the search goes on."""
    noise = b"\5\0\0\0\0\4\0\0\0\0" + b"\xff\xff" + b"\5\0\0\0\0\4\0\0\0\0"
    capture = packets().open()
    capture.conversation._advance(TO_SERVER, 5)
    capture.send(TO_SERVER, noise)
    (stream,) = capture.transcript.streams
    assert [pdu.offset for pdu in stream.pdus] == [17]


def test_a_segment_from_the_past_changes_nothing(packets, echo):
    capture = packets().open()
    for direction, octets in echo:
        capture.send(direction, octets)
    capture.raw(capture.conversation.packet(TO_SERVER, ACK, b"\xff" * 30, sequence=1001))
    (stream,) = capture.transcript.streams
    assert [bytes(pdu.octets) for pdu in stream.pdus] == [octets for _, octets in echo]
    assert stream.retransmissions == 1


def test_the_json_says_what_is_missing(packets, store, document):
    capture = packets().open()
    capture.send(TO_SERVER, store[0][1][:50])
    capture.conversation._advance(TO_SERVER, 10)
    capture.send(TO_SERVER, store[0][1][60:])
    (stream,) = document(capture.transcript)["streams"]
    (pdu,) = stream["pdus"]
    assert pdu["not_captured"] == 10
    assert pdu["error"] == "PS3.8 9.3.1: 10 of its octets were not captured"
    assert "called_ae" not in pdu


def test_what_was_not_captured_is_no_deviation(packets, store):
    capture = packets().open()
    capture.send(TO_SERVER, store[0][1][:50])
    capture.conversation._advance(TO_SERVER, 10)
    capture.send(TO_SERVER, store[0][1][60:])
    text = [line.text for line in show(capture.transcript, View())]
    assert any("10 of its octets were not captured" in line for line in text)
    assert not any("from the standard" in line for line in text)


def test_numbers_go_on_after_what_is_lost(packets, store):
    (stream,) = without_packets(packets, store, {2, 5}).streams
    assert [entry.number for entry in stream.entries if isinstance(entry, PDURecord)] == list(range(len(store) - 2))
    assert [message.pdu for message in stream.messages] == sorted(message.pdu for message in stream.messages)
    assert all(stream.messages[number].pdu == pdu.number for pdu in stream.pdus for number in pdu.messages)
