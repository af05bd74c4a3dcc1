"""--list: every case with what is done, for people and as JSON Lines; names and groups."""

import json
import re

import pytest

from dulcet.cli import run as dulcet
from dulcet.conformance.kit.product import Patience
from dulcet.conformance.kit.reception import Invitation
from dulcet.conformance.kit.runner import Conditions
from dulcet.conformance.kit.scu_session import Listening, title_of
from dulcet.conformance.kit.session import Selection


def listed(capsys, *arguments: str) -> list[str]:
    assert dulcet(["conform", *arguments, "--list"]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("side", ["scp", "scu"])
def test_as_json_each_case_is_a_line(side, capsys):
    lines = listed(capsys, side)
    cases = [json.loads(line) for line in listed(capsys, side, "--json")]
    assert len(cases) == len(lines)
    for case, line in zip(cases, lines, strict=True):
        assert list(case)[:3] == ["v", "ts", "event"]
        assert (case["v"], case["event"]) == (1, "conform.listed")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", case["ts"])
        assert case["id"] in line
        assert case["level"] in line
        assert case["clause"]
        assert case["requirement"]
        assert case["role"] in ("passive", "acceptor" if side == "scp" else "requestor")


@pytest.mark.parametrize("side", ["scp", "scu"])
def test_each_line_says_what_is_done_or_why_nothing(side, capsys):
    clauses = [json.loads(line)["clause"] for line in listed(capsys, side, "--json")]
    for line, clause in zip(listed(capsys, side), clauses, strict=True):
        assert line.partition(clause)[2].strip(), line
    assert any("not played: the kit's TLS library" in line for line in listed(capsys, side, "--case", "tls"))


def test_a_case_of_a_requestor_has_its_title_or_its_port(capsys):
    chosen = ("scu", "--json", "--case", "tls")
    titles = [json.loads(line) for line in listed(capsys, *chosen)]
    assert all(case["called_ae_title"] == title_of(case["id"]) for case in titles)
    ports = [json.loads(line)["port"] for line in listed(capsys, *chosen, "--from-port", "20000")]
    assert ports == list(range(20000, 20000 + len(titles)))


async def test_a_port_is_that_of_the_list_whatever_is_skipped(monkeypatch):
    """Cases that are not played, before one that is, have their ports too."""
    from dulcet.conformance.kit import scu_session

    doors = []

    class Doors(scu_session._Doors):
        async def run(self) -> None:
            doors.append({case.id: port for port, case in self.by_port.items()})

    monkeypatch.setattr(scu_session, "_Doors", Doors)
    await scu_session.test_requestor(
        Invitation(does=("tls",)), Listening(from_port=20000), Conditions(patience=Patience()),
        Selection(prefixes=("dimse.store", "tls")), lambda *_: None, 1,
    )  # fmt: skip
    skipped = 20000 + len([case for case in scu_session.catalogue.requestor_cases() if case.group == "dimse.store"])
    assert min(doors[0].values()) == skipped > 20000


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ul.assoc.r.rq", "a group ends at a dot, cases are ul.assoc.r.rq-"), ("ul.asoc.r", "did you mean 'ul.assoc.r'")],
)
def test_half_a_word_is_no_group(name, hint, capsys):
    assert dulcet(["conform", "scu", "--list", "--case", name]) == 2
    assert hint in " ".join(capsys.readouterr().err.split())


def test_a_group_may_be_said_with_its_dot(capsys):
    assert listed(capsys, "scp", "--case", "ul.release.") == listed(capsys, "scp", "--case", "ul.release")
