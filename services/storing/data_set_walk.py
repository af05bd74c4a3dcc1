"""A data set examined while it comes: does it hold together, and which SOP instance does it say it is (PS3.5 7)?

Only tags, VRs and lengths are looked at. Values are skipped by their length, so an image costs a subtraction for each
fragment of it. What is kept is the header that a fragment cut in two, and one small record for each sequence that is
open, of which there may be 64.
"""

import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple, NoReturn

from dulcet.dimse.transfer_syntaxes import TRANSFER_SYNTAXES
from dulcet.errors import DecodeError
from dulcet.services.value_representations import (
    ITEM,
    ITEM_DELIMITATION,
    KNOWN_VRS,
    MAX_SEQUENCE_DEPTH,
    PIXEL_DATA,
    SEQUENCE_DELIMITATION,
    UNDEFINED_LENGTH,
    VRS_WITH_16_BIT_LENGTH,
    VRS_WITH_32_BIT_LENGTH,
    tag_text,
)

SOP_CLASS_UID = 0x00080016
SOP_INSTANCE_UID = 0x00080018
COMMAND_GROUP, FILE_META_GROUP = 0x0000, 0x0002  # PS3.7 6.3, PS3.10 7.1: a reader would take them for what they aren't
MAX_CAPTURED_OCTETS = 128  # a UID has 64 (PS3.5 9.1); what is longer is none

_NOTED = (SOP_CLASS_UID, SOP_INSTANCE_UID)
_NEVER = 1 << 63  # beyond any data set
_SEQUENCE_VRS = (b"SQ", b"UN", b"")  # of undefined length they hold items (PS3.5 6.2.2), others fragments (A.4)
_NO_VRS: frozenset[bytes] = frozenset()
_ITEM_STARTS = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")

_ELEMENT = {True: struct.Struct("<HH2sH"), False: struct.Struct(">HH2sH")}
_STRUCTURE = {True: struct.Struct("<HHI"), False: struct.Struct(">HHI")}
_LENGTH = {True: struct.Struct("<I"), False: struct.Struct(">I")}


class _Holds(Enum):
    ELEMENTS = auto()
    ITEMS = auto()
    FRAGMENTS = auto()


@dataclass(slots=True)
class _Level:
    """Something that is open: the root's data set, a sequence, an item."""

    holds: _Holds
    tag: int
    """Of the sequence that it is, or that it is an item of."""
    end: int
    """Where it ends, or where what it lies in ends, counted from the start of the data set."""
    little_endian: bool
    explicit: bool | None
    """None: to be seen from the first element."""
    needs_delimiter: bool = False
    """Its length is undefined."""
    is_guess: bool = False
    """No VR says that this is a sequence, its value only begins like one. If it turns out to be none, it is skipped."""


class _Header(NamedTuple):
    vr: bytes
    """Empty when it is not written."""
    length: int
    value: int
    """Where the value begins."""
    looks_like_items: bool = False


class DataSetWalk:
    """Takes a data set in fragments of any size: `feed` each, then `finish`.

    Both raise DecodeError, with the offset in the data set, for what no reader could make sense of: an element or item
    that goes beyond what it lies in, a sequence or item that is never closed, elements of the root that don't ascend,
    sequences more than 64 deep, an end in the middle of something. What is odd but clear is taken: odd lengths, unknown
    VRs, elements in implicit form among explicit ones, delimiters with a length, other encodings inside of UN.

    Deflated data sets are not inflated: they, and those in a transfer syntax that isn't known, only must not be empty.
    """

    def __init__(self, transfer_syntax_uid: str) -> None:
        syntax = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
        self.is_opaque = syntax is None or syntax.deflated
        """Nothing can be known of the inside."""
        self.octets = 0
        """How many came so far."""
        self.sop_class_uid: bytes | None = None
        """The value of (0008,0016) without padding; None while it hasn't come; empty when it is too long."""
        self.sop_instance_uid: bytes | None = None
        """The value of (0008,0018), likewise."""
        self._root = self._level = _Level(
            holds=_Holds.ELEMENTS,
            tag=0,
            end=_NEVER,
            little_endian=syntax is None or syntax.little_endian,
            explicit=syntax is None or syntax.explicit_vr,
        )
        self._above: list[_Level] = []
        self._depth = 0
        self._last_tag = 0x0000FFFF  # the last of group 0000
        self._skip = 0
        self._carry = b""
        self._base = 0
        self._is_starved = False

    def feed(self, fragment: memoryview | bytes) -> None:
        """Examine the next octets; the view is not kept."""
        size = len(fragment)
        base = self.octets
        self.octets = base + size
        if self.is_opaque:
            return
        position = self._skip
        if position >= size:
            self._skip = position - size
            return
        self._skip = 0
        octets: memoryview | bytes = fragment
        if self._carry:
            octets = self._carry + fragment
            base -= len(self._carry)
        self._base = base
        position = self._walk(octets, position)
        self._carry = bytes(octets[position:])

    def finish(self) -> None:
        """No more comes."""
        if not self.octets:
            raise DecodeError("the data set is empty")
        if self.is_opaque:
            return
        if not self._skip and not self._carry:  # what is open may have to end here, or be no sequence after all
            self._base = self.octets
            self._walk(b"", 0)
        if self._skip:
            inside = tag_text(self._level.tag or self._last_tag)
            raise DecodeError(f"the data set ends in {inside}, {self._skip} octets too early", offset=self.octets)
        if self._carry:
            raise DecodeError("the data set ends in the header of an element", offset=self.octets)
        level = self._level
        if level.needs_delimiter:
            raise DecodeError(f"{tag_text(level.tag)} is never closed", offset=self.octets)
        if level is not self._root:
            missing = level.end - self.octets
            raise DecodeError(
                f"the data set ends in {tag_text(level.tag)}, {missing} octets too early", offset=self.octets
            )

    # Levels ---------------------------------------------------------------------------------------------------------

    def _walk(self, octets: memoryview | bytes, position: int) -> int:
        """Go on from `position` as far as the octets go; answer where the first stands that could not be used yet."""
        self._is_starved = False
        size = len(octets)
        while not self._is_starved:
            try:
                if self._level.holds is _Holds.ELEMENTS:
                    position = self._elements(octets, position)
                else:
                    position = self._items(octets, position)
            except DecodeError as error:
                position = self._guessed_wrong(error) - self._base
            if position > size:
                self._skip = position - size
                return size
        return position

    def _push(self, level: _Level, position: int, end_of_value: int) -> None:
        if end_of_value > self._level.end:
            self._goes_beyond(position, level.tag, end_of_value - self._level.end)
        self._above.append(self._level)
        self._level = level

    def _pop(self) -> None:
        if self._level.holds is _Holds.ITEMS:
            self._depth -= 1
        self._level = self._above.pop()

    def _end_of_level(self, position: int) -> int:
        if self._level.needs_delimiter:
            self._wrong(position, f"{tag_text(self._level.tag)} is never closed")
        self._pop()
        return position

    def _guessed_wrong(self, error: DecodeError) -> int:
        """Where the value ends that was taken for a sequence and is none; raises the error when nothing was guessed."""
        guess = next((level for level in (*self._above, self._level) if level.is_guess), None)
        if guess is None or self._depth > MAX_SEQUENCE_DEPTH:
            raise error
        while self._level is not guess:
            self._pop()
        self._pop()
        return guess.end

    def _starve(self, position: int, needed: int) -> int:
        """More octets have to come, unless what is open ends before them."""
        if self._level.end - self._base - position < needed:
            self._wrong(position, f"{tag_text(self._level.tag)} ends in the header of an element")
        self._is_starved = True
        return position

    def _wrong(self, position: int, explanation: str) -> NoReturn:
        raise DecodeError(explanation, offset=self._base + position)

    def _goes_beyond(self, position: int, tag: int, octets: int) -> NoReturn:
        self._wrong(position, f"{tag_text(tag)} goes {octets} octets beyond the end of what it lies in")

    # Elements -------------------------------------------------------------------------------------------------------

    def _elements(self, octets: memoryview | bytes, position: int) -> int:
        """Elements of the innermost data set, until it ends, a sequence begins, or the octets are used up."""
        level = self._level
        size, end = len(octets), level.end - self._base
        if level.explicit is None and size - position >= 8:
            level.explicit = bytes(octets[position + 4 : position + 6]) in KNOWN_VRS
        with_16_bit_length = VRS_WITH_16_BIT_LENGTH if level.explicit else _NO_VRS
        unpack = _ELEMENT[level.little_endian].unpack_from
        is_root = level is self._root
        while position < end:
            if size - position < 8 or end - position < 8:
                return self._starve(position, 8)
            group, element, vr, length = unpack(octets, position)
            tag = group << 16 | element
            value = position + 8
            header = None
            if vr not in with_16_bit_length:
                if group == 0xFFFE:
                    return self._delimiter(position, tag)
                header = self._long_header(octets, position, vr, group)
                if header is None:
                    return position
                length, value = header.length, header.value
            if is_root:
                if tag <= self._last_tag or tag in _NOTED or group == FILE_META_GROUP:
                    self._note(octets, position, tag, value, length)
                    if self._is_starved:
                        return position
                self._last_tag = tag
            if header is not None and (length == UNDEFINED_LENGTH or header.vr == b"SQ" or header.looks_like_items):
                return self._enter(position, tag, header)
            position = value + length
            if position > end:
                self._goes_beyond(value, tag, position - end)
            if position > size:
                return position
        return self._end_of_level(position)

    def _long_header(self, octets: memoryview | bytes, position: int, vr: bytes, group: int) -> _Header | None:
        """Every header but those of 8 octets with a VR; None when it isn't there whole."""
        level = self._level
        size, value, end = len(octets), position + 8, level.end - self._base
        length: int
        # An element in implicit form in an explicit data set is broken, but common enough to be understood.
        if not level.explicit or not (vr.isalpha() and vr.isupper()):
            vr = b""
            length = _STRUCTURE[level.little_endian].unpack_from(octets, position)[2]
        elif vr not in VRS_WITH_32_BIT_LENGTH and octets[position + 6 : value] != b"\0\0":
            return _Header(vr, _ELEMENT[level.little_endian].unpack_from(octets, position)[3], value)
        else:
            value += 4
            if size < value or end < value:
                self._starve(position, 12)
                return None
            length = _LENGTH[level.little_endian].unpack_from(octets, position + 8)[0]
        if vr not in (b"UN", b"") or length < 8 or length == UNDEFINED_LENGTH or group == PIXEL_DATA >> 16:
            return _Header(vr, length, value)
        if value + length > end:  # wrong whatever it looks like, and whether that is there to be seen or not
            return _Header(vr, length, value)
        if size - value < 4:
            self._starve(position, 0)
            return None
        return _Header(vr, length, value, bytes(octets[value : value + 4]) in _ITEM_STARTS)

    def _note(self, octets: memoryview | bytes, position: int, tag: int, value: int, length: int) -> None:
        """PS3.5 7.1: tags ascend. Keeps the UIDs that are asked for; starves where they are not there whole."""
        if tag >> 16 in (COMMAND_GROUP, FILE_META_GROUP):
            self._wrong(position, f"{tag_text(tag)} does not belong in a data set")
        if tag <= self._last_tag:
            self._wrong(position, f"{tag_text(tag)} comes after {tag_text(self._last_tag)}")
        uid = b""
        if length <= MAX_CAPTURED_OCTETS:
            if len(octets) - value < length:
                self._starve(position, 0)
                return
            uid = bytes(octets[value : value + length]).rstrip(b"\0 ")
        if tag == SOP_CLASS_UID:
            self.sop_class_uid = uid
        else:
            self.sop_instance_uid = uid

    def _delimiter(self, position: int, tag: int) -> int:
        """PS3.5 7.5.2: a delimiter's length is 0; one that isn't means nothing."""
        if tag != ITEM_DELIMITATION or not self._level.needs_delimiter:
            self._wrong(position, f"{tag_text(tag)} stands where an element was expected")
        self._pop()
        return position + 8

    # Sequences ------------------------------------------------------------------------------------------------------

    def _enter(self, position: int, tag: int, header: _Header) -> int:
        level, start = self._level, self._base + header.value
        is_undefined = header.length == UNDEFINED_LENGTH
        end = level.end if is_undefined else start + header.length
        holds = _Holds.ITEMS
        if is_undefined and (tag == PIXEL_DATA or header.vr not in _SEQUENCE_VRS):
            holds = _Holds.FRAGMENTS
        # PS3.5 6.2.2 has Implicit VR Little Endian inside of UN, but not everybody read it.
        explicit = None if header.vr == b"UN" else level.explicit and header.vr != b""
        sequence = _Level(holds, tag, end, level.little_endian, explicit, is_undefined, header.looks_like_items)
        self._push(sequence, position, end)
        if holds is _Holds.ITEMS:
            self._depth += 1
            if self._depth > MAX_SEQUENCE_DEPTH:
                self._wrong(position, f"{tag_text(tag)} is nested more than {MAX_SEQUENCE_DEPTH} sequences deep")
        return header.value

    def _items(self, octets: memoryview | bytes, position: int) -> int:
        """Items of a sequence, until it ends, a data set begins, or the octets are used up."""
        sequence = self._level
        size, end = len(octets), sequence.end - self._base
        while position < end:
            if size - position < 8 or end - position < 8:
                return self._starve(position, 8)
            is_little_endian = octets[position] == 0xFE or (sequence.little_endian and octets[position] != 0xFF)
            group, element, length = _STRUCTURE[is_little_endian].unpack_from(octets, position)
            tag = group << 16 | element
            value = position + 8
            if tag == SEQUENCE_DELIMITATION and (sequence.needs_delimiter or value == end):
                self._pop()
                return value
            is_undefined = length == UNDEFINED_LENGTH
            if tag != ITEM or (is_undefined and sequence.holds is _Holds.FRAGMENTS):
                self._wrong(position, f"{tag_text(tag)} stands in {tag_text(sequence.tag)} where an item was expected")
            end_of_item = sequence.end if is_undefined else self._base + value + length
            if sequence.holds is _Holds.ITEMS:
                item = _Level(
                    _Holds.ELEMENTS, sequence.tag, end_of_item, is_little_endian, sequence.explicit, is_undefined
                )
                self._push(item, position, end_of_item)
                return value
            position = value + length
            if position > end:
                self._goes_beyond(value, sequence.tag, position - end)
            if position > size:
                return position
        return self._end_of_level(position)
