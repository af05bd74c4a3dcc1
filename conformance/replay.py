"""Plays one side of a recorded conversation against a real peer, and compares what the peer says with the recording.

What was captured is sent octet for octet, each PDU when the peer has said what came before it in the capture. The first
answer of another kind ends the play: what follows would answer something that nobody asked.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import trio

from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.replay_compare import Difference, compare
from dulcet.conformance.replay_script import END, NO_PDU, Close, Hear, Say, Script, Unit, UnitReader
from dulcet.conformance.tap import reset
from dulcet.dimse.command_dictionary import TAGS
from dulcet.dimse.status import Category, categorize
from dulcet.errors import DecodeError
from dulcet.ul.pdata import P_DATA_TF_TYPE, PDU_HEADER_OCTETS
from dulcet.ul.pdu import PDU_TYPES, AAbort, AAssociateAC, AAssociateRQ, AnyPDU, decode_pdu

READ_OCTETS = 64 * 1024
MAX_PDU_OCTETS = 1 << 24  # of the peer; more is taken for what is no PDU
_MAX_WAITING = 256  # units that the peer is ahead
_STATUS = TAGS["status"]
_LOST = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)
_ECHOED = slice(10, 74)  # PS3.8 Table 9-17, octets 11 to 74: returned as they were in the A-ASSOCIATE-RQ

Watch = Callable[[Direction, bytes], None]
"""Sees all octets: TO_SERVER is what we send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the peer said where the capture has a unit."""

    captured: Unit
    observed: Unit | None
    """None when nothing came in time."""
    differences: tuple[Difference, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether all that differs is in the nature of things."""
        return self.observed is not None and all(difference.nature for difference in self.differences)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One play."""

    answers: tuple[Answer, ...]
    sent: int
    """PDUs that were sent."""
    left: int
    """Units of the capture that the play did not come to."""
    why_ended: str = ""
    """Why the play ended before the capture did."""
    remarks: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether the peer said what the capture has, all of it."""
        return not self.why_ended and not self.left and all(answer.is_equal for answer in self.answers)


class Player:
    """Plays `script` on a connection; `seconds` is how long an answer may take.

    Memory: the peer's PDU that is being received, and the data sets of at most 256 messages that it is ahead, of each
    the first MiB.
    """

    def __init__(self, script: Script, stream: trio.abc.Stream, seconds: float, watch: Watch | None = None) -> None:
        self._script = script
        self._stream = stream
        self._seconds = seconds
        self._watch: Watch = watch or (lambda _direction, _octets: None)
        self._units, self._heard = trio.open_memory_channel[Unit](_MAX_WAITING)
        self._reader = UnitReader()
        self._progress = trio.Condition()
        self._is_ended = False
        self._has_closed = False
        self._request: bytes | None = None
        """The peer's A-ASSOCIATE-RQ."""
        self._limit = 0
        """The longest PDU that the peer is ready for; 0 is any."""
        self._is_associated = False
        self._answers: list[Answer] = []
        self._remarks: dict[str, None] = {}
        self._sent = 0

    async def run(self, told: Callable[[Answer], None] = lambda _answer: None) -> Result:
        """Play to the end; `told` is called with each answer. The connection is closed then."""
        why = ""
        played = 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            for move in self._script.moves:
                before = len(self._answers)
                why = await self._play(move)
                played += isinstance(move, Hear)
                for answer in self._answers[before:]:
                    told(answer)
                if why:
                    break
            await self._leave(why)
            nursery.cancel_scope.cancel()
        return Result(
            answers=tuple(self._answers),
            sent=self._sent,
            left=self._script.heard - played,
            why_ended=why,
            remarks=tuple(self._remarks),
        )

    async def _play(self, move: Say | Hear | Close) -> str:
        """One move; why the play can't go on, or ""."""
        match move:
            case Say():
                return await self._say(move)
            case Hear():
                return await self._hear(move.unit)
            case Close():
                self._has_closed = True
                if move.is_reset:
                    await reset(self._stream)
                elif isinstance(self._stream, trio.abc.HalfCloseableStream):
                    await self._quietly(self._stream.send_eof)
                return ""

    async def _say(self, move: Say) -> str:
        await self._wait_for(move.after)
        octets = self._answering(move, move.octets())
        length = len(octets) - PDU_HEADER_OCTETS
        if move.pdu_type == P_DATA_TF_TYPE and 0 < self._limit < length:
            remark = f"PDU {move.pdu} has {length} octets, the peer is ready for {self._limit}: sent as it was captured"
            self._remarks[remark] = None
        self._watch(Direction.TO_SERVER, octets)
        try:
            with trio.fail_after(self._seconds):
                await self._stream.send_all(octets)
        except trio.TooSlowError:
            return f"the peer did not take {move.name} within {self._seconds:g} s"
        except _LOST:
            return "" if self._is_ending_next(move) else f"the peer had closed the connection before {move.name}"
        self._sent += move.pdu is not None
        return ""

    def _is_ending_next(self, move: Say) -> bool:
        """Whether the capture, too, has the end of the connection, or an A-ABORT, as the next thing that is heard."""
        moves = self._script.moves
        later = (each for each in moves[moves.index(move) + 1 :] if isinstance(each, Hear))
        heard = next(later, None)
        return heard is None or heard.unit.name in (END, AAbort.NAME)

    def _answering(self, move: Say, octets: bytes) -> bytes:
        """An A-ASSOCIATE-AC returns octets of its request (PS3.8 Table 9-17); so it is here if it was captured so."""
        captured = next((each.unit for each in self._script.moves if isinstance(each, Hear)), None)
        if move.pdu_type != AAssociateAC.PDU_TYPE or self._request is None or captured is None:
            return octets
        if captured.name != AAssociateRQ.NAME or captured.octets[_ECHOED] != octets[_ECHOED]:
            return octets
        return octets[:10] + self._request[_ECHOED] + octets[74:]

    async def _wait_for(self, octets: int) -> None:
        """Until the peer has sent as much of a data set as it had in the capture."""
        with trio.move_on_after(self._seconds):
            async with self._progress:
                while not self._is_ended and self._reader.pending_octets < octets:
                    if self._heard.statistics().current_buffer_used:
                        return
                    await self._progress.wait()

    async def _hear(self, captured: Unit) -> str:
        observed: Unit | None = None
        with trio.move_on_after(self._seconds):
            observed = await self._heard.receive()
        if observed is None:
            self._answers.append(Answer(captured=captured, observed=None))
            return f"the peer said nothing for {self._seconds:g} s where the capture has {captured.name}"
        differences = tuple(compare(captured, observed))
        self._answers.append(Answer(captured=captured, observed=observed, differences=differences))
        if captured.name != observed.name:
            return f"the peer's answer was {observed.name} where the capture has {captured.name}"
        return self._look_at(captured, observed)

    def _look_at(self, captured: Unit, observed: Unit) -> str:
        """What an answer means for what is still to be said; why that can't be, or ""."""
        if _is_pending(captured) and not _is_pending(observed):
            return f"the peer ended the operation with this {observed.name}, the capture has more answers to it"
        if _is_pending(observed) and not _is_pending(captured):
            return f"the peer has more answers than this {observed.name}, with which the capture ends the operation"
        pdu = _decoded(observed)
        if not isinstance(pdu, AAssociateRQ | AAssociateAC):
            return ""
        self._limit = pdu.maximum_length_received or 0
        self._is_associated = True
        if isinstance(pdu, AAssociateRQ):
            self._request = observed.octets
            return ""
        before = _decoded(captured)
        if not isinstance(before, AAssociateAC):
            return ""
        lost = sorted((_accepted(before) - _accepted(pdu)) & self._script.contexts)
        if lost:
            text = ", ".join(map(str, lost[:8]))
            return f"the capture goes on in context {text}, which the peer did not accept"
        return ""

    async def _read(self) -> None:
        """Everything that the peer sends, while we send too."""
        buffer = bytearray()
        number = 0
        how = "FIN"
        while True:
            try:
                octets = await self._stream.receive_some(READ_OCTETS)
            except trio.ClosedResourceError:  # by ourselves
                return
            except _LOST:
                octets, how = b"", "RST"
            if not octets:
                break
            self._watch(Direction.TO_CLIENT, bytes(octets))
            buffer += octets
            for pdu in _whole_pdus(buffer):
                units = self._reader.pdu(number, pdu) if pdu[0] in PDU_TYPES else (Unit(name=NO_PDU, octets=pdu[:64]),)
                number += 1
                for unit in units:
                    await self._units.send(unit)
            async with self._progress:
                self._progress.notify_all()
        self._is_ended = True
        await self._units.send(Unit(name=END, how=how))
        async with self._progress:
            self._progress.notify_all()

    async def _leave(self, why: str) -> None:
        """End the connection; an association that the peer still keeps is aborted first."""
        if why and self._is_associated and not self._is_ended and not self._has_closed:
            abort = AAbort().encode()
            self._watch(Direction.TO_SERVER, abort)
            with trio.move_on_after(1):
                await self._quietly(lambda: self._stream.send_all(abort))
        with trio.move_on_after(1):
            await self._quietly(self._stream.aclose)

    @staticmethod
    async def _quietly(act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except _LOST:
            return


def _is_pending(unit: Unit) -> bool:
    status = None if unit.message is None else unit.message.values.get(_STATUS)
    return isinstance(status, int) and categorize(status) is Category.PENDING


def _accepted(answer: AAssociateAC) -> set[int]:
    return {context.context_id for context in answer.presentation_contexts if context.result == 0}


def _decoded(unit: Unit) -> AnyPDU | None:
    try:
        return decode_pdu(unit.octets).pdu if unit.octets else None
    except DecodeError:
        return None


def _whole_pdus(buffer: bytearray) -> Iterator[bytes]:
    """Take the whole PDUs off the front; what can't be a PDU is given as it is."""
    while buffer:
        if buffer[0] not in PDU_TYPES:
            yield bytes(buffer)
            buffer.clear()
            return
        if len(buffer) < PDU_HEADER_OCTETS:
            return
        length = PDU_HEADER_OCTETS + int.from_bytes(buffer[2:PDU_HEADER_OCTETS], "big")
        if length > MAX_PDU_OCTETS:
            yield b"\0" + bytes(buffer[1:])
            buffer.clear()
            return
        if len(buffer) < length:
            return
        yield bytes(buffer[:length])
        del buffer[:length]
