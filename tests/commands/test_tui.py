"""`dulcet tui` where it can't run."""

import subprocess
import sys


def test_without_a_terminal_it_says_so(dulcet):
    answer = dulcet("tui")
    assert (answer.code, answer.output) == (2, "")
    assert "dulcet tui needs a terminal" in answer.errors


def test_without_textual_it_says_what_to_install():
    program = "import sys; sys.modules['textual'] = None; from dulcet.cli import run; sys.exit(run(['tui']))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (78, "")
    assert ended.stderr == "dulcet: dulcet tui needs textual: pip install 'dulcet[tui]'\n"


def test_a_fault_of_its_own_is_a_sentence(dulcet, monkeypatch):
    from dulcet.station.tui.application import Workstation

    class Broken(Workstation):
        fault = ValueError("it broke")

        def run(self):
            return None

    monkeypatch.setattr("dulcet.commands.tui.moves_cursor", lambda output: True)
    monkeypatch.setattr("dulcet.station.tui.application.Workstation", Broken)
    for stream in (sys.stdin, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    answer = dulcet("tui")
    assert (answer.code, answer.output) == (70, "")
    assert "a fault of dulcet's own: ValueError: it broke" in answer.errors
