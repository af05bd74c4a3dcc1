"""`dulcet route`: the rules, and where an object would go."""

import json

import pytest

from dulcet.services.part10 import encode_header
from dulcet.services.querying.identifiers import encode_identifier

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"

BOOK = """
[PACS]
ae_title = "PACS"
host = "10.0.0.1"
port = 104
[BACKUP]
ae_title = "BACKUP"
host = "10.0.0.2"
port = 104
"""
RULES = """
[[route]]
name = "CT to both"
from = ["CT*", "PACS"]
modality = "CT"
to = ["PACS", "BACKUP"]
hours = "22:00-06:00"
priority = 3
bandwidth = "2.5M"
[[route]]
name = "old"
to = "PACS"
enabled = false
"""


@pytest.fixture
def station(write):
    write("nodes.toml", BOOK)
    return write("dulcet.toml", RULES)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.dcm"
    header = encode_header(sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=EXPLICIT)
    data_set = encode_identifier(
        {0x00080016: CT, 0x00080018: "1.2.3", 0x00080060: "CT", 0x0020000E: "1.2"}, EXPLICIT, ""
    )
    path.write_bytes(header + data_set)
    return path


def test_the_rules_are_listed(dulcet, station):
    answer = dulcet("route", "list")
    assert (answer.code, answer.errors) == (0, "")
    heading, first, second = answer.output.splitlines()
    assert heading.split() == ["NAME", "FROM", "OBJECTS", "TO", "HOW", "PLACE"]
    assert "CT to both  CT*, PACS  CT       PACS, BACKUP" in first
    assert "after 5 s, 22:00-06:00, priority 3, at most 2.5 MB/s" in first
    assert first.endswith(f"{station}:2")
    assert "not enabled" in second


def test_the_rules_for_a_program(dulcet, station):
    first, second = map(json.loads, dulcet("route", "list", "--json").output.splitlines())
    assert first == {
        "v": 1,
        "ts": first["ts"],
        "event": "route",
        "name": "CT to both",
        "from": ["CT*", "PACS"],
        "called": [],
        "modality": ["CT"],
        "sop_class": [],
        "to": ["PACS", "BACKUP"],
        "priority": 3,
        "hours": "22:00-06:00",
        "bandwidth": 2_500_000,
        "delay": 5.0,
        "enabled": True,
        "place": f"{station}:2",
    }
    assert (second["enabled"], second["from"]) == (False, [])


def test_no_rules(dulcet, home):
    answer = dulcet("route", "list")
    assert (answer.code, answer.output) == (0, "")
    assert "nothing is forwarded" in answer.errors


def test_where_an_object_would_go(dulcet, station, image):
    answer = dulcet("route", "test", image, "--from", "CT1")
    assert answer.code == 0
    assert answer.output.splitlines() == [
        f"SOP class {CT}, modality CT, from CT1",
        "CT to both: to PACS",
        "CT to both: to BACKUP",
        "old: no, the rule is not enabled",
    ]


def test_why_it_would_not(dulcet, station, image):
    answer = dulcet("route", "test", image, "--from", "PACS")
    assert "CT to both: to PACS, not: it came from there" in answer.output
    assert answer.code == 0  # it goes to the other
    answer = dulcet("route", "test", image, "--from", "MR1", "--json")
    assert answer.code == 1
    first, _ = map(json.loads, answer.output.splitlines())
    assert (first["route"], first["node"], first["goes"]) == ("CT to both", None, False)
    assert first["reason"] == "the calling AE title 'MR1' is none of CT*, PACS"


def test_files_that_are_none(dulcet, station, tmp_path):
    assert dulcet("route", "test", tmp_path / "nothing", "--from", "X").code == 66
    answer = dulcet("route", "test", station, "--from", "X")
    assert answer.code == 65
    assert "Traceback" not in answer.errors


@pytest.mark.parametrize("command", [["route", "list"], ["serve", "--port", "0"]])
def test_faults_have_their_lines(dulcet, write, command):
    write("nodes.toml", BOOK)
    path = write("dulcet.toml", '[dulcet]\naet = "A"\n[[route]]\nname = "a"\nto = "PACX"\n')
    answer = dulcet(*command)
    assert answer.code == 78
    assert f"{path}:5: [[route]] to: 'PACX' is no node" in answer.errors


@pytest.mark.parametrize("text", ["[route]\nname = 'a'\n", "route = 5\n", "route = [1]\n"])
def test_rules_that_are_no_tables(dulcet, write, text):
    path = write("dulcet.toml", text)
    answer = dulcet("echo", "X@127.0.0.1:1")
    assert answer.code == 78
    assert f"{path}:1: each rule that forwards begins with a line [[route]]" in answer.errors


def test_rules_are_no_settings_that_others_stumble_over(dulcet, station):
    answer = dulcet("config", "--json")
    assert answer.code == 0
    assert answer.errors == ""
