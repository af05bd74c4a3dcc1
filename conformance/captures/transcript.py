"""What a capture says, in frozen dataclasses: streams, PDUs, messages, the steps of both machines, and what was wrong.

A record of a PDU says where its octets lie and decodes them when asked, so a transcript takes some hundred octets for
each PDU beside the capture itself. `sidecar.py` shows a transcript as JSON, `text.py` to people.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dulcet.conformance.captures.machines import MachineStep
from dulcet.conformance.captures.messages import MessageRecord
from dulcet.conformance.captures.streams import Direction, Octets
from dulcet.errors import DecodeError
from dulcet.ul.deviation import Deviation
from dulcet.ul.pdata import P_DATA_TF_TYPE, PDU_HEADER_OCTETS
from dulcet.ul.pdu import PDU_TYPES, AnyPDU, decode_pdu

MAX_ASSOCIATE_OCTETS = 1 << 20  # of an A-ASSOCIATE PDU that is decoded; 128 contexts take about 18 kB
MAX_VALUES = 1 << 12  # presentation data values in a P-DATA-TF that is decoded; two are usual
_ASSOCIATE_TYPES = (0x01, 0x02)


@dataclass(frozen=True, slots=True, kw_only=True)
class PDURecord:
    """One PDU of a stream."""

    number: int
    """From 0, in the order in which PDUs of both directions were complete."""
    direction: Direction
    offset: int
    """Of its first octet in the stream of its direction."""
    length: int
    """The PDU length field; the PDU has 6 octets more."""
    pdu_type: int
    packet: int | None = None
    """The packet that completed it; None when the octets came in no packets."""
    first_packet: int | None = None
    time: int | None = None
    """Of `packet`, nanoseconds since 1970-01-01 UTC."""
    missing: int = 0
    """Octets of it that were not captured."""
    error: DecodeError | None = None
    """Why it is not what the standard's table says; None for a PDU that can be decoded."""
    deviations: tuple[Deviation, ...] = ()
    steps: tuple[MachineStep, ...] = ()
    messages: tuple[int, ...] = ()
    """The numbers of the messages whose command sets end in it."""
    stream: Octets = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        """In the standard's words."""
        return PDU_TYPES[self.pdu_type].NAME

    @property
    def octets(self) -> memoryview:
        """The whole PDU, as far as it was captured."""
        return self.stream.read(self.offset, self.offset + PDU_HEADER_OCTETS + self.length)

    def decode(self) -> AnyPDU | None:
        """The PDU, decoded anew; None when it can't be."""
        return None if self.error is not None else decode_pdu(self.octets).pdu


def why_undecodable(octets: memoryview, missing: int) -> DecodeError | None:
    """What stands against decoding a PDU before its layout is asked."""
    table = "PS3.8 9.3.1"
    if missing:
        return DecodeError(f"{missing} of its octets were not captured", table=table)
    if octets[0] in _ASSOCIATE_TYPES and len(octets) > MAX_ASSOCIATE_OCTETS:
        return DecodeError(f"{len(octets)} octets; more than {MAX_ASSOCIATE_OCTETS} are not decoded", table=table)
    if octets[0] == P_DATA_TF_TYPE:
        start, values, end = PDU_HEADER_OCTETS, 0, len(octets)
        while start + 4 <= end:
            start += 4 + int.from_bytes(octets[start : start + 4], "big")
            values += 1
            if values > MAX_VALUES:
                explanation = f"more than {MAX_VALUES} presentation data values are not decoded"
                return DecodeError(explanation, table=table)
    return None


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a direction that is no whole PDU."""

    direction: Direction
    offset: int
    length: int
    why: str
    head: bytes
    """Its first octets, at most 64."""
    packet: int | None = None
    time: int | None = None
    steps: tuple[MachineStep, ...] = ()
    is_unknown_type: bool = False
    """Whether it begins with an octet that is no PDU type; else the end is missing."""
    stream: Octets | None = field(default=None, repr=False, compare=False)
    """Where all of its octets are."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Octets of a direction that were not captured, and what can't be read because of it."""

    direction: Direction
    offset: int
    length: int
    missing: int
    """Octets of `length` that were not captured."""
    packet: int | None = None
    time: int | None = None


@dataclass(frozen=True, slots=True)
class TransportEvent:
    """The TCP connection opens or closes."""

    what: str
    """`open`, `FIN`, `RST`."""
    direction: Direction
    """Who did it: TO_SERVER is the client."""
    packet: int | None
    time: int | None
    steps: tuple[MachineStep, ...] = ()
    deviations: tuple[Deviation, ...] = ()


Entry = PDURecord | Tail | Lost | TransportEvent


@dataclass(frozen=True, slots=True)
class HalfSummary:
    """What TCP carried in one direction."""

    octets: int
    """That were captured."""
    segments: int
    """With payload that was new."""
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTranscript:
    """One TCP connection, or octets that came without one."""

    number: int
    client: str = ""
    """`127.0.0.1:50000`; "" without a connection."""
    server: str = ""
    transport: str
    """`tcp`, `tls`, or `octets` without a connection."""
    entries: tuple[Entry, ...]
    """PDUs and what happened round them, in the order of the capture."""
    messages: tuple[MessageRecord, ...] = ()
    unfinished: Mapping[Direction, Mapping[int, int]] = field(default_factory=dict)
    """Octets of data sets whose last fragment did not come, by direction and context ID."""
    halves: Mapping[Direction, HalfSummary] = field(default_factory=dict)
    decrypted: Mapping[Direction, HalfSummary] = field(default_factory=dict)
    """For TLS that was decrypted; `segments` is then the number of records."""
    retransmissions: int = 0
    problem: str = ""
    """Why TLS was not decrypted to its end."""
    has_begin: bool = True
    """Whether the begin of the connection was captured."""
    has_directions: bool = True
    """Whether it is known who sent what."""

    @property
    def pdus(self) -> tuple[PDURecord, ...]:
        """The PDUs of both directions."""
        return tuple(entry for entry in self.entries if isinstance(entry, PDURecord))

    @property
    def tails(self) -> tuple[Tail, ...]:
        """What could not be read at the end of a direction."""
        return tuple(entry for entry in self.entries if isinstance(entry, Tail))

    @property
    def is_dicom(self) -> bool:
        """Whether anything of it is a PDU, or the begin of one."""
        return any(
            isinstance(entry, PDURecord) or (isinstance(entry, Tail) and not entry.is_unknown_type)
            for entry in self.entries
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """One capture."""

    name: str
    format: str
    """`pcap`, `pcapng`, `hex`, `octets`."""
    octets: int
    sha256: str
    packets: int = 0
    notes: tuple[str, ...] = ()
    """What was left out of it."""
    damage: tuple[str, ...] = ()
    """Why the file could not be read to its end."""
    streams: tuple[StreamTranscript, ...]
