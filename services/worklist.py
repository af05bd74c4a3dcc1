"""Modality Worklist as SCP: C-FIND over worklist items, which are data sets with sequences (PS3.4 Annex K).

Any attribute can be a matching key and a return key. A key in a sequence matches when one item of the value matches all
keys of that item (C.2.2.2.6); a date and its time are matched together, as K.5.1.1 has it.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import trio

from dulcet.dimse.status import CANNOT_UNDERSTAND, OUT_OF_RESOURCES
from dulcet.dimse.uids import MODALITY_WORKLIST
from dulcet.errors import ArchiveError, DecodeError
from dulcet.services.acceptor import Operation
from dulcet.services.association import Association, Received
from dulcet.services.querying.character_sets import declared, encode_text
from dulcet.services.querying.elements import Element, Elements, encode_elements, padded
from dulcet.services.querying.identifiers import Identifier, value_text
from dulcet.services.querying.matching import Key, Kind, combined, compile_key
from dulcet.services.querying.query import TIMEZONE_OFFSET, Refusal
from dulcet.services.querying.responding import (
    MatchSource,
    Observe,
    Page,
    QueryLimits,
    identifier_of,
    nobody,
    send_matches,
    send_refusal,
)
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET, VRS_IN_CHARACTER_SET, tag_text

ITEMS_BETWEEN_TURNS = 50  # matched in some 5 ms

_PAIRS = ((0x00400002, 0x00400003), (0x00400004, 0x00400005), (0x00404005, 0x00404011), (0x00100030, 0x00100032))
"""Start and end of a scheduled procedure step and their times, and the like."""


class WorklistItem(NamedTuple):
    """A scheduled procedure step, its requested procedure, its patient: one response, if it matches."""

    elements: Elements
    character_set: str


class Worklist(Protocol):
    """Where the items are."""

    async def items(self) -> Sequence[WorklistItem]:
        """All of them as they are now. ArchiveError when they can't be had."""


@dataclass(frozen=True, slots=True)
class ItemKeys:
    """The keys of a request, or of one item in it."""

    keys: Mapping[int, Key]
    sequences: Mapping[int, "ItemKeys"]
    pairs: Sequence[tuple[int, int, Callable[[str, str], bool]]] = ()

    def match(self, elements: Elements, character_set: str) -> bool:
        """Whether the attributes of an item match all keys."""

        def text(tag: int) -> str:
            return value_text(elements[tag], character_set) if tag in elements else ""

        return (
            all(key.accepts(text(tag)) for tag, key in self.keys.items())
            and all(accepts(text(date), text(time)) for date, time, accepts in self.pairs)
            and all(any(self.matching(tag, elements, character_set)) for tag in self.sequences)
        )

    def matching(self, tag: int, elements: Elements, character_set: str) -> list[Elements]:
        """The items of a sequence that match."""
        items = elements[tag].items if tag in elements else None
        keys = self.sequences.get(tag)
        return [item for item in items or () if keys is None or keys.match(item, character_set)]


def read_keys(elements: Elements, character_set: str) -> ItemKeys:
    """The keys that these elements of a request are. ValueError, with a sentence, for what is none."""
    keys: dict[int, Key] = {}
    sequences: dict[int, ItemKeys] = {}
    for tag, element in elements.items():
        if tag in (SPECIFIC_CHARACTER_SET, TIMEZONE_OFFSET) or not tag & 0xFFFF:
            continue
        if element.items is not None:
            if len(element.items) > 1:
                raise ValueError(f"{tag_text(tag)} has {len(element.items)} items; a key has one (PS3.4 C.2.2.2.6)")
            inner = read_keys(element.items[0], character_set) if element.items else None
            if inner is not None and (inner.keys or inner.sequences or inner.pairs):
                sequences[tag] = inner
            continue
        try:
            key = compile_key(element.vr.decode("ascii"), value_text(element, character_set))
        except ValueError as error:
            raise ValueError(f"{tag_text(tag)}: {error}") from error
        if key.kind is not Kind.UNIVERSAL:
            keys[tag] = key
    pairs = []
    for date, time in _PAIRS:
        if date in keys and time in keys and (accepts := combined(keys[date], keys[time])) is not None:
            pairs.append((date, time, accepts))
            del keys[date], keys[time]
    return ItemKeys(keys, sequences, tuple(pairs))


@dataclass(frozen=True, kw_only=True, slots=True)
class WorklistQuery:
    """The operation on one worklist."""

    worklist: Worklist
    observe: Observe = nobody
    limits: QueryLimits = field(default_factory=QueryLimits)

    def operation(self) -> Operation:
        """C-FIND of the Modality Worklist Information Model."""
        return Operation(perform=self._find, sop_classes=frozenset({MODALITY_WORKLIST}))

    async def _find(self, association: Association, received: Received) -> None:
        identifier = identifier_of(received)
        try:
            keys = read_keys(identifier.elements, identifier.declared_character_set)
        except (DecodeError, ValueError) as error:
            await send_refusal(association, received, Refusal(CANNOT_UNDERSTAND, str(error)), self.observe)
            return
        try:
            items = await self.worklist.items()
        except ArchiveError as error:
            await send_refusal(association, received, Refusal(OUT_OF_RESOURCES, str(error)), self.observe)
            return

        async def page(after: int, _seconds: float) -> Page[WorklistItem]:
            end = after + ITEMS_BETWEEN_TURNS
            found = [item for item in items[after:end] if keys.match(item.elements, item.character_set)]
            await trio.lowlevel.checkpoint()
            return Page(found, end if end < len(items) else None)

        def encode(item: WorklistItem) -> bytes:
            return encode_match(identifier, keys, item, received.context.transfer_syntax)

        await send_matches(association, received, MatchSource(page, encode), self.limits, self.observe)


# Responses ----------------------------------------------------------------------------------------------------------


def encode_match(identifier: Identifier, keys: ItemKeys, item: WorklistItem, transfer_syntax_uid: str) -> bytes:
    """The identifier of a response: what was asked for, in the request's character set if that can write it."""
    chosen = _chosen(identifier.elements, keys, item.elements, item.character_set)
    character_set = item.character_set
    wanted = declared(identifier.declared_character_set)
    if wanted and wanted != character_set:
        with suppress(ValueError, LookupError):  # else as it is stored: PS3.4 K.4.1.1.3.2 allows that
            chosen, character_set = _rewritten(chosen, character_set, wanted), wanted
    chosen.pop(SPECIFIC_CHARACTER_SET, None)
    if not _is_ascii(chosen) and character_set:
        chosen[SPECIFIC_CHARACTER_SET] = Element(b"CS", padded(b"CS", character_set.encode("ascii")))
    return encode_elements(chosen, transfer_syntax_uid)


def _chosen(asked: Elements, keys: ItemKeys | None, elements: Elements, character_set: str) -> Elements:
    """The attributes that were asked for, empty where there is none; of a sequence the items that match."""
    chosen: Elements = {}
    for tag, key in asked.items():
        if tag == TIMEZONE_OFFSET or not tag & 0xFFFF:
            continue
        found = elements.get(tag)
        if found is None:
            chosen[tag] = Element(key.vr) if key.items is None else Element(b"SQ", items=())
        elif found.items is None or not key.items or not key.items[0]:
            chosen[tag] = found
        else:
            items = found.items if keys is None else keys.matching(tag, elements, character_set)
            inner = None if keys is None else keys.sequences.get(tag)
            chosen[tag] = Element(
                b"SQ", items=tuple(_chosen(key.items[0], inner, item, character_set) for item in items)
            )
    return chosen


def _rewritten(elements: Elements, character_set: str, wanted: str) -> Elements:
    """The same text in another character set; ValueError when that can't write it."""
    rewritten = {}
    for tag, element in elements.items():
        vr, value, items = element
        if items is not None:
            rewritten[tag] = Element(vr, items=tuple(_rewritten(item, character_set, wanted) for item in items))
        elif vr in VRS_IN_CHARACTER_SET and not _is_plain(value):
            text = value_text(element, character_set)
            rewritten[tag] = Element(vr, padded(vr, encode_text(text, vr, wanted)))
        else:
            rewritten[tag] = element
    return rewritten


def _is_ascii(elements: Elements) -> bool:
    return all(
        all(map(_is_ascii, items)) if items is not None else vr not in VRS_IN_CHARACTER_SET or _is_plain(value)
        for vr, value, items in elements.values()
    )


def _is_plain(value: bytes) -> bool:
    return value.isascii() and b"\x1b" not in value
