"""Why sub-operations failed: for our log, and for the Error Comment (0000,0902) of who asked (PS3.7 Annex C).

Nothing that a destination wrote goes into either; what it answered is told in the standard's words.
"""

from dataclasses import dataclass

from dulcet.dimse.message import MAX_ERROR_COMMENT_CHARACTERS
from dulcet.dimse.status import explain
from dulcet.errors import (
    AssociationAbortedError,
    AssociationError,
    AssociationRejectedError,
    ConnectionLostError,
    NoAcceptedContextError,
    PeerTimeoutError,
    PeerUnavailableError,
    TLSError,
    UnconfirmedError,
    UnknownHostError,
)
from dulcet.escape import quote
from dulcet.services.requestor import Peer
from dulcet.ul.reasons import REJECT_REASONS

MAX_AE_TITLE_CHARACTERS = 16

Outcome = int | str | Exception | None
"""What a sub-operation came to: a C-STORE status, why there is no way out, or what went wrong; None: cancelled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why one failed."""

    text: str
    """For the log."""
    comment: str
    """For who asked: at most 64 characters, with no path and no value of ours."""


class Reasons:
    """The first reason of a request, and how many failed for it: one is kept, however many there are."""

    def __init__(self, ae_title: str, peer: Peer | None) -> None:
        """Of a destination's AE title and address; None: objects go to who asked, on its own association."""
        self._title = quote(ae_title.strip(" "), MAX_AE_TITLE_CHARACTERS)
        self._peer = peer
        self._first: Reason | None = None
        self._same = self._others = 0

    def add(self, outcome: Outcome) -> None:
        """One has failed."""
        reason = self._reason(outcome)
        if self._first is None:
            self._first = reason
        if reason.comment == self._first.comment:
            self._same += 1
        else:
            self._others += 1

    @property
    def text(self) -> str | None:
        """For the log; None when nothing failed."""
        if self._first is None:
            return None
        others = f" ({self._same} of {self._same + self._others} that failed)" if self._others else ""
        return f"{self._first.text}{others}"

    def comment(self, total: int) -> str | None:
        """For the response of a request that has `total` sub-operations; None when nothing failed."""
        if self._first is None:
            return None
        comment = self._first.comment
        counted = f"{comment} ({self._same} of {total})"
        return counted if self._same < total and len(counted) <= MAX_ERROR_COMMENT_CHARACTERS else comment

    def _reason(self, outcome: Outcome) -> Reason:
        if outcome is None:
            return Reason(text="it was cancelled", comment="it was cancelled")
        if isinstance(outcome, int):
            text = f"{self._title} answered {outcome:04X}H: {explain(outcome, 'C-STORE')}"
            return Reason(text=text, comment=f"{self._title} answered the C-STORE with {outcome:04X}H")
        if isinstance(outcome, str):
            return Reason(text=outcome, comment=f"{self._title} takes no such object, or not in its syntax")
        words = _words(outcome, self._peer)
        if words is None:  # of a file of ours
            return Reason(text=str(outcome), comment="an object can't be read here, or not be converted")
        return Reason(text=self._text(outcome), comment=self._whole_comment(words))

    def _text(self, error: Exception) -> str:
        text, peer = str(error), self._peer
        if peer is None or text.startswith(str(peer)):
            return text
        here = f"{peer.host}:{peer.port} "
        return f"{peer} {text.removeprefix(here)}" if text.startswith(here) else f"{peer}: {text}"

    def _whole_comment(self, words: str) -> str:
        """With the address, if there is room."""
        if self._peer is not None:
            where = str(self._peer).rpartition("@")[2]
            whole = f"{self._title} at {where} {words}"
            if len(whole) <= MAX_ERROR_COMMENT_CHARACTERS:
                return whole
        return f"{self._title} {words}"


def _words(error: Exception, peer: Peer | None) -> str | None:
    """What a destination did, in a few words; None for what is no fault on the way to it."""
    cause = error.__cause__ if isinstance(error, UnconfirmedError) else None
    match cause or error:
        case UnknownHostError():
            return "has no address"
        case PeerUnavailableError():
            start = "" if peer is None else f"{peer.host}:{peer.port} "
            return str(error).removeprefix(start).partition(":")[0].partition(" (")[0]
        case TLSError():
            return "and we found no common TLS"
        case AssociationRejectedError(source=source, reason=reason):
            return f"rejected us: {REJECT_REASONS.get((source, reason), f'reason {reason}')}"
        case NoAcceptedContextError():
            return "accepted no presentation context"
        case AssociationAbortedError():
            return "aborted the association"
        case ConnectionLostError():
            return "closed the connection"
        case PeerTimeoutError():
            return "did not answer in time"
        case AssociationError():
            return "broke the protocol"
    return None
