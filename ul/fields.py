"""The vocabulary in which PS3.8's tables are written down: one construct layout for each table.

A `Layout` reads as the page does: the fields in the standard's order, each with its octets in a trailing comment. It
decodes and encodes, names the field that was wrong, and prints its own octet column (`dulcet table 9-11`), so that
comment, code and documentation can be compared by a test. No construct `Container` leaves this package.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any, Protocol, Self

from construct import (
    Adapter,
    Bytes,
    Construct,
    ConstructError,
    Default,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Int32ub,
    Rebuild,
    SizeofError,
    StreamError,
    Struct,
    Tell,
    stream_read_entire,
    stream_write,
)

from dulcet.errors import DecodeError
from dulcet.ul.deviation import Deviation

AE_TITLE_OCTETS = 16
MAX_UID_OCTETS = 64  # PS3.8 Annex F
MAX_VERSION_NAME_OCTETS = 16  # PS3.7 D.3.3.2.3
MAX_DEVIATIONS = 64  # of one PDU are recorded: who gets more wrong than that decides no further what we hold
_SHOWN_OCTETS = 64


class AETitle(str):
    """An AE title: its significant characters (leading and trailing spaces are not, PS3.8 Table 9-11).

    `octets` are the 16 octets as they go, or came, over the wire; characters outside ISO 646 are kept as ISO 8859-1,
    so that nothing received is lost. Raises ValueError for more than 16 characters.
    """

    octets: bytes

    def __new__(cls, title: str) -> Self:
        """A title as people write it; it is padded with spaces."""
        octets = title.encode("latin-1", "strict").ljust(AE_TITLE_OCTETS)
        if len(octets) > AE_TITLE_OCTETS:
            raise ValueError(f"an AE title has at most 16 characters, this has {len(octets)}")
        return cls.from_octets(octets)

    @classmethod
    def from_octets(cls, octets: bytes) -> Self:
        """The title in 16 octets of an A-ASSOCIATE PDU."""
        self = super().__new__(cls, octets.decode("latin-1").strip(" "))
        self.octets = octets
        return self


class _AETitleAdapter(Adapter):  # type: ignore[misc]
    def _decode(self, octets: bytes, context: Any, path: str) -> AETitle:
        return AETitle.from_octets(octets)

    def _encode(self, title: str, context: Any, path: str) -> bytes:
        return (title if isinstance(title, AETitle) else AETitle(title)).octets


AETitleField = _AETitleAdapter(Bytes(AE_TITLE_OCTETS))


class _TextAdapter(Adapter):  # type: ignore[misc]
    """ISO 646 text to the end; what padding a peer added is taken off. Whatever is not as it should be is recorded."""

    CLAUSE: str
    MAX_CHARACTERS: int
    PATTERN: re.Pattern[str]
    PADDED: str
    WRONG: str

    def __init__(self) -> None:
        super().__init__(GreedyBytes)

    def _decode(self, octets: bytes, context: Any, path: str) -> str:
        text = octets.decode("latin-1")
        stripped = text.strip("\0 ")
        if stripped != text:
            note(context, self.CLAUSE, path, self.PADDED, octets)
        if len(stripped) > self.MAX_CHARACTERS or self.PATTERN.fullmatch(stripped) is None:
            note(context, self.CLAUSE, path, self.WRONG, octets)
        return stripped

    def _encode(self, text: str, context: Any, path: str) -> bytes:
        return text.encode("latin-1")


class UID(_TextAdapter):
    """A UID to the end of what holds it, PS3.8 Annex F: unpadded."""

    CLAUSE = "PS3.8 Annex F"
    MAX_CHARACTERS = MAX_UID_OCTETS
    PATTERN = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*")
    PADDED = "a UID is padded; it is sent without padding"
    WRONG = f"a UID is numbers without leading zeros between dots, 1 to {MAX_UID_OCTETS} characters"


def is_plain_uid(text: str) -> bool:
    """Whether there is nothing to record about a UID."""
    return len(text) <= UID.MAX_CHARACTERS and UID.PATTERN.fullmatch(text) is not None


class VersionName(_TextAdapter):
    """An Implementation Version Name, to the end of its item."""

    CLAUSE = "PS3.7 D.3.3.2.3"
    MAX_CHARACTERS = MAX_VERSION_NAME_OCTETS
    PATTERN = re.compile(r"[ -~]+")
    PADDED = "the name is padded; it is sent without padding"
    WRONG = f"the name has 1 to {MAX_VERSION_NAME_OCTETS} characters of ISO 646"


def Reserved(octets: int = 1) -> Construct:
    """Sent as zero, not tested when received (PS3.8 9.3.1)."""
    return Default(Bytes(octets), bytes(octets))


def Fixed(number: int) -> Construct:
    """A type octet, sent as `number`; who decodes has looked at it already."""
    return Default(Int8ub, number)


def LengthOf(field: str) -> Construct:
    """The octets of a following field, counted when sent."""
    return Rebuild(Int16ub, lambda context: _octets_in(context[field]))


def _octets_in(value: str | bytes | Sequence[str]) -> int:
    return len(value) if isinstance(value, str | bytes) else sum(2 + len(uid) for uid in value)


def note(context: Any, clause: str, path: str, explanation: str, octets: bytes = b"") -> None:
    """Record a deviation with the decoding in progress."""
    deviations = context._params.deviations
    if len(deviations) < MAX_DEVIATIONS:
        deviation = Deviation(clause=clause, field=_field(path), explanation=explanation, octets=octets[:_SHOWN_OCTETS])
        deviations.append(deviation)


def _field(path: str) -> str:
    return " / ".join(path.replace("(parsing)", "").replace("(building)", "").split(" -> ")[1:])


class Encodable(Protocol):
    """What `ItemsToEnd` holds: items and sub-items."""

    def encode(self) -> bytes:
        """Header and body."""


class ItemsToEnd(Construct):  # type: ignore[misc]
    """Items or sub-items up to the end of what holds them (PS3.8 9.3.1).

    Each must end at or before that end: an overrun is an error that names the item. construct's GreedyRange would end
    quietly at the first malformed item instead.
    """

    def __init__(self, decode_item: Callable[[bytes, list[Deviation]], Any]) -> None:
        super().__init__()
        self.decode_item = decode_item
        self.flagbuildnone = True

    def _parse(self, stream: Any, context: Any, path: str) -> tuple[Any, ...]:
        before = stream.tell()
        octets = stream_read_entire(stream, path)
        return tuple(self._items(octets, context._params.deviations, before, _field(path)))

    def _items(self, octets: bytes, deviations: list[Deviation], before: int, field: str) -> Iterator[Any]:
        start, end = 0, len(octets)
        while start < end:
            if end - start < 4:
                stray = f"{end - start} stray octets where an item was expected"
                raise DecodeError(stray, field=field, offset=before + start)
            stop = start + 4 + int.from_bytes(octets[start + 2 : start + 4], "big")
            if stop > end:
                raise DecodeError(
                    f"{stop - start - 4} octets promised, {end - start - 4} present",
                    field=f"{field} / item {octets[start]:02X}H item_length",
                    offset=before + start + 2,
                )
            try:
                yield self.decode_item(octets[start:stop], deviations)
            except DecodeError as error:
                error.offset += before + start
                raise
            start = stop

    def _build(self, items: Sequence[Encodable], stream: Any, context: Any, path: str) -> Sequence[Encodable]:
        octets = b"".join(item.encode() for item in items)
        stream_write(stream, octets, len(octets), path)
        return items


class PrefixedUIDs(Construct):  # type: ignore[misc]
    """UIDs, each after its length in two octets, to the end of what holds them (PS3.7 Table D.3-13)."""

    def __init__(self) -> None:
        super().__init__()
        self.uid = UID()

    def _parse(self, stream: Any, context: Any, path: str) -> tuple[str, ...]:
        octets = stream_read_entire(stream, path)
        uids, start, end = [], 0, len(octets)
        while start < end:
            if end - start < 2:
                raise DecodeError("1 stray octet where a UID's length was expected", field=_field(path), offset=start)
            stop = start + 2 + int.from_bytes(octets[start : start + 2], "big")
            if stop > end:
                explanation = f"{stop - start - 2} octets promised, {end - start - 2} present"
                raise DecodeError(explanation, field=_field(path), offset=start)
            uids.append(self.uid._decode(octets[start + 2 : stop], context, path))
            start = stop
        return tuple(uids)

    def _build(self, uids: Sequence[str], stream: Any, context: Any, path: str) -> Sequence[str]:
        octets = b"".join(len(uid).to_bytes(2, "big") + uid.encode("latin-1") for uid in uids)
        stream_write(stream, octets, len(octets), path)
        return uids


class Sized(Construct):  # type: ignore[misc]
    """`subcon` in exactly as many octets as the field `length_field` says; the length is computed when sent."""

    def __init__(self, length_field: str, subcon: Construct) -> None:
        super().__init__()
        self.length_field = length_field
        self.subcon = subcon

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        length, before = context[self.length_field], stream.tell()
        octets = stream.read(length)
        if len(octets) < length:
            explanation = f"{length} octets promised, {len(octets)} present"
            raise DecodeError(explanation, field=self.length_field, offset=before)
        try:
            return self.subcon._parsereport(BytesIO(octets), context, path)
        except DecodeError as error:
            error.offset += before
            raise

    def _build(self, value: Any, stream: Any, context: Any, path: str) -> Any:
        return self.subcon._build(value, stream, context, path)


class Layout:
    """One table of the standard: number, title and fields in order.

    The length field (`pdu_length` or `item_length`) counts the octets after it; it is checked when decoding and
    computed when encoding. The octets of a layout that `is_secret` are not recorded in a deviation.
    """

    def __init__(
        self, table: str, title: str, *fields: Construct, name: str | None = None, is_secret: bool = False
    ) -> None:
        self.table = table
        self.clause = f"PS3.{7 if table.startswith('D.3') else 8} Table {table}"
        self.title = title
        self.fields = fields
        self.name = name or title
        self.is_secret = is_secret
        self._struct = Struct(*fields, "_end" / Tell)
        index = next(index for index, field in enumerate(fields) if field.name in ("pdu_length", "item_length"))
        self._length_field = fields[index].name
        self._length_at = sum(field.sizeof() for field in fields[:index])
        self._header = self._length_at + fields[index].sizeof()
        self._ends_with_variable_field = self.octet_column()[-1][0].endswith("xxx")

    def decode(self, octets: bytes, deviations: list[Deviation]) -> Mapping[str, Any]:
        """The fields of one whole PDU or item; DecodeError says which field was wrong."""
        if len(octets) < self._header:
            raise self._error(f"{self._header} octets of header expected, {len(octets)} present", "")
        promised = int.from_bytes(octets[self._length_at : self._header], "big")
        if promised != len(octets) - self._header:
            explanation = f"{promised} octets promised, {len(octets) - self._header} present"
            raise self._error(explanation, self._length_field, self._length_at)
        known = len(deviations)
        try:
            fields: Mapping[str, Any] = self._struct.parse(octets, deviations=deviations)
        except DecodeError as error:
            if error.table:
                raise
            raise self._error(error.explanation, error.field, error.offset) from None
        except StreamError as error:
            field = _field(error.path) or "reserved"
            raise self._error("the octets end before it does", field, len(octets)) from None
        self._check_nothing_left(fields, octets, deviations)
        for index in range(known, len(deviations)):
            found = deviations[index]
            deviations[index] = replace(found, field=f"{self.name} / {found.field}" if found.field else self.name)
        return fields

    def encode(self, fields: Mapping[str, Any]) -> bytes:
        """The octets of one PDU or item; ValueError when a field can't be encoded."""
        try:
            octets = bytearray(self._struct.build({**fields, self._length_field: 0}, deviations=[]))
        except ConstructError as error:
            raise ValueError(f"Table {self.table}: {str(error).splitlines()[-1]}") from None
        length = len(octets) - self._header
        width = self._header - self._length_at
        if length >= 1 << (8 * width):
            raise ValueError(f"Table {self.table}: {length} octets don't fit in {self._length_field}")
        octets[self._length_at : self._header] = length.to_bytes(width, "big")
        return bytes(octets)

    def octet_column(self) -> list[tuple[str, str]]:
        """(octets, field) for each row, the octets as the standard's tables count them: `11-26`, `75-xxx`."""
        rows, position = [], 1
        for field in self.fields:
            name = field.name or "reserved"
            try:
                size = field.sizeof()
            except SizeofError:
                rows.append((f"{position}-xxx" if position else "xxx", name))
                position = 0
                continue
            first, last = position, position + size - 1
            rows.append(("xxx" if not position else str(first) if size == 1 else f"{first}-{last}", name))
            position = position + size if position else 0
        return rows

    def _check_nothing_left(self, fields: Mapping[str, Any], octets: bytes, deviations: list[Deviation]) -> None:
        left = len(octets) - fields["_end"]
        if not left:
            return
        if not self._ends_with_variable_field:
            expected = len(octets) - left - self._header
            raise self._error(f"{expected} octets expected, {left} more", self._length_field, self._length_at)
        rest = b"" if self.is_secret else octets[-left:][:_SHOWN_OCTETS]
        explanation = f"{left} octets after the last field"
        if len(deviations) < MAX_DEVIATIONS:
            deviations.append(Deviation(clause=self.clause, field="", explanation=explanation, octets=rest))

    def _error(self, explanation: str, field: str, offset: int = 0) -> DecodeError:
        return DecodeError(explanation, table=f"Table {self.table}", field=field, offset=offset)


Int8, Int16, Int32 = Int8ub, Int16ub, Int32ub
OctetsToEnd = GreedyBytes
