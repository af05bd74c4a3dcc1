"""Receivers that several retrievals of one process share, one for each port: there as long as somebody needs it."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import trio

from dulcet.services.acceptor import Operation
from dulcet.station.retrieval.receiver import Receiver, SharedReceiver
from dulcet.station.retrieval.reception import ReceiverSettings


class SharedReceivers:
    """Listens in `nursery`, which has to outlive every retrieval."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._open: dict[tuple[str, int], tuple[SharedReceiver, trio.CancelScope]] = {}

    def has(self, settings: ReceiverSettings) -> bool:
        """Whether we listen there already."""
        return (settings.host, settings.port) in self._open

    @asynccontextmanager
    async def receiving(
        self, settings: ReceiverSettings, *, store: Operation, expected: Collection[str]
    ) -> AsyncIterator[Receiver]:
        """As `receiver.receiving`, together with others that have the same port."""
        key = settings.host, settings.port
        if key not in self._open:
            shared = SharedReceiver(settings.host, settings.port, settings.max_pdu_length)
            scope = trio.CancelScope()
            self._open[key] = shared, scope
            self._nursery.start_soon(_serve, shared, scope)
        shared, scope = self._open[key]
        try:
            async with shared.joined(settings, store, expected) as receiver:
                yield receiver
                await shared.wait_for_releases()
        finally:
            if not shared.is_wanted and self._open.get(key) == (shared, scope):
                del self._open[key]
                scope.cancel()
                shared.close()


async def _serve(shared: SharedReceiver, scope: trio.CancelScope) -> None:
    with scope:
        await shared.serve()
