"""What hostile peers need: a server that is watched, connections that say any octets, words for what is answered."""

import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from pulse import held_up, last_beat, pulse

from dulcet.conformance.kit import command_set
from dulcet.conformance.kit.command_set import command_name
from dulcet.conformance.kit.messages import Assembler
from dulcet.conformance.kit.stimuli import RELEASE_RQ, Request, context, message, title
from dulcet.conformance.kit.synthetic import data_set, uid
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.process import RunningPeer, peer_directory, running_peer
from dulcet.services.part10 import read_header
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AReleaseRP, PDataTF, decode_pdu

PROGRAM = Path(__file__).with_name("watched_server.py")
ARTIM = 4.0  # seconds, of every server here that does not say another: peers that were held up are in time
SLACK = 1.0  # seconds beyond a timer until the place is free
ECHO_SECONDS = 1.0  # for a good association beside a hostile one, from TCP to TCP
BACKLOG = 1000  # connections that the kernel keeps for a server that is held up; of more, some would be reset
RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close(2) sends RST
AT_REST = ("tasks", "descriptors")  # of a server: no more of them than before the first peer
TRIALS = 20  # of what may be void
PATIENCE = 30.0  # seconds after which a test gives up; no timer of a server here is as long

CT, VERIFICATION = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1"
IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
ECHO_CONTEXT, STORE_CONTEXT, EXPLICIT_CONTEXT, REFUSED_CONTEXT, DEFLATED_CONTEXT = 1, 3, 5, 7, 9
REQUEST = Request(
    called=title("DULCET"),
    calling=title("HOSTILE"),
    contexts=(
        context(ECHO_CONTEXT, VERIFICATION),
        context(STORE_CONTEXT, CT, IMPLICIT),
        context(EXPLICIT_CONTEXT, CT, EXPLICIT),
        context(REFUSED_CONTEXT, "1.2.826.0.1.3680043.10.999.1"),
        context(DEFLATED_CONTEXT, CT, DEFLATED),
    ),
)
ACCEPTED = "A-ASSOCIATE-AC(0,0,0,3,0)"
Answer = str


# Octets -------------------------------------------------------------------------------------------------------------


def echo(message_id: int = 1, **elements: Any) -> bytes:
    """A C-ECHO-RQ; `elements` by tag replace its own: `x0110=7`, None leaves one out."""
    return message(ECHO_CONTEXT, command({0x0002: VERIFICATION, 0x0100: 0x0030, 0x0110: message_id}, elements))


def command(values: dict[int, Any], changes: Mapping[str, Any]) -> bytes:
    """A command set without a data set, unless `x0800` says otherwise."""
    changed = {int(name[1:], 16): value for name, value in changes.items()}
    return command_set.encode({0x0800: command_set.NO_DATA_SET, **values, **changed})


def store_command(instance: str | bytes, message_id: int = 1, **elements: Any) -> bytes:
    """A C-STORE-RQ's command set for CT."""
    values = {0x0002: CT, 0x0100: 0x0001, 0x0110: message_id, 0x0700: 0, 0x0800: 1, 0x1000: instance}
    return command(values, elements)


def image(instance: str, pixels: bytes = b"pixels", *, explicit: bool = False, sop_class: str = CT) -> bytes:
    """A data set of three elements."""
    elements: dict[int, tuple[str, str | bytes]] = {
        0x00080016: ("UI", sop_class),
        0x00080018: ("UI", instance),
        0x7FE00010: ("OW", pixels),
    }
    return data_set(elements, explicit=explicit)


def store(instance: str, octets: bytes | None = None, message_id: int = 1, **elements: Any) -> bytes:
    """A whole C-STORE on the implicit context; of `image` when no data set is given."""
    data = image(instance) if octets is None else octets
    return message(STORE_CONTEXT, store_command(instance, message_id, **elements), data)


# What is answered ---------------------------------------------------------------------------------------------------


class Peer:
    """One connection, and what came on it in words: `A-ABORT(2,6)`, `C-STORE-RSP(0000H)`, `closed`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.answers: list[Answer] = []
        self.acknowledged: list[str] = []
        """SOP Instance UIDs that were answered with 0000H."""
        self.heard_at = self.closed_at = 0.0
        """When the last answer came, and when the server closed; of time.monotonic."""
        self._octets = bytearray()
        self._messages = Assembler()

    async def send(self, octets: bytes) -> bool:
        """Whether the server still took it."""
        try:
            await self.stream.send_all(octets)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return False
        return True

    async def hear(self, answers: int = 1 << 30) -> None:
        """Read until there are so many answers, or the server closes."""
        while len(self.answers) < answers and not self.closed_at:
            try:
                octets = await self.stream.receive_some(1 << 20)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                octets = b""
            if not octets:
                self.closed_at = time.monotonic()
                self.answers.append("closed" if not self._octets else f"closed inside {bytes(self._octets).hex()}")
                return
            self._octets += octets
            self._take()

    def _take(self) -> None:
        while len(self._octets) >= 6:
            end = 6 + int.from_bytes(self._octets[2:6], "big")
            if len(self._octets) < end:
                return
            octets, self._octets = bytes(self._octets[:end]), self._octets[end:]
            self.heard_at = time.monotonic()
            self._pdu(octets)

    def _pdu(self, octets: bytes) -> None:
        pdu = decode_pdu(octets).pdu
        if isinstance(pdu, PDataTF):
            for said in self._messages.pdu(octets):
                status, about = said.command.status, said.command.text(0x1000)
                shown = f"({status or 0:04X}H)" if said.is_response else ""
                self.answers.append(command_name(said.command.field) + shown)
                if said.command.field == command_set.C_STORE_RSP and status == 0 and about:
                    self.acknowledged.append(about)
            return
        assert pdu.encode() == octets, octets.hex()
        match pdu:
            case AAssociateAC():
                results = ",".join(str(item.result) for item in pdu.presentation_contexts)
                self.answers.append(f"A-ASSOCIATE-AC({results})")
            case AAssociateRJ():
                self.answers.append(f"A-ASSOCIATE-RJ({pdu.result},{pdu.source},{pdu.reason})")
            case AAbort():
                self.answers.append(f"A-ABORT({pdu.source},{pdu.reason})")
            case AReleaseRP():
                self.answers.append("A-RELEASE-RP")
            case _:
                self.answers.append(pdu.NAME)

    async def associate(self, request: Request = REQUEST) -> None:
        """Ask for an association and have it."""
        await self.send(request.encode())
        await self.hear(1)
        assert self.answers == [ACCEPTED], self.answers
        self.answers.clear()

    async def reset(self) -> None:
        """Close with RST."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        await trio.aclose_forcefully(self.stream)


async def eventually(is_so: Callable[[], Any]) -> Any:
    """Ask until it is so: another process tells us nothing of itself."""
    with trio.fail_after(PATIENCE):
        while not (found := is_so()):  # noqa: ASYNC110
            await trio.sleep(0.01)
        return found


# The server ---------------------------------------------------------------------------------------------------------


@dataclass
class Server:
    """A running `dulcet serve`."""

    running: RunningPeer
    idle: Mapping[str, int] = field(default_factory=dict)
    """What it held before the first peer came."""
    acknowledged: list[str] = field(default_factory=list)
    """What hostile peers were told is stored."""
    sockets: list[socket.socket] = field(default_factory=list)
    """Of every connection that was made."""
    pulses: Sequence[Path] = ()
    """Its own, and that of this process: see `seconds`."""

    @property
    def port(self) -> int:
        return self.running.address.port

    def holdings(self) -> dict[str, int]:
        """What it holds now: tasks, threads, descriptors, octets."""
        report = self.running.directory / "holdings.json"
        report.unlink(missing_ok=True)
        deadline = time.monotonic() + PATIENCE
        os.kill(self.running.pid, signal.SIGRTMIN)  # once: of two, one might be told of after the next question
        while not report.exists():
            assert time.monotonic() < deadline, f"it does not tell what it holds: {self.running.log_tail()}"
            time.sleep(0.01)
        found: dict[str, int] = json.loads(report.read_text())
        return found

    def settle(self) -> None:
        """Note what it holds before the first peer: whoever looked whether the port is open has gone by then."""
        found: list[dict[str, int]] = []
        deadline = time.monotonic() + PATIENCE
        while len(found) < 3 or any(found[-1][name] != earlier[name] for earlier in found[-3:] for name in AT_REST):
            assert time.monotonic() < deadline, found[-3:]
            found.append(self.holdings())
            time.sleep(0.03)
        self.idle = found[-1]

    def at_rest(self, baseline: Mapping[str, int]) -> dict[str, int]:
        """What it holds when it has come to rest: tasks and descriptors as in `baseline`, or when patience ends."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self.holdings()
            is_at_rest = all(found[name] <= baseline[name] for name in AT_REST)
            if is_at_rest or time.monotonic() > deadline:
                return found
            time.sleep(0.05)

    @contextmanager
    def comes_back_to_rest(self, octets: int = 48 << 20) -> Iterator[None]:
        """After the block the server holds no more than before it, and its memory never went so far beyond its peak.

        The allocator keeps what it had at most, so that what it has afterwards is no less.
        """
        before = self.at_rest(self.idle)
        yield
        after = self.at_rest(before)
        assert [after[name] for name in AT_REST] == [before[name] for name in AT_REST], (before, after)
        assert after["objects"] - before["objects"] < 1000, (before, after)
        assert after["peak_octets"] - before["peak_octets"] < octets, (before, after)
        assert self.temporary_files() == []
        assert "Traceback" not in self.running.log.read_text()

    def temporary_files(self) -> list[Path]:
        """What is being received, or was left behind."""
        return list((self.running.storage / ".incoming").glob("*/*"))

    def stored(self) -> dict[str, bytes]:
        """The objects under their final names: SOP Instance UID (with what follows it) -> data set."""
        found = {}
        for path in self.running.storage.rglob("*.dcm"):
            with path.open("rb") as file:
                header = read_header(file.fileno())
                file.seek(header.data_set_offset)
                found[path.stem] = file.read()
        return found

    def hang_up(self) -> None:
        """Every connection is reset: what the server has not read yet, it need not read."""
        while self.sockets:
            sock = self.sockets.pop()
            if sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            sock.close()

    def signal(self, number: int = signal.SIGTERM) -> None:
        """To the process that was started."""
        os.kill(self.running.pid, number)

    async def exit_code(self) -> int:
        """Wait for its end; the number of the signal, negated, that ended it."""

        def ended() -> Any:
            return os.waitid(os.P_PID, self.running.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)

        how = await eventually(ended)
        return int(how.si_status if how.si_code == os.CLD_EXITED else -how.si_status)

    async def until_received(self, count: int) -> None:
        """So many objects are being received."""
        await eventually(lambda: len(self.temporary_files()) >= count)

    async def connect(self, source: str = LOOPBACK, host: str = LOOPBACK) -> Peer:
        """A connection from an address of this machine."""
        sock = socket.socket()
        self.sockets.append(sock)
        sock.bind((source, 0))
        connecting = trio.socket.from_stdlib_socket(sock)
        await connecting.connect((host, self.port))
        return Peer(trio.SocketStream(connecting))

    async def echo(self, source: str = LOOPBACK) -> None:
        """A good association with one C-ECHO."""
        peer = await self.connect(source)
        async with peer.stream:
            await peer.associate()
            await peer.send(echo() + RELEASE_RQ)
            await peer.hear(2)
            assert peer.answers == ["C-ECHO-RSP(0000H)", "A-RELEASE-RP"], peer.answers

    async def serves_others(self) -> None:
        """A good C-ECHO succeeds in time; a machine that was busy with something else gets a second chance."""
        first = await self._echo_seconds()
        assert first < ECHO_SECONDS or await self._echo_seconds() < ECHO_SECONDS, f"an echo took {first:.1f} s"

    async def _echo_seconds(self) -> float:
        started = time.monotonic()
        await self.echo()
        return await self.seconds(started, time.monotonic(), ECHO_SECONDS)

    async def seconds(self, start: float, end: float, expected: float) -> float:
        """From `start` to `end`; when that is more than was expected, less those for which a process was held up."""
        if end - start > expected:
            return end - start - await self.held_up(start, end)
        return end - start

    async def held_up(self, start: float, end: float) -> float:
        """Seconds for which the server or this process was held up between `start` and `end`."""
        await eventually(lambda: all(last_beat(path) > end for path in self.pulses))
        return held_up(self.pulses, start, end)

    async def fairly(self, trial: Callable[[], Awaitable[None]], least: float) -> None:
        """`trial` succeeds; a failure is void when a process was held up, for `least` seconds, while timers ran on.

        For servers whose timers are meant to expire soon.
        """
        for _ in range(TRIALS - 1):
            started = time.monotonic()
            try:
                return await trial()
            except AssertionError:
                if await self.held_up(started, time.monotonic()) < least:
                    raise
        await trial()


@contextmanager
def serving(
    *options: str, limits: Mapping[str, Any] | None = None, descriptors: int = 0, storage: Path | None = None
) -> Iterator[Server]:
    """`dulcet serve` with an ARTIM that can be waited for, as a process that is watched."""
    address = PeerAddress(ae_title="DULCET", host=LOOPBACK, port=free_port())
    with peer_directory("hostile") as directory:
        stored = storage or directory / "stored"
        settings = {
            "report": str(directory / "holdings.json"),
            "pulse": str(directory / "pulse"),
            "limits": {"artim": ARTIM, "backlog": BACKLOG, **(limits or {})},
            "descriptors": descriptors,
        }
        command = [sys.executable, str(PROGRAM), "serve", "--port", str(address.port), "--directory", str(stored)]
        command += ["--artim", str(ARTIM), "--min-free", "0", *options]
        environment = {
            "DULCET_CONFIG": os.devnull,
            "DULCET_STATE": str(directory / "state"),
            "DULCET_WATCHED": json.dumps(settings),
        }
        with (
            pulse(directory / "pulse-here"),
            running_peer(
                command, address=address, directory=directory, storage=stored, environment=environment
            ) as running,
        ):
            server = Server(running, pulses=(directory / "pulse", directory / "pulse-here"))
            _until_ready(running)
            try:
                yield server
            finally:
                server.hang_up()


def _until_ready(running: RunningPeer) -> None:
    """The port is open before the server is ready to be signalled."""
    deadline = time.monotonic() + PATIENCE
    while "is ready on" not in running.log.read_text():
        assert time.monotonic() < deadline, running.log_tail()
        time.sleep(0.005)


# Cases --------------------------------------------------------------------------------------------------------------

Says = bytes | Callable[[Peer], Awaitable[None]]


async def play(
    server: Server, says: Says, expected: list[Any], *, associated: bool, places: trio.CapacityLimiter
) -> None:
    """One hostile peer: it says this, hears what is expected, and never closes; others are served all the while.

    When `expected` ends with `...` the association goes on: a C-ECHO and a release follow. It has one of the `places`
    until only the server's close is waited for.
    """
    goes_on = bool(expected) and expected[-1] is ...
    answers = expected[:-1] if goes_on else expected
    end = ["C-ECHO-RSP(0000H)", "A-RELEASE-RP", "closed"] if goes_on else ["closed"]
    async with AsyncExitStack() as place:
        await place.enter_async_context(places)
        with trio.fail_after(PATIENCE):
            peer = await server.connect()
            async with peer.stream, trio.open_nursery() as nursery:
                if associated:
                    await peer.associate()
                started = time.monotonic()
                nursery.start_soon(_say, peer, says)
                await peer.hear(len(answers))
                await server.serves_others()
                if goes_on:
                    await peer.send(echo(99) + RELEASE_RQ)
                    await peer.hear(len(answers) + 2)
                await place.aclose()
                await peer.hear()
                nursery.cancel_scope.cancel()
    server.acknowledged += peer.acknowledged
    assert peer.answers == [*answers, *end], f"expected {[*answers, *end]}, heard {peer.answers}"
    held = await server.seconds(max(started, peer.heard_at), peer.closed_at, ARTIM + SLACK)
    assert held <= ARTIM + SLACK, f"the connection was held for {held:.1f} s"


async def _say(peer: Peer, says: Says) -> None:
    if isinstance(says, bytes):
        await peer.send(says)
    else:
        await says(peer)


def named(name: str) -> str:
    """A SOP Instance UID of its own for each case."""
    return uid(f"hostile {name}")


__all__ = [name for name in globals() if not name.startswith("_")]
