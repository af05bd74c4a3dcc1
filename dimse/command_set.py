"""Command sets as octets: PS3.7 6.3.1 and Annex E. Implicit VR Little Endian whatever the context's transfer syntax.

Reading is lenient: what can be understood is kept, what was wrong is recorded, and the first element that can't be read
ends the reading. Who uses the values decides whether they are enough.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from struct import Struct

from dulcet.dimse.command_dictionary import COMMAND_ELEMENTS, COMMAND_GROUP_LENGTH, describe_tag
from dulcet.errors import DecodeError
from dulcet.ul.deviation import Deviation

Value = int | str | tuple[int, ...] | bytes
"""UL and US: a number. UI, AE and other text: text without padding. AT: tags. An element that is not known: octets."""

CLAUSE = "PS3.7 6.3.1"
_ELEMENT = Struct("<HHL")  # group, element, value length
_GROUP_LENGTH = Struct("<HHLL")
_GROUP_LENGTH_OCTETS = 12
_SHOWN_OCTETS = 64
_NUMBER_OCTETS = {"US": 2, "UL": 4}


@dataclass(slots=True)
class CommandSet:
    """What the octets of a command set say."""

    values: dict[int, Value] = field(default_factory=dict)
    """By tag. The first of an element that came twice."""
    deviations: list[Deviation] = field(default_factory=list)
    """What is not as PS3.7 6.3.1 asks."""
    error: DecodeError | None = None
    """Why the octets can't be relied on: where reading ended, or an element with two values; None when all is read."""

    def deviates(self, tag: int, explanation: str, octets: bytes = b"", *, clause: str = CLAUSE) -> None:
        """Record a deviation in one element."""
        self.deviations.append(
            Deviation(clause=clause, field=describe_tag(tag), explanation=explanation, octets=octets[:_SHOWN_OCTETS])
        )


def decode_command_set(octets: bytes | bytearray | memoryview) -> CommandSet:
    """Read a command set; nothing is raised. Time and memory are linear in its length."""
    octets = bytes(octets)
    found = CommandSet()
    values = found.values
    position, end, previous = 0, len(octets), -1
    while position < end:
        if end - position < 8:
            found.error = _error(position, f"{end - position} stray octets where an element was expected")
            return found
        group, element, length = _ELEMENT.unpack_from(octets, position)
        tag = group << 16 | element
        start = position + 8
        position = start + length
        if position > end:
            text = f"{length} octets promised, {end - start} present"
            found.error = _error(start - 8, text, describe_tag(tag))
            return found
        if tag <= previous:
            found.deviates(tag, "elements are not in ascending order" if tag != previous else "the element came twice")
        previous = tag
        value = _value(found, tag, octets[start:position])
        if value is not None and values.setdefault(tag, value) != value:
            found.error = found.error or _error(start - 8, "came twice, with different values", describe_tag(tag))
    _check_group_length(found, end)
    return found


def _value(found: CommandSet, tag: int, octets: bytes) -> Value | None:
    known = COMMAND_ELEMENTS.get(tag)
    if known is None:
        found.deviates(tag, "no command element" if tag >> 16 == 0 else "not of group 0000", octets)
        return octets
    if len(octets) % 2:
        found.deviates(tag, f"the value has {len(octets)} octets, an odd number", octets)
    size = _NUMBER_OCTETS.get(known.vr)
    if size is not None:
        if len(octets) < size:
            if octets:
                found.deviates(tag, f"{len(octets)} octets for one {known.vr}", octets)
            return None
        if len(octets) > size and known.vm == "1":
            found.deviates(tag, f"{len(octets)} octets for one {known.vr}", octets)
        return int.from_bytes(octets[:size], "little")
    if known.vr == "AT":
        if len(octets) % 4:
            found.deviates(tag, f"{len(octets)} octets, a tag has 4", octets)
        pairs = range(0, len(octets) - 3, 4)
        return tuple(_tag_at(octets, start) for start in pairs)
    return _text(found, tag, known.vr, octets)


def _tag_at(octets: bytes, start: int) -> int:
    group, element = int.from_bytes(octets[start : start + 2], "little"), octets[start + 2 : start + 4]
    return group << 16 | int.from_bytes(element, "little")


def _text(found: CommandSet, tag: int, vr: str, octets: bytes) -> str:
    text = octets.decode("latin-1")
    if vr == "UI":
        stripped = text.rstrip("\0 ")
        if " " in text[len(stripped) :] or len(text) - len(stripped) > 1:
            found.deviates(tag, "a UID is padded with one NUL at most", octets)
        return stripped
    stripped = text.strip("\0 ") if vr == "AE" else text.rstrip("\0 ")
    if "\0" in text:
        found.deviates(tag, "text is padded with spaces", octets)
    return stripped


def _check_group_length(found: CommandSet, octets: int) -> None:
    length = found.values.get(COMMAND_GROUP_LENGTH)
    if length is None:
        found.deviates(COMMAND_GROUP_LENGTH, "missing")
    elif length != octets - _GROUP_LENGTH_OCTETS:
        found.deviates(COMMAND_GROUP_LENGTH, f"{length!r} announced, {octets - _GROUP_LENGTH_OCTETS} octets follow")


def _error(offset: int, explanation: str, what: str = "") -> DecodeError:
    return DecodeError(explanation, table=CLAUSE, field=what or "command set", offset=offset, abort_reason=6)


def encode_command_set(values: Mapping[int, Value]) -> bytes:
    """The octets of these elements in ascending order, after the group length, which is counted here.

    ValueError for a value that its element can't hold. Octets go out as they are, padded to an even length.
    """
    return with_group_length(
        [encode_element(tag, values[tag]) for tag in sorted(values) if tag != COMMAND_GROUP_LENGTH]
    )


def with_group_length(elements: list[bytes]) -> bytes:
    """A command set of encoded elements: Command Group Length (0000,0000) and what it counts."""
    body = b"".join(elements)
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def encode_element(tag: int, value: Value) -> bytes:
    """One element; UIDs padded with NUL, text with a space. ValueError when the element can't hold the value."""
    return element_encoder(tag)(value)


@cache
def element_encoder(tag: int) -> Callable[[Value], bytes]:
    """`encode_element` for one tag."""
    vr = COMMAND_ELEMENTS[tag].vr if tag in COMMAND_ELEMENTS else "UN"
    pack, group, element, size = _ELEMENT.pack, tag >> 16, tag & 0xFFFF, _NUMBER_OCTETS.get(vr, 2)
    number_head, padding = pack(group, element, size), b"\0" if vr in ("UI", "UN") else b" "

    def encode(value: Value) -> bytes:
        if isinstance(value, int):
            if not 0 <= value < 1 << 8 * size:
                raise ValueError(f"{describe_tag(tag)} can't hold {value}")
            return number_head + value.to_bytes(size, "little")
        octets = _octets(tag, value)
        if len(octets) % 2:
            octets += padding
        return pack(group, element, len(octets)) + octets

    return encode


def _octets(tag: int, value: str | bytes | tuple[int, ...]) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, tuple):
        return b"".join((each >> 16 & 0xFFFF | (each & 0xFFFF) << 16).to_bytes(4, "little") for each in value)
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"{describe_tag(tag)} holds characters that a command set can't") from None
