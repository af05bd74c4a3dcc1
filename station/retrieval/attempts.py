"""Requests for objects and how they ended."""

from dataclasses import dataclass, field

from dulcet.errors import DulcetError
from dulcet.services.retrieving.retrieve import SubOperations
from dulcet.station.retrieval.events import RetrievalEnded
from dulcet.station.retrieval.targets import Target

MOVE, GET = "C-MOVE", "C-GET"
WAYS = {"auto": (MOVE, GET), "move": (MOVE,), "get": (GET,)}
"""What to try, one after the other, by the word that people say."""


@dataclass(kw_only=True, slots=True)
class Attempt:
    """One request for one target, and how it ended."""

    way: str
    target: Target
    counts: SubOperations = field(default_factory=SubOperations)
    """As the archive counts."""
    status: int | None = None
    """Of the final response, if there was one."""
    error: DulcetError | None = None
    """A failure of the operation or of the association."""
    failed_instances: tuple[str, ...] = ()
    receivable: int | None = None
    """C-GET: the SOP classes that the archive agreed to send."""
    is_cancelled: bool = False
    is_empty: bool = False
    """The archive says: success, and nothing sent."""

    def event(self, peer: str) -> RetrievalEnded:
        """How it ended."""
        counts, status = self.counts, self.status
        return RetrievalEnded(
            peer=peer,
            service=self.way,
            what=str(self.target),
            status=None if status is None else f"{status:04X}H",
            completed=counts.completed,
            failed=counts.failed,
            warning=counts.warning,
            failed_instances=self.failed_instances or None,
            explanation=None if self.error is None else str(self.error),
        )
