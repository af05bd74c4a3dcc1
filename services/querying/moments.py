"""Dates and times as matching understands them: by their meaning, to the precision that is written (PS3.4 C.2.2.2.5).

A moment is digits: 8 of a date, 12 of a time, 20 of both, so that the order of texts is the order of moments. What is
left out at the end of a value makes it a span, from its first moment to its last.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

MOMENT_VRS = frozenset({"DA", "TM", "DT"})

_DATE = re.compile(r"(\d{4})(?:(\d\d)(\d\d)|\.(\d\d)\.(\d\d))", re.ASCII)
_TIME = re.compile(r"(\d\d)(?::?(\d\d)(?::?(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII)
_DATE_TIME = re.compile(
    r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:\.(\d{1,6}))?)?)?)?)?)?([+-]\d{4})?", re.ASCII
)
_FIRST_OF_YEAR, _LAST_OF_YEAR = "00000101000000000000", "99991231235959999999"
_FIRST_OF_DAY, _LAST_OF_DAY = _FIRST_OF_YEAR[8:], _LAST_OF_YEAR[8:]
_FORMAT = "%Y%m%d%H%M%S%f"


@dataclass(frozen=True, slots=True)
class Range:
    """From a moment to a moment, both included; "" is open."""

    vr: str
    low: str
    high: str
    is_single: bool = False
    """One value was written, not a range."""
    offset: str = ""
    """The offset from UTC that its ends are in; "" where none is written."""

    @property
    def form(self) -> tuple[bool, bool]:
        """Which ends it has."""
        return bool(self.low), bool(self.high)

    def covers(self, value: str) -> bool:
        """Whether a value, by its first moment, lies in it. What is no date or time does not."""
        try:
            first, _, offset = parse_moment(self.vr, value)
        except ValueError:
            return False
        if offset and self.offset and offset != self.offset:
            first = _moved(first, offset, self.offset)
        return (not self.low or first >= self.low) and (not self.high or first <= self.high)

    def covers_pair(self, date: str, time: str) -> bool:
        """The same for a date and a time that together are a moment; a time that is missing is the day's beginning."""
        try:
            first = parse_moment("DA", date)[0]
            first += parse_moment("TM", time)[0] if time.strip(" \0") else _FIRST_OF_DAY
        except ValueError:
            return False
        return (not self.low or first >= self.low) and (not self.high or first <= self.high)


def parse_range(vr: str, text: str) -> Range:
    """`A`, `A-B`, `A-` or `-B` (PS3.4 C.2.2.2.5.1 to 5.3). ValueError, with a sentence, for what is none of them."""
    if "-" not in text:
        low, high, offset = parse_moment(vr, text)
        return Range(vr, low, high, True, offset)
    for index, character in enumerate(text):
        if character == "-":
            try:
                return _range(vr, text[:index].strip(" "), text[index + 1 :].strip(" "))
            except ValueError:
                continue
    if vr == "DT":  # a negative offset: C.2.2.2.1.3 asks not to send one, but what else can it mean
        low, high, offset = parse_moment(vr, text)
        return Range(vr, low, high, True, offset)
    raise ValueError(f"it is no {vr} and no range of them")


def _range(vr: str, first: str, last: str) -> Range:
    low, _, low_offset = parse_moment(vr, first) if first else ("", "", "")
    _, high, high_offset = parse_moment(vr, last) if last else ("", "", "")
    if not (low or high):
        raise ValueError("the range has no end")
    if vr != "TM" and low and high and low > high:  # across midnight a time means something only with its date
        raise ValueError("the range ends before it begins")
    if low_offset and high_offset and low_offset != high_offset:
        high = _moved(high, high_offset, low_offset)
    return Range(vr, low, high, False, low_offset or high_offset)


def parse_moment(vr: str, text: str) -> tuple[str, str, str]:
    """(first moment, last moment, offset from UTC or "") of a value; ValueError when it is none.

    The old forms with points and colons (ACR-NEMA) are understood: PS3.5 6.2 asks readers to.
    """
    match = {"DA": _DATE, "TM": _TIME, "DT": _DATE_TIME}[vr].fullmatch(text.strip(" \0"))
    if match is None:
        raise ValueError(f"it is no {vr}")
    if vr == "DA":
        digits = "".join(filter(None, match.groups()))
        return digits, digits, ""
    *parts, offset = match.groups() if vr == "DT" else (*match.groups(), None)
    digits = "".join(filter(None, parts))
    first, last = (_FIRST_OF_YEAR, _LAST_OF_YEAR) if vr == "DT" else (_FIRST_OF_DAY, _LAST_OF_DAY)
    return digits + first[len(digits) :], digits + last[len(digits) :], offset or ""


def _moved(moment: str, offset: str, to: str) -> str:
    """The same moment with another offset from UTC; itself when a calendar doesn't have it."""
    try:
        return (datetime.strptime(moment, _FORMAT) + _delta(to) - _delta(offset)).strftime(_FORMAT)
    except (ValueError, OverflowError):
        return moment


def _delta(offset: str) -> timedelta:
    minutes = int(offset[1:3]) * 60 + int(offset[3:])
    return timedelta(minutes=-minutes if offset[0] == "-" else minutes)
