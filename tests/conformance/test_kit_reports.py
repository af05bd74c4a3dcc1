"""The reports: JSON is the source, the others are made of it; a dissector's view of a capture; the command line."""

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dulcet.cli import run as dulcet
from dulcet.commands import conform
from dulcet.conformance.kit import document, report_terminal
from dulcet.conformance.kit.capture import capture
from dulcet.conformance.kit.case import Case, Level, Role
from dulcet.conformance.kit.configuration import Declaration, read_declaration, read_waivers
from dulcet.conformance.kit.exchange import Kind, Wire
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.reception import Invitation
from dulcet.conformance.kit.report_html import to_html
from dulcet.conformance.kit.report_junit import to_junit
from dulcet.conformance.kit.report_markdown import to_markdown
from dulcet.conformance.kit.result import CaseResult, Run
from dulcet.conformance.kit.stimuli import ABORT, RELEASE_RQ, Request, message, title, user_identity
from dulcet.conformance.kit.verdict import Judgement, Verdict
from dulcet.conformance.kit.visit import Findings, echo_rq
from dulcet.errors import ConfigurationError, NoInputError

HOSTILE = "<script>\x1b[31m&|`"


def a_result(name: str, level: Level, verdict: Verdict, code: str = "", text: str = "") -> CaseResult:
    case = Case(
        id=f"ul.test.{name}", requirement="It is answered.", stimulus="an A-RELEASE-RQ", clause="PS3.8 9.3.6",
        level=level, role=Role.ACCEPTOR, allowed=("RP",),
    )  # fmt: skip
    wire = Wire(1)
    wire.add(0.0, Kind.CONNECTED)
    wire.add(0.001, Kind.SENT, RELEASE_RQ)
    wire.add(0.002, Kind.RECEIVED, message(1, echo_rq(1)))
    wire.add(0.003, Kind.RECEIVED, ABORT)
    wire.add(0.004, Kind.FIN)
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    outcome = Outcome("ABORT", (0, 0)) if verdict is Verdict.FAIL else Outcome("RP")
    return CaseResult(
        case=case, judgement=Judgement(verdict, code, text), outcome=outcome, findings=Findings(wires=[wire]),
        started=started, seconds=0.004, attempts=1,
    )  # fmt: skip


@pytest.fixture
def run() -> Run:
    results = [
        a_result("good", Level.REQUIRED, Verdict.PASS),
        a_result("bad", Level.REQUIRED, Verdict.FAIL, "ABORTED", "expected RP, got ABORT(0,0)"),
        a_result("soft", Level.ROBUSTNESS, Verdict.FAIL, "HANG", HOSTILE),
        a_result("skipped", Level.REQUIRED, Verdict.SKIP, "SKIPPED", "the product does not claim find"),
    ]
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Run(
        side="scp", peer="PACS@127.0.0.1:104", command_line="dulcet conform scp", started=started, results=results
    )


@pytest.fixture
def made(run: Run) -> document.Document:
    return document.to_document(run, kit_version="1.0")


def test_the_document_counts_and_shows_what_went_over_the_wire(made):
    assert made["dulcet_conformance"] == document.SCHEMA_VERSION
    assert made["summary"]["required_failures"] == 1
    assert made["summary"]["failures"] == 2
    assert made["summary"]["verdicts"] == {"PASS": 1, "FAIL": 2, "SKIP": 1}
    case = made["cases"][1]
    assert case["allowed"] == ["RP"]
    assert case["outcome"] == "ABORT(0,0)"
    assert case["run_again"] == "dulcet conform --case ul.test.bad"
    assert [line.get("pdu", line.get("event")) for line in case["timeline"]] == [
        "connected", "A-RELEASE-RQ", "P-DATA-TF", "A-ABORT", "product closed",
    ]  # fmt: skip
    assert case["timeline"][1]["octets"] == RELEASE_RQ.hex()
    assert any("C-ECHO-RQ" in field for field in case["timeline"][2]["fields"])


@pytest.mark.parametrize("secrets", [(1, b"anybody", b""), (2, b"any", b"any-passcode"), (3, b"a ticket", b"")])
def test_no_report_has_a_user_identity(run, secrets):
    kind, primary, secondary = secrets
    request = Request(called=title("PACS"), calling=title("KIT")).with_user(user_identity(kind, primary, secondary))
    run.results[0].findings.wires[0].add(0.005, Kind.SENT, request.encode())
    line = document.to_document(run, kit_version="1.0")["cases"][0]["timeline"][-1]
    shown = bytes.fromhex(line["octets"])
    assert line["pdu"] == "A-ASSOCIATE-RQ"
    assert len(shown) == line["length"] == len(request.encode())
    assert primary not in shown
    assert b"passcode" not in shown
    assert shown.replace(b"*" * len(primary), primary, 1).replace(b"*" * 12, secondary) == request.encode()


def test_a_document_is_read_back_as_it_was(made, tmp_path):
    path = tmp_path / "result.json"
    path.write_text(document.dump(made))
    assert document.load(path) == json.loads(document.dump(made))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "no JSON"),
        ("{}", "no result"),
        ('{"dulcet_conformance": 99}', "schema 99"),
        ('{"dulcet_conformance": 1, "side": "scp"}', "no whole result: kit, started"),
    ],
)
def test_what_is_no_result_says_so(text, error, tmp_path):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=error):
        document.load(path)


def test_a_waived_failure_counts_for_nothing(run):
    run.results[1].waiver = "known, fixed in 4.3"
    made = document.to_document(run, kit_version="1.0")
    assert made["summary"]["required_failures"] == 0
    assert made["summary"]["verdicts"]["WAIVED"] == 1
    assert "known, fixed in 4.3" in "\n".join(report_terminal.lines(made))
    assert "<failure" not in to_junit(made)


def test_junit_fails_only_for_what_is_required(made):
    root = ElementTree.fromstring(to_junit(made))
    assert root.attrib["tests"] == "4"
    assert root.attrib["failures"] == "1"
    assert root.attrib["skipped"] == "1"
    cases = {case.attrib["name"]: case for case in root.iter("testcase")}
    assert cases["ul.test.bad"].find("failure").attrib["type"] == "ABORTED"
    assert "expected RP" in cases["ul.test.bad"].find("failure").attrib["message"]
    assert "A-RELEASE-RQ" in cases["ul.test.bad"].find("system-out").text
    assert ElementTree.fromstring(to_junit(made, strict=True)).attrib["failures"] == "2"


def test_markdown_has_no_markup_of_a_peer(made):
    text = to_markdown(made)
    assert "| ul.test |" in text
    assert "`ul.test.bad` ABORTED" in text
    assert "<script>" not in text


class Tags(HTMLParser):
    """Every start tag that was opened and not closed, and all attributes."""

    VOID = frozenset({"meta", "input", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_one_file_and_well_formed(made):
    text = to_html(made)
    parser = Tags()
    parser.feed(text)
    assert parser.open == []
    assert text.count("<script>") == 1
    sources = [value for name, value in parser.attributes if name in ("src", "href")]
    assert all(value and value.startswith("https://dicom.nema.org/") for value in sources)
    assert not re.search(r"@import|url\(", text)


def test_the_terminal_shows_failures_and_hides_passes(made):
    text = "\n".join(report_terminal.lines(made))
    assert "FAIL ul.test.bad" in text
    assert "ul.test.good" not in text
    assert "1 required case failed" in text
    assert "C-ECHO-RQ" in "\n".join(report_terminal.lines(made, verbose=2))


def test_a_capture_holds_the_octets_in_order(run):
    octets = capture(run.results[1])
    assert octets[:4] == b"\x0a\x0d\x0d\x0a"
    assert octets.index(RELEASE_RQ) < octets.index(echo_rq(1)) < octets.index(ABORT)


CONFIGURATION = """
[product]
vendor = "Example"
artim = 10
promiscuous = true
claims = ["storage"]
lacks = ["move"]
[credentials]
user = "lab"
password = "secret"
[scu]
does = ["echo", "store"]
"""


def test_a_configuration_declares(tmp_path):
    path = tmp_path / "product.toml"
    path.write_text(CONFIGURATION)
    declaration = read_declaration(path)
    assert declaration.claims == {"storage": True, "move": False, "user-identity": True}
    assert (declaration.artim, declaration.promiscuous, declaration.does) == (10, True, ("echo", "store"))
    assert "secret" not in str(declaration.shown())
    assert len(declaration.digest) == 64


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[produce]\n", "no table"),
        ("[product]\nartim = 'long'\n", "should be a number"),
        ("[product]\nartim = true\n", "should be a number"),
        ("[product]\nartin = 1\n", "not known"),
        ("[product]\nclaims = ['everything']\n", "none of"),
        ("[product\n", "no TOML"),
    ],
)
def test_a_wrong_configuration_is_explained(text, error, tmp_path):
    path = tmp_path / "product.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=error):
        read_declaration(path)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('[move]\ndestination = "KIT"\n', "needs port"),
        ('[move]\ndestination = "KIT"\nport = 70000\n', "1 to 65535"),
        ("[product]\nartim = 0\n", "more than 0"),
        ('[credentials]\nuser = "lab"\nwrong_password = "x"\n', "wrong_password needs wrong_user"),
    ],
)
def test_values_that_can_t_be(text, error, tmp_path):
    path = tmp_path / "kit.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=error):
        read_declaration(path)


def test_waivers_have_reasons(tmp_path):
    path = tmp_path / "waivers.toml"
    path.write_text('[[waiver]]\nid = "ul.test.bad"\nreason = "known"\ndate = 2026-01-01\n')
    assert read_waivers(path) == {"ul.test.bad": "known (2026-01-01)"}
    path.write_text('[[waiver]]\nid = "ul.test.bad"\n')
    with pytest.raises(ConfigurationError, match="reason"):
        read_waivers(path)
    for wrong in ("waiver = 3", '[[waivers]]\nid = "ul.test.bad"\nreason = "known"\n'):
        path.write_text(wrong)
        with pytest.raises(ConfigurationError, match="only"):
            read_waivers(path)
    with pytest.raises(NoInputError):
        read_waivers(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["conform", "scp", "--list"], 0),
        (["conform", "scu", "--list", "--from-port", "20000"], 0),
        (["conform", "scp"], 2),
        (["conform", "scp", "A@127.0.0.1:1", "--case", "ul.nothing"], 2),
        (["conform", "scp", "A@192.0.2.1:104"], 2),
        (["conform", "scp", "A@127.0.0.1:1"], 69),
        (["conform", "scp", "A@127.0.0.1:1", "--case", "dimse.echo", "--without", "dimse"], 2),
        (["conform", "scp", "A@127.0.0.1:1", "--output", "/nonexistent/result.json"], 78),
        (["conform", "scp", "A@127.0.0.1:1", "--html", "/"], 78),
        (["conform", "scp", "A@127.0.0.1:1", "--pcap-dir", "/dev/null"], 78),
        (["conform", "scu", "--exec", "echoscu {nothing}"], 2),
        (["conform", "scu", "--exec", "nonexistent-program {host}"], 2),
        (["conform", "scu", "--exec", "true '{host}"], 2),
        (["conform", "scu", "--exec", ""], 2),
        (["conform", "scu", "--exec", "true", "--exec", "echo=true {port}"], 2),
        (["conform", "report", "/nonexistent.json"], 66),
    ],
)
def test_the_exit_code_tells(arguments, code, capsys):
    assert dulcet(arguments) == code
    assert "Traceback" not in capsys.readouterr().err


def invitation(*words: str) -> Invitation:
    """What the command line makes of these options of `conform scu`."""
    options = conform.scu.make_context("scu", list(words)).params
    return conform._invitation(Declaration(), options)


def test_a_command_without_does_is_the_first_activity_whatever_stood_before_it():
    made = invitation("--exec", "store=true {host}", "--exec", "true {port}")
    assert made.commands == {"store": "true {host}", "echo": "true {port}"}
    assert made.does == ("store", "echo")
    assert invitation("--does", "find", "--exec", "get=true", "--exec", "false").commands == {
        "get": "true",
        "find": "false",
    }


def test_two_commands_for_one_activity_are_refused(capsys):
    assert dulcet(["conform", "scu", "--exec", "store=true", "--exec", "true", "--exec", "false"]) == 2
    assert "two commands do echo: 'true' and 'false'; say DOES=COMMAND" in capsys.readouterr().err


def test_a_name_that_is_none_gets_the_nearest(capsys):
    assert dulcet(["conform", "scp", "--list", "--case", "ul.asoc.rq.rsv"]) == 2
    assert "did you mean 'ul.assoc.rq.rsv'" in capsys.readouterr().err


def test_a_waiver_for_no_case_is_refused(tmp_path, capsys):
    path = tmp_path / "waivers.toml"
    path.write_text('[[waiver]]\nid = "ul.assoc.rq.rsv.43-75"\nreason = "known"\n')
    assert dulcet(["conform", "scp", "A@127.0.0.1:1", "--waivers", str(path)]) == 78
    assert "no case is called ul.assoc.rq.rsv.43-75; did you mean 'ul.assoc.rq.rsv.43-74'" in capsys.readouterr().err


def test_a_baseline_of_the_other_part_is_refused(made, tmp_path, capsys):
    path = tmp_path / "baseline.json"
    path.write_text(document.dump(made))
    assert dulcet(["conform", "scu", "--exec", "true", "--baseline", str(path)]) == 78
    assert "the baseline is of `conform scp`, this is `conform scu`" in capsys.readouterr().err


def test_a_baseline_says_whose_it_is(made):
    before = {"address": "A@127.0.0.1:1", "implementation_version_name": "A_1", "started": "2026-01-02T03:04:05"}
    before |= {"is_of_this_product": False, "compared": 2}
    compared = {**made, "baseline": before, "newly_failing": [], "newly_passing": []}
    sentence = "Baseline: A@127.0.0.1:1 A_1, 2026-01-02 (another product or version): 2 cases compared, none newly"
    assert any(line.startswith(sentence) for line in report_terminal.conclusion(compared))
    compared["newly_failing"] = ["ul.test.bad"]
    assert list(report_terminal.conclusion(compared))[-1] == "Newly failing: ul.test.bad"


def test_a_run_that_decided_nothing_says_so(made):
    nothing = {**made["summary"], "verdicts": {"SKIP": 3, "INCONCLUSIVE": 1}, "required_failures": 0}
    lines = list(report_terminal.conclusion({**made, "summary": nothing}))
    assert lines[0].startswith("Nothing was decided (3 skipped, 1 inconclusive)")


def test_where_nothing_connects_the_product_is_not_available(tmp_path, capsys):
    arguments = ["--port", "0", "--wait", "1", "--case", "dimse.echo.r.basic", "--quiet"]
    assert dulcet(["conform", "scu", *arguments]) == 69
    assert "no product connected" in capsys.readouterr().err


def test_a_product_that_did_not_connect_has_no_name(made):
    nobody = {**made, "product": {**made["product"], "address": "", "observed": {**made["product"]["observed"]}}}
    assert "Conformance of a product that did not connect as acceptor" in to_markdown(nobody)
    assert "<h1>Conformance of a product that did not connect as acceptor</h1>" in to_html(nobody)


def test_reports_are_made_of_a_result(made, tmp_path, capsys):
    result = tmp_path / "result.json"
    result.write_text(document.dump(made))
    files = {name: tmp_path / f"report.{name}" for name in ("junit", "markdown", "html")}
    arguments = [argument for name, path in files.items() for argument in (f"--{name}", str(path))]
    assert dulcet(["conform", "report", str(result), *arguments]) == 0
    assert all(Path(path).stat().st_size for path in files.values())
    assert dulcet(["conform", "report", str(result)]) == 0
    assert "FAIL ul.test.bad" in capsys.readouterr().out
