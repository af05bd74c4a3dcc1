"""What became of a job's objects, in the form of the report that `dulcet send --report` writes."""

from collections.abc import Iterable

from dulcet.dimse.status import Category, categorize
from dulcet.station.events import Outcome, StoreResult
from dulcet.station.queue.jobs import InstanceState, Job, JobInstance
from dulcet.station.sending.report import SendReport

STORAGE = "C-STORE"


def report_of(job: Job, instances: Iterable[JobInstance]) -> SendReport:
    """A row for each instance. Memory: that of the report, half a kilobyte for each."""
    report = SendReport(job.order.peer)
    for instance in instances:
        report(result_of(instance))
    return report


def result_of(instance: JobInstance) -> StoreResult:
    """An instance as the event that its end would have been."""
    is_pending = instance.state is InstanceState.PENDING
    return StoreResult(
        name=instance.name or instance.sop_instance_uid,
        outcome=_outcome(instance),
        explanation=instance.reason or ("it is still to be done" if is_pending else None),
        status=instance.status,
        exit_code=instance.exit_code,
        sop_class_uid=instance.sop_class_uid or None,
        sop_instance_uid=instance.sop_instance_uid or None,
        transfer_syntax_uid=instance.transfer_syntax_uid or None,
        octets=instance.octets or None,
        attempts=instance.attempts + (instance.state is InstanceState.DONE),
    )


def _outcome(instance: JobInstance) -> Outcome:
    status = instance.status
    if instance.state is InstanceState.DONE:
        is_warning = status is not None and categorize(status, STORAGE) is Category.WARNING
        return Outcome.WARNING if is_warning else Outcome.STORED
    if instance.state is InstanceState.FAILED and status is not None:
        return Outcome.REFUSED
    return Outcome.NOT_SENT
