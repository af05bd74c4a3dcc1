"""C-ECHO as SCU and SCP, with each other and with peers that get it wrong."""

import pytest
import trio

from dulcet.dimse.messages import CEchoRQ
from dulcet.dimse.status import SUCCESS
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import ConnectionLostError, NoAcceptedContextError, PeerProtocolError
from dulcet.services.acceptor import ECHO
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.requestor import associate
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.pdu import AReleaseRP, AReleaseRQ


async def test_our_two_ends(network, scp, autojump_clock):
    servers = []

    def serve():
        servers.append(scp(operations={CEchoRQ: ECHO}))
        return servers[-1]

    network.scp = serve
    async with associate(network.peer, (VERIFICATION_CONTEXT,)) as association:
        for _ in range(3):
            assert (await echo(association)).status == SUCCESS
    assert await servers[0].end() is None


def answering(octets, seconds=0.0, **changed):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        request = await peer.message()
        await trio.sleep(seconds)
        await peer.send(octets.message(request.response(status=changed.get("status", SUCCESS)), context_id=1))
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(AReleaseRP())

    return script


@pytest.mark.parametrize("status", [0x0000, 0x0122, 0x0210, 0x4242])
async def test_the_peers_status_is_told(network, octets, status, autojump_clock):
    network.script = answering(octets, status=status)
    async with associate(network.peer, (VERIFICATION_CONTEXT,)) as association:
        assert (await echo(association)).status == status


async def test_how_long_it_took(network, octets, autojump_clock):
    network.script = answering(octets, seconds=2.5)
    async with associate(network.peer, (VERIFICATION_CONTEXT,)) as association:
        assert (await echo(association)).seconds == 2.5


async def test_without_a_verification_context(network, octets, autojump_clock):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(AReleaseRP())

    network.script = script
    context = PresentationContextRQ.propose(1, "1.2.840.10008.5.1.4.1.1.2", ("1.2.840.10008.1.2",))
    async with associate(network.peer, (context,)) as association:
        with pytest.raises(NoAcceptedContextError, match="did not accept the Verification SOP Class"):
            await echo(association)


async def test_a_connection_that_ends_instead_of_a_response(network, octets, autojump_clock):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        await peer.message()

    network.script = script
    with pytest.raises(ConnectionLostError):
        async with associate(network.peer, (VERIFICATION_CONTEXT,)) as association:
            await echo(association)


async def test_a_request_instead_of_a_response(network, octets, autojump_clock):
    """The peer's own C-ECHO-RQ with our Message ID is no response; one that nobody performs is left."""

    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        request = await peer.message()
        ours = CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=request.message_id)
        await peer.send(octets.message(ours, context_id=1))
        await peer.send(octets.message(request.response(status=SUCCESS), context_id=1))
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(AReleaseRP())

    network.script = script
    async with associate(network.peer, (VERIFICATION_CONTEXT,)) as association:
        assert (await echo(association)).status == SUCCESS


async def test_a_peer_that_closes_after_its_response_ends_the_release_only(network, octets, autojump_clock):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        request = await peer.message()
        await peer.send(octets.message(request.response(status=SUCCESS), context_id=1))

    network.script = script
    statuses = []
    with pytest.raises((ConnectionLostError, PeerProtocolError)):
        async with associate(network.peer, (VERIFICATION_CONTEXT,)) as association:
            statuses.append((await echo(association)).status)
    assert statuses == [SUCCESS]
