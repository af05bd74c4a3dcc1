"""Every limit and timer that the listener holds a peer to, on one page.

The standard times only what lies outside an association (ARTIM, PS3.8 9.1.5); the rest is ours, so that no peer can
hold a place for ever.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Seconds, octets and counts. `None` switches a timer off."""

    artim: float = 10.0
    """ARTIM: from the transport connection to the A-ASSOCIATE-RQ, and after a refusal or release to the close."""
    idle: float | None = 60.0
    """An association in which nothing is under way."""
    pdu: float | None = 30.0
    """A PDU once begun must be whole."""
    min_rate_octets: int = 1024
    """Octets a second that a message under way must bring, on average over `min_rate_window`."""
    min_rate_window: float | None = 60.0
    write_stall: float | None = 30.0
    """A peer that does not read what we answer."""
    response: float | None = None
    """A requestor's: a response to what is outstanding, counted from the request or from the last PDU."""
    association: float | None = 24 * 3600.0
    """An association as a whole."""
    tls_handshake: float = 10.0
    grace: float = 10.0
    """After SIGTERM: for messages in flight."""
    max_associations: int = 32
    max_per_address: int = 8
    max_unassociated: int = 64
    """Connections without an association yet; for a new one, the oldest of the address with most is dropped."""
    backlog: int = 128


NO_TIMERS = Limits(
    idle=None, pdu=None, min_rate_window=None, write_stall=None, association=None, max_associations=0, max_per_address=0
)
"""For a requestor: deadlines are the caller's cancel scopes, only ARTIM is ours."""
