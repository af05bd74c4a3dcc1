"""Checks over everything that the product sent in a run, whatever the case was about.

A check looks at the `Traffic` of each connection and gives a `Look` for each thing that it looked at: fine, or what was
wrong. What was never seen is skipped, not passed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from dulcet.conformance.kit.case import Case, Level
from dulcet.conformance.kit.exchange import Kind, Wire
from dulcet.conformance.kit.result import CaseResult
from dulcet.conformance.kit.verdict import Judgement, Verdict
from dulcet.errors import DecodeError
from dulcet.ul.pdu import PDU_TYPES, AAssociateAC, AAssociateRQ, AnyPDU, decode_pdu

SHOWN_VIOLATIONS = 5


@dataclass(frozen=True, slots=True)
class Passed:
    """One PDU as it went by."""

    time: float
    by_product: bool
    octets: bytes

    @property
    def type(self) -> int:
        """The PDU type, which may be none that exists."""
        return self.octets[0]


class Traffic:
    """The PDUs of one connection, both ways, in the order of time."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.passed = _in_order(wire)

    def of_product(self, *types: int) -> list[Passed]:
        """What the product sent, of these types."""
        return [passed for passed in self.passed if passed.by_product and (not types or passed.type in types)]

    def of_kit(self, *types: int) -> list[Passed]:
        """What the kit sent, of these types."""
        return [passed for passed in self.passed if not passed.by_product and (not types or passed.type in types)]

    @property
    def request(self) -> AAssociateRQ | None:
        """The first A-ASSOCIATE-RQ, whoever sent it."""
        pdu = _first(self.passed, AAssociateRQ.PDU_TYPE)
        return pdu if isinstance(pdu, AAssociateRQ) else None

    @property
    def answer(self) -> AAssociateAC | None:
        """The first A-ASSOCIATE-AC, whoever sent it."""
        pdu = _first(self.passed, AAssociateAC.PDU_TYPE)
        return pdu if isinstance(pdu, AAssociateAC) else None


def _first(passed: Sequence[Passed], pdu_type: int) -> AnyPDU | None:
    for one in passed:
        if one.type == pdu_type:
            try:
                return decode_pdu(one.octets).pdu
            except DecodeError:
                return None
    return None


def _in_order(wire: Wire) -> list[Passed]:
    passed = [*_cut(wire, Kind.SENT, False), *_cut(wire, Kind.RECEIVED, True)]
    return sorted(passed, key=lambda one: one.time)


def _cut(wire: Wire, kind: Kind, by_product: bool) -> Iterator[Passed]:
    buffer = bytearray()
    for record in wire.records:
        if record.kind is not kind:
            continue
        buffer += record.octets
        while len(buffer) >= 6:
            length = int.from_bytes(buffer[2:6], "big")
            if buffer[0] not in PDU_TYPES:
                yield Passed(record.time, by_product, bytes(buffer))
                return
            if len(buffer) < 6 + length:
                break
            yield Passed(record.time, by_product, bytes(buffer[: 6 + length]))
            del buffer[: 6 + length]
        if record.length != len(record.octets):  # what follows was not kept
            return


@dataclass(frozen=True, slots=True)
class Look:
    """One thing that a check looked at."""

    violation: str = ""
    """What was wrong with it; "" when nothing was."""


FINE = Look()
Check = Callable[[Traffic], Iterable[Look]]


@dataclass(frozen=True, slots=True)
class PassiveCheck:
    """A case of the catalogue and the function that looks."""

    case: Case
    check: Check


def judge_traffic(
    checks: Sequence[PassiveCheck], results: Sequence[CaseResult], why_skipped: Callable[[Case], str]
) -> list[CaseResult]:
    """One result for each check, over the traffic of all results."""
    sessions = [(result.case.id, Traffic(wire)) for result in results for wire in result.findings.wires]
    return [_judged(check, sessions, why_skipped(check.case)) for check in checks]


def _judged(check: PassiveCheck, sessions: Sequence[tuple[str, Traffic]], reason: str) -> CaseResult:
    if reason:
        return CaseResult(case=check.case, judgement=Judgement(Verdict.SKIP, "SKIPPED", reason))
    looked, violations = 0, []
    for case_id, traffic in sessions:
        for look in check.check(traffic):
            looked += 1
            if look.violation:
                violations.append(f"{case_id}: {look.violation}")
    return CaseResult(case=check.case, judgement=_judgement(check.case, looked, violations))


def _judgement(case: Case, looked: int, violations: list[str]) -> Judgement:
    if not looked:
        return Judgement(Verdict.SKIP, "NOT_SEEN", "nothing that this looks at was sent in the run")
    if not violations:
        return Judgement(Verdict.PASS, "", f"{looked} looked at")
    shown = list(dict.fromkeys(violations))
    text = "; ".join(shown[:SHOWN_VIOLATIONS])
    if len(shown) > SHOWN_VIOLATIONS:
        text += f"; and {len(shown) - SHOWN_VIOLATIONS} more"
    verdict = Verdict.WARN if case.level is Level.INFORMATIONAL else Verdict.FAIL
    return Judgement(verdict, "VIOLATED", f"{len(violations)} of {looked}: {text}")
