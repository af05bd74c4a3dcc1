"""Days as people say them become one date or a range (PS3.4 C.2.2.2.5)."""

from datetime import date

import pytest

from dulcet.errors import ConfigurationError
from dulcet.station.query.dates import date_range

TODAY = date(2026, 3, 31)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", "20260331"),
        ("Yesterday", "20260330"),
        ("last7d", "20260324-20260331"),
        ("last 2 weeks", "20260317-20260331"),
        ("last1m", "20260228-20260331"),
        ("last13m", "20250228-20260331"),
        ("last3y", "20230331-20260331"),
        ("last0d", "20260331-20260331"),
        ("last9999y", "00010331-20260331"),
        ("20260101", "20260101"),
        ("2026-01-01", "20260101"),
        ("2026-02", "20260201-20260228"),
        ("2024-02", "20240201-20240229"),
        ("2026", "20260101-20261231"),
        ("20260101-20260131", "20260101-20260131"),
        ("2026-01-01..2026-01-31", "20260101-20260131"),
        ("2026-01-01 .. 2026-01-31", "20260101-20260131"),
        ("2026-01..2026-03", "20260101-20260331"),
        ("2025-2026", "20250101-20261231"),
        ("2026-01-01..", "20260101-"),
        ("..2026-01-01", "-20260101"),
        ("20260101-", "20260101-"),
        ("-20260131", "-20260131"),
        ("20260101-20260101", "20260101-20260101"),
    ],
)
def test_a_date_for_a_key(text, expected):
    assert date_range(text, TODAY) == expected


@pytest.mark.parametrize("text", ["", "soon", "2026-13", "2026-02-30", "..", "-", "20260101..soon", "lastd", "1.2"])
def test_what_is_no_date(text):
    with pytest.raises(ConfigurationError, match="is no date: today, yesterday, last7d"):
        date_range(text, TODAY)


@pytest.mark.parametrize("text", ["20260131-20260101", "2026-03..2026-01"])
def test_a_range_the_wrong_way_round(text):
    with pytest.raises(ConfigurationError, match="the range ends before it begins"):
        date_range(text, TODAY)
