"""A PDU opened: what it says, what is wrong with it, its fields and its octets; as HTML, everything escaped."""

from collections.abc import Iterator
from html import escape

from dulcet.conformance.captures.describe import describe_message, describe_pdu
from dulcet.conformance.captures.fields import FieldNode, fields_of, show_value
from dulcet.conformance.captures.hexdump import hexdump
from dulcet.conformance.captures.messages import MessageRecord
from dulcet.conformance.captures.outcome import counted
from dulcet.conformance.captures.transcript import PDURecord, StreamTranscript, TransportEvent
from dulcet.conformance.kit.clause import link
from dulcet.dimse.command_dictionary import TAGS
from dulcet.dimse.status import categorize, explain, find
from dulcet.escape import quote
from dulcet.ul.deviation import Deviation
from dulcet.ul.pdata import P_DATA_TF_TYPE

MAX_FIELDS = 6000  # of one PDU; 128 contexts of three transfer syntaxes, and their roles, have some 5000
MAX_DATA_OCTETS = 1024  # of a P-DATA-TF in the hexdump
MAX_ASSOCIATE_OCTETS = 16 * 1024  # of the others
_ROW_OCTETS = 16
_STATUS = TAGS["status"]
_DULL = frozenset(("pdu_type", "pdu_length", "item_type", "item_length", "uid_length"))
_DEEPEST = 5


def clause_link(clause: str, text: str | None = None) -> str:
    """A clause, linked to its page of the standard when it names one."""
    shown = escape(text or clause)
    address = link(clause)
    return f'<a href="{escape(address)}" rel="noreferrer">{shown}</a>' if address else shown


def inside(stream: StreamTranscript, record: PDURecord, syntaxes: dict[int, str]) -> Iterator[str]:
    """The part of an entry that opens; `syntaxes` are the transfer syntaxes of the accepted contexts, by name."""
    yield from wrong(record)
    pdu = record.decode()
    if pdu is not None and record.pdu_type != P_DATA_TF_TYPE:
        yield from _list(describe_pdu(pdu, is_all=True))
    for number in record.messages:
        yield from _message(stream.messages[number], syntaxes)
    yield from _octets(record)


def wrong(entry: PDURecord | TransportEvent) -> Iterator[str]:
    """What departs from the standard, with the clause."""
    error = entry.error if isinstance(entry, PDURecord) else None
    if error is not None:
        table = error.table if error.table.startswith("PS3.") else f"PS3.8 {error.table}"
        where = clause_link(table) if error.table else "can't be decoded"
        text = f"{quote(error.field, 160)}: {error.explanation}" if error.field else error.explanation
        yield f'<p class="deviation">{where}: {escape(quote(text, 300))}</p>'
    for deviation in entry.deviations:
        yield f'<p class="deviation">{_deviation(deviation)}</p>'


def _deviation(deviation: Deviation) -> str:
    where = f"{quote(deviation.field, 160)}: " if deviation.field else ""
    octets = f" <code>{deviation.octets[:16].hex(' ')}</code>" if deviation.octets else ""
    return f"{clause_link(deviation.clause)}: {escape(where + quote(deviation.explanation, 300))}{octets}"


def status_badge(message: MessageRecord) -> str:
    """`0000H Success`, coloured by its class; "" for a request."""
    status = message.values.get(_STATUS)
    if not isinstance(status, int):
        return ""
    service = message.name.removesuffix("-RSP")
    meaning = escape(explain(status, service))
    return f'<span class="status {categorize(status, service).value}">{status:04X}H {meaning}</span>'


def _message(message: MessageRecord, syntaxes: dict[int, str]) -> Iterator[str]:
    context = f"context {message.context_id}"
    syntax = syntaxes.get(message.context_id)
    yield f'<h3>{escape(message.name)} <span class="soft">[{context}]</span> {status_badge(message)}</h3>'
    status = message.values.get(_STATUS)
    if isinstance(status, int):
        service = message.name.removesuffix("-RSP")
        row = find(status, service)
        kind = categorize(status, service).value
        where = f", {clause_link(row.clause)}" if row is not None else ""
        yield f"<p>The status is of the class <b>{kind}</b>{where}: {escape(explain(status, service))}.</p>"
    lines = describe_message(message)
    if isinstance(status, int):
        next(lines)  # it says the status again
    yield from _list(lines)
    if message.error:
        yield f'<p class="deviation">nobody can act on it: {escape(quote(message.error, 300))}</p>'
    data_set = message.data_set
    if data_set is not None:
        end = "complete" if data_set.is_complete else "its last fragment did not come"
        size = f"{counted(data_set.length, 'octet')} in {counted(data_set.pdv_count, 'fragment')}"
        coded = f", {escape(syntax)}" if syntax else ""
        digest = f'<span class="mono soft">SHA-256 {data_set.sha256}</span>'
        yield f"<p>Data set: {size}{coded}, {end}. {digest}</p>"


def _list(lines: Iterator[str]) -> Iterator[str]:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    if items:
        yield f'<ul class="what">{items}</ul>'


def _octets(record: PDURecord) -> Iterator[str]:
    """Fields beside the hexdump; what is left out of either is said."""
    octets = record.octets
    most = MAX_DATA_OCTETS if record.pdu_type == P_DATA_TF_TYPE else MAX_ASSOCIATE_OCTETS
    fields = [] if record.missing else fields_of(octets)
    left = [f"{counted(record.missing, 'octet')} of it were not captured"] if record.missing else []
    if len(octets) > most:
        left.append(f"the hexdump shows {most} of {len(octets)} octets")
    if len(fields) > MAX_FIELDS:
        left.append(f"{MAX_FIELDS} of {len(fields)} fields are shown")
    if left:
        yield f'<p class="left-out">{escape("; ".join(left))}</p>'
    yield '<div class="both"><ul class="fields" aria-label="fields">'
    for node in fields[:MAX_FIELDS]:
        yield _field(node)
    yield '</ul><pre class="hex" tabindex="0" aria-label="octets">'
    rows = hexdump(octets[:most], max_rows=most // _ROW_OCTETS)
    yield escape("\n".join(rows))
    yield "</pre></div>"


def _field(node: FieldNode) -> str:
    is_dull = node.name in _DULL or (node.name == "reserved" and not any(node.value or b""))
    kind = "item" if node.value is None else "dull" if is_dull else "field"
    table = f" {_table(node.table)}" if node.table else ""
    value = "" if node.value is None else f' <span class="value">{escape(show_value(node))}</span>'
    error = f' <span class="error">{escape(quote(node.error, 200))}</span>' if node.error else ""
    name = f'<span class="{kind}">{escape(node.name)}</span>'
    level = f"l{min(node.level, _DEEPEST)}"
    return (
        f'<li class="{level}" tabindex="0" role="button" aria-pressed="false"'
        f' data-a="{node.start}" data-b="{node.stop}">'
        f'<span class="range">{node.octets}</span><span class="what-it-is">{name}{table}{value}{error}</span></li>'
    )


def _table(table: str) -> str:
    """`Table 9-13`, `Table D.3-1`, linked: those of PS3.7 Annex D begin with D.3."""
    part = "PS3.7 D.3.3" if table.startswith("D.3") else "PS3.8 D.1" if table.startswith("D.1") else ""
    return f'<span class="soft">({clause_link(part or f"PS3.8 Table {table}", f"Table {table}")})</span>'
