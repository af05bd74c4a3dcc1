"""One connection, read by whichever task needs something from it, for all that wait."""

import trio

from dulcet.services.fair_share import FairShare


class ReadsForAll:
    """What the tasks of one association share about reading it."""

    def __init__(self) -> None:
        self.share = FairShare()
        self.is_reading = False
        """Whether a task reads; the others wait."""
        self.waiters = trio.lowlevel.ParkingLot()

    def wake_waiters(self) -> None:
        """Tasks that wait for what another reads look whether it is there."""
        if self.waiters:
            self.waiters.unpark_all()


class Reading:
    """While its block lasts the task in it reads. A class: a generator would cost twice as much, for each PDU."""

    __slots__ = ("_shared",)

    def __init__(self, shared: ReadsForAll) -> None:
        self._shared = shared

    def __enter__(self) -> None:
        self._shared.is_reading = True
        self._shared.share.went_on()

    def __exit__(self, *_: object) -> None:
        self._shared.share.used()
        self._shared.is_reading = False
        self._shared.wake_waiters()
