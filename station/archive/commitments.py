"""Storage Commitment as SCP over a storage directory: judged by the files themselves, reported until it is heard.

A request that was taken on is written down first, so that its report goes out even after a crash. It goes out on the
requestor's own association when that stays open, else on a new one to the requestor's node in the node book.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from dulcet.dimse.messages import NActionRQ
from dulcet.dimse.status import (
    CLASS_INSTANCE_CONFLICT,
    NO_SUCH_SOP_INSTANCE,
    PROCESSING_FAILURE,
    RESOURCE_LIMITATION,
    SUCCESS,
    Category,
    categorize,
)
from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, STORAGE_COMMITMENT_PUSH_MODEL
from dulcet.errors import AssociationError, ConfigurationError, DecodeError, NotDICOMError
from dulcet.services.acceptor import Operation
from dulcet.services.association import Association, Received
from dulcet.services.commitment import (
    PROVIDER_ROLE,
    CommitmentRequest,
    CommitmentResult,
    Reference,
    read_request,
    report,
)
from dulcet.services.part10 import read_header
from dulcet.services.querying.query import Refusal
from dulcet.services.querying.responding import Observe, nobody, send_refusal
from dulcet.services.requestor import associate
from dulcet.services.storing.data_set_walk import DataSetWalk
from dulcet.station.archive.destinations import Destinations
from dulcet.station.archive.folder_store import FolderStore
from dulcet.station.archive.interfaces import ObjectStore
from dulcet.station.archive.telling import Tell
from dulcet.station.archive.vault import name_of
from dulcet.station.sqlite_steps import make_private
from dulcet.ul.items import PresentationContextRQ

FILE_NAME = ".commitments.sqlite"
KEPT_OPEN_SECONDS = 1.0  # from our answer on: who has not released the association by then waits for the report there
JUDGING_SECONDS = 10.0  # and for the report to be answered; what takes longer is reported on another association
REPORT_SECONDS = 30.0  # for an association to be made and a report to be answered
PAUSES = (30.0, 300.0, 3600.0)  # seconds between attempts to report; after the last one it is given up
MAX_PENDING = 1000  # requests taken on and not reported yet
REPORTING_AT_ONCE = 4
READ_OCTETS = 1024 * 1024
CONTEXT = PresentationContextRQ.propose(
    1, STORAGE_COMMITMENT_PUSH_MODEL, (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
)


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that was taken on."""

    requestor: str
    """The calling AE title of the association that it came on."""
    request: CommitmentRequest


class Commitments:
    """The SCP. `run` sends the reports that could not be sent at once."""

    def __init__(
        self,
        directory: Path,
        destinations: Destinations,
        ae_title: str,
        tell: Tell,
        *,
        observe: Observe = nobody,
        is_durable: bool = True,
        takes_up_pending: bool = True,
        store: ObjectStore | None = None,
    ) -> None:
        """`is_durable`: what is acknowledged is on the disk; if not, a commitment puts it there. ConfigurationError.

        `observe` is told of requests that are refused, `tell` of reports. `takes_up_pending`: reports what an earlier
        life took on. `store`: that of `directory`, unless another is given.
        """
        self._store = FolderStore(directory) if store is None else store
        self._destinations = destinations
        self._ae_title = ae_title
        self._tell = tell
        self._observe = observe
        self._is_durable = is_durable
        self._book = _Book(directory.absolute() / FILE_NAME)
        self._pending: dict[Pending, float] = dict.fromkeys(self._book.read() if takes_up_pending else (), 0.0)
        self._attempts: dict[Pending, int] = {}
        self._wake = trio.Event()
        self._judging = trio.CapacityLimiter(1)
        self._reporting = trio.CapacityLimiter(REPORTING_AT_ONCE)

    def operation(self) -> Operation:
        """N-ACTION of the Storage Commitment Push Model."""
        return Operation(perform=self._perform, sop_classes=frozenset({STORAGE_COMMITMENT_PUSH_MODEL}))

    async def _perform(self, association: Association, received: Received) -> None:
        request = received.message
        assert isinstance(request, NActionRQ)
        assert association.request is not None
        taken = await trio.to_thread.run_sync(read_request, received)
        if not isinstance(taken, Refusal) and len(self._pending) >= MAX_PENDING:
            taken = Refusal(RESOURCE_LIMITATION, "too many requests wait for their report")
        context_id = received.context.context_id
        if isinstance(taken, Refusal):
            await send_refusal(association, received, taken, self._observe)
            return
        pending = Pending(str(association.request.calling_ae_title), taken)
        try:
            await trio.to_thread.run_sync(self._book.add, pending)
        except (sqlite3.Error, OSError) as error:
            refusal = Refusal(PROCESSING_FAILURE, f"it can't be written down: {error}")
            await send_refusal(association, received, refusal, self._observe)
            return
        self._pending[pending] = float("inf")  # not for `run`, until it is seen whether the association stays open
        try:
            await association.send(context_id, request.response(status=SUCCESS))
            if received.context.requestor_is_scu and await association.is_kept_open(KEPT_OPEN_SECONDS):
                with trio.move_on_after(JUDGING_SECONDS):
                    await self._report(association, context_id, pending, await self._judge(taken))
        finally:
            if pending in self._pending:
                self._pending[pending] = trio.current_time()
                self._wake.set()

    # Reporting ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Report what is due, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                now = trio.current_time()
                for pending in [one for one, due in self._pending.items() if due <= now]:
                    self._pending[pending] = float("inf")
                    nursery.start_soon(self._deliver, pending)
                self._wake = trio.Event()
                with trio.move_on_at(min(self._pending.values(), default=float("inf"))):
                    await self._wake.wait()

    async def _deliver(self, pending: Pending) -> None:
        async with self._reporting:
            try:
                why = await self._call(pending)
            except AssociationError as error:
                why = str(error)
            except Exception as error:  # of ours: the others go on being reported
                why = f"{type(error).__name__}: {error}"
        if pending in self._pending:
            await self._put_off(pending, why)

    async def _call(self, pending: Pending) -> str:
        """Report on an association of our own; "" or why that could not be done."""
        destination = self._destinations.find(pending.requestor)
        if destination is None:
            return "its AE title is not in the node book"
        result = await self._judge(pending.request)
        with trio.move_on_after(REPORT_SECONDS):
            async with associate(destination.peer, (CONTEXT,), user_items=(PROVIDER_ROLE,)) as association:
                if not _may_report(association):
                    return "it does not let us be the SCP"
                return await self._report(association, 1, pending, result)
        return "it did not answer in time"

    async def _report(
        self, association: Association, context_id: int, pending: Pending, result: CommitmentResult
    ) -> str:
        """Report on an association; done with when the peer has heard it, else why it has not."""
        status = None
        with trio.move_on_after(REPORT_SECONDS):
            status = await report(association, context_id, result, self._ae_title)
        if status is None:
            return "it released the association, or did not answer"
        if categorize(status) is Category.FAILURE:
            return f"it answered {status:04X}H"
        await self._done(pending)
        self._tell(
            "commitment.reported",
            calling=pending.requestor,
            transaction=pending.request.transaction_uid,
            committed=len(result.committed),
            failed=len(result.failed),
        )
        return ""

    async def _put_off(self, pending: Pending, why: str) -> None:
        attempts = self._attempts[pending] = self._attempts.get(pending, 0) + 1
        is_over = attempts > len(PAUSES)
        if is_over:
            await self._done(pending)
        else:
            self._pending[pending] = trio.current_time() + PAUSES[attempts - 1]
            self._wake.set()
        self._tell(
            "commitment.undelivered",
            calling=pending.requestor,
            transaction=pending.request.transaction_uid,
            reason=why,
            given_up=is_over or None,
        )

    async def _done(self, pending: Pending) -> None:
        if self._pending.pop(pending, None) is None:
            return  # an equal request, on another association, was reported before
        self._attempts.pop(pending, None)
        try:
            await trio.to_thread.run_sync(self._book.remove, pending)
        except (sqlite3.Error, OSError) as error:
            self._tell("commitment.failed", reason=str(error))  # a later life reports it once more

    # Judging --------------------------------------------------------------------------------------------------------

    async def _judge(self, request: CommitmentRequest) -> CommitmentResult:
        committed, failed = [], []
        for reference in request.references:
            reason = await trio.to_thread.run_sync(
                why_not_kept, self._store, reference, not self._is_durable, limiter=self._judging
            )
            if reason is None:
                committed.append(reference)
            else:
                failed.append((reference, reason))
        return CommitmentResult(request.transaction_uid, tuple(committed), tuple(failed))


def _may_report(association: Association) -> bool:
    """Whether the peer agreed to our being SCP; one that does not know role selection did not object."""
    assert association.response is not None
    roles = [role for role in association.response.role_selections if role.sop_class_uid == PROVIDER_ROLE.sop_class_uid]
    return all(role.scp_role == 1 for role in roles)


def why_not_kept(store: ObjectStore, reference: Reference, make_durable: bool) -> int | None:
    """The Failure Reason (PS3.3 C.14.1.1) for an instance; None when it is stored, whole and read back to its end.

    Synchronous: it takes as long as reading the file.
    """
    name = name_of(reference.sop_instance_uid)
    try:
        with store.open(name) as descriptor:
            header = read_header(descriptor)
            if header.sop_instance_uid != reference.sop_instance_uid:
                return PROCESSING_FAILURE
            if header.sop_class_uid != reference.sop_class_uid:
                return CLASS_INSTANCE_CONFLICT
            walk = DataSetWalk(header.transfer_syntax_uid)
            position = header.data_set_offset
            while octets := os.pread(descriptor, READ_OCTETS, position):
                walk.feed(octets)
                position += len(octets)
            walk.finish()
        if make_durable:
            store.make_durable(name)
    except (FileNotFoundError, ValueError):  # what is no UID names nothing
        return NO_SUCH_SOP_INSTANCE
    except (NotDICOMError, DecodeError, OSError):
        return PROCESSING_FAILURE
    return None


_CREATE_PENDING = (
    "CREATE TABLE IF NOT EXISTS pending (requestor TEXT, transaction_uid TEXT, refs TEXT,"
    " PRIMARY KEY (requestor, transaction_uid))"
)


@dataclass(frozen=True, slots=True)
class _Book:
    """The requests that were taken on, on the disk. Synchronous; a connection for each call, for calls are rare."""

    path: Path

    def read(self) -> Sequence[Pending]:
        """What an earlier life left. ConfigurationError when the file can't be used."""
        try:
            with self._open() as connection:
                rows = connection.execute("SELECT requestor, transaction_uid, refs FROM pending").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"{self.path} can't be opened: {error}") from error
        return [
            Pending(requestor, CommitmentRequest(uid, tuple(Reference(*each) for each in json.loads(text))))
            for requestor, uid, text in rows
        ]

    def add(self, pending: Pending) -> None:
        """On the disk when this returns."""
        references = json.dumps(pending.request.references)
        with self._open() as connection:
            values = (pending.requestor, pending.request.transaction_uid, references)
            connection.execute("INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", values)

    def remove(self, pending: Pending) -> None:
        """It was reported, or given up."""
        with self._open() as connection:
            values = (pending.requestor, pending.request.transaction_uid)
            connection.execute("DELETE FROM pending WHERE requestor = ? AND transaction_uid = ?", values)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        make_private(self.path)
        with closing(sqlite3.connect(self.path, timeout=10.0)) as connection, connection:
            connection.execute(_CREATE_PENDING)
            yield connection
