"""Messages from presentation data values and into them: PS3.7 6.3, PS3.8 Annex E.

A command set is put together, for it is small; a data set never is: its fragments go on as they come, and go out as
views of what they were read into.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dulcet.dimse.message_decoder import MessageDecoder
from dulcet.dimse.messages import Message, UnacceptableMessage
from dulcet.errors import DecodeError
from dulcet.ul.deviation import Deviation
from dulcet.ul.negotiation import AcceptedContext
from dulcet.ul.pdata import PDV_HEADER_OCTETS, PresentationDataValue
from dulcet.ul.pdu import PDataTF

MAX_COMMAND_SET_OCTETS = 64 * 1024  # real ones are below 1 kB
MAX_EMPTY_FRAGMENTS = 16  # in one message; PS3.8 E.1 forbids to send them and recommends to cope with them
LARGEST_PDU_OCTETS = 128 * 1024  # of a P-DATA-TF that we send to a peer that takes any length, or a larger one
_CLAUSE = "PS3.8 Annex E"


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """A whole command set."""

    context_id: int
    message: Message | UnacceptableMessage
    deviations: tuple[Deviation, ...]


class DataReceived(NamedTuple):
    """A fragment of the data set that belongs to the command before it."""

    fragment: memoryview
    """Valid until more is received."""
    is_last: bool
    deviations: tuple[Deviation, ...] = ()


class Assembler:
    """Puts the messages of one direction together. Memory: one command set, at most MAX_COMMAND_SET_OCTETS.

    What breaks PS3.8 E.1 and can be understood is a deviation the first time that it comes. DecodeError, with the
    reason for the A-ABORT, for what breaks the rules: a context that was not accepted, fragments that mix, a command
    set without end. Nothing may be fed after that.
    """

    def __init__(self, contexts: Mapping[int, AcceptedContext]) -> None:
        self._contexts = contexts
        self._context_id: int | None = None
        self._command = bytearray()
        self._awaits_data = False
        self._empty_fragments = 0
        self._noted: set[str] = set()
        self._deviations: list[Deviation] = []
        self._decoder = MessageDecoder()

    @property
    def is_in_message(self) -> bool:
        """Whether part of a message has come and the rest is awaited."""
        return self._context_id is not None

    def feed(self, values: tuple[PresentationDataValue, ...]) -> Iterator[CommandReceived | DataReceived]:
        """What the values of one P-DATA-TF bring, in their order."""
        for index, value in enumerate(values):
            context_id, is_command, is_last, fragment = value
            if context_id != self._context_id:
                self._start(context_id, is_first_in_pdu=not index)
            if not fragment or len(fragment) % 2:
                self._check_length(len(fragment))
            if is_command is self._awaits_data:
                what = "a command" if is_command else "a data set"
                raise _error(f"{what} fragment where {'the data set' if is_command else 'a command set'} was expected")
            if not is_command:
                yield self._data(fragment, is_last)
            elif (received := self._command_fragment(context_id, fragment, is_last)) is not None:
                yield received

    def _start(self, context_id: int, *, is_first_in_pdu: bool) -> None:
        if self._context_id is not None:
            raise _error(f"a fragment on context {context_id} inside a message on context {self._context_id}")
        if context_id not in self._contexts:
            raise _error(f"context {context_id} was not accepted")
        if not is_first_in_pdu:
            self._note("fragments of two messages in one P-DATA-TF")
        self._context_id = context_id

    def _check_length(self, octets: int) -> None:
        if octets:
            self._note("a fragment of an odd number of octets", f": {octets}")
            return
        self._note("a fragment without octets")
        self._empty_fragments += 1
        if self._empty_fragments > MAX_EMPTY_FRAGMENTS:
            raise _error(f"more than {MAX_EMPTY_FRAGMENTS} empty fragments in one message", 6)

    def _note(self, what: str, detail: str = "") -> None:
        if what not in self._noted:
            self._noted.add(what)
            self._deviations.append(
                Deviation(clause="PS3.8 E.1", field="presentation data value", explanation=what + detail)
            )

    def _command_fragment(self, context_id: int, fragment: memoryview | bytes, is_last: bool) -> CommandReceived | None:
        if len(self._command) + len(fragment) > MAX_COMMAND_SET_OCTETS:
            raise _error(f"a command set of more than {MAX_COMMAND_SET_OCTETS} octets", 6)
        if not is_last:
            self._command += fragment
            return None
        octets = bytes(self._command) + fragment if self._command else bytes(fragment)
        self._command.clear()
        message, deviations = self._decoder.decode(octets)
        self._awaits_data = message.has_data_set
        if not message.has_data_set:
            self._end()
        return CommandReceived(context_id, message, (*self._take_deviations(), *deviations))

    def _data(self, fragment: memoryview | bytes, is_last: bool) -> DataReceived:
        if is_last:
            self._awaits_data = False
            self._end()
        return DataReceived(memoryview(fragment), is_last, self._take_deviations() if self._deviations else ())

    def _take_deviations(self) -> tuple[Deviation, ...]:
        deviations = tuple(self._deviations)
        self._deviations.clear()
        return deviations

    def _end(self) -> None:
        self._context_id = None
        self._empty_fragments = 0


def _error(explanation: str, abort_reason: int = 5) -> DecodeError:
    return DecodeError(explanation, table=_CLAUSE, field="presentation data value", abort_reason=abort_reason)


def fragment_octets(max_pdu_length: int) -> int:
    """Octets in the largest fragment that fits into a P-DATA-TF for the peer: an even number (PS3.8 D.1, E.1).

    `max_pdu_length` is what the peer announced; 0 is any length. What we send is bounded by LARGEST_PDU_OCTETS.
    """
    length = min(max_pdu_length or LARGEST_PDU_OCTETS, LARGEST_PDU_OCTETS)
    return (length - PDV_HEADER_OCTETS) // 2 * 2


def command_values(context_id: int, command_set: bytes, max_pdu_length: int) -> list[PDataTF]:
    """A command set as P-DATA-TF PDUs: one, unless the peer takes only small ones."""
    return _values(context_id, memoryview(command_set), True, True, fragment_octets(max_pdu_length))


def data_values(context_id: int, octets: memoryview, is_last: bool, max_pdu_length: int) -> list[PDataTF]:
    """Part of a data set as P-DATA-TF PDUs of one value each; the fragments are views of `octets`.

    Every part but the last must be a multiple of `fragment_octets(max_pdu_length)`, so that every fragment is even.
    """
    return _values(context_id, octets, False, is_last, fragment_octets(max_pdu_length))


def _values(context_id: int, octets: memoryview, is_command: bool, is_last: bool, size: int) -> list[PDataTF]:
    end = len(octets)
    if end <= size:
        return [PDataTF(values=(PresentationDataValue(context_id, is_command, is_last, octets),))]
    return [
        PDataTF(
            values=(
                PresentationDataValue(
                    context_id, is_command, is_last and start + size >= end, octets[start : start + size]
                ),
            )
        )
        for start in range(0, end, size)
    ]
