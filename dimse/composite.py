"""The messages of the composite services, C-STORE to C-ECHO: PS3.7 9.3."""

from dataclasses import dataclass

from dulcet.dimse.message import MEDIUM, Affected, Message, Response


@dataclass(frozen=True, kw_only=True, slots=True)
class _IdentifierRQ(Affected):
    """A request whose data set is an Identifier: what C-FIND, C-GET and C-MOVE have in common."""

    NEEDS_DATA_SET = True
    affected_sop_class_uid: str
    message_id: int
    priority: int = MEDIUM
    has_data_set: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class _CResponse(Response):
    """What the responses of the composite services have in common."""

    offending_element: tuple[int, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _IdentifierRSP(_CResponse):
    """A response that may have an Identifier: of C-FIND, C-GET and C-MOVE."""

    error_id: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _SuboperationsRSP(_IdentifierRSP):
    """A response that counts sub-operations: of C-GET and C-MOVE; its Identifier may name the instances that failed."""

    number_of_remaining_suboperations: int | None = None
    number_of_completed_suboperations: int | None = None
    number_of_failed_suboperations: int | None = None
    number_of_warning_suboperations: int | None = None


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
class CStoreRSP(_CResponse):
    """C-STORE-RSP, PS3.7 Table 9.3-2."""

    COMMAND_FIELD = 0x8001
    NAME = "C-STORE-RSP"
    SERVICE = "C-STORE"
    TAKES_DATA_SET = False
    affected_sop_instance_uid: str | None = None


class CFindRQ(_IdentifierRQ):
    """C-FIND-RQ, PS3.7 Table 9.3-3."""

    __slots__ = ()
    COMMAND_FIELD = 0x0020
    NAME = "C-FIND-RQ"
    SERVICE = "C-FIND"


class CFindRSP(_IdentifierRSP):
    """C-FIND-RSP, PS3.7 Table 9.3-4; a pending one has an Identifier."""

    __slots__ = ()
    COMMAND_FIELD = 0x8020
    NAME = "C-FIND-RSP"
    SERVICE = "C-FIND"


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


class CGetRQ(_IdentifierRQ):
    """C-GET-RQ, PS3.7 Table 9.3-6."""

    __slots__ = ()
    COMMAND_FIELD = 0x0010
    NAME = "C-GET-RQ"
    SERVICE = "C-GET"


class CGetRSP(_SuboperationsRSP):
    """C-GET-RSP, PS3.7 Table 9.3-7."""

    __slots__ = ()
    COMMAND_FIELD = 0x8010
    NAME = "C-GET-RSP"
    SERVICE = "C-GET"


@dataclass(frozen=True, kw_only=True, slots=True)
class CMoveRQ(_IdentifierRQ):
    """C-MOVE-RQ, PS3.7 Table 9.3-9."""

    COMMAND_FIELD = 0x0021
    NAME = "C-MOVE-RQ"
    SERVICE = "C-MOVE"
    move_destination: str
    """The AE title of the storage SCP that shall receive."""


class CMoveRSP(_SuboperationsRSP):
    """C-MOVE-RSP, PS3.7 Table 9.3-10."""

    __slots__ = ()
    COMMAND_FIELD = 0x8021
    NAME = "C-MOVE-RSP"
    SERVICE = "C-MOVE"


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


class CEchoRSP(_CResponse):
    """C-ECHO-RSP, PS3.7 Table 9.3-13."""

    __slots__ = ()
    COMMAND_FIELD = 0x8030
    NAME = "C-ECHO-RSP"
    SERVICE = "C-ECHO"
    TAKES_DATA_SET = False
