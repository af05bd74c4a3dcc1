"""From a word for a peer, and what was said beside it, to a `Peer`: addresses, and nodes of the node book.

What a node says about itself holds, unless somebody said otherwise explicitly: `given` names what was.
"""

import ssl
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dulcet.services.requestor import Peer
from dulcet.station.book.nodes import DEFAULT_AE_TITLE, Node, ae_title, parse_address

DEFAULT_CALLED_AE_TITLE = "ANY-SCP"
TLS_OPTIONS = ("tls", "tls_ca", "tls_cert", "tls_key")


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedPeer(Peer):
    """A peer of the node book; sentences say its name."""

    name: str

    def __str__(self) -> str:
        return f"{self.name} ({Peer.__str__(self)})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Calling:
    """What was said of how peers are called, beside the words for them."""

    called: str | None = None
    """Their AE title, where an address has none."""
    calling: str = DEFAULT_AE_TITLE
    """Ours."""
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    """The name on their certificate, if it is not the host's."""
    given: Collection[str] = ()
    """What of it was said explicitly: names of the command line's parameters, `aec`, `aet`, `tls`, `tls_name`."""


def peer_at(address: str, how: Calling) -> Peer:
    """The peer at `AET@host:port` or `host:port`. ConfigurationError."""
    title, host, port = parse_address(address)
    return Peer(
        host=host,
        port=port,
        ae_title=ae_title(title or how.called or DEFAULT_CALLED_AE_TITLE),
        calling_ae_title=ae_title(how.calling),
        tls=how.tls,
        server_name=how.server_name,
    )


def peer_of_node(node: Node, how: Calling) -> NamedPeer:
    """A node as a peer. ConfigurationError, TLS files that can't be used included."""
    tls, server_name, given = how.tls, how.server_name, how.given
    if node.tls is not None and not any(option in given for option in TLS_OPTIONS):
        tls = _tls_client(node.tls_ca, node.tls_cert, node.tls_key) if node.tls else None
        server_name = server_name if "tls_name" in given else node.tls_name
    calling = how.calling if "aet" in given else node.calling_ae_title or how.calling
    return NamedPeer(
        name=node.name,
        host=node.host,
        port=node.port,
        ae_title=ae_title(how.called) if how.called and "aec" in given else node.ae_title,
        calling_ae_title=ae_title(calling),
        tls=tls,
        server_name=server_name,
    )


@lru_cache(maxsize=64)  # the system's authorities take milliseconds to load, and a book may have many nodes
def _tls_client(ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    from dulcet.services.tls import client_context

    return client_context(ca=ca, cert=cert, key=key)
