"""Every line of JSON says what it is, in which version, and when: whatever command wrote it."""

import ast
import json
import re
from pathlib import Path

import pytest

import dulcet

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
COMMANDS = [
    ("config",),
    ("explain", "0xA801", "1/1/7", "PatientName"),
    ("node", "list"),
    ("node", "show", "PACS"),
    ("route", "list"),
    ("whoami",),
    ("echo", "X@127.0.0.1:1"),
    ("doctor", "X@127.0.0.1:1"),
    ("conform", "scp", "--list"),
    ("conform", "scu", "--list"),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_each_line_has_its_head(words, dulcet, write):
    write("nodes.toml", '[PACS]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104\n')
    write("dulcet.toml", '[[route]]\nname = "all"\nto = "PACS"\n')
    lines = dulcet(*words, "--json").output.splitlines()
    assert lines
    for line in map(json.loads, lines):
        assert list(line)[:3] == ["v", "ts", "event"]
        assert line["v"] == 1
        assert RFC3339.fullmatch(line["ts"])


def test_no_command_writes_a_head_of_its_own():
    """`{"v": 1, ...}`: there is one way to begin a line."""
    folder = Path(dulcet.__file__).parent / "commands"
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Dict) and any(isinstance(key, ast.Constant) and key.value == "v" for key in node.keys)
    ]
    assert found == []
