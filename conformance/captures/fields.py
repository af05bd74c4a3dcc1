"""The fields of a PDU with the octets they lie in, read from the layouts of `dulcet.ul` themselves.

A malformed PDU shows its fields up to the one that is wrong, which says what is wrong with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from construct import ConstructError, Container, Renamed

from dulcet.dimse.command_dictionary import COMMAND_ELEMENTS, describe_tag
from dulcet.dimse.command_set import decode_command_set
from dulcet.dimse.message import NO_DATA_SET
from dulcet.dimse.messages import MESSAGES
from dulcet.dimse.uids import name_of
from dulcet.errors import DecodeError
from dulcet.escape import quote
from dulcet.ul.fields import AETitle, ItemsToEnd, Layout
from dulcet.ul.items import (
    USER_SUB_ITEMS,
    AbstractSyntax,
    ApplicationContext,
    Item,
    PresentationContextAC,
    PresentationContextRQ,
    TransferSyntax,
    UserInformation,
)
from dulcet.ul.pdata import COMMAND, LAST, P_DATA_TF, PDU_HEADER_OCTETS, PRESENTATION_DATA_VALUE
from dulcet.ul.pdu import PDU_TYPES
from dulcet.ul.reasons import (
    ABORT_REASONS,
    ABORT_SOURCES,
    CONTEXT_RESULTS,
    REJECT_REASONS,
    REJECT_RESULTS,
    REJECT_SOURCES,
)

MAX_FIELDS = 20_000  # of one PDU; 128 contexts of three transfer syntaxes have some 5000
_SHOWN_OCTETS = 16
_ITEM_CLASSES: tuple[type[Item], ...] = (
    ApplicationContext,
    PresentationContextRQ,
    PresentationContextAC,
    AbstractSyntax,
    TransferSyntax,
    UserInformation,
    *USER_SUB_ITEMS,
)
_ITEMS = {item.ITEM_TYPE: item for item in _ITEM_CLASSES}
USER_IDENTITY_TYPES = {
    1: "user name",
    2: "user name and passcode",
    3: "Kerberos service ticket",
    4: "SAML assertion",
    5: "JSON Web Token",
}
"""PS3.7 Table D.3-14, user-identity-type."""

_COMMAND_SET_BEGIN = b"\0\0\0\0\4\0\0\0"  # Command Group Length (0000,0000), 4 octets
_ELEMENT_HEADER_OCTETS = 8


@dataclass(frozen=True, slots=True)
class FieldNode:
    """One field, item or element of a PDU."""

    name: str
    """As the layout names it; an item by its title, a command element by keyword and tag."""
    start: int
    stop: int
    """Octets from the start of the PDU."""
    value: Any = None
    """None for what has children."""
    level: int = 0
    """How deep it lies in the PDU."""
    table: str = ""
    """Of an item or PDU: the standard's table."""
    owner: str = ""
    """The table of the layout that the field belongs to."""
    error: str = ""
    """Why it can't be read."""
    is_secret: bool = False
    """Whether it is part of a user identity."""
    source: int | None = None
    """The source beside a reason: it decides what the reason means (PS3.8 Tables 9-21 and 9-26)."""

    @property
    def octets(self) -> str:
        """The range as the standard's tables count: `11-26`."""
        return str(self.stop) if self.stop - self.start == 1 else f"{self.start + 1}-{self.stop}"


def fields_of(octets: memoryview) -> list[FieldNode]:
    """The fields of one whole PDU in their order, children after what holds them."""
    pdu = PDU_TYPES.get(octets[0]) if octets else None
    if pdu is None:
        return []
    found = []
    for node in _layout_fields(pdu.LAYOUT, memoryview(octets), 0, 0):
        found.append(node)
        if len(found) >= MAX_FIELDS:
            break
    return found


def _layout_fields(layout: Layout, octets: memoryview, base: int, level: int) -> Iterator[FieldNode]:
    """Each field by the layout's own construct; what can't be read ends the walk."""
    is_values = layout is P_DATA_TF
    stream, context = _stream(layout, octets)
    for field in layout.fields:
        start = stream.tell()
        subcon = field.subcon if isinstance(field, Renamed) else field
        name = field.name or "reserved"
        if isinstance(subcon, ItemsToEnd):
            yield from _items(octets, start, base, level)
            return
        if is_values and name == "values":
            yield from _values(octets, base, level)
            return
        try:
            value = field._parsereport(stream, context, "(parsing)")
        except (ConstructError, DecodeError) as error:
            text = error.explanation if isinstance(error, DecodeError) else "the octets end before it does"
            yield FieldNode(name, base + start, base + len(octets), level=level, owner=layout.table, error=text)
            return
        if field.name:
            context[field.name] = value
        stop = stream.tell()
        if stop > start or value:
            yield FieldNode(
                name,
                base + start,
                base + stop,
                value,
                level,
                owner=layout.table,
                is_secret=layout.is_secret,
                source=context.get("source"),
            )


def _stream(layout: Layout, octets: memoryview) -> tuple[BytesIO, Any]:
    """P-DATA-TF can be large, and its values are read without a copy."""
    head = octets[:PDU_HEADER_OCTETS] if layout is P_DATA_TF else octets
    stream = BytesIO(head)
    return stream, Container(_params=Container(deviations=[]), _io=stream)


def _items(octets: memoryview, start: int, base: int, level: int) -> Iterator[FieldNode]:
    end = len(octets)
    while start < end:
        if end - start < 4:
            text = f"{end - start} stray octets where an item was expected"
            yield FieldNode("item", base + start, base + end, level=level, error=text)
            return
        length = int.from_bytes(octets[start + 2 : start + 4], "big")
        stop = start + 4 + length
        item = _ITEMS.get(octets[start])
        name = item.LAYOUT.title if item else f"item of type {octets[start]:02X}H"
        table = item.LAYOUT.table if item else ""
        if stop > end:
            text = f"{length} octets promised, {end - start - 4} present"
            yield FieldNode(name, base + start, base + end, level=level, table=table)
            yield FieldNode("item_length", base + start + 2, base + start + 4, length, level + 1, error=text)
            return
        if item is None:
            body = bytes(octets[start + 4 : stop])
            yield FieldNode(f"{name}, not known: skipped", base + start, base + stop, body, level)
        else:
            yield FieldNode(name, base + start, base + stop, level=level, table=table)
            yield from _layout_fields(item.LAYOUT, octets[start:stop], base + start, level + 1)
        start = stop


def _values(octets: memoryview, base: int, level: int) -> Iterator[FieldNode]:
    layout, start, end = PRESENTATION_DATA_VALUE, PDU_HEADER_OCTETS, len(octets)
    table, inner = layout.table, level + 1
    while start < end:
        length = int.from_bytes(octets[start : start + 4], "big")
        stop = start + 4 + length
        is_wrong = stop > end or length < 2 or end - start < 6
        wrong = f"{length} octets promised, {max(end - start - 4, 0)} present" if is_wrong else ""
        here = base + start
        yield FieldNode(layout.title, here, base + min(stop, end), level=level, table=table)
        length_end = min(here + 4, base + end)
        yield FieldNode("item_length", here, length_end, length, inner, owner=table, error=wrong)
        if end - start < 6:
            return
        yield FieldNode("context_id", here + 4, here + 5, octets[start + 4], inner, owner=table)
        yield FieldNode("message_control_header", here + 5, here + 6, _control(octets[start + 5]), inner, owner=table)
        if is_wrong:
            return
        yield from _fragment(octets[start + 6 : stop], octets[start + 5], here + 6, inner)
        start = stop


def _control(flags: int) -> str:
    kind = "command" if flags & COMMAND else "data set"
    return f"{flags:02X}H: {kind}, {'last fragment' if flags & LAST else 'more fragments follow'}"


def _fragment(octets: memoryview, control: int, base: int, level: int) -> Iterator[FieldNode]:
    size = len(octets)
    yield FieldNode("fragment", base, base + size, f"{size} octets", level, owner="9-23")
    if not control & COMMAND or octets[: len(_COMMAND_SET_BEGIN)] != _COMMAND_SET_BEGIN:
        return
    values = decode_command_set(octets).values
    start, inner = 0, level + 1
    while start + _ELEMENT_HEADER_OCTETS <= size:
        tag = int.from_bytes(octets[start : start + 2], "little") << 16
        tag |= int.from_bytes(octets[start + 2 : start + 4], "little")
        length = int.from_bytes(octets[start + 4 : start + 8], "little")
        stop = start + _ELEMENT_HEADER_OCTETS + length
        name, present = describe_tag(tag), size - start - _ELEMENT_HEADER_OCTETS
        if stop <= size:
            yield FieldNode(name, base + start, base + stop, _element(tag, values.get(tag)), inner)
        elif control & LAST:
            text = f"{length} octets promised, {present} present"
            yield FieldNode(name, base + start, base + size, level=inner, error=text)
        else:
            yield FieldNode(name, base + start, base + size, f"{present} of {length} octets, more follow", inner)
        start = stop
    if start < size:
        text = f"{size - start} stray octets where an element was expected" if control & LAST else ""
        yield FieldNode("element", base + start, base + size, f"{size - start} octets", inner, error=text)


def _element(tag: int, value: Any) -> Any:
    if not isinstance(value, int | tuple) or tag not in COMMAND_ELEMENTS:
        return "" if value is None else value
    if isinstance(value, tuple):
        return ", ".join(f"({each >> 16:04X},{each & 0xFFFF:04X})" for each in value)
    match COMMAND_ELEMENTS[tag].keyword:
        case "CommandField":
            return f"{value:04X}H ({MESSAGES[value].NAME})" if value in MESSAGES else f"{value:04X}H"
        case "CommandDataSetType":
            return f"{value:04X}H ({'no data set' if value == NO_DATA_SET else 'a data set follows'})"
        case "Status":
            return f"{value:04X}H"
        case _:
            return value


def path_of(nodes: list[FieldNode], node: FieldNode) -> str:
    """`Presentation Context Item / Abstract Syntax Sub-Item / name, octets 99-120`: a field among those of its PDU."""
    names, level = [node.name], node.level
    for each in reversed(nodes[: nodes.index(node)]):
        if each.level < level and each.value is None:
            names.insert(0, each.name)
            level = each.level
    return f"{' / '.join(names)}, octet{'s' if node.stop - node.start > 1 else ''} {node.octets}"


def show_value(node: FieldNode) -> str:
    """The value for people, and what it means; a peer's text is quoted."""
    meaning = _meaning(node)
    return f"{_show(node)} ({meaning})" if meaning else _show(node)


def _meaning(node: FieldNode) -> str:
    match node.owner, node.name, node.value:
        case _, _, str(text) if text[:1].isdigit():
            return name_of(text)
        case "9-18", "result", int(code):
            return CONTEXT_RESULTS.get(code, "not defined")
        case "9-21", "result", int(code):
            return REJECT_RESULTS.get(code, "not defined")
        case "9-21", "source", int(code):
            return REJECT_SOURCES.get(code, "not defined")
        case "9-21", "reason", int(code):
            return REJECT_REASONS.get((node.source or 0, code), "not defined")
        case "9-26", "source", int(code):
            return ABORT_SOURCES.get(code, "not defined")
        case "9-26", "reason", int(code) if node.source == 2:  # of any other source it is not significant
            return ABORT_REASONS.get(code, "not defined")
        case "D.3-14", "user_identity_type", int(code):
            return USER_IDENTITY_TYPES.get(code, "not defined")
    return ""


def _show(node: FieldNode) -> str:
    value = node.value
    if node.is_secret and isinstance(value, bytes) and value:
        return f"{len(value)} octets, not shown"
    if isinstance(value, AETitle):
        return f"'{quote(value.octets)}'"
    if isinstance(value, bytes):
        if not any(value):
            return f"{len(value)} octets of zero" if len(value) > 1 else "00H"
        more = "..." if len(value) > _SHOWN_OCTETS else ""
        return f"{value[:_SHOWN_OCTETS].hex(' ')}{more}"
    if isinstance(value, tuple):
        return ", ".join(quote(str(each)) for each in value)
    if isinstance(value, int) and node.name in ("pdu_type", "item_type"):
        return f"{value:02X}H"
    return quote(str(value), 120)
