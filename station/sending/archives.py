"""DICOM files in a zip file: members are read in place, and unpacked to an unnamed file only to be sent.

No member's name ever becomes a path. Reading is by `pread` with the positions from the central directory, so that
a member is opened without reading the directory again.
"""

import os
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from dulcet.dimse.uids import MEDIA_STORAGE_DIRECTORY
from dulcet.errors import ConversionError, NoInputError, NotDICOMError, SourceError
from dulcet.services.converting.inflation import INFLATE_STEP_OCTETS, InflationLimits, inflate
from dulcet.station.sending.found import (
    OPEN_FLAGS,
    FileToSend,
    OpenedFile,
    Problem,
    Unusable,
    examine_open,
    since_found,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ARCHIVE_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")  # a first member, or the end of an empty archive
MAX_MEMBERS = 200_000  # the directory is held in memory, about 1 kB for each member
HEAD_OCTETS = 64 * 1024  # where the header of a member has to end

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # APPNOTE 4.3.7: signature, lengths of name and extra field
_ENCRYPTED = 0x1  # general purpose bit 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a member lies in its archive, from the central directory."""

    archive: str
    header_offset: int
    method: int
    packed_octets: int
    octets: int
    crc: int

    def content_offset(self, descriptor: int) -> int:
        """Behind the local header, whose length only itself tells. Raises NotDICOMError."""
        octets = os.pread(descriptor, _LOCAL_HEADER.size, self.header_offset)
        if len(octets) < _LOCAL_HEADER.size or octets[:4] != ARCHIVE_MAGICS[0]:
            raise NotDICOMError("the zip file is damaged: it has no member where its directory says")
        _, name_octets, extra_octets = _LOCAL_HEADER.unpack(octets)
        return int(self.header_offset + _LOCAL_HEADER.size + name_octets + extra_octets)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileInArchive(FileToSend):
    """A DICOM file in a zip file."""

    place: Place
    """Where it lies."""

    def open(self) -> OpenedFile:
        """Unpack to an unnamed temporary file, which is gone when it is closed.

        Disk: the size of the member, bounded by its directory entry and by `InflationLimits`. Memory: a few buffers of
        64 KiB. Raises NoInputError when the archive has vanished, SourceError for a damaged member or a bomb. Takes
        as long as unpacking takes: call it in a thread.
        """
        try:
            archive = os.open(self.place.archive, OPEN_FLAGS)
        except OSError as error:
            raise NoInputError(since_found(error)) from error
        try:
            with tempfile.TemporaryFile(buffering=0) as file:
                _unpack(archive, self.place, file)
                return OpenedFile(os.dup(file.fileno()), self.header.data_set_offset, self.size)
        except (ConversionError, NotDICOMError) as error:
            raise SourceError(str(error)) from error
        except OSError as error:
            raise SourceError(f"it can't be unpacked: {error.strerror or error}") from error
        finally:
            os.close(archive)


def looks_like_archive(path: str) -> bool:
    """Whether a file begins as a zip file does."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(4) in ARCHIVE_MAGICS
    except OSError:
        return False


def find_in_archive(path: str, *, is_failure: bool = True) -> "Iterator[FileToSend | Unusable]":
    """The DICOM files in the zip file at `path`, sorted by name; a zip file inside is named but not entered.

    Lazy and synchronous; the archive is open while this is iterated. A member that is not DICOM is never a failure; an
    archive without any DICOM in it is one if `is_failure`, that is, if it was asked for by its name. Members whose
    names begin with a dot, and those of `__MACOSX`, are passed over.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted((member for member in archive.infolist() if not _is_passed_over(member)), key=_name)
            file = archive.fp
            assert file is not None  # it is open
            if len(members) > MAX_MEMBERS:
                reason = f"the zip file has more than {MAX_MEMBERS} members"
                yield Unusable(name=path, problem=Problem.UNSAFE, reason=reason)
                return
            with tempfile.TemporaryFile(buffering=0) as head:
                nothing = True
                for member in members:
                    found = _examine_member(file.fileno(), path, member, head)
                    nothing = nothing and not isinstance(found, FileToSend)
                    yield found
            if nothing:
                reason = "the zip file holds no DICOM files"
                yield Unusable(name=path, problem=Problem.NOT_DICOM, reason=reason, is_failure=is_failure)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error):
        yield Unusable(name=path, problem=Problem.UNREADABLE, reason="the zip file is damaged")
    except OSError as error:
        yield Unusable(name=path, problem=Problem.UNREADABLE, reason=f"it can't be read: {error.strerror or error}")


def _name(member: zipfile.ZipInfo) -> str:
    return member.filename


def _is_passed_over(member: zipfile.ZipInfo) -> bool:
    parts = member.filename.split("/")
    return member.is_dir() or parts[0] == "__MACOSX" or any(part.startswith(".") and part.strip(".") for part in parts)


def _examine_member(descriptor: int, archive: str, member: zipfile.ZipInfo, head: BinaryIO) -> FileToSend | Unusable:
    """`head` is a scratch file that takes the first octets of the member, where its header is."""
    name = f"{archive}/{member.filename}"
    if member.flag_bits & _ENCRYPTED:
        return Unusable(name=name, problem=Problem.UNREADABLE, reason="it is encrypted in the zip file")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        reason = f"it is compressed in the zip file by method {member.compress_type}; only deflated ones are read"
        return Unusable(name=name, problem=Problem.UNREADABLE, reason=reason)
    place = Place(
        archive=archive,
        header_offset=member.header_offset,
        method=member.compress_type,
        packed_octets=member.compress_size,
        octets=member.file_size,
        crc=member.CRC,
    )
    try:
        InflationLimits().check(place.octets, place.packed_octets, "the member of the zip file")
        octets = _head(descriptor, place)
    except ConversionError as error:
        return Unusable(name=name, problem=Problem.UNSAFE, reason=str(error))
    except NotDICOMError as error:
        return Unusable(name=name, problem=Problem.UNREADABLE, reason=str(error))
    os.ftruncate(head.fileno(), 0)
    os.pwrite(head.fileno(), octets, 0)
    os.ftruncate(head.fileno(), place.octets)  # a hole: only the size matters
    found = examine_open(head.fileno(), name, is_failure=False)
    if isinstance(found, FileToSend):
        return _in_archive(found, place)
    if octets[:4] in ARCHIVE_MAGICS:
        reason = "a zip file within a zip file is not entered: unpack it first"
        return Unusable(name=name, problem=Problem.NOT_DICOM, reason=reason)
    return found


def _in_archive(found: FileToSend, place: Place) -> FileToSend | Unusable:
    if found.header.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
        reason = "it is an index; the files that it refers to are found in the zip file"
        return Unusable(name=found.name, problem=Problem.INCOMPLETE, reason=reason, is_failure=False)
    return FileInArchive(name=found.name, header=found.header, place=place)


def _head(descriptor: int, place: Place) -> bytes:
    packed = os.pread(descriptor, min(place.packed_octets, HEAD_OCTETS), place.content_offset(descriptor))
    if place.method == zipfile.ZIP_STORED:
        return packed
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, HEAD_OCTETS)
    except zlib.error as error:
        raise NotDICOMError("the member of the zip file is damaged: it can't be inflated") from error


def _unpack(descriptor: int, place: Place, file: BinaryIO) -> None:
    """Write the whole member to `file`; raise ConversionError or NotDICOMError unless it is what the directory says."""
    offset = place.content_offset(descriptor)
    crc = 0

    def write(octets: bytes) -> None:
        nonlocal crc
        crc = zlib.crc32(octets, crc)
        view = memoryview(octets)
        while view:
            view = view[file.write(view) :]

    if place.method == zipfile.ZIP_DEFLATED:
        limits = InflationLimits(max_octets=place.octets)
        written = inflate(
            descriptor, offset, place.packed_octets, write, limits=limits, what="the member of the zip file"
        )
    else:
        written = _copy(descriptor, offset, place.octets, write)
    if written != place.octets or crc != place.crc:
        raise NotDICOMError("the member of the zip file is damaged: its checksum is wrong")


def _copy(descriptor: int, offset: int, octets: int, write: "Callable[[bytes], None]") -> int:
    position, end = offset, offset + octets
    while position < end:
        step = os.pread(descriptor, min(INFLATE_STEP_OCTETS, end - position), position)
        if not step:
            break
        write(step)
        position += len(step)
    return position - offset
