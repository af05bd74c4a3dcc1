"""Who sends to the server of a `World`: senders that retry, and peers that make no sense."""

import random
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import trio
from simulated.disk import Disk
from simulated.octets import CONTEXTS, CT, MAX_PDU_LENGTH, chaos, data_set, header_of
from simulated.world import Violation, World

from dulcet.dimse.status import SUCCESS
from dulcet.errors import DulcetError, PeerUnavailableError
from dulcet.services import requestor
from dulcet.services.echo import echo
from dulcet.services.limits import NO_TIMERS, Limits
from dulcet.services.requestor import Peer, associate
from dulcet.services.store import start_store
from dulcet.services.storing import placing
from dulcet.ul.items import AsynchronousOperationsWindow

LONGEST = 1e7  # seconds of the mock clock that a seed may take
PEER = Peer(host="192.0.2.100", port=11112, ae_title="DULCET", calling_ae_title="SENDER")
PATIENT = Limits(idle=None, pdu=None, min_rate_window=None, write_stall=20.0, response=30.0, association=None)

Object = tuple[str, bytes]
"""SOP Instance UID, data set."""


async def live(rng: random.Random, say: Callable[[str], None]) -> None:
    """One seed from its start to its end; Violation when something was not as it must be."""
    before = trio.lowlevel.current_statistics().tasks_living
    world = World(rng, say)
    senders = Senders(world)
    with (
        mock.patch.object(requestor, "connect", senders.connect),
        mock.patch.object(placing, "read_header", lambda descriptor: header_of(Disk.contents(descriptor))),
        trio.fail_after(LONGEST),
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.serve)
            await senders.send_all()
            world.is_fair = True
            world.stop.set()
            await senders.send_one_more()
            world.is_over = True
            world.stop.set()
    statistics = trio.lowlevel.current_statistics()
    if statistics.tasks_living != before or statistics.seconds_to_next_deadline != float("inf"):
        raise Violation(f"something was left: {statistics}")


class Senders:
    """All of them; `stored` is what they would report."""

    def __init__(self, world: World) -> None:
        self.stored: list[Object] = []
        self._world = world
        self._rng = world.rng

    async def connect(self, host: str, port: int, *_: Any) -> Any:
        """Instead of TCP."""
        await trio.sleep(self._rng.choice((0.0, 0.01)))
        return self._world.connect("192.0.2.1")

    async def send_all(self) -> None:
        """At once: some that send objects, some that make no sense."""
        async with trio.open_nursery() as nursery:
            for number in range(self._rng.randint(1, 2)):
                nursery.start_soon(self._send, f"sender {number}")
            for number in range(self._rng.choice((0, 0, 1, 2))):
                nursery.start_soon(self._disturb, f"chaos {number}")

    async def send_one_more(self) -> None:
        """After all that, when there is no trouble any more, an object is stored; at least at the second try."""
        item = self._object()
        for _ in range(2):
            await trio.sleep(60.0)
            if not await self._attempt("the last sender", [item]):
                return
        raise Violation("a good sender is not served any more")

    async def _send(self, name: str) -> None:
        rng = self._rng
        await trio.sleep(rng.choice((0.0, 0.5, 5.0)))
        objects = [self._object() for _ in range(rng.randint(1, 3))]
        for _ in range(rng.randint(1, 2)):
            if objects:
                objects = await self._attempt(name, objects)
                await trio.sleep(rng.choice((0.0, 2.0, 40.0)))

    def _object(self) -> Object:
        """One of few UIDs, with one of few contents: the same often comes again."""
        rng = self._rng
        uid = f"2.25.{rng.randrange(4)}"
        octets = data_set(uid, bytes((rng.randrange(2),)) * rng.choice((0, 10, 500, 5000)))
        self._world.sent.setdefault(uid, set()).add(octets)
        return uid, octets

    async def _attempt(self, name: str, objects: list[Object]) -> list[Object]:
        """One association; what is left to send after it."""
        rng, left = self._rng, list(objects)
        window = rng.choice((1, 1, 3))
        patience = 1e4 if self._world.is_fair else rng.choice((0.05, 3.0, 300.0, 300.0))
        try:
            with trio.move_on_after(patience):
                async with associate(
                    PEER,
                    CONTEXTS,
                    user_items=[] if window == 1 else [_window(window)],
                    max_pdu_length=MAX_PDU_LENGTH,
                    limits=rng.choice((NO_TIMERS, PATIENT, PATIENT)),
                ) as association:
                    if rng.random() < 0.3:
                        await echo(association)
                    await self._store(association, left, window)
        except DulcetError as error:
            self._world.say(f"{name}: {error!r:.150}")
        except Violation:
            raise
        except (Exception, BaseExceptionGroup) as error:
            raise Violation(f"{error!r} left the SCU") from error
        self._world.say(f"{name}: {len(left)} of {len(objects)} left")
        return left

    async def _store(self, association: Any, left: list[Object], window: int) -> None:
        """Keep the window full; what is stored is taken out of `left`."""
        pending: list[tuple[Any, Object]] = []
        queue = list(left)
        while queue or pending:
            if queue and len(pending) < min(window, association.window):
                uid, octets = item = queue.pop(0)
                source = Pieces(self._rng, octets)
                started = await start_store(association, 3, sop_class_uid=CT, sop_instance_uid=uid, data_set=source)
                pending.append((started, item))
                continue
            started, item = pending.pop(self._rng.randrange(len(pending)))
            if (await started.response()).status == SUCCESS:
                if item[1] not in self._world.acknowledged.get(item[0], ()):
                    raise Violation(f"{item[0]} is said to be stored and was not acknowledged")
                self.stored.append(item)
                left.remove(item)

    async def _disturb(self, name: str) -> None:
        """A peer that has no idea of the protocol, and may be in no hurry."""
        rng = self._rng
        await trio.sleep(rng.choice((0.0, 0.5, 5.0)))
        octets, piece, pause = chaos(rng), rng.choice((30, 200, 5000)), rng.choice((0.0, 0.0, 0.01, 5.0))
        buffer = memoryview(bytearray(1000))
        try:
            end = self._world.connect(rng.choice(("192.0.2.1", "192.0.2.7")))
            with trio.move_on_after(rng.choice((1.0, 100.0, 1000.0))):
                for start in range(0, len(octets), piece):
                    await end.send((octets[start : start + piece],))
                    await trio.sleep(pause)
                if rng.random() < 0.5:
                    while await end.receive_into(buffer):
                        pass
            end.close()
        except (OSError, PeerUnavailableError) as error:
            self._world.say(f"{name}: {error!r}")


class Pieces:
    """A data set that is read in several pieces."""

    def __init__(self, rng: random.Random, octets: bytes) -> None:
        self._rng = rng
        self._octets = memoryview(octets)

    def chunks(self, fragment_octets: int) -> Iterator[tuple[memoryview, bool]]:
        """See `DataSetSource`."""
        octets, size = self._octets, fragment_octets * self._rng.randint(1, 3)
        for start in range(0, len(octets), size):
            yield octets[start : start + size], start + size >= len(octets)


def _window(invoked: int) -> AsynchronousOperationsWindow:
    return AsynchronousOperationsWindow(
        maximum_number_operations_invoked=invoked, maximum_number_operations_performed=1
    )
