"""Figures as people read them, wherever they are shown."""

BAR_CHARACTERS = 16
_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))


def size(octets: float) -> str:
    """`1.2 GB`, `999 B`: decimal units, as disks and networks have them."""
    for unit, name in _UNITS:
        if octets >= unit:
            return f"{octets / unit:,.1f} {name}"
    return f"{octets:.0f} B"


def rate(octets_per_second: float) -> str:
    """`12.3 MB/s`."""
    return f"{size(octets_per_second)}/s"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`, `3 d 4 h`."""
    whole = max(round(seconds), 0)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def bar(done: float, total: float) -> str:
    """`[######..........]`; full only when all is done."""
    filled = int(min(max(done / total, 0.0), 1.0) * BAR_CHARACTERS) if total > 0 else 0
    return f"[{'#' * filled}{'.' * (BAR_CHARACTERS - filled)}]"


def day(text: str) -> str:
    """A DA (PS3.5 6.2), `20260131`, as `2026-01-31`; what is none stays as it is."""
    return f"{text[:4]}-{text[4:6]}-{text[6:]}" if len(text) == 8 and text.isdigit() else text


def plural(count: int, what: str, several: str = "") -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} {what if count == 1 else several or what + 's'}"
