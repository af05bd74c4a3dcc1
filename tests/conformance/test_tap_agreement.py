"""What a tap records of a conversation is what was said: every capture of tests/captures, played through one."""

import io
import json
from pathlib import Path

import pytest
import trio
import trio.testing

from dulcet.conformance.captures import sidecar
from dulcet.conformance.captures.build import read_capture
from dulcet.conformance.captures.packets import PacketReader
from dulcet.conformance.captures.reader import CaptureFile
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.tcp import Reassembler
from dulcet.conformance.live import LiveConversation, LivePDU
from dulcet.conformance.tap import Ends, Relay
from dulcet.conformance.tap_recording import Recording, RecordingFile

CAPTURES = Path(__file__).parents[1] / "captures"
NAMES = sorted(path.stem for path in CAPTURES.glob("*.pcap"))


class Scripted(trio.abc.HalfCloseableStream):
    """One end as the tap sees it: says what the script has next, and keeps what it is told."""

    def __init__(self):
        self.says, self.said = trio.open_memory_channel(0)
        self.heard = bytearray()
        self.is_finished = False
        self.is_closed = False
        self.rest = b""

    async def receive_some(self, max_bytes=None):
        if not self.rest:
            said = await self.said.receive()
            if said == "RST":
                raise trio.BrokenResourceError("reset")
            self.rest = b"" if said == "FIN" else said
        octets, self.rest = self.rest[:max_bytes], self.rest[max_bytes:]
        return octets

    async def send_all(self, data):
        await trio.lowlevel.checkpoint()
        self.heard += data

    async def wait_send_all_might_not_block(self):
        await trio.lowlevel.checkpoint()

    async def send_eof(self):
        await trio.lowlevel.checkpoint()
        self.is_finished = True

    async def aclose(self):
        self.is_closed = True
        await trio.lowlevel.checkpoint()


def steps(connection, times):
    """(time, direction, octets or FIN or RST) in the order of the capture, as far as a relay can see."""
    found = []
    for direction, half in connection.halves.items():
        octets = half.octets
        position = 0
        for start, length, packet in zip(octets._starts, octets._lengths, octets._packets, strict=True):
            found.append((packet, 1, direction, bytes(octets.read(start, start + length))))
            position += length
        assert position == octets.length
    found += [(closing.packet, 2, closing.by, closing.flag) for closing in connection.closings]
    found.sort(key=lambda step: step[:2])
    return [(times[packet - 1], direction, what) for packet, _, direction, what in found]


async def play(connection, times, file, number):
    """The connection through a relay, one step after the other."""
    clock = [times[connection.first_packet - 1]]
    client, peer = Scripted(), Scripted()
    ends = Ends(number=number, client=("10.0.0.1", 40000 + number), server=("10.0.0.2", 104))
    recording = Recording(file, ends)
    live = Live()
    recording.opened(clock[0])
    live.opened(clock[0])
    who = {Direction.TO_SERVER: client, Direction.TO_CLIENT: peer}
    sent = {direction: bytearray() for direction in Direction}
    played = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Relay(client, peer, (recording, live), lambda: clock[0]).run)
        ended = set()
        for time, direction, what in steps(connection, times):
            clock[0] = time
            if direction in ended:
                continue  # a reset after a FIN: nobody reads any more
            played.append((direction, what if isinstance(what, str) else None))
            await who[direction].says.send(what)
            await trio.testing.wait_all_tasks_blocked()
            if isinstance(what, str):
                ended.add(direction)
                target = who[direction.opposite]
                assert target.is_closed if what == "RST" else target.is_finished
                if what == "RST":
                    break
            else:
                sent[direction] += what
        nursery.cancel_scope.cancel()
    assert peer.heard == sent[Direction.TO_SERVER]
    assert client.heard == sent[Direction.TO_CLIENT]
    return [(direction, what) for direction, what in played if what], live


class Live:
    """Observes and keeps what the live reader says of each PDU."""

    def __init__(self):
        self.conversation = LiveConversation()
        self.pdus = []

    def opened(self, time):
        self.conversation.opened(time)

    def sent(self, time, direction, octets):
        entries = self.conversation.sent(time, direction, octets)
        self.pdus += [entry.record for entry in entries if isinstance(entry, LivePDU)]

    def closed(self, time, direction, *, is_reset):
        self.conversation.closed(time, direction, is_reset=is_reset)


def comparable(stream, closings):
    """A stream of a document, without what belongs to packets and addresses, and the closings that a relay meets."""
    found = {name: value for name, value in stream.items() if name not in ("client", "server", "tcp", "tcp_stream")}
    found["transport_events"] = found["transport_events"][: 1 + closings]
    for part in (
        *found["pdus"],
        *found["dimse"],
        *found["transport_events"],
        *found.get("undecodable_tail", {}).values(),
    ):
        for name in ("frame", "first_frame"):
            part.pop(name, None)
    return found


def streams(transcript):
    return json.loads("".join(sidecar.write(transcript)))["streams"]


@pytest.mark.parametrize("name", NAMES)
async def test_the_recording_has_the_transcript_of_the_capture(name):
    octets = (CAPTURES / f"{name}.pcap").read_bytes()
    key_file = CAPTURES / f"{name}.keylog"
    key_log = key_file.read_bytes() if key_file.exists() else b""
    capture = CaptureFile(octets)
    reader = PacketReader(octets)
    segments = [segment for segment in map(reader.segment, capture.packets()) if segment is not None]
    connections = Reassembler(octets).add_all(segments)
    original = read_capture(name, octets, key_log)
    recorded = io.BytesIO()
    problems = []
    file = RecordingFile(recorded, problems.append)
    played = [await play(connection, capture.times, file, number) for number, connection in enumerate(connections, 1)]
    again = read_capture(name, recorded.getvalue(), key_log)
    assert problems == []
    assert again.damage == ()
    assert len(again.streams) == len(original.streams)
    for before, after, (closings, _) in zip(streams(original), streams(again), played, strict=True):
        assert comparable(after, len(closings)) == comparable(before, len(closings))
    for before, (_, live) in zip(original.streams, played, strict=True):
        if before.transport == "tcp":
            said = [(pdu.direction, pdu.pdu_type, bytes(pdu.octets), str(pdu.error)) for pdu in live.pdus]
            assert said == [(pdu.direction, pdu.pdu_type, bytes(pdu.octets), str(pdu.error)) for pdu in before.pdus]
