"""The messages of the normalized services, N-EVENT-REPORT to N-DELETE: PS3.7 10.3."""

from dataclasses import dataclass

from dulcet.dimse.message import Affected, Requested, Response


@dataclass(frozen=True, kw_only=True, slots=True)
class NEventReportRQ(Affected):
    """N-EVENT-REPORT-RQ, PS3.7 Table 10.3-1; its data set is the Event Information."""

    COMMAND_FIELD = 0x0100
    NAME = "N-EVENT-REPORT-RQ"
    SERVICE = "N-EVENT-REPORT"
    affected_sop_class_uid: str
    message_id: int
    has_data_set: bool = False
    affected_sop_instance_uid: str
    event_type_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NGetRQ(Requested):
    """N-GET-RQ, PS3.7 Table 10.3-3."""

    COMMAND_FIELD = 0x0110
    NAME = "N-GET-RQ"
    SERVICE = "N-GET"
    TAKES_DATA_SET = False
    requested_sop_class_uid: str
    message_id: int
    has_data_set: bool = False
    requested_sop_instance_uid: str
    attribute_identifier_list: tuple[int, ...] | None = None
    """Tags of the attributes wanted; None: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NSetRQ(Requested):
    """N-SET-RQ, PS3.7 Table 10.3-5; its data set is the Modification List."""

    COMMAND_FIELD = 0x0120
    NAME = "N-SET-RQ"
    SERVICE = "N-SET"
    NEEDS_DATA_SET = True
    requested_sop_class_uid: str
    message_id: int
    has_data_set: bool = True
    requested_sop_instance_uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class NActionRQ(Requested):
    """N-ACTION-RQ, PS3.7 Table 10.3-7; its data set is the Action Information."""

    COMMAND_FIELD = 0x0130
    NAME = "N-ACTION-RQ"
    SERVICE = "N-ACTION"
    requested_sop_class_uid: str
    message_id: int
    has_data_set: bool = False
    requested_sop_instance_uid: str
    action_type_id: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NCreateRQ(Affected):
    """N-CREATE-RQ, PS3.7 Table 10.3-9; its data set is the Attribute List."""

    COMMAND_FIELD = 0x0140
    NAME = "N-CREATE-RQ"
    SERVICE = "N-CREATE"
    affected_sop_class_uid: str
    message_id: int
    has_data_set: bool = False
    affected_sop_instance_uid: str | None = None
    """None: the performer shall make one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NDeleteRQ(Requested):
    """N-DELETE-RQ, PS3.7 Table 10.3-11."""

    COMMAND_FIELD = 0x0150
    NAME = "N-DELETE-RQ"
    SERVICE = "N-DELETE"
    TAKES_DATA_SET = False
    requested_sop_class_uid: str
    message_id: int
    has_data_set: bool = False
    requested_sop_instance_uid: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _NResponse(Response):
    """What the responses of the normalized services have in common."""

    error_id: int | None = None
    affected_sop_instance_uid: str | None = None
    attribute_identifier_list: tuple[int, ...] | None = None
    """Attributes that a status is about (PS3.7 Annex C)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NEventReportRSP(_NResponse):
    """N-EVENT-REPORT-RSP, PS3.7 Table 10.3-2; its data set is the Event Reply."""

    COMMAND_FIELD = 0x8100
    NAME = "N-EVENT-REPORT-RSP"
    SERVICE = "N-EVENT-REPORT"
    event_type_id: int | None = None


class NGetRSP(_NResponse):
    """N-GET-RSP, PS3.7 Table 10.3-4; its data set is the Attribute List."""

    __slots__ = ()
    COMMAND_FIELD = 0x8110
    NAME = "N-GET-RSP"
    SERVICE = "N-GET"


class NSetRSP(_NResponse):
    """N-SET-RSP, PS3.7 Table 10.3-6; its data set is the Attribute List."""

    __slots__ = ()
    COMMAND_FIELD = 0x8120
    NAME = "N-SET-RSP"
    SERVICE = "N-SET"


@dataclass(frozen=True, kw_only=True, slots=True)
class NActionRSP(_NResponse):
    """N-ACTION-RSP, PS3.7 Table 10.3-8; its data set is the Action Reply."""

    COMMAND_FIELD = 0x8130
    NAME = "N-ACTION-RSP"
    SERVICE = "N-ACTION"
    action_type_id: int | None = None


class NCreateRSP(_NResponse):
    """N-CREATE-RSP, PS3.7 Table 10.3-10; its data set is the Attribute List."""

    __slots__ = ()
    COMMAND_FIELD = 0x8140
    NAME = "N-CREATE-RSP"
    SERVICE = "N-CREATE"


class NDeleteRSP(_NResponse):
    """N-DELETE-RSP, PS3.7 Table 10.3-12."""

    __slots__ = ()
    COMMAND_FIELD = 0x8150
    NAME = "N-DELETE-RSP"
    SERVICE = "N-DELETE"
    TAKES_DATA_SET = False
