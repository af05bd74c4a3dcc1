"""An object while it is being received: written as it comes, examined as it comes, judged when it is whole."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dulcet.dimse.status import CANNOT_UNDERSTAND, DATA_SET_DOES_NOT_MATCH_SOP_CLASS, OUT_OF_RESOURCES
from dulcet.errors import DecodeError, StorageError
from dulcet.services.part10 import Part10Header, encode_header
from dulcet.services.storing.data_set_walk import DataSetWalk
from dulcet.services.storing.disk_space import DiskSpace
from dulcet.services.storing.durability import Keeper
from dulcet.services.storing.placing import OnConflict, Placing, StoredObject
from dulcet.services.storing.storage_directory import StorageDirectory, out_of_resources


@dataclass(frozen=True, kw_only=True, slots=True)
class Shelf:
    """What an object that comes needs of its `Storage`."""

    directory: StorageDirectory
    space: DiskSpace
    keeper: Keeper
    on_conflict: OnConflict
    max_object_octets: int
    is_durable: bool
    left: Callable[["IncomingObject"], None]
    """Told when an object is no longer on its way, whatever became of it."""


class IncomingObject:
    """A `Sink` for one object. Made by `Storage.begin`; then `write` and `finish`, or `abandon`."""

    def __init__(
        self,
        shelf: Shelf,
        *,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        calling_ae_title: str,
    ) -> None:
        self.sop_class_uid = sop_class_uid
        self.sop_instance_uid = sop_instance_uid
        self.transfer_syntax_uid = transfer_syntax_uid
        self._shelf = shelf
        self._file_system = shelf.directory.file_system
        self._walk = DataSetWalk(transfer_syntax_uid)
        self._header = encode_header(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
            source_ae_title=calling_ae_title,
        )
        self._octets = 0
        self._is_begun = False
        self._error: StorageError | None = None
        self._temporary, self._descriptor = shelf.directory.create_temporary()

    @property
    def octets(self) -> int:
        """How many of the data set came so far."""
        return self._octets

    @property
    def identity(self) -> tuple[int, int, int] | None:
        """(inode, size, nanoseconds since 1970 of the last write) of its file, which it keeps under its final name.

        None when it is refused already. Ask when it is whole, before `finish`.
        """
        if self._descriptor < 0:
            return None
        status = self._file_system.fstat(self._descriptor)
        return status.st_ino, status.st_size, status.st_mtime_ns

    def write(self, fragment: memoryview) -> None:
        """Write one fragment to the file; the view is not kept.

        Never raises: the first error is kept for `finish`, the file is removed at once, and what comes then is dropped.
        """
        self._octets += len(fragment)
        if self._error is not None:
            return
        try:
            if self._octets > self._shelf.max_object_octets:
                limit = self._shelf.max_object_octets
                raise StorageError(f"it is larger than {limit:,} octets", status=OUT_OF_RESOURCES)
            self._walk.feed(fragment)
            self._shelf.space.take(len(fragment))
            self._write([fragment] if self._is_begun else [self._header, fragment])
            self._is_begun = True
        except StorageError as error:
            self._refuse(error)
        except DecodeError as error:
            self._refuse(StorageError(str(error), status=CANNOT_UNDERSTAND))
        except OSError as error:
            self._refuse(out_of_resources(error))

    async def finish(self) -> StoredObject:
        """Check it as a whole and store it as the `Storage` was told to; what is answered is stored so.

        StorageError, with the status for the response, when it is refused; nothing is left of it then. Cancellation: an
        object that the disk was asked to keep is waited for, any other is dropped.
        """
        try:
            self._judge()
            placing = Placing(
                self._shelf.directory,
                temporary=self._temporary,
                descriptor=self._descriptor,
                header=Part10Header(
                    sop_class_uid=self.sop_class_uid,
                    sop_instance_uid=self.sop_instance_uid,
                    transfer_syntax_uid=self.transfer_syntax_uid,
                    data_set_offset=len(self._header),
                    file_size=len(self._header) + self._octets,
                ),
                on_conflict=self._shelf.on_conflict,
                is_durable=self._shelf.is_durable,
            )
            self._descriptor = -1  # it is the placing's now
            try:
                return await self._shelf.keeper.keep(placing)
            finally:
                placing.let_go()
        except StorageError as error:
            self._error = error
            raise
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Remove what was written. Harmless when repeated, and after `finish`."""
        self._refuse(StorageError("it was abandoned", status=OUT_OF_RESOURCES))
        self._shelf.left(self)

    def _judge(self) -> None:
        if self._error is not None:
            raise self._error
        if self._shelf.directory.has_failed:
            raise StorageError("the disk has failed before: nothing is stored any more", status=OUT_OF_RESOURCES)
        try:
            self._walk.finish()
        except DecodeError as error:
            raise StorageError(str(error), status=CANNOT_UNDERSTAND) from error
        if self._walk.is_opaque:
            return
        for what, ours, theirs in (
            ("SOP class", self.sop_class_uid, self._walk.sop_class_uid),
            ("SOP instance", self.sop_instance_uid, self._walk.sop_instance_uid),
        ):
            if theirs != ours.encode("ascii"):
                told = "names another" if theirs else "does not name its"
                raise StorageError(f"the data set {told} {what}", status=DATA_SET_DOES_NOT_MATCH_SOP_CLASS)

    def _write(self, buffers: list[bytes | memoryview]) -> None:
        left = sum(map(len, buffers))
        while True:
            written = self._file_system.write(self._descriptor, buffers)
            left -= written
            if not left:
                return
            joined = memoryview(b"".join(buffers))
            buffers = [joined[written:]]

    def _refuse(self, error: StorageError) -> None:
        if self._error is None:
            self._error = error
        if self._descriptor >= 0:
            with suppress(OSError):
                self._file_system.unlink(self._temporary, dir_fd=self._shelf.directory.temporary)
            self._shelf.directory.release(self._descriptor)
            self._descriptor = -1
