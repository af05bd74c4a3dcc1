"""tls, the product as acceptor (PS3.15 Annex B; the profiles refer to RFC 9325 and RFC 8996)."""

import ssl
from collections.abc import Awaitable, Callable

import trio

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.cases import fsm_acceptor
from dulcet.conformance.kit.cases.tcp import octet_by_octet
from dulcet.conformance.kit.certificates import load_self_signed
from dulcet.conformance.kit.failures import reason_of, unreachable
from dulcet.conformance.kit.outcome import Outcome, matches
from dulcet.conformance.kit.tls_octets import (
    COMMON_SUITES,
    DHE_SUITES,
    ECDHE_SUITES,
    SECP192R1,
    SERVER_KEY_EXCHANGE,
    SSL_3_0,
    TLS_1_0,
    TLS_1_1,
    TLS_1_2,
    WEAK_SUITES,
    TLSPipe,
    answer_to_hello,
    client_hello,
    handshake_messages,
)
from dulcet.conformance.kit.visit import PreconditionError, Visit
from dulcet.conformance.kit.waiting import within
from dulcet.errors import PeerUnavailableError

Q, C, B, I = Level.REQUIRED, Level.RECOMMENDED, Level.ROBUSTNESS, Level.INFORMATIONAL  # noqa: E741
DICOM_TLS_PORT = 2762
SMALLEST_DHE_OCTETS = 256
_CLAUSE = "PS3.15 B.12"
_FAILED = (ssl.SSLError, EOFError, OSError, trio.BrokenResourceError)
_KINDS = {2: "AC", 3: "RJ", 7: "ABORT"}


def _case(
    name: str,
    stimulus: str,
    requirement: str,
    level: Level,
    play: Play | None,
    allowed: tuple[str, ...],
    *,
    tolerated: tuple[str, ...] = (),
    clause: str = _CLAUSE,
    needs: tuple[str, ...] = ("tls",),
    undecidable: str = "",
    waits_artim: bool = False,
    note: str = "",
) -> Case:
    return Case(
        id=f"tls.{name}",
        requirement=requirement,
        stimulus=stimulus,
        clause=clause,
        level=level,
        role=Role.ACCEPTOR,
        allowed=allowed,
        tolerated=tolerated,
        play=play,
        needs=needs,
        probe=play is not None,
        undecidable=undecidable,
        waits_artim=waits_artim,
        note=note,
    )


def _made(make: Callable[[], ssl.SSLContext] | None) -> ssl.SSLContext:
    if make is None:
        raise PreconditionError("the kit has no TLS of its own")
    return make()


def _with_context(change: Callable[[ssl.SSLContext], None]) -> Play:
    """An A-ASSOCIATE-RQ over a TLS connection that the kit restricts."""

    async def play(visit: Visit) -> Outcome:
        context = _made(visit.product.make_tls)
        try:
            change(context)
        except (ValueError, ssl.SSLError) as error:
            raise PreconditionError(f"the kit's TLS library can't offer this: {error}") from None
        return await _asked(visit, context)

    return play


async def _asked(visit: Visit, context: ssl.SSLContext) -> Outcome:
    """An A-ASSOCIATE-RQ over TLS and what comes back; REFUSED when the handshake fails."""
    pipe = await _pipe(visit, context)
    try:
        await pipe.handshake()
    except _FAILED as error:
        return Outcome("REFUSED", (), f"the handshake failed: {reason_of(error)}")
    return await _first_answer(pipe, visit.product.request().encode())


async def _pipe(visit: Visit, context: ssl.SSLContext) -> TLSPipe:
    stream = await _tcp(visit)
    return TLSPipe(stream, context, visit.product.tls_name or visit.product.host)


async def _tcp(visit: Visit) -> trio.SocketStream:
    try:
        stream = await trio.open_tcp_stream(visit.product.host, visit.product.port)
    except OSError as error:
        raise PeerUnavailableError(f"the product {unreachable(error)}") from None
    visit.keep(stream)
    return stream


async def _first_answer(pipe: TLSPipe, octets: bytes, *, corrupt: bool = False) -> Outcome:
    """What comes back on a TLS connection: the first PDU's kind, ALERT, CLOSE or SILENCE."""
    with trio.move_on_after(5.0):
        try:
            await pipe.send(octets, corrupt=corrupt)
            answer = await pipe.receive()
        except ssl.SSLError as error:
            return Outcome("ALERT", (), reason_of(error))
        except (EOFError, OSError, trio.BrokenResourceError):
            return Outcome("CLOSE")
        return Outcome(_KINDS.get(answer[0], "OTHER") if answer else "CLOSE")
    return Outcome("SILENCE")


# Versions, suites, keys -----------------------------------------------------------------------------------------------


def _hello(version: int, suites: tuple[int, ...], groups: tuple[int, ...] | None = None) -> Play:
    async def play(visit: Visit) -> Outcome:
        octets = client_hello(version, suites) if groups is None else client_hello(version, suites, groups)
        answer, ended = await _plain(visit, octets)
        return answer_to_hello(answer, ended)

    return play


async def _plain(visit: Visit, octets: bytes, seconds: float | None = None) -> tuple[bytes, bool]:
    """Send in the clear; what came within the time, and whether the connection ended."""
    stream = await _tcp(visit)
    received = bytearray()
    patience = visit.patience.answer if seconds is None else seconds
    try:
        await stream.send_all(octets)
        while chunk := await within(patience, stream.receive_some):
            received += chunk
            if any(kind == 14 for kind, _ in handshake_messages(bytes(received))):  # ServerHelloDone
                return bytes(received), False
    except (OSError, trio.BrokenResourceError):
        return bytes(received), True
    return bytes(received), chunk is not None


async def _weak_dhe(visit: Visit) -> Outcome:
    answer, ended = await _plain(visit, client_hello(TLS_1_2, DHE_SUITES))
    for kind, body in handshake_messages(answer):
        if kind == SERVER_KEY_EXCHANGE:
            octets = int.from_bytes(body[:2], "big")
            visit.findings.measured["dhe_bits"] = octets * 8
            return Outcome("STRONG" if octets >= SMALLEST_DHE_OCTETS else "WEAK", (octets * 8,))
    return answer_to_hello(answer, ended)


def _only_1_2(context: ssl.SSLContext) -> None:
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2


def _suite(name: str) -> Callable[[ssl.SSLContext], None]:
    def change(context: ssl.SSLContext) -> None:
        _only_1_2(context)
        context.set_ciphers(name)

    return change


async def _highest(visit: Visit) -> Outcome:
    pipe = await _pipe(visit, _made(visit.product.make_tls))
    try:
        await pipe.handshake()
    except _FAILED as error:
        return Outcome("REFUSED", (), f"the handshake failed: {reason_of(error)}")
    return Outcome("TLS-THIRTEEN" if pipe.version == "TLSv1.3" else "OLDER", (), pipe.version or "")


_REFUSED = ("ALERT", "CLOSE")
_OLD = "Versions of TLS before 1.2 are refused."
_SUITES = ("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384")
_FOR_AN_EC_KEY = {name: name.replace("RSA", "ECDSA") for name in _SUITES}
_DHE_SUITES = ("DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384")


def _suites(names: tuple[str, ...], requirement: str, allowed: str, tolerated: tuple[str, ...] = (),
            note: str = "") -> tuple[Case, ...]:  # fmt: skip
    """The product's key decides between a suite and its twin, so both are offered."""
    offers = {name: [name, _FOR_AN_EC_KEY[name]] if name in _FOR_AN_EC_KEY else [name] for name in names}
    return tuple(
        _case(f"cipher.{name.lower().rpartition('-')[0]}", f"TLS 1.2 with {' and '.join(offered)} only", requirement, C,
              _with_context(_suite(":".join(offered))), (allowed,), tolerated=tolerated, note=note)
        for name, offered in offers.items()
    )  # fmt: skip


HANDSHAKES = (
    _case("handshake.1.2", "TLS 1.2 only", "TLS 1.2 is supported.", Q, _with_context(_only_1_2), ("AC",)),
    _case("handshake.1.3", "TLS 1.3 and 1.2 offered", "TLS 1.3 is preferred where it is supported.", Q, _highest,
          ("TLS-THIRTEEN",), tolerated=("OLDER",)),
    _case("version.1.1", "TLS 1.1 only", _OLD, Q, _hello(TLS_1_1, COMMON_SUITES), _REFUSED),
    _case("version.1.0", "TLS 1.0 only", _OLD, Q, _hello(TLS_1_0, COMMON_SUITES), _REFUSED),
    _case("version.ssl3", "SSL 3.0 only", _OLD, Q, _hello(SSL_3_0, COMMON_SUITES), _REFUSED),
    _case("cipher.null-rc4-3des-export", "only NULL, RC4, 3DES and EXPORT cipher suites", "Weak suites are refused.", Q,
          _hello(TLS_1_2, WEAK_SUITES), _REFUSED),
    *_suites(_SUITES, "The cipher suites that RFC 9325 4.2 recommends are accepted.", "AC",
             note="The key of the product's certificate, RSA or EC, says which of the two it can accept."),
    *_suites(_DHE_SUITES, "TLS 1.2 with finite-field DHE is not negotiated (RFC 9325 4.1).", "REFUSED", ("AC",),
             "B.13 permits DHE from 2048 bits on, and B.10 of the text of 2020 demands these suites: see tls.dh.1024."),
    _case("dh.1024", "TLS 1.2 with DHE suites only", "A DHE key exchange has at least 2048 bits.", Q, _weak_dhe,
          ("STRONG", *_REFUSED), clause="PS3.15 B.13"),
    _case("ecdhe.p192", "ECDHE with the group secp192r1 only", "An ECDHE key exchange has at least 256 bits.", Q,
          _hello(TLS_1_2, ECDHE_SUITES, (SECP192R1,)), _REFUSED, clause="PS3.15 B.13"),
)  # fmt: skip

# Certificates, downgrades, records ------------------------------------------------------------------------------------


async def _without_certificate(visit: Visit) -> Outcome:
    return await _asked(visit, _made(visit.product.make_tls_without_certificate))


async def _bad_certificate(visit: Visit) -> Outcome:
    context = _made(visit.product.make_tls_without_certificate)
    load_self_signed(context, "nobody.example")
    return await _asked(visit, context)


async def _in_the_clear(visit: Visit) -> Outcome:
    answer, ended = await _plain(visit, visit.product.request().encode(), visit.patience.patient)
    if answer[:1] == b"\x15":
        return Outcome("ALERT")
    if answer:
        return Outcome(_KINDS.get(answer[0], "OTHER"))
    return Outcome("CLOSE") if ended else Outcome("SILENCE")


async def _corrupted(visit: Visit) -> Outcome:
    pipe = await _pipe(visit, _made(visit.product.make_tls))
    await pipe.handshake()
    return await _first_answer(pipe, visit.product.request().encode(), corrupt=True)


async def _close_notify(visit: Visit) -> Outcome:
    """A release over the pipe: does close_notify come before FIN?"""
    pipe = await _pipe(visit, _made(visit.product.make_tls))
    await pipe.handshake()
    await pipe.send(visit.product.request().encode())
    await pipe.receive()
    await pipe.send(stimuli.RELEASE_RQ)
    with trio.move_on_after(visit.patience.patient):
        try:
            while await pipe.receive():
                pass
        except (EOFError, OSError, trio.BrokenResourceError, ssl.SSLError):
            return Outcome("FIN", (), "the connection ended without close_notify")
        return Outcome("CLOSE-NOTIFY")
    raise PreconditionError("the product waits for the kit to close first, as it may")


async def _truncated(visit: Visit) -> Outcome:
    association = await visit.associate()
    await association.send(stimuli.RELEASE_RQ)
    outcome = await association.outcome()
    await association.peer.close()
    return outcome


async def _stalled(visit: Visit) -> Outcome:
    octets = client_hello(TLS_1_2, COMMON_SUITES)
    answer, ended = await _plain(visit, octets[: len(octets) // 2], visit.patience.until_artim)
    return Outcome("ALERT") if answer else Outcome("CLOSE") if ended else Outcome("SILENCE")


async def _port(visit: Visit) -> Outcome:
    await trio.lowlevel.checkpoint()
    return Outcome("PORT", (visit.product.port,))


async def _smoke(visit: Visit) -> Outcome:
    """The cells of Sta2 and Sta6 again, one after the other; here over TLS."""
    cells = [case for case in (*fsm_acceptor.STA2, *fsm_acceptor.STA6) if not case.waits_artim][:20]
    different = []
    for case in cells:
        play: Callable[[Visit], Awaitable[Outcome]] | None = case.play
        assert play is not None
        outcome = await play(visit)
        if not matches(outcome, case.allowed):
            different.append(f"{case.id}: {outcome}")
    return Outcome("DIFFERENT", (), "; ".join(different)) if different else Outcome("SAME")


_MUTUAL = ("tls", "tls-client-certificate")
REST = (
    _case("cert.client-missing", "no client certificate", "Without a client certificate there is no association.", Q,
          _without_certificate, ("REFUSED", *_REFUSED), needs=_MUTUAL),
    _case("cert.client-bad", "a client certificate of nobody", "An untrusted client certificate is refused.", Q,
          _bad_certificate, ("REFUSED", *_REFUSED), needs=_MUTUAL),
    _case("plain-on-tls-port", "an A-ASSOCIATE-RQ in the clear", "What is no TLS is closed or answered with an alert.",
          Q, _in_the_clear, _REFUSED, clause="PS3.8 9.1.1"),
    _case("renegotiation", "", "A renegotiation by the client is refused, or does no harm.", C, None, (),
          undecidable="the kit's TLS library does not renegotiate"),
    _case("integrity-failure", "a record whose last octet is turned over", "The connection is dropped.", Q, _corrupted,
          _REFUSED, clause="PS3.15 B.9"),
    _case("close-notify", "a release", "close_notify comes before the connection ends.", I, _close_notify,
          ("CLOSE-NOTIFY",), clause="PS3.15 B.12"),
    _case("truncation", "FIN without close_notify after the release", "It does no harm.", B, _truncated, ("RP",)),
    _case("record-split", "a request and a C-ECHO-RQ, one octet in each record", "PDUs are found in the stream.", Q,
          octet_by_octet, ("RSP(0000)",), clause="PS3.8 9.1.1"),
    _case("handshake-stall", "half a ClientHello, then silence", "The handshake is given up in time.", B, _stalled,
          _REFUSED, tolerated=("SILENCE",), waits_artim=True),
    _case("port", "the port that the product listens on", "Port 2762 is recommended.", I, _port,
          (f"PORT({DICOM_TLS_PORT})",)),
    _case("fsm-smoke", "20 cells of the state table over TLS", "The state machine is the same over TLS.", Q, _smoke,
          ("SAME",), tolerated=("DIFFERENT",), clause="PS3.8 Table 9-10"),
)  # fmt: skip

CASES = (*HANDSHAKES, *REST)
