"""What a server needs to know of the services beside C-STORE; nothing is imported for it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class ArchiveSettings:
    """Which services, and what they may cost."""

    query: bool = False
    """C-FIND, C-MOVE, C-GET and storage commitment over what is stored."""
    nodes: Path | None = None
    """The node book: the destinations of C-MOVE, and of the reports of storage commitment."""
    worklist: Path | None = None
    """A folder of worklist files."""
    max_matches: int = 10_000
    """Of one C-FIND."""
    query_seconds: float = 5.0
    """Of matching, for one C-FIND."""
    max_suboperations: int = 65_535
    """Of one C-MOVE or C-GET."""
    keep_days: float | None = None
    """Series that arrived longer ago are removed; None: never."""
    keep_octets: int | None = None
    """Beyond so many the oldest series are removed; None: never."""

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything beside C-STORE."""
        return self.query or self.worklist is not None or self.removes

    @property
    def removes(self) -> bool:
        """Whether series are ever to go."""
        return self.keep_days is not None or self.keep_octets is not None
