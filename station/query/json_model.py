"""An identifier in the DICOM JSON model: PS3.18 Annex F."""

import math
from base64 import b64encode
from typing import Any

from dulcet.services.querying.elements import Element, Elements
from dulcet.services.querying.identifiers import (
    NUMBERS,
    TEXT_VRS,
    Identifier,
    numbers,
    value_text,
)
from dulcet.services.value_representations import SINGLE_TEXT_VRS, SPECIFIC_CHARACTER_SET

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def json_model(identifier: Identifier) -> dict[str, Any]:
    """The attributes by tag (`00100010`), for `json.dumps`; DecodeError when the identifier can't be read.

    Texts are Unicode there, so Specific Character Set is left out. A number that is none stays the text that it was.
    """
    return _model(identifier.elements, identifier.declared_character_set)


def _model(elements: Elements, character_set: str) -> dict[str, Any]:
    return {
        f"{tag:08X}": _attribute(element, character_set)
        for tag, element in sorted(elements.items(), key=lambda pair: pair[0])
        if tag != SPECIFIC_CHARACTER_SET
    }


def _attribute(element: Element, character_set: str) -> dict[str, Any]:
    vr = element.vr
    attribute: dict[str, Any] = {"vr": vr.decode("ascii")}
    if element.items is not None:
        if element.items:
            attribute["Value"] = [_model(item, character_set) for item in element.items]
    elif vr in NUMBERS:
        values = [_number(number) for number in numbers(element)]
        if values:
            attribute["Value"] = values
    elif vr in TEXT_VRS or vr == b"AT":
        text = value_text(element, character_set)
        if text:
            attribute["Value"] = _values(vr, text)
    elif element.value:
        attribute["InlineBinary"] = b64encode(element.value).decode("ascii")
    return attribute


def _number(number: float) -> Any:
    if isinstance(number, float) and not math.isfinite(number):
        return "NaN" if math.isnan(number) else "inf" if number > 0 else "-inf"  # PS3.18 F.2.5
    return number


def _values(vr: bytes, text: str) -> list[Any]:
    parts = [text] if vr in SINGLE_TEXT_VRS else [part.strip(" ") for part in text.split("\\")]
    return [_value(vr, part) if part else None for part in parts]


def _value(vr: bytes, text: str) -> Any:
    if vr == b"PN":
        return {name: group for name, group in zip(_GROUPS, text.split("="), strict=False) if group}
    if vr == b"IS" and text.isascii() and text.removeprefix("-").removeprefix("+").isdigit():
        return int(text)
    if vr == b"DS":
        return _decimal(text)
    return text


def _decimal(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text
