"""The soak itself, for some seconds: that it does all that it says, and that it notices what it is there for.

An hour: `make soak SECONDS=3600`.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("soak.py")
SECONDS = 12
DEEDS = ("send", "ask", "fetch", "greet", "disturb", "look")


def module(name):
    spec = importlib.util.spec_from_file_location(f"soak_{name}", PROGRAM.with_name(f"{name}.py"))
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


usage = module("usage")


def test_everything_is_done_and_all_is_forwarded():
    command = [sys.executable, str(PROGRAM), "--seconds", str(SECONDS), "--callers", "3", "--pace", "0"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=500)
    result = json.loads(ran.stdout.splitlines()[-1])
    grown = [each for each in result["failures"] if " grew from " in each]  # so short a time tells nothing of growth
    assert result["failures"] == grown, ran.stderr
    assert all(result.get(deed) for deed in DEEDS), f"to play it again: --seed {result['seed']}"
    assert result["acknowledged"] == result["objects"] > 0
    assert {f"memory of {name}" for name in ("station", "second", "queue")} <= result["usage"].keys()


def looked_at(*samples):
    made = usage.Usage()
    made.samples["server"] = [usage.Sample(number, *values) for number, values in enumerate(samples)]
    return list(made.failures())


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ((50.0, 30, 7), (54.9, 42, 13), []),
        ((50.0, 30, 7), (55.1, 30, 7), ["memory of server grew from 50.0 to 55.1"]),
        ((10.0, 30, 7), (14.1, 30, 7), ["memory of server grew from 10.0 to 14.1"]),
        ((50.0, 30, 7), (50.0, 43, 7), ["descriptors of server grew from 30.0 to 43.0"]),
        ((50.0, 30, 7), (50.0, 30, 14), ["threads of server grew from 7.0 to 14.0"]),
        ((50.0, 30, 7), (40.0, 10, 1), []),
    ],
)
def test_growth_is_noticed(first, last, expected):
    start = (5.0, 1, 1)  # how it begins does not count
    assert looked_at(*[start] * 10, *[first] * 10, *[first] * 20, *[last] * 10) == expected


def test_caches_are_no_leak():
    made = usage.Usage()
    for name in ("station", "second"):
        made.samples[name] = [
            usage.Sample(number, memory, 10, 2) for number, memory in enumerate([60.0] * 30 + [72.0] * 10)
        ]
    assert list(made.failures()) == ["memory of second grew from 60.0 to 72.0"]


def test_a_process_is_looked_at_with_its_children():
    made = usage.Usage()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in usage.children(os.getpid())
        made.look("ours", os.getpid(), 0.0)
        child.communicate(b"\n")
    made.look("theirs", child.pid, 0.0)
    (sample,) = made.samples["ours"]
    assert sample.memory > 5
    assert sample.descriptors > 2
    assert list(made.samples) == ["ours"]
