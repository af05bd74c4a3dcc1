"""The README's promises: every test that it names is there."""

import re
from pathlib import Path

import pytest

import dulcet

ROOT = Path(dulcet.__file__).parent
SECTION = (ROOT / "README.md").read_text().split("<!-- promises:begin -->")[1].split("<!-- promises:end -->")[0]
NAMED = sorted(set(re.findall(r"`(test_\w+\*?|tests/\w+/|test_\w+\.py)`", SECTION)))
DEFINED = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
}


def test_every_promise_names_its_tests():
    rows = [line for line in SECTION.splitlines() if line.startswith("| ") and "promise |" not in line]
    assert len(rows) == 13
    assert all("test" in row.rsplit("|", 2)[1] for row in rows)


@pytest.mark.parametrize("named", NAMED)
def test_what_a_promise_names_is_there(named):
    if named.endswith("/"):
        assert list((ROOT / named).glob("test_*.py"))
    elif named.endswith(".py"):
        assert list((ROOT / "tests").rglob(named))
    else:
        start = named.removesuffix("*").removesuffix("_")
        assert any(name.startswith(start) for name in DEFINED)
