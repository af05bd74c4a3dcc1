"""A case of the catalogue, as data: what the standard asks, what the kit does, what may come back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from dulcet.conformance.kit.clause import link


class Level(Enum):
    """How much the standard says; the value is the letter of the catalogue."""

    REQUIRED = "Q"
    """The standard says shall."""
    RECOMMENDED = "C"
    """The standard says should, or a note says so."""
    ROBUSTNESS = "B"
    """The standard is silent: safe outcomes are listed."""
    INFORMATIONAL = "I"
    """Worth knowing; no outcome is wrong."""

    @property
    def word(self) -> str:
        """`required`, `recommended`, ..."""
        return self.name.lower()


class Role(Enum):
    """The part of the product under test; the value is the letter of the catalogue."""

    ACCEPTOR = "A"
    """The kit connects: `dulcet conform scp`."""
    REQUESTOR = "R"
    """The kit listens: `dulcet conform scu`."""
    PASSIVE = "P"
    """Looks at all that the product sent in the other cases, of either part."""


Play = Callable[[Any], Awaitable[Any]]
"""Plays the stimulus on a `Visit` (the kit connects) or a `Reception` (the kit listens), returns the `Outcome`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One row, or one part of a row, of the catalogue."""

    id: str
    """Stable: an id is never given to another case."""
    requirement: str
    """What the standard asks, in a sentence."""
    stimulus: str
    """What the kit does, in words."""
    clause: str
    """`PS3.8 9.3.2`; the first one named is linked to."""
    level: Level
    role: Role
    allowed: tuple[str, ...] = ()
    """Outcomes that pass, in the words of `outcome.py`."""
    tolerated: tuple[str, ...] = ()
    """Outcomes that pass with a warning."""
    play: Play | None = None
    """None for what is looked at in passing, and for what no peer can see from outside."""
    needs: tuple[str, ...] = ()
    """Claims of the product without which the case is skipped: `verification`, `storage`, `find` ..."""
    probe: bool = False
    """The product's health is probed afterwards."""
    waits_artim: bool = False
    """Takes as long as the product's ARTIM."""
    timing: bool = False
    """Depends on who is faster: another outcome than the allowed ones is inconclusive."""
    alone: bool = False
    """No other case runs beside it."""
    load: bool = False
    """Many connections or much data: only with --allow-load."""
    undecidable: str = ""
    """Why it can't be seen from outside; such a case is always skipped."""
    note: str = ""
    """What a reader of a verdict should know."""

    @property
    def link(self) -> str:
        """The clause's page."""
        return link(self.clause)

    @property
    def group(self) -> str:
        """`ul.assoc.rq` of `ul.assoc.rq.version.0003`: what the reports put together."""
        parts = self.id.split(".")
        if parts[:2] == ["ul", "assoc"]:
            return ".".join(parts[:3])
        return parts[0] if parts[0] == "tls" else ".".join(parts[:2])
