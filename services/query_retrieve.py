"""Query/Retrieve as SCP: C-FIND, C-MOVE and C-GET over an archive (PS3.4 C.4).

Matching is done in slices, each in a thread, and between slices, and between responses, others get their turn. What a
query may cost is bounded: its matches, and the time that the archive spends on it.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import trio

from dulcet.dimse.messages import CFindRQ, CGetRQ, CMoveRQ, Message
from dulcet.dimse.status import (
    CANCEL,
    MOVE_DESTINATION_UNKNOWN,
    OUT_OF_RESOURCES,
    PENDING,
    PENDING_WITH_WARNING,
    SUCCESS,
    UNABLE_TO_COUNT_MATCHES,
    UNABLE_TO_PERFORM_SUBOPERATIONS,
)
from dulcet.errors import ArchiveError
from dulcet.escape import quote
from dulcet.services.acceptor import Operation
from dulcet.services.association import Association, Received
from dulcet.services.data_sets import BytesSource, IdentifierSink
from dulcet.services.part10 import Part10Header
from dulcet.services.querying.attributes import (
    COMBINED_DATE_TIME,
    FIND_MODELS,
    GET_MODELS,
    MOVE_MODELS,
    RELATIONAL,
)
from dulcet.services.querying.identifiers import Identifier
from dulcet.services.querying.match_encoding import MatchEncoder
from dulcet.services.querying.query import Refusal, Retrieval, Search, read_retrieval, read_search
from dulcet.services.querying.query_models import Model
from dulcet.services.retrieving.moving import Move, Route
from dulcet.services.retrieving.operation_watch import Watch, watched
from dulcet.services.retrieving.suboperations import Choice, ObjectToSend, RetrieveLimits, SubOperations, Transfer
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Negotiated

RESPONSES_BETWEEN_TURNS = 8  # some 1 ms: then other associations, and a C-CANCEL-RQ, get their turn


Observe = Callable[[Association, Message, int, Mapping[str, int]], None]
"""Told of each request's end: its final status, and how many matches or sub-operations there were."""


class Page(NamedTuple):
    """One slice of a search."""

    rows: Sequence[Sequence[str]]
    """Of each match the values of `Search.attributes`."""
    after: int | None
    """Where to go on; None: that was all."""


class Archive(Protocol):
    """What can be queried and retrieved. ArchiveError when it can't answer, or not within so many seconds."""

    async def settled(self) -> None:
        """Wait until what was acknowledged up to now can be found; not for long."""

    async def page(self, search: Search, after: int, seconds: float) -> Page:
        """The next slice of the matches, from the one after `after` on, which is 0 at first."""

    async def objects(self, retrieval: Retrieval, limit: int, seconds: float) -> Sequence[ObjectToSend]:
        """The instances to send, at most `limit` of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryLimits:
    """What one C-FIND may cost."""

    matches: int = 10_000
    """Then it ends with A700H."""
    seconds: float = 5.0
    """Of matching, not of sending; then it ends with A700H. A retrieval has as many to find its objects."""


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
    observe: Observe = lambda _association, _request, _status, _counts: None
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
        context, request = received.context, received.message
        assert isinstance(request, CFindRQ)
        search = read_search(
            FIND_MODELS[context.abstract_syntax],
            identifier_of(received),
            relational=_agreed(association, received, RELATIONAL),
            date_time=_agreed(association, received, COMBINED_DATE_TIME),
        )
        if isinstance(search, Refusal):
            await send_refusal(association, received, search)
            return
        async with watched(association, request.message_id) as watch:
            sent = Counter[str]()
            status, comment = await self._matches(association, received, search, watch, sent)
            self.observe(association, request, status, sent)
            await association.send(context.context_id, request.response(status=status, error_comment=comment))

    async def _matches(
        self, association: Association, received: Received, search: Search, watch: Watch, sent: Counter[str]
    ) -> tuple[int, str | None]:
        """Send the matches; the final status, and what there is to say about it."""
        context, limits = received.context, self.query_limits
        encoder = MatchEncoder(search, context.transfer_syntax, self.ae_title)
        status = PENDING if search.is_complete else PENDING_WITH_WARNING
        assert isinstance(received.message, Message)
        response = received.message.response(status=status, has_data_set=True)
        seconds, after = 0.0, 0
        await self.archive.settled()
        while True:
            started = trio.current_time()
            try:
                page = await self.archive.page(search, after, limits.seconds - seconds)
            except ArchiveError as error:
                return OUT_OF_RESOURCES, str(error)
            seconds += trio.current_time() - started
            for row in page.rows:
                if watch.is_cancelled:
                    return CANCEL, None
                if sent["matches"] == limits.matches:
                    return OUT_OF_RESOURCES, f"more than {limits.matches} matches: narrow the query"
                sent["matches"] += 1
                await association.send(context.context_id, response, BytesSource(encoder.encode(row)))
                if not sent["matches"] % RESPONSES_BETWEEN_TURNS:
                    await trio.lowlevel.checkpoint()
            if page.after is None:
                return (CANCEL if watch.is_cancelled else SUCCESS), None
            if watch.is_cancelled:
                return CANCEL, None
            if seconds >= limits.seconds:
                return OUT_OF_RESOURCES, f"matching took more than {limits.seconds:g} s: narrow the query"
            after = page.after

    # C-MOVE and C-GET -----------------------------------------------------------------------------------------------

    async def _move(self, association: Association, received: Received) -> None:
        request = received.message
        assert isinstance(request, CMoveRQ)
        route = self.routes(request.move_destination)
        if route is None:
            comment = f"{quote(request.move_destination, 16)} is not in the node book"
            await send_refusal(association, received, Refusal(MOVE_DESTINATION_UNKNOWN, comment))
            return
        objects = await self._objects(association, received, MOVE_MODELS)
        if objects is None:
            return
        counted = SubOperations(association, received, objects, self.retrieve_limits)
        async with watched(association, request.message_id) as watch:
            move = Move(route, counted, watch, self.retrieve_limits)
            move.on_behalf_of(_calling(association), request.message_id)
            await move.send(objects)
            association.check()
            self.observe(association, request, counted.final_status(watch.is_cancelled), counted.counters)
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
            self.observe(association, request, counted.final_status(watch.is_cancelled), counted.counters)
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
            await send_refusal(association, received, retrieval)
            return None
        limit = self.retrieve_limits.suboperations
        await self.archive.settled()
        try:
            objects = await self.archive.objects(retrieval, limit + 1, self.query_limits.seconds)
        except ArchiveError as error:
            await send_refusal(association, received, Refusal(UNABLE_TO_COUNT_MATCHES, str(error)))
            return None
        if len(objects) > limit:
            refusal = Refusal(UNABLE_TO_PERFORM_SUBOPERATIONS, f"more than {limit} objects: retrieve less at once")
            await send_refusal(association, received, refusal)
            return None
        return objects


def identifier_of(received: Received) -> Identifier:
    """The identifier that came with a request; an empty one when none came."""
    octets = bytes(received.sink.octets) if isinstance(received.sink, IdentifierSink) else b""
    return Identifier(octets, received.context.transfer_syntax)


async def send_refusal(association: Association, received: Received, refusal: Refusal) -> None:
    """The final response of a request that is not performed."""
    assert isinstance(received.message, Message)
    tags = None if refusal.tag is None else (refusal.tag,)
    response = received.message.response(status=refusal.status, error_comment=refusal.comment, offending_element=tags)
    await association.send(received.context.context_id, response)


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
