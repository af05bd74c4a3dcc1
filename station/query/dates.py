"""Days as people say them, as a value of VR DA to match: `today`, `last7d`, `2026-01`, `2026-01-01..2026-01-31`."""

import calendar
import re
from datetime import date, timedelta

from dulcet.errors import ConfigurationError
from dulcet.escape import quoted

_LAST = re.compile(r"last\s*(\d{1,4})\s*(d|days?|w|weeks?|m|months?|y|years?)")
_DAY = re.compile(r"(\d{4})(?:-?(\d\d)(?:-?(\d\d))?)?")


def date_range(text: str, today: date) -> str:
    """The value for a date key: one date or a range (PS3.4 C.2.2.2.5). ConfigurationError for what is no date.

    A month or a year is the range of its days; `..` or a hyphen joins two days, either of which may be missing;
    `last7d` is today and the seven days before it.
    """
    word = text.strip().lower()
    if word in ("today", "yesterday"):
        return _da(today - timedelta(days=word == "yesterday"))
    last = _LAST.fullmatch(word)
    if last:
        return f"{_da(_before(today, int(last[1]), last[2][0]))}-{_da(today)}"
    for separator in ("..", "-", " - "):
        first, found, second = word.partition(separator)
        days = [_day(part) if part else ("", "") for part in (first.strip(), second.strip())]
        if found and None not in days and any(days):
            (start, _), (_, end) = (day or ("", "") for day in days)
            if start or end:
                return _ordered(start, end, text)
    day = _day(word)
    if day is None:
        examples = "today, yesterday, last7d, 2026-01-31, 2026-01, 20260101-20260131, 2026-01-01.."
        raise ConfigurationError(f"{quoted(text)} is no date: {examples}")
    return day[0] if day[0] == day[1] else f"{day[0]}-{day[1]}"


def _day(word: str) -> tuple[str, str] | None:
    """The first and the last day of what a word names; None when it names none."""
    match = _DAY.fullmatch(word)
    if not match:
        return None
    year, month, day = (int(part) if part else 0 for part in match.groups())
    try:
        first = date(year, month or 1, day or 1)
    except ValueError:
        return None
    last = first if day else date(year, month or 12, calendar.monthrange(year, month or 12)[1])
    return _da(first), _da(last)


def _before(today: date, count: int, unit: str) -> date:
    if unit in "dw":
        return today - timedelta(days=count * (7 if unit == "w" else 1))
    months = today.year * 12 + today.month - 1 - count * (12 if unit == "y" else 1)
    year, month = max(months // 12, 1), months % 12 + 1
    return date(year, month, min(today.day, calendar.monthrange(year, month)[1]))


def _ordered(start: str, end: str, text: str) -> str:
    if start and end and start > end:
        raise ConfigurationError(f"{quoted(text)}: the range ends before it begins")
    return f"{start}-{end}"


def _da(day: date) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}"
