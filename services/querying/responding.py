"""The responses of a C-FIND SCP: what the archive and the worklist have in common (PS3.4 C.4.1.3, K.4.1.3).

Matches come in slices, and between slices, and between responses, others get their turn. What a query may cost is
bounded: its matches, and the time that is spent on finding them.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import trio

from dulcet.dimse.messages import Message
from dulcet.dimse.status import CANCEL, OUT_OF_RESOURCES, PENDING, PENDING_WITH_WARNING, SUCCESS
from dulcet.errors import ArchiveError
from dulcet.services.association import Association, Received
from dulcet.services.data_sets import BytesSource
from dulcet.services.querying.identifiers import Identifier
from dulcet.services.querying.query import Refusal
from dulcet.services.retrieving.operation_watch import Watch, watched

RESPONSES_BETWEEN_TURNS = 8  # some 1 ms: then other associations, and a C-CANCEL-RQ, get their turn

Row = TypeVar("Row")


class Performed(NamedTuple):
    """What a request came to."""

    status: int
    """The final one."""
    counts: Mapping[str, int]
    """How many matches or sub-operations there were."""
    comment: str | None = None
    """Why the status is no success: what the response says, at more length where it is about sub-operations."""


Observe = Callable[[Association, Message, Performed], None]
"""Told of each request's end, before its final response goes out."""


def nobody(_association: Association, _request: Message, _performed: Performed) -> None:
    """Observes nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryLimits:
    """What one C-FIND may cost."""

    matches: int = 10_000
    """Then it ends with A700H."""
    seconds: float = 5.0
    """Of matching, not of sending; then it ends with A700H. A retrieval has as many to find its objects."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One slice of the matches."""

    rows: Sequence[Row]
    after: int | None
    """Where to go on; None: that was all."""


@dataclass(frozen=True, slots=True)
class MatchSource(Generic[Row]):
    """Where the matches of one request come from."""

    page: Callable[[int, float], Awaitable[Page[Row]]]
    """The slice from the match after this one on, which is 0 at first, within so many seconds; or ArchiveError."""
    encode: Callable[[Row], bytes]
    """The identifier of a response."""
    is_complete: bool = True
    """Every key of the request is supported."""


def identifier_of(received: Received) -> Identifier:
    """The identifier that came with a request; an empty one when none came."""
    return Identifier(received.octets or b"", received.context.transfer_syntax)


async def send_refusal(association: Association, received: Received, refusal: Refusal, observe: Observe) -> None:
    """The final response of a request that is not performed."""
    request = received.message
    assert isinstance(request, Message)
    tags = {} if refusal.tag is None else {"offending_element": (refusal.tag,)}
    observe(association, request, Performed(refusal.status, {}, refusal.comment))
    response = request.response(status=refusal.status, error_comment=refusal.comment, **tags)
    await association.send(received.context.context_id, response)


async def send_matches(
    association: Association, received: Received, source: MatchSource[Row], limits: QueryLimits, observe: Observe
) -> None:
    """All responses of a C-FIND, until the last match, the first limit or a cancel; AssociationError as it comes."""
    request = received.message
    assert isinstance(request, Message)
    async with watched(association, request.message_id) as watch:
        sent = Counter[str]()
        status, comment = await _send_pending(association, received, source, limits, watch, sent)
        observe(association, request, Performed(status, sent, comment))
        await association.send(received.context.context_id, request.response(status=status, error_comment=comment))


async def _send_pending(
    association: Association,
    received: Received,
    source: MatchSource[Row],
    limits: QueryLimits,
    watch: Watch,
    sent: Counter[str],
) -> tuple[int, str | None]:
    """The final status, and what there is to say about it."""
    assert isinstance(received.message, Message)
    status = PENDING if source.is_complete else PENDING_WITH_WARNING
    response = received.message.response(status=status, has_data_set=True)
    seconds, after = 0.0, 0
    while True:
        started = trio.current_time()
        try:
            page = await source.page(after, limits.seconds - seconds)
        except ArchiveError as error:
            return OUT_OF_RESOURCES, str(error)
        seconds += trio.current_time() - started
        for row in page.rows:
            if watch.is_cancelled:
                return CANCEL, None
            if sent["matches"] == limits.matches:
                return OUT_OF_RESOURCES, f"more than {limits.matches} matches: narrow the query"
            sent["matches"] += 1
            await association.send(received.context.context_id, response, BytesSource(source.encode(row)))
            if not sent["matches"] % RESPONSES_BETWEEN_TURNS:
                await trio.lowlevel.checkpoint()
        if page.after is None:
            return (CANCEL if watch.is_cancelled else SUCCESS), None
        if watch.is_cancelled:
            return CANCEL, None
        if seconds >= limits.seconds:
            return OUT_OF_RESOURCES, f"matching took more than {limits.seconds:g} s: narrow the query"
        after = page.after
