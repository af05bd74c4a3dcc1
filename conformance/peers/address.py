"""Where a peer is, and the environment variables that put any product in the place of a peer that we start."""

import os
import random
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from dulcet.errors import ConfigurationError

LOOPBACK = "127.0.0.1"
SERVER_PORTS = range(12_000, 32_000)  # Linux gives 32768 to 60999 to connections that go out
_random = random.SystemRandom()  # tests seed the other one


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerAddress:
    """An application entity that listens somewhere."""

    ae_title: str
    """Its AE title, the significant characters only (PS3.8 Table 9-11, called AE title)."""
    host: str
    """A name or an address; an IPv6 address without brackets."""
    port: int
    """The TCP port that it listens on."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `AET@host:port`. Raises ConfigurationError with what is wrong."""
        ae_title, at, place = text.rpartition("@")
        host, colon, port = place.rpartition(":")
        if not (at and ae_title and colon and host and port.isascii() and port.isdigit()):
            raise ConfigurationError(
                f"{text!r} is no peer: AET@host:port is expected, for example STORESCP@127.0.0.1:11112"
            )
        if not 0 < int(port) < 65536:
            raise ConfigurationError(f"{text!r}: a TCP port is a number from 1 to 65535")
        return cls(ae_title=ae_title, host=host.removeprefix("[").removesuffix("]"), port=int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"


def from_environment(variable: str) -> PeerAddress | None:
    """The peer that an environment variable (`DULCET_PEER_STORE`) names, or None. Raises ConfigurationError."""
    text = os.environ.get(variable, "")
    return PeerAddress.parse(text) if text else None


def free_port() -> int:
    """A TCP port of the loopback address that nobody listened on a moment ago.

    None that the kernel gives to connections going out: one of them might take it before a server does.
    """
    while True:
        port = _random.choice(SERVER_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port
