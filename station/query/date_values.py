"""Whether a value of VR DA, TM or DT can be matched: what PS3.5 6.2 allows, or a range of it (PS3.4 C.2.2.2.5)."""

import re
from collections.abc import Callable
from datetime import date

_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d{1,6})?)?)?")
_DATE_TIME = re.compile(r"(\d{4})(\d\d)?(\d\d)?((?<=\d{8})\d\d[\d.]*)?([+-]\d{4})?")
_LAST_OFFSET = {"-": 12 * 60, "+": 14 * 60}


def is_date_match(value: str) -> bool:
    """A day of the Gregorian calendar, or a range of days."""
    return _is_match(value, _is_date)


def is_time_match(value: str) -> bool:
    """A time of the day, down to any component, or a range of times; second 60 is a leap second."""
    return _is_match(value, _is_time)


def is_date_time_match(value: str) -> bool:
    """A date-time, down to any component and with or without an offset from UTC, or a range of them."""
    return _is_match(value, _is_date_time)


def _is_match(value: str, is_value: Callable[[str], bool]) -> bool:
    """Each hyphen may be that of the range: a DT has others, in its offset."""
    if is_value(value):
        return True
    parts = ((value[:place], value[place + 1 :]) for place, character in enumerate(value) if character == "-")
    return any(all(not part or is_value(part) for part in pair) and any(pair) for pair in parts)


def _is_date(text: str) -> bool:
    return _DATE.fullmatch(text) is not None and _is_day(text[:4], text[4:6], text[6:])


def _is_day(year: str, month: str, day: str) -> bool:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return False
    return True


def _is_time(text: str) -> bool:
    match = _TIME.fullmatch(text)
    if match is None:
        return False
    hour, minute, second = (int(part or 0) for part in match.groups())
    return hour < 24 and minute < 60 and second <= 60


def _is_date_time(text: str) -> bool:
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        return False
    year, month, day, time, offset = match.groups()
    if not _is_day(year, month or "01", day or "01") or (time and not _is_time(time)):
        return False
    return not offset or (int(offset[3:]) < 60 and int(offset[1:3]) * 60 + int(offset[3:]) <= _LAST_OFFSET[offset[0]])
