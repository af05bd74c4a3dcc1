"""What C-MOVE and C-GET have in common as SCU: sub-operations counted by the peer (PS3.4 C.4.2, C.4.3)."""

from dataclasses import dataclass

from dulcet.dimse.messages import CGetRSP, CMoveRSP, Message
from dulcet.dimse.uids import is_valid_uid
from dulcet.errors import DecodeError, OperationFailedError
from dulcet.services.association import Association, Received
from dulcet.services.querying.identifiers import FAILED_SOP_INSTANCE_UID_LIST, Identifier
from dulcet.services.retrieving.responses import Patience, Responses, failure, is_complete

_WRAP = 0x10000  # a counter is a US: it overflows where a peer goes on counting


@dataclass(frozen=True, kw_only=True, slots=True)
class SubOperations:
    """The sub-operations as the peer counts them, made to go forward: what can't be is a deviation."""

    remaining: int | None = None
    """None where the peer doesn't say."""
    completed: int = 0
    """With success."""
    failed: int = 0
    warning: int = 0
    """Stored, with a warning."""

    @property
    def done(self) -> int:
        """All that have ended."""
        return self.completed + self.failed + self.warning

    @property
    def total(self) -> int | None:
        """All of them; None where the peer doesn't say how many remain."""
        return None if self.remaining is None else self.done + self.remaining


class Retrieval(Responses[SubOperations]):
    """The sub-operations of one C-MOVE or C-GET as they are told; see `move` and `get`."""

    def __init__(
        self, association: Association, context_id: int, request: Message, identifier: bytes, patience: Patience
    ) -> None:
        super().__init__(association, context_id, request, identifier, patience)
        self.sub_operations = SubOperations()
        """The last that the peer said."""
        self.failed_instances: tuple[str, ...] = ()
        """SOP Instance UIDs that the final response names as failed."""

    @property
    def failure(self) -> OperationFailedError | None:
        """What the final response stands for, if it is a failure; nothing is raised for it, since parts may be done."""
        return None if self.final is None else failure(self.final)

    @property
    def is_empty(self) -> bool:
        """Whether the peer says: success, and nothing sent."""
        final = self.final
        if not isinstance(final, CMoveRSP | CGetRSP) or not is_complete(final):
            return False
        return final.number_of_completed_suboperations == 0 and not self.sub_operations.done

    def _pending(self, received: Received) -> SubOperations:
        if received.sink is not None:
            self._note("PS3.4 C.4.2.1.4.2", "identifier", f"a pending {received.message.NAME} with an identifier")
        self._count(received.message, is_pending=True)
        return self.sub_operations

    def _ended(self, received: Received) -> None:
        self._count(received.message, is_pending=False)
        octets = received.octets
        if not octets:
            return
        try:
            uids = Identifier(octets, received.context.transfer_syntax).values(FAILED_SOP_INSTANCE_UID_LIST)
        except DecodeError as error:
            self._note("PS3.4 C.4.2.1.4.2", "identifier", f"the list of failed instances can't be read: {error}")
            return
        self.failed_instances = tuple(uid for uid in uids if is_valid_uid(uid))
        if len(self.failed_instances) < len(uids):
            self._note("PS3.4 C.4.2.1.4.2", "failed_sop_instance_uid_list", "what is no UID among the failed instances")

    def _count(self, response: object, *, is_pending: bool) -> None:
        assert isinstance(response, CMoveRSP | CGetRSP)
        before = self.sub_operations
        told = {
            "completed": response.number_of_completed_suboperations,
            "failed": response.number_of_failed_suboperations,
            "warning": response.number_of_warning_suboperations,
        }
        remaining = response.number_of_remaining_suboperations
        if is_pending and (remaining is None or None in told.values()):
            self._note("PS3.4 C.4.2.1.6", "counters", f"a pending {response.NAME} does not tell all four counters")
        forward = {name: self._forward(name, getattr(before, name), value) for name, value in told.items()}
        if is_pending and before.remaining is not None and remaining is not None and remaining > before.remaining:
            self._note("PS3.4 C.4.2.1.6", "remaining", f"{remaining} remain after {before.remaining}")
        self.sub_operations = SubOperations(remaining=remaining, **forward)

    def _forward(self, name: str, before: int, told: int | None) -> int:
        """A counter that wrapped round goes on; one that runs backwards stays where it was."""
        if told is None:
            return before
        value = before // _WRAP * _WRAP + told
        if value >= before:
            return value
        if before - value >= _WRAP // 2:
            return value + _WRAP
        self._note("PS3.4 C.4.2.1.7", name, f"the counter of {name} sub-operations ran back from {before} to {told}")
        return before
