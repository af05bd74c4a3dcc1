"""C-MOVE as SCU: sub-operations as the peer counts them, however it counts (PS3.4 C.4.2.1.6 to 9, C.4.2.2)."""

import pytest
import trio

from dulcet.dimse.messages import CMoveRQ
from dulcet.dimse.uids import STUDY_ROOT_MOVE
from dulcet.errors import ConnectionLostError, PeerProtocolError, PeerTimeoutError
from dulcet.services.data_sets import MAX_IDENTIFIER_OCTETS
from dulcet.services.move import move, move_contexts
from dulcet.services.querying.identifiers import encode_identifier
from dulcet.services.requestor import associate
from dulcet.services.retrieving.responses import FOR_EVER, Patience
from dulcet.services.retrieving.retrieve import SubOperations

IMPLICIT = "1.2.840.10008.1.2"
CONTEXTS = move_contexts([STUDY_ROOT_MOVE])
KEYS = {0x00080052: "STUDY", 0x0020000D: "1.2.3"}
FAILED_LIST = 0x00080058
PENDING, SUCCESS, CANCEL, WARNING = 0xFF00, 0, 0xFE00, 0xB000


async def moved(network, *, patience=FOR_EVER):
    """(the retrieval when it was over, what was counted on the way, what the peer got wrong)."""
    try:
        async with associate(network.peer, CONTEXTS) as association:
            async with move(association, STUDY_ROOT_MOVE, KEYS, "DEST", patience=patience) as retrieval:
                counts = [counts async for counts in retrieval]
            return retrieval, counts, [deviation.explanation for deviation in association.deviations]
    finally:
        await network.finished()


async def test_the_request_and_sub_operations_as_they_come(answering, autojump_clock):
    async def play(scp):
        request = await scp.next_request()
        assert request == CMoveRQ(affected_sop_class_uid=STUDY_ROOT_MOVE, message_id=1, move_destination="DEST")
        assert {tag: scp.identifier.text(tag) for tag in scp.identifier.elements} == KEYS
        for done in range(3):
            await scp.send(scp.counted(PENDING, 3 - done, done))
        await scp.send(scp.counted(SUCCESS, None, 3))
        await scp.release()

    retrieval, counts, deviations = await moved(answering(play))
    assert [(each.remaining, each.completed, each.total) for each in counts] == [(3, 0, 3), (2, 1, 3), (1, 2, 3)]
    assert retrieval.sub_operations == SubOperations(completed=3)
    assert (retrieval.final.status, retrieval.failure, retrieval.failed_instances) == (SUCCESS, None, ())
    assert not retrieval.is_empty
    assert deviations == []


async def test_a_final_response_alone(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.response(SUCCESS))
        await scp.release()

    retrieval, counts, deviations = await moved(answering(play))
    assert (counts, retrieval.sub_operations, deviations) == ([], SubOperations(), [])
    assert not retrieval.is_empty  # it did not say how many


async def test_nothing_matched(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(SUCCESS, None, 0))
        await scp.release()

    retrieval, _, _ = await moved(answering(play))
    assert retrieval.is_empty


async def test_some_failed(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        failed = encode_identifier({FAILED_LIST: "1.2.3.4\\1.2.3.5"}, IMPLICIT)
        await scp.send(scp.counted(WARNING, None, 7, 2, 1, data_set=failed))
        await scp.release()

    retrieval, _, deviations = await moved(answering(play))
    assert retrieval.failed_instances == ("1.2.3.4", "1.2.3.5")
    assert retrieval.sub_operations == SubOperations(completed=7, failed=2, warning=1)
    assert (retrieval.failure, deviations) == (None, [])


@pytest.mark.parametrize(
    ("status", "exit_code"), [(0xA801, 77), (0xA701, 75), (0xA702, 75), (0xA900, 76), (0xC000, 76), (0x0122, 77)]
)
async def test_a_failure_is_not_raised_but_told(answering, status, exit_code, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.response(status))
        await scp.release()

    retrieval, _, _ = await moved(answering(play))
    assert (retrieval.failure.status, retrieval.failure.exit_code) == (status, exit_code)


async def test_cancelled(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(PENDING, 9, 1))
        await scp.cancel()
        await scp.send(scp.counted(PENDING, 8, 2) + scp.counted(CANCEL, 8, 2))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        async with move(association, STUDY_ROOT_MOVE, KEYS, "DEST") as retrieval:
            async for counts in retrieval:
                if counts.completed == 1:
                    await retrieval.cancel()
        assert retrieval.final.status == CANCEL
        assert retrieval.sub_operations == SubOperations(remaining=8, completed=2)
    await network.finished()


# Counters -----------------------------------------------------------------------------------------------------------


def backwards(what, before, after):
    return f"the counter of {what} sub-operations ran back from {before} to {after}"


async def test_counters_that_run_backwards_stay_where_they_were(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(PENDING, 5, 5, 1) + scp.counted(PENDING, 6, 4, 0) + scp.counted(PENDING, 3, 7, 1))
        await scp.send(scp.counted(SUCCESS, None, 6, 1))
        await scp.release()

    retrieval, counts, deviations = await moved(answering(play))
    assert [(each.completed, each.failed) for each in counts] == [(5, 1), (5, 1), (7, 1)]
    assert retrieval.sub_operations.completed == 7
    assert deviations == [
        backwards("completed", 5, 4),
        backwards("failed", 1, 0),
        "6 remain after 5",
        backwards("completed", 7, 6),
    ]


async def test_counters_that_overflow_go_on(answering, autojump_clock):
    """A counter has 16 bits (VR US), and an archive may have more than 65,535 instances."""

    async def play(scp):
        await scp.next_request()
        for completed in (65534, 65535, 0, 1, 40000, 7):
            await scp.send(scp.counted(PENDING, 65535, completed))
        await scp.send(scp.counted(SUCCESS, None, 8))
        await scp.release()

    retrieval, counts, deviations = await moved(answering(play))
    assert [each.completed for each in counts] == [65534, 65535, 65536, 65537, 105536, 131079]
    assert retrieval.sub_operations.completed == 131080
    assert deviations == []


async def test_counters_that_stop_at_their_highest_value(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(PENDING, 0, 65535) + scp.counted(PENDING, 0, 65535))
        await scp.send(scp.counted(SUCCESS, None, 65535))
        await scp.release()

    retrieval, _, deviations = await moved(answering(play))
    assert (retrieval.sub_operations.completed, deviations) == (65535, [])


async def test_a_pending_response_without_counters(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(PENDING, 2, 1) + scp.response(PENDING) + scp.counted(SUCCESS, None, 3))
        await scp.release()

    retrieval, counts, deviations = await moved(answering(play))
    assert counts[1] == SubOperations(completed=1)
    assert deviations == ["a pending C-MOVE-RSP does not tell all four counters"]
    assert retrieval.sub_operations.completed == 3


async def test_a_final_response_that_counts_what_remains(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(SUCCESS, 0, 3))
        await scp.release()

    retrieval, _, deviations = await moved(answering(play))
    assert (retrieval.sub_operations, deviations) == (SubOperations(remaining=0, completed=3), [])


# Identifiers --------------------------------------------------------------------------------------------------------


async def test_a_pending_response_with_an_identifier(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(
            scp.counted(PENDING, 1, 0, data_set=encode_identifier({FAILED_LIST: "1.2"}, IMPLICIT))
            + scp.counted(SUCCESS, None, 1)
        )
        await scp.release()

    _, counts, deviations = await moved(answering(play))
    assert (len(counts), deviations) == (1, ["a pending C-MOVE-RSP with an identifier"])


@pytest.mark.parametrize(
    ("data_set", "instances", "deviations"),
    [
        (b"", (), ["a fragment without octets"]),
        (b"\x08\0\x58\0\xff\xff\0\0001.", (), ["the list of failed instances can't be read: PS3.5 7: (0008,0058):"]),
        (
            encode_identifier({FAILED_LIST: "1.2.3\\../../etc/passwd\\\\1.2.4"}, IMPLICIT),
            ("1.2.3", "1.2.4"),
            ["what is no UID among the failed instances"],
        ),
        (encode_identifier({0x00100010: "X"}, IMPLICIT), (), []),
    ],
    ids=["empty", "truncated", "no UIDs", "without the list"],
)
async def test_the_list_of_failed_instances(answering, data_set, instances, deviations, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(WARNING, None, 1, 2, data_set=data_set))
        await scp.release()

    retrieval, _, found = await moved(answering(play))
    assert retrieval.failed_instances == instances
    assert len(found) == len(deviations)
    assert all(text.startswith(expected) for text, expected in zip(found, deviations, strict=True))


async def test_a_list_of_twenty_thousand_failed_instances(answering, autojump_clock):
    uids = tuple(f"1.2.826.0.1.3680043.9.1{number:040}" for number in range(20000))
    failed = encode_identifier({FAILED_LIST: "\\".join(uids)}, IMPLICIT)
    assert len(failed) > MAX_IDENTIFIER_OCTETS

    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(0xA702, None, 0, 20000, data_set=failed))
        await scp.release()

    retrieval, _, _ = await moved(answering(play))
    assert retrieval.failed_instances == uids


# Faults -------------------------------------------------------------------------------------------------------------


async def test_no_response_in_time(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(PENDING, 1, 0))
        await scp.peer.rest()

    with pytest.raises(PeerTimeoutError, match="no response to the C-MOVE within 40 s"):
        await moved(answering(play), patience=Patience(response=40))


async def test_no_time_is_too_long_without_a_limit(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await trio.sleep(3600)
        await scp.send(scp.counted(SUCCESS, None, 1))
        await scp.release()

    retrieval, _, _ = await moved(answering(play))
    assert retrieval.sub_operations.completed == 1


async def test_the_connection_is_lost(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.counted(PENDING, 1, 4))

    with pytest.raises(ConnectionLostError):
        await moved(answering(play))


@pytest.mark.parametrize("at_once", [True, False])
async def test_two_final_responses(answering, at_once, autojump_clock):
    async def play(scp):
        await scp.next_request()
        final = scp.counted(SUCCESS, None, 1)
        await scp.send(final)
        if at_once:
            await scp.send(final)
        else:
            await scp.peer.pdu()
            await scp.send(final)
        await scp.peer.rest()

    with pytest.raises(PeerProtocolError, match=r"after the final one|not outstanding"):
        await moved(answering(play))
