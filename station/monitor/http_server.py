"""HTTP/1.1 (RFC 9112) as far as a monitoring system needs it: GET and HEAD of a few pages, one request a connection.

Whoever comes is taken for hostile: a request has little room and little time, and when too many connections are open
the oldest makes room, so that none can lock a monitor out.
"""

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate

import trio

from dulcet.services.listener import accept

MAX_REQUEST_OCTETS = 8 * 1024  # a scrape's has some 300
MAX_CONNECTIONS = 16
REQUEST_SECONDS = 5.0  # for the request to come whole, and for the answer to be taken
LINGER_SECONDS, LINGER_OCTETS = 1.0, 64 * 1024  # what still comes is read, or a reset would overtake the answer

_PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
_METHODS = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page says."""

    status: int
    content_type: str
    text: str


Page = Callable[[], Awaitable[Answer]]


class HTTPServer:
    """Serves `pages`, by their path, on listening sockets."""

    def __init__(self, sockets: Sequence[socket.socket], pages: Mapping[str, Page]) -> None:
        self._sockets = sockets
        self._pages = pages
        self._connections: dict[trio.CancelScope, None] = {}

    async def serve(self) -> None:
        """Until cancelled; then the sockets are closed. Nothing that a connection does goes further."""
        try:
            async with trio.open_nursery() as nursery:
                for sock in self._sockets:
                    nursery.start_soon(self._accept, sock, nursery)
        finally:
            for sock in self._sockets:
                sock.close()

    async def _accept(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            sock, _ = await accept(listening)
            if len(self._connections) >= MAX_CONNECTIONS:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                oldest.cancel()
            scope = trio.CancelScope(deadline=trio.current_time() + REQUEST_SECONDS)
            self._connections[scope] = None
            sock.setblocking(False)
            nursery.start_soon(self._serve, trio.SocketStream(trio.socket.from_stdlib_socket(sock)), scope)

    async def _serve(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await self.converse(stream)
        finally:
            self._connections.pop(scope, None)
            stream.socket.close()

    async def converse(self, stream: trio.abc.HalfCloseableStream) -> None:
        """One request and its answer; the caller limits the time, and closes."""
        try:
            head = await _read_head(stream)
            if head is None:
                return
            await stream.send_all(await self.answer(head))
            await stream.send_eof()
            with trio.move_on_after(LINGER_SECONDS):
                left = LINGER_OCTETS
                while left > 0 and (octets := await stream.receive_some(left)):
                    left -= len(octets)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    async def answer(self, head: bytes) -> bytes:
        """The response to a request of this head; what follows the head is nobody's."""
        if len(head) > MAX_REQUEST_OCTETS:
            return _response(431)
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/") or not (words[0].isascii() and words[0].isalpha()):
            return _response(400)
        method, target, version = words
        if version not in ("HTTP/1.0", "HTTP/1.1"):
            return _response(505)
        page = self._pages.get(target.partition("?")[0])
        if page is None:
            return _response(404, with_body=method != "HEAD")
        if method not in _METHODS:
            return _response(405, more=f"Allow: {', '.join(_METHODS)}\r\n")
        try:
            found = await page()
        except Exception:  # of ours: it ends this answer, and nothing else
            return _response(500)
        return _response(found.status, found.text, found.content_type, with_body=method == "GET")


async def _read_head(stream: trio.abc.ReceiveStream) -> bytes | None:
    """As far as the empty line, or more than there may be; None when the other side ends before."""
    head = bytearray()
    while True:
        octets = await stream.receive_some(MAX_REQUEST_OCTETS)
        if not octets:
            return None
        head += octets
        end = head.find(b"\r\n\r\n")
        if 0 <= end <= MAX_REQUEST_OCTETS:
            return bytes(head[:end])
        if len(head) > MAX_REQUEST_OCTETS:
            return bytes(head)


def _response(
    status: int,
    text: str = "",
    content_type: str = "text/plain; charset=utf-8",
    *,
    with_body: bool = True,
    more: str = "",
) -> bytes:
    body = (text or f"{_PHRASES[status]}\n").encode()
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nDate: {formatdate(usegmt=True)}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n{more}\r\n"
    )
    return head.encode("ascii") + (body if with_body else b"")
