"""`dulcet table` against the standard's tables, transcribed apart from ours."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"
STATES = json.loads((DATA / "state_table.json").read_text())
LAYOUTS = json.loads((DATA / "layouts.json").read_text())["tables"]
EVENTS = [f"Evt{number}" for number in range(1, 20)]
COLUMNS = [f"Sta{number}" for number in range(1, 14)]


@pytest.fixture
def rows(dulcet):
    """The rows of a table as CSV."""

    def read(*arguments):
        answer = dulcet("table", *arguments, "--format", "csv")
        assert (answer.code, answer.errors) == (0, "")
        return list(csv.reader(io.StringIO(answer.output)))

    return read


def test_the_state_table_is_as_transcribed(rows):
    head, *found = rows()
    assert head[1:14] == COLUMNS
    assert [row[0] for row in found] == EVENTS
    for row in found:
        for state, cell in zip(COLUMNS, row[1:14], strict=True):
            expected = STATES["cells"].get(row[0], {}).get(state, {"action": ""})["action"]
            assert cell == expected, f"{row[0]} in {state}"


def test_the_grid_looks_like_the_page(dulcet):
    lines = dulcet("table").output.splitlines()
    assert lines[0] == "PS3.8 Table 9-10: Upper Layer Protocol State Table"
    assert lines[2].split() == COLUMNS
    columns = [lines[2].index(state) for state in COLUMNS]
    for event, line in zip(EVENTS, lines[3:22], strict=True):
        assert line.startswith(event)
        for state, column in zip(COLUMNS, columns, strict=True):
            cell = STATES["cells"].get(event, {}).get(state)
            assert line[column:].split()[0] == ("." if cell is None else cell["action"])
    assert all(line == line.rstrip() for line in lines)


def test_the_state_table_is_what_is_printed_without_a_name(dulcet):
    assert dulcet("table").output == dulcet("table", "9-10").output == dulcet("table", "Table 9-10").output


@pytest.mark.parametrize("number", ["9-6", "9-7", "9-8", "9-9"])
def test_actions(rows, number):
    _, *found = rows(number)
    expected = {
        name: action["next"]
        for name, action in STATES["actions"].items()
        if action["clause"] == f"PS3.8 Table {number}"
    }
    assert {name: following.split(" or ") for name, _, following in found} == expected


def test_all_actions_states_and_events(rows):
    assert [row[0] for row in rows("actions")[1:]] == list(STATES["actions"])
    assert [row[0] for row in rows("states")[1:]] == list(STATES["states"])
    assert [row[0] for row in rows("events")[1:]] == list(STATES["events"])


def test_what_an_action_does(dulcet):
    lines = dulcet("table", "9-6").output.splitlines()
    assert "AE-5    start ARTIM" in next(line for line in lines if line.startswith("AE-5"))
    (line,) = (line for line in lines if line.startswith("AE-6"))
    assert "acceptable: stop ARTIM, issue the indication" in line
    assert "not acceptable: stop ARTIM, send A-ASSOCIATE-RJ PDU, start ARTIM" in line


@pytest.mark.parametrize("number", [number for number in LAYOUTS if number not in ("9-23", "D.3-13")])
def test_octet_columns(rows, number):
    """The octets of each row as the standard counts them; after a field of any length they are `xxx`."""
    head, *found = rows(number)
    assert head == ["octets", "field", "value"]
    printed = [octets.replace(" ", "") for octets, _ in LAYOUTS[number]["rows"]]
    assert len(found) == len(printed)
    for (octets, _, _), standard in zip(found, printed, strict=True):
        if re.fullmatch(r"\d+(-\d+)?", standard):
            assert octets == standard
        else:
            assert octets.endswith("xxx")
    code = LAYOUTS[number].get("type")
    if code:
        assert found[0][2] == code


def test_the_presentation_data_value_has_its_header_of_annex_e(rows):
    """Table 9-23 ends with octets 6-xxx; Annex E says that the first of them is the message control header."""
    assert [octets for octets, _ in LAYOUTS["9-23"]["rows"]] == ["1-4", "5", "6-xxx"]
    assert [row[0] for row in rows("9-23")[1:]] == ["1-4", "5", "6", "7-xxx"]


@pytest.mark.parametrize("name", ["d.3-9", "D.3-9", "table D.3-9"])
def test_names_are_understood_in_either_case(dulcet, name):
    assert dulcet("table", name).output.startswith("PS3.7 Table D.3-9: SCP/SCU Role Selection Sub-Item")


def test_a_table_that_repeats_another_says_so(dulcet):
    assert dulcet("table", "9-19").output.splitlines()[0] == (
        "PS3.8 Table 9-19: Transfer Syntax Sub-Item (as Table 9-15)"
    )


def test_the_list_names_what_can_be_printed(dulcet, rows):
    names = [row[0] for row in rows("list")[1:]]
    assert len(names) == len(set(names)) == 35
    assert names[:5] == ["9-6", "9-7", "9-8", "9-9", "9-10"]
    for name in names:
        assert dulcet("table", name).code == 0


def edges(output):
    return {(start, end): label for start, end, label in re.findall(r'(Sta\d+) -> (Sta\d+) \[label="(.*?)"\]', output)}


def test_the_graph_has_every_transition(dulcet):
    expected = set()
    for event, row in STATES["cells"].items():
        for state, cell in row.items():
            expected |= {(state, following, cell["action"], event) for following in cell["next"]}
    found = set()
    for (start, end), label in edges(dulcet("table", "--format", "dot").output).items():
        for part in label.split("\\n"):
            action, _, events = part.partition(": ")
            found |= {(start, end, action, event) for event in events.split()}
    assert found == expected


@pytest.mark.parametrize(
    ("role", "missing"),
    [("requestor", {"Sta2", "Sta3", "Sta10", "Sta12"}), ("acceptor", {"Sta4", "Sta5", "Sta9", "Sta11"})],
)
def test_the_graph_of_one_role_has_what_it_can_reach(dulcet, role, missing):
    output = dulcet("table", "--format", "dot", "--role", role).output
    found = {state for edge in edges(output) for state in edge}
    assert found == set(COLUMNS) - missing
    assert f", {role}" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("9-99",), "there is no table '9-99'; `dulcet table list` names them all"),
        (("\x1b[2J",), "there is no table '\\x1b[2J'"),
        (("9-11", "--format", "dot"), "only the state table is a graph"),
        (("--role", "acceptor"), "--role needs --format dot"),
        (("--format", "svg"), "'svg' is not one of"),
    ],
)
def test_what_can_not_be_printed(dulcet, arguments, message):
    answer = dulcet("table", *arguments)
    assert answer.code == 2
    assert answer.output == ""
    assert message in answer.errors
