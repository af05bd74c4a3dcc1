"""What `serve --query`, `--worklist` and `--keep-days` add to a storage SCP: operations, and what runs beside it.

Imported only when asked for: a plain storage SCP needs neither SQLite nor pydicom.
"""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import trio

from dulcet.dimse.messages import CFindRQ, CMoveRQ, Message, NActionRQ
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_WORKLIST,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_SOP_CLASSES,
)
from dulcet.services.acceptor import Operation
from dulcet.services.association import Association, Received
from dulcet.services.query_retrieve import QueryRetrieve
from dulcet.services.querying.attributes import FIND_MODELS, GET_MODELS, MOVE_MODELS, extended_negotiation
from dulcet.services.querying.responding import Performed, QueryLimits
from dulcet.services.retrieving.suboperations import RetrieveLimits
from dulcet.services.storage import Durability, StorageOptions
from dulcet.services.storing.placing import StoredObject
from dulcet.services.worklist import WorklistQuery
from dulcet.station.archive.archive_settings import ArchiveSettings
from dulcet.station.archive.arrivals import Source
from dulcet.station.archive.commitments import Commitments
from dulcet.station.archive.destinations import Destinations, choose_for_requestor
from dulcet.station.archive.keeping import VaultArchive
from dulcet.station.archive.telling import Tell
from dulcet.station.archive.worklist_folder import WorklistFolder

if TYPE_CHECKING:
    from dulcet.station.vault.retention import Retention

IDENTIFIER_SYNTAXES = frozenset({EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN})
"""Of identifiers and information; Big Endian is retired, and nobody offers it alone."""


class ArchiveServices:
    """The services beside C-STORE and C-ECHO. ConfigurationError when one of them can't be had."""

    def __init__(
        self, settings: ArchiveSettings, storage: StorageOptions, ae_title: str, tell: Tell, *, is_first: bool = True
    ) -> None:
        """Of several processes on one directory the first looks after what an earlier life left."""
        self.operations: dict[type[Message], Operation] = {}
        self.abstract_syntaxes: set[str] = set()
        self._tell = tell
        self._archive: VaultArchive | None = None
        self._commitments: Commitments | None = None
        self._retention = _retention(settings, storage, tell) if settings.removes and is_first else None
        self._destinations: Destinations | None = None
        if settings.query:
            self._add_archive(settings, storage, ae_title, tell, is_first)
        if settings.worklist is not None:
            self._add_worklist(settings, WorklistFolder(settings.worklist, tell))

    @property
    def transfer_syntaxes(self) -> Mapping[str, Collection[str]]:
        """What to accept, by abstract syntax."""
        return dict.fromkeys(self.abstract_syntaxes, IDENTIFIER_SYNTAXES)

    @property
    def requestor_may_be_scp(self) -> Collection[str]:
        """The SOP classes of C-GET's sub-operations."""
        return frozenset(STORAGE_SOP_CLASSES) if self._archive is not None else ()

    extended = staticmethod(extended_negotiation)

    @property
    def index_lag(self) -> int | None:
        """How many objects wait to be indexed; None without an index."""
        return None if self._archive is None else self._archive.lag

    def stored(self, stored: StoredObject, source: Source) -> None:
        """An object is durable; where it came from."""
        if self._archive is not None:
            self._archive.stored(stored, source)

    async def run(self) -> None:
        """What goes on beside the associations, until cancelled."""
        async with trio.open_nursery() as nursery:
            for service in (self._archive, self._commitments, self._retention):
                if service is not None:
                    nursery.start_soon(service.run)

    def reload(self) -> None:
        """Read the node book again, if it has changed, and tell of its faults."""
        if self._destinations is not None:
            for fault in self._destinations.read():
                self._tell("nodes.fault", reason=fault)

    def close(self) -> None:
        """Let go of everything."""
        if self._archive is not None:
            self._archive.close()

    def _add_archive(
        self, settings: ArchiveSettings, storage: StorageOptions, ae_title: str, tell: Tell, is_first: bool
    ) -> None:
        destinations = self._destinations = Destinations(settings.nodes, ae_title)
        for fault in destinations.read():
            tell("nodes.fault", reason=fault)
        if not destinations:
            tell("nodes.none", book=str(settings.nodes), reason="so nobody can be sent to with C-MOVE")
        archive = self._archive = VaultArchive(storage.directory, tell, looks_at_start=is_first)
        self._commitments = Commitments(
            storage.directory,
            destinations,
            ae_title,
            tell,
            observe=self._observe,
            is_durable=storage.durability is not Durability.NONE,
            takes_up_pending=is_first,
        )
        query_retrieve = QueryRetrieve(
            archive=archive,
            ae_title=ae_title,
            routes=destinations.find,
            choose=choose_for_requestor,
            observe=self._observe,
            query_limits=_query_limits(settings),
            retrieve_limits=RetrieveLimits(suboperations=settings.max_suboperations),
        )
        self.operations.update(query_retrieve.operations())
        self.operations[NActionRQ] = self._commitments.operation()
        self.abstract_syntaxes |= {*FIND_MODELS, *MOVE_MODELS, *GET_MODELS, STORAGE_COMMITMENT_PUSH_MODEL}

    def _observe(self, association: Association, request: Message, performed: Performed) -> None:
        self._tell(
            "request.done",
            association,
            service=request.SERVICE,
            to=request.move_destination if isinstance(request, CMoveRQ) else None,
            status=f"{performed.status:04X}H",
            reason=performed.comment,
            **performed.counts,
        )

    def _add_worklist(self, settings: ArchiveSettings, folder: WorklistFolder) -> None:
        operation = WorklistQuery(worklist=folder, observe=self._observe, limits=_query_limits(settings)).operation()
        others = self.operations.get(CFindRQ)
        self.operations[CFindRQ] = operation if others is None else _either(operation, others)
        self.abstract_syntaxes.add(MODALITY_WORKLIST)


def _retention(settings: ArchiveSettings, storage: StorageOptions, tell: Tell) -> "Retention":
    from dulcet.station.vault.retention import Keep, Retention

    keep = Keep(days=settings.keep_days, octets=settings.keep_octets)
    return Retention(storage.directory.absolute(), keep, tell)


def _query_limits(settings: ArchiveSettings) -> QueryLimits:
    return QueryLimits(matches=settings.max_matches, seconds=settings.query_seconds)


def _either(first: Operation, second: Operation) -> Operation:
    """One operation for the contexts of both; `first` performs for its own."""

    async def perform(association: Association, received: Received) -> None:
        is_of_first = received.context.abstract_syntax in first.sop_classes
        await (first if is_of_first else second).perform(association, received)

    return Operation(perform=perform, sop_classes=first.sop_classes | second.sop_classes)
