"""What the screens read, and what they act through: the seams at which a test puts its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.nodes import Node
from dulcet.station.tui.children import Commands


class Nodes(Protocol):
    """The node book. Synchronous, called in threads."""

    def read(self) -> tuple[list[Node], list[str]]:
        """Every node in order, and a sentence for each that is at fault. ConfigurationError when it can't be read."""


@dataclass(frozen=True, slots=True)
class BookNodes:
    """The node book of a file."""

    path: Path

    def read(self) -> tuple[list[Node], list[str]]:
        """See `Nodes`."""
        return NodeBook.read(self.path).nodes()


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """All of them."""

    commands: Commands
    nodes: Nodes
    directory: Path
    """Where retrieved objects go: the vault."""
