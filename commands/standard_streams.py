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
LINE_FEED = 0x0A


class OutputError(OSError):
    """Standard output can't be written: the disk is full, or it was closed before the command began."""

    def __str__(self) -> str:
        return f"standard output can't be written: {self.strerror}"


class OutputGoneError(OutputError, BrokenPipeError):
    """Nobody reads standard output any more: `| head`."""


def guard_streams() -> None:
    """Put streams in the place of `sys.stdout` and `sys.stderr` that escape what their encoding lacks.

    A write to standard output that fails raises OutputError; a later one may succeed, since there may be room then.
    When nobody reads it any more, later ones go nowhere. A failure of standard error is nobody's to hear: it is none.
    """
    sys.stdout = _guarded(sys.stdout, STANDARD_OUTPUT, _Output)
    sys.stderr = _guarded(sys.stderr, STANDARD_ERROR, _Errors)


def flush_output() -> None:
    """Write what is left. OutputError, unless one has been raised before; nothing is left that fails as Python ends."""
    buffer = getattr(sys.stdout, "buffer", None)
    raw = getattr(buffer, "raw", buffer)
    has_failed = isinstance(raw, _Output) and raw.has_failed
    try:
        sys.stdout.flush()
    except OutputError:
        discard(sys.stdout)
        sys.stdout.flush()
        if not has_failed:
            raise


class _Output(io.FileIO):
    has_failed = False
    _is_in_line = _was_cut = False

    def write(self, octets: "ReadableBuffer", /) -> int:
        view = memoryview(octets).cast("B")
        if not view:  # click tries with none what a stream is
            return 0
        try:
            if self._was_cut:
                super().write(b"\n")
            written = super().write(view)
            if written:  # None: it would block
                self._is_in_line, self._was_cut = view[written - 1] != LINE_FEED, False
            return written
        except BrokenPipeError as error:
            self.has_failed = True
            discard(self)
            raise OutputGoneError(error.errno, error.strerror) from None
        except OSError as error:
            self.has_failed, self._was_cut = True, self._is_in_line
            raise OutputError(error.errno, error.strerror) from None


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
