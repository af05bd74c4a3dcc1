"""The rules that forward what arrives, as the configuration file has them:

[[route]]
name = "CT to the archive"
from = ["CT1", "CT2*"]          # calling AE titles; left out: from anybody
called = "DULCET"               # called AE titles
modality = ["CT", "PT"]
sop_class = "CT Image"          # UIDs, or the beginnings of names
to = ["PACS", "BACKUP"]         # nodes of the node book
priority = 5                    # of the jobs; 0
hours = "22:00-06:00"           # in which they may run
bandwidth = "10M"               # octets per second that each may use
delay = 5                       # seconds without anything new before a series goes out
enabled = true
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from dulcet.errors import ConfigurationError
from dulcet.escape import quote, quoted
from dulcet.station.book.configuration import node_book_path, read_configuration
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.nodes import Node
from dulcet.station.book.own_address import is_loopback, own_addresses, own_host_name
from dulcet.station.book.sizes import octets_of
from dulcet.station.book.sop_classes import storage_classes
from dulcet.station.book.spelling import did_you_mean
from dulcet.station.book.toml_file import TOMLFile
from dulcet.station.forwarding.route import DEFAULT_DELAY, Route, Subject
from dulcet.station.queue.hours import check_hours

TABLE = "route"
JOURNAL = Path(".forwarding", "journal.sqlite")  # in a storage directory: what arrived and has to be forwarded
MAX_DELAY = 3600.0  # seconds
MIN_OCTETS_PER_SECOND = 1_000  # below it a peer's own timers would end each association


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnEntity:
    """Who we are: nothing is forwarded to ourselves."""

    ae_title: str
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a rule says of one object and one of its nodes."""

    route: Route
    node: str
    """A name of the node book; "" where the object is not for the rule."""
    refusal: str
    """Why it does not go there, in a sentence; "" when it goes."""


@dataclass(frozen=True, slots=True)
class Routes:
    """All rules, checked, in the order of the file."""

    routes: tuple[Route, ...] = ()
    nodes: Mapping[str, Node] = field(default_factory=dict)
    """Of the node book, by name."""
    own: OwnEntity | None = None

    @classmethod
    def read(
        cls, configuration: TOMLFile | None = None, book: NodeBook | None = None, own: OwnEntity | None = None
    ) -> Self:
        """From the configuration file and the node book in force, unless others are given.

        ConfigurationError with every fault, each with its line.
        """
        configuration = read_configuration() if configuration is None else configuration
        tables = [] if configuration is None else configuration.values.get(TABLE, [])
        if not tables or configuration is None:
            return cls(own=own)
        book = NodeBook.read(node_book_path()) if book is None else book
        nodes, _ = book.nodes()
        reader = _Reader(configuration, book)
        routes = reader.routes(tables)
        if reader.faults:
            raise ConfigurationError("\n".join(reader.faults))
        return cls(routes, {node.name: node for node in nodes}, own)

    def __bool__(self) -> bool:
        """Whether anything may be forwarded."""
        return any(route.enabled for route in self.routes)

    def get(self, name: str) -> Route | None:
        """The rule of this name; None when there is none."""
        return next((route for route in self.routes if route.name == name), None)

    def may_apply(self, subject: Subject) -> bool:
        """Whether a rule may be for an object, by what is known of it."""
        return any(not route.objection(subject) for route in self.routes)

    def decide(self, subject: Subject) -> Iterator[Decision]:
        """What becomes of an object: for each rule and node whether it goes there, and why it does not.

        It goes to a node once, by the first rule that says so, and never back to whom it came from.
        """
        taken: dict[str, str] = {}
        for route in self.routes:
            objection = route.objection(subject)
            if objection:
                yield Decision(route=route, node="", refusal=objection)
                continue
            for name in route.to:
                refusal = f"it goes there by rule {quoted(taken[name])}" if name in taken else self._loop(subject, name)
                if not refusal:
                    taken[name] = route.name
                yield Decision(route=route, node=name, refusal=refusal)

    def _loop(self, subject: Subject, name: str) -> str:
        """Why forwarding to a node would lead back; "" when it does not."""
        node = self.nodes.get(name)
        if node is None:
            return ""  # it has left the book: the job will say so
        calling = subject.calling.strip(" ")
        if node.ae_title == calling:
            return "it came from there"
        for other in self.nodes.values():
            if other.ae_title == calling and (other.host, other.port) == (node.host, node.port):
                return f"it came from there: the book knows it as {other.name}, too"
        own = self.own
        if own is not None and (node.ae_title, node.port) == (own.ae_title, own.port) and is_here(node.host):
            return "that is ourselves"
        return ""


def has_journal(directory: Path) -> bool:
    """Whether anything was ever to be forwarded from a storage directory; not, when that can't be looked for."""
    return os.path.exists(directory / JOURNAL)  # Path.exists raises then


def is_here(host: str) -> bool:
    """Whether a name or an address is one of this machine's."""
    return is_loopback(host) or host == own_host_name() or host in own_addresses()


class _Reader:
    """Reads the tables, and collects what is wrong with them."""

    def __init__(self, file: TOMLFile, book: NodeBook) -> None:
        self._file = file
        self._book = book
        self.faults: list[str] = []

    def routes(self, tables: object) -> tuple[Route, ...]:
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self.faults.append(f"{self._file.place(TABLE)}: each rule that forwards begins with a line [[{TABLE}]]")
            return ()
        found = []
        names: dict[str, str] = {}
        for index, table in enumerate(tables):
            route = self._route(index, table)
            if route is None:
                continue
            if route.name in names:
                self._fault(index, "name", f"there is a rule of this name in {names[route.name]}")
            names[route.name] = route.place
            found.append(route)
        return tuple(found)

    def _route(self, index: int, table: Mapping[str, Any]) -> Route | None:
        before = len(self.faults)
        values: dict[str, Any] = {}
        for key, value in table.items():
            field_and_check = _FIELDS.get(key)
            if field_and_check is None:
                self._fault(index, key, f"a rule has no such setting{did_you_mean(key, _FIELDS)}")
                continue
            name, check = field_and_check
            try:
                values[name] = check(value)
            except ConfigurationError as error:
                self._fault(index, key, str(error))
        for key in ("name", "to"):
            if key not in table:
                self._fault(index, "", f"{key} is missing")
        for node in values.get("to", ()):
            self._check_node(index, node)
        if len(self.faults) > before:
            return None
        return Route(**values, place=self._file.place_of_item(TABLE, index))

    def _check_node(self, index: int, name: str) -> None:
        try:
            self._book.find(name)
        except ConfigurationError as error:
            self._fault(index, "to", str(error))

    def _fault(self, index: int, key: str, explanation: str) -> None:
        place = self._file.place_of_item(TABLE, index, *((key,) if key else ()))
        what = f"[[{TABLE}]] {quote(key)}" if key else f"[[{TABLE}]]"
        self.faults.append(f"{place}: {what}: {explanation}")


# Values ---------------------------------------------------------------------------------------------------------------


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ConfigurationError("a text in quotes is expected")
    return value.strip()


def _texts(value: object) -> tuple[str, ...]:
    values: Sequence[object] = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigurationError('the list is empty: nothing would ever be forwarded; write it like ["A", "B"]')
    try:
        return tuple(dict.fromkeys(map(_text, values)))
    except ConfigurationError:
        raise ConfigurationError('a text in quotes, or a list of them, is expected: ["A", "B"]') from None


def _titles(value: object) -> tuple[str, ...]:
    titles = _texts(value)
    for title in titles:
        if len(title) > 16 or not title.isascii() or "\\" in title:
            raise ConfigurationError(
                f"{quoted(title)} is no AE title and no pattern of one: up to 16 characters, `*` is any, `?` is one"
            )
    return titles


def _modalities(value: object) -> tuple[str, ...]:
    return tuple(word.upper() for word in _texts(value))


def _sop_classes(value: object) -> tuple[str, ...]:
    return tuple(uid for word in _texts(value) for uid in storage_classes(word))


def _whole_number(value: object) -> int:
    if type(value) is not int or not -100 <= value <= 100:
        raise ConfigurationError("a whole number from -100 to 100 is expected")
    return value


def _hours(value: object) -> str:
    return check_hours(_text(value))


def _bandwidth(value: object) -> int:
    octets = octets_of(value)
    if octets < MIN_OCTETS_PER_SECOND:
        raise ConfigurationError("octets per second are expected, at least 1K, like 10M; without a limit leave it away")
    return octets


def _delay(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_DELAY:
        raise ConfigurationError(f"seconds from 0 to {MAX_DELAY:g} are expected; {DEFAULT_DELAY:g} if it is left away")
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigurationError("true or false is expected")
    return value


_FIELDS: Mapping[str, tuple[str, Callable[[object], Any]]] = {
    "name": ("name", _text),
    "from": ("origins", _titles),
    "called": ("called", _titles),
    "modality": ("modalities", _modalities),
    "sop_class": ("sop_classes", _sop_classes),
    "to": ("to", _texts),
    "priority": ("priority", _whole_number),
    "hours": ("hours", _hours),
    "bandwidth": ("octets_per_second", _bandwidth),
    "delay": ("delay", _delay),
    "enabled": ("enabled", _flag),
}
"""What a table may hold: the field of a `Route`, and what checks its value."""
