"""Pictures of images, made by a process of its own that is started again when an image ends it.

Synchronous; call it in any thread. Nothing here imports pydicom or numpy.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Timer
from types import TracebackType
from typing import IO

from dulcet.errors import ConfigurationError
from dulcet.station.preview.picture import Image, Picture, PreviewOptions, Problem, ProblemKind
from dulcet.station.preview.wire import READY, GarbageError, Request, read_answer

COMMAND = (sys.executable, "-P", "-m", "dulcet.station.preview.decoder")
"""-P: a folder of images is no place to import from."""
START_SECONDS = 30.0  # numpy on a busy machine; 0.4 s on an idle one
END_SECONDS = 5.0
LEAVE_SECONDS = 0.2  # for a process to end that is not asked any more, before it is killed

_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TZ", "SYSTEMROOT", "VIRTUAL_ENV", "TMPDIR")
_KEPT_PREFIXES = ("PYTHON", "LC_", "LD_LIBRARY_", "DYLD_LIBRARY_")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderLimits:
    """What one image may take."""

    seconds: float = 20.0
    """By the clock, and of processor time. The largest frame that is decoded takes some five."""
    memory_octets: int = 1024 * 1024 * 1024
    """Of address space, for the whole process; 140 MiB before it is asked for anything."""


def previews(
    images: Iterable[Image | str | os.PathLike[str]],
    options: PreviewOptions | None = None,
    *,
    limits: DecoderLimits | None = None,
    command: Sequence[str] = COMMAND,
) -> Iterator[Picture | Problem]:
    """A picture of each image, or why there is none, in their order and as they come.

    One process serves them all, and ends with the iterator: exhaust or close it. ConfigurationError when no process can
    be started. `command` is what is run, for tests.
    """
    with Decoder(limits or DecoderLimits(), command) as decoder:
        for image in images:
            yield decoder.preview(image if isinstance(image, Image) else Image(image), options or PreviewOptions())


class Decoder:
    """A process that decodes, started when it is first needed. Not for two threads at once."""

    def __init__(self, limits: DecoderLimits, command: Sequence[str] = COMMAND) -> None:
        self._limits = limits
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Decoder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def preview(self, image: Image, options: PreviewOptions) -> Picture | Problem:
        """A picture of `image`, or why there is none; within the limits, whatever it does."""
        request = Request(image, options, self._limits.seconds)
        if self._process is not None and self._process.poll() is not None:
            self.close()  # nobody asked it for anything: no image's fault
        process = self._process = self._process or self._start()
        with _Deadline(process, self._limits.seconds) as deadline:
            try:
                _write(process, request.encode())
                answer = read_answer(_pipe(process.stdout), request)
                reason = ""
            except GarbageError:
                answer, reason = None, "its decoder answered with something that is no picture"
            except BaseException:  # Ctrl-C: what it answers now would be taken for the answer to the next
                self.close()
                raise
        if answer is not None and not deadline.is_over:
            return answer
        is_ending = answer is None and not reason  # its output has ended: what it ended with is worth waiting for
        code = self._end(END_SECONDS if is_ending else LEAVE_SECONDS)
        reason = reason or (deadline.sentence if deadline.is_over else self._ended(code))
        return answer or Problem(image=image, kind=ProblemKind.DECODER_ENDED, reason=reason)

    def kill(self) -> None:
        """End the process at once, from any thread: what it decodes just then gets no picture. `close` it then."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> int:
        """End the process; its exit code, or less than 0 for the signal that ended it. Harmless when repeated."""
        return self._end(LEAVE_SECONDS)

    def _end(self, patience: float) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        with suppress(OSError):
            _pipe(process.stdin).close()
        if process.stdout is not None:
            process.stdout.close()
        try:
            return process.wait(patience if process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(END_SECONDS)

    def _start(self) -> subprocess.Popen[bytes]:
        is_debugging = bool(os.environ.get("DULCET_DEBUG"))
        try:
            process = subprocess.Popen(
                [*self._command, str(self._limits.memory_octets)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if is_debugging else subprocess.DEVNULL,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is for us
            )
        except OSError as error:
            raise ConfigurationError(f"the decoder of pictures can't be started: {error.strerror or error}") from error
        with _Deadline(process, START_SECONDS):
            greeting = _pipe(process.stdout).read(len(READY))
        if greeting != READY:
            self._process = process
            how = _words(self._end(END_SECONDS))
            raise ConfigurationError(f"the decoder of pictures does not start: {how} (DULCET_DEBUG=1 shows why)")
        return process

    def _ended(self, code: int) -> str:
        if code == -getattr(signal, "SIGXCPU", 1000):
            return f"it took more than {self._limits.seconds:g} s of processor time to decode"
        return f"this image ended its decoder ({_words(code)})"


class _Deadline:
    """Kills a process that takes too long."""

    def __init__(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        self.is_over = False
        self.sentence = f"it took more than {seconds:g} s to decode"
        self._process = process
        self._timer = Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._timer.cancel()
        self._timer.join()

    def _end(self) -> None:
        self.is_over = True
        self._process.kill()


def _write(process: subprocess.Popen[bytes], line: bytes) -> None:
    with suppress(BrokenPipeError):  # then there is no answer either
        stream = _pipe(process.stdin)
        stream.write(line)
        stream.flush()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    return f"signal {-code}"


def _environment() -> dict[str, str]:
    """What Python and the libraries need to start; no secret of ours, and no more threads than one."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _KEPT_VARIABLES or name.startswith(_KEPT_PREFIXES)
    }
    return kept | _ONE_THREAD
