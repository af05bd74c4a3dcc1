"""The requestor with a peer of octets: what makes an association, what ends it, and what the caller is told."""

import dataclasses

import pytest
import trio

from dulcet.dimse.messages import CEchoRQ, CEchoRSP, CFindRQ, CFindRSP, CStoreRSP
from dulcet.dimse.status import SUCCESS
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import (
    AssociationAbortedError,
    AssociationRejectedError,
    ConnectionLostError,
    NoAcceptedContextError,
    PeerProtocolError,
)
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.requestor import LEAVING_PATIENCE, Peer, associate
from dulcet.ul.items import (
    ApplicationContext,
    MaximumLength,
    PresentationContextAC,
    PresentationContextRQ,
    UnknownItem,
    UserInformation,
)
from dulcet.ul.pdu import AAbort, AAssociateRJ, AAssociateRQ, AETitle, AReleaseRP, AReleaseRQ

CT, IMPLICIT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
CONTEXTS = (VERIFICATION_CONTEXT, PresentationContextRQ.propose(3, CT, (EXPLICIT, IMPLICIT)))
ECHOED = CEchoRSP(message_id_being_responded_to=1, status=SUCCESS)


def answers(answer):
    """A peer that reads the A-ASSOCIATE-RQ, says this, and tells what comes then, up to the end."""
    said = []

    async def script(peer):
        request = await peer.pdu()
        assert isinstance(request, AAssociateRQ)
        await peer.send(answer(request) if callable(answer) else answer)
        said.append(await peer.rest())

    script.said = said
    return script


def established(network, octets, then):
    """`then` is what the peer does when it has accepted."""

    async def script(peer):
        await peer.send(octets.accept(await peer.pdu()))
        await then(peer)

    network.script = script


async def releases(peer):
    """The peer's part in an orderly release."""
    assert await peer.pdu() == AReleaseRQ()
    await peer.send(AReleaseRP())
    assert await peer.rest() == b""


# Establishment ------------------------------------------------------------------------------------------------------


async def test_an_association_from_its_request_to_its_release(network, octets, autojump_clock):
    async def script(peer):
        request = await peer.pdu()
        assert (request.called_ae_title, request.calling_ae_title) == ("DULCET", "TESTER")
        assert [context.context_id for context in request.presentation_contexts] == [1, 3]
        await peer.send(octets.accept(request))
        assert await peer.message() == CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=1)
        await peer.send(octets.message(ECHOED, context_id=1))
        await releases(peer)

    network.script = script
    async with associate(network.peer, CONTEXTS) as association:
        assert {number: context.transfer_syntax for number, context in association.contexts.items()} == {
            1: IMPLICIT,
            3: EXPLICIT,
        }
        assert (await echo(association)).status == SUCCESS
    await network.finished()
    assert association.failure is None
    assert association.connection.state.number == 1


PAIRS = [(1, 1), (1, 2), (1, 3), (1, 7), (2, 1), (2, 2), (3, 1), (3, 2), (1, 10), (3, 7), (9, 9)]


@pytest.mark.parametrize(("source", "reason"), PAIRS)
@pytest.mark.parametrize("result", [1, 2])
async def test_each_rejection(network, result, source, reason, autojump_clock):
    network.script = script = answers(AAssociateRJ(result=result, source=source, reason=reason))
    with pytest.raises(AssociationRejectedError) as caught:
        async with associate(network.peer, CONTEXTS):
            raise AssertionError("there is no association")
    error = caught.value
    assert (error.result, error.source, error.reason) == (result, source, reason)
    assert error.exit_code == (75 if result == 2 else 77)
    assert str(error).startswith("DULCET@pacs.example:11112 rejected the association: ")
    await network.finished()
    assert script.said == [b""]


@pytest.mark.parametrize("result", [1, 2, 3, 4, 9])
async def test_no_accepted_context_is_released(network, octets, result, autojump_clock):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu(), result=result))
        await releases(peer)

    network.script = script
    with pytest.raises(NoAcceptedContextError) as caught:
        async with associate(network.peer, CONTEXTS):
            raise AssertionError("there is no association")
    assert caught.value.refused == {1: result, 3: result}
    assert "2 x " in str(caught.value)
    await network.finished()


def changed(octets, change):
    """An acceptance in which one thing is different."""
    return lambda request: change(octets.accept(request))


def with_contexts(*contexts):
    return lambda answer: dataclasses.replace(answer, items=(answer.items[0], *contexts, answer.items[-1]))


PROCEEDS = {
    "reserved titles of spaces": lambda a: dataclasses.replace(
        a, called_ae_title=AETitle(""), calling_ae_title=AETitle("")
    ),
    "results shuffled": lambda a: with_contexts(*reversed(a.presentation_contexts))(a),
    "a refused context with no sensible syntax": lambda a: with_contexts(
        PresentationContextAC.answer(1, 0, IMPLICIT), PresentationContextAC.answer(3, 3, "ZZZ")
    )(a),
    "a result that is missing": lambda a: with_contexts(PresentationContextAC.answer(1, 0, IMPLICIT))(a),
    "an unknown item": lambda a: dataclasses.replace(a, items=(*a.items, UnknownItem(item_type=0x60, octets=b"\0\0"))),
    "no Maximum Length Sub-Item": lambda a: dataclasses.replace(
        a, items=(*a.items[:-1], UserInformation(sub_items=()))
    ),
    "any length": lambda a: dataclasses.replace(
        a, items=(*a.items[:-1], UserInformation(sub_items=(MaximumLength(maximum_length_received=0),)))
    ),
    "version 0": lambda a: dataclasses.replace(a, protocol_version=0),
}


@pytest.mark.parametrize("what", PROCEEDS)
async def test_an_acceptance_that_is_good_enough(network, octets, what, autojump_clock):
    async def script(peer):
        await peer.send(PROCEEDS[what](octets.accept(await peer.pdu())))
        await peer.message()
        await peer.send(octets.message(ECHOED, context_id=1))
        await releases(peer)

    network.script = script
    async with associate(network.peer, CONTEXTS) as association:
        assert (await echo(association)).status == SUCCESS
        assert 1 in association.contexts
    await network.finished()


ABORTED = {
    "a context that was not proposed": with_contexts(
        PresentationContextAC.answer(1, 0, IMPLICIT), PresentationContextAC.answer(5, 0, IMPLICIT)
    ),
    "a context twice": with_contexts(
        PresentationContextAC.answer(1, 0, IMPLICIT), PresentationContextAC.answer(1, 0, IMPLICIT)
    ),
    "a transfer syntax that was not offered": with_contexts(PresentationContextAC.answer(1, 0, EXPLICIT)),
    "another application context": lambda a: dataclasses.replace(
        a, items=(ApplicationContext(name="1.2.3"), *a.items[1:])
    ),
    "a maximum that can carry nothing": lambda a: dataclasses.replace(
        a, items=(*a.items[:-1], UserInformation(sub_items=(MaximumLength(maximum_length_received=6),)))
    ),
}


@pytest.mark.parametrize("what", ABORTED)
async def test_an_acceptance_that_is_not(network, octets, what, autojump_clock):
    network.script = script = answers(changed(octets, ABORTED[what]))
    with pytest.raises(PeerProtocolError):
        async with associate(network.peer, CONTEXTS):
            raise AssertionError("there is no association")
    await network.finished()
    assert script.said == [AAbort(source=2, reason=6).encode()]


INSTEAD_OF_AN_ANSWER = {
    "A-ASSOCIATE-RQ": (lambda octets: octets.request().encode(), 2),
    "P-DATA-TF": (lambda octets: octets.echo(), 2),
    "A-RELEASE-RQ": (lambda octets: AReleaseRQ().encode(), 2),
    "A-RELEASE-RP": (lambda octets: AReleaseRP().encode(), 2),
    "unknown PDU": (lambda octets: b"\x55", 1),
    "HTTP": (lambda octets: b"HTTP/1.1 400 Bad Request\r\n\r\n", 1),
    "A-ASSOCIATE-RJ of length 5": (lambda octets: bytes.fromhex("03 00 00000005 0001010700"), 6),
    "A-ASSOCIATE-AC of 1 GiB": (lambda octets: bytes.fromhex("02 00 40000000"), 6),
}


@pytest.mark.parametrize("what", INSTEAD_OF_AN_ANSWER)
async def test_a_fault_in_sta5_is_aborted_with_its_reason(network, octets, what, autojump_clock):
    said, reason = INSTEAD_OF_AN_ANSWER[what]
    network.script = script = answers(said(octets))
    with pytest.raises(PeerProtocolError):
        async with associate(network.peer, CONTEXTS):
            raise AssertionError("there is no association")
    await network.finished()
    assert script.said == [AAbort(source=2, reason=reason).encode()]


async def test_an_abort_in_sta5(network, autojump_clock):
    network.script = script = answers(AAbort(source=2, reason=1))
    with pytest.raises(AssociationAbortedError, match="unrecognized-PDU") as caught:
        async with associate(network.peer, CONTEXTS):
            raise AssertionError("there is no association")
    assert (caught.value.source, caught.value.reason, caught.value.by_peer) == (2, 1, True)
    await network.finished()
    assert script.said == [b""]


async def test_the_end_of_the_connection_in_sta5(network, autojump_clock):
    async def script(peer):
        await peer.pdu()

    network.script = script
    with pytest.raises(ConnectionLostError) as caught:
        async with associate(network.peer, CONTEXTS):
            raise AssertionError("there is no association")
    assert str(caught.value) == (
        "DULCET@pacs.example:11112 closed the connection before it answered: "
        "it may speak TLS only (--tls), or not admit our address"
    )


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (b"HTTP/1.1 400 Bad Request", "type 48H is not a PDU type; it answers in HTTP, so that is a web server"),
        (b"<!DOCTYPE HTML>", "type 3CH is not a PDU type; it answers in HTTP, so that is a web server"),
        (b"SSH-2.0-OpenSSH", "type 53H is not a PDU type; it speaks SSH"),
        (bytes.fromhex("15 0303 0002 0246"), "type 15H is not a PDU type; it speaks TLS (--tls)"),
        (b"\x55", "type 55H is not a PDU type"),
    ],
)
async def test_what_speaks_there_instead_of_dicom(network, said, what, autojump_clock):
    network.script = answers(said)
    with pytest.raises(PeerProtocolError) as caught:
        async with associate(network.peer, CONTEXTS):
            raise AssertionError("there is no association")
    assert str(caught.value).endswith(what)


@pytest.mark.parametrize("patience", [0.0, 5.0])
async def test_no_answer_is_the_callers_deadline(network, patience, autojump_clock):
    async def script(peer):
        if patience:
            await peer.pdu()
        assert await peer.pdu() == AAbort(source=0, reason=0)
        await trio.sleep(1000)

    network.script = script
    start = trio.current_time()
    with trio.move_on_after(patience) as scope:
        async with associate(network.peer, CONTEXTS):
            raise AssertionError("there is no association")
    assert scope.cancelled_caught
    assert trio.current_time() - start <= patience + LEAVING_PATIENCE
    if patience:
        await network.finished()


async def test_who_has_a_time_to_keep_leaves_in_less(network, autojump_clock):
    """`dulcet check --timeout 1` is a plugin's: the time that it was given is all that it has."""

    async def script(peer):
        await peer.pdu()
        assert await peer.pdu() == AAbort(source=0, reason=0)
        await trio.sleep(1000)

    network.script = script
    start = trio.current_time()
    with trio.move_on_after(1.0):
        async with associate(network.peer, CONTEXTS, leaving=0.1):
            raise AssertionError("there is no association")
    assert 1.0 <= trio.current_time() - start <= 1.1 + 1e-6
    await network.finished()


# Release ------------------------------------------------------------------------------------------------------------


async def test_release_collision(network, octets, autojump_clock):
    """PS3.8 7.2.2.7: the requestor answers first, then waits for the answer to its own request."""
    steps = []

    async def script(peer):
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(AReleaseRQ())
        assert await peer.pdu() == AReleaseRP()
        await trio.sleep(1)
        await peer.send(AReleaseRP())
        assert await peer.rest() == b""

    established(network, octets, script)
    watch = lambda step: steps.append(f"{step.action.name} {step.next_state}")  # noqa: E731
    async with associate(network.peer, CONTEXTS, on_transition=watch) as association:
        pass
    await network.finished()
    assert association.failure is None
    assert steps == ["AE-1 Sta4", "AE-2 Sta5", "AE-3 Sta6", "AR-1 Sta7", "AR-8 Sta9", "AR-9 Sta11", "AR-3 Sta1"]


async def test_release_collision_with_both_pdus_at_once(network, octets, autojump_clock):
    """Evt13 in Sta9 is AA-8 by Table 9-10; our answer goes out before the second PDU is looked at, so it is Sta11."""

    async def script(peer):
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(AReleaseRQ(), AReleaseRP())
        assert await peer.rest() == AReleaseRP().encode()

    established(network, octets, script)
    async with associate(network.peer, CONTEXTS) as association:
        pass
    await network.finished()
    assert association.failure is None


async def test_data_may_come_before_the_release_response(network, octets, autojump_clock):
    async def script(peer):
        assert await peer.pdu() == AReleaseRQ()
        await peer.send(octets.echo(), AReleaseRP())
        assert await peer.rest() == b""

    established(network, octets, script)
    async with associate(network.peer, CONTEXTS) as association:
        pass
    await network.finished()
    assert association.failure is None


async def test_the_peer_releases_first(network, octets, autojump_clock):
    async def script(peer):
        await peer.message()
        await peer.send(octets.message(ECHOED, context_id=1), AReleaseRQ())
        assert await peer.rest() == AReleaseRP().encode()

    established(network, octets, script)
    async with associate(network.peer, CONTEXTS) as association:
        request = CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=1)
        await association.start(1, request)
        assert len(await association.responses_to(1)) == 1
        association.finish(1)
        assert association.connection.state.number == 8

        async def closes_late():
            await trio.sleep(3)
            network.streams[0].receive_stream.close()

        network.nursery.start_soon(closes_late)
    assert association.connection.state.number == 1
    assert association.failure is None


async def test_a_release_request_instead_of_a_response(network, octets, autojump_clock):
    async def script(peer):
        await peer.message()
        await peer.send(AReleaseRQ())
        assert await peer.pdu() == AReleaseRP()
        peer.close()

    established(network, octets, script)
    with pytest.raises(PeerProtocolError, match="asked to release the association before it answered"):
        async with associate(network.peer, CONTEXTS) as association:
            await echo(association)
    await network.finished()


@pytest.mark.parametrize("abort", [True, False], ids=["aborts", "closes"])
async def test_instead_of_a_release_response_the_peer(network, octets, abort, autojump_clock):
    async def script(peer):
        assert await peer.pdu() == AReleaseRQ()
        if abort:
            await peer.send(AAbort(source=0))

    established(network, octets, script)
    with pytest.raises(AssociationAbortedError if abort else ConnectionLostError):
        async with associate(network.peer, CONTEXTS):
            pass


async def test_a_failed_association_is_left_without_another_error(network, octets, autojump_clock):
    async def script(peer):
        await peer.message()
        await peer.send(AAbort(source=2, reason=0))

    established(network, octets, script)
    async with associate(network.peer, CONTEXTS) as association:
        with pytest.raises(AssociationAbortedError):
            await echo(association)
        with pytest.raises(AssociationAbortedError):
            await echo(association)
        assert association.failure is not None


# While it is in force -----------------------------------------------------------------------------------------------

FAULTS = {
    "response to another Message ID": (lambda octets: octets.message(_response(2), context_id=1), 0, 0),
    "response on a context that was not accepted": (lambda octets: octets.message(_response(1), context_id=5), 2, 5),
    "response without a status": (
        lambda octets: octets.message(_response(1), context_id=1).replace(b"\0\0\0\x09\2\0\0\0", b"\0\0\1\x09\2\0\0\0"),
        2,
        6,
    ),
    "unknown PDU": (lambda octets: b"\x09", 2, 1),
    "A-ASSOCIATE-AC": (lambda octets: octets.accept(octets.request()).encode(), 2, 2),
    "data set without a command": (lambda octets: octets.data(b"\0\0", context_id=1), 2, 5),
    "an identifier without end": (
        lambda octets: (
            octets.message(CFindRSP(message_id_being_responded_to=1, status=0xFF00, has_data_set=True), context_id=1)
            + octets.data(bytes(1024 * 1024 + 2), context_id=1, is_last=False)
        ),
        2,
        6,
    ),
}


def _response(message_id):
    return CEchoRSP(message_id_being_responded_to=message_id, status=SUCCESS)


@pytest.mark.parametrize("what", FAULTS)
async def test_a_peers_fault_while_we_wait_for_a_response(network, octets, what, autojump_clock):
    said, source, reason = FAULTS[what]

    async def script(peer):
        await peer.message()
        await peer.send(said(octets))
        assert await peer.rest() == AAbort(source=source, reason=reason).encode()

    established(network, octets, script)
    with pytest.raises(PeerProtocolError):
        async with associate(network.peer, CONTEXTS) as association:
            await echo(association)
    await network.finished()


async def test_a_second_final_response_is_a_fault(network, octets, autojump_clock):
    async def script(peer):
        await peer.message()
        await peer.send(octets.message(_response(1), context_id=1))
        await peer.message()
        await peer.send(octets.message(_response(1), context_id=1))
        assert await peer.rest() == AAbort(source=0, reason=0).encode()

    established(network, octets, script)
    async with associate(network.peer, CONTEXTS) as association:
        await echo(association)
        with pytest.raises(PeerProtocolError, match="C-ECHO-RSP to Message ID 1, which is not outstanding"):
            await echo(association)
    await network.finished()


async def test_a_response_of_another_kind_is_a_fault(network, octets, autojump_clock):
    async def script(peer):
        await peer.message()
        await peer.send(octets.message(CStoreRSP(message_id_being_responded_to=1, status=0), context_id=1))
        assert await peer.rest() == AAbort(source=0, reason=0).encode()

    established(network, octets, script)
    with pytest.raises(PeerProtocolError, match="answered a C-ECHO-RQ with C-STORE-RSP"):
        async with associate(network.peer, CONTEXTS) as association:
            await echo(association)
    await network.finished()


async def test_requests_that_nobody_performs_do_not_fill_our_memory(network, octets, autojump_clock):
    async def script(peer):
        await peer.message()
        request = octets.message(CFindRQ(affected_sop_class_uid=VERIFICATION, message_id=1), context_id=1)
        await peer.send(*(request + octets.data(b"\0\0", context_id=1) for _ in range(1000)))
        assert await peer.rest() == AAbort(source=0, reason=0).encode()

    established(network, octets, script)
    with pytest.raises(PeerProtocolError, match="16 requests wait to be performed"):
        async with associate(network.peer, CONTEXTS) as association:
            await echo(association)
    await network.finished()


async def test_what_the_peer_gets_wrong_is_kept(network, octets, autojump_clock):
    async def script(peer):
        await peer.message()
        response = bytearray(octets.message(_response(1), context_id=1))
        response[20] += 2
        await peer.send(bytes(response))
        await releases(peer)

    established(network, octets, script)
    async with associate(network.peer, CONTEXTS) as association:
        assert (await echo(association)).status == SUCCESS
    assert [deviation.field for deviation in association.deviations] == ["CommandGroupLength (0000,0000)"]


async def test_what_the_peer_gets_wrong_does_not_fill_our_memory(network, octets, autojump_clock):
    async def script(peer):
        for number in range(1, 1101):
            await peer.message()
            response = bytearray(octets.message(_response(number), context_id=1))
            response[20] += 2
            await peer.send(bytes(response))
        await releases(peer)

    established(network, octets, script)
    async with associate(network.peer, CONTEXTS) as association:
        for _ in range(1100):
            await echo(association)
    assert len(association.deviations) == 1000


# The caller's faults and wishes -------------------------------------------------------------------------------------


async def test_an_error_of_the_block_aborts_and_is_raised_as_it_is(network, octets, autojump_clock):
    async def script(peer):
        assert await peer.rest() == AAbort(source=0, reason=0).encode()

    established(network, octets, script)
    with pytest.raises(ZeroDivisionError):
        async with associate(network.peer, CONTEXTS):
            raise ZeroDivisionError
    await network.finished()


async def test_a_message_that_can_not_be_encoded_leaves_the_association_as_it_was(network, octets, autojump_clock):
    async def script(peer):
        assert (await peer.message()).message_id == 1
        await peer.send(octets.message(ECHOED, context_id=1))
        await releases(peer)

    established(network, octets, script)
    async with associate(network.peer, CONTEXTS) as association:
        with pytest.raises(ValueError, match="can't hold 70000"):
            await association.invoke(1, CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=70000))
        assert (await echo(association)).status == SUCCESS
    await network.finished()


async def test_cancelled_while_it_waits_it_aborts(network, octets, autojump_clock):
    async def script(peer):
        await peer.message()
        assert await peer.pdu() == AAbort(source=0, reason=0)

    established(network, octets, script)
    start = trio.current_time()
    with trio.move_on_after(7) as scope:
        async with associate(network.peer, CONTEXTS) as association:
            await echo(association)
    assert scope.cancelled_caught
    assert trio.current_time() == start + 7
    await network.finished()


async def test_the_trace_sees_every_pdu_and_message(network, octets, autojump_clock):
    async def script(peer):
        await peer.message()
        await peer.send(octets.message(ECHOED, context_id=1))
        await releases(peer)

    said = []
    established(network, octets, script)
    async with associate(
        network.peer, CONTEXTS, trace=lambda way, what: said.append(f"{way} {what.NAME}")
    ) as association:
        await echo(association)
    assert said == [
        *("> A-ASSOCIATE-RQ", "< A-ASSOCIATE-AC", "> C-ECHO-RQ", "< C-ECHO-RSP"),
        *("> A-RELEASE-RQ", "< A-RELEASE-RP"),
    ]


def test_a_peer_is_written_as_people_write_it():
    assert str(Peer(host="pacs.example", port=104, ae_title="PACS")) == "PACS@pacs.example:104"
    assert str(Peer(host="::1", port=104, ae_title="PACS")) == "PACS@[::1]:104"
