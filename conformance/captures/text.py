"""A transcript for people: for each stream who spoke and what became of it, then a line for each PDU with the steps of
both machines, what it says, and what is wrong with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from dulcet.conformance.captures.describe import describe_message, describe_pdu, uid
from dulcet.conformance.captures.fields import FieldNode, fields_of, path_of, show_value
from dulcet.conformance.captures.hexdump import hexdump
from dulcet.conformance.captures.ladder import DETAIL, Line, Style, head, ladder
from dulcet.conformance.captures.machines import RECEIVED, Side
from dulcet.conformance.captures.messages import MessageRecord
from dulcet.conformance.captures.outcome import counted, operations, outcome
from dulcet.conformance.captures.sidecar import format_time
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.transcript import (
    Entry,
    Lost,
    PDURecord,
    StreamTranscript,
    Tail,
    Transcript,
    TransportEvent,
)
from dulcet.escape import quote
from dulcet.ul.deviation import Deviation
from dulcet.ul.pdu import AAssociateAC, AAssociateRQ, AnyPDU, PDataTF

_P_DATA = 4
_MIN_RUN = 3  # fewer PDUs of one data set are shown one by one
_BORING = frozenset(("pdu_type", "pdu_length", "item_type", "item_length", "reserved"))
_SHOWN_STREAMS = 12


@dataclass(frozen=True, slots=True)
class View:
    """What to show."""

    verbosity: int = 0
    """1: the fields with their octets, and every PDU; 2: reserved fields and lengths too."""
    with_hexdump: bool = False
    streams: frozenset[int] | None = None
    """Numbers of streams; None for all."""
    pdus: frozenset[int] | None = None
    """Numbers of PDUs; None for all."""


def show(transcript: Transcript, view: View) -> Iterator[Line]:
    """The whole transcript."""
    yield Line(_title(transcript), Style.HEADING)
    for note in (*transcript.damage, *transcript.notes):
        yield Line(f"  {note}", Style.DEVIATION)
    streams = [each for each in transcript.streams if view.streams is None or each.number in view.streams]
    shown = streams
    if view.streams is None:
        shown = [stream for stream in streams if stream.is_dicom or _is_tls(stream)] or streams[:_SHOWN_STREAMS]
    for stream in shown:
        yield Line("")
        yield from show_stream(stream, view)
    if len(shown) < len(streams):
        numbers = {stream.number for stream in shown}
        others = [stream for stream in streams if stream.number not in numbers]
        named = ", ".join(str(stream.number) for stream in others[:_SHOWN_STREAMS])
        more = " and more" if len(others) > _SHOWN_STREAMS else ""
        what = "connection carries" if len(others) == 1 else "connections carry"
        yield Line("")
        yield Line(f"{len(others)} {what} no DICOM: {named}{more} (--stream N shows one)", Style.DIM)


def _title(transcript: Transcript) -> str:
    name = quote(transcript.name, 200)
    if not transcript.packets:
        count = sum(len(stream.pdus) for stream in transcript.streams)
        return f"{name}: {counted(transcript.octets, 'octet')}, {counted(count, 'PDU')}"
    connections = counted(len(transcript.streams), "TCP connection")
    return f"{name}: {transcript.format}, {counted(transcript.packets, 'packet')}, {connections}"


def _is_tls(stream: StreamTranscript) -> bool:
    return stream.transport == "tls" and bool(stream.problem)


def show_stream(stream: StreamTranscript, view: View) -> Iterator[Line]:
    """One stream."""
    if not stream.has_directions:
        for line in _show_octets(stream, view):
            yield line._replace(text=line.text.replace(DETAIL, "    ", 1))
        return
    reader = _StreamText(stream, view)
    yield from reader.header()
    yield head()
    yield from reader.entries()
    if any(step.is_inferred for entry in stream.entries for step in getattr(entry, "steps", ())):
        yield Line(f"{DETAIL}* concluded, not seen", Style.DIM)


class _Data(NamedTuple):
    """A PDU that carries only part of one data set."""

    context_id: int
    octets: int
    fragments: int
    is_last: bool


@dataclass(slots=True)
class _StreamText:
    stream: StreamTranscript
    view: View
    began: int | None = None
    requestor: Direction = Direction.TO_SERVER
    current: dict[tuple[Direction, int], MessageRecord] = field(default_factory=dict)
    """The message that a data set fragment belongs to."""
    syntaxes: dict[int, str] = field(default_factory=dict)
    """The transfer syntax accepted for each context."""

    def header(self) -> Iterator[Line]:
        """Who, when, and what became of it."""
        stream = self.stream
        times = [entry.time for entry in stream.entries if entry.time is not None]
        self.began = times[0] if times else None
        began = "" if self.began is None else f"  {format_time(self.began)}"
        ends = f"  {stream.client} -> {stream.server}" if stream.client else ""
        yield Line(f"Stream {stream.number}{ends}{began}", Style.HEADING)
        yield from self._who()
        if stream.transport == "tls":
            yield Line(f"  TLS{f', not decrypted: {stream.problem}' if stream.problem else ', decrypted'}")
        if not stream.has_begin:
            yield Line("  the begin of the connection was not captured", Style.DEVIATION)
        yield Line(f"  {outcome(stream)}{self._amount(times)}")
        for text in operations(stream.messages):
            yield Line(f"  {text}")
        wrong = sum(len(getattr(entry, "deviations", ())) for entry in stream.entries)
        pdus = (entry for entry in stream.entries if isinstance(entry, PDURecord))
        wrong += sum(pdu.error is not None and not pdu.missing for pdu in pdus)
        if wrong:
            yield Line(f"  {counted(wrong, 'deviation')} from the standard", Style.DEVIATION)

    def _who(self) -> Iterator[Line]:
        """AE titles and implementations, as the two said them."""
        request = self._first(AAssociateRQ.PDU_TYPE)
        if request is None:
            return
        self.requestor = request.direction
        asked = request.decode()
        if not isinstance(asked, AAssociateRQ):
            return
        yield Line(f"  requestor  '{quote(asked.calling_ae_title)}'{_implementation(asked)}")
        answer = self._first(AAssociateAC.PDU_TYPE)
        said = None if answer is None else answer.decode()
        yield Line(f"  acceptor   '{quote(asked.called_ae_title)}'{_implementation(said)}")

    def _first(self, pdu_type: int) -> PDURecord | None:
        found = (entry for entry in self.stream.entries if isinstance(entry, PDURecord))
        return next((pdu for pdu in found if pdu.pdu_type == pdu_type), None)

    def _amount(self, times: list[int]) -> str:
        halves = self.stream.halves
        if not halves:
            return ""
        there, back = halves[Direction.TO_SERVER].octets, halves[Direction.TO_CLIENT].octets
        seconds = (times[-1] - times[0]) / 1e9 if times else 0
        again = f", {self.stream.retransmissions} segments retransmitted" if self.stream.retransmissions else ""
        return f"; {seconds:.3f} s, {there} octets to the server, {back} to the client{again}"

    def entries(self) -> Iterator[Line]:
        """The ladder. PDUs of one data set that say nothing new are one line."""
        run: list[tuple[PDURecord, _Data]] = []
        for entry in self.stream.entries:
            if isinstance(entry, PDURecord) and self.view.pdus is not None and entry.number not in self.view.pdus:
                self._note_messages(entry)
                continue
            if self.view.pdus is not None and not isinstance(entry, PDURecord):
                continue
            data = self._data(entry)
            if run and (data is None or not _continues(run[-1], entry, data)):
                yield from self._run(run)
                run = []
            if data is None or not isinstance(entry, PDURecord):
                yield from self._entry(entry)
            else:
                run.append((entry, data))
        yield from self._run(run)

    def _data(self, entry: Entry) -> _Data | None:
        """What a PDU of nothing but one data set carries, if it can be part of a run."""
        if not isinstance(entry, PDURecord) or entry.pdu_type != _P_DATA or entry.error or entry.deviations:
            return None
        if self.view.verbosity or self.view.with_hexdump:
            return None
        pdu = entry.decode()
        if not isinstance(pdu, PDataTF) or any(value.is_command for value in pdu.values):
            return None
        contexts = {value.context_id for value in pdu.values}
        octets = sum(len(value.fragment) for value in pdu.values)
        if len(contexts) != 1:
            return None
        return _Data(contexts.pop(), octets, len(pdu.values), pdu.values[-1].is_last)

    def _run(self, run: list[tuple[PDURecord, _Data]]) -> Iterator[Line]:
        if len(run) < _MIN_RUN:
            for record, _ in run:
                yield from self._entry(record)
            return
        (first, data), (last, _) = run[0], run[-1]
        numbers = f"{first.number}-{last.number}"
        what = f"P-DATA-TF x {len(run)}"
        yield ladder(numbers, self._since(last.time), what, self._side(first.direction), last.steps)
        octets = sum(each.octets for _, each in run)
        fragments = sum(each.fragments for _, each in run)
        text = self._data_text(first.direction, data.context_id, octets, run[-1][1].is_last)
        yield Line(f"{DETAIL}{text} ({fragments} fragments)")

    def _since(self, time: int | None) -> int | None:
        return None if time is None or self.began is None else time - self.began

    def _side(self, direction: Direction) -> Side:
        return Side.REQUESTOR if direction is self.requestor else Side.ACCEPTOR

    def _entry(self, entry: Entry) -> Iterator[Line]:
        side, since = self._side(entry.direction), self._since(entry.time)
        match entry:
            case PDURecord():
                yield ladder(str(entry.number), since, entry.name, side, entry.steps)
                yield from self._pdu(entry)
            case Tail():
                yield ladder("", since, "no PDU" if entry.is_unknown_type else "part of a PDU", side, entry.steps)
                text = f"{counted(entry.length, 'octet')} at {entry.offset} of the stream: {entry.why}"
                yield Line(f"{DETAIL}{text}", Style.ERROR)
                yield from _dump(entry.head, None)
            case Lost():
                text = f"{entry.missing} octets were not captured at {entry.offset} of the stream"
                more = entry.length - entry.missing
                yield ladder("", since, "...", side, ())
                yield Line(f"{DETAIL}{text}{f'; {more} more could not be read' if more else ''}", Style.DEVIATION)
            case TransportEvent():
                what = {"open": "TCP connection", "open, not accepted": "SYN, no answer"}.get(entry.what, entry.what)
                yield ladder("", since, what, side, entry.steps)
                yield from _deviations(entry.deviations)

    def _pdu(self, record: PDURecord) -> Iterator[Line]:
        self._note_messages(record)
        pdu = record.decode()
        if isinstance(pdu, PDataTF):
            yield from self._values(record, pdu)
        elif pdu is not None:
            yield from (Line(f"{DETAIL}{text}") for text in describe_pdu(pdu, is_all=self.view.verbosity > 0))
        if isinstance(pdu, AAssociateAC):
            accepted = (each for each in pdu.presentation_contexts if each.result == 0)
            self.syntaxes = {each.context_id: uid(each.transfer_syntax or "") for each in accepted}
        yield from show_wrong(record)
        if self.view.verbosity:
            yield from show_fields(record.octets, self.view.verbosity)
        if self.view.with_hexdump:
            yield from (Line(f"{DETAIL}{row}", Style.DIM) for row in hexdump(record.octets))

    def _note_messages(self, record: PDURecord) -> None:
        for number in record.messages:
            message = self.stream.messages[number]
            self.current[record.direction, message.context_id] = message

    def _values(self, record: PDURecord, pdu: PDataTF) -> Iterator[Line]:
        messages = iter(record.messages)
        for value in pdu.values:
            if not value.is_command:
                text = self._data_text(record.direction, value.context_id, len(value.fragment), value.is_last)
                yield Line(f"{DETAIL}{text}")
            elif value.is_last:
                message = self.stream.messages[next(messages)]
                lines = describe_message(message)
                yield Line(f"{DETAIL}{next(lines)} [context {message.context_id}]")
                yield from (Line(f"{DETAIL}  {text}") for text in lines)
            else:
                yield Line(f"{DETAIL}command set: {len(value.fragment)} octets of it [context {value.context_id}]")

    def _data_text(self, direction: Direction, context_id: int, octets: int, is_last: bool) -> str:
        message = self.current.get((direction, context_id))
        what = "data set" if message is None else f"data set of {message.name}"
        total = message.data_set.length if message is not None and message.data_set is not None else octets
        end = "the whole" if is_last and total == octets else f"the last of {total}" if is_last else "more follow"
        syntax = self.syntaxes.get(context_id)
        return f"{what}: {octets} octets, {end} [context {context_id}{f', {syntax}' if syntax else ''}]"


def _implementation(said: AnyPDU | None) -> str:
    if not isinstance(said, AAssociateRQ | AAssociateAC):
        return ""
    class_uid = quote(said.implementation_class_uid or "no implementation class UID")
    return f"  {quote(said.implementation_version_name or '')} ({class_uid})"


def _continues(last: tuple[PDURecord, _Data], entry: Entry, data: _Data) -> bool:
    record, before = last
    return (
        isinstance(entry, PDURecord)
        and not before.is_last
        and record.direction is entry.direction
        and before.context_id == data.context_id
        and record.steps == entry.steps
    )


def _show_octets(stream: StreamTranscript, view: View) -> Iterator[Line]:
    """PDUs that came without a connection: what they say, and every field."""
    text = _StreamText(stream, view)
    for entry in stream.entries:
        if isinstance(entry, PDURecord) and (view.pdus is None or entry.number in view.pdus):
            event = RECEIVED[entry.pdu_type]
            title = f"PDU {entry.number}  {entry.name}, {len(entry.octets)} octets"
            yield Line(f"{title}; it arrives as {event} ({event.meaning})", Style.LADDER)
            text._note_messages(entry)
            pdu = entry.decode()
            if isinstance(pdu, PDataTF):
                yield from text._values(entry, pdu)
            elif pdu is not None:
                yield from (Line(f"{DETAIL}{line}") for line in describe_pdu(pdu, is_all=True))
            yield from show_wrong(entry)
            yield from show_fields(entry.octets, max(view.verbosity, 1))
            if view.with_hexdump:
                yield from (Line(f"{DETAIL}{row}", Style.DIM) for row in hexdump(entry.octets))
        elif isinstance(entry, Tail) and view.pdus is None:
            yield Line(f"{counted(entry.length, 'octet')} at {entry.offset}: {entry.why}", Style.ERROR)
            yield from _dump(entry.head, None)


def show_wrong(record: PDURecord) -> Iterator[Line]:
    """The error and the deviations of a PDU, with the octets in question."""
    if record.error is not None:
        yield Line(f"{DETAIL}! {quote(str(record.error), 200)}", Style.ERROR)
        if not record.missing:
            nodes = fields_of(record.octets)
            wrong = next((node for node in nodes if node.error), None)
            if wrong is not None:
                yield Line(f"{DETAIL}    in {path_of(nodes, wrong)}:", Style.ERROR)
            yield from _dump(record.octets, wrong)
    yield from _deviations(record.deviations)


def _deviations(deviations: tuple[Deviation, ...]) -> Iterator[Line]:
    for each in deviations:
        where = f"{quote(each.field, 160)}: " if each.field else ""
        yield Line(f"{DETAIL}! {each.clause}  {where}{quote(each.explanation, 200)}", Style.DEVIATION)
        if each.octets:
            more = "..." if len(each.octets) > 16 else ""
            yield Line(f"{DETAIL}    {each.octets[:16].hex(' ')}{more}", Style.DEVIATION)


def _dump(octets: memoryview | bytes, wrong: FieldNode | None) -> Iterator[Line]:
    mark = (wrong.start, wrong.stop) if wrong is not None else None
    for row in hexdump(octets, mark=mark, around=mark is not None, max_rows=8):
        yield Line(f"{DETAIL}{row}", Style.DIM)


def show_fields(octets: memoryview, verbosity: int) -> Iterator[Line]:
    """The fields with their octets; types, lengths and reserved fields of zero only with a verbosity of 2."""
    for node in fields_of(octets):
        if verbosity < 2 and node.name in _BORING and not node.error and _is_boring(node):
            continue
        table = f" (Table {node.table})" if node.table else ""
        name = f"{'  ' * node.level}{node.name}{table}"
        value = "" if node.value is None else f"  {show_value(node)}"
        error = f"  ! {node.error}" if node.error else ""
        yield Line(f"{DETAIL}{node.octets:>9}  {name}{value}{error}", Style.ERROR if error else Style.PLAIN)


def _is_boring(node: FieldNode) -> bool:
    return node.name != "reserved" or not any(node.value)
