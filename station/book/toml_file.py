"""A TOML file that people write by hand: its values, and the line on which each stands, for sentences about it.

tomllib tells no lines, so a second walk over the text finds them; it is made only when a sentence needs one, or when
the text is to be changed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from dulcet.errors import ConfigurationError
from dulcet.escape import quote

MAX_OCTETS = 16 * 1024 * 1024  # ten thousand nodes are 2 MB

_TOKEN = re.compile(
    r'"""(?:\\.|(?!""").)*"{3,5}'
    r"|'''(?:(?!''').)*'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\n\[\]{}=]"
    r"|[^\n\[\]{}=\"'#]+",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of the text: `[a.b]`, or `key = value`; lines count from 1."""

    keys: tuple[str, ...]
    """From the root: those of the table, then its own."""
    first_line: int
    last_line: int
    is_header: bool


@dataclass(frozen=True, slots=True)
class TOMLFile:
    """What a file says."""

    path: Path
    text: str
    values: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Self:
        """FileNotFoundError when there is none; ConfigurationError when it can't be read or is not TOML."""
        try:
            with path.open("rb") as file:
                octets = file.read(MAX_OCTETS + 1)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise ConfigurationError(f"{path} can't be read: {error.strerror}") from error
        if len(octets) > MAX_OCTETS:
            raise ConfigurationError(f"{path} is larger than {MAX_OCTETS // 1024**2} MB: it can't be the right file")
        try:
            return cls.parse(path, octets.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = octets.count(b"\n", 0, error.start) + 1
            raise ConfigurationError(f"{path}:{line}: the file is not in UTF-8") from error

    @classmethod
    def parse(cls, path: Path, text: str) -> Self:
        """`text` as what `path` says, or is to say."""
        import tomllib

        try:
            return cls(path, text, tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            explanation, line = _explanation(str(error), text)
            raise ConfigurationError(f"{path}:{line}: {explanation}") from error
        except RecursionError as error:
            raise ConfigurationError(f"{path}: the values are nested too deep") from error

    def line(self, *keys: str) -> int:
        """The line on which `keys` stands, or the innermost table round it that has a line; 1 for the file itself."""
        lines = _lines(self.text)
        return next((lines[keys[:end]] for end in range(len(keys), 0, -1) if keys[:end] in lines), 1)

    def place(self, *keys: str) -> str:
        """`path:line`, as compilers and editors write it."""
        return f"{self.path}:{self.line(*keys)}"

    def place_of_item(self, name: str, index: int, *key: str) -> str:
        """`path:line` of the table `[[name]]` with this index, counted from 0, or of a key of it."""
        count = -1
        line = self.line(name)
        for statement in statements(self.text):
            if statement.keys == (name,) and statement.is_header:
                count += 1
                line = statement.first_line if count == index else line
            elif count == index and statement.keys == (name, *key):
                line = statement.first_line
        return f"{self.path}:{line}"


@lru_cache(maxsize=4)  # a book with a fault in every node asks for every line
def _lines(text: str) -> Mapping[tuple[str, ...], int]:
    lines: dict[tuple[str, ...], int] = {}
    for statement in statements(text):
        for end in range(1, len(statement.keys) + 1):
            lines.setdefault(statement.keys[:end], statement.first_line)
        if statement.is_header:
            lines[statement.keys] = statement.first_line
    return lines


def statements(text: str) -> Iterator[Statement]:
    """The statements of a text that tomllib has found to be TOML, in order."""
    table: tuple[str, ...] = ()
    for first, last, tokens in _logical_lines(text):
        if tokens[0] == "[":
            table = _keys("".join(tokens).strip("[] \t\r"))
            yield Statement(table, first, last, is_header=True)
        else:
            key = "".join(tokens[: tokens.index("=")])
            yield Statement((*table, *_keys(key.strip())), first, last, is_header=False)


def _logical_lines(text: str) -> Iterator[tuple[int, int, list[str]]]:
    """(first line, last line, tokens without blanks in front and comments) of each statement."""
    line, depth = 1, 0
    first, tokens = 1, list[str]()
    for token in _TOKEN.findall(text + "\n"):
        if token == "\n" and depth <= 0:
            if tokens:
                yield first, line, tokens
            tokens, depth = [], 0
        elif token == "\n" or token.startswith("#") or (not tokens and not token.strip()):
            pass
        else:
            first = first if tokens else line
            tokens.append(token.lstrip() if not tokens else token)
            depth += (token in ("[", "{")) - (token in ("]", "}"))
        line += token.count("\n")


def _keys(key: str) -> tuple[str, ...]:
    """The parts of a dotted key, quoted or not."""
    import tomllib

    keys: list[str] = []
    values: Any = tomllib.loads(f"[{key}]")
    while values:
        ((part, values),) = values.items()
        keys.append(part)
    return tuple(keys)


def _explanation(error: str, text: str) -> tuple[str, int]:
    """tomllib's words without the place, and its line."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", error, re.DOTALL)
    if match is None:
        return quote(error, 200), 1
    line = int(match[2]) if match[2] else text.rstrip("\n").count("\n") + 1
    twice = re.fullmatch(r"Cannot declare \((.*?),?\) twice", match[1])
    if twice is not None:
        name = twice[1].replace("', '", ".").strip("'")
        return f"[{quote(name)}] is there twice", line
    if match[1] == "Cannot overwrite a value":
        return "this is there twice", line
    return f"this is not TOML: {quote(match[1], 200)}", line


def toml_value(value: Any) -> str:
    """A text, number, truth value, path or a list of them as TOML writes it, which is as JSON does."""
    import json

    plain = [str(each) for each in value] if isinstance(value, list | tuple) else value
    plain = str(plain) if isinstance(plain, Path) else plain
    text = json.dumps(plain, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(plain)
