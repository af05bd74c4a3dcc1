"""Work that takes a while: counted while it goes on, and ended between two steps when somebody asks."""

import threading
from dataclasses import dataclass, field

from dulcet.station.sending.progress import Transfer


@dataclass(slots=True)
class Work:
    """One piece of work. Threads count here; another one looks at it, and may stop it."""

    transfer: Transfer = field(default_factory=lambda: Transfer(total_objects=0, total_octets=0))
    is_stopped: bool = False
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def octets(self, count: int) -> None:
        """So many octets more are done. KeyboardInterrupt when the work was stopped."""
        with self._counting:
            self.transfer.octets += count
        self.check()

    def object(self, *, failed: bool = False) -> None:
        """An object more is done."""
        with self._counting:
            self.transfer.objects += 1
            self.transfer.failed += failed

    def check(self) -> None:
        """KeyboardInterrupt when the work was stopped."""
        if self.is_stopped:
            raise KeyboardInterrupt
