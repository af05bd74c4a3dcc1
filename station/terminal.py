"""Standard output and standard error: whether a person looks at them, and what to do when nobody reads any more."""

import os
import select
from collections.abc import Mapping, Sequence
from contextlib import suppress
from io import FileIO
from typing import TextIO


def moves_cursor(output: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `output` is a terminal that can write over what it shows."""
    return output.isatty() and environment.get("TERM", "") not in ("dumb", "unknown")


def has_colour(output: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether `output` is a terminal that has colours, and wants them: NO_COLOR is respected."""
    return moves_cursor(output, environment) and "NO_COLOR" not in environment


def terminals() -> tuple[int, ...]:
    """Those of the standard descriptors that are a terminal."""
    return tuple(descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor))


def has_hung_up(descriptors: Sequence[int]) -> bool:
    """Whether one of these terminals has gone: its window was closed, its line was cut."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, 0)
    return any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0))


def discard(output: TextIO | FileIO) -> None:
    """The reader of `output` has gone (`| head`): what is in the buffer would fail again when Python ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, output.fileno())
        finally:
            os.close(nowhere)
