"""A connection between two ends whose octets come late, in pieces, hardly at all, or not to the end.

What each end sends lies in the wire until its moment has come; no task moves it. Nothing is reordered within a
connection. A cut loses what lies in the wire, as a reset does.
"""

import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import trio

Buffers = Sequence[bytes | memoryview]


@dataclass(frozen=True)
class Weather:
    """How a wire treats what is sent through it."""

    delay: float = 0.001
    """Seconds from one end to the other, on average."""
    piece: int = 4096
    """Octets that arrive together, at most."""
    room: int = 65536
    """Octets that fit into one direction before a sender has to wait."""
    cut_after: float = math.inf
    """Octets of both directions together after which the connection breaks."""
    stall_after: float = math.inf
    """Octets after which nothing moves for a while."""
    stall: float = 0.0
    """How long that is."""

    @classmethod
    def bad(cls, rng: random.Random) -> "Weather":
        """Some weather: mostly fair."""
        kind = rng.random()
        return cls(
            delay=rng.choice((0.0, 0.0001, 0.01, 0.3)),
            piece=rng.choice((40, 300, 2000, 65536, 65536)),
            room=rng.choice((200, 2000, 65536, 65536)),
            cut_after=rng.randrange(1, 9000) if kind < 0.25 else math.inf,
            stall_after=rng.randrange(1, 9000) if 0.25 <= kind < 0.4 else math.inf,
            stall=rng.choice((1.0, 25.0, 70.0, 1e5)),
        )


class Direction:
    """From one end to the other."""

    def __init__(self) -> None:
        self.pieces: deque[tuple[float, bytes]] = deque()
        """(when it arrives, octets), b"" for the end of what is sent."""
        self.octets = 0
        self.clear_at = 0.0
        self.changed = trio.lowlevel.ParkingLot()
        self.is_closed_by_receiver = False


class Wire:
    """Two `Transport`s."""

    def __init__(self, rng: random.Random, weather: Weather, address: str) -> None:
        self._rng = rng
        self._weather = weather
        self._sent = 0
        self.is_broken = False
        there, back = Direction(), Direction()
        self.client = End(self, there, back, "192.0.2.100")
        self.server = End(self, back, there, address)

    def break_off(self) -> None:
        """A reset: what lies in the wire is lost, and both ends learn of it."""
        self.is_broken = True
        for direction in (self.client.outward, self.server.outward):
            direction.pieces.clear()
            direction.octets = 0
            direction.changed.unpark_all()

    def enter(self, direction: Direction, octets: bytes) -> None:
        """What one end wrote is on its way, in pieces."""
        weather, rng = self._weather, self._rng
        start = 0
        while start < len(octets):
            piece = octets[start : start + rng.randint(1, weather.piece)]
            start += len(piece)
            self._sent += len(piece)
            moment = max(direction.clear_at, trio.current_time() + rng.expovariate(1.0) * weather.delay)
            if self._sent >= weather.stall_after:
                moment += weather.stall
                weather = self._weather = Weather(weather.delay, weather.piece, weather.room, weather.cut_after)
            direction.clear_at = moment
            direction.pieces.append((moment, piece))
            direction.octets += len(piece)
            if self._sent >= weather.cut_after:
                self.break_off()
                return
        direction.changed.unpark_all()


class End:
    """A `Transport`."""

    def __init__(self, wire: Wire, outward: Direction, inward: Direction, peer_address: str) -> None:
        self.outward = outward
        self.peer_address = peer_address
        self.octets_received = self.octets_sent = 0
        self._wire = wire
        self._inward = inward
        self._is_closed = False

    def send_now(self, buffers: Buffers) -> Buffers:
        """As much as there is room for."""
        self._check()
        if self.outward.is_closed_by_receiver:
            raise BrokenPipeError("the peer has closed")
        octets = b"".join(buffers)
        room = max(0, self._wire._weather.room - self.outward.octets)
        if not room and octets:
            return buffers
        self._wire.enter(self.outward, octets[:room])
        self._check()
        return (octets[room:],) if len(octets) > room else ()

    async def send(self, buffers: Buffers) -> None:
        """All of it, as there is room."""
        while buffers := self.send_now(buffers):
            await self.outward.changed.park()

    def receive_now(self, buffer: memoryview) -> int | None:
        """What has arrived."""
        self._check()
        pieces = self._inward.pieces
        if not pieces or pieces[0][0] > trio.current_time():
            return None
        moment, octets = pieces[0]
        count = min(len(octets), len(buffer))
        buffer[:count] = octets[:count]
        if count == len(octets):
            if octets:  # the end stays
                pieces.popleft()
        else:
            pieces[0] = (moment, octets[count:])
        self._inward.octets -= count
        self._inward.changed.unpark_all()
        return count

    async def receive_into(self, buffer: memoryview) -> int:
        """What arrives next."""
        while (count := self.receive_now(buffer)) is None:
            pieces = self._inward.pieces
            with trio.move_on_at(pieces[0][0] if pieces else math.inf):
                await self._inward.changed.park()
        return count

    def try_receive_into(self, buffer: memoryview) -> int:
        """What has arrived, if anything."""
        try:
            return self.receive_now(buffer) or 0
        except OSError:
            return 0

    def close(self) -> None:
        """The other end reads to what was sent before; what it sends is not received any more."""
        if self._is_closed:
            return
        self._is_closed = True
        if not self._wire.is_broken:
            delay = self._wire._rng.expovariate(1.0) * self._wire._weather.delay
            moment = max(self.outward.clear_at, trio.current_time() + delay)
            self.outward.pieces.append((moment, b""))
            self._inward.pieces.clear()
            self._inward.octets = 0
            self._inward.is_closed_by_receiver = True
        self.outward.changed.unpark_all()
        self._inward.changed.unpark_all()

    def _check(self) -> None:
        if self._is_closed:
            raise OSError("it is closed")
        if self._wire.is_broken:
            raise ConnectionResetError("the connection was reset")
