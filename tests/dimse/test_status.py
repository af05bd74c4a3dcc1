"""Status codes beside a transcription of PS3.7 Annex C and of the tables of PS3.4."""

import json
from pathlib import Path

import pytest

from dulcet.dimse.messages import MESSAGES
from dulcet.dimse.status import GENERAL, SERVICES, Category, categorize, explain, find

TABLES = json.loads((Path(__file__).parents[1] / "data" / "status_codes.json").read_text())
DEFINED_ELSEWHERE = {0x0001}  # a class of its own in Annex C; PS3.4 gives it its meaning
ROWS = [("", row) for row in TABLES["general"]] + [
    (service, row) for service, rows in TABLES["services"].items() for row in rows
]


def in_words(meaning):
    """A meaning without what only editions and typography change."""
    text = meaning.casefold().replace(" - ", ", ").replace("; ", ", ")
    for prefix in ("failure: ", "warning: "):
        text = text.removeprefix(prefix)
    return text


@pytest.mark.parametrize(("service", "row"), ROWS, ids=lambda part: part if isinstance(part, str) else part[0])
def test_every_status_of_the_standard(service, row):
    first, last, category, meaning, clause = int(row[0], 16), int(row[1], 16), *row[2:]
    for code in {first, (first + last) // 2, last}:
        found = find(code, service)
        assert found is not None
        assert (found.first, found.last, found.clause) == (first, last, clause)
        assert categorize(code, service) is Category(category)
        assert in_words(explain(code, service)).startswith(in_words(meaning))


@pytest.mark.parametrize(
    ("service", "rows"), [("", GENERAL), *SERVICES.items()], ids=lambda part: part if isinstance(part, str) else ""
)
def test_no_status_that_the_standard_does_not_have(service, rows):
    standard = TABLES["services"].get(service, []) + TABLES["general"]
    ranges = {(int(row[0], 16), int(row[1], 16)) for row in standard}
    assert {(row.first, row.last) for row in rows if row.first not in DEFINED_ELSEWHERE} <= ranges


def test_the_class_of_every_code():
    expected = dict.fromkeys(range(0x10000), Category.FAILURE)
    for first, last, category in TABLES["classes"]:
        expected.update(dict.fromkeys(range(int(first, 16), int(last, 16) + 1), Category(category)))
    assert {code: categorize(code) for code in range(0x10000)} == expected


def test_every_service_is_there():
    assert set(SERVICES) == {message.SERVICE for message in MESSAGES.values()} - {"C-CANCEL"}


@pytest.mark.parametrize(
    ("status", "service", "explanation"),
    [
        (0xA700, "C-STORE", "Refused: Out of resources"),
        (0xA7FE, "C-STORE", "Refused: Out of resources"),
        (0xA700, "C-MOVE", "Failure: not a code that the standard defines for C-MOVE"),
        (0xA700, "", "Failure: not a code that the standard defines"),
        (0xB123, "C-STORE", "Warning: not a code that the standard defines for C-STORE"),
        (0x4242, "", "Failure: not a code that the standard defines"),
        (0x0122, "C-ECHO", "Refused: SOP Class not supported"),
        (0x0000, "an unknown service", "Success"),
    ],
)
def test_explained(status, service, explanation):
    assert explain(status, service) == explanation
