"""What became of an association, in a line."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from dulcet.conformance.captures.messages import MessageRecord
from dulcet.conformance.captures.transcript import PDURecord, StreamTranscript, TransportEvent
from dulcet.dimse.command_dictionary import TAGS
from dulcet.dimse.status import Category, categorize, explain
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ
from dulcet.ul.reasons import explain_abort, explain_rejection

_STATUS = TAGS["status"]
_RQ, _AC, _RJ, _RELEASE_RQ, _RELEASE_RP, _ABORT = 1, 2, 3, 5, 6, 7


def counted(number: int, what: str) -> str:
    """`1 octet`, `2 octets`."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def outcome(stream: StreamTranscript) -> str:
    """`accepted (2 of 2 contexts), released`, `rejected: ...`, `aborted by ...`, `the connection ended ...`."""
    pdus = stream.pdus
    return ", ".join(text for text in (*_begin(pdus), _end(stream, pdus)) if text)


def _begin(pdus: Sequence[PDURecord]) -> Iterator[str]:
    answer = next((pdu for pdu in pdus if pdu.pdu_type in (_AC, _RJ)), None)
    if answer is None:
        if any(pdu.pdu_type == _RQ for pdu in pdus):
            yield "not answered"
        return
    decoded = answer.decode()
    if isinstance(decoded, AAssociateAC):
        contexts = decoded.presentation_contexts
        accepted = sum(context.result == 0 for context in contexts)
        yield f"accepted with {accepted} of {len(contexts)} contexts"
    elif isinstance(decoded, AAssociateRJ):
        yield f"rejected: {explain_rejection(decoded.result, decoded.source, decoded.reason)}"


def _end(stream: StreamTranscript, pdus: Sequence[PDURecord]) -> str:
    """What ended the association: the first of abort, release, rejection and the end of the connection."""
    collided = sum(pdu.pdu_type == _RELEASE_RQ for pdu in pdus) > 1
    released = "released after a release collision" if collided else "released"
    for entry in stream.entries:
        if isinstance(entry, TransportEvent):
            if entry.what in ("FIN", "RST"):
                how = "closed" if entry.what == "FIN" else "reset"
                return f"the connection was {how} without a release" if pdus else f"the connection was {how}"
        elif isinstance(entry, PDURecord):
            if entry.pdu_type == _ABORT:
                decoded = entry.decode()
                return explain_abort(decoded.source, decoded.reason) if isinstance(decoded, AAbort) else "aborted"
            if entry.pdu_type == _RELEASE_RP:
                return released
            if entry.pdu_type == _RJ:
                return ""
    return "not ended in the capture" if stream.client else ""


def operations(messages: Sequence[MessageRecord]) -> Iterator[str]:
    """`C-STORE: 6 requests, 5 x 0000H Success, 1 x A700H Refused: Out of resources`."""
    requests: Counter[str] = Counter()
    statuses: dict[str, Counter[int]] = {}
    for message in messages:
        service, _, kind = message.name.rpartition("-")
        status = message.values.get(_STATUS)
        if kind == "RQ":
            requests[service] += 1
        elif isinstance(status, int):
            statuses.setdefault(service, Counter())[status] += 1
    for service in dict.fromkeys((*requests, *statuses)):
        yield operation(service, requests[service], statuses.get(service, Counter()))


def operation(service: str, requests: int, statuses: Mapping[int, int]) -> str:
    """One service of `operations`; `statuses` are counted."""
    in_order = sorted(statuses, key=lambda each: categorize(each) is not Category.PENDING)
    parts = (f"{statuses[status]} x {status:04X}H {explain(status, service)}" for status in in_order)
    return f"{service}: {', '.join((counted(requests, 'request'), *parts))}"
