"""Query/Retrieve as SCP: C-FIND, C-MOVE and C-GET over an archive (PS3.4 C.4).

What a request may cost is bounded; see `QueryLimits` and `RetrieveLimits`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from dulcet.dimse.messages import CFindRQ, CGetRQ, CMoveRQ, Message
from dulcet.dimse.status import (
    MOVE_DESTINATION_UNKNOWN,
    UNABLE_TO_COUNT_MATCHES,
    UNABLE_TO_PERFORM_SUBOPERATIONS,
)
from dulcet.errors import ArchiveError
from dulcet.escape import quote
from dulcet.services.acceptor import Operation
from dulcet.services.association import Association, Received
from dulcet.services.object_to_send import ObjectToSend
from dulcet.services.part10 import Part10Header
from dulcet.services.querying.attributes import (
    COMBINED_DATE_TIME,
    FIND_MODELS,
    GET_MODELS,
    MOVE_MODELS,
    RELATIONAL,
)
from dulcet.services.querying.match_encoding import MatchEncoder
from dulcet.services.querying.query import Refusal, Retrieval, Search, read_retrieval, read_search
from dulcet.services.querying.query_models import Model
from dulcet.services.querying.responding import (
    MatchSource,
    Observe,
    Page,
    QueryLimits,
    identifier_of,
    nobody,
    send_matches,
    send_refusal,
)
from dulcet.services.retrieving.moving import Move, Route
from dulcet.services.retrieving.operation_watch import watched
from dulcet.services.retrieving.suboperations import Choice, RetrieveLimits, SubOperations, Transfer
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Negotiated


class Archive(Protocol):
    """What can be queried and retrieved. ArchiveError when it can't answer, or not within so many seconds."""

    async def settled(self) -> None:
        """Wait until what was acknowledged up to now can be found; not for long."""

    async def page(self, search: Search, after: int, seconds: float) -> Page[Sequence[str]]:
        """A slice of the matches, of each the values of `Search.attributes`; see `MatchSource`."""

    async def objects(self, retrieval: Retrieval, limit: int, seconds: float) -> Sequence[ObjectToSend]:
        """The instances to send, at most `limit` of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryRetrieve:
    """The operations on one archive."""

    archive: Archive
    ae_title: str
    """Retrieve AE Title (0008,0054): ours."""
    routes: Callable[[str], Route | None]
    """The way to the AE of a title; None when it is not known."""
    choose: Callable[[Part10Header, Sequence[PresentationContextRQ], Negotiated], Choice | str]
    """The context that an object goes out on to who asked for it (C-GET), or a sentence why there is none."""
    observe: Observe = nobody
    query_limits: QueryLimits = field(default_factory=QueryLimits)
    retrieve_limits: RetrieveLimits = field(default_factory=RetrieveLimits)

    def operations(self) -> Mapping[type[Message], Operation]:
        """By request."""
        return {
            CFindRQ: Operation(perform=self._find, sop_classes=frozenset(FIND_MODELS)),
            CMoveRQ: Operation(perform=self._move, sop_classes=frozenset(MOVE_MODELS)),
            CGetRQ: Operation(perform=self._get, sop_classes=frozenset(GET_MODELS)),
        }

    # C-FIND ---------------------------------------------------------------------------------------------------------

    async def _find(self, association: Association, received: Received) -> None:
        context = received.context
        search = read_search(
            FIND_MODELS[context.abstract_syntax],
            identifier_of(received),
            relational=_agreed(association, received, RELATIONAL),
            date_time=_agreed(association, received, COMBINED_DATE_TIME),
        )
        if isinstance(search, Refusal):
            await send_refusal(association, received, search, self.observe)
            return

        async def page(after: int, seconds: float) -> Page[Sequence[str]]:
            if not after:
                await self.archive.settled()
            return await self.archive.page(search, after, seconds)

        encode = MatchEncoder(search, context.transfer_syntax, self.ae_title).encode
        source = MatchSource(page, encode, search.is_complete)
        await send_matches(association, received, source, self.query_limits, self.observe)

    # C-MOVE and C-GET -----------------------------------------------------------------------------------------------

    async def _move(self, association: Association, received: Received) -> None:
        request = received.message
        assert isinstance(request, CMoveRQ)
        route = self.routes(request.move_destination)
        if route is None:
            comment = f"{quote(request.move_destination, 16)} is not in the node book"
            await send_refusal(association, received, Refusal(MOVE_DESTINATION_UNKNOWN, comment), self.observe)
            return
        objects = await self._objects(association, received, MOVE_MODELS)
        if objects is None:
            return
        counted = SubOperations(association, received, objects, self.retrieve_limits, route.peer)
        async with watched(association, request.message_id) as watch:
            move = Move(route, counted, watch, self.retrieve_limits)
            move.on_behalf_of(_calling(association), request.message_id)
            await move.send(objects)
            association.check()
            self.observe(association, request, counted.performed(watch.is_cancelled))
            await counted.end(watch.is_cancelled)

    async def _get(self, association: Association, received: Received) -> None:
        request = received.message
        assert isinstance(request, CGetRQ)
        objects = await self._objects(association, received, GET_MODELS)
        if objects is None:
            return
        counted = SubOperations(association, received, objects, self.retrieve_limits)
        negotiated = _as_requestor(association.negotiated)
        async with watched(association, request.message_id) as watch:

            def choose(header: Part10Header) -> Choice | str:
                return self.choose(header, (), negotiated)

            await Transfer(association, choose, counted, watch, self.retrieve_limits).send(list(objects))
            self.observe(association, request, counted.performed(watch.is_cancelled))
            await counted.end(watch.is_cancelled)

    async def _objects(
        self, association: Association, received: Received, models: Mapping[str, Model]
    ) -> Sequence[ObjectToSend] | None:
        """What is to be sent; None when the request was refused."""
        retrieval = read_retrieval(
            models[received.context.abstract_syntax],
            identifier_of(received),
            relational=_agreed(association, received, RELATIONAL),
        )
        if isinstance(retrieval, Refusal):
            await send_refusal(association, received, retrieval, self.observe)
            return None
        limit = self.retrieve_limits.suboperations
        await self.archive.settled()
        try:
            objects = await self.archive.objects(retrieval, limit + 1, self.query_limits.seconds)
        except ArchiveError as error:
            await send_refusal(association, received, Refusal(UNABLE_TO_COUNT_MATCHES, str(error)), self.observe)
            return None
        if len(objects) > limit:
            refusal = Refusal(UNABLE_TO_PERFORM_SUBOPERATIONS, f"more than {limit} objects: retrieve less at once")
            await send_refusal(association, received, refusal, self.observe)
            return None
        return objects


def _agreed(association: Association, received: Received, field: int) -> bool:
    """Whether a sub-field of SOP Class Extended Negotiation was agreed to (PS3.4 C.5.1.1)."""
    agreed = association.negotiated.extended.get(received.context.abstract_syntax, b"")
    return agreed[field : field + 1] == b"\1"


def _calling(association: Association) -> str:
    assert association.request is not None
    return str(association.request.calling_ae_title)


def _as_requestor(negotiated: Negotiated) -> Negotiated:
    """The contexts on which we may send: those for which the peer is SCP (PS3.7 D.3.3.4), as a sender sees them."""
    contexts = {
        number: replace(context, requestor_is_scu=True)
        for number, context in negotiated.contexts.items()
        if context.requestor_is_scp
    }
    return replace(negotiated, contexts=contexts)
