"""DIMSE messages out of P-DATA-TF PDUs, as the kit's own eyes see them (PS3.7 6.3, PS3.8 Annex E)."""

from collections.abc import Iterator
from dataclasses import dataclass

from dulcet.conformance.kit.command_set import CommandSet, command_name, parse
from dulcet.conformance.kit.outcome import Outcome
from dulcet.errors import DecodeError
from dulcet.ul.pdata import unpack

MAX_DATA_OCTETS = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One whole message of the product."""

    context_id: int
    command: CommandSet
    data: bytes | None
    """The data set's octets; None without one."""
    time: float = 0.0

    @property
    def status(self) -> int | None:
        """Status of a response."""
        return self.command.status

    @property
    def is_response(self) -> bool:
        """Whether the Command Field is that of a response."""
        return bool(self.command.field & 0x8000)

    @property
    def is_pending(self) -> bool:
        """Whether more responses follow."""
        return self.status in (0xFF00, 0xFF01)

    def outcome(self) -> Outcome:
        """RSP with the status, or the name of the request."""
        name = command_name(self.command.field)
        if self.is_response:
            return Outcome("RSP", () if self.status is None else (self.status,), name)
        return Outcome("REQUEST", (), name)


class Assembler:
    """Puts fragments together; gives a message when its last fragment came."""

    def __init__(self) -> None:
        self._context_id = 0
        self._command = bytearray()
        self._whole: CommandSet | None = None
        self._data = bytearray()

    @property
    def context_id(self) -> int:
        """The context of what came last."""
        return self._context_id

    @property
    def command(self) -> CommandSet | None:
        """The command set of a message whose data set is still coming."""
        return self._whole

    def pdu(self, octets: bytes, time: float = 0.0) -> Iterator[Message]:
        """The messages that this P-DATA-TF completes; DecodeError when it is not as PS3.8 9.3.5 says."""
        for value in unpack(octets, []):
            self._context_id = value.context_id
            if value.is_command:
                self._command += value.fragment
                if not value.is_last:
                    continue
                self._whole = parse(bytes(self._command))
                self._command.clear()
                if self._whole.has_data_set:
                    continue
                yield self._finished(None, time)
            else:
                if len(self._data) + len(value.fragment) > MAX_DATA_OCTETS:
                    raise DecodeError("a data set beyond what the kit keeps")
                self._data += value.fragment
                if value.is_last:
                    yield self._finished(bytes(self._data), time)

    def _finished(self, data: bytes | None, time: float) -> Message:
        command = self._whole or parse(b"")
        self._whole = None
        self._data.clear()
        return Message(self._context_id, command, data, time)
