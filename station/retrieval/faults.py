"""Whose fault it is when what was promised is not here, and what to do: for a person, and to mail to the other side."""

from collections import Counter
from collections.abc import Iterator

from dulcet.dimse.status import MOVE_DESTINATION_UNKNOWN
from dulcet.errors import (
    ConfigurationError,
    DulcetError,
    NoAcceptedContextError,
    OperationFailedError,
    UnknownHostError,
)
from dulcet.escape import quote
from dulcet.services.requestor import Peer
from dulcet.station.advice import advice
from dulcet.station.book.own_address import address_towards
from dulcet.station.book.snippets import OurSide, snippet
from dulcet.station.retrieval.attempts import GET, MOVE, Attempt
from dulcet.station.retrieval.retriever import Retriever

EXIT_DESTINATION_UNKNOWN = 77  # refused: the archive does not know our title
EXIT_TRY_AGAIN = 75
MAX_REASONS = 3


def faults(retriever: Retriever, peer: Peer, port: int) -> list[str]:
    """Lines that say what went wrong; none when nothing did. Nothing is asked of the network but our own address."""
    lines: list[str] = []
    for way in (MOVE, GET):
        attempts = [attempt for attempt in retriever.attempts if attempt.way == way]
        short = [attempt for attempt in attempts if not _is_well(retriever, attempt)]
        if short:
            lines += _of_move(retriever, short, peer, port) if way == MOVE else _of_get(short, peer)
    return [*lines, *_of_ours(retriever), *_of_the_archive(retriever)]


def fault_exit_code(retriever: Retriever) -> int:
    """What a retrieval that brought nothing ends with: the code of its first failure."""
    for attempt in retriever.attempts:
        if attempt.status == MOVE_DESTINATION_UNKNOWN:
            return EXIT_DESTINATION_UNKNOWN
        if attempt.error is not None:
            return attempt.error.exit_code
    return EXIT_TRY_AGAIN


def _is_well(retriever: Retriever, attempt: Attempt) -> bool:
    return retriever.tally.has_all(attempt.target) or (attempt.error is None and attempt.target.instances is None)


# C-MOVE -------------------------------------------------------------------------------------------------------------


def _of_move(retriever: Retriever, short: list[Attempt], peer: Peer, port: int) -> Iterator[str]:
    receiver = retriever.receiver
    title = quote(peer.calling_ae_title)
    if retriever.not_received is not None:
        yield f"C-MOVE: {retriever.not_received}"
        yield "    --port takes another port, which the archive has to know then; --via get needs none."
    elif any(attempt.status == MOVE_DESTINATION_UNKNOWN for attempt in short):
        yield f"C-MOVE: {peer} does not know the move destination {title!r} (A801H). Its administrator has to enter us:"
        yield from _snippet(peer, port)
    elif any(isinstance(attempt.error, OperationFailedError) or attempt.error is None for attempt in short):
        if receiver is not None and not receiver.is_ours:
            yield f"C-MOVE: our own server on port {port} receives what {peer} sends, and not all of it came."
            yield "    Its log tells whom it turned away, and what it could not store."
        elif receiver is not None and receiver.rejected:
            yield f"C-MOVE: {peer} called us and we turned it away, which is on our side to change:"
            yield from (f"    {sentence}" for sentence in receiver.rejected)
            yield "    --allow AET lets in another calling title; the archive's entry for us says how we are called."
        elif receiver is not None and not receiver.accepted:
            yield f"C-MOVE: {peer} never connected to us on port {port}. In its entry for {title!r} the address or the"
            yield "    port may be another, or a firewall lies between. Its administrator can compare:"
            yield from _snippet(peer, port)
    yield from _errors("C-MOVE", short, peer)


def _snippet(peer: Peer, port: int) -> list[str]:
    try:
        address = address_towards(peer.host, peer.port)
    except DulcetError:
        address = "(the address of this machine)"
    us = OurSide(ae_title=peer.calling_ae_title, address=address, port=port)
    text = snippet("text", us, f"{peer.ae_title}@{peer.host}:{peer.port}")
    return [f"    {line}".rstrip() for line in text.splitlines()]


# C-GET --------------------------------------------------------------------------------------------------------------


def _of_get(short: list[Attempt], peer: Peer) -> Iterator[str]:
    if any(attempt.receivable == 0 for attempt in short):
        yield f"C-GET: {peer} agreed to send no storage class on our association (SCP/SCU role selection):"
        yield "    it can't do C-GET for these objects, or only --sop-class UID of others."
    yield from _errors("C-GET", short, peer)


# Both ---------------------------------------------------------------------------------------------------------------


def _errors(way: str, short: list[Attempt], peer: Peer) -> Iterator[str]:
    """Each failure once, the frequent ones first, with what is advised."""
    counts: Counter[str] = Counter()
    first: dict[str, DulcetError] = {}
    for attempt in short:
        if attempt.error is not None and attempt.status != MOVE_DESTINATION_UNKNOWN:
            counts[str(attempt.error)] += 1
            first.setdefault(str(attempt.error), attempt.error)
    for text, count in counts.most_common(MAX_REASONS):
        error = first[text]
        if way == MOVE and isinstance(error, ConfigurationError):
            continue  # there was no receiver: said already
        times = f" ({count} requests)" if count > 1 else ""
        yield f"{way}: {text}{times}"
        if isinstance(error, NoAcceptedContextError):
            yield f"    {peer} does not offer this service to us."
        elif not isinstance(error, UnknownHostError | OperationFailedError):
            yield from (f"    {line}" for line in advice(error, peer))


def _of_ours(retriever: Retriever) -> Iterator[str]:
    reasons = Counter(retriever.tally.refused.values())
    for reason, count in reasons.most_common(MAX_REASONS):
        yield f"{_objects(count)} came and could not be stored here: {quote(reason, 200)}"


def _of_the_archive(retriever: Retriever) -> Iterator[str]:
    """What the archive counts, beside what is here."""
    for attempt in retriever.attempts:
        if attempt.error is not None or attempt.is_cancelled:
            continue
        sent = attempt.counts.completed + attempt.counts.warning
        here = retriever.tally.here(attempt.target)
        missing = retriever.tally.missing(attempt.target)
        failed = [uid for uid in missing if uid in retriever.tally.failed]
        if failed:
            yield f"{_objects(len(failed))} of {attempt.target}: {retriever.tally.failed[failed[0]]}"
        elif missing and sent > here:
            yield (
                f"{attempt.target}: the archive counts {sent} as sent, {here} arrived. Does its entry for us lead"
                " to another machine, too?"
            )
        elif missing:
            yield (
                f"{attempt.target}: the archive listed {len(attempt.target.instances or ())}, but sent {sent}; it does"
                " not say why."
            )


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count:,} objects"
