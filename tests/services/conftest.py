"""Both ends of an association in memory: our own acceptor and requestor, and a peer that sends what octets it likes.

The clock is trio's mock clock and jumps when nobody can go on, so every test takes as long as its computing, and a test
in which everybody waits for ever fails (`WATCHDOG`).
"""

import gc
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import trio
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_one_way_pair

from dulcet.dimse.assembly import Assembler, CommandReceived, command_values, data_values
from dulcet.dimse.messages import CEchoRQ, CStoreRQ, Message
from dulcet.dimse.status import SUCCESS
from dulcet.dimse.uids import VERIFICATION
from dulcet.services import requestor
from dulcet.services.acceptor import ECHO, Acceptor, Observers, Operation
from dulcet.services.admission import Admission
from dulcet.services.limits import Limits
from dulcet.services.requestor import Peer
from dulcet.services.transport import SocketTransport, StreamTransport
from dulcet.ul.items import (
    ApplicationContext,
    AsynchronousOperationsWindow,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    UserInformation,
)
from dulcet.ul.negotiation import AcceptedContext, Supported
from dulcet.ul.pdu import AAssociateAC, AAssociateRQ, AETitle, AnyPDU, PDataTF, decode_pdu

WATCHDOG = 1e7  # seconds of the mock clock, beyond every timer
CT = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
INSTANCE = "2.25.7"
DESCRIPTORS = "/proc/self/fd"


class MemoryStream(trio.abc.HalfCloseableStream):
    """One end of a connection in memory, closed at once as a socket is."""

    def __init__(self, send_stream: MemorySendStream, receive_stream: MemoryReceiveStream) -> None:
        self.send_stream = send_stream
        self.receive_stream = receive_stream

    async def send_all(self, data: Any) -> None:
        await self.send_stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self.send_stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> Any:
        return await self.receive_stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        self.send_stream.close()

    def close(self) -> None:
        self.send_stream.close()
        self.receive_stream.close()

    async def aclose(self) -> None:
        self.close()


def stream_pair(one_way: Callable[[], Any] = memory_stream_one_way_pair) -> tuple[MemoryStream, MemoryStream]:
    """Two ends; what one sends the other has at once (or when it reads, with a lockstep `one_way`)."""
    (send_here, receive_there), (send_there, receive_here) = one_way(), one_way()
    return MemoryStream(send_here, receive_here), MemoryStream(send_there, receive_there)


class RawPeer:
    """A peer without a state machine."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._octets = bytearray()
        self._messages = Assembler(ANY_CONTEXT)

    async def send(self, *parts: AnyPDU | bytes) -> None:
        """PDUs or octets, in one write."""
        await self.stream.send_all(b"".join(part if isinstance(part, bytes) else part.encode() for part in parts))

    async def pdu(self) -> AnyPDU:
        """The next whole PDU; EOFError at the end."""
        while len(self._octets) < 6 or len(self._octets) < 6 + int.from_bytes(self._octets[2:6], "big"):
            received = await self.stream.receive_some()
            if not received:
                raise EOFError(bytes(self._octets))
            self._octets += received
        end = 6 + int.from_bytes(self._octets[2:6], "big")
        octets, self._octets = bytes(self._octets[:end]), self._octets[end:]
        return decode_pdu(octets).pdu

    async def message(self) -> Message:
        """The next command set; data sets are dropped."""
        while True:
            pdu = await self.pdu()
            assert isinstance(pdu, PDataTF), pdu
            for part in self._messages.feed(pdu.values):
                if isinstance(part, CommandReceived):
                    return part.message

    async def whole_message(self) -> tuple[Message, bytes]:
        """The next command set and its data set."""
        message, data_set = None, b""
        while message is None or self._messages.is_in_message:
            pdu = await self.pdu()
            assert isinstance(pdu, PDataTF), pdu
            for part in self._messages.feed(pdu.values):
                if isinstance(part, CommandReceived):
                    message = part.message
                else:
                    data_set += part.fragment
        return message, data_set

    async def rest(self) -> bytes:
        """Every octet up to the end."""
        while received := await self.stream.receive_some():
            self._octets += received
        octets, self._octets = bytes(self._octets), bytearray()
        return octets

    def close(self) -> None:
        """Both directions."""
        (self.stream.socket if isinstance(self.stream, trio.SocketStream) else self.stream).close()


ANY_CONTEXT = {
    number: AcceptedContext(context_id=number, abstract_syntax="", transfer_syntax=IMPLICIT)
    for number in range(1, 256, 2)
}


@dataclass
class Octets:
    """What a peer says."""

    max_pdu_length: int = 16384

    def request(self, *contexts: PresentationContextRQ, items: tuple[Any, ...] = (), **changed: Any) -> AAssociateRQ:
        """An A-ASSOCIATE-RQ for these contexts (Verification and CT if none are given)."""
        contexts = contexts or (
            PresentationContextRQ.propose(1, VERIFICATION, (IMPLICIT,)),
            PresentationContextRQ.propose(3, CT, (IMPLICIT,)),
        )
        user = UserInformation(sub_items=(MaximumLength(maximum_length_received=self.max_pdu_length), *items))
        fields = {
            "called_ae_title": AETitle("DULCET"),
            "calling_ae_title": AETitle("PEER"),
            "items": (ApplicationContext(), *contexts, user),
        }
        return AAssociateRQ(**fields | changed)

    def accept(self, request: AAssociateRQ, *, result: int = 0, items: tuple[Any, ...] = ()) -> AAssociateAC:
        """An A-ASSOCIATE-AC that gives every context the same result."""
        answers = [
            PresentationContextAC.answer(context.context_id, result, context.transfer_syntaxes[0])
            for context in request.presentation_contexts
        ]
        user = UserInformation(sub_items=(MaximumLength(maximum_length_received=self.max_pdu_length), *items))
        return AAssociateAC(
            called_ae_title=request.called_ae_title,
            calling_ae_title=request.calling_ae_title,
            items=(ApplicationContext(), *answers, user),
        )

    def window(self, invoked: int, performed: int = 1) -> AsynchronousOperationsWindow:
        """An Asynchronous Operations Window Sub-Item."""
        return AsynchronousOperationsWindow(
            maximum_number_operations_invoked=invoked, maximum_number_operations_performed=performed
        )

    def echo(self, message_id: int = 1) -> bytes:
        """A C-ECHO-RQ."""
        return self.message(CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=message_id), context_id=1)

    def store(
        self, data_set: bytes = b"", message_id: int = 1, instance: str = INSTANCE, is_last: bool = True
    ) -> bytes:
        """A C-STORE-RQ and (part of) its data set."""
        request = CStoreRQ(affected_sop_class_uid=CT, message_id=message_id, affected_sop_instance_uid=instance)
        return self.message(request, context_id=3) + self.data(data_set, is_last=is_last)

    def message(self, message: Message, *, context_id: int) -> bytes:
        """A command set."""
        return b"".join(pdu.encode() for pdu in command_values(context_id, message.encode(), self.max_pdu_length))

    def data(self, octets: bytes, *, context_id: int = 3, is_last: bool = True) -> bytes:
        """Part of a data set."""
        pdus = data_values(context_id, memoryview(octets), is_last, self.max_pdu_length)
        return b"".join(pdu.encode() for pdu in pdus)


@pytest.fixture
def streams() -> Callable[..., tuple[MemoryStream, MemoryStream]]:
    """Makes pairs of ends."""
    return stream_pair


@pytest.fixture
def raw_peer() -> type[RawPeer]:
    """A peer without a state machine, on any stream."""
    return RawPeer


@pytest.fixture
def octets() -> Octets:
    """What a peer says."""
    return Octets()


class MemorySink:
    """Keeps an object in memory and what became of it."""

    def __init__(self, on_write: Callable[[], None] = lambda: None) -> None:
        self.octets = bytearray()
        self.on_write = on_write
        self.is_finished = False
        self.is_abandoned = False

    def write(self, fragment: memoryview) -> None:
        self.octets += fragment
        self.on_write()

    def abandon(self) -> None:
        self.is_abandoned = not self.is_finished


@dataclass
class MemoryStore:
    """C-STORE into memory; `perform` may be replaced."""

    sinks: list[MemorySink] = field(default_factory=list)
    seconds: float = 0.0
    """That it takes."""
    on_write: Callable[[], None] = lambda: None
    """Called with each fragment."""
    performed: list[int] = field(default_factory=list)
    """Message IDs in the order in which they were done."""

    def open(self, association: Any, context: Any, message: Any) -> MemorySink:
        self.sinks.append(MemorySink(self.on_write))
        return self.sinks[-1]

    async def perform(self, association: Any, received: Any) -> None:
        await trio.sleep(self.seconds)
        self.performed.append(received.message.message_id)
        received.sink.is_finished = True
        await association.send(received.context.context_id, received.message.response(status=SUCCESS))

    @property
    def operation(self) -> Operation:
        return Operation(
            perform=lambda association, received: self.perform(association, received),
            sop_classes=frozenset({CT}),
            open_sink=self.open,
        )


class SCP:
    """Our acceptor on one connection in memory."""

    def __init__(self, acceptor: Acceptor, nursery: trio.Nursery, refuse: Any = None, one_way: Any = None) -> None:
        ours, theirs = stream_pair(one_way or memory_stream_one_way_pair)
        self.peer = RawPeer(theirs)
        self.established: list[Any] = []
        self.rejected: list[Any] = []
        self.ended: list[Exception | None] = []
        self.transitions: list[str] = []
        self.over = trio.Event()
        self.ended_at = -1.0
        self.association: Any = None
        observers = Observers(
            trace=self._trace,
            on_transition=lambda step: self.transitions.append(f"{step.event} {step.action.name} {step.next_state}"),
            established=self.established.append,
            rejected=lambda *values: self.rejected.append(values),
            ended=self._ended,
        )
        self.acceptor = replace(acceptor, observers=observers)
        self.refuse = refuse
        self.scope = trio.CancelScope()
        nursery.start_soon(self._serve, StreamTransport(ours, "192.0.2.1"))

    async def _serve(self, transport: StreamTransport) -> None:
        with self.scope:
            await self.acceptor.serve(transport, self.refuse)
        self.ended_at = trio.current_time()
        self.over.set()

    def _trace(self, association: Any) -> None:
        self.association = association

    def _ended(self, association: Any, error: Exception | None) -> None:
        self.ended.append(error)

    async def associate(self, octets: Octets, **changed: Any) -> AAssociateAC:
        """The peer asks for an association and gets it."""
        await self.peer.send(octets.request(**changed))
        answer = await self.peer.pdu()
        assert isinstance(answer, AAssociateAC), answer
        return answer

    async def end(self) -> Exception | None:
        """Wait until the association is over; how it ended. The state machine is idle and the connection closed."""
        await self.over.wait()
        (error,) = self.ended
        assert self.association.connection.state.number in (1, 2, 13)  # else an A-ABORT would be due
        return error


async def watchdog() -> None:
    """When everybody waits for ever the mock clock jumps here."""
    await trio.sleep(WATCHDOG)
    raise AssertionError("every task waits for something that does not come")


@pytest.fixture
def store() -> MemoryStore:
    """Keeps objects in memory."""
    return MemoryStore()


@pytest.fixture
async def scp(nursery: trio.Nursery, store: MemoryStore) -> Callable[..., SCP]:
    """Makes acceptors, each with a peer that is connected to it: keywords are fields of `Limits`."""
    nursery.start_soon(watchdog)

    def make(
        *,
        operations_invoked: int = 1,
        admission: Admission | None = None,
        operations: Any = None,
        refuse: Any = None,
        one_way: Any = None,
        **limits: Any,
    ) -> SCP:
        supported = Supported(
            transfer_syntaxes={VERIFICATION: {IMPLICIT}, CT: {IMPLICIT}},
            max_pdu_length=16384,
            operations_invoked=operations_invoked,
        )
        acceptor = Acceptor(
            admission=admission or Admission(ae_title="DULCET", allow_any=True),
            supported=supported,
            operations=operations or {CEchoRQ: ECHO, CStoreRQ: store.operation},
            limits=Limits(**limits),
        )
        return SCP(acceptor, nursery, refuse, one_way)

    return make


@dataclass
class Network:
    """Where `associate` connects to: what listens there, and how it fared."""

    nursery: trio.Nursery
    script: Callable[[RawPeer], Awaitable[None]] | None = None
    """What a raw peer does with each connection."""
    scp: Callable[[], SCP] | None = None
    """Or who serves it."""
    one_way: Callable[[], Any] | None = memory_stream_one_way_pair
    """How octets go: at once, or when the other end reads; None: through a pair of sockets, as the kernel likes."""
    streams: list[MemoryStream] = field(default_factory=list)
    done: list[trio.Event] = field(default_factory=list)
    peer: Peer = Peer(host="pacs.example", port=11112, ae_title="DULCET", calling_ae_title="TESTER")  # noqa: RUF009

    async def connect(self, host: str, port: int, tls: Any = None, server_name: Any = None) -> Any:
        """Instead of TCP."""
        assert (host, port) == (self.peer.host, self.peer.port)
        if self.scp is not None:
            return StreamTransport(self.scp().peer.stream, "192.0.2.2")
        if self.one_way is None:
            one, other = socket.socketpair()
            transport: Any = SocketTransport(one)
            theirs: Any = trio.SocketStream(trio.socket.from_stdlib_socket(other))
        else:
            ours, theirs = stream_pair(self.one_way)
            self.streams.append(ours)
            transport = StreamTransport(ours, "192.0.2.2")
        self.done.append(trio.Event())
        self.nursery.start_soon(self._run, RawPeer(theirs), self.done[-1])
        return transport

    async def _run(self, peer: RawPeer, done: trio.Event) -> None:
        assert self.script is not None
        await self.script(peer)
        peer.close()
        done.set()

    async def finished(self) -> None:
        """Every peer's script has come to its end."""
        for done in self.done:
            await done.wait()


@pytest.fixture
async def network(nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch) -> Network:
    """Where `associate` connects to."""
    nursery.start_soon(watchdog)
    made = Network(nursery)
    monkeypatch.setattr(requestor, "connect", made.connect)
    return made


@pytest.fixture
def descriptors() -> Callable[[], int]:
    """How many descriptors this process has open; what earlier tests left to the collector is closed before."""
    gc.collect()
    return lambda: len(os.listdir(DESCRIPTORS))
