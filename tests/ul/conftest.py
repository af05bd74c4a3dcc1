"""Golden octets (`.hex` files with a comment for each field; the file's name is the case) and the modules beside us."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

GOLDEN = Path(__file__).parents[1] / "data" / "ul"


def _octets(case: str) -> bytes:
    lines = (GOLDEN / f"{case}.hex").read_text().splitlines()
    return bytes.fromhex(" ".join(line.partition("#")[0] for line in lines))


@pytest.fixture(scope="session")
def golden() -> Callable[[str], bytes]:
    """The octets of a case."""
    return _octets


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"tests_ul_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def model() -> ModuleType:
    """The model of Table 9-10 and its neighbours."""
    return _module("model")


@pytest.fixture(scope="session")
def mutants() -> ModuleType:
    """The count of wrong tables that the tests notice."""
    return _module("mutants")


@pytest.fixture(scope="session")
def strategies() -> ModuleType:
    """PDUs, and octets that are nearly PDUs."""
    return _module("strategies")
