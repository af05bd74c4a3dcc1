"""Who receives what a C-MOVE has sent to us: a receiver of our own, one that several jobs share, or our own server."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from dulcet.services.admission import AllowedPeer
from dulcet.services.requestor import Peer


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiverSettings:
    """Where to listen, and for whom."""

    ae_title: str
    """Ours: the move destination."""
    port: int
    host: str = ""
    """The address to listen on; "" is every one."""
    archive: Peer
    """Who sends: by its AE title, from anywhere, or by any title from its address."""
    allowed: tuple[AllowedPeer, ...] = ()
    """Who else may."""
    allow_any: bool = False
    max_pdu_length: int


class Reception(Protocol):
    """What a retrieval knows of who receives for it."""

    address: str
    port: int
    accepted: int
    """How many associations the archive has made, as far as that is known."""
    rejected: list[str]
    """Whom we turned away and why, in sentences."""
    is_ours: bool
    """Whether it is there for retrievals alone: else a server has the port, and nothing is known of associations."""

    def is_receiving(self) -> bool:
        """Whether part of an object has come; its limits see to it that the rest does, or the end."""


Receive = Callable[[ReceiverSettings], AbstractAsyncContextManager[Reception]]
"""Has what is sent to us received while its context lasts. ConfigurationError when that can't be."""
