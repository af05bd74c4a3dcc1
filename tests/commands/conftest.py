"""A command line of one's own: no file and no variable of whoever runs the tests has a say in it."""

import os
from dataclasses import dataclass

import pytest

from dulcet.cli import run


@dataclass(frozen=True)
class Answer:
    """What one command line did."""

    code: int
    output: str
    errors: str


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The directory of configuration file and node book; it doesn't exist yet."""
    for name in [name for name in os.environ if name.startswith(("DULCET_", "_DULCET_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")  # a terminal may be narrower than some sentence
    return tmp_path / "dulcet"


@pytest.fixture
def dulcet(home, capfd):
    """Run a command line: `dulcet("node", "list")`."""

    def call(*arguments):
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return Answer(code, captured.out, captured.err)

    return call


@pytest.fixture
def write(home):
    """Write a file beside the configuration file: `write("nodes.toml", "...")`."""

    def put(name, text):
        home.mkdir(exist_ok=True)
        path = home / name
        path.write_text(text)
        return path

    return put
