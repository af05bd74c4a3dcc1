"""Planted faults: each is found by the case that is meant for it, and no other required case cries wolf."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import trio

from dulcet.conformance.kit.case import Level
from dulcet.conformance.kit.configuration import Declaration
from dulcet.conformance.kit.product import Patience, Product
from dulcet.conformance.kit.result import Run
from dulcet.conformance.kit.runner import Conditions
from dulcet.conformance.kit.session import Selection
from dulcet.conformance.kit.session import test_acceptor as run_on_acceptor
from dulcet.conformance.kit.verdict import Verdict

ACCEPTOR = tuple(Path(__file__).with_name(f"{name}.py") for name in ("kit_acceptor_messages", "kit_acceptor"))
AT_ONCE = 4
PATIENCE = Patience(answer=0.5, settle=0.02, patient=1.5, artim=2.0, artim_declared=True, artim_margin=2.0)
"""Short: the acceptor is in this process."""

CHORUS = (
    "ul.tcp.seg.coalesced",
    "ul.tcp.one-assoc",
    "ul.assoc.rq.minimal",
    "ul.assoc.rq.rsv",
    "ul.assoc.rq.version",
    "ul.assoc.rq.appctx.unknown",
    "ul.assoc.rq.aet.called-leading-space",
    "ul.assoc.rq.pc.same-abstract-twice",
    "ul.assoc.rq.pc.abstract-unknown",
    "ul.assoc.rq.pc.ts-unknown-only",
    "ul.assoc.rq.pc.all-refused",
    "ul.assoc.rq.unknown-item.middle",
    "ul.assoc.rq.order.user-subitems",
    "ul.assoc.rq.role.none",
    "ul.assoc.ac",
    "ul.assoc.rj",
    "ul.release.normal",
    "ul.release.rp-format",
    "ul.release.no-pdata-after-rp",
    "ul.release.acceptor-initiates",
    "ul.abort.user",
    "ul.abort.sta2",
    "ul.abort.format",
    "ul.pdu.type.unknown-sta6.08",
    "ul.pdata.single",
    "ul.pdata.frag-2byte",
    "ul.pdata.mch-high-bits",
    "ul.pdata.pcid-unknown",
    "ul.pdata.data-first",
    "ul.pdata.out",
    "ul.fsm.Sta2.Evt10",
    "ul.fsm.Sta6.Evt3",
    "ul.fsm.Sta6.Evt12",
    "ul.fsm.Sta6.Evt13",
    "dimse.cmd.msgid-0",
    "dimse.cmd.field-unknown",
    "dimse.cmd.out",
    "dimse.echo.basic",
    "dimse.store.basic",
    "dimse.async.no-interleave",
)
"""Played with every mutant: who of these complains without a reason cries wolf."""

MUTANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    # fault: (the case meant for it, what else the fault breaks)
    "64-contexts": ("ul.assoc.rq.pc.128", ()),
    "abort-reason-3": ("ul.abort.format", ()),
    "acceptor-releases": ("ul.release.acceptor-initiates", ("ul.assoc.rq.minimal",)),
    "accepts-again-in-sta6": ("ul.fsm.Sta6.Evt6", ()),
    "answers-abort": ("ul.abort.user", ("ul.abort.sta2",)),
    "answers-on-another-context": ("ul.pdata.out.rsp-same-pcid", ("ul.assoc.rq.pc.same-abstract-twice",)),
    "any-application-context": ("ul.assoc.rq.appctx.unknown", ()),
    "any-context": ("ul.pdata.pcid-unknown", ("ul.pdata.out.pcid-accepted",)),
    "anything-is-success": ("dimse.cmd.field-unknown", ()),
    "closes-silently": ("ul.fsm.Sta2.Evt10", ("ul.pdu.type.unknown-sta6.08", "ul.fsm.Sta6", "ul.pdata")),
    "command-descends": ("dimse.cmd.out.ascending", ()),
    "compares-whole-version": ("ul.assoc.rq.version.0003", ("ul.assoc.rq.version.ffff",)),
    "control-bits-set": ("ul.pdata.out.mch-bits", ()),
    "data-after-release": (
        "ul.release.no-pdata-after-rp",
        ("ul.release.normal", "ul.tcp.one-assoc", "ul.pdata.out.pcid-accepted", "dimse.cmd.out"),
    ),
    "data-on-any-context": ("ul.pdata.pcid-switch", ()),
    "data-set-type-0": (
        "dimse.echo.basic",
        ("dimse.cmd.out.data-set-type", "ul.assoc.rq.minimal", "ul.tcp.seg.coalesced"),
    ),
    "data-without-command": ("ul.pdata.data-first", ()),
    "drops-what-follows-in-a-segment": ("ul.tcp.seg.coalesced", ("ul.pdata.frag-2byte", "dimse.store.basic")),
    "empty-last-item-is-fatal": ("ul.assoc.rq.unknown-item.empty-last", ()),
    "empty-pdv": ("ul.pdata.out.no-empty-pdv", ()),
    "error-comment-too-long": ("dimse.cmd.out.text-length", ()),
    "explicit-command": ("dimse.cmd.ivle-on-evle", ("dimse.cmd.out",)),
    "ignores-peers-limit": ("ul.pdata.maxlen.tiny-8", ()),
    "ignores-release": ("ul.release.normal", ("ul.assoc.rq.minimal",)),
    "ignores-release-rp": ("ul.fsm.Sta6.Evt13", ()),
    "ignores-unknown-pdu": ("ul.pdu.type.unknown-sta6.08", ()),
    "ignores-version": ("ul.assoc.rq.version.0002", ("ul.assoc.rq.version.0000", "ul.assoc.rj.no-pdu-after")),
    "keeps-connection-after-abort": ("ul.abort.user", ()),
    "leading-spaces-count": ("ul.assoc.rq.aet.called-leading-space", ()),
    "message-id-0-is-none": ("dimse.cmd.msgid-0", ()),
    "needs-whole-pdu-in-one-read": (
        "ul.tcp.seg.split-header",
        ("ul.tcp.seg.coalesced", "ul.pdata.frag-2byte", "dimse.store.basic"),
    ),
    "no-artim-in-sta13": ("ul.tcp.artim.after-rp", ()),
    "no-artim-in-sta2": ("ul.tcp.artim.no-rq", ()),
    "no-implementation-class": ("ul.assoc.ac.implclass-one", ()),
    "no-maximum-length": ("ul.pdata.maxlen.2x", ()),
    "no-maximum-length-in-ac": ("ul.assoc.ac.maxlen-one", ()),
    "no-result-for-refused": (
        "ul.assoc.ac.results-one-to-one",
        ("ul.assoc.rq.pc", "ul.assoc.ac.items-count"),
    ),
    "no-syntax-for-refused": ("ul.assoc.ac.rejected-ts-present", ()),
    "numbers-results-itself": ("ul.assoc.ac.results-one-to-one", ("ul.assoc.rq.pc.all-refused",)),
    "odd-element": ("dimse.cmd.out.even", ("ul.pdata.out.even",)),
    "odd-fragments": ("ul.pdata.out.even", ()),
    "one-fragment-only": ("ul.pdata.frag-2byte", ()),
    "pads-uids": ("ul.assoc.ac.uid-no-padding", ()),
    "rejection-reserved-octet": ("ul.assoc.rj.length", ()),
    "rejection-reserved-reason": ("ul.assoc.rj.tuple", ("ul.assoc.rq.version", "ul.assoc.rq.appctx.unknown")),
    "release-rp-reserved": ("ul.release.rp-format", ()),
    "reserved-not-echoed": ("ul.assoc.rq.rsv.43-74", ("ul.assoc.ac.reserved-echo",)),
    "reserved-not-zero": ("ul.assoc.ac.rsv-zero", ()),
    "result-9": ("ul.assoc.ac.result-values", ("ul.assoc.rq.pc",)),
    "role-upgrade": ("ul.assoc.rq.role.scu-only", ()),
    "second-association": ("ul.tcp.one-assoc", ()),
    "silent-on-unexpected": ("ul.fsm.Sta2.Evt10", ()),
    "sta2-source-2": ("ul.fsm.Sta2.Evt10", ()),
    "sta6-source-0": ("ul.fsm.Sta6.Evt3", ("ul.fsm.Sta6.Evt13",)),
    "status-missing": ("dimse.cmd.out.required", ("dimse.echo.basic",)),
    "sub-items-must-ascend": ("ul.assoc.rq.order.user-subitems", ()),
    "success-before-the-end": ("dimse.store.success-after-data", ()),
    "swaps-3-and-4": ("ul.assoc.rq.pc.abstract-unknown", ("ul.assoc.rq.pc.ts-unknown-only",)),
    "takes-what-was-not-offered": ("ul.assoc.ac.ts-one-from-offer", ()),
    "tests-control-bits": ("ul.pdata.mch-high-bits", ()),
    "tests-reserved": ("ul.assoc.rq.rsv.byte2", ()),
    "tests-reserved-of-items": ("ul.assoc.rq.rsv.items", ()),
    "unknown-item-is-fatal": ("ul.assoc.rq.unknown-item.middle", ()),
    "unknown-status": ("dimse.cmd.out.status", ("dimse.echo.basic", "dimse.store.basic")),
    "unknown-sub-item-is-fatal": ("ul.assoc.rq.unknown-user-subitem", ()),
    "unsolicited-window": ("ul.assoc.ac.no-unsolicited", ()),
    "version-name-17": ("ul.assoc.ac.implver", ()),
    "window-too-large": ("ul.assoc.rq.async.offer-3-1", ()),
    "wrong-group-length": ("dimse.cmd.out.group-length", ()),
    "wrong-message-id": ("dimse.echo.basic", ("ul.assoc.rq.minimal", "dimse.cmd.out.message-id", "dimse.store.basic")),
    "wrong-reason-for-version": ("ul.assoc.rq.version.0002", ("ul.assoc.rq.version.0000",)),
}

ELSEWHERE = {"dies-of-abort", "talks-first"}
"""Faults with tests of their own."""


async def run_against(
    kit_acceptor: ModuleType,
    *faults: str,
    cases: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    recovery_seconds: float = 5.0,
) -> Run:
    """Run the kit against an acceptor with these faults, on cases with these prefixes."""
    acceptor = kit_acceptor.Acceptor(frozenset(faults), artim=PATIENCE.artim)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, acceptor.serve, listeners)
        port: int = listeners[0].socket.getsockname()[1]
        run = await run_on_acceptor(
            Product(host="127.0.0.1", port=port, called="MUTANT", promiscuous=False, parallel=12),
            Declaration(claims={"find": False}),
            Conditions(patience=PATIENCE, recovery_seconds=recovery_seconds),
            Selection(prefixes=cases, without=without),
            lambda *_: None,
        )
        nursery.cancel_scope.cancel()
    return run


def test_every_switch_of_the_acceptor_is_tried():
    switches = {word for path in ACCEPTOR for word in re.findall(r'has\("([a-z0-9-]+)"\)', path.read_text())}
    assert switches == set(MUTANTS) | ELSEWHERE


@pytest.fixture(scope="module")
def kit_acceptor() -> ModuleType:
    """The module with the faulty acceptor; what it imports is loaded before it."""
    for path in ACCEPTOR:
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[spec.name] = module  # for the import, and for dataclasses, which look their module up
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def runs(kit_acceptor, planted) -> dict[str, Run]:
    """Every mutant's."""
    return planted.runs(
        MUTANTS, AT_ONCE, lambda fault: run_against(kit_acceptor, fault, cases=(*CHORUS, MUTANTS[fault][0]))
    )


@pytest.mark.parametrize("fault", MUTANTS)
def test_a_fault_is_found_where_it_is(fault, runs, planted):
    planted.is_found(runs[fault], *MUTANTS[fault])


async def test_without_a_fault_no_required_case_complains(kit_acceptor):
    run = await run_against(kit_acceptor, without=("ul.tcp.seg.1byte",))
    assert run.required_failures == []
    assert [result.case.id for result in run.failures if result.case.level is Level.RECOMMENDED] == []
    assert len([result for result in run.results if result.verdict is Verdict.PASS]) > 250


async def test_a_product_that_dies_is_named_with_its_case(kit_acceptor):
    cases = ("ul.abort.user", "dimse.echo.basic")
    run = await run_against(kit_acceptor, "dies-of-abort", cases=cases, recovery_seconds=0.5)
    assert "ul.abort.user" in run.died_in
