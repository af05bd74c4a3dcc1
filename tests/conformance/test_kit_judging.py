"""How the kit judges: patterns, verdicts, clauses, command sets, claims, selection."""

import pytest

from dulcet.conformance.kit.case import Case, Level, Role
from dulcet.conformance.kit.clause import link
from dulcet.conformance.kit.command_set import element, encode, joined, parse
from dulcet.conformance.kit.exchange import MAX_KEPT_OCTETS, Kind, Wire
from dulcet.conformance.kit.outcome import Outcome, matches, of_pdu
from dulcet.conformance.kit.passive import Traffic
from dulcet.conformance.kit.preflight import claims_of
from dulcet.conformance.kit.result import Observed
from dulcet.conformance.kit.scu_session import title_of
from dulcet.conformance.kit.session import Selection
from dulcet.conformance.kit.stimuli import abort, message, p_data, pdv, rejection
from dulcet.conformance.kit.tls_octets import TLS_1_1, client_hello, offered_versions
from dulcet.conformance.kit.verdict import Verdict, ending, judge
from dulcet.conformance.kit.visit import Problem, echo_rq


def a_case(*allowed: str, level: Level = Level.REQUIRED, **more: object) -> Case:
    return Case(
        id="ul.test.case", requirement="It is.", stimulus="this", clause="PS3.8 9.3.2", level=level, role=Role.ACCEPTOR,
        allowed=allowed, **more,  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "pattern", "fits"),
    [
        (Outcome("AC", (0,)), "AC", True),
        (Outcome("AC", (0,)), "AC(0)", True),
        (Outcome("AC", (0, 3)), "AC(0)", False),
        (Outcome("AC", (3, 4)), "AC(!0)", True),
        (Outcome("AC"), "AC(!0)", False),
        (Outcome("AC"), "AC()", True),
        (Outcome("RJ", (1, 2, 2)), "RJ(1,2,2)", True),
        (Outcome("RJ", (2, 3, 1)), "RJ(2,3,1|2)", True),
        (Outcome("RJ", (2, 3, 3)), "RJ(2,3,1|2)", False),
        (Outcome("ABORT", (2, 5)), "ABORT2", True),
        (Outcome("ABORT", (0, 0)), "ABORT2", False),
        (Outcome("RST"), "CLOSE", True),
        (Outcome("CLOSE"), "RST", False),
        (Outcome("RSP", (0xB006,)), "RSP(0000|Bxxx)", True),
        (Outcome("RSP", (0x0122,)), "RSP(0000|Bxxx)", False),
        (Outcome("RSP", ()), "RSP(0000)", False),
        (Outcome("SILENCE"), "SAFE", False),
    ],
)
def test_a_pattern_fits(outcome, pattern, fits):
    assert matches(outcome, (pattern,)) is fits


def test_what_is_no_pattern_is_an_error():
    with pytest.raises(ValueError, match="no pattern"):
        matches(Outcome("AC"), ("ac?",))


@pytest.mark.parametrize(
    ("allowed", "outcome", "verdict", "code"),
    [
        (("ABORT2",), Outcome("ABORT", (2, 1)), Verdict.PASS, ""),
        (("ABORT2",), Outcome("ABORT", (0, 0)), Verdict.WARN, "ABORT_WRONG_SOURCE"),
        (("ABORT2",), Outcome("CLOSE"), Verdict.WARN, "CLOSED_SILENTLY"),
        (("ABORT2",), Outcome("RST"), Verdict.WARN, "CLOSED_SILENTLY(RST)"),
        (("ABORT2",), Outcome("SILENCE"), Verdict.FAIL, "HANG"),
        (("ABORT2",), Outcome("AC", (0,)), Verdict.FAIL, "ACCEPTED_INVALID"),
        (("ABORT2",), Outcome("GARBAGE"), Verdict.FAIL, "MALFORMED_PDU"),
        (("RJ(1,2,2)",), Outcome("RJ", (1, 1, 1)), Verdict.WARN, "WRONG_REJECTION"),
        (("AC(0)",), Outcome("RJ", (1, 1, 7)), Verdict.FAIL, "REFUSED_VALID"),
        (("AC(0)",), Outcome("ABORT", (0, 0)), Verdict.FAIL, "ABORTED"),
        (("AC(0)",), Outcome("CLOSE"), Verdict.FAIL, "CLOSED"),
        (("AC(3)",), Outcome("AC", (0,)), Verdict.FAIL, "WRONG_RESULT"),
        (("RSP(0000)",), Outcome("RSP", (0xC000,)), Verdict.FAIL, "WRONG_STATUS"),
    ],
)
def test_a_verdict_and_its_code(allowed, outcome, verdict, code):
    judgement = judge(a_case(*allowed), outcome, [])
    assert (judgement.verdict, judgement.code) == (verdict, code)


def test_a_race_is_inconclusive_and_information_never_fails():
    assert judge(a_case("AC", timing=True), Outcome("SILENCE"), []).verdict is Verdict.INCONCLUSIVE
    informational = a_case("AC", level=Level.INFORMATIONAL)
    assert judge(informational, Outcome("SILENCE"), []).verdict is Verdict.WARN
    assert judge(informational, Outcome("AC"), [Problem("WRONG_UID", "of another")]).verdict is Verdict.WARN


def test_a_problem_fails_what_would_pass():
    fault, doubt = Problem("NOT_ECHOED", "octets differ"), Problem("ODD", "odd", is_warning=True)
    assert judge(a_case("AC"), Outcome("AC", (0,)), [doubt, fault]).code == "NOT_ECHOED"
    assert judge(a_case("AC"), Outcome("AC", (0,)), [doubt]).verdict is Verdict.WARN


def test_an_outcome_quotes_what_it_shows():
    assert str(of_pdu(rejection(1, 1, 7))) == "RJ(1,1,7)"
    assert "called-AE-title-not-recognized" in of_pdu(rejection(1, 1, 7)).explain()
    assert str(of_pdu(abort(2, 6))) == "ABORT(2,6)"
    assert of_pdu(b"HTTP/1.1 400\r\n").word == "GARBAGE"


@pytest.mark.parametrize(
    ("clause", "page"),
    [
        ("PS3.8 9.3.2", "part08/sect_9.3.2.html"),
        ("PS3.8 Table 9-17", "part08/sect_9.3.3.html"),
        ("PS3.8 Annex F", "part08/chapter_F.html"),
        ("PS3.8 D.1", "part08/sect_D.1.html"),
        ("PS3.7 Table 9.3-1", "part07/sect_9.3.1.1.html"),
        ("PS3.15 B.12", "part15/sect_B.12.html"),
        ("PS3.8 Table 9-10", "part08/sect_9.2.3.html"),
    ],
)
def test_a_clause_has_its_page(clause, page):
    assert link(clause).endswith(page)


def test_a_command_set_is_kept_as_it_stands():
    octets = joined((element(0x0110, 7), element(0x0100, 0x30)))
    command = parse(octets)
    assert [found.tag for found in command.elements] == [0x0000, 0x0110, 0x0100]
    assert (command.field, command.number(0x0110), command.fault) == (0x30, 7, "")
    assert parse(octets[:-1]).fault
    assert parse(encode({0x0100: 0x30, 0x0002: "1.2.840.10008.1.1"})).text(0x0002) == "1.2.840.10008.1.1"


def test_traffic_is_cut_into_pdus_however_it_came():
    wire = Wire(1)
    octets = message(1, echo_rq(1)) + p_data(pdv(1, 3, b"\0\0"))
    for index in range(len(octets)):
        wire.add(float(index), Kind.RECEIVED, octets[index : index + 1])
    assert [passed.octets for passed in Traffic(wire).of_product(0x04)] == [octets[:-14], octets[-14:]]


def test_much_data_is_counted_and_not_kept():
    wire = Wire(1)
    wire.add(0.0, Kind.SENT, bytes(MAX_KEPT_OCTETS))
    wire.add(0.1, Kind.SENT, bytes(1000))
    assert len(wire.octets(Kind.SENT)) == MAX_KEPT_OCTETS
    assert not wire.is_whole


def test_how_a_connection_ended():
    wire = Wire(1)
    wire.add(0.0, Kind.CONNECTED)
    wire.add(1.0, Kind.SENT, b"\1")
    assert ending([wire]).code == "NONE"
    wire.add(1.5, Kind.FIN)
    assert (ending([wire]).code, ending([wire]).seconds) == ("CLEAN", 0.5)
    assert ending([]).code == "NONE"


def test_claims_are_declared_or_observed():
    observed = Observed(contexts={"1.2.840.10008.1.1": (0, ""), "1.2.840.10008.5.1.4.1.1.2": (3, "")})
    assert claims_of(observed, {}) == {"verification": "observed"}
    assert claims_of(observed, {"verification": False, "storage": True}) == {"storage": "declared"}


def test_a_selection_takes_groups_and_levels():
    case = a_case("AC")
    assert Selection(prefixes=("ul.test",)).wants(case)
    assert not Selection(prefixes=("ul.tes",)).wants(case)
    assert not Selection(without=("ul",)).wants(case)
    assert not Selection(levels=(Level.ROBUSTNESS,)).wants(case)


def test_a_title_chooses_a_case_and_stays_the_same():
    assert title_of("dimse.echo.r.basic") == "K3B3C6C7C"


def test_a_client_hello_tells_its_versions():
    assert offered_versions(client_hello(TLS_1_1, (0x002F,))) == {TLS_1_1}
    assert offered_versions(b"\1\0\0\0\0\x44") == set()
