"""A command that ends without having connected: the kit says what it said, and does not wait for it 209 times."""

import json
import shlex
import sys

import pytest
import trio

from dulcet.cli import run as dulcet
from dulcet.conformance.kit.product import Patience
from dulcet.conformance.kit.reception import Invitation
from dulcet.conformance.kit.result import CaseResult, Run
from dulcet.conformance.kit.runner import Conditions
from dulcet.conformance.kit.scu_session import Listening
from dulcet.conformance.kit.scu_session import test_requestor as run_on_requestor
from dulcet.conformance.kit.session import Selection
from dulcet.errors import PeerUnavailableError

SECONDS = 30  # less than the kit waits for a connection
FAILS = "import sys; print('a first line', flush=True); print('unknown option', file=sys.stderr); sys.exit(3)"
SAYS = "the command ended with 3 and did not connect: a first line / unknown option"
ONE_CASE = "dimse.echo.r.basic"


def python(code: str) -> str:
    return f"{shlex.quote(sys.executable)} -S -E -c {shlex.quote(code)}"


async def run_with(
    code: str, *cases: str, connect_seconds: float = 60.0, played: list[CaseResult] | None = None
) -> Run:
    invitation = Invitation(commands={"echo": python(code)}, connect_seconds=connect_seconds)
    conditions = Conditions(patience=Patience(answer=0.5, patient=1.0, settle=0.1, artim=1.0))

    def progress(result: CaseResult, finished: int, total: int) -> None:
        if played is not None and result.attempts:
            played.append(result)

    with trio.fail_after(SECONDS):
        return await run_on_requestor(invitation, Listening(), conditions, Selection(prefixes=cases), progress, 2)


async def test_the_reason_has_the_exit_code_and_the_last_words_and_is_not_played_again():
    (result,) = (await run_with(FAILS, ONE_CASE)).results
    assert (result.verdict.value, result.judgement.code) == ("INCONCLUSIVE", "NOT_CONNECTED")
    assert result.judgement.explanation == SAYS
    assert result.attempts == 1


async def test_a_bare_connection_is_not_waited_for_either():
    code = "import os; os.kill(os.getpid(), 9)"
    invitation = Invitation(commands={"tls": python(code)}, does=("tls",), connect_seconds=60)
    conditions, selection = Conditions(patience=Patience()), Selection(prefixes=("tls.cert.expired",))
    with trio.fail_after(SECONDS):
        run = await run_on_requestor(invitation, Listening(), conditions, selection, lambda *_: None, 1)
    explanation = "the command was killed by signal 9 and did not connect: it wrote nothing"
    assert [result.judgement.explanation for result in run.results] == [explanation]


async def test_a_command_that_ended_well_may_have_set_a_product_going_elsewhere():
    (result,) = (await run_with("pass", ONE_CASE, connect_seconds=3.5)).results
    assert result.seconds >= 3.5
    assert result.judgement.explanation == "the command ended with 0 and did not connect: it wrote nothing"


async def test_three_such_cases_end_the_run():
    played: list[CaseResult] = []
    with pytest.raises(PeerUnavailableError, match=SAYS):
        await run_with(FAILS, "ul", "dimse", played=played)
    assert 3 <= len(played) < 20


async def test_a_product_that_connected_once_is_played_to_the_end(tmp_path):
    """It connects for the first case and never again: what fails then ends no run."""
    marker = tmp_path / "connected"
    code = f"import pathlib, socket, sys; marker = pathlib.Path({str(marker)!r})\n"
    code += "if marker.exists(): sys.exit(3)\n"
    code += "marker.touch(); socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()"
    invitation = Invitation(commands={"echo": f"{python(code)} {{host}} {{port}}"}, connect_seconds=60)
    conditions, selection = (
        Conditions(confirm=False),
        Selection(prefixes=("ul.fsm.Sta5.Evt3", "ul.fsm.Sta5.Evt4", "ul.fsm.Sta5.Evt6", "ul.fsm.Sta5.Evt10")),
    )
    with trio.fail_after(2 * SECONDS):
        run = await run_on_requestor(invitation, Listening(), conditions, selection, lambda *_: None, 1)
    assert [result.judgement.code for result in run.results][1:4] == ["NOT_CONNECTED"] * 3


def test_a_json_line_is_as_those_of_the_other_commands(capsys):
    arguments = ["conform", "scu", "--json", "--case", ONE_CASE, "--exec", python(FAILS), "--no-confirm"]
    assert dulcet(arguments) == 69
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["conform.case", "conform.summary"]
    assert all(list(line)[:3] == ["v", "ts", "event"] and line["v"] == 1 and line["ts"].endswith("Z") for line in lines)


def test_the_command_line_says_so_and_ends_with_69(capsys):
    assert dulcet(["conform", "scu", "--quiet", "--exec", python(FAILS)]) == 69
    assert capsys.readouterr().err == f"dulcet: {SAYS}\n"
    assert dulcet(["conform", "scu", "--quiet", "--case", ONE_CASE, "--exec", python(FAILS)]) == 69
    assert capsys.readouterr().err == f"dulcet: no product connected to the kit: {SAYS}\n"
