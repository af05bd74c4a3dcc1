"""Certificates that nobody trusts, made with the package `cryptography` if it is there."""

import datetime
import ssl
import tempfile
from pathlib import Path

from dulcet.conformance.kit.visit import PreconditionError

_NEEDED = "the package `cryptography` is needed to make a certificate: pip install 'dulcet[tls-decode]'"


def load_self_signed(context: ssl.SSLContext, name: str, *, expired: bool = False) -> None:
    """Load a new self-signed certificate for `name` and its key. PreconditionError without `cryptography`."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID
    except ImportError:
        raise PreconditionError(_NEEDED) from None
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    first, last = (now - datetime.timedelta(days=30), now + datetime.timedelta(days=-1 if expired else 30))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    with tempfile.TemporaryDirectory(prefix="dulcet-certificate-") as directory:
        path = Path(directory) / "certificate.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        context.load_cert_chain(path)
