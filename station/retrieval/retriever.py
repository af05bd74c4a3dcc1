"""Bringing objects here: find what there is, have it sent by C-MOVE or C-GET, and see that what was promised arrives.

A C-MOVE is over when its instances are here, not when the archive says so: some answer before they send. So arrivals
are counted against the instances that the archive listed, and when they stop coming a grace runs out.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import trio

from dulcet.dimse.status import MOVE_DESTINATION_UNKNOWN, SUCCESS
from dulcet.errors import (
    ConfigurationError,
    DulcetError,
    NoAcceptedContextError,
    PeerTimeoutError,
)
from dulcet.services.acceptor import Operation
from dulcet.services.admission import AllowedPeer
from dulcet.services.association import Association
from dulcet.services.get import STORAGE_BY_USE, get, get_contexts, receivable
from dulcet.services.move import move, move_contexts
from dulcet.services.querying.query_models import Level, Model
from dulcet.services.requestor import Peer
from dulcet.services.retrieving.retrieve import Retrieval
from dulcet.station.events import Event
from dulcet.station.query.asking import Conversation, QuerySettings, asking, associated
from dulcet.station.query.plan import Asked
from dulcet.station.retrieval.attempts import GET, MOVE, WAYS, Attempt
from dulcet.station.retrieval.events import Found, ReceiverReady, SubOperationsProgress
from dulcet.station.retrieval.receiver import receiving
from dulcet.station.retrieval.reception import Receive, ReceiverSettings, Reception
from dulcet.station.retrieval.survey import survey
from dulcet.station.retrieval.tally import Tally
from dulcet.station.retrieval.targets import NOTHING, Target, retrieval_models

LOOK_SECONDS = 0.5  # between two looks at an object that is on its way when the grace is over
MAX_LOST_ASSOCIATIONS = 2  # one after the other, without a request that ended well between them


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrieveOptions:
    """How to retrieve."""

    via: str = "auto"
    """`auto`, `move` or `get`."""
    port: int = 11112
    """Where our receiver listens for a C-MOVE."""
    host: str = ""
    """The address that it listens on; "" is every one."""
    allowed: tuple[AllowedPeer, ...] = ()
    """Who may send besides the archive."""
    allow_any: bool = False
    jobs: int = 1
    """Associations at once."""
    grace: float = 10.0
    """Seconds without an arrival after which what is missing is given up, once the archive says that it is done."""
    patience: float = 300.0
    """Seconds without any sign of life of a request after which it is given up."""
    sop_classes: tuple[str, ...] = ()
    """Storage SOP classes to propose for C-GET, instead of those that were found."""


class Retriever:
    """Retrieves from one archive into `store`, which `tally` watches. `report` gets every event."""

    def __init__(
        self,
        peer: Peer,
        options: RetrieveOptions,
        how: Conversation,
        queries: QuerySettings,
        *,
        store: Operation,
        tally: Tally,
        report: Callable[[Event], None],
        receive: Receive | None = None,
    ) -> None:
        """`receive` has what a C-MOVE sends received; None: by a receiver of our own, into `store`."""
        self._peer = peer
        self._options = options
        self._how = how
        self._queries = queries
        self._store = store
        self._report = report
        self._receive = receive or partial(receiving, store=store, expected=tally.expected)
        self._under_way: list[Retrieval] = []
        self._queue: deque[Target] = deque()
        self.tally = tally
        self.targets: list[Target] = []
        """What there is to retrieve, once it is known."""
        self.attempts: list[Attempt] = []
        """Every request, in the order in which they ended."""
        self.receiver: Reception | None = None
        """Who receives for us, once it listens; its counters stay when it is gone."""
        self.not_received: DulcetError | None = None
        """Why there is no receiver."""
        self.is_cancelled = False

    async def retrieve(self, asked: Asked) -> None:
        """Retrieve what `asked` finds. Errors of the survey are raised; of what comes after, `attempts` tells.

        Cancelled, what has arrived is stored and stays.
        """
        await self.bring(await self.survey(asked))

    async def survey(self, asked: Asked) -> list[Target]:
        """What the archive has of it. Errors: those of the association, and of the first query."""
        async with asking(self._peer, asked.level, self._queries, self._how) as ask:
            return await survey(ask, asked)

    async def bring(self, targets: list[Target]) -> None:
        """Retrieve these; of errors `attempts` tells. Cancelled, what has arrived is stored and stays."""
        self.targets = targets
        self.tally.expected.update(uid for target in targets for uid in target.instances or ())
        self._report_found()
        for way in WAYS[self._options.via]:
            left = [target for target in self.targets if not self._is_settled(target)]
            if not left or self.is_cancelled:
                break
            await (self._move_all(left) if way == MOVE else self._get_all(left))

    async def cancel(self) -> None:
        """Cancel at the archive what is under way, and start nothing more."""
        self.is_cancelled = True
        self._queue.clear()
        for retrieval in tuple(self._under_way):
            await retrieval.cancel()

    @property
    def sent_under_way(self) -> int:
        """Sub-operations of the requests under way, as the archive counts them."""
        return sum(retrieval.sub_operations.done for retrieval in self._under_way)

    def _is_settled(self, target: Target) -> bool:
        """Whether there is no use in another way: all of it is here, or at least some, so the way works."""
        if self.tally.has_all(target) or self.is_believed(target):
            return True
        tried = [attempt for attempt in self.attempts if attempt.target is target]
        return bool(tried) and self.tally.has_any(target)

    # C-MOVE ---------------------------------------------------------------------------------------------------------

    async def _move_all(self, targets: Sequence[Target]) -> None:
        options = self._options
        settings = ReceiverSettings(
            ae_title=self._peer.calling_ae_title,
            port=options.port,
            host=options.host,
            archive=self._peer,
            allowed=options.allowed,
            allow_any=options.allow_any,
            max_pdu_length=self._how.max_pdu_length,
        )
        try:
            async with self._receive(settings) as self.receiver:
                title, receiver = settings.ae_title, self.receiver
                self._report(ReceiverReady(ae_title=title, address=receiver.address, port=receiver.port))
                await self._lanes(MOVE, targets)
                await self._await_arrivals(targets)
        except ConfigurationError as error:
            self.not_received = error
            self.attempts += [Attempt(way=MOVE, target=target, error=error) for target in targets]

    async def _await_arrivals(self, targets: Sequence[Target]) -> None:
        """Until everything is here, or nothing came for the grace; at once when the archive promised no more."""
        tally = self.tally
        while not self.is_cancelled and (promised := self._promised(targets)):
            enough = len(tally.arrived) + promised
            while len(tally.arrived) < enough and not self.is_cancelled:
                patience = tally.last_sign + self._options.grace - trio.current_time()
                if patience <= 0 and not (self.receiver and self.receiver.is_receiving()):
                    return
                with trio.move_on_after(max(patience, LOOK_SECONDS)):
                    await tally.change()

    def _promised(self, targets: Sequence[Target]) -> int:
        """How many more should come: what the archive says it sent, as far as it is not here."""
        wanted = {id(target) for target in targets}
        count = 0
        for attempt in self.attempts:
            target = attempt.target
            if attempt.way != MOVE or attempt.error is not None or attempt.is_cancelled or id(target) not in wanted:
                continue
            if target.instances is None and not self._sees_all():
                continue
            here = self.tally.here(target)
            sent = attempt.counts.completed + attempt.counts.warning
            if attempt.status == SUCCESS and not sent:
                sent = target.count or 0  # a final response need not count (PS3.4 C.4.2.1.7)
            if target.instances is not None:
                sent = min(sent, len(target.instances))
            count += max(sent - here, 0)
        return count

    def _sees_all(self) -> bool:
        """Whether we are told of everything that comes: a server of ours is only looked at for what was listed."""
        return self.receiver is None or self.receiver.is_ours

    def is_believed(self, target: Target) -> bool:
        """Whether there is nothing but the archive's word for a target, and it says that it sent all of it."""
        done = [each for each in self.attempts if each.target is target and each.way == MOVE]
        is_done = any(each.error is None and not each.status and not each.counts.failed for each in done)
        return target.instances is None and is_done and not self._sees_all()

    # C-GET ----------------------------------------------------------------------------------------------------------

    async def _get_all(self, targets: Sequence[Target]) -> None:
        await self._lanes(GET, targets)

    def _storage_classes(self) -> Sequence[str]:
        """Those that were asked for, those that the archive named, or as many as there are places."""
        if self._options.sop_classes:
            return self._options.sop_classes
        found = sorted({uid for target in self._queue for uid in target.sop_classes})
        is_whole = all(target.sop_classes for target in self._queue)
        return found if is_whole and found else [*found, *STORAGE_BY_USE]

    # Lanes ----------------------------------------------------------------------------------------------------------

    async def _lanes(self, way: str, targets: Sequence[Target]) -> None:
        self._queue = deque(targets)
        self.tally.sign()
        async with trio.open_nursery() as nursery:
            for _ in range(min(self._options.jobs, len(targets))):
                nursery.start_soon(self._lane, way)

    async def _lane(self, way: str) -> None:
        """One association after the other, until the queue is empty or the archive seems to be gone."""
        lost = 0
        while self._queue:
            before = len(self.attempts)
            try:
                await self._one_association(way)
            except DulcetError as error:
                done = [attempt for attempt in self.attempts[before:] if attempt.status is not None]
                lost = 1 if done else lost + 1
                if len(self.attempts) == before or lost >= MAX_LOST_ASSOCIATIONS:
                    self._give_up(Attempt(way=way, target=NOTHING, error=error))

    def _give_up(self, like: Attempt) -> None:
        """What is not begun ends as `like` did."""
        while self._queue:
            self.attempts.append(replace(like, target=self._queue.popleft()))

    async def _one_association(self, way: str) -> None:
        models = retrieval_models(min((t.level for t in self._queue), key=list(Level).index), self._queries.root)
        if way == MOVE:
            contexts = move_contexts(model.move for model in models)
            association = associated(self._peer, contexts, self._how)
        else:
            contexts, roles = get_contexts([model.get for model in models], self._storage_classes())
            association = associated(self._peer, contexts, self._how, user_items=roles)
        async with association as opened:
            model = accepted_model(opened, models, way)
            while self._queue:
                await self._one_target(opened, model, way, self._queue.popleft())

    async def _one_target(self, association: Association, model: Model, way: str, target: Target) -> None:
        attempt = Attempt(way=way, target=target)
        try:
            await self._perform(association, model, attempt)
        except DulcetError as error:
            attempt.error = error
            raise
        finally:
            self.attempts.append(attempt)
            self._report(attempt.event(str(self._peer)))
        if attempt.status == MOVE_DESTINATION_UNKNOWN:  # it will be for the others, too
            self._give_up(attempt)

    async def _perform(self, association: Association, model: Model, attempt: Attempt) -> None:
        keys = attempt.target.keys(model)
        if attempt.way == MOVE:
            retrieval: Retrieval = move(association, model.move, keys, self._peer.calling_ae_title)
        else:
            attempt.receivable = len(receivable(association))
            retrieval = get(association, model.get, keys, self._store)
        self._under_way.append(retrieval)
        try:
            scope = await self._iterate(retrieval, attempt)
        finally:
            self._under_way.remove(retrieval)
            attempt.counts = retrieval.sub_operations
            attempt.failed_instances = retrieval.failed_instances
            attempt.is_cancelled = retrieval.is_cancelled
        if scope.cancelled_caught:
            raise PeerTimeoutError(f"no sign of life of the {attempt.way} for {self._options.patience:g} s")
        assert retrieval.final is not None
        attempt.status = retrieval.final.status
        attempt.error = retrieval.failure
        self.tally.failed |= dict.fromkeys(
            retrieval.failed_instances, f"the archive could not send it ({attempt.way} {attempt.status:04X}H)"
        )

    async def _iterate(self, retrieval: Retrieval, attempt: Attempt) -> trio.CancelScope:
        """All responses; the scope says whether they stopped coming."""
        failure: DulcetError | None = None
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, scope)
                try:
                    async with retrieval:
                        async for attempt.counts in retrieval:
                            self._report_progress(attempt)
                            self.tally.sign()
                except DulcetError as error:  # it leaves by itself, not in the nursery's group
                    failure = error
                nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return scope

    async def _watch(self, scope: trio.CancelScope) -> None:
        """Give up a request when nothing at all happens."""
        while True:
            await trio.sleep_until(self.tally.last_sign + self._options.patience)
            is_alive = self.receiver is not None and self.receiver.is_receiving()
            if is_alive:
                self.tally.sign()
            elif self.tally.last_sign + self._options.patience <= trio.current_time():
                scope.cancel()

    # Telling --------------------------------------------------------------------------------------------------------

    def _report_found(self) -> None:
        counts = [target.count for target in self.targets]
        self._report(
            Found(
                peer=str(self._peer),
                studies=len({target.study for target in self.targets}),
                requests=len(self.targets),
                instances=None if None in counts else sum(count or 0 for count in counts),
            )
        )

    def _report_progress(self, attempt: Attempt) -> None:
        counts = attempt.counts
        self._report(
            SubOperationsProgress(
                peer=str(self._peer),
                service=attempt.way,
                remaining=counts.remaining,
                completed=counts.completed,
                failed=counts.failed,
                warning=counts.warning,
                here=len(self.tally.arrived),
            )
        )


def accepted_model(association: Association, models: Sequence[Model], way: str) -> Model:
    """The first of `models` whose C-MOVE or C-GET the peer takes; NoAcceptedContextError when it takes none."""
    accepted = {context.abstract_syntax for context in association.contexts.values()}
    for model in models:
        if (model.move if way == MOVE else model.get) in accepted:
            return model
    raise NoAcceptedContextError(f"the peer takes no {way}", refused=association.negotiated.refused)
