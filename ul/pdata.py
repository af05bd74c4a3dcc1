"""P-DATA-TF and its Presentation-data-value Items: PS3.8 Tables 9-22 and 9-23, Annex E.

The one place where octets are packed and unpacked by `struct` as well as described by a layout: images pass here. A
test proves the two equal, for every split of the stream.
"""

from collections.abc import Sequence
from struct import Struct
from struct import error as StructError
from typing import Any, NamedTuple

from construct import Construct, stream_read_entire, stream_write

from dulcet.errors import DecodeError
from dulcet.ul.deviation import Deviation
from dulcet.ul.fields import Fixed, Int8, Int32, Layout, OctetsToEnd, Reserved

PDU_HEADER_OCTETS = 6
PDV_HEADER_OCTETS = 6  # item length, context ID, message control header
P_DATA_TF_TYPE = 0x04

COMMAND = 0x01  # message control header bit 0, PS3.8 E.2
LAST = 0x02  # bit 1; bits 2 to 7 are sent as zero and not checked


class PresentationDataValue(NamedTuple):
    """Presentation-data-value Item, PS3.8 Table 9-23 and Annex E."""

    context_id: int
    is_command: bool
    """Message control header bit 0: command, else data set."""
    is_last: bool
    """Message control header bit 1: the last fragment."""
    fragment: bytes | memoryview
    """What was received is a view, valid until more is received."""


PRESENTATION_DATA_VALUE = Layout(
    "9-23",
    "Presentation-data-value Item",
    "item_length" / Int32,  # 1-4
    "context_id" / Int8,  # 5
    "message_control_header" / Int8,  # 6
    "fragment" / OctetsToEnd,  # 7-xxx
)


class _ValuesToEnd(Construct):  # type: ignore[misc]
    def _parse(self, stream: Any, context: Any, path: str) -> tuple[PresentationDataValue, ...]:
        octets = stream_read_entire(stream, path)
        values, start = [], 0
        while start < len(octets):
            stop = start + 4 + int.from_bytes(octets[start : start + 4], "big")
            try:
                item = PRESENTATION_DATA_VALUE.decode(octets[start:stop], context._params.deviations)
            except DecodeError as error:
                error.offset += PDU_HEADER_OCTETS + start
                raise
            flags = item["message_control_header"]
            values.append(
                PresentationDataValue(item["context_id"], bool(flags & COMMAND), bool(flags & LAST), item["fragment"])
            )
            start = stop
        if not values:
            raise DecodeError("no Presentation-data-value Item", field="values", offset=PDU_HEADER_OCTETS)
        return tuple(values)

    def _build(self, values: Sequence[PresentationDataValue], stream: Any, context: Any, path: str) -> Any:
        for value in values:
            item = PRESENTATION_DATA_VALUE.encode(
                {
                    "context_id": value.context_id,
                    "message_control_header": value.is_command * COMMAND | value.is_last * LAST,
                    "fragment": bytes(value.fragment),
                }
            )
            stream_write(stream, item, len(item), path)
        return values


P_DATA_TF = Layout(
    "9-22",
    "P-DATA-TF PDU",
    "pdu_type" / Fixed(P_DATA_TF_TYPE),  # 1
    Reserved(),  # 2
    "pdu_length" / Int32,  # 3-6
    "values" / _ValuesToEnd(),  # 7-xxx
)

# PDU type, reserved, PDU length, item length, context ID, message control header: the 12 octets before a fragment.
_PDU_AND_ITEM = Struct(">BxLLBB")
_PDU = Struct(">BxL")
_ITEM = Struct(">LBB")


def pack(values: Sequence[PresentationDataValue]) -> tuple[bytes | memoryview, ...]:
    """A whole P-DATA-TF PDU as buffers to send: headers of our own, fragments as they are (no copy).

    ValueError for a number that does not fit in its field, and for no values at all.
    """
    try:
        return _pack(values)
    except StructError as error:
        raise ValueError(f"Table {P_DATA_TF.table}: {error}") from None


def _pack(values: Sequence[PresentationDataValue]) -> tuple[bytes | memoryview, ...]:
    if len(values) == 1:
        ((context_id, is_command, is_last, fragment),) = values
        length = len(fragment)
        flags = is_command * COMMAND | is_last * LAST
        return (_PDU_AND_ITEM.pack(P_DATA_TF_TYPE, length + 6, length + 2, context_id, flags), fragment)
    if not values:
        raise ValueError(f"Table {P_DATA_TF.table}: a P-DATA-TF has one or more Presentation-data-value Items")
    buffers: list[bytes | memoryview] = [b""]
    total = 0
    for context_id, is_command, is_last, fragment in values:
        buffers.append(_ITEM.pack(len(fragment) + 2, context_id, is_command * COMMAND | is_last * LAST))
        buffers.append(fragment)
        total += PDV_HEADER_OCTETS + len(fragment)
    buffers[0] = _PDU.pack(P_DATA_TF_TYPE, total)
    return tuple(buffers)


def unpack(octets: bytes | bytearray | memoryview, deviations: list[Deviation]) -> tuple[PresentationDataValue, ...]:
    """The items of one whole P-DATA-TF PDU; their fragments are views of `octets`."""
    view = memoryview(octets)
    end = len(view)
    if end < PDU_HEADER_OCTETS + PDV_HEADER_OCTETS:
        return _explain(view, deviations)
    _, pdu_length, length, context_id, flags = _PDU_AND_ITEM.unpack_from(view)
    if pdu_length + PDU_HEADER_OCTETS != end:
        return _explain(view, deviations)
    if length + 10 == end and length >= 2:
        return (PresentationDataValue(context_id, flags & COMMAND == COMMAND, flags & LAST == LAST, view[12:]),)
    values, start = [], PDU_HEADER_OCTETS
    while start < end:
        if end - start < PDV_HEADER_OCTETS:
            return _explain(view, deviations)
        length, context_id, flags = _ITEM.unpack_from(view, start)
        stop = start + 4 + length
        if stop > end or length < 2:
            return _explain(view, deviations)
        values.append(
            PresentationDataValue(context_id, flags & COMMAND == COMMAND, flags & LAST == LAST, view[start + 6 : stop])
        )
        start = stop
    return tuple(values)


def _explain(view: memoryview, deviations: list[Deviation]) -> tuple[PresentationDataValue, ...]:
    """What the fast path found wrong, in the layout's words."""
    return tuple(P_DATA_TF.decode(bytes(view), deviations)["values"])
