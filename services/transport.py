"""Octets over TCP, or over any trio stream: what the shell needs of a transport connection, and no more.

`SocketTransport` drives a non-blocking socket itself: it asks the kernel first and waits only when the kernel has to,
so that an operation that needs no waiting costs no turn of the scheduler. `StreamTransport` serves TLS and tests.
"""

import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import trio

from dulcet.errors import PeerUnavailableError, TLSError, UnknownHostError
from dulcet.services.tls import TLSSession, session_of

Buffers = Sequence[bytes | memoryview]

_IOV_MAX = 1024  # POSIX: buffers in one sendmsg
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))


class Transport(Protocol):
    """One transport connection."""

    peer_address: str
    """The peer's IP address; "" when there is none."""
    octets_received: int
    """Since it was opened; with TLS, of what is in it."""
    octets_sent: int
    """As `octets_received`."""

    def send_now(self, buffers: Buffers) -> Buffers:
        """Write what goes without waiting; what is left must be sent next. OSError when the connection is gone."""

    async def send(self, buffers: Buffers) -> None:
        """Write all buffers in order. OSError when the connection is gone; cancelled, part of them may have gone."""

    def receive_now(self, buffer: memoryview) -> int | None:
        """Read what is there, 0 at the end; None when that needs waiting. A reset raises OSError."""

    async def receive_into(self, buffer: memoryview) -> int:
        """Read at least one octet; 0 at the end. A reset raises OSError. Cancelled, nothing is lost."""

    def try_receive_into(self, buffer: memoryview) -> int:
        """Read what is there already; 0 when that is nothing, or nothing can be had without waiting."""

    def tls_session(self) -> TLSSession | None:
        """The TLS session; None without TLS."""

    def close(self) -> None:
        """Close at once, without lingering (PS3.8 9.1.4). Harmless when closed."""


class SocketTransport:
    """A TCP connection."""

    def __init__(self, sock: socket.socket, peer_address: str = "") -> None:
        sock.setblocking(False)
        self._socket = sock
        self.peer_address = peer_address
        self.octets_received = self.octets_sent = 0
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in _KEEPALIVE:
                if hasattr(socket, name):
                    sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def send_now(self, buffers: Buffers) -> Buffers:
        """See `Transport`."""
        total = sum(map(len, buffers))
        while total:
            try:
                sent = self._socket.sendmsg(buffers if len(buffers) <= _IOV_MAX else buffers[:_IOV_MAX])
            except BlockingIOError:
                return buffers
            self.octets_sent += sent
            total -= sent
            buffers = _after(buffers, sent) if total else ()
        return ()

    async def send(self, buffers: Buffers) -> None:
        """See `Transport`."""
        while buffers := self.send_now(buffers):
            await _when_ready(trio.lowlevel.wait_writable, self._socket)

    def receive_now(self, buffer: memoryview) -> int | None:
        """See `Transport`."""
        try:
            count = self._socket.recv_into(buffer)
        except BlockingIOError:
            return None
        self.octets_received += count
        return count

    async def receive_into(self, buffer: memoryview) -> int:
        """See `Transport`."""
        while (count := self.receive_now(buffer)) is None:
            await _when_ready(trio.lowlevel.wait_readable, self._socket)
        return count

    def try_receive_into(self, buffer: memoryview) -> int:
        """See `Transport`."""
        try:
            return self.receive_now(buffer) or 0
        except OSError:
            return 0

    def tls_session(self) -> None:
        """See `Transport`."""

    def close(self) -> None:
        """See `Transport`."""
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()


async def _when_ready(wait: Callable[[socket.socket], Awaitable[None]], sock: socket.socket) -> None:
    try:
        await wait(sock)
    except trio.ClosedResourceError as error:  # by another task of ours
        raise ConnectionResetError("it was closed") from error


def _after(buffers: Buffers, sent: int) -> Buffers:
    """What is left of `buffers` when the first `sent` octets have gone."""
    for index, buffer in enumerate(buffers):
        if sent < len(buffer):
            return [memoryview(buffer)[sent:], *buffers[index + 1 :]]
        sent -= len(buffer)
    return []


class StreamTransport:
    """Any trio stream: TLS, or the memory streams of a test. Buffers are joined once for each write."""

    def __init__(self, stream: trio.abc.Stream, peer_address: str = "") -> None:
        self._stream = stream
        self.peer_address = peer_address
        self.octets_received = self.octets_sent = 0

    def send_now(self, buffers: Buffers) -> Buffers:
        """See `Transport`: a stream can't tell, so nothing."""
        return buffers

    async def send(self, buffers: Buffers) -> None:
        """See `Transport`."""
        octets = b"".join(buffers)
        try:
            await self._stream.send_all(octets)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionResetError(_why_broken(error)) from error
        self.octets_sent += len(octets)

    def receive_now(self, buffer: memoryview) -> int | None:
        """See `Transport`: a stream can't tell."""
        return None

    async def receive_into(self, buffer: memoryview) -> int:
        """See `Transport`."""
        try:
            octets = await self._stream.receive_some(len(buffer))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionResetError(_why_broken(error)) from error
        buffer[: len(octets)] = octets
        self.octets_received += len(octets)
        return len(octets)

    def try_receive_into(self, buffer: memoryview) -> int:
        """See `Transport`: a stream can't tell, so nothing."""
        return 0

    def tls_session(self) -> TLSSession | None:
        """See `Transport`."""
        return session_of(self._stream) if isinstance(self._stream, trio.SSLStream) else None

    def close(self) -> None:
        """See `Transport`; for TLS without close_notify, which a peer that is gone would not read."""
        stream = self._stream.transport_stream if isinstance(self._stream, trio.SSLStream) else self._stream
        if isinstance(stream, trio.SocketStream):
            stream.socket.close()
        elif hasattr(stream, "close"):
            stream.close()


def _why_broken(error: BaseException) -> str:
    cause = error.__cause__
    return (isinstance(cause, OSError) and cause.strerror) or str(error) or "the connection is closed"


async def connect(host: str, port: int, tls: ssl.SSLContext | None = None, server_name: str | None = None) -> Transport:
    """Open a TCP connection (both address families tried) and, with `tls`, the TLS session on it.

    UnknownHostError, PeerUnavailableError or TLSError say what failed. Deadlines are the caller's cancel scope.
    """
    try:
        stream = await trio.open_tcp_stream(host, port)
    except socket.gaierror as error:
        raise UnknownHostError(f"the name {host!r} has no address ({error.strerror or error})") from error
    except OSError as error:
        raise PeerUnavailableError(f"{_place(host, port)} {_tcp_failure(error)}") from error
    try:
        address = str(stream.socket.getpeername()[0])
        if tls is None:
            return _socket_transport(stream, address)
    except OSError as error:
        stream.socket.close()
        raise PeerUnavailableError(f"{_place(host, port)} {_gone_at_once(error)}") from error
    return StreamTransport(await _handshake(stream, tls, server_name or host, host, port), address)


def _socket_transport(stream: trio.SocketStream, address: str) -> SocketTransport:
    """On the stream's socket, as one of the standard library's; the stream itself is over. OSError: it is closed."""
    family, kind, protocol = stream.socket.family, stream.socket.type, stream.socket.proto
    descriptor = stream.socket.detach()
    try:
        sock = socket.socket(family, kind, protocol, fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise
    try:
        return SocketTransport(sock, address)
    except OSError:
        sock.close()
        raise


async def _handshake(
    stream: trio.SocketStream, tls: ssl.SSLContext, server_name: str, host: str, port: int
) -> trio.SSLStream[trio.SocketStream]:
    try:
        secured = trio.SSLStream(stream, tls, server_hostname=server_name, https_compatible=True)
        await secured.do_handshake()
    except trio.BrokenResourceError as error:
        stream.socket.close()
        raise TLSError(f"TLS with {_place(host, port)} failed: {tls_failure(error)}") from error
    except BaseException:
        stream.socket.close()
        raise
    return secured


_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_DISTRUST = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED")


def tls_failure(error: BaseException) -> str:
    """What went wrong in the TLS handshake with a peer that was called, in words."""
    closed = "the peer closed the connection; most often it does not speak TLS, or wants a client certificate"
    return _failed_handshake(error.__cause__, closed)


def accepted_tls_failure(error: BaseException) -> str:
    """What went wrong in the TLS handshake with a peer that called us, in words."""
    closed = "it closed the connection during the handshake; most often it does not accept our certificate"
    return _failed_handshake(error.__cause__, closed)


def _failed_handshake(cause: BaseException | None, closed: str) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate was not accepted ({cause.verify_message})"
    if not isinstance(cause, ssl.SSLError) or isinstance(cause, ssl.SSLEOFError):
        return closed
    reason = cause.reason or ""
    words = (reason or str(cause)).replace("_", " ").lower()
    if reason in _NO_TLS:
        return f"it does not speak TLS ({words})"
    if reason.partition("_ALERT_")[2] in _DISTRUST:
        return f"it does not accept our certificate ({words})"
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return "it showed no certificate, and has to"
    return words


def _place(host: str, port: int) -> str:
    """As people write it: an IPv6 address stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _gone_at_once(error: OSError) -> str:
    """Of a connection that was reset before anything was done with it."""
    why = os.strerror(error.errno) if error.errno else str(error)
    return f"took the connection and closed it at once: it, or a proxy before it, is overloaded or refuses us ({why})"


def _tcp_failure(error: OSError) -> str:
    causes = [error]
    with suppress(AttributeError):
        causes = list(error.__cause__.exceptions)  # type: ignore[union-attr]
    if any(isinstance(cause, ConnectionRefusedError) for cause in (error, error.__cause__, *causes)):
        return "refused the connection: nothing listens on that port, or a firewall refuses"
    if any(isinstance(cause, TimeoutError) for cause in causes):
        return "did not answer: wrong address, or a firewall drops the packets"
    if any(isinstance(cause, ConnectionResetError) for cause in (error, error.__cause__, *causes)):
        return _gone_at_once(ConnectionResetError(errno.ECONNRESET, ""))
    detail = next((cause.strerror for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    return f"can't be reached: {detail or error}"
