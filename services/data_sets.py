"""Where data sets come from and where they go: neither end holds one whole.

A source is read into one buffer that its owner reuses; a sink gets views that are valid until the next read from the
connection, and is done with them when it returns.
"""

import os
from collections.abc import Iterator
from typing import Protocol

from dulcet.dimse.messages import Message, UnacceptableMessage
from dulcet.errors import DecodeError
from dulcet.ul.negotiation import AcceptedContext

SEND_BUFFER_OCTETS = 1024 * 1024  # eight PDUs of 128 KiB in one write; larger gains nothing
MAX_IDENTIFIER_OCTETS = 1024 * 1024  # identifiers and event information; real ones are below 100 kB


class Sink(Protocol):
    """Takes a data set as it comes."""

    def write(self, fragment: memoryview) -> None:
        """One fragment; the view is invalid after the call."""


class IdentifierSink:
    """Keeps a data set that is small by its nature; a peer that sends a large one breaks the association."""

    def __init__(self) -> None:
        self.octets = bytearray()

    def write(self, fragment: memoryview) -> None:
        """Append; DecodeError beyond MAX_IDENTIFIER_OCTETS."""
        if len(self.octets) + len(fragment) > MAX_IDENTIFIER_OCTETS:
            explanation = f"more than {MAX_IDENTIFIER_OCTETS} octets"
            raise DecodeError(explanation, table="PS3.7 9.1", field="data set", abort_reason=6)
        self.octets += fragment


class Discard:
    """Takes a data set that nobody wants, so that the association can go on."""

    def write(self, fragment: memoryview) -> None:
        """Nothing."""


def open_identifier(context: AcceptedContext, message: Message | UnacceptableMessage) -> Sink:
    """The sink for data sets that are not objects."""
    return IdentifierSink() if isinstance(message, Message) else Discard()


class DataSetSource(Protocol):
    """A data set to send, encoded in the transfer syntax of its context."""

    def chunks(self, fragment_octets: int) -> Iterator[tuple[memoryview, bool]]:
        """(octets, is it the last) in order, each but the last a multiple of `fragment_octets`.

        A chunk is valid until the next is asked for. OSError when it can't be read.
        """


class BytesSource:
    """A data set in memory: identifiers."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def chunks(self, fragment_octets: int) -> Iterator[tuple[memoryview, bool]]:
        """See `DataSetSource`."""
        yield memoryview(self._octets), True


class FileSource:
    """A data set as it lies in a file, read piece by piece into `buffer`.

    A mapped file would be slower: fresh pages cost more than TCP does.
    """

    def __init__(self, descriptor: int, offset: int, size: int, buffer: memoryview) -> None:
        self._descriptor = descriptor
        self._offset = offset
        self._size = size
        self._buffer = buffer

    def chunks(self, fragment_octets: int) -> Iterator[tuple[memoryview, bool]]:
        """See `DataSetSource`; OSError too when the file got shorter meanwhile."""
        step = max(len(self._buffer) // fragment_octets, 1) * fragment_octets
        buffer = self._buffer[: min(step, len(self._buffer))]
        left, offset = self._size, self._offset
        if not left:
            yield buffer[:0], True
        while left:
            view = buffer[: min(left, len(buffer))]
            read = os.preadv(self._descriptor, [view], offset)
            if read < len(view):
                raise OSError(f"the file ended {left - read} octets early")
            left -= read
            offset += read
            yield view, not left
