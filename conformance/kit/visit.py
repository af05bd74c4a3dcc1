"""The kit connects: one case against a product that is an acceptor."""

import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import trio

from dulcet.conformance.kit import command_set, stimuli
from dulcet.conformance.kit.exchange import Wire
from dulcet.conformance.kit.failures import reason_of, unreachable
from dulcet.conformance.kit.messages import Assembler, Message
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.product import Patience, Product
from dulcet.conformance.kit.raw_peer import RawPeer, Seen, outcome_of
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import DecodeError, PeerUnavailableError, TLSError, UnknownHostError
from dulcet.ul.pdu import AAssociateAC, decode_pdu

CONNECT_SECONDS = 5.0
FIRST_MESSAGE_ID = 1001


class PreconditionError(Exception):
    """The state that a case starts from was not reached: the case says nothing about the product."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a case found wrong beside its outcome."""

    code: str
    explanation: str
    is_warning: bool = False


@dataclass(slots=True, eq=False)
class Findings:
    """What a case collects while it plays."""

    wires: list[Wire] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    measured: dict[str, float | int | str] = field(default_factory=dict)


class Visit:
    """What a case of an acceptor is played on. `nursery` runs the readers of its connections."""

    def __init__(
        self,
        product: Product,
        patience: Patience,
        nursery: trio.Nursery,
        findings: Findings,
        *,
        is_basic: bool = False,
    ) -> None:
        self.product = product
        self.is_basic = is_basic
        self.patience = patience
        self.findings = findings
        self._nursery = nursery
        self._began = trio.current_time()
        self._peers: list[RawPeer] = []
        self._kept: list[trio.abc.AsyncResource] = []
        self._unanswered: set[int] = set()

    def keep(self, resource: trio.abc.AsyncResource) -> None:
        """Close this when the case ends."""
        self._kept.append(resource)

    def problem(self, code: str, explanation: str) -> None:
        """The product did something wrong beside the outcome."""
        if self.is_basic or code not in self.product.known_problems:
            self.findings.problems.append(Problem(code, explanation))

    def warn(self, code: str, explanation: str) -> None:
        """The product did something doubtful beside the outcome."""
        if self.is_basic or code not in self.product.known_problems:
            self.findings.problems.append(Problem(code, explanation, True))

    async def connect(self, *, judged: bool = True) -> RawPeer:
        """Open a connection. UnknownHostError, PeerUnavailableError, TLSError when the product can't be reached."""
        product = self.product
        where = f"{product.host}:{product.port}"
        if product.gate is not None:
            await product.gate.enter(self.findings)
        try:
            with trio.fail_after(CONNECT_SECONDS):
                stream: trio.abc.Stream = await trio.open_tcp_stream(product.host, product.port)
                if product.tls is not None:
                    stream = await self._secured(stream, product.tls)
        except socket.gaierror as error:
            raise UnknownHostError(f"the name {product.host!r} has no address ({error.strerror or error})") from None
        except (OSError, trio.BrokenResourceError) as error:
            raise PeerUnavailableError(f"{where} {unreachable(error)}") from None
        except trio.TooSlowError:
            raise PeerUnavailableError(f"{where} did not take a connection within {CONNECT_SECONDS:g} s") from None
        return self.adopt(stream, judged=judged)

    async def _secured(self, stream: trio.abc.Stream, context: ssl.SSLContext) -> trio.abc.Stream:
        product = self.product
        name = product.tls_name or product.host
        secure = trio.SSLStream(stream, context, server_hostname=name, https_compatible=True)
        try:
            await secure.do_handshake()
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            raise TLSError(f"TLS with {product.host}:{product.port} failed: {reason_of(error)}") from None
        return secure

    def adopt(self, stream: trio.abc.Stream, *, judged: bool = True, kit_connected: bool = True) -> RawPeer:
        """Read from a connection, whoever opened it."""
        wire = Wire(len(self.findings.wires) + 1, judged=judged, kit_connected=kit_connected)
        self.findings.wires.append(wire)
        peer = RawPeer(stream, wire, self._began, partial(self._heard, wire.number))
        self._peers.append(peer)
        self._nursery.start_soon(peer.run)
        gate = self.product.gate
        if gate is not None and kit_connected:
            self._unanswered.add(wire.number)
            self._nursery.start_soon(gate.look, self.findings, self.patience.settle)
        return peer

    def _heard(self, number: int, pdu_type: int | None) -> None:
        """The product has made an association of this connection, or ended it: it keeps no other case out."""
        if number not in self._unanswered or pdu_type not in (AAssociateAC.PDU_TYPE, None):
            return
        self._unanswered.discard(number)
        if self.product.gate is not None and not self._unanswered:
            self.product.gate.leave(self.findings)

    async def listen(self, port: int, handle: Callable[[RawPeer], Awaitable[None]]) -> None:
        """Take the product's connections on a port of ours until the case ends. PreconditionError when it is taken."""
        host = "127.0.0.1" if self.product.is_here else None
        try:
            listeners = await trio.open_tcp_listeners(port, host=host)
        except OSError as error:
            raise PreconditionError(f"port {port} can't be listened on: {error}") from None

        async def taken(stream: trio.SocketStream) -> None:
            await handle(self.adopt(stream, kit_connected=False))

        self._nursery.start_soon(trio.serve_listeners, taken, listeners)

    async def close(self) -> None:
        """Close what is still open."""
        for peer in self._peers:
            await peer.close()
        for resource in self._kept:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(resource)
        if self.product.gate is not None:
            self.product.gate.leave(self.findings)

    async def ask(self, request: stimuli.Request, tested: tuple[int, ...] = (1,), *, judged: bool = True) -> "Asked":
        """Send an A-ASSOCIATE-RQ; whatever comes is the outcome."""
        peer = await self.connect(judged=judged)
        await peer.send(request.encode())
        return await self.answered(peer, request, tested)

    async def answered(self, peer: RawPeer, request: stimuli.Request, tested: tuple[int, ...] = (1,)) -> "Asked":
        """What comes back for a request that was sent."""
        seen = await peer.next(self.patience.answer)
        outcome = _silence(self.patience.answer) if seen is None else outcome_of(seen, tested)
        return Asked(peer, request, outcome, seen)

    async def associate(self, *contexts: bytes, request: stimuli.Request | None = None) -> "Association":
        """An association in Sta6, its first context accepted. PreconditionError when it is refused."""
        asked = await self.ask(request or self.product.request(*contexts))
        return Association(self, asked)

    async def settled(self, peer: RawPeer, outcome: Outcome) -> Outcome:
        """The outcome, after a look whether something follows that must not."""
        seen = await peer.next(self.patience.settle)
        if seen is not None and seen.end is None:
            follows = outcome_of(seen)
            if not (outcome.word == "ABORT" and follows.word == "ABORT"):
                self.problem("SENT_MORE", f"after {outcome} the product sent {follows.explain()}")
        return outcome


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and its answer."""

    peer: RawPeer
    request: stimuli.Request
    outcome: Outcome
    seen: Seen | None

    @property
    def answer(self) -> AAssociateAC | None:
        """The A-ASSOCIATE-AC, None for another answer."""
        if self.outcome.word != "AC" or self.seen is None:
            return None
        pdu = decode_pdu(self.seen.octets).pdu
        return pdu if isinstance(pdu, AAssociateAC) else None


def _silence(seconds: float) -> Outcome:
    return Outcome("SILENCE", (), f"nothing was sent for {seconds:g} s and the connection stayed open")


class Association:
    """An established association, the kit being its requestor."""

    def __init__(self, visit: Visit, asked: Asked) -> None:
        answer = asked.answer
        if answer is None:
            raise PreconditionError(f"no association: {asked.outcome.explain()}")
        self.visit = visit
        self.peer = asked.peer
        self.request = asked.request
        self.answer = answer
        self.accepted = {
            context.context_id: context.transfer_syntax or ""
            for context in answer.presentation_contexts
            if context.result == 0
        }
        self._assembler = Assembler()
        self._messages: list[Message] = []
        self._message_id = FIRST_MESSAGE_ID - 1

    @property
    def limit(self) -> int:
        """What the product announced as its maximum length, in octets; 0 for any."""
        return self.answer.maximum_length_received or 0

    def need(self, context_id: int) -> "Association":
        """Itself. PreconditionError when that context was refused."""
        if context_id not in self.accepted:
            raise PreconditionError(f"presentation context {context_id} was not accepted")
        return self

    def next_message_id(self) -> int:
        """A number that no case chooses."""
        self._message_id += 1
        return self._message_id

    async def send(self, octets: bytes) -> None:
        """Octets as they are."""
        await self.peer.send(octets)

    async def request_message(self, context_id: int, command: bytes, data: bytes | None = None) -> None:
        """A whole message, cut as the product's maximum length asks."""
        await self.peer.send(stimuli.message(context_id, command, data, limit=min(self.limit or 65536, 65536)))

    async def next(self, seconds: float | None = None) -> Message | Outcome:
        """The next message, or what came in its place."""
        patience = self.visit.patience.answer if seconds is None else seconds
        while not self._messages:
            seen = await self.peer.next(patience)
            if seen is None:
                return _silence(patience)
            if seen.end is not None or seen.octets[0] != 0x04:
                return outcome_of(seen)
            try:
                self._messages += self._assembler.pdu(seen.octets, seen.time)
            except DecodeError as error:
                return Outcome("GARBAGE", (), str(error))
        return self._messages.pop(0)

    async def outcome(self, seconds: float | None = None) -> Outcome:
        """The next thing as an outcome: RSP with its status, ABORT, CLOSE ..."""
        answer = await self.next(seconds)
        return answer.outcome() if isinstance(answer, Message) else answer

    async def echo(self, context_id: int = 1, message_id: int | None = None) -> Outcome:
        """A C-ECHO and what came of it. The response is compared with the request."""
        message_id = self.next_message_id() if message_id is None else message_id
        await self.request_message(context_id, echo_rq(message_id))
        answer = await self.next()
        if isinstance(answer, Outcome):
            return answer
        self.compare(answer, context_id, command_set.C_ECHO_RSP, message_id)
        return answer.outcome()

    def compare(self, answer: Message, context_id: int, field_value: int, message_id: int) -> None:
        """A response has the request's context and message ID and the right Command Field."""
        if answer.command.field != field_value:
            expected, came = command_set.command_name(field_value), command_set.command_name(answer.command.field)
            self.visit.problem("WRONG_COMMAND", f"{expected} was expected, {came} came")
        if answer.command.number(0x0120) != message_id:
            came_id = answer.command.number(0x0120)
            self.visit.problem(
                "WRONG_MESSAGE_ID", f"(0000,0120) is {came_id}, the request's Message ID is {message_id}"
            )
        if answer.context_id != context_id:
            text = f"the response came on context {answer.context_id}, the request went on {context_id}"
            self.visit.warn("WRONG_CONTEXT", text)

    async def release(self) -> Outcome:
        """A-RELEASE-RQ and what came of it; closes after an A-RELEASE-RP (AR-3)."""
        await self.peer.send(stimuli.RELEASE_RQ)
        outcome = await self.outcome()
        if outcome.word == "RP":
            await self.peer.close()
        return outcome

    async def still_works(self, context_id: int = 1) -> None:
        """A C-ECHO and a release; a problem when the association is no longer usable."""
        outcome = await self.echo(context_id)
        if outcome.word != "RSP":
            self.visit.problem("UNUSABLE_AFTER", f"C-ECHO afterwards gave {outcome.explain()}")
            return
        outcome = await self.release()
        if outcome.word != "RP":
            self.visit.problem("UNUSABLE_AFTER", f"A-RELEASE-RQ afterwards gave {outcome.explain()}")


def echo_rq(message_id: int, sop_class: str = VERIFICATION) -> bytes:
    """The command set of a C-ECHO-RQ (PS3.7 Table 9.3-12)."""
    return command_set.encode(
        {0x0002: sop_class, 0x0100: command_set.C_ECHO_RQ, 0x0110: message_id, 0x0800: command_set.NO_DATA_SET}
    )
