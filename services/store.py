"""Storage: C-STORE as SCU, PS3.7 9.1.1 and PS3.4 Annex B."""

from dataclasses import dataclass

from dulcet.dimse.message import MEDIUM
from dulcet.dimse.messages import CStoreRQ, CStoreRSP
from dulcet.errors import AssociationError, PeerProtocolError, UnconfirmedError
from dulcet.services.association import Association
from dulcet.services.data_sets import DataSetSource


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """The peer's answer to one C-STORE."""

    status: int
    """PS3.4 B.2.3; `dimse.status` explains it."""
    error_comment: str = ""
    """What the peer said in (0000,0902), as it came."""


@dataclass(slots=True)
class PendingStore:
    """A C-STORE whose request is out, whole."""

    association: Association
    message_id: int
    sop_instance_uid: str

    async def response(self) -> Stored:
        """Wait for the answer. UnconfirmedError when the association ends before it: the outcome is unknown."""
        try:
            received = await self.association.response_to(self.message_id)
        except AssociationError as error:
            raise UnconfirmedError(f"sent whole, then no answer: {error}") from error
        finally:
            self.association.finish(self.message_id)
        response = received.message
        if not isinstance(response, CStoreRSP):
            raise PeerProtocolError(f"the peer answered a C-STORE-RQ with {response.NAME}")
        if response.affected_sop_instance_uid not in (None, self.sop_instance_uid):
            raise PeerProtocolError("the peer's C-STORE-RSP is about another SOP instance")
        return Stored(status=response.status, error_comment=response.error_comment or "")


async def start_store(
    association: Association,
    context_id: int,
    *,
    sop_class_uid: str,
    sop_instance_uid: str,
    data_set: DataSetSource,
    priority: int = MEDIUM,
    move_originator_ae_title: str | None = None,
    move_originator_message_id: int | None = None,
) -> PendingStore:
    """Send one object, its data set as `data_set` gives it, and leave the answer to `PendingStore.response`.

    Waits its turn when the window is full. OSError when the source can't be read: the association must be aborted then,
    as it must be when cancelled. Memory: the source's buffer.
    """
    request = CStoreRQ(
        affected_sop_class_uid=sop_class_uid,
        message_id=association.next_message_id(),
        priority=priority,
        affected_sop_instance_uid=sop_instance_uid,
        move_originator_application_entity_title=move_originator_ae_title,
        move_originator_message_id=move_originator_message_id,
    )
    await association.start(context_id, request, data_set)
    return PendingStore(association, request.message_id, sop_instance_uid)


async def store(
    association: Association, context_id: int, *, sop_class_uid: str, sop_instance_uid: str, data_set: DataSetSource
) -> Stored:
    """`start_store` and its response in one."""
    pending = await start_store(
        association, context_id, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid, data_set=data_set
    )
    return await pending.response()
