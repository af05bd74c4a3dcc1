"""A whole run against a product that is an acceptor: look, play, judge, put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import trio

from dulcet.conformance.kit import catalogue
from dulcet.conformance.kit.case import Case, Level, Role
from dulcet.conformance.kit.configuration import Declaration
from dulcet.conformance.kit.gate import Gate
from dulcet.conformance.kit.passive import PassiveCheck, judge_traffic
from dulcet.conformance.kit.preflight import baseline, claims_of, look_at, probe
from dulcet.conformance.kit.product import Patience, Product
from dulcet.conformance.kit.result import CaseResult, Observed, Run
from dulcet.conformance.kit.runner import Conditions, Progress, Runner, why_skipped

ARTIM_CASE = "ul.tcp.artim.no-rq"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which cases are wanted; an empty field wants all."""

    prefixes: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    roles: tuple[Role, ...] = ()

    def wants(self, case: Case) -> bool:
        """Whether this case is one of them."""
        return (
            (not self.prefixes or _under(case.id, self.prefixes))
            and not _under(case.id, self.without)
            and (not self.levels or case.level in self.levels)
            and (not self.roles or case.role in self.roles)
        )


def _under(case_id: str, prefixes: tuple[str, ...]) -> bool:
    return any(case_id == prefix or case_id.startswith(prefix.rstrip(".") + ".") for prefix in prefixes)


def unknown_prefixes(selection: Selection, cases: Sequence[Case]) -> list[str]:
    """The prefixes that no case has: most likely a slip."""
    return [
        prefix
        for prefix in (*selection.prefixes, *selection.without)
        if not any(_under(case.id, (prefix,)) for case in cases)
    ]


def names_of(cases: Sequence[Case]) -> set[str]:
    """The ids of cases, and of the groups that they are in."""
    parts = [case.id.split(".") for case in cases]
    return {".".join(words[:length]) for words in parts for length in range(1, len(words) + 1)}


async def test_acceptor(
    product: Product, declaration: Declaration, conditions: Conditions, selection: Selection, progress: Progress
) -> Run:
    """Play what is selected. Raises a DulcetError when the product makes no association at all.

    The run has what was played when `conditions.stop` is cancelled.
    """
    run = Run(side="scp", peer=f"{product.called}@{product.host}:{product.port}", command_line="", started=_now())
    clock = trio.current_time()
    cases = [case for case in catalogue.in_order(catalogue.acceptor_cases()) if selection.wants(case)]
    checks = [check for check in catalogue.acceptor_checks() if selection.wants(check.case)]
    played: list[CaseResult] = []
    with conditions.stop or trio.CancelScope() as stop:
        run.observed = await look_at(product, conditions.patience)
        known = _known(product, declaration, run.observed)
        known = await baseline(known, conditions.patience)
        known = _with_gate(known, conditions.patience)
        run.claims = dict(known.claims)
        runner = Runner(known, conditions, progress)
        try:
            await runner.run(cases)
        finally:
            played, run.died_in = runner.results(cases), runner.suspects
    run.not_played = len(cases) - len(played) if stop.cancelled_caught else 0
    run.results = put_together(played, checks, lambda case: why_skipped(case, run.claims, conditions))
    _measured_artim(run)
    run.seconds = trio.current_time() - clock
    return run


def _known(product: Product, declaration: Declaration, observed: Observed) -> Product:
    claims = claims_of(observed, dict(declaration.claims))
    if product.tls is not None:
        claims.setdefault("tls", "declared")
    return replace(
        product,
        claims=claims,
        sop_classes={uid: syntax for uid, (result, syntax) in observed.contexts.items() if result == 0},
        is_blocked_by_silence=observed.is_blocked_by_silence,
        parallel=max(1, min(product.parallel, observed.associations_at_once)),
    )


def _with_gate(product: Product, patience: Patience) -> Product:
    """A product that silence blocks gets a gate; over TLS, where handshakes are played with too, one case at a time."""
    if not product.is_blocked_by_silence or product.parallel == 1:
        return product
    if product.tls is not None or not product.can_be_probed:
        return replace(product, parallel=1)

    async def is_open() -> bool:
        return not await probe(product, patience)

    return replace(product, gate=Gate(is_open))


def put_together(
    played: Sequence[CaseResult], checks: Sequence[PassiveCheck], skip: Callable[[Case], str]
) -> list[CaseResult]:
    """What was played and what was looked at, in the order of the catalogue."""
    looked = judge_traffic(checks, played, skip)
    results = {(result.case.id, result.case.role): result for result in (*played, *looked)}
    ordered = catalogue.in_order([result.case for result in (*played, *looked)])
    return [results[case.id, case.role] for case in ordered]


def _measured_artim(run: Run) -> None:
    for result in run.results:
        seconds = result.findings.measured.get("closed_after_seconds")
        if result.case.id == ARTIM_CASE and isinstance(seconds, float):
            run.observed.artim_seconds = round(seconds, 2)


def _now() -> datetime:
    return datetime.now(UTC)
