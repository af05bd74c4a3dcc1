"""A file to send, and one that can't be: what `find_files` yields.

Nothing here raises for a single bad file: what can't be sent is a value, `Unusable`, beside what can, so that a report
names every file. Names are raw, as the file system or an archive has them: `dulcet.escape.quote` them before showing.
"""

import os
import re
from dataclasses import dataclass
from enum import Enum
from typing import Self

from dulcet.dimse.uids import TRANSFER_SYNTAXES
from dulcet.errors import DamagedFileError, NoInputError, NotDICOMError
from dulcet.escape import quote
from dulcet.services.part10 import Part10Header, read_header

# O_NONBLOCK: a pipe that took a file's place must not hold us; it means nothing for a regular file.
OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK

_UID = re.compile(r"[0-9.]{1,64}")  # PS3.5 9.1 but for leading zeros and the like, which the field has


class Problem(Enum):
    """Why a file is not sent: the kind, for machines and for the exit code."""

    NO_INPUT = "no-input"
    """Not there, or a folder or archive with nothing in it."""
    UNREADABLE = "unreadable"
    """The operating system does not let us read it, or it is damaged as an archive or a disk is."""
    EMPTY = "empty"
    """A file of 0 octets, as a copy that failed leaves it."""
    NOT_DICOM = "not-dicom"
    """Something else than a DICOM file."""
    INCOMPLETE = "incomplete"
    """A DICOM file that is damaged, lacks what a C-STORE request has to name, or is no SOP Instance."""
    UNSAFE = "unsafe"
    """A name that leads out of its folder, or an archive that grows like a bomb."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusable:
    """A file, folder or member of an archive that is not sent."""

    name: str
    """What people call it: the path, or the archive's path and the member's name. Raw: quote it."""
    problem: Problem
    """The kind of reason."""
    reason: str
    """The reason in a sentence, safe to show."""
    is_failure: bool = True
    """False for what nobody asked to send: a text file that lies in a folder of images."""


class OpenedFile:
    """A file ready to be read with `pread`: octets `offset` to `offset + size` are its data set.

    Open until `close`, or until the end of a `with` block.
    """

    __slots__ = ("descriptor", "offset", "size")

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self.descriptor = descriptor
        self.offset = offset
        self.size = size

    def close(self) -> None:
        """Let go of the file. Harmless when repeated."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class FileToSend:
    """A DICOM file that was found; no descriptor is open."""

    name: str
    """What people call it. Raw: quote it."""
    header: Part10Header
    """What its File Meta Information says."""
    modified: int | None = None
    """Nanoseconds since 1970: when it was written last, as it was found; None when that is not known."""

    @property
    def size(self) -> int:
        """Octets of the data set, as it lies on disk."""
        return self.header.file_size - self.header.data_set_offset

    def open(self) -> OpenedFile:
        """Open for reading.

        Raises NoInputError, with a sentence, when the file has vanished, become another object or unreadable since it
        was found. Synchronous: a few microseconds for a file; for a member of an archive it takes as long as unpacking.
        """
        try:
            descriptor = os.open(self.name, OPEN_FLAGS)
        except OSError as error:
            raise NoInputError(since_found(error)) from error
        try:
            self._check(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return OpenedFile(descriptor, self.header.data_set_offset, self.size)

    def _check(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        size = status.st_size
        if size != self.header.file_size:
            raise NoInputError(f"it has changed: {size} octets now, {self.header.file_size} when it was found")
        if self.modified in (None, status.st_mtime_ns):
            return
        try:
            is_the_same = read_header(descriptor) == self.header
        except (NotDICOMError, OSError):
            is_the_same = False
        if not is_the_same:
            raise NoInputError("it has changed: it is not the object that was found")


def since_found(error: OSError) -> str:
    """A sentence for a file that could be read a moment ago."""
    if isinstance(error, FileNotFoundError):
        return "it has vanished since it was found"
    return f"it can't be read any more: {error.strerror or error}"


def examine(path: str, *, is_failure: bool = True) -> FileToSend | Unusable:
    """Read the header of one file. `is_failure` tells whether something that is not DICOM at all counts as one."""
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except OSError as error:
        return unreadable(path, error)
    try:
        return examine_open(descriptor, path, is_failure=is_failure)
    finally:
        os.close(descriptor)


def examine_open(descriptor: int, name: str, *, is_failure: bool = True) -> FileToSend | Unusable:
    """Read the header of an open file that people call `name`."""
    try:
        header = read_header(descriptor)
    except DamagedFileError as error:
        return Unusable(name=name, problem=Problem.INCOMPLETE, reason=str(error))
    except NotDICOMError as error:
        size = os.fstat(descriptor).st_size
        if size == 0:
            return Unusable(name=name, problem=Problem.EMPTY, reason="it is empty: 0 octets")
        return Unusable(name=name, problem=Problem.NOT_DICOM, reason=str(error), is_failure=is_failure)
    except OSError as error:
        return unreadable(name, error)
    found = FileToSend(name=name, header=header, modified=os.fstat(descriptor).st_mtime_ns)
    missing = _missing(header)
    if not missing and found.size % 2 and not is_deflated(header.transfer_syntax_uid):
        missing = f"it is damaged: its data set has {found.size} octets, an odd number (PS3.5 7.1)"
    return Unusable(name=name, problem=Problem.INCOMPLETE, reason=missing) if missing else found


def is_deflated(transfer_syntax_uid: str) -> bool:
    """Whether a data set may have an odd number of octets, and gets one more when it is sent (PS3.5 A.5)."""
    syntax = TRANSFER_SYNTAXES.get(transfer_syntax_uid)
    return syntax is not None and syntax.deflated


def _missing(header: Part10Header) -> str:
    """What a C-STORE request has to name and the file does not tell, in a sentence; or nothing."""
    for what, uid in (
        ("SOP class", header.sop_class_uid),
        ("SOP instance", header.sop_instance_uid),
        ("transfer syntax", header.transfer_syntax_uid),
    ):
        if not uid:
            return f"it does not say its {what}, without which it can't be sent"
        if not _UID.fullmatch(uid):
            return f"what it gives as its {what} is not a UID: {quote(uid)}"
    return ""


def unreadable(name: str, error: OSError) -> Unusable:
    """A file or folder that the operating system does not give."""
    if isinstance(error, FileNotFoundError):
        return Unusable(name=name, problem=Problem.NO_INPUT, reason="there is no such file or folder")
    if isinstance(error, PermissionError):
        return Unusable(name=name, problem=Problem.UNREADABLE, reason="there is no permission to read it")
    return Unusable(name=name, problem=Problem.UNREADABLE, reason=f"it can't be read: {error.strerror or error}")
