"""What protects TLS records: the cipher suites of TLS 1.2 (RFC 5246, 5288, 7905) and 1.3 (RFC 8446), to read only.

The ciphers themselves are of the package `cryptography`, which is imported when the first record is decrypted.
"""

import hmac
from dataclasses import dataclass
from typing import Protocol

from dulcet.errors import ConfigurationError, DecodeError

TLS_1_2, TLS_1_3 = 0x0303, 0x0304
_EXPLICIT_NONCE_OCTETS = 8
_AES_BLOCK_OCTETS = 16


@dataclass(frozen=True, slots=True)
class Suite:
    """One cipher suite, as far as records need it."""

    cipher: str
    """`AES-GCM`, `AES-CCM`, `AES-CCM-8`, `CHACHA20-POLY1305` or `AES-CBC`."""
    key_octets: int
    hash_name: str
    """Of the key derivation."""
    mac_octets: int = 0
    """Of the record's MAC, AES-CBC only."""


_GCM_128 = Suite("AES-GCM", 16, "sha256")
_GCM_256 = Suite("AES-GCM", 32, "sha384")
_CHACHA = Suite("CHACHA20-POLY1305", 32, "sha256")
_CBC_128 = Suite("AES-CBC", 16, "sha256", 20)
_CBC_256 = Suite("AES-CBC", 32, "sha256", 20)
_CBC_128_SHA256 = Suite("AES-CBC", 16, "sha256", 32)
_CBC_256_SHA256 = Suite("AES-CBC", 32, "sha256", 32)
_CBC_256_SHA384 = Suite("AES-CBC", 32, "sha384", 48)

SUITES: dict[int, Suite] = {
    0x1301: _GCM_128,
    0x1302: _GCM_256,
    0x1303: _CHACHA,
    0x1304: Suite("AES-CCM", 16, "sha256"),
    0x1305: Suite("AES-CCM-8", 16, "sha256"),
    **dict.fromkeys((0x009C, 0x009E, 0x00A2, 0xC02B, 0xC02F), _GCM_128),
    **dict.fromkeys((0x009D, 0x009F, 0x00A3, 0xC02C, 0xC030), _GCM_256),
    **dict.fromkeys((0xCCA8, 0xCCA9, 0xCCAA), _CHACHA),
    **dict.fromkeys((0x002F, 0x0033, 0xC009, 0xC013), _CBC_128),
    **dict.fromkeys((0x0035, 0x0039, 0xC00A, 0xC014), _CBC_256),
    **dict.fromkeys((0x003C, 0x0067, 0xC023, 0xC027), _CBC_128_SHA256),
    **dict.fromkeys((0x003D, 0x006B), _CBC_256_SHA256),
    **dict.fromkeys((0xC024, 0xC028), _CBC_256_SHA384),
}
"""By number (IANA TLS Cipher Suites)."""


class RecordCipher(Protocol):
    """One direction's protection, from one change of keys to the next."""

    def open(self, record_type: int, header: bytes, body: bytes) -> tuple[int, bytes]:
        """(content type, content) of the next record; DecodeError when the keys don't fit."""


class _Aead(Protocol):
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


def _aead(suite: Suite, key: bytes) -> _Aead:
    require_cryptography()
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

    match suite.cipher:
        case "AES-GCM":
            return AESGCM(key)
        case "AES-CCM":
            return AESCCM(key)
        case "AES-CCM-8":
            return AESCCM(key, tag_length=8)
        case _:
            return ChaCha20Poly1305(key)


def require_cryptography() -> None:
    """ConfigurationError, which says what to install, when the ciphers are missing."""
    try:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "decrypting TLS needs the package cryptography: pip install dulcet[tls-decode]"
        ) from None


def _opened(aead: _Aead, nonce: bytes, body: bytes, associated: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return aead.decrypt(nonce, body, associated)
    except (InvalidTag, ValueError):
        raise DecodeError("the secret of the key log doesn't open this TLS record") from None


def _xor(iv: bytes, sequence: int) -> bytes:
    return (int.from_bytes(iv, "big") ^ sequence).to_bytes(len(iv), "big")


class Tls13Cipher:
    """RFC 8446 5.2; the keys come from one traffic secret (7.3)."""

    def __init__(self, suite: Suite, secret: bytes) -> None:
        self._suite = suite
        self._secret = secret
        self._aead = _aead(suite, expand_label(suite.hash_name, secret, b"key", suite.key_octets))
        self._iv = expand_label(suite.hash_name, secret, b"iv", 12)
        self._sequence = 0

    def open(self, record_type: int, header: bytes, body: bytes) -> tuple[int, bytes]:
        """The inner content; its type follows it, zeros follow that."""
        inner = _opened(self._aead, _xor(self._iv, self._sequence), body, header).rstrip(b"\0")
        self._sequence += 1
        return (inner[-1], inner[:-1]) if inner else (record_type, b"")

    def updated(self) -> "Tls13Cipher":
        """After a KeyUpdate (RFC 8446 7.2)."""
        size = len(self._secret)
        return Tls13Cipher(self._suite, expand_label(self._suite.hash_name, self._secret, b"traffic upd", size))


class Tls12AeadCipher:
    """RFC 5288 3 (the nonce is partly in the record) and RFC 7905 2 (it isn't)."""

    def __init__(self, suite: Suite, key: bytes, iv: bytes) -> None:
        self._aead = _aead(suite, key)
        self._iv = iv
        self._explicit = _EXPLICIT_NONCE_OCTETS if suite.cipher == "AES-GCM" else 0
        self._sequence = 0

    def open(self, record_type: int, header: bytes, body: bytes) -> tuple[int, bytes]:
        """The content; 16 octets of tag follow it."""
        sequence = self._sequence
        self._sequence += 1
        length = max(len(body) - self._explicit - 16, 0)
        associated = sequence.to_bytes(8, "big") + header[:3] + length.to_bytes(2, "big")
        nonce = self._iv + body[: self._explicit] if self._explicit else _xor(self._iv, sequence)
        return record_type, _opened(self._aead, nonce, body[self._explicit :], associated)


class Tls12CbcCipher:
    """RFC 5246 6.2.3.2, with the MAC inside or (RFC 7366) outside of what is encrypted. The MAC is not verified."""

    def __init__(self, suite: Suite, key: bytes, *, encrypt_then_mac: bool) -> None:
        require_cryptography()
        self._key = key
        self._mac_octets = suite.mac_octets
        self._encrypt_then_mac = encrypt_then_mac

    def open(self, record_type: int, header: bytes, body: bytes) -> tuple[int, bytes]:
        """The content; MAC and padding follow it."""
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        outside = self._mac_octets if self._encrypt_then_mac else 0
        iv, encrypted = body[:_AES_BLOCK_OCTETS], body[_AES_BLOCK_OCTETS : len(body) - outside]
        if not encrypted or len(encrypted) % _AES_BLOCK_OCTETS:
            raise DecodeError("this TLS record is no whole number of AES blocks")
        decryptor = Cipher(algorithms.AES(self._key), modes.CBC(iv)).decryptor()
        content = decryptor.update(encrypted) + decryptor.finalize()
        padding = content[-1] + 1
        left = len(content) - padding - (0 if self._encrypt_then_mac else self._mac_octets)
        if left < 0 or content[-padding:] != content[-1:] * padding:
            raise DecodeError("the secret of the key log doesn't open this TLS record")
        return record_type, content[:left]


def tls12_ciphers(
    suite: Suite, master_secret: bytes, client_random: bytes, server_random: bytes, *, encrypt_then_mac: bool
) -> tuple[RecordCipher, RecordCipher]:
    """The client's and the server's cipher, from the key block of RFC 5246 6.3."""
    mac, key = suite.mac_octets, suite.key_octets
    iv = {"AES-GCM": 4, "CHACHA20-POLY1305": 12}.get(suite.cipher, 0)
    sizes = (mac, mac, key, key, iv, iv)
    block = _prf(suite.hash_name, master_secret, b"key expansion" + server_random + client_random, sum(sizes))
    parts, start = [], 0
    for size in sizes:
        parts.append(block[start : start + size])
        start += size
    if suite.cipher == "AES-CBC":
        return (
            Tls12CbcCipher(suite, parts[2], encrypt_then_mac=encrypt_then_mac),
            Tls12CbcCipher(suite, parts[3], encrypt_then_mac=encrypt_then_mac),
        )
    return Tls12AeadCipher(suite, parts[2], parts[4]), Tls12AeadCipher(suite, parts[3], parts[5])


def _prf(hash_name: str, secret: bytes, seed: bytes, size: int) -> bytes:
    """P_hash of RFC 5246 5."""
    octets, step = b"", seed
    while len(octets) < size:
        step = hmac.digest(secret, step, hash_name)
        octets += hmac.digest(secret, step + seed, hash_name)
    return octets[:size]


def expand_label(hash_name: str, secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label of RFC 8446 7.1, with an empty context."""
    full = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes((len(full),)) + full + b"\0"
    octets, step, counter = b"", b"", 1
    while len(octets) < size:
        step = hmac.digest(secret, step + info + bytes((counter,)), hash_name)
        octets += step
        counter += 1
    return octets[:size]
