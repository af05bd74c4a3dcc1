"""A recording proxy: between a client and a peer, every octet passed on as it came, both directions told to observers.

What one side does to its connection is done to the other: FIN is passed on as FIN (the other half stays open), RST as
RST. What a side doesn't read stops the other, so an association that passes takes two chunks of memory, whatever goes
through. TLS on either side is the proxy's own: observers see the clear text, and since no product keeps half of a TLS
session open, the end of one side ends a side that speaks TLS.
"""

import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import trio

from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.writer import DEFAULT_SEGMENT_OCTETS
from dulcet.errors import AssociationError, PeerUnavailableError, TLSError, UnknownHostError

CHUNK_OCTETS = DEFAULT_SEGMENT_OCTETS  # what is read at once is one segment of the recording
CONNECT_SECONDS = 30.0  # for the peer to take the connection, and for a TLS handshake
LAST_WORDS_SECONDS = 1.0  # for what a side said before it reset the connection to be passed on
ACCEPT_PAUSE = 0.1  # seconds, when the process has no descriptor left for another connection
MAX_CONNECTIONS = 256
_LOST = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
_NO_LINGER = struct.pack("ii", 1, 0)

Address = tuple[str, int]
Clock = Callable[[], int]
"""Nanoseconds since 1970-01-01 UTC."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """Between whom a connection passes."""

    number: int
    """From 1, in the order of the clients' connections."""
    client: Address
    server: Address
    """Of the peer."""


class Observer(Protocol):
    """Told what happens on one connection, at once and in its order; `time` is nanoseconds since 1970-01-01 UTC.

    It is called in the way of the conversation: it must be quick, and must not raise.
    """

    def opened(self, time: int) -> None:
        """The peer took the connection."""

    def refused(self, time: int, why: str) -> None:
        """The peer, or the client's TLS, could not be had; nothing follows."""

    def sent(self, time: int, direction: Direction, octets: bytes) -> None:
        """Octets came; they are passed on after this."""

    def closed(self, time: int, direction: Direction, *, is_reset: bool) -> None:
        """Who sends in `direction` ended its half, or reset the connection."""

    def ended(self, time: int) -> None:
        """Nothing follows."""


class Relay:
    """One connection that passes. The two streams are the caller's to close."""

    def __init__(
        self, client: trio.abc.Stream, peer: trio.abc.Stream, observers: Sequence[Observer], clock: Clock = time.time_ns
    ) -> None:
        self._senders = {Direction.TO_SERVER: client, Direction.TO_CLIENT: peer}
        self._observers = observers
        self._clock = clock
        self._everything = trio.CancelScope()
        self._finished: set[Direction] = set()
        self._is_reset: set[Direction] = set()

    async def run(self) -> None:
        """Pass everything on until both halves have ended. Cancelled, both streams are left as they are."""
        with self._everything:
            async with trio.open_nursery() as nursery:
                for direction in Direction:
                    nursery.start_soon(self._pass_on, direction)

    async def _pass_on(self, direction: Direction) -> None:
        source, target = self._senders[direction], self._senders[direction.opposite]
        while True:
            try:
                octets = bytes(await source.receive_some(CHUNK_OCTETS))
            except trio.ClosedResourceError:  # by ourselves
                return
            except _LOST:
                return await self._reset(direction)
            if not octets:
                return await self._end(direction)
            now = self._clock()
            for observer in self._observers:
                observer.sent(now, direction, octets)
            try:
                await target.send_all(octets)
            except _LOST:
                return await self._target_lost(direction.opposite)

    async def _end(self, direction: Direction) -> None:
        """FIN, or what is read after a reset that a write has met already."""
        if direction in self._is_reset:
            return await self._reset(direction)
        self._finished.add(direction)
        self._tell_closed(direction, is_reset=False)
        target = self._senders[direction.opposite]
        with suppress(*_LOST):
            if isinstance(target, trio.abc.HalfCloseableStream):
                await target.send_eof()
            else:
                await target.aclose()

    async def _target_lost(self, direction: Direction) -> None:
        """A write found that who sends in `direction` has gone; what it said before may still be there to read."""
        self._is_reset.add(direction)
        if direction not in self._finished:
            await trio.sleep(LAST_WORDS_SECONDS)  # ends when the other task meets the reset
        await self._reset(direction)

    async def _reset(self, direction: Direction) -> None:
        self._tell_closed(direction, is_reset=True)
        await reset(self._senders[direction.opposite])
        self._everything.cancel()

    def _tell_closed(self, direction: Direction, *, is_reset: bool) -> None:
        now = self._clock()
        for observer in self._observers:
            observer.closed(now, direction, is_reset=is_reset)


async def reset(stream: trio.abc.Stream) -> None:
    """Close with RST: what is in flight is lost."""
    while isinstance(stream, trio.SSLStream):
        stream = stream.transport_stream
    if isinstance(stream, trio.SocketStream):
        with suppress(OSError):
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    await trio.aclose_forcefully(stream)


@dataclass(frozen=True, kw_only=True, slots=True)
class TappedPeer:
    """Where connections are passed on to."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    """The name that its certificate must bear, when it is not `host`."""


class Tap:
    """Accepts connections and passes each on to `peer`. `observe` gives the observers of a connection.

    `tls` is for the clients. At most `max_connections` pass at once; more wait to be accepted.
    """

    def __init__(
        self,
        peer: TappedPeer,
        observe: Callable[[Ends], Sequence[Observer]],
        *,
        tls: ssl.SSLContext | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._peer = peer
        self._observe = observe
        self._tls = tls
        self._places = trio.CapacityLimiter(max_connections)
        self._count = 0

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Accept on listening `sockets` until cancelled; then every connection is closed."""
        async with trio.open_nursery() as nursery:
            for sock in sockets:
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
                nursery.start_soon(self._accept, listener, nursery)

    async def _accept(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        async with listener:
            while True:
                place = object()
                await self._places.acquire_on_behalf_of(place)
                try:
                    stream = await listener.accept()
                except OSError:  # no descriptor left, for a while
                    self._places.release_on_behalf_of(place)
                    await trio.sleep(ACCEPT_PAUSE)
                    continue
                nursery.start_soon(self._serve_one, stream, place)

    async def _serve_one(self, stream: trio.SocketStream, place: object) -> None:
        try:
            with suppress(OSError):  # it has gone already
                await self.pass_on(stream)
        finally:
            self._places.release_on_behalf_of(place)

    async def pass_on(self, stream: trio.SocketStream) -> None:
        """Serve one client to the end of its connection. OSError when it has reset it before anything was done."""
        try:
            client = address_of(stream.socket.getpeername())
        except OSError:
            await close(stream)
            raise
        self._count += 1
        number, peer = self._count, self._peer
        client_end: trio.abc.Stream = stream
        server_end: trio.abc.Stream | None = None
        observers: Sequence[Observer] = ()
        try:
            try:
                if self._tls is not None:
                    client_end = await secure(stream, self._tls, None)
                server, server_end = await connect(peer)
            except AssociationError as error:
                ends = Ends(number=number, client=client, server=(peer.host, peer.port))
                observers = self._observe(ends)
                for observer in observers:
                    observer.refused(time.time_ns(), str(error))
                return
            observers = self._observe(Ends(number=number, client=client, server=server))
            for observer in observers:
                observer.opened(time.time_ns())
            await Relay(client_end, server_end, observers).run()
        finally:
            await close(client_end, server_end)
            for observer in observers:
                observer.ended(time.time_ns())


async def connect(peer: TappedPeer) -> tuple[Address, trio.abc.Stream]:
    """The peer's address and a connection to it. UnknownHostError, PeerUnavailableError, TLSError say what failed."""
    where = f"{peer.host}:{peer.port}"
    try:
        with trio.fail_after(CONNECT_SECONDS):
            stream = await trio.open_tcp_stream(peer.host, peer.port)
    except trio.TooSlowError:
        raise PeerUnavailableError(f"{where} did not take the connection within {CONNECT_SECONDS:g} s") from None
    except socket.gaierror as error:
        raise UnknownHostError(f"the name {peer.host!r} has no address ({error.strerror or error})") from error
    except OSError as error:
        causes = getattr(error.__cause__, "exceptions", (error.__cause__ or error,))
        number = getattr(causes[0], "errno", None)
        reason = os.strerror(number) if number else str(error)
        raise PeerUnavailableError(f"{where} can't be reached: {reason}") from error
    try:
        address = address_of(stream.socket.getpeername())
    except OSError as error:
        await close(stream)
        raise PeerUnavailableError(f"{where} took the connection and closed it at once") from error
    if peer.tls is None:
        return address, stream
    return address, await secure(stream, peer.tls, peer.server_name or peer.host)


async def secure(
    stream: trio.SocketStream, context: ssl.SSLContext, server_name: str | None
) -> trio.SSLStream[trio.SocketStream]:
    """The TLS session on a connection, as its client when there is a `server_name`. TLSError says what failed."""
    who = "the client" if server_name is None else "the peer"
    secured = trio.SSLStream(
        stream, context, server_hostname=server_name, server_side=server_name is None, https_compatible=True
    )
    try:
        with trio.fail_after(CONNECT_SECONDS):
            await secured.do_handshake()
    except (trio.TooSlowError, *_LOST) as error:
        await trio.aclose_forcefully(stream)
        cause = error.__cause__
        reason = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or "it does not speak TLS"
        raise TLSError(f"TLS with {who} failed: {str(reason).replace('_', ' ').lower()}") from error
    return secured


async def close(*streams: trio.abc.Stream | None) -> None:
    """Close at once; harmless when closed."""
    with trio.CancelScope(shield=True):
        for stream in streams:
            while isinstance(stream, trio.SSLStream):
                stream = stream.transport_stream
            if stream is not None:
                await trio.aclose_forcefully(stream)


def address_of(name: tuple[str | int, ...]) -> Address:
    """Address and port of a socket name, without an IPv6 zone."""
    return str(name[0]).partition("%")[0], int(name[1])
