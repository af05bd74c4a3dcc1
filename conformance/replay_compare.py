"""Two units, field by field: where an answer differs from the captured one, and what of that is in its nature.

Two implementations name themselves differently, take PDUs of different lengths and order user items as they like
(PS3.8 9.3.2.3); reserved octets are not tested (PS3.8 9.3.1). Such differences are told apart and make nothing unequal.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dulcet.conformance.captures.fields import FieldNode, fields_of, show_value
from dulcet.conformance.replay_script import END, DataSet, Unit
from dulcet.dimse.command_dictionary import COMMAND_DATA_SET_TYPE, COMMAND_GROUP_LENGTH, TAGS, describe_tag
from dulcet.dimse.message import NO_DATA_SET
from dulcet.escape import quote
from dulcet.ul.fields import AETitle
from dulcet.ul.pdu import AAbort, AAssociateAC

_DERIVED = frozenset(("pdu_length", "item_length", "uid_length", "service_class_uid_length", "pdu_type", "item_type"))
_OWN = "each implementation has its own"
_OWN_FIELDS = frozenset((("D.3-1", "uid"), ("D.3-3", "name"), ("D.1-1", "maximum_length_received")))
"""By table and field: implementation class UID and version name, maximum length."""
_IDENTIFYING = ("context_id", "sop_class_uid")
_NOT_TESTED = "not tested when received"
_STATUS = TAGS["status"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that is not what the capture has."""

    field: str
    captured: str
    """For people; a peer's text is quoted."""
    observed: str
    nature: str = ""
    """Why it may differ; "" for what makes the two unequal."""


def compare(captured: Unit, observed: Unit) -> list[Difference]:
    """What differs between two units of the same name."""
    if captured.name != observed.name:
        return [Difference("", captured.name, observed.name)]
    if captured.name == END:
        how = Difference("end", captured.how, observed.how, "a reset is what TCP makes of octets that were not read")
        return [] if captured.how == observed.how else [how]
    if captured.message is not None and observed.message is not None:
        return list(_messages(captured, observed))
    return list(_association(captured, observed))


def _association(captured: Unit, observed: Unit) -> Iterator[Difference]:
    before, after = _flat(captured.octets), _flat(observed.octets)
    if before is None or after is None:
        if captured.octets != observed.octets:
            yield Difference("octets", captured.octets[:32].hex(" "), observed.octets[:32].hex(" "))
        return
    for key in dict.fromkeys((*before.fields, *after.fields)):
        old, new = before.fields.get(key), after.fields.get(key)
        nature = _nature(captured, observed, key, (before, after))
        if old is None or new is None:
            yield Difference(key, _show(old), _show(new), nature)
        elif _value(old) != _value(new):
            yield Difference(key, show_value(old), show_value(new), nature)
        elif old.value != new.value or old.stop - old.start != new.stop - new.start:
            yield Difference(key, _show(old), _show(new), "padding")
    if before.order != after.order and sorted(before.order) == sorted(after.order):
        yield Difference("order of items", ", ".join(before.order), ", ".join(after.order), "any order is right")


@dataclass(frozen=True, slots=True)
class _Flat:
    """The fields of a PDU by a key that tells where they are, whatever the order of the items."""

    fields: Mapping[str, FieldNode]
    order: list[str]
    """The items, as they came."""


def _flat(octets: bytes) -> _Flat | None:
    nodes = fields_of(memoryview(octets))
    if not nodes or any(node.error for node in nodes):
        return None
    found: dict[str, FieldNode] = {}
    order: list[str] = []
    seen: Counter[str] = Counter()
    path: list[str] = []
    for index, node in enumerate(nodes):
        del path[node.level :]
        if node.value is None:
            name = " / ".join((*path, _item_name(nodes, index)))
            seen[name] += 1
            number = f" #{seen[name]}" if seen[name] > 1 else ""
            path.append(f"{_item_name(nodes, index)}{number}")
            order.append(path[-1])
        elif node.name not in _DERIVED:
            key = " / ".join((*path, node.name))
            seen[key] += 1
            found[key if seen[key] == 1 else f"{key} #{seen[key]}"] = node
    return _Flat(found, order)


def _item_name(nodes: list[FieldNode], index: int) -> str:
    """`Presentation Context Item 3`: the item and what tells it from others of its kind."""
    item = nodes[index]
    for node in nodes[index + 1 :]:
        if node.level <= item.level:
            break
        if node.level == item.level + 1 and node.name in _IDENTIFYING:
            return f"{item.name} {quote(str(node.value))}"
    return item.name


def _nature(captured: Unit, observed: Unit, key: str, sides: tuple[_Flat, _Flat]) -> str:
    """Why a field may differ; "" when nothing allows it."""
    node = sides[0].fields.get(key) or sides[1].fields[key]
    item, *within = key.split(" / ")
    if node.name == "reserved":
        return _NOT_TESTED
    if captured.name == AAssociateAC.NAME:
        if node.name in ("called_ae_title", "calling_ae_title"):
            return _NOT_TESTED  # PS3.8 Table 9-17
        is_syntax = within[:1] == ["Transfer Syntax Sub-Item"]
        if is_syntax and all(_is_refused(side, item) for side in sides):
            return _NOT_TESTED  # PS3.8 Table 9-18
    if captured.name == AAbort.NAME and node.name == "reason" and captured.octets[8] == observed.octets[8] == 0:
        return _NOT_TESTED  # PS3.8 Table 9-26: significant when the source is the service-provider
    return _OWN if (node.owner, node.name) in _OWN_FIELDS else ""


def _is_refused(side: _Flat, item: str) -> bool:
    result = side.fields.get(f"{item} / result")
    return result is not None and result.value != 0


def _value(node: FieldNode) -> Any:
    """Without what pads it."""
    value = node.value
    if isinstance(value, AETitle):
        return value.octets.strip(b" \0")
    return value.rstrip(" \0") if isinstance(value, str) else value


def _show(node: FieldNode | None) -> str:
    if node is None:
        return "not there"
    octets = node.stop - node.start
    return f"{show_value(node)} ({octets} octet{'' if octets == 1 else 's'})"


def _messages(captured: Unit, observed: Unit) -> Iterator[Difference]:
    old, new = captured.message, observed.message
    assert old is not None
    assert new is not None
    if old.context_id != new.context_id:
        yield Difference("context_id", str(old.context_id), str(new.context_id))
    for tag in dict.fromkeys((*old.values, *new.values)):
        before, after = old.values.get(tag), new.values.get(tag)
        if tag == COMMAND_GROUP_LENGTH or before == after:
            continue
        nature = ""
        if tag == COMMAND_DATA_SET_TYPE and NO_DATA_SET not in (before, after) and None not in (before, after):
            nature = "any value but 0101H says that a data set follows"
        elif _stripped(before) == _stripped(after):
            nature = "padding"
        yield Difference(describe_tag(tag), _element(tag, before), _element(tag, after), nature)
    if old.error != new.error:
        yield Difference("command set", quote(old.error or "acceptable", 200), quote(new.error or "acceptable", 200))
    yield from _data_sets(captured.data_set, observed.data_set)
    if len(captured.pdus) != len(observed.pdus):
        nature = "a message may be cut into PDUs in many ways"
        yield Difference("PDUs", str(len(captured.pdus)), str(len(observed.pdus)), nature)


def _stripped(value: Any) -> Any:
    return value.rstrip(" \0") if isinstance(value, str) else value


def _element(tag: int, value: Any) -> str:
    if value is None:
        return "not there"
    if isinstance(value, int):
        return f"{value:04X}H" if tag in (_STATUS, COMMAND_DATA_SET_TYPE) else str(value)
    if isinstance(value, tuple):
        return ", ".join(f"({each >> 16:04X},{each & 0xFFFF:04X})" for each in value[:8])
    return f"'{quote(value if isinstance(value, bytes) else str(value))}'"


def _data_sets(captured: DataSet | None, observed: DataSet | None) -> Iterator[Difference]:
    if captured is None or observed is None:
        if captured is not observed:
            yield Difference("data set", _octets(captured), _octets(observed))
        return
    if captured.digest != observed.digest:
        first = _first_difference(captured.begin, observed.begin)
        where = f"data set, from octet {first}" if first is not None else "data set"
        yield Difference(where, _octets(captured, first), _octets(observed, first))


def _first_difference(captured: bytearray, observed: bytearray) -> int | None:
    if captured == observed:
        return None
    shorter = min(len(captured), len(observed))
    low, high = 0, shorter
    while low < high:  # by halves: what is compared is compared at the speed of memory
        middle = (low + high + 1) // 2
        if captured[:middle] == observed[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _octets(data_set: DataSet | None, start: int | None = None) -> str:
    if data_set is None:
        return "none"
    text = f"{data_set.length} octets"
    if start is None:
        return text
    head = bytes(data_set.begin[start : start + 8])
    return f"{text}, {head.hex(' ')}{'...' if start + 8 < data_set.length else ''}" if head else text
