"""DICOM files: the preamble, the prefix and the File Meta Information (PS3.10 7.1), read and written without pydicom.

Reading is tolerant, since files are old and their writers were many: what is missing is taken from the data set or
left empty, and who asked for it decides whether it can do without. Writing is strict.
"""

import os
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from dulcet.dimse.transfer_syntaxes import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
)
from dulcet.errors import DamagedFileError, DecodeError, NotDICOMError
from dulcet.services.storing.data_set_walk import DataSetWalk
from dulcet.services.value_representations import (
    KNOWN_VRS,
    UNDEFINED_LENGTH,
    VRS_WITH_16_BIT_LENGTH,
    VRS_WITH_32_BIT_LENGTH,
)
from dulcet.ul.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

PREAMBLE_OCTETS = 128
PREFIX = b"DICM"
READ_OCTETS = 4096  # one page: File Meta Information has some 200 to 400 octets
MAX_SEARCHED_OCTETS = 64 * 1024  # of a data set, for its SOP Class and SOP Instance UIDs, which come early
MAX_META_ELEMENTS = 1000  # real files have 7 to 12; the bound keeps a hostile one from being read element by element
MAX_UID_OCTETS = 128  # twice what a UID may have; what is longer is cut, and then is no UID

SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX = 0x0002, 0x0003, 0x0010  # elements of group 0002, PS3.10 Table 7.1-1

_ELEMENT = struct.Struct("<HH2sH")
_LENGTH = struct.Struct("<I")
_LONG = struct.Struct("<HH2sHI")
_VERSION = _LONG.pack(2, 1, b"OB", 0, 2) + b"\0\1"  # File Meta Information Version 1, PS3.10 Table 7.1-1
_UID_CHARACTERS = tuple(b"%c" % octet for octet in b"0123456789.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part10Header:
    """What a DICOM file says of itself before its data set. A UID that it does not tell is ""."""

    sop_class_uid: str
    """SOP Class UID (0008,0016), or else Media Storage SOP Class UID (0002,0002). As it is: it need not be a UID."""
    sop_instance_uid: str
    """SOP Instance UID (0008,0018), or else Media Storage SOP Instance UID (0002,0003). As it is."""
    transfer_syntax_uid: str
    """Transfer Syntax UID (0002,0010), or else what the data set looks like. As it is."""
    data_set_offset: int
    """Octets before the data set."""
    file_size: int
    """Octets of the file."""


def read_header(descriptor: int) -> Part10Header:
    """Read the File Meta Information of an open file by `pread`; its position is neither used nor moved.

    Understood besides what PS3.10 asks for: no group length or a wrong one, no preamble, no File Meta Information.
    Raises DamagedFileError for a file with the prefix whose File Meta Information is cut or does not end, NotDICOMError
    for everything else, each with a sentence, and OSError when the file can't be read. Memory: 64 KiB.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise NotDICOMError("it is not a file")
    size = status.st_size
    head = os.pread(descriptor, READ_OCTETS, 0)
    offset = _meta_information_offset(head)
    meta = _read_meta_information(descriptor, head, offset, size)
    uids = meta.uids
    if not (len(uids) == 3 and all(uids.values()) and _agree(head, meta)):
        uids = _look_into_data_set(descriptor, meta)
        if not offset and not (uids[SOP_CLASS] or uids[SOP_INSTANCE]):
            raise NotDICOMError("it is not a DICOM file: it begins like a data set, but names no SOP class or instance")
    return Part10Header(
        sop_class_uid=_text(uids[SOP_CLASS]),
        sop_instance_uid=_text(uids[SOP_INSTANCE]),
        transfer_syntax_uid=_text(uids[TRANSFER_SYNTAX]),
        data_set_offset=meta.end,
        file_size=size,
    )


class _MetaInformation(NamedTuple):
    uids: dict[int, bytes]
    """By element of group 0002, without padding; those that are there."""
    end: int
    """Where the data set begins."""


def _meta_information_offset(head: bytes) -> int:
    """Where the File Meta Information begins, or without one the data set."""
    if head[PREAMBLE_OCTETS : PREAMBLE_OCTETS + 4] == PREFIX:
        return PREAMBLE_OCTETS + 4
    if head[:4] == PREFIX:
        return 4
    if _begins_like_a_data_set(head):
        return 0
    if not head:
        raise NotDICOMError("it is empty: 0 octets")
    raise NotDICOMError("it is not a DICOM file: it has no DICM prefix and does not begin like a data set")


def _begins_like_a_data_set(head: bytes) -> bool:
    """Whether the first element is of group 0002 or 0008 and has a length or a VR that it can have."""
    return head[:2] in (b"\2\0", b"\x08\0", b"\0\x08") and bool(_guess_transfer_syntax(head))


def _guess_transfer_syntax(head: bytes) -> str:
    """By the first element of a data set: Implicit VR has a length where Explicit VR has the VR (PS3.5 7.1); or ""."""
    if len(head) < 8:
        return ""
    is_explicit = head[4:6] in KNOWN_VRS
    if head[:2] == b"\0\x08":
        return EXPLICIT_VR_BIG_ENDIAN if is_explicit else ""
    if head[0] > 8 or head[1]:
        return ""
    if is_explicit:
        return EXPLICIT_VR_LITTLE_ENDIAN
    is_short = _LENGTH.unpack_from(head, 4)[0] < READ_OCTETS  # group 0008 begins with dates, character sets and UIDs
    return IMPLICIT_VR_LITTLE_ENDIAN if is_short else ""


def _read_meta_information(descriptor: int, octets: bytes, position: int, size: int) -> _MetaInformation:
    """Elements of group 0002, from `position` on; `octets` are the first of the file."""
    damaged = DamagedFileError if position else NotDICOMError  # at 0 there is no prefix: it need not be DICOM at all
    uids: dict[int, bytes] = {}
    start, end = 0, len(octets)
    for _ in range(MAX_META_ELEMENTS):
        if end - position < 12 and end < size:
            octets = os.pread(descriptor, READ_OCTETS, position)
            start, end = position, position + len(octets)
        if end - position < 8:
            break
        group, element, vr, length = _ELEMENT.unpack_from(octets, position - start)
        if group != 2:
            return _MetaInformation(uids, position)
        position += 8
        if vr not in VRS_WITH_16_BIT_LENGTH:
            # PS3.10 7.1 asks for Explicit VR, but some wrote implicit.
            at = position if vr in VRS_WITH_32_BIT_LENGTH else position - 4
            if end - at < 4:
                break
            length = _LENGTH.unpack_from(octets, at - start)[0]
            position = at + 4
        if element in (SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX):
            wanted = min(length, MAX_UID_OCTETS)
            value = octets[position - start : position - start + wanted]
            if len(value) < wanted:
                value = os.pread(descriptor, wanted, position)
            uids[element] = value.rstrip(b"\0 ")
        position += length
        if length == UNDEFINED_LENGTH or position > size:
            raise damaged(f"its File Meta Information is damaged: (0002,{element:04X}) goes beyond its end")
    else:
        raise damaged("its File Meta Information does not end")
    return _MetaInformation(uids, min(position, size))


def _agree(head: bytes, meta: _MetaInformation) -> bool:
    """Whether the data set is quickly seen to have the same UIDs (a Little Endian element without a longer header)."""
    for tag, element in ((b"\x08\0\x16\0", SOP_CLASS), (b"\x08\0\x18\0", SOP_INSTANCE)):
        start = head.find(tag, meta.end) + 8
        end = start + len(meta.uids[element])
        if start < 8 or head[start:end] != meta.uids[element] or head[end : end + 1] in _UID_CHARACTERS:
            return False
    return True


def _look_into_data_set(descriptor: int, meta: _MetaInformation) -> dict[int, bytes]:
    """What the data set says of itself, and what it does not say as the File Meta Information has it.

    The two shall be equal (PS3.10 Table 7.1-1). Where they aren't, a peer will compare the data set with the request.
    """
    uids = dict.fromkeys((SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX), b"") | meta.uids
    octets = os.pread(descriptor, MAX_SEARCHED_OCTETS, meta.end)
    if not uids[TRANSFER_SYNTAX]:
        uids[TRANSFER_SYNTAX] = _guess_transfer_syntax(octets).encode()
    walk = DataSetWalk(_text(uids[TRANSFER_SYNTAX]))
    with suppress(DecodeError):  # what came before the error may have told enough
        walk.feed(octets)
    uids[SOP_CLASS] = walk.sop_class_uid or uids[SOP_CLASS]
    uids[SOP_INSTANCE] = walk.sop_instance_uid or uids[SOP_INSTANCE]
    return uids


def _text(octets: bytes) -> str:
    return octets.decode("ascii", "surrogateescape")


def encode_header(
    *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae_title: str = ""
) -> bytes:
    """The preamble, all zero, the prefix and the File Meta Information of a file that dulcet writes (PS3.10 7.1).

    `source_ae_title` comes from a peer: it is left out unless it is 1 to 16 printable characters without a backslash.
    """
    before, after = _around_instance(sop_class_uid, transfer_syntax_uid, source_ae_title)
    instance = _element(SOP_INSTANCE, b"UI", sop_instance_uid)
    length = len(before) + len(instance) + len(after)
    return b"".join((_BEFORE_GROUP_LENGTH, _LENGTH.pack(length), before, instance, after))


@lru_cache(maxsize=256)
def _around_instance(sop_class_uid: str, transfer_syntax_uid: str, source_ae_title: str) -> tuple[bytes, bytes]:
    """The elements before and after Media Storage SOP Instance UID, which alone tells objects of a kind apart."""
    after = _element(TRANSFER_SYNTAX, b"UI", transfer_syntax_uid) + _IMPLEMENTATION
    title = source_ae_title.strip(" ")
    if 0 < len(title) <= 16 and title.isascii() and title.isprintable() and "\\" not in title:
        after += _element(0x0016, b"AE", title)
    return _VERSION + _element(SOP_CLASS, b"UI", sop_class_uid), after


def _element(element: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii")
    if len(value) & 1:
        value += b"\0" if vr == b"UI" else b" "  # PS3.5 6.2, 9.1
    return _ELEMENT.pack(2, element, vr, len(value)) + value


_BEFORE_GROUP_LENGTH = bytes(PREAMBLE_OCTETS) + PREFIX + _ELEMENT.pack(2, 0, b"UL", 4)
_IMPLEMENTATION = _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID) + _element(
    0x0013, b"SH", IMPLEMENTATION_VERSION_NAME
)
