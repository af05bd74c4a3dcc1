"""Several workers, killed and stopped at random: no instance lost, none counted twice, none done after it was recorded.

A killed worker says nothing more; a stopped one goes on later as if nothing had happened, perhaps after another has
taken its job.
"""

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dulcet.errors import LeaseLostError, WrongStateError
from dulcet.station.queue.jobs import (
    InstanceResult,
    InstanceState,
    JobKind,
    JobState,
    NewInstance,
    Order,
    Standing,
    Wish,
)

LEASE = 30.0
EXAMPLES = 40  # some 5 s for SQLite
SLOTS = st.integers(0, 3)
S, IS = JobState, InstanceState


@dataclass
class Worker:
    """One claim of a job, and what its worker has done but not yet recorded."""

    name: str
    job: int
    unrecorded: list = field(default_factory=list)


@pytest.mark.parametrize("kind", ["sqlite", "memory"])
def test_workers_at_random(kind, make_store, clock):
    example = itertools.count()

    class Workers(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.store = make_store(kind, f"{next(example)}.sqlite")
            self.jobs = []
            self.claims = 0
            self.known = {}  # instance -> how it was recorded for good
            self.workers = [None] * 4
            for priority in (0, 1):
                self.order(3, priority)

        @rule(count=st.integers(0, 4), priority=st.integers(0, 1))
        def order(self, count, priority):
            files = [NewInstance(name=f"/{n}", path=f"/{n}", data_set_offset=1, file_size=11) for n in range(count)]
            order = Order(kind=JobKind.SEND, peer=f"P{len(self.jobs)}", priority=priority)
            self.jobs.append(self.store.add(order, files))

        @rule(
            slot=SLOTS,
            action=st.sampled_from(["work", "work", "record", "record", "renew", "finish", "kill"]),
            what=st.sampled_from([IS.DONE, IS.FAILED, IS.PENDING]),
            how=st.sampled_from([S.QUEUED, S.WAITING, S.PARTIAL, S.FAILED, S.DONE]),
            seconds=st.sampled_from([0.0, 5.0, 40.0]),
            again=st.booleans(),
        )
        def act(self, slot, action, what, how, seconds, again):
            """A worker that has a job does something; one that has none takes one, perhaps one that another has."""
            clock.pass_(seconds)
            worker = self.workers[slot]
            if worker is None:
                self.claim(slot)
            elif action == "work":
                self.work(worker)
            elif action == "record":
                self.record(slot, worker, what, clock.now + seconds, again)
            elif action == "renew":
                self.renew(slot, worker)
            else:
                self.workers[slot] = None
                if action == "finish":
                    self.finish(worker, how)

        def claim(self, slot):
            self.claims += 1
            name = f"{id(self)}-{self.claims}"
            job = self.store.claim(name, LEASE)
            self.workers[slot] = None if job is None else Worker(name, job.id)

        def work(self, worker):
            """Do what is due; a worker that has lost its job does not know it yet."""
            for one in self.store.due_instances(worker.job, limit=2):
                assert one.id not in self.known
                worker.unrecorded.append(one.id)

        def record(self, slot, worker, what, not_before, again):
            """With `again` also what was recorded before, as a worker may that did not hear that it was."""
            over = [one.id for one in self.store.instances(worker.job) if again and one.id in self.known]
            numbers = [*worker.unrecorded, *over]
            results = [InstanceResult(id=one, state=what, not_before=not_before) for one in numbers]
            worker.unrecorded = []
            is_mine = self.holder(worker.job) == worker.name
            try:
                self.store.record(worker.job, worker.name, results)
            except LeaseLostError:
                assert not is_mine
                self.workers[slot] = None
                return
            assert is_mine
            if what is not IS.PENDING:
                for result in results:
                    self.known.setdefault(result.id, what)

        def renew(self, slot, worker):
            is_mine = self.holder(worker.job) == worker.name
            try:
                self.store.renew(worker.job, worker.name, LEASE)
                assert is_mine
            except LeaseLostError:
                assert not is_mine
                self.workers[slot] = None

        def finish(self, worker, how):
            is_mine = self.holder(worker.job) == worker.name
            left = self.store.job(worker.job).counts.pending
            if how is S.DONE and left:
                how = S.QUEUED
            try:
                self.store.finish(worker.job, worker.name, Standing(state=how, not_before=clock.now + 9, attempts=1))
                assert is_mine
            except LeaseLostError:
                assert not is_mine

        @rule(data=st.data(), wish=st.sampled_from([*Wish]))
        def ask(self, data, wish):
            if self.jobs and wish is not Wish.HOLD:
                job = data.draw(st.sampled_from(self.jobs))
                try:
                    self.store.request(job, wish)
                except WrongStateError:
                    assert self.store.job(job).state.is_over

        @rule(data=st.data())
        def take_up(self, data):
            if not self.jobs:
                return
            job = data.draw(st.sampled_from(self.jobs))
            state = self.store.job(job).state
            if state is S.PAUSED:
                self.store.resume(job)
            elif state in (S.FAILED, S.PARTIAL, S.CANCELLED):
                self.store.retry(job)
                for one in self.store.instances(job):
                    if self.known.get(one.id) is IS.FAILED:
                        del self.known[one.id]

        def holder(self, job):
            found = self.store.job(job)
            return found.worker if found.state is S.RUNNING else None

        @invariant()
        def nothing_is_lost_or_counted_twice(self):
            for number in self.jobs:
                job = self.store.job(number)
                instances = self.store.instances(number)
                states = [one.state for one in instances]
                assert job.counts.instances == len(states)
                assert job.counts.done == states.count(IS.DONE)
                assert job.counts.failed == states.count(IS.FAILED)
                assert job.counts.cancelled == states.count(IS.CANCELLED)
                assert job.counts.pending == states.count(IS.PENDING)
                assert job.counts.octets_done == 10 * job.counts.done
                assert job.state.is_over <= (not job.counts.pending)
                for one in instances:
                    assert self.known.get(one.id, one.state) is one.state

        def teardown(self):
            """Whatever happened, a worker that lives brings every job to its end."""
            clock.pass_(1000)
            for _ in range(3 * len(self.jobs)):
                clock.pass_(1)
                job = self.store.claim(f"last-{id(self)}-{clock.now}")
                if job is None:  # and a dead worker may have been asked to pause
                    for number in self.jobs:
                        if self.store.job(number).state is S.PAUSED:
                            self.store.resume(number)
                    continue
                due = self.store.due_instances(job.id)
                assert not {one.id for one in due} & set(self.known)
                self.store.record(job.id, job.worker, [InstanceResult(id=one.id, state=IS.DONE) for one in due])
                self.store.finish(job.id, job.worker, Standing(state=S.DONE, exit_code=0))
            assert all(self.store.job(number).state.is_over for number in self.jobs)

    run_state_machine_as_test(Workers, settings=settings(max_examples=EXAMPLES, stateful_step_count=40))
