"""Waits in which the time that the kit itself stood still does not count: a halt of the machine accuses nobody."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

PIECE_SECONDS = 0.25  # a halt costs no more patience than this
LATE_SECONDS = 0.1  # by which a piece may end late; beyond that the kit was held up, and perhaps the product with it
_Came = TypeVar("_Came")


async def within(seconds: float, wait: Callable[[], Awaitable[_Came]]) -> _Came | None:
    """What `wait` gives; None when it gives nothing for so many seconds in which the kit was running.

    The time is taken in pieces, and a piece that ended late is taken once more: what came meanwhile is read first.
    `wait` is cancelled and begun again for each piece, so it must not lose anything by that.
    """
    left = seconds
    while True:
        piece = min(left, PIECE_SECONDS)
        due = trio.current_time() + piece
        with trio.move_on_at(due):
            return await wait()
        if trio.current_time() - due <= LATE_SECONDS:
            left -= piece
            if left <= 0:
                return None
