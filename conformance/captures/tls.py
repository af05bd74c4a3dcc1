"""TLS of a captured connection: recognised by its first octets, decrypted when a key log has the secrets.

Records are read with `construct` layouts as everything else. A gap in the capture ends the reading of its direction:
the number of the next record is part of its key.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from construct import Bytes, ConstructError, GreedyBytes, GreedyRange, Int8ub, Int16ub, Prefixed, Struct

from dulcet.conformance.captures.ciphers import (
    SUITES,
    TLS_1_2,
    TLS_1_3,
    RecordCipher,
    Suite,
    Tls13Cipher,
    tls12_ciphers,
)
from dulcet.conformance.captures.headers import Header
from dulcet.conformance.captures.keylog import KeyLog
from dulcet.conformance.captures.streams import Direction, Octets
from dulcet.errors import ConfigurationError, DecodeError

RECORD = Header(
    "TLSPlaintext (RFC 8446 5.1)",
    "type" / Int8ub,
    "legacy_record_version" / Int16ub,
    "length" / Int16ub,
)
HELLO = Struct(
    "legacy_version" / Int16ub,
    "random" / Bytes(32),
    "legacy_session_id" / Prefixed(Int8ub, GreedyBytes),
)
EXTENSIONS = Prefixed(Int16ub, GreedyRange(Struct("type" / Int16ub, "data" / Prefixed(Int16ub, GreedyBytes))))
SERVER_HELLO = Struct(
    *HELLO.subcons, "cipher_suite" / Int16ub, "legacy_compression_method" / Int8ub, "rest" / GreedyBytes
)

_CHANGE_CIPHER_SPEC, _HANDSHAKE, _APPLICATION_DATA = 20, 22, 23
_RECORD_TYPES = frozenset((20, 21, 22, 23, 24))
_CLIENT_HELLO, _SERVER_HELLO, _FINISHED, _KEY_UPDATE = 1, 2, 20, 24
_SUPPORTED_VERSIONS, _ENCRYPT_THEN_MAC = 43, 22
_MAX_HANDSHAKE_OCTETS = 1 << 20  # a chain of certificates has some 10 kB
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 4.1.3


class Record(NamedTuple):
    """One TLS record as it lies in the stream."""

    record_type: int
    header: bytes
    body: bytes
    packet: int


@dataclass(frozen=True, slots=True)
class Decrypted:
    """What a TLS connection carries."""

    octets: dict[Direction, Octets]
    problem: str = ""
    """Why it is not all, in a sentence; "" when it is."""
    version: int = 0
    """0303H is TLS 1.2, 0304H TLS 1.3; 0 when no ServerHello was seen."""


def is_tls(octets: Octets) -> bool:
    """Whether a direction begins with a TLS record. No PDU type is the type of a record."""
    head = bytes(octets.read(0, RECORD.size))
    if len(head) < RECORD.size or (octets.gaps and octets.gaps[0].start < RECORD.size):
        return False
    record_type, version, _ = RECORD.unpack_from(head)
    return record_type in _RECORD_TYPES and version >> 8 == 3 and version & 0xFF <= 4


def decrypt(halves: dict[Direction, Octets], keys: KeyLog) -> Decrypted:
    """The application data of both directions, as far as it can be read."""
    empty = {direction: Octets() for direction in Direction}
    try:
        client_random = _client_random(halves[Direction.TO_SERVER])
        hello = _server_hello(halves[Direction.TO_CLIENT])
        ciphers = _ciphers(client_random, hello, keys)
    except DecodeError as error:
        return Decrypted(empty, error.explanation)
    except ConfigurationError as error:
        return Decrypted(empty, str(error))
    problem = ""
    for direction, cipher in ciphers.items():
        reader = _Direction(halves[direction], cipher)
        try:
            reader.read()
        except DecodeError as error:
            problem = problem or error.explanation
        empty[direction] = reader.decrypted()
    return Decrypted(empty, problem, hello.version)


class _ServerHello(NamedTuple):
    version: int
    random: bytes
    suite_number: int
    encrypt_then_mac: bool


@dataclass(slots=True)
class _Ciphers:
    """What one direction uses: TLS 1.2 one cipher after ChangeCipherSpec, TLS 1.3 two."""

    first: RecordCipher
    second: Tls13Cipher | None


def _ciphers(client_random: bytes, hello: _ServerHello, keys: KeyLog) -> dict[Direction, _Ciphers]:
    suite = SUITES.get(hello.suite_number)
    if hello.version not in (TLS_1_2, TLS_1_3) or suite is None:
        raise DecodeError(
            f"TLS version {hello.version:04X}H with cipher suite {hello.suite_number:04X}H is not decrypted here"
        )
    if hello.version == TLS_1_3:
        return {
            Direction.TO_SERVER: _tls13(suite, "CLIENT", client_random, keys),
            Direction.TO_CLIENT: _tls13(suite, "SERVER", client_random, keys),
        }
    master_secret = _secret("CLIENT_RANDOM", client_random, keys)
    client, server = tls12_ciphers(
        suite, master_secret, client_random, hello.random, encrypt_then_mac=hello.encrypt_then_mac
    )
    return {Direction.TO_SERVER: _Ciphers(client, None), Direction.TO_CLIENT: _Ciphers(server, None)}


def _tls13(suite: Suite, side: str, client_random: bytes, keys: KeyLog) -> _Ciphers:
    handshake = _secret(f"{side}_HANDSHAKE_TRAFFIC_SECRET", client_random, keys)
    traffic = _secret(f"{side}_TRAFFIC_SECRET_0", client_random, keys)
    return _Ciphers(Tls13Cipher(suite, handshake), Tls13Cipher(suite, traffic))


def _secret(label: str, client_random: bytes, keys: KeyLog) -> bytes:
    found = keys.secret(label, client_random)
    if found is None:
        raise DecodeError("the key log has no secret of this connection" if len(keys) else "there is no key log")
    return found


def _records(octets: Octets) -> Iterator[Record]:
    """Whole records from the begin to the end, or to the first gap."""
    gap = octets.next_gap(0)
    start, end = 0, gap.start if gap else octets.length
    while start + RECORD.size <= end:
        header = bytes(octets.read(start, start + RECORD.size))
        record_type, _, length = RECORD.unpack_from(header)
        stop = start + RECORD.size + length
        if record_type not in _RECORD_TYPES:
            raise DecodeError(f"no TLS record begins at octet {start} of the stream")
        if stop > end:
            break
        yield Record(
            record_type, header, bytes(octets.read(start + RECORD.size, stop)), octets.packet_at(stop - 1) or 0
        )
        start = stop
    if gap:
        raise DecodeError(f"{gap.stop - gap.start} octets of the TLS connection were not captured")


def _plain_handshakes(octets: Octets) -> Iterator[tuple[int, bytes]]:
    messages = _Handshakes()
    for record in _records(octets):
        if record.record_type != _HANDSHAKE:
            return
        yield from messages.feed(record.body)


def _client_random(octets: Octets) -> bytes:
    for message_type, body in _plain_handshakes(octets):
        if message_type == _CLIENT_HELLO:
            try:
                random: bytes = HELLO.parse(body).random
            except ConstructError:
                break
            return random
    raise DecodeError("the TLS connection has no ClientHello")


def _server_hello(octets: Octets) -> _ServerHello:
    for message_type, body in _plain_handshakes(octets):
        if message_type != _SERVER_HELLO:
            break
        try:
            hello = SERVER_HELLO.parse(body)
            extensions = {each.type: each.data for each in EXTENSIONS.parse(hello.rest)} if hello.rest else {}
        except ConstructError:
            break
        if hello.random == _RETRY:
            continue
        version = int.from_bytes(extensions.get(_SUPPORTED_VERSIONS, b""), "big") or hello.legacy_version
        return _ServerHello(version, hello.random, hello.cipher_suite, _ENCRYPT_THEN_MAC in extensions)
    raise DecodeError("the TLS handshake did not come to a ServerHello")


class _Handshakes:
    """Handshake messages out of the records that they are spread over."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def feed(self, octets: bytes) -> Iterator[tuple[int, bytes]]:
        """(type, body) of each message that is whole now."""
        self._octets += octets
        if len(self._octets) > _MAX_HANDSHAKE_OCTETS:
            raise DecodeError("a TLS handshake message without end")
        while len(self._octets) >= 4:
            stop = 4 + int.from_bytes(self._octets[1:4], "big")
            if stop > len(self._octets):
                return
            message_type, body = self._octets[0], bytes(self._octets[4:stop])
            del self._octets[:stop]
            yield message_type, body


class _Direction:
    """The application data of one direction."""

    def __init__(self, octets: Octets, ciphers: _Ciphers) -> None:
        self._octets = octets
        self._ciphers = ciphers
        self._content = bytearray()
        self._runs: list[tuple[int, int]] = []
        """(octets, packet) of each record."""
        self._handshakes = _Handshakes()

    def decrypted(self) -> Octets:
        """What was read."""
        found, position = Octets(bytes(self._content)), 0
        for length, packet in self._runs:
            found.append(position, length, packet)
            position += length
        return found

    def read(self) -> None:
        """Read all; DecodeError says why it ends early."""
        if self._ciphers.second is None:
            self._read_tls12()
        else:
            self._read_tls13(self._ciphers.second)

    def _read_tls12(self) -> None:
        is_protected = False
        for record in _records(self._octets):
            if is_protected:
                content_type, content = self._ciphers.first.open(record.record_type, record.header, record.body)
                if content_type == _APPLICATION_DATA:
                    self._take(content, record.packet)
                elif content_type == _CHANGE_CIPHER_SPEC:
                    raise DecodeError("the TLS connection was renegotiated, which is not followed here")
            elif record.record_type == _CHANGE_CIPHER_SPEC:
                is_protected = True

    def _read_tls13(self, traffic: Tls13Cipher) -> None:
        cipher: RecordCipher = self._ciphers.first
        is_established = False
        for record in _records(self._octets):
            if record.record_type != _APPLICATION_DATA:
                continue  # hellos, ChangeCipherSpec for the sake of old equipment, and alerts
            content_type, content = cipher.open(record.record_type, record.header, record.body)
            if content_type == _APPLICATION_DATA and is_established:
                self._take(content, record.packet)
            elif content_type == _HANDSHAKE:
                for message_type, _ in self._handshakes.feed(content):
                    if message_type == _FINISHED:
                        cipher, is_established = traffic, True
                    elif message_type == _KEY_UPDATE and is_established:
                        cipher = traffic = traffic.updated()

    def _take(self, content: bytes, packet: int) -> None:
        if content:
            self._content += content
            self._runs.append((len(content), packet))
