"""The halts themselves: that processes do stand still, and that those which others have stopped are let be."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("halts.py")
PATIENCE = 120
LONGEST_PAUSE = """
import subprocess, sys, time
inner = '''
import time
began = last = time.monotonic()
longest = 0.0
while longest < 0.1 and last - began < 60:
    now = time.monotonic()
    longest, last = max(longest, now - last), now
print(longest)
'''
sys.exit(subprocess.run([sys.executable, "-c", inner]).returncode + 7)
"""

spec = importlib.util.spec_from_file_location("halts", PROGRAM)
halts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(halts)


def test_processes_stand_still_and_the_exit_code_is_the_command_s():
    command = [sys.executable, PROGRAM, "--every", "0.1", "--longest", "0.2", "--", sys.executable, "-c", LONGEST_PAUSE]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 7, ran.stderr
    assert float(ran.stdout) >= 0.1
    assert int(re.search(r"^(\d+) halts \(--seed \d+\)$", ran.stderr, re.MULTILINE)[1]) >= 1


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


def until(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline


def test_a_process_that_is_stopped_is_let_be(sleeper):
    until(lambda: sleeper.pid in halts.descendants(os.getpid()))
    sleeper.send_signal(signal.SIGSTOP)
    until(lambda: sleeper.pid not in halts.descendants(os.getpid()))
    assert halts.table()[sleeper.pid] == (os.getpid(), "T")
    sleeper.send_signal(signal.SIGCONT)
    until(lambda: sleeper.pid in halts.descendants(os.getpid()))
