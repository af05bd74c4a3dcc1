"""SIGKILL at random moments: a hundred lives of servers for each way to make objects durable.

Ten thousand: `make crash KILLS=10000`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("kill_loop.py")
KILLS, ACKNOWLEDGEMENTS = 100, 51
ENOUGH = ("--kills", str(KILLS), "--acknowledgements", str(ACKNOWLEDGEMENTS))
SECONDS = 300  # for a machine that is very busy; 15 on one that is not


@pytest.fixture(scope="module")
def runs():
    """Both at once: a life is mostly waiting."""
    begun = {
        durability: subprocess.Popen(
            [sys.executable, str(PROGRAM), *ENOUGH, "--durability", durability, "--lanes", "4"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for durability in ("fsync", "batch")
    }
    yield begun
    for process in begun.values():
        if process.poll() is None:  # nobody has waited for it
            process.terminate()
            process.communicate()


@pytest.mark.parametrize("durability", ["fsync", "batch"])
def test_nothing_acknowledged_is_lost_and_nothing_is_there_by_half(runs, durability):
    process = runs[durability]
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except BaseException:
        process.terminate()
        process.communicate()
        raise
    result = json.loads(output.splitlines()[-1]) if output else {}
    assert process.returncode == 0, (result.get("failures"), errors)
    assert result["failures"] == []
    assert result["kills"] >= KILLS, f"to play it again: --seed {result['seed']}"
    assert result["killed while receiving"] > KILLS / 10, "else little was shown"
    assert result["acknowledgements"] >= ACKNOWLEDGEMENTS
    assert result["resent"] > 0
