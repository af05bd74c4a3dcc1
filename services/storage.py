"""Objects kept as files: what is acknowledged is whole, under its name, and as durable as was asked for.

The order, for each object: a temporary file in `.incoming`, the checks, fsync of the file, a link under its own name
(which never overwrites), fsync of the directory, and only then the answer. Every way to receive an object, C-STORE,
C-GET and C-MOVE, leads through here.
"""

from dataclasses import dataclass
from pathlib import Path

import trio

from dulcet.dimse.status import INVALID_SOP_INSTANCE, OUT_OF_RESOURCES, SOP_CLASS_NOT_SUPPORTED
from dulcet.dimse.uids import MAX_UID_CHARACTERS, is_valid_uid
from dulcet.errors import StorageError
from dulcet.services.storing.disk_space import DiskSpace
from dulcet.services.storing.durability import DISK_THREADS, Directly, Durability, EachDurably, Keeper, Together
from dulcet.services.storing.file_system import FileSystem
from dulcet.services.storing.incoming import IncomingObject, Shelf
from dulcet.services.storing.placing import OnConflict, StoredObject
from dulcet.services.storing.storage_directory import StorageDirectory, out_of_resources

__all__ = ["Durability", "IncomingObject", "OnConflict", "Storage", "StorageOptions", "StoredObject"]

MAX_OBJECT_OCTETS = 4 * 1024**3


@dataclass(frozen=True, kw_only=True, slots=True)
class StorageOptions:
    """Where objects go, and what is promised for them."""

    directory: Path
    """Made when it is missing."""
    durability: Durability = Durability.FSYNC
    on_conflict: OnConflict = OnConflict.KEEP_BOTH
    max_object_octets: int = MAX_OBJECT_OCTETS
    """A larger data set is refused."""
    min_free_octets: int | None = None
    """Free space below which nothing is taken; None: 2 % of the file system, and at least 1 GiB."""
    min_free_share: float | None = None
    """The same as a share of the file system, 0 to 1, in place of octets."""
    lenient_uid: bool = False
    """Take SOP Instance UIDs with leading zeros in their components, which PS3.5 9.1 forbids."""


class Storage:
    """One storage directory, for as long as a process receives. Others may have the same directory open.

    ConfigurationError when the directory can't be used.
    """

    def __init__(self, options: StorageOptions, file_system: FileSystem | None = None) -> None:
        self._options = options
        self._on_their_way: set[IncomingObject] = set()
        self._directory = StorageDirectory(options.directory, file_system or FileSystem())
        self._shelf = Shelf(
            directory=self._directory,
            space=DiskSpace(
                self._directory.file_system,
                self._directory.temporary,
                options.min_free_octets,
                min_free_share=options.min_free_share,
            ),
            keeper=self._keeper(),
            on_conflict=options.on_conflict,
            max_object_octets=options.max_object_octets,
            is_durable=options.durability is not Durability.NONE,
            left=self._on_their_way.discard,
        )

    def _keeper(self) -> Keeper:
        limiter = trio.CapacityLimiter(DISK_THREADS)
        if self._options.durability is Durability.FSYNC:
            return EachDurably(limiter)
        if self._options.durability is Durability.BATCH:
            return Together(self._directory, limiter, self._on_their_way.__len__)
        return Directly(limiter)

    @property
    def failed(self) -> bool:
        """Whether an fsync failed: from then on every object is refused with A700H."""
        return self._directory.has_failed

    def begin(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_ae_title: str = ""
    ) -> IncomingObject:
        """Take an object: `write` its data set to what is returned, then `finish`.

        StorageError with the status for the response: 0117H for what is no UID, A700H where there is no room.
        """
        if not self._is_uid(sop_instance_uid):
            raise StorageError("what names the SOP instance is no UID", status=INVALID_SOP_INSTANCE)
        if not self._is_uid(sop_class_uid) or not is_valid_uid(transfer_syntax_uid):
            raise StorageError("what names the SOP class is no UID", status=SOP_CLASS_NOT_SUPPORTED)
        self._check_disk()
        self._shelf.space.begin()
        try:
            incoming = IncomingObject(
                self._shelf,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                transfer_syntax_uid=transfer_syntax_uid,
                calling_ae_title=calling_ae_title,
            )
        except OSError as error:
            raise out_of_resources(error) from error
        self._on_their_way.add(incoming)
        return incoming

    def check(self) -> None:
        """StorageError when an object that came now could not be stored, whatever it were."""
        self._check_disk()
        self._shelf.space.check()

    def _check_disk(self) -> None:
        if self.failed:
            raise StorageError("the disk has failed before: nothing is stored any more", status=OUT_OF_RESOURCES)

    def close(self) -> None:
        """Drop what is not finished, and let go of the directory. Harmless when repeated."""
        for incoming in tuple(self._on_their_way):
            incoming.abandon()
        self._directory.close()

    def _is_uid(self, text: str) -> bool:
        """File names are made of it: digits and dots, no empty component."""
        if not self._options.lenient_uid:
            return is_valid_uid(text)
        return len(text) <= MAX_UID_CHARACTERS and all(
            component.isascii() and component.isdigit() for component in text.split(".")
        )
