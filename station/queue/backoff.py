"""When to try again what failed: a table by class of failure, and the sum that it gives.

A job waits as a whole when its peer can't be reached or takes nothing; an instance waits alone when the peer refused
just it. Pauses double from the first to the longest; a quarter of each is left to chance, so that many jobs which
failed together don't come back together.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from dulcet.dimse.status import RESOURCE_LIMITATION, Category, categorize
from dulcet.errors import (
    AssociationAbortedError,
    AssociationRejectedError,
    ConnectionLostError,
    DulcetError,
    NoAcceptedContextError,
    OperationFailedError,
    PeerProtocolError,
    PeerTimeoutError,
    PeerUnavailableError,
    TLSError,
    UnconfirmedError,
    UnknownHostError,
)

OUT_OF_RESOURCES = range(0xA700, 0xA800)  # PS3.4 B.2.3
_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 24 * 3600.0
_CHANCE = 0.25  # of a pause


class Failure(Enum):
    """Why something failed, as far as trying again is concerned."""

    OUT_OF_RESOURCES = "out of resources"
    """The peer has no room, or no time, for an object: A7xx, 0213."""
    UNREACHABLE = "not reachable"
    """No association: refused by TCP, no answer, no such host."""
    REJECTED_FOR_NOW = "rejected for now"
    """A-ASSOCIATE-RJ, transient (PS3.8 Table 9-21)."""
    LOST = "aborted or lost"
    """The association ended before it was released."""
    REJECTED = "rejected"
    """For who we are, or who it is: AE title, identity, certificate. Somebody has to change something."""
    PROTOCOL = "protocol"
    """What the peer said broke PS3.7 or PS3.8, or we did not agree on anything."""
    REFUSED = "refused for good"
    """The peer will never take this object: A8xx, A9xx, Cxxx, 01xx, or no context for it."""
    LOCAL = "here"
    """The fault is on this machine: a file that is gone, a setting that is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How to try again after one class of failure."""

    first_pause: float = 0.0
    """Seconds after the first failure; doubled for each further one in a row."""
    longest_pause: float = 0.0
    """Seconds."""
    most_attempts: int | None = None
    """In all; None: as many as fit into `give_up_after`."""
    give_up_after: float | None = None
    """Seconds since the first failure in a row; None: never for this reason."""


POLICIES = {
    Failure.OUT_OF_RESOURCES: Policy(first_pause=30, longest_pause=15 * _MINUTE, give_up_after=3 * _DAY),
    Failure.UNREACHABLE: Policy(first_pause=5, longest_pause=10 * _MINUTE, give_up_after=3 * _DAY),
    Failure.REJECTED_FOR_NOW: Policy(first_pause=5, longest_pause=5 * _MINUTE, give_up_after=3 * _DAY),
    Failure.LOST: Policy(first_pause=2, longest_pause=5 * _MINUTE, most_attempts=10, give_up_after=_DAY),
    Failure.REJECTED: Policy(first_pause=_MINUTE, longest_pause=_HOUR, most_attempts=3),
    Failure.PROTOCOL: Policy(first_pause=30, longest_pause=_HOUR, most_attempts=3),
    Failure.REFUSED: Policy(most_attempts=1),
    Failure.LOCAL: Policy(most_attempts=1),
}
"""For those who said nothing else."""

_CLASSES: tuple[tuple[type[DulcetError], Failure], ...] = (
    (UnknownHostError, Failure.UNREACHABLE),
    (PeerUnavailableError, Failure.UNREACHABLE),
    (TLSError, Failure.REJECTED),
    (UnconfirmedError, Failure.LOST),
    (ConnectionLostError, Failure.LOST),
    (AssociationAbortedError, Failure.LOST),
    (PeerProtocolError, Failure.PROTOCOL),
    (NoAcceptedContextError, Failure.PROTOCOL),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """What an order says of trying again; None leaves it to the table."""

    retries: int | None = None
    """More attempts for what may pass; 0 for none."""
    give_up_after: float | None = None
    """Seconds since the first failure in a row."""

    def policy(self, failure: Failure) -> Policy:
        """The table's, as far as the order says nothing else. What can't pass is never tried again."""
        policy = POLICIES[failure]
        if policy.most_attempts == 1:
            return policy
        if self.retries is not None:
            policy = replace(policy, most_attempts=self.retries + 1)
        if self.give_up_after is not None:
            policy = replace(policy, give_up_after=self.give_up_after)
        return policy

    def next_attempt(
        self,
        failure: Failure,
        *,
        attempts: int,
        failing_since: float | None,
        now: float,
        chance: Callable[[], float] = random.random,
    ) -> float | None:
        """When to try again after `attempts` failures in a row, the last one of them now; None: not at all.

        `failing_since` is when the first of them was, None if that is the one just now.
        """
        policy = self.policy(failure)
        if policy.most_attempts is not None and attempts >= policy.most_attempts:
            return None
        since = now if failing_since is None else failing_since
        if policy.give_up_after is not None and now - since >= policy.give_up_after:
            return None
        return now + pause(policy, attempts, chance)


def pause(policy: Policy, attempts: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds before the next attempt, never more than the policy's longest."""
    doublings = min(attempts - 1, 32)  # beyond it every policy has its longest pause
    whole = min(policy.first_pause * 2.0**doublings, policy.longest_pause)
    return float(whole * (1 - _CHANCE * chance()))


def failure_of(error: DulcetError, *, was_associated: bool) -> Failure:
    """The class of an error; the same silence means something else before the association was made than after it."""
    if isinstance(error, PeerTimeoutError):
        return Failure.LOST if was_associated else Failure.UNREACHABLE
    if isinstance(error, AssociationRejectedError):
        return Failure.REJECTED if error.result == 1 else Failure.REJECTED_FOR_NOW
    if isinstance(error, OperationFailedError):
        return failure_of_status(error.status) or Failure.REFUSED
    return next((failure for kind, failure in _CLASSES if isinstance(error, kind)), Failure.LOCAL)


def failure_of_status(status: int, service: str = "C-STORE") -> Failure | None:
    """The class of a response's status; None when it is no failure."""
    if categorize(status, service) in (Category.SUCCESS, Category.WARNING):
        return None
    may_pass = status in OUT_OF_RESOURCES or status == RESOURCE_LIMITATION
    return Failure.OUT_OF_RESOURCES if may_pass else Failure.REFUSED
