"""--strict: every failure counts, and the conclusion says of which level they are."""

from datetime import UTC, datetime

import pytest

from dulcet.cli import run as dulcet
from dulcet.conformance.kit import document, report_terminal
from dulcet.conformance.kit.case import Case, Level, Role
from dulcet.conformance.kit.report_html import to_html
from dulcet.conformance.kit.report_markdown import to_markdown
from dulcet.conformance.kit.result import CaseResult, Run
from dulcet.conformance.kit.verdict import Judgement, Verdict

Q, C, B = Level.REQUIRED, Level.RECOMMENDED, Level.ROBUSTNESS


def a_result(name: str, level: Level, verdict: Verdict) -> CaseResult:
    case = Case(
        id=f"ul.test.{name}", requirement="It is.", stimulus="a PDU", clause="PS3.8 9.3.6", level=level,
        role=Role.ACCEPTOR, allowed=("RP",),
    )  # fmt: skip
    return CaseResult(case=case, judgement=Judgement(verdict))


def made(*failed: Level) -> document.Document:
    """A result in which cases of these levels failed, and one passed."""
    results = [a_result(f"bad-{number}", level, Verdict.FAIL) for number, level in enumerate(failed)]
    run = Run(side="scp", peer="A@127.0.0.1:1", command_line="", started=datetime(2026, 1, 2, tzinfo=UTC))
    run.results = [*results, a_result("good", Q, Verdict.PASS)]
    return document.to_document(run, kit_version="1.0")


@pytest.mark.parametrize(
    ("failed", "sentences"),
    [
        ((), ["No required case failed, in 0 s."]),
        ((Q,), ["1 required case failed, in 0 s."]),
        ((C,), ["No required case failed, in 0 s.", "With --strict: 1 recommended case failed."]),
        (
            (Q, C, B, B),
            ["1 required case failed, in 0 s.", "With --strict: 1 recommended and 2 robustness cases failed."],
        ),
    ],
)
def test_the_conclusion_says_what_strict_counts(failed, sentences):
    result = made(*failed)
    assert list(report_terminal.conclusion(result, strict=True))[:-1] == sentences
    assert list(report_terminal.conclusion(result))[:-1] == sentences[:1]
    assert list(report_terminal.lines(result, strict=True))[-1 - len(sentences) : -1] == sentences
    for report in (to_markdown(result, strict=True), to_html(result, strict=True)):
        assert " ".join(sentences) in report


def test_a_waived_failure_is_none_of_strict_either():
    result = made(C)
    waived = {**result["summary"], "failures": 0, "levels": {"recommended": {"WAIVED": 1}}}
    assert not any(
        "--strict" in line for line in report_terminal.conclusion({**result, "summary": waived}, strict=True)
    )


@pytest.mark.parametrize(
    ("results", "code"), [([()], 0), ([(Q,)], 1), ([(C,)], 1), ([(), (C,)], 1), ([(), ()], 0)], ids=str
)
def test_a_report_with_strict_ends_with_1_for_a_failure_of_any_level(results, code, tmp_path, capsys):
    paths = []
    for number, failed in enumerate(results):
        paths.append(str(tmp_path / f"{number}.json"))
        (tmp_path / f"{number}.json").write_text(document.dump(made(*failed)))
    assert dulcet(["conform", "report", *paths]) == 0
    assert "--strict" not in capsys.readouterr().out
    assert dulcet(["conform", "report", *paths, "--strict"]) == code
    assert ("With --strict: 1 recommended" in capsys.readouterr().out) is (results == [(C,)])
