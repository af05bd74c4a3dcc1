"""Items and sub-items of the A-ASSOCIATE PDUs: PS3.8 9.3.2, 9.3.3 and Annex D, PS3.7 D.3.3.

One frozen dataclass and one layout for each, in the standard's order. An item of a type that the standard (or this
edition of it) doesn't know is kept as `UnknownItem` and otherwise skipped, as PS3.8 9.3.1 asks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self, TypeVar

from dulcet.ul.deviation import Deviation
from dulcet.ul.fields import (
    UID,
    Fixed,
    Int8,
    Int16,
    Int32,
    ItemsToEnd,
    Layout,
    LengthOf,
    OctetsToEnd,
    PrefixedUIDs,
    Reserved,
    Sized,
    Text,
)

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1, the only one that DICOM defines


class Item:
    """Base: an item knows its type, its layout, and encodes itself."""

    __slots__ = ()
    ITEM_TYPE: ClassVar[int]
    LAYOUT: ClassVar[Layout]
    _NAMES: ClassVar[tuple[str, ...] | None] = None

    def encode(self) -> bytes:
        """Header and body as they go over the wire; ValueError for a field that can't be encoded."""
        return self.LAYOUT.encode({name: getattr(self, name) for name in self._field_names()})

    @classmethod
    def decode(cls, octets: bytes, deviations: list[Deviation]) -> Self:
        """One whole item, header included; DecodeError names the table and field that was wrong."""
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
        """As it came."""
        return bytes((self.item_type, 0)) + len(self.octets).to_bytes(2, "big") + self.octets


def _decoder(*known: type[Item]) -> Callable[[bytes, list[Deviation]], Any]:
    by_type = {item.ITEM_TYPE: item for item in known}

    def decode_item(octets: bytes, deviations: list[Deviation]) -> Any:
        item = by_type.get(octets[0])
        if item is None:
            return UnknownItem(item_type=octets[0], octets=octets[4:])
        return item.decode(octets, deviations)

    return decode_item


@dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationContext(Item):
    """Application Context Item."""

    ITEM_TYPE = 0x10
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
    LAYOUT = Layout(
        "9-15",
        "Transfer Syntax Sub-Item",
        "item_type" / Fixed(0x40),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "name" / UID(),  # 5-xxx
    )
    name: str


_SubItem = TypeVar("_SubItem")


def of_type(items: Sequence[Any], item_type: type[_SubItem]) -> tuple[_SubItem, ...]:
    """The items of one class, in the order of the wire."""
    return tuple(item for item in items if isinstance(item, item_type))


def first(items: Sequence[Any], item_type: type[_SubItem]) -> _SubItem | None:
    """The first item of one class; the standard allows one of most."""
    return next((item for item in items if isinstance(item, item_type)), None)


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
        "sub_items" / ItemsToEnd(_decoder(AbstractSyntax, TransferSyntax)),  # 9-xxx
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
        "sub_items" / ItemsToEnd(_decoder(TransferSyntax)),  # 9-xxx
        name="Presentation Context Item, A-ASSOCIATE-AC",
    )
    context_id: int
    result: int
    """0 acceptance, 1 user-rejection, 2 no reason, 3 abstract syntax, 4 transfer syntaxes not supported."""
    sub_items: tuple[TransferSyntax | UnknownItem, ...]
    """One transfer syntax; not significant, and not tested, unless the result is 0."""

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
class MaximumLength(Item):
    """Maximum Length Sub-Item."""

    ITEM_TYPE = 0x51
    LAYOUT = Layout(
        "D.1-1",
        "Maximum Length Sub-Item",
        "item_type" / Fixed(0x51),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "maximum_length_received" / Int32,  # 5-8
    )
    maximum_length_received: int
    """Octets after the PDU length field of the P-DATA-TF PDUs that the sender of this is ready to receive; 0: any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImplementationClassUID(Item):
    """Implementation Class UID Sub-Item."""

    ITEM_TYPE = 0x52
    LAYOUT = Layout(
        "D.3-1",
        "Implementation Class UID Sub-Item",
        "item_type" / Fixed(0x52),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "uid" / UID(),  # 5-xxx
    )
    uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AsynchronousOperationsWindow(Item):
    """Asynchronous Operations Window Sub-Item; 0 is unlimited, absent means 1 and 1."""

    ITEM_TYPE = 0x53
    LAYOUT = Layout(
        "D.3-7",
        "Asynchronous Operations Window Sub-Item",
        "item_type" / Fixed(0x53),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "maximum_number_operations_invoked" / Int16,  # 5-6
        "maximum_number_operations_performed" / Int16,  # 7-8
    )
    maximum_number_operations_invoked: int
    """By the association-requestor, in both PDUs."""
    maximum_number_operations_performed: int
    """By the association-requestor, in both PDUs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleSelection(Item):
    """SCP/SCU Role Selection Sub-Item."""

    ITEM_TYPE = 0x54
    LAYOUT = Layout(
        "D.3-9",
        "SCP/SCU Role Selection Sub-Item",
        "item_type" / Fixed(0x54),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "uid_length" / LengthOf("sop_class_uid"),  # 5-6
        "sop_class_uid" / Sized("uid_length", UID()),  # 7-xxx
        "scu_role" / Int8,  # xxx
        "scp_role" / Int8,  # xxx
    )
    sop_class_uid: str
    scu_role: int
    """1: the association-requestor is, or may be, SCU of the class."""
    scp_role: int
    """1: the association-requestor is, or may be, SCP of the class."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImplementationVersionName(Item):
    """Implementation Version Name Sub-Item, 1 to 16 characters."""

    ITEM_TYPE = 0x55
    LAYOUT = Layout(
        "D.3-3",
        "Implementation Version Name Sub-Item",
        "item_type" / Fixed(0x55),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "name" / Text(),  # 5-xxx
    )
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SOPClassExtendedNegotiation(Item):
    """SOP Class Extended Negotiation Sub-Item."""

    ITEM_TYPE = 0x56
    LAYOUT = Layout(
        "D.3-11",
        "SOP Class Extended Negotiation Sub-Item",
        "item_type" / Fixed(0x56),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "sop_class_uid_length" / LengthOf("sop_class_uid"),  # 5-6
        "sop_class_uid" / Sized("sop_class_uid_length", UID()),  # 7-xxx
        "service_class_application_information" / OctetsToEnd,  # xxx
    )
    sop_class_uid: str
    service_class_application_information: bytes
    """As the service class defines it (PS3.4 C.5 for query and retrieve)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SOPClassCommonExtendedNegotiation(Item):
    """SOP Class Common Extended Negotiation Sub-Item; the second octet is a version here, not reserved."""

    ITEM_TYPE = 0x57
    LAYOUT = Layout(
        "D.3-12",
        "SOP Class Common Extended Negotiation Sub-Item",
        "item_type" / Fixed(0x57),  # 1
        "version" / Int8,  # 2
        "item_length" / Int16,  # 3-4
        "sop_class_uid_length" / LengthOf("sop_class_uid"),  # 5-6
        "sop_class_uid" / Sized("sop_class_uid_length", UID()),  # 7-xxx
        "service_class_uid_length" / LengthOf("service_class_uid"),  # xxx
        "service_class_uid" / Sized("service_class_uid_length", UID()),  # xxx
        "related_general_length" / LengthOf("related_general_sop_class_uids"),  # xxx
        "related_general_sop_class_uids" / Sized("related_general_length", PrefixedUIDs()),  # xxx
        "reserved_to_end" / OctetsToEnd,  # xxx
    )
    version: int = 0
    sop_class_uid: str
    service_class_uid: str
    related_general_sop_class_uids: tuple[str, ...] = ()
    reserved_to_end: bytes = b""
    """Sent empty in version 0; a later version's fields are skipped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UserIdentityRQ(Item):
    """User Identity Sub-Item of the A-ASSOCIATE-RQ. Its repr shows no secret."""

    ITEM_TYPE = 0x58
    LAYOUT = Layout(
        "D.3-14",
        "User Identity Sub-Item",
        "item_type" / Fixed(0x58),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "user_identity_type" / Int8,  # 5
        "positive_response_requested" / Int8,  # 6
        "primary_field_length" / LengthOf("primary_field"),  # 7-8
        "primary_field" / Sized("primary_field_length", OctetsToEnd),  # 9-xxx
        "secondary_field_length" / LengthOf("secondary_field"),  # xxx
        "secondary_field" / Sized("secondary_field_length", OctetsToEnd),  # xxx
        name="User Identity Sub-Item, A-ASSOCIATE-RQ",
    )
    user_identity_type: int
    """1 user name, 2 user name and passcode, 3 Kerberos service ticket, 4 SAML assertion, 5 JSON Web Token."""
    positive_response_requested: int
    primary_field: bytes
    secondary_field: bytes = b""
    """The passcode; empty unless the type is 2."""

    def __repr__(self) -> str:
        return f"UserIdentityRQ(user_identity_type={self.user_identity_type}, ...)"


@dataclass(frozen=True, kw_only=True, slots=True)
class UserIdentityAC(Item):
    """User Identity Sub-Item of the A-ASSOCIATE-AC."""

    ITEM_TYPE = 0x59
    LAYOUT = Layout(
        "D.3-15",
        "User Identity Sub-Item",
        "item_type" / Fixed(0x59),  # 1
        Reserved(),  # 2
        "item_length" / Int16,  # 3-4
        "server_response_length" / LengthOf("server_response"),  # 5-6
        "server_response" / Sized("server_response_length", OctetsToEnd),  # 7-xxx
        name="User Identity Sub-Item, A-ASSOCIATE-AC",
    )
    server_response: bytes = b""
    """Kerberos server ticket, SAML response or JSON Web Token; empty for the types 1 and 2."""


USER_SUB_ITEMS: tuple[type[Item], ...] = (
    MaximumLength,
    ImplementationClassUID,
    AsynchronousOperationsWindow,
    RoleSelection,
    ImplementationVersionName,
    SOPClassExtendedNegotiation,
    SOPClassCommonExtendedNegotiation,
    UserIdentityRQ,
    UserIdentityAC,
)


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
        "sub_items" / ItemsToEnd(_decoder(*USER_SUB_ITEMS)),  # 5-xxx
    )
    sub_items: tuple[Any, ...]


decode_association_item = _decoder(ApplicationContext, PresentationContextRQ, PresentationContextAC, UserInformation)
"""The variable items of the A-ASSOCIATE PDUs (Tables 9-11 and 9-17)."""
