"""How the parts of an archive tell what they do, and what goes wrong."""

from typing import Any, Protocol

from dulcet.errors import ArchiveError
from dulcet.services.association import Association


class Tell(Protocol):
    """Writes one line of the log."""

    def __call__(self, event: str, about: Association | None = None, **values: Any) -> None:
        """An event, the association that it is about, and what there is to know of it."""


def silent(event: str, about: Association | None = None, **values: Any) -> None:
    """Tells nobody."""


def reason_of(error: Exception) -> str:
    """What went wrong, for the log of who looks after the archive."""
    if isinstance(error, ArchiveError) and error.detail:
        return f"{error}: {error.detail}"
    return f"{type(error).__name__}: {error}"
