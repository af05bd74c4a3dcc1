"""One C-MOVE or C-GET as it was asked for, without a survey before it and a count after it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dulcet.errors import ConfigurationError, DulcetError
from dulcet.services.acceptor import Operation
from dulcet.services.association import Association
from dulcet.services.get import STORAGE_BY_USE, get, get_contexts, receivable
from dulcet.services.move import move, move_contexts
from dulcet.services.querying.query_models import Model
from dulcet.services.requestor import Peer
from dulcet.services.retrieving.responses import Patience
from dulcet.services.retrieving.retrieve import Retrieval, SubOperations
from dulcet.station.events import Event
from dulcet.station.query.asking import Conversation, associated
from dulcet.station.query.plan import Asked
from dulcet.station.retrieval.attempts import GET, MOVE, Attempt
from dulcet.station.retrieval.events import SubOperationsProgress
from dulcet.station.retrieval.retriever import accepted_model
from dulcet.station.retrieval.targets import check_retrieval, retrieval_models, target_of
from dulcet.ul.items import Item, PresentationContextRQ, SOPClassExtendedNegotiation

RELATIONAL = b"\1"  # PS3.4 Table C.5-3: relational-retrieval


@dataclass(kw_only=True, slots=True)
class SingleRetrieval:
    """A request to one peer: C-MOVE to `destination`, or C-GET into `store`."""

    peer: Peer
    how: Conversation
    report: Callable[[Event], None]
    root: str = "auto"
    """`auto`, `patient` or `study`."""
    is_checked: bool = True
    is_relational: bool = False
    """Ask for relational retrieval: UIDs of one level are enough."""
    patience: float | None = None
    """Seconds between two responses, or for a C-GET between two objects."""
    destination: str = ""
    """C-MOVE: the AE title."""
    store: Operation | None = None
    """C-GET: performs C-STORE."""
    sop_classes: Sequence[str] = STORAGE_BY_USE
    """C-GET: the storage SOP classes to propose."""
    here: Callable[[], int | None] = lambda: None
    """C-GET: how many objects have come."""
    counts: SubOperations = field(default_factory=SubOperations)
    """The last that the peer said."""
    _retrieval: Retrieval | None = None

    @property
    def way(self) -> str:
        """C-MOVE or C-GET."""
        return MOVE if self.store is None else GET

    async def run(self, asked: Asked) -> Attempt:
        """Ask, and tell how it ended; nothing is raised but ConfigurationError, for what can't be asked."""
        target = target_of(asked)
        models = retrieval_models(target.level, self.root)
        if self.is_checked and not self.is_relational:
            _check(asked, models)
        attempt = Attempt(way=self.way, target=target)
        try:
            await self._ask(attempt, models)
        except DulcetError as error:
            attempt.error = error
        self.report(attempt.event(str(self.peer)))
        return attempt

    async def cancel(self) -> bool:
        """Cancel at the peer; whether there was something to cancel."""
        if self._retrieval is None or self._retrieval.is_cancelled:
            return False
        await self._retrieval.cancel()
        return True

    async def _ask(self, attempt: Attempt, models: Sequence[Model]) -> None:
        contexts, items = self._proposal(models)
        async with associated(self.peer, contexts, self.how, user_items=items) as association:
            model = accepted_model(association, models, self.way)
            self._retrieval = retrieval = self._start(association, model, attempt)
            try:
                async with retrieval:
                    async for self.counts in retrieval:
                        self._report_progress()
            finally:
                attempt.counts = self.counts = retrieval.sub_operations
                attempt.failed_instances = retrieval.failed_instances
                attempt.is_cancelled = retrieval.is_cancelled
                if retrieval.final is not None:
                    attempt.status = retrieval.final.status
                    attempt.error = retrieval.failure
                    attempt.is_empty = retrieval.is_empty

    def _proposal(self, models: Sequence[Model]) -> tuple[Sequence[PresentationContextRQ], Sequence[Item]]:
        uids = [model.move if self.way == MOVE else model.get for model in models]
        extended: list[Item] = [
            SOPClassExtendedNegotiation(sop_class_uid=uid, service_class_application_information=RELATIONAL)
            for uid in uids
            if self.is_relational
        ]
        if self.way == MOVE:
            return move_contexts(uids), extended
        contexts, roles = get_contexts(uids, self.sop_classes)
        return contexts, [*roles, *extended]

    def _start(self, association: Association, model: Model, attempt: Attempt) -> Retrieval:
        keys = attempt.target.keys(model)
        patience = Patience(response=self.patience)
        if self.store is None:
            return move(association, model.move, keys, self.destination, patience=patience)
        attempt.receivable = len(receivable(association))
        return get(association, model.get, keys, self.store, patience=patience)

    def _report_progress(self) -> None:
        counts = self.counts
        self.report(
            SubOperationsProgress(
                peer=str(self.peer),
                service=self.way,
                remaining=counts.remaining,
                completed=counts.completed,
                failed=counts.failed,
                warning=counts.warning,
                here=self.here(),
            )
        )


def _check(asked: Asked, models: Sequence[Model]) -> None:
    """ConfigurationError when no model allows the request."""
    first: ConfigurationError | None = None
    for model in models:
        try:
            check_retrieval(asked, target_of(asked), model)
        except ConfigurationError as error:
            first = first or error
        else:
            return
    assert first is not None
    raise first
