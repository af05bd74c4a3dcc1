"""Hours in which a job may run: `22:00-06:00`, by the local time of this machine.

A moment is judged by what the clock on the wall shows then. So a window that a change of daylight-saving time falls
into is as long as the wall says: an hour that is skipped is missing, one that comes twice is there twice.
"""

import re
import time
from functools import lru_cache

from dulcet.errors import ConfigurationError
from dulcet.escape import quoted

_HOURS = re.compile(r"(\d\d?):(\d\d)-(\d\d?):(\d\d)")
_DAY_MINUTES = 24 * 60


def check_hours(text: str) -> str:
    """`text` as it is kept: `09:00-17:30`; "" stays "". ConfigurationError when it is no window."""
    if not text:
        return ""
    start, end = _parse(text)
    return f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}"


def is_within(hours: str, at: float) -> bool:
    """Whether the moment `at`, seconds since 1970, is within `hours`: their first minute is, their last is not."""
    if not hours:
        return True
    start, end = _parse(hours)
    local = time.localtime(at)
    minute = local.tm_hour * 60 + local.tm_min
    return start <= minute < end if start < end else minute >= start or minute < end


@lru_cache(maxsize=256)
def _parse(text: str) -> tuple[int, int]:
    """Minutes of the day at which the window opens and closes."""
    matched = _HOURS.fullmatch(text.strip())
    numbers = [int(part) for part in matched.groups()] if matched else []
    if not numbers or numbers[1] > 59 or numbers[3] > 59:
        raise ConfigurationError(f"hours are written like 22:00-06:00, not {quoted(text)}")
    start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if start >= _DAY_MINUTES or end > _DAY_MINUTES:
        raise ConfigurationError(f"a day ends at 24:00, so {quoted(text)} are no hours")
    if start == end:
        raise ConfigurationError(f"{quoted(text)} are no hours: they end when they begin")
    return start, end
