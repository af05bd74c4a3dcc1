"""Retrieval on the same association: C-GET as SCU, PS3.4 C.4.3 and C.5.3, PS3.7 9.1.3.

    contexts, roles = get_contexts((STUDY_ROOT_GET,), storage_sop_classes)
    async with associate(peer, contexts, user_items=roles) as association:
        async with get(association, STUDY_ROOT_GET, keys, storage_operation(storage)) as retrieval:
            async for sub_operations in retrieval:
                ...

The objects come as C-STORE requests of the peer, and are performed by the same operation as those of a storage SCP.
"""

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from dulcet.dimse.message import MEDIUM
from dulcet.dimse.messages import CGetRQ, CGetRSP, CStoreRQ, Message, Response
from dulcet.dimse.uids import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    STORAGE_SOP_CLASSES,
)
from dulcet.services.acceptor import Operation, open_sink, perform
from dulcet.services.association import Association, Received
from dulcet.services.data_sets import Sink
from dulcet.services.find import UID_LIST_SYNTAXES, context_for
from dulcet.services.querying.identifiers import Keys, encode_identifier
from dulcet.services.retrieving.responses import FOR_EVER, Patience
from dulcet.services.retrieving.retrieve import Retrieval
from dulcet.ul.items import PresentationContextRQ, RoleSelection
from dulcet.ul.negotiation import AcceptedContext

MAX_CONTEXTS = 128  # PS3.8 Table 9-18: the IDs are the odd numbers from 1 to 255
UNCOMPRESSED = (EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN)

COMPRESSED = (
    "1.2.840.10008.1.2.4.70",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.50",  # JPEG Baseline
    "1.2.840.10008.1.2.4.90",  # JPEG 2000, lossless
    "1.2.840.10008.1.2.4.91",  # JPEG 2000
    "1.2.840.10008.1.2.5",  # RLE
    "1.2.840.10008.1.2.4.80",  # JPEG-LS, lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS
    "1.2.840.10008.1.2.4.51",  # JPEG Extended
    "1.2.840.10008.1.2.4.57",  # JPEG Lossless
    "1.2.840.10008.1.2.4.102",  # MPEG-4 AVC
    "1.2.840.10008.1.2.4.103",
    "1.2.840.10008.1.2.4.100",  # MPEG-2
    "1.2.840.10008.1.2.4.101",
    "1.2.840.10008.1.2.4.107",  # HEVC
    "1.2.840.10008.1.2.4.201",  # HTJ2K, lossless
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.1.99",  # deflated
)
"""Transfer syntaxes in which an archive may hold an object that it can't or won't convert, the frequent ones first."""

_MOST_USED = (
    "2 4 1 1.1 7 128 20 88.67 11.1 1.2 6.1 3.1 88.59 88.22 88.33 88.11 104.1 12.1 12.2 2.1 4.1 66.4 481.3 "
    "481.5 481.2 481.1 1.1.1 1.2.1 1.3 13.1.3 66.1 66 7.4 7.2 7.3 7.1 4.2 130 4.3 88.50 88.65 88.34 88.68 "
    "77.1.1 77.1.4 77.1.2 77.1.6 77.1.5.1 77.1.5.2 77.1.5.4 77.1.1.1 77.1.4.1 77.1.2.1 77.1.3 9.1.1 9.1.2 "
    "9.1.3 9.2.1 9.4.1 9.5.1 9.6.1 12.1.1 12.2.1 13.1.1 13.1.2 2.2 4.4 128.1 481.4 481.6 481.7 481.8 481.9 "
    "11.2 11.3 11.4 67 30 66.2 66.3 66.5 104.2 6.2 1.3.1 88.40 88.69 88.71 88.72"
)
"""Of 1.2.840.10008.5.1.4.1.1: images first, then what goes with them."""

STORAGE_BY_USE: tuple[str, ...] = tuple(
    dict.fromkeys(
        [
            *(f"1.2.840.10008.5.1.4.1.1.{component}" for component in _MOST_USED.split()),
            *(uid for uid, name in STORAGE_SOP_CLASSES.items() if "retired" not in name),
            *STORAGE_SOP_CLASSES,
        ]
    )
)
"""Every storage SOP class, the most used first."""


def get_contexts(
    sop_class_uids: Sequence[str], storage_sop_classes: Iterable[str] = STORAGE_BY_USE
) -> tuple[tuple[PresentationContextRQ, ...], tuple[RoleSelection, ...]]:
    """(contexts, role selections) for a C-GET with the retrieval `sop_class_uids`: at most 128 contexts.

    Each storage SOP class gets a context for uncompressed objects, the first of them if there are too many. What room
    is left goes to contexts for one compressed transfer syntax each, since the peer accepts one in each context.
    """
    room = MAX_CONTEXTS - len(sop_class_uids)
    classes = list(dict.fromkeys(storage_sop_classes))[:room]
    proposals: list[tuple[str, tuple[str, ...]]] = [(uid, UID_LIST_SYNTAXES) for uid in sop_class_uids]
    proposals += [(uid, UNCOMPRESSED) for uid in classes]
    proposals += [(uid, (syntax,)) for syntax in COMPRESSED for uid in classes]
    contexts = tuple(
        PresentationContextRQ.propose(2 * index + 1, uid, syntaxes)
        for index, (uid, syntaxes) in enumerate(proposals[:MAX_CONTEXTS])
    )
    return contexts, tuple(RoleSelection(sop_class_uid=uid, scu_role=0, scp_role=1) for uid in classes)


class Get(Retrieval):
    """One C-GET; see `get`."""

    RESPONSE = CGetRSP

    def __init__(
        self,
        association: Association,
        context: AcceptedContext,
        request: CGetRQ,
        identifier: bytes,
        patience: Patience,
        store: Operation,
    ) -> None:
        super().__init__(association, context.context_id, request, identifier, patience)
        self._operations: dict[type[Message], Operation] = {CStoreRQ: store}

    async def _start(self) -> None:
        self._association.open_sink = self._open_sink
        await super()._start()

    async def _receive(self) -> deque[Received]:
        return deque((await self._association.response_or_request(self._request.message_id),))

    async def _next(self) -> Received:
        while True:
            received = await super()._next()
            if isinstance(received.message, Response):
                return received
            if not received.context.requestor_is_scp:
                uid = received.context.abstract_syntax
                self._note("PS3.7 D.3.3.4", "scp_role", f"{received.message.NAME} on {uid}, without our role as SCP")
            await perform(self._operations, self._association, received)

    def _open_sink(self, context: AcceptedContext, message: Message) -> Sink:
        return open_sink(self._operations, self._association, context, message)


def receivable(association: Association) -> Collection[str]:
    """The storage SOP classes that the peer agreed to send on this association (PS3.7 D.3.3.4)."""
    return {context.abstract_syntax for context in association.contexts.values() if context.requestor_is_scp}


def get(
    association: Association,
    sop_class_uid: str,
    keys: Keys,
    store: Operation,
    *,
    patience: Patience = FOR_EVER,
    priority: int = MEDIUM,
) -> Get:
    """Have the peer of `association` send what the unique `keys` name on this association; `store` performs C-STORE.

    Items are the pending responses, which are optional: there may be none, and objects come between them. The final
    one is in `final`, with the instances that failed; a failure is not raised. `patience.response` also counts from one
    object to the next. See `Responses` for leaving early, time, cancellation and errors.
    """
    context = context_for(association, sop_class_uid)
    request = CGetRQ(affected_sop_class_uid=sop_class_uid, message_id=association.next_message_id(), priority=priority)
    return Get(association, context, request, encode_identifier(keys, context.transfer_syntax), patience, store)
