"""A conversation while it goes on: octets of both directions, as they come, into PDUs, messages and steps.

What `captures/build.py` does with a whole capture, done piece by piece and without an end: memory is bounded by one
PDU of each direction, whatever passes. What later packets would show is not known: a step is shown as it looks now.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from dulcet.conformance.captures.machines import Machines, MachineStep, Side
from dulcet.conformance.captures.messages import MessageReader, MessageRecord
from dulcet.conformance.captures.rules import Rules
from dulcet.conformance.captures.streams import Direction, whole
from dulcet.conformance.captures.transcript import PDURecord, Tail, TransportEvent, why_undecodable
from dulcet.errors import DecodeError
from dulcet.ul.deviation import Deviation
from dulcet.ul.pdata import PDU_HEADER_OCTETS
from dulcet.ul.pdu import PDU_TYPES, AnyPDU, PDataTF, decode_pdu

MAX_PDU_OCTETS = 1 << 20  # of a PDU that is decoded; products announce 16 to 128 kB
_MESSAGES_KEPT = 256  # of one direction, before its reader is replaced by a fresh one
_STEPS_KEPT = 1024  # entries that a machine may still look back to
_SHOWN_OCTETS = 64
_RQ, _RJ, _ABORT = 1, 3, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePDU:
    """A whole PDU, and what became whole with it."""

    record: PDURecord
    pdu: AnyPDU | None
    """None for what can't be decoded, or is too large to be."""
    messages: tuple[MessageRecord, ...] = ()
    """Whose command sets it ends."""
    data_sets: tuple["LiveDataSet", ...] = ()
    """That it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveDataSet:
    """A data set that has come whole."""

    message: MessageRecord | None
    context_id: int
    octets: int
    fragments: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Oversized:
    """A PDU of which only the header was looked at."""

    direction: Direction
    pdu_type: int
    length: int

    @property
    def name(self) -> str:
        """In the standard's words."""
        return PDU_TYPES[self.pdu_type].NAME


LiveEntry = LivePDU | Oversized | Tail | TransportEvent


@dataclass(slots=True)
class _Half:
    """One direction."""

    reader: MessageReader = field(default_factory=MessageReader)
    buffer: bytearray = field(default_factory=bytearray)
    offset: int = 0
    """Of the buffer's first octet in the stream."""
    skip: int = 0
    """Octets of an oversized PDU that are still to come."""
    is_lost: bool = False
    """Whether what comes is no PDU any more."""
    messages: int = 0
    current: dict[int, MessageRecord] = field(default_factory=dict)
    """The last message of each context."""
    data: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Octets and fragments of the data sets that are not whole, by context."""


class LiveConversation:
    """Reads one connection. Every method gives what became whole."""

    def __init__(self) -> None:
        self._halves = {direction: _Half() for direction in Direction}
        self._machines = Machines()
        self._rules = Rules()
        self._requestor: Direction = Direction.TO_SERVER
        self._entries = 0
        self._pdus = 0
        self.octets: Counter[Direction] = Counter()
        """That came."""

    def side(self, direction: Direction) -> Side:
        """Who sends in `direction`: the requestor is who sent the A-ASSOCIATE-RQ, the client until then."""
        return Side.REQUESTOR if direction is self._requestor else Side.ACCEPTOR

    def opened(self, time: int) -> TransportEvent:
        """The transport connection came about."""
        entry = self._next_entry()
        self._machines.connected(entry, time, is_accepted=True)
        return TransportEvent("open", Direction.TO_SERVER, None, time, steps=self._machines.steps(entry))

    def closed(self, time: int, direction: Direction, *, is_reset: bool) -> TransportEvent:
        """A side ended its half of the connection, or all of it."""
        entry = self._next_entry()
        deviation = self._machines.closed(entry, time, self.side(direction))
        deviations = () if deviation is None else (deviation,)
        what = "RST" if is_reset else "FIN"
        return TransportEvent(what, direction, None, time, self._machines.steps(entry), deviations)

    def sent(self, time: int, direction: Direction, octets: bytes) -> Iterator[LiveEntry]:
        """Octets came."""
        half = self._halves[direction]
        self.octets[direction] += len(octets)
        if half.is_lost:
            return
        skipped = min(half.skip, len(octets))
        half.skip -= skipped
        half.offset += skipped
        half.buffer += memoryview(octets)[skipped:]
        while half.buffer:
            if half.buffer[0] not in PDU_TYPES:
                yield self._unknown(time, direction, half)
                return
            if len(half.buffer) < PDU_HEADER_OCTETS:
                return
            length = int.from_bytes(half.buffer[2:PDU_HEADER_OCTETS], "big")
            if length > MAX_PDU_OCTETS:
                yield self._oversized(direction, half, length)
                continue
            if len(half.buffer) < PDU_HEADER_OCTETS + length:
                return
            pdu = bytes(half.buffer[: PDU_HEADER_OCTETS + length])
            del half.buffer[: len(pdu)]
            yield self._pdu(time, direction, half, pdu)
            half.offset += len(pdu)

    def _next_entry(self) -> int:
        self._entries += 1
        if self._entries % _STEPS_KEPT == 0:
            self._machines.trim(self._entries - _STEPS_KEPT)
        return self._entries

    def _unknown(self, time: int, direction: Direction, half: _Half) -> Tail:
        entry = self._next_entry()
        head = bytes(half.buffer[:_SHOWN_OCTETS])
        why = f"unrecognised PDU type 0x{head[0]:02x}"
        self._machines.pdu(entry, time, self.side(direction), 0, is_valid=False)
        half.is_lost = True
        length = len(half.buffer)
        half.buffer.clear()
        steps = self._machines.steps(entry)
        return Tail(direction, half.offset, length, why, head, time=time, steps=steps, is_unknown_type=True)

    def _oversized(self, direction: Direction, half: _Half, length: int) -> Oversized:
        total = PDU_HEADER_OCTETS + length
        present = min(total, len(half.buffer))
        found = Oversized(direction=direction, pdu_type=half.buffer[0], length=length)
        del half.buffer[:present]
        half.skip = total - present
        half.offset += present
        half.reader = MessageReader(is_whole=False)
        half.current.clear()
        half.data.clear()
        self._rules.forget()
        return found

    def _pdu(self, time: int, direction: Direction, half: _Half, octets: bytes) -> LivePDU:
        entry = self._next_entry()
        if octets[0] == _RQ and self._pdus == 0:
            self._requestor = direction
        view = memoryview(octets)
        error, pdu, is_valid = why_undecodable(view, 0), None, True
        deviations: list[Deviation] = []
        if error is None:
            try:
                pdu, found = decode_pdu(view)
                deviations += found
            except DecodeError as wrong:
                error, is_valid = wrong, False
        messages, data_sets = self._read(direction, half, pdu, len(octets) - PDU_HEADER_OCTETS, deviations)
        steps = self._steps(entry, time, direction, octets[0], pdu, is_valid, deviations)
        record = PDURecord(
            number=self._pdus,
            direction=direction,
            offset=0,
            length=len(octets) - PDU_HEADER_OCTETS,
            pdu_type=octets[0],
            time=time,
            error=error,
            deviations=tuple(deviations),
            steps=steps,
            messages=tuple(range(len(messages))),
            stream=whole(octets),
        )
        self._pdus += 1
        return LivePDU(record=record, pdu=pdu, messages=messages, data_sets=data_sets)

    def _steps(
        self,
        entry: int,
        time: int,
        direction: Direction,
        pdu_type: int,
        pdu: AnyPDU | None,
        is_valid: bool,
        deviations: list[Deviation],
    ) -> tuple[MachineStep, ...]:
        source = getattr(pdu, "source", 0) if pdu_type in (_RJ, _ABORT) else 0
        deviation = self._machines.pdu(entry, time, self.side(direction), pdu_type, source=source, is_valid=is_valid)
        if deviation is not None:
            deviations.append(deviation)
        return self._machines.steps(entry)

    def _read(
        self, direction: Direction, half: _Half, pdu: AnyPDU | None, length: int, deviations: list[Deviation]
    ) -> tuple[tuple[MessageRecord, ...], tuple[LiveDataSet, ...]]:
        """Messages and data sets that end in the PDU; what it does wrong is added to `deviations`."""
        if pdu is None:
            return (), ()
        if not isinstance(pdu, PDataTF):
            deviations += self._rules.pdu(direction, pdu)
            return (), ()
        deviations += self._rules.data(direction, length, pdu.values)
        numbers, more = half.reader.feed(direction, self._pdus, pdu.values)
        deviations += more
        messages = []
        for number in numbers:
            message = replace(half.reader.record(number), number=half.messages)
            half.messages += 1
            half.current[message.context_id] = message
            deviations += message.deviations
            deviations += self._rules.message(direction, message.values)
            messages.append(message)
        data_sets = tuple(_data_sets(half, pdu))
        if half.messages >= _MESSAGES_KEPT and not half.data and pdu.values[-1].is_last:
            half.messages = 0
            half.reader = MessageReader(is_whole=False)
        return tuple(messages), data_sets


def _data_sets(half: _Half, pdu: PDataTF) -> Iterator[LiveDataSet]:
    for value in pdu.values:
        if value.is_command:
            continue
        octets, fragments = half.data.pop(value.context_id, (0, 0))
        octets, fragments = octets + len(value.fragment), fragments + 1
        if value.is_last:
            message = half.current.get(value.context_id)
            yield LiveDataSet(message=message, context_id=value.context_id, octets=octets, fragments=fragments)
        else:
            half.data[value.context_id] = (octets, fragments)
