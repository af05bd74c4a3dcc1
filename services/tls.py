"""TLS for DICOM: PS3.15 B.12 (BCP 195), TLS 1.2 at least and 1.3 preferred.

`ssl.SSLContext` objects as the standard library makes them; what is set here is what the profile asks for.
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dulcet.errors import ConfigurationError

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM"  # for TLS 1.2: RFC 9325 4.2


def client_context(*, ca: Path | None = None, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """For a requestor: verifies the peer's chain against `ca` (the system's if None) and its name.

    `cert` and `key` are our certificate for a peer that asks for one. ConfigurationError when a file is no good.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    if ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, ca)
    if cert is not None:
        _load_certificate(context, cert, key)
    return context


def server_context(*, cert: Path, key: Path | None = None, ca: Path | None = None) -> ssl.SSLContext:
    """For an acceptor: with `ca` a client certificate is required and verified; without, anybody may connect."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    _load_certificate(context, cert, key)
    if ca is not None:
        _load_authorities(context, ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE


def _load_certificate(context: ssl.SSLContext, cert: Path, key: Path | None) -> None:
    try:
        context.load_cert_chain(cert, key)
    except FileNotFoundError as error:
        raise ConfigurationError(f"the certificate {cert} or its key {key or cert} is not there") from error
    except (ssl.SSLError, OSError) as error:
        raise ConfigurationError(f"the certificate {cert} can't be used with the key {key or cert}: {error}") from error


def _load_authorities(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(cafile=ca if ca.is_file() else None, capath=ca if ca.is_dir() else None)
    except (ssl.SSLError, OSError, TypeError) as error:
        raise ConfigurationError(f"the certificate authorities in {ca} can't be used: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class TLSSession:
    """A TLS session. Its texts are the peer's, raw: quote before showing."""

    version: str
    cipher: str
    subject: str = ""
    """Of the peer's certificate; "", like what follows, when there is none, or nobody verified it."""
    names: tuple[str, ...] = ()
    """For which it is."""
    valid_until: datetime | None = None


def session_of(stream: Any) -> TLSSession:
    """What there is to know of the session of a stream whose handshake is done."""
    cipher, certificate = stream.cipher(), stream.getpeercert() or {}
    until = certificate.get("notAfter")
    return TLSSession(
        version=str(stream.version()),
        cipher=cipher[0] if cipher else "no cipher",
        subject=", ".join(f"{key}={value}" for part in certificate.get("subject", ()) for key, value in part),
        names=tuple(value for _, value in certificate.get("subjectAltName", ())),
        valid_until=datetime.fromtimestamp(ssl.cert_time_to_seconds(until), UTC) if until else None,
    )
