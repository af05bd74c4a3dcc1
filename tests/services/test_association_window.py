"""Several operations at once (PS3.7 7.3, D.3.3.3): both sides, any order of responses, no more than agreed."""

import pytest
import trio

from dulcet.dimse.messages import CStoreRQ
from dulcet.dimse.status import SUCCESS
from dulcet.errors import AssociationAbortedError, PeerProtocolError
from dulcet.services.association import MAX_OPERATIONS
from dulcet.services.data_sets import BytesSource
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.requestor import associate
from dulcet.services.store import start_store, store
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.pdu import AAbort, AAssociateAC, AReleaseRP, AReleaseRQ

CT, IMPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2"
CONTEXTS = (VERIFICATION_CONTEXT, PresentationContextRQ.propose(3, CT, (IMPLICIT,)))


def accepting(octets, then, *items):
    async def script(peer):
        await peer.send(octets.accept(await peer.pdu(), items=items))
        await then(peer)

    return script


async def releases(peer):
    assert await peer.pdu() == AReleaseRQ()
    await peer.send(AReleaseRP())
    assert await peer.rest() == b""


def answer(octets, message, status=SUCCESS):
    return octets.message(message.response(status=status), context_id=3)


# As requestor -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proposed", "accepted", "expected"),
    [
        pytest.param(None, None, 1, id="not asked for"),
        pytest.param(4, None, 1, id="not answered"),
        pytest.param(None, 4, 1, id="answered without being asked"),
        pytest.param(4, 3, 3, id="fewer than asked for"),
        pytest.param(4, 9, 4, id="more than asked for"),
        pytest.param(4, 0, 4, id="any number, more than asked for"),
        pytest.param(0, 0, MAX_OPERATIONS, id="any number"),
        pytest.param(0, 7, 7, id="seven of any number"),
    ],
)
async def test_how_many_operations_were_agreed_on(network, octets, proposed, accepted, expected, autojump_clock):
    network.script = accepting(octets, releases, *([] if accepted is None else [octets.window(accepted)]))
    ours = [] if proposed is None else [octets.window(proposed)]
    async with associate(network.peer, CONTEXTS, user_items=ours) as association:
        assert association.window == expected
    await network.finished()


async def test_responses_in_any_order_come_to_who_asked(network, octets, autojump_clock):
    async def then(peer):
        messages = [(await peer.whole_message())[0] for _ in range(3)]
        for index in (1, 2, 0):
            await peer.send(answer(octets, messages[index], 0xB000 + index))
        await releases(peer)

    network.script = accepting(octets, then, octets.window(3))
    async with associate(network.peer, CONTEXTS, user_items=(octets.window(3),)) as association:
        pending = [
            await start_store(
                association, 3, sop_class_uid=CT, sop_instance_uid=f"2.25.{index}", data_set=BytesSource(b"\0\0")
            )
            for index in range(3)
        ]
        assert [(await each.response()).status for each in pending] == [0xB000, 0xB001, 0xB002]
    await network.finished()


async def test_the_window_is_never_exceeded(network, octets, autojump_clock):
    most = 0

    async def then(peer):
        nonlocal most
        for _ in range(4):
            messages = []
            with trio.move_on_after(1):
                while True:
                    messages.append((await peer.whole_message())[0])
            most = max(most, len(messages))
            for message in messages:
                await peer.send(answer(octets, message))
        await releases(peer)

    network.script = accepting(octets, then, octets.window(3))

    async def send(association):
        await store(association, 3, sop_class_uid=CT, sop_instance_uid="2.25.7", data_set=BytesSource(b"\0\0"))

    async with (
        associate(network.peer, CONTEXTS, user_items=(octets.window(3),)) as association,
        trio.open_nursery() as nursery,
    ):
        for _ in range(12):
            nursery.start_soon(send, association)
    assert most == 3


async def test_message_ids_go_round_and_skip_what_is_outstanding(network, octets, autojump_clock):
    network.script = accepting(octets, releases)
    async with associate(network.peer, CONTEXTS) as association:
        assert [association.next_message_id() for _ in range(3)] == [1, 2, 3]
        association._message_id = 0xFFFE
        association._responses[1] = None
        assert [association.next_message_id() for _ in range(3)] == [0xFFFF, 2, 3]
        del association._responses[1]


async def test_a_task_that_reads_for_all_may_be_cancelled(network, octets, autojump_clock):
    async def then(peer):
        messages = [(await peer.whole_message())[0] for _ in range(2)]
        await trio.sleep(10)
        await peer.send(answer(octets, messages[1]))
        await peer.send(answer(octets, messages[0]))
        await releases(peer)

    network.script = accepting(octets, then, octets.window(2))
    async with associate(network.peer, CONTEXTS, user_items=(octets.window(2),)) as association:
        requests = [
            CStoreRQ(affected_sop_class_uid=CT, message_id=number, affected_sop_instance_uid="2.25.7")
            for number in (1, 2)
        ]
        for request in requests:
            await association.start(3, request, BytesSource(b"\0\0"))

        async def first_reader():
            with trio.move_on_after(5):
                await association.response_to(1)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(first_reader)
            await trio.testing.wait_all_tasks_blocked()
            assert (await association.response_to(2)).message.message_id == 2
        assert (await association.response_to(1)).message.message_id == 1
        for request in requests:
            association.finish(request.message_id)
    await network.finished()


@pytest.mark.parametrize("abort", [AAbort(source=0), None], ids=["abort", "fault"])
async def test_the_end_comes_to_every_task_that_waits(network, octets, abort, autojump_clock):
    async def then(peer):
        for _ in range(2):
            await peer.whole_message()
        await peer.send(abort or b"\x99")
        await peer.rest()

    network.script = accepting(octets, then, octets.window(2))
    errors = []

    async def send(association):
        try:
            await association.invoke(
                3,
                CStoreRQ(
                    affected_sop_class_uid=CT,
                    message_id=association.next_message_id(),
                    affected_sop_instance_uid="2.25.7",
                ),
                BytesSource(b"\0\0"),
            )
        except (AssociationAbortedError, PeerProtocolError) as error:
            errors.append(error)

    async with (
        associate(network.peer, CONTEXTS, user_items=(octets.window(2),)) as association,
        trio.open_nursery() as nursery,
    ):
        for _ in range(5):  # two outstanding, three wait for the window
            nursery.start_soon(send, association)
    assert errors == [association.failure] * 5


async def test_abort_while_another_task_reads(network, octets, autojump_clock):
    """The peer does not close: ARTIM ends it for both, though only one of them reads."""

    async def then(peer):
        await peer.message()
        assert await peer.pdu() == AAbort(source=0, reason=0)
        await trio.sleep(1000)

    network.script = accepting(octets, then)
    async with associate(network.peer, CONTEXTS) as association:
        start = trio.current_time()

        async def wait():
            with pytest.raises(AssociationAbortedError) as caught:
                await echo(association)
            assert not caught.value.by_peer

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await association.abort()
        assert trio.current_time() - start == 10.0
        assert association.connection.state.number == 1


# As acceptor --------------------------------------------------------------------------------------------------------


async def associated(served, octets, window):
    await served.peer.send(octets.request(items=(octets.window(window),)))
    accepted = await served.peer.pdu()
    assert isinstance(accepted, AAssociateAC)
    return accepted.asynchronous_operations_window


@pytest.mark.parametrize(
    ("offered", "ours", "agreed"), [(3, 5, 3), (5, 3, 3), (0, 3, 3), (3, 0, 3), (0, 0, 0), (3, 1, 1)]
)
async def test_what_an_acceptor_agrees_to(scp, octets, offered, ours, agreed, autojump_clock):
    served = scp(operations_invoked=ours)
    window = await associated(served, octets, offered)
    assert window.maximum_number_operations_invoked == agreed
    assert served.association.performed_window == (agreed or MAX_OPERATIONS)
    served.peer.close()
    await served.end()


async def test_operations_go_on_at_once_and_are_answered_as_they_end(scp, octets, store, autojump_clock):
    served = scp(operations_invoked=3)
    seconds = {1: 9.0, 2: 1.0, 3: 5.0}

    async def perform(association, received):
        message = received.message
        await trio.sleep(seconds[message.message_id])
        await association.send(3, message.response(status=SUCCESS))

    store.perform = perform
    await associated(served, octets, 3)
    start = trio.current_time()
    await served.peer.send(*(octets.store(b"\0\0", message_id=number) for number in (1, 2, 3)))
    answered = [((await served.peer.message()).message_id, trio.current_time() - start) for _ in range(3)]
    assert answered == [(2, 1.0), (3, 5.0), (1, 9.0)]
    await served.peer.send(AReleaseRQ())
    assert isinstance(await served.peer.pdu(), AReleaseRP)
    served.peer.close()
    assert await served.end() is None


async def test_no_more_at_once_than_agreed(scp, octets, store, autojump_clock):
    served = scp(operations_invoked=2)
    under_way, most = 0, 0

    async def perform(association, received):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await trio.sleep(1.0)
        under_way -= 1
        await association.send(3, received.message.response(status=SUCCESS))

    store.perform = perform
    await associated(served, octets, 2)
    await served.peer.send(*(octets.store(b"\0\0", message_id=number) for number in range(1, 9)))
    assert sorted([(await served.peer.message()).message_id for _ in range(8)]) == list(range(1, 9))
    assert most == 2
    served.peer.close()
    await served.end()


async def test_a_message_id_that_is_outstanding_is_a_duplicate_invocation(scp, octets, store, autojump_clock):
    store.seconds = 5.0
    served = scp(operations_invoked=3)
    await associated(served, octets, 3)
    await served.peer.send(octets.store(b"\0\0", message_id=7), octets.store(b"\1\1", message_id=7), octets.echo(7))
    answers = [await served.peer.message() for _ in range(3)]
    assert [(each.NAME, each.message_id, each.status) for each in answers] == [
        ("C-STORE-RSP", 7, 0x0210),
        ("C-ECHO-RSP", 7, 0x0210),
        ("C-STORE-RSP", 7, SUCCESS),
    ]
    assert [sink.is_abandoned for sink in store.sinks] == [False, True]
    await served.peer.send(octets.store(b"\0\0", message_id=7))  # it is free again
    assert (await served.peer.message()).status == SUCCESS
    served.peer.close()
    await served.end()


async def test_a_handler_that_fails_ends_the_others_of_its_association(scp, octets, store, autojump_clock):
    served = scp(operations_invoked=3)

    async def perform(association, received):
        await trio.sleep(received.message.message_id)
        raise ZeroDivisionError

    store.perform = perform
    await associated(served, octets, 3)
    await served.peer.send(*(octets.store(b"\0\0", message_id=number) for number in (9, 2, 8, 7)))
    assert await served.peer.pdu() == AAbort(source=0, reason=0)
    served.peer.close()
    assert isinstance(await served.end(), ZeroDivisionError)
    assert [sink.is_abandoned for sink in store.sinks] == [True] * 4  # the last waited for a place


async def test_the_peers_end_while_operations_go_on(scp, octets, store, autojump_clock):
    store.seconds = 100.0
    served = scp(operations_invoked=3)
    await associated(served, octets, 3)
    await served.peer.send(octets.store(b"\0\0", message_id=1), octets.store(b"\0\0", message_id=2, is_last=False))
    await trio.testing.wait_all_tasks_blocked()
    await served.peer.send(AAbort(source=0))
    start = trio.current_time()
    assert isinstance(await served.end(), AssociationAbortedError)
    assert served.ended_at == start
    assert store.performed == []
    assert [sink.is_abandoned for sink in store.sinks] == [True, True]


async def test_cancelled_while_operations_go_on_and_one_waits_for_a_place(scp, octets, store, autojump_clock):
    store.seconds = 100.0
    served = scp(operations_invoked=2)
    await associated(served, octets, 2)
    await served.peer.send(*(octets.store(b"\0\0", message_id=number) for number in range(3)))
    await trio.testing.wait_all_tasks_blocked()
    served.scope.cancel()
    assert await served.peer.pdu() == AAbort(source=0, reason=0)
    served.peer.close()
    assert await served.end() is None
    assert [sink.is_abandoned for sink in store.sinks] == [True, True, True]
