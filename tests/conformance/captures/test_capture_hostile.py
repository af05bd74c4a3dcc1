"""Captures that mean harm: never a traceback, never memory beyond the file's share, and an end in sight."""

import io
import json
import random
import tracemalloc
from pathlib import Path

import pytest

from dulcet.conformance.captures import build, sidecar
from dulcet.conformance.captures.build import read_capture
from dulcet.conformance.captures.packets import ACK
from dulcet.conformance.captures.pcap import PcapWriter
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.text import View, show
from dulcet.conformance.captures.writer import ConversationWriter
from dulcet.errors import NotDICOMError

TO_SERVER = Direction.TO_SERVER
CAPTURES = Path(__file__).parents[2] / "captures"
RELEASE = b"\5\0\0\0\0\4\0\0\0\0"
SEED = 20261126
ROUNDS = 120


def read_and_show(octets, key_log=b""):
    """Everything that the command does with a capture."""
    try:
        transcript = read_capture("x", octets, key_log)
    except NotDICOMError:
        return
    json.loads("".join(sidecar.write(transcript)))
    for verbosity in (0, 2):
        assert all(line.text.isascii() for line in show(transcript, View(verbosity=verbosity)))


def mutated(octets, chance):
    """A few octets changed, left out, or put in twice."""
    changed = bytearray(octets)
    for _ in range(chance.choice((1, 2, 3, 10))):
        position = chance.randrange(24, len(changed))
        match chance.randrange(5):
            case 0:
                changed[position] = chance.randrange(256)
            case 1:
                changed[position] ^= 1 << chance.randrange(8)
            case 2:
                del changed[position : position + chance.randrange(1, 40)]
            case 3:
                changed[position:position] = changed[chance.randrange(len(changed)) :][: chance.randrange(1, 100)]
            case 4:
                changed[position : position + 4] = chance.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff"))
    return bytes(changed)


def test_mutated_captures_end_in_sentences():
    chance = random.Random(SEED)
    small = [path for path in sorted(CAPTURES.glob("*.pcap")) if path.stat().st_size < 6000]
    for _ in range(ROUNDS):
        path = chance.choice(small)
        key_log = path.with_suffix(".keylog")
        read_and_show(mutated(path.read_bytes(), chance), key_log.read_bytes() if key_log.exists() else b"")


@pytest.mark.parametrize(
    ("name", "step"), [("echo__dcmtk-echoscu__orthanc", 11), ("tls__pynetdicom__dcmtk-storescp", 67)]
)
def test_captures_cut_at_any_octet(recording, name, step):
    capture = recording(name)
    for size in range(4, len(capture.octets), step):
        read_and_show(capture.octets[:size], capture.key_log)


def stream_of(octets, **options):
    file = io.BytesIO()
    conversation = ConversationWriter(PcapWriter(file), ("10.0.0.1", 50000), ("10.0.0.2", 104), **options)
    conversation.open(0)
    conversation.send(0, TO_SERVER, octets)
    return file.getvalue()


def peak(octets):
    """Octets of memory for the transcript beside the file."""
    tracemalloc.start()
    try:
        read_capture("x", octets)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_images_cost_little_beside_the_file():
    """16 kB in a P-DATA-TF, 1460 octets in a segment, as on any wire: 2 MB."""
    pdu = b"\4\0\0\0\x40\0" + (0x4000 - 4).to_bytes(4, "big") + b"\1\0" + bytes(0x4000 - 6)
    octets = stream_of(pdu * 128, segment_octets=1460)
    assert len(octets) > 2_000_000
    assert peak(octets) < len(octets) // 4


@pytest.mark.parametrize(
    "octets",
    [
        stream_of(RELEASE * 500),
        stream_of(b"\4\0" + (8 * 3000).to_bytes(4, "big") + b"\0\0\0\4\1\0ab" * 3000),
        stream_of((b"\1\0" + (68 + 8000).to_bytes(4, "big") + bytes(68) + b"\x99\0\0\0" * 2000) * 3),
        stream_of(RELEASE * 20, segment_octets=1),
    ],
    ids=["PDUs", "values", "items", "segments"],
)
def test_many_small_things_cost_a_bounded_share(octets):
    assert peak(octets) < 400_000 + 250 * len(octets)


def test_segments_with_holes_between_them_are_bounded(packets):
    capture = packets().open()
    for number in range(300):
        capture.raw(capture.conversation.packet(TO_SERVER, ACK, RELEASE * 2, sequence=1001 + number * 40))
    (stream,) = capture.transcript.streams
    assert len(stream.pdus) == 600


def test_a_gap_of_two_gigaoctets_costs_nothing(packets):
    capture = packets().open().send(TO_SERVER, RELEASE)
    capture.raw(capture.conversation.packet(TO_SERVER, ACK, RELEASE, sequence=1001 + (1 << 31) - 100))
    (stream,) = capture.transcript.streams
    assert [pdu.offset for pdu in stream.pdus] == [0, (1 << 31) - 100]


def test_more_pdus_than_are_held_is_a_sentence(monkeypatch):
    monkeypatch.setattr(build, "MAX_PDUS", 10)
    with pytest.raises(NotDICOMError, match="more than 10 PDUs: filter the capture first"):
        read_capture("x", stream_of(RELEASE * 11))
