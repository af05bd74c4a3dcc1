"""What has come to a storage directory, by looking: for retrievals whose objects another process of ours receives."""

import fcntl
import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import trio

from dulcet.errors import NotDICOMError
from dulcet.services.part10 import read_header
from dulcet.services.storing.storage_directory import INCOMING
from dulcet.station.archive.vault import OPEN_FLAGS, path_of
from dulcet.station.retrieval.tally import Arrived, Tally

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0  # seconds between two looks; doubled while nothing comes
LOOKED_FOR = 5_000  # instances in one look: some 20 ms when none is there
RECEIVING_SECONDS = 5.0  # since something was written to an object that is on its way


def look(directory: Path, sop_instance_uid: str) -> Arrived | None:
    """An instance in a storage directory, as durable as whoever stored it makes it; None when it is not (yet) there.

    The UID has to be valid. Synchronous.
    """
    path = path_of(directory, sop_instance_uid)
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # its server holds it until it is durable
        if not os.fstat(descriptor).st_nlink:
            return None
        header = read_header(descriptor)
    except (OSError, NotDICOMError):
        return None
    finally:
        os.close(descriptor)
    if header.sop_instance_uid != sop_instance_uid:
        return None
    return Arrived(header.file_size - header.data_set_offset, str(path), header.sop_class_uid)


def look_for(directory: Path, sop_instance_uids: Iterable[str]) -> dict[str, Arrived]:
    """Those that are there. Synchronous, 5 microseconds for each that is not: run it in a thread."""
    found = ((uid, look(directory, uid)) for uid in sop_instance_uids)
    return {uid: arrived for uid, arrived in found if arrived is not None}


@dataclass(slots=True, eq=False)
class Watch:
    """A directory that is looked at: a `Reception`."""

    directory: Path
    tally: Tally
    address: str
    port: int
    accepted: int = 0
    rejected: list[str] = field(default_factory=list)
    is_ours: bool = False
    _is_receiving: bool = False
    _turn: int = 0

    def is_receiving(self) -> bool:
        """See `Reception`: whether something is being written there, for whomever it is."""
        return self._is_receiving

    async def run(self) -> None:
        """Look, until cancelled."""
        pause = FIRST_PAUSE
        while True:
            came = await self.look()
            pause = FIRST_PAUSE if came else min(2 * pause, LONGEST_PAUSE)
            await trio.sleep(pause)

    async def look(self) -> int:
        """Look once; how many had come."""
        missing = sorted(self.tally.expected - self.tally.arrived.keys())
        start = self._turn * LOOKED_FOR % max(len(missing), 1)
        self._turn += 1
        part = list(islice(missing, start, start + LOOKED_FOR))
        found, self._is_receiving = await trio.to_thread.run_sync(self._look, part)
        for uid, arrived in found.items():
            self.tally.found(uid, arrived)
        return len(found)

    def _look(self, uids: list[str]) -> tuple[dict[str, Arrived], bool]:
        return look_for(self.directory, uids), _is_being_written(self.directory)


def _is_being_written(directory: Path) -> bool:
    since = time.time() - RECEIVING_SECONDS
    with suppress(OSError):
        for path in directory.glob(f"{INCOMING}/*/*"):
            with suppress(OSError):
                if path.stat().st_mtime >= since:
                    return True
    return False


@asynccontextmanager
async def watching(directory: Path, tally: Tally, *, address: str, port: int) -> AsyncIterator[Watch]:
    """Tell `tally` of what it expects and comes to `directory`, while this lasts; once more at its end."""
    watch = Watch(directory, tally, address, port)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.run)
        try:
            yield watch
        except Exception as error:  # it leaves by itself, not in the nursery's group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    await watch.look()
