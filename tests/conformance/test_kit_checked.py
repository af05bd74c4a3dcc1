"""What the baselines accuse other products of was read in the standard and in the octets, each row by hand.

tests/data/baselines/checked.json has an entry for each FAIL and each WARN: what the standard says, what was observed,
and that a person compared both. UNCHECKED rows, of which any verdict will do, have one that says why they are open.
"""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dulcet.conformance.kit import catalogue
from dulcet.conformance.kit.clause import link

BASELINES = Path(__file__).parents[1] / "data" / "baselines"
RECORD = BASELINES / "checked.json"
CHECKED: list[dict[str, str]] = json.loads(RECORD.read_text())
PRODUCTS = {path.stem: json.loads(path.read_text()) for path in sorted(BASELINES.glob("*.json")) if path != RECORD}
FIELDS = ("case", "product", "version", "verdict", "standard says", "observed", "checked")
Row = tuple[str, str, str, str]


def rows_of(baseline: dict[str, Any]) -> list[Row]:
    """What needs an entry: (case, product, version, verdict)."""
    return [
        (case_id, baseline["product"], baseline["version"], verdict)
        for case_id, verdict in baseline["verdicts"].items()
        if verdict != "PASS"
    ]


def row_of(entry: dict[str, str]) -> Row:
    return entry["case"], entry["product"], entry["version"], entry["verdict"]


def test_there_are_nine_products():
    assert len(PRODUCTS) == 9
    assert {verdict for product in PRODUCTS.values() for verdict in product["verdicts"].values()} == {
        *("PASS", "WARN", "FAIL", "UNCHECKED")
    }


@pytest.mark.parametrize("name", PRODUCTS)
def test_each_accusation_was_checked(name):
    entries = Counter(map(row_of, CHECKED))
    assert [row for row in rows_of(PRODUCTS[name]) if entries[row] != 1] == []


def test_no_entry_is_stale():
    rows = {row for product in PRODUCTS.values() for row in rows_of(product)}
    assert [row_of(entry) for entry in CHECKED if row_of(entry) not in rows] == []


@pytest.mark.parametrize("entry", CHECKED, ids=lambda entry: f"{entry['product']} {entry['case']}")
def test_an_entry_is_complete(entry):
    assert tuple(entry) == FIELDS
    assert all(entry.values())
    assert re.match(r"PS3\.[478] ", entry["standard says"])
    assert link(entry["standard says"].partition(",")[0].partition(":")[0]).startswith("https://")
    if entry["verdict"] == "UNCHECKED":
        assert entry["checked"].startswith("left open: ")
    else:
        assert entry["checked"] == "confirmed"


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_baseline_has_cases_that_there_are(name):
    product = PRODUCTS[name]
    cases, checks = (
        (catalogue.acceptor_cases(), catalogue.acceptor_checks())
        if product["part"] == "scp"
        else (catalogue.requestor_cases(), catalogue.requestor_checks())
    )
    assert set(product["verdicts"]) <= {case.id for case in cases} | {check.case.id for check in checks}
