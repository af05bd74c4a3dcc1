"""Identifiers: the data sets of C-FIND, C-MOVE and C-GET as octets and as keys (PS3.4 C.2.2).

A match keeps the octets that came; they are read when somebody asks for a value. pydicom is imported for what needs its
dictionary (names of attributes, VRs of Implicit VR), and for `data_set`.
"""

import struct
from collections.abc import Mapping, Sequence
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from dulcet.dimse.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN
from dulcet.errors import ConfigurationError
from dulcet.escape import quoted
from dulcet.services.querying.character_sets import UTF_8, declared, decode_text, encode_text
from dulcet.services.querying.elements import Element, Elements, encode_elements, padded, read_elements
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET, US_OR_SS, tag_text, vr_of_implicit

if TYPE_CHECKING:
    from pydicom import Dataset

QUERY_RETRIEVE_LEVEL = 0x00080052
RETRIEVE_AE_TITLE = 0x00080054
FAILED_SOP_INSTANCE_UID_LIST = 0x00080058

NUMBERS = {
    b"US": "H", b"SS": "h", b"UL": "L", b"SL": "l", b"UV": "Q", b"SV": "q", b"FL": "f", b"FD": "d",
}  # fmt: skip
"""How `struct` calls the numbers of a VR."""
TEXT_VRS = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UC UI UR UT".split())

Keys = Mapping[int, "str | Sequence[Keys]"]
r"""By tag: the value to match, several with `\` between, "" for any; or the items of a sequence."""


class Identifier:
    """An identifier as it came, read when it is asked for. Memory: its octets, and once more when it was read.

    Each way to read it raises DecodeError when the octets can't be. `character_set` holds where the identifier does not
    say its own.
    """

    __slots__ = ("_elements", "character_set", "octets", "transfer_syntax")

    def __init__(self, octets: bytes, transfer_syntax: str, character_set: str = "") -> None:
        self.octets = octets
        self.transfer_syntax = transfer_syntax
        self.character_set = character_set
        self._elements: Elements | None = None

    def __repr__(self) -> str:
        return f"<Identifier of {len(self.octets)} octets>"

    @property
    def elements(self) -> Elements:
        """Its elements by tag, in the order in which they came."""
        if self._elements is None:
            self._elements = read_elements(self.octets, self.transfer_syntax)
        return self._elements

    @property
    def declared_character_set(self) -> str:
        r"""What its texts are written in: its own Specific Character Set, else `character_set`; `\` between values."""
        element = self.elements.get(SPECIFIC_CHARACTER_SET)
        own = "" if element is None else element.value.decode("ascii", "replace").strip("\0 ")
        return own or self.character_set

    def text(self, tag: int) -> str:
        """The value of an element of the first level as text; "" when it is not there. Raw: never show it as it is."""
        element = self.elements.get(tag)
        return "" if element is None else value_text(element, self.declared_character_set)

    def values(self, tag: int) -> list[str]:
        """The values of an element; none when it is not there or empty."""
        text = self.text(tag)
        return [value.strip(" ") for value in text.split("\\")] if text else []

    def number(self, tag: int) -> int | None:
        """The value of an IS element; None when there is none, or it is no number."""
        text = self.text(tag)
        return int(text) if text.isascii() and text.removeprefix("+").isdigit() else None

    @property
    def data_set(self) -> "Dataset":
        """As pydicom has it, made anew each time."""
        from pydicom.filereader import read_dataset

        elements = dict(self.elements)  # what pydicom could not read raises here
        if self.declared_character_set:
            terms = padded(b"CS", self.declared_character_set.encode("ascii", "replace"))
            elements[SPECIFIC_CHARACTER_SET] = Element(b"CS", terms)
        return read_dataset(BytesIO(encode_elements(elements, EXPLICIT_VR_LITTLE_ENDIAN)), False, True)


def value_text(element: Element, character_set: str) -> str:
    r"""The value of an element as text, `\` between values; a sequence and octets are ""."""
    vr, value, items = element
    if vr in NUMBERS:
        return "\\".join(map(str, numbers(element)))
    if vr == b"AT":
        pairs = struct.iter_unpack("<HH", value[: len(value) // 4 * 4])
        return "\\".join(f"{group:04X}{number:04X}" for group, number in pairs)
    if items is not None or (vr not in TEXT_VRS and vr != b"UN"):
        return ""
    stripped = value.rstrip(b"\0 ")
    if stripped.isascii() and b"\x1b" not in stripped:
        return stripped.decode("ascii").lstrip(" ")
    return decode_text(stripped, character_set).strip(" ")


def numbers(element: Element) -> tuple[int | float, ...]:
    """The values of a numeric element; what is no whole number at its end is left out."""
    code = NUMBERS[element.vr]
    count = len(element.value) // struct.calcsize(f"<{code}")
    return struct.unpack_from(f"<{count}{code}", element.value)


# Names --------------------------------------------------------------------------------------------------------------


@cache
def vr_of(tag: int) -> bytes:
    """The VR of a tag in the dictionary; UN for what it doesn't have."""
    vr = vr_of_implicit(tag)
    return b"US" if vr == US_OR_SS else vr


def tag_of(keyword: str) -> int | None:
    """The tag of an attribute by its keyword, `PatientName`; None when there is none of that name."""
    from pydicom.datadict import tag_for_keyword

    return tag_for_keyword(keyword)


@cache
def keyword_of(tag: int) -> str:
    """The keyword of a tag; `(gggg,eeee)` when it has none."""
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or tag_text(tag)


def keywords() -> list[str]:
    """Every keyword of the dictionary, to find what a misspelt one was meant to be."""
    from pydicom.datadict import keyword_dict

    return list(keyword_dict)


# Writing ------------------------------------------------------------------------------------------------------------


def encode_identifier(keys: Keys, transfer_syntax: str, character_set: str = "") -> bytes:
    """The octets of an identifier, with Specific Character Set when one is given or needed.

    `character_set` comes before one among the keys; a text beyond ASCII without either is written in UTF-8
    (ISO_IR 192). ConfigurationError for a value that its VR or the character set can't hold.
    """
    own = keys.get(SPECIFIC_CHARACTER_SET)
    terms = character_set or (own if isinstance(own, str) else "") or ("" if is_ascii(keys) else UTF_8)
    keys = {tag: value for tag, value in keys.items() if tag != SPECIFIC_CHARACTER_SET}
    if terms:
        keys[SPECIFIC_CHARACTER_SET] = terms = declared(terms)
    try:
        return encode_elements(_elements(keys, terms), transfer_syntax)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def is_ascii(keys: Keys) -> bool:
    """Whether no value needs a character set."""
    return all(value.isascii() if isinstance(value, str) else all(map(is_ascii, value)) for value in keys.values())


def _elements(keys: Keys, character_set: str) -> Elements:
    return {tag: _element(tag, value, character_set) for tag, value in keys.items()}


def _element(tag: int, value: "str | Sequence[Keys]", character_set: str) -> Element:
    vr = vr_of(tag)
    if not isinstance(value, str):
        return Element(b"SQ", items=tuple(_elements(item, character_set) for item in value))
    try:
        return Element(vr, padded(vr, _value(vr, value, character_set)))
    except (ValueError, struct.error, OverflowError) as error:
        raise ConfigurationError(f"{keyword_of(tag)}: {error}") from error


def _value(vr: bytes, value: str, character_set: str) -> bytes:
    if not value:
        return b""
    name = vr.decode("ascii")
    if vr in NUMBERS:
        parts = [part.strip() for part in value.split("\\")]
        try:
            numbers = [float(part) if vr in (b"FL", b"FD") else int(part) for part in parts]
            return struct.pack(f"<{len(numbers)}{NUMBERS[vr]}", *numbers)
        except (ValueError, struct.error, OverflowError):
            raise ValueError(f"{quoted(value)} is no {name}") from None
    if vr == b"AT":
        return b"".join(_tag_octets(part) for part in value.split("\\"))
    if vr == b"SQ":
        raise ValueError("a sequence has keys, and no value of its own")
    if vr not in TEXT_VRS and vr != b"UN":
        raise ValueError(f"octets ({name}) can be asked for, not matched")
    return encode_text(value, vr, character_set)


def _tag_octets(text: str) -> bytes:
    try:
        tag = int(text.replace(",", "").strip("() "), 16)
        return struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    except (ValueError, struct.error):
        raise ValueError(f"{quoted(text)} is no tag") from None
