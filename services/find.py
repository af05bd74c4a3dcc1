"""Query: C-FIND as SCU, PS3.4 C.4.1 and K.4.1, PS3.7 9.1.2.

    async with find(association, STUDY_ROOT_FIND, keys) as matches:
        async for match in matches:
            ...

A match keeps its octets and is read when it is asked for a value, so what nobody looks at costs little.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Self

from dulcet.dimse.message import MEDIUM
from dulcet.dimse.messages import CFindRQ, CFindRSP
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    MODALITY_WORKLIST,
    name_of,
)
from dulcet.errors import NoAcceptedContextError
from dulcet.services.association import Association, Received
from dulcet.services.querying.identifiers import Identifier, Keys, encode_identifier
from dulcet.services.retrieving.responses import FOR_EVER, Patience, Responses, failure
from dulcet.ul.items import PresentationContextRQ, SOPClassExtendedNegotiation
from dulcet.ul.negotiation import AcceptedContext

IDENTIFIER_SYNTAXES = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)
UID_LIST_SYNTAXES = (IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN)
"""For retrievals: in Explicit VR a UI holds a thousand UIDs, and no more (PS3.5 7.1.2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryOptions:
    """Extended behaviour of C-FIND, asked for or agreed upon (PS3.4 C.5.1.1, K.5.1.1)."""

    relational: bool = False
    """Keys of any level, and no need for the unique keys above."""
    date_time: bool = False
    """A range of dates and one of times are one range of moments."""
    fuzzy: bool = False
    """Names match by meaning."""
    timezone: bool = False
    """Timezone Offset From UTC (0008,0201) adjusts times."""

    def item(self, sop_class_uid: str) -> SOPClassExtendedNegotiation | None:
        """The sub-item that asks for it; None when nothing is asked for.

        One octet where one is enough: old products know no more (PS3.4 C.5.1.1, note). A worklist has three at least,
        the first two of them always 1.
        """
        if not any(astuple(self)):
            return None
        flags = bytes(astuple(self))
        if sop_class_uid == MODALITY_WORKLIST:
            flags = b"\1\1" + flags[2:]
        elif flags == b"\1\0\0\0":
            flags = b"\1"
        return SOPClassExtendedNegotiation(sop_class_uid=sop_class_uid, service_class_application_information=flags)

    def agreed(self, association: Association, sop_class_uid: str) -> Self:
        """What of it the peer agreed to: an octet that did not come back is a 0."""
        answer = association.negotiated.extended.get(sop_class_uid, b"").ljust(4, b"\0")
        return type(self)(**{name: asked and answer[index] == 1 for index, (name, asked) in enumerate(self._asked())})

    def _asked(self) -> list[tuple[str, bool]]:
        names = ("relational", "date_time", "fuzzy", "timezone")
        return [(name, getattr(self, name)) for name in names]

    def names(self) -> list[str]:
        """What is asked for, in words."""
        words = {
            "relational": "relational queries",
            "date_time": "combined date-time matching",
            "fuzzy": "fuzzy matching of names",
            "timezone": "timezone query adjustment",
        }
        return [words[name] for name, asked in self._asked() if asked]


class Match(Identifier):
    """What one pending response brought."""

    __slots__ = ("status",)

    def __init__(self, octets: bytes, transfer_syntax: str, character_set: str, status: int) -> None:
        super().__init__(octets, transfer_syntax, character_set)
        self.status = status
        """FF00H, or FF01H when not all optional keys were supported."""


class Matches(Responses[Match]):
    """The matches of one C-FIND as they come; see `find`."""

    RESPONSE = CFindRSP

    def __init__(
        self,
        association: Association,
        context: AcceptedContext,
        request: CFindRQ,
        identifier: bytes,
        patience: Patience,
        limit: int | None,
        character_set: str,
    ) -> None:
        super().__init__(association, context.context_id, request, identifier, patience)
        self.count = 0
        """Matches so far."""
        self._wanted = limit
        self._character_set = character_set

    async def __anext__(self) -> Match:
        if self._wanted == 0:
            await self.aclose()
            raise StopAsyncIteration
        match = await super().__anext__()
        self.count += 1
        if self._wanted is not None:
            self._wanted -= 1
        return match

    def _pending(self, received: Received) -> Match | None:
        octets = received.octets
        if octets is None:
            self._note("PS3.7 9.1.2.1.6", "identifier", "a pending C-FIND-RSP without an identifier")
            return None
        message = received.message
        assert isinstance(message, CFindRSP)
        return Match(octets, received.context.transfer_syntax, self._character_set, message.status)

    def _ended(self, received: Received) -> None:
        if received.sink is not None:
            self._note("PS3.7 9.1.2.1.6", "identifier", "a final C-FIND-RSP with an identifier")
        assert self.final is not None
        error = failure(self.final)
        if error is not None and not self.is_cancelled:
            raise error


def find_contexts(
    sop_class_uids: Iterable[str], syntaxes: Sequence[str] = IDENTIFIER_SYNTAXES
) -> tuple[PresentationContextRQ, ...]:
    """A context for each of these SOP classes, IDs from 1 on; identifiers are small, so the simple syntaxes do."""
    return tuple(
        PresentationContextRQ.propose(2 * index + 1, uid, syntaxes) for index, uid in enumerate(sop_class_uids)
    )


def context_for(association: Association, sop_class_uid: str) -> AcceptedContext:
    """The accepted context of a SOP class; NoAcceptedContextError when there is none."""
    for context in association.contexts.values():
        if context.abstract_syntax == sop_class_uid:
            return context
    what = f"the peer did not accept the SOP class {name_of(sop_class_uid) or sop_class_uid}"
    raise NoAcceptedContextError(what, refused=association.negotiated.refused)


def find(
    association: Association,
    sop_class_uid: str,
    keys: Keys,
    *,
    limit: int | None = None,
    patience: Patience = FOR_EVER,
    character_set: str = "",
    priority: int = MEDIUM,
) -> Matches:
    """Query the peer of `association` with `keys`, Query/Retrieve Level included: an async iterator of its matches.

    After `limit` matches the query is cancelled. `character_set` is used for the query, and for matches that don't name
    their own. OperationFailedError when the peer answers with a failure; matches that came before it stand. See
    `Responses` for leaving early, time, cancellation and errors, `encode_identifier` for what keys can hold.
    """
    context = context_for(association, sop_class_uid)
    request = CFindRQ(affected_sop_class_uid=sop_class_uid, message_id=association.next_message_id(), priority=priority)
    identifier = encode_identifier(keys, context.transfer_syntax, character_set)
    return Matches(association, context, request, identifier, patience, limit, character_set)
