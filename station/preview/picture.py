"""What is asked for and what comes back: an image, how it is wanted, a picture of 8 bits, or why there is none."""

import math
import os
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

MAX_SIZE = 4096  # pixels of the longer side of a picture: a mammogram has 4,096 rows, a sheet of them fits nowhere
MAX_REASON_CHARACTERS = 400  # a sentence has fewer


class Image(NamedTuple):
    """A DICOM file, and which of its frames."""

    path: str | os.PathLike[str]
    frame: int | None = None
    """Counted from 1; None: the one in the middle, which shows more than the first."""


class Window(NamedTuple):
    """A window of values: what is below is black, what is above white (PS3.3 C.11.2.1.2)."""

    center: float
    width: float

    @classmethod
    def parse(cls, text: str) -> "Window":
        """`CENTER/WIDTH`, as in `40/400`. ValueError, with a sentence, for anything else."""
        words = text.split("/")
        try:
            center, width = map(float, words)
        except ValueError:
            raise ValueError("a window is CENTER/WIDTH, as in 40/400") from None
        if not (math.isfinite(center) and math.isfinite(width) and width >= 1):
            raise ValueError("the width of a window is at least 1 (PS3.3 C.11.2.1.2)")
        return cls(center, width)

    def __str__(self) -> str:
        return f"{self.center:g}/{self.width:g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewOptions:
    """How pictures are wanted."""

    size: int = 128
    """Pixels of the longer side, at most; an image that has fewer is not enlarged."""
    window: Window | None = None
    """In place of the one in the file, for grey images; linear."""

    def __post_init__(self) -> None:
        if not 1 <= self.size <= MAX_SIZE:
            raise ValueError(f"a picture has 1 to {MAX_SIZE} pixels a side, not {self.size}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A frame in 8 bits. Not for diagnosis."""

    image: Image
    frame: int
    """Counted from 1."""
    frames: int
    """That the object says it has."""
    width: int
    height: int
    channels: int
    """1 grey, 3 red, green and blue."""
    pixels: bytes
    """Rows from the top, `width` * `channels` octets each."""
    rows: int
    """Of the image itself."""
    columns: int
    """Of the image itself."""
    window: Window | None = None
    """The one that it was made with, be it of the file, of the options or of the values; None without one."""


class ProblemKind(Enum):
    """Why there is no picture."""

    NO_PIXELS = "no-pixels"
    """The object is no image: a report, a document, a plan."""
    NO_CODEC = "no-codec"
    """The pixels are compressed, and what would decode them isn't installed."""
    NOT_SHOWN = "not-shown"
    """The image is damaged, or of a kind that is not known."""
    DECODER_ENDED = "decoder-ended"
    """The image ended the process that decoded it, or took too long, or too much memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """An image of which there is no picture."""

    image: Image
    kind: ProblemKind
    reason: str
    """In a sentence, safe to show."""

    @property
    def is_failure(self) -> bool:
        """Not for an object that has no pixels to show."""
        return self.kind is not ProblemKind.NO_PIXELS
