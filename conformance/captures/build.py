"""A capture, or octets, into a `Transcript`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain

from dulcet.conformance.captures import framing, tls
from dulcet.conformance.captures.framing import Kind, Piece
from dulcet.conformance.captures.keylog import KeyLog
from dulcet.conformance.captures.machines import Machines, Side, is_provider_rejection
from dulcet.conformance.captures.messages import MessageReader
from dulcet.conformance.captures.packets import PacketReader
from dulcet.conformance.captures.reader import CaptureFile
from dulcet.conformance.captures.rules import Rules
from dulcet.conformance.captures.streams import Direction, Octets
from dulcet.conformance.captures.tcp import Reassembler, TCPConnection, describe_address
from dulcet.conformance.captures.transcript import (
    Entry,
    HalfSummary,
    Lost,
    PDURecord,
    StreamTranscript,
    Tail,
    Transcript,
    TransportEvent,
    why_undecodable,
)
from dulcet.errors import DecodeError, NotDICOMError
from dulcet.ul.deviation import Deviation
from dulcet.ul.pdata import PDU_HEADER_OCTETS
from dulcet.ul.pdu import AnyPDU, PDataTF, decode_pdu

MAX_PDUS = 1_000_000  # some 500 octets of memory each; a capture of images has one for 16 kB
_MAX_DEVIATIONS = 64  # of one PDU; the rest is counted
_SHOWN_OCTETS = 64
_LOOK_AHEAD = 64  # pieces after an A-ASSOCIATE-RQ among which its answer is
_RQ, _RJ, _ABORT = 1, 3, 7
_SENT_BY_ACCEPTOR = (2, 3)


def read_capture(name: str, octets: bytes, key_log: bytes = b"") -> Transcript:
    """The transcript of a pcap or pcapng file. NotDICOMError for what is none, or too much to hold."""
    capture = CaptureFile(octets)
    reader = PacketReader(octets)
    segments = (segment for segment in map(reader.segment, capture.packets()) if segment is not None)
    connections = Reassembler(octets).add_all(segments)
    keys = KeyLog(key_log, capture.key_log)
    left = MAX_PDUS
    streams = []
    for connection in connections:
        stream = _connection(connection, capture, keys, left)
        left -= len(stream.entries)
        streams.append(stream)
    return Transcript(
        name=name,
        format=capture.format,
        octets=len(octets),
        sha256=sha256(octets).hexdigest(),
        packets=len(capture.times),
        notes=tuple(f"{count} x {what}" for what, count in reader.notes.items()),
        damage=tuple(capture.damage),
        streams=tuple(streams),
    )


def read_octets(
    name: str, halves: Mapping[Direction, Octets], *, format_name: str, has_directions: bool, source: bytes
) -> Transcript:
    """The transcript of octets that came without packets: whole PDUs of one direction, or of both."""
    builder = _Builder(None, MAX_PDUS, is_whole=True, has_directions=has_directions)
    stream = builder.stream(halves, number=0, transport="octets")
    return Transcript(
        name=name, format=format_name, octets=len(source), sha256=sha256(source).hexdigest(), streams=(stream,)
    )


def _connection(connection: TCPConnection, capture: CaptureFile, keys: KeyLog, left: int) -> StreamTranscript:
    is_whole = connection.initial_sequence is not None or connection.accepted is not None
    halves = {direction: connection.octets(direction) for direction in Direction}
    plain, decrypted, transport, problem = halves, {}, "tcp", ""
    if any(tls.is_tls(octets) for octets in halves.values()):
        transport = "tls"
        found = tls.decrypt(halves, keys)
        plain, problem = found.octets, found.problem
        decrypted = {direction: _summary(octets) for direction, octets in plain.items() if octets.length}
    elif not is_whole and _is_reversed(halves):
        connection.swap()
        plain = halves = {direction: connection.octets(direction) for direction in Direction}
    builder = _Builder(capture, left, is_whole=is_whole or transport == "tls", has_directions=True)
    stream = builder.stream(plain, number=connection.number, transport=transport, connection=connection)
    return replace(
        stream,
        client=describe_address(connection.client),
        server=describe_address(connection.server),
        halves={
            direction: HalfSummary(half.octets.captured, half.segments - half.repeated, half.octets.sha256())
            for direction, half in connection.halves.items()
        },
        decrypted=decrypted,
        retransmissions=sum(half.repeated for half in connection.halves.values()),
        problem=problem,
        has_begin=is_whole,
    )


def _summary(octets: Octets) -> HalfSummary:
    return HalfSummary(octets.captured, octets.runs_count, octets.sha256())


def _is_reversed(halves: Mapping[Direction, Octets]) -> bool:
    """Whether what the supposed client says is what an acceptor says."""
    first = {}
    for direction, octets in halves.items():
        pieces = framing.cut(octets, is_whole=False)
        first[direction] = next((octets.read(p.start, p.start + 1)[0] for p in pieces if p.kind is Kind.PDU), 0)
    return first[Direction.TO_CLIENT] == _RQ or first[Direction.TO_SERVER] in _SENT_BY_ACCEPTOR


@dataclass(slots=True)
class _Seen:
    """A piece, or what happened to the connection, in the order of the capture."""

    packet: int
    rank: int
    """Octets of a packet come before its FIN, and after its SYN."""
    offset: int
    direction: Direction
    piece: Piece | None = None
    what: str = ""

    @property
    def order(self) -> tuple[int, int, int]:
        return self.packet, self.rank, self.offset


class _Builder:
    """Builds one stream."""

    def __init__(self, capture: CaptureFile | None, left: int, *, is_whole: bool, has_directions: bool) -> None:
        self._capture = capture
        self._left = left
        self._is_whole = is_whole
        self._has_directions = has_directions
        self._machines = Machines()
        self._messages = MessageReader(is_whole=is_whole)
        self._rules = Rules()
        self._requestor = Direction.TO_SERVER
        self._halves: Mapping[Direction, Octets] = {}
        self._pdus = 0
        if not (is_whole and has_directions):
            self._rules.forget()
            self._messages.forget()

    def stream(
        self,
        halves: Mapping[Direction, Octets],
        *,
        number: int,
        transport: str,
        connection: TCPConnection | None = None,
    ) -> StreamTranscript:
        """The transcript of one stream."""
        self._halves = halves
        seen = self._pieces(halves, 0 if connection is None else connection.first_packet)
        is_dicom = any(each.piece is not None and each.piece.kind is Kind.PDU for each in seen)
        if connection is not None:
            seen += _transport(connection)
        seen.sort(key=lambda each: each.order)
        self._requestor = self._find_requestor(seen)
        entries = [self._entry(index, each, seen) for index, each in enumerate(seen)]
        with_steps = is_dicom or transport == "tcp"
        if self._has_directions and with_steps:
            for index, entry in enumerate(entries):  # in place: there may be many
                entries[index] = self._with_steps(index, entry)
        return StreamTranscript(
            number=number,
            transport=transport,
            entries=tuple(entries),
            messages=self._messages.records(),
            unfinished=self._messages.unfinished(),
            has_directions=self._has_directions,
        )

    def _pieces(self, halves: Mapping[Direction, Octets], first_packet: int) -> list[_Seen]:
        seen = []
        for direction, octets in halves.items():
            for piece in framing.cut(octets, is_whole=self._is_whole):
                if piece.kind is not Kind.LOST:
                    packet = octets.packet_at(piece.stop - 1) or 0
                else:  # at some time after what comes before it
                    packet = (octets.packet_at(piece.start - 1) if piece.start else None) or first_packet
                seen.append(_Seen(packet, 1, piece.start, direction, piece))
                if len(seen) > self._left:
                    raise NotDICOMError(f"more than {MAX_PDUS} PDUs: filter the capture first")
        return seen

    def _find_requestor(self, seen: Sequence[_Seen]) -> Direction:
        for each in seen:
            if each.piece is not None and each.piece.kind is Kind.PDU and self._type(each) == _RQ:
                return each.direction
        return Direction.TO_SERVER

    def _type(self, seen: _Seen) -> int:
        assert seen.piece is not None
        return self._halves[seen.direction].read(seen.piece.start, seen.piece.start + 1)[0]

    def _time(self, packet: int) -> int | None:
        return self._capture.time(packet) if self._capture is not None and packet else None

    def _entry(self, index: int, seen: _Seen, all_seen: Sequence[_Seen]) -> Entry:
        packet = seen.packet or None
        time = self._time(seen.packet)
        side = self._side(seen.direction)
        piece = seen.piece
        if piece is None:
            return self._transport_event(index, seen, time or 0)
        if piece.kind is Kind.PDU:
            return self._pdu(index, seen, piece, all_seen)
        octets = self._halves[seen.direction]
        if piece.kind is Kind.LOST:
            self._machines.forget(side)
            self._rules.forget()
            self._messages.forget()
            return Lost(seen.direction, piece.start, piece.stop - piece.start, piece.missing, packet, time)
        head = bytes(octets.read(piece.start, min(piece.stop, piece.start + _SHOWN_OCTETS)))
        is_unknown = piece.why.startswith("unrecognised")
        if is_unknown:
            self._machines.pdu(index, time or 0, side, 0, is_valid=False)
        length = piece.stop - piece.start - piece.missing
        return Tail(
            seen.direction,
            piece.start,
            length,
            piece.why,
            head,
            packet,
            time,
            is_unknown_type=is_unknown,
            stream=octets,
        )

    def _transport_event(self, index: int, seen: _Seen, time: int) -> TransportEvent:
        deviation = None
        if seen.what.startswith("open"):
            self._machines.connected(index, time, is_accepted=seen.what == "open")
        else:
            deviation = self._machines.closed(index, time, self._side(seen.direction))
        deviations = () if deviation is None else (deviation,)
        return TransportEvent(
            seen.what, seen.direction, seen.packet or None, self._time(seen.packet), deviations=deviations
        )

    def _pdu(self, index: int, seen: _Seen, piece: Piece, all_seen: Sequence[_Seen]) -> PDURecord:
        octets = self._halves[seen.direction]
        view = octets.read(piece.start, piece.stop)
        error = why_undecodable(view, piece.missing)
        pdu, deviations, is_valid = None, [], True
        if error is None:
            try:
                pdu, found = decode_pdu(view)
                deviations = list(found)
            except DecodeError as wrong:
                error, is_valid = wrong, False
        messages: list[int] = []
        if pdu is not None:
            messages, more = self._judge(seen.direction, pdu, piece)
            deviations += more
        elif is_valid:  # not decoded, for our own reasons
            self._rules.forget()
            self._messages.forget()
        if self._has_directions:
            deviation = self._machine_step(index, seen, view, pdu, is_valid=is_valid, all_seen=all_seen)
            deviations += () if deviation is None else (deviation,)
        self._pdus += 1
        packet, first_packet = seen.packet or None, octets.packet_at(piece.start)
        return PDURecord(
            number=self._pdus - 1,
            direction=seen.direction,
            offset=piece.start,
            length=piece.stop - piece.start - PDU_HEADER_OCTETS,
            pdu_type=view[0],
            packet=packet,
            first_packet=packet if first_packet == packet else first_packet,
            time=self._time(seen.packet),
            missing=piece.missing,
            error=error,
            deviations=_bounded(deviations),
            messages=tuple(messages),
            stream=octets,
        )

    def _judge(self, direction: Direction, pdu: AnyPDU, piece: Piece) -> tuple[list[int], list[Deviation]]:
        if not isinstance(pdu, PDataTF):
            return [], list(self._rules.pdu(direction, pdu))
        deviations = list(self._rules.data(direction, piece.stop - piece.start - PDU_HEADER_OCTETS, pdu.values))
        messages, more = self._messages.feed(direction, self._pdus, pdu.values)
        deviations += more
        for number in messages:
            message = self._messages.record(number)
            deviations += message.deviations
            deviations += self._rules.message(direction, message.values)
        return messages, deviations

    def _machine_step(
        self,
        index: int,
        seen: _Seen,
        view: memoryview,
        pdu: AnyPDU | None,
        *,
        is_valid: bool,
        all_seen: Sequence[_Seen],
    ) -> Deviation | None:
        pdu_type = view[0]
        source = getattr(pdu, "source", 0) if pdu_type in (_RJ, _ABORT) else 0
        is_acceptable = True
        if pdu_type == _RQ:
            is_acceptable = not is_provider_rejection(self._next_of_peer(index, seen.direction, all_seen))
        return self._machines.pdu(
            index,
            self._time(seen.packet) or 0,
            self._side(seen.direction),
            pdu_type,
            source=source,
            is_valid=is_valid,
            is_acceptable=is_acceptable,
        )

    def _next_of_peer(self, index: int, direction: Direction, all_seen: Sequence[_Seen]) -> list[tuple[int, int]]:
        """(type, source) of the peer's next PDU."""
        for each in all_seen[index + 1 : index + 1 + _LOOK_AHEAD]:
            if each.direction is not direction and each.piece is not None and each.piece.kind is Kind.PDU:
                octets = self._halves[each.direction].read(each.piece.start, each.piece.stop)
                return [(octets[0], octets[8] if len(octets) > 8 else 0)]  # PS3.8 Table 9-21: octet 9 is the source
        return []

    def _side(self, direction: Direction) -> Side:
        return Side.REQUESTOR if direction is self._requestor else Side.ACCEPTOR

    def _with_steps(self, index: int, entry: Entry) -> Entry:
        if isinstance(entry, Lost):
            return entry
        return replace(entry, steps=self._machines.steps(index))


def _transport(connection: TCPConnection) -> list[_Seen]:
    seen = []
    if connection.initial_sequence is not None:
        what = "open" if connection.accepted is not None else "open, not accepted"
        seen.append(_Seen(connection.first_packet, 0, 0, Direction.TO_SERVER, what=what))
    closings = (_Seen(closing.packet, 2, 0, closing.by, what=closing.flag) for closing in connection.closings)
    return [*seen, *closings]


def _bounded(deviations: list[Deviation]) -> tuple[Deviation, ...]:
    """All of few, the first of many."""
    if len(deviations) <= _MAX_DEVIATIONS:
        return tuple(deviations)
    more = len(deviations) - _MAX_DEVIATIONS
    last = Deviation(clause=deviations[-1].clause, field="", explanation=f"and {more} deviations more in this PDU")
    return tuple(chain(deviations[:_MAX_DEVIATIONS], (last,)))
