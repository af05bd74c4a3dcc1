"""One side of a recorded conversation as a script: what it says, and after what of the other side it says that.

The other side's octets are read as units: an association PDU, or a whole DIMSE message however it was cut into PDUs, or
the end of the connection. A unit is what can be compared with another one.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from dulcet.conformance.captures.machines import Side
from dulcet.conformance.captures.messages import MessageReader, MessageRecord
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.transcript import (
    Lost,
    PDURecord,
    StreamTranscript,
    Tail,
    TransportEvent,
    why_undecodable,
)
from dulcet.dimse.command_dictionary import COMMAND_DATA_SET_TYPE
from dulcet.dimse.message import NO_DATA_SET
from dulcet.errors import DecodeError, NotDICOMError
from dulcet.ul.fields import AETitle
from dulcet.ul.pdata import P_DATA_TF_TYPE, PDU_HEADER_OCTETS
from dulcet.ul.pdu import PDU_TYPES, PDataTF, decode_pdu

MAX_KEPT_OCTETS = 1 << 20  # of a data set, to say where two differ; the digests tell of the rest
END = "the end of the connection"
NO_PDU = "what is no PDU"
_RQ = 1
_CALLED, _CALLING = slice(10, 26), slice(26, 42)  # PS3.8 Table 9-11


@dataclass(slots=True)
class DataSet:
    """The data set of a message; of a large one the begin."""

    begin: bytearray = field(default_factory=bytearray)
    length: int = 0
    fragments: int = 0
    digest: str = ""
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What one side said that stands for itself."""

    name: str
    """`A-ASSOCIATE-AC`, `C-STORE-RSP`, `END`, `NO_PDU`."""
    pdus: tuple[int, ...] = ()
    """The numbers of the PDUs that it is made of."""
    octets: bytes = b""
    """Of an association PDU, or of what is no PDU."""
    message: MessageRecord | None = None
    data_set: DataSet | None = None
    how: str = ""
    """`FIN` or `RST`, for the end."""


@dataclass(frozen=True, slots=True)
class Say:
    """Octets that the played side sends."""

    octets: Callable[[], bytes]
    name: str
    pdu: int | None
    """Its number in the capture; None for what is no PDU."""
    pdu_type: int
    after: int = 0
    """Octets that the other side had sent of a data set without an end."""


@dataclass(frozen=True, slots=True)
class Hear:
    """A unit of the other side, as it was captured."""

    unit: Unit


@dataclass(frozen=True, slots=True)
class Close:
    """The played side ends its half of the connection, or resets it."""

    is_reset: bool


Move = Say | Hear | Close


class UnitReader:
    """Puts the units of one side together. Memory: what is kept of a data set for each context."""

    def __init__(self) -> None:
        self._messages = MessageReader()
        self._open: dict[int, tuple[MessageRecord, list[int], DataSet]] = {}
        self._command_pdus: dict[int, list[int]] = {}
        self._digests: dict[int, Any] = {}

    @property
    def pending_octets(self) -> int:
        """Octets of data sets whose last fragment has not come."""
        return sum(data_set.length for _, _, data_set in self._open.values())

    def pdu(self, number: int, octets: bytes | memoryview) -> Iterator[Unit]:
        """The units that end in a whole PDU."""
        view = memoryview(octets)
        name = PDU_TYPES[view[0]].NAME
        if view[0] != P_DATA_TF_TYPE:
            yield Unit(name=name, pdus=(number,), octets=bytes(view))
            return
        try:
            error = why_undecodable(view, 0)
            pdu = None if error else decode_pdu(view).pdu
        except DecodeError:
            pdu = None
        if not isinstance(pdu, PDataTF):
            yield Unit(name=f"{name} that can't be decoded", pdus=(number,), octets=bytes(view))
            return
        numbers, _ = self._messages.feed(Direction.TO_SERVER, 0, pdu.values)
        messages = iter(numbers)
        for value in pdu.values:
            context_id = value.context_id
            if value.is_command:
                pdus = self._command_pdus.setdefault(context_id, [])
                _note(pdus, number)
                if value.is_last:
                    message = self._messages.record(next(messages))
                    del self._command_pdus[context_id]
                    if message.values.get(COMMAND_DATA_SET_TYPE, NO_DATA_SET) == NO_DATA_SET:
                        yield Unit(name=message.name, pdus=tuple(pdus), message=message)
                    else:
                        self._open[context_id] = (message, pdus, DataSet())
                        self._digests[context_id] = sha256()
            elif context_id in self._open:
                yield from self._data(context_id, number, value.fragment, value.is_last)

    def _data(self, context_id: int, number: int, fragment: bytes | memoryview, is_last: bool) -> Iterator[Unit]:
        message, pdus, data_set = self._open[context_id]
        _note(pdus, number)
        data_set.begin += fragment[: MAX_KEPT_OCTETS - len(data_set.begin)]
        data_set.length += len(fragment)
        data_set.fragments += 1
        self._digests[context_id].update(fragment)
        if is_last:
            data_set.digest = self._digests.pop(context_id).hexdigest()
            data_set.is_complete = True
            del self._open[context_id]
            yield Unit(name=message.name, pdus=tuple(pdus), message=message, data_set=data_set)


def _note(pdus: list[int], number: int) -> None:
    if not pdus or pdus[-1] != number:
        pdus.append(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One side of a stream, to be played."""

    side: Side
    moves: tuple[Move, ...]
    contexts: frozenset[int]
    """The presentation contexts that the played side sends on."""

    @property
    def heard(self) -> int:
        """Units of the other side."""
        return sum(isinstance(move, Hear) for move in self.moves)


def script(stream: StreamTranscript, side: Side, *, called: str | None = None, calling: str | None = None) -> Script:
    """The moves of `side`, with other AE titles in the A-ASSOCIATE-RQ. NotDICOMError for what can't be played."""
    _check(stream)
    requestor = next((pdu.direction for pdu in stream.pdus if pdu.pdu_type == _RQ), Direction.TO_SERVER)
    ours = requestor if side is Side.REQUESTOR else requestor.opposite
    reader = UnitReader()
    moves: list[Move] = []
    contexts: set[int] = set()
    for entry in stream.entries:
        match entry:
            case PDURecord() if entry.direction is ours:
                contexts.update(_contexts(entry))
                moves.append(_say(entry, called, calling, reader.pending_octets))
            case PDURecord():
                octets = _retitled(entry.octets, called, calling)
                moves += (Hear(unit) for unit in reader.pdu(entry.number, octets))
            case Tail() if entry.direction is ours:
                moves.append(Say(_tail_octets(entry), NO_PDU, None, 0, reader.pending_octets))
            case Tail():
                moves.append(Hear(Unit(name=NO_PDU, octets=entry.head)))
            case TransportEvent() if entry.what in ("FIN", "RST"):
                is_reset = entry.what == "RST"
                is_ours = entry.direction is ours
                moves.append(Close(is_reset) if is_ours else Hear(Unit(name=END, how=entry.what)))
            case _:
                pass
    return Script(side=side, moves=tuple(_without_repeated_ends(moves)), contexts=frozenset(contexts))


def _check(stream: StreamTranscript) -> None:
    where = f"stream {stream.number}"
    if stream.problem:
        raise NotDICOMError(f"{where} is TLS and can't be decrypted: {stream.problem}")
    if not stream.pdus and not stream.tails:
        raise NotDICOMError(f"{where} carries no DICOM")
    if not stream.has_begin or not stream.has_directions:
        raise NotDICOMError(f"{where} can't be played: the begin of the connection was not captured")
    if any(isinstance(entry, Lost) or getattr(entry, "missing", 0) for entry in stream.entries):
        raise NotDICOMError(f"{where} can't be played: packets of it were not captured")


def _contexts(record: PDURecord) -> Iterator[int]:
    pdu = record.decode() if record.pdu_type == P_DATA_TF_TYPE else None
    if isinstance(pdu, PDataTF):
        yield from (value.context_id for value in pdu.values)


def _say(record: PDURecord, called: str | None, calling: str | None, after: int) -> Say:
    return Say(lambda: _retitled(record.octets, called, calling), record.name, record.number, record.pdu_type, after)


def _tail_octets(tail: Tail) -> Callable[[], bytes]:
    stream = tail.stream
    if stream is None:
        return lambda: tail.head
    return lambda: bytes(stream.read(tail.offset, tail.offset + tail.length))


def _retitled(octets: memoryview, called: str | None, calling: str | None) -> bytes:
    """An A-ASSOCIATE-RQ with other AE titles; everything else as it is."""
    if octets[0] != _RQ or len(octets) < PDU_HEADER_OCTETS + 68:
        return bytes(octets)
    changed = bytearray(octets)
    for title, place in ((called, _CALLED), (calling, _CALLING)):
        if title is not None:
            changed[place] = AETitle(title).octets
    return bytes(changed)


def _without_repeated_ends(moves: list[Move]) -> Iterator[Move]:
    """Each side ends once: a reset after a FIN is what TCP makes of octets that nobody reads."""
    is_closed = is_ended = False
    for move in moves:
        if isinstance(move, Close):
            if not is_closed:
                yield move
            is_closed = True
        elif isinstance(move, Hear) and move.unit.name == END:
            if not is_ended:
                yield move
            is_ended = True
        else:
            yield move
