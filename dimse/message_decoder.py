"""Reading the messages of one direction: one mostly differs from the one before in a number and a UID alone."""

from dataclasses import fields
from struct import Struct
from typing import Any, NamedTuple

from dulcet.dimse.command_dictionary import AFFECTED_SOP_INSTANCE_UID, TAGS
from dulcet.dimse.messages import DecodedMessage, UnacceptableMessage, decode_message

_ELEMENT = Struct("<HHL")  # group, element, value length
_UID_FIELD = "affected_sop_instance_uid"


class _Pattern(NamedTuple):
    """A command set as it was read, but for the values of two elements."""

    message_class: Any
    values: dict[str, Any]
    """Of all its fields."""
    id_field: str
    before: bytes
    """Up to the value of the Message ID."""
    between: bytes
    """From there to the value of the Affected SOP Instance UID."""
    after: bytes
    uid_start: int
    """Offset of the UID; the end of the octets when there is none."""
    uid_end: int


class MessageDecoder:
    """`decode_message` for one message after the other. Memory: one command set.

    A command set that differs from an earlier one in nothing but Message ID and Affected SOP Instance UID, their
    lengths included, is not read element by element again.
    """

    def __init__(self) -> None:
        self._octets: bytes | None = None
        self._decoded: DecodedMessage | None = None
        self._pattern: _Pattern | None = None

    def decode(self, octets: bytes) -> DecodedMessage:
        """What `decode_message` says of these octets."""
        if octets == self._octets:
            assert self._decoded is not None
            return self._decoded
        if self._pattern is not None and (decoded := _by_pattern(self._pattern, octets)) is not None:
            return decoded
        decoded = decode_message(octets)
        self._octets, self._decoded, self._pattern = octets, decoded, _pattern_of(octets, decoded)
        return decoded


def _by_pattern(pattern: _Pattern, octets: bytes) -> DecodedMessage | None:
    """None when the octets are of another kind, or the UID is not padded as PS3.5 9.1 asks."""
    message_class, values, id_field, before, between, after, uid_start, uid_end = pattern
    id_start = len(before)
    if (
        not octets.startswith(before)
        or octets[id_start + 2 : uid_start] != between
        or octets[uid_end:] != after
        or len(octets) != uid_end + len(after)
    ):
        return None
    changed = {**values, id_field: octets[id_start] | octets[id_start + 1] << 8}
    if uid_end > uid_start:
        uid = octets[uid_start:uid_end].decode("latin-1").removesuffix("\0")
        if uid.endswith(("\0", " ")):
            return None
        changed[_UID_FIELD] = uid
    return DecodedMessage(message_class(**changed), ())


def _pattern_of(octets: bytes, decoded: DecodedMessage) -> _Pattern | None:
    message = decoded.message
    if isinstance(message, UnacceptableMessage) or decoded.deviations:
        return None
    values = {each.name: getattr(message, each.name) for each in fields(message)}  # type: ignore[arg-type]
    places, end = _places(octets), len(octets)
    id_field = "message_id" if "message_id" in values else "message_id_being_responded_to"
    id_start, id_end = places[TAGS[id_field]]
    uid_start, uid_end = places.get(AFFECTED_SOP_INSTANCE_UID, (end, end)) if _UID_FIELD in values else (end, end)
    return _Pattern(
        type(message),
        values,
        id_field,
        octets[:id_start],
        octets[id_end:uid_start],
        octets[uid_end:],
        uid_start,
        uid_end,
    )


def _places(octets: bytes) -> dict[int, tuple[int, int]]:
    """Start and end of each value of a command set that could be read without a deviation."""
    places, position = {}, 0
    while position < len(octets):
        group, element, length = _ELEMENT.unpack_from(octets, position)
        start = position + _ELEMENT.size
        position = start + length
        places[group << 16 | element] = start, position
    return places
