"""A data set in another transfer syntax, for a peer that does not take the one it is in (PS3.5 Annex A).

Between the three uncompressed transfer syntaxes, and out of the deflated one. Pixel data that is compressed stays what
it is: decompressing is another job, with another risk.
"""

import os
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Self

from dulcet.dimse.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    convertible,
)
from dulcet.dimse.uids import name_of
from dulcet.errors import ConversionError
from dulcet.services.converting.inflation import InflationLimits, inflate
from dulcet.services.converting.transcoding import Encoding, transcode

if TYPE_CHECKING:
    from types import TracebackType

    from dulcet.services.part10 import Part10Header

_ENCODINGS = {
    IMPLICIT_VR_LITTLE_ENDIAN: Encoding(explicit=False, little_endian=True),
    EXPLICIT_VR_LITTLE_ENDIAN: Encoding(explicit=True, little_endian=True),
    EXPLICIT_VR_BIG_ENDIAN: Encoding(explicit=True, little_endian=False),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertedDataSet:
    """A converted data set in an unnamed temporary file, which is gone when this is closed or the process ends."""

    file: BinaryIO
    """The temporary file; its owner is this object."""
    size: int
    """Octets of the data set."""
    transfer_syntax_uid: str
    """The transfer syntax that the data set is in now."""
    offset: int = 0
    """Where in the file the data set begins."""

    @property
    def descriptor(self) -> int:
        """The file descriptor to read from with `pread`; its position means nothing."""
        return self.file.fileno()

    def close(self) -> None:
        """Give the disk space back. Harmless when repeated."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        self.close()


def convert(
    descriptor: int,
    header: "Part10Header",
    target_transfer_syntax_uid: str,
    *,
    limits: InflationLimits | None = None,
) -> ConvertedDataSet:
    """Convert the data set that begins at `header.data_set_offset` of `descriptor` and goes up to the end of the file.

    Every element is kept with its octets, private and unknown ones too, except what PS3.5 7.2 recommends to drop: group
    lengths, and the retired Length to End (0008,0001). From implicit VR, elements that the Data Dictionary does not
    know become UN (PS3.5 6.2.2), and so do values that a 16-bit length can't count.

    Memory: below 2 MiB whatever the size of the data set or of a value. Disk: one temporary file of about the size of
    the result, two while a deflated data set is converted to something else than Explicit VR Little Endian, in the
    folder that `tempfile` chooses (TMPDIR). The descriptor's position is neither used nor moved.

    Raises ConversionError, with a sentence, for everything that goes wrong, a full disk included. Synchronous, and not
    to be cancelled: run it in a thread.
    """
    source_uid = header.transfer_syntax_uid
    if target_transfer_syntax_uid not in convertible(source_uid):
        raise ConversionError(_no_way(source_uid, target_transfer_syntax_uid))
    offset = header.data_set_offset
    size = max(os.fstat(descriptor).st_size - offset, 0)
    try:
        if source_uid != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN:
            return _transcoded(descriptor, offset, size, source_uid, target_transfer_syntax_uid)
        inflated = _inflated(descriptor, offset, size, limits or InflationLimits())
        if target_transfer_syntax_uid == EXPLICIT_VR_LITTLE_ENDIAN:
            return inflated
        with inflated:
            return _transcoded(
                inflated.descriptor, 0, inflated.size, EXPLICIT_VR_LITTLE_ENDIAN, target_transfer_syntax_uid
            )
    except OSError as error:
        raise ConversionError(f"the conversion failed: {error.strerror or error}") from error


def _inflated(descriptor: int, offset: int, size: int, limits: InflationLimits) -> ConvertedDataSet:
    """PS3.5 A.5: what the deflated octets inflate to is Explicit VR Little Endian."""
    with _DiscardOnError() as file:
        written = inflate(
            descriptor, offset, size, partial(_write_all, file), limits=limits, what="the deflated data set"
        )
        return ConvertedDataSet(file=file, size=written, transfer_syntax_uid=EXPLICIT_VR_LITTLE_ENDIAN)


def _transcoded(descriptor: int, offset: int, size: int, source_uid: str, target_uid: str) -> ConvertedDataSet:
    with _DiscardOnError() as file:
        written = transcode(descriptor, offset, size, file, _ENCODINGS[source_uid], _ENCODINGS[target_uid])
        return ConvertedDataSet(file=file, size=written, transfer_syntax_uid=target_uid)


class _DiscardOnError:
    """An unnamed temporary file that outlives the block only when the block succeeds."""

    def __enter__(self) -> BinaryIO:
        self._file: BinaryIO = tempfile.TemporaryFile(buffering=0)
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        if kind is not None:
            self._file.close()


def _write_all(file: BinaryIO, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[file.write(view) :]


def _no_way(source_uid: str, target_uid: str) -> str:
    source, target = name_of(source_uid) or source_uid, name_of(target_uid) or target_uid
    if source_uid == target_uid:
        return f"the data set is in {source} already"
    if not convertible(source_uid):
        return f"a data set in {source} can't be converted: dulcet converts uncompressed and deflated ones only"
    return f"a data set can't be converted from {source} to {target}"
