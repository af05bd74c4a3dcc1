"""Stores to hold the contract against: the one in SQLite, and a small one in memory."""

from dataclasses import dataclass, field, replace

import pytest

from dulcet.errors import LeaseLostError, NoSuchJobError, WrongStateError
from dulcet.station.queue.hours import is_within
from dulcet.station.queue.job_store import LEASE_SECONDS, LONGEST_LEASE_SECONDS, MAX_EVENTS, has_come
from dulcet.station.queue.jobs import (
    Counts,
    InstanceState,
    Job,
    JobEvent,
    JobInstance,
    JobKind,
    JobState,
    NewInstance,
    Order,
    Progress,
    QueueSummary,
    Standing,
    Wish,
)
from dulcet.station.queue.sqlite_store import SQLiteJobStore

S, IS = JobState, InstanceState


@dataclass
class Clock:
    """Seconds since 1970, as a test wants them."""

    now: float = 1_700_000_000.0

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


@dataclass
class Row:
    """A job with what belongs to it."""

    job: Job
    instances: dict = field(default_factory=dict)
    events: list = field(default_factory=list)


class MemoryJobStore:
    """A `JobStore` that is easy to understand: for tests, in one process."""

    def __init__(self, clock):
        self._now = clock
        self._rows = {}
        self._job_ids = self._instance_ids = self._event_ids = self._version = self._retries = 0
        self._is_held = False

    # Ordering

    def add(self, order, instances):
        whole = list(instances)
        self._job_ids += 1
        row = Row(Job(id=self._job_ids, order=order, state=S.QUEUED, created_at=self._now()))
        self._rows[self._job_ids] = row
        self._append(row, whole)
        return row.job.id

    def extend(self, job, worker, instances):
        whole = list(instances)
        return self._append(self._leased(job, worker), whole)

    def _append(self, row, instances):
        numbers = []
        for one in instances:
            self._instance_ids += 1
            values = {name: getattr(one, name) for name in NewInstance.__slots__}
            row.instances[self._instance_ids] = JobInstance(
                **values, id=self._instance_ids, job=row.job.id, state=IS.PENDING
            )
            numbers.append(self._instance_ids)
        counts = row.job.counts
        more = sum(one.octets for one in instances)
        self._put(row, counts=replace(counts, instances=counts.instances + len(numbers), octets=counts.octets + more))
        return numbers

    def _put(self, row, **changes):
        self._version += 1
        row.job = replace(row.job, **changes)

    def _let_go(self, row, **changes):
        self._put(row, worker=None, lease_until=None, wish=None, progress=Progress(), **changes)

    # Reading

    def jobs(self, states=(), limit=100):
        found = [row.job for row in self._rows.values() if not states or row.job.state in states]
        return sorted(found, key=lambda job: -job.id)[:limit]

    def job(self, job):
        return self._rows[job].job if job in self._rows else None

    def instances(self, job, state=None, after=0, limit=1000):
        if job not in self._rows:
            return []
        row = self._rows[job]
        seen = [self._seen(row.job, one) for one in row.instances.values()]
        return [one for one in seen if one.id > after and state in (None, one.state)][:limit]

    @staticmethod
    def _seen(job, instance):
        if instance.state is not IS.PENDING or not job.state.is_over:
            return instance
        state = IS.CANCELLED if job.state is S.CANCELLED else IS.FAILED
        return replace(instance, state=state, reason=instance.reason or job.reason)

    def events(self, job, after=0, limit=1000):
        return [event for event in self._rows[job].events if event.id > after][:limit]

    def paths_in_use(self, paths):
        needed = {
            one.path
            for row in self._rows.values()
            if not row.job.state.is_over
            for one in row.instances.values()
            if one.state is IS.PENDING
        }
        return needed & set(paths)

    def summary(self):
        jobs = [row.job for row in self._rows.values()]
        now = self._now()
        due = [
            job.created_at if job.state is S.QUEUED else job.not_before
            for job in jobs
            if self._awaits(job, now) and is_within(job.order.hours, now)
        ]
        return QueueSummary(
            jobs={state: sum(job.state is state for job in jobs) for state in S},
            oldest_due_at=min(due, default=None),
            retries=self._retries,
            is_held=self._is_held,
        )

    @staticmethod
    def _awaits(job, now):
        return job.state is S.QUEUED or (job.state is S.WAITING and job.not_before <= now)

    def version(self):
        return self._version

    # Working

    def claim(self, worker, lease_seconds=LEASE_SECONDS, *, per_peer=1):
        now = self._now()
        for row in self._rows.values():
            if row.job.state is S.RUNNING and row.job.lease_until > now + LONGEST_LEASE_SECONDS:
                self._put(row, lease_until=now + LEASE_SECONDS)
        if self._is_held:
            return None
        for row in self._rows.values():
            if row.job.state is S.RUNNING and row.job.lease_until <= now and row.job.wish is not None:
                self._grant(row, row.job.wish)
        live = [row.job for row in self._rows.values() if row.job.state is S.RUNNING and row.job.lease_until > now]

        def is_due(job):
            is_lost = job.state is S.RUNNING and job.lease_until <= now
            busy = sum(other.order.peer == job.order.peer for other in live)
            may_wait = job.state is S.WAITING and has_come(job.not_before, now)
            return (
                (is_lost or may_wait or self._awaits(job, now)) and busy < per_peer and is_within(job.order.hours, now)
            )

        due = [row for row in self._rows.values() if is_due(row.job)]
        if not due:
            return None
        row = min(due, key=lambda row: (-row.job.order.priority, row.job.id))
        self._put(
            row,
            state=S.RUNNING,
            worker=worker,
            lease_until=now + min(lease_seconds, LONGEST_LEASE_SECONDS),
            started_at=now,
            wish=None,
            reason="",
            progress=Progress(),
        )
        return row.job

    def _leased(self, job, worker):
        row = self._rows.get(job)
        if row is None or row.job.state is not S.RUNNING or row.job.worker != worker:
            raise LeaseLostError(f"job {job}")
        return row

    def renew(self, job, worker, lease_seconds=LEASE_SECONDS, progress=None):
        row = self._leased(job, worker)
        lease_until = self._now() + min(lease_seconds, LONGEST_LEASE_SECONDS)
        self._put(row, lease_until=lease_until, progress=progress or row.job.progress)
        return row.job.wish or (Wish.HOLD if self._is_held else None)

    def due_instances(self, job, after=0, limit=1000):
        pending = self._pending(job)
        return [one for one in pending if one.id > after and has_come(one.not_before, self._now())][:limit]

    def next_due(self, job):
        now = self._now()
        times = [one.not_before for one in self._pending(job)]
        return min((0.0 if at > now and has_come(at, now) else at for at in times), default=None)

    def _pending(self, job):
        return [one for one in self._rows[job].instances.values() if one.state is IS.PENDING]

    def record(self, job, worker, results, lines=()):
        row = self._leased(job, worker)
        for result in results:
            before = row.instances.get(result.id)
            if before is None or before.state is not IS.PENDING:
                continue
            has_failed = result.state is not IS.DONE
            size = before.file_size
            if not has_failed and result.octets is not None:
                size = before.data_set_offset + result.octets
            row.instances[result.id] = after = replace(
                before,
                state=result.state,
                status=result.status,
                reason=result.reason,
                exit_code=result.exit_code,
                not_before=result.not_before,
                attempts=before.attempts + has_failed,
                failing_since=(before.failing_since or self._now()) if has_failed else None,
                ended_at=None if result.state is IS.PENDING else self._now(),
                file_size=size,
            )
            counts = row.job.counts
            self._retries += result.state is IS.PENDING
            self._put(
                row,
                counts=replace(
                    counts,
                    done=counts.done + (not has_failed),
                    failed=counts.failed + (result.state is IS.FAILED),
                    octets=counts.octets + after.octets - before.octets,
                    octets_done=counts.octets_done + (0 if has_failed else after.octets),
                ),
            )
            if not has_failed:
                self._put(row, attempts=0, failing_since=None)
        self.log(job, lines)

    def finish(self, job, worker, standing: Standing, lines=()):
        row = self._leased(job, worker)
        self.log(job, lines)
        if row.job.wish is not None and not standing.state.is_over:
            self._grant(row, row.job.wish)
            return
        counts, now = row.job.counts, self._now()
        if standing.state is S.CANCELLED:
            counts = replace(counts, cancelled=counts.instances - counts.done - counts.failed)
        elif standing.state.is_over:
            counts = replace(counts, failed=counts.instances - counts.done - counts.cancelled)
        waiting = {}
        if standing.state is S.WAITING:
            self._retries += 1
            since = (row.job.failing_since or now) if standing.attempts else None
            waiting = {"attempts": standing.attempts, "failing_since": since}
        self._let_go(
            row,
            state=standing.state,
            reason=standing.reason,
            exit_code=standing.exit_code,
            not_before=standing.not_before if standing.state is S.WAITING else 0.0,
            ended_at=now if standing.state.is_over else None,
            counts=counts,
            **waiting,
        )

    # Asking

    def _asked(self, job):
        if job not in self._rows:
            raise NoSuchJobError(f"there is no job {job}")
        return self._rows[job]

    def _alive(self, job):
        row = self._asked(job)
        if row.job.state.is_over:
            raise WrongStateError(f"job {job} is {row.job.state.value}")
        return row

    def _grant(self, row, wish):
        if wish is not Wish.CANCEL:
            self._let_go(row, state=S.PAUSED if wish is Wish.PAUSE else S.QUEUED)
            return
        counts = row.job.counts
        counts = replace(counts, cancelled=counts.instances - counts.done - counts.failed)
        self._let_go(row, state=S.CANCELLED, ended_at=self._now(), exit_code=130, reason="", counts=counts)

    def request(self, job, wish):
        row = self._alive(job)
        if row.job.state is S.RUNNING and row.job.lease_until > self._now():
            if row.job.wish is not Wish.CANCEL:
                self._put(row, wish=wish)
        else:
            self._grant(row, wish)
        return row.job.state

    def resume(self, job):
        row = self._asked(job)
        if row.job.state is S.RUNNING and row.job.wish is Wish.PAUSE:
            self._put(row, wish=None)
        elif row.job.state is S.PAUSED:
            self._let_go(row, state=S.QUEUED, not_before=0.0)
        else:
            raise WrongStateError(f"job {job} is {row.job.state.value}")

    def retry(self, job):
        row = self._asked(job)
        if row.job.state not in (S.WAITING, S.PARTIAL, S.FAILED, S.CANCELLED):
            raise WrongStateError(f"job {job} is {row.job.state.value}")
        again = {"state": IS.PENDING, "attempts": 0, "failing_since": None, "not_before": 0.0}
        for number, one in row.instances.items():
            if one.state is IS.FAILED:
                row.instances[number] = replace(one, **again, status=None, reason="", exit_code=0, ended_at=None)
            elif one.state is IS.PENDING and one.attempts:
                row.instances[number] = replace(one, **again)
        self._let_go(
            row,
            state=S.QUEUED,
            counts=replace(row.job.counts, failed=0, cancelled=0),
            attempts=0,
            failing_since=None,
            not_before=0.0,
            ended_at=None,
            exit_code=None,
            reason="",
        )

    def reprioritise(self, job, priority):
        row = self._alive(job)
        self._put(row, order=replace(row.job.order, priority=priority))

    def revise(self, job, *, hours=None, octets_per_second=None):
        if hours is not None:
            row = self._alive(job)
            self._put(row, order=replace(row.job.order, hours=hours))
        if octets_per_second is not None:
            row = self._alive(job)
            self._put(row, order=replace(row.job.order, octets_per_second=octets_per_second or None))

    def hold(self, is_held):
        self._version += 1
        self._is_held = is_held

    def is_held(self):
        return self._is_held

    def clear(self, states, older_than=None, jobs=()):
        gone = [
            row.job.id
            for row in self._rows.values()
            if row.job.state.is_over
            and row.job.state in states
            and (older_than is None or row.job.ended_at < older_than)
            and (not jobs or row.job.id in jobs)
        ]
        for job in gone:
            del self._rows[job]
        self._version += bool(gone)
        return len(gone)

    def log(self, job, lines):
        if job not in self._rows:
            return
        for line in lines:
            self._event_ids += 1
            self._version += 1
            self._rows[job].events.append(JobEvent(id=self._event_ids, line=line))
        del self._rows[job].events[:-MAX_EVENTS]

    def close(self):
        pass


@pytest.fixture
def clock():
    """What time it is for the store."""
    return Clock()


@pytest.fixture
def make_store(tmp_path, clock):
    """Makes stores of a kind; those of SQLite with the same name share a file."""
    made = []

    def make(kind, name="queue.sqlite"):
        store = MemoryJobStore(clock) if kind == "memory" else SQLiteJobStore(tmp_path / name, clock=clock)
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


@pytest.fixture(params=["sqlite", "memory"])
def store(request, make_store):
    """Each kind in turn."""
    return make_store(request.param)


@pytest.fixture
def order():
    """Makes orders: `order("PACS", priority=3)`."""
    return lambda peer="PACS", **more: Order(kind=JobKind.SEND, peer=peer, **more)


@pytest.fixture
def files():
    """Makes instances of 100 octets: `files(3)`."""

    def make(count, folder="/data", start=0):
        return [
            NewInstance(
                name=f"{folder}/{number}.dcm",
                path=f"{folder}/{number}.dcm",
                sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                sop_instance_uid=f"2.25.{number}",
                transfer_syntax_uid="1.2.840.10008.1.2.1",
                data_set_offset=400,
                file_size=500,
            )
            for number in range(start, start + count)
        ]

    return make


@pytest.fixture
def counts():
    """`Counts` by keywords, 100 octets for each instance that is there or done."""

    def make(instances, done=0, failed=0, cancelled=0):
        return Counts(
            instances=instances,
            done=done,
            failed=failed,
            cancelled=cancelled,
            octets=100 * instances,
            octets_done=100 * done,
        )

    return make
