"""The committed corpus through the fuzz targets' functions, without a fuzzer: what was found once stays found."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
MAX_CORPUS_OCTETS = 500_000


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


TARGETS = module("targets").TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_each_input_of_the_corpus(target: str) -> None:
    inputs = sorted((CORPUS / target).iterdir())
    assert len(inputs) >= 20
    for path in inputs:
        try:
            TARGETS[target](path.read_bytes())
        except Exception as error:
            error.add_note(f"input: {path.relative_to(HERE)}")
            raise


@pytest.mark.parametrize("target", TARGETS)
def test_each_input_cut_at_every_octet(target: str) -> None:
    """The named inputs, which are whole: what ends early is an error, or less, and nothing else."""
    for path in sorted((CORPUS / target).iterdir()):
        octets = path.read_bytes()
        if is_named(path):
            for length in range(0, len(octets), 1 + len(octets) // 24):
                TARGETS[target](octets[:length])


def is_named(path: Path) -> bool:
    """libFuzzer names what it finds with a SHA-1."""
    return len(path.name) != 40


def test_the_corpus_is_small_and_has_a_folder_for_each_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS) == set(module("fuzz").TARGETS)
    assert sum(path.stat().st_size for path in CORPUS.rglob("*") if path.is_file()) <= MAX_CORPUS_OCTETS


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_takes_any_octets(target: str) -> None:
    for octets in (b"", *(bytes((octet,)) * length for octet in range(256) for length in (1, 2, 12))):
        TARGETS[target](octets)
