"""What a server process knows of itself: counts, times, and the report that is made of them."""

import os
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from dulcet.dimse.messages import CStoreRQ, Message
from dulcet.dimse.status import SUCCESS
from dulcet.errors import StorageError
from dulcet.services.acceptor import Operation
from dulcet.services.association import Association
from dulcet.services.data_sets import Sink
from dulcet.services.storing.placing import StoredObject
from dulcet.station.monitor.describing import association_counters, association_rows
from dulcet.station.monitor.metrics import Histogram, series
from dulcet.station.monitor.process_report import ProcessReport, now
from dulcet.station.server_log import Log, calling
from dulcet.station.server_settings import ServerSettings
from dulcet.ul.negotiation import AcceptedContext
from dulcet.ul.pdu import AAssociateRJ
from dulcet.ul.reasons import explain_rejection

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_TITLES = 100  # calling AE titles whose last object is remembered: the last ones


class ServerMonitor:
    """Counts what the observers of a server are told. `report` says it all at a moment."""

    def __init__(self, settings: ServerSettings, log: Log, *, family: int) -> None:
        """`family`: the process that started all workers of this server."""
        self.addresses: tuple[str, ...] = ()
        """Where the server listens."""
        self.is_stopping = False
        self.storing_failed: Callable[[], bool] = lambda: False
        self.index_lag: Callable[[], int | None] = lambda: None
        """How many objects wait for the index; None without one."""
        self._settings = settings
        self._log = log
        self._family = family
        self._started_at = now()
        self._rejections: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._seconds = Histogram("dulcet_store_seconds")
        self._under_way: dict[Association, dict[int, float]] = {}
        self._last_object: dict[str, float] = {}

    # Told -----------------------------------------------------------------------------------------------------------

    def rejected(self, rejection: AAssociateRJ) -> None:
        """An association was refused."""
        reason = explain_rejection(rejection.result, rejection.source, rejection.reason)
        self._rejections[series("dulcet_associations_rejected_total", reason=reason)] += 1

    def ended(self, association: Association) -> None:
        """A connection was closed; whatever was under way on it is over."""
        self._under_way.pop(association, None)

    def timing(self, operation: Operation) -> Operation:
        """C-STORE as it is, with the moment noted at which each request comes."""
        open_sink = operation.open_sink
        assert open_sink is not None

        def begin(association: Association, context: AcceptedContext, message: Message) -> Sink:
            self._under_way.setdefault(association, {})[message.message_id] = time.perf_counter()
            return open_sink(association, context, message)

        return replace(operation, open_sink=begin)

    def stored(self, association: Association, request: CStoreRQ, outcome: StoredObject | StorageError) -> None:
        """What became of a C-STORE."""
        began = self._under_way.get(association, {}).pop(request.message_id, None)
        if began is not None:
            self._seconds.observe(time.perf_counter() - began)
        if isinstance(outcome, StorageError):
            self._statuses[outcome.status] += 1
            return
        self._statuses[SUCCESS] += 1
        title = calling(association)
        self._last_object.pop(title, None)
        self._last_object[title] = time.time()  # the last one is the last of the dictionary
        if len(self._last_object) > MAX_TITLES:
            del self._last_object[next(iter(self._last_object))]

    # Telling --------------------------------------------------------------------------------------------------------

    def counters(self) -> dict[str, float]:
        """The numbers of this process that may be added to those of others."""
        lag = self.index_lag()
        statuses = {
            series("dulcet_store_status_total", status=f"{status:04X}H"): count
            for status, count in self._statuses.items()
        }
        return {
            **association_counters(),
            **self._rejections,
            **statuses,
            **self._seconds.series(),
            "dulcet_storing_failed": int(self.storing_failed()),
            **({} if lag is None else {"dulcet_index_lag_objects": lag}),
        }

    def latest(self) -> dict[str, float]:
        """When each calling AE title's last object came."""
        return {series("dulcet_last_object_age_seconds", calling=title): at for title, at in self._last_object.items()}

    def report(self) -> ProcessReport:
        """All of it."""
        state = "failed" if self.storing_failed() else "stopping" if self.is_stopping else "running"
        return ProcessReport(
            pid=os.getpid(),
            command="serve",
            family=self._family,
            state=state,
            started_at=self._started_at,
            updated_at=now(),
            ae_title=self._settings.ae_title,
            addresses=self.addresses,
            directory=str(self._settings.storage.directory.absolute()),
            runs_queue=self._settings.queue,
            associations=association_rows(),
            counters=self.counters(),
            latest=self.latest(),
            errors=tuple(self._log.errors),
        )
