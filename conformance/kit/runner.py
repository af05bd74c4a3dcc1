"""Runs the cases against a product that is an acceptor, several at once where the product allows.

Nobody is accused on the strength of one run: what was not right is played again, more patiently, and what does not
fail again is inconclusive.
"""

from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import trio

from dulcet.conformance.kit.case import Case
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.passive import Traffic
from dulcet.conformance.kit.preflight import CONCURRENT_ASSOCIATIONS, is_healthy
from dulcet.conformance.kit.product import Patience, Product
from dulcet.conformance.kit.result import CaseResult
from dulcet.conformance.kit.verdict import Judgement, Verdict, ending, judge
from dulcet.conformance.kit.visit import Findings, PreconditionError, Visit
from dulcet.errors import DulcetError

LONGEST_CASE = 60.0  # seconds, beyond ARTIM: the kit's own fault is more likely than the product's
BASIC_CASES = ("dimse.echo.basic", "ul.release.normal", "ul.assoc.rq.minimal", "ul.release.acceptor-initiates")
"""The cases meant for what an ordinary association needs."""
Progress = Callable[[CaseResult, int, int], None]
"""Called for each result with the number of results so far and of cases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditions:
    """How a run is done."""

    patience: Patience = field(default_factory=Patience)
    confirm: bool = True
    """Play again what failed."""
    allow_load: bool = False
    recovery_seconds: float = 15.0
    """How long a product may be gone after a case before the run is over."""
    stop: trio.CancelScope | None = None
    """Ends the run early when it is cancelled; of one run only."""


def why_skipped(case: Case, has: Container[str], conditions: Conditions, *, verb: str = "claim") -> str:
    """The reason why a case can't be played on a product that `has` this, or "" when it can."""
    if case.undecidable:
        return case.undecidable
    missing = [need for need in case.needs if need not in has]
    if missing:
        return f"the product does not {verb} {' and '.join(missing)}"
    if case.load and not conditions.allow_load:
        return "a case of load: only with --allow-load"
    return ""


def skipped(case: Case, reason: str) -> CaseResult:
    """The result of a case that is not played."""
    return CaseResult(case=case, judgement=Judgement(Verdict.SKIP, "SKIPPED", reason))


async def at_once(cases: Sequence[Case], number: int, one: Callable[[Case], Awaitable[None]]) -> None:
    """So many at the same time, begun in their order."""
    limiter = trio.Semaphore(number)

    async def limited(case: Case) -> None:
        async with limiter:
            await one(case)

    async with trio.open_nursery() as nursery:
        for case in cases:
            nursery.start_soon(limited, case)
            await trio.lowlevel.checkpoint()


def was_associated(result: CaseResult) -> bool:
    """Whether the product accepted an association on the case's last connection."""
    return bool(result.findings.wires) and Traffic(result.findings.wires[-1]).answer is not None


def confirmed(first: CaseResult, second: CaseResult) -> CaseResult:
    """The second run's result; a fault that did not come again is inconclusive."""
    second.first, second.attempts = first.judgement, 2
    if first.verdict in (Verdict.FAIL, Verdict.WARN) and second.verdict is Verdict.PASS:
        text = f"the first run: {first.judgement.explanation}; the second: {second.judgement.explanation}"
        second.judgement = Judgement(Verdict.INCONCLUSIVE, "NOT_REPRODUCED", text)
    return second


def unconfirmed(first: CaseResult) -> CaseResult:
    """The result of a case that would have been played again, had the run not been stopped."""
    text = f"stopped before the second run; the first: {first.judgement.explanation}"
    return replace(first, first=first.judgement, judgement=Judgement(Verdict.INCONCLUSIVE, "INTERRUPTED", text))


async def play(case: Case, product: Product, patience: Patience) -> CaseResult:
    """Play one case once. Never raises: what goes wrong is inconclusive."""
    assert case.play is not None
    findings = Findings()
    if product.gate is not None:
        await product.gate.enter(findings)
    started, clock = datetime.now(UTC), trio.current_time()
    outcome, judgement = await _played(case, product, patience, findings)
    if outcome is not None:
        judgement = fair(case, patience, judge(case, outcome, findings.problems))
        judgement = _not_again(case, product, outcome, judgement)
    assert judgement is not None
    result = CaseResult(
        case=case,
        judgement=judgement,
        outcome=outcome,
        ending=ending(findings.wires),
        findings=findings,
        started=started,
        seconds=trio.current_time() - clock,
        attempts=1,
    )
    if case.probe and (trouble := await is_healthy(product, patience)):
        result.judgement = Judgement(Verdict.FAIL, "SUT_UNHEALTHY", f"afterwards: {trouble}")
    return result


def fair(case: Case, patience: Patience, judgement: Judgement) -> Judgement:
    """ARTIM has no value in the standard: who has not declared one is not blamed for keeping a connection."""
    if case.waits_artim and judgement.code == "HANG" and not patience.artim_declared:
        text = f"still connected after {patience.until_artim:g} s; declare ARTIM to have this judged"
        return Judgement(Verdict.INCONCLUSIVE, "ARTIM_UNDECLARED", text)
    return judgement


def _not_again(case: Case, product: Product, outcome: Outcome, judgement: Judgement) -> Judgement:
    """What goes wrong on every association fails the cases meant for it, and leaves the others undecided."""
    if judgement.verdict is Verdict.FAIL and case.id not in BASIC_CASES and str(outcome) in product.known_outcomes:
        text = f"{outcome.explain()}: what the product gives on every ordinary association; see {BASIC_CASES[0]}"
        return Judgement(Verdict.INCONCLUSIVE, "BASELINE", text)
    return judgement


async def _played(
    case: Case, product: Product, patience: Patience, findings: Findings
) -> tuple[Outcome | None, Judgement | None]:
    assert case.play is not None
    limit = LONGEST_CASE + (patience.until_artim if case.waits_artim else 0.0)
    outcome: Outcome | None = None
    judgement: Judgement | None = None
    async with trio.open_nursery() as nursery:
        visit = Visit(product, patience, nursery, findings, is_basic=case.id in BASIC_CASES)
        try:
            with trio.move_on_after(limit) as deadline:
                try:
                    outcome = await case.play(visit)
                except PreconditionError as error:
                    judgement = Judgement(Verdict.INCONCLUSIVE, "PRECONDITION", str(error))
                except DulcetError as error:
                    judgement = Judgement(Verdict.INCONCLUSIVE, "SUT_DOWN", str(error))
                except Exception as error:
                    judgement = Judgement(Verdict.INCONCLUSIVE, "KIT_ERROR", f"{type(error).__name__}: {error}")
        finally:
            await visit.close()
        nursery.cancel_scope.cancel()
    if deadline.cancelled_caught:
        judgement = Judgement(Verdict.INCONCLUSIVE, "TOO_SLOW", f"not finished within {limit:g} s")
    return outcome, judgement


class Runner:
    """Plays cases; results come in the order of the cases."""

    def __init__(self, product: Product, conditions: Conditions, progress: Progress) -> None:
        self.product = product
        self.conditions = conditions
        self.progress = progress
        self._results: dict[str, CaseResult] = {}
        self._to_confirm: set[str] = set()
        self._total = 0
        self._down = ""
        self._looking = trio.Lock()
        self._in_flight: set[str] = set()
        self.suspects: list[str] = []
        """The cases that were playing when the product stopped answering for good."""
        self._finished = 0
        self._kept_in = ""
        """The case that waited for ARTIM, which was not declared."""

    async def run(self, cases: Sequence[Case]) -> None:
        """Every case once, and once more what failed. When it is cancelled, `results` has what was played."""
        self._total = len(cases)
        playable = []
        for case in cases:
            reason = why_skipped(case, self.product.claims, self.conditions)
            if reason:
                self._done(skipped(case, reason))
            elif case.play is not None:
                playable.append(case)
        await self._all(playable)

    def results(self, cases: Sequence[Case]) -> list[CaseResult]:
        """In the order of the cases; a failure that was not confirmed yet is none."""
        found = [self._results[case.id] for case in cases if case.id in self._results]
        return [unconfirmed(result) if result.case.id in self._to_confirm else result for result in found]

    async def _all(self, cases: Sequence[Case]) -> None:
        alone = [case for case in cases if case.alone or case.load]
        waiting = [case for case in cases if case.waits_artim and case not in alone]
        quick = self._in_order([case for case in cases if case not in alone and case not in waiting])
        parallel = self.product.parallel
        blocked = self.product.is_blocked_by_silence
        beside = parallel + len(waiting) <= CONCURRENT_ASSOCIATIONS and parallel > 1 and not blocked
        async with trio.open_nursery() as nursery:
            if beside:
                nursery.start_soon(at_once, waiting, max(len(waiting), 1), self._first)
            await at_once(quick, parallel, self._first)
        if not beside:
            one_is_enough = blocked and not self.conditions.patience.artim_declared
            await at_once(waiting, 1 if one_is_enough else parallel, self._first)
        await at_once(alone, 1, self._first)
        await self._confirm(cases)

    def _in_order(self, cases: Sequence[Case]) -> Sequence[Case]:
        """Past a gate the last come first: they wait inside, so that others can wait at the gate meanwhile."""
        return cases if self.product.gate is None else cases[::-1]

    async def _first(self, case: Case) -> None:
        if self._is_down():
            return self._done(self._gone(case))
        if case.waits_artim and self._kept_in and self.product.is_blocked_by_silence:
            return self._done(self._not_waited_for(case))
        self._in_flight.add(case.id)
        result = await play(case, self.product, self.conditions.patience)
        if result.judgement.code in ("SUT_UNHEALTHY", "SUT_DOWN"):
            await self._look_whether_down()
        self._in_flight.discard(case.id)
        if case.waits_artim and not self.conditions.patience.artim_declared:
            self._kept_in = case.id
        if self._is_down() and result.judgement.code in ("SUT_UNHEALTHY", "SUT_DOWN"):
            many = len(self.suspects) > 1
            if many or result.judgement.code == "SUT_DOWN":
                result.judgement = self._gone(case).judgement
        self._results[case.id] = result
        if self._is_down() or not self._needs_confirmation(result):
            self._done(result)
        else:
            self._to_confirm.add(case.id)

    def _is_down(self) -> bool:
        return bool(self._down)

    async def _look_whether_down(self) -> None:
        async with self._looking:
            if self._is_down():
                return
            suspects = sorted(self._in_flight)
            trouble = await self._recovered()
            if trouble:
                self._down, self.suspects = trouble, suspects

    def _not_waited_for(self, case: Case) -> CaseResult:
        """Each such wait keeps the product from all else: one is enough when nobody said how long it should be."""
        text = f"not played: a wait like that of {self._kept_in} blocks the product; declare ARTIM to have this judged"
        return CaseResult(case=case, judgement=Judgement(Verdict.INCONCLUSIVE, "ARTIM_UNDECLARED", text))

    def _gone(self, case: Case) -> CaseResult:
        text = f"the product does not answer any more ({self._down}), since {' or '.join(self.suspects[:8])}"
        return CaseResult(case=case, judgement=Judgement(Verdict.INCONCLUSIVE, "SUT_DOWN", text))

    def _needs_confirmation(self, result: CaseResult) -> bool:
        doubtful = result.verdict in (Verdict.FAIL, Verdict.WARN) or result.judgement.code in (
            "SUT_DOWN",
            "PRECONDITION",
        )
        waited = result.case.waits_artim and result.judgement.code == "HANG"  # long enough
        loaded = result.case.load and result.verdict is Verdict.WARN
        return doubtful and not waited and not loaded and self.conditions.confirm

    async def _confirm(self, cases: Sequence[Case]) -> None:
        if self._down:
            return
        doubtful = [case for case in cases if self._needs_confirmation(self._results[case.id])]
        mild = [case for case in doubtful if self._results[case.id].verdict is Verdict.WARN and not case.alone]
        silent = [case for case in doubtful if self._results[case.id].judgement.code == "HANG" and case.probe]
        await at_once([case for case in doubtful if case not in silent and case not in mild], 1, self._again)
        await self._confirm_silent(silent)
        await at_once(mild, self.product.parallel, self._again)

    async def _confirm_silent(self, cases: Sequence[Case]) -> None:
        """Past a gate, what keeps others out one by one, and beside it what waits inside an association."""
        parallel = self.product.parallel
        if self.product.gate is None:
            return await at_once(cases, parallel, self._again)
        inside = [case for case in cases if was_associated(self._results[case.id])]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(at_once, [case for case in cases if case not in inside], 1, self._again)
            await at_once(inside, max(parallel - 1, 1), self._again)

    async def _again(self, case: Case) -> None:
        """The second run: alone, and with more patience."""
        patience = self.conditions.patience
        first = self._results[case.id]
        if not self._down:
            self._down = await self._recovered()
        if self._down:
            return self._done(first)
        second = await play(case, self.product, replace(patience, answer=patience.patient))
        self._done(confirmed(first, second))

    async def _recovered(self) -> str:
        """Why the product does not answer; "" when it does, or does so in time. The wait at the gate is not its own."""
        trouble, looking = "no answer", object()
        if self.product.gate is not None:
            await self.product.gate.enter(looking)
        with trio.move_on_after(self.conditions.recovery_seconds):
            while trouble:
                trouble = await is_healthy(replace(self.product, gate=None), self.conditions.patience)
        if self.product.gate is not None:
            self.product.gate.leave(looking)
        return trouble

    def _done(self, result: CaseResult) -> None:
        self._to_confirm.discard(result.case.id)
        self._results[result.case.id] = result
        self._finished += 1
        self.progress(result, self._finished, self._total)
