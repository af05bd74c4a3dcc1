"""The trio shell round `ul.Connection`: PS3.8 performed on a transport connection, either role.

Whoever waits reads: the task that needs something from the peer reads the connection until it is there, and what
belongs to others is handed to them. So a conversation of one operation at a time costs no task switch, and several
operations at once need no task of their own.
"""

from collections.abc import Callable, Sequence

import trio

from dulcet.errors import AssociationAbortedError, AssociationError, ConnectionLostError, DecodeError, PeerTimeoutError
from dulcet.services.endings import aborted, no_association, provider_aborted
from dulcet.services.limits import Limits
from dulcet.services.reading import Reading, ReadsForAll
from dulcet.services.timers import NEVER, Expiry, Timers
from dulcet.services.trace import Trace
from dulcet.services.transport import Transport
from dulcet.ul.connection import (
    Close,
    Connection,
    Effect,
    Indicate,
    IndicateProviderAbort,
    Send,
    StartArtim,
    StopArtim,
)
from dulcet.ul.deviation import Deviation
from dulcet.ul.pdu import AAbort, AAssociateRJ, AnyPDU, AReleaseRP, AReleaseRQ, PDataTF, decode_pdu
from dulcet.ul.table import State

MAX_DEVIATIONS = 1000  # a peer must not fill our memory with its mistakes
ABORT_PATIENCE = 1.0  # seconds to get an A-ABORT out past a message that doesn't get out
_OVER = (State.STA1, State.STA13)


class UpperLayer(ReadsForAll):
    """Performs the effects of a connection, reads for whoever waits, and remembers how it ended.

    Errors: `AssociationError` and its kinds, the same one for every task that waits when the association ends.
    """

    def __init__(self, connection: Connection, transport: Transport, *, limits: Limits, trace: Trace | None) -> None:
        super().__init__()
        self.connection = connection
        self.transport = transport
        self.trace = trace
        self.deviations: list[Deviation] = []
        """What the peer got wrong so far; the first MAX_DEVIATIONS of it."""
        self.failure: AssociationError | None = None
        """How the association ended, when it was not released."""
        self.rejection: AAssociateRJ | None = None
        """The A-ASSOCIATE-RJ that we sent."""
        self._limits = limits
        self._timers = Timers(limits)
        self._established: AnyPDU | None = None
        self._release_requested = False
        self._released = False
        self._patience: trio.CancelScope | None = None
        self._is_woken = False
        self._send_lock = trio.Lock()
        self._is_cut = False

    # For the layer above --------------------------------------------------------------------------------------------

    async def p_data(self, pdu: PDataTF) -> None:
        """P-DATA indication; DecodeError for what breaks PS3.8 Annex E or PS3.7."""
        raise NotImplementedError

    def is_idle(self) -> bool:
        """Whether the idle timer may run."""
        return True

    def is_in_message(self) -> bool:
        """Whether part of a message has come."""
        return False

    def note(self, deviations: Sequence[Deviation]) -> None:
        """Remember what the peer got wrong."""
        self.deviations.extend(deviations[: MAX_DEVIATIONS - len(self.deviations)])

    def wake(self) -> None:
        """Something has come, or happened, that a waiting task may want; the one that reads looks as well."""
        self.wake_waiters()
        self._is_woken = True
        if self._patience is not None:
            self._patience.cancel()

    def check(self) -> None:
        """Raise how the association ended, if it did."""
        if self.failure is not None:
            raise self.failure

    # Release and abort ----------------------------------------------------------------------------------------------

    async def release(self) -> None:
        """A-RELEASE (PS3.8 7.2), either side of a collision included; the connection is closed after it."""
        if self.failure is not None or self._released:
            return
        if self.connection.state is State.STA8:  # the peer was first
            await self.answer_release()
            return
        await self.perform(self.connection.send(AReleaseRQ()))
        await self.read_until(lambda: self._released or self._release_requested)
        if self._release_requested:  # collision: PS3.8 7.2.2.7
            if self.connection.state is State.STA9:
                await self.perform(self.connection.send(AReleaseRP()))
                await self.read_until(lambda: self._released)
            else:
                await self.read_until(lambda: self._released)
                await self.answer_release()
        self.transport.close()

    async def answer_release(self) -> None:
        """A-RELEASE response: always affirmative. Waits for the peer to close, or for ARTIM (Sta13)."""
        await self.perform(self.connection.send(AReleaseRP()))
        await self.wait_closed()

    async def abort(self) -> None:
        """A-ABORT, unless there is nothing to abort; then wait as Sta13 asks."""
        if self.connection.state not in (State.STA1, State.STA2, State.STA13):
            self.fail(AssociationAbortedError("the association was aborted", source=0, reason=0, by_peer=False))
            await self.perform(self.connection.send(AAbort()))
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Sta13: discard what still comes until the peer closes or ARTIM expires."""
        try:
            while self.connection.state is State.STA13:
                if self.is_reading:
                    await self.waiters.park()
                    continue
                with Reading(self):
                    while (effects := self.connection.next_effects()) is not None:
                        await self.perform(effects)
                    if self.connection.state is State.STA13:
                        await self._fill()
        except OSError:
            self.connection.transport_closed()
        finally:
            self.transport.close()

    # Reading --------------------------------------------------------------------------------------------------------

    async def read_until(self, is_ready: Callable[[], object]) -> None:
        """Read, or let the task that does, until `is_ready()`; raises how the association ended, if it ends before.

        Cancelled, nothing that came is lost.
        """
        while not is_ready():
            self.check()
            if self.is_reading:
                await self.waiters.park()
                continue
            with Reading(self):
                while not is_ready() and self.failure is None:
                    await self._read_step()
                    if self.connection.state in _OVER and not is_ready():
                        is_aborted = self._established is None and self.connection.state is State.STA13
                        self.fail(no_association(self.rejection, is_aborted=is_aborted))

    async def perform_received(self) -> None:
        """Perform what was received already; nothing is waited for. Another task that reads does the same."""
        if self.is_reading:
            return
        with Reading(self):
            while self.failure is None and (effects := self.connection.next_effects()) is not None:
                await self.perform(effects)

    async def _read_step(self) -> None:
        self._is_woken = False
        if self.share.used():
            await self.share.let_others()
            if self._is_woken:
                return
        effects = self.connection.next_effects()
        if effects is not None:
            await self.perform(effects)
            return
        try:
            await self._fill()
        except OSError as error:
            self.fail(self._lost(error))

    async def _fill(self) -> None:
        self._is_woken = False
        is_used_up = self.share.used()
        if is_used_up:
            await self.share.let_others()
            if self._is_woken:
                return
        buffer = self.connection.receive_buffer()
        count = None if is_used_up else self.transport.receive_now(buffer)  # or else timers would never be asked
        if count is None:
            count = await self._wait_and_receive(buffer)
        if count > 0:
            self.connection.received(count)
            self._timers.received(count)
        elif count == 0:
            await self.perform(self.connection.transport_closed())
            self.transport.close()
        elif not self._is_woken:
            await self._expired()

    async def _wait_and_receive(self, buffer: memoryview) -> int:
        """Octets received; 0 at the end, -1 when a timer expired."""
        self._timers.begin_read()
        count = -1
        try:
            with trio.CancelScope(deadline=self._read_deadline()) as self._patience:
                await trio.lowlevel.checkpoint_if_cancelled()
                count = await self.transport.receive_into(buffer)
        finally:
            self._patience = None
            self._timers.end_read()
            self.share.went_on()
        return count

    def _read_deadline(self) -> float:
        return self._timers.deadline(self.connection.pending_octets, self.is_in_message(), self.is_idle())

    def rearm(self) -> None:
        """What the timers depend on has changed: the task that reads waits no longer than they say now."""
        if self._patience is not None:
            self._patience.deadline = self._read_deadline()

    async def _expired(self) -> None:
        why = self._timers.why_expired()
        if why is None:
            return
        if why is Expiry.ARTIM:
            await self.perform(self.connection.artim_expired())
        elif self.connection.state is not State.STA1:
            await self.perform(self.connection.send(AAbort()))
        self.fail(PeerTimeoutError(why.value))

    # Performing -----------------------------------------------------------------------------------------------------

    async def perform(self, effects: tuple[Effect, ...]) -> None:
        """Do what the connection asks for, in its order.

        Cancelled while it sends, the rest is done all the same: the machine has moved on.
        """
        trouble: AssociationError | None = None
        for position, effect in enumerate(effects):
            if type(effect) is Indicate:
                await self._indicated(effect)
            elif type(effect) is Send:
                try:
                    trouble = await self._send_control(effect)
                except BaseException:
                    for rest in effects[position + 1 :]:
                        self._perform_here(rest)
                    raise
            else:
                self._perform_here(effect)
        if trouble is not None:
            self.fail(trouble)

    def _perform_here(self, effect: Effect) -> None:
        if type(effect) is StartArtim:
            self._timers.start_artim()
            self.rearm()
        elif type(effect) is StopArtim:
            self._timers.stop_artim()
        elif type(effect) is Close:
            self.transport.close()
        elif type(effect) is IndicateProviderAbort:
            self.fail(provider_aborted(effect.cause))

    async def _indicated(self, indication: Indicate) -> None:
        pdu = indication.pdu
        self._timers.progressed()
        if type(pdu) is PDataTF:
            try:
                await self.p_data(pdu)
            except DecodeError as error:
                await self._reject(error)
            return
        self.note(indication.deviations)
        if self.trace is not None:
            self.trace("<", pdu)
        if type(pdu) is AReleaseRQ:
            self._release_requested = True
        elif type(pdu) is AReleaseRP:
            self._released = True
        elif type(pdu) is AAbort:
            self.fail(aborted(pdu))
        else:
            self._established = pdu

    async def _reject(self, error: DecodeError) -> None:
        """A fault that only DIMSE could see: A-ABORT of the provider with its reason, or of the user without one."""
        if error.abort_reason:
            await self.perform(self.connection.reject_received(error))
            return
        try:
            await self.perform(self.connection.send(AAbort()))
        finally:
            self.fail(provider_aborted(error))

    async def _send_control(self, effect: Send) -> AssociationError | None:
        """A PDU of the association itself: it waits for the message being sent, but not for ever.

        What went wrong is returned: it says how the association ended if nothing else does.
        """
        self._say(effect)
        if not await self._take_turn():
            return self._stalled()
        try:
            if self._is_cut:
                self.transport.close()
                return None
            with trio.CancelScope(deadline=self._write_deadline()):
                return await self._send(effect.buffers)
            return self._stalled()
        finally:
            self._send_lock.release()

    async def _take_turn(self) -> bool:
        """Take the send lock; whether we got it. A message that holds it is waited for a little; else no clock counts.

        For a process that was held up for longer than that has lost nothing.
        """
        try:
            self._send_lock.acquire_nowait()
        except trio.WouldBlock:
            with trio.move_on_after(ABORT_PATIENCE) as patience:
                await self._send_lock.acquire()
            return not patience.cancelled_caught
        return True

    def _say(self, effect: Send) -> None:
        is_rejection = effect.buffers[0][0] == AAssociateRJ.PDU_TYPE
        if self.trace is None and not is_rejection:
            return
        pdu = decode_pdu(b"".join(effect.buffers)).pdu
        if isinstance(pdu, AAssociateRJ):
            self.rejection = pdu
        if self.trace is not None:
            self.trace(">", pdu)

    async def write(self, buffers: Sequence[bytes | memoryview]) -> None:
        """Write part of a message; the caller holds the send lock. Cancelled inside it, only an abort can follow."""
        trouble: AssociationError | None = None
        try:
            left = self.transport.send_now(buffers)
        except OSError as error:
            left, trouble = (), self._lost(error)
        if left:
            with trio.CancelScope(deadline=self._write_deadline()) as patience:
                trouble = await self._send(left, is_begun=left is not buffers)
            if patience.cancelled_caught:
                trouble = self._stalled()
        if trouble is not None:
            self.fail(trouble)
        self.check()

    async def _send(self, buffers: Sequence[bytes | memoryview], *, is_begun: bool = False) -> AssociationError | None:
        if not is_begun:
            await trio.lowlevel.checkpoint_if_cancelled()
        try:
            await self.transport.send(buffers)
        except OSError as error:
            return self._lost(error)
        except BaseException:  # part of a PDU may have gone: nothing can follow it
            self._is_cut = True
            raise
        return None

    def _write_deadline(self) -> float:
        stall = self._limits.write_stall
        return NEVER if stall is None else trio.current_time() + stall

    # Failing --------------------------------------------------------------------------------------------------------

    def fail(self, error: AssociationError) -> None:
        """The association is over for this reason, unless it was over before."""
        if self.failure is None:
            self.failure = error
        self.wake_waiters()

    def _stalled(self) -> AssociationError:
        self._is_cut = True
        self.transport.close()
        return PeerTimeoutError("the peer does not read what it is sent")

    def _lost(self, error: OSError) -> AssociationError:
        """The connection broke; if the peer's A-ABORT had come before, that is what happened."""
        connection = self.connection
        lost: AssociationError = ConnectionLostError(f"the connection was lost ({error.strerror or error})")
        connection.received(self.transport.try_receive_into(connection.receive_buffer()))
        while (effects := connection.next_effects()) is not None:
            for effect in effects:
                if isinstance(effect, Indicate) and type(effect.pdu) is AAbort:
                    lost = aborted(effect.pdu)
        connection.transport_closed()
        self.transport.close()
        return lost
