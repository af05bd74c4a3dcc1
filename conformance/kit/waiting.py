"""Waits in which the time that the kit itself stood still does not count: a halt of the machine accuses nobody."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

PIECE_SECONDS = 0.25  # a halt costs no more patience than this
LATE_SECONDS = 0.1  # by which a piece may end late; beyond that the kit was held up, and perhaps the product with it
MOST_HALTS = 40  # of one wait; a machine that is late every time must not make it endless
_Came = TypeVar("_Came")


async def within(seconds: float, wait: Callable[[], Awaitable[_Came]]) -> _Came | None:
    """What `wait` gives; None when it gives nothing for so many seconds in which the kit was running.

    The time is taken in pieces, and a piece that ended late is taken once more: what came meanwhile is read first.
    Halts beyond MOST_HALTS count like any other time. `wait` is cancelled and begun again for each piece, so it must
    not lose anything by that.
    """
    left, halts = seconds, 0
    while True:
        piece = min(left, PIECE_SECONDS)
        due = trio.current_time() + piece
        with trio.move_on_at(due):
            return await wait()
        if trio.current_time() - due > LATE_SECONDS and halts < MOST_HALTS:
            halts += 1
            continue
        left -= piece
        if left <= 0:
            return None
