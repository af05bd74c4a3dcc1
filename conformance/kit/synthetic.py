"""Synthetic objects, queries and command sets: what the kit stores, asks for and moves. No person's data are in them.

Data sets are made here as octets, so that a case can make them wrong; UIDs are below 2.25 and made from a hash, the
same in each run, so that a product holds a handful of objects of ours and not a handful for each run.
"""

import hashlib
from dataclasses import dataclass

from dulcet.conformance.kit import command_set
from dulcet.conformance.kit.product import CT_IMAGE_STORAGE
from dulcet.dimse.uids import STUDY_ROOT_FIND

PATIENT = "DULCET^CONFORMANCE"
PATIENT_ID = "DULCET-CONFORMANCE"
_LONG_VRS = ("OB", "OW", "SQ", "UN", "UT")


def uid(name: str) -> str:
    """A UID for a name, always the same (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(name.encode()).digest()[:15], 'big')}"


def element(tag: int, vr: str, value: str | bytes, *, explicit: bool = False) -> bytes:
    """One data element, little endian, padded to even."""
    octets = value.encode("latin-1") if isinstance(value, str) else value
    if len(octets) % 2:
        octets += b"\0" if vr in ("UI", "OB") else b" "
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    if not explicit:
        return head + len(octets).to_bytes(4, "little") + octets
    if vr in _LONG_VRS:
        return head + vr.encode() + b"\0\0" + len(octets).to_bytes(4, "little") + octets
    return head + vr.encode() + len(octets).to_bytes(2, "little") + octets


def data_set(elements: dict[int, tuple[str, str | bytes]], *, explicit: bool = False) -> bytes:
    """A data set: tag -> (VR, value), ascending."""
    return b"".join(element(tag, vr, value, explicit=explicit) for tag, (vr, value) in sorted(elements.items()))


def _us(number: int) -> bytes:
    return number.to_bytes(2, "little")


_OF_EVERY_IMAGE: dict[int, tuple[str, str | bytes]] = {
    0x00080008: ("CS", "ORIGINAL\\PRIMARY\\AXIAL"),
    0x00080016: ("UI", CT_IMAGE_STORAGE),
    0x00080020: ("DA", "20260101"),
    0x00080030: ("TM", "120000"),
    0x00080050: ("SH", "DULCET"),
    0x00080060: ("CS", "CT"),
    0x00080070: ("LO", "dulcet"),
    0x00080090: ("PN", ""),
    0x00100010: ("PN", PATIENT),
    0x00100020: ("LO", PATIENT_ID),
    0x00100030: ("DA", ""),
    0x00100040: ("CS", "O"),
    0x00200010: ("SH", "DULCET"),
    0x00200011: ("IS", "1"),
    0x00200013: ("IS", "1"),
    0x00280002: ("US", _us(1)),
    0x00280004: ("CS", "MONOCHROME2"),
    0x00280100: ("US", _us(16)),
    0x00280101: ("US", _us(16)),
    0x00280102: ("US", _us(15)),
    0x00280103: ("US", _us(0)),
}


@dataclass(frozen=True, slots=True)
class Image:
    """A CT image of noise."""

    sop_class: str
    instance: str
    data: bytes
    """In the transfer syntax asked for."""


def ct_image(
    *,
    uid_suffix: str = "1",
    side: int = 64,
    explicit: bool = False,
    series: str = "series",
    study: str = "study",
    overrides: dict[int, tuple[str, str | bytes]] | None = None,
) -> Image:
    """A CT image of side x side pixels, 16 bits each."""
    instance = uid(f"instance {uid_suffix}")
    pixels = hashlib.shake_128(instance.encode()).digest(side * side * 2)
    elements: dict[int, tuple[str, str | bytes]] = {
        **_OF_EVERY_IMAGE,
        0x00080018: ("UI", instance),
        0x0020000D: ("UI", uid(study)),
        0x0020000E: ("UI", uid(series)),
        0x00280010: ("US", _us(side)),
        0x00280011: ("US", _us(side)),
        0x7FE00010: ("OW", pixels),
    }
    elements |= overrides or {}
    return Image(CT_IMAGE_STORAGE, instance, data_set(elements, explicit=explicit))


def store_rq(message_id: int, image: Image, **others: int | str | bytes | None) -> bytes:
    """A C-STORE-RQ; `others` are more elements by tag: `x1030="DULCET"`; None leaves one out."""
    values: dict[int, int | str | bytes | None] = {
        0x0002: image.sop_class,
        0x0100: command_set.C_STORE_RQ,
        0x0110: message_id,
        0x0700: 0,
        0x0800: command_set.DATA_SET,
        0x1000: image.instance,
    }
    return command_set.encode(values | {int(name[1:], 16): value for name, value in others.items()})


def find_rq(message_id: int, sop_class: str = STUDY_ROOT_FIND, **others: int | str | bytes | None) -> bytes:
    """A C-FIND-RQ."""
    return query_rq(command_set.C_FIND_RQ, message_id, sop_class, **others)


def query_rq(field: int, message_id: int, sop_class: str, **others: int | str | bytes | None) -> bytes:
    """A C-FIND-RQ, C-GET-RQ or C-MOVE-RQ; `x0600` is the move destination."""
    values: dict[int, int | str | bytes | None] = {
        0x0002: sop_class,
        0x0100: field,
        0x0110: message_id,
        0x0700: 0,
        0x0800: command_set.DATA_SET,
    }
    return command_set.encode(values | {int(name[1:], 16): value for name, value in others.items()})


def cancel_rq(message_id: int) -> bytes:
    """A C-CANCEL-RQ (PS3.7 Table 9.3-5)."""
    return command_set.encode({0x0100: command_set.C_CANCEL_RQ, 0x0120: message_id, 0x0800: command_set.NO_DATA_SET})


def study_query(**keys: str) -> bytes:
    """An identifier at STUDY level, Implicit VR; `x0020000D="1.2.3"` sets a key, others are asked for."""
    return query("STUDY", {0x00080020: "", 0x00100010: "", 0x00100020: "", 0x0020000D: ""}, **keys)


def query(level: str | None, wanted: dict[int, str], **keys: str) -> bytes:
    """An identifier, Implicit VR; no level when None."""
    elements: dict[int, tuple[str, str | bytes]] = {tag: (_vr(tag), value) for tag, value in wanted.items()}
    if level is not None:
        elements[0x00080052] = ("CS", level)
    elements |= {int(name[1:], 16): (_vr(int(name[1:], 16)), value) for name, value in keys.items()}
    return data_set(elements)


def _vr(tag: int) -> str:
    return "UI" if tag in (0x0020000D, 0x0020000E, 0x00080018) else "LO"


def elements_of(octets: bytes, *, explicit: bool = False) -> list[tuple[int, bytes]]:
    """(tag, value) of the top-level elements of a data set, as far as they can be told apart; group lengths too."""
    found, start = [], 0
    while start + 8 <= len(octets):
        group, number = (int.from_bytes(octets[start + at : start + at + 2], "little") for at in (0, 2))
        if explicit and octets[start + 4 : start + 6].decode("latin-1") in _LONG_VRS:
            length, value = int.from_bytes(octets[start + 8 : start + 12], "little"), start + 12
        elif explicit:
            length, value = int.from_bytes(octets[start + 6 : start + 8], "little"), start + 8
        else:
            length, value = int.from_bytes(octets[start + 4 : start + 8], "little"), start + 8
        if length == 0xFFFFFFFF:
            end = octets.find(b"\xfe\xff\xdd\xe0\0\0\0\0", value)
            length = (end + 8 if end >= 0 else len(octets)) - value
        found.append((group << 16 | number, octets[value : value + length]))
        start = value + length
    return found
