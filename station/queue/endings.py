"""How a job stands when its runner can do no more: it is over, it waits, or it was given up."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import trio

from dulcet.dimse.status import explain
from dulcet.station.figures import plural
from dulcet.station.queue.backoff import Failure, Patience
from dulcet.station.queue.jobs import InstanceState, Job, JobInstance, JobKind, JobState, Standing
from dulcet.station.queue.running import Assignment

PATIENCE_SECONDS = 5.0  # a pause so short is waited for here, without handing the job back
MAX_FAILED = 1_000  # looked at for the reason of a job that ended
EXIT_PARTLY_FAILED = 1
_SERVICES = {JobKind.SEND: "C-STORE", JobKind.RETRIEVE: "C-MOVE"}  # whose statuses the rows have


def patience_of(job: Job) -> Patience:
    """What its order says of trying again."""
    options = job.order.options
    return Patience(retries=options.get("retries"), give_up_after=options.get("give_up_after"))


def ended(job: Job) -> JobState:
    """The state of a job that failed: by whether anything of it is done."""
    return JobState.PARTIAL if job.counts.done else JobState.FAILED


async def until_nothing_is_due(
    assignment: Assignment, do_what_is_due: Callable[[], Awaitable[None]], why_stuck: Callable[[], Standing | None]
) -> Standing:
    """`do_what_is_due` again and again, until nothing is pending, or the job has to be handed back: how it stands then.

    `why_stuck` says how, when nothing can be done for now.
    """
    while True:
        await do_what_is_due()
        await assignment.recorder.flush()
        due = await trio.to_thread.run_sync(assignment.store.next_due, assignment.job.id)
        if due is None:
            return await over(assignment)
        if assignment.ending.is_set():
            return Standing(state=JobState.QUEUED)
        if (standing := why_stuck()) is not None:
            return standing
        pause = due - assignment.now()
        if pause > PATIENCE_SECONDS:
            return Standing(state=JobState.WAITING, reason="objects wait to be tried again", not_before=due)
        with trio.move_on_after(max(pause, 0.0)):
            await assignment.ending.wait()


async def over(assignment: Assignment) -> Standing:
    """Nothing is pending: what became of it all."""
    store, number = assignment.store, assignment.job.id
    job = await trio.to_thread.run_sync(store.job, number)
    assert job is not None  # the lease holds it
    counts = job.counts
    if counts.done == counts.instances:
        return Standing(state=JobState.DONE, exit_code=0)
    failed = await trio.to_thread.run_sync(store.instances, number, InstanceState.FAILED, 0, MAX_FAILED)
    return Standing(
        state=ended(job),
        reason=f"{counts.failed:,} of {counts.instances:,} failed: {_common_reason(job, failed)}",
        exit_code=EXIT_PARTLY_FAILED if counts.done else _common_code(failed),
    )


def wait_or_give_up(
    assignment: Assignment, failure: Failure, reason: str, exit_code: int, *, has_got_on: bool
) -> Standing:
    """The job as a whole can't go on for now. `has_got_on`: something was done in this run, so failures begin anew."""
    job, now = assignment.job, assignment.now()
    attempts = 1 if has_got_on else job.attempts + 1
    since = None if has_got_on else job.failing_since
    at = patience_of(job).next_attempt(failure, attempts=attempts, failing_since=since, now=now)
    if at is not None:
        return Standing(state=JobState.WAITING, reason=reason, not_before=at, attempts=attempts)
    times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    is_begun = has_got_on or job.counts.done > 0
    return Standing(
        state=JobState.PARTIAL if is_begun else JobState.FAILED,
        reason=f"{reason}; given up after {times}",
        exit_code=EXIT_PARTLY_FAILED if is_begun else exit_code,
    )


def _common_reason(job: Job, failed: Sequence[JobInstance]) -> str:
    """What most of them have in common, with how many and how many other reasons there are, if there are others.

    Without what a peer said beside it, which may be about a patient.
    """
    service = _SERVICES[job.order.kind]
    reasons = Counter(
        instance.reason if instance.status is None else explain(instance.status, service) for instance in failed
    )
    if not reasons:
        return ""
    ((reason, count),) = reasons.most_common(1)
    return reason if len(reasons) == 1 else f"{reason} ({count:,}), and {plural(len(reasons) - 1, 'other reason')}"


def _common_code(failed: Sequence[JobInstance]) -> int:
    """As the command: the code of the failure, when it is the same for all."""
    codes = {instance.exit_code for instance in failed}
    return codes.pop() if len(codes) == 1 else EXIT_PARTLY_FAILED
