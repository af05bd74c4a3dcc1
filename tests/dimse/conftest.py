"""Golden octets (`.hex` files whose names are the cases) and transcriptions of PS3.7's tables."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[1] / "data"


def _octets(case: str) -> bytes:
    lines = (DATA / "dimse" / f"{case}.hex").read_text().splitlines()
    return bytes.fromhex(" ".join(line.partition("#")[0] for line in lines))


@pytest.fixture(scope="session")
def golden_command_set() -> Callable[[str], bytes]:
    """The octets of a case."""
    return _octets


@pytest.fixture(scope="session")
def golden_command_set_cases() -> list[str]:
    """Every case there is."""
    return sorted(path.stem for path in (DATA / "dimse").glob("*.hex"))


@pytest.fixture(scope="session")
def transcription() -> Callable[[str], dict[str, Any]]:
    """A table of the standard, as its text has it."""
    return lambda name: json.loads((DATA / f"{name}.json").read_text())
