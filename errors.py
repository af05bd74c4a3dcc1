"""Every exception of dulcet, on one page.

Two families, as in h11: what *you* did wrong (`LocalProtocolError`, `ConfigurationError`) and what went wrong outside
(everything else). Each class names the exit code that the command line ends with when the error reaches it; the
numbers are those of sysexits(3).
"""

from collections.abc import Mapping
from typing import ClassVar


class DulcetError(Exception):
    """Base of all. The text is one sentence for a person; `exit_code` is for the shell."""

    exit_code: ClassVar[int] = 1


class LocalProtocolError(DulcetError):
    """The caller asked for what the protocol does not allow here: a primitive in a blank cell of Table 9-10."""

    exit_code = 70


class ConfigurationError(DulcetError):
    """A setting, a node or an option that can't be used."""

    exit_code = 78


# What the octets said -----------------------------------------------------------------------------------------------


class DecodeError(DulcetError):
    """Octets that are not what the standard's table says: where, and what was expected.

    `table` and `field` are the standard's words; `offset` counts octets from the start of the PDU or command set;
    `abort_reason` is the A-ABORT reason of PS3.8 Table 9-26 that fits when a connection has to answer.
    """

    exit_code = 76

    def __init__(
        self, explanation: str, *, table: str = "", field: str = "", offset: int = 0, abort_reason: int = 6
    ) -> None:
        self.explanation = explanation
        self.table = table
        self.field = field
        self.offset = offset
        self.abort_reason = abort_reason
        where = " ".join(part for part in (table, field) if part)
        super().__init__(f"{where}: {explanation}" if where else explanation)


class NotDICOMError(DulcetError):
    """A file that is not DICOM, or lacks what is needed to send it."""

    exit_code = 65


class DamagedFileError(NotDICOMError):
    """A file that has the DICM prefix, so it was a DICOM file, and whose File Meta Information is cut or damaged."""


class NoInputError(DulcetError):
    """A file or folder that is not there, or holds nothing to send."""

    exit_code = 66


class ConversionError(DulcetError):
    """A data set that can't be converted to the transfer syntax that the peer takes."""

    exit_code = 65


# What happened on the way to a peer ---------------------------------------------------------------------------------


class AssociationError(DulcetError):
    """The association could not be made, or did not last."""

    exit_code = 76


class UnknownHostError(AssociationError):
    """The peer's name has no address."""

    exit_code = 68


class PeerUnavailableError(AssociationError):
    """TCP: refused, no route, or no answer in time."""

    exit_code = 69


class TLSError(AssociationError):
    """The TLS handshake failed, or a certificate was refused."""

    exit_code = 77


class AssociationRejectedError(AssociationError):
    """A-ASSOCIATE-RJ (PS3.8 Table 9-21): `result` 1 permanent, 2 transient; `source` and `reason` as received."""

    def __init__(self, explanation: str, *, result: int, source: int, reason: int) -> None:
        self.result = result
        self.source = source
        self.reason = reason
        super().__init__(explanation)

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """77 for a refusal that lasts (title, identity), 75 for one to try again later."""
        return 75 if self.result == 2 else 77


class AssociationAbortedError(AssociationError):
    """A-ABORT from the peer (PS3.8 Table 9-26), or our own: `source` 0 service-user, 2 service-provider."""

    def __init__(self, explanation: str, *, source: int, reason: int, by_peer: bool = True) -> None:
        self.source = source
        self.reason = reason
        self.by_peer = by_peer
        super().__init__(explanation)


class ConnectionLostError(AssociationError):
    """The transport connection ended before the association did: what was in flight has an unknown outcome."""

    exit_code = 75


class PeerTimeoutError(AssociationError):
    """The peer did not answer in time; the association was aborted."""

    exit_code = 75


class NoAcceptedContextError(AssociationError):
    """The peer accepted no presentation context for what was to be done.

    `refused` has the result (PS3.8 Table 9-18) of each proposed context by its ID.
    """

    exit_code = 76

    def __init__(self, explanation: str, *, refused: Mapping[int, int] | None = None) -> None:
        self.refused: Mapping[int, int] = refused or {}
        super().__init__(explanation)


class PeerProtocolError(AssociationError):
    """The peer's message broke PS3.7 or PS3.8; the association was aborted with the reason given."""


class UnconfirmedError(AssociationError):
    """An object was sent whole and the association ended before the response: whether it is stored is unknown."""

    exit_code = 75


class SourceError(DulcetError):
    """A file that could not be read while it was being sent."""

    exit_code = 66


# What a peer answered -----------------------------------------------------------------------------------------------


class OperationFailedError(DulcetError):
    """The peer answered an operation with a failure; `status` is its code (PS3.7 Annex C).

    `error_comment` is what it wrote beside it, raw: quote it before showing.
    """

    def __init__(self, explanation: str, *, status: int, error_comment: str = "") -> None:
        self.status = status
        self.error_comment = error_comment
        super().__init__(explanation)

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """75 for want of resources, 77 for what it won't do for us, 76 for the rest."""
        if self.status >> 8 == 0xA7 or self.status == 0x0213:
            return 75
        return 77 if self.status in (0x0122, 0x0124, 0xA801) else 76


# What happened to an object -----------------------------------------------------------------------------------------


class StorageError(DulcetError):
    """An object that was not stored. `status` is the C-STORE status (PS3.4 B.2.3) that tells the sender."""

    exit_code = 75

    def __init__(self, explanation: str, *, status: int) -> None:
        self.status = status
        super().__init__(explanation)


class ArchiveError(DulcetError):
    """The index of the archive could not answer, or not in time.

    `detail` is what lies behind it, for who looks after the archive; a peer is not told. `is_damage`: of a file.
    """

    exit_code = 75

    def __init__(self, explanation: str, *, detail: str = "", is_damage: bool = False) -> None:
        self.detail = detail
        self.is_damage = is_damage
        super().__init__(explanation)


# What happened to the queue -----------------------------------------------------------------------------------------


class QueueError(DulcetError):
    """The transfer queue can't be used: its file can't be opened, read or written."""

    exit_code = 75


class NoSuchJobError(DulcetError):
    """There is no job of this number."""

    exit_code = 66


class WrongStateError(DulcetError):
    """What was asked does not fit how the job stands: to resume what is not paused. The text says so."""


class LeaseLostError(DulcetError):
    """The worker does not have the job any more: it was silent for too long and another took it, or the job is gone."""

    exit_code = 75
