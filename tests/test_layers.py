"""The shape of the house: which way imports point, what the pure layers don't touch, how large a module may be."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import dulcet

ROOT = Path(dulcet.__file__).resolve().parent
LONGEST_MODULE_LINES = 400

ALLOWED_IMPORTS = {
    "errors": set(),
    "escape": set(),
    "ul": {"errors", "escape"},
    "dimse": {"errors", "escape", "ul"},
    "services": {"errors", "escape", "ul", "dimse"},
    "station": {"errors", "escape", "ul", "dimse", "services"},
    "conformance": {"errors", "escape", "ul", "dimse"},
    "commands": {"errors", "escape", "ul", "dimse", "services", "station", "conformance"},
    "cli": {"errors", "escape", "commands"},
    "__main__": {"cli"},
}
"""Layer -> the layers that it may import; the front door `dulcet` itself may import everything, and only the command
line (for its version) may import it."""

IMPURE = {"trio", "socket", "logging", "time", "asyncio", "selectors", "ssl", "threading", "subprocess", "os"}
"""What a layer without I/O and clock has no use for."""


def package_directories() -> list[Path]:
    layers = [ROOT / name for name in ALLOWED_IMPORTS if (ROOT / name).is_dir()]
    return [ROOT, *(path.parent for layer in layers for path in sorted(layer.rglob("__init__.py")))]


def sources() -> list[Path]:
    return sorted(path for directory in package_directories() for path in directory.glob("*.py"))


def layer_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.stem if len(relative.parts) == 1 else relative.parts[0]


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of every import: `from dulcet import ul` counts as dulcet.ul, a relative one as "."."""
    for node in ast.walk(ast.parse(path.read_bytes(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            if module == "dulcet":
                yield from ((node.lineno, f"dulcet.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(params=sources(), ids=name_of)
def source(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_walk_finds_the_layers():
    assert {"ul", "dimse", "services", "conformance"} <= {layer_of(path) for path in sources()}
    assert ROOT / "conformance/peers/process.py" in sources()


def test_imports_point_one_way(source):
    layer = layer_of(source)
    if layer == "__init__":
        return
    allowed = {layer, "__version__", *ALLOWED_IMPORTS[layer]}
    wrong = [
        f"line {line}: {module}"
        for line, module in imported_modules(source)
        if module.split(".")[0] == "dulcet" and module.removeprefix("dulcet").lstrip(".").split(".")[0] not in allowed
    ]
    assert wrong == [], f"{name_of(source)} is of the layer {layer}, which may import {sorted(ALLOWED_IMPORTS[layer])}"


def test_no_import_loads_a_second_copy(source):
    wrong = [
        f"line {line}: {module}"
        for line, module in imported_modules(source)
        if module.startswith(".") or module.split(".")[0] in ALLOWED_IMPORTS
    ]
    assert wrong == [], "the root is the package: write `from dulcet...`"


@pytest.mark.parametrize("layer", ["errors", "ul", "dimse"])
def test_the_core_is_pure(layer):
    wrong = [
        f"{name_of(path)} line {line}: {module}"
        for path in sources()
        if layer_of(path) == layer
        for line, module in imported_modules(path)
        if module.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_a_peer_is_never_judged_with_our_own_connection():
    wrong = [
        f"{name_of(path)} line {line}"
        for path in sources()
        if layer_of(path) == "conformance"
        for line, module in imported_modules(path)
        if module == "dulcet.ul.connection"
    ]
    assert wrong == []


def test_pynetdicom_is_no_dependency():
    wrong = [
        f"{name_of(path)} line {line}"
        for path in sources()
        for line, module in imported_modules(path)
        if module.split(".")[0] == "pynetdicom"
    ]
    assert wrong == []
    assert "pynetdicom" not in (ROOT / "pyproject.toml").read_text()


def test_a_module_fits_in_a_reading(source):
    assert len(source.read_text().splitlines()) <= LONGEST_MODULE_LINES, "is there a second room in it?"


def test_every_package_is_installed():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    on_disk = [".".join(("dulcet", *path.relative_to(ROOT).parts)) for path in package_directories()]
    assert sorted(listed) == sorted(on_disk)


def test_data_files_are_installed():
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    missing = [
        f"{package}: {pattern}"
        for package, patterns in data.items()
        for pattern in patterns
        if not any(ROOT.joinpath(*package.split(".")[1:]).glob(pattern))
    ]
    assert missing == []


def test_directories_of_python_are_packages():
    layers = [ROOT / name for name in ALLOWED_IMPORTS if (ROOT / name).is_dir()]
    bare = {path.parent for layer in layers for path in layer.rglob("*.py")} - set(package_directories())
    assert bare == set(), "these directories lack an __init__.py, so they would not be installed"
