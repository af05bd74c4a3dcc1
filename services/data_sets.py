"""Where data sets come from and where they go: neither end holds one whole.

A source is read into one buffer that its owner reuses; a sink gets views that are valid until the next read from the
connection, and is done with them when it returns.
"""

import os
from collections.abc import Callable, Iterator
from typing import Protocol

from dulcet.dimse.messages import Message, UnacceptableMessage
from dulcet.errors import DecodeError, SourceError
from dulcet.ul.negotiation import AcceptedContext

SEND_BUFFER_OCTETS = 1024 * 1024  # eight PDUs of 128 KiB in one write; larger gains nothing
MAX_IDENTIFIER_OCTETS = 1024 * 1024  # real ones are below 100 kB
MAX_LIST_OCTETS = 8 * 1024 * 1024  # of instances: twice the UIDs that 16-bit counters count, 50,000 items of 150 octets

_WITH_LISTS = frozenset({"C-MOVE-RSP", "C-GET-RSP", "N-ACTION-RQ", "N-EVENT-REPORT-RQ"})
"""The messages whose data sets may name every instance of a study."""


class Sink(Protocol):
    """Takes a data set as it comes."""

    def write(self, fragment: memoryview) -> None:
        """One fragment; the view is invalid after the call."""

    def abandon(self) -> None:
        """The rest will not come, or nobody will ask for it: let go of everything. Harmless when finished."""


class IdentifierSink:
    """Keeps a data set that is small by its nature; a peer that sends a large one breaks the association."""

    def __init__(self, limit: int = MAX_IDENTIFIER_OCTETS) -> None:
        self.octets = bytearray()
        self._limit = limit

    def write(self, fragment: memoryview) -> None:
        """Append; DecodeError beyond the limit."""
        if len(self.octets) + len(fragment) > self._limit:
            explanation = f"more than {self._limit} octets"
            raise DecodeError(explanation, table="PS3.7 9.1", field="data set", abort_reason=6)
        self.octets += fragment

    def abandon(self) -> None:
        """Nothing to let go of."""


class Discard:
    """Takes a data set that nobody wants, so that the association can go on."""

    def write(self, fragment: memoryview) -> None:
        """Nothing."""

    def abandon(self) -> None:
        """Nothing to let go of."""


def open_identifier(context: AcceptedContext, message: Message | UnacceptableMessage) -> Sink:
    """The sink for data sets that are not objects."""
    if not isinstance(message, Message):
        return Discard()
    return IdentifierSink(MAX_LIST_OCTETS if message.NAME in _WITH_LISTS else MAX_IDENTIFIER_OCTETS)


class DataSetSource(Protocol):
    """A data set to send, encoded in the transfer syntax of its context."""

    def chunks(self, fragment_octets: int) -> Iterator[tuple[memoryview, bool]]:
        """(octets, is it the last) in order, each but the last a multiple of `fragment_octets`.

        A chunk is valid until the next is asked for. SourceError when it can't be read.
        """


class BytesSource:
    """A data set in memory: identifiers."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def chunks(self, fragment_octets: int) -> Iterator[tuple[memoryview, bool]]:
        """See `DataSetSource`."""
        yield memoryview(self._octets), True


class FileSource:
    """A data set as it lies in a file, read piece by piece into `buffer`, which the sources of one sender share.

    `size` counts the octets in the file; when it is odd, a zero octet goes out after them (PS3.5 A.5, deflated data
    sets), for a fragment is even (PS3.8 E.1). `on_read` is told of the octets of each piece. A mapped file would be
    slower: fresh pages cost more than TCP does.
    SourceError when the file can't be read to its end.
    """

    def __init__(
        self, descriptor: int, offset: int, size: int, buffer: memoryview, on_read: Callable[[int], None] | None = None
    ) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._left = size + size % 2
        self._is_padded = size % 2 == 1
        self._buffer = buffer
        self._on_read = on_read
        self._preloaded: memoryview | None = None

    def preload(self, fragment_octets: int) -> None:
        """Read the first piece now; the buffer must not be used for anything else before `chunks` has given it out."""
        self._preloaded = self._read(self._piece_octets(fragment_octets))

    def chunks(self, fragment_octets: int) -> Iterator[tuple[memoryview, bool]]:
        """See `DataSetSource`; once."""
        piece = self._piece_octets(fragment_octets)
        while True:
            view = self._read(piece) if self._preloaded is None else self._preloaded
            self._preloaded = None
            if self._on_read is not None:
                self._on_read(len(view))
            yield view, not self._left
            if not self._left:
                return

    def _piece_octets(self, fragment_octets: int) -> int:
        whole = len(self._buffer) // fragment_octets * fragment_octets
        return whole or len(self._buffer)

    def _read(self, piece: int) -> memoryview:
        view = self._buffer[: min(self._left, piece)]
        ends_padded = self._is_padded and len(view) == self._left
        try:
            read = os.preadv(self._descriptor, [view[:-1] if ends_padded else view], self._offset)
        except OSError as error:
            raise SourceError(f"it can't be read: {error.strerror or error}") from error
        if ends_padded:
            view[-1] = 0
            read += 1
        if read < len(view):
            raise SourceError(f"it ended {self._left - read} octets early: it is being changed")
        self._left -= read
        self._offset += read
        return view
