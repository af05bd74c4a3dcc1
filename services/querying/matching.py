r"""Attribute matching: PS3.4 C.2.2.2. A key is compiled once and then asked of each value. Pure functions.

A value is text as it stands in an element, with `\` between several: if one matches, all do (C.2.2.3). An empty value
matches only a universal key. Time is linear in the length of a value: a wild card never becomes a regular expression.

What the standard leaves open: person names are matched without regard to case, their groups (`=`) one by one, trailing
delimiters of components ignored. Dates and times are matched by their meaning: a key that leaves out minutes covers the
whole hour. A list of values is understood for every VR whose values may be several, not for UIDs alone.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from dulcet.services.querying.moments import MOMENT_VRS, Range, parse_range

MAX_KEY_CHARACTERS = 64 * 1024  # a list of a thousand UIDs
MAX_WILD_CARD_CHARACTERS = 1024

Accepts = Callable[[str], bool]

_WILD_CARD_VRS = frozenset(["AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"])  # PS3.4 C.2.2.2.4
_SINGLE_VALUE_VRS = frozenset(["LT", "ST", "UR", "UT"])  # PS3.5 6.2: a backslash is a character of the text
_NUMBER_VRS = frozenset(["DS", "FD", "FL", "IS", "SL", "SS", "UL", "US", "SV", "UV"])


class Kind(Enum):
    """The types of matching (PS3.4 C.2.2.2) of what is not a sequence."""

    UNIVERSAL = "Universal Matching"
    SINGLE_VALUE = "Single Value Matching"
    LIST = "List of UID Matching"
    WILD_CARD = "Wild Card Matching"
    RANGE = "Range Matching"


@dataclass(frozen=True, slots=True)
class Key:
    """A key attribute's value, compiled."""

    kind: Kind
    accepts: Accepts
    """Whether a value matches."""
    values: tuple[str, ...] = ()
    """The values of a single value or a list, without padding."""
    range: Range | None = None
    """What a key of VR DA, TM or DT covers, a single value too."""


UNIVERSAL = Key(Kind.UNIVERSAL, lambda _value: True)


def compile_key(vr: str, text: str) -> Key:
    """The key that `text` is in an element of this VR. ValueError, with a sentence, when it can't be one."""
    text = text.rstrip(" \0") if vr in _SINGLE_VALUE_VRS else text.strip(" \0")
    if not text.strip("*"):  # a wild card that stands for anything is universal, and for UIDs people mean it too
        return UNIVERSAL
    if len(text) > MAX_KEY_CHARACTERS:
        raise ValueError(f"the key has more than {MAX_KEY_CHARACTERS} characters")
    if vr in MOMENT_VRS:
        return _range_key(vr, text)
    values = (text,) if vr in _SINGLE_VALUE_VRS else tuple(value.strip(" \0") for value in text.split("\\"))
    values = tuple(dict.fromkeys(filter(None, values)))
    if not values:
        return UNIVERSAL
    has_wild_card = vr in _WILD_CARD_VRS and ("*" in text or "?" in text)
    if has_wild_card and len(text) > MAX_WILD_CARD_CHARACTERS:
        raise ValueError(f"a key with wild cards has at most {MAX_WILD_CARD_CHARACTERS} characters")
    accepts = _any_value(_one_value(vr, values, has_wild_card), vr not in _SINGLE_VALUE_VRS)
    if has_wild_card:
        return Key(Kind.WILD_CARD, accepts)
    return Key(Kind.SINGLE_VALUE if len(values) == 1 else Kind.LIST, accepts, values)


def combined(date: Key, time: Key) -> Callable[[str, str], bool] | None:
    """Both keys as one range of moments (PS3.4 C.2.2.2.5.4); None unless they are ranges of the same form."""
    dates, times = date.range, time.range
    if dates is None or times is None or dates.is_single or times.is_single or dates.form != times.form:
        return None
    whole = Range("DT", dates.low + times.low if dates.low else "", dates.high + times.high if dates.high else "")
    return lambda date_value, time_value: whole.covers_pair(date_value, time_value)


def _range_key(vr: str, text: str) -> Key:
    found = parse_range(vr, text)
    kind = Kind.SINGLE_VALUE if found.is_single else Kind.RANGE
    return Key(kind, _any_value(found.covers, True), (text,) if found.is_single else (), found)


def _one_value(vr: str, values: tuple[str, ...], has_wild_card: bool) -> Accepts:
    if vr == "PN":
        return _any(tuple(_person_name(value) for value in values))
    if has_wild_card:
        return _any(tuple(wild_card(value) for value in values))
    if vr in _NUMBER_VRS:
        numbers = frozenset(map(_number, values))
        return lambda value: _number(value) in numbers
    wanted = frozenset(values)
    return wanted.__contains__


def _any(choices: tuple[Accepts, ...]) -> Accepts:
    return choices[0] if len(choices) == 1 else lambda value: any(accepts(value) for accepts in choices)


def _any_value(accepts: Accepts, may_be_several: bool) -> Accepts:
    """Ask of each value of an element without its padding; an empty one matches nothing."""

    def each(text: str) -> bool:
        if may_be_several and "\\" in text:
            return any(accepts(value) for part in text.split("\\") if (value := part.strip(" \0")))
        value = text.strip(" \0")
        return bool(value) and accepts(value)

    return each


def _number(text: str) -> float | int | str:
    """By its meaning, as far as it is a number."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


# Person names -------------------------------------------------------------------------------------------------------


def _person_name(text: str) -> Accepts:
    """A key of VR PN: its groups one by one; without `=` it may be any of the value's groups (PS3.4 C.2.2.2.1.1)."""
    groups = [_group_key(group) for group in folded(text).split("=")]
    if len(groups) == 1:
        only = groups[0]
        if only is None:
            return lambda _value: True
        return lambda value: any(map(only, filter(None, map(_group, folded(value).split("=")))))
    return lambda value: _all_groups(groups, [_group(group) for group in folded(value).split("=")])


def folded(text: str) -> str:
    """Without the difference between cases, and composed: what person names are compared by."""
    return text.casefold() if text.isascii() else unicodedata.normalize("NFC", text.casefold())


def _group(text: str) -> str:
    """A component group (PS3.5 6.2.1) without spaces round its components and trailing delimiters."""
    if " " in text:
        text = "^".join(component.strip(" ") for component in text.split("^"))
    return text.rstrip("^")


def _group_key(text: str) -> Accepts | None:
    """None for a group that says nothing."""
    group = _group(text)
    if not group.strip("*"):
        return None
    if "*" not in group and "?" not in group:
        return group.__eq__
    accepts, delimiters = wild_card(group), group.count("^")
    # DOE^* means DOE with any given name, none included.
    return lambda value: accepts(value) or accepts(value + "^" * max(delimiters - value.count("^"), 0))


def _all_groups(keys: list[Accepts | None], values: list[str]) -> bool:
    values += [""] * (len(keys) - len(values))
    return all(key is None or key(value) for key, value in zip(keys, values, strict=False))


# Wild cards ---------------------------------------------------------------------------------------------------------


def wild_card(pattern: str) -> Accepts:
    """`*` is any sequence of characters, none included, `?` is any one character (PS3.4 C.2.2.2.4).

    Between two asterisks the first place that fits is the right one, so nothing is ever tried twice.
    """
    first, *others = pattern.split("*")
    if not others:
        return lambda value: len(value) == len(first) and _fits(value, 0, first)
    *middle, last = others
    least = len(pattern) - pattern.count("*")

    def accepts(value: str) -> bool:
        position, end = len(first), len(value) - len(last)
        if len(value) < least or not (_fits(value, 0, first) and _fits(value, end, last)):
            return False
        for part in middle:
            found = _find(value, part, position, end)
            if found < 0:
                return False
            position = found + len(part)
        return True

    return accepts


def _fits(value: str, position: int, part: str) -> bool:
    if "?" not in part:
        return value.startswith(part, position)
    return all(expected in ("?", value[position + index]) for index, expected in enumerate(part))


def _find(value: str, part: str, start: int, end: int) -> int:
    """The first place of `part` in `value`, or -1. With `?` all places are followed at once, one bit for each."""
    if "?" not in part:
        return value.find(part, start, end)
    anything = sum(1 << index for index, expected in enumerate(part) if expected == "?")
    masks: dict[str, int] = {}
    for index, expected in enumerate(part):
        if expected != "?":
            masks[expected] = masks.get(expected, anything) | 1 << index
    goal, state = 1 << len(part) - 1, 0
    for position in range(start, end):
        state = (state << 1 | 1) & masks.get(value[position], anything)
        if state & goal:
            return position - len(part) + 1
    return -1
