"""Where a server answers monitors: `--http` of `dulcet serve`, `--healthz` of `dulcet check`."""

from dulcet.errors import ConfigurationError

LOOPBACK = "127.0.0.1"


def http_address(text: str) -> tuple[str, int]:
    """`PORT`, `HOST:PORT` or `[HOST]:PORT`; ConfigurationError. Without a host it is this machine only."""
    host, _, port = text.strip().rpartition(":")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise ConfigurationError(f"{text!r} is neither PORT nor HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)
