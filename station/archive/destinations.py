"""Where the archive may send: the nodes of the node book by their AE title, and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dulcet.errors import ConfigurationError
from dulcet.services.object_to_send import ObjectToSend
from dulcet.services.part10 import Part10Header
from dulcet.services.requestor import Peer
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.nodes import Node
from dulcet.station.sending.presentation_contexts import AssociationPlan, ContextChoice, choose, plan_associations
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Negotiated

if TYPE_CHECKING:
    from dulcet.station.sending.found import FileToSend


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A node that the archive sends to: a `services.retrieving.moving.Route`."""

    peer: Peer
    convert: bool

    def plan(self, objects: Sequence[ObjectToSend]) -> Sequence[AssociationPlan]:
        """The associations that these objects need; they are the archive's, which are files."""
        return plan_associations(cast("Sequence[FileToSend]", objects), convert=self.convert)

    def choose(
        self, header: Part10Header, contexts: Sequence[PresentationContextRQ], negotiated: Negotiated
    ) -> ContextChoice | str:
        """The context that an object goes out on, or a sentence why there is none."""
        return choose(header, contexts, negotiated, convert=self.convert)


class Destinations:
    """The nodes of a node book, read again when the file has changed. Without a book there is no destination."""

    def __init__(self, path: Path | None, ae_title: str) -> None:
        """`ae_title` is ours, for nodes that don't know us by another."""
        self._path = path
        self._ae_title = ae_title
        self._version: tuple[int, int] | None = None
        self._nodes: dict[str, Node] = {}
        self._peers: dict[str, Peer] = {}

    def __bool__(self) -> bool:
        """Whether there is any destination."""
        return bool(self._nodes)

    def read(self) -> list[str]:
        """Read the book if it has changed; what is wrong with it, a sentence for each fault.

        One that can't be read just now is read at the next use, and until then what it said before holds.
        """
        version = self._current_version()
        if version == self._version or self._path is None:
            return []
        try:
            nodes, faults = NodeBook.read(self._path).nodes()
        except ConfigurationError as error:
            if isinstance(error.__cause__, OSError):  # it may pass: no word of the book is known, so nothing changes
                return [str(error)]
            nodes, faults = [], [str(error)]
        self._version = version
        self._nodes.clear()
        self._peers.clear()
        for node in nodes:
            self._nodes.setdefault(node.ae_title, node)
        return faults

    def find(self, ae_title: str) -> Destination | None:
        """The way to the AE of this title; None when the book has none, or its certificates can't be read."""
        self.read()
        node = self._nodes.get(ae_title.strip(" "))
        if node is None:
            return None
        try:
            peer = self._peers.get(node.ae_title) or self._peers.setdefault(node.ae_title, self._peer(node))
        except ConfigurationError:
            return None
        return Destination(peer=peer, convert=not node.no_convert)

    def _current_version(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return (0, 0)
        return status.st_mtime_ns, status.st_ino

    def _peer(self, node: Node) -> Peer:
        tls = None
        if node.tls:
            from dulcet.services.tls import client_context

            tls = client_context(ca=node.tls_ca, cert=node.tls_cert, key=node.tls_key)
        return Peer(
            host=node.host,
            port=node.port,
            ae_title=node.ae_title,
            calling_ae_title=node.calling_ae_title or self._ae_title,
            tls=tls,
            server_name=node.tls_name,
        )


choose_for_requestor = partial(choose, convert=True)
"""For C-GET: what the requestor accepts, converted where that is possible."""
