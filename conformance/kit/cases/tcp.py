"""ul.tcp: connections, ARTIM and segments; the product as acceptor (PS3.8 9.1)."""

import trio

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Play, Role
from dulcet.conformance.kit.cases.fsm_acceptor import before_artim, silent
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.raw_peer import RawPeer
from dulcet.conformance.kit.visit import Association, PreconditionError, Visit, echo_rq
from dulcet.errors import PeerUnavailableError, TLSError

Q, B = Level.REQUIRED, Level.ROBUSTNESS
MANY_SILENT, MANY_QUICK, SOME = 50, 200, 10
NORMAL = ("RSP(0000)",)


def _case(
    name: str,
    stimulus: str,
    requirement: str,
    clause: str,
    level: Level,
    play: Play,
    allowed: tuple[str, ...],
    *,
    waits_artim: bool = False,
    needs: tuple[str, ...] = (),
    alone: bool = False,
    load: bool = False,
    tolerated: tuple[str, ...] = (),
) -> Case:
    return Case(
        id=f"ul.tcp.{name}",
        requirement=requirement,
        stimulus=stimulus,
        clause=clause,
        level=level,
        role=Role.ACCEPTOR,
        allowed=allowed,
        tolerated=tolerated,
        play=play,
        needs=needs,
        probe=True,
        waits_artim=waits_artim,
        alone=alone,
        load=load,
    )


# ARTIM ----------------------------------------------------------------------------------------------------------------


async def _closed_by_artim(visit: Visit, peer: RawPeer) -> Outcome:
    """Wait as long as ARTIM may take; the time is kept."""
    began = peer.now()
    outcome = await peer.outcome(visit.patience.until_artim)
    if outcome.word in ("CLOSE", "RST"):
        visit.findings.measured["closed_after_seconds"] = round(peer.now() - began, 3)
    return outcome


def _silence_after(octets: bytes) -> Play:
    async def play(visit: Visit) -> Outcome:
        peer = await visit.connect(judged=False)
        if octets:
            await peer.send(octets)
        return await _closed_by_artim(visit, peer)

    return play


async def _after_rejection(visit: Visit) -> Outcome:
    asked = await visit.ask(visit.product.request().but(version=0), judged=False)
    if asked.outcome.word != "RJ":
        raise PreconditionError(f"no A-ASSOCIATE-RJ: {asked.outcome.explain()}")
    return await _closed_by_artim(visit, asked.peer)


async def _after_release(visit: Visit) -> Outcome:
    association = await visit.associate()
    await association.send(stimuli.RELEASE_RQ)
    outcome = await association.outcome()
    if outcome.word != "RP":
        raise PreconditionError(f"no A-RELEASE-RP: {outcome.explain()}")
    return await _closed_by_artim(visit, association.peer)


async def _after_abort(visit: Visit) -> Outcome:
    association = await visit.associate()
    await association.send(stimuli.RELEASE_RP)
    outcome = await association.outcome()
    if outcome.word != "ABORT":
        raise PreconditionError(f"no A-ABORT: {outcome.explain()}")
    outcome = await _closed_by_artim(visit, association.peer)
    return await _closed_by_artim(visit, association.peer) if outcome.word == "ABORT" else outcome


_BY_ARTIM = "ARTIM closes a connection on which no A-ASSOCIATE-RQ arrives."
_CLOSE, _CLOSE_OR_ABORT = ("CLOSE",), ("CLOSE", "ABORT0")

ARTIM = (
    _case("artim.no-rq", "connect, then silence", _BY_ARTIM, "PS3.8 9.1.4", Q, _silence_after(b""), _CLOSE,
          waits_artim=True),
    _case("artim.partial-header", "3 octets of an A-ASSOCIATE-RQ, then silence", _BY_ARTIM, "PS3.8 9.1.4", Q,
          _silence_after(b"\1\0\0"), _CLOSE_OR_ABORT, waits_artim=True),
    _case("artim.partial-body", "100 of 200 octets of an A-ASSOCIATE-RQ, then silence", _BY_ARTIM, "PS3.8 9.1.4", Q,
          _silence_after(stimuli.pdu(0x01, bytes(100), length=200)), _CLOSE_OR_ABORT, waits_artim=True),
    _case("artim.after-rj", "a request that is rejected; the connection is kept open",
          "After an A-ASSOCIATE-RJ the acceptor closes when ARTIM expires.", "PS3.8 9.1.4", Q, _after_rejection, _CLOSE,
          waits_artim=True),
    _case("artim.after-rp", "a release; the connection is kept open",
          "After an A-RELEASE-RP the acceptor closes when ARTIM expires.", "PS3.8 9.1.4", Q, _after_release, _CLOSE,
          waits_artim=True),
    _case("artim.after-abort-sent", "an A-RELEASE-RP in Sta6; the connection is kept open",
          "After its A-ABORT the acceptor closes when ARTIM expires.", "PS3.8 9.1.4", Q, _after_abort, _CLOSE,
          waits_artim=True),
)  # fmt: skip

# Segments -------------------------------------------------------------------------------------------------------------


async def octet_by_octet(visit: Visit) -> Outcome:
    """A request and a C-ECHO-RQ, each octet written alone, and what comes of the C-ECHO."""
    request = visit.product.request()
    peer = await visit.connect()
    for octet in request.encode() + stimuli.message(1, echo_rq(1)):
        await peer.send(bytes((octet,)))
    asked = await visit.answered(peer, request)
    if asked.outcome.word != "AC":
        return before_artim(visit, peer, asked.outcome)
    return await Association(visit, asked).outcome()


async def _coalesced(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    await association.send(stimuli.message(1, echo_rq(1)) + stimuli.RELEASE_RQ)
    outcome = await association.outcome()
    if outcome.word != "RSP":
        return Outcome("OTHER", (), f"in place of the response {outcome.explain()}")
    return await association.outcome()


async def _split_header(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    octets = stimuli.message(1, echo_rq(1))
    for piece in (octets[:2], octets[2:6], octets[6:]):
        await association.send(piece)
        await trio.sleep(visit.patience.settle / 5)
    outcome = await association.outcome()
    await association.release()
    return outcome


async def _slow_request(visit: Visit) -> Outcome:
    """In ten pieces, well within ARTIM."""
    request = visit.product.request().encode()
    peer = await visit.connect()
    pause = min(visit.patience.settle, visit.patience.artim / 25)
    size = -(-len(request) // 10)
    for piece in stimuli.fragments(request, size):
        await peer.send(piece)
        await trio.sleep(pause)
    return before_artim(visit, peer, await peer.outcome(visit.patience.answer))


SEGMENTS = (
    _case("accept-silent", "connect, send nothing", "The acceptor waits for an A-ASSOCIATE-RQ, silently.",
          "PS3.8 9.1.2", Q, silent, ("SILENCE",)),
    _case("seg.1byte", "a request and a C-ECHO-RQ, one octet in each write",
          "PDUs are found in the stream, however cut.", "PS3.8 9.3.1", Q, octet_by_octet, NORMAL,
          needs=("verification",)),
    _case("seg.coalesced", "a C-ECHO-RQ and an A-RELEASE-RQ in one write",
          "PDUs are found in the stream, however joined: the response, then the A-RELEASE-RP.", "PS3.8 9.2", Q,
          _coalesced, ("RP",), needs=("verification",)),
    _case("seg.split-header", "a P-DATA-TF header cut into 2 and 4 octets",
          "PDUs are found in the stream, however cut.", "PS3.8 9.3.1", Q, _split_header, NORMAL,
          needs=("verification",)),
    _case("slow-rq", "a request in ten pieces, with a pause after each", "A slow request within ARTIM is accepted.",
          "PS3.8 9.1.5", B, _slow_request, ("AC",)),
)  # fmt: skip

# Ends -----------------------------------------------------------------------------------------------------------------


async def _half_pdu(visit: Visit) -> Association:
    association = (await visit.associate()).need(1)
    octets = stimuli.message(1, echo_rq(1))
    await association.send(octets[: len(octets) // 2])
    return association


async def _fin_in_pdu(visit: Visit) -> Outcome:
    association = await _half_pdu(visit)
    await association.peer.finish_writing()
    return await association.outcome()


async def _reset_in_pdu(visit: Visit) -> Outcome:
    association = await _half_pdu(visit)
    await association.peer.reset()
    return Outcome("DONE")


async def _half_close(visit: Visit) -> Outcome:
    association = (await visit.associate()).need(1)
    await association.send(stimuli.message(1, echo_rq(1)))
    await association.peer.finish_writing()
    return await association.outcome()


async def _second_association(visit: Visit) -> Outcome:
    association = await visit.associate()
    await association.send(stimuli.RELEASE_RQ)
    outcome = await association.outcome()
    if outcome.word != "RP":
        raise PreconditionError(f"no A-RELEASE-RP: {outcome.explain()}")
    await association.send(association.request.encode())
    return await association.peer.outcome(visit.patience.answer)


async def _parallel(visit: Visit) -> Outcome:
    associations = []
    for number in range(SOME):
        asked = await visit.ask(visit.product.request())
        if asked.outcome.word != "AC":
            return Outcome(asked.outcome.word, asked.outcome.numbers, f"association {number + 1}: {asked.outcome}")
        associations.append(Association(visit, asked))
    for association in associations:
        await association.release()
    return Outcome("AC", (0,))


async def _idle_flood(visit: Visit) -> Outcome:
    for number in range(MANY_SILENT):
        try:
            await visit.connect(judged=False)
        except (PeerUnavailableError, TLSError) as error:
            return Outcome("CLOSE", (), f"silent connection {number + 1}: {error}")
    return (await visit.ask(visit.product.request())).outcome


async def _reconnect(visit: Visit) -> Outcome:
    for _ in range(MANY_QUICK):
        peer = await visit.connect(judged=False)
        await peer.close()
    return Outcome("DONE")


ENDS = (
    _case("fin-mid-pdu", "half a P-DATA-TF, then FIN", "A connection that ends in mid-PDU is closed.", "PS3.8 9.2.3", Q,
          _fin_in_pdu, ("CLOSE",), tolerated=("ABORT",), needs=("verification",)),
    _case("rst-mid-pdu", "half a P-DATA-TF, then RST", "A connection that is reset in mid-PDU does no harm.",
          "PS3.8 9.2.3", Q, _reset_in_pdu, ("DONE",), needs=("verification",)),
    _case("half-close", "a C-ECHO-RQ, then FIN", "The response is sent, or the connection closed.", "PS3.8 9.1.4", B,
          _half_close, ("RSP", "CLOSE", "ABORT"), needs=("verification",)),
    _case("one-assoc", "after a release, a second A-ASSOCIATE-RQ on the same connection",
          "A connection carries one association: no second one is accepted on it.", "PS3.8 9.1.1", Q,
          _second_association, ("ABORT", "CLOSE"), tolerated=("RJ", "SILENCE")),
    _case("parallel", f"{SOME} associations at once", "They are served, or rejected for a local limit.", "PS3.8 9.3.4",
          B, _parallel, ("AC", "RJ(2,3,1|2)"), alone=True, tolerated=("RJ",)),
    _case("idle-flood", f"{MANY_SILENT} silent connections, then a good request",
          "The good one is served, or rejected for a local limit.", "PS3.8 9.1.4", B, _idle_flood,
          ("AC(0)", "RJ(2,3,*)"), load=True),
    _case("reconnect", f"{MANY_QUICK} connections that are closed at once", "The product stays healthy.", "PS3.8 9.1.4",
          B, _reconnect, ("DONE",), load=True),
)  # fmt: skip

CASES = (*ARTIM, *SEGMENTS, *ENDS)
