"""Golden octets: `.hex` files with a comment for each field; the file's name is the case."""

from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "data" / "ul"


def _octets(case: str) -> bytes:
    lines = (GOLDEN / f"{case}.hex").read_text().splitlines()
    return bytes.fromhex(" ".join(line.partition("#")[0] for line in lines))


@pytest.fixture(scope="session")
def golden() -> Callable[[str], bytes]:
    """The octets of a case."""
    return _octets
