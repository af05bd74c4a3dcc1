"""What has arrived, counted against what was promised."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

from dulcet.dimse.messages import CStoreRQ
from dulcet.errors import StorageError
from dulcet.services.association import Association
from dulcet.services.storing.placing import StoredObject
from dulcet.station.events import Event
from dulcet.station.retrieval.events import Arrival, InstanceResult
from dulcet.station.retrieval.targets import Target


class Arrived(NamedTuple):
    """An instance that is stored here."""

    octets: int
    """Of its data set."""
    path: str
    sop_class_uid: str


@dataclass
class Tally:
    """Told of every C-STORE by whatever performs it. Memory: UIDs and paths, half a kilobyte for each instance."""

    report: Callable[[Event], None]
    arrived: dict[str, Arrived] = field(default_factory=dict)
    """By SOP Instance UID."""
    refused: dict[str, str] = field(default_factory=dict)
    """SOP Instance UID, raw -> why we did not store it."""
    refusals: dict[str, int] = field(default_factory=dict)
    """The same -> the status that we answered with."""
    failed: dict[str, str] = field(default_factory=dict)
    """SOP Instance UID -> what the archive said of it."""
    expected: set[str] = field(default_factory=set)
    """The SOP Instance UIDs that were promised."""
    octets: int = 0
    """Of all that arrived."""
    last_sign: float = 0.0
    """When something came last, on trio's clock."""

    def __post_init__(self) -> None:
        self._changed = trio.lowlevel.ParkingLot()

    def __call__(self, association: Association, request: CStoreRQ, outcome: StoredObject | StorageError) -> None:
        """See `storage_scp.StoreObserver`."""
        uid = request.affected_sop_instance_uid
        sop_class = request.affected_sop_class_uid
        if isinstance(outcome, StorageError):
            if uid not in self.arrived:
                self.refused[uid] = str(outcome)
                self.refusals[uid] = outcome.status
            refused = InstanceResult(
                sop_instance_uid=uid, outcome=Arrival.REFUSED, sop_class_uid=sop_class, explanation=str(outcome)
            )
            self.report(refused)
        else:
            self._arrived(uid, Arrived(outcome.octets, str(outcome.path), sop_class))
        self.sign()

    def found(self, uid: str, arrived: Arrived) -> None:
        """An instance is stored here, whoever received it."""
        self._arrived(uid, arrived)
        self.sign()

    def _arrived(self, uid: str, arrived: Arrived) -> None:
        self.octets += 0 if uid in self.arrived else arrived.octets
        self.arrived[uid] = arrived
        self.refused.pop(uid, None)
        self.report(
            InstanceResult(
                sop_instance_uid=uid,
                outcome=Arrival.ARRIVED,
                sop_class_uid=arrived.sop_class_uid,
                path=arrived.path,
                octets=arrived.octets,
            )
        )

    def sign(self) -> None:
        """Something happened: the retrieval is alive."""
        self.last_sign = trio.current_time()
        self._changed.unpark_all()

    async def change(self) -> None:
        """Wait until something happens."""
        await self._changed.park()

    def missing(self, target: Target) -> list[str]:
        """The instances of a target, as far as they are known, that have not arrived; in order."""
        return sorted((target.instances or frozenset()) - self.arrived.keys())

    def here(self, target: Target) -> int:
        """How many instances of a target have come; when they are not known, how many of any."""
        if target.instances is None:
            return len(self.arrived)
        return len(target.instances & self.arrived.keys())

    def has_all(self, target: Target) -> bool:
        """Whether every instance that the archive listed has come; False when it listed none."""
        return target.instances is not None and target.instances <= self.arrived.keys()

    def has_any(self, target: Target) -> bool:
        """Whether an instance of a target has come; when they are not known, whether any has."""
        return self.here(target) > 0
