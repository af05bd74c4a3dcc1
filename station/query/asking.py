"""Asking a peer: an association for queries, the model that the peer takes, and what it agreed to."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import trio

from dulcet.dimse.uids import EXPLICIT_VR_LITTLE_ENDIAN
from dulcet.errors import ConfigurationError, NoAcceptedContextError, PeerTimeoutError
from dulcet.services.association import Association
from dulcet.services.find import Matches, QueryOptions, find, find_contexts
from dulcet.services.limits import NO_TIMERS
from dulcet.services.querying.identifiers import encode_identifier
from dulcet.services.querying.query_models import Level, Model
from dulcet.services.requestor import Peer, associate
from dulcet.services.retrieving.responses import Patience
from dulcet.services.trace import Trace
from dulcet.station.query.check import objections
from dulcet.station.query.plan import Asked, Query, models_for, plan
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH, Transition
from dulcet.ul.items import Item, PresentationContextRQ


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """How to associate with a peer."""

    timeout: float = 30.0
    """Seconds for the association to be made, for a response, for the release."""
    max_pdu_length: int = DEFAULT_MAX_PDU_LENGTH
    user_items: tuple[Item, ...] = ()
    """A user identity."""
    trace: Trace | None = None
    on_transition: Callable[[Transition], None] | None = None


@asynccontextmanager
async def associated(
    peer: Peer, contexts: Sequence[PresentationContextRQ], how: Conversation, *, user_items: Sequence[Item] = ()
) -> AsyncIterator[Association]:
    """`requestor.associate` in time: PeerTimeoutError when the peer doesn't answer. What was done before stands when
    only the release gets no answer."""
    is_done = False
    with trio.CancelScope(deadline=trio.current_time() + how.timeout) as patience:
        async with associate(
            peer,
            contexts,
            user_items=(*user_items, *how.user_items),
            max_pdu_length=how.max_pdu_length,
            limits=replace(NO_TIMERS, write_stall=how.timeout),
            trace=how.trace,
            on_transition=how.on_transition,
        ) as association:
            patience.deadline = float("inf")
            yield association
            is_done = True
            patience.deadline = trio.current_time() + how.timeout
    if patience.cancelled_caught and not is_done:
        raise PeerTimeoutError(f"{peer} did not answer within {how.timeout:g} s")


@dataclass(frozen=True, kw_only=True, slots=True)
class QuerySettings:
    """How to query."""

    root: str = "auto"
    """`auto`, `patient` or `study`."""
    options: QueryOptions = field(default_factory=QueryOptions)
    """Extended behaviour to ask for."""
    limit: int | None = None
    """Matches after which the query is cancelled."""
    max_seconds: float | None = None
    """For one query as a whole."""
    character_set: str = ""
    """Of the queries, and of matches that don't say theirs."""
    is_checked: bool = True
    """Whether a query that the level forbids is refused before it is sent."""


@dataclass(frozen=True, slots=True)
class Asking:
    """An association on which one model is queried."""

    association: Association
    model: Model
    settings: QuerySettings
    agreed: QueryOptions
    """What the peer agreed to."""
    how: Conversation

    def plan(self, asked: Asked) -> Query:
        """The query for what is asked. ConfigurationError says what the model and the level forbid."""
        query = plan(asked, self.model)
        if self.settings.is_checked:
            check(query, relational=self.agreed.relational)
        return query

    def find(self, query: Query) -> Matches:
        """Send it; see `services.find.find`."""
        settings = self.settings
        patience = Patience(response=self.how.timeout, total=settings.max_seconds)
        return find(
            self.association,
            self.model.find,
            query.keys,
            limit=settings.limit,
            patience=patience,
            character_set=settings.character_set,
        )


def check(query: Query, *, relational: bool) -> None:
    """ConfigurationError with every objection to a query."""
    found = objections(query.keys, query.model, query.level, relational=relational)
    if found:
        raise ConfigurationError("\n".join((*found, "(--no-check sends it all the same)")))


def check_before(asked: Asked, settings: QuerySettings) -> None:
    """What can be said without asking the peer: ConfigurationError when the preferred model forbids the query.

    And when a value can't be written in its VR, or in the character set.
    """
    query = plan(asked, models_for(asked.level, settings.root)[0])
    if settings.is_checked:
        check(query, relational=settings.options.relational)
    encode_identifier(query.keys, EXPLICIT_VR_LITTLE_ENDIAN, settings.character_set)


@asynccontextmanager
async def asking(
    peer: Peer,
    level: Level | None,
    settings: QuerySettings,
    how: Conversation,
    *,
    more: Sequence[PresentationContextRQ] = (),
) -> AsyncIterator[Asking]:
    """An association with `peer` for queries at `level` and above it, in the first model that the peer takes.

    Errors: as `associated`; NoAcceptedContextError when the peer takes none of the models.
    """
    models = models_for(level, settings.root)
    items = [item for model in models if (item := settings.options.item(model.find)) is not None]
    contexts = find_contexts(model.find for model in models)
    async with associated(peer, contexts, how, user_items=items) as association:
        accepted = {context.abstract_syntax for context in association.contexts.values()}
        model = next((model for model in models if model.find in accepted), None)
        if model is None:
            raise NoAcceptedContextError(f"{peer} takes no queries", refused=association.negotiated.refused)
        agreed = settings.options.agreed(association, model.find)
        yield Asking(association, model, settings, agreed, how)
