"""Standard output and standard error of the process: what can't be encoded is escaped, and what can't be written is
known to be about them, whatever else a command writes.
"""

import io
import os
import sys
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from dulcet.station.terminal import discard

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2


class OutputError(OSError):
    """Standard output can't be written: the disk is full, or it was closed before the command began."""

    def __str__(self) -> str:
        return f"standard output can't be written: {self.strerror}"


class OutputGoneError(OutputError, BrokenPipeError):
    """Nobody reads standard output any more: `| head`."""


def guard_streams() -> None:
    """Put streams in the place of `sys.stdout` and `sys.stderr` that escape what their encoding lacks.

    The first write to standard output that fails raises OutputError, and later ones go nowhere, so that neither another
    line nor the end of Python fails again. A failure of standard error is nobody's to hear, so it is none.
    """
    sys.stdout = _guarded(sys.stdout, STANDARD_OUTPUT, _Output)
    sys.stderr = _guarded(sys.stderr, STANDARD_ERROR, _Errors)


class _Output(io.FileIO):
    def write(self, octets: "ReadableBuffer", /) -> int:
        try:
            return super().write(octets) if memoryview(octets).nbytes else 0  # click tries with none what a stream is
        except OSError as error:
            discard(self)
            kind = OutputGoneError if isinstance(error, BrokenPipeError) else OutputError
            raise kind(error.errno, error.strerror) from None


class _Errors(io.FileIO):
    def write(self, octets: "ReadableBuffer", /) -> int:
        with suppress(OSError):
            return super().write(octets)
        discard(self)
        return memoryview(octets).nbytes


def _guarded(stream: Any, descriptor: int, kind: type[io.FileIO]) -> io.TextIOWrapper:
    if stream is None:
        _occupy(descriptor)
    else:
        stream.flush()
    raw = kind(descriptor, "w", closefd=False)
    is_unbuffered = getattr(stream, "write_through", False)
    buffer: IO[bytes] = raw if is_unbuffered else io.BufferedWriter(raw)
    return io.TextIOWrapper(
        buffer,
        encoding=getattr(stream, "encoding", None),
        errors="backslashreplace",
        newline="\n",
        line_buffering=getattr(stream, "line_buffering", True),
        write_through=is_unbuffered,
    )


def _occupy(descriptor: int) -> None:
    """The next file or connection would get a closed descriptor: let it be one that nothing can be written to."""
    with suppress(OSError):
        os.fstat(descriptor)
        return
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing != descriptor:
        os.dup2(nothing, descriptor)
        os.close(nothing)
