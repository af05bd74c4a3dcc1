"""The table of classes of failure, and what it gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet import errors
from dulcet.dimse.status import Category, categorize
from dulcet.station.queue.backoff import (
    POLICIES,
    Failure,
    Patience,
    Policy,
    failure_of,
    failure_of_status,
    pause,
)

HOUR, DAY = 3600.0, 24 * 3600.0


def rejected(result, source=1, reason=1):
    return errors.AssociationRejectedError("no", result=result, source=source, reason=reason)


ABORTED = errors.AssociationAbortedError("aborted", source=2, reason=0)


@pytest.mark.parametrize(
    ("error", "before", "after"),
    [
        (errors.UnknownHostError("x"), Failure.UNREACHABLE, Failure.UNREACHABLE),
        (errors.PeerUnavailableError("x"), Failure.UNREACHABLE, Failure.UNREACHABLE),
        (errors.PeerTimeoutError("x"), Failure.UNREACHABLE, Failure.LOST),
        (errors.TLSError("x"), Failure.REJECTED, Failure.REJECTED),
        (rejected(1, 1, 7), Failure.REJECTED, Failure.REJECTED),
        (rejected(2, 3, 2), Failure.REJECTED_FOR_NOW, Failure.REJECTED_FOR_NOW),
        (rejected(9), Failure.REJECTED_FOR_NOW, Failure.REJECTED_FOR_NOW),
        (ABORTED, Failure.LOST, Failure.LOST),
        (errors.ConnectionLostError("x"), Failure.LOST, Failure.LOST),
        (errors.UnconfirmedError("x"), Failure.LOST, Failure.LOST),
        (errors.PeerProtocolError("x"), Failure.PROTOCOL, Failure.PROTOCOL),
        (errors.NoAcceptedContextError("x"), Failure.PROTOCOL, Failure.PROTOCOL),
        (errors.NoInputError("x"), Failure.LOCAL, Failure.LOCAL),
        (errors.SourceError("x"), Failure.LOCAL, Failure.LOCAL),
        (errors.ConfigurationError("x"), Failure.LOCAL, Failure.LOCAL),
        (errors.OperationFailedError("x", status=0xA701), Failure.OUT_OF_RESOURCES, Failure.OUT_OF_RESOURCES),
        (errors.OperationFailedError("x", status=0xA801), Failure.REFUSED, Failure.REFUSED),
    ],
)
def test_the_class_of_an_error(error, before, after):
    assert failure_of(error, was_associated=False) is before
    assert failure_of(error, was_associated=True) is after


def test_every_association_error_has_a_class():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        if issubclass(kind, errors.AssociationError) and kind is not errors.AssociationError:
            error = {errors.AssociationRejectedError: rejected(1), errors.AssociationAbortedError: ABORTED}.get(kind)
            assert failure_of(error or kind("x"), was_associated=True) is not Failure.LOCAL


def check_status(status):
    failure = failure_of_status(status)
    if categorize(status, "C-STORE") in (Category.SUCCESS, Category.WARNING):
        assert failure is None
    elif 0xA700 <= status <= 0xA7FF or status == 0x0213:
        assert failure is Failure.OUT_OF_RESOURCES
    else:
        assert failure is Failure.REFUSED


def test_the_class_of_every_status():
    for status in range(0x10000):
        check_status(status)
    assert failure_of_status(0) is None
    assert [failure_of_status(code) for code in (0x0110, 0xA800, 0xA900, 0xC123)] == [Failure.REFUSED] * 4


def test_the_table_is_whole():
    assert set(POLICIES) == set(Failure)
    for failure, policy in POLICIES.items():
        assert policy.first_pause <= policy.longest_pause
        if failure in (Failure.REFUSED, Failure.LOCAL):
            assert policy.most_attempts == 1
        else:
            assert policy.first_pause > 0
            assert policy.most_attempts or policy.give_up_after


def test_pauses_double_up_to_the_longest():
    policy = Policy(first_pause=5, longest_pause=60)
    assert [pause(policy, attempt, lambda: 0.0) for attempt in range(1, 7)] == [5, 10, 20, 40, 60, 60]
    assert pause(policy, 10_000, lambda: 0.0) == 60


@given(
    failure=st.sampled_from([failure for failure in Failure if POLICIES[failure].most_attempts != 1]),
    attempts=st.integers(1, 10_000),
    chance=st.floats(0, 1),
)
def test_a_pause_is_within_its_bounds(failure, attempts, chance):
    policy = POLICIES[failure]
    assert 0.75 * policy.first_pause <= pause(policy, attempts, lambda: chance) <= policy.longest_pause


def next_attempt(failure, attempts, since=None, **order):
    return Patience(**order).next_attempt(
        failure, attempts=attempts, failing_since=since, now=1000.0, chance=lambda: 0.0
    )


def test_what_will_never_pass_is_not_tried_again():
    for failure in (Failure.REFUSED, Failure.LOCAL):
        assert next_attempt(failure, 1) is None
        assert next_attempt(failure, 1, retries=99, give_up_after=DAY) is None


def test_attempts_are_limited():
    assert [next_attempt(Failure.REJECTED, attempts) for attempts in (1, 2, 3)] == [1060, 1120, None]
    assert next_attempt(Failure.UNREACHABLE, 1_000) == 1600


def test_age_is_limited():
    assert next_attempt(Failure.UNREACHABLE, 9, 1000 - 3 * DAY + 1) is not None
    assert next_attempt(Failure.UNREACHABLE, 9, 1000 - 3 * DAY) is None
    assert next_attempt(Failure.OUT_OF_RESOURCES, 1, None) == 1030


def test_an_order_has_its_own_limits():
    assert next_attempt(Failure.UNREACHABLE, 1, retries=0) is None
    assert next_attempt(Failure.UNREACHABLE, 2, retries=2) is not None
    assert next_attempt(Failure.UNREACHABLE, 3, retries=2) is None
    assert next_attempt(Failure.REJECTED, 3, retries=5) == 1240
    assert next_attempt(Failure.UNREACHABLE, 9, 1000 - HOUR, give_up_after=HOUR) is None
    assert next_attempt(Failure.UNREACHABLE, 9, 1001 - HOUR, give_up_after=HOUR) is not None
