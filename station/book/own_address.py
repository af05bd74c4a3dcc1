"""Under which address others reach this machine: no packet is sent to find out."""

import socket
from ipaddress import ip_address

from dulcet.errors import PeerUnavailableError, UnknownHostError
from dulcet.escape import quote

_ANYWHERE = ("192.0.2.1", "2001:db8::1")  # for documentation, RFC 5737 and RFC 3849: the default routes lead there


def is_loopback(host: str) -> bool:
    """Whether a name or an address leads to this machine and to no other."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_towards(host: str, port: int) -> str:
    """The local address from which a connection to `host` goes out; a router on the way may show another one.

    UnknownHostError when the name has no address, PeerUnavailableError when no route leads there. Blocks while the name
    is looked up.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UnknownHostError(f"{quote(host)} has no address: {error}") from error
    reason = "no address"
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)  # of a datagram socket: the kernel chooses the route, nothing goes out
                return str(probe.getsockname()[0])
        except OSError as error:
            reason = error.strerror or str(error)
    raise PeerUnavailableError(f"no route leads to {quote(host)}: {reason}")


def own_addresses() -> list[str]:
    """The addresses towards the rest of the world, IPv4 first; empty on a machine without a route."""
    addresses = []
    for anywhere in _ANYWHERE:
        try:
            addresses.append(address_towards(anywhere, 104))
        except (UnknownHostError, PeerUnavailableError):
            continue
    return addresses


def own_host_name() -> str:
    """As this machine calls itself, with its domain if it knows it. Blocks while the name is looked up."""
    return socket.getfqdn()
