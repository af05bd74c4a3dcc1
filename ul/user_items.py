"""Sub-items of the User Information Item: PS3.8 Annex D, PS3.7 D.3.3, in the order of their types."""

from dataclasses import dataclass

from dulcet.ul.fields import (
    UID,
    Fixed,
    Int8,
    Int16,
    Int32,
    Layout,
    LengthOf,
    OctetsToEnd,
    PrefixedUIDs,
    Reserved,
    Sized,
    VersionName,
)
from dulcet.ul.item import Item


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
    IS_UID = True
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
        "name" / VersionName(),  # 5-xxx
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
        is_secret=True,
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
    """User Identity Sub-Item of the A-ASSOCIATE-AC. Its repr shows no secret."""

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
        is_secret=True,
    )
    server_response: bytes = b""
    """Kerberos server ticket, SAML response or JSON Web Token; empty for the types 1 and 2."""

    def __repr__(self) -> str:
        return "UserIdentityAC(...)"


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
