"""The kit against real products: what it says of them is what the standard says."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dulcet.cli import run as dulcet
from dulcet.conformance.kit.scu_session import title_of
from dulcet.conformance.peers import dcmtk
from dulcet.conformance.peers.address import LOOPBACK, PeerAddress, free_port
from dulcet.conformance.peers.process import executable

SECONDS = 120


def conform(arguments: list[str], directory: Path) -> tuple[int, dict[str, dict[str, object]]]:
    """The exit code, and the cases by id."""
    output = directory / "result.json"
    code = dulcet(["conform", *arguments, "--quiet", "--output", str(output)])
    return code, {case["id"]: case for case in json.loads(output.read_text())["cases"]}


@pytest.fixture(scope="module")
def storescp(need) -> Iterator[PeerAddress]:
    need("storescp")
    with dcmtk.storescp("+xa", "--fork") as peer:
        yield peer.address


def test_dcmtk_as_acceptor(storescp, tmp_path, capsys):
    """Octets 43-74 are not echoed (PS3.8 Table 9-17); nothing else that is required fails in these groups."""
    groups = ["ul.assoc.rq.rsv", "ul.assoc.rq.version", "ul.assoc.rq.unknown-item", "ul.assoc.rq.appctx", "ul.abort"]
    groups += ["ul.release", "ul.pdata.frag-2byte", "ul.fsm.Sta6", "dimse.echo", "dimse.store", "dimse.cmd"]
    arguments = [argument for group in groups for argument in ("--case", group)]
    code, cases = conform(["scp", str(storescp), "--level", "required", *arguments], tmp_path)
    assert code == 1
    failed = {case_id for case_id, case in cases.items() if case["verdict"] == "FAIL"}
    assert failed == {"ul.assoc.rq.rsv.43-74"}
    assert "1 required case failed" in capsys.readouterr().out


def test_a_baseline_names_what_is_new(storescp, tmp_path, capsys):
    arguments = ["scp", str(storescp), "--case", "ul.assoc.rq.rsv"]
    _, cases = conform(arguments, tmp_path)
    earlier = json.loads((tmp_path / "result.json").read_text())
    for case in earlier["cases"]:
        case["verdict"] = "PASS"
    (tmp_path / "earlier.json").write_text(json.dumps(earlier))
    dulcet(["conform", *arguments, "--baseline", str(tmp_path / "earlier.json")])
    assert "Newly failing: ul.assoc.rq.rsv.43-74" in capsys.readouterr().out
    assert cases["ul.assoc.rq.rsv.43-74"]["code"] == "NOT_ECHOED"


def test_a_waiver_excuses(storescp, tmp_path):
    waivers = tmp_path / "waivers.toml"
    waivers.write_text('[[waiver]]\nid = "ul.assoc.rq.rsv.43-74"\nreason = "known"\n')
    code, cases = conform(["scp", str(storescp), "--case", "ul.assoc.rq.rsv", "--waivers", str(waivers)], tmp_path)
    assert code == 0
    assert cases["ul.assoc.rq.rsv.43-74"]["verdict"] == "FAIL"


def test_a_dissector_reads_the_captures(need, storescp, tmp_path):
    need("tshark")
    conform(["scp", str(storescp), "--case", "dimse.echo.basic", "--pcap-dir", str(tmp_path)], tmp_path)
    command = [executable("tshark"), "-r", str(tmp_path / "dimse.echo.basic.pcapng"), "-d", "tcp.port==104,dicom"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    for words in ("A-ASSOCIATE request", "A-ASSOCIATE accept", "C-ECHO-RQ", "C-ECHO-RSP ID=1 (Success)", "A-RELEASE"):
        assert words in shown


def test_dcmtk_as_requestor(need, tmp_path):
    """Octet 7 of the Presentation Context Item is FFH (PS3.8 Table 9-13: 00H)."""
    need("echoscu")
    groups = ["ul.assoc.r", "ul.release.r.rq-format", "dimse.echo.r.basic", "ul.pdata.out", "dimse.cmd.out"]
    arguments = [argument for group in groups for argument in ("--case", group)]
    code, cases = conform(["scu", "--exec", "echoscu {host} {port} -aec {aet}", *arguments], tmp_path)
    assert code == 1
    failed = {case_id for case_id, case in cases.items() if case["verdict"] == "FAIL"}
    assert failed == {"ul.assoc.r.rq-wellformed"}
    assert "octets 6-8 of item 20H is 00 ff 00" in str(cases["ul.assoc.r.rq-wellformed"]["explanation"])
    assert cases["ul.assoc.r.ac-results-shuffled"]["verdict"] == "PASS"


@pytest.mark.parametrize("door", ["title", "port"])
def test_people_start_the_product(door, need, tmp_path):
    """Without a command the called AE title, or the port, chooses the case."""
    need("echoscu")
    port, case_id = free_port(), "dimse.echo.r.basic"
    title = title_of(case_id) if door == "title" else "ANY"
    where = ["--port", str(port)] if door == "title" else ["--from-port", str(port)]
    output = tmp_path / "result.json"
    command = [sys.executable, "-m", "dulcet", "conform", "scu", *where, "--case", case_id, "--wait", "60", "-q"]
    with subprocess.Popen([*command, "--output", str(output)], stdout=subprocess.DEVNULL) as kit:
        deadline = time.monotonic() + SECONDS
        echo = [executable("echoscu"), "-aec", title, LOOPBACK, str(port)]
        while subprocess.run(echo, capture_output=True, timeout=SECONDS, check=False).returncode:
            assert time.monotonic() < deadline
            assert kit.poll() is None
        assert kit.wait(SECONDS) == 0
    (case,) = json.loads(output.read_text())["cases"]
    assert (case["id"], case["verdict"]) == (case_id, "PASS")
