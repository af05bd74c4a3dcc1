"""What every item and sub-item of the A-ASSOCIATE PDUs has in common: PS3.8 9.3.1.

An item of a type that the standard (or this edition of it) doesn't know is kept as `UnknownItem` and otherwise
skipped, as PS3.8 9.3.1 asks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, TypeVar

from dulcet.ul.deviation import Deviation
from dulcet.ul.fields import MAX_DEVIATIONS, Layout, is_plain_uid

MAX_ITEM_LENGTH = 0xFFFF


class Item:
    """Base: an item knows its type, its layout, and encodes itself."""

    __slots__ = ()
    ITEM_TYPE: ClassVar[int]
    LAYOUT: ClassVar[Layout]
    IS_UID: ClassVar[bool] = False
    """Whether it is a UID and nothing else: one PDU may have thousands of those, so they are read by hand."""
    _NAMES: ClassVar[tuple[str, ...] | None] = None

    def encode(self) -> bytes:
        """Header and body as they go over the wire; ValueError for a field that can't be encoded."""
        return self.LAYOUT.encode({name: getattr(self, name) for name in self._field_names()})

    @classmethod
    def decode(cls, octets: bytes, deviations: list[Deviation]) -> Self:
        """One whole item, header included; DecodeError names the table and field that was wrong."""
        if cls.IS_UID and int.from_bytes(octets[2:4], "big") == len(octets) - 4:
            uid = octets[4:].decode("latin-1")
            if is_plain_uid(uid) or len(deviations) >= MAX_DEVIATIONS:  # else the layout says what is wrong with it
                (name,) = cls._field_names()
                return cls(**{name: uid.strip("\0 ")})
        decoded = cls.LAYOUT.decode(octets, deviations)
        return cls(**{name: decoded[name] for name in cls._field_names()})

    @classmethod
    def _field_names(cls) -> tuple[str, ...]:
        if cls._NAMES is None:
            cls._NAMES = tuple(field.name for field in fields(cls))  # type: ignore[arg-type]
        return cls._NAMES


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownItem:
    """An item of a type that is not known here: "ignored and skipped" (PS3.8 9.3.1), but kept."""

    item_type: int
    octets: bytes
    """The body, after the length."""

    def encode(self) -> bytes:
        """Header and body, the second octet as zero; ValueError for a body that is too long."""
        if len(self.octets) > MAX_ITEM_LENGTH:
            raise ValueError(f"{len(self.octets)} octets don't fit in item_length")
        return bytes((self.item_type, 0)) + len(self.octets).to_bytes(2, "big") + self.octets


def decoder(*known: type[Item]) -> Callable[[bytes, list[Deviation]], Any]:
    """Decodes one whole item, header included, of the types `known`; any other becomes an `UnknownItem`."""
    by_type = {item.ITEM_TYPE: item for item in known}

    def decode_item(octets: bytes, deviations: list[Deviation]) -> Any:
        item = by_type.get(octets[0])
        if item is None:
            return UnknownItem(item_type=octets[0], octets=octets[4:])
        return item.decode(octets, deviations)

    return decode_item


_SubItem = TypeVar("_SubItem")


def of_type(items: Sequence[Any], item_type: type[_SubItem]) -> tuple[_SubItem, ...]:
    """The items of one class, in the order of the wire."""
    return tuple(item for item in items if isinstance(item, item_type))


def first(items: Sequence[Any], item_type: type[_SubItem]) -> _SubItem | None:
    """The first item of one class; the standard allows one of most."""
    return next((item for item in items if isinstance(item, item_type)), None)
