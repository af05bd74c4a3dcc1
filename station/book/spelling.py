"""The nearest known word, for a word that is none."""

from collections.abc import Iterable

MAX_SUGGESTIONS = 3  # more would hide the right one


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """Up to three of `known` that `word` may have been meant to be, the best first; upper and lower case are one."""
    import difflib

    by_lower_case: dict[str, str] = {}
    for each in known:
        by_lower_case.setdefault(each.lower(), each)
    found = difflib.get_close_matches(word.lower(), by_lower_case, n=MAX_SUGGESTIONS)
    return [by_lower_case[each] for each in found]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'port'?` to end a sentence with, or nothing."""
    found = [repr(each) for each in nearest(word, known)]
    if not found:
        return ""
    choices = found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}"
    return f"; did you mean {choices}?"
