"""`dulcet tui` where it can't run."""

import builtins
import sys


def test_without_a_terminal_it_says_so(dulcet):
    answer = dulcet("tui")
    assert (answer.code, answer.output) == (2, "")
    assert "dulcet tui needs a terminal" in answer.errors


def test_without_textual_it_says_what_to_install(dulcet, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("dulcet.station.tui")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def lacking(name, *arguments, **options):
        if name.partition(".")[0] == "textual":
            raise ModuleNotFoundError("No module named 'textual'", name="textual")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", lacking)
    answer = dulcet("tui")
    assert (answer.code, answer.errors) == (78, "dulcet: dulcet tui needs textual: pip install 'dulcet[tui]'\n")
