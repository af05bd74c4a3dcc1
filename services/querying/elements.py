"""The elements of a small data set in memory (PS3.5 7): read to octets, written from octets. Little Endian.

For what is no object: identifiers of queries and retrievals. Values are not interpreted, so nothing that a peer sends
can fail in a decoder of values; what does not hold together is a DecodeError with its offset, and nesting is bounded.
"""

import struct
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

from dulcet.dimse.transfer_syntaxes import TRANSFER_SYNTAXES
from dulcet.errors import DecodeError
from dulcet.services.value_representations import (
    ITEM,
    ITEM_DELIMITATION,
    KNOWN_VRS,
    MAX_SEQUENCE_DEPTH,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    VRS_WITH_16_BIT_LENGTH,
    tag_text,
    vr_of_implicit,
)

_ELEMENT = struct.Struct("<HH2sH")
_STRUCTURE = struct.Struct("<HHI")
_LENGTH = struct.Struct("<I")
_LONG = struct.Struct("<HH2sHI")

Elements = dict[int, "Element"]
"""The elements of a data set or an item by tag."""


class Element(NamedTuple):
    """One data element."""

    vr: bytes
    value: bytes = b""
    """As it is encoded, padding included. Empty for a sequence."""
    items: tuple[Elements, ...] | None = None
    """The items of a sequence; None for what is none."""


def read_elements(octets: bytes, transfer_syntax_uid: str) -> Elements:
    """All elements, in the order in which they come; of several with one tag the first. Time and memory are linear."""
    syntax = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
    if syntax is None or syntax.deflated or not syntax.little_endian:
        raise DecodeError("identifiers are not read in this transfer syntax")
    return _Reader(octets, syntax.explicit_vr).elements(0, len(octets), 0, False)[0]


class _Reader:
    def __init__(self, octets: bytes, is_explicit: bool) -> None:
        self._octets = octets
        self._is_explicit = is_explicit

    def elements(self, position: int, end: int, depth: int, is_open: bool) -> tuple[Elements, int]:
        """Elements up to `end`, or to the delimiter of an open item; and the position after them."""
        found: Elements = {}
        while position < end:
            tag, vr, length, start = self._header(position, end)
            if tag == ITEM_DELIMITATION and is_open:
                return found, start
            if tag >> 16 == 0xFFFE:
                _wrong(position, f"{tag_text(tag)} stands where an element was expected")
            if length == UNDEFINED_LENGTH:
                items, position = self._items(start, end, depth + 1, True)
                element = Element(b"SQ", items=items)
            elif start + length > end:
                _wrong(position, f"{tag_text(tag)}: {length} octets promised, {end - start} present")
            else:
                position = start + length
                vr = vr or vr_of_implicit(tag)
                if vr == b"SQ":
                    element = Element(vr, items=self._items(start, position, depth + 1, False)[0])
                else:
                    element = Element(vr, self._octets[start:position])
            found.setdefault(tag, element)
        if is_open:
            _wrong(position, "an item is never closed")
        return found, position

    def _header(self, position: int, end: int) -> tuple[int, bytes, int, int]:
        """(tag, VR as it is written, length, where the value starts)."""
        if end - position < 8:
            _wrong(position, f"{end - position} stray octets where an element was expected")
        group, number, vr, length = _ELEMENT.unpack_from(self._octets, position)
        tag: int = group << 16 | number
        if not self._is_explicit or group == 0xFFFE:
            return tag, b"", _LENGTH.unpack_from(self._octets, position + 4)[0], position + 8
        if vr in VRS_WITH_16_BIT_LENGTH:
            return tag, vr, length, position + 8
        if vr not in KNOWN_VRS or end - position < 12:
            _wrong(position, f"{tag_text(tag)} has no VR that is known")
        return tag, vr, _LENGTH.unpack_from(self._octets, position + 8)[0], position + 12

    def _items(self, position: int, end: int, depth: int, is_open: bool) -> tuple[tuple[Elements, ...], int]:
        if depth > MAX_SEQUENCE_DEPTH:
            _wrong(position, f"more than {MAX_SEQUENCE_DEPTH} sequences in one another")
        items: list[Elements] = []
        while position < end:
            tag, _, length, start = self._header(position, end)
            if tag == SEQUENCE_DELIMITATION and is_open:
                return tuple(items), start
            if tag != ITEM:
                _wrong(position, f"{tag_text(tag)} stands where an item was expected")
            has_end = length != UNDEFINED_LENGTH
            if has_end and start + length > end:
                _wrong(position, f"an item: {length} octets promised, {end - start} present")
            item, position = self.elements(start, start + length if has_end else end, depth, not has_end)
            items.append(item)
        if is_open:
            _wrong(position, "a sequence is never closed")
        return tuple(items), position


def _wrong(position: int, explanation: str) -> NoReturn:
    raise DecodeError(explanation, table="PS3.5 7", offset=position)


def encode_elements(elements: Mapping[int, Element], transfer_syntax_uid: str) -> bytes:
    """The octets of a data set, tags ascending, sequences and items with their lengths.

    ValueError for a value that is longer than its VR can count in Explicit VR.
    """
    return _encoded(elements, TRANSFER_SYNTAXES[transfer_syntax_uid].explicit_vr)


def _encoded(elements: Mapping[int, Element], is_explicit: bool) -> bytes:
    pieces: list[bytes] = []
    for tag in sorted(elements):
        vr, value, items = elements[tag]
        if items is not None:
            value = b"".join(_item(_encoded(item, is_explicit)) for item in items)
        pieces += _header(tag, vr, len(value), is_explicit), value
    return b"".join(pieces)


def _header(tag: int, vr: bytes, length: int, is_explicit: bool) -> bytes:
    group, number = tag >> 16, tag & 0xFFFF
    if not is_explicit:
        return _STRUCTURE.pack(group, number, length)
    if vr not in VRS_WITH_16_BIT_LENGTH:
        return _LONG.pack(group, number, vr, 0, length)
    if length > 0xFFFE:
        raise ValueError(f"{tag_text(tag)}: {length} octets are more than a {vr.decode()} can count")
    return _ELEMENT.pack(group, number, vr, length)


def _item(octets: bytes) -> bytes:
    return _STRUCTURE.pack(ITEM >> 16, ITEM & 0xFFFF, len(octets)) + octets


def padded(vr: bytes, value: bytes) -> bytes:
    """A value with its length even (PS3.5 6.2): UIDs and octets with NUL, text with a space."""
    if not len(value) % 2:
        return value
    return value + (b"\0" if vr in (b"UI", b"OB", b"UN") else b" ")
