"""A transcript as one HTML page: the ladder with both state machines in its margins, each PDU to be opened.

The page holds all that it needs and loads nothing (its Content-Security-Policy allows nothing else). What a capture
says is quoted and escaped: it was written by strangers. The size is bounded; what is left out is said where it is.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from importlib.resources import files

from dulcet.conformance.captures.describe import describe_message, describe_pdu, uid
from dulcet.conformance.captures.html_pdu import inside, status_badge, wrong
from dulcet.conformance.captures.machines import MachineStep, Side
from dulcet.conformance.captures.messages import MessageRecord
from dulcet.conformance.captures.outcome import counted, operations, outcome
from dulcet.conformance.captures.sidecar import format_time
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.transcript import Entry, Lost, PDURecord, StreamTranscript, Tail, Transcript
from dulcet.escape import quote
from dulcet.ul.pdata import P_DATA_TF_TYPE
from dulcet.ul.pdu import AAssociateAC, AAssociateRQ, PDataTF

MAX_OPENED_CHARACTERS = 16 * 1024 * 1024  # of all that opens; a browser is at ease with it
MAX_ENTRIES = 20_000  # of the ladders
_MIN_RUN = 3  # fewer PDUs of one data set are shown one by one
_SHOWN_STREAMS = 12  # of a capture that carries no DICOM
_MOST_SAID = 3  # lines of a PDU in the ladder


def to_html(
    transcript: Transcript, *, streams: frozenset[int] | None = None, pdus: frozenset[int] | None = None
) -> Iterator[str]:
    """The page, in pieces; `streams` and `pdus` are numbers of those wanted, None for all."""
    budget = _Budget()
    found = _chosen(transcript, streams)
    yield from _head(transcript, found)
    for stream in found:
        yield from _Stream(stream, budget, pdus).section()
    yield f"</main>\n{_footer()}<script>{_file('page.js')}</script>\n</body></html>\n"


@dataclass(slots=True)
class _Budget:
    """What may still be written."""

    characters: int = MAX_OPENED_CHARACTERS
    entries: int = MAX_ENTRIES


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _hash(name: str) -> str:
    digest = sha256(_file(name).encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"


def _chosen(transcript: Transcript, numbers: frozenset[int] | None) -> list[StreamTranscript]:
    if numbers is not None:
        return [stream for stream in transcript.streams if stream.number in numbers]
    found = [stream for stream in transcript.streams if stream.is_dicom or stream.problem]
    return found or list(transcript.streams[:_SHOWN_STREAMS])


def _head(transcript: Transcript, streams: list[StreamTranscript]) -> Iterator[str]:
    title = escape(quote(transcript.name, 200))
    policy = f"default-src 'none'; style-src {_hash('page.css')}; script-src {_hash('page.js')}; base-uri 'none'"
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
    yield f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
    yield f'<meta name="viewport" content="width=device-width"><title>{title}</title>\n'
    yield f'<style>{_file("page.css")}</style></head>\n<body><header><h1>{title}</h1>\n<dl class="facts">'
    packets = f", {counted(transcript.packets, 'packet')}" if transcript.packets else ""
    yield f"<dt>capture</dt><dd>{transcript.format}, {counted(transcript.octets, 'octet')}{packets}</dd>"
    yield f'<dt>SHA-256</dt><dd class="mono">{transcript.sha256}</dd></dl>\n'
    for note in (*transcript.damage, *transcript.notes):
        yield f'<p class="left-out">{escape(quote(note, 300))}</p>\n'
    left = len(transcript.streams) - len(streams)
    if left:
        what = counted(left, "connection")
        yield f'<p class="left-out">{what} not shown here: without DICOM, or not chosen</p>\n'
    if len(streams) > 1:
        links = "".join(f"<li>{_nav(stream)}</li>" for stream in streams)
        yield f'<nav aria-label="connections"><ul>{links}</ul></nav>\n'
    yield f"</header><main>\n{_TOOLS}\n"


def _nav(stream: StreamTranscript) -> str:
    return f'<a href="#s{stream.number}">Stream {stream.number}</a>: {escape(outcome(stream))}'


_TOOLS = """<div class="tools" hidden>
<input id="text" type="search" placeholder="text" aria-label="show what contains this text">
<label><input id="only" type="checkbox"> only what departs from the standard</label>
<button id="open" type="button">open</button><button id="close" type="button">close</button>
<span id="shown" class="soft" role="status"></span>
<span class="soft"><kbd>j</kbd> <kbd>k</kbd> or arrows: next, previous &nbsp; <kbd>Enter</kbd>: open &nbsp;
<kbd>n</kbd> <kbd>p</kbd>: deviations &nbsp; <kbd>/</kbd>: text</span></div>"""


_COLUMNS = (
    '<div class="head" aria-hidden="true"><span class="number">PDU</span><span class="time">seconds</span>'
    '<span class="left">requestor</span><span></span><span class="acceptor">acceptor</span></div>'
)


def _footer() -> str:
    text = (
        "Times are seconds since the connection began. Evt, actions and states are those of PS3.8 9.2; * marks an "
        "event that was concluded, not seen, and ---- a blank cell of Table 9-10. Written by dulcet decode --html."
    )
    return f"<footer><p>{text}</p></footer>\n"


@dataclass(slots=True)
class _Stream:
    """One connection."""

    stream: StreamTranscript
    budget: _Budget
    pdus: frozenset[int] | None
    requestor: Direction = Direction.TO_SERVER
    began: int | None = None
    syntaxes: dict[int, str] = field(default_factory=dict)
    current: dict[tuple[Direction, int], MessageRecord] = field(default_factory=dict)

    def section(self) -> Iterator[str]:
        """Who spoke, what became of it, and the ladder."""
        stream = self.stream
        self.began = next((entry.time for entry in stream.entries if entry.time is not None), None)
        request = next((pdu for pdu in stream.pdus if pdu.pdu_type == AAssociateRQ.PDU_TYPE), None)
        if request is not None:
            self.requestor = request.direction
        ends = f"{escape(stream.client)} &rarr; {escape(stream.server)}" if stream.client else ""
        yield f'<section id="s{stream.number}"><h2>Stream {stream.number} <span class="soft">{ends}</span></h2>'
        yield '\n<dl class="facts">'
        for name, value in self._facts(request):
            yield f"<dt>{name}</dt><dd>{escape(value)}</dd>"
        yield f'</dl>\n{_COLUMNS}\n<ol class="ladder">\n'
        yield from self._entries()
        yield "</ol></section>\n"

    def _facts(self, request: PDURecord | None) -> Iterator[tuple[str, str]]:
        stream = self.stream
        if self.began is not None:
            yield "began", format_time(self.began)
        asked = None if request is None else request.decode()
        if isinstance(asked, AAssociateRQ):
            answer = next((pdu for pdu in stream.pdus if pdu.pdu_type == AAssociateAC.PDU_TYPE), None)
            said = None if answer is None else answer.decode()
            yield "requestor", f"'{quote(asked.calling_ae_title)}' {_implementation(asked)}"
            own = _implementation(said) if isinstance(said, AAssociateAC) else ""
            yield "acceptor", f"'{quote(asked.called_ae_title)}' {own}"
        if stream.transport == "tls":
            yield "TLS", f"not decrypted: {stream.problem}" if stream.problem else "decrypted"
        if not stream.has_begin:
            yield "note", "the begin of the connection was not captured"
        yield "outcome", outcome(stream) or "-"
        for text in operations(stream.messages):
            service, _, counts = text.partition(": ")
            yield service, counts
        count = sum(_is_wrong(entry) for entry in stream.entries)
        yield "deviations", f"in {counted(count, 'entry')}".replace("entrys", "entries") if count else "none seen"

    def _entries(self) -> Iterator[str]:
        left = 0
        run: list[PDURecord] = []
        for entry in self.stream.entries:
            if self.pdus is not None and getattr(entry, "number", None) not in self.pdus:
                if isinstance(entry, PDURecord):
                    self._note(entry)
                continue
            if run and not _continues(run[-1], entry):
                yield from self._run(run)
                run = []
            if self._is_data_only(entry) and isinstance(entry, PDURecord):
                run.append(entry)
                if _is_last(entry):
                    yield from self._run(run)
                    run = []
            elif self.budget.entries <= 0:
                left += 1
            else:
                yield from self._entry(entry)
        yield from self._run(run)
        if left:
            yield f'<li class="left-out">{left} entries more are left out: --stream and --pdus choose</li>\n'

    def _is_data_only(self, entry: Entry) -> bool:
        """A PDU of nothing but part of one data set."""
        if not isinstance(entry, PDURecord) or entry.pdu_type != P_DATA_TF_TYPE or _is_wrong(entry):
            return False
        pdu = entry.decode() if self.pdus is None else None
        return isinstance(pdu, PDataTF) and not any(value.is_command for value in pdu.values)

    def _run(self, run: list[PDURecord]) -> Iterator[str]:
        if len(run) < _MIN_RUN:
            for record in run:
                yield from self._entry(record)
            return
        first, last = run[0], run[-1]
        octets = sum(len(record.octets) for record in run)
        says = [escape(f"{self._of(first)}: {counted(octets, 'octet')} of PDUs; the first one opens here")]
        numbers = f"{first.number}-{last.number}"
        yield from self._pdu(first, numbers, f"P-DATA-TF x {len(run)}", says, last.steps)

    def _of(self, record: PDURecord) -> str:
        """The message whose data set a PDU is part of."""
        pdu = record.decode()
        context_id = pdu.values[0].context_id if isinstance(pdu, PDataTF) else 0
        message = self.current.get((record.direction, context_id))
        return "data set" if message is None else f"data set of {message.name}"

    def _entry(self, entry: Entry) -> Iterator[str]:
        match entry:
            case PDURecord():
                self._note(entry)
                yield from self._pdu(entry, str(entry.number), entry.name, self._says(entry), entry.steps)
            case Tail():
                what = "no PDU" if entry.is_unknown_type else "part of a PDU"
                text = f"{counted(entry.length, 'octet')}: {entry.why}; {entry.head[:16].hex(' ')}"
                yield self._plain(entry, what, [escape(text)], entry.steps, entry.is_unknown_type)
            case Lost():
                yield self._plain(entry, "...", [escape(f"{counted(entry.missing, 'octet')} not captured")], (), False)
            case _:
                what = {"open": "TCP connection", "open, not accepted": "SYN, no answer"}.get(entry.what, entry.what)
                yield self._plain(entry, what, list(wrong(entry)), entry.steps, bool(entry.deviations))

    def _note(self, record: PDURecord) -> None:
        for number in record.messages:
            message = self.stream.messages[number]
            self.current[record.direction, message.context_id] = message
        if record.pdu_type == AAssociateAC.PDU_TYPE:
            pdu = record.decode()
            if isinstance(pdu, AAssociateAC):
                accepted = (each for each in pdu.presentation_contexts if each.result == 0)
                self.syntaxes = {each.context_id: uid(each.transfer_syntax or "") for each in accepted}

    def _says(self, record: PDURecord) -> list[str]:
        """A few lines of what it says."""
        pdu = record.decode()
        if pdu is None:
            return []
        if not isinstance(pdu, PDataTF):
            lines = [escape(line) for line in describe_pdu(pdu)]
            more = f"... {counted(len(lines) - _MOST_SAID, 'line')} more"
            return lines if len(lines) <= _MOST_SAID else [*lines[:_MOST_SAID], more]
        lines = []
        for number in record.messages[:_MOST_SAID]:
            message = self.stream.messages[number]
            badge = status_badge(message)
            title, _, _ = next(describe_message(message)).partition(": ")
            lines.append(f"{escape(title)} {badge}" if badge else escape(next(describe_message(message))))
        data = [value for value in pdu.values if not value.is_command]
        if data:
            octets = sum(len(value.fragment) for value in data)
            end = "" if data[-1].is_last else ", more follow"
            lines.append(escape(f"{self._of(record)}: {counted(octets, 'octet')}{end}"))
        return lines

    def _pdu(
        self, record: PDURecord, number: str, name: str, says: list[str], steps: tuple[MachineStep, ...]
    ) -> Iterator[str]:
        self.budget.entries -= 1
        row = self._row(record, number, name, says, steps, is_wrong=_is_wrong(record))
        identity = f"s{self.stream.number}p{record.number}"
        classes = f"entry {self._side(record.direction).value}{' wrong' if _is_wrong(record) else ''}"
        yield f'<li class="{classes}" id="{identity}">'
        if self.budget.characters <= 0:
            told = "what opens here is left out, the page is large enough: --stream and --pdus choose"
            yield f'<div class="row">{row}</div><p class="left-out">{told}</p></li>\n'
            return
        opened = "".join(inside(self.stream, record, self.syntaxes))
        self.budget.characters -= len(opened)
        yield f'<details><summary class="row">{row}</summary><div class="inside">{opened}</div></details></li>\n'

    def _plain(self, entry: Entry, name: str, says: list[str], steps: tuple[MachineStep, ...], is_wrong: bool) -> str:
        self.budget.entries -= 1
        classes = f"entry event {self._side(entry.direction).value}{' wrong' if is_wrong else ''}"
        return f'<li class="{classes}"><div class="row">{self._row(entry, "", name, says, steps)}</div></li>\n'

    def _row(
        self,
        entry: Entry,
        number: str,
        name: str,
        says: list[str],
        steps: tuple[MachineStep, ...],
        *,
        is_wrong: bool = False,
    ) -> str:
        since = "" if entry.time is None or self.began is None else f"{(entry.time - self.began) / 1e9:.6f}"
        by_side = {step.side: _step(step) for step in steps}
        flag = ' <span class="flag">! departs from the standard</span>' if is_wrong else ""
        said = "".join(f'<span class="says">{line}</span>' for line in says)
        return (
            f'<span class="number">{number}</span><span class="time">{since}</span>'
            f'<span class="left machine">{by_side.get(Side.REQUESTOR, "")}</span>'
            f'<span class="message"><span class="name">{escape(name)}{flag}</span><span class="wire"></span>{said}'
            "</span>"
            f'<span class="right machine">{by_side.get(Side.ACCEPTOR, "")}</span>'
        )

    def _side(self, direction: Direction) -> Side:
        return Side.REQUESTOR if direction is self.requestor else Side.ACCEPTOR


def _step(step: MachineStep) -> str:
    """Event, action and new state, their meanings on hover."""
    star = "*" if step.is_inferred else ""
    event = f'<span title="{escape(step.event.meaning)}">{step.event}{star}</span>'
    action = (
        '<span class="blank" title="no cell of Table 9-10">----</span>' if step.action is None else step.action.name
    )
    state = f'<b title="{escape(step.new_state.meaning)}">{step.new_state}</b>'
    return f"{event} {action} {state}"


def _is_wrong(entry: Entry) -> bool:
    return getattr(entry, "error", None) is not None or bool(getattr(entry, "deviations", ()))


def _continues(last: PDURecord, entry: Entry) -> bool:
    return isinstance(entry, PDURecord) and entry.direction is last.direction and entry.pdu_type == P_DATA_TF_TYPE


def _is_last(record: PDURecord) -> bool:
    pdu = record.decode()
    return isinstance(pdu, PDataTF) and pdu.values[-1].is_last


def _implementation(said: AAssociateRQ | AAssociateAC) -> str:
    name = quote(said.implementation_version_name or "")
    return f"{name} ({quote(said.implementation_class_uid or 'no implementation class UID')})"
