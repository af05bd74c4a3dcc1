"""Hours by the clock on the wall, on the days on which it is changed too."""

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from dulcet.errors import ConfigurationError
from dulcet.station.queue.hours import check_hours, is_within

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def berlin(monkeypatch):
    """This machine is in Berlin."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text, fold=0):
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("09:00-17:00", ["09:00:00", "12:00:00", "16:59:59"], ["08:59:59", "17:00:00", "00:00:00"]),
        ("22:00-06:00", ["22:00:00", "23:59:59", "00:00:00", "05:59:59"], ["21:59:59", "06:00:00", "12:00:00"]),
        ("00:00-24:00", ["00:00:00", "12:00:00", "23:59:59"], []),
        ("22:00-24:00", ["22:00:00", "23:59:59"], ["00:00:00", "21:59:59"]),
        ("22:00-00:00", ["22:00:00", "23:59:59"], ["00:00:00", "21:59:59"]),
        ("23:59-00:01", ["23:59:30", "00:00:59"], ["00:01:00", "23:58:59"]),
    ],
)
def test_a_window(berlin, hours, inside, outside):
    assert all(is_within(hours, at(f"2026-01-15 {each}")) for each in inside)
    assert not any(is_within(hours, at(f"2026-01-15 {each}")) for each in outside)


def test_no_hours_are_all(berlin):
    assert is_within("", at("2026-01-15 03:00:00"))


def minutes_open(hours, start, end):
    """Minutes of real time between two moments in which the window is open."""
    return sum(is_within(hours, start + 60 * minute) for minute in range(round((end - start) / 60)))


@pytest.mark.parametrize(
    ("day", "hours", "minutes"),
    [
        ("2026-03-28", "22:00-06:00", 7 * 60),  # at 2 the clock was put to 3
        ("2026-10-24", "22:00-06:00", 9 * 60),  # at 3 the clock was put to 2
        ("2026-06-01", "22:00-06:00", 8 * 60),
        ("2026-03-28", "02:30-03:30", 30),  # its first half did not happen
        ("2026-10-24", "02:00-03:00", 120),  # it came twice
        ("2026-03-28", "02:00-03:00", 0),
    ],
)
def test_a_night_on_which_the_clock_is_changed(berlin, day, hours, minutes):
    noon = at(f"{day} 12:00:00")
    next_noon = at(f"{day[:-2]}{int(day[-2:]) + 1:02} 12:00:00")
    assert minutes_open(hours, noon, next_noon) == minutes


def test_the_hour_that_comes_twice(berlin):
    first, second = (at("2026-10-25 02:30:00", fold) for fold in (0, 1))
    assert second - first == 3600
    assert is_within("02:00-03:00", first)
    assert is_within("02:00-03:00", second)
    assert not is_within("03:00-04:00", second)


@pytest.mark.parametrize(
    ("said", "kept"),
    [("9:00-17:30", "09:00-17:30"), (" 22:00-6:00 ", "22:00-06:00"), ("22:00-24:00", "22:00-24:00"), ("", "")],
)
def test_how_hours_are_kept(said, kept):
    assert check_hours(said) == kept


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("22-6", "hours are written like 22:00-06:00, not '22-6'"),
        ("22:00", "hours are written like"),
        ("22:60-06:00", "hours are written like"),
        ("24:00-06:00", "a day ends at 24:00"),
        ("22:00-24:01", "a day ends at 24:00"),
        ("06:00-06:00", "they end when they begin"),
        ("\x1b[31m22:00-06:00", r"not '\\x1b\[31m22"),
    ],
)
def test_what_are_no_hours(text, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        check_hours(text)
