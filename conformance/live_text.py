"""A conversation while it goes on, in lines for people and in JSON Lines; what a peer sent is quoted."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from dulcet.conformance.captures.describe import describe_message, describe_pdu
from dulcet.conformance.captures.ladder import DETAIL, Line, Style, show_step
from dulcet.conformance.captures.machines import MachineStep
from dulcet.conformance.captures.messages import MessageRecord
from dulcet.conformance.captures.outcome import counted, operation, outcome
from dulcet.conformance.captures.sidecar import deviation_document, elements, format_time, pdu_document, step_document
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.text import show_fields, show_wrong
from dulcet.conformance.captures.transcript import PDURecord, StreamTranscript, Tail, TransportEvent
from dulcet.conformance.live import LiveConversation, LiveDataSet, LiveEntry, LivePDU, Oversized
from dulcet.conformance.tap import Ends
from dulcet.dimse.command_dictionary import MESSAGE_ID, MESSAGE_ID_BEING_RESPONDED_TO, TAGS
from dulcet.escape import quote
from dulcet.ul.pdata import P_DATA_TF_TYPE

_STATUS = TAGS["status"]
_KEPT = 32  # PDUs and events that the last line is made of; P-DATA-TF are not among them
_INDENT = "    "
_ARROWS = {Direction.TO_SERVER: ">", Direction.TO_CLIENT: "<"}
_SENDERS = {Direction.TO_SERVER: "client", Direction.TO_CLIENT: "server"}


class LiveView:
    """Observes one connection and gives its lines to `tell`.

    A `verbosity` of 0 is a line at its begin and its end; 1 PDUs and messages as they become whole; 2 every PDU with
    its fields and the steps of both machines.
    """

    def __init__(self, ends: Ends, tell: Callable[[Line], None], verbosity: int) -> None:
        self._ends = ends
        self._tell = tell
        self._verbosity = verbosity
        self._conversation = LiveConversation()
        self._summary = _Summary()

    def opened(self, time: int) -> None:
        """See `Observer`."""
        self._line(time, f"{_where(self._ends)}", Style.HEADING)
        self._show(time, self._conversation.opened(time))

    def refused(self, time: int, why: str) -> None:
        """See `Observer`."""
        self._line(time, f"{_where(self._ends)}: closed, {quote(why, 200)}", Style.ERROR)

    def sent(self, time: int, direction: Direction, octets: bytes) -> None:
        """See `Observer`."""
        for entry in self._conversation.sent(time, direction, octets):
            self._show(time, entry)

    def closed(self, time: int, direction: Direction, *, is_reset: bool) -> None:
        """See `Observer`."""
        self._show(time, self._conversation.closed(time, direction, is_reset=is_reset))

    def ended(self, time: int) -> None:
        """See `Observer`."""
        if self._summary.began is not None:
            self._line(time, self._summary.text(time, self._conversation.octets), Style.HEADING)

    def _show(self, time: int, entry: LiveEntry) -> None:
        self._summary.add(time, entry)
        if self._verbosity:
            for index, line in enumerate(self._lines(entry)):
                if index:
                    self._tell(line)
                else:
                    self._line(time, line.text, line.style)

    def _line(self, time: int, text: str, style: Style) -> None:
        self._tell(Line(f"{_clock(time)} #{self._ends.number} {text}", style))

    def _lines(self, entry: LiveEntry) -> Iterator[Line]:
        match entry:
            case LivePDU():
                yield from self._pdu(entry)
            case Oversized():
                text = f"{entry.name} of {entry.length} octets, more than are looked at here"
                yield Line(f"{_ARROWS[entry.direction]} {text}", Style.DEVIATION)
            case Tail():
                yield Line(f"{_ARROWS[entry.direction]} no PDU: {entry.why}; what follows is passed on", Style.ERROR)
                yield from self._steps(entry.steps)
            case TransportEvent():
                if entry.what != "open":
                    yield Line(f"{_ARROWS[entry.direction]} {entry.what}", Style.LADDER)
                    yield from self._steps(entry.steps)
                    for deviation in entry.deviations:
                        yield Line(f"{_INDENT}! {deviation.clause}  {deviation.explanation}", Style.DEVIATION)

    def _pdu(self, entry: LivePDU) -> Iterator[Line]:
        record = entry.record
        arrow = _ARROWS[record.direction]
        is_data = record.pdu_type == P_DATA_TF_TYPE and entry.pdu is not None
        if not is_data or self._verbosity > 1:
            yield Line(f"{arrow} {record.name}", Style.LADDER)
            if entry.pdu is not None and not is_data:
                yield from (Line(f"{_INDENT}{text}") for text in describe_pdu(entry.pdu))
        for message in entry.messages:
            lines = describe_message(message)
            yield Line(f"{arrow} {next(lines)} [context {message.context_id}]", Style.LADDER)
            yield from (Line(f"{_INDENT}{text}") for text in lines)
        for data_set in entry.data_sets:
            yield Line(f"{arrow} {_data_set(data_set)}", Style.LADDER)
        yield from _indented(show_wrong(record))
        if self._verbosity > 1:
            yield from self._steps(record.steps)
            yield from _indented(show_fields(record.octets, 1))

    def _steps(self, steps: tuple[MachineStep, ...]) -> Iterator[Line]:
        if self._verbosity > 1:
            for step in steps:
                yield Line(f"{_INDENT}{step.side.value}: {show_step(step)} ({step.event.meaning})", Style.DIM)


class LiveJSON:
    """Observes one connection and gives a JSON object for each thing that happens to `tell`."""

    def __init__(self, ends: Ends, tell: Callable[[dict[str, Any]], None]) -> None:
        self._ends = ends
        self._tell = tell
        self._conversation = LiveConversation()
        self._summary = _Summary()

    def opened(self, time: int) -> None:
        """See `Observer`."""
        self._summary.add(time, self._conversation.opened(time))
        self._event(time, "tap.opened", client=_join(self._ends.client), server=_join(self._ends.server))

    def refused(self, time: int, why: str) -> None:
        """See `Observer`."""
        self._event(time, "tap.refused", client=_join(self._ends.client), error=why)

    def sent(self, time: int, direction: Direction, octets: bytes) -> None:
        """See `Observer`."""
        for entry in self._conversation.sent(time, direction, octets):
            self._summary.add(time, entry)
            self._entry(time, entry)

    def closed(self, time: int, direction: Direction, *, is_reset: bool) -> None:
        """See `Observer`."""
        entry = self._conversation.closed(time, direction, is_reset=is_reset)
        self._summary.add(time, entry)
        self._entry(time, entry)

    def ended(self, time: int) -> None:
        """See `Observer`."""
        if self._summary.began is not None:
            octets = {_SENDERS[direction]: self._conversation.octets[direction] for direction in Direction}
            self._event(time, "tap.ended", outcome=self._summary.text(time, None), octets_from=octets)

    def _entry(self, time: int, entry: LiveEntry) -> None:
        match entry:
            case LivePDU():
                stream = StreamTranscript(number=0, transport="tcp", entries=(entry.record,), messages=entry.messages)
                found = pdu_document(stream, entry.record)
                for name in ("offset", "time"):
                    found.pop(name, None)
                found["data_sets"] = [_data_set_document(data_set) for data_set in entry.data_sets]
                self._event(time, "tap.pdu", **found)
            case Oversized():
                self._event(time, "tap.pdu", dir=entry.direction.value, name=entry.name, length=entry.length)
            case Tail():
                self._event(time, "tap.no_pdu", dir=entry.direction.value, error=entry.why)
            case TransportEvent():
                self._event(
                    time,
                    "tap.closed",
                    what=entry.what,
                    by=_SENDERS[entry.direction],
                    events=[step_document(step) for step in entry.steps],
                    deviations=[deviation_document(each) for each in entry.deviations],
                )

    def _event(self, time: int, event: str, **values: Any) -> None:
        self._tell({"v": 1, "ts": format_time(time), "event": event, "connection": self._ends.number, **values})


class _Summary:
    """What became of the connection, from a bounded part of what was seen."""

    def __init__(self) -> None:
        self.began: int | None = None
        self._entries: list[PDURecord | TransportEvent] = []
        self._requests: Counter[str] = Counter()
        self._statuses: Counter[tuple[str, int]] = Counter()
        self._deviations = 0

    def add(self, time: int, entry: LiveEntry) -> None:
        if self.began is None:
            self.began = time
        if isinstance(entry, LivePDU):
            self._deviations += len(entry.record.deviations) + (entry.record.error is not None)
            for message in entry.messages:
                self._count(message)
            if entry.record.pdu_type != P_DATA_TF_TYPE:
                self._keep(entry.record)
        elif isinstance(entry, TransportEvent):
            self._deviations += len(entry.deviations)
            self._keep(entry)

    def _keep(self, entry: PDURecord | TransportEvent) -> None:
        if len(self._entries) < _KEPT:
            self._entries.append(entry)

    def _count(self, message: MessageRecord) -> None:
        service, _, kind = message.name.rpartition("-")
        status = message.values.get(_STATUS)
        if kind == "RQ":
            self._requests[service] += 1
        elif isinstance(status, int) and len(self._statuses) < _KEPT:
            self._statuses[service, status] += 1

    def text(self, time: int, octets: Counter[Direction] | None) -> str:
        """`accepted with 1 of 1 contexts, released; C-ECHO: 1 request, 1 x 0000H Success; 0.012 s, ...`."""
        stream = StreamTranscript(number=0, transport="tcp", entries=tuple(self._entries), client="-")
        parts = [outcome(stream)]
        for service, count in self._requests.items():
            statuses = {status: number for (of, status), number in self._statuses.items() if of == service}
            parts.append(operation(service, count, statuses))
        if self._deviations:
            parts.append(f"{counted(self._deviations, 'deviation')} from the standard")
        if octets is not None:
            there, back = octets[Direction.TO_SERVER], octets[Direction.TO_CLIENT]
            seconds = (time - (self.began or time)) / 1e9
            parts.append(f"{seconds:.3f} s, {there} octets to the server, {back} to the client")
        return "; ".join(parts)


def _indented(lines: Iterator[Line]) -> Iterator[Line]:
    for line in lines:
        yield line._replace(text=line.text.replace(DETAIL, _INDENT, 1))


def _data_set(data_set: LiveDataSet) -> str:
    message = data_set.message
    number = None if message is None else _number(message)
    what = "data set" if message is None else f"data set of {message.name}"
    what = what if number is None else f"{what} {number}"
    fragments = counted(data_set.fragments, "fragment")
    return f"{what}: {data_set.octets} octets, {fragments} [context {data_set.context_id}]"


def _number(message: MessageRecord) -> int | None:
    number = message.values.get(MESSAGE_ID, message.values.get(MESSAGE_ID_BEING_RESPONDED_TO))
    return number if isinstance(number, int) else None


def _data_set_document(data_set: LiveDataSet) -> dict[str, Any]:
    message = data_set.message
    return {
        "of": None if message is None else elements(message.values) | {"name": message.name},
        "context_id": data_set.context_id,
        "octets": data_set.octets,
        "fragments": data_set.fragments,
    }


def _where(ends: Ends) -> str:
    return f"{_join(ends.client)} -> {_join(ends.server)}"


def _join(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{quote(host)}]:{port}" if ":" in host else f"{quote(host)}:{port}"


def _clock(time: int) -> str:
    """The time of day, UTC."""
    return f"{datetime.fromtimestamp(time // 1_000_000_000, UTC):%H:%M:%S}.{time // 1_000_000 % 1000:03}"
