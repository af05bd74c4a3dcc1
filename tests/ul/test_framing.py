"""The octet stream cut into PDUs: every split, every limit, one buffer (PS3.8 9.3.1)."""

from collections.abc import Callable, Iterable

import pytest

from dulcet.ul.framing import MIN_BUFFER_OCTETS, MIN_PDU_LENGTH, Frame, Framer

Golden = Callable[[str], bytes]
STREAM = (
    "a-associate-rq",
    "a-associate-ac",
    "p-data-tf-command",
    "p-data-tf-command-and-data",
    "a-release-rq",
    "a-release-rp",
    "a-associate-rj",
    "a-abort-by-the-service-user",
)


def fill(framer: Framer, octets: bytes) -> int:
    """Receive as much of `octets` as fits, as a shell does with one read; how much that was."""
    buffer = framer.receive_buffer()
    count = min(len(buffer), len(octets))
    buffer[:count] = octets[:count]
    framer.received(count)
    return count


def drain(framer: Framer) -> list[bytes]:
    """The whole PDUs that are there, copied."""
    frames = []
    while (frame := framer.next_frame()) is not None:
        assert frame.error is None
        frames.append(bytes(frame.octets))
    return frames


def feed(framer: Framer, chunks: Iterable[bytes]) -> list[bytes]:
    """The PDUs of a stream that comes in these chunks."""
    frames = []
    for chunk in chunks:
        while chunk:
            chunk = chunk[fill(framer, chunk) :]
            frames += drain(framer)
    return frames


@pytest.fixture
def pdus(golden: Golden) -> list[bytes]:
    return [golden(case) for case in STREAM]


def test_the_stream_cut_in_two_at_every_octet(pdus: list[bytes]) -> None:
    stream = b"".join(pdus)
    for cut in range(len(stream) + 1):
        assert feed(Framer(max_pdu_length=16384), (stream[:cut], stream[cut:])) == pdus


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 64, 10_000])
def test_the_stream_in_chunks_of_one_size(pdus: list[bytes], size: int) -> None:
    stream = b"".join(pdus) * 3
    chunks = (stream[start : start + size] for start in range(0, len(stream), size))
    assert feed(Framer(max_pdu_length=16384), chunks) == pdus * 3


def test_a_pdu_is_handed_out_with_its_last_octet_and_not_before(pdus: list[bytes]) -> None:
    framer = Framer(max_pdu_length=16384)
    for pdu in pdus:
        for position, octet in enumerate(pdu, 1):
            fill(framer, bytes((octet,)))
            assert framer.pending_octets == position
            frame = framer.next_frame()
            assert (frame is not None) == (position == len(pdu))
        assert framer.pending_octets == 0


# What can't be a PDU ------------------------------------------------------------------------------------------------


def wrong(framer: Framer) -> Frame:
    frame = framer.next_frame()
    assert frame is not None
    assert frame.error is not None
    return frame


@pytest.mark.parametrize("first", [octet for octet in range(256) if not 1 <= octet <= 7])
def test_an_unknown_type_shows_on_the_first_octet(first: int) -> None:
    """HTTP, TLS and SSH included: nothing waits for a length that will never come."""
    framer = Framer(max_pdu_length=16384)
    fill(framer, bytes((first,)))
    error = wrong(framer).error
    assert str(error) == f"PS3.8 9.3.1 PDU pdu_type: type {first:02X}H is not a PDU type"
    assert error is not None
    assert error.abort_reason == 1


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (
            "01 00 ffffffff",
            "PS3.8 9.3.1 A-ASSOCIATE-RQ pdu_length: 4294967295 octets announced, at most 65536 expected",
        ),
        ("01 00 00010001", "PS3.8 9.3.1 A-ASSOCIATE-RQ pdu_length: 65537 octets announced, at most 65536 expected"),
        ("02 00 00010001", "PS3.8 9.3.1 A-ASSOCIATE-AC pdu_length: 65537 octets announced, at most 65536 expected"),
        ("04 00 00004001", "PS3.8 9.3.1 P-DATA-TF pdu_length: 16385 octets announced, at most 16384 expected"),
        ("04 00 ffffffff", "PS3.8 9.3.1 P-DATA-TF pdu_length: 4294967295 octets announced, at most 16384 expected"),
        ("03 00 00000005", "PS3.8 9.3.1 A-ASSOCIATE-RJ pdu_length: 5 octets announced, exactly 4 expected"),
        ("05 00 00000000", "PS3.8 9.3.1 A-RELEASE-RQ pdu_length: 0 octets announced, exactly 4 expected"),
        ("06 00 00000003", "PS3.8 9.3.1 A-RELEASE-RP pdu_length: 3 octets announced, exactly 4 expected"),
        ("07 00 ffffffff", "PS3.8 9.3.1 A-ABORT pdu_length: 4294967295 octets announced, exactly 4 expected"),
    ],
)
def test_a_wrong_length_shows_on_the_header(header: str, text: str) -> None:
    framer = Framer(max_pdu_length=16384)
    octets = bytes.fromhex(header)
    fill(framer, octets[:5])
    assert framer.next_frame() is None
    fill(framer, octets[5:])
    frame = wrong(framer)
    assert str(frame.error) == text
    assert bytes(frame.octets) == octets
    assert frame.error is not None
    assert frame.error.abort_reason == 6


@pytest.mark.parametrize(("pdu_type", "limit"), [(1, 65536), (2, 65536), (4, 16384)])
def test_what_is_just_allowed_is_a_pdu(pdu_type: int, limit: int) -> None:
    pdu = bytes((pdu_type, 0)) + limit.to_bytes(4, "big") + bytes(limit)
    assert feed(Framer(max_pdu_length=16384), [pdu] * 5) == [pdu] * 5


def test_an_error_stays_until_it_is_discarded() -> None:
    framer = Framer(max_pdu_length=16384)
    fill(framer, b"\x16\x03\x01\x02\0\1\0")
    assert str(wrong(framer).error) == str(wrong(framer).error)
    framer.discard()
    assert framer.next_frame() is None
    assert framer.pending_octets == 0


@pytest.mark.parametrize("limits", [(7, 65536), (0, 65536), (-1, 65536), (16384, 7)])
def test_a_limit_that_allows_nothing_is_refused(limits: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="can carry nothing"):
        Framer(max_pdu_length=limits[0], max_associate_octets=limits[1])


def test_the_least_limit() -> None:
    framer = Framer(max_pdu_length=MIN_PDU_LENGTH)
    pdu = bytes.fromhex("04 00 00000008 00000004 01 03 0000")
    assert feed(framer, [pdu]) == [pdu]
    fill(framer, bytes.fromhex("04 00 00000009"))
    assert "at most 8 expected" in str(wrong(framer).error)


# One buffer ---------------------------------------------------------------------------------------------------------


def test_a_frame_is_a_view_of_the_one_buffer(golden: Golden) -> None:
    framer = Framer(max_pdu_length=16384)
    whole = framer.receive_buffer().obj
    for case in STREAM * 2:
        fill(framer, golden(case))
        frame = framer.next_frame()
        assert frame is not None
        assert frame.octets.obj is whole
        assert framer.receive_buffer().obj is whole


def test_what_is_received_next_takes_the_place_of_what_was_handed_out(golden: Golden) -> None:
    framer = Framer(max_pdu_length=16384)
    first, second = golden("a-release-rq"), golden("a-release-rp")
    fill(framer, first)
    frame = framer.next_frame()
    assert frame is not None
    assert bytes(frame.octets) == first
    fill(framer, second)
    assert bytes(frame.octets) == second


@pytest.mark.parametrize("max_pdu_length", [8, 4096, 16384, 128 * 1024, 1024 * 1024])
def test_the_buffer_holds_a_pdu_and_a_receive_and_no_more(max_pdu_length: int) -> None:
    framer = Framer(max_pdu_length=max_pdu_length)
    largest = max(max_pdu_length, 64 * 1024) + 6
    assert len(framer.receive_buffer()) == largest + max(largest, MIN_BUFFER_OCTETS)
    assert MIN_BUFFER_OCTETS == 65536


def test_there_is_always_room_for_the_rest_of_a_pdu() -> None:
    """Wherever what is pending lies, one receive can bring all that is missing of the largest PDU."""
    limit = 16384
    pdu = b"\x04\0" + limit.to_bytes(4, "big") + bytes(limit)
    small = bytes.fromhex("05 00 00000004 00000000")
    framer = Framer(max_pdu_length=limit, max_associate_octets=4096)
    stream = (pdu + small * 7 + pdu * 3 + small) * 5
    count = position = 0
    while position < len(stream):
        buffer = framer.receive_buffer()
        assert len(buffer) >= limit + 6 - framer.pending_octets > 0
        step = min(len(buffer), 4099, len(stream) - position)
        buffer[:step] = stream[position : position + step]
        framer.received(step)
        position += step
        count += len(drain(framer))
    assert count == 12 * 5
    assert framer.pending_octets == 0


def test_octets_received_before_the_pdus_there_are_asked_for() -> None:
    """A full buffer makes room as soon as one PDU of it is handed out."""
    release = bytes.fromhex("05 00 00000004 00000000")
    framer = Framer(max_pdu_length=MIN_PDU_LENGTH, max_associate_octets=MIN_PDU_LENGTH)
    while fill(framer, release * 10_000):
        pass
    assert len(framer.receive_buffer()) == 0
    held = framer.pending_octets
    assert framer.next_frame() is not None
    assert len(framer.receive_buffer()) == len(release)
    assert framer.pending_octets == held - len(release)
    assert drain(framer) == [release] * (held // len(release) - 1)
