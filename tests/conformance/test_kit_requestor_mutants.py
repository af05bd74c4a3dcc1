"""Planted faults in a product that connects: each is found by the case meant for it, and nothing else complains."""

import re
import sys
from pathlib import Path

import pytest

from dulcet.conformance.kit.product import Patience
from dulcet.conformance.kit.reception import Invitation
from dulcet.conformance.kit.result import Run
from dulcet.conformance.kit.runner import Conditions
from dulcet.conformance.kit.scu_session import Listening
from dulcet.conformance.kit.scu_session import test_requestor as run_on_requestor
from dulcet.conformance.kit.session import Selection
from dulcet.conformance.kit.verdict import Verdict

REQUESTOR = Path(__file__).with_name("kit_requestor.py")
PATIENCE = Patience(answer=3.0, settle=0.1, patient=6.0, artim=1.0)
PROCESSES = 4

CHORUS = (
    "ul.assoc.r.rq-wellformed",
    "ul.assoc.r.rq-subitems-unique",
    "ul.release.r.rq-format",
    "ul.pdata.out",
    "dimse.cmd.out",
    "ul.abort.format",
    "dimse.echo.r.basic",
)
MUTANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "aborts-after-rejection": ("ul.assoc.r.rj.each-legal.1-1-1", ()),
    "aborts-as-user": ("ul.fsm.Sta5.Evt6", ()),
    "aborts-first": ("ul.fsm.Sta4.Evt2", ()),
    "answers-abort": ("ul.abort.r.after-rq", ()),
    "any-message-id": ("dimse.echo.r.wrong-msgid", ()),
    "closes-after-collision": ("ul.fsm.Sta7.Evt12", ()),
    "closes-on-late-data": ("ul.fsm.Sta7.Evt10", ("ul.release.r.pdata-before-rp",)),
    "closes-silently": ("ul.fsm.Sta5.Evt19", ("ul.fsm.Sta5.Evt19",)),
    "control-bits-set": ("ul.pdata.out.mch-bits", ()),
    "even-context-id": ("ul.assoc.r.rq-wellformed", ("dimse.echo.r.basic", "ul.pdata.out.pcid-accepted")),
    "exit-code-always-0": ("ul.abort.r.mid-op", ()),
    "failure-is-success": ("dimse.echo.r.failure.0122", ()),
    "ignores-limit": ("ul.pdata.maxlen.tiny-8", ()),
    "ignores-unexpected": ("ul.fsm.Sta5.Evt6", ()),
    "no-collision": ("ul.fsm.Sta7.Evt12", ()),
    "no-maximum-length": ("ul.assoc.r.rq-wellformed", ()),
    "no-message-id": ("dimse.cmd.out.required", ("dimse.echo.r.basic",)),
    "pads-uids": ("ul.assoc.r.rq-wellformed", ()),
    "release-reserved": ("ul.release.r.rq-format", ()),
    "releases-early": ("ul.release.r.outstanding", ("dimse.echo.r.basic",)),
    "reserved-not-zero": ("ul.assoc.r.rq-wellformed", ()),
    "tests-echoed-title": ("ul.assoc.r.ac-reserved-zeroed", ()),
    "two-maximum-lengths": ("ul.assoc.r.rq-subitems-unique", ()),
    "unknown-item-is-fatal": ("ul.assoc.r.ac-unknown-items", ()),
    "uses-refused-context": ("ul.assoc.r.ac-all-refused", ("ul.pdata.out.pcid-accepted",)),
}


ELSEWHERE = {"tells-in-words"}
"""No fault: how the exit code is taken beside what a command writes."""


async def run_against(
    *faults: str, cases: tuple[str, ...] = (), without: tuple[str, ...] = (), exit_code_tells: bool = True
) -> Run:
    command = f"{sys.executable} -S -E {REQUESTOR} {{host}} {{port}} {{aet}} {' '.join(faults)}"
    return await run_on_requestor(
        Invitation(commands={"echo": command}, does=("echo",), exit_code_tells=exit_code_tells),
        Listening(),
        Conditions(patience=PATIENCE),
        Selection(prefixes=cases, without=without),
        lambda *_: None,
        PROCESSES,
    )


def test_every_switch_of_the_requestor_is_tried():
    assert set(re.findall(r'has\("([a-z0-9-]+)"\)', REQUESTOR.read_text())) == set(MUTANTS) | ELSEWHERE


@pytest.fixture(scope="module")
def runs(planted) -> dict[str, Run]:
    return planted.runs(MUTANTS, PROCESSES, lambda fault: run_against(fault, cases=(*CHORUS, MUTANTS[fault][0])))


@pytest.mark.parametrize("fault", MUTANTS)
def test_a_fault_is_found_where_it_is(fault, runs, planted):
    planted.is_found(runs[fault], *MUTANTS[fault])


async def test_without_a_fault_nothing_complains(planted):
    run = await run_against(without=("ul.tcp.r.no-answer", "ul.release.r.no-rp", "dimse.echo.r.no-reply"))
    assert planted.complaints(run) - {"ul.fsm.Sta6.Evt12"} == set()  # an A-ABORT there is tolerated
    assert len([result for result in run.results if result.verdict is Verdict.PASS]) > 80


@pytest.mark.parametrize(
    ("faults", "verdict"), [((), Verdict.WARN), (("tells-in-words",), Verdict.PASS)], ids=["nothing", "in words"]
)
async def test_a_failure_is_told_by_exit_code_or_in_words(faults, verdict):
    run = await run_against("exit-code-always-0", *faults, cases=("ul.abort.r.mid-op",), exit_code_tells=False)
    assert [result.verdict for result in run.results] == [verdict]
