"""Watching a conversation."""

from typing import Protocol

from dulcet.dimse.messages import Message, UnacceptableMessage
from dulcet.ul.pdu import AnyPDU


class Trace(Protocol):
    """Sees the conversation: the association's PDUs and the messages, each as it is sent (">") or received ("<")."""

    def __call__(self, direction: str, said: AnyPDU | Message | UnacceptableMessage, /) -> None:
        """Called in the order of the wire."""
