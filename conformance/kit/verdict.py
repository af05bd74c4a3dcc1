"""Compares what came with what the standard allows.

Two axes: the behaviour, and how the connection ended. A verdict is PASS, WARN (the right kind of answer, but not as the
standard has it), FAIL, SKIP (the product lacks what the case needs) or INCONCLUSIVE (a race, or a reset that may have
destroyed the answer). The code says why in a word that stays the same from version to version.
"""

from dataclasses import dataclass
from enum import Enum

from dulcet.conformance.kit.case import Case, Level
from dulcet.conformance.kit.exchange import Kind, Wire
from dulcet.conformance.kit.outcome import Outcome, expand, matches
from dulcet.conformance.kit.visit import Problem


class Verdict(Enum):
    """What is said of a case."""

    PASS = "PASS"
    """No deviation was observed; this is no certificate."""
    WARN = "WARN"
    FAIL = "FAIL"
    SKIP = "SKIP"
    INCONCLUSIVE = "INCONCLUSIVE"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict with its reason."""

    verdict: Verdict
    code: str = ""
    explanation: str = ""


CODES = {
    "ABORTED": "an A-ABORT where another answer was expected",
    "ARTIM_UNDECLARED": "still connected after the time that the kit takes for ARTIM, which was not declared",
    "ABORT_WRONG_SOURCE": "an A-ABORT as expected, with another source or reason than Table 9-26 has for it",
    "ACCEPTED_INVALID": "what the standard forbids was accepted",
    "BASELINE": "what the product gives on every ordinary association: this case can't tell more",
    "CLOSED": "the connection was closed where an answer was expected",
    "CLOSED_SILENTLY": "the connection was closed where an A-ABORT or A-ASSOCIATE-RJ should have been sent first",
    "CLOSED_SILENTLY(RST)": "the connection was reset; an A-ABORT on its way may have been lost",
    "HANG": "nothing came, and the connection stayed open",
    "INTERRUPTED": "the run was stopped before the case was played the second time",
    "MALFORMED_PDU": "what came is not a PDU of PS3.8 9.3",
    "NOT_CONNECTED": "the product's command ended, and the product had not connected",
    "NOT_REPRODUCED": "a second run ended otherwise than the first",
    "PRECONDITION": "the state that the case starts from was not reached",
    "REFUSED_VALID": "what the standard allows was refused",
    "SUT_DOWN": "the product could not be reached any more",
    "SUT_UNHEALTHY": "after the case the product no longer answered a C-ECHO",
    "TIMING": "another outcome than that of this state; the product may have been faster",
    "UNEXPECTED": "another outcome than those that the standard allows",
    "WRONG_REJECTION": "an A-ASSOCIATE-RJ as expected, with another result, source or reason",
    "WRONG_RESULT": "another result for the presentation context than those allowed",
    "WRONG_STATUS": "a response as expected, with another status",
}
"""The codes of `judge`; cases have more of their own, with their explanation."""

_PATTERN_WORDS = ("ABORT", "RJ")


def judge(case: Case, outcome: Outcome, problems: list[Problem]) -> Judgement:
    """The verdict on the behaviour."""
    behaviour = _judge_outcome(case, outcome)
    faults = [problem for problem in problems if not problem.is_warning]
    if behaviour.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        return behaviour
    if faults:
        verdict = Verdict.WARN if case.level is Level.INFORMATIONAL else Verdict.FAIL
        return Judgement(verdict, faults[0].code, "; ".join(fault.explanation for fault in faults))
    if behaviour.verdict is Verdict.WARN or not problems:
        return behaviour
    return Judgement(Verdict.WARN, problems[0].code, "; ".join(problem.explanation for problem in problems))


def _judge_outcome(case: Case, outcome: Outcome) -> Judgement:
    if matches(outcome, case.allowed):
        return Judgement(Verdict.PASS, "", outcome.explain())
    code, is_mild = _code(case, outcome)
    explanation = f"expected {' or '.join(case.allowed)}, got {outcome.explain()}"
    if matches(outcome, case.tolerated) or is_mild:
        return Judgement(Verdict.WARN, code, explanation)
    if case.timing:
        return Judgement(Verdict.INCONCLUSIVE, "TIMING", explanation)
    if case.level is Level.INFORMATIONAL:
        return Judgement(Verdict.WARN, code, explanation)
    return Judgement(Verdict.FAIL, code, explanation)


def _code(case: Case, outcome: Outcome) -> tuple[str, bool]:
    """The code, and whether it is the right kind of answer all the same."""
    words = {pattern.partition("(")[0] for pattern in expand(case.allowed)}
    wants_refusal = not words.isdisjoint(_PATTERN_WORDS)
    match outcome.word:
        case "SILENCE":
            return "HANG", False
        case "GARBAGE":
            return "MALFORMED_PDU", False
        case "CLOSE" | "RST" if wants_refusal:
            return ("CLOSED_SILENTLY" if outcome.word == "CLOSE" else "CLOSED_SILENTLY(RST)"), True
        case "CLOSE" | "RST":
            return "CLOSED", False
        case "ABORT":
            return ("ABORT_WRONG_SOURCE", True) if "ABORT" in words else ("ABORTED", False)
        case "RJ":
            return ("WRONG_REJECTION", True) if "RJ" in words else ("REFUSED_VALID", False)
        case "AC":
            return ("WRONG_RESULT" if "AC" in words else "ACCEPTED_INVALID"), False
        case "RSP":
            return ("WRONG_STATUS" if "RSP" in words else "ACCEPTED_INVALID"), False
        case _:
            return "UNEXPECTED", False


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended: the second axis."""

    code: str
    """CLEAN, RESET, BY_KIT, UNCLEAN (in mid-PDU) or NONE."""
    explanation: str
    seconds: float | None = None
    """From the last octet that the kit sent to the end."""


NO_CONNECTION = Ending("NONE", "no connection was made")


def ending(wires: list[Wire]) -> Ending:
    """How the case's last connection ended."""
    if not wires or not wires[-1].records:
        return NO_CONNECTION
    records = wires[-1].records
    sent = max((record.time for record in records if record.kind is Kind.SENT), default=records[0].time)
    for record in records:
        if record.kind in (Kind.FIN_SENT, Kind.RST_SENT):
            return Ending("BY_KIT", "the kit closed first", record.time - sent)
        if record.kind is Kind.RST:
            return Ending(
                "RESET", 'the product reset the connection ("don\'t linger", PS3.8 9.1.4)', record.time - sent
            )
        if record.kind is Kind.FIN:
            return Ending("CLEAN", "the product closed the connection", record.time - sent)
    return Ending("NONE", "the connection was still open", None)
