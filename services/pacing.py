"""A limit on what goes over the network: octets are let through at a rate, within objects and not only between them.

It wraps a transport, so what has no limit pays nothing. Several connections may share one `Bandwidth`.
"""

import trio

from dulcet.services.tls import TLSSession
from dulcet.services.transport import Buffers, Transport

PIECE_SECONDS = 0.05  # of the rate, let through in one go: smooth for who shares the line
MAX_PIECE_OCTETS = 256 * 1024
SAVED_SECONDS = 0.2  # of the rate, that may be made up for: timers are late, and answers take their time


class Bandwidth:
    """Octets per second that all who share it may use together, in each direction."""

    def __init__(self, octets_per_second: int) -> None:
        """At least 1."""
        self.octets_per_second = octets_per_second
        self.piece_octets = max(1, min(int(octets_per_second * PIECE_SECONDS), MAX_PIECE_OCTETS))
        self.sent = Share(octets_per_second)
        self.received = Share(octets_per_second)


class Share:
    """One direction. Nothing is lost when it is cancelled."""

    def __init__(self, octets_per_second: int) -> None:
        self._rate = octets_per_second
        self._paid_until = -SAVED_SECONDS

    async def turn(self, octets: int = 0) -> None:
        """Wait until what was used before is paid for; then `octets` may go, and count as used."""
        at = self._paid_until
        self.used(octets)
        if at > trio.current_time():
            await trio.sleep_until(at)

    def used(self, octets: int) -> None:
        """So many octets have gone, or come."""
        self._paid_until = max(self._paid_until, trio.current_time() - SAVED_SECONDS) + octets / self._rate


class PacedTransport:
    """A transport whose octets, either way, go at the rate of `bandwidth`. With TLS: of what is in it."""

    def __init__(self, transport: Transport, bandwidth: Bandwidth) -> None:
        self._transport = transport
        self._bandwidth = bandwidth
        self.peer_address = transport.peer_address
        self.octets_received = transport.octets_received
        self.octets_sent = transport.octets_sent

    def send_now(self, buffers: Buffers) -> Buffers:
        """See `Transport`: nothing goes without its turn."""
        return buffers

    async def send(self, buffers: Buffers) -> None:
        """See `Transport`."""
        piece = self._bandwidth.piece_octets
        for buffer in buffers:
            view = memoryview(buffer)
            for start in range(0, len(view), piece):
                part = view[start : start + piece]
                await self._bandwidth.sent.turn(len(part))
                await self._transport.send([part])
                self.octets_sent += len(part)

    def receive_now(self, buffer: memoryview) -> int | None:
        """See `Transport`: nothing comes without its turn."""
        return None

    async def receive_into(self, buffer: memoryview) -> int:
        """See `Transport`."""
        await self._bandwidth.received.turn()
        count = await self._transport.receive_into(buffer[: self._bandwidth.piece_octets])
        self._bandwidth.received.used(count)
        self.octets_received += count
        return count

    def try_receive_into(self, buffer: memoryview) -> int:
        """See `Transport`."""
        return self._transport.try_receive_into(buffer)

    def tls_session(self) -> TLSSession | None:
        """See `Transport`."""
        return self._transport.tls_session()

    def close(self) -> None:
        """See `Transport`."""
        self._transport.close()
