"""The benchmarks run: the floors, DCMTK and a long line, shortly."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import dulcet

ROOT = Path(dulcet.__file__).resolve().parent
PROGRAM_SECONDS = 300


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.run", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    directory = tmp_path_factory.mktemp("benchmark")
    options = ["--quick", "--rounds", "1", "--only", "small,send,receive,far", "--who", "floor", "--seconds", "60"]
    ran = bench(*options, "--cache", str(directory / "cache"), "--results", str(directory))
    assert ran.returncode == 0, ran.stderr
    (path,) = directory.glob("*.json")
    return json.loads(path.read_text()), list((directory / "cache").iterdir())


def test_the_floors_finish_and_everything_arrives(results):
    contests = {contest["section"]: contest for contest in results[0]["contests"]}
    for section in ("send", "receive"):
        (row,) = contests[section]["rows"]
        assert row["name"].startswith("floor")
        (run,) = row["runs"]
        assert run["finished"], run["note"]
        assert run["operations"] == 200


def test_a_long_line_takes_a_round_trip_for_each_object(results):
    contests = [contest for contest in results[0]["contests"] if contest["section"] == "far"]
    for row in (row for contest in contests for row in contest["rows"]):
        if row["name"].startswith("floor"):
            (run,) = row["runs"]
            assert run["finished"], run["note"]
            assert run["seconds"] > run["operations"] * 0.05


def test_the_objects_are_removed_afterwards(results):
    assert results[1] == []


def test_an_unknown_section_is_refused():
    refused = bench("--only", "everything")
    assert refused.returncode == 2
    assert "everything" in refused.stderr
