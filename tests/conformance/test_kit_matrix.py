"""Results side by side, and the pages as a browser shows them: the filters, and the fragment that sets them."""

import copy
import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dulcet.cli import run as dulcet
from dulcet.conformance.kit import document, report_html, report_matrix
from dulcet.conformance.kit.case import Case, Level, Role
from dulcet.conformance.kit.result import CaseResult, Run
from dulcet.conformance.kit.verdict import Judgement, Verdict

SECONDS = 60
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
IS_MISSING = BROWSER is None and os.environ.get("DULCET_REQUIRE_PEERS") != "1"
BROWSER_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
CASES = {
    "ul.one": (Level.REQUIRED, Verdict.PASS),
    "ul.two": (Level.REQUIRED, Verdict.FAIL),
    "ul.three": (Level.ROBUSTNESS, Verdict.FAIL),
    "dimse.four": (Level.RECOMMENDED, Verdict.WARN),
    "dimse.five": (Level.REQUIRED, Verdict.SKIP),
}


def a_result(case_id: str, level: Level, verdict: Verdict) -> CaseResult:
    case = Case(
        id=case_id, requirement="It is answered.", stimulus="an A-RELEASE-RQ", clause="PS3.8 9.3.6",
        level=level, role=Role.ACCEPTOR, allowed=("RP",),
    )  # fmt: skip
    return CaseResult(case=case, judgement=Judgement(verdict, "", f"<b>{verdict.value}</b>"))


@pytest.fixture
def one() -> document.Document:
    results = [a_result(case_id, *rest) for case_id, rest in CASES.items()]
    run = Run(
        side="scp", peer="ONE@127.0.0.1:104", command_line="", started=datetime(2026, 1, 2, tzinfo=UTC), results=results
    )
    return document.to_document(run, kit_version="1.0")


@pytest.fixture
def other(one) -> document.Document:
    """Another product: it fails `ul.one`, and was not asked for `dimse.five`."""
    other = copy.deepcopy(one)
    other["product"]["address"] = "OTHER|<i>@127.0.0.1:104"
    other["cases"][0]["verdict"] = "FAIL"
    del other["cases"][-1]
    return other


def test_rows_hold_every_product(one, other):
    rows = {row.id: [verdict for verdict, _ in row.cells] for row in report_matrix.rows([one, other])}
    assert list(rows) == list(CASES)
    assert rows["ul.one"] == ["PASS", "FAIL"]
    assert rows["dimse.five"] == ["SKIP", ""]


def test_products_are_told_apart(one, other):
    assert report_matrix.products([one, other]) == ["ONE (scp)", "OTHER|<i> (scp)"]
    assert report_matrix.products([one, one]) == ["ONE (scp) #1", "ONE (scp) #2"]
    one["product"]["declared"] = {"vendor": "Example Inc.", "version": "4.2"}
    assert report_matrix.products([one]) == ["Example Inc. 4.2 (scp)"]


def test_the_command_compares(one, other, tmp_path, capsys):
    paths = []
    for name, made in (("one", one), ("other", other)):
        paths.append(str(tmp_path / f"{name}.json"))
        Path(paths[-1]).write_text(json.dumps(made))
    assert dulcet(["conform", "report", *paths]) == 0
    shown = capsys.readouterr().out
    assert "| ONE (scp) | OTHER\\|&lt;i> (scp) |" in shown
    assert re.search(r"\[`ul.one`\]\(.*\) \| required \| PASS \| FAIL \|", shown)
    assert "dimse.four" not in shown  # the same in both, and no failure
    page = tmp_path / "page.html"
    assert dulcet(["conform", "report", *paths, "--html", str(page), "--markdown", str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text() == shown
    assert "<i>" not in page.read_text()
    assert dulcet(["conform", "report", *paths, "--junit", str(tmp_path / "junit.xml")]) == 2


def shown_in_browser(page: Path, fragment: str) -> list[str]:
    """The ids of the cases that the page shows."""
    command = [str(BROWSER), *BROWSER_OPTIONS, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom"]
    done = subprocess.run(
        [*command, f"{page.as_uri()}{fragment}"], capture_output=True, text=True, timeout=SECONDS, check=True
    )
    shown = re.findall(r"<(?:details|tr) [^>]*data-level[^>]*>(?:(?!<code>).)*<code>([^<]*)</code>", done.stdout, re.S)
    tags = re.findall(r"<(?:details|tr) [^>]*data-level[^>]*>", done.stdout)
    return [case_id for case_id, tag in zip(shown, tags, strict=True) if " hidden=" not in tag]


@pytest.mark.skipif(IS_MISSING, reason="chromium is not installed: `make peers` installs it on Debian")
@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("", ["ul.two", "ul.three", "dimse.four"]),
        ("#level=required&verdict=FAIL", ["ul.two"]),
        ("#verdict=PASS,SKIP", ["ul.one", "dimse.five"]),
        ("#text=FOUR", ["dimse.four"]),
    ],
)
def test_the_page_filters(one, tmp_path, fragment, expected):
    page = tmp_path / "page.html"
    page.write_text(report_html.to_html(one))
    assert shown_in_browser(page, fragment) == expected


@pytest.mark.skipif(IS_MISSING, reason="chromium is not installed: `make peers` installs it on Debian")
@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("#level=required&verdict=FAIL", ["ul.one", "ul.two"]),
        ("#verdict=PASS,FAIL&differ=yes", ["ul.one"]),
    ],
)
def test_the_comparison_filters(one, other, tmp_path, fragment, expected):
    page = tmp_path / "page.html"
    page.write_text(report_matrix.to_html([one, other]))
    assert shown_in_browser(page, fragment) == expected
