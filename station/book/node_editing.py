"""Changing the node book: comments, order and what others write at the same time stay.

tomlkit knows where things stand; it is imported when something is changed, and its result must say exactly what was
meant, or nothing is written.
"""

import fcntl
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from dulcet.errors import ConfigurationError
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.nodes import Node
from dulcet.station.book.toml_file import statements

PATIENCE_SECONDS = 10.0  # for another dulcet that is writing; it needs milliseconds
POLL_SECONDS = 0.02
ATTEMPTS = 5  # at a file that an editor saves again and again

HEAD = """\
# The node book of dulcet: a table for each peer. `dulcet node` edits it, and so may you; comments stay.
"""


def change_node_book(path: Path, change: Callable[[NodeBook], str]) -> None:
    """Write what `change` makes of the book at `path`, atomically and durably.

    `change` may be called again when the file changed in the meantime. Blocks while another process changes the book.
    ConfigurationError when the file can't be written, or is no TOML to begin with; the file is as it was then.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path):
            for _ in range(ATTEMPTS):
                book = NodeBook.read(path)
                text = change(book)
                if _write(path, text, before=book):
                    return
    except OSError as error:
        raise ConfigurationError(f"{path} can't be written: {error.strerror}") from error
    raise ConfigurationError(f"{path} is being changed by something else again and again: nothing was written")


def with_nodes(book: NodeBook, nodes: Sequence[Node]) -> str:
    """The book's text with `nodes` at its end. ConfigurationError when a name is taken."""
    text = HEAD if book.file is None else book.file.text
    if text and not text.endswith("\n"):
        text += "\n"
    expected = dict(book.tables)
    for node in nodes:
        if node.name in expected:
            where = f"{book.place(node.name)}: " if node.name in book else ""
            raise ConfigurationError(f"{where}there is a node {node.name} already; `dulcet node edit` changes it")
        separator = "" if not text or text.endswith(("\n\n", "\n\r\n")) else "\n"
        text += separator + _toml({node.name: node.table()})
        expected[node.name] = node.table()
    return _verified(book, text, expected)


def with_fields(book: NodeBook, changes: Mapping[str, Mapping[str, Any]]) -> str:
    """The book's text with fields of each node named in `changes` set, or taken away where the value is None.

    ConfigurationError when there is no such node, or it would be at fault afterwards.
    """
    import tomlkit

    for name in changes:
        if not isinstance(book.tables.get(name), Mapping):
            book.find(name)
    if book.file is None or not changes:
        return "" if book.file is None else book.file.text
    document = tomlkit.parse(book.file.text)
    sections = {statement.keys for statement in statements(book.file.text) if statement.is_header}
    expected, additions = dict(book.tables), dict[str, str]()
    for name, fields in changes.items():
        table: Any = document[name]
        new = _change_table(table, book.tables[name], fields)
        if (name,) in sections:
            additions[name] = _toml(new)
        else:  # NAME = {...}, or NAME.field = ...
            table.update(new)
        expected[name] = {field: value for field, value in {**book.tables[name], **fields}.items() if value is not None}
    text = _verified(book, _with_lines(document.as_string(), additions), expected)
    changed = NodeBook.parse(book.path, text)
    for name in changes:
        changed.find(name)
    return text


def without_nodes(book: NodeBook, names: Collection[str]) -> str:
    """The book's text without these nodes and the comment right above each. ConfigurationError when one isn't there."""
    for name in names:
        if name not in book:
            book.find(name)
    if book.file is None:
        return ""
    lines = book.file.text.split("\n")
    gone = {line for first, last in _blocks(book.file.text, names) for line in range(first, last + 1)}
    text = "\n".join(line for number, line in enumerate(lines, 1) if number not in gone).rstrip()
    expected = {key: value for key, value in book.tables.items() if key not in names}
    return _verified(book, text + "\n" if text else "", expected)


def _change_table(table: Any, old: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Change and take away what is there; what is new is left to the caller."""
    new = dict[str, Any]()
    for field, value in fields.items():
        if value is None:
            table.pop(field, None)
        elif field not in old:
            new[field] = value
        elif not _is_same(old[field], value):
            table[field] = value
    return new


def _is_same(old: object, new: object) -> bool:
    return old == new and type(old) is type(new)  # True is 1, but `true` is not `1`


def _toml(values: Mapping[str, Any]) -> str:
    import tomlkit

    return tomlkit.dumps(values)


def _verified(book: NodeBook, text: str, expected: Mapping[str, Any]) -> str:
    """`text`, when it says what was meant and no more."""
    if NodeBook.parse(book.path, text).tables != expected:
        raise ConfigurationError(f"{book.path} is written in a way that can't be changed safely: edit it by hand")
    return text


def _with_lines(text: str, additions: Mapping[str, str]) -> str:
    """Each addition after the last statement of its section: tomlkit would put it below the comments that follow."""
    last, section = dict[str, int](), ""
    for statement in statements(text):
        if statement.is_header:
            section = statement.keys[0] if len(statement.keys) == 1 else ""
        last[section] = statement.last_line
    lines = text.split("\n")
    for name in sorted(additions, key=lambda name: -last[name]):
        at = last[name]
        ending = "\r" if lines[at - 1].endswith("\r") else ""
        lines[at:at] = [line + ending for line in additions[name].splitlines()]
    return "\n".join(lines)


def _blocks(text: str, names: Collection[str]) -> Iterator[tuple[int, int]]:
    """(first, last line) of each section or run of statements about one of `names`, with the comments that touch it."""
    lines = text.split("\n")
    every = list(statements(text))
    starts = {statement.first_line for statement in every}
    for name, group in groupby(every, lambda statement: statement.keys[0]):
        if name in names:
            block = list(group)
            yield _with_comments(lines, starts, block[0].first_line, block[-1].last_line)


def _with_comments(lines: list[str], starts: set[int], first: int, last: int) -> tuple[int, int]:
    above = first
    while above > 1 and lines[above - 2].lstrip().startswith("#"):
        above -= 1
    below = last
    while below < len(lines) and lines[below].lstrip().startswith("#"):
        below += 1
    first = above if above > 1 else first  # what the file begins with is about the file
    last = below if below + 1 not in starts else last  # right above the next node it is that node's
    while last < len(lines) and not lines[last].strip():
        last += 1
    return first, last


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock is a file beside the book, since the book itself is replaced."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _is_locked(descriptor):
            if time.monotonic() > deadline:
                raise ConfigurationError(f"another process holds {path} for longer than {PATIENCE_SECONDS:g} s")
            time.sleep(POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(path: Path, text: str, *, before: NodeBook) -> bool:
    """Replace the file, unless it is not any more what `before` was read from: then False."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            if before.file is not None:
                os.fchmod(descriptor, path.stat().st_mode & 0o777)
            octets = memoryview(text.encode())
            while octets:
                octets = octets[os.write(descriptor, octets) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if NodeBook.read(path).file != before.file:
            return False
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)
    return True


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
