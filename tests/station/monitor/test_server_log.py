"""The log of a server: known events, quoted strings, a few lines for each peer, and never in anybody's way."""

import ast
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import dulcet
from dulcet.services.admission import Admission
from dulcet.services.limits import Limits
from dulcet.services.storage import StorageOptions
from dulcet.station.monitor.metrics import FAMILIES
from dulcet.station.server_log import ERRORS, EVENTS, KEPT_ERRORS, MAX_LINES, Log
from dulcet.station.server_settings import ServerSettings

ROOT = Path(dulcet.__file__).parent
PAGE = ROOT / "docs" / "operators.md"
TELLERS = {"_log", "_tell", "tell", "self._log", "self._tell"}


def make(**options):
    return Log(
        ServerSettings(
            ae_title="A",
            host="",
            port=0,
            admission=Admission(ae_title="A"),
            limits=Limits(),
            storage=StorageOptions(directory=Path("a")),
            max_pdu_length=0,
            **options,
        )
    )


def association():
    return SimpleNamespace(
        request=SimpleNamespace(calling_ae_title="CT\x1b1"), transport=SimpleNamespace(peer_address="10.0.0.1")
    )


def told_events():
    """(place, event) of every call that writes to the log of a server."""
    for path in (ROOT / "station").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            event = node.args[0].value
            if called in TELLERS and isinstance(event, str) and re.fullmatch(r"[a-z]+\.[a-z_]+", event):
                yield f"{path.name}:{node.lineno}", event


def test_every_event_is_in_the_table_and_happens():
    told = dict(map(reversed, told_events()))
    assert len(told) > 15
    assert told.keys() - EVENTS.keys() == set(), told
    assert EVENTS.keys() - told.keys() == set()
    assert EVENTS.keys() >= ERRORS


def test_the_page_for_operators_has_the_table():
    rows = re.findall(r"^\| `([a-z]+\.[a-z_]+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    assert dict(rows) == EVENTS


def test_the_page_for_operators_has_every_number():
    named = set(re.findall(r"dulcet_[a-z_]+", PAGE.read_text()))
    assert named == set(FAMILIES)


def test_a_line_for_people(capsys):
    make()("object.refused", association(), uid="1.2", status="A700H", reason="no\nroom", missing=None)
    assert capsys.readouterr().err == (
        'object.refused calling="CT\\x1b1" address="10.0.0.1" uid="1.2" status="A700H" reason="no\\x0aroom"\n'
    )


def test_a_line_for_programs(capsys):
    make(as_json=True)("object.refused", association(), octets=5)
    line = json.loads(capsys.readouterr().out)
    assert line.pop("ts").endswith("Z")
    assert line == {"v": 1, "event": "object.refused", "calling": "CT\\x1b1", "address": "10.0.0.1", "octets": 5}


def test_quiet_says_nothing_and_remembers(capsys):
    log = make(quiet=True)
    for number in range(KEPT_ERRORS + 5):
        log("object.refused", uid=str(number))
    log("object.stored", uid="x")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert len(log.errors) == KEPT_ERRORS
    assert log.errors[-1].text == f'uid="{KEPT_ERRORS + 4}"'


def test_one_peer_does_not_fill_it(capsys):
    log, peer = make(), association()
    for _ in range(MAX_LINES + 30):
        log("object.refused", peer)
    log("association.ended", peer, how="released")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == MAX_LINES + 1
    assert lines[-1].endswith('how="released" lines_suppressed=30')


def test_what_is_escaped_is_not_escaped_again(capsys):
    make()("settings.fault", reason='line 1:\n"x"')
    assert capsys.readouterr().err == 'settings.fault reason="line 1:\\x0a\\"x\\""\n'
    make(as_json=True)("settings.fault", reason="\n")
    assert json.loads(capsys.readouterr().out)["reason"] == "\\x0a"


@pytest.mark.parametrize("error", [OSError(28, "full"), BrokenPipeError(), ValueError("closed")])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_log_that_can_not_be_written_disturbs_nobody(as_json, error, monkeypatch):
    def write(text):
        raise error

    monkeypatch.setattr(sys, "stdout" if as_json else "stderr", SimpleNamespace(write=write, flush=lambda: None))
    log = make(as_json=as_json)
    log("object.refused", uid="1")
    assert [each.event for each in log.errors] == ["object.refused"]
