"""Whether the disk has room for more: asked now and then, since asking each time costs more than it tells."""

import time
from collections.abc import Callable

from dulcet.dimse.status import OUT_OF_RESOURCES
from dulcet.errors import StorageError
from dulcet.services.storing.file_system import FileSystem
from dulcet.services.storing.storage_directory import out_of_resources

MIN_FREE_OCTETS = 1024**3
MIN_FREE_SHARE = 0.02  # of the file system
MIN_FREE_INODES = 1000
CHECK_EVERY_OCTETS = 16 * 1024**2
CHECK_EVERY_SECONDS = 1.0


class DiskSpace:
    """The watermark of one file system. Below it nothing is taken; when there is room again, everything is."""

    def __init__(
        self,
        file_system: FileSystem,
        descriptor: int,
        min_free_octets: int | None,
        clock: Callable[[], float] = time.monotonic,
        *,
        min_free_share: float | None = None,
    ) -> None:
        self._file_system = file_system
        self._descriptor = descriptor
        self._min_free_octets = min_free_octets
        self._min_free_share = min_free_share
        self._clock = clock
        self._octets_until_check = 0
        self._next_check = 0.0

    def begin(self) -> None:
        """An object is about to come: StorageError when there is no room."""
        if self._octets_until_check <= 0 or self._clock() >= self._next_check:
            self.check()

    def take(self, octets: int) -> None:
        """So many octets are about to be written: StorageError when there is no room."""
        self._octets_until_check -= octets
        if self._octets_until_check < 0:
            self.check()

    def check(self) -> None:
        """Ask the file system: StorageError when there is no room."""
        try:
            status = self._file_system.statvfs(self._descriptor)
        except OSError as error:
            raise out_of_resources(error) from error
        least, total = self._min_free_octets, status.f_blocks * status.f_frsize
        if self._min_free_share is not None:
            least = int(total * self._min_free_share)
        elif least is None:
            least = max(MIN_FREE_OCTETS, int(total * MIN_FREE_SHARE))
        if status.f_bavail * status.f_frsize < least:
            raise StorageError(f"less than {least:,} octets are free on the disk", status=OUT_OF_RESOURCES)
        if status.f_files and status.f_favail < MIN_FREE_INODES:  # some file systems count none
            raise StorageError("the file system has hardly any inodes left", status=OUT_OF_RESOURCES)
        self._octets_until_check = CHECK_EVERY_OCTETS
        self._next_check = self._clock() + CHECK_EVERY_SECONDS
