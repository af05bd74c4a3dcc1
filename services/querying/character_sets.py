"""Text in the character sets of DICOM: Specific Character Set (0008,0005), PS3.3 C.12.1.1.2, PS3.5 6.1.

pydicom knows the escape sequences; it is imported at the first text that is not ASCII.
"""

import warnings
from functools import lru_cache

from dulcet.services.value_representations import SINGLE_TEXT_VRS, VRS_IN_CHARACTER_SET

UTF_8 = "ISO_IR 192"
_NEEDS_DEFAULT = {f"ISO 2022 IR {number}" for number in (87, 159, 149, 58)}  # PS3.3 Table C.12-4: none has ASCII in G0
_GB_2312 = b"\x1b$)A"  # PS3.3 Table C.12-4, ISO-IR 58: pydicom neither writes nor reads it
_LINE_ENDS = "\t\n\f\r"
_DELIMITERS = {0x09, 0x0A, 0x0C, 0x0D, ord("\\"), ord("^"), ord("=")}  # PS3.5 6.1.2.5.3: each resets the character set


def declared(character_set: str) -> str:
    r"""A Specific Character Set that can be declared for texts of `encode_text`: `\ISO 2022 IR 87` for its value alone.

    Multi-byte character sets extend another, whose value is the first, empty for the default repertoire (C.12.1.1.2).
    """
    first = character_set.partition("\\")[0].strip(" ")
    return f"\\{character_set}" if first in _NEEDS_DEFAULT else character_set


def decode_text(octets: bytes, character_set: str) -> str:
    r"""Octets as text; what can't be decoded is U+FFFD. `character_set` is (0008,0005), `\` between its values.

    Where nothing is declared the octets are UTF-8, if they can be, else ISO_IR 100: what products send that don't say.
    """
    if not character_set:
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            return octets.decode("latin-1")
    if character_set == UTF_8:
        return octets.decode("utf-8", "replace")
    from pydicom.charset import decode_bytes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        text = decode_bytes(octets, _encodings(character_set), _DELIMITERS)
    return text.replace(_GB_2312.decode("ascii"), "")


def encode_text(text: str, vr: bytes, character_set: str) -> bytes:
    r"""Text as octets; ValueError when the VR or the character set can't hold it.

    Values (`\`), lines, and the groups and components of a PN (`=`, `^`) are encoded one by one, as PS3.5 6.1.2.5.3
    asks. What is written so has to be declared as `declared` says.
    """
    if text.isascii():
        return text.encode("ascii")
    if vr not in VRS_IN_CHARACTER_SET:
        raise ValueError(f"{text!r} is not ASCII, and a {vr.decode()} holds nothing else")
    if character_set == UTF_8:
        return text.encode("utf-8")
    character_set = declared(character_set)
    delimiters = _LINE_ENDS + ("" if vr in SINGLE_TEXT_VRS else "\\") + ("^=" if vr == b"PN" else "")
    pieces: list[bytes] = []
    start = 0
    for position, character in enumerate(text):
        if character in delimiters:
            pieces += (_encode(text[start:position], character_set), character.encode("ascii"))
            start = position + 1
    pieces.append(_encode(text[start:], character_set))
    return b"".join(pieces)


def _encode(text: str, character_set: str) -> bytes:
    if text.isascii():
        return text.encode("ascii")
    from pydicom.charset import encode_string

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encodings = _encodings(character_set)
        octets = encode_string(text, encodings)
    if "iso_ir_58" in encodings[1:] and octets == text.encode("gb2312", "replace"):
        octets = _GB_2312 + octets
    if decode_text(octets, character_set) != text or _is_beyond_the_default(octets, character_set):
        raise ValueError(f"{text!r} can't be written in the character set {character_set}")
    return octets


def _is_beyond_the_default(octets: bytes, character_set: str) -> bool:
    """Whether 8-bit octets stand where the default repertoire, ISO-IR 6, is in force."""
    if character_set.partition("\\")[0] not in ("", "ISO_IR 6", "ISO 2022 IR 6"):
        return False
    first, *others = octets.split(b"\x1b")
    return not all(part.isascii() for part in (first, *(part for part in others if part.startswith(b"(B"))))


@lru_cache(maxsize=64)
def _encodings(character_set: str) -> list[str]:
    from pydicom.charset import convert_encodings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return convert_encodings([term.strip(" ") for term in character_set.split("\\")])
