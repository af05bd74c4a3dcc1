"""TCP put together: every order of segments, repetitions, overlaps, gaps, wrapped numbers, reused ports."""

from itertools import combinations, pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dulcet.conformance.captures import tcp
from dulcet.conformance.captures.packets import ACK, FIN, RST, SYN, Segment
from dulcet.conformance.captures.streams import Direction, Gap, Octets, whole
from dulcet.conformance.captures.tcp import Reassembler, describe_address
from dulcet.errors import NotDICOMError

TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT
CLIENT, SERVER = (bytes((10, 0, 0, 1)), 50000), (bytes((10, 0, 0, 2)), 104)
TEXT = bytes(range(65, 91)) + bytes(range(97, 123))


class Wire:
    """Segments whose payload is part of `TEXT`, as a capture would have them."""

    def __init__(self, base=1000, back=5000):
        self.base, self.back = base, back
        self.segments = []

    def add(self, source, destination, sequence, acknowledgment, flags, start=0, stop=0, length=None):
        number = len(self.segments) + 1
        length = stop - start if length is None else length
        self.segments.append(
            Segment(number, source, destination, sequence % 2**32, acknowledgment % 2**32, flags, start, stop, length)
        )
        return self

    def handshake(self):
        self.add(CLIENT, SERVER, self.base, 0, SYN)
        return self.add(SERVER, CLIENT, self.back, self.base + 1, SYN | ACK)

    def data(self, start, stop, *, at=None, length=None):
        where = start if at is None else at
        return self.add(CLIENT, SERVER, self.base + 1 + where, self.back + 1, ACK, start, stop, length)

    def acknowledge(self, octets):
        return self.add(SERVER, CLIENT, self.back + 1, self.base + 1 + octets, ACK)

    def connections(self):
        return Reassembler(TEXT).add_all(self.segments)

    @property
    def octets(self):
        (connection,) = self.connections()
        return connection.octets(TO_SERVER)


def text(octets):
    return bytes(octets.read(0, octets.length))


PIECES = [(0, 10), (10, 20), (20, 40), (40, 52)]


@pytest.mark.parametrize("order", list(permutations(PIECES)), ids=str)
def test_every_order(order):
    wire = Wire().handshake()
    for piece in order:
        wire.data(*piece)
    octets = wire.octets
    assert text(octets) == TEXT
    assert octets.gaps == []
    last = {piece: number for number, piece in enumerate(order, 3)}
    for index, (start, stop) in enumerate(PIECES):
        complete = max(last[piece] for piece in PIECES[: index + 1])
        assert {octets.packet_at(offset) for offset in range(start, stop)} == {complete}


@pytest.mark.parametrize("order", list(permutations([(0, 20), (10, 30), (20, 52), (0, 52)], 3)), ids=str)
def test_overlaps(order):
    wire = Wire().handshake()
    for piece in order:
        wire.data(*piece)
    octets = wire.octets
    seen = sorted({offset for piece in order for offset in range(*piece)})
    assert bytes(octets.read(0, octets.length)) == bytes(TEXT[offset] for offset in seen)


@settings(max_examples=150)
@given(st.data())
def test_any_segments_in_any_order(data):
    """Whatever is covered comes out once, in its place; what isn't is a gap."""
    offsets = st.integers(0, len(TEXT))
    pieces = data.draw(st.lists(st.tuples(offsets, offsets).map(sorted).filter(lambda p: p[0] < p[1]), max_size=9))
    base = data.draw(st.sampled_from((1000, 2**32 - 30, 2**31 - 10)))
    wire = Wire(base=base).handshake()
    for piece in pieces:
        wire.data(*piece)
    octets = wire.octets
    covered = {offset for start, stop in pieces for offset in range(start, stop)}
    assert octets.length == max(covered, default=-1) + 1
    assert octets.captured == len(covered)
    missing = {offset for gap in octets.gaps for offset in range(gap.start, gap.stop)}
    assert missing == set(range(octets.length)) - covered
    for offset in covered:
        assert bytes(octets.read(offset, offset + 1)) == TEXT[offset : offset + 1]
    packets = [octets.packet_at(offset) for offset in sorted(covered)]
    assert packets == sorted(packets)


def test_what_came_first_stands():
    wire = Wire().handshake()
    wire.data(0, 10).data(26, 46, at=5)
    assert text(wire.octets) == TEXT[:10] + TEXT[31:46]


def test_repetitions_are_counted_and_bring_nothing():
    wire = Wire().handshake()
    wire.data(0, 10).data(0, 10).data(5, 10).data(20, 30).data(20, 30).data(10, 20)
    (connection,) = wire.connections()
    half = connection.halves[TO_SERVER]
    assert (half.segments, half.repeated) == (6, 3)
    assert text(half.octets) == TEXT[:30]


def test_a_gap_at_the_end_of_the_capture():
    octets = Wire().handshake().data(0, 10).data(30, 52).octets
    assert octets.gaps == [Gap(10, 30)]
    assert (octets.length, octets.captured) == (52, 32)
    assert bytes(octets.read(5, 35)) == TEXT[5:10] + TEXT[30:35]
    assert octets.next_gap(9) == octets.next_gap(29) == Gap(10, 30)
    assert octets.next_gap(30) is None


def test_two_gaps():
    octets = Wire().handshake().data(40, 52).data(10, 20).octets
    assert octets.gaps == [Gap(0, 10), Gap(20, 40)]
    assert octets.packet_at(12) == octets.packet_at(45) == 4


def test_what_was_acknowledged_long_ago_will_not_come(monkeypatch):
    monkeypatch.setattr(tcp, "_MAX_LOST_SEGMENTS", 3)
    wire = Wire().handshake().data(0, 10)
    reassembler = Reassembler(TEXT)
    for segment in wire.data(20, 30).data(30, 40).acknowledge(40).segments:
        reassembler.add(segment)
    octets = reassembler.connections[0].octets(TO_SERVER)
    assert octets.length == 10, "two segments may still be waiting for their predecessor"
    for segment in wire.data(40, 52).acknowledge(52).segments[-2:]:
        reassembler.add(segment)
    assert octets.gaps == [Gap(10, 20)]
    assert octets.length == 52
    reassembler.add(wire.data(10, 20).segments[-1])
    assert octets.gaps == [Gap(10, 20)], "too late"


def test_what_was_never_acknowledged_may_still_come(monkeypatch):
    monkeypatch.setattr(tcp, "_MAX_LOST_SEGMENTS", 1)
    wire = Wire().handshake().data(10, 20).data(20, 52).acknowledge(0).data(0, 10)
    assert text(wire.octets) == TEXT


def test_a_segment_that_the_capture_cut_leaves_a_gap():
    octets = Wire().handshake().data(0, 10, length=20).data(20, 30).octets
    assert octets.gaps == [Gap(10, 20)]
    assert bytes(octets.read(0, 30)) == TEXT[:10] + TEXT[20:30]


def test_a_cut_segment_is_made_whole_by_its_repetition():
    assert text(Wire().handshake().data(0, 10, length=20).data(20, 30).data(10, 20).octets) == TEXT[:30]


def test_a_cut_segment_at_the_end():
    assert Wire().handshake().data(0, 10, length=20).octets.gaps == [Gap(10, 20)]


@pytest.mark.parametrize("base", [2**32 - 1, 2**32 - 2, 2**32 - 20, 2**32 - 53, 2**31 - 5])
def test_sequence_numbers_wrap(base):
    wire = Wire(base=base).handshake()
    for piece in (PIECES[1], PIECES[0], PIECES[3], PIECES[2]):
        wire.data(*piece)
    assert text(wire.octets) == TEXT


def test_octets_on_the_syn():
    wire = Wire()
    wire.add(CLIENT, SERVER, 1000, 0, SYN, 0, 10).add(SERVER, CLIENT, 5000, 1011, SYN | ACK).data(10, 20)
    assert text(wire.octets) == TEXT[:20]


def test_who_is_the_client():
    (connection,) = Wire().handshake().connections()
    assert (connection.client, connection.server) == (CLIENT, SERVER)
    assert connection.initial_sequence == 1000
    assert connection.accepted == 2


def test_the_syn_of_the_server_tells_too():
    wire = Wire().add(SERVER, CLIENT, 5000, 1001, SYN | ACK).data(0, 5)
    (connection,) = wire.connections()
    assert (connection.client, connection.accepted) == (CLIENT, 1)
    assert text(connection.octets(TO_SERVER)) == TEXT[:5]


@pytest.mark.parametrize("first", ["client", "server"])
def test_without_a_syn_the_lower_port_is_the_servers(first):
    wire = Wire()
    if first == "client":
        wire.data(0, 5)
    else:
        wire.add(SERVER, CLIENT, 5001, 1001, ACK, 0, 5)
    (connection,) = wire.connections()
    assert (connection.client, connection.server) == (CLIENT, SERVER)
    assert connection.initial_sequence is None


def test_swap():
    wire = Wire().data(0, 5).add(SERVER, CLIENT, 5001, 1006, ACK | FIN, 5, 9)
    (connection,) = wire.connections()
    connection.swap()
    assert (connection.client, connection.server) == (SERVER, CLIENT)
    assert text(connection.octets(TO_SERVER)) == TEXT[5:9]
    assert [closing.by for closing in connection.closings] == [TO_SERVER]


def test_several_connections_and_a_port_used_again():
    other = (CLIENT[0], 50001)
    wire = Wire().handshake().data(0, 5)
    wire.add(other, SERVER, 77, 0, SYN).add(other, SERVER, 78, 1, ACK, 5, 10)
    wire.add(CLIENT, SERVER, 1006, 5001, FIN | ACK)
    wire.add(CLIENT, SERVER, 9000, 0, SYN).add(CLIENT, SERVER, 9001, 1, ACK, 10, 15)
    found = wire.connections()
    assert [connection.number for connection in found] == [0, 1, 2]
    assert [text(connection.octets(TO_SERVER)) for connection in found] == [TEXT[:5], TEXT[5:10], TEXT[10:15]]
    assert [connection.first_packet for connection in found] == [1, 4, 7]


def test_a_syn_that_is_sent_again_is_the_same_connection():
    wire = Wire().add(CLIENT, SERVER, 1000, 0, SYN).handshake().data(0, 5)
    assert text(wire.octets) == TEXT[:5]


def test_closings_are_told_once_for_each_side():
    wire = Wire().handshake()
    wire.add(CLIENT, SERVER, 1001, 5001, FIN | ACK).add(CLIENT, SERVER, 1001, 5001, FIN | ACK)
    wire.add(SERVER, CLIENT, 5001, 1002, FIN | ACK).add(SERVER, CLIENT, 5002, 1002, RST)
    (connection,) = wire.connections()
    assert [(closing.flag, closing.by, closing.packet) for closing in connection.closings] == [
        ("FIN", TO_SERVER, 3),
        ("FIN", TO_CLIENT, 5),
        ("RST", TO_CLIENT, 6),
    ]


def test_too_many_connections(monkeypatch):
    monkeypatch.setattr(tcp, "MAX_CONNECTIONS", 2)
    wire = Wire()
    for port in range(3):
        wire.add((CLIENT[0], 2000 + port), SERVER, 1, 0, SYN)
    with pytest.raises(NotDICOMError, match="more than 2 TCP connections"):
        wire.connections()


def test_addresses():
    assert describe_address(CLIENT) == "10.0.0.1:50000"
    assert describe_address((bytes(15) + b"\1", 104)) == "[::1]:104"


def test_octets_without_packets():
    octets = whole(TEXT)
    assert (octets.length, octets.packet_at(3)) == (len(TEXT), None)
    assert bytes(octets.read(3, 9)) == TEXT[3:9]
    assert bytes(whole(b"").read(0, 5)) == b""


@pytest.mark.parametrize("cuts", list(combinations(range(1, 6), 2)))
def test_a_run_is_a_view_and_runs_are_joined(cuts):
    octets, ends = Octets(TEXT), (0, *cuts, 6)
    for packet, (start, stop) in enumerate(pairwise(ends), 1):
        octets.append(start, stop - start, packet)
    for start in range(6):
        for stop in range(start + 1, 7):
            found = octets.read(start, stop)
            assert bytes(found) == TEXT[start:stop]
            lies_in_one_run = any(a <= start and stop <= b for a, b in pairwise(ends))
            assert (found.obj is TEXT) == lies_in_one_run, "a copy only where it must be"
