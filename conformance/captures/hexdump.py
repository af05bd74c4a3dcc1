"""Octets as people read them: offset, hexadecimal, characters, and marks under what is meant."""

from collections.abc import Iterator

_WIDTH = 16
_AROUND = 2  # rows shown before and after what is marked
MAX_ROWS = 64  # 1 kB; of more, the begin


def hexdump(
    octets: memoryview | bytes, *, mark: tuple[int, int] | None = None, around: bool = False, max_rows: int = MAX_ROWS
) -> Iterator[str]:
    """Rows of 16 octets. `mark` is a range to point at; with `around` only the rows near it are shown."""
    view = memoryview(octets)
    first, last = 0, (len(view) + _WIDTH - 1) // _WIDTH
    if mark is not None and around:
        first = max(mark[0] // _WIDTH - _AROUND, 0)
        last = min(mark[1] // _WIDTH + _AROUND + 1, last)
    shown = min(last, first + max_rows)
    for row in range(first, shown):
        start = row * _WIDTH
        yield _row(start, view[start : start + _WIDTH])
        if mark is not None:
            marked = _marks(start, min(len(view), start + _WIDTH), mark)
            if marked:
                yield marked
    left = len(view) - shown * _WIDTH
    if left > 0 and not around:
        yield f"{'':6}... {left} octets more"


def _row(start: int, octets: memoryview) -> str:
    numbers = " ".join(f"{octet:02x}" for octet in octets[:8])
    more = " ".join(f"{octet:02x}" for octet in octets[8:])
    text = "".join(chr(octet) if 0x20 <= octet < 0x7F else "." for octet in octets)
    return f"{start:06x}  {numbers:<23}  {more:<23}  |{text}|"


def _marks(start: int, stop: int, mark: tuple[int, int]) -> str:
    begin, end = max(mark[0], start), min(max(mark[1], mark[0] + 1), stop)
    if begin >= end:
        return ""
    line = [" "] * 58
    for octet in range(begin - start, end - start):
        column = 8 + octet * 3 + (1 if octet >= 8 else 0)
        line[column : column + 2] = "^^"
    return "".join(line).rstrip()
