"""From one uncompressed transfer syntax to another (PS3.5 7.1, 7.3, 7.5, Annex A.1 to A.3), octets to octets.

Values are moved, not interpreted: text keeps its octets whatever its character set, numbers are byte-swapped by their
VR when the byte ordering changes, UN is never touched. So nothing is lost that a decoder would not understand, and
memory is a few buffers whatever the size of a value.
"""

import os
import struct
from array import array
from dataclasses import dataclass, field
from typing import BinaryIO

from dulcet.errors import ConversionError
from dulcet.services.value_representations import (
    ITEM,
    ITEM_DELIMITATION,
    KNOWN_VRS,
    LENGTH_TO_END,
    MAX_SEQUENCE_DEPTH,
    OCTETS_PER_NUMBER,
    PIXEL_DATA,
    PIXEL_REPRESENTATION,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    US_OR_SS,
    VRS_WITH_16_BIT_LENGTH,
    VRS_WITH_32_BIT_LENGTH,
    tag_text,
    vr_of_implicit,
)

BUFFER_OCTETS = 256 * 1024  # a multiple of 8, so that no number is cut; larger ones measured no faster
MAX_16_BIT_LENGTH = 0xFFFF
MAX_32_BIT_LENGTH = 0xFFFFFFFE

_ARRAY_TYPE = {2: "H", 4: "I", 8: "Q"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """What a transfer syntax says of a data element's header and of numbers."""

    explicit: bool
    """Whether the VR is written in the element (PS3.5 7.1.2) or not (7.1.3)."""
    little_endian: bool
    """The byte ordering (PS3.5 7.3)."""

    @property
    def order(self) -> str:
        """The byte ordering as `struct` writes it."""
        return "<" if self.little_endian else ">"


def transcode(
    descriptor: int, offset: int, size: int, destination: BinaryIO, source: Encoding, target: Encoding
) -> int:
    """Write the data set of `size` octets at `offset` of `descriptor` to `destination`, and answer the octets written.

    `destination` is an unbuffered file, positioned at its start. Group lengths (gggg,0000) and the retired Length to
    End (0008,0001) are dropped, as PS3.5 7.2 recommends: they would be wrong afterwards. Lengths of sequences and items
    stay defined or undefined as they were. Raises ConversionError (one sentence) and OSError. Synchronous: run it in a
    thread.
    """
    reader = _Reader(descriptor, offset, size)
    writer = _Writer(destination)
    _Transcoder(reader, writer, target).data_set(source, reader.end, _Level(), depth=0)
    writer.flush()
    return writer.position


class _Reader:
    """Reads forward by `pread`, so that the descriptor's own position is nobody's business."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._next = offset
        self._buffer = b""
        self._taken = 0
        self.position = offset
        self.end = offset + size

    def peek(self, count: int) -> bytes:
        """Up to `count` octets without moving on; fewer only at the end."""
        while len(self._buffer) - self._taken < count:
            wanted = min(BUFFER_OCTETS, self.end - self._next)
            more = os.pread(self._descriptor, wanted, self._next) if wanted > 0 else b""
            if not more:
                break
            self._buffer = self._buffer[self._taken :] + more
            self._taken = 0
            self._next += len(more)
        return self._buffer[self._taken : self._taken + count]

    def take(self, count: int, tag: int | None) -> bytes:
        """Exactly `count` octets, which belong to `tag`, or to a header whose tag is not known yet."""
        octets = self.peek(count)
        if len(octets) < count:
            where = "a data element's header" if tag is None else tag_text(tag)
            raise ConversionError(f"the data set ends inside {where}, {count - len(octets)} octets too early")
        self._taken += count
        self.position += count
        return octets


class _Writer:
    """Gathers small writes, and can overwrite what it wrote: a length is known only after what it counts."""

    def __init__(self, destination: BinaryIO) -> None:
        self._destination = destination
        self._gathered = bytearray()
        self._flushed = 0

    @property
    def position(self) -> int:
        return self._flushed + len(self._gathered)

    def write(self, octets: bytes) -> None:
        self._gathered += octets
        if len(self._gathered) >= BUFFER_OCTETS:
            self.flush()

    def flush(self) -> None:
        view = memoryview(self._gathered)
        while view:
            view = view[self._destination.write(view) :]
        self._flushed += len(self._gathered)
        self._gathered = bytearray()

    def overwrite(self, position: int, octets: bytes) -> None:
        if position >= self._flushed:
            start = position - self._flushed
            self._gathered[start : start + len(octets)] = octets
        else:
            self.flush()
            os.pwrite(self._destination.fileno(), octets, position)


@dataclass(slots=True)
class _Level:
    """What a data set, of the root or of an item, tells about its own elements and those of the items inside."""

    above: "_Level | None" = None
    signed: bool | None = None
    """Pixel Representation (0028,0103) of this level, once it was met."""
    undecided: list[int] = field(default_factory=list)
    """Where a VR was written as `US` that has to become `SS` if Pixel Representation, still to come, is 1."""

    def is_signed(self) -> bool | None:
        """Pixel Representation of this level or the nearest one above; None if none was met so far."""
        level: _Level | None = self
        while level is not None:
            if level.signed is not None:
                return level.signed
            level = level.above
        return None


class _Transcoder:
    def __init__(self, reader: _Reader, writer: _Writer, target: Encoding) -> None:
        self._reader = reader
        self._writer = writer
        self._target = target

    def data_set(self, source: Encoding, end: int | None, level: _Level, depth: int) -> None:
        """Elements up to the position `end`, or up to an Item Delimitation Item when it is None."""
        reader = self._reader
        while end is None or reader.position < end:
            tag, vr, length = self._element_header(source)
            if tag == ITEM_DELIMITATION and end is None:
                return
            if tag >> 16 == 0xFFFE:
                raise ConversionError(f"{tag_text(tag)} stands where a data element was expected")
            if end is not None and length != UNDEFINED_LENGTH and reader.position + length > end:
                excess = reader.position + length - end
                raise ConversionError(f"{tag_text(tag)} goes {excess} octets beyond the end of its data set")
            if length == 4 and (tag & 0xFFFF == 0 or tag == LENGTH_TO_END):
                reader.take(length, tag)
            elif vr == b"SQ" or length == UNDEFINED_LENGTH:
                self._sequence(source, tag, vr, length, level, depth)
            else:
                self._element(source, tag, vr, length, level)
        if end is not None and reader.position > end:
            raise ConversionError(f"a sequence goes {reader.position - end} octets beyond the end of its data set")

    def _element_header(self, source: Encoding) -> tuple[int, bytes, int]:
        """Tag, VR and length; the VR of an implicit element is the dictionary's, if the target wants one."""
        take, order = self._reader.take, source.order
        head = take(8, None)
        group, element = struct.unpack_from(order + "HH", head)
        tag: int = group << 16 | element
        vr = head[4:6]
        # An element in implicit form in an explicit data set is broken, but common enough to be understood.
        if not source.explicit or group == 0xFFFE or not (vr.isalpha() and vr.isupper()):
            length: int = struct.unpack_from(order + "I", head, 4)[0]
            structure = group == 0xFFFE or length == UNDEFINED_LENGTH
            vr_matters = self._target.explicit or not source.little_endian
            return tag, vr_of_implicit(tag) if vr_matters and not structure else b"", length
        if vr in VRS_WITH_16_BIT_LENGTH or (vr not in VRS_WITH_32_BIT_LENGTH and head[6:] != b"\0\0"):
            return tag, vr, struct.unpack_from(order + "H", head, 6)[0]
        return tag, vr, struct.unpack(order + "I", take(4, tag))[0]

    def _write_header(self, tag: int, vr: bytes, length: int) -> None:
        order = self._target.order
        if not vr or not self._target.explicit:
            octets = struct.pack(order + "HHI", tag >> 16, tag & 0xFFFF, length)
        elif vr in VRS_WITH_16_BIT_LENGTH:
            octets = struct.pack(order + "HH2sH", tag >> 16, tag & 0xFFFF, vr, length)
        else:
            octets = struct.pack(order + "HH2sHI", tag >> 16, tag & 0xFFFF, vr, 0, length)
        self._writer.write(octets)

    def _element(self, source: Encoding, tag: int, vr: bytes, length: int, level: _Level) -> None:
        octets_per_number = OCTETS_PER_NUMBER.get(b"US" if vr == US_OR_SS else vr, 1)
        target_is_little = self._target.little_endian
        if vr in VRS_WITH_16_BIT_LENGTH and length > MAX_16_BIT_LENGTH:
            # PS3.5 6.2.2: the VR becomes UN, whose value is in Little Endian whatever the transfer syntax.
            vr, target_is_little = b"UN", True
        elif vr == US_OR_SS:
            vr = self._us_or_ss(level)
        self._write_header(tag, vr, length)
        if tag == PIXEL_REPRESENTATION:
            self._decide(level, self._reader.peek(2) == (b"\1\0" if source.little_endian else b"\0\1"))
        self._copy(tag, length, 1 if source.little_endian == target_is_little else octets_per_number)

    def _us_or_ss(self, level: _Level) -> bytes:
        signed = level.is_signed()
        if signed is None and self._target.explicit:
            level.undecided.append(self._writer.position + 4)
        return b"SS" if signed else b"US"

    def _decide(self, level: _Level, signed: bool) -> None:
        level.signed = signed
        for position in level.undecided if signed else ():
            self._writer.overwrite(position, b"SS")
        level.undecided.clear()

    def _copy(self, tag: int, length: int, octets_per_number: int) -> None:
        """Copy a value in steps, byte-swapping its numbers; octets that make no whole number stay as they are."""
        while length > 0:
            step = min(length, BUFFER_OCTETS)
            octets = self._reader.take(step, tag)
            self._writer.write(octets if octets_per_number == 1 else _byte_swapped(octets, octets_per_number))
            length -= step

    def _sequence(self, source: Encoding, tag: int, vr: bytes, length: int, level: _Level, depth: int) -> None:
        if length == UNDEFINED_LENGTH and (tag == PIXEL_DATA or vr not in (b"", b"SQ", b"UN")):
            raise ConversionError(f"{tag_text(tag)} is encapsulated: compressed pixel data can't be converted")
        if depth >= MAX_SEQUENCE_DEPTH:
            raise ConversionError(f"{tag_text(tag)} is nested more than {MAX_SEQUENCE_DEPTH} sequences deep")
        self._write_header(tag, b"SQ", length)
        start = self._writer.position
        if vr == b"UN":
            source = self._encoding_inside_un(source)
        self._items(source, tag, length, level, depth)
        self._close(start, length)

    def _items(self, source: Encoding, tag: int, length: int, level: _Level, depth: int) -> None:
        reader = self._reader
        end = None if length == UNDEFINED_LENGTH else reader.position + length
        while end is None or reader.position < end:
            item, _, item_length = self._element_header(source)
            if item == SEQUENCE_DELIMITATION and end is None:
                self._write_header(SEQUENCE_DELIMITATION, b"", 0)
                return
            if item != ITEM:
                raise ConversionError(f"{tag_text(item)} stands in {tag_text(tag)} where an item was expected")
            defined = item_length != UNDEFINED_LENGTH
            if defined and end is not None and reader.position + item_length > end:
                raise ConversionError(f"an item of {tag_text(tag)} goes beyond the end of its sequence")
            self._write_header(ITEM, b"", item_length)
            start = self._writer.position
            inner = _Level(above=level)
            self.data_set(source, reader.position + item_length if defined else None, inner, depth + 1)
            level.undecided += inner.undecided
            if not defined:
                self._write_header(ITEM_DELIMITATION, b"", 0)
            self._close(start, item_length)
        if end is not None and reader.position > end:
            raise ConversionError(f"an item of {tag_text(tag)} goes beyond the end of its sequence")

    def _close(self, start: int, length: int) -> None:
        """Put the length of what was written since `start` before it, unless it was and stays undefined."""
        if length == UNDEFINED_LENGTH:
            return
        written = self._writer.position - start
        if written > MAX_32_BIT_LENGTH:
            raise ConversionError("a sequence gets longer than 4 GiB, which no length field can say")
        if written != length:
            self._writer.overwrite(start - 4, struct.pack(self._target.order + "I", written))

    def _encoding_inside_un(self, source: Encoding) -> Encoding:
        """How the items of a UN of undefined length are encoded: see what is there, for not everybody read PS3.5 6.2.2.

        It says Implicit VR Little Endian. Big Endian delimiters and explicit VRs inside are met too.
        """
        head = self._reader.peek(16)
        little = source.little_endian or head[:2] == b"\xfe\xff"
        explicit = head[12:14] in KNOWN_VRS
        return Encoding(explicit=explicit, little_endian=little)


def _byte_swapped(octets: bytes, octets_per_number: int) -> bytes:
    whole = len(octets) - len(octets) % octets_per_number
    numbers = array(_ARRAY_TYPE[octets_per_number], octets[:whole])
    numbers.byteswap()
    return numbers.tobytes() + octets[whole:]
