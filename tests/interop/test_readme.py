"""The README's five minutes, typed as they stand there."""

import re
from pathlib import Path

import pytest

import dulcet

README = Path(dulcet.__file__).parent / "README.md"


@pytest.fixture(scope="module")
def ran(pages, tmp_path_factory):
    section = README.read_text().split("## Five minutes")[1].split("\n## ")[0]
    assert all(
        line.startswith("$ ")
        for block in re.findall(r"```console\n(.*?)```", section, re.DOTALL)
        for line in block.splitlines()
    )
    return pages.read(section, tmp_path_factory.mktemp("tour"))


def test_every_command_of_the_tour_succeeds(ran):
    assert ran.code == 0, ran.output


@pytest.mark.parametrize(
    "shown",
    [
        "81 of 81 files stored by ARCHIVE",
        "Doe^Peter",
        "24 of 24 instances retrieved",
        "job 1: 81 files for ARCHIVE are queued; the server",
        "1    done   to ARCHIVE  [################]  81/81",
        "unrecognized-PDU",
        "Evt19",
    ],
)
def test_the_tour_shows_what_it_says(shown, ran):
    assert shown in ran.output


def test_each_command_of_the_table_is_there():
    """And no command is missing in it."""
    from dulcet.cli import COMMANDS

    table = README.read_text().split("## The commands")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`(\w+)", row)}
    assert named - set(COMMANDS) == set()
    assert set(COMMANDS) - named == set()
