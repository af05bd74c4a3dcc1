"""Whom a word on the command line means: `AET@host:port`, `host:port`, or a node with what is known of it."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from dulcet.errors import ConfigurationError
from dulcet.escape import quote, quoted
from dulcet.station.book.spelling import did_you_mean

_ADDRESS = re.compile(
    r"(?:(?P<ae_title>[^@]+)@)?(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^:@\[\]]+)):(?P<port>\d{1,5})"
)
_NAME = re.compile(r"[^\W_][\w.-]{0,63}")
_HOST = re.compile(r"[\w.:%-]{1,255}")  # a name or an IPv4 or IPv6 address; Unicode for internationalized names

DEFAULT_AE_TITLE = "DULCET"  # ours
RETRIEVE_METHODS = ("auto", "move", "get")
QUERY_ROOTS = ("auto", "patient", "study")
_CHARACTER_SETS = (
    *("100", "101", "109", "110", "144", "127", "126", "138", "148", "203", "13", "166"),  # PS3.3 Table C.12-2
    *("6", "87", "159", "149", "58"),  # PS3.3 Table C.12-4: with code extensions only
)
CHARACTER_SETS = (
    *(f"ISO_IR {number}" for number in (*_CHARACTER_SETS[:12], "192")),
    *("GB18030", "GBK"),
    *(f"ISO 2022 IR {number}" for number in _CHARACTER_SETS),
)
"""The defined terms of Specific Character Set (0008,0005), PS3.3 C.12.1.1.2."""


def ae_title(text: str) -> str:
    """`text` as an AE title (PS3.5 6.2): 1 to 16 printable characters without a backslash. ConfigurationError."""
    try:
        return check_ae_title(text)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None


def parse_address(text: str) -> tuple[str | None, str, int]:
    """(AE title or None, host, port) of `AET@host:port` or `host:port`; an IPv6 address stands in brackets.

    ConfigurationError says what is wrong with it.
    """
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(
            f"{quoted(text)} is no peer: write AET@HOST:PORT (or HOST:PORT), like ORTHANC@192.168.1.20:4242"
        )
    port = int(match["port"])
    if not 0 < port < 65536:
        raise ConfigurationError(f"{quoted(text)}: a port is a number from 1 to 65535")
    return match["ae_title"], match["v6"] or match["host"], port


def is_address(word: str) -> bool:
    """Whether `word` is meant to be an address: no name of a node has an @ or a colon in it."""
    return "@" in word or ":" in word


class FieldError(ValueError):
    """A value that a field of a node can't have: which field, and why."""

    def __init__(self, field: str, explanation: str) -> None:
        self.field = field
        super().__init__(explanation)


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A peer with a name, and how to deal with it. None: nothing is said, and what holds for all peers holds.

    Every text in it is printable, so that it may be shown as it is.
    """

    name: str
    """What we call it: letters, digits, `.`, `_`, `-`; not digits alone."""
    ae_title: str
    """Its AE title (PS3.5 6.2), case sensitive."""
    host: str
    """A name or an address; an IPv6 address without brackets."""
    port: int
    calling_ae_title: str | None = None
    """Our own AE title towards it."""
    tls: bool | None = None
    """True: TLS, its certificate is verified. False: never."""
    tls_ca: Path | None = None
    """The authorities that sign its certificate; None trusts the system's."""
    tls_cert: Path | None = None
    """Our certificate for it."""
    tls_key: Path | None = None
    """The key of our certificate, if not in the same file."""
    tls_name: str | None = None
    """The name on its certificate, if not `host`."""
    max_pdu: int | None = None
    """Octets: the largest PDU that we take from it."""
    jobs: int | None = None
    """Associations at once."""
    async_window: int | None = None
    """Operations outstanding on each association, if it agrees (PS3.7 D.3.3.3)."""
    no_convert: bool | None = None
    """True: files go to it as they are or not at all."""
    retrieve: str | None = None
    """`auto`, `move` (C-MOVE) or `get` (C-GET)."""
    query_root: str | None = None
    """`auto`, `patient` or `study`: the Query/Retrieve information model (PS3.4 C.3)."""
    character_set: str | None = None
    r"""Specific Character Set of the queries that it gets, several values with `\` between."""
    notes: str | None = None
    tags: tuple[str, ...] = ()
    """Words to choose nodes by: `dulcet echo --tag ct`."""

    @classmethod
    def from_table(cls, name: str, table: Mapping[str, Any], directory: Path) -> Self:
        """A node of a node book; relative paths count from `directory`. FieldError for the first thing wrong with it.

        The field of a FieldError is "" for the name and for the table as a whole.
        """
        if not is_node_name(name):
            raise FieldError("", f"{quoted(name)} is no name for a node: letters, digits, . _ - and not digits alone")
        if not isinstance(table, Mapping):
            raise FieldError("", f"a node is a table, so {quote(name)} should be a line [{quote(name)}]")
        values = {field: _checked(field, value, directory) for field, value in table.items()}
        for field in ("ae_title", "host", "port"):
            if field not in values:
                raise FieldError("", f"{field} is missing")
        for field in ("tls_ca", "tls_cert", "tls_key", "tls_name"):
            if field in values and not values.get("tls"):
                raise FieldError(field, "it needs tls = true")
        if "tls_key" in values and "tls_cert" not in values:
            raise FieldError("tls_key", "it needs tls_cert, the certificate that it belongs to")
        return cls(name=name, **values)

    @property
    def address(self) -> str:
        """`AET@host:port`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"

    def table(self) -> dict[str, Any]:
        """What is said of it, as TOML and JSON have it, in the order of the fields."""
        table = {field: getattr(self, field) for field in FIELDS}
        table["tags"] = list(self.tags) or None
        return {
            field: str(value) if isinstance(value, Path) else value
            for field, value in table.items()
            if value is not None
        }


def is_node_name(name: str) -> bool:
    """Whether a node may have this name: it must not be taken for an address, an option or a port."""
    return _NAME.fullmatch(name) is not None and not name.isdigit()


def check_ae_title(text: object) -> str:
    """`text` as an AE title (PS3.5 6.2) without the spaces round it; ValueError when it is none."""
    if not isinstance(text, str):
        raise ValueError("an AE title is a text in quotes")
    stripped = text.strip(" ")
    if not stripped or len(stripped) > 16 or not (stripped.isascii() and stripped.isprintable()) or "\\" in stripped:
        raise ValueError(f"{quoted(text)} is no AE title: 1 to 16 printable characters, no backslash")
    return stripped


def check_host(text: object) -> str:
    """A host name or address, an IPv6 one without its brackets; ValueError when it is none."""
    host = text.strip().removeprefix("[").removesuffix("]") if isinstance(text, str) else ""
    if not _HOST.fullmatch(host):
        raise ValueError(f"{quoted(str(text))} is no host name and no address")
    return host


def check_port(number: object) -> int:
    """A TCP port; ValueError when it is none."""
    if type(number) is not int or not 0 < number < 65536:
        raise ValueError(f"{quote(str(number))} is no port: a number from 1 to 65535")
    return number


def _checked(field: str, value: object, directory: Path) -> Any:
    check = _CHECKS.get(field)
    if check is None:
        raise FieldError(field, f"a node has no such field{did_you_mean(field, FIELDS)}")
    try:
        checked = check(value)
    except ValueError as error:
        raise FieldError(field, str(error)) from None
    return directory / checked if isinstance(checked, Path) else checked


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{quoted(str(value))} is neither true nor false")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text in quotes is expected")
    if not value.isprintable():
        raise ValueError("a text on one line, without control characters, is expected")
    return value


def _path(value: object) -> Path:
    try:
        return Path(_text(value)).expanduser()
    except RuntimeError as error:  # ~somebody
        raise ValueError(f"{quoted(str(value))}: {error}") from error


def _tags(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError('a list is expected: ["ct", "main"]')
    return tuple(dict.fromkeys(_text(tag) for tag in value))


def _number(lowest: int, highest: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if type(value) is not int or not lowest <= value <= highest:
            raise ValueError(f"{quote(str(value))} is no number from {lowest} to {highest}")
        return value

    return check


def _word(choices: tuple[str, ...]) -> Callable[[object], str]:
    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{quoted(str(value))} is none of {', '.join(choices)}")
        return value

    return check


def check_character_set(value: object) -> str:
    r"""Defined terms of Specific Character Set, `\` between them; ValueError for what is none."""
    for term in _text(value).split("\\"):
        if term and term not in CHARACTER_SETS:
            hint = did_you_mean(term, CHARACTER_SETS)
            raise ValueError(f"{quoted(term)} is no character set of PS3.3 C.12.1.1.2, like 'ISO_IR 100'{hint}")
    return str(value)


_CHECKS: Mapping[str, Callable[[object], Any]] = {
    "ae_title": check_ae_title,
    "host": check_host,
    "port": check_port,
    "calling_ae_title": check_ae_title,
    "tls": _flag,
    "tls_ca": _path,
    "tls_cert": _path,
    "tls_key": _path,
    "tls_name": check_host,
    "max_pdu": _number(4096, 16 * 1024 * 1024),
    "jobs": _number(1, 64),
    "async_window": _number(1, 256),
    "no_convert": _flag,
    "retrieve": _word(RETRIEVE_METHODS),
    "query_root": _word(QUERY_ROOTS),
    "character_set": check_character_set,
    "notes": _text,
    "tags": _tags,
}
FIELDS = tuple(field.name for field in fields(Node) if field.name != "name")
"""In the order in which they are shown and written."""
