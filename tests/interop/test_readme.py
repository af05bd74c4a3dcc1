"""The README's five minutes, typed as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dulcet
from dulcet.conformance.peers.address import free_port

README = Path(dulcet.__file__).parent / "README.md"
SECONDS = 180
READY = "for _ in $(seq 100); do dulcet echo -q ARCHIVE@127.0.0.1:11112 2>/dev/null && break; done"


def tour() -> list[str]:
    """The commands of the section, in order; one that goes on in the background is waited for as a reader would."""
    section = README.read_text().split("## Five minutes")[1].split("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    commands = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for block in blocks for line in block.splitlines())
    return [step for command in commands for step in ([command, READY] if command.endswith("&") else [command])]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour")
    script = "\n".join(["set -e", *tour()]).replace("11112", str(free_port()))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DULCET_NODES": str(folder / "nodes.toml"),
        "DULCET_CONFIG": os.devnull,
    }
    return subprocess.run(
        ["bash", "-m", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_every_command_of_the_tour_succeeds(ran):
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "shown",
    [
        "81 of 81 files stored by ARCHIVE",
        "Doe^Peter",
        "24 of 24 instances retrieved",
        "unrecognized-PDU",
        "Evt19",
    ],
)
def test_the_tour_shows_what_it_says(shown, ran):
    assert shown in ran.stdout


def test_each_command_of_the_table_is_there():
    """And no command is missing in it."""
    from dulcet.cli import COMMANDS

    table = README.read_text().split("## The commands")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {word for row in rows for word in re.findall(r"`(\w+)", row)}
    assert named - set(COMMANDS) == set()
    assert set(COMMANDS) - named == set()
