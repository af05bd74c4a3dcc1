"""The kit has every case of the catalogue, and no other."""

from pathlib import Path

import pytest

import dulcet
from dulcet.conformance.kit import catalogue
from dulcet.conformance.kit.case import Case, Level, Role
from dulcet.conformance.kit.outcome import Outcome, expand, matches

DATA = Path(dulcet.__file__).parent / "tests" / "data" / "conformance_catalogue.txt"
LOWER = {"ul.abort.provider.3"}  # reason 3 is reserved, so only robustness can be asked for


def rows() -> list[tuple[str, str, list[str]]]:
    lines = [line.split() for line in DATA.read_text().splitlines() if not line.startswith("#")]
    return [(role, level, ids) for role, level, *ids in lines]


ACCEPTOR = {case.id: case for case in catalogue.acceptor_cases()}
REQUESTOR = {case.id: case for case in catalogue.requestor_cases()}
LOOKED_AT = {check.case.id: check.case for check in (*catalogue.acceptor_checks(), *catalogue.requestor_checks())}
ALL: list[Case] = [*ACCEPTOR.values(), *REQUESTOR.values(), *LOOKED_AT.values()]


def test_the_catalogue_has_496_rows():
    assert len(rows()) == 496


def test_every_row_is_a_case():
    expected = {case_id for _, _, ids in rows() for case_id in ids}
    assert {case.id for case in ALL} == expected


def test_no_id_is_given_twice_on_one_side():
    for cases, checks in (
        (catalogue.acceptor_cases(), catalogue.acceptor_checks()),
        (catalogue.requestor_cases(), catalogue.requestor_checks()),
    ):
        ids = [case.id for case in cases] + [check.case.id for check in checks]
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize(("letter", "cases"), [("A", ACCEPTOR), ("R", REQUESTOR)])
def test_a_row_for_a_part_is_played_on_that_side(letter, cases):
    missing = {
        case_id
        for role, _, ids in rows()
        if letter in role
        for case_id in ids
        if case_id not in cases and case_id not in LOOKED_AT
    }
    assert missing == set()


def test_levels_are_those_of_the_catalogue():
    levels = {case_id: level for _, level, ids in rows() for case_id in ids}
    wrong = {case.id: (case.level.value, levels[case.id]) for case in ALL if case.level.value != levels[case.id]}
    assert set(wrong) == LOWER


@pytest.mark.parametrize("case", ALL, ids=lambda case: f"{case.role.value}-{case.id}")
def test_a_case_is_complete(case):
    assert case.requirement.endswith(".")
    assert case.link.startswith("https://dicom.nema.org/")
    assert case.undecidable or case.role is Role.PASSIVE or (case.stimulus and case.play and case.allowed)
    for pattern in expand((*case.allowed, *case.tolerated)):
        matches(Outcome("NOTHING"), (pattern,))  # ValueError for what is no pattern


def test_what_is_undecidable_says_why():
    assert all(case.undecidable for case in ALL if case.play is None and case.role is not Role.PASSIVE)


def test_informational_cases_never_fail_a_run():
    assert all(case.level is Level.INFORMATIONAL for case in ALL if case.timing)
