"""All cases, by the side that they test."""

from collections.abc import Sequence
from functools import cache

from dulcet.conformance.kit.case import Case, Role
from dulcet.conformance.kit.cases import (
    assoc_ac,
    assoc_rq,
    assoc_rq_contexts,
    assoc_rq_user,
    dimse_command,
    echo_store,
    fsm_acceptor,
    maximum_length,
    normalized,
    outgoing,
    pdata,
    query,
    release_abort,
    requestor_association,
    requestor_dimse,
    requestor_tls,
    requestor_upper_layer,
    retrieve_get,
    retrieve_move,
    tcp,
    tls,
)
from dulcet.conformance.kit.passive import PassiveCheck

CATALOGUE_VERSION = "1"
STANDARD_EDITION = "PS3.4, PS3.7 and PS3.8, text of 2020"


@cache
def acceptor_cases() -> tuple[Case, ...]:
    """What `dulcet conform scp` plays."""
    return (
        *tcp.CASES,
        *assoc_rq.CASES,
        *assoc_rq_contexts.CASES,
        *assoc_rq_user.CASES,
        *assoc_ac.CASES,
        *release_abort.CASES,
        *pdata.CASES,
        *maximum_length.CASES,
        *fsm_acceptor.CASES,
        *dimse_command.CASES,
        *echo_store.CASES,
        *query.CASES,
        *retrieve_get.CASES,
        *retrieve_move.CASES,
        *normalized.CASES,
        *tls.CASES,
    )


@cache
def acceptor_checks() -> tuple[PassiveCheck, ...]:
    """What it looks at in passing."""
    return (*assoc_ac.ANSWER_CHECKS, *release_abort.CHECKS, *outgoing.ACCEPTOR_CHECKS)


@cache
def requestor_cases() -> tuple[Case, ...]:
    """What `dulcet conform scu` plays."""
    return (*requestor_association.CASES, *requestor_upper_layer.CASES, *requestor_dimse.CASES, *requestor_tls.CASES)


@cache
def requestor_checks() -> tuple[PassiveCheck, ...]:
    """What it looks at in passing."""
    return (
        *requestor_association.CHECKS,
        *requestor_upper_layer.CHECKS,
        *outgoing.FRAGMENT_CHECKS,
        *outgoing.COMMAND_CHECKS,
        outgoing.NOT_INTERLEAVED,
    )


@cache
def all_cases() -> tuple[Case, ...]:
    """Of either side, played or looked at in passing."""
    checks = (*acceptor_checks(), *requestor_checks())
    return (*acceptor_cases(), *requestor_cases(), *(check.case for check in checks))


def in_order(cases: Sequence[Case]) -> list[Case]:
    """By group, in the order of the catalogue."""
    return sorted(cases, key=lambda case: _GROUPS.index(case.group) if case.group in _GROUPS else 99)


_GROUPS = [
    "ul.tcp", "ul.assoc.rq", "ul.assoc.ac", "ul.assoc.rj", "ul.assoc.r", "ul.release", "ul.abort", "ul.pdu",
    "ul.pdata", "ul.fsm", "dimse.cmd", "dimse.echo", "dimse.store", "dimse.find", "dimse.get", "dimse.move",
    "dimse.n", "dimse.async", "dimse.bidirectional", "tls",
]  # fmt: skip

__all__ = ["Role", "acceptor_cases", "acceptor_checks", "in_order", "requestor_cases", "requestor_checks"]
