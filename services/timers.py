"""The timers of one association, as one deadline for the next read.

ARTIM is the standard's (PS3.8 9.1.5): octets that trickle in do not restart it. The others are limits of ours, held
against peers that would keep a place for ever: nothing under way, a PDU that never gets whole, a message that comes in
drops, an association without end.
"""

import math
from enum import Enum

import trio

from dulcet.services.limits import Limits

NEVER = math.inf


class Expiry(Enum):
    """Which timer ran out; the value says so in a sentence."""

    ARTIM = "ARTIM expired: the peer neither went on nor closed the connection"
    PDU = "a PDU that the peer began did not get whole in time"
    RATE = "the peer's message came too slowly"
    RESPONSE = "the peer did not answer in time"
    IDLE = "nothing happened on the association for too long"
    ASSOCIATION = "the association lasted too long"


class Timers:
    """Deadlines of one association, on trio's clock."""

    def __init__(self, limits: Limits) -> None:
        now = trio.current_time()
        self._limits = limits
        self._artim = NEVER
        self._quiet_since = now
        self._pdu_since: float | None = None
        self._message_since: float | None = None
        self._message_octets = 0
        self._last_read = now
        self._end = NEVER if limits.association is None else now + limits.association
        self._chosen: tuple[float, Expiry] = (NEVER, Expiry.ARTIM)

    def start_artim(self) -> None:
        """Start, or start again."""
        self._artim = trio.current_time() + self._limits.artim

    def stop_artim(self) -> None:
        """Harmless when it doesn't run."""
        self._artim = NEVER

    def progressed(self) -> None:
        """A whole PDU has come."""
        self._pdu_since = None
        self._quiet_since = trio.current_time()

    def restart_quiet(self) -> None:
        """Something was said by us, or what was under way has ended."""
        self._quiet_since = trio.current_time()

    def begin_read(self) -> None:
        """A read begins; what passed since the last one was our own time, not the peer's."""
        if self._message_since is not None:
            self._message_since += trio.current_time() - self._last_read

    def end_read(self) -> None:
        """See `begin_read`."""
        self._last_read = trio.current_time()

    def received(self, octets: int) -> None:
        """Count what came for a message under way."""
        self._message_octets += octets

    def deadline(self, pending_octets: int, is_in_message: bool, is_idle: bool) -> float:
        """The moment at which the next read must have brought something. While ARTIM runs no other timer does."""
        limits, now = self._limits, trio.current_time()
        chosen = (self._artim, Expiry.ARTIM)
        if self._artim == NEVER:
            chosen = (self._end, Expiry.ASSOCIATION)
            if not pending_octets:
                self._pdu_since = None
            elif limits.pdu is not None:
                self._pdu_since = now if self._pdu_since is None else self._pdu_since
                chosen = min(chosen, (self._pdu_since + limits.pdu, Expiry.PDU), key=_moment)
            if is_in_message:
                chosen = min(chosen, self._rate_deadline(now), key=_moment)
            else:
                self._message_since = None
                quiet, why = (limits.idle, Expiry.IDLE) if is_idle else (limits.response, Expiry.RESPONSE)
                if quiet is not None:
                    chosen = min(chosen, (self._quiet_since + quiet, why), key=_moment)
        self._chosen = chosen
        return chosen[0]

    def why_expired(self) -> Expiry | None:
        """Which timer the last deadline was; None when the message turned out fast enough and may go on."""
        why = self._chosen[1]
        if why is not Expiry.RATE:
            return why
        assert self._limits.min_rate_window is not None
        if self._message_octets < self._limits.min_rate_octets * self._limits.min_rate_window:
            return why
        self._message_since = None
        return None

    def _rate_deadline(self, now: float) -> tuple[float, Expiry]:
        window = self._limits.min_rate_window
        if window is None:
            return NEVER, Expiry.RATE
        if self._message_since is None:
            self._message_since, self._message_octets = now, 0
        return self._message_since + window, Expiry.RATE


def _moment(choice: tuple[float, Expiry]) -> float:
    return choice[0]
