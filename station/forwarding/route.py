"""One rule that forwards what arrives: which objects, and to whom."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from dulcet.escape import quote, quoted

DEFAULT_DELAY = 5.0  # seconds in which nothing comes for a series before it is taken for whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What rules look at. Texts are a peer's: quote them."""

    calling: str
    """The AE title of who sent the object."""
    called: str
    """The AE title by which we were called."""
    sop_class_uid: str
    modality: str | None = None
    """As the object has it; None as long as that is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A rule. An empty tuple lets everything through; an object has to meet all that is said."""

    name: str
    origins: tuple[str, ...] = ()
    """`from`: calling AE titles; `*` is any characters, `?` is one."""
    called: tuple[str, ...] = ()
    """Called AE titles, in the same way."""
    modalities: tuple[str, ...] = ()
    """Modality (0008,0060)."""
    sop_classes: tuple[str, ...] = ()
    """UIDs."""
    to: tuple[str, ...]
    """Names of nodes."""
    priority: int = 0
    """Of the jobs."""
    hours: str = ""
    """In which the jobs may run."""
    octets_per_second: int | None = None
    """What a job may use of the network."""
    delay: float = DEFAULT_DELAY
    """Seconds in which nothing comes for a series before its objects become a job; 0 does not wait."""
    enabled: bool = True
    place: str = ""
    """`path:line` of it."""

    def objection(self, subject: Subject) -> str:
        """Why an object is not for this rule, in a sentence; "" when it is, as far as is known of it."""
        if not self.enabled:
            return "the rule is not enabled"
        if self.origins and not _matches(subject.calling, self.origins):
            return f"the calling AE title {quoted(subject.calling)} is none of {_list(self.origins)}"
        if self.called and not _matches(subject.called, self.called):
            return f"the called AE title {quoted(subject.called)} is none of {_list(self.called)}"
        if self.sop_classes and subject.sop_class_uid not in self.sop_classes:
            return f"the SOP class {quote(subject.sop_class_uid)} is not among those of the rule"
        if self.modalities and subject.modality is not None and subject.modality not in self.modalities:
            return f"the modality {quoted(subject.modality)} is none of {_list(self.modalities)}"
        return ""


def _list(words: Iterable[str]) -> str:
    return ", ".join(words)


def _matches(title: str, patterns: Iterable[str]) -> bool:
    return any(_compiled(pattern).fullmatch(title.strip(" ")) for pattern in patterns)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = (".*" if part == "*" else "." if part == "?" else re.escape(part) for part in re.split(r"([*?])", pattern))
    return re.compile("".join(parts))
