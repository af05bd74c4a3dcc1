"""Who may associate: AE titles and addresses, judged before anything else of an A-ASSOCIATE-RQ (PS3.8 7.1.1, C.2).

An AE title is a label, not an identity: it keeps mistakes out, not attackers. TLS with client certificates does that.
"""

import ipaddress
from dataclasses import dataclass

from dulcet.errors import ConfigurationError
from dulcet.ul.negotiation import REJECTED_CALLED_AE_TITLE, REJECTED_CALLING_AE_TITLE
from dulcet.ul.pdu import AAssociateRJ, AAssociateRQ

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, kw_only=True, slots=True)
class AllowedPeer:
    """A calling AE title, from anywhere or from one network."""

    ae_title: str
    network: Network | None = None

    @classmethod
    def parse(cls, text: str) -> "AllowedPeer":
        """`AET` or `AET@ADDRESS` or `AET@NETWORK/BITS`; ConfigurationError when it is neither."""
        ae_title, _, network = text.partition("@")
        if not ae_title or len(ae_title) > 16:
            raise ConfigurationError(f"{text!r}: an AE title has 1 to 16 characters; write AET or AET@NETWORK")
        if not network:
            return cls(ae_title=ae_title)
        try:
            return cls(ae_title=ae_title, network=ipaddress.ip_network(network, strict=False))
        except ValueError as error:
            raise ConfigurationError(f"{text!r}: {error}") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Answers None, or the A-ASSOCIATE-RJ that says which title was not recognized."""

    ae_title: str
    """Ours: the called AE title must be equal to it."""
    any_called_ae_title: bool = False
    allowed: tuple[AllowedPeer, ...] = ()
    """Off loopback, an empty tuple means nobody."""
    allow_any: bool = False

    def refuse(self, request: AAssociateRQ, address: str) -> AAssociateRJ | None:
        """`address` is the peer's IP address; "" (a stream without one) counts as loopback."""
        if not self.any_called_ae_title and request.called_ae_title != self.ae_title:
            return REJECTED_CALLED_AE_TITLE
        if not request.calling_ae_title.isprintable() or not request.calling_ae_title.isascii():
            return REJECTED_CALLING_AE_TITLE
        if not request.calling_ae_title or not self._is_allowed(request.calling_ae_title, address):
            return REJECTED_CALLING_AE_TITLE
        return None

    def _is_allowed(self, calling_ae_title: str, address: str) -> bool:
        source = ipaddress.ip_address(address.partition("%")[0]) if address else None
        if isinstance(source, ipaddress.IPv6Address) and source.ipv4_mapped:
            source = source.ipv4_mapped
        if self.allow_any:
            return True
        if not self.allowed:
            return source is None or source.is_loopback
        return any(
            peer.ae_title == calling_ae_title
            and (peer.network is None or (source is not None and source in peer.network))
            for peer in self.allowed
        )
