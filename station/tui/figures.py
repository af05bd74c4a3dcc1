"""Figures and times as people read them."""

import time

from rich.text import Text

from dulcet.station import figures

BAR_CELLS = 12


def rate(per_second: float | None) -> str:
    """`12.3 MB/s`; "" when it is not known."""
    return "" if per_second is None else figures.rate(per_second)


def countdown(seconds: float) -> str:
    """`0:42`, `3:20`, `2:05:00`: as short as it can be."""
    minutes, rest = divmod(max(round(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def moment(at: float | None, now: float | None = None) -> str:
    """`14:03:22` of today, `01-31 14:03` of this year, `2025-12-31`; local time, "" for None. Seconds since 1970."""
    if at is None:
        return ""
    then, today = time.localtime(at), time.localtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M:%S", then)
    return time.strftime("%m-%d %H:%M" if then[0] == today[0] else "%Y-%m-%d", then)


def count(number: int, one: str, many: str = "") -> str:
    """`1 study`, `1,234 studies`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def bar(done: float, total: float, cells: int = BAR_CELLS, style: str = "") -> Text:
    """How much of it is done: eighths of a cell, and nothing of it depends on colours."""
    share = min(max(done / total, 0.0), 1.0) if total else 0.0
    eighths = int(share * cells * 8)
    whole, part = divmod(eighths, 8)
    drawn = "█" * whole + (" ▏▎▍▌▋▊▉"[part] if part else "")
    return Text.assemble((drawn, style), ("░" * (cells - len(drawn)), "dim"))
