"""TAB: names of nodes, tags and commands, as the shells ask for them."""

import subprocess
import sys

import pytest
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from dulcet.cli import cli

BOOK = """\
[PACS1]
ae_title = "ORTHANC"
host = "10.0.0.1"
port = 4242
tags = ["main", "archive"]

[PACS2]
ae_title = "P2"
host = "10.0.0.2"
port = 1042345

[CT]
"""


@pytest.fixture
def completed(write):
    """(value, help) of what the shell offers after some words."""
    write("nodes.toml", BOOK)

    def complete(*words, shell=BashComplete):
        completer = shell(cli, {}, "dulcet", "_DULCET_COMPLETE")
        return [(item.value, item.help) for item in completer.get_completions(list(words[:-1]), words[-1])]

    return complete


PACS1, PACS2, CT = ("PACS1", "ORTHANC@10.0.0.1:4242"), ("PACS2", "P2@10.0.0.2:1042345"), ("CT", "@:")


@pytest.mark.parametrize("shell", [BashComplete, ZshComplete, FishComplete])
def test_a_peer_is_completed_from_the_book(completed, shell):
    assert completed("echo", "", shell=shell) == [PACS1, PACS2, CT]
    assert completed("echo", "PACS", shell=shell) == [PACS1, PACS2]
    assert completed("echo", "-aet", "X", "C", shell=shell) == [CT]
    assert completed("echo", "A@ho", shell=shell) == []


def test_a_name_is_not_offered_twice(completed):
    assert completed("echo", "PACS1", "P") == [PACS2]
    assert completed("node", "remove", "PACS1", "CT", "") == [PACS2]


def test_files_follow_the_peer_that_they_are_sent_to(completed):
    assert completed("send", "P") == [PACS1, PACS2]
    assert completed("send", "PACS1", "CT") == [("CT", None)]
    completer = BashComplete(cli, {}, "dulcet", "_DULCET_COMPLETE")
    (files,) = completer.get_completions(["send", "PACS1"], "im")
    assert (files.type, files.value) == ("file", "im")


def test_what_is_looked_for_follows_the_peer_that_is_asked(completed):
    levels = ["patients", "studies", "series", "images", "worklist"]
    assert [value for value, _ in completed("find", "PACS1", "")] == levels
    assert completed("find", "PACS1", "st") == [("studies", None)]
    assert [value for value, _ in completed("retrieve", "PACS1", "")] == ["studies", "series", "images"]
    assert completed("find", "10.0.0.1", "104", "w") == [("worklist", None)]
    assert completed("find", "PACS1", "studies", "") == []
    assert completed("find", "PACS") == [PACS1, PACS2]


@pytest.mark.parametrize("words", [("node", "show"), ("node", "edit"), ("node", "snippet"), ("whoami",)])
def test_every_command_about_a_node_completes_it(completed, words):
    assert completed(*words, "PACS1")[0] == PACS1


def test_tags_are_completed(completed):
    assert completed("echo", "--tag", "") == [("archive", None), ("main", None)]
    assert completed("node", "list", "--tag", "m") == [("main", None)]


def test_commands_and_options_are_completed(completed):
    assert [value for value, _ in completed("no")] == ["node"]
    assert {value for value, _ in completed("node", "")} >= {
        "add",
        "edit",
        "import",
        "list",
        "remove",
        "show",
        "snippet",
    }
    assert [value for value, _ in completed("echo", "--tim")] == ["--timeout"]
    assert completed("--vers") == [("--version", "Show the version and exit.")]
    assert completed("completion", "z") == [("zsh", None)]


def test_a_word_that_is_no_command_offers_nothing_and_says_nothing(completed, capsys):
    assert completed("ecoh", "P") == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["", "[broken\n", "a = 1\n"])
def test_a_book_at_fault_offers_nothing_and_says_nothing(completed, write, capsys, text):
    write("nodes.toml", text)
    assert completed("echo", "") == []
    assert completed("echo", "--tag", "") == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("shell", "words"),
    [
        ("bash", "complete -o nosort -F _dulcet_completion dulcet"),
        ("zsh", "#compdef dulcet"),
        ("fish", "--command dulcet"),
    ],
)
def test_each_shell_gets_its_own_words(dulcet, shell, words):
    answer = dulcet("completion", shell)
    assert (answer.code, answer.errors) == (0, "")
    assert words in answer.output
    assert f"_DULCET_COMPLETE={shell}_complete" in answer.output


def asked_by_bash(directory, words):
    environment = {
        "PATH": "/usr/bin:/bin",
        "XDG_CONFIG_HOME": str(directory),
        "_DULCET_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
    }
    code = (
        "import sys\nfrom dulcet.cli import main\ntry:\n    main()\nfinally:\n"
        "    print([m for m in ('tomlkit', 'pydicom', 'rich', 'trio') if m in sys.modules], file=sys.stderr)"
    )
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environment, check=True
    )


def test_the_shell_is_answered_through_the_environment(completed, home):
    answer = asked_by_bash(home.parent, "dulcet node show PA")
    assert (answer.stdout, answer.stderr) == ("plain,PACS1\nplain,PACS2\n", "[]\n")


def test_a_tab_after_the_program_imports_no_command(home):
    answer = asked_by_bash(home.parent, "dulcet ec")
    assert (answer.stdout, answer.stderr) == ("plain,echo\n", "[]\n")
