"""When an object counts as stored: on the disk, on the disk together with others, or in the system's memory."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import trio

from dulcet.dimse.status import PROCESSING_FAILURE
from dulcet.errors import StorageError
from dulcet.services.storing.placing import Placing, StoredObject
from dulcet.services.storing.storage_directory import Shard, StorageDirectory, out_of_resources

DISK_THREADS = 4  # waiting for the disk at once; more of them wait no shorter
GATHER_SECONDS = 0.003  # that an object of a group waits for others, if others are on their way


class Durability(Enum):
    """What is behind a 0000H."""

    FSYNC = "fsync"
    """The object is on the disk, as fsync(2) promises: it survives power loss."""
    BATCH = "batch"
    """The same, but objects of several associations wait for each other and go to the disk in one go."""
    NONE = "none"
    """The system has it: it survives our end, but not the system's."""


class Keeper(Protocol):
    """Stores what was received and checked."""

    async def keep(self, placing: Placing) -> StoredObject:
        """StorageError when it can't be stored, and then it isn't. The temporary file is gone in any case.

        Cancelled before the disk was asked, the object is dropped; afterwards the disk is waited for.
        """


class Directly(Keeper):
    """No promise, and no thread either, as long as nothing has the object's name."""

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter

    async def keep(self, placing: Placing) -> StoredObject:
        """See `Keeper`. Does not yield to other tasks where nothing is in the way."""
        stored = placing.place_unless_there()
        if stored is None:
            stored = await trio.to_thread.run_sync(placing.place, limiter=self._limiter)
        return stored


class EachDurably(Keeper):
    """Every object on the disk by itself."""

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter

    async def keep(self, placing: Placing) -> StoredObject:
        """See `Keeper`."""
        return await trio.to_thread.run_sync(placing.place, limiter=self._limiter)


@dataclass(eq=False, slots=True)
class _Member:
    placing: Placing
    turn: trio.Event = field(default_factory=trio.Event)
    """Its outcome is there, or it has to lead the next group."""
    is_done: bool = False
    outcome: StoredObject | StorageError | None = field(
        default_factory=lambda: StorageError("it was not stored", status=PROCESSING_FAILURE)
    )
    """None: something is in its way, so it goes alone."""


class Together(Keeper):
    """Group commit: who comes first leads, the others wait for what becomes of the group."""

    def __init__(
        self, directory: StorageDirectory, limiter: trio.CapacityLimiter, expected: Callable[[], int] = lambda: 0
    ) -> None:
        """`expected` answers how many objects are being received, those that wait here among them."""
        self._directory = directory
        self._limiter = limiter
        self._expected = expected
        self._waiting: list[_Member] = []
        self._is_led = False

    async def keep(self, placing: Placing) -> StoredObject:
        """See `Keeper`."""
        member = _Member(placing)
        with trio.CancelScope(shield=True):  # the group is on its way to the disk: its members wait and then decide
            self._waiting.append(member)
            if self._is_led:
                await member.turn.wait()
            if not member.is_done:
                await self._lead()
        if isinstance(member.outcome, StorageError):
            raise member.outcome
        if member.outcome is None:
            return await trio.to_thread.run_sync(placing.place, limiter=self._limiter)
        return member.outcome

    async def _lead(self) -> None:
        self._is_led = True
        if len(self._waiting) < self._expected():
            await trio.sleep(GATHER_SECONDS)
        group, self._waiting = self._waiting, []
        try:
            await trio.to_thread.run_sync(self._commit, group, limiter=self._limiter)
        finally:
            for member in group:
                member.is_done = True
                member.turn.set()
            if self._waiting:
                self._waiting[0].turn.set()
            else:
                self._is_led = False

    def _commit(self, group: list[_Member]) -> None:
        """In a thread. Nobody's file is locked while something in the way is waited for: such members go alone."""
        try:
            with ExitStack() as shards:
                fresh = [(member, shard) for member in group if (shard := self._room_for(member, shards)) is not None]
                self._store(fresh)
        finally:
            for member in group:
                if member.outcome is not None:
                    member.placing.let_go()

    def _room_for(self, member: _Member, shards: ExitStack) -> Shard | None:
        placing = member.placing
        try:
            shard = shards.enter_context(self._directory.shard(placing.sop_instance_uid))
            if not placing.is_there(shard, placing.name):
                return shard
            member.outcome = None
        except StorageError as error:
            member.outcome = error
        except OSError as error:
            member.outcome = out_of_resources(error)
        return None

    def _store(self, fresh: list[tuple[_Member, Shard]]) -> None:
        linked: list[tuple[_Member, Shard]] = []
        try:
            self._sync_files(fresh)
            for member, shard in fresh:
                try:
                    if member.placing.link(shard, member.placing.name):
                        linked.append((member, shard))
                    else:
                        member.outcome = None
                except OSError as error:
                    member.outcome = out_of_resources(error)
            self._sync_names(linked)
        except (StorageError, OSError) as error:
            for member, shard in linked:
                member.placing.take_back(shard, member.placing.name)
            for member, _ in fresh:
                member.outcome = error if isinstance(error, StorageError) else out_of_resources(error)
            return
        for member, shard in linked:
            member.outcome = member.placing.stored(shard, member.placing.name)

    def _sync_files(self, fresh: list[tuple[_Member, Shard]]) -> None:
        if len(fresh) > 1 and self._directory.file_system.can_sync_file_system:
            self._directory.sync_everything()
        else:
            for member, _ in fresh:
                member.placing.sync_file()

    def _sync_names(self, linked: list[tuple[_Member, Shard]]) -> None:
        if len(linked) > 1 and self._directory.file_system.can_sync_file_system:
            self._directory.sync_everything()
        else:
            for shard in {shard.name: shard for _, shard in linked}.values():
                self._directory.sync_shard(shard)
