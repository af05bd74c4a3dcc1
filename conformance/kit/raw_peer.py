"""A peer that speaks octets: what a case wants said is said, however wrong, and what comes back is kept with its time.

It reads all the time, also while it writes: a product that closes with unread octets in its buffer resets the
connection, and a reset may destroy the A-ABORT that was on its way.
"""

import math
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import trio

from dulcet.conformance.kit.exchange import Kind, Wire
from dulcet.conformance.kit.outcome import End, Outcome, of_pdu
from dulcet.conformance.kit.waiting import within
from dulcet.ul.pdu import PDU_TYPES

_READ_OCTETS = 256 * 1024
_HEADER = 6
_LARGEST_PDU = 256 * 1024 * 1024  # more can't be waited for


@dataclass(frozen=True, slots=True)
class Seen:
    """One PDU of the product, or the end of the connection."""

    time: float
    octets: bytes = b""
    end: End | None = None


class RawPeer:
    """One connection to the product. `run` has to be started in a nursery; it reads until the product closes."""

    def __init__(
        self, stream: trio.abc.Stream, wire: Wire, began: float, heard: Callable[[int | None], None] = lambda _: None
    ) -> None:
        """`heard` is called with the type of each PDU of the product, with None when the connection has ended."""
        self.stream = stream
        self._heard = heard
        self.wire = wire
        self._began = began
        self._buffer = bytearray()
        self._sender, self._receiver = trio.open_memory_channel[Seen](math.inf)
        self.end: End | None = None
        self.ended_at: float | None = None
        wire.add(self.now(), Kind.CONNECTED)

    def now(self) -> float:
        """Seconds since the case began."""
        return trio.current_time() - self._began

    async def run(self, octets: bytes | bytearray = b"") -> None:
        """Read until the product closes or the kit does; `octets` were read already."""
        while True:
            if octets:
                self._received(octets)
            try:
                octets = await self.stream.receive_some(_READ_OCTETS)
            except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
                return self._ended(End.KIT if isinstance(error, trio.ClosedResourceError) else End.RST)
            if not octets:
                return self._ended(End.FIN)

    def _received(self, octets: bytes | bytearray) -> None:
        now = self.now()
        self.wire.add(now, Kind.RECEIVED, octets)
        self._buffer += octets
        for pdu in _whole_pdus(self._buffer):
            self._heard(pdu[0])
            self._sender.send_nowait(Seen(now, pdu))

    def _ended(self, end: End) -> None:
        self.end, self.ended_at = end, self.now()
        self._heard(None)
        if end is not End.KIT:
            if self._buffer:
                self._sender.send_nowait(Seen(self.ended_at, bytes(self._buffer)))
            self.wire.add(self.ended_at, Kind.FIN if end is End.FIN else Kind.RST)
        self._sender.send_nowait(Seen(self.ended_at, end=end))
        self._sender.close()

    async def send(self, octets: bytes | memoryview) -> bool:
        """Send; False when the product has closed already, which the reader reports."""
        self.wire.add(self.now(), Kind.SENT, octets)
        try:
            await self.stream.send_all(octets)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return False
        return True

    async def next(self, seconds: float) -> Seen | None:
        """What the product does next; None when it does nothing for so long."""
        return await within(seconds, self._next)

    async def _next(self) -> Seen:
        try:
            return await self._receiver.receive()
        except trio.EndOfChannel:
            return Seen(self.ended_at or self.now(), end=self.end)

    async def outcome(self, seconds: float, tested: tuple[int, ...] = (1,)) -> Outcome:
        """The next thing that the product does, as an outcome."""
        seen = await self.next(seconds)
        if seen is None:
            return Outcome("SILENCE", (), f"nothing was sent for {seconds:g} s and the connection stayed open")
        return outcome_of(seen, tested)

    async def closes_within(self, seconds: float) -> bool:
        """Whether the product closes in time; what it sends before that is passed over."""
        return await within(seconds, self._closed) or False

    async def _closed(self) -> bool:
        while (await self._next()).end is None:
            pass
        return True

    async def finish_writing(self) -> None:
        """Close our half: FIN."""
        self.wire.add(self.now(), Kind.FIN_SENT)
        try:
            if isinstance(self.stream, trio.SocketStream):
                await self.stream.send_eof()
            else:
                await self.stream.aclose()
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return

    async def reset(self) -> None:
        """Close with RST: what is in flight is lost."""
        self.wire.add(self.now(), Kind.RST_SENT)
        stream = self.stream
        while isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if isinstance(stream, trio.SocketStream):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(stream)

    async def close(self) -> None:
        """Close in order; nothing when it is closed already."""
        if self.end is None:
            self.wire.add(self.now(), Kind.FIN_SENT)
        with trio.CancelScope(shield=True):
            stream = self.stream
            while isinstance(stream, trio.SSLStream):
                stream = stream.transport_stream
            await trio.aclose_forcefully(stream)


def outcome_of(seen: Seen, tested: tuple[int, ...] = (1,)) -> Outcome:
    """What was seen, in a word."""
    if seen.end is End.RST:
        return Outcome("RST")
    if seen.end is not None:
        return Outcome("CLOSE")
    return of_pdu(seen.octets, tested)


def _whole_pdus(buffer: bytearray) -> Iterator[bytes]:
    """Take the whole PDUs off the front. What can't be a PDU is given as it is: nothing after it means anything."""
    while len(buffer) >= _HEADER:
        length = int.from_bytes(buffer[2:6], "big")
        if buffer[0] not in PDU_TYPES or length > _LARGEST_PDU:
            yield bytes(buffer)
            buffer.clear()
            return
        if len(buffer) < _HEADER + length:
            return
        yield bytes(buffer[: _HEADER + length])
        del buffer[: _HEADER + length]
