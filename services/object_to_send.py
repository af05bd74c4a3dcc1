"""A stored object on its way out: opened, converted where the peer takes it only so, its beginning read."""

from collections.abc import Callable
from typing import Protocol, Self

import trio

from dulcet.services.data_sets import FileSource
from dulcet.services.part10 import Part10Header


class OpenedObject(Protocol):
    """An object's data set, open for `pread`."""

    @property
    def descriptor(self) -> int:
        """Of the file."""

    @property
    def offset(self) -> int:
        """Where in the file the data set begins."""

    @property
    def size(self) -> int:
        """Its octets."""

    def close(self) -> None:
        """Let go of the file. Harmless when repeated."""


class ObjectToSend(Protocol):
    """A stored object."""

    @property
    def header(self) -> Part10Header:
        """What its file says of it."""

    def open(self) -> OpenedObject:
        """Open it; NoInputError or SourceError when that can't be done any more."""


class PreparedObject:
    """An object whose `source` is ready to be sent, until `close`."""

    __slots__ = ("_opened", "size", "source")

    def __init__(self, opened: OpenedObject, source: FileSource) -> None:
        self._opened = opened
        self.source = source
        self.size = opened.size
        """Octets of the data set as it is sent."""

    @classmethod
    async def prepare(
        cls,
        found: ObjectToSend,
        convert_to: str | None,
        buffer: memoryview,
        fragment_octets: int,
        on_read: Callable[[int], None] | None = None,
    ) -> Self:
        """Open `found`, convert it if `convert_to` names a transfer syntax, and read its beginning into `buffer`.

        NoInputError, SourceError or ConversionError say why it can't be sent; nothing is open then. Memory: `buffer`.
        """
        opened = found.open()
        try:
            if convert_to is not None:
                from dulcet.services.conversion import convert  # loads what most objects don't need

                original, opened = (
                    opened,
                    await trio.to_thread.run_sync(convert, opened.descriptor, found.header, convert_to),
                )
                original.close()
            source = FileSource(opened.descriptor, opened.offset, opened.size, buffer, on_read)
            source.preload(fragment_octets)
        except BaseException:
            opened.close()
            raise
        return cls(opened, source)

    def close(self) -> None:
        """Let go of its file. Harmless when repeated."""
        self._opened.close()
