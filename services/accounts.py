"""What goes over associations while they last, counted: for who looks on, not for who works.

An association counts for itself, at the cost of a call for each message; `Accounts` adds up those that have ended. The
associations that a program makes are found in `made()`, those that it accepts in `accepted()`.
"""

import time
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from trio.lowlevel import RunVar

from dulcet.dimse.messages import CStoreRSP, Message, Response, UnacceptableMessage
from dulcet.dimse.status import SUCCESS, Category, categorize

if TYPE_CHECKING:
    from dulcet.services.association import Association
    from dulcet.services.requestor import Peer


class Activity:
    """What one association is used for, as its messages show."""

    __slots__ = ("objects_received", "objects_sent", "service", "since")

    def __init__(self) -> None:
        self.since = time.time()
        """Seconds since 1970."""
        self.service = ""
        """Of the last request, of either side: `C-STORE`."""
        self.objects_received = 0
        """Objects that we acknowledged."""
        self.objects_sent = 0
        """Objects that the peer acknowledged."""

    def heard(self, message: Message | UnacceptableMessage) -> None:
        """A message of the peer."""
        if type(message) is CStoreRSP:
            self.objects_sent += _is_stored(message)
        elif isinstance(message, Message) and not isinstance(message, Response):
            self.service = message.SERVICE

    def said(self, message: Message) -> None:
        """A message of ours."""
        if type(message) is CStoreRSP:
            self.objects_received += _is_stored(message)
        elif not isinstance(message, Response):
            self.service = message.SERVICE


def _is_stored(response: CStoreRSP) -> bool:
    return response.status == SUCCESS or categorize(response.status) is Category.WARNING


@dataclass(kw_only=True, slots=True)
class Sums:
    """What went over associations."""

    associations: int = 0
    octets_received: int = 0
    """Of PDUs; with TLS, before they are encrypted."""
    octets_sent: int = 0
    objects_received: int = 0
    objects_sent: int = 0
    deviations: int = 0
    """What peers got wrong and was understood all the same; at most `MAX_DEVIATIONS` of an association."""

    def add(self, association: "Association") -> None:
        """What went over this one so far."""
        transport, activity = association.transport, association.activity
        self.associations += 1
        self.octets_received += transport.octets_received
        self.octets_sent += transport.octets_sent
        self.objects_received += activity.objects_received
        self.objects_sent += activity.objects_sent
        self.deviations += len(association.deviations)


class Accounts:
    """Associations in force, and the sums of all there were."""

    def __init__(self) -> None:
        self.living: dict[Association, Peer | None] = {}
        """In the order in which they were made; with the peer where we called."""
        self._ended = Sums()

    def opened(self, association: "Association", peer: "Peer | None" = None) -> None:
        """It is in force."""
        self.living[association] = peer

    def closed(self, association: "Association") -> None:
        """It has ended. Harmless for one that was never in force."""
        if association in self.living:
            del self.living[association]
            self._ended.add(association)

    def sums(self) -> Sums:
        """Of all, those in force included: no number of it ever becomes smaller."""
        sums = Sums(**{each.name: getattr(self._ended, each.name) for each in fields(Sums)})
        for association in self.living:
            sums.add(association)
        return sums


_made: RunVar[Accounts] = RunVar("associations that this program made")
_accepted: RunVar[Accounts] = RunVar("associations that this program accepted")


def made() -> Accounts:
    """The associations that this program has made since its loop began."""
    return _of_this_run(_made)


def accepted() -> Accounts:
    """The associations that this program has accepted since its loop began."""
    return _of_this_run(_accepted)


def _of_this_run(variable: RunVar[Accounts]) -> Accounts:
    try:
        return variable.get()
    except LookupError:
        accounts = Accounts()
        variable.set(accounts)
        return accounts
