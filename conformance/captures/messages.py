"""Messages out of the P-DATA-TF PDUs of a capture: PS3.7 6.3, PS3.8 Annex E.

`dulcet.dimse.assembly` refuses what breaks the rules, as a connection must. A capture shows also what was wrong: here
fragments are put together by direction and context as they come, and what the rules say otherwise is a deviation.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha256
from sys import intern
from types import MappingProxyType
from typing import Any, NamedTuple

from dulcet.conformance.captures.streams import Direction
from dulcet.dimse.assembly import MAX_COMMAND_SET_OCTETS
from dulcet.dimse.command_dictionary import COMMAND_DATA_SET_TYPE, COMMAND_FIELD, TAGS
from dulcet.dimse.command_set import Value, decode_command_set
from dulcet.dimse.message import NO_DATA_SET
from dulcet.dimse.messages import MESSAGES, UnacceptableMessage, decode_message
from dulcet.errors import DecodeError
from dulcet.ul.deviation import Deviation
from dulcet.ul.pdata import PresentationDataValue

_CLAUSE = "PS3.8 Annex E"
_COMMAND_GROUP = bytes(2)  # what the first element of a command set begins with
_SOP_CLASS_UIDS = frozenset((TAGS["affected_sop_class_uid"], TAGS["requested_sop_class_uid"]))


@dataclass(frozen=True, slots=True)
class DataSet:
    """The data set of a message, as octets: what they mean is the context's transfer syntax's."""

    length: int
    pdv_count: int
    sha256: str
    """Of the fragments, joined."""
    is_complete: bool
    """Whether the last fragment came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
    """One DIMSE message of a capture."""

    number: int
    """From 0, in the order in which the command sets were complete."""
    direction: Direction
    pdu: int
    """The number of the PDU that ended the command set."""
    context_id: int
    name: str
    """`C-STORE-RQ`; `message 1234H` for a Command Field that is none."""
    values: Mapping[int, Value]
    """The elements by tag."""
    command_octets: int
    data_set: DataSet | None = None
    deviations: tuple[Deviation, ...] = ()
    error: str = ""
    """Why nobody could act on it; "" for a message that can be used."""


class _Message:
    """A message while its data set comes."""

    __slots__ = ("digest", "expects_data", "is_complete", "length", "pdv_count", "record")

    def __init__(self, record: MessageRecord) -> None:
        self.record = record
        self.expects_data = record.values.get(COMMAND_DATA_SET_TYPE, NO_DATA_SET) != NO_DATA_SET
        self.length = 0
        self.pdv_count = 0
        self.digest: Any = None
        self.is_complete = False

    def add(self, value: PresentationDataValue) -> None:
        """A fragment of the data set."""
        if self.digest is None:
            self.digest = sha256()
        self.digest.update(value.fragment)
        self.length += len(value.fragment)
        self.pdv_count += 1
        self.is_complete = value.is_last

    def freeze(self) -> MessageRecord:
        """The record, with what came of the data set."""
        if self.digest is not None:
            data_set = DataSet(self.length, self.pdv_count, self.digest.hexdigest(), self.is_complete)
            self.record = replace(self.record, data_set=data_set)
            self.digest = None
        return self.record


@dataclass(slots=True)
class _Lane:
    """One context in one direction."""

    command: bytearray = field(default_factory=bytearray)
    message: _Message | None = None
    """The last one; its data set may still come."""
    is_ended: bool = True
    """Whether the last data set had its last fragment."""
    is_known: bool = True
    """Whether nothing was lost before what comes."""


class MessageReader:
    """Puts the messages of one association together. Memory: the records, and a command set for each context."""

    def __init__(self, *, is_whole: bool = True) -> None:
        self._is_whole = is_whole
        self._lanes: dict[tuple[Direction, int], _Lane] = {}
        self._current: dict[Direction, int] = {}
        self._messages: list[_Message] = []

    def feed(
        self, direction: Direction, pdu: int, values: Sequence[PresentationDataValue]
    ) -> tuple[list[int], list[Deviation]]:
        """The numbers of the messages whose command sets end in this PDU, and what its values do wrong."""
        ended: list[int] = []
        deviations: list[Deviation] = []
        for value in values:
            lane = self._lane(direction, value.context_id)
            deviations.extend(self._mixed(direction, value, lane))
            if value.is_command:
                number = self._command(direction, pdu, value, lane)
                if number is not None:
                    ended.append(number)
            else:
                deviations.extend(self._data(value, lane))
                if value.is_last:
                    self._current.pop(direction, None)
        return ended, deviations

    def _lane(self, direction: Direction, context_id: int) -> _Lane:
        lane = self._lanes.get((direction, context_id))
        if lane is None:
            lane = self._lanes[direction, context_id] = _Lane(is_known=self._is_whole)
        return lane

    def records(self) -> tuple[MessageRecord, ...]:
        """All messages, in the order of their command sets."""
        return tuple(message.freeze() for message in self._messages)

    def unfinished(self) -> dict[Direction, dict[int, int]]:
        """Octets of data sets whose last fragment did not come, by direction and context ID."""
        found: dict[Direction, dict[int, int]] = {}
        for (direction, context_id), lane in self._lanes.items():
            message = lane.message
            if message is not None and message.pdv_count and not message.is_complete:
                found.setdefault(direction, {})[context_id] = message.length
        return found

    def forget(self) -> None:
        """Packets are missing: what was begun may never end, and what comes may belong to it."""
        self._is_whole = False
        self._current.clear()
        for lane in self._lanes.values():
            lane.command.clear()
            lane.message = None
            lane.is_ended = True
            lane.is_known = False

    def record(self, number: int) -> MessageRecord:
        """A message, as far as it is known yet."""
        return self._messages[number].record

    def _mixed(self, direction: Direction, value: PresentationDataValue, lane: _Lane) -> Iterator[Deviation]:
        """A fragment of another message while one is not whole (PS3.8 E.2)."""
        current = self._current.get(direction)
        if current is not None and current != value.context_id:
            yield _deviation(f"a fragment on context {value.context_id} inside a message on context {current}")
        elif value.is_command and lane.message is not None and not lane.is_ended and not lane.command:
            yield _deviation("a command fragment where the data set was expected")
            lane.is_ended = True
        self._current[direction] = value.context_id

    def _command(self, direction: Direction, pdu: int, value: PresentationDataValue, lane: _Lane) -> int | None:
        if len(lane.command) < MAX_COMMAND_SET_OCTETS:
            lane.command += value.fragment[:MAX_COMMAND_SET_OCTETS]
        if not value.is_last:
            return None
        octets = bytes(lane.command)
        lane.command.clear()
        lane.is_known = lane.is_known or octets.startswith(_COMMAND_GROUP)
        number = len(self._messages)
        if lane.is_known:
            message = _Message(_decode(octets, number, direction, pdu, value.context_id))
        else:
            message = _Message(_unknown(octets, number, direction, pdu, value.context_id))
        self._messages.append(message)
        lane.message = message
        lane.is_ended = not message.expects_data
        if lane.is_ended:
            self._current.pop(direction, None)
        return number

    def _data(self, value: PresentationDataValue, lane: _Lane) -> Iterator[Deviation]:
        message = lane.message
        if message is None:
            if lane.is_known:
                yield _deviation("a data set fragment where a command set was expected")
        else:
            if not lane.is_known:
                pass
            elif lane.is_ended and not message.pdv_count and not message.expects_data:
                yield _deviation(f"a data set after a {message.record.name} that announces none")
            elif lane.is_ended:
                yield _deviation("a data set fragment after the last one")
            message.add(value)
            lane.is_ended = value.is_last
        if len(value.fragment) % 2:
            yield Deviation(
                clause="PS3.8 E.1",
                field="fragment",
                explanation=f"a fragment of {len(value.fragment)} octets, an odd number",
            )


def _deviation(explanation: str) -> Deviation:
    return Deviation(clause=_CLAUSE, field="presentation data value", explanation=explanation)


def _unknown(octets: bytes, number: int, direction: Direction, pdu: int, context_id: int) -> MessageRecord:
    return MessageRecord(
        number=number,
        direction=direction,
        pdu=pdu,
        context_id=context_id,
        name="message",
        values=MappingProxyType({}),
        command_octets=len(octets),
        error="the begin of its command set was not captured",
    )


def _decode(octets: bytes, number: int, direction: Direction, pdu: int, context_id: int) -> MessageRecord:
    said = _read(octets)
    return MessageRecord(
        number=number,
        direction=direction,
        pdu=pdu,
        context_id=context_id,
        name=said.name,
        values=said.values,
        command_octets=len(octets),
        deviations=said.deviations,
        error=said.error,
    )


class _Said(NamedTuple):
    """What a command set says."""

    name: str
    values: Mapping[int, Value]
    deviations: tuple[Deviation, ...]
    error: str


@lru_cache(maxsize=256)
def _read(octets: bytes) -> _Said:
    """The answers to one query are often the same octets: they share what they say."""
    found = decode_command_set(octets)
    command_field = found.values.get(COMMAND_FIELD)
    known = MESSAGES.get(command_field) if isinstance(command_field, int) else None
    name = known.NAME if known else f"message {command_field:04X}H" if isinstance(command_field, int) else "message"
    error = ""
    try:
        message = decode_message(octets).message
        if isinstance(message, UnacceptableMessage):
            error = message.explanation
    except DecodeError as wrong:
        error = wrong.explanation
    for tag in _SOP_CLASS_UIDS & found.values.keys():  # a capture has few, each many times
        found.values[tag] = intern(str(found.values[tag]))
    return _Said(name, MappingProxyType(found.values), tuple(found.deviations), error)
