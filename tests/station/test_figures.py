"""Sizes, times and bars, as every command shows them."""

import pytest

from dulcet.station.figures import bar, day, duration, rate, size


@pytest.mark.parametrize(
    ("octets", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5.1e9, "5.1 GB"), (2e15, "2,000.0 TB")]
)
def test_sizes(octets, shown):
    assert size(octets) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3725, "1 h 02 min"),
        (100_000, "1 d 3 h"),
    ],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("done", "total", "filled"),
    [(0, 10, 0), (5, 10, 8), (9.99, 10, 15), (10, 10, 16), (15, 10, 16), (1, 0, 0), (0, 0, 0)],
)
def test_a_bar_is_as_long_as_what_is_done(done, total, filled):
    assert bar(done, total) == f"[{'#' * filled}{'.' * (16 - filled)}]"


@pytest.mark.parametrize(
    ("value", "shown"), [("20260131", "2026-01-31"), ("", ""), ("2026", "2026"), ("January!", "January!")]
)
def test_days(value, shown):
    assert day(value) == shown


@pytest.mark.parametrize(("octets_per_second", "shown"), [(0, "0 B/s"), (38_300, "38.3 kB/s"), (2.5e6, "2.5 MB/s")])
def test_rates(octets_per_second, shown):
    assert rate(octets_per_second) == shown
