"""What every `JobStore` promises."""

import os
from dataclasses import replace

import pytest

from dulcet.errors import LeaseLostError, NoSuchJobError, WrongStateError
from dulcet.station.queue.backoff import POLICIES
from dulcet.station.queue.job_store import LEASE_SECONDS, LONGEST_LEASE_SECONDS, LONGEST_WAIT_SECONDS, MAX_EVENTS
from dulcet.station.queue.jobs import (
    InstanceResult,
    InstanceState,
    JobKind,
    JobState,
    NewInstance,
    Order,
    Progress,
    Standing,
    Wish,
)

S, IS = JobState, InstanceState


def done(*numbers, **more):
    return [InstanceResult(id=number, state=IS.DONE, **more) for number in numbers]


def ids(instances):
    return [one.id for one in instances]


# Ordering -----------------------------------------------------------------------------------------------------------


def test_an_order_comes_back_as_it_was_given(store, clock, counts):
    order = Order(
        kind=JobKind.RETRIEVE,
        peer="PACS \u00fc",
        options={"timeout": 2.5, "given": ["aet"], "file": "/tmp/\udcff"},
        priority=-3,
        hours="22:00-06:00",
        octets_per_second=1000,
        origin="route night",
    )
    one = NewInstance(
        name="/tmp/a.zip/\udcfe.dcm",
        path="/tmp/a.zip",
        source={"archive": {"archive": "/tmp/\udcff.zip", "crc": 7}},
        sop_class_uid="1.2",
        sop_instance_uid="1.2.3",
        transfer_syntax_uid="1.2.4",
        data_set_offset=400,
        file_size=500,
    )
    number = store.add(order, iter([one]))
    job = store.job(number)
    assert job.order == order
    assert (job.state, job.created_at, job.counts) == (S.QUEUED, clock.now, counts(1))
    (found,) = store.instances(number)
    assert NewInstance(**{name: getattr(found, name) for name in NewInstance.__slots__}) == one
    assert (found.job, found.state, found.attempts) == (number, IS.PENDING, 0)


def test_an_instance_without_a_file(store, order):
    job = store.add(order(), [NewInstance(name="", sop_instance_uid="1.2.3")])
    (found,) = store.instances(job)
    assert (found.name, found.path, found.octets) == ("", "", 0)


def test_an_order_that_fails_in_the_middle_leaves_nothing(store, order, files):
    def broken():
        yield from files(3000)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        store.add(order(), broken())
    assert store.jobs() == []
    assert store.claim("w") is None
    assert store.paths_in_use(["/data/1.dcm"]) == set()


def test_an_order_is_invisible_until_it_is_whole(store, order, files):
    def watched():
        for one in files(2500):
            yield one
            if one.name.endswith("/2400.dcm"):
                assert store.jobs() == []
                assert store.claim("w") is None
                assert store.job(1) is None
                assert store.clear(list(S)) == 0

    assert store.claim("w") is None
    number = store.add(order(), watched())
    assert store.claim("w").id == number


def test_numbers_are_never_used_again(store, order, files):
    first = store.add(order(), files(1))
    store.request(first, Wish.CANCEL)
    assert store.clear([S.CANCELLED]) == 1
    assert store.add(order(), files(1)) > first


# Claiming -----------------------------------------------------------------------------------------------------------


def test_the_highest_priority_goes_first_then_the_oldest(store, order, files):
    numbers = [store.add(order(f"P{n}", priority=n % 2), files(1)) for n in range(4)]
    claimed = [store.claim(f"w{n}").id for n in range(4)]
    assert claimed == [numbers[1], numbers[3], numbers[0], numbers[2]]
    assert store.claim("w") is None


def test_a_claimed_job_is_its_workers(store, order, files, clock):
    job = store.claim("w") or store.add(order(), files(1))
    taken = store.claim("w")
    assert (taken.id, taken.state, taken.worker) == (job, S.RUNNING, "w")
    assert (taken.started_at, taken.lease_until) == (clock.now, clock.now + LEASE_SECONDS)
    assert store.job(job) == taken


def test_one_job_to_a_peer_at_a_time(store, order, files):
    for peer in ("A", "A", "B", "A"):
        store.add(order(peer), files(1))
    assert [store.claim("1").id, store.claim("2").id] == [1, 3]
    assert store.claim("3") is None
    assert store.claim("3", per_peer=2).id == 2
    assert store.claim("4", per_peer=2) is None


def test_a_job_waits_for_its_time(store, order, files, clock):
    job = store.add(order(), files(1))
    store.claim("w")
    store.finish(job, "w", Standing(state=S.WAITING, not_before=clock.now + 60, reason="busy", attempts=1))
    assert (store.job(job).state, store.job(job).reason) == (S.WAITING, "busy")
    clock.pass_(59.9)
    assert store.claim("w") is None
    clock.pass_(0.2)
    assert store.claim("w").id == job
    assert store.job(job).reason == ""


def test_a_job_runs_in_its_hours_only(store, order, files, clock):
    hours = ["00:00-12:00", "12:00-24:00"]
    jobs = {store.add(order(each, hours=each), files(1)) for each in hours}
    first = store.claim("a").id
    assert store.claim("b") is None
    clock.pass_(12 * 3600)
    assert {first, store.claim("b").id} == jobs


def test_a_lease_that_is_over_lets_another_take_the_job(store, order, files, clock):
    job = store.add(order(), files(2))
    store.claim("a", 30)
    clock.pass_(29)
    assert store.claim("b", 30) is None
    clock.pass_(1)
    assert store.claim("b", 30).worker == "b"
    one, two = ids(store.instances(job))
    for forbidden in (
        lambda: store.renew(job, "a"),
        lambda: store.record(job, "a", done(one), ["{}"]),
        lambda: store.finish(job, "a", Standing(state=S.DONE)),
        lambda: store.extend(job, "a", files(1)),
    ):
        with pytest.raises(LeaseLostError):
            forbidden()
    assert (store.job(job).counts.done, store.events(job)) == (0, [])
    store.record(job, "b", done(two))
    assert ids(store.due_instances(job)) == [one]


def test_a_lease_that_is_over_holds_until_another_takes_the_job(store, order, files, clock):
    job = store.add(order(), files(1))
    store.claim("a", 30)
    clock.pass_(1000)
    store.record(job, "a", done(*ids(store.instances(job))))
    assert store.renew(job, "a", 30) is None
    assert store.claim("b") is None
    store.finish(job, "a", Standing(state=S.DONE, exit_code=0))
    with pytest.raises(LeaseLostError):
        store.renew(job, "a")


def test_renewing_keeps_the_job(store, order, files, clock):
    job = store.add(order(), files(1))
    store.claim("a", 30)
    for _ in range(20):
        clock.pass_(25)
        store.renew(job, "a", 30)
    assert store.claim("b") is None
    assert store.job(job).lease_until > clock.now


YEAR = 365 * 24 * 3600.0


@pytest.mark.parametrize("is_held", [False, True])
def test_a_dead_workers_job_is_taken_when_the_clock_was_set_back(store, order, files, clock, is_held):
    """The machine came up a year ahead, and is put right when the worker is gone."""
    job = store.add(order(), files(1))
    store.claim("a")
    clock.pass_(-YEAR)
    store.hold(is_held)
    assert store.claim("b") is None
    assert store.job(job).lease_until == clock.now + LEASE_SECONDS
    store.hold(False)
    clock.pass_(LEASE_SECONDS - 1)
    assert store.claim("c") is None
    clock.pass_(1)
    assert store.claim("d").id == job
    with pytest.raises(LeaseLostError):
        store.renew(job, "a")


def test_a_living_worker_keeps_its_job_when_the_clock_is_set_back(store, order, files, clock):
    job = store.add(order(), files(1))
    store.claim("a")
    clock.pass_(-YEAR)
    for _ in range(200):
        assert store.claim("b") is None
        clock.pass_(0.5)
        store.renew(job, "a")
    assert store.job(job).worker == "a"
    clock.pass_(LEASE_SECONDS)
    assert store.claim("b").id == job


@pytest.mark.parametrize("how", ["claim", "renew"])
def test_no_lease_is_longer_than_the_longest(store, order, files, clock, how):
    """Else it could not be told from one that a clock that was ahead has given."""
    job = store.add(order(), files(1))
    store.claim("a", 1e9 if how == "claim" else 1)
    if how == "renew":
        store.renew(job, "a", 1e9)
    assert store.job(job).lease_until == clock.now + LONGEST_LEASE_SECONDS
    assert store.claim("b") is None
    clock.pass_(LONGEST_LEASE_SECONDS)
    assert store.claim("b").id == job


def test_what_waits_is_due_when_the_clock_was_set_back(store, order, files, clock):
    job = store.add(order(), files(2))
    store.claim("a")
    one, two = ids(store.instances(job))
    again = clock.now + LONGEST_WAIT_SECONDS
    store.record(job, "a", [InstanceResult(id=one, state=IS.PENDING, status=0xA700, not_before=again)])
    store.finish(job, "a", Standing(state=S.WAITING, not_before=again, attempts=1))
    assert store.claim("b") is None
    assert ids(store.due_instances(job)) == [two]
    clock.pass_(-1)
    assert ids(store.due_instances(job)) == [one, two]
    assert ids(store.due_instances(job, after=one)) == [two]
    assert store.next_due(job) == 0
    assert store.claim("b").id == job
    store.record(job, "b", done(two))
    assert store.next_due(job) == 0


def test_no_pause_is_taken_for_a_clock_that_was_set_back():
    assert max(policy.longest_pause for policy in POLICIES.values()) == LONGEST_WAIT_SECONDS - 60


def test_progress_is_shown_while_the_job_runs(store, order, files):
    job = store.add(order(), files(1))
    store.claim("a")
    progress = Progress(octets_in_flight=7, octets_per_second=2.5, instances_per_second=1.0, seconds_left=9.0)
    store.renew(job, "a", progress=progress)
    store.renew(job, "a")
    assert store.job(job).progress == progress
    store.finish(job, "a", Standing(state=S.QUEUED))
    assert store.job(job).progress == Progress()


# Recording ----------------------------------------------------------------------------------------------------------


def test_results_are_counted_once(store, order, files, counts, clock):
    job = store.add(order(), files(4))
    store.claim("w")
    a, b, c, d = ids(store.instances(job))
    later = InstanceResult(id=c, state=IS.PENDING, status=0xA700, reason="full", not_before=clock.now + 30)
    failed = InstanceResult(id=b, state=IS.FAILED, status=0xC000, reason="no", exit_code=76)
    store.record(job, "w", [*done(a), failed, later])
    store.record(job, "w", [*done(a, b), replace(failed, id=a), *done(99)])
    assert store.job(job).counts == counts(4, done=1, failed=1)
    assert [one.state for one in store.instances(job)] == [IS.DONE, IS.FAILED, IS.PENDING, IS.PENDING]
    one = store.instances(job, IS.FAILED)[0]
    assert (one.status, one.reason, one.exit_code, one.ended_at) == (0xC000, "no", 76, clock.now)
    assert ids(store.due_instances(job)) == [d]
    assert store.next_due(job) == 0
    store.record(job, "w", done(d))
    assert store.next_due(job) == clock.now + 30
    clock.pass_(30)
    (again,) = store.due_instances(job)
    assert (again.id, again.attempts, again.failing_since, again.reason) == (c, 1, clock.now - 30, "full")
    store.record(job, "w", done(c))
    assert store.next_due(job) is None
    assert store.instances(job)[2].attempts == 1
    assert store.summary().retries == 1


def test_getting_on_forgives_what_failed_before(store, order, files, clock):
    job = store.add(order(), files(2))
    store.claim("w")
    store.finish(job, "w", Standing(state=S.WAITING, not_before=clock.now, attempts=1))
    since = clock.now
    clock.pass_(10)
    store.claim("w2")
    store.finish(job, "w2", Standing(state=S.WAITING, not_before=clock.now, attempts=2))
    assert (store.job(job).attempts, store.job(job).failing_since) == (2, since)
    store.claim("w3")
    store.record(job, "w3", done(store.instances(job)[0].id))
    assert (store.job(job).attempts, store.job(job).failing_since) == (0, None)
    store.finish(job, "w3", Standing(state=S.WAITING, not_before=clock.now + 9))
    assert (store.job(job).attempts, store.job(job).failing_since) == (0, None)


def test_a_retrieval_learns_what_there_is(store):
    job = store.add(Order(kind=JobKind.RETRIEVE, peer="PACS"), [])
    store.claim("w")
    numbers = store.extend(job, "w", [NewInstance(name="", sop_instance_uid=uid) for uid in ("1.1", "1.2")])
    assert ids(store.instances(job)) == numbers
    store.record(job, "w", done(numbers[0], octets=700))
    counts = store.job(job).counts
    assert (counts.instances, counts.done, counts.octets, counts.octets_done) == (2, 1, 700, 700)


def test_instances_come_in_pages(store, order, files):
    job = store.add(order(), files(25))
    store.add(order(), files(5))
    store.claim("w")
    first = store.due_instances(job, limit=10)
    second = store.due_instances(job, after=first[-1].id, limit=10)
    third = store.instances(job, after=second[-1].id)
    assert [one.name for one in [*first, *second, *third]] == [f"/data/{number}.dcm" for number in range(25)]
    assert store.instances(1_000) == []


# Ending -------------------------------------------------------------------------------------------------------------


def test_what_is_pending_at_the_end_has_failed_with_the_job(store, order, files, counts, clock):
    job = store.add(order(), files(3))
    store.claim("w")
    store.record(job, "w", done(store.instances(job)[0].id))
    store.finish(job, "w", Standing(state=S.PARTIAL, reason="the peer is away", exit_code=1), ["{}"])
    ended = store.job(job)
    assert (ended.state, ended.exit_code, ended.ended_at) == (S.PARTIAL, 1, clock.now)
    assert ended.counts == counts(3, done=1, failed=2)
    assert [one.reason for one in store.instances(job, IS.FAILED)] == ["the peer is away"] * 2
    assert store.instances(job, IS.PENDING) == []
    assert store.paths_in_use(["/data/2.dcm"]) == set()
    assert len(store.events(job)) == 1


def test_handing_back_costs_nothing(store, order, files):
    job = store.add(order(), files(1))
    before = store.job(job)
    store.claim("w")
    store.finish(job, "w", Standing(state=S.QUEUED))
    after = store.job(job)
    assert replace(after, started_at=None) == before
    assert store.claim("w2").id == job


@pytest.mark.parametrize("state", [S.QUEUED, S.WAITING, S.PAUSED])
def test_cancelling_what_does_not_run(store, order, files, counts, state, clock):
    job = store.add(order(), files(2))
    if state is S.PAUSED:
        store.request(job, Wish.PAUSE)
    elif state is S.WAITING:
        store.claim("w")
        store.finish(job, "w", Standing(state=S.WAITING, not_before=clock.now + 9, reason="busy"))
    assert store.job(job).state is state
    assert store.request(job, Wish.CANCEL) is S.CANCELLED
    ended = store.job(job)
    assert (ended.counts, ended.exit_code, ended.reason) == (counts(2, cancelled=2), 130, "")
    assert [one.state for one in store.instances(job)] == [IS.CANCELLED] * 2
    assert len(store.instances(job, IS.CANCELLED)) == 2
    assert store.claim("w") is None


def test_a_running_job_hears_what_is_asked(store, order, files, counts):
    job = store.add(order(), files(2))
    store.claim("w")
    assert store.renew(job, "w") is None
    assert store.request(job, Wish.PAUSE) is S.RUNNING
    assert store.renew(job, "w") is Wish.PAUSE
    assert store.request(job, Wish.CANCEL) is S.RUNNING
    assert store.request(job, Wish.PAUSE) is S.RUNNING
    assert store.renew(job, "w") is Wish.CANCEL
    store.record(job, "w", done(store.instances(job)[0].id))
    store.finish(job, "w", Standing(state=S.QUEUED))
    assert (store.job(job).state, store.job(job).counts) == (S.CANCELLED, counts(2, done=1, cancelled=1))


def test_what_is_done_anyway_is_not_cancelled(store, order, files):
    job = store.add(order(), files(1))
    store.claim("w")
    store.request(job, Wish.CANCEL)
    store.record(job, "w", done(store.instances(job)[0].id))
    store.finish(job, "w", Standing(state=S.DONE, exit_code=0))
    assert (store.job(job).state, store.job(job).wish) == (S.DONE, None)


def test_pausing_and_resuming(store, order, files):
    job = store.add(order(), files(1))
    store.claim("w")
    store.request(job, Wish.PAUSE)
    store.resume(job)
    assert store.renew(job, "w") is None
    store.request(job, Wish.PAUSE)
    store.finish(job, "w", Standing(state=S.WAITING, not_before=1e12))
    assert store.job(job).state is S.PAUSED
    assert store.claim("w2") is None
    store.resume(job)
    assert store.claim("w2").id == job


@pytest.mark.parametrize(("wish", "state"), [(Wish.CANCEL, S.CANCELLED), (Wish.PAUSE, S.PAUSED)])
def test_a_wish_outlives_its_worker(store, order, files, clock, wish, state):
    job = store.add(order(), files(1))
    other = store.add(order(), files(1))
    store.claim("w", 30)
    store.request(job, wish)
    clock.pass_(31)
    assert store.claim("w2").id == other
    assert store.job(job).state is state


def test_asking_a_job_whose_worker_is_dead(store, order, files, clock):
    job = store.add(order(), files(1))
    store.claim("w", 30)
    clock.pass_(31)
    assert store.request(job, Wish.CANCEL) is S.CANCELLED
    with pytest.raises(LeaseLostError):
        store.renew(job, "w")


def test_retrying_takes_up_what_failed(store, order, files, counts):
    job = store.add(order(), files(3))
    store.claim("w")
    a, b, _ = ids(store.instances(job))
    store.record(job, "w", [*done(a), InstanceResult(id=b, state=IS.FAILED, status=0xC000, reason="no")])
    store.finish(job, "w", Standing(state=S.PARTIAL, reason="given up", exit_code=1))
    store.retry(job)
    again = store.job(job)
    assert (again.state, again.reason, again.exit_code, again.ended_at) == (S.QUEUED, "", None, None)
    assert again.counts == counts(3, done=1)
    assert [(one.state, one.attempts, one.reason) for one in store.instances(job, after=a)] == [(IS.PENDING, 0, "")] * 2
    store.claim("w2")
    store.record(job, "w2", done(a, b))
    assert store.job(job).counts == counts(3, done=2)


def test_retrying_what_was_cancelled_or_waits(store, order, files, counts, clock):
    job = store.add(order(), files(2))
    store.request(job, Wish.CANCEL)
    store.retry(job)
    assert (store.job(job).state, store.job(job).counts) == (S.QUEUED, counts(2))
    store.claim("w")
    later = InstanceResult(id=store.instances(job)[0].id, state=IS.PENDING, not_before=clock.now + 99)
    store.record(job, "w", [later])
    store.finish(job, "w", Standing(state=S.WAITING, not_before=clock.now + 99, attempts=4))
    store.retry(job)
    assert store.job(job).attempts == 0
    assert store.claim("w2").id == job
    assert len(store.due_instances(job)) == 2


# What can't be asked ------------------------------------------------------------------------------------------------


def test_there_is_no_such_job(store):
    asked = [
        lambda: store.request(7, Wish.CANCEL),
        lambda: store.resume(7),
        lambda: store.retry(7),
        lambda: store.reprioritise(7, 1),
        lambda: store.revise(7, hours="22:00-06:00"),
    ]
    for ask in asked:
        with pytest.raises(NoSuchJobError, match="there is no job 7"):
            ask()
    assert store.job(7) is None
    store.log(7, ["{}"])


def test_what_does_not_fit_how_the_job_stands(store, order, files):
    job = store.add(order(), files(1))
    for ask in (store.resume, store.retry):
        with pytest.raises(WrongStateError, match=f"job {job} is "):
            ask(job)
    store.claim("w")
    for ask in (store.resume, store.retry):
        with pytest.raises(WrongStateError, match=f"job {job} is "):
            ask(job)
    store.record(job, "w", done(store.instances(job)[0].id))
    store.finish(job, "w", Standing(state=S.DONE, exit_code=0))
    over = [
        lambda: store.request(job, Wish.CANCEL),
        lambda: store.request(job, Wish.PAUSE),
        lambda: store.retry(job),
        lambda: store.reprioritise(job, 1),
        lambda: store.revise(job, octets_per_second=5),
    ]
    for ask in over:
        with pytest.raises(WrongStateError, match=f"job {job} is done"):
            ask()


# The whole queue ----------------------------------------------------------------------------------------------------


def test_the_whole_queue_can_be_held(store, order, files):
    running, waiting = store.add(order("A"), files(1)), store.add(order("B"), files(1))
    store.claim("w")
    store.hold(True)
    assert store.is_held()
    assert store.summary().is_held
    assert store.claim("w2") is None
    assert store.renew(running, "w") is Wish.HOLD
    store.finish(running, "w", Standing(state=S.QUEUED))
    assert [store.job(job).state for job in (running, waiting)] == [S.QUEUED, S.QUEUED]
    store.hold(False)
    assert not store.is_held()
    assert store.claim("w2").id == running


def test_changes_of_an_order(store, order, files):
    a, b = store.add(order("A"), files(1)), store.add(order("B"), files(1))
    store.reprioritise(b, 5)
    store.revise(a, hours="00:00-24:00", octets_per_second=9)
    assert (store.job(a).order.hours, store.job(a).order.octets_per_second) == ("00:00-24:00", 9)
    store.revise(a, hours="", octets_per_second=0)
    assert (store.job(a).order.hours, store.job(a).order.octets_per_second) == ("", None)
    assert store.claim("w").id == b


def test_jobs_are_listed_newest_first(store, order, files):
    numbers = [store.add(order(f"P{n}"), files(1)) for n in range(5)]
    store.request(numbers[1], Wish.PAUSE)
    assert [job.id for job in store.jobs()] == numbers[::-1]
    assert [job.id for job in store.jobs(limit=2)] == numbers[:2:-1]
    assert [job.id for job in store.jobs([S.PAUSED])] == [numbers[1]]
    assert [job.id for job in store.jobs([S.PAUSED, S.QUEUED], limit=10)] == numbers[::-1]


def test_clearing_forgets_what_is_over(store, order, files, clock):
    numbers = [store.add(order(), files(2)) for _ in range(4)]
    for job in numbers[:3]:
        store.request(job, Wish.CANCEL)
        clock.pass_(100)
    assert store.clear([S.DONE, S.QUEUED]) == 0
    assert store.clear([S.CANCELLED], older_than=clock.now - 250) == 1
    assert store.clear([S.CANCELLED], jobs=[numbers[2], numbers[3]]) == 1
    assert [job.id for job in store.jobs()] == [numbers[3], numbers[1]]
    assert store.instances(numbers[0]) == []
    assert len(store.instances(numbers[1])) == 2
    assert store.clear(list(S)) == 1


def test_paths_that_are_needed(store, order, files):
    job = store.add(order(), files(3))
    store.claim("w")
    paths = [*(one.path for one in files(4)), os.fsdecode(b"/data/\xff")]
    assert store.paths_in_use(paths) == set(paths[:3])
    store.record(job, "w", done(store.instances(job)[0].id))
    assert store.paths_in_use(paths) == set(paths[1:3])
    store.request(job, Wish.CANCEL)
    store.finish(job, "w", Standing(state=S.QUEUED))
    assert store.paths_in_use(paths) == set()
    store.retry(job)
    assert store.paths_in_use(paths) == set(paths[1:3])


def test_the_log_is_capped(store, order, files):
    job, other = store.add(order(), files(1)), store.add(order(), files(1))
    store.log(other, ["other"])
    store.log(job, [str(number) for number in range(MAX_EVENTS)])
    store.log(job, ["a", "b", "c"])
    found = store.events(job, limit=MAX_EVENTS * 2)
    assert [found[0].line, found[-1].line, len(found)] == ["3", "c", MAX_EVENTS]
    assert [event.line for event in store.events(job, after=found[-3].id)] == ["b", "c"]
    assert [event.line for event in store.events(job, limit=2)] == ["3", "4"]
    assert [event.line for event in store.events(other)] == ["other"]


def test_the_summary(store, order, files, clock):
    assert store.summary().oldest_due_at is None
    start = clock.now
    store.add(order("A"), files(1))
    clock.pass_(5)
    job = store.add(order("B"), files(1))
    assert store.summary().oldest_due_at == start
    assert store.summary().jobs[S.QUEUED] == 2
    assert set(store.summary().jobs) == set(S)
    store.claim("w")
    assert store.summary().oldest_due_at == start + 5
    store.claim("w2")
    store.finish(job, "w2", Standing(state=S.WAITING, not_before=clock.now + 10, attempts=1))
    assert store.summary().oldest_due_at is None
    clock.pass_(11)
    assert store.summary().oldest_due_at == start + 15
    assert store.summary().retries == 1


def test_the_version_tells_of_every_change(store, order, files):
    seen = [store.version()]

    def has_changed():
        seen.append(store.version())
        return seen[-1] != seen[-2]

    job = store.add(order(), files(1))
    assert has_changed()
    assert not has_changed()
    store.claim("w")
    assert has_changed()
    store.record(job, "w", done(store.instances(job)[0].id))
    assert has_changed()
    store.log(job, ["{}"])
    assert has_changed()
    store.hold(True)
    assert has_changed()
    store.jobs(), store.job(job), store.instances(job), store.summary()
    assert not has_changed()
