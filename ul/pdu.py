"""The seven PDUs of the DICOM Upper Layer: PS3.8 9.3.

One frozen dataclass and one layout for each. They are the primitives as well: what an A-ASSOCIATE request carries is
what its PDU carries, so `Connection.send(AAssociateRQ(...))` is the request and an indicated `AAssociateRQ` the
indication.
"""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from dulcet.errors import DecodeError
from dulcet.ul import pdata
from dulcet.ul.deviation import Deviation
from dulcet.ul.fields import AETitle, AETitleField, Fixed, Int8, Int16, Int32, ItemsToEnd, Layout, Reserved
from dulcet.ul.items import (
    ApplicationContext,
    AsynchronousOperationsWindow,
    ImplementationClassUID,
    ImplementationVersionName,
    Item,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    RoleSelection,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UnknownItem,
    UserIdentityAC,
    UserIdentityRQ,
    UserInformation,
    decode_association_item,
    first,
    of_type,
)
from dulcet.ul.pdata import PDU_HEADER_OCTETS, PresentationDataValue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROTOCOL_VERSION = 1  # bit 0; a receiver tests only this bit (PS3.8 Table 9-11)


class PDU:
    """Base: a PDU knows its type, its name, its layout, and encodes itself."""

    __slots__ = ()
    PDU_TYPE: ClassVar[int]
    NAME: ClassVar[str]
    LAYOUT: ClassVar[Layout]

    def encode(self) -> bytes:
        """The whole PDU; ValueError for a field that can't be encoded."""
        return self.LAYOUT.encode({field.name: getattr(self, field.name) for field in fields(self)})  # type: ignore[arg-type]

    @classmethod
    def decode(cls, octets: bytes, deviations: list[Deviation]) -> Self:
        """One whole PDU, header included; DecodeError names the table and field that was wrong."""
        decoded: Mapping[str, Any] = cls.LAYOUT.decode(octets, deviations)
        return cls(**{field.name: decoded[field.name] for field in fields(cls)})  # type: ignore[arg-type]


class _Association(PDU):
    """What A-ASSOCIATE-RQ and A-ASSOCIATE-AC have in common: the variable items and short ways to them."""

    __slots__ = ()
    items: tuple[Any, ...]

    @property
    def application_context_name(self) -> str | None:
        """None when the item is missing."""
        item = first(self.items, ApplicationContext)
        return None if item is None else item.name

    @property
    def user_information(self) -> UserInformation | None:
        """None when the item is missing."""
        return first(self.items, UserInformation)

    @property
    def user_items(self) -> tuple[Any, ...]:
        """The sub-items of the User Information Item, in the order of the wire."""
        return () if self.user_information is None else self.user_information.sub_items

    @property
    def maximum_length_received(self) -> int | None:
        """None when the sub-item is missing."""
        item = first(self.user_items, MaximumLength)
        return None if item is None else item.maximum_length_received

    @property
    def implementation_class_uid(self) -> str | None:
        """None when the sub-item is missing."""
        item = first(self.user_items, ImplementationClassUID)
        return None if item is None else item.uid

    @property
    def implementation_version_name(self) -> str | None:
        """None when the sub-item is missing."""
        item = first(self.user_items, ImplementationVersionName)
        return None if item is None else item.name

    @property
    def asynchronous_operations_window(self) -> AsynchronousOperationsWindow | None:
        """None when the sub-item is missing: one operation each way."""
        return first(self.user_items, AsynchronousOperationsWindow)

    @property
    def role_selections(self) -> tuple[RoleSelection, ...]:
        """One for each SOP class whose roles are negotiated."""
        return of_type(self.user_items, RoleSelection)

    @property
    def sop_class_extended_negotiations(self) -> tuple[SOPClassExtendedNegotiation, ...]:
        """One for each SOP class with application information."""
        return of_type(self.user_items, SOPClassExtendedNegotiation)

    @property
    def sop_class_common_extended_negotiations(self) -> tuple[SOPClassCommonExtendedNegotiation, ...]:
        """One for each SOP class with a service class and related general classes."""
        return of_type(self.user_items, SOPClassCommonExtendedNegotiation)


@dataclass(frozen=True, kw_only=True, slots=True)
class AAssociateRQ(_Association):
    """A-ASSOCIATE-RQ PDU; A-ASSOCIATE request and indication."""

    PDU_TYPE = 0x01
    NAME = "A-ASSOCIATE-RQ"
    LAYOUT = Layout(
        "9-11",
        "A-ASSOCIATE-RQ PDU",
        "pdu_type" / Fixed(0x01),  # 1
        Reserved(),  # 2
        "pdu_length" / Int32,  # 3-6
        "protocol_version" / Int16,  # 7-8
        Reserved(2),  # 9-10
        "called_ae_title" / AETitleField,  # 11-26
        "calling_ae_title" / AETitleField,  # 27-42
        "reserved" / Reserved(32),  # 43-74
        "items" / ItemsToEnd(decode_association_item),  # 75-xxx
    )
    protocol_version: int = PROTOCOL_VERSION
    called_ae_title: AETitle
    calling_ae_title: AETitle
    reserved: bytes = bytes(32)
    """Octets 43-74: sent as zero; the A-ASSOCIATE-AC returns them as received."""
    items: tuple[ApplicationContext | PresentationContextRQ | UserInformation | UnknownItem | Item, ...]
    """One application context, one or more presentation contexts, one user information."""

    @property
    def presentation_contexts(self) -> tuple[PresentationContextRQ, ...]:
        """The proposed contexts, in the order of the wire."""
        return of_type(self.items, PresentationContextRQ)

    @property
    def user_identity(self) -> UserIdentityRQ | None:
        """None when none was given."""
        return first(self.user_items, UserIdentityRQ)


@dataclass(frozen=True, kw_only=True, slots=True)
class AAssociateAC(_Association):
    """A-ASSOCIATE-AC PDU; A-ASSOCIATE response and confirmation, accepted."""

    PDU_TYPE = 0x02
    NAME = "A-ASSOCIATE-AC"
    LAYOUT = Layout(
        "9-17",
        "A-ASSOCIATE-AC PDU",
        "pdu_type" / Fixed(0x02),  # 1
        Reserved(),  # 2
        "pdu_length" / Int32,  # 3-6
        "protocol_version" / Int16,  # 7-8
        Reserved(2),  # 9-10
        "called_ae_title" / AETitleField,  # 11-26
        "calling_ae_title" / AETitleField,  # 27-42
        "reserved" / Reserved(32),  # 43-74
        "items" / ItemsToEnd(decode_association_item),  # 75-xxx
    )
    protocol_version: int = PROTOCOL_VERSION
    called_ae_title: AETitle
    """Octets 11-26, reserved: sent as they were in the A-ASSOCIATE-RQ, not tested when received."""
    calling_ae_title: AETitle
    """Octets 27-42, reserved: sent as they were in the A-ASSOCIATE-RQ, not tested when received."""
    reserved: bytes = bytes(32)
    """Octets 43-74, reserved: sent as they were in the A-ASSOCIATE-RQ, not tested when received."""
    items: tuple[ApplicationContext | PresentationContextAC | UserInformation | UnknownItem | Item, ...]
    """One application context, one answer for each proposed context, one user information."""

    @property
    def presentation_contexts(self) -> tuple[PresentationContextAC, ...]:
        """The answers, in the order of the wire."""
        return of_type(self.items, PresentationContextAC)

    @property
    def user_identity(self) -> UserIdentityAC | None:
        """None when there is no answer to a user identity."""
        return first(self.user_items, UserIdentityAC)


@dataclass(frozen=True, kw_only=True, slots=True)
class AAssociateRJ(PDU):
    """A-ASSOCIATE-RJ PDU; A-ASSOCIATE response and confirmation, rejected."""

    PDU_TYPE = 0x03
    NAME = "A-ASSOCIATE-RJ"
    LAYOUT = Layout(
        "9-21",
        "A-ASSOCIATE-RJ PDU",
        "pdu_type" / Fixed(0x03),  # 1
        Reserved(),  # 2
        "pdu_length" / Int32,  # 3-6
        Reserved(),  # 7
        "result" / Int8,  # 8
        "source" / Int8,  # 9
        "reason" / Int8,  # 10
    )
    result: int
    """1 rejected-permanent, 2 rejected-transient."""
    source: int
    """1 service-user, 2 service-provider (ACSE), 3 service-provider (Presentation)."""
    reason: int
    """Its meaning depends on the source: `dulcet.ul.reasons.explain_rejection`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PDataTF(PDU):
    """P-DATA-TF PDU; P-DATA request and indication. `framing` packs and unpacks the same octets faster."""

    PDU_TYPE = 0x04
    NAME = "P-DATA-TF"
    LAYOUT = pdata.P_DATA_TF
    values: tuple[PresentationDataValue, ...]
    """One or more; all of one message (PS3.8 9.3.5.1)."""

    def encode(self) -> bytes:
        """The whole PDU, joined; to send without a copy use `pdata.pack`."""
        return b"".join(pdata.pack(self.values))

    @classmethod
    def decode(cls, octets: bytes | memoryview, deviations: list[Deviation]) -> Self:
        """One whole PDU; the fragments are views of `octets`."""
        return cls(values=pdata.unpack(octets, deviations))


@dataclass(frozen=True, kw_only=True, slots=True)
class AReleaseRQ(PDU):
    """A-RELEASE-RQ PDU; A-RELEASE request and indication."""

    PDU_TYPE = 0x05
    NAME = "A-RELEASE-RQ"
    LAYOUT = Layout(
        "9-24",
        "A-RELEASE-RQ PDU",
        "pdu_type" / Fixed(0x05),  # 1
        Reserved(),  # 2
        "pdu_length" / Int32,  # 3-6
        Reserved(4),  # 7-10
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class AReleaseRP(PDU):
    """A-RELEASE-RP PDU; A-RELEASE response and confirmation, always affirmative."""

    PDU_TYPE = 0x06
    NAME = "A-RELEASE-RP"
    LAYOUT = Layout(
        "9-25",
        "A-RELEASE-RP PDU",
        "pdu_type" / Fixed(0x06),  # 1
        Reserved(),  # 2
        "pdu_length" / Int32,  # 3-6
        Reserved(4),  # 7-10
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class AAbort(PDU):
    """A-ABORT PDU; A-ABORT request and indication (source 0), A-P-ABORT indication (source 2)."""

    PDU_TYPE = 0x07
    NAME = "A-ABORT"
    LAYOUT = Layout(
        "9-26",
        "A-ABORT PDU",
        "pdu_type" / Fixed(0x07),  # 1
        Reserved(),  # 2
        "pdu_length" / Int32,  # 3-6
        Reserved(),  # 7
        Reserved(),  # 8
        "source" / Int8,  # 9
        "reason" / Int8,  # 10
    )
    source: int = 0
    """0 service-user, 2 service-provider."""
    reason: int = 0
    """Significant when the source is 2: 1 unrecognized-PDU, 2 unexpected-PDU, 4, 5, 6 a parameter of it."""


AnyPDU = AAssociateRQ | AAssociateAC | AAssociateRJ | PDataTF | AReleaseRQ | AReleaseRP | AAbort

PDU_TYPES: dict[int, type[AnyPDU]] = {
    pdu.PDU_TYPE: pdu for pdu in (AAssociateRQ, AAssociateAC, AAssociateRJ, PDataTF, AReleaseRQ, AReleaseRP, AAbort)
}


class DecodedPDU(NamedTuple):
    """A PDU and what its sender got wrong."""

    pdu: AnyPDU
    deviations: tuple[Deviation, ...]


def decode_pdu(octets: bytes | bytearray | memoryview) -> DecodedPDU:
    """Decode one whole PDU, header included. DecodeError says where it is not what the standard's table says.

    Fragments of a P-DATA-TF are views of `octets`; everything else is a copy. PS3.8 9.3.
    """
    if len(octets) < PDU_HEADER_OCTETS:
        raise DecodeError(f"{len(octets)} octets, a PDU header has {PDU_HEADER_OCTETS}", table="PS3.8 9.3.1")
    pdu_type = PDU_TYPES.get(octets[0])
    if pdu_type is None:
        raise DecodeError(
            f"type {octets[0]:02X}H is not a PDU type", table="PS3.8 9.3.1", field="pdu_type", abort_reason=1
        )
    deviations: list[Deviation] = []
    decode: Callable[..., AnyPDU] = pdu_type.decode
    view = octets if pdu_type is PDataTF else bytes(octets)
    return DecodedPDU(decode(view, deviations), tuple(deviations))
