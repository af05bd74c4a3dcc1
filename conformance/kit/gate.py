"""The way into a product that takes connections one after the other.

Such a product waits on a connection for its A-ASSOCIATE-RQ, and so long it answers on no other. Its associations, once
they are made, are served side by side. So one case at a time goes in, and the next one follows when the product has
said something; what a case waits for after that keeps nobody out.
"""

from collections.abc import Awaitable, Callable

import trio


class Gate:
    """Held by one case from before it connects until it is answered. A case is known by its `Findings`."""

    def __init__(self, is_open: Callable[[], Awaitable[bool]]) -> None:
        """`is_open` tries the product on a connection of its own."""
        self._is_open = is_open
        self._room = trio.CapacityLimiter(1)
        self._holder: object = None
        self._entries = 0

    async def enter(self, case: object) -> None:
        """Wait until the case before has been answered; at once when it is this one that holds the gate."""
        if self._holder is not case:
            await self._room.acquire_on_behalf_of(case)
            self._holder = case
        self._entries += 1

    def leave(self, case: object) -> None:
        """Let the next one in; nothing when this one does not hold the gate."""
        if self._holder is case:
            self._holder = None
            self._room.release_on_behalf_of(case)

    async def look(self, case: object, every_seconds: float) -> None:
        """Leave as soon as the product answers on another connection: it is not kept by what goes on on this one."""
        entry = self._entries
        while self._holder is case and self._entries == entry:
            await trio.sleep(every_seconds)
            if self._holder is case and await self._is_open() and self._entries == entry:
                self.leave(case)
