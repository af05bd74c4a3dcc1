"""The NSS key log format (RFC 9850), which TLS libraries write under the name of SSLKEYLOGFILE."""

import re

_LINE = re.compile(rb"^([A-Z][A-Z0-9_]*) ([0-9A-Fa-f]{64}) ([0-9A-Fa-f]{2,256})[ \t\r]*$", re.MULTILINE)


class KeyLog:
    """Secrets by label and client random."""

    def __init__(self, *texts: bytes) -> None:
        self._secrets: dict[tuple[str, bytes], bytes] = {}
        for text in texts:
            for label, client_random, secret in _LINE.findall(text):
                if len(secret) % 2 == 0:
                    key = (label.decode(), bytes.fromhex(client_random.decode()))
                    self._secrets.setdefault(key, bytes.fromhex(secret.decode()))

    def __len__(self) -> int:
        return len(self._secrets)

    def secret(self, label: str, client_random: bytes) -> bytes | None:
        """The secret of one connection; None when the log doesn't have it."""
        return self._secrets.get((label, client_random))
