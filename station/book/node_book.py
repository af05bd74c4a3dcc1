"""The node book: a TOML file with a table for each peer, for people and for `dulcet node` to write.

    [PACS1]
    ae_title = "ORTHANC"
    host = "192.168.1.20"
    port = 4242

A fault in one node is told when that node is asked for; the others stay usable.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dulcet.errors import ConfigurationError
from dulcet.escape import quote, quoted
from dulcet.station.book.nodes import FieldError, Node
from dulcet.station.book.spelling import did_you_mean
from dulcet.station.book.toml_file import TOMLFile


@dataclass(frozen=True, slots=True)
class NodeBook:
    """The nodes of one file, checked when they are asked for. Memory: the file's text and its values."""

    path: Path
    file: TOMLFile | None
    """None when there is no such file: an empty book."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """ConfigurationError when the file can't be read or is not TOML; a file that isn't there is an empty book."""
        try:
            return cls(path, TOMLFile.read(path))
        except FileNotFoundError:
            return cls(path, None)

    @classmethod
    def parse(cls, path: Path, text: str) -> Self:
        """The book that `path` would be with `text` in it."""
        return cls(path, TOMLFile.parse(path, text))

    @property
    def tables(self) -> Mapping[str, Any]:
        """What stands under each name, not checked."""
        return {} if self.file is None else self.file.values

    def __contains__(self, name: str) -> bool:
        return name in self.tables

    def __len__(self) -> int:
        return len(self.tables)

    def find(self, name: str) -> Node:
        """The node `name`. ConfigurationError when there is none, naming the nearest, or when it is at fault."""
        if name in self.tables:
            return self._checked(name)
        raise ConfigurationError(self._unknown(name))

    def nodes(self) -> tuple[list[Node], list[str]]:
        """Every node in order, and a sentence for each that is at fault."""
        good, faults = list[Node](), list[str]()
        for name in self.tables:
            try:
                good.append(self._checked(name))
            except ConfigurationError as fault:
                faults.append(str(fault))
        return good, faults

    def select(self, tags: Collection[str] = ()) -> list[Node]:
        """Every node, or those with one of `tags`. ConfigurationError when there is none, or when one is at fault."""
        nodes, faults = self.nodes()
        if faults:
            raise ConfigurationError("\n".join(faults))
        if not nodes:
            raise ConfigurationError(f"the node book {self.path} is empty: `dulcet node add NAME AET@HOST:PORT`")
        known = sorted({tag for node in nodes for tag in node.tags})
        for tag in tags:
            if tag not in known:
                hint = did_you_mean(tag, known) or (f"; there are: {', '.join(known)}" if known else "")
                raise ConfigurationError(f"no node in {self.path} has the tag {quoted(tag)}{hint}")
        return [node for node in nodes if not tags or set(tags).intersection(node.tags)]

    def place(self, name: str, *field: str) -> str:
        """`path:line` of a node, or of a field of it."""
        return str(self.path) if self.file is None else self.file.place(name, *field)

    def _checked(self, name: str) -> Node:
        try:
            return Node.from_table(name, self.tables[name], self.path.parent)
        except FieldError as fault:
            field = (fault.field,) if fault.field else ()
            what = " ".join((f"[{quote(name)}]", *map(quote, field)))
            raise ConfigurationError(f"{self.place(name, *field)}: {what}: {fault}") from None

    def _unknown(self, name: str) -> str:
        shown = quote(name)
        if not len(self):
            where = f"there is no node book {self.path}" if self.file is None else f"{self.path} is empty"
            return f"{shown!r} is no node: {where}; write AET@HOST:PORT, or `dulcet node add {shown} AET@HOST:PORT`"
        hint = did_you_mean(name, self.tables)
        return f"{shown!r} is no node of {self.path}{hint or '; `dulcet node list` shows them'}"


def names(path: Path) -> Iterator[tuple[str, str]]:
    """(name, AET@host:port as far as it says) of each node, for completion: nothing is checked, nothing is raised."""
    try:
        tables = NodeBook.read(path).tables
    except ConfigurationError:
        return
    for name, table in tables.items():
        if isinstance(table, Mapping):
            yield name, f"{table.get('ae_title', '')}@{table.get('host', '')}:{table.get('port', '')}"


def tags(path: Path) -> list[str]:
    """The tags in use, for completion: nothing is checked, nothing is raised."""
    try:
        tables = NodeBook.read(path).tables.values()
    except ConfigurationError:
        return []
    found = (table.get("tags") for table in tables if isinstance(table, Mapping))
    return sorted({tag for each in found if isinstance(each, list) for tag in each if isinstance(tag, str)})
