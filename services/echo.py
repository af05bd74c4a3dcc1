"""Verification: C-ECHO, PS3.7 9.1.5 and PS3.4 Annex A."""

from dataclasses import dataclass

import trio

from dulcet.dimse.messages import CEchoRQ, CEchoRSP
from dulcet.dimse.uids import IMPLICIT_VR_LITTLE_ENDIAN, VERIFICATION
from dulcet.errors import NoAcceptedContextError, PeerProtocolError
from dulcet.services.association import Association
from dulcet.ul.items import PresentationContextRQ

VERIFICATION_CONTEXT = PresentationContextRQ.propose(1, VERIFICATION, (IMPLICIT_VR_LITTLE_ENDIAN,))


@dataclass(frozen=True, kw_only=True, slots=True)
class Echoed:
    """One C-ECHO."""

    status: int
    seconds: float
    """From handing over the request to having the response."""


async def echo(association: Association) -> Echoed:
    """One C-ECHO on the Verification context of `association`; cancelled, the association must be aborted."""
    context = next((c for c in association.contexts.values() if c.abstract_syntax == VERIFICATION), None)
    if context is None:
        raise NoAcceptedContextError("the peer did not accept the Verification SOP Class")
    request = CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=association.next_message_id())
    started = trio.current_time()
    received = await association.invoke(context.context_id, request)
    response = received.message
    if not isinstance(response, CEchoRSP):
        raise PeerProtocolError(f"the peer answered a C-ECHO-RQ with {response.NAME}")
    return Echoed(status=response.status, seconds=trio.current_time() - started)
