"""The octets that the kit sends: PDUs as they should be, and every way to make them wrong.

Nothing here is checked or completed: what a case writes is what goes out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from dulcet.dimse.uids import DICOM_APPLICATION_CONTEXT, IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from dulcet.ul.implementation import IMPLEMENTATION_CLASS_UID

MAXIMUM_LENGTH = 16384
UNKNOWN_UID = "1.2.826.0.1.3680043.10.999.1.2.3"  # names nothing that a product could support
COMMAND, LAST = 1, 2


def item(item_type: int, body: bytes = b"", *, reserved: int = 0, length: int | None = None) -> bytes:
    """An item or sub-item: type, reserved, length, body."""
    announced = len(body) if length is None else length
    return bytes((item_type, reserved)) + announced.to_bytes(2, "big") + body


def application_context(name: str = DICOM_APPLICATION_CONTEXT, *, reserved: int = 0) -> bytes:
    """PS3.8 Table 9-12."""
    return item(0x10, name.encode("latin-1"), reserved=reserved)


def abstract_syntax(uid: str, *, reserved: int = 0) -> bytes:
    """PS3.8 Table 9-14."""
    return item(0x30, uid.encode("latin-1"), reserved=reserved)


def transfer_syntax(uid: str, *, reserved: int = 0) -> bytes:
    """PS3.8 Table 9-15."""
    return item(0x40, uid.encode("latin-1"), reserved=reserved)


def context_of(context_id: int, *sub_items: bytes, reserved: int = 0) -> bytes:
    """PS3.8 Table 9-13, with whatever sub-items."""
    return item(0x20, bytes((context_id, reserved, reserved, reserved)) + b"".join(sub_items), reserved=reserved)


def context(context_id: int, abstract: str, *transfers: str) -> bytes:
    """PS3.8 Table 9-13, as it should be; Implicit VR Little Endian when no transfer syntax is named."""
    syntaxes = transfers or (IMPLICIT_VR_LITTLE_ENDIAN,)
    return context_of(context_id, abstract_syntax(abstract), *(transfer_syntax(uid) for uid in syntaxes))


def maximum_length(octets: int = MAXIMUM_LENGTH, *, reserved: int = 0) -> bytes:
    """PS3.8 Table D.1-1."""
    return item(0x51, octets.to_bytes(4, "big"), reserved=reserved)


def implementation_class(uid: str = IMPLEMENTATION_CLASS_UID, *, reserved: int = 0) -> bytes:
    """PS3.7 Table D.3-1."""
    return item(0x52, uid.encode("latin-1"), reserved=reserved)


def window(invoked: int, performed: int) -> bytes:
    """PS3.7 Table D.3-7."""
    return item(0x53, invoked.to_bytes(2, "big") + performed.to_bytes(2, "big"))


def with_length(text: str | bytes) -> bytes:
    """Two octets of length, then the text."""
    octets = text.encode("latin-1") if isinstance(text, str) else text
    return len(octets).to_bytes(2, "big") + octets


def role(uid: str, scu: int, scp: int) -> bytes:
    """PS3.7 Table D.3-9."""
    return item(0x54, with_length(uid) + bytes((scu, scp)))


def version_name(name: str) -> bytes:
    """PS3.7 Table D.3-3."""
    return item(0x55, name.encode("latin-1"))


def extended(uid: str, information: bytes) -> bytes:
    """PS3.7 Table D.3-11."""
    return item(0x56, with_length(uid) + information)


def common_extended(uid: str, service: str, related: Sequence[str], *, version: int = 0, tail: bytes = b"") -> bytes:
    """PS3.7 Table D.3-12."""
    classes = b"".join(with_length(name) for name in related)
    return item(0x57, with_length(uid) + with_length(service) + with_length(classes) + tail, reserved=version)


def user_identity(kind: int, primary: bytes, secondary: bytes = b"", *, response: int = 0) -> bytes:
    """PS3.7 Table D.3-14."""
    return item(0x58, bytes((kind, response)) + with_length(primary) + with_length(secondary))


def user_information(*sub_items: bytes, reserved: int = 0) -> bytes:
    """PS3.8 Table 9-16."""
    return item(0x50, b"".join(sub_items), reserved=reserved)


def pdu(pdu_type: int, body: bytes = b"", *, reserved: int = 0, length: int | None = None) -> bytes:
    """A PDU of any type, or of none."""
    announced = len(body) if length is None else length
    return bytes((pdu_type, reserved)) + announced.to_bytes(4, "big") + body


def title(text: str | bytes) -> bytes:
    """The 16 octets of an AE title, padded with spaces."""
    octets = text.encode("latin-1") if isinstance(text, str) else text
    return octets.ljust(16)[:16]


VERIFICATION_CONTEXT = context(1, VERIFICATION)


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """An A-ASSOCIATE-RQ, field by field (PS3.8 Table 9-11)."""

    called: bytes
    calling: bytes
    reserved_2: int = 0
    version: int = 1
    reserved_9_10: int = 0
    reserved_43_74: bytes = bytes(32)
    context_name: bytes = application_context()
    contexts: tuple[bytes, ...] = (VERIFICATION_CONTEXT,)
    user: tuple[bytes, ...] = (maximum_length(), implementation_class())
    """The sub-items of the User Information Item."""
    items: tuple[bytes, ...] | None = None
    """All variable items, in place of the three above."""

    def but(self, **changes: object) -> Self:
        """The same request with other fields."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def with_user(self, *sub_items: bytes) -> Self:
        """With more sub-items of the User Information Item, in ascending order of type."""
        return replace(self, user=tuple(sorted((*self.user, *sub_items), key=lambda octets: octets[0])))

    @property
    def variable_items(self) -> tuple[bytes, ...]:
        """In the order of the wire."""
        return (
            self.items if self.items is not None else (self.context_name, *self.contexts, user_information(*self.user))
        )

    def encode(self) -> bytes:
        """The whole PDU."""
        fixed = self.version.to_bytes(2, "big") + self.reserved_9_10.to_bytes(2, "big") + self.called + self.calling
        return pdu(0x01, fixed + self.reserved_43_74 + b"".join(self.variable_items), reserved=self.reserved_2)


RELEASE_RQ = pdu(0x05, bytes(4))
RELEASE_RP = pdu(0x06, bytes(4))
ABORT = pdu(0x07, bytes(4))
REJECTION = pdu(0x03, bytes((0, 1, 1, 1)))
UNKNOWN_PDU = pdu(0x55, bytes(4))


def abort(source: int, reason: int) -> bytes:
    """PS3.8 Table 9-26."""
    return pdu(0x07, bytes((0, 0, source, reason)))


def rejection(result: int, source: int, reason: int) -> bytes:
    """PS3.8 Table 9-21."""
    return pdu(0x03, bytes((0, result, source, reason)))


def pdv(context_id: int, control: int, fragment: bytes, *, length: int | None = None) -> bytes:
    """A Presentation-data-value Item (PS3.8 Table 9-23); `control` is the message control header."""
    announced = len(fragment) + 2 if length is None else length
    return announced.to_bytes(4, "big") + bytes((context_id, control)) + fragment


def p_data(*values: bytes, reserved: int = 0) -> bytes:
    """A P-DATA-TF PDU (PS3.8 Table 9-22)."""
    return pdu(0x04, b"".join(values), reserved=reserved)


def fragments(octets: bytes, size: int) -> list[bytes]:
    """Cut into pieces of `size` octets; one empty piece for nothing."""
    return [octets[start : start + size] for start in range(0, len(octets), size)] or [b""]


def message(context_id: int, command: bytes, data: bytes | None = None, *, limit: int = MAXIMUM_LENGTH) -> bytes:
    """A whole DIMSE message as P-DATA-TF PDUs of at most `limit` octets, one PDV in each (PS3.8 Annex E)."""
    size = ((limit or MAXIMUM_LENGTH) - 6) & ~1
    pdus = []
    for flag, octets in ((COMMAND, command), (0, data)):
        if octets is None:
            continue
        pieces = fragments(octets, size)
        pdus += [p_data(pdv(context_id, flag, piece)) for piece in pieces[:-1]]
        pdus.append(p_data(pdv(context_id, flag | LAST, pieces[-1])))
    return b"".join(pdus)
