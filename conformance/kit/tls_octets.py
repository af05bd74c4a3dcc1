"""TLS as octets: a ClientHello of any version and cipher suites, a server's answer, and a pipe that can be bent.

Old versions and weak suites are asked for with octets of our own: the TLS library of today refuses to.
"""

import ssl

import trio

from dulcet.conformance.kit.outcome import Outcome

SSL_3_0, TLS_1_0, TLS_1_1, TLS_1_2 = 0x0300, 0x0301, 0x0302, 0x0303
ALERT, HANDSHAKE = 0x15, 0x16
SERVER_HELLO, SERVER_KEY_EXCHANGE = 2, 12
WEAK_SUITES = (
    *(0x0001, 0x0002, 0x003B, 0x0004, 0x0005, 0x000A, 0xC012, 0x0003, 0x0008, 0x0014),
    *(0xC006, 0xC007, 0xC008),  # for an EC key
)
"""NULL, RC4, 3DES, EXPORT."""
COMMON_SUITES = (
    *(0xC02F, 0xC030, 0x009E, 0x009F, 0xC013, 0xC014, 0x0033, 0x0039, 0x002F, 0x0035, 0x003C, 0x003D),
    *(0xC02B, 0xC02C, 0xC023, 0xC024, 0xC009, 0xC00A),  # for an EC key
)
DHE_SUITES = (0x009E, 0x009F, 0x0033, 0x0039, 0x0067, 0x006B)
ECDHE_SUITES = (0xC02F, 0xC030, 0xC013, 0xC014, 0xC02B, 0xC02C)
SECP192R1, SECP256R1, X25519 = 19, 23, 29
_SIGNATURES = (0x0403, 0x0503, 0x0804, 0x0805, 0x0401, 0x0501, 0x0201)


def client_hello(version: int, suites: tuple[int, ...], groups: tuple[int, ...] = (X25519, SECP256R1)) -> bytes:
    """One record with a ClientHello (RFC 5246 7.4.1.2)."""
    extensions = b""
    if version > SSL_3_0:
        extensions = _extension(10, _list(groups)) + _extension(11, b"\1\0") + _extension(13, _list(_SIGNATURES))
        extensions = len(extensions).to_bytes(2, "big") + extensions
    body = version.to_bytes(2, "big") + bytes(range(32)) + b"\0" + _list(suites) + b"\1\0" + extensions
    message = b"\1" + len(body).to_bytes(3, "big") + body
    record_version = min(version, TLS_1_0)
    return bytes((HANDSHAKE,)) + record_version.to_bytes(2, "big") + len(message).to_bytes(2, "big") + message


def _list(numbers: tuple[int, ...]) -> bytes:
    octets = b"".join(number.to_bytes(2, "big") for number in numbers)
    return len(octets).to_bytes(2, "big") + octets


def _extension(kind: int, body: bytes) -> bytes:
    return kind.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def handshake_messages(octets: bytes) -> list[tuple[int, bytes]]:
    """(type, body) of the handshake messages in plain records."""
    stream, start = bytearray(), 0
    while start + 5 <= len(octets):
        length = int.from_bytes(octets[start + 3 : start + 5], "big")
        if octets[start] == HANDSHAKE:
            stream += octets[start + 5 : start + 5 + length]
        start += 5 + length
    messages, start = [], 0
    while start + 4 <= len(stream):
        length = int.from_bytes(stream[start + 1 : start + 4], "big")
        messages.append((stream[start], bytes(stream[start + 4 : start + 4 + length])))
        start += 4 + length
    return messages


def offered_versions(octets: bytes) -> set[int]:
    """The versions that a ClientHello offers; none when it is no ClientHello."""
    messages = handshake_messages(octets)
    if not messages or messages[0][0] != 1:
        return set()
    body = messages[0][1]
    highest = int.from_bytes(body[:2], "big")
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2], "big")
    at += 1 + body[at]
    at += 2
    while at + 4 <= len(body):
        kind, length = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4], "big")
        if kind == 43:  # supported_versions
            listed = body[at + 5 : at + 4 + length]
            return {int.from_bytes(listed[index : index + 2], "big") for index in range(0, len(listed), 2)}
        at += 4 + length
    return {highest}


def answer_to_hello(octets: bytes, ended: bool) -> Outcome:
    """SERVER-HELLO with its version, ALERT, CLOSE or SILENCE."""
    if octets[:1] == bytes((ALERT,)):
        return Outcome("ALERT", (octets[6],) if len(octets) > 6 else ())
    for kind, body in handshake_messages(octets):
        if kind == SERVER_HELLO:
            return Outcome("SERVER-HELLO", (int.from_bytes(body[:2], "big"),))
    return Outcome("CLOSE") if ended else Outcome("SILENCE")


class TLSPipe:
    """A TLS client over a TCP stream, its records within reach."""

    def __init__(self, stream: trio.abc.Stream, context: ssl.SSLContext, name: str) -> None:
        self.stream = stream
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)

    @property
    def version(self) -> str | None:
        """`TLSv1.3`, once the handshake is done."""
        return self._tls.version()

    async def handshake(self) -> None:
        """Make the connection secure. ssl.SSLError when the server refuses, EOFError when it closes."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
                continue
            return await self._flush()

    async def send(self, octets: bytes, *, corrupt: bool = False) -> None:
        """Send, the last octet of the record turned over if `corrupt`."""
        self._tls.write(octets)
        record = bytearray(self._outgoing.read())
        if corrupt:
            record[-1] ^= 0xFF
        await self.stream.send_all(record)

    async def receive(self) -> bytes:
        """Some octets; b"" after close_notify. EOFError when TCP ends without it, ssl.SSLError for an alert."""
        while True:
            try:
                return self._tls.read(65536)
            except ssl.SSLWantReadError:
                await self._fill()
            except ssl.SSLZeroReturnError:
                return b""

    async def _flush(self) -> None:
        octets = self._outgoing.read()
        if octets:
            await self.stream.send_all(octets)

    async def _fill(self) -> None:
        octets = await self.stream.receive_some(65536)
        if not octets:
            raise EOFError
        self._incoming.write(octets)
