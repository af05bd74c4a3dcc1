"""How objects came: what no index can make anew from the objects themselves."""

import time
from dataclasses import dataclass
from enum import StrEnum

from dulcet.dimse.messages import CStoreRQ
from dulcet.services.association import Association
from dulcet.services.storing.placing import StoredObject


class How(StrEnum):
    """The way an object came here."""

    C_STORE = "C-STORE"
    """Somebody sent it."""
    C_MOVE = "C-MOVE"
    """It was sent for a C-MOVE: ours, or that of the AE that the request names."""
    C_GET = "C-GET"
    """On an association of ours."""
    FOUND = "found"
    """It lay in the directory when an index first saw it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where objects came from. Strings of a peer: quote them."""

    ae_title: str = ""
    """Of who sent it."""
    address: str = ""
    how: How = How.FOUND


@dataclass(frozen=True, kw_only=True, slots=True)
class NewArrival:
    """An object that came, before its octets have been looked at again."""

    name: str
    """Of its file: the SOP Instance UID, `~` and a digest where another has it, `.dcm`."""
    source: Source
    received: int
    """Nanoseconds since 1970."""
    series_instance_uid: str = ""
    """As the object has it; "" when it has none, or can't be read."""
    replaces: bool = False
    """It took the place of another object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """What is recorded of an object that came."""

    id: int
    """A later one has a larger one."""
    name: str
    """Of its file; see `NewArrival`."""
    source: Source
    received: int
    """Nanoseconds since 1970; where it was found, when its file was last written."""
    series_instance_uid: str
    sha256: bytes | None
    """Of its whole file; None as long as nobody has read it."""
    octets: int | None
    """Of its whole file, when it was read for the hash."""
    is_current: bool = True
    """False: another object took its place."""


def source_of(association: Association, request: CStoreRQ) -> Source:
    """Who sent the object of a C-STORE request, and how."""
    assert association.request is not None
    address = association.transport.peer_address
    if association.connection.is_requestor:
        return Source(str(association.request.called_ae_title), address, How.C_GET)
    is_move = request.move_originator_application_entity_title is not None
    return Source(str(association.request.calling_ae_title), address, How.C_MOVE if is_move else How.C_STORE)


def new_arrival(stored: StoredObject, source: Source) -> NewArrival:
    """What is recorded of an object that was stored just now."""
    is_first = stored.path.stem == stored.sop_instance_uid
    return NewArrival(
        name=stored.name, source=source, received=time.time_ns(), replaces=stored.is_conflict and is_first
    )
