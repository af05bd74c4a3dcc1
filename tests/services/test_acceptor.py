"""The acceptor with a peer of octets: establishment, refusal, operations in their order, the ways to end."""

import dataclasses

import pytest
import trio

from dulcet.dimse.messages import CCancelRQ, CEchoRQ, CFindRQ, CFindRSP, CStoreRQ, CStoreRSP, decode_message
from dulcet.dimse.status import SUCCESS
from dulcet.dimse.uids import VERIFICATION
from dulcet.errors import (
    AssociationAbortedError,
    ConnectionLostError,
    PeerProtocolError,
)
from dulcet.services.acceptor import ECHO, Operation
from dulcet.services.admission import Admission
from dulcet.services.association import Association
from dulcet.services.transport import StreamTransport
from dulcet.ul.connection import Connection
from dulcet.ul.items import ApplicationContext, PresentationContextRQ, UserIdentityRQ
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AETitle, AReleaseRP, AReleaseRQ, PDataTF

CT, IMPLICIT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"


async def test_an_association_from_its_request_to_its_release(scp, octets, store, autojump_clock):
    served = scp()
    answer = await served.associate(octets)
    assert [context.result for context in answer.presentation_contexts] == [0, 0]
    assert len(served.established) == 1
    await served.peer.send(octets.echo(7))
    response = await served.peer.message()
    assert (response.NAME, response.message_id, response.status) == ("C-ECHO-RSP", 7, SUCCESS)
    await served.peer.send(octets.store(b"\1\2" * 50, message_id=8))
    response = await served.peer.message()
    assert isinstance(response, CStoreRSP)
    assert (response.message_id, response.status, response.affected_sop_instance_uid) == (8, SUCCESS, "2.25.7")
    assert bytes(store.sinks[0].octets) == b"\1\2" * 50
    await served.peer.send(AReleaseRQ())
    assert isinstance(await served.peer.pdu(), AReleaseRP)
    served.peer.close()
    assert await served.end() is None
    assert served.transitions == [
        *("Evt5 AE-5 Sta2", "Evt6 AE-6 Sta3", "Evt7 AE-7 Sta6"),
        *("Evt10 DT-2 Sta6", "Evt9 DT-1 Sta6", "Evt10 DT-2 Sta6", "Evt10 DT-2 Sta6", "Evt9 DT-1 Sta6"),
        *("Evt12 AR-2 Sta8", "Evt14 AR-4 Sta13", "Evt17 AR-5 Sta1"),
    ]


async def test_octet_by_octet_it_is_the_same(scp, octets, autojump_clock):
    served = scp()
    for octet in octets.request().encode() + octets.echo() + AReleaseRQ().encode():
        await served.peer.send(bytes((octet,)))
    assert isinstance(await served.peer.pdu(), AAssociateAC)
    assert (await served.peer.message()).NAME == "C-ECHO-RSP"
    assert isinstance(await served.peer.pdu(), AReleaseRP)
    served.peer.close()
    assert await served.end() is None


async def test_all_in_one_write_it_is_the_same(scp, octets, autojump_clock):
    served = scp()
    await served.peer.send(octets.request(), octets.echo(1), octets.echo(2), AReleaseRQ())
    assert isinstance(await served.peer.pdu(), AAssociateAC)
    assert [(await served.peer.message()).message_id for _ in range(2)] == [1, 2]
    assert isinstance(await served.peer.pdu(), AReleaseRP)
    served.peer.close()
    assert await served.end() is None


@pytest.mark.parametrize("maximum", [8, 64, 77, 128])
async def test_no_pdu_is_larger_than_the_requestor_takes(scp, octets, maximum, autojump_clock):
    served = scp()
    await served.associate(type(octets)(max_pdu_length=maximum))
    await served.peer.send(octets.echo(7), AReleaseRQ())
    lengths, commands = [], b""
    while isinstance(pdu := await served.peer.pdu(), PDataTF):
        lengths.append(len(pdu.encode()) - 6)
        commands += pdu.values[0].fragment
    assert max(lengths) <= maximum
    assert (len(lengths) > 1) is (maximum < 84)
    assert decode_message(commands).message.message_id == 7
    served.peer.close()
    assert await served.end() is None


# Refusals -----------------------------------------------------------------------------------------------------------

STRICT = Admission(ae_title="DULCET", allow_any=True)


def without(request, kind):
    return dataclasses.replace(request, items=tuple(item for item in request.items if type(item) is not kind))


REJECTIONS = [
    pytest.param({"called_ae_title": AETitle("OTHER")}, (1, 1, 7), id="called AE title"),
    pytest.param({"called_ae_title": AETitle("")}, (1, 1, 7), id="called AE title of spaces"),
    pytest.param({"calling_ae_title": AETitle("")}, (1, 1, 3), id="calling AE title of spaces"),
    pytest.param({"calling_ae_title": AETitle("A\r\n\x1b[31m")}, (1, 1, 3), id="control characters"),
    pytest.param({"calling_ae_title": AETitle("\u00e9")}, (1, 1, 3), id="8-bit title"),
    pytest.param({"protocol_version": 0}, (1, 2, 2), id="protocol version 0"),
    pytest.param({"protocol_version": 0xFFFE}, (1, 2, 2), id="bit 0 of the version clear"),
]


@pytest.mark.parametrize(("changed", "reason"), REJECTIONS)
async def test_rejected(scp, octets, changed, reason, autojump_clock):
    served = scp(admission=STRICT)
    await served.peer.send(octets.request(**changed))
    assert await served.peer.pdu() == AAssociateRJ(result=reason[0], source=reason[1], reason=reason[2])
    assert not served.over.is_set()
    served.peer.close()
    assert await served.end() is None
    ((request, rejection, address),) = served.rejected
    assert (rejection.result, rejection.source, rejection.reason) == reason
    assert (str(request.called_ae_title), address) == (changed.get("called_ae_title", "DULCET"), "192.0.2.1")
    assert served.established == []
    assert served.transitions[-1] == "Evt17 AR-5 Sta1"


@pytest.mark.parametrize("version", [0x0003, 0xFFFF, 0x8001])
async def test_only_bit_0_of_the_version_counts(scp, octets, version, autojump_clock):
    served = scp()
    await served.associate(octets, protocol_version=version)
    served.peer.close()
    assert isinstance(await served.end(), ConnectionLostError)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param(
            lambda request: dataclasses.replace(request, items=(ApplicationContext(name="1.2.3"), *request.items[1:])),
            (1, 1, 2),
            id="application context",
        ),
        pytest.param(lambda request: without(request, ApplicationContext), (1, 1, 2), id="no application context"),
        pytest.param(lambda request: without(request, PresentationContextRQ), (1, 1, 1), id="no presentation context"),
    ],
)
async def test_rejected_for_its_items(scp, octets, change, reason, autojump_clock):
    served = scp()
    await served.peer.send(change(octets.request()))
    assert await served.peer.pdu() == AAssociateRJ(result=reason[0], source=reason[1], reason=reason[2])
    served.peer.close()
    assert await served.end() is None
    assert len(served.rejected) == 1


async def test_rejected_for_a_maximum_that_can_carry_nothing(scp, octets, autojump_clock):
    served = scp()
    await served.peer.send(type(octets)(max_pdu_length=7).request())
    assert await served.peer.pdu() == AAssociateRJ(result=1, source=1, reason=1)
    served.peer.close()
    assert await served.end() is None


async def test_rejected_for_its_identity(scp, octets, autojump_clock):
    served = scp()
    supported = dataclasses.replace(served.acceptor.supported, authenticate=lambda identity: None)
    served.acceptor = dataclasses.replace(served.acceptor, supported=supported)
    identity = UserIdentityRQ(user_identity_type=1, positive_response_requested=0, primary_field=b"somebody")
    await served.peer.send(octets.request(items=(identity,)))
    assert await served.peer.pdu() == AAssociateRJ(result=1, source=2, reason=1)
    served.peer.close()
    assert await served.end() is None


async def test_rejected_by_the_service_provider(scp, octets, autojump_clock):
    congested = AAssociateRJ(result=2, source=3, reason=1)
    served = scp(refuse=lambda _request: congested)
    await served.peer.send(octets.request())
    assert await served.peer.pdu() == congested
    served.peer.close()
    assert await served.end() is None
    assert [rejection for _, rejection, _ in served.rejected] == [congested]
    assert served.transitions == ["Evt5 AE-5 Sta2", "Evt6 AE-6 Sta13", "Evt17 AR-5 Sta1"]


async def test_contexts_are_answered_one_by_one(scp, octets, autojump_clock):
    served = scp()
    await served.peer.send(
        octets.request(
            PresentationContextRQ.propose(255, VERIFICATION, (EXPLICIT, IMPLICIT)),
            PresentationContextRQ.propose(3, CT, (EXPLICIT,)),
            PresentationContextRQ.propose(5, "1.2.3", (IMPLICIT,)),
        )
    )
    answer = await served.peer.pdu()
    assert [(each.context_id, each.result) for each in answer.presentation_contexts] == [(255, 0), (3, 4), (5, 3)]
    assert answer.presentation_contexts[0].transfer_syntax == IMPLICIT
    served.peer.close()
    await served.end()


async def test_no_accepted_context_is_still_an_association(scp, octets, autojump_clock):
    served = scp()
    await served.peer.send(octets.request(PresentationContextRQ.propose(1, "1.2.3", (IMPLICIT,))))
    answer = await served.peer.pdu()
    assert [each.result for each in answer.presentation_contexts] == [3]
    await served.peer.send(AReleaseRQ())
    assert isinstance(await served.peer.pdu(), AReleaseRP)
    served.peer.close()
    assert await served.end() is None


# What is not performed is answered ----------------------------------------------------------------------------------

FIND_REQUEST = CFindRQ(affected_sop_class_uid=CT, message_id=5)


@pytest.mark.parametrize(
    ("context_id", "request_", "data_set", "status"),
    [
        pytest.param(3, FIND_REQUEST, b"\0\0", 0x0211, id="an operation that nobody performs"),
        pytest.param(
            1,
            CStoreRQ(affected_sop_class_uid=CT, message_id=5, affected_sop_instance_uid="2.25.7"),
            b"\0\0",
            0x0122,
            id="C-STORE on the Verification context",
        ),
        pytest.param(
            3,
            CStoreRQ(affected_sop_class_uid="1.2.3", message_id=5, affected_sop_instance_uid="2.25.7"),
            b"\0\0",
            0x0122,
            id="another class than the context's",
        ),
        pytest.param(
            3,
            CEchoRQ(affected_sop_class_uid=VERIFICATION, message_id=5),
            None,
            0x0122,
            id="C-ECHO on a storage context",
        ),
    ],
)  # fmt: skip
async def test_refused_by_status(scp, octets, store, context_id, request_, data_set, status, autojump_clock):
    served = scp()
    await served.associate(octets)
    data = b"" if data_set is None else octets.data(data_set, context_id=context_id)
    await served.peer.send(octets.message(request_, context_id=context_id), data)
    response = await served.peer.message()
    assert (response.message_id, response.status) == (5, status)
    assert store.sinks == []
    await served.peer.send(octets.echo(6))
    assert (await served.peer.message()).status == SUCCESS
    served.peer.close()
    await served.end()


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        pytest.param("0000 0001 02000000 0100", "0000 0001 02000000 7777", 0x0211, id="no message of PS3.7"),
        pytest.param("0000 0010 06000000", "0000 5010 06000000", 0x0117, id="no Affected SOP Instance UID"),
        pytest.param("0000 0008 02000000 0100", "0000 0008 02000000 0101", 0x0212, id="no data set"),
    ],
)
async def test_an_unacceptable_request_is_answered_on_its_context(scp, octets, old, new, status, autojump_clock):
    served = scp()
    await served.associate(octets)
    store = octets.store(b"\0\0", message_id=9)
    changed = store.replace(bytes.fromhex(old), bytes.fromhex(new))
    assert changed != store
    if status == 0x0212:
        changed = changed[: -len(octets.data(b"\0\0"))]
    await served.peer.send(changed)
    pdu = await served.peer.pdu()
    assert isinstance(pdu, PDataTF)
    assert pdu.values[0].context_id == 3
    served.peer._octets[:0] = pdu.encode()
    if status == 0x0211:
        with pytest.raises(Exception, match="F777H is no message"):
            await served.peer.message()
    else:
        response = await served.peer.message()
        assert (response.NAME, response.message_id, response.status) == ("C-STORE-RSP", 9, status)
    served.peer.close()
    await served.end()


# One at a time, in order --------------------------------------------------------------------------------------------


async def test_one_operation_at_a_time_in_the_order_of_the_requests(scp, octets, store, autojump_clock):
    store.seconds = 3.0
    served = scp()
    await served.associate(octets)
    await served.peer.send(*(octets.store(b"\0\0", message_id=number) for number in (4, 3, 9, 1)))
    answers = [((await served.peer.message()).message_id, trio.current_time()) for _ in range(4)]
    assert [number for number, _ in answers] == [4, 3, 9, 1] == store.performed
    start = answers[0][1] - 3.0
    assert [moment - start for _, moment in answers] == [3.0, 6.0, 9.0, 12.0]
    served.peer.close()
    await served.end()


async def test_two_thousand_requests_without_reading_a_response(scp, octets, autojump_clock):
    served = scp()
    await served.associate(octets)
    for number in range(2_000):
        await served.peer.send(octets.echo(number))
    await served.peer.send(AReleaseRQ())
    for number in range(2_000):
        assert (await served.peer.message()).message_id == number
    assert isinstance(await served.peer.pdu(), AReleaseRP)
    served.peer.close()
    assert await served.end() is None


async def test_a_cancel_is_noted_and_has_no_response(scp, octets, autojump_clock):
    served = scp()
    await served.associate(octets)
    cancel = CCancelRQ(message_id_being_responded_to=42)
    await served.peer.send(octets.message(cancel, context_id=3), octets.echo(1))
    assert (await served.peer.message()).NAME == "C-ECHO-RSP"
    assert served.association.cancelled_operations == {42}
    await served.peer.send(octets.echo(42))
    assert (await served.peer.message()).message_id == 42
    assert served.association.cancelled_operations == set()
    served.peer.close()
    await served.end()


async def test_a_request_may_be_followed_by_the_end_of_what_the_peer_sends(scp, octets, autojump_clock):
    served = scp()
    await served.associate(octets)
    await served.peer.send(octets.echo(1))
    await served.peer.stream.send_stream.aclose()
    assert (await served.peer.message()).status == SUCCESS
    assert isinstance(await served.end(), ConnectionLostError)


# A peer's faults ----------------------------------------------------------------------------------------------------

UNEXPECTED = {
    "A-ASSOCIATE-AC": lambda octets: octets.accept(octets.request()).encode(),
    "A-ASSOCIATE-RJ": lambda octets: AAssociateRJ(result=1, source=1, reason=1).encode(),
    "P-DATA-TF": lambda octets: octets.echo(),
    "A-RELEASE-RQ": lambda octets: AReleaseRQ().encode(),
    "A-RELEASE-RP": lambda octets: AReleaseRP().encode(),
    "unknown PDU": lambda octets: bytes.fromhex("09 00 00000004 00000000"),
    "HTTP": lambda octets: b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
    "TLS": lambda octets: bytes.fromhex("16 03 01 02 00 01 00 01 fc 03 03"),
    "SSH": lambda octets: b"SSH-2.0-OpenSSH_9.2\r\n",
    "A-ASSOCIATE-RQ of 4 GiB": lambda octets: bytes.fromhex("01 00 ffffffff"),
    "A-ASSOCIATE-RQ of length 0": lambda octets: bytes.fromhex("01 00 00000000"),
    "A-ASSOCIATE-RQ with an even context": lambda octets: octets.request(
        PresentationContextRQ.propose(2, VERIFICATION, (IMPLICIT,))
    ).encode(),
    "A-ASSOCIATE-RQ with an item too long": lambda octets: octets.request().encode()[:-2] + b"\xff\xff",
}


@pytest.mark.parametrize("what", UNEXPECTED)
async def test_what_is_no_association_request_is_aborted_in_sta2(scp, octets, what, autojump_clock):
    served = scp()
    said = UNEXPECTED[what](octets)
    if what.endswith("too long"):
        said = octets.request().encode().replace(b"\x51\0\0\4", b"\x51\0\xff\xff")
    await served.peer.send(said)
    assert await served.peer.pdu() == AAbort(source=0, reason=0)
    assert served.transitions[-1].endswith("AA-1 Sta13")
    served.peer.close()
    error = await served.end()
    assert isinstance(error, PeerProtocolError)
    assert "did not begin with an A-ASSOCIATE-RQ" in str(error) or "broke the protocol" in str(error)
    assert served.established == []


async def test_an_abort_in_sta2_is_not_answered(scp, octets, autojump_clock):
    served = scp()
    await served.peer.send(AAbort(source=0))
    assert await served.peer.rest() == b""
    error = await served.end()
    assert isinstance(error, ConnectionLostError)
    assert str(error) == "the peer ended the connection"


async def test_a_connection_that_says_nothing_and_goes(scp, autojump_clock):
    served = scp()
    served.peer.close()
    assert str(await served.end()) == "the peer ended the connection"


IN_STA6 = {
    "unknown PDU": (lambda octets: b"\x09", 1),
    "A-ASSOCIATE-RQ": (lambda octets: octets.request().encode(), 2),
    "A-ASSOCIATE-AC": (lambda octets: octets.accept(octets.request()).encode(), 2),
    "A-ASSOCIATE-RJ": (lambda octets: AAssociateRJ(result=1, source=1, reason=1).encode(), 2),
    "A-RELEASE-RP": (lambda octets: AReleaseRP().encode(), 2),
    "A-RELEASE-RQ of length 0": (lambda octets: bytes.fromhex("05 00 00000000"), 6),
    "A-ABORT of length 6": (lambda octets: bytes.fromhex("07 00 00000006 000000000000"), 6),
    "P-DATA-TF of length 0": (lambda octets: bytes.fromhex("04 00 00000000"), 6),
    "PDV of length 0": (lambda octets: bytes.fromhex("04 00 00000004 00000000"), 6),
    "PDV of length 1": (lambda octets: bytes.fromhex("04 00 00000005 00000001 01"), 6),
    "PDV beyond its PDU": (lambda octets: bytes.fromhex("04 00 00000008 ffffffff 01 03 0000"), 6),
    "P-DATA-TF above our maximum": (lambda octets: bytes.fromhex("04 00 00004001"), 6),
    "P-DATA-TF of 4 GiB": (lambda octets: bytes.fromhex("04 00 ffffffff"), 6),
    "context that was not proposed": (lambda octets: octets.message(FIND_REQUEST, context_id=99), 5),
    "even context": (lambda octets: octets.message(FIND_REQUEST, context_id=2), 5),
    "data set first": (lambda octets: octets.data(b"\0\0"), 5),
    "command inside a data set": (lambda octets: octets.store(b"\0\0", is_last=False) + octets.echo(), 5),
    "data set on another context": (
        lambda octets: octets.store(b"\0\0", is_last=False) + octets.data(b"\0\0", context_id=1),
        5,
    ),
    "data set that was not announced": (lambda octets: octets.echo() + octets.data(b"\0\0", context_id=1), 5),
    "empty command set": (lambda octets: bytes.fromhex("04 00 00000006 00000002 01 03"), 6),
    "garbage": (lambda octets: bytes.fromhex("04 00 00000016 00000012 01 03") + b"\x99" * 16, 6),
    "command set without end": (lambda octets: (bytes.fromhex("04 00 00004000 00003ffc 01 01") + bytes(0x3FFA)) * 5, 6),
}


@pytest.mark.parametrize("what", IN_STA6)
async def test_a_fault_in_sta6_is_aborted_with_its_reason(scp, octets, what, store, autojump_clock):
    served = scp()
    await served.associate(octets)
    said, reason = IN_STA6[what]
    await served.peer.send(said(octets))
    pdu = await served.peer.pdu()
    if isinstance(pdu, PDataTF):  # what came before the fault was performed
        assert what == "data set that was not announced"
        pdu = await served.peer.pdu()
    assert pdu == AAbort(source=2, reason=reason)
    assert served.transitions[-1].endswith("AA-8 Sta13")
    await served.peer.send(octets.echo())  # is not looked at any more
    served.peer.close()
    error = await served.end()
    assert isinstance(error, PeerProtocolError)
    assert str(error).startswith("the peer broke the protocol, so the association was aborted: ")
    assert [sink.is_abandoned for sink in store.sinks] == [True] * len(store.sinks)


async def test_a_response_that_nobody_waits_for_is_aborted_by_the_user(scp, octets, autojump_clock):
    served = scp()
    await served.associate(octets)
    response = CFindRSP(message_id_being_responded_to=3, status=0xFF00)
    await served.peer.send(octets.message(response, context_id=3))
    assert await served.peer.pdu() == AAbort(source=0, reason=0)
    served.peer.close()
    assert "C-FIND-RSP to Message ID 3, which is not outstanding" in str(await served.end())


@pytest.mark.parametrize("source", [0, 1, 2, 9])
async def test_the_peers_abort_is_not_answered(scp, octets, store, source, autojump_clock):
    served = scp()
    await served.associate(octets)
    await served.peer.send(octets.store(b"\0" * 40, is_last=False), AAbort(source=source, reason=6))
    assert await served.peer.rest() == b""
    error = await served.end()
    assert isinstance(error, AssociationAbortedError)
    assert (error.source, error.reason, error.by_peer) == (source, 6, True)
    assert store.sinks[0].is_abandoned
    assert served.transitions[-1] == "Evt16 AA-3 Sta1"


@pytest.mark.parametrize("cut", range(0, 200, 7))
async def test_the_connection_ends_wherever_it_likes(scp, octets, store, cut, autojump_clock):
    served = scp()
    await served.associate(octets)
    session = octets.echo() + octets.store(b"\0" * 100) + AReleaseRQ().encode()
    await served.peer.send(session[:cut])
    await trio.testing.wait_all_tasks_blocked()
    served.peer.close()
    error = await served.end()
    assert isinstance(error, ConnectionLostError)
    assert [sink.is_abandoned for sink in store.sinks if len(sink.octets) < 100] == [True] * (len(store.sinks))
    assert store.performed == []


async def test_a_release_that_comes_while_an_operation_goes_on_waits_for_it(scp, octets, store, autojump_clock):
    store.seconds = 5.0
    served = scp(operations_invoked=2)
    await served.peer.send(octets.request(items=(octets.window(2),)))
    assert isinstance(await served.peer.pdu(), AAssociateAC)
    await served.peer.send(octets.store(b"\0\0"), AReleaseRQ(), octets.echo())
    assert (await served.peer.message()).status == SUCCESS
    assert await served.peer.pdu() == AReleaseRP()
    served.peer.close()
    assert await served.end() is None
    assert served.transitions[-4:] == ["Evt9 AR-7 Sta8", "Evt14 AR-4 Sta13", "Evt10 AA-6 Sta13", "Evt17 AR-5 Sta1"]


async def test_an_abort_right_behind_the_release_ends_it(scp, octets, autojump_clock):
    """Both in one segment: what was received already is performed before more is awaited."""
    served = scp()
    await served.associate(octets)
    await served.peer.send(AReleaseRQ(), AAbort())
    assert await served.peer.pdu() == AReleaseRP()
    assert await served.end() is None
    assert served.transitions[-2:] == ["Evt14 AR-4 Sta13", "Evt16 AA-2 Sta1"]


async def test_release_collision_on_the_acceptors_side(streams, raw_peer, octets, nursery, autojump_clock):
    """PS3.8 7.2.2.7: an acceptor that asked for release answers the requestor's request after it was answered."""
    ours, theirs = streams()
    peer, steps = raw_peer(theirs), []
    connection = Connection(
        is_requestor=False, on_transition=lambda step: steps.append(f"{step.action.name} {step.next_state}")
    )
    association = Association(connection, StreamTransport(ours))
    await peer.send(octets.request())
    await association.perform(connection.transport_accepted())
    request = await association.association_pdu()
    await association.perform(connection.send(octets.accept(request)))
    nursery.start_soon(association.release)
    assert isinstance(await peer.pdu(), AAssociateAC)
    assert await peer.pdu() == AReleaseRQ()
    await peer.send(AReleaseRQ())
    await trio.sleep(1)
    await peer.send(AReleaseRP())
    assert await peer.pdu() == AReleaseRP()
    peer.close()
    await trio.testing.wait_all_tasks_blocked()
    assert steps[3:] == ["AR-1 Sta7", "AR-8 Sta10", "AR-10 Sta12", "AR-4 Sta13", "AR-5 Sta1"]
    assert association.failure is None


# Our own faults -----------------------------------------------------------------------------------------------------


async def test_a_handler_that_fails_ends_its_association_only(scp, octets, autojump_clock):
    async def fail(association, received):
        raise ZeroDivisionError("in the handler")

    operations = {CEchoRQ: ECHO, CFindRQ: Operation(perform=fail, sop_classes=frozenset({CT}))}
    failing, other = scp(operations=operations), scp(operations=operations)
    await failing.associate(octets)
    await other.associate(octets)
    await failing.peer.send(octets.message(FIND_REQUEST, context_id=3), octets.data(b"\0\0"))
    assert await failing.peer.pdu() == AAbort(source=0, reason=0)
    failing.peer.close()
    assert isinstance(await failing.end(), ZeroDivisionError)
    await other.peer.send(octets.echo())
    assert (await other.peer.message()).status == SUCCESS
    other.peer.close()
    await other.end()


@pytest.mark.parametrize("seconds", [0.0, 30.0], ids=["the peer closes", "the peer does not close"])
async def test_cancelled_it_aborts_and_does_not_wait_for_long(scp, octets, store, seconds, autojump_clock):
    store.seconds = 1000.0
    served = scp()
    await served.associate(octets)
    await served.peer.send(octets.store(b"\0\0"))
    await trio.testing.wait_all_tasks_blocked()
    served.scope.cancel()
    start = trio.current_time()
    assert await served.peer.pdu() == AAbort(source=0, reason=0)
    await trio.sleep(seconds)
    served.peer.close()
    await served.end()
    assert served.ended_at - start == (2.0 if seconds else 0.0)


async def test_cancelled_before_there_is_an_association_it_closes(scp, autojump_clock):
    served = scp()
    await trio.testing.wait_all_tasks_blocked()
    served.scope.cancel()
    assert await served.peer.rest() == b""
    assert await served.end() is None


async def test_an_observer_that_fails_ends_its_association_only(scp, octets, autojump_clock):
    served = scp()

    def fail(association):
        raise ZeroDivisionError("in the observer")

    observers = dataclasses.replace(served.acceptor.observers, established=fail)
    served.acceptor = dataclasses.replace(served.acceptor, observers=observers)
    await served.peer.send(octets.request())
    assert isinstance(await served.peer.pdu(), AAssociateAC)
    assert await served.peer.pdu() == AAbort(source=0, reason=0)
    served.peer.close()
    assert isinstance(await served.end(), ZeroDivisionError)
