"""Retrieval to a third party, or to ourselves: C-MOVE as SCU, PS3.4 C.4.2, PS3.7 9.1.4.

async with move(association, STUDY_ROOT_MOVE, keys, "DESTINATION") as retrieval:
    async for sub_operations in retrieval:
        ...
if retrieval.failure: ...
"""

from collections.abc import Iterable

from dulcet.dimse.message import MEDIUM
from dulcet.dimse.messages import CMoveRQ, CMoveRSP
from dulcet.services.association import Association
from dulcet.services.find import UID_LIST_SYNTAXES, context_for, find_contexts
from dulcet.services.querying.identifiers import Keys, encode_identifier
from dulcet.services.retrieving.responses import FOR_EVER, Patience
from dulcet.services.retrieving.retrieve import Retrieval
from dulcet.ul.items import PresentationContextRQ


def move_contexts(sop_class_uids: Iterable[str]) -> tuple[PresentationContextRQ, ...]:
    """A context for each of these SOP classes, IDs from 1 on."""
    return find_contexts(sop_class_uids, UID_LIST_SYNTAXES)


class Move(Retrieval):
    """One C-MOVE; see `move`."""

    RESPONSE = CMoveRSP


def move(
    association: Association,
    sop_class_uid: str,
    keys: Keys,
    destination: str,
    *,
    patience: Patience = FOR_EVER,
    priority: int = MEDIUM,
) -> Move:
    """Have the peer of `association` send what the unique `keys` name to the AE title `destination`.

    Items are the pending responses, which are optional (PS3.4 C.4.2.3.1): there may be none. The final one is in
    `final`, with the instances that failed; a failure is not raised. See `Responses` for leaving early, time,
    cancellation and errors.
    """
    context = context_for(association, sop_class_uid)
    request = CMoveRQ(
        affected_sop_class_uid=sop_class_uid,
        message_id=association.next_message_id(),
        move_destination=destination,
        priority=priority,
    )
    identifier = encode_identifier(keys, context.transfer_syntax)
    return Move(association, context.context_id, request, identifier, patience)
