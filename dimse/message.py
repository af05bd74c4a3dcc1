"""What the messages of DIMSE have in common: PS3.7 6.3.1, 9.3 and 10.3.

A message is a frozen dataclass whose fields have the names of their elements in the command dictionary, so a class with
its bases is its own table: a field without a default is required, one that is None is not sent. `has_data_set` stands
for Command Data Set Type (0000,0800). A message takes a few hundred octets.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import cache, lru_cache, partial
from typing import Any, ClassVar, NamedTuple, cast

from dulcet.dimse.command_dictionary import COMMAND_DATA_SET_TYPE, COMMAND_FIELD, TAGS
from dulcet.dimse.command_set import Value, element_encoder, encode_element, with_group_length

NO_DATA_SET = 0x0101  # PS3.7 Table E.1-1, Command Data Set Type; any other value: a data set follows
DATA_SET_FOLLOWS = 0x0001
RESPONSE_BIT = 0x8000  # a response's Command Field is its request's with this bit
MEDIUM, HIGH, LOW = 0, 1, 2  # PS3.7 Table E.1-1, Priority
MAX_ERROR_COMMENT_CHARACTERS = 64  # an LO (PS3.5 6.2)

BY_COMMAND_FIELD: "dict[int, type[Message]]" = {}
"""Every message by its Command Field."""


class Message:
    """Base: a message knows its Command Field, its name, and encodes its command set."""

    __slots__ = ()
    COMMAND_FIELD: ClassVar[int]
    NAME: ClassVar[str]
    SERVICE: ClassVar[str]
    """The service that it belongs to: `C-STORE`."""
    NEEDS_DATA_SET: ClassVar[bool] = False
    """Whether the message means nothing without a data set."""
    TAKES_DATA_SET: ClassVar[bool] = True
    """Whether a data set may follow at all."""
    has_data_set: bool
    message_id: int
    """What the operation is known by; of a response, Message ID Being Responded To."""

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Register a class that has a Command Field (a dataclass with slots is made twice: the second counts)."""
        super().__init_subclass__(**keywords)
        if "COMMAND_FIELD" in cls.__dict__:
            BY_COMMAND_FIELD[cls.COMMAND_FIELD] = cls

    @property
    def sop_class_uid(self) -> str | None:
        """Affected or Requested SOP Class UID, whichever the message has."""
        return None

    def encode(self) -> bytes:
        """The command set, group length included (PS3.7 6.3.1); ValueError when an element can't hold its value."""
        elements = []
        own: Any = type(self)
        for name, encode in _encoders(own):
            value = getattr(self, name)
            if value is not None:
                elements.append(encode(value))
        return with_group_length(elements)

    def response(self, *, status: int, error_comment: str | None = None, **values: Any) -> "Response":
        """The response to this request, with what it repeats of it (PS3.7 9.3, 10.3).

        `error_comment` is cut to what its element holds; `values` are further fields of the response.
        """
        response_class, repeated = _response_to(self.COMMAND_FIELD)
        given: dict[str, Any] = {
            "message_id_being_responded_to": self.message_id,
            "affected_sop_class_uid": self.sop_class_uid,
            "status": status,
        }
        for name, source in repeated:
            given[name] = given.get(name) or getattr(self, source, None)
        if error_comment is not None:
            comment = "".join(map(_of_an_lo, error_comment[:MAX_ERROR_COMMENT_CHARACTERS]))
            given["error_comment"] = comment
        return cast("Response", response_class(**given | values))


def _of_an_lo(character: str) -> str:
    """An LO has no control characters, and a backslash is between two values (PS3.5 6.2)."""
    return character if " " <= character <= "~" and character != "\\" else "?"


_REPEATED = (
    ("affected_sop_instance_uid", "affected_sop_instance_uid"),
    ("affected_sop_instance_uid", "requested_sop_instance_uid"),
    ("event_type_id", "event_type_id"),
    ("action_type_id", "action_type_id"),
)
"""What a response repeats: its field, the request's."""


class Affected(Message):
    """A message about an affected SOP class."""

    __slots__ = ()
    affected_sop_class_uid: str | None

    @property
    def sop_class_uid(self) -> str | None:
        """Affected SOP Class UID."""
        return self.affected_sop_class_uid


class Requested(Message):
    """A request about a requested SOP class: of an instance that exists (PS3.7 10.3)."""

    __slots__ = ()
    requested_sop_class_uid: str

    @property
    def sop_class_uid(self) -> str | None:
        """Requested SOP Class UID."""
        return self.requested_sop_class_uid


@dataclass(frozen=True, kw_only=True, slots=True)
class Response(Affected):
    """A response; of an operation that has several, each one. The fields are those that all have."""

    affected_sop_class_uid: str | None = None
    message_id_being_responded_to: int
    has_data_set: bool = False
    status: int
    """`dimse.status` explains it."""
    error_comment: str | None = None
    """(0000,0902). Raw: quote it before showing."""

    @property
    def message_id(self) -> int:  # type: ignore[override]
        """Message ID Being Responded To."""
        return self.message_id_being_responded_to


class Row(NamedTuple):
    """One element of a message."""

    name: str
    """Of the field; `has_data_set` for Command Data Set Type."""
    tag: int
    is_required: bool


@cache
def rows(message_class: Any) -> tuple[Row, ...]:
    """The elements that are fields of a message class, ascending by tag."""
    found = []
    for each in fields(message_class):
        tag = COMMAND_DATA_SET_TYPE if each.name == "has_data_set" else TAGS[each.name]
        found.append(Row(each.name, tag, each.default is MISSING))
    return tuple(sorted(found, key=lambda row: row.tag))


@cache
def _response_to(command_field: int) -> tuple[Any, tuple[tuple[str, str], ...]]:
    """The class of the response to a request, and what of `_REPEATED` it has."""
    response_class: Any = BY_COMMAND_FIELD[command_field | RESPONSE_BIT]
    names = {row.name for row in rows(response_class)}
    return response_class, tuple(pair for pair in _REPEATED if pair[0] in names)


_Encoder = Callable[[Any], bytes]


@cache
def _encoders(message_class: Any) -> tuple[tuple[str, _Encoder], ...]:
    """For each element in order: the attribute and what encodes its value."""
    pairs: list[tuple[int, str, _Encoder]] = []
    for name, tag, _ in rows(message_class):
        if tag == COMMAND_DATA_SET_TYPE:
            pairs.append((tag, name, _DATA_SET_TYPES.__getitem__))
        elif name.endswith("sop_class_uid") or name in ("priority", "status"):
            pairs.append((tag, name, partial(_few_values, tag)))
        else:
            pairs.append((tag, name, element_encoder(tag)))
    if all(tag != COMMAND_FIELD for tag, _, _ in pairs):
        pairs.append((COMMAND_FIELD, "COMMAND_FIELD", partial(_few_values, COMMAND_FIELD)))
    return tuple((name, encode) for _, name, encode in sorted(pairs, key=lambda pair: pair[0]))


@lru_cache(maxsize=256)
def _few_values(tag: int, value: Value) -> bytes:
    return encode_element(tag, value)


_DATA_SET_TYPES = {
    True: encode_element(COMMAND_DATA_SET_TYPE, DATA_SET_FOLLOWS),
    False: encode_element(COMMAND_DATA_SET_TYPE, NO_DATA_SET),
}
