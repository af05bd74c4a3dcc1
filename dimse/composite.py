"""The messages of the composite services, C-STORE to C-ECHO: PS3.7 9.3."""

from dataclasses import dataclass

from dulcet.dimse.message import MEDIUM, Affected, Message, Response


@dataclass(frozen=True, kw_only=True, slots=True)
class CStoreRQ(Affected):
    """C-STORE-RQ, PS3.7 Table 9.3-1."""

    COMMAND_FIELD = 0x0001
    NAME = "C-STORE-RQ"
    SERVICE = "C-STORE"
    NEEDS_DATA_SET = True
    affected_sop_class_uid: str
    message_id: int
    priority: int = MEDIUM
    has_data_set: bool = True
    affected_sop_instance_uid: str
    move_originator_application_entity_title: str | None = None
    """The title of the AE that asked for the C-MOVE that this is a sub-operation of."""
    move_originator_message_id: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CStoreRSP(Response):
    """C-STORE-RSP, PS3.7 Table 9.3-2."""

    COMMAND_FIELD = 0x8001
    NAME = "C-STORE-RSP"
    SERVICE = "C-STORE"
    TAKES_DATA_SET = False
    affected_sop_class_uid: str | None = None
    message_id_being_responded_to: int
    has_data_set: bool = False
    status: int
    offending_element: tuple[int, ...] | None = None
    error_comment: str | None = None
    affected_sop_instance_uid: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CFindRQ(Affected):
    """C-FIND-RQ, PS3.7 Table 9.3-3; its data set is the Identifier."""

    COMMAND_FIELD = 0x0020
    NAME = "C-FIND-RQ"
    SERVICE = "C-FIND"
    NEEDS_DATA_SET = True
    affected_sop_class_uid: str
    message_id: int
    priority: int = MEDIUM
    has_data_set: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CFindRSP(Response):
    """C-FIND-RSP, PS3.7 Table 9.3-4; a pending one has an Identifier."""

    COMMAND_FIELD = 0x8020
    NAME = "C-FIND-RSP"
    SERVICE = "C-FIND"
    affected_sop_class_uid: str | None = None
    message_id_being_responded_to: int
    has_data_set: bool = False
    status: int
    offending_element: tuple[int, ...] | None = None
    error_comment: str | None = None
    error_id: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CCancelRQ(Message):
    """C-CANCEL-RQ, PS3.7 Tables 9.3-5, 9.3-8 and 9.3-11: it has no Message ID and no response of its own."""

    COMMAND_FIELD = 0x0FFF
    NAME = "C-CANCEL-RQ"
    SERVICE = "C-CANCEL"
    TAKES_DATA_SET = False
    message_id_being_responded_to: int
    """The Message ID of the operation to be cancelled."""
    has_data_set: bool = False

    @property
    def message_id(self) -> int:  # type: ignore[override]
        """The Message ID of the operation to be cancelled."""
        return self.message_id_being_responded_to


@dataclass(frozen=True, kw_only=True, slots=True)
class CGetRQ(Affected):
    """C-GET-RQ, PS3.7 Table 9.3-6; its data set is the Identifier."""

    COMMAND_FIELD = 0x0010
    NAME = "C-GET-RQ"
    SERVICE = "C-GET"
    NEEDS_DATA_SET = True
    affected_sop_class_uid: str
    message_id: int
    priority: int = MEDIUM
    has_data_set: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CGetRSP(Response):
    """C-GET-RSP, PS3.7 Table 9.3-7; an Identifier may name the instances that failed."""

    COMMAND_FIELD = 0x8010
    NAME = "C-GET-RSP"
    SERVICE = "C-GET"
    affected_sop_class_uid: str | None = None
    message_id_being_responded_to: int
    has_data_set: bool = False
    status: int
    offending_element: tuple[int, ...] | None = None
    error_comment: str | None = None
    error_id: int | None = None
    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CMoveRQ(Affected):
    """C-MOVE-RQ, PS3.7 Table 9.3-9; its data set is the Identifier."""

    COMMAND_FIELD = 0x0021
    NAME = "C-MOVE-RQ"
    SERVICE = "C-MOVE"
    NEEDS_DATA_SET = True
    affected_sop_class_uid: str
    message_id: int
    move_destination: str
    """The AE title of the storage SCP that shall receive."""
    priority: int = MEDIUM
    has_data_set: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class CMoveRSP(Response):
    """C-MOVE-RSP, PS3.7 Table 9.3-10; an Identifier may name the instances that failed."""

    COMMAND_FIELD = 0x8021
    NAME = "C-MOVE-RSP"
    SERVICE = "C-MOVE"
    affected_sop_class_uid: str | None = None
    message_id_being_responded_to: int
    has_data_set: bool = False
    status: int
    offending_element: tuple[int, ...] | None = None
    error_comment: str | None = None
    error_id: int | None = None
    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CEchoRQ(Affected):
    """C-ECHO-RQ, PS3.7 Table 9.3-12."""

    COMMAND_FIELD = 0x0030
    NAME = "C-ECHO-RQ"
    SERVICE = "C-ECHO"
    TAKES_DATA_SET = False
    affected_sop_class_uid: str
    message_id: int
    has_data_set: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CEchoRSP(Response):
    """C-ECHO-RSP, PS3.7 Table 9.3-13."""

    COMMAND_FIELD = 0x8030
    NAME = "C-ECHO-RSP"
    SERVICE = "C-ECHO"
    TAKES_DATA_SET = False
    affected_sop_class_uid: str | None = None
    message_id_being_responded_to: int
    has_data_set: bool = False
    status: int
    offending_element: tuple[int, ...] | None = None
    error_comment: str | None = None
