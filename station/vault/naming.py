"""How a series is called on the command line: by its UID, or by as much of its end or beginning as no other has.

There are no numbers: those of a list would mean another series after the next arrival, and a shell takes `#3` for a
comment. An end of a UID means the same series for ever, or, when another comes that ends so, none.
"""

from bisect import bisect_left
from collections.abc import Collection

from dulcet.escape import quote

MIN_CHARACTERS = 4  # of a part of a UID: less names what happens to be there, not what was meant
SHORT_CHARACTERS = 6  # of what a list shows, at least
MAX_CHARACTERS = 128  # shown of what is no UID
WITHOUT = "-"  # the name of all objects that have no Series Instance UID


def shown(series_instance_uid: str) -> str:
    """A Series Instance UID as it is shown and typed."""
    return quote(series_instance_uid, MAX_CHARACTERS) or WITHOUT


def matching(word: str, series_uids: Collection[str]) -> list[str]:
    """The series that a word may mean: one if it is a UID, or else all that begin or end so."""
    exact = [uid for uid in series_uids if shown(uid) == word]
    if exact or len(word) < MIN_CHARACTERS:
        return exact
    return [uid for uid in series_uids if shown(uid).startswith(word) or shown(uid).endswith(word)]


def short_names(series_uids: Collection[str]) -> dict[str, str]:
    """The shortest end of each that names it alone."""
    names = {shown(uid): uid for uid in series_uids}
    ordered = sorted(names)
    backwards = sorted(name[::-1] for name in names)
    short: dict[str, str] = {}
    for place, reverse in enumerate(backwards):
        beside = backwards[max(place - 1, 0) : place] + backwards[place + 1 : place + 2]
        alike = max((_common(reverse, other) for other in beside), default=0)
        name = reverse[::-1]
        for length in range(max(alike + 1, SHORT_CHARACTERS), len(name)):
            end = name[-length:]
            if end[0] != "." and not _begins(ordered, end):
                break
        else:
            end = name
        short[names[name]] = end
    return short


def _common(one: str, other: str) -> int:
    count = 0
    for first, second in zip(one, other, strict=False):
        if first != second:
            break
        count += 1
    return count


def _begins(ordered: list[str], part: str) -> bool:
    place = bisect_left(ordered, part)
    return place < len(ordered) and ordered[place].startswith(part)
