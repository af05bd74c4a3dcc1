"""SIGKILL at random moments to whatever has to do with the queue: two hundred times, and nothing is lost or half done.

Planted faults have to be noticed, or the proof proves nothing. More kills: `make crash KILLS=10000`.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("queue_kills.py")
KILLS = 200
SECONDS = 300  # for a machine that is very busy; 35 on one that is not
AGAIN = 5  # times as many kills when luck has hidden a fault

FAULTS = [
    ("records_before_it_sends", 25, "is done, and not at the peer"),
    ("forgets_the_lease", 10, "is running: "),
    ("enters_after_the_answer", 25, "was acknowledged, and not forwarded|was forwarded twice"),
    ("forgets_what_it_took", 30, "was acknowledged, and not forwarded"),
    ("syncs_beside_sqlite", 30, "was acknowledged, and not forwarded|A700H|can't be read"),
]
"""A fault of `queue_plans.py`, after how many kills it is noticed, and what is said of it."""


def begin(kills, *options):
    command = [sys.executable, str(PROGRAM), "--kills", str(kills), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process):
    """What the program found."""
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except BaseException:
        process.terminate()
        process.communicate()
        raise
    assert output, errors
    return process.returncode, json.loads(output.splitlines()[-1]), errors


@pytest.fixture(scope="module", autouse=True)
def proof():
    """It runs while the faults are looked at: most of it is waiting."""
    process = begin(KILLS)
    yield process
    if process.poll() is None:
        process.terminate()
        process.communicate()


@pytest.mark.parametrize(("fault", "kills", "sentence"), FAULTS)
def test_a_planted_fault_is_noticed(fault, kills, sentence):
    for count in (kills, kills * AGAIN):
        code, result, errors = end(begin(count, "--fault", fault, "--patience", "6"))
        is_noticed = any(re.search(sentence, failure) for failure in result["failures"])
        if is_noticed:
            break
    assert is_noticed, (result, errors)
    assert code == 1


def test_every_job_ends_and_every_object_is_where_it_should_be_once(proof):
    code, result, errors = end(proof)
    assert result["failures"] == [], errors
    assert code == 0
    assert result["kills"] >= KILLS
    for what in ("workers killed", "servers killed", "orders killed"):
        assert result[what] > 0
    assert result["taken up again"] > KILLS / 10, "else little was shown"
    assert result["send jobs done"] > KILLS / 10
    assert result["retrieve jobs done"] > 0
    assert result["reasons"], "some jobs can't but fail"
    assert result["acknowledgements"] > KILLS / 2
    assert result["objects sent"] > KILLS
