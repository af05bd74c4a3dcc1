"""The process that decodes: it is asked through its standard input, and answers through its standard output.

    python -P -m dulcet.station.preview.decoder MEMORY_OCTETS

What it reads was written by strangers, and some of what decodes it is C. So it takes limits upon itself before it is
asked for anything, writes no file, starts no process, and can be killed at any time: whoever asked starts another.
"""

import os
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from dulcet.escape import quote
from dulcet.station.preview.picture import Image, Picture, PreviewOptions, Problem, ProblemKind
from dulcet.station.preview.wire import READY, Request, encode_answer

OPEN_FILES = 64
NICENESS = 10

Render = Callable[[Image, PreviewOptions], Picture]


def main(load: Callable[[], Render] | None = None) -> None:
    """Answer until nobody asks any more; `load` gives another way to make pictures, for tests."""
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)  # a library that prints would break the answers
    _take_limits(int(sys.argv[1]))
    _be_quiet()
    render = (load or _load)()
    sys.addaudithook(_refuse)
    with suppress(BrokenPipeError):
        answers.write(READY)
        answers.flush()
        serve(asked, answers, render)


def _load() -> Render:
    from dulcet.station.preview.rendering import render  # pydicom, and numpy if it is there

    return render


def serve(asked: BinaryIO, answers: BinaryIO, render: Render) -> None:
    """One answer for each line that asks."""
    for line in asked:
        request = Request.decode(line)
        _allow_seconds(request.seconds)
        answers.write(encode_answer(_answer(request, render)))
        answers.flush()


def _answer(request: Request, render: Render) -> Picture | Problem:
    kind = ProblemKind.NOT_SHOWN
    try:
        return render(request.image, request.options)
    except MemoryError:
        kind, reason = ProblemKind.DECODER_ENDED, "it takes more memory than a decoder may have"
    except Exception as error:  # pydicom and the codecs raise whatever they meet
        kind = getattr(error, "kind", kind)
        named = "" if hasattr(error, "kind") else f"it can't be decoded: {type(error).__name__}: "
        reason = str(error) if hasattr(error, "kind") else named + quote(str(error), 200)
    return Problem(image=request.image, kind=kind, reason=reason)


def _take_limits(memory_octets: int) -> None:
    """On all systems but Windows. A library of the machine may need more than we know: never more than there was."""
    try:
        import resource
    except ImportError:
        return
    limits = {
        resource.RLIMIT_AS: memory_octets,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        getattr(resource, "RLIMIT_NPROC", resource.RLIMIT_CORE): 0,
    }
    for limit, value in limits.items():
        hard = resource.getrlimit(limit)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(OSError, ValueError):  # macOS has no RLIMIT_AS that can be set
            resource.setrlimit(limit, (value, value))
    with suppress(OSError):
        os.nice(NICENESS)


def _allow_seconds(seconds: float) -> None:
    """Of processor time, from now on: SIGXCPU ends what goes on for longer."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime + seconds) + 1, hard))


def _be_quiet() -> None:
    """What libraries have to say about an image is not for a person: what went wrong comes as an exception."""
    import logging

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)


_REFUSED = ("socket.", "subprocess.", "os.exec", "os.fork", "os.posix_spawn", "os.system", "os.remove", "os.rename")


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    """A second lock: no Python code in this process reaches a network or starts a program."""
    if event.startswith(_REFUSED):
        raise PermissionError(f"a decoder may not use {event}")


if __name__ == "__main__":
    main()
