"""The head of a stored object: the values of a few attributes, without reading the rest of its data set (PS3.5 7).

An own reader, because it is four times faster than a general one and can be fooled less: it goes from element to
element by their lengths, takes the octets of those that are asked for, and stops after the last of them.
"""

import os
import struct
import zlib
from collections.abc import Callable, Collection
from typing import NoReturn

from dulcet.dimse.transfer_syntaxes import TRANSFER_SYNTAXES, TransferSyntax
from dulcet.errors import DecodeError
from dulcet.services.part10 import Part10Header
from dulcet.services.value_representations import (
    ITEM,
    ITEM_DELIMITATION,
    KNOWN_VRS,
    MAX_SEQUENCE_DEPTH,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    VRS_WITH_16_BIT_LENGTH,
    tag_text,
)

WINDOW_OCTETS = 8 * 1024  # one read takes in all that comes before the pixel data of most objects
MAX_VALUE_OCTETS = 16 * 1024  # what is longer is no value to search by
MAX_INFLATED_OCTETS = 256 * 1024  # of a deflated data set
MAX_ELEMENTS = 20_000  # looked at, items and elements in sequences included; real objects stay below 1,000


def read_head(descriptor: int, header: Part10Header, wanted: Collection[int]) -> dict[int, bytes]:
    """The values of those of the tags `wanted` that the data set has at its first level, as they were encoded.

    Padding is included, the byte ordering is that of the transfer syntax; a sequence has no value here. DecodeError
    when the data set can't be read as far as the last of `wanted`, OSError when the file can't. Memory: a window and
    the values. Synchronous, some 50 microseconds for an image: run it in a thread.
    """
    offset = header.data_set_offset
    size = max(header.file_size - offset, 0)
    syntax = TRANSFER_SYNTAXES.get(header.transfer_syntax_uid)
    if syntax is None:
        raise DecodeError("the transfer syntax is not known")
    if not syntax.deflated:
        return _Reader(lambda start, length: os.pread(descriptor, length, offset + start), size, syntax).read(wanted)
    data = _inflated(os.pread(descriptor, min(size, MAX_INFLATED_OCTETS), offset))
    return _Reader(lambda start, length: data[start : start + length], len(data), syntax).read(wanted)


def _inflated(octets: bytes) -> bytes:
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(octets, MAX_INFLATED_OCTETS)
    except zlib.error as error:
        raise DecodeError("the deflated data set can't be inflated") from error


class _Reader:
    """Walks a data set by position; a window of its octets moves forward."""

    def __init__(self, read: Callable[[int, int], bytes], size: int, syntax: TransferSyntax) -> None:
        order = "<" if syntax.little_endian else ">"
        self._read = read
        self._size = size
        self._is_explicit = syntax.explicit_vr
        self._element = struct.Struct(f"{order}HH2sH").unpack_from
        self._structure = struct.Struct(f"{order}HHI").unpack_from
        self._window = b""
        self._start = 0
        self._left = MAX_ELEMENTS

    def read(self, wanted: Collection[int]) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        position, last, size = 0, max(wanted), self._size
        unpack, is_explicit = self._element, self._is_explicit
        while position < size:
            index, tag = position - self._start, -1
            if is_explicit and 0 <= index <= len(self._window) - 8 and self._left > 0:
                group, number, vr, length = unpack(self._window, index)
                if vr in VRS_WITH_16_BIT_LENGTH:  # most elements: read here, for a call costs as much as the rest
                    self._left -= 1
                    tag, start = group << 16 | number, position + 8
            if tag < 0:
                tag, start, length = self._header(position)
            if tag > last:
                break
            if length == UNDEFINED_LENGTH:
                position = self._after_items(start, 1)
                continue
            position = start + length
            if tag in wanted and length <= MAX_VALUE_OCTETS:
                found[tag] = self._value(start, length)
            if tag == last:
                break
        return found

    def _header(self, position: int) -> tuple[int, int, int]:
        """(tag, where the value starts, its length) of the element or item at `position`."""
        self._left -= 1
        if self._left < 0:
            self._wrong(position, f"there are more than {MAX_ELEMENTS} elements before what is looked for")
        index = self._index(position, 8)
        group, number, vr, length = self._element(self._window, index)
        tag: int = group << 16 | number
        if not self._is_explicit or group == 0xFFFE:
            return tag, position + 8, self._structure(self._window, index)[2]
        if vr in VRS_WITH_16_BIT_LENGTH:
            return tag, position + 8, length
        if vr not in KNOWN_VRS:
            self._wrong(position, f"{tag_text(tag)} has no VR that is known")
        index = self._index(position, 12)
        return tag, position + 12, self._structure(self._window, index + 4)[2]

    def _index(self, position: int, count: int) -> int:
        """Where in the window `position` is, with `count` octets from there."""
        index = position - self._start
        if index < 0 or index + count > len(self._window):
            self._window = self._read(position, WINDOW_OCTETS)
            self._start, index = position, 0
            if len(self._window) < count:
                self._wrong(position, "the data set ends in the header of an element")
        return index

    def _value(self, start: int, length: int) -> bytes:
        index = start - self._start
        value = self._window[index : index + length]
        if len(value) < length:
            value = self._read(start, length)
            if len(value) < length:
                self._wrong(start, f"{length} octets promised, {len(value)} present")
        return value

    def _after_items(self, position: int, depth: int) -> int:
        """Where a sequence of undefined length, whose items start at `position`, has ended."""
        if depth > MAX_SEQUENCE_DEPTH:
            self._wrong(position, f"more than {MAX_SEQUENCE_DEPTH} sequences in one another")
        while True:
            tag, start, length = self._header(position)
            if tag == SEQUENCE_DELIMITATION:
                return start
            if tag != ITEM:
                self._wrong(position, f"{tag_text(tag)} stands where an item was expected")
            position = start + length if length != UNDEFINED_LENGTH else self._after_item(start, depth)

    def _after_item(self, position: int, depth: int) -> int:
        while True:
            tag, start, length = self._header(position)
            if tag == ITEM_DELIMITATION:
                return start
            position = start + length if length != UNDEFINED_LENGTH else self._after_items(start, depth + 1)

    def _wrong(self, position: int, explanation: str) -> NoReturn:
        raise DecodeError(explanation, table="PS3.5 7", offset=position)
