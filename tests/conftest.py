"""What holds for every test."""

import importlib.util
import math
import os
import tempfile
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, settings
from trio.testing import MockClock

# A busy machine is no failure: nothing here is judged by the clock.
settings.register_profile("dulcet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dulcet")


@pytest.fixture(scope="session", autouse=True)
def own_state():
    """No test sees the queue of who runs it, or leaves something in it."""
    with tempfile.TemporaryDirectory(prefix="dulcet-state-") as directory, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "DULCET_STATE", directory)
        yield


@pytest.fixture
def autojump_clock(monkeypatch):
    """A clock that jumps when every task waits, but not, as trio's own does, while a thread works."""
    clock, run_sync, working = MockClock(autojump_threshold=0), trio.to_thread.run_sync, 0

    async def waited_for(*arguments, **options):
        nonlocal working
        working += 1
        clock.autojump_threshold = math.inf
        try:
            return await run_sync(*arguments, **options)
        finally:
            working -= 1
            if not working:
                clock.autojump_threshold = 0

    monkeypatch.setattr(trio.to_thread, "run_sync", waited_for)
    return clock


@pytest.fixture(scope="session")
def prometheus():
    """A strict reader of Prometheus' text format: prometheus_text.py beside this file."""
    spec = importlib.util.spec_from_file_location("prometheus_text", Path(__file__).with_name("prometheus_text.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
