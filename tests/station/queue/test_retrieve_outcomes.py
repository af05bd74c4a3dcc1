"""Why an instance is not here: whose fault, and whether the instance waits, the job, or nobody."""

from types import SimpleNamespace

import pytest

from dulcet.errors import (
    AssociationAbortedError,
    ConfigurationError,
    NoAcceptedContextError,
    OperationFailedError,
    PeerUnavailableError,
)
from dulcet.services.querying.query_models import Level
from dulcet.services.retrieving.retrieve import SubOperations
from dulcet.station.queue.backoff import Failure
from dulcet.station.queue.retrieve_outcomes import outcome_of, outcome_of_unlisted
from dulcet.station.retrieval.attempts import GET, MOVE, Attempt
from dulcet.station.retrieval.own_server import PortBusyError
from dulcet.station.retrieval.targets import Target

UID = "1.2.3"
LISTED = Target(level=Level.STUDY, study=("1",), instances=frozenset({UID, "1.2.4"}), count=2)
UNLISTED = Target(level=Level.STUDY, study=("1",), count=2)


def retriever(*attempts, believed=False, **tally):
    known = {"refused": {}, "refusals": {}, "failed": {}, "arrived": {}, **tally}
    return SimpleNamespace(
        attempts=list(attempts), tally=SimpleNamespace(**known), is_believed=lambda _target: believed
    )


def attempt(error=None, status=0, way=MOVE, target=LISTED, **fields):
    return Attempt(way=way, target=target, error=error, status=None if error else status, **fields)


def failed(status):
    return OperationFailedError("it failed: (the peer says: DOE^JOHN)", status=status)


def lost():
    return AssociationAbortedError("it was aborted", source=0, reason=0, by_peer=True)


@pytest.mark.parametrize(
    ("status", "failure"),
    [(0xA700, Failure.OUT_OF_RESOURCES), (0xC000, Failure.REFUSED), (0x0111, Failure.REFUSED)],
)
def test_what_we_could_not_store(status, failure):
    outcome = outcome_of(UID, retriever(attempt(), refused={UID: "no room"}, refusals={UID: status}))
    assert (outcome.failure, outcome.is_trouble) == (failure, False)
    assert outcome.reason == "it came and could not be stored here: no room"


@pytest.mark.parametrize(("status", "failure"), [(0xB000, Failure.PROTOCOL), (0xA702, Failure.OUT_OF_RESOURCES)])
def test_what_the_archive_could_not_send(status, failure):
    ended = attempt(status=status, failed_instances=(UID,))
    outcome = outcome_of(UID, retriever(ended, failed={UID: "the archive could not send it"}))
    assert (outcome.failure, outcome.status, outcome.is_trouble) == (failure, status, False)


def test_what_did_not_come_though_all_went_well():
    outcome = outcome_of(UID, retriever(attempt()))
    assert (outcome.failure, outcome.is_trouble) == (Failure.PROTOCOL, False)
    assert "does not say why" in outcome.reason


@pytest.mark.parametrize(
    ("errors", "failure", "exit_code"),
    [
        ([PeerUnavailableError("nobody there")], Failure.UNREACHABLE, 69),
        ([lost()], Failure.LOST, 76),
        ([failed(0xA801)], Failure.REJECTED, 77),
        ([failed(0xA701)], Failure.OUT_OF_RESOURCES, 75),
        ([failed(0xA900)], Failure.PROTOCOL, 76),
        ([ConfigurationError("the port is taken")], Failure.LOCAL, 78),
        ([ConfigurationError("the port is taken"), lost()], Failure.LOST, 76),  # what may pass counts
        ([failed(0xA801), NoAcceptedContextError("no C-GET", refused={})], Failure.REJECTED, 77),
    ],
)
def test_when_nothing_can_be_asked_the_job_waits(errors, failure, exit_code):
    attempts = [attempt(error, way=way) for error, way in zip(errors, (MOVE, GET), strict=False)]
    outcome = outcome_of(UID, retriever(*attempts))
    assert (outcome.failure, outcome.exit_code, outcome.is_trouble) == (failure, exit_code, True)
    assert "DOE" not in outcome.reason  # what an archive says beside a status may be about a patient


def test_a_way_that_worked_is_no_trouble():
    outcome = outcome_of(UID, retriever(attempt(failed(0xA801)), attempt(way=GET)))
    assert not outcome.is_trouble


def test_a_port_that_another_retrieval_has_is_no_failure():
    busy = PortBusyError("another retrieval receives there")
    outcome = outcome_of(UID, retriever(attempt(busy), attempt(lost(), way=GET)))
    assert (outcome.is_trouble, outcome.is_busy) == (True, True)


# Without a list -------------------------------------------------------------------------------------------------------


def unlisted(completed=2, failed=0, **fields):
    return attempt(target=UNLISTED, counts=SubOperations(completed=completed, failed=failed), **fields)


def test_all_that_the_archive_counts_came():
    assert outcome_of_unlisted(UNLISTED, retriever(unlisted(), arrived={"1": 1, "2": 2})) is None


def test_less_came_than_the_archive_counts():
    outcome = outcome_of_unlisted(UNLISTED, retriever(unlisted(), arrived={"1": 1}))
    assert outcome.reason == "the archive counts 2 as sent, 1 arrived"


def test_where_nothing_else_is_known_the_archive_is_believed():
    assert outcome_of_unlisted(UNLISTED, retriever(unlisted(), believed=True)) is None


def test_what_it_could_not_send_counts():
    outcome = outcome_of_unlisted(UNLISTED, retriever(unlisted(1, failed=1), arrived={"1": 1}, believed=True))
    assert outcome.reason == "the archive could not send 1 of its instances"


def test_trouble_is_trouble():
    assert outcome_of_unlisted(UNLISTED, retriever(attempt(lost(), target=UNLISTED))).is_trouble
