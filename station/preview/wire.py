"""What is said through the pipes between the command and the process that decodes.

The request is trusted: a line of JSON. The answer is not, for an image may have taken over the process that gives it: a
head of fixed length, then as many octets as the head and the request allow, and nothing that is evaluated.
"""

import json
import math
import struct
from dataclasses import dataclass
from typing import IO

from dulcet.station.preview.frame import fitting
from dulcet.station.preview.picture import (
    MAX_REASON_CHARACTERS,
    Image,
    Picture,
    PreviewOptions,
    Problem,
    ProblemKind,
    Window,
)

READY = b"dulcet preview 1\n"
"""The first octets of a process that has its limits and may be asked."""

_KINDS = tuple(ProblemKind)
_PICTURE = len(_KINDS)
_HEAD = struct.Struct("<4sBBHHIIHH?ddI")
"""Magic; kind; channels, width, height; frame, frames; rows, columns; window or none, center, width; octets."""
_MAGIC = b"dpv1"


class GarbageError(Exception):
    """The answer is none."""


@dataclass(frozen=True, slots=True)
class Request:
    """A picture that is wanted."""

    image: Image
    options: PreviewOptions
    seconds: float
    """Of processor time, at most."""

    def encode(self) -> bytes:
        """One line."""
        line = [str(self.image.path), self.image.frame, self.options.size, self.options.window, self.seconds]
        return json.dumps(line).encode("ascii") + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> "Request":
        """What `encode` made of it."""
        path, frame, size, window, seconds = json.loads(line)
        options = PreviewOptions(size=size, window=None if window is None else Window(*window))
        return cls(Image(path, frame), options, seconds)


def encode_answer(answer: Picture | Problem) -> bytes:
    """Head and body."""
    if isinstance(answer, Problem):
        body = answer.reason[:MAX_REASON_CHARACTERS].encode("ascii", "replace")
        return _HEAD.pack(_MAGIC, _KINDS.index(answer.kind), 0, 0, 0, 0, 0, 0, 0, False, 0, 0, len(body)) + body
    picture = answer
    head = _HEAD.pack(
        _MAGIC,
        _PICTURE,
        picture.channels,
        picture.width,
        picture.height,
        min(picture.frame, 0xFFFFFFFF),
        min(picture.frames, 0xFFFFFFFF),
        picture.rows,
        picture.columns,
        picture.window is not None,
        *(picture.window or (0, 0)),
        len(picture.pixels),
    )
    return head + picture.pixels


def read_answer(stream: IO[bytes], request: Request) -> Picture | Problem | None:
    """The answer to `request`; None when the process has ended. GarbageError for everything else.

    Memory: what the request allows, a picture of `size` to `size` pixels.
    """
    head = _read(stream, _HEAD.size)
    if head is None:
        return None
    magic, kind, channels, width, height, frame, frames, rows, columns, *window, octets = _HEAD.unpack(head)
    if magic != _MAGIC or kind > _PICTURE:
        raise GarbageError
    if kind < _PICTURE:
        if octets > MAX_REASON_CHARACTERS:
            raise GarbageError
        body = _read(stream, octets)
        if body is None:
            return None
        reason = "".join(chr(octet) if 0x20 <= octet < 0x7F else "?" for octet in body)
        return Problem(image=request.image, kind=_KINDS[kind], reason=reason)
    is_possible = channels in (1, 3) and rows and columns and 1 <= frame <= frames
    if not is_possible or (width, height) != fitting(columns, rows, request.options.size):
        raise GarbageError
    if octets != width * height * channels or not all(map(math.isfinite, window)):
        raise GarbageError
    pixels = _read(stream, octets)
    if pixels is None:
        return None
    return Picture(
        image=request.image,
        frame=frame,
        frames=frames,
        width=width,
        height=height,
        channels=channels,
        pixels=pixels,
        rows=rows,
        columns=columns,
        window=Window(*window[1:]) if window[0] else None,
    )


def _read(stream: IO[bytes], count: int) -> bytes | None:
    """All of it, or None when the stream ends before."""
    octets = stream.read(count)
    return octets if len(octets) == count else None
