"""The events of a preview, beside those that are common to all (`dulcet.station.events`)."""

from dataclasses import dataclass
from typing import ClassVar

from dulcet.station.events import Event
from dulcet.station.preview.picture import Picture, Problem


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureMade(Event):
    """An image that is shown."""

    EVENT: ClassVar[str] = "preview.picture"
    name: str
    """The file. Raw: quote it before showing."""
    frame: int
    """Counted from 1."""
    frames: int
    """That the object says it has."""
    rows: int
    """Of the image itself."""
    columns: int
    """Of the image itself."""
    window: str | None = None
    """CENTER/WIDTH, of the file, of the command line or of the values; None without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoPicture(Event):
    """An image that is not shown."""

    EVENT: ClassVar[str] = "preview.problem"
    name: str
    """The file. Raw: quote it before showing."""
    problem: str
    """`no-pixels`, `no-codec`, `not-shown` or `decoder-ended`."""
    explanation: str
    """Why, in a sentence."""


def event_of(result: Picture | Problem) -> Event:
    """What to report of it."""
    name = str(result.image.path)
    if isinstance(result, Problem):
        return NoPicture(name=name, problem=result.kind.value, explanation=result.reason)
    return PictureMade(
        name=name,
        frame=result.frame,
        frames=result.frames,
        rows=result.rows,
        columns=result.columns,
        window=None if result.window is None else str(result.window),
    )
