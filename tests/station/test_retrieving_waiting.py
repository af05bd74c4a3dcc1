"""How long a retrieval waits: for arrivals after the final response, and for a request that shows no sign of life."""

from dataclasses import dataclass

import pytest
import trio

from dulcet.dimse.messages import CStoreRQ
from dulcet.errors import OperationFailedError, PeerTimeoutError, StorageError
from dulcet.services.querying.query_models import Level
from dulcet.services.requestor import Peer
from dulcet.services.retrieving.retrieve import SubOperations
from dulcet.services.storing.placing import StoredObject
from dulcet.station.query.asking import Conversation, QuerySettings
from dulcet.station.retrieval.attempts import Attempt
from dulcet.station.retrieval.retriever import RetrieveOptions, Retriever
from dulcet.station.retrieval.tally import Tally
from dulcet.station.retrieval.targets import Target

CT = "1.2.840.10008.5.1.4.1.1.2"
PEER = Peer(host="pacs.example", port=104, ae_title="PACS")


@dataclass
class Receiver:
    is_busy: bool = False
    is_ours: bool = True

    def is_receiving(self):
        return self.is_busy


def arrive(tally, uid, tmp_path, octets=10):
    request = CStoreRQ(affected_sop_class_uid=CT, message_id=1, affected_sop_instance_uid=uid)
    stored = StoredObject(
        folder=str(tmp_path), name=uid, octets=octets, sop_class_uid=CT, sop_instance_uid=uid, transfer_syntax_uid="1.2"
    )
    tally(None, request, stored)


def refuse(tally, uid, status=0xA700):
    request = CStoreRQ(affected_sop_class_uid=CT, message_id=1, affected_sop_instance_uid=uid)
    tally(None, request, StorageError("the disk is full", status=status))


@pytest.fixture
def target():
    uids = tuple(f"1.2.3.{number}" for number in range(5))
    return Target(level=Level.STUDY, study=("1.2.3",), instances=frozenset(uids), count=5)


@pytest.fixture
def retriever():
    """Nothing under way, a grace of 10 s."""
    made = Retriever(
        PEER,
        RetrieveOptions(grace=10.0, patience=100.0),
        Conversation(),
        QuerySettings(),
        store=None,
        tally=Tally(lambda _event: None),
        report=lambda _event: None,
    )
    made.receiver = Receiver()
    return made


def ended(target, completed, status=0, **fields):
    return Attempt(way="C-MOVE", target=target, counts=SubOperations(completed=completed), status=status, **fields)


async def waited(retriever, target):
    """Seconds until it stops waiting."""
    started = trio.current_time()
    retriever.tally.sign()
    await retriever._await_arrivals([target])
    return trio.current_time() - started


# Arrivals -----------------------------------------------------------------------------------------------------------


async def test_nothing_more_is_promised(retriever, target, tmp_path, autojump_clock):
    for uid in sorted(target.instances)[:3]:
        arrive(retriever.tally, uid, tmp_path)
    retriever.attempts.append(ended(target, 3))  # fewer than were listed, but that is what it sent
    assert await waited(retriever, target) == 0


async def test_an_archive_that_counts_more_than_it_listed(retriever, target, tmp_path, autojump_clock):
    for uid in target.instances:
        arrive(retriever.tally, uid, tmp_path)
    retriever.attempts.append(ended(target, 7))
    assert await waited(retriever, target) == 0


@pytest.mark.parametrize(
    "fields",
    [{"error": OperationFailedError("no", status=0xA702), "status": 0xA702}, {"is_cancelled": True}, {"way": "C-GET"}],
)
async def test_what_failed_or_was_cancelled_is_not_waited_for(retriever, target, fields, autojump_clock):
    attempt = ended(target, 5)
    for name, value in fields.items():
        setattr(attempt, name, value)
    retriever.attempts.append(attempt)
    assert await waited(retriever, target) == 0


async def test_the_grace(retriever, target, autojump_clock):
    retriever.attempts.append(ended(target, 5))
    assert await waited(retriever, target) == pytest.approx(10)


async def test_a_final_response_that_does_not_count_promises_what_was_listed(retriever, target, autojump_clock):
    retriever.attempts.append(ended(target, 0))
    assert await waited(retriever, target) == pytest.approx(10)


async def test_each_arrival_renews_the_grace_and_the_last_ends_it(retriever, target, tmp_path, autojump_clock):
    retriever.attempts.append(ended(target, 5))

    async def send():
        for uid in sorted(target.instances):
            await trio.sleep(9)
            arrive(retriever.tally, uid, tmp_path)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        assert await waited(retriever, target) == pytest.approx(45)


async def test_an_object_on_its_way_is_waited_for(retriever, target, autojump_clock):
    retriever.attempts.append(ended(target, 5))
    retriever.receiver.is_busy = True

    async def stop():
        await trio.sleep(100)
        retriever.receiver.is_busy = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        assert await waited(retriever, target) == pytest.approx(100, abs=1)


async def test_cancelled_nothing_is_waited_for(retriever, target, autojump_clock):
    retriever.attempts.append(ended(target, 5))
    await retriever.cancel()
    assert await waited(retriever, target) == 0


async def test_without_a_list_any_arrival_counts(retriever, tmp_path, autojump_clock):
    unlisted = Target(level=Level.STUDY, study=("1.2.3",), count=3)
    retriever.attempts.append(ended(unlisted, 0))
    for number in range(3):
        arrive(retriever.tally, f"9.{number}", tmp_path)
    assert await waited(retriever, unlisted) == 0


# Signs of life ------------------------------------------------------------------------------------------------------


class Silent:
    """A retrieval that brings a pending response every so many seconds, or none."""

    def __init__(self, every=None, times=0):
        self.every, self.times = every, times

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_error):
        pass

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self.times:
            if self.every is None:
                await trio.sleep_forever()
            raise StopAsyncIteration
        self.times -= 1
        await trio.sleep(self.every)
        return SubOperations(completed=1)


async def iterate(retriever, retrieval, target):
    started = trio.current_time()
    retriever.tally.sign()
    scope = await retriever._iterate(retrieval, Attempt(way="C-MOVE", target=target))
    return scope.cancelled_caught, trio.current_time() - started


async def test_a_request_without_a_sign_of_life_is_given_up(retriever, target, autojump_clock):
    assert await iterate(retriever, Silent(), target) == (True, pytest.approx(100))


async def test_pending_responses_are_signs_of_life(retriever, target, autojump_clock):
    assert await iterate(retriever, Silent(every=90, times=5), target) == (False, pytest.approx(450))


async def test_arrivals_are_signs_of_life(retriever, target, tmp_path, autojump_clock):
    async def send():
        for number in range(4):
            await trio.sleep(90)
            arrive(retriever.tally, f"1.{number}", tmp_path)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        assert await iterate(retriever, Silent(), target) == (True, pytest.approx(460))


async def test_a_large_object_on_its_way_is_a_sign_of_life(retriever, target, autojump_clock):
    retriever.receiver.is_busy = True

    async def stop():
        await trio.sleep(1050)
        retriever.receiver.is_busy = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        is_given_up, seconds = await iterate(retriever, Silent(), target)
    assert is_given_up
    assert seconds == pytest.approx(1100)


async def test_an_error_leaves_by_itself(retriever, target, autojump_clock):
    class Failing(Silent):
        async def __anext__(self):
            raise PeerTimeoutError("late")

    with pytest.raises(PeerTimeoutError):
        await iterate(retriever, Failing(), target)


# The tally ----------------------------------------------------------------------------------------------------------


async def test_what_is_here_and_what_is_missing(target, tmp_path, autojump_clock):
    events = []
    tally = Tally(events.append)
    first, second, *others = sorted(target.instances)
    arrive(tally, first, tmp_path)
    arrive(tally, first, tmp_path)  # once more: it counts once
    refuse(tally, second)
    arrive(tally, "9.9", tmp_path)
    assert (tally.here(target), tally.missing(target)) == (1, [second, *others])
    assert (tally.has_any(target), tally.has_all(target), tally.octets) == (True, False, 20)
    assert tally.refused == {second: "the disk is full"}
    arrive(tally, second, tmp_path)  # it came again, and was stored
    assert tally.refused == {}
    refuse(tally, first)  # stored before, so it is here
    assert tally.refused == {}
    assert [event.outcome.value for event in events] == [
        "arrived",
        "arrived",
        "refused",
        "arrived",
        "arrived",
        "refused",
    ]


async def test_nothing_listed_is_never_all(tmp_path, autojump_clock):
    tally = Tally(lambda _event: None)
    unlisted = Target(level=Level.STUDY, study=("1",))
    assert (tally.has_all(unlisted), tally.has_any(unlisted), tally.missing(unlisted)) == (False, False, [])
    empty = Target(level=Level.STUDY, study=("1",), instances=frozenset())
    assert tally.has_all(empty)
