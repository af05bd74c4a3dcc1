"""A run that a signal ends: what was played is reported, and nobody is accused of what was not confirmed."""

import json
import shlex
import signal
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trio

from dulcet.cli import run as dulcet
from dulcet.commands import conform_reports
from dulcet.conformance.kit import document, report_matrix, report_terminal
from dulcet.conformance.kit.product import Patience
from dulcet.conformance.kit.reception import Invitation
from dulcet.conformance.kit.result import CaseResult, Run
from dulcet.conformance.kit.runner import Conditions
from dulcet.conformance.kit.scu_session import Listening
from dulcet.conformance.kit.scu_session import test_requestor as run_on_requestor
from dulcet.conformance.kit.session import Selection
from dulcet.conformance.peers.address import LOOPBACK, free_port

REQUESTOR = Path(__file__).with_name("kit_requestor.py")
COMMAND = f"{shlex.quote(sys.executable)} -S -E {shlex.quote(str(REQUESTOR))} {{host}} {{port}} {{aet}}"
CASES = ("ul.assoc.r.rj.each-legal",)
SECONDS = 30


@pytest.fixture
def signalled(monkeypatch) -> list[signal.Signals]:
    """The signals that come with the first result, put in by the test."""
    numbers: list[signal.Signals] = []
    progress = conform_reports.Reporter.progress

    def and_signal(self: conform_reports.Reporter, result: CaseResult, finished: int, total: int) -> None:
        progress(self, result, finished, total)
        if finished == 1:
            signal.raise_signal(numbers[0])

    monkeypatch.setattr(conform_reports.Reporter, "progress", and_signal)
    return numbers


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_played_is_written(number, code, signalled, tmp_path, capsys):
    signalled.append(number)
    files = {name: tmp_path / f"result.{name}" for name in ("output", "junit", "markdown", "html")}
    arguments = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    arguments += ["--exec", COMMAND, "--parallel", "1", "--case", CASES[0]]
    assert dulcet(["conform", "scu", *arguments]) == code
    said = capsys.readouterr()
    assert said.err == "dulcet: interrupted\n"
    made = document.load(files["output"])
    assert made["cases"]
    assert made["interrupted"]["not_played"] > 0
    assert made["interrupted"]["by"] == number.name
    sentence = f"Interrupted by {number.name}: {made['interrupted']['not_played']} cases were not played."
    assert sentence in said.out
    assert sentence in files["markdown"].read_text()
    assert sentence in files["html"].read_text()
    properties = {
        each.attrib["name"]: each.attrib["value"] for each in ElementTree.parse(files["junit"]).iter("property")
    }
    assert properties["interrupted_by"] == number.name
    assert dulcet(["conform", "report", str(files["output"])]) == 0
    assert sentence in capsys.readouterr().out
    assert ", interrupted)" in report_matrix.to_markdown([made, made])


def test_json_lines_say_it_too(signalled, capsys):
    signalled.append(signal.SIGTERM)
    arguments = ["--exec", COMMAND, "--parallel", "1", "--case", CASES[0], "--json"]
    assert dulcet(["conform", "scu", *arguments]) == 143
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["interrupted"]["by"] == "SIGTERM"


def test_before_the_first_case_there_is_a_result_too(monkeypatch, tmp_path):
    """The kit looks at the product, which answers nothing."""
    from dulcet.conformance.kit import session

    async def look_at(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await trio.sleep_forever()

    monkeypatch.setattr(session, "look_at", look_at)
    path = tmp_path / "result.json"
    assert dulcet(["conform", "scp", f"A@{LOOPBACK}:{free_port()}", "--output", str(path)]) == 130
    made = document.load(path)
    assert made["interrupted"]["not_played"] > 300
    assert {case["verdict"] for case in made["cases"]} == {"SKIP"}  # what is looked at in passing
    assert "Nothing was decided" in "\n".join(report_terminal.conclusion(made))


async def stopped(faults: str, stop_at: int, cases: tuple[str, ...]) -> Run:
    """A run with a faulty requestor, stopped when its command is started for the so many-th time."""
    stop, started = trio.CancelScope(), []

    class Counted(dict[str, str]):
        def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
            started.append(key)
            if len(started) == stop_at:
                stop.cancel()
            return super().get(key, default)

    invitation = Invitation(commands=Counted(echo=f"{COMMAND} {faults}"))
    conditions = Conditions(patience=Patience(answer=0.5, patient=1.0, settle=0.1), stop=stop)
    with trio.fail_after(SECONDS):
        return await run_on_requestor(
            invitation, Listening(), conditions, Selection(prefixes=cases), lambda *_: None, 1
        )


async def test_a_failure_that_was_not_confirmed_accuses_nobody():
    case_id = "ul.abort.r.after-rq"
    run = await stopped("answers-abort", 2, (case_id,))
    result = next(result for result in run.results if result.case.id == case_id)
    assert (result.verdict.value, result.judgement.code) == ("INCONCLUSIVE", "INTERRUPTED")
    assert result.first is not None
    assert result.first.verdict.value == "FAIL"
    assert run.not_played == 0


async def test_the_product_s_process_ends_with_the_run():
    """It would go on for a minute."""
    processes: list[trio.Process] = []
    opened = trio.lowlevel.open_process
    stop = trio.CancelScope()

    async def open_process(*arguments: object, **options: object) -> trio.Process:
        process: trio.Process = await opened(*arguments, **options)  # type: ignore[arg-type]
        processes.append(process)
        stop.cancel()
        return process

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trio.lowlevel, "open_process", open_process)
        command = f"{shlex.quote(sys.executable)} -S -E -c 'import time; time.sleep(60)'"
        with trio.fail_after(SECONDS):
            run = await run_on_requestor(
                Invitation(commands={"echo": command}), Listening(), Conditions(stop=stop),
                Selection(prefixes=CASES), lambda *_: None, 2,
            )  # fmt: skip
    assert processes
    assert all(process.returncode is not None for process in processes)
    assert run.results == []
    assert run.not_played > 0
