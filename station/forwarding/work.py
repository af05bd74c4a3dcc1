"""What is done with the journal of what arrived: objects are looked at, and become jobs of the queue.

Synchronous: one thread at a time, of the one process that leads (`Lead`).
"""

import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from dulcet.errors import DecodeError, NotDICOMError, QueueError
from dulcet.services.part10 import Part10Header, read_header
from dulcet.services.querying.head import read_head
from dulcet.services.querying.query_models import SERIES_INSTANCE_UID
from dulcet.services.storing.storage_directory import shard_of
from dulcet.station.archive.vault import OPEN_FLAGS
from dulcet.station.forwarding.journal import Arrival, Batch, Forward, ForwardingJournal, shortened
from dulcet.station.forwarding.route import Route, Subject
from dulcet.station.forwarding.routes import JOURNAL, Routes
from dulcet.station.queue.job_store import JobStore
from dulcet.station.queue.jobs import JobKind, NewInstance, Order
from dulcet.station.queue.kept_files import keeper
from dulcet.station.sending.found import FileToSend

MODALITY = 0x00080060
TOKEN = "forwarding"  # the option of an order that tells which batch it is
MAX_OBJECTS = 5_000  # of one job; a series that is larger goes out in parts
UNREADABLE_SECONDS = 600.0  # that an object may be unreadable before it is given up
JOBS_LOOKED_AT = 5_000  # for the tokens of a process that was killed: the newest
FOLDER = JOURNAL.parent
_ALIVE = ".alive"


class Tell(Protocol):
    """Writes one line of the log."""

    def __call__(self, event: str, **values: Any) -> None:
        """An event, and what there is to know of it."""


class Queue(Protocol):
    """What forwarding needs of the queue."""

    store: JobStore

    def sync(self) -> None:
        """What was added is on the disk. OSError."""


class Lead:
    """The right to do this work for a storage directory: one process has it at a time, until it ends."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FOLDER / "lead.lock"
        self._descriptor = -1

    def take(self) -> bool:
        """Whether we have it now."""
        if self._descriptor < 0:
            self._descriptor = _locked(self._path)
        return self._descriptor >= 0

    def release(self) -> None:
        """Harmless when repeated."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class Owner:
    """A process that enters objects: a locked file tells that it lives."""

    def __init__(self, directory: Path) -> None:
        """OSError when the file can't be made."""
        self.name = secrets.token_hex(8)
        self._path = directory / FOLDER / f"{self.name}{_ALIVE}"
        self._descriptor = _locked(self._path)

    def end(self) -> None:
        """It enters nothing any more."""
        with suppress(OSError):
            self._path.unlink()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _is_alive(directory: Path, owner: str) -> bool:
    path = directory / FOLDER / f"{owner}{_ALIVE}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _locked(path: Path) -> int:
    """A descriptor with the lock of the file; -1 when another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return -1
    return descriptor


class ForwardingWork:
    """The steps from an object that is stored to a job."""

    def __init__(
        self,
        directory: Path,
        journal: ForwardingJournal,
        tell: Tell,
        queue: Callable[[], Queue],
        options: Mapping[str, Any],
    ) -> None:
        """`options` are those of every order: how we are called."""
        self._directory = directory
        self._journal = journal
        self._tell = tell
        self._open_queue = queue
        self._options = options
        self._queue: Queue | None = None
        self._unreadable: dict[int, float] = {}
        """Arrival -> since when."""

    # What a killed process left ---------------------------------------------------------------------------------------

    def take_up(self) -> None:
        """Batches that were under way when a process was killed: in the queue, or back where they were."""
        tokens = self._journal.tokens()
        if not tokens:
            return
        queue = self._the_queue()
        queue.sync()
        there = {job.order.options.get(TOKEN) for job in queue.store.jobs(limit=JOBS_LOOKED_AT)}
        for token in tokens:
            (self._journal.passed_on if token in there else self._journal.put_back)(token)

    def close_open_ends(self, living: str = "") -> int:
        """Find out what became of objects that processes which are gone have entered; how many there were."""
        count = 0
        for owner in self._journal.owners():
            if owner != living and not _is_alive(self._directory, owner):
                ends = self._journal.open_ends(owner)
                count += len(ends) - len(self.settle(ends))
        return count

    def settle(self, arrivals: list[Arrival]) -> list[int]:
        """Find out what became of these; those of which that can't be known now."""
        stored, dropped, unknown = [], [], []
        for arrival in arrivals:
            try:
                name = self._find(arrival)
            except OSError:
                unknown.append(arrival.id)
            else:
                stored += [(arrival.id, name)] if name else []
                dropped += [] if name else [arrival.id]
        self._journal.settle(stored, dropped)
        return unknown

    def _find(self, arrival: Arrival) -> str:
        """The name of the very file that was entered; "" when it never got one. OSError."""
        shard = shard_of(arrival.sop_instance_uid)
        for name in self._names(shard, arrival.sop_instance_uid):
            with suppress(FileNotFoundError):
                status = os.stat(self._directory / name, follow_symlinks=False)
                found = shortened(status.st_ino), status.st_size, status.st_mtime_ns
                if found == (arrival.inode, arrival.file_size, arrival.modified):
                    return name
        return ""

    def _names(self, shard: str, uid: str) -> Iterator[str]:
        yield f"{shard}/{uid}.dcm"
        with suppress(FileNotFoundError):
            for name in os.listdir(self._directory / shard):
                if name.startswith(f"{uid}~"):
                    yield f"{shard}/{name}"

    # Objects are looked at --------------------------------------------------------------------------------------------

    def look_at_stored(self, routes: Routes) -> int:
        """Decide where objects go; for how many. One that can't be read just now is left for the next time."""
        looked_at, forwards = list[int](), list[Forward]()
        for arrival in self._journal.stored():
            try:
                forwards += self._forwards(arrival, routes)
            except (FileNotFoundError, NotDICOMError) as error:
                self._unreadable.pop(arrival.id, None)
                self._tell("forward.failed", uid=arrival.sop_instance_uid, reason=f"it can't be read: {error}")
            except OSError as error:
                if self._may_pass(arrival, error):
                    continue
            looked_at.append(arrival.id)
        if looked_at:
            self._journal.plan(looked_at, forwards)
        return len(looked_at)

    def _may_pass(self, arrival: Arrival, error: OSError) -> bool:
        """Whether to try again to read it: no descriptor may be free, or a network file system away."""
        now = time.monotonic()
        is_first = arrival.id not in self._unreadable
        is_over = now - self._unreadable.setdefault(arrival.id, now) > UNREADABLE_SECONDS
        if is_over:
            del self._unreadable[arrival.id]
        if is_over or is_first:
            what = "it can't be read" if is_over else "it can't be read now, and is tried again"
            self._tell("forward.failed", uid=arrival.sop_instance_uid, reason=f"{what}: {error}")
        return not is_over

    def _forwards(self, arrival: Arrival, routes: Routes) -> Iterator[Forward]:
        """OSError, NotDICOMError."""
        assert arrival.name is not None
        header, modality, series, modified = read_subject(self._directory / arrival.name)
        self._unreadable.pop(arrival.id, None)
        subject = Subject(
            calling=arrival.calling, called=arrival.called, sop_class_uid=header.sop_class_uid, modality=modality
        )
        for decision in routes.decide(subject):
            if not decision.refusal:
                yield Forward(
                    route=decision.route.name,
                    node=decision.node,
                    series=series,
                    name=arrival.name,
                    sop_class_uid=header.sop_class_uid,
                    sop_instance_uid=header.sop_instance_uid,
                    transfer_syntax_uid=header.transfer_syntax_uid,
                    data_set_offset=header.data_set_offset,
                    file_size=header.file_size,
                    modified=modified,
                )

    # Batches become jobs ----------------------------------------------------------------------------------------------

    def pass_on(self, batch: Batch, route: Route | None) -> None:
        """Make a job of a batch, or of the first part of it. Without its rule it is dropped, and that is told.

        QueueError, OSError: it stays where it was.
        """
        token = secrets.token_hex(8)
        forwards = self._journal.take(batch, token, MAX_OBJECTS)
        if route is None or not route.enabled:
            self._journal.passed_on(token)
            what = {"route": batch.route, "node": batch.node, "objects": len(forwards)}
            self._tell("forward.dropped", reason="the rule is gone, or not enabled any more", **what)
            return
        try:
            queue = self._the_queue()
            number = queue.store.add(self._order(batch, route, token), self._instances(forwards))
            queue.sync()
        except (QueueError, OSError):
            self.take_up()
            raise
        self._journal.passed_on(token)
        self._tell("forward.queued", job=number, route=batch.route, node=batch.node, objects=len(forwards))

    def _order(self, batch: Batch, route: Route, token: str) -> Order:
        return Order(
            kind=JobKind.SEND,
            peer=batch.node,
            options={**self._options, TOKEN: token},
            priority=route.priority,
            hours=route.hours,
            octets_per_second=route.octets_per_second,
            origin=f"route {route.name}",
        )

    def _instances(self, forwards: list[Forward]) -> Iterator[NewInstance]:
        keep = keeper()
        for forward in forwards:
            header = Part10Header(
                sop_class_uid=forward.sop_class_uid,
                sop_instance_uid=forward.sop_instance_uid,
                transfer_syntax_uid=forward.transfer_syntax_uid,
                data_set_offset=forward.data_set_offset,
                file_size=forward.file_size,
            )
            yield keep(FileToSend(name=f"{self._directory}/{forward.name}", header=header, modified=forward.modified))

    def _the_queue(self) -> Queue:
        if self._queue is None:
            self._queue = self._open_queue()
        return self._queue

    def close(self) -> None:
        """Let go of the queue."""
        if self._queue is not None:
            self._queue.store.close()
            self._queue = None


def read_subject(path: Path) -> tuple[Part10Header, str, str, int]:
    """(header, Modality, Series Instance UID, nanoseconds since 1970 of the last write) of a stored object.

    "" for what it does not have, or what can't be read. OSError, NotDICOMError.
    """
    descriptor = os.open(path, OPEN_FLAGS)
    try:
        header = read_header(descriptor)
        modified = os.fstat(descriptor).st_mtime_ns
        try:
            values = read_head(descriptor, header, (MODALITY, SERIES_INSTANCE_UID))
        except DecodeError:
            values = {}
    finally:
        os.close(descriptor)
    modality, series = (
        values.get(tag, b"").decode("ascii", "replace").strip(" \0") for tag in (MODALITY, SERIES_INSTANCE_UID)
    )
    return header, modality, series, modified
