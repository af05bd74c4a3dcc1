"""Queries that lie in files: DICOM files, JSON, TOML, or lines of `KEY=VALUE`."""

import json
import os
import tomllib
from pathlib import Path
from typing import Any

from dulcet.errors import ConfigurationError, DecodeError, NoInputError, NotDICOMError
from dulcet.escape import quote
from dulcet.services.data_sets import MAX_IDENTIFIER_OCTETS
from dulcet.services.part10 import read_header
from dulcet.services.querying.elements import Elements, read_elements
from dulcet.services.querying.identifiers import value_text
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET
from dulcet.station.query.keys import KeyTree, from_mapping, merge, parse_key, put

_PREFIX_AT, _PREFIX = 128, b"DICM"


def read_query_file(path: Path) -> KeyTree:
    """The keys in a file; what it is shows in its name (.json, .toml) or its first octets.

    NoInputError when it can't be read, ConfigurationError when it is none of these, with the line where there is one.
    """
    try:
        octets = _read(path)
    except OSError as error:
        raise NoInputError(f"{path}: {error.strerror}") from error
    if octets[_PREFIX_AT : _PREFIX_AT + 4] == _PREFIX or (octets[:1] in (b"\x08", b"\x10") and octets[1:2] == b"\0"):
        return _from_dicom(path)
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is neither a DICOM file nor text in UTF-8") from error
    if path.suffix.lower() == ".json" or text.lstrip()[:1] == "{":
        return from_mapping(_plain(_json(path, text)))
    if path.suffix.lower() == ".toml":
        return from_mapping(_toml(path, text))
    return _from_lines(path, text)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        octets = file.read(MAX_IDENTIFIER_OCTETS + 1)
    if len(octets) > MAX_IDENTIFIER_OCTETS:
        raise ConfigurationError(f"{path} is too large for a query: more than {MAX_IDENTIFIER_OCTETS} octets")
    return octets


def _json(path: Path, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{path} is no JSON: {error}") from error
    if isinstance(document, list) and len(document) == 1:
        document = document[0]
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path}: an object of keys is expected")
    return document


def _toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error


def _plain(document: dict[str, Any]) -> dict[str, Any]:
    """The DICOM JSON model (PS3.18 F.2) as plain values; what is plain already stays."""
    return {word: _plain_value(value) for word, value in document.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict) and "vr" in value:
        values = [_plain_value(each) for each in value.get("Value", [])]
        if value["vr"] == "SQ":
            return values or {}
        return values[0] if len(values) == 1 else values or ""
    if isinstance(value, dict) and value.keys() & {"Alphabetic", "Ideographic", "Phonetic"}:
        groups = [str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    if isinstance(value, dict):
        return _plain(value)
    if isinstance(value, list):
        return [_plain_value(each) for each in value]
    return value


def _from_lines(path: Path, text: str) -> KeyTree:
    keys: KeyTree = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            try:
                put(keys, *parse_key(stripped))
            except ConfigurationError as error:
                raise ConfigurationError(f"{path}:{number}: {error}") from error
    return keys


def _from_dicom(path: Path) -> KeyTree:
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            header = read_header(descriptor)
            octets = os.pread(descriptor, MAX_IDENTIFIER_OCTETS, header.data_set_offset)
        finally:
            os.close(descriptor)
        elements = read_elements(octets, header.transfer_syntax_uid)
    except (NotDICOMError, DecodeError) as error:
        raise ConfigurationError(f"{path} can't be read as a query: {quote(str(error), 200)}") from error
    terms = elements.get(SPECIFIC_CHARACTER_SET)
    return _keys(elements, "" if terms is None else value_text(terms, ""))


def _keys(elements: Elements, character_set: str) -> KeyTree:
    keys: KeyTree = {}
    for tag, element in elements.items():
        if tag == SPECIFIC_CHARACTER_SET or not tag & 0xFFFF:
            continue
        if element.items is not None:
            keys[tag] = [_keys(element.items[0], character_set)] if element.items else []
        else:
            keys[tag] = value_text(element, character_set)
    return keys


def merged(files: list[Path], keys: KeyTree) -> KeyTree:
    """The keys of the files in their order, then `keys`: the later ones hold."""
    together: KeyTree = {}
    for path in files:
        merge(together, read_query_file(path))
    merge(together, keys)
    return together
