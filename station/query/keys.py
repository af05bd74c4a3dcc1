r"""Keys as people write them: `PatientName=DOE*`, `0008,0060=CT`, `ScheduledProcedureStepSequence.Modality=CT`.

A path leads into sequences, whose one item holds the keys (PS3.4 C.2.2.2.6). A key without a value is asked for, not
matched.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dulcet.errors import ConfigurationError
from dulcet.escape import quote, quoted
from dulcet.services.querying.identifiers import Keys, keyword_of, keywords, tag_of, vr_of
from dulcet.station.book.spelling import did_you_mean

Path = tuple[int, ...]
"""Tags from the first level down: sequences, then an attribute."""

KeyTree = dict[int, "str | list[KeyTree]"]
"""`Keys` that can be added to."""

_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")
_ITEM = re.compile(r"\[0?\]$")  # DCMTK's way to write the one item of a sequence


def parse_key(text: str) -> tuple[Path, str]:
    """(path, value) of `PATH=VALUE` or `PATH`; ConfigurationError says what is wrong with it."""
    path, _, value = text.partition("=")
    return parse_path(path.strip()), value


def parse_path(text: str) -> Path:
    """Tags of keywords or tags with dots between; all but the last are sequences."""
    path = tuple(_tag(word) for word in text.split("."))
    for tag in path[:-1]:
        if vr_of(tag) != b"SQ":
            raise ConfigurationError(f"{quoted(text)}: {keyword_of(tag)} is no sequence, so nothing is in it")
    return path


def _tag(word: str) -> int:
    word = _ITEM.sub("", word.strip())
    match = _TAG.fullmatch(word)
    if match:
        tag = int(match[1] + match[2], 16)
    else:
        found = tag_of(word) if word else None
        if found is None:
            hint = did_you_mean(word, keywords()) if word else ""
            raise ConfigurationError(f"{quoted(word)} is no attribute: a keyword, or a tag like 0010,0010{hint}")
        tag = found
    if not tag >> 16 > 0x0002 or tag >> 16 == 0xFFFE or not tag & 0xFFFF:
        raise ConfigurationError(f"{quoted(word)} can't stand in a query")
    return tag


def describe_path(path: Path) -> str:
    """The keywords of a path with dots between."""
    return ".".join(map(keyword_of, path))


def put(keys: KeyTree, path: Path, value: str) -> None:
    """Add a key, or give it another value; the sequences on the way get an item."""
    for tag in path[:-1]:
        items = keys.get(tag)
        if not isinstance(items, list) or not items:
            items = keys[tag] = [{}]
        keys = items[0]
    tag = path[-1]
    if vr_of(tag) == b"SQ":
        if value:
            raise ConfigurationError(
                f"{describe_path(path)} is a sequence: name a key in it, like {keyword_of(tag)}.KEY"
            )
        if not isinstance(keys.get(tag), list):
            keys[tag] = []
        return
    keys[tag] = value


def setdefault(keys: KeyTree, path: Path) -> None:
    """Ask for what is at `path`, unless a key is there already."""
    if get(keys, path) is None:
        put(keys, path, "")


def get(keys: Keys, path: Path) -> "str | Sequence[Keys] | None":
    """What is at `path`; None when nothing is."""
    for tag in path[:-1]:
        items = keys.get(tag)
        if isinstance(items, str) or not items:
            return None
        keys = items[0]
    return keys.get(path[-1])


def merge(keys: KeyTree, more: Keys) -> None:
    """Add the keys of another query; where both have a key, the other's holds."""
    for path, value in walk(more):
        put(keys, path, value)


def walk(keys: Keys, above: Path = ()) -> Iterator[tuple[Path, str]]:
    """(path, value) of every key, in ascending order; an empty sequence is one with an empty value."""
    for tag, value in sorted(keys.items(), key=lambda pair: pair[0]):
        if isinstance(value, str):
            yield (*above, tag), value
        elif not any(value):
            yield (*above, tag), ""
        else:
            yield from walk(value[0], (*above, tag))


def from_words(words: Iterable[str]) -> KeyTree:
    """The keys that -k options name."""
    keys: KeyTree = {}
    for word in words:
        put(keys, *parse_key(word))
    return keys


def from_mapping(values: Mapping[str, Any], above: str = "") -> KeyTree:
    """The keys of a JSON or TOML document: paths to texts, numbers, lists of them; or objects for sequences."""
    keys: KeyTree = {}
    for word, value in values.items():
        path = parse_path(f"{above}{word}")
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
            value = value[0]
        if isinstance(value, dict):
            put(keys, path, "")
            merge(keys, from_mapping(value, f"{above}{word}."))
        elif isinstance(value, list):
            put(keys, path, "\\".join(_text(word, each) for each in value))
        else:
            put(keys, path, _text(word, value))
    return keys


def _text(word: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigurationError(f"{quote(word)}: a text or a number is expected, or a list of them")
    return str(value)
