"""The octets of one direction, cut into whole PDUs: PS3.8 9.3.1, where octets may be missing.

A live connection is cut by `dulcet.ul.framing`, which refuses what is too long. Here nothing is refused: a capture may
begin within a connection or lack packets, so what can't be cut is said and passed over, up to the next header that can
be one.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from dulcet.conformance.captures.streams import Octets
from dulcet.ul.pdata import COMMAND, LAST, P_DATA_TF_TYPE, PDU_HEADER_OCTETS, PDV_HEADER_OCTETS
from dulcet.ul.pdu import PDU_TYPES

_ASSOCIATE_TYPES = (0x01, 0x02)
_MIN_ASSOCIATE_LENGTH = 68  # PS3.8 Tables 9-11 and 9-17: the fields before the variable items
_TITLES = slice(10, 42)  # PS3.8 Table 9-11, octets 11 to 42: two AE titles
_ODD = b"".join(re.escape(bytes((number,))) for number in range(1, 256, 2))
_CANDIDATE = re.compile(
    rb"(?=\x04\x00[\x00-\x03].{7}[" + _ODD + rb"][\x00-\x03]"
    rb"|[\x01\x02]\x00\x00[\x00-\x0f].{2}\x00\x01\x00\x00"
    rb"|[\x03\x05-\x07]\x00\x00\x00\x00\x04)",
    re.DOTALL,
)
"""What `_is_plausible` may accept, at the speed of a search."""
_FIRST_WINDOW_OCTETS, _LARGEST_WINDOW_OCTETS = 256, 1 << 16
_LOOK_OCTETS = PDU_HEADER_OCTETS + PDV_HEADER_OCTETS
_MOST_LOOK_OCTETS = 42


class Kind(Enum):
    """What a piece of a stream is."""

    PDU = "a whole PDU"
    LOST = "octets that were not captured, or that can't be read because of it"
    TAIL = "octets at the end that are no whole PDU"


class Piece(NamedTuple):
    """A piece of the stream of one direction."""

    kind: Kind
    start: int
    stop: int
    missing: int = 0
    """Octets of it that were not captured."""
    why: str = ""
    """For a tail: why it can't be read."""


def cut(octets: Octets, *, is_whole: bool) -> Iterator[Piece]:
    """The pieces of a direction in their order. `is_whole`: the begin of the connection was captured."""
    position, end = 0, octets.length
    is_certain = is_whole
    if not is_whole and end and not _is_plausible(octets, 0):
        position = _resynchronise(octets, 0, end)
        yield Piece(Kind.LOST, 0, position, _missing(octets, 0, position))
    while position < end:
        gap = octets.next_gap(position)
        if gap is not None and gap.start < min(position + PDU_HEADER_OCTETS, end):
            start, is_certain = position, False
            position = _resynchronise(octets, gap.stop, end)
            yield Piece(Kind.LOST, start, position, _missing(octets, start, position))
            continue
        header = bytes(octets.read(position, min(position + PDU_HEADER_OCTETS, end)))
        pdu_type = PDU_TYPES.get(header[0])
        if pdu_type is None and not is_certain:
            start = position
            position = _resynchronise(octets, start + 1, end)
            yield Piece(Kind.LOST, start, position, _missing(octets, start, position))
            continue
        stop = position + PDU_HEADER_OCTETS + int.from_bytes(header[2:], "big")
        why = ""
        if pdu_type is None:
            why = f"unrecognised PDU type 0x{header[0]:02x}"
        elif len(header) < PDU_HEADER_OCTETS:
            why = f"incomplete {pdu_type.NAME} header ({len(header)} of {PDU_HEADER_OCTETS} octets)"
        elif stop > end:
            why = f"incomplete {pdu_type.NAME} (length field {stop - position - PDU_HEADER_OCTETS})"
        if why:
            yield Piece(Kind.TAIL, position, end, _missing(octets, position, end), why)
            return
        missing = _missing(octets, position, stop) if gap is not None and gap.start < stop else 0
        yield Piece(Kind.PDU, position, stop, missing)
        position = stop


def _missing(octets: Octets, start: int, stop: int) -> int:
    missing, gap = 0, octets.next_gap(start)
    while gap is not None and gap.start < stop:
        missing += min(gap.stop, stop) - max(gap.start, start)
        gap = octets.next_gap(gap.stop)
    return missing


def _resynchronise(octets: Octets, start: int, end: int) -> int:
    """Where the next plausible PDU begins, at or after `start`; `end` when there is none."""
    while start < end:
        gap = octets.next_gap(start)
        if gap is not None and gap.start <= start:
            start = gap.stop
            continue
        region_end = end if gap is None else gap.start
        size = _FIRST_WINDOW_OCTETS
        while start < region_end:
            window = bytes(octets.read(start, min(start + size + _LOOK_OCTETS - 1, region_end)))
            for match in _CANDIDATE.finditer(window):
                if _is_plausible(octets, start + match.start()) and _is_followed(octets, start + match.start()):
                    return start + match.start()
            start += size
            size = min(2 * size, _LARGEST_WINDOW_OCTETS)
        start = max(region_end, 0)
    return end


def _is_followed(octets: Octets, position: int) -> bool:
    """Whether another plausible header, the end or a gap follows the PDU that may begin at `position`."""
    length = int.from_bytes(octets.read(position + 2, position + PDU_HEADER_OCTETS), "big")
    stop = position + PDU_HEADER_OCTETS + length
    gap = octets.next_gap(position)
    if stop >= octets.length or (gap is not None and gap.start < stop + _LOOK_OCTETS):
        return True
    return _is_plausible(octets, stop)


def _is_plausible(octets: Octets, position: int) -> bool:
    """Whether a PDU may begin here: type, reserved octet, length, and what follows them in a PDU of that type."""
    head = _head(octets, position, _MOST_LOOK_OCTETS)
    if not _CANDIDATE.match(head):
        return False
    length = int.from_bytes(head[2:6], "big")
    if head[0] in _ASSOCIATE_TYPES:
        titles = head[_TITLES]
        return (
            length >= _MIN_ASSOCIATE_LENGTH and len(titles) == 32 and titles.isascii() and titles.decode().isprintable()
        )
    if head[0] != P_DATA_TF_TYPE:
        return True
    item_length = int.from_bytes(head[6:10], "big")
    if not 2 <= item_length <= length - 4:
        return False
    return item_length == length - 4 or _is_second_value(octets, position, length, item_length, head[10])


def _is_second_value(octets: Octets, position: int, length: int, item_length: int, context_id: int) -> bool:
    """Whether another PDV of the same context may follow the first one of a P-DATA-TF."""
    start = 4 + item_length
    head = _head(octets, position + PDU_HEADER_OCTETS + start, PDV_HEADER_OCTETS)
    if len(head) < PDV_HEADER_OCTETS:
        return False
    following = int.from_bytes(head[:4], "big")
    return 2 <= following <= length - start - 4 and head[4] == context_id and head[5] <= (COMMAND | LAST)


def _head(octets: Octets, position: int, size: int) -> bytes:
    """The octets from `position`, up to a gap."""
    gap = octets.next_gap(position)
    stop = min(position + size, octets.length if gap is None else gap.start)
    return bytes(octets.read(position, stop)) if stop > position else b""
