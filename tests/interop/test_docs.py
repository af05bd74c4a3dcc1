"""docs/, read as a reader reads it: every command typed, every file saved, what is shown compared."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

import dulcet
from dulcet import errors
from dulcet.cli import cli

ROOT = Path(dulcet.__file__).parent
DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
NEEDS = {"testing-a-product.md": ["storescp", "echoscu"], "reading-a-report.md": ["storescp"]}
INLINE = re.compile(r"(?<!`)`(dulcet [^`]+)`(?!`)")


@pytest.mark.parametrize("page", [page for page in PAGES if "```console" in (DOCS / page).read_text()])
def test_every_command_does_what_the_page_shows(page, pages, need_program, tmp_path):
    for program in NEEDS.get(page, ()):
        need_program(program)
    reading = pages.read((DOCS / page).read_text(), tmp_path)
    assert reading.code == 0, reading.output
    assert "\n".join(map(str, reading.differences())) == ""


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        (["a"], ["a"], True),
        (["a"], ["b"], False),
        (["a"], ["a", "b"], False),
        (["a", "..."], ["a", "b", "c"], True),
        (["...", "c"], ["a", "b", "c"], True),
        (["...", "d"], ["a", "b", "c"], False),
        (["in 3.5 ms"], ["in 12 ms"], True),
        (["stored 3 files"], ["stored 4 files"], False),
        (["by ... in"], ["by X in"], True),
        ([], ["whatever"], True),
    ],
)
def test_the_reader_sees_a_difference(shown, printed, expected, pages):
    assert pages.is_as_shown(shown, printed) is expected


def test_the_reader_stops_at_a_command_that_fails(pages, tmp_path):
    reading = pages.read("```console\n$ echo 1\n2\n$ false\n$ echo 3\n```\n", tmp_path)
    assert reading.code == 1
    assert [step.printed for step in reading.steps] == [["1"], [], []]
    assert [step.command for step in reading.differences()] == ["echo 1"]


def parse(words):
    """As the command line would, as far as the command's own body."""
    command, context = cli, click.Context(cli, info_name="dulcet")
    while isinstance(command, click.Group) and words:
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, name
        context = found.make_context(name, list(words), parent=context, ignore_unknown_options=False)
        command, words = found, [*getattr(context, "_protected_args", []), *context.args]


@pytest.mark.parametrize("page", PAGES)
def test_each_command_line_in_the_text_can_be_parsed(page):
    text = re.sub(r"^```.*?^```$", "", (DOCS / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    for line in INLINE.findall(text):
        try:
            parse(shlex.split(line)[1:])
        except (click.MissingParameter, click.exceptions.NoArgsIsHelpError, click.exceptions.Exit):
            assert len(line.split()) <= 3, line
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_the_table_of_exit_codes_is_that_of_the_classes():
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", (DOCS / "operators.md").read_text(), re.MULTILINE)
    told = {name: int(code) for code, cell in rows for name in re.findall(r"`(\w+Error)`", cell)}
    classes = [found for found in vars(errors).values() if isinstance(found, type)]
    have = {
        found.__name__: found.exit_code
        for found in classes
        if issubclass(found, errors.DulcetError) and isinstance(found.exit_code, int)
    }
    computed = {found.__name__ for found in classes if issubclass(found, errors.DulcetError)} - set(have)
    assert computed == {"AssociationRejectedError", "OperationFailedError"}
    assert told == {name: code for name, code in have.items() if name not in ("DulcetError", "AssociationError")}


@pytest.mark.parametrize("name", ["state-machine.svg", "state-table.md"])
def test_what_is_drawn_from_the_table_is_up_to_date(name):
    made = subprocess.run(
        [
            sys.executable,
            "-c",
            "import state_machine as drawn, sys; sys.stdout.write(drawn.FILES[sys.argv[1]]())",
            name,
        ],
        cwd=DOCS,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        env={"PYTHONIOENCODING": "utf-8", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert made.stdout == (DOCS / name).read_text(encoding="utf-8")


def test_every_link_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / page).read_text()):
            assert (DOCS / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("layer", ["ul", "dimse", "services"])
def test_the_reference_has_every_module_that_it_should(layer):
    named = re.findall(r"automodule:: dulcet\.(\S+)", (DOCS / f"reference-{layer}.md").read_text())
    for module in named:
        importlib.import_module(f"dulcet.{module}")
    if layer != "services":  # of the services it has those that a program calls
        assert set(named) == {f"{layer}.{path.stem}" for path in (ROOT / layer).glob("*.py")} - {f"{layer}.__init__"}


def test_the_reference_has_the_whole_front_door():
    named = re.findall(r"auto\w+:: dulcet\.(\S+)", (DOCS / "reference.md").read_text())
    assert named == list(dulcet.__all__)
