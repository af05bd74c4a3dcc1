"""The kit listens: one case against a product that is a requestor."""

import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import trio

from dulcet.conformance.kit.exchange import Wire
from dulcet.conformance.kit.hosting import Change, Hosted, Status
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.product import Patience
from dulcet.conformance.kit.raw_peer import RawPeer
from dulcet.conformance.kit.visit import Findings, PreconditionError, Problem
from dulcet.conformance.kit.waiting import within
from dulcet.errors import ConfigurationError
from dulcet.escape import quote

END_SECONDS = 3.0  # for a product's process to end when its association has
GRACE_SECONDS = 1.0  # for a connection that is on its way when the command ends, and for its last words
SHOWN_OUTPUT_OCTETS = 2000
SHOWN_LINES, SHOWN_CHARACTERS = 2, 200  # of what a command wrote that did not connect
_Taken = TypeVar("_Taken")


class NotConnectedError(PreconditionError):
    """The product's command ended, and the product had not connected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """How the product is made to connect."""

    commands: Mapping[str, str] = field(default_factory=dict)
    """Activity (`echo`, `store` ...) -> command with {host}, {port} and {aet}. Without any, people start it."""
    does: tuple[str, ...] = ("echo",)
    """The activities that the product is able to do."""
    host: str = "127.0.0.1"
    ae_title: str = "DULCET"
    connect_seconds: float = 15.0
    """How long the kit waits for the product to connect."""
    exit_code_tells: bool = False
    """The command's exit code is 0 only when all went well: then success in spite of a failure is a fault."""

    def command(self, activity: str) -> str:
        """The command for an activity; any of them for none in particular."""
        return self.commands.get(activity) or next(iter(self.commands.values()), "")


class Reception:
    """What a case of a requestor is played on."""

    def __init__(
        self, invitation: Invitation, activity: str, patience: Patience, nursery: trio.Nursery, findings: Findings
    ) -> None:
        self.invitation = invitation
        self.activity = activity
        self.patience = patience
        self.findings = findings
        self.exit_code: int | None = None
        self._nursery = nursery
        self._began = trio.current_time()
        self._peers: list[RawPeer] = []
        self._process: trio.Process | None = None
        self._has_connected = False
        self._all_output_read = trio.Event()
        self._wants_bare = False
        self._bare, self._bare_taken = trio.open_memory_channel[trio.abc.Stream](64)
        self._connections, self._taken = trio.open_memory_channel[RawPeer](64)

    def problem(self, code: str, explanation: str) -> None:
        """The product did something wrong beside the outcome."""
        self.findings.problems.append(Problem(code, explanation))

    def warn(self, code: str, explanation: str) -> None:
        """The product did something doubtful beside the outcome."""
        self.findings.problems.append(Problem(code, explanation, True))

    async def open(self, port: int, ae_title: str = "") -> int:
        """Listen, start the product's command if there is one; the port, which 0 leaves to the system."""
        try:
            listeners = await trio.open_tcp_listeners(port, host=self.invitation.host)
        except OSError as error:
            where = f"{self.invitation.host}:{port}"
            raise ConfigurationError(f"{where} can't be listened on: {error.strerror or error}") from None
        bound: int = listeners[0].socket.getsockname()[1]
        self._nursery.start_soon(trio.serve_listeners, self._take, listeners)
        await self.start(bound, ae_title)
        return bound

    async def start(self, port: int, ae_title: str = "") -> None:
        """Start the product's command."""
        command = self.invitation.command(self.activity)
        if not command:
            return
        words = [
            word.format(host=self.invitation.host, port=port, aet=ae_title or self.invitation.ae_title)
            for word in shlex.split(command)
        ]
        try:
            self._process = await trio.lowlevel.open_process(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ)
            )
        except OSError as error:
            raise ConfigurationError(f"{words[0]} can't be started: {error.strerror or error}") from None
        self._nursery.start_soon(self._read_output, self._process)

    async def _read_output(self, process: trio.Process) -> None:
        assert process.stdout is not None
        kept = bytearray()
        async for chunk in process.stdout:
            kept += chunk
            del kept[:-SHOWN_OUTPUT_OCTETS]
            self.findings.measured["output"] = kept.decode("utf-8", "backslashreplace")
        self._all_output_read.set()

    async def _take(self, stream: trio.SocketStream) -> None:
        await self.take(stream)

    async def take(self, stream: trio.abc.Stream, octets: bytes = b"") -> None:
        """A connection of the product, of which `octets` were read already; held until the case ends."""
        self._has_connected = True
        if self._wants_bare:
            self._bare.send_nowait(stream)
            await trio.sleep_forever()
        wire = Wire(len(self.findings.wires) + 1, kit_connected=False)
        self.findings.wires.append(wire)
        peer = RawPeer(stream, wire, self._began)
        self._peers.append(peer)
        self._connections.send_nowait(peer)
        await peer.run(octets)
        await trio.sleep_forever()

    async def bare_connection(self) -> trio.abc.Stream:
        """The product's connection before anything was read from it. PreconditionError when it makes none."""
        self._wants_bare = True
        return await self._next(self._bare_taken)

    async def connection(self) -> RawPeer:
        """The product's next connection. PreconditionError when it makes none, NotConnectedError when it can't."""
        return await self._next(self._taken)

    async def _next(self, taken: trio.MemoryReceiveChannel[_Taken]) -> _Taken:
        with trio.CancelScope() as waiting:
            if self._process is not None and not self._has_connected:
                self._nursery.start_soon(self._give_up, self._process, waiting)
            made = await within(self.invitation.connect_seconds, taken.receive)
            if made is not None:
                return made
        raise await self._why_none()

    async def _give_up(self, process: trio.Process, waiting: trio.CancelScope) -> None:
        """A command that failed makes no connection any more; one that ended with 0 may have set the product going."""
        if await process.wait() == 0:
            return
        await within(GRACE_SECONDS, trio.sleep_forever)
        if not self._has_connected:
            waiting.cancel()

    async def _why_none(self) -> PreconditionError:
        process = self._process
        if process is None or process.returncode is None or self._has_connected:
            return PreconditionError(f"the product did not connect within {self.invitation.connect_seconds:g} s")
        await within(GRACE_SECONDS, self._all_output_read.wait)
        code = self.findings.measured["exit_code"] = process.returncode
        end = f"ended with {code}" if code >= 0 else f"was killed by signal {-code}"
        return NotConnectedError(f"the command {end} and did not connect: {self._last_words()}")

    def _last_words(self) -> str:
        lines = [line.strip() for line in str(self.findings.measured.get("output", "")).splitlines() if line.strip()]
        return quote(" / ".join(lines[-SHOWN_LINES:]), SHOWN_CHARACTERS) or "it wrote nothing"

    async def requested(self) -> Hosted:
        """A connection with its A-ASSOCIATE-RQ read. PreconditionError for anything else."""
        hosted = Hosted(await self.connection(), max(self.patience.answer, 5.0))
        outcome = await hosted.read_request()
        if outcome.word != "RQ":
            raise PreconditionError(f"no A-ASSOCIATE-RQ: {outcome.explain()}")
        return hosted

    async def accepted(self, change: Change | None = None) -> Hosted:
        """An association that the kit has accepted."""
        hosted = await self.requested()
        await hosted.accept(change)
        return hosted

    async def proceeds(self, change: Change | None = None, status: Status = 0) -> Outcome:
        """Accept and serve: PROCEEDS when the product works and releases, else what it did."""
        hosted = await self.accepted(change)
        return await self.served(hosted, status)

    async def served(self, hosted: Hosted, status: Status = 0) -> Outcome:
        """Serve to the end: PROCEEDS after at least one message and a release."""
        outcome = await hosted.serve(status)
        if outcome.word == "RELEASE" and hosted.served:
            await hosted.peer.closes_within(self.patience.answer)
            return Outcome("PROCEEDS", (), "the product worked and released")
        return outcome

    async def ended(self) -> int | None:
        """The exit code of the product's command; None without one, or when it does not end."""
        if self._process is None:
            return None
        code = await within(END_SECONDS, self._process.wait)
        if code is not None:
            self.exit_code = self.findings.measured["exit_code"] = code
        return self.exit_code

    async def must_report(self) -> None:
        """The product has to tell its user that this failed: by its exit code, if exit codes tell, else in any way."""
        if await self.ended() != 0:
            return
        await within(END_SECONDS, self._all_output_read.wait)
        if self.invitation.exit_code_tells:
            self.problem("NOT_REPORTED", "the product's command ended with exit code 0")
        elif not self.findings.measured.get("output"):
            self.warn("NOT_REPORTED", "the product's command ended with exit code 0, and wrote nothing")

    async def close(self) -> None:
        """Close what is open, end the process; at once when the run is stopped."""
        for peer in self._peers:
            await peer.close()
        if self._process is None or self._process.returncode is not None:
            return
        try:
            await self.ended()
        finally:
            if self._process.returncode is None:
                self._process.kill()
                with trio.CancelScope(shield=True), trio.move_on_after(END_SECONDS):
                    await self._process.wait()
