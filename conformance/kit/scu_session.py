"""A whole run against a product that is a requestor: it is started for each case, or people start it.

With a command the kit gives each case a port of its own. Without one a case is chosen by the port that the product
connects to (`--from-port`), or by the AE title that it calls (`--port`): `title_of` says which.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import trio

from dulcet.conformance.kit import catalogue
from dulcet.conformance.kit.case import Case
from dulcet.conformance.kit.configuration import ACTIVITIES
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.passive import Traffic
from dulcet.conformance.kit.product import Patience
from dulcet.conformance.kit.reception import Invitation, NotConnectedError, Reception
from dulcet.conformance.kit.result import CaseResult, Run
from dulcet.conformance.kit.runner import (
    LONGEST_CASE,
    Conditions,
    Progress,
    at_once,
    confirmed,
    fair,
    skipped,
    unconfirmed,
    why_skipped,
)
from dulcet.conformance.kit.session import Selection, put_together
from dulcet.conformance.kit.verdict import Judgement, Verdict, ending, judge
from dulcet.conformance.kit.visit import Findings, PreconditionError
from dulcet.errors import ConfigurationError, DulcetError, PeerUnavailableError

MOST_UNCONNECTED = 3  # cases before any that connected: the command is wrong, and so it would go on
TITLE_SECONDS = 5.0  # for as much of the A-ASSOCIATE-RQ to come as chooses a case
_TITLE_AT = slice(10, 26)  # of the A-ASSOCIATE-RQ


def title_of(case_id: str) -> str:
    """The called AE title that chooses a case; the same in each version."""
    return f"K{zlib.crc32(case_id.encode()):08X}"


def activity_of(case: Case, does: Sequence[str]) -> str:
    """What the product has to do in a case."""
    return next((need for need in case.needs if need in ACTIVITIES), does[0] if does else "echo")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listening:
    """Where the kit listens when people start the product."""

    port: int = 0
    """One port: the called AE title chooses the case."""
    from_port: int = 0
    """The first of many ports, one for each case."""
    idle_seconds: float = 60.0
    """The run ends when nothing has connected for so long."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One that the product made."""

    stream: trio.SocketStream
    octets: bytes
    """What was read of it already."""


async def test_requestor(
    invitation: Invitation,
    listening: Listening,
    conditions: Conditions,
    selection: Selection,
    progress: Progress,
    parallel: int,
) -> Run:
    """Play what is selected; the run has what was played when `conditions.stop` is cancelled.

    Raises ConfigurationError when a port or the command can't be used, PeerUnavailableError when the command ends
    without connecting, from the first case on.
    """
    run = Run(side="scu", peer="", command_line="", started=datetime.now(UTC))
    clock = trio.current_time()
    cases = [case for case in catalogue.in_order(catalogue.requestor_cases()) if selection.wants(case)]
    checks = [check for check in catalogue.requestor_checks() if selection.wants(check.case)]
    runner = _Runner(invitation, listening, conditions, progress, len(cases))
    with conditions.stop or trio.CancelScope() as stop:
        await runner.run(cases, parallel)
    played = runner.played(cases)
    run.not_played = len(cases) - len(played) if stop.cancelled_caught else 0
    run.claims = dict.fromkeys(invitation.does, "declared")
    run.results = put_together(played, checks, lambda case: "")
    _observe(run)
    run.seconds = trio.current_time() - clock
    return run


def _observe(run: Run) -> None:
    for result in run.results:
        for wire in result.findings.wires:
            request = Traffic(wire).request
            if request is not None:
                run.peer = run.peer or str(request.calling_ae_title)
                run.observed.implementation_class_uid = request.implementation_class_uid or ""
                run.observed.implementation_version_name = request.implementation_version_name or ""
                run.observed.maximum_length_received = request.maximum_length_received
                return


class _Runner:
    def __init__(
        self, invitation: Invitation, listening: Listening, conditions: Conditions, progress: Progress, total: int
    ) -> None:
        self.invitation = invitation
        self.listening = listening
        self.conditions = conditions
        self.progress = progress
        self.total = total
        self.results: dict[str, CaseResult] = {}
        self.to_confirm: set[str] = set()
        self.finished = 0
        self.fault: DulcetError | None = None
        """Why no case can be played."""
        self.unconnected: int | None = 0
        """Cases whose command ended without connecting; None once one has connected."""

    async def run(self, cases: Sequence[Case], parallel: int) -> None:
        playable = []
        for case in cases:
            reason = why_skipped(case, self.invitation.does, self.conditions, verb="do")
            if reason:
                self.done(skipped(case, reason))
            else:
                playable.append(case)
        if self.invitation.commands:
            await self._with_command(playable, parallel)
            if self.fault is not None:
                raise self.fault
        else:
            await _Doors(self, playable, cases).run()
        for case in playable:
            if case.id not in self.results:
                self.done(skipped(case, f"nothing connected for it (called AE title {title_of(case.id)})"))

    def played(self, cases: Sequence[Case]) -> list[CaseResult]:
        """In the order of the cases; a failure that was not confirmed yet is none."""
        found = [self.results[case.id] for case in cases if case.id in self.results]
        return [unconfirmed(result) if result.case.id in self.to_confirm else result for result in found]

    async def _with_command(self, cases: Sequence[Case], parallel: int) -> None:
        waiting = [case for case in cases if case.waits_artim]
        quick = [case for case in cases if not case.waits_artim and not case.load]
        async with trio.open_nursery() as nursery:
            for case in waiting:
                nursery.start_soon(self._first, case)
            await at_once(quick, parallel, self._first)
        await at_once([case for case in cases if case.load], 1, self._first)
        if self.fault is None:
            await at_once([case for case in cases if self._needs_confirmation(case)], 1, self._again)

    def _needs_confirmation(self, case: Case) -> bool:
        result = self.results[case.id]
        waited = case.waits_artim and result.judgement.code == "HANG"
        doubtful = result.verdict is Verdict.FAIL or (
            result.judgement.code == "PRECONDITION" and result.outcome is None
        )
        return self.conditions.confirm and doubtful and not waited

    async def _first(self, case: Case) -> None:
        if self.fault is not None:
            return
        try:
            result = await play(case, self.invitation, self.conditions.patience)
        except ConfigurationError as error:
            self.fault = error
            return
        self.results[case.id] = result
        self._count_unconnected(result)
        if not self._needs_confirmation(case):
            self.done(result)
        else:
            self.to_confirm.add(case.id)

    def _count_unconnected(self, result: CaseResult) -> None:
        if result.findings.wires or result.outcome is not None:
            self.unconnected = None
        elif self.unconnected is not None and result.judgement.code == "NOT_CONNECTED":
            self.unconnected += 1
            if self.unconnected >= MOST_UNCONNECTED:
                self.fault = PeerUnavailableError(result.judgement.explanation)

    async def _again(self, case: Case) -> None:
        """The second run, with more patience."""
        patience = self.conditions.patience
        second = await play(case, self.invitation, replace(patience, answer=patience.patient))
        self.done(confirmed(self.results[case.id], second))

    def done(self, result: CaseResult) -> None:
        self.to_confirm.discard(result.case.id)
        self.results[result.case.id] = result
        self.finished += 1
        self.progress(result, self.finished, self.total)


async def play(
    case: Case, invitation: Invitation, patience: Patience, connection: Connection | None = None
) -> CaseResult:
    """Play one case once: with the product's command, or on a connection that it made. Raises ConfigurationError."""
    findings = Findings()
    started, clock = datetime.now(UTC), trio.current_time()
    outcome, judgement, fault = await _played(case, invitation, patience, findings, connection)
    if fault is not None:
        raise fault
    if outcome is not None:
        judgement = fair(case, patience, judge(case, outcome, findings.problems))
    assert judgement is not None
    return CaseResult(
        case=case,
        judgement=judgement,
        outcome=outcome,
        ending=ending(findings.wires),
        findings=findings,
        started=started,
        seconds=trio.current_time() - clock,
        attempts=1,
    )


async def _played(
    case: Case, invitation: Invitation, patience: Patience, findings: Findings, connection: Connection | None
) -> tuple[Outcome | None, Judgement | None, ConfigurationError | None]:
    assert case.play is not None
    limit = LONGEST_CASE + (patience.until_artim if case.waits_artim else 0.0)
    outcome: Outcome | None = None
    judgement: Judgement | None = None
    fault: ConfigurationError | None = None
    async with trio.open_nursery() as nursery:
        reception = Reception(invitation, activity_of(case, invitation.does), patience, nursery, findings)
        try:
            with trio.move_on_after(limit) as deadline:
                try:
                    if connection is None:
                        await reception.open(0)
                    else:
                        nursery.start_soon(reception.take, connection.stream, connection.octets)
                    outcome = await case.play(reception)
                except NotConnectedError as error:
                    judgement = Judgement(Verdict.INCONCLUSIVE, "NOT_CONNECTED", str(error))
                except PreconditionError as error:
                    judgement = Judgement(Verdict.INCONCLUSIVE, "PRECONDITION", str(error))
                except ConfigurationError as error:
                    fault = error
                except DulcetError as error:
                    judgement = Judgement(Verdict.INCONCLUSIVE, "SUT_DOWN", str(error))
                except Exception as error:
                    judgement = Judgement(Verdict.INCONCLUSIVE, "KIT_ERROR", f"{type(error).__name__}: {error}")
        finally:
            await reception.close()
        nursery.cancel_scope.cancel()
    if deadline.cancelled_caught:
        judgement = Judgement(Verdict.INCONCLUSIVE, "TOO_SLOW", f"not finished within {limit:g} s")
    return outcome, judgement, fault


class _Doors:
    """The ports at which people knock with the product: each connection plays the case that it chooses."""

    def __init__(self, runner: _Runner, cases: Sequence[Case], selected: Sequence[Case]) -> None:
        """`cases` are played; each has the port of its place among the `selected`, as `--list` prints it."""
        self.runner = runner
        ports = {case.id: runner.listening.from_port + index for index, case in enumerate(selected)}
        self.by_port = {ports[case.id]: case for case in cases}
        self.by_title = {title_of(case.id): case for case in cases}
        self.left = {case.id for case in cases}
        self.last = trio.current_time()
        self.playing = 0
        self.all_played = trio.Event()

    async def run(self) -> None:
        """Until every case was played, or nothing has connected for a while."""
        listening = self.runner.listening
        ports = list(self.by_port) if listening.from_port else [listening.port]
        listeners = []
        for port in ports:
            try:
                listeners += await trio.open_tcp_listeners(port, host=self.runner.invitation.host)
            except OSError as error:
                where = f"{self.runner.invitation.host}:{port}"
                raise ConfigurationError(f"{where} can't be listened on: {error.strerror or error}") from None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._connected, listeners)
            await self._wait(listening.idle_seconds)
            nursery.cancel_scope.cancel()

    async def _wait(self, idle_seconds: float) -> None:
        """Until all were played, or nothing was played and nothing connected for so long."""
        while not self.all_played.is_set():
            deadline = (trio.current_time() if self.playing else self.last) + idle_seconds
            if deadline <= trio.current_time():
                return
            with trio.move_on_at(deadline):
                await self.all_played.wait()

    async def _connected(self, stream: trio.SocketStream) -> None:
        self.last = trio.current_time()
        case, octets = await self._chosen(stream)
        if case is None:
            await trio.aclose_forcefully(stream)
            return
        self.playing += 1
        try:
            made = Connection(stream, octets)
            result = await play(case, self.runner.invitation, self.runner.conditions.patience, made)
            if case.id in self.left:
                self.left.remove(case.id)
                self.runner.done(result)
            else:
                self.runner.results[case.id] = result
        finally:
            if not self.left:
                self.all_played.set()
            self.playing -= 1
            self.last = trio.current_time()

    async def _chosen(self, stream: trio.SocketStream) -> tuple[Case | None, bytes]:
        """The case, and the octets that were read to know it."""
        octets = b""
        if self.runner.listening.from_port:
            port: int = stream.socket.getsockname()[1]
            return self.by_port.get(port), octets
        with trio.move_on_after(TITLE_SECONDS):
            while len(octets) < _TITLE_AT.stop:
                try:
                    more = await stream.receive_some()
                except trio.BrokenResourceError:
                    return None, octets
                if not more:
                    return None, octets
                octets += more
        return self.by_title.get(octets[_TITLE_AT].decode("latin-1").strip()), octets
