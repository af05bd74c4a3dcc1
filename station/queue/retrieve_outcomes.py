"""What a pass of a retrieval came to for an instance that is not here: whose fault, and whether it may pass."""

from collections.abc import Sequence
from dataclasses import dataclass

from dulcet.dimse.status import MOVE_DESTINATION_UNKNOWN, explain
from dulcet.errors import DulcetError, OperationFailedError
from dulcet.station.queue.backoff import OUT_OF_RESOURCES, POLICIES, Failure, failure_of, failure_of_status
from dulcet.station.retrieval.attempts import Attempt
from dulcet.station.retrieval.own_server import PortBusyError
from dulcet.station.retrieval.retriever import Retriever
from dulcet.station.retrieval.targets import Target

EXIT_TEMPORARY, EXIT_PROTOCOL = 75, 76


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Why an instance did not come; or, `is_trouble`, why nothing of the kind can come for now."""

    failure: Failure
    reason: str
    exit_code: int
    status: int | None = None
    """Of the archive's response."""
    is_trouble: bool = False
    """The job as a whole has to wait."""
    is_busy: bool = False
    """Only for a port that another retrieval has: no failure at all."""


def outcome_of(uid: str, retriever: Retriever) -> Outcome:
    """Of an instance that was asked for and is not here."""
    tally = retriever.tally
    if uid in tally.refused:
        failure = failure_of_status(tally.refusals[uid]) or Failure.REFUSED
        return Outcome(
            failure=failure,
            reason=f"it came and could not be stored here: {tally.refused[uid]}",
            exit_code=EXIT_TEMPORARY,
        )
    attempts = [each for each in retriever.attempts if uid in (each.target.instances or ())]
    if uid in tally.failed:
        status = next((each.status for each in attempts if uid in each.failed_instances), None)
        failure = Failure.OUT_OF_RESOURCES if status in OUT_OF_RESOURCES else Failure.PROTOCOL
        return Outcome(failure=failure, reason=tally.failed[uid], exit_code=EXIT_TEMPORARY, status=status)
    return _of_attempts(attempts) or Outcome(
        failure=Failure.PROTOCOL,
        reason="the archive did not send it, and does not say why",
        exit_code=EXIT_TEMPORARY,
    )


def outcome_of_unlisted(target: Target, retriever: Retriever) -> Outcome | None:
    """Of a series or a study whose instances are not known; None when all that the archive sent is here."""
    attempts = [each for each in retriever.attempts if each.target is target]
    trouble = _of_attempts(attempts)
    if trouble is not None:
        return trouble
    good = [each for each in retriever.attempts if each.target.instances is None and each.error is None]
    sent = sum(each.counts.completed + each.counts.warning for each in good)
    failed = sum(each.counts.failed for each in attempts)
    came = len(retriever.tally.arrived)
    if failed:
        reason = f"the archive could not send {failed:,} of its instances"
    elif not retriever.is_believed(target) and came < sent:
        reason = f"the archive counts {sent:,} as sent, {came:,} arrived"
    else:
        return None
    return Outcome(failure=Failure.PROTOCOL, reason=reason, exit_code=EXIT_TEMPORARY)


def _of_attempts(attempts: Sequence[Attempt]) -> Outcome | None:
    """What kept every request for something from being performed; None when one was, or there was none."""
    errors = [each.error for each in attempts if each.error is not None]
    if not errors or len(errors) < len(attempts):
        return None
    if any(isinstance(error, PortBusyError) for error in errors):
        busy = next(error for error in errors if isinstance(error, PortBusyError))
        return Outcome(failure=Failure.LOCAL, reason=str(busy), exit_code=EXIT_TEMPORARY, is_trouble=True, is_busy=True)
    worst = max(attempts, key=lambda each: _patience(_failure_of(each.error)))
    assert worst.error is not None
    reason, status = str(worst.error), None
    if isinstance(worst.error, OperationFailedError):  # without what the archive said beside it: it may be of a patient
        status = worst.error.status
        reason = f"{worst.way} failed: {status:04X}H, {explain(status, worst.way)}"
    return Outcome(
        failure=_failure_of(worst.error),
        reason=reason,
        exit_code=worst.error.exit_code,
        status=status,
        is_trouble=True,
    )


def _failure_of(error: DulcetError | None) -> Failure:
    assert error is not None
    if not isinstance(error, OperationFailedError):
        return failure_of(error, was_associated=False)
    if error.status == MOVE_DESTINATION_UNKNOWN:
        return Failure.REJECTED  # somebody has to enter us there
    return Failure.OUT_OF_RESOURCES if error.status in OUT_OF_RESOURCES else Failure.PROTOCOL


def _patience(failure: Failure) -> float:
    """Of two ways that failed, the one that is worth more attempts counts."""
    most = POLICIES[failure].most_attempts
    return float("inf") if most is None else most
