"""Accepting transport connections: limits on how many, and from whom, so that nobody can lock others out."""

import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence

import trio

from dulcet.errors import ConfigurationError
from dulcet.services.acceptor import Acceptor
from dulcet.services.association import Association
from dulcet.services.transport import SocketTransport, StreamTransport, Transport, accepted_tls_failure
from dulcet.ul.negotiation import REJECTED_LOCAL_LIMIT, REJECTED_TEMPORARY_CONGESTION
from dulcet.ul.pdu import AAssociateRJ, AAssociateRQ

ACCEPT_PAUSE = 0.1  # seconds, when the process has no descriptor left for another connection
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def bind(host: str, port: int, *, backlog: int, shared: bool = False) -> list[socket.socket]:
    """Listening sockets for `host` (every address it has); ConfigurationError says why there can be none.

    `port` 0 takes a free one. `shared` lets several processes listen on one port, the kernel dealing out connections.
    """
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            sockets.append(_listening(family, kind, protocol, address, backlog, shared))
    except socket.gaierror as error:
        raise ConfigurationError(f"can't listen on {host!r}: {error.strerror}") from error
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise ConfigurationError(f"can't listen on {host}:{port}: {error.strerror}{_hint(error)}") from error
    return sockets


def _listening(
    family: int, kind: int, protocol: int, address: tuple[object, ...], backlog: int, shared: bool
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _hint(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return "; ports below 1024 need root, 11112 is DICOM's registered port without it"
    if error.errno == errno.EADDRINUSE:
        return "; another program listens there"
    return ""


async def accept(listening: socket.socket) -> tuple[socket.socket, str]:
    """The next connection to a socket that does not block, and the peer's address. Cancelled, none is lost.

    A process that has no descriptor left tries again every ACCEPT_PAUSE.
    """
    while True:
        await trio.lowlevel.wait_readable(listening)
        try:
            sock, address = listening.accept()
        except BlockingIOError:
            continue
        except OSError as error:
            if error.errno in _OUT_OF_RESOURCES:
                await trio.sleep(ACCEPT_PAUSE)
            continue
        return sock, str(address[0])


class Listener:
    """Accepts connections on `sockets` and lets `acceptor` serve each, within the acceptor's limits.

    `failed_handshake` is told of connections that ended before they could say anything (address, reason).
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        acceptor: Acceptor,
        *,
        tls: ssl.SSLContext | None = None,
        failed_handshake: Callable[[str, str], None] = lambda _address, _reason: None,
    ) -> None:
        self._sockets = sockets
        self._acceptor = acceptor
        self._limits = acceptor.limits
        self._tls = tls
        self._failed_handshake = failed_handshake
        self._associated: Counter[str] = Counter()
        self._unassociated: dict[trio.CancelScope, str] = {}
        self._in_force: set[Association] = set()
        self._ended = trio.lowlevel.ParkingLot()
        self._draining = False
        self._accepting = trio.CancelScope()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens: (host, port)."""
        return [sock.getsockname()[:2] for sock in self._sockets]

    @property
    def associations(self) -> int:
        """Associations in force, or being negotiated after their A-ASSOCIATE-RQ."""
        return self._associated.total()

    def change(self, acceptor: Acceptor, tls: ssl.SSLContext | None) -> None:
        """Connections that come from now on are served so; those that are there go on as they are."""
        self._acceptor, self._limits, self._tls = acceptor, acceptor.limits, tls

    async def serve(self) -> None:
        """Accept until `stop()`, then return when the last association has ended. Cancelled, all are aborted.

        Connections without an association don't keep it: they are closed then.
        """
        async with trio.open_nursery() as nursery:
            with self._accepting:
                async with trio.open_nursery() as accepting:
                    for sock in self._sockets:
                        accepting.start_soon(self._accept, sock, nursery)
            for sock in self._sockets:
                sock.close()
            while self._associated.total():
                await self._ended.park()
            for scope in self._unassociated:
                scope.cancel()

    def stop(self) -> None:
        """Accept no more. An association is aborted as soon as nothing is under way on it; new ones are rejected."""
        self._draining = True
        self._accepting.cancel()
        for association in self._in_force:
            association.end()

    async def _accept(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            sock, address = await accept(listening)
            nursery.start_soon(self._serve, sock, address)

    async def _serve(self, sock: socket.socket, address: str) -> None:
        scope = trio.CancelScope()
        self._await_association(scope, address)
        admitted: list[str] = []
        in_force: list[Association] = []

        def admit(request: AAssociateRQ) -> AAssociateRJ | None:
            if self._draining:
                return REJECTED_TEMPORARY_CONGESTION
            if self._is_full(address):
                return REJECTED_LOCAL_LIMIT
            self._unassociated.pop(scope, None)
            self._associated[address] += 1
            admitted.append(address)
            return None

        def give_back() -> None:
            while admitted:
                self._associated[admitted.pop()] -= 1
                self._associated += Counter()  # drops what is not above zero
                self._ended.unpark_all()

        def was_refused() -> None:
            give_back()
            self._await_association(scope, address)

        def established(association: Association) -> None:
            in_force.append(association)
            self._in_force.add(association)
            if self._draining:
                association.end()

        try:
            with scope:
                transport = await self._transport(sock, address)
                if transport is not None:
                    await self._acceptor.serve(transport, admit, was_refused, established)
        finally:
            sock.close()
            self._in_force.difference_update(in_force)
            self._unassociated.pop(scope, None)
            give_back()

    def _await_association(self, scope: trio.CancelScope, address: str) -> None:
        """A connection has no association, or none any more. Of the address with most, the oldest makes room."""
        self._unassociated[scope] = address
        if len(self._unassociated) > self._limits.max_unassociated:
            ((most, _),) = Counter(self._unassociated.values()).most_common(1)
            oldest = next(scope for scope, address in self._unassociated.items() if address == most)
            del self._unassociated[oldest]
            oldest.cancel()

    def _is_full(self, address: str) -> bool:
        total, each = self._limits.max_associations, self._limits.max_per_address
        return (total > 0 and self._associated.total() >= total) or (each > 0 and self._associated[address] >= each)

    async def _transport(self, sock: socket.socket, address: str) -> Transport | None:
        if self._tls is None:
            try:
                return SocketTransport(sock, address)
            except OSError:  # EINVAL on macOS: the peer has reset it already
                return None
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
        secured = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        with trio.move_on_after(self._limits.tls_handshake) as patience:
            try:
                await secured.do_handshake()
            except trio.BrokenResourceError as error:
                self._failed_handshake(address, accepted_tls_failure(error))
                return None
        if patience.cancelled_caught:
            self._failed_handshake(address, "no TLS handshake in time")
            return None
        return StreamTransport(secured, address)
