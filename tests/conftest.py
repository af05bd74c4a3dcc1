"""What holds for every test."""

import os
import tempfile

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no failure: nothing here is judged by the clock.
settings.register_profile("dulcet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dulcet")


@pytest.fixture(scope="session", autouse=True)
def own_state():
    """No test sees the queue of who runs it, or leaves something in it."""
    with tempfile.TemporaryDirectory(prefix="dulcet-state-") as directory, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "DULCET_STATE", directory)
        yield
