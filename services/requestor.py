"""Making an association: PS3.8 7.1.2, the requestor's side."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from dulcet.errors import (
    AssociationError,
    AssociationRejectedError,
    ConnectionLostError,
    NoAcceptedContextError,
    TLSError,
)
from dulcet.services.accounts import made
from dulcet.services.association import Association
from dulcet.services.limits import NO_TIMERS, Limits
from dulcet.services.pacing import Bandwidth, PacedTransport
from dulcet.services.trace import Trace
from dulcet.services.transport import connect
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH, Connect, Connection, Transition
from dulcet.ul.items import Item, PresentationContextRQ
from dulcet.ul.negotiation import outcome, propose
from dulcet.ul.pdu import AAssociateAC, AAssociateRJ
from dulcet.ul.reasons import CONTEXT_RESULTS, explain_rejection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

LEAVING_PATIENCE = 2.0  # seconds for a cancelled or failed association to get its A-ABORT out and be closed


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """Whom to call, and as whom."""

    host: str
    port: int
    ae_title: str
    """The called AE title."""
    calling_ae_title: str = "DULCET"
    tls: "ssl.SSLContext | None" = None
    server_name: str | None = None
    """The name that the peer's certificate must bear, when it is not `host`."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.ae_title}@{host}:{self.port}"


@asynccontextmanager
async def associate(
    peer: Peer,
    contexts: Sequence[PresentationContextRQ],
    *,
    user_items: Sequence[Item] = (),
    max_pdu_length: int = DEFAULT_MAX_PDU_LENGTH,
    limits: Limits = NO_TIMERS,
    trace: Trace | None = None,
    on_transition: "Callable[[Transition], None] | None" = None,
    bandwidth: Bandwidth | None = None,
    leaving: float = LEAVING_PATIENCE,
) -> AsyncIterator[Association]:
    """An association with `peer`; released when the block ends, aborted when it fails or is cancelled.

    Errors: UnknownHostError, PeerUnavailableError, TLSError, AssociationRejectedError, AssociationAbortedError,
    ConnectionLostError, PeerProtocolError; NoAcceptedContextError when the peer accepts none of `contexts`.
    Deadlines are the caller's cancel scopes. Memory: a receive buffer of twice `max_pdu_length`. What is said keeps to
    `bandwidth`, which several associations may share. Failed or cancelled, it is over within `leaving` seconds, which
    the peer has to close the connection in order.
    """
    transport = await connect(peer.host, peer.port, peer.tls, peer.server_name)
    if bandwidth is not None:
        transport = PacedTransport(transport, bandwidth)
    connection = Connection(is_requestor=True, max_pdu_length=max_pdu_length, on_transition=on_transition)
    association = Association(connection, transport, limits=limits, trace=trace)
    try:
        await _establish(association, peer, contexts, user_items, max_pdu_length)
        made().opened(association, peer)
        yield association
        await association.release()
    except BaseException:
        await leave(association, leaving)
        raise
    finally:
        made().closed(association)
        transport.close()


async def leave(association: Association, patience: float = LEAVING_PATIENCE) -> None:
    """A-ABORT what can't be released, shielded and within `patience` seconds; nothing is raised."""
    with trio.CancelScope(shield=True, deadline=trio.current_time() + patience):
        try:
            await association.abort()
        except (AssociationError, OSError):
            association.transport.close()


async def _establish(
    association: Association,
    peer: Peer,
    contexts: Sequence[PresentationContextRQ],
    user_items: Sequence[Item],
    max_pdu_length: int,
) -> None:
    request = propose(
        called_ae_title=peer.ae_title,
        calling_ae_title=peer.calling_ae_title,
        contexts=contexts,
        max_pdu_length=max_pdu_length,
        user_items=user_items,
    )
    effects = association.connection.send(request)
    assert effects == (Connect(),)
    await association.perform(association.connection.transport_connected())
    try:
        response = await association.association_pdu()
    except ConnectionLostError as error:
        if peer.tls is None:
            what = "closed the connection before it answered: it may speak TLS only (--tls), or not admit our address"
            raise ConnectionLostError(f"{peer} {what}") from error
        what = "closed the connection right after the TLS handshake: most often it wants a client certificate"
        raise TLSError(f"{peer} {what}") from error
    if isinstance(response, AAssociateRJ):
        raise AssociationRejectedError(
            f"{peer} rejected the association: {explain_rejection(response.result, response.source, response.reason)}",
            result=response.result,
            source=response.source,
            reason=response.reason,
        )
    assert isinstance(response, AAssociateAC)
    negotiated = outcome(request, response, is_requestor=True)
    association.established(request, response, negotiated)
    if not negotiated.contexts:
        await association.release()
        refusals = _refusals(negotiated.refused)
        raise NoAcceptedContextError(
            f"{peer} accepted none of the presentation contexts: {refusals}", refused=negotiated.refused
        )


def _refusals(refused: Mapping[int, int]) -> str:
    counts: dict[str, int] = {}
    for result in refused.values():
        text = CONTEXT_RESULTS.get(result, f"result {result} (not defined)")
        counts[text] = counts.get(text, 0) + 1
    return ", ".join(f"{count} x {text}" for text, count in counts.items())
