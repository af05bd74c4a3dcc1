"""C-FIND as SCU: matches as they come, and every way to stop before the last (PS3.4 C.4.1.2, PS3.7 9.1.2, 9.3.2)."""

import gc
import resource
from pathlib import Path

import pytest
import trio

from dulcet.dimse.messages import CFindRQ
from dulcet.dimse.uids import MODALITY_WORKLIST, PATIENT_ROOT_FIND, STUDY_ROOT_FIND
from dulcet.errors import DecodeError, NoAcceptedContextError, OperationFailedError
from dulcet.services.find import QueryOptions, context_for, find, find_contexts
from dulcet.services.requestor import associate
from dulcet.ul.items import SOPClassExtendedNegotiation

CONTEXTS = find_contexts([STUDY_ROOT_FIND])
NAME, LEVEL, STUDY = 0x00100010, 0x00080052, 0x0020000D
KEYS = {LEVEL: "STUDY", NAME: "DOE*", STUDY: ""}
CANCEL, SUCCESS = 0xFE00, 0


async def names(matches):
    return [match.text(NAME) async for match in matches]


async def test_a_match_is_there_before_the_next_is_sent(answering, autojump_clock):
    seen = [trio.Event() for _ in range(3)]

    async def play(scp):
        await scp.next_request()
        for number in range(3):
            await scp.send(scp.match(f"N{number}"))
            await seen[number].wait()
        await scp.send(scp.response(SUCCESS))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        found = []
        async for match in find(association, STUDY_ROOT_FIND, KEYS):
            found.append(match.text(NAME))
            seen[len(found) - 1].set()
        assert found == ["N0", "N1", "N2"]
    await network.finished()


async def test_the_request(answering, autojump_clock):
    async def play(scp):
        request = await scp.next_request()
        assert request == CFindRQ(affected_sop_class_uid=STUDY_ROOT_FIND, message_id=1, priority=2)
        assert {tag: scp.identifier.text(tag) for tag in scp.identifier.elements} == KEYS
        await scp.send(scp.response(SUCCESS))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        matches = find(association, STUDY_ROOT_FIND, KEYS, priority=2)
        assert await names(matches) == []
        assert (matches.count, matches.final.status, matches.is_cancelled) == (0, SUCCESS, False)
    await network.finished()


async def test_several_queries_on_one_association(answering, autojump_clock):
    async def play(scp):
        for number in range(3):
            await scp.next_request()
            await scp.send(scp.match(f"N{number}") + scp.response(SUCCESS))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        assert [await names(find(association, STUDY_ROOT_FIND, KEYS)) for _ in range(3)] == [["N0"], ["N1"], ["N2"]]
    await network.finished()


async def test_an_optional_key_was_not_supported(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match(status=0xFF01) + scp.response(SUCCESS))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        assert [match.status async for match in find(association, STUDY_ROOT_FIND, KEYS)] == [0xFF01]
    await network.finished()


async def test_a_match_that_cannot_be_read_is_one_match(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A") + scp.response(0xFF00, b"\x10\0\x10\0PN\xff\xff!!") + scp.match("C"))
        await scp.send(scp.response(SUCCESS))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        matches = [match async for match in find(association, STUDY_ROOT_FIND, KEYS)]
    assert [matches[0].text(NAME), matches[2].text(NAME)] == ["A", "C"]
    with pytest.raises(DecodeError, match="65535 octets promised, 2 present"):
        matches[1].text(NAME)
    await network.finished()


@pytest.mark.parametrize(
    ("status", "exit_code", "meaning"),
    [
        (0xA700, 75, "Out of resources"),
        (0xA900, 76, "does not match SOP Class"),
        (0xC001, 76, "Unable to process"),
        (0x0122, 77, "SOP Class not supported"),
        (0x0124, 77, "Not authorized"),
    ],
)
async def test_a_failure_is_raised_after_the_matches_before_it(answering, status, exit_code, meaning, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A") + scp.response(status, error_comment="no\x1b[31m index"))
        await scp.release()

    network = answering(play)
    found = []

    async def query(association):
        async for match in find(association, STUDY_ROOT_FIND, KEYS):
            found.append(match.text(NAME))  # noqa: PERF401

    async with associate(network.peer, CONTEXTS) as association:
        with pytest.raises(OperationFailedError, match=meaning) as failure:
            await query(association)
        assert association.deviations == []
    assert found == ["A"]
    assert (failure.value.status, failure.value.exit_code) == (status, exit_code)
    assert r"the peer says: no\x1b[31m index" in str(failure.value)
    await network.finished()


async def test_no_context_for_the_model(answering, octets, autojump_clock):
    async def play(scp):
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        with pytest.raises(NoAcceptedContextError, match="Patient Root"):
            find(association, PATIENT_ROOT_FIND, KEYS)
        assert context_for(association, STUDY_ROOT_FIND).context_id == 1
    await network.finished()


# Stopping before the end --------------------------------------------------------------------------------------------


async def test_leaving_the_block_cancels_and_reads_to_the_final_response(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A") + scp.match("B"))
        cancel = await scp.cancel()
        assert not cancel.has_data_set
        await scp.send(scp.match("C") + scp.match("D") + scp.match("E") + scp.response(CANCEL))
        await scp.next_request()  # the association goes on
        await scp.send(scp.match("F") + scp.response(SUCCESS))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        async with find(association, STUDY_ROOT_FIND, KEYS) as matches:
            async for match in matches:
                assert match.text(NAME) == "A"
                break
        assert (matches.final.status, matches.is_cancelled) == (CANCEL, True)
        assert await names(find(association, STUDY_ROOT_FIND, KEYS)) == ["F"]
    await network.finished()


async def test_the_cancel_request_goes_out_on_the_context_of_the_query(answering, autojump_clock):
    async def play(scp):
        scp.context_id = 3
        await scp.next_request()
        await scp.send(scp.match())
        (value,) = (await scp.peer.pdu()).values
        assert (value.context_id, value.is_command, value.is_last) == (3, True, True)
        await scp.send(scp.response(CANCEL))
        await scp.release()

    network = answering(play)
    contexts = find_contexts([PATIENT_ROOT_FIND, STUDY_ROOT_FIND])
    async with (
        associate(network.peer, contexts) as association,
        find(association, STUDY_ROOT_FIND, KEYS) as matches,
    ):
        async for _ in matches:
            break
    await network.finished()


@pytest.mark.parametrize("next_use", ["release", "query"])
async def test_a_plain_loop_that_is_left_cancels_before_the_association_is_used_again(
    answering, next_use, autojump_clock
):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A") + scp.match("B"))
        await scp.cancel()
        await scp.send(scp.response(CANCEL))
        if next_use == "query":
            await scp.next_request()
            await scp.send(scp.match("C") + scp.response(SUCCESS))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        async for match in find(association, STUDY_ROOT_FIND, KEYS):
            assert match.text(NAME) == "A"
            break
        gc.collect()
        if next_use == "query":
            assert await names(find(association, STUDY_ROOT_FIND, KEYS)) == ["C"]
    await network.finished()


async def test_a_loop_that_is_left_while_somebody_still_has_the_query(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A") + scp.match("B"))
        await scp.cancel()
        await scp.send(scp.match("C") + scp.response(CANCEL))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        matches = find(association, STUDY_ROOT_FIND, KEYS)
        async for _ in matches:
            break
    assert matches.final.status == CANCEL
    await network.finished()


async def test_after_the_limit_the_query_is_cancelled(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(*(scp.match(str(number)) for number in range(5)))
        await scp.cancel()
        await scp.send(scp.response(CANCEL))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        matches = find(association, STUDY_ROOT_FIND, KEYS, limit=3)
        assert await names(matches) == ["0", "1", "2"]
        assert (matches.count, matches.is_cancelled, matches.final.status) == (3, True, CANCEL)
    await network.finished()


async def test_a_limit_that_is_not_reached_cancels_nothing(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A") + scp.response(SUCCESS))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        matches = find(association, STUDY_ROOT_FIND, KEYS, limit=2)
        assert await names(matches) == ["A"]
        assert not matches.is_cancelled
    await network.finished()


async def test_a_cancelled_query_brings_what_comes_until_the_peer_stops(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A"))
        await scp.cancel()
        await scp.send(scp.match("B") + scp.response(CANCEL))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        matches = find(association, STUDY_ROOT_FIND, KEYS)
        found = []
        async for match in matches:
            found.append(match.text(NAME))
            await matches.cancel()  # the second time nothing happens
        assert (found, matches.final.status) == (["A", "B"], CANCEL)
        await matches.cancel()
        await matches.aclose()
    await network.finished()


@pytest.mark.parametrize("status", [CANCEL, SUCCESS, 0xC001])
async def test_a_peer_that_was_cancelled_may_end_as_it_likes(answering, status, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A"))
        await scp.cancel()
        await scp.send(scp.response(status))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        async with find(association, STUDY_ROOT_FIND, KEYS) as matches:
            async for _ in matches:
                break
        assert matches.final.status == status
    await network.finished()


async def test_cancelled_by_the_caller_the_association_can_go_on(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A"))
        await scp.cancel()
        await scp.send(scp.match("B") + scp.response(CANCEL))
        await scp.next_request()
        await scp.send(scp.match("C") + scp.response(SUCCESS))
        await scp.release()

    network = answering(play)
    found = []
    async with associate(network.peer, CONTEXTS) as association:
        with trio.move_on_after(5) as scope:
            async with find(association, STUDY_ROOT_FIND, KEYS) as matches:
                async for match in matches:
                    found.append(match.text(NAME))  # noqa: PERF401
        assert scope.cancelled_caught
        assert await names(find(association, STUDY_ROOT_FIND, KEYS)) == ["C"]
    assert found == ["A"]
    await network.finished()


async def test_an_error_in_the_block_cancels_the_query_and_goes_on(answering, autojump_clock):
    async def play(scp):
        await scp.next_request()
        await scp.send(scp.match("A"))
        await scp.cancel()
        await scp.send(scp.response(CANCEL))
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        with pytest.raises(ZeroDivisionError):
            await fail_in_the_block(association)
    await network.finished()


async def fail_in_the_block(association):
    async with find(association, STUDY_ROOT_FIND, KEYS) as matches:
        async for match in matches:
            len(match.octets) / 0


async def test_a_query_that_was_never_begun_needs_no_end(answering, autojump_clock):
    async def play(scp):
        await scp.release()

    network = answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        async with find(association, STUDY_ROOT_FIND, KEYS) as matches:
            await matches.cancel()
        find(association, STUDY_ROOT_FIND, KEYS)
    await network.finished()


# Extended negotiation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sop_class", "expected"),
    [
        ({}, STUDY_ROOT_FIND, None),
        ({"relational": True}, STUDY_ROOT_FIND, b"\1"),
        ({"fuzzy": True}, STUDY_ROOT_FIND, b"\0\0\1\0"),
        ({"date_time": True, "relational": True}, PATIENT_ROOT_FIND, b"\1\1\0\0"),
        ({"timezone": True}, STUDY_ROOT_FIND, b"\0\0\0\1"),
        ({"fuzzy": True}, MODALITY_WORKLIST, b"\1\1\1\0"),
    ],
)
def test_what_is_asked_for_as_octets(options, sop_class, expected):
    item = QueryOptions(**options).item(sop_class)
    assert (None if item is None else item.service_class_application_information) == expected


@pytest.mark.parametrize(
    ("answer", "agreed"),
    [
        (None, []),
        (b"", []),
        (b"\0", []),
        (b"\1", ["relational queries"]),
        (b"\1\1\0\1", ["relational queries", "combined date-time matching"]),
        (b"\1\1\1\1\1", ["relational queries", "combined date-time matching", "fuzzy matching of names"]),
        (b"\2\1", ["combined date-time matching"]),
    ],
)
async def test_only_what_was_asked_for_and_answered_is_agreed(answering, answer, agreed, autojump_clock):
    async def play(scp):
        await scp.release()

    item = SOPClassExtendedNegotiation(
        sop_class_uid=STUDY_ROOT_FIND, service_class_application_information=answer or b""
    )
    network = answering(play, *([] if answer is None else [item]))
    asked = QueryOptions(relational=True, date_time=True, fuzzy=True)
    async with associate(network.peer, CONTEXTS, user_items=[asked.item(STUDY_ROOT_FIND)]) as association:
        assert asked.agreed(association, STUDY_ROOT_FIND).names() == agreed
    await network.finished()


# Amount -------------------------------------------------------------------------------------------------------------


def resident_octets():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def test_a_hundred_thousand_matches_take_no_more_memory_than_a_few(answering, network):
    total, block = 100_000, 500
    network.one_way = None  # sockets: the kernel's buffers are all that is between

    async def play(scp):
        await scp.next_request()
        octets = scp.match() * block
        for _ in range(total // block):
            await scp.send(octets)
        await scp.send(scp.response(SUCCESS))
        await scp.release()

    answering(play)
    async with associate(network.peer, CONTEXTS) as association:
        matches = find(association, STUDY_ROOT_FIND, KEYS)
        memory = []
        async for _ in matches:
            if matches.count in (10_000, total):
                memory.append(resident_octets())  # noqa: PERF401
    assert matches.count == total
    assert memory[1] - memory[0] < 3_000_000  # thirty octets a match; one holds a hundred
    await network.finished()
