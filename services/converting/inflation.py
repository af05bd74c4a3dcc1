"""Inflating what was deflated (RFC 1951) in bounded steps, and stopping what only a bomb does."""

import os
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dulcet.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_INFLATED_OCTETS = 4 * 1024**3  # what a C-STORE SCP takes by default; what is larger is a bomb or a mistake
MAX_INFLATION_RATIO = 100  # beyond the free allowance; images reach 3, text 20
INFLATION_WITHOUT_RATIO_OCTETS = 64 * 1024**2  # an honest segmentation, nearly all zero, reaches 1,000 but stays small
INFLATE_STEP_OCTETS = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class InflationLimits:
    """How far something deflated may grow before it is refused as a bomb."""

    max_octets: int = MAX_INFLATED_OCTETS
    """The most inflated octets."""
    max_ratio: int = MAX_INFLATION_RATIO
    """The most inflated octets for each deflated one, once `free_octets` are exceeded."""
    free_octets: int = INFLATION_WITHOUT_RATIO_OCTETS
    """Up to this size any ratio is allowed."""

    def check(self, inflated: int, deflated: int, what: str) -> None:
        """Raise ConversionError if `deflated` octets of `what` must not have grown to `inflated`."""
        if inflated > self.max_octets:
            raise ConversionError(f"{what} inflates to more than {self.max_octets} octets, the most that is taken")
        if inflated > self.free_octets and inflated > self.max_ratio * deflated:
            raise ConversionError(f"{what} inflates to more than {self.max_ratio} times its size, as only a bomb does")


def inflate(
    descriptor: int, offset: int, size: int, write: "Callable[[bytes], object]", *, limits: InflationLimits, what: str
) -> int:
    """Inflate the raw deflated stream in the `size` octets at `offset` of `descriptor`, and answer the inflated octets.

    `write` gets them in order, at most 64 KiB at a time, and nothing beyond `limits`; memory is a few such steps.
    `what` begins the sentences ("the deflated data set"). Octets after the end of the stream are ignored: PS3.5 A.5
    pads with one. Raises ConversionError for a stream that is damaged, truncated or a bomb, and OSError from reading or
    `write`.
    """
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    end, position, written = offset + size, offset, 0
    while not decompressor.eof:
        deflated = decompressor.unconsumed_tail
        if not deflated:
            deflated = os.pread(descriptor, max(min(INFLATE_STEP_OCTETS, end - position), 0), position)
            position += len(deflated)
        try:
            octets = decompressor.decompress(deflated, INFLATE_STEP_OCTETS)
        except zlib.error as error:
            raise ConversionError(f"{what} is damaged: it can't be inflated") from error
        if not deflated and not octets:
            raise ConversionError(f"{what} ends too early: the file is truncated")
        written += len(octets)
        limits.check(written, position - offset, what)
        write(octets)
    return written
