"""What lies in a storage directory, and what an object there says of itself: where an index comes from.

The directory is as `services.storing.storage_directory` keeps it: `1f/1.2.840.113619.2.5.dcm`. An object that came
with the UID of another and other contents lies beside it with a digest in its name, and an index does not have it: one
UID is one instance. The name of a file is enough to find it.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from dulcet.dimse.transfer_syntaxes import TRANSFER_SYNTAXES
from dulcet.errors import DecodeError, NotDICOMError
from dulcet.services.part10 import Part10Header, read_header
from dulcet.services.querying.attributes import ATTRIBUTES, IN_OBJECTS
from dulcet.services.querying.character_sets import decode_text
from dulcet.services.querying.head import read_head
from dulcet.services.storing.storage_directory import shard_of
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET

SHARDS = tuple(f"{number:02x}" for number in range(256))
OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
MAX_VALUE_CHARACTERS = 4096  # kept of a value; PS3.5 6.2 gives most 64, comments more

_NAME = re.compile(r"([0-9.]{1,64})(?:~([0-9a-f]{12}|[0-9a-f]{64}))?\.dcm")
_OLD_DATE = re.compile(r"(\d{4})\.(\d\d)\.(\d\d)", re.ASCII)
_READ = {one.tag: (one.name, one.vr) for one in ATTRIBUTES if not one.is_derived}
_SINGLE_VALUE_VRS = ("LT", "ST", "UT", "UR")


class Listed(NamedTuple):
    """A file in the directory."""

    sop_instance_uid: str
    size: int
    modified: int
    """Nanoseconds since 1970."""
    digest: str = ""
    """Of an object that lies beside another with its UID."""

    @property
    def name(self) -> str:
        """Of the file."""
        return name_of(self.sop_instance_uid, self.digest)


@dataclass(frozen=True, slots=True)
class Entry:
    """What an index keeps of an object."""

    header: Part10Header
    modified: int
    """Of its file, nanoseconds since 1970."""
    values: dict[str, str]
    """Of the attributes that it has, by their name: several values with a backslash between, without padding."""


class Unreadable(NamedTuple):
    """A file that no index can have an entry of."""

    listed: Listed
    reason: str
    """In a sentence, safe to show."""


def name_of(sop_instance_uid: str, digest: str = "") -> str:
    """The name of an object's file."""
    return f"{sop_instance_uid}~{digest}.dcm" if digest else f"{sop_instance_uid}.dcm"


def split_name(name: str) -> tuple[str, str]:
    """(SOP Instance UID, digest) that the name of an object's file consists of. ValueError when it is none."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError("it is not the name of an object")
    return match[1], match[2] or ""


def path_of(directory: Path, sop_instance_uid: str) -> Path:
    """Where an object lies. The UID is one of ours, or checked: only digits and dots."""
    return directory / shard_of(sop_instance_uid) / f"{sop_instance_uid}.dcm"


def list_shard(directory: Path, shard: str) -> Iterator[Listed]:
    """The objects of one shard. What isn't there has none; OSError when it can't be read."""
    try:
        entries = os.scandir(directory / shard)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None:
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(status.st_mode):
                yield Listed(match[1], status.st_size, status.st_mtime_ns, match[2] or "")


def read_entry(path: Path) -> Entry | Unreadable | None:
    """What an index keeps of a file; None when it is gone. Synchronous, some 150 microseconds: run it in a thread."""
    uid = path.name.partition("~")[0].removesuffix(".dcm")
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        return unopened(uid, error)
    try:
        return read_open_entry(descriptor, uid)
    finally:
        os.close(descriptor)


def unopened(sop_instance_uid: str, error: OSError) -> Unreadable:
    """An object that the operating system does not give."""
    return Unreadable(Listed(sop_instance_uid, 0, 0), f"it can't be opened: {error.strerror}")


def read_open_entry(descriptor: int, sop_instance_uid: str) -> Entry | Unreadable:
    """What an index keeps of an open file, which is to hold the object of that UID."""
    listed = Listed(sop_instance_uid, 0, 0)
    try:
        status = os.fstat(descriptor)
        listed = Listed(sop_instance_uid, status.st_size, status.st_mtime_ns)
        header = read_header(descriptor)
        if header.sop_instance_uid != sop_instance_uid:
            return Unreadable(listed, "its SOP Instance UID is not its name")
        if not header.sop_class_uid.isascii():
            return Unreadable(listed, "what names its SOP class is no UID")
        return Entry(header, status.st_mtime_ns, _values(read_head(descriptor, header, IN_OBJECTS), header))
    except (NotDICOMError, DecodeError) as error:
        return Unreadable(listed, str(error))
    except OSError as error:
        return Unreadable(listed, f"it can't be read: {error.strerror}")
    except Exception as error:  # one file must not keep the others from being found
        return Unreadable(listed, f"reading it failed, a fault of dulcet's own: {type(error).__name__}")


def _values(found: dict[int, bytes], header: Part10Header) -> dict[str, str]:
    character_set = found.get(SPECIFIC_CHARACTER_SET, b"").decode("ascii", "replace").strip(" \0")
    syntax = TRANSFER_SYNTAXES[header.transfer_syntax_uid]
    order: Literal["little", "big"] = "little" if syntax.little_endian else "big"
    values = {}
    for tag, octets in found.items():
        if octets and tag in _READ:
            name, vr = _READ[tag]
            text = _text(octets, vr, character_set, order)
            if text:
                values[name] = text
    return values


def _text(octets: bytes, vr: str, character_set: str, order: Literal["little", "big"]) -> str:
    if vr == "US":
        return str(int.from_bytes(octets[:2], order))
    is_plain = octets.isascii() and b"\x1b" not in octets
    # Text that can't be written again, lone surrogates, can't be kept either.
    text = (
        octets.decode("ascii") if is_plain else decode_text(octets, character_set).encode("utf-8", "replace").decode()
    )
    text = text[:MAX_VALUE_CHARACTERS].rstrip(" \0") if vr in _SINGLE_VALUE_VRS else _stripped(text)
    if vr == "DA" and "." in text:
        return _OLD_DATE.sub(r"\1\2\3", text)
    return text


def _stripped(text: str) -> str:
    text = text[:MAX_VALUE_CHARACTERS].strip(" \0")
    return "\\".join(value.strip(" \0") for value in text.split("\\")) if "\\" in text else text
