"""Whom a word on the command line means: `AET@host:port` or `host:port`."""

import re

from dulcet.errors import ConfigurationError
from dulcet.escape import quote

_ADDRESS = re.compile(
    r"(?:(?P<ae_title>[^@]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:@\[\]]+)):(?P<port>\d{1,5})"
)


def parse_address(text: str) -> tuple[str | None, str, int]:
    """(AE title or None, host, port) of `AET@host:port` or `host:port`; an IPv6 address stands in brackets.

    ConfigurationError says what is wrong with it.
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(
            f"{quote(text)!r} is no peer: write AET@HOST:PORT (or HOST:PORT), like ORTHANC@192.168.1.20:4242"
        )
    port = int(match["port"])
    if not 0 < port < 65536:
        raise ConfigurationError(f"{quote(text)!r}: a port is a number from 1 to 65535")
    return match["ae_title"], match["v6"] or match["host"], port
