"""tls, the product as requestor (PS3.15 Annex B)."""

import ssl

import trio

from dulcet.conformance.kit.case import Case, Level, Play
from dulcet.conformance.kit.cases.requestor_association import case
from dulcet.conformance.kit.certificates import load_self_signed
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.raw_peer import RawPeer
from dulcet.conformance.kit.reception import Reception
from dulcet.conformance.kit.tls_octets import TLS_1_1, offered_versions
from dulcet.conformance.kit.visit import PreconditionError

Q, C = Level.REQUIRED, Level.RECOMMENDED
TLS_1_3 = 0x0304
_HANDSHAKE_FAILURE = b"\x15\x03\x03\x00\x02\x02\x28"
_NEEDS = ("tls",)


async def _hello(peer: RawPeer, seconds: float) -> bytes:
    """The first record, which is no PDU."""
    seen = await peer.next(seconds)
    if seen is None or seen.end is not None:
        raise PreconditionError("the product sent nothing")
    return seen.octets


async def _offers(reception: Reception) -> Outcome:
    peer = await reception.connection()
    versions = offered_versions(await _hello(peer, reception.patience.patient))
    await peer.send(_HANDSHAKE_FAILURE)
    if not versions:
        return Outcome("NO-TLS")
    old = {version for version in versions if version <= TLS_1_1 and version >= 0x0300}
    if old:
        return Outcome("OLD", tuple(sorted(old)), "versions before TLS 1.2 are offered")
    return Outcome("TLS-THIRTEEN" if TLS_1_3 in versions else "TLS-TWELVE")


async def _no_downgrade(reception: Reception) -> Outcome:
    """The handshake is refused; the next connection, if one comes, must not be in the clear."""
    peer = await reception.connection()
    first = await _hello(peer, reception.patience.patient)
    if first[:1] != b"\x16":
        return Outcome("NO-TLS")
    await peer.send(_HANDSHAKE_FAILURE)
    await peer.close()
    with trio.move_on_after(3.0):
        again = await _hello(await reception.connection(), reception.patience.answer)
        if again[:1] == b"\x01":
            return Outcome("FELL-BACK", (), "an A-ASSOCIATE-RQ in the clear after TLS was refused")
    return Outcome("STAYED")


def _certificate(name: str, *, expired: bool = False) -> Play:
    """A server certificate that the product can't trust; REFUSED unless it sends its A-ASSOCIATE-RQ."""

    async def play(reception: Reception) -> Outcome:
        peer = await reception.bare_connection()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        load_self_signed(context, name, expired=expired)
        secure = trio.SSLStream(peer, context, server_side=True, https_compatible=True)
        with trio.move_on_after(reception.patience.patient):
            try:
                await secure.do_handshake()
                octets = await secure.receive_some(65536)
            except (OSError, trio.BrokenResourceError):
                return Outcome("REFUSED")
            if octets[:1] == b"\x01":
                return Outcome("TRUSTED", (), "the product sent its A-ASSOCIATE-RQ to who has this certificate")
            return Outcome("REFUSED")
        return Outcome("SILENCE")

    return play


def _case(name: str, stimulus: str, requirement: str, level: Level, play: Play, allowed: tuple[str, ...],
          tolerated: tuple[str, ...] = ()) -> Case:  # fmt: skip
    return case(f"tls.{name}", stimulus, requirement, "PS3.15 B.12", level, play, allowed, tolerated=tolerated,
                needs=_NEEDS)  # fmt: skip


_UNTRUSTED = "A server certificate that is not trusted is refused."
CASES = (
    _case("r.offers-1.3", "the product's ClientHello", "TLS 1.3 is offered where supported, and nothing before 1.2.", Q,
          _offers, ("TLS-THIRTEEN",), ("TLS-TWELVE",)),
    _case("cert.expired", "a server certificate that has expired", _UNTRUSTED, C,
          _certificate("localhost", expired=True), ("REFUSED",)),
    _case("cert.wrong-ca", "a server certificate of an unknown authority", _UNTRUSTED, C, _certificate("localhost"),
          ("REFUSED",)),
    _case("cert.self-signed", "a self-signed server certificate", _UNTRUSTED, C, _certificate("localhost"),
          ("REFUSED",)),
    _case("cert.wrong-host", "a server certificate for another host", _UNTRUSTED, C, _certificate("other.example"),
          ("REFUSED",)),
    _case("no-downgrade", "the handshake is refused", "The product does not fall back to an unprotected connection.", Q,
          _no_downgrade, ("STAYED",)),
    *(
        case(f"tls.{name}", "", requirement, "PS3.15 B.13", Q, None, (), needs=_NEEDS,
             undecidable="the kit's TLS library does not serve so weak a key exchange")
        for name, requirement in (
            ("dh.1024", "A DHE key exchange has at least 2048 bits."),
            ("ecdhe.p192", "An ECDHE key exchange has at least 256 bits."),
        )
    ),
)  # fmt: skip
