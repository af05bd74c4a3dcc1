"""How far a retrieval is: one line that is written over on a terminal, a line now and then elsewhere."""

from collections.abc import Callable
from typing import TextIO

import trio

from dulcet.station.sending.progress import LINE_SECONDS, PATIENCE_SECONDS
from dulcet.station.terminal import moves_cursor

REFRESH_SECONDS = 0.2
_CLEAR = "\r\x1b[K"


async def show_status(describe: Callable[[], str], output: TextIO, *, quiet: bool = False) -> None:
    """Show what `describe` says until cancelled; on a terminal the line is wiped away then. `quiet`: nothing."""
    if quiet:
        return
    is_terminal = moves_cursor(output)
    await trio.sleep(PATIENCE_SECONDS if is_terminal else LINE_SECONDS)
    try:
        while True:
            output.write(f"{_CLEAR}{describe()}" if is_terminal else f"{describe()}\n")
            output.flush()
            await trio.sleep(REFRESH_SECONDS if is_terminal else LINE_SECONDS)
    finally:
        if is_terminal:
            output.write(_CLEAR)
            output.flush()
