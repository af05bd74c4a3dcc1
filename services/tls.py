"""TLS for DICOM: PS3.15 B.12 (BCP 195), TLS 1.2 at least and 1.3 preferred.

`ssl.SSLContext` objects as the standard library makes them; what is set here is what the profile asks for.
"""

import ssl
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


def describe_session(stream: Any) -> list[str]:
    """A TLS session in lines for people: version, cipher, and the peer's certificate. Raw: quote before showing."""
    cipher = stream.cipher()
    lines = [f"{stream.version()}, {cipher[0] if cipher else 'no cipher'}"]
    certificate = stream.getpeercert()
    if certificate:
        subject = ", ".join(f"{key}={value}" for part in certificate.get("subject", ()) for key, value in part)
        names = ", ".join(value for _, value in certificate.get("subjectAltName", ()))
        lines.append(f"certificate of {subject or names}, valid until {certificate.get('notAfter', 'not said')}")
        lines += [f"names in it: {names}"] if names else []
    return lines
