"""The identifiers of C-FIND responses as octets (PS3.4 C.4.1.1.3.2): prepared once for a query, filled for each match.

A response has the attributes that were asked for and are supported, the level, the AE title to retrieve from, and the
character set where a value needs one: the request's if it can write the value, else ISO_IR 100, else ISO_IR 192.
"""

from collections.abc import Sequence
from struct import Struct

from dulcet.dimse.transfer_syntaxes import TRANSFER_SYNTAXES
from dulcet.services.querying.character_sets import UTF_8, declared, encode_text
from dulcet.services.querying.identifiers import QUERY_RETRIEVE_LEVEL, RETRIEVE_AE_TITLE
from dulcet.services.querying.query import INSTANCE_AVAILABILITY, Search
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET

LATIN_1 = "ISO_IR 100"
MAX_VALUE_OCTETS = 0xFFFE  # what a 16-bit length can count (PS3.5 7.1.2): all VRs here have one

_EXPLICIT = Struct("<HH2sH").pack
_IMPLICIT = Struct("<HHL").pack


class MatchEncoder:
    """Encodes the matches of one query."""

    def __init__(self, search: Search, transfer_syntax_uid: str, retrieve_ae_title: str) -> None:
        self._is_explicit = TRANSFER_SYNTAXES[transfer_syntax_uid].explicit_vr
        self._character_sets = tuple(dict.fromkeys(filter(None, (declared(search.character_set), LATIN_1, UTF_8))))
        fixed = {
            QUERY_RETRIEVE_LEVEL: (b"CS", search.level.value),
            RETRIEVE_AE_TITLE: (b"AE", retrieve_ae_title),
        }
        if search.names_availability:
            fixed[INSTANCE_AVAILABILITY] = (b"CS", "ONLINE")
        slots: dict[int, tuple[int, bytes, int] | bytes] = {
            attribute.tag: (attribute.tag, attribute.vr.encode("ascii"), index)
            for index, attribute in enumerate(search.returned)
        }
        slots |= {tag: self._element(tag, vr, text.encode("ascii")) for tag, (vr, text) in fixed.items()}
        self._slots = [slots[tag] for tag in sorted(slots)]

    def encode(self, row: Sequence[str]) -> bytes:
        """The identifier of a match, whose row begins with the values that are returned."""
        if "".join(row).isascii():
            return self._encode(row, "")
        for character_set in self._character_sets:
            try:
                return self._encode(row, character_set)
            except (ValueError, LookupError):
                continue
        return self._encode([value.encode("ascii", "replace").decode("ascii") for value in row], "")

    def _encode(self, row: Sequence[str], character_set: str) -> bytes:
        pieces = []
        if character_set:
            pieces.append(self._element(SPECIFIC_CHARACTER_SET, b"CS", character_set.encode("ascii")))
        for slot in self._slots:
            if isinstance(slot, bytes):
                pieces.append(slot)
                continue
            tag, vr, index = slot
            text = row[index]
            if vr == b"US":
                octets = int(text).to_bytes(2, "little") if text else b""
            elif text.isascii():
                octets = text.encode("ascii")
            else:
                octets = encode_text(text, vr, character_set)
            pieces.append(self._element(tag, vr, octets))
        return b"".join(pieces)

    def _element(self, tag: int, vr: bytes, octets: bytes) -> bytes:
        length = len(octets)
        if length & 1:
            octets += b"\0" if vr == b"UI" else b" "
            length += 1
        if length > MAX_VALUE_OCTETS:
            octets, length = octets[:MAX_VALUE_OCTETS], MAX_VALUE_OCTETS
        if self._is_explicit:
            return _EXPLICIT(tag >> 16, tag & 0xFFFF, vr, length) + octets
        return _IMPLICIT(tag >> 16, tag & 0xFFFF, length) + octets
