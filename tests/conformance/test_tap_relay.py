"""The tap between two memory streams: every octet, both ends of a connection, and nothing held back or piled up."""

import errno
import io
from pathlib import Path

import pytest
import trio
import trio.testing

from dulcet.conformance.captures.build import read_capture
from dulcet.conformance.captures.machines import Side
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.transcript import Tail, TransportEvent
from dulcet.conformance.live import MAX_PDU_OCTETS, LiveConversation, LivePDU, Oversized
from dulcet.conformance.live_text import LiveJSON, LiveView
from dulcet.conformance.tap import CHUNK_OCTETS, LAST_WORDS_SECONDS, Ends, Relay
from dulcet.conformance.tap_recording import Recording, RecordingDirectory, RecordingFile
from dulcet.ul.items import ApplicationContext, PresentationContextRQ, UserInformation
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import AAbort, AAssociateRQ, AETitle, AReleaseRQ, PDataTF

CAPTURES = Path(__file__).parents[1] / "captures"
ENDS = Ends(number=1, client=("10.0.0.1", 40000), server=("10.0.0.2", 104))
THERE, BACK = Direction.TO_SERVER, Direction.TO_CLIENT


class Observed:
    def __init__(self):
        self.seen = []

    def sent(self, time, direction, octets):
        self.seen.append((direction, bytes(octets)))

    def closed(self, time, direction, *, is_reset):
        self.seen.append((direction, "RST" if is_reset else "FIN"))


class Between:
    """Client and peer with a relay between them."""

    def __init__(self):
        self.client, self.client_end = trio.testing.memory_stream_pair()
        self.peer, self.peer_end = trio.testing.memory_stream_pair()
        self.observed = Observed()
        self.relay = Relay(self.client_end, self.peer_end, [self.observed])


@pytest.fixture
def between():
    return Between()


@pytest.mark.parametrize("size", [1, 12, CHUNK_OCTETS, CHUNK_OCTETS + 1, 3 * CHUNK_OCTETS + 7])
async def test_octets_pass_as_they_are(size, between, nursery):
    octets = bytes(number * 7 % 251 for number in range(size))
    nursery.start_soon(between.relay.run)
    nursery.start_soon(between.client.send_all, octets)
    got = b""
    while len(got) < size:
        got += await between.peer.receive_some()
    assert got == octets
    assert b"".join(what for _, what in between.observed.seen) == octets
    assert all(len(what) <= CHUNK_OCTETS for _, what in between.observed.seen)


async def test_a_fin_ends_one_half_and_the_other_goes_on(between, nursery):
    nursery.start_soon(between.relay.run)
    await between.client.send_all(b"question")
    await between.client.send_eof()
    assert await between.peer.receive_some() == b"question"
    assert await between.peer.receive_some() == b""
    await between.peer.send_all(b"answer")
    await between.peer.send_eof()
    assert await between.client.receive_some() == b"answer"
    assert await between.client.receive_some() == b""
    assert between.observed.seen == [(THERE, b"question"), (THERE, "FIN"), (BACK, b"answer"), (BACK, "FIN")]


class Breaks(trio.abc.HalfCloseableStream):
    """A stream whose other end resets it: `reset` says when reading meets that, writing always does."""

    def __init__(self, last_words=b""):
        self.last_words = last_words
        self.reset = trio.Event()
        self.is_closed = False

    async def receive_some(self, max_bytes=None):
        await self.reset.wait()
        octets, self.last_words = self.last_words, b""
        return octets

    async def send_all(self, data):
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self):
        await trio.lowlevel.checkpoint()

    async def send_eof(self):
        await trio.lowlevel.checkpoint()

    async def aclose(self):
        self.is_closed = True
        await trio.lowlevel.checkpoint()


async def test_what_was_said_before_a_reset_is_passed_on_first(nursery, autojump_clock):
    client, client_end = trio.testing.memory_stream_pair()
    peer, observed = Breaks(AAbort().encode()), Observed()
    nursery.start_soon(Relay(client_end, peer, [observed]).run)
    await client.send_all(b"to a peer that has gone")
    await trio.testing.wait_all_tasks_blocked()
    assert observed.seen == [(THERE, b"to a peer that has gone")]
    peer.reset.set()
    assert await client.receive_some() == AAbort().encode()
    assert await client.receive_some() == b""
    assert observed.seen[1:] == [(BACK, AAbort().encode()), (BACK, "RST")]


async def test_a_reset_that_only_writing_meets_is_passed_on_in_time(autojump_clock):
    client, client_end = trio.testing.memory_stream_pair()
    observed = Observed()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Relay(client_end, Breaks(), [observed]).run)
        await client.send_all(b"x")
        assert await client.receive_some() == b""
    assert trio.current_time() - began == pytest.approx(LAST_WORDS_SECONDS)
    assert observed.seen == [(THERE, b"x"), (BACK, "RST")]


async def test_a_side_that_does_not_read_stops_the_other():
    """The relay asks for no more before what it has is gone: two chunks of memory, whatever is sent."""
    client, client_end = trio.testing.lockstep_stream_pair()
    peer, peer_end = trio.testing.lockstep_stream_pair()
    observed = Observed()
    sent = []

    async def send():
        for number in range(20):
            await client.send_all(bytes((number,)) * 10)
            sent.append(number)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Relay(client_end, peer_end, [observed]).run)
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        assert sent == [0]
        assert len(observed.seen) == 1
        assert await peer.receive_some() == bytes(10)
        await trio.testing.wait_all_tasks_blocked()
        assert sent == [0, 1]
        nursery.cancel_scope.cancel()


class Full(io.BytesIO):
    def __init__(self, room):
        super().__init__()
        self.room = room

    def write(self, octets):
        self.room -= len(octets)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(octets)


def test_a_full_disk_ends_the_recording_and_says_so_once():
    problems = []
    disk = Full(600)
    recording = Recording(RecordingFile(disk, problems.append), ENDS)
    recording.opened(1)
    for time in range(2, 20):
        recording.sent(time, THERE, AReleaseRQ().encode())
    recording.closed(20, THERE, is_reset=False)
    assert problems == ["No space left on device"]
    assert 0 < disk.tell() <= 600


def test_each_connection_has_a_file_of_its_own(tmp_path):
    problems = []
    directory = RecordingDirectory(tmp_path / "new", problems.append)
    for number in (1, 2):
        ends = Ends(number=number, client=("::1", 1), server=("10.0.0.2", 104))
        recording = directory.recording(ends)
        recording.opened(10)
        recording.sent(11, BACK, AAbort().encode())
        recording.closed(12, BACK, is_reset=True)
        recording.ended(13)
    first, second = sorted((tmp_path / "new").iterdir())
    assert first.name.endswith("-0001.pcapng")
    for path in (first, second):
        (stream,) = read_capture(path.name, path.read_bytes()).streams
        assert [pdu.name for pdu in stream.pdus] == ["A-ABORT"]
        assert stream.server == "[::ffff:a00:2]:104"
    assert problems == []


def test_a_refused_connection_is_recorded_as_one():
    file = io.BytesIO()
    Recording(RecordingFile(file, print), Ends(number=1, client=("10.0.0.1", 9), server=("pacs", 104))).refused(5, "no")
    (stream,) = read_capture("refused", file.getvalue()).streams
    assert [entry.what for entry in stream.entries if isinstance(entry, TransportEvent)] == [
        "open, not accepted",
        "RST",
    ]


def conversation(name):
    """(direction, octets of a PDU) of the first stream of a capture, in order."""
    transcript = read_capture(name, (CAPTURES / f"{name}.pcap").read_bytes())
    return [(pdu.direction, bytes(pdu.octets)) for pdu in transcript.streams[0].pdus]


def request():
    context = PresentationContextRQ.propose(1, "1.2.840.10008.1.1", ["1.2.840.10008.1.2"])
    items = (ApplicationContext(), context, UserInformation(sub_items=()))
    titles = {name: AETitle(name[:4].upper()) for name in ("called_ae_title", "calling_ae_title")}
    return AAssociateRQ(**titles, items=items)


def test_live_memory_is_one_pdu_whatever_passes():
    """A PDU that promises 4 GB is skipped, and what follows is read again."""
    live = LiveConversation()
    live.opened(0)
    header = b"\4\0" + (MAX_PDU_OCTETS + 100_000).to_bytes(4, "big")
    (found,) = live.sent(1, THERE, header + bytes(90_000))
    assert isinstance(found, Oversized)
    left = MAX_PDU_OCTETS + 10_000
    half = live._halves[THERE]
    while left > 0:
        part = min(left, 65_000)
        assert list(live.sent(2, THERE, bytes(part))) == []
        assert len(half.buffer) == 0
        left -= part
    (release,) = live.sent(3, THERE, AReleaseRQ().encode())
    assert release.record.name == "A-RELEASE-RQ"


def test_live_memory_does_not_grow_with_messages():
    echo = conversation("echo__dcmtk-echoscu__pynetdicom")
    live = LiveConversation()
    live.opened(0)
    for direction, octets in echo[:2]:
        list(live.sent(1, direction, octets))
    for number in range(3000):
        for direction, octets in echo[2:4]:
            (entry,) = live.sent(number, direction, octets)
            assert len(entry.messages) == 1
            assert entry.record.deviations == ()
    assert all(len(half.reader._messages) <= 256 for half in live._halves.values())
    assert all(
        len(machine.steps) < 3000 and len(machine.received) < 3000 for machine in live._machines._machines.values()
    )


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_live_pieces_of_any_size_give_the_same(size):
    def read(size):
        live = LiveConversation()
        live.opened(0)
        found = []
        for direction, octets in conversation("store-one__dcmtk-storescu__dcmtk-storescp"):
            for start in range(0, len(octets), size):
                found += live.sent(1, direction, octets[start : start + size])
        return [
            (entry.record.name, entry.record.steps, len(entry.messages), [data.octets for data in entry.data_sets])
            for entry in found
        ]

    assert read(size) == read(1 << 20)


def test_live_side_and_garbage():
    live = LiveConversation()
    live.opened(0)
    (entry,) = live.sent(1, BACK, request().encode())
    assert isinstance(entry, LivePDU)
    assert live.side(BACK) is Side.REQUESTOR
    (tail,) = live.sent(2, THERE, b"GET / HTTP/1.0\r\n")
    assert isinstance(tail, Tail)
    assert list(live.sent(3, THERE, b"more")) == []


@pytest.fixture
def store():
    return conversation("store-one__dcmtk-storescu__dcmtk-storescp")


def show(store, verbosity):
    lines = []
    view = LiveView(ENDS, lines.append, verbosity)
    drive(view, store)
    return [line.text for line in lines]


def drive(view, conversation):
    view.opened(1_000_000_000)
    for direction, octets in conversation:
        view.sent(2_000_000_000, direction, octets)
    view.closed(3_000_000_000, THERE, is_reset=False)
    view.closed(3_000_000_000, BACK, is_reset=False)
    view.ended(3_500_000_000)


def test_quiet_shows_begin_and_end(store):
    first, last = show(store, 0)
    assert first == "00:00:01.000 #1 10.0.0.1:40000 -> 10.0.0.2:104"
    assert last.startswith("00:00:03.500 #1 accepted with ")
    assert "released; C-STORE: 1 request, 1 x 0000H Success; 2.500 s, " in last


def test_v_shows_messages_and_vv_fields_and_machines(store):
    lines = show(store, 1)
    assert any("> C-STORE-RQ 1" in line for line in lines)
    assert any("> data set of C-STORE-RQ 1: " in line for line in lines)
    assert any("< C-STORE-RSP 1: 0000H Success" in line for line in lines)
    assert not any("P-DATA-TF" in line or "Evt" in line for line in lines)
    all_of_it = show(store, 2)
    assert any("requestor: Evt2   AE-2  Sta5" in line for line in all_of_it)
    assert any("called_ae_title" in line for line in all_of_it)


def test_json_has_a_line_for_each_pdu(store):
    lines = []
    drive(LiveJSON(ENDS, lines.append), store)
    assert [line["event"] for line in lines[:1] + lines[-3:]] == ["tap.opened", "tap.closed", "tap.closed", "tap.ended"]
    pdus = [line for line in lines if line["event"] == "tap.pdu"]
    assert len(pdus) == len(store)
    assert [pdu["name"] for pdu in pdus][:2] == ["A-ASSOCIATE-RQ", "A-ASSOCIATE-AC"]
    commands = [value["dimse"]["command_field"] for pdu in pdus for value in pdu.get("pdvs", ()) if "dimse" in value]
    assert commands == [0x0001, 0x8001]
    assert sum(len(pdu["data_sets"]) for pdu in pdus) == 1


def test_a_hostile_peer_does_not_reach_the_terminal():
    lines = []
    view = LiveView(ENDS, lines.append, 2)
    view.opened(0)
    evil = PDataTF(values=(PresentationDataValue(1, True, True, b"\x1b[2J" * 4),)).encode()
    view.sent(1, THERE, request().encode().replace(b"CALL", b"\x1b[2J"))
    view.sent(1, THERE, evil)
    assert len(lines) > 5
    assert all(line.text.isprintable() for line in lines)
