"""Recorded and made-up conversations: the captures of `tests/captures`, and packets in any order."""

import io
import json
from pathlib import Path

import pytest

from dulcet.conformance.captures import sidecar
from dulcet.conformance.captures.build import read_capture
from dulcet.conformance.captures.pcap import PcapWriter
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.writer import ConversationWriter

CAPTURES = Path(__file__).parents[2] / "captures"
START = 1_764_000_000_000_000_000  # nanoseconds
STEP = 1_000_000
CLIENT, SERVER = ("10.0.0.1", 50000), ("10.0.0.2", 104)


class Recording:
    """One capture of `tests/captures`."""

    def __init__(self, name):
        self.name = name
        self.path = CAPTURES / f"{name}.pcap"
        self.octets = self.path.read_bytes()
        key_log = CAPTURES / f"{name}.keylog"
        self.key_log = key_log.read_bytes() if key_log.exists() else b""

    @property
    def expected(self):
        """What the sidecar says."""
        return json.loads((CAPTURES / f"{self.name}.json").read_text())

    @property
    def transcript(self):
        """What we say."""
        return read_capture(self.path.name, self.octets, self.key_log)

    @property
    def conversation(self):
        """(direction, octets of a PDU) in order: the first stream."""
        return [(pdu.direction, bytes(pdu.octets)) for pdu in self.transcript.streams[0].pdus]


@pytest.fixture(scope="session")
def recording():
    """A capture by name."""
    return Recording


@pytest.fixture(scope="session")
def document():
    """The JSON document of a transcript, read again."""
    return lambda transcript: json.loads("".join(sidecar.write(transcript)))


class Packets:
    """Writes a capture in memory: a clock that goes on by itself, and a conversation."""

    def __init__(self, writer=PcapWriter, **options):
        self.file = io.BytesIO()
        self.writer = writer(self.file)
        self.time = START
        self.conversation = ConversationWriter(self.writer, CLIENT, SERVER, **options)

    def tick(self):
        self.time += STEP
        return self.time

    def open(self):
        self.conversation.open(self.tick())
        return self

    def send(self, direction, octets):
        self.conversation.send(self.tick(), direction, octets)
        return self

    def close(self, direction, **how):
        self.conversation.close(self.tick(), direction, **how)
        return self

    def raw(self, octets):
        """A packet as it is."""
        self.writer.write(self.tick(), octets)
        return self

    @property
    def octets(self):
        return self.file.getvalue()

    @property
    def transcript(self):
        return read_capture("made.pcap", self.octets)


@pytest.fixture(scope="session")
def packets():
    """An empty capture to write."""
    return Packets


@pytest.fixture(scope="session")
def echo(recording):
    """(direction, octets) of each PDU of a C-ECHO."""
    return recording("echo__dcmtk-echoscu__pynetdicom").conversation


@pytest.fixture(scope="session")
def sides(echo):
    """All octets of each direction of the C-ECHO."""
    return {wanted: b"".join(octets for direction, octets in echo if direction is wanted) for wanted in Direction}
