"""From what other programs know to nodes of the book: what was taken, what not, and why."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dulcet.errors import ConfigurationError, NoInputError
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.node_editing import with_fields, with_nodes
from dulcet.station.book.node_formats import READERS, Entry, Refused, recognize
from dulcet.station.book.nodes import FieldError, Node, is_node_name
from dulcet.station.book.toml_file import MAX_OCTETS


@dataclass(frozen=True, kw_only=True, slots=True)
class Importable:
    """What a file brings."""

    format: str
    nodes: Sequence[Node]
    renamed: Sequence[tuple[str, str]]
    """(name in the file, name of the node): a node's name is a word of letters, digits, `.`, `_`, `-`."""
    refused: Sequence[Refused]


class Fate(Enum):
    """What becomes of a node that is imported."""

    ADDED = "added"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"
    KEPT = "kept"
    """There is another one of that name, and it stays."""


def read_nodes(path: Path, format_name: str | None = None) -> Importable:
    """The nodes in a file of another program; the format is found by looking unless `format_name` says it.

    NoInputError when the file can't be read, ConfigurationError when it is in none of the formats.
    """
    text = _read(path)
    found_format = format_name or recognize(text)
    if found_format is None:
        known = ", ".join(READERS)
        raise ConfigurationError(f"{path}: the format is not recognized: say --format, one of {known}")
    nodes, renamed, refused = dict[str, Node](), list[tuple[str, str]](), list[Refused]()
    try:
        for found in READERS[found_format](text):
            node = found if isinstance(found, Refused) else _node(found, nodes)
            if isinstance(node, Refused):
                refused.append(node)
                continue
            nodes[node.name] = node
            if isinstance(found, Entry) and node.name != found.name:
                renamed.append((found.name, node.name))
    except ConfigurationError as error:
        raise ConfigurationError(f"{path} as {found_format}: {error}") from error
    return Importable(format=found_format, nodes=tuple(nodes.values()), renamed=renamed, refused=refused)


def plan(book: NodeBook, nodes: Sequence[Node], *, replace: bool) -> dict[str, Fate]:
    """The fate of each node, by name."""
    return {node.name: _fate(book, node, replace) for node in nodes}


def apply(book: NodeBook, nodes: Sequence[Node], *, replace: bool) -> str:
    """The book's text with `nodes` in it. A node that is replaced keeps the fields that the import doesn't know."""
    fates = plan(book, nodes, replace=replace)
    changes = {node.name: node.table() for node in nodes if fates[node.name] is Fate.REPLACED}
    text = with_fields(book, changes)
    changed = book if book.file is None else NodeBook.parse(book.path, text)
    return with_nodes(changed, [node for node in nodes if fates[node.name] is Fate.ADDED])


def _fate(book: NodeBook, node: Node, replace: bool) -> Fate:
    if node.name not in book:
        return Fate.ADDED
    known = book.tables[node.name]
    if isinstance(known, dict) and all(known.get(field) == value for field, value in node.table().items()):
        return Fate.UNCHANGED
    return Fate.REPLACED if replace else Fate.KEPT


def _node(found: Entry, taken: dict[str, Node]) -> Node | Refused:
    name = _free_name(found, taken)
    fields = dict(found.fields)
    if isinstance(fields.get("notes"), str):
        fields["notes"] = " ".join(fields["notes"].split())
    fields = {field: value for field, value in fields.items() if value not in ("", [])}
    try:
        node = Node.from_table(name, fields, Path())
    except FieldError as fault:
        return Refused(found.where, f"{fault.field}: {fault}" if fault.field else str(fault))
    if name in taken:
        return Refused(found.where, f"the name {name} is taken by {taken[name].address}")
    return node


def _free_name(found: Entry, taken: dict[str, Node]) -> str:
    name = found.name if is_node_name(found.name) else _tidied(found.name)
    if name in taken and found.fields.get("tls"):  # dcm4che has one AE title on two connections
        return f"{name}-tls"
    return name


def _tidied(name: str) -> str:
    tidied = re.sub(r"[^\w.-]+", "-", name).strip("-._")[:64]
    return f"node-{tidied}" if tidied.isdigit() else tidied or "node"


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            octets = file.read(MAX_OCTETS + 1)
    except OSError as error:
        raise NoInputError(f"{path}: {error.strerror}") from error
    if len(octets) > MAX_OCTETS:
        raise ConfigurationError(f"{path} is larger than {MAX_OCTETS // 1024**2} MB: it can't be the right file")
    if octets.startswith((b"\xff\xfe", b"\xfe\xff")):  # what a spreadsheet calls Unicode text
        return octets.decode("utf-16", "replace")
    try:
        return octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        return octets.decode("cp1252", "replace")
