"""The other side of a query or a retrieval: a peer that answers message by message, as a test says."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from dulcet.dimse.messages import CCancelRQ
from dulcet.services.querying.identifiers import Identifier, encode_identifier
from dulcet.ul.pdu import AReleaseRP, AReleaseRQ

EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
NAME, LEVEL, STUDY = 0x00100010, 0x00080052, 0x0020000D


@dataclass
class SCP:
    """Answers on one connection; made for each by `answering`."""

    peer: Any
    octets: Any
    request: Any = None
    """The request that came last."""
    identifier: Any = None
    context_id: int = 1

    async def next_request(self) -> Any:
        """The next message and, in `identifier`, its data set."""
        self.request, data_set = await self.peer.whole_message()
        is_retrieval = self.request.SERVICE in ("C-MOVE", "C-GET")
        self.identifier = Identifier(data_set, IMPLICIT if is_retrieval else EXPLICIT)
        return self.request

    async def send(self, *parts: bytes) -> None:
        await self.peer.send(*parts)

    def response(self, status: int, data_set: bytes | None = None, **values: Any) -> bytes:
        """A response to the last request, with a data set if there is one."""
        message = replace(self.request.response(status=status, has_data_set=data_set is not None), **values)
        octets = self.octets.message(message, context_id=self.context_id)
        return octets if data_set is None else octets + self.octets.data(data_set, context_id=self.context_id)

    def match(self, name: str = "DOE^JOHN", status: int = 0xFF00) -> bytes:
        """A pending C-FIND-RSP."""
        return self.response(status, encode_identifier({LEVEL: "STUDY", NAME: name, STUDY: "1.2.3"}, EXPLICIT))

    def counted(self, status: int, remaining: int | None, completed: int, failed: int = 0, warning: int = 0, **more):
        """A C-MOVE-RSP or C-GET-RSP."""
        return self.response(
            status,
            number_of_remaining_suboperations=remaining,
            number_of_completed_suboperations=completed,
            number_of_failed_suboperations=failed,
            number_of_warning_suboperations=warning,
            **more,
        )

    async def cancel(self) -> CCancelRQ:
        """The C-CANCEL-RQ that comes next."""
        message = await self.peer.message()
        assert isinstance(message, CCancelRQ), message
        assert message.message_id_being_responded_to == self.request.message_id
        return message

    async def release(self) -> None:
        """The release that comes next."""
        assert await self.peer.pdu() == AReleaseRQ()
        await self.peer.send(AReleaseRP())
        assert await self.peer.rest() == b""


@pytest.fixture
def answering(network, octets):
    """Let the peer accept the association and then do what a coroutine function does with an `SCP`."""

    def answer(play, *items):
        async def script(peer):
            await peer.send(octets.accept(await peer.pdu(), items=items))
            await play(SCP(peer, octets))

        network.script = script
        return network

    return answer
