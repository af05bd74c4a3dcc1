"""Items and sub-items of the A-ASSOCIATE PDUs: PS3.8 9.3.2 and 9.3.3; those of the user information by name as well.

One frozen dataclass and one layout for each, in the standard's order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from dulcet.ul.deviation import Deviation
from dulcet.ul.fields import UID, Fixed, Int8, Int16, ItemsToEnd, Layout, Reserved
from dulcet.ul.item import Item, UnknownItem, decoder, first, of_type
from dulcet.ul.user_items import (
    USER_SUB_ITEMS,
    AsynchronousOperationsWindow,
    ImplementationClassUID,
    ImplementationVersionName,
    MaximumLength,
    RoleSelection,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityAC,
    UserIdentityRQ,
)

__all__ = [
    "APPLICATION_CONTEXT_NAME",
    "USER_SUB_ITEMS",
    "AbstractSyntax",
    "ApplicationContext",
    "AsynchronousOperationsWindow",
    "ImplementationClassUID",
    "ImplementationVersionName",
    "Item",
    "MaximumLength",
    "PresentationContextAC",
    "PresentationContextRQ",
    "RoleSelection",
    "SOPClassCommonExtendedNegotiation",
    "SOPClassExtendedNegotiation",
    "TransferSyntax",
    "UnknownItem",
    "UserIdentityAC",
    "UserIdentityRQ",
    "UserInformation",
    "decode_association_item",
    "first",
    "of_type",
]

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1, the only one that DICOM defines


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationContext(Item):
    """Application Context Item."""

    ITEM_TYPE = 0x10
    IS_UID = True
    LAYOUT = Layout(
        "9-12",
        "Application Context Item",
        "item_type" / Fixed(0x10),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "name" / UID(),  # 5-xxx
    )
    name: str = APPLICATION_CONTEXT_NAME


@dataclass(frozen=True, kw_only=True, slots=True)
class AbstractSyntax(Item):
    """Abstract Syntax Sub-Item."""

    ITEM_TYPE = 0x30
    IS_UID = True
    LAYOUT = Layout(
        "9-14",
        "Abstract Syntax Sub-Item",
        "item_type" / Fixed(0x30),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "name" / UID(),  # 5-xxx
    )
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferSyntax(Item):
    """Transfer Syntax Sub-Item (Table 9-19 in the A-ASSOCIATE-AC is the same)."""

    ITEM_TYPE = 0x40
    IS_UID = True
    LAYOUT = Layout(
        "9-15",
        "Transfer Syntax Sub-Item",
        "item_type" / Fixed(0x40),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "name" / UID(),  # 5-xxx
    )
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PresentationContextRQ(Item):
    """Presentation Context Item of the A-ASSOCIATE-RQ: an abstract syntax and the transfer syntaxes offered for it."""

    ITEM_TYPE = 0x20
    LAYOUT = Layout(
        "9-13",
        "Presentation Context Item",
        "item_type" / Fixed(0x20),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "context_id" / Int8,  # 5
        Reserved(),  # 6
        Reserved(),  # 7
        Reserved(),  # 8
        "sub_items" / ItemsToEnd(decoder(AbstractSyntax, TransferSyntax)),  # 9-xxx
        name="Presentation Context Item, A-ASSOCIATE-RQ",
    )
    context_id: int
    """Odd, 1 to 255, used once in the association."""
    sub_items: tuple[AbstractSyntax | TransferSyntax | UnknownItem, ...]
    """One abstract syntax, one or more transfer syntaxes."""

    @classmethod
    def propose(cls, context_id: int, abstract_syntax: str, transfer_syntaxes: Sequence[str]) -> Self:
        """The item as it should be: the abstract syntax, then the transfer syntaxes in order of preference."""
        syntaxes = tuple(TransferSyntax(name=name) for name in transfer_syntaxes)
        return cls(context_id=context_id, sub_items=(AbstractSyntax(name=abstract_syntax), *syntaxes))

    @property
    def abstract_syntax(self) -> str | None:
        """The abstract syntax name, None when the sub-item is missing."""
        item = first(self.sub_items, AbstractSyntax)
        return None if item is None else item.name

    @property
    def transfer_syntaxes(self) -> tuple[str, ...]:
        """The transfer syntax names, in the order offered."""
        return tuple(item.name for item in of_type(self.sub_items, TransferSyntax))


@dataclass(frozen=True, kw_only=True, slots=True)
class PresentationContextAC(Item):
    """Presentation Context Item of the A-ASSOCIATE-AC: the answer to one proposed context."""

    ITEM_TYPE = 0x21
    LAYOUT = Layout(
        "9-18",
        "Presentation Context Item",
        "item_type" / Fixed(0x21),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "context_id" / Int8,  # 5
        Reserved(),  # 6
        "result" / Int8,  # 7
        Reserved(),  # 8
        "sub_items" / ItemsToEnd(decoder(TransferSyntax)),  # 9-xxx
        name="Presentation Context Item, A-ASSOCIATE-AC",
    )
    context_id: int
    result: int
    """0 acceptance, 1 user-rejection, 2 no reason, 3 abstract syntax, 4 transfer syntaxes not supported."""
    sub_items: tuple[TransferSyntax | UnknownItem, ...]
    """One transfer syntax; not significant, and not tested, unless the result is 0."""

    @classmethod
    def decode(cls, octets: bytes, deviations: list[Deviation]) -> Self:
        """See `Item`; the syntax of a context that was not accepted is not tested (Table 9-18)."""
        known = len(deviations)
        item = super(PresentationContextAC, cls).decode(octets, deviations)
        if item.result:
            del deviations[known:]
        return item

    @classmethod
    def answer(cls, context_id: int, result: int, transfer_syntax: str) -> Self:
        """The item as it should be."""
        return cls(context_id=context_id, result=result, sub_items=(TransferSyntax(name=transfer_syntax),))

    @property
    def transfer_syntax(self) -> str | None:
        """The transfer syntax name, None when the sub-item is missing."""
        item = first(self.sub_items, TransferSyntax)
        return None if item is None else item.name


@dataclass(frozen=True, kw_only=True, slots=True)
class UserInformation(Item):
    """User Information Item: its sub-items in any order (PS3.8 9.3.2.3), sent in ascending order of type."""

    ITEM_TYPE = 0x50
    LAYOUT = Layout(
        "9-16",
        "User Information Item",
        "item_type" / Fixed(0x50),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "sub_items" / ItemsToEnd(decoder(*USER_SUB_ITEMS)),  # 5-xxx
    )
    sub_items: tuple[Any, ...]


decode_association_item = decoder(ApplicationContext, PresentationContextRQ, PresentationContextAC, UserInformation)
"""The variable items of the A-ASSOCIATE PDUs (Tables 9-11 and 9-17)."""
