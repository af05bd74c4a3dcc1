"""Status codes of DIMSE responses: PS3.7 Annex C, and what each service makes of them in PS3.4.

A code means what its service says first (`A700H` is "Refused: Out of Resources" for C-STORE), then what PS3.7 says for
all, then what its class says (PS3.7 C.1 to C.5).
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_WITH_WARNING = 0xFF01  # optional keys were not supported
CANCEL = 0xFE00

ATTRIBUTE_LIST_ERROR = 0x0107
NO_SUCH_ATTRIBUTE = 0x0105
INVALID_ATTRIBUTE_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_SOP_INSTANCE = 0x0111
NO_SUCH_SOP_INSTANCE = 0x0112
NO_SUCH_EVENT_TYPE = 0x0113
NO_SUCH_ARGUMENT = 0x0114
INVALID_ARGUMENT_VALUE = 0x0115
ATTRIBUTE_VALUE_OUT_OF_RANGE = 0x0116
INVALID_SOP_INSTANCE = 0x0117
NO_SUCH_SOP_CLASS = 0x0118
CLASS_INSTANCE_CONFLICT = 0x0119
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
SOP_CLASS_NOT_SUPPORTED = 0x0122
NO_SUCH_ACTION_TYPE = 0x0123
NOT_AUTHORIZED = 0x0124
DUPLICATE_INVOCATION = 0x0210
UNRECOGNIZED_OPERATION = 0x0211
MISTYPED_ARGUMENT = 0x0212
RESOURCE_LIMITATION = 0x0213

OUT_OF_RESOURCES = 0xA700
UNABLE_TO_COUNT_MATCHES = 0xA701
UNABLE_TO_PERFORM_SUBOPERATIONS = 0xA702
MOVE_DESTINATION_UNKNOWN = 0xA801
DATA_SET_DOES_NOT_MATCH_SOP_CLASS = 0xA900
CANNOT_UNDERSTAND = 0xC000
SUBOPERATIONS_COMPLETE_WITH_FAILURES = 0xB000
ELEMENTS_DISCARDED = 0xB006


class Category(Enum):
    """The status classes of PS3.7 Annex C."""

    SUCCESS = "Success"
    PENDING = "Pending"
    CANCEL = "Cancel"
    WARNING = "Warning"
    FAILURE = "Failure"


class Status(NamedTuple):
    """What a code, or each code from `first` to `last`, means."""

    first: int
    last: int
    meaning: str
    clause: str


def _one(code: int, meaning: str, clause: str) -> Status:
    return Status(code, code, meaning, clause)


def _range(first: int, meaning: str, clause: str, octets: int = 0xFF) -> Status:
    return Status(first, first | octets, meaning, clause)


GENERAL: tuple[Status, ...] = (
    _one(SUCCESS, "Success", "PS3.7 C.1.1"),
    _one(PENDING, "Pending", "PS3.7 C.2.1"),
    _one(CANCEL, "Cancel", "PS3.7 C.3.1"),
    _one(0x0001, "Warning: Requested optional attributes are not supported", "PS3.7 C.4"),
    _one(ATTRIBUTE_LIST_ERROR, "Warning: Attribute list error", "PS3.7 C.4.2"),
    _one(ATTRIBUTE_VALUE_OUT_OF_RANGE, "Warning: Attribute value out of range", "PS3.7 C.4.3"),
    _one(NO_SUCH_ATTRIBUTE, "Failure: No such attribute", "PS3.7 C.5.17"),
    _one(INVALID_ATTRIBUTE_VALUE, "Failure: Invalid attribute value", "PS3.7 C.5.11"),
    _one(PROCESSING_FAILURE, "Failure: Processing failure", "PS3.7 C.5.21"),
    _one(DUPLICATE_SOP_INSTANCE, "Failure: Duplicate SOP Instance", "PS3.7 C.5.8"),
    _one(NO_SUCH_SOP_INSTANCE, "Failure: No such SOP Instance", "PS3.7 C.5.19"),
    _one(NO_SUCH_EVENT_TYPE, "Failure: No such event type", "PS3.7 C.5.18"),
    _one(NO_SUCH_ARGUMENT, "Failure: No such argument", "PS3.7 C.5.16"),
    _one(INVALID_ARGUMENT_VALUE, "Failure: Invalid argument value", "PS3.7 C.5.10"),
    _one(INVALID_SOP_INSTANCE, "Failure: Invalid SOP Instance", "PS3.7 C.5.12"),
    _one(NO_SUCH_SOP_CLASS, "Failure: No such SOP Class", "PS3.7 C.5.20"),
    _one(CLASS_INSTANCE_CONFLICT, "Failure: Class-Instance conflict", "PS3.7 C.5.7"),
    _one(MISSING_ATTRIBUTE, "Failure: Missing attribute", "PS3.7 C.5.13"),
    _one(MISSING_ATTRIBUTE_VALUE, "Failure: Missing attribute value", "PS3.7 C.5.14"),
    _one(SOP_CLASS_NOT_SUPPORTED, "Refused: SOP Class not supported", "PS3.7 C.5.6"),
    _one(NO_SUCH_ACTION_TYPE, "Failure: No such action type", "PS3.7 C.5.24"),
    _one(NOT_AUTHORIZED, "Refused: Not authorized", "PS3.7 C.5.25"),
    _one(DUPLICATE_INVOCATION, "Failure: Duplicate invocation", "PS3.7 C.5.9"),
    _one(UNRECOGNIZED_OPERATION, "Failure: Unrecognized operation", "PS3.7 C.5.23"),
    _one(MISTYPED_ARGUMENT, "Failure: Mistyped argument", "PS3.7 C.5.15"),
    _one(RESOURCE_LIMITATION, "Failure: Resource limitation", "PS3.7 C.5.22"),
)
"""PS3.7 Annex C: the codes of every service."""

_STORE = (
    _range(0xA700, "Refused: Out of resources", "PS3.4 B.2.3"),
    _range(0xA900, "Error: Data set does not match SOP Class", "PS3.4 B.2.3"),
    _one(0xB000, "Warning: Coercion of data elements", "PS3.4 B.2.3"),
    _one(ELEMENTS_DISCARDED, "Warning: Elements discarded", "PS3.4 B.2.3"),
    _one(0xB007, "Warning: Data set does not match SOP Class", "PS3.4 B.2.3"),
    _range(0xC000, "Error: Cannot understand", "PS3.4 B.2.3", 0xFFF),
)
_FIND = (
    _one(OUT_OF_RESOURCES, "Refused: Out of resources", "PS3.4 C.4.1.1.4"),
    _one(0xA900, "Error: Data set does not match SOP Class", "PS3.4 C.4.1.1.4"),
    _one(CANCEL, "Matching terminated due to Cancel request", "PS3.4 C.4.1.1.4"),
    _one(PENDING, "Matches are continuing", "PS3.4 C.4.1.1.4"),
    _one(PENDING_WITH_WARNING, "Matches are continuing; optional keys were not supported", "PS3.4 C.4.1.1.4"),
    _range(0xC000, "Failed: Unable to process", "PS3.4 C.4.1.1.4", 0xFFF),
)
_GET = (
    _one(
        UNABLE_TO_COUNT_MATCHES, "Refused: Out of resources, unable to calculate number of matches", "PS3.4 C.4.3.1.4"
    ),
    _one(
        UNABLE_TO_PERFORM_SUBOPERATIONS,
        "Refused: Out of resources, unable to perform sub-operations",
        "PS3.4 C.4.3.1.4",
    ),
    _one(0xA900, "Error: Data set does not match SOP Class", "PS3.4 C.4.3.1.4"),
    _one(0xB000, "Warning: Sub-operations complete, one or more failures or warnings", "PS3.4 C.4.3.1.4"),
    _one(CANCEL, "Sub-operations terminated due to Cancel indication", "PS3.4 C.4.3.1.4"),
    _one(PENDING, "Sub-operations are continuing", "PS3.4 C.4.3.1.4"),
    _range(0xC000, "Failed: Unable to process", "PS3.4 C.4.3.1.4", 0xFFF),
)
_MOVE = (
    _one(MOVE_DESTINATION_UNKNOWN, "Refused: Move Destination unknown", "PS3.4 C.4.2.1.5"),
    *(Status(first, last, meaning, "PS3.4 C.4.2.1.5") for first, last, meaning, _ in _GET),
)

SERVICES: Mapping[str, tuple[Status, ...]] = {
    "C-ECHO": (),
    "C-STORE": _STORE,
    "C-FIND": _FIND,
    "C-GET": _GET,
    "C-MOVE": _MOVE,
    "N-EVENT-REPORT": (),
    "N-GET": (),
    "N-SET": (),
    "N-ACTION": (),
    "N-CREATE": (),
    "N-DELETE": (),
}
"""By service, the codes that PS3.4 adds to or narrows from `GENERAL`."""


def categorize(status: int, service: str = "") -> Category:
    """The class of a status. A code that nobody defines is a failure (PS3.7 C.5: only what is known can be success)."""
    if status == SUCCESS:
        return Category.SUCCESS
    if status in (PENDING, PENDING_WITH_WARNING):
        return Category.PENDING
    if status == CANCEL:
        return Category.CANCEL
    is_warning = status in (0x0001, ATTRIBUTE_LIST_ERROR, ATTRIBUTE_VALUE_OUT_OF_RANGE) or status >> 12 == 0xB
    return Category.WARNING if is_warning else Category.FAILURE


def find(status: int, service: str = "") -> Status | None:
    """The row that defines a status for a service; None when no row does."""
    for row in (*SERVICES.get(service, ()), *GENERAL):
        if row.first <= status <= row.last:
            return row
    return None


def explain(status: int, service: str = "") -> str:
    """What a status means, in the standard's words."""
    row = find(status, service)
    if row is not None:
        return row.meaning
    what = f" for {service}" if service else ""
    return f"{categorize(status).value}: not a code that the standard defines{what}"
