"""Every message of DIMSE, and how one is read: PS3.7 9.3 and 10.3.

What a peer got wrong and can be understood is a deviation. A request that can't be performed but can be answered is an
`UnacceptableMessage` with the status that says so; only what can't even be answered is an error.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from dulcet.dimse.command_dictionary import (
    AFFECTED_SOP_INSTANCE_UID,
    COMMAND_DATA_SET_TYPE,
    COMMAND_FIELD,
    MESSAGE_ID,
    PRIORITY,
    describe_tag,
)
from dulcet.dimse.command_set import CLAUSE, CommandSet, decode_command_set
from dulcet.dimse.composite import (
    CCancelRQ,
    CEchoRQ,
    CEchoRSP,
    CFindRQ,
    CFindRSP,
    CGetRQ,
    CGetRSP,
    CMoveRQ,
    CMoveRSP,
    CStoreRQ,
    CStoreRSP,
)
from dulcet.dimse.message import BY_COMMAND_FIELD, NO_DATA_SET, RESPONSE_BIT, Message, Response, rows
from dulcet.dimse.status import INVALID_SOP_INSTANCE, MISTYPED_ARGUMENT, UNRECOGNIZED_OPERATION
from dulcet.errors import DecodeError
from dulcet.ul.deviation import Deviation

if TYPE_CHECKING:
    from dulcet.dimse.normalized import (
        NActionRQ,
        NActionRSP,
        NCreateRQ,
        NCreateRSP,
        NDeleteRQ,
        NDeleteRSP,
        NEventReportRQ,
        NEventReportRSP,
        NGetRQ,
        NGetRSP,
        NSetRQ,
        NSetRSP,
    )

__all__ = [
    "MESSAGES",
    "CCancelRQ",
    "CEchoRQ",
    "CEchoRSP",
    "CFindRQ",
    "CFindRSP",
    "CGetRQ",
    "CGetRSP",
    "CMoveRQ",
    "CMoveRSP",
    "CStoreRQ",
    "CStoreRSP",
    "DecodedMessage",
    "Message",
    "NActionRQ",
    "NActionRSP",
    "NCreateRQ",
    "NCreateRSP",
    "NDeleteRQ",
    "NDeleteRSP",
    "NEventReportRQ",
    "NEventReportRSP",
    "NGetRQ",
    "NGetRSP",
    "NSetRQ",
    "NSetRSP",
    "RefusalRSP",
    "Response",
    "UnacceptableMessage",
    "decode_message",
    "message_class",
]

MESSAGES: dict[int, type[Message]]
"""The 23 messages by Command Field (PS3.7 Table E.1-1)."""


def __getattr__(name: str) -> Any:
    """Messages of the normalized services are imported when they are needed: most conversations never see one."""
    if name not in __all__:  # `from ... import` itself asks for __path__
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    normalized = import_module("dulcet.dimse.normalized")
    return dict(sorted(BY_COMMAND_FIELD.items())) if name == "MESSAGES" else getattr(normalized, name)


def message_class(command_field: int) -> type[Message] | None:
    """The message that a Command Field stands for; None when it stands for none (PS3.7 Table E.1-1)."""
    if command_field not in BY_COMMAND_FIELD:
        import_module("dulcet.dimse.normalized")
    return BY_COMMAND_FIELD.get(command_field)


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusalRSP(Response):
    """The response to a request that is no message of the standard, or not a whole one."""

    NAME = "refusal"
    SERVICE = ""
    command_field: int


@dataclass(frozen=True, kw_only=True, slots=True)
class UnacceptableMessage:
    """A request that can be answered and not be performed."""

    command_field: int
    message_id: int
    has_data_set: bool
    status: int
    """What to answer: 0117H, 0211H or 0212H."""
    explanation: str
    """What is wrong with it."""

    @property
    def NAME(self) -> str:
        """Of the message that it would be."""
        known = message_class(self.command_field)
        return known.NAME if known else f"message {self.command_field:04X}H"

    def response(self, *, status: int) -> RefusalRSP:
        """The answer."""
        return RefusalRSP(
            command_field=self.command_field | RESPONSE_BIT,
            message_id_being_responded_to=self.message_id,
            status=status,
        )


class DecodedMessage(NamedTuple):
    """A message and what its sender got wrong."""

    message: Message | UnacceptableMessage
    deviations: tuple[Deviation, ...]


def decode_message(octets: bytes | bytearray | memoryview) -> DecodedMessage:
    """Read a whole command set. DecodeError (PS3.8 reason 6) when it can neither be used nor answered."""
    found = decode_command_set(octets)
    command_field = found.values.get(COMMAND_FIELD)
    data_set_type = found.values.get(COMMAND_DATA_SET_TYPE)
    if not isinstance(command_field, int) or not isinstance(data_set_type, int):
        missing = COMMAND_DATA_SET_TYPE if isinstance(command_field, int) else COMMAND_FIELD
        raise found.error or _error(f"{describe_tag(missing)} is missing")
    has_data_set = data_set_type != NO_DATA_SET
    message = _message(found, command_field, has_data_set)
    return DecodedMessage(message, tuple(found.deviations))


def _message(found: CommandSet, command_field: int, has_data_set: bool) -> Message | UnacceptableMessage:
    known: Any = message_class(command_field)
    if found.error is not None:
        return _refuse(found, command_field, has_data_set, MISTYPED_ARGUMENT, str(found.error))
    if known is None:
        what = f"Command Field {command_field:04X}H is no message of PS3.7"
        return _refuse(found, command_field, has_data_set, UNRECOGNIZED_OPERATION, what)
    values: dict[str, Any] = {}
    get = found.values.get
    for name, tag, is_required in rows(known):
        if tag == COMMAND_DATA_SET_TYPE:
            values[name] = has_data_set
            continue
        value = get(tag)
        if value is not None:
            values[name] = value
        elif tag == PRIORITY:
            found.deviates(tag, "missing, so it is MEDIUM", clause="PS3.7 9.3")
        elif is_required:
            status = INVALID_SOP_INSTANCE if tag == AFFECTED_SOP_INSTANCE_UID else MISTYPED_ARGUMENT
            return _refuse(found, command_field, has_data_set, status, f"{describe_tag(tag)} is missing")
    if known.NEEDS_DATA_SET and not has_data_set:
        what = f"{known.NAME} without a data set"
        return _refuse(found, command_field, has_data_set, MISTYPED_ARGUMENT, what)
    if has_data_set and not known.TAKES_DATA_SET:
        what = f"a data set follows; a {known.NAME} has none"
        found.deviates(COMMAND_DATA_SET_TYPE, what, clause="PS3.7 E.1")
    message: Message = known(**values)
    return message


def _refuse(
    found: CommandSet, command_field: int, has_data_set: bool, status: int, explanation: str
) -> UnacceptableMessage:
    """What to answer, if it is a request that says its Message ID."""
    message_id = found.values.get(MESSAGE_ID)
    is_answerable = not command_field & RESPONSE_BIT and command_field != CCancelRQ.COMMAND_FIELD
    if not is_answerable or not isinstance(message_id, int):
        raise found.error or _error(explanation)
    return UnacceptableMessage(
        command_field=command_field,
        message_id=message_id,
        has_data_set=has_data_set,
        status=status,
        explanation=explanation,
    )


def _error(explanation: str) -> DecodeError:
    return DecodeError(explanation, table=CLAUSE, field="command set", abort_reason=6)
