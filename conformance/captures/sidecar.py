"""A transcript as JSON: the shape of the sidecars of `tests/captures`, with the machines and the deviations."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dulcet.conformance.captures.machines import MachineStep
from dulcet.conformance.captures.messages import MessageRecord
from dulcet.conformance.captures.sidecar_association import association
from dulcet.conformance.captures.streams import Direction
from dulcet.conformance.captures.transcript import (
    HalfSummary,
    PDURecord,
    StreamTranscript,
    Tail,
    Transcript,
    TransportEvent,
)
from dulcet.dimse.command_dictionary import COMMAND_ELEMENTS, TAGS
from dulcet.dimse.command_set import Value
from dulcet.dimse.status import explain
from dulcet.ul.deviation import Deviation
from dulcet.ul.pdata import COMMAND, LAST, PDU_HEADER_OCTETS
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, PDataTF

SCHEMA = "dulcet-transcript/1"
_HEAD_OCTETS = 32
_SHORT_NAMES = {
    "number_of_remaining_suboperations": "remaining_suboperations",
    "number_of_completed_suboperations": "completed_suboperations",
    "number_of_failed_suboperations": "failed_suboperations",
    "number_of_warning_suboperations": "warning_suboperations",
    "move_originator_application_entity_title": "move_originator_ae_title",
}
"""Where the sidecars say it shorter than the command dictionary."""
_ENDS = {Direction.TO_SERVER: "client_to_server", Direction.TO_CLIENT: "server_to_client"}
_STATUS = TAGS["status"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def document(transcript: Transcript) -> dict[str, Any]:
    """The whole document but for its streams."""
    return {
        "schema": SCHEMA,
        "file": transcript.name,
        "format": transcript.format,
        "sha256": transcript.sha256,
        "bytes": transcript.octets,
        "packets": transcript.packets,
        "notes": [*transcript.damage, *transcript.notes],
    }


def write(transcript: Transcript, pdus: frozenset[int] | None = None) -> Iterator[str]:
    """The document as text, a PDU or a message on each line; `pdus` are the numbers of those wanted, None for all."""
    head = json.dumps(document(transcript), indent=1).removesuffix("\n}")
    yield f'{head},\n "streams": ['
    for index, stream in enumerate(transcript.streams):
        yield f"{',' if index else ''}\n  {{\n"
        for name, value in stream_document(stream).items():
            yield f'   "{name}": {json.dumps(value)},\n'
        wanted = (pdu for pdu in stream.pdus if pdus is None or pdu.number in pdus)
        yield from _rows("pdus", (pdu_document(stream, pdu) for pdu in wanted))
        yield ",\n"
        yield from _rows("dimse", message_documents(stream))
        yield "\n  }"
    yield "\n ]\n}\n"


def _rows(name: str, documents: Iterator[dict[str, Any]]) -> Iterator[str]:
    """A list of what may be many, each on its line; one of them is in memory at a time."""
    yield f'   "{name}": ['
    separator = "\n    "
    for document in documents:
        yield f"{separator}{json.dumps(document)}"
        separator = ",\n    "
    yield "\n   ]"


def stream_document(stream: StreamTranscript) -> dict[str, Any]:
    """One stream but for its `pdus` and `dimse`: those may be many."""
    found: dict[str, Any] = {"tcp_stream": stream.number, "transport": stream.transport}
    if stream.client:
        found |= {"client": stream.client, "server": stream.server, "tcp": _tcp(stream)}
    if stream.decrypted:
        found["decrypted"] = {
            _ENDS[direction]: {"bytes": half.octets, "sha256": half.sha256}
            for direction, half in stream.decrypted.items()
        }
    if stream.problem:
        found["problem"] = stream.problem
    if not stream.has_begin:
        found["begin_captured"] = False
    pdus = stream.pdus
    names = [f"{pdu.direction.value} {pdu.name}" if stream.has_directions else pdu.name for pdu in pdus]
    found["pdu_sequence"] = names
    found["transport_events"] = [_event(each) for each in stream.entries if isinstance(each, TransportEvent)]
    if stream.tails:
        found["undecodable_tail"] = {tail.direction.value: _tail(tail) for tail in stream.tails}
    if stream.unfinished:
        found["incomplete_data_set_bytes"] = {
            direction.value: {f"context {context_id}": octets for context_id, octets in contexts.items()}
            for direction, contexts in stream.unfinished.items()
        }
    return found


def message_documents(stream: StreamTranscript) -> Iterator[dict[str, Any]]:
    """The DIMSE messages of a stream, one at a time."""
    pdus = stream.pdus
    for message in stream.messages:
        yield _message(stream, message, pdus[message.pdu])


def pdu_document(stream: StreamTranscript, pdu: PDURecord) -> dict[str, Any]:
    """One PDU."""
    found: dict[str, Any] = {
        "n": pdu.number,
        "dir": pdu.direction.value if stream.has_directions else None,
        "type": pdu.pdu_type,
        "name": pdu.name,
        "length": pdu.length,
        "offset": pdu.offset,
        "sha256": _sha256(pdu),
    }
    if pdu.time is not None:
        found["time"] = format_time(pdu.time)
    if pdu.packet is not None and stream.transport == "tcp":
        found |= {"frame": pdu.packet, "first_frame": pdu.first_packet}
    found |= _fields(stream, pdu)
    if pdu.missing:
        found["not_captured"] = pdu.missing
    if pdu.error is not None:
        found["error"] = str(pdu.error)
    found["events"] = [step_document(step) for step in pdu.steps]
    found["deviations"] = [deviation_document(each) for each in pdu.deviations]
    return found


def step_document(step: MachineStep) -> dict[str, Any]:
    """One step of one machine; `action` is null where Table 9-10 is blank."""
    found = {
        "side": step.side.value,
        "event": str(step.event),
        "state": str(step.state),
        "action": None if step.action is None else step.action.name,
        "new_state": str(step.new_state),
    }
    return found | ({"inferred": True} if step.is_inferred else {})


def deviation_document(deviation: Deviation) -> dict[str, Any]:
    """One deviation."""
    found = {"clause": deviation.clause, "field": deviation.field, "explanation": deviation.explanation}
    return found | ({"hex": deviation.octets.hex()} if deviation.octets else {})


def format_time(nanoseconds: int) -> str:
    """RFC 3339, UTC, to the nanosecond if it isn't whole microseconds."""
    microseconds, rest = divmod(nanoseconds, 1000)
    moment = (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{moment}{rest:03d}Z" if rest else f"{moment}Z"


def _sha256(pdu: PDURecord) -> str:
    from hashlib import sha256

    return sha256(pdu.octets).hexdigest()


def _fields(stream: StreamTranscript, record: PDURecord) -> dict[str, Any]:
    pdu = record.decode()
    match pdu:
        case AAssociateRQ() | AAssociateAC():
            return association(pdu)
        case AAssociateRJ():
            return {"result": pdu.result, "source": pdu.source, "reason": pdu.reason}
        case AAbort():
            return {"source": pdu.source, "reason": pdu.reason}
        case PDataTF():
            return {"pdvs": _values(stream, record, pdu)}
    if record.pdu_type == PDataTF.PDU_TYPE and not record.missing:
        return _malformed_values(record.octets)
    return {}


def _values(stream: StreamTranscript, record: PDURecord, pdu: PDataTF) -> list[dict[str, Any]]:
    messages = iter(record.messages)
    octets, position, found = record.octets, PDU_HEADER_OCTETS, []
    for value in pdu.values:
        item: dict[str, Any] = {
            "length": len(value.fragment) + 2,
            "context_id": value.context_id,
            "flags": octets[position + 5],
            "command": value.is_command,
            "last": value.is_last,
        }
        if value.is_command and value.is_last:
            item["dimse"] = elements(stream.messages[next(messages)].values)
        found.append(item)
        position += len(value.fragment) + 6
    return found


def _malformed_values(octets: memoryview) -> dict[str, Any]:
    """The items up to the one that doesn't fit."""
    position, end, found = PDU_HEADER_OCTETS, len(octets), []
    while position + 6 <= end:
        length = int.from_bytes(octets[position : position + 4], "big")
        flags = octets[position + 5]
        item: dict[str, Any] = {"length": length, "context_id": octets[position + 4], "flags": flags}
        fits = length >= 2 and position + 4 + length <= end
        if fits:
            item |= {"command": bool(flags & COMMAND), "last": bool(flags & LAST)}
        found.append(item)
        if not fits:
            break
        position += 4 + length
    length = int.from_bytes(octets[position : position + 4], "big")
    error = f"PDV item length {length} at {position - PDU_HEADER_OCTETS} does not fit PDU"
    return {"pdvs": found, "pdv_error": error}


def elements(values: Mapping[int, Value]) -> dict[str, Any]:
    """A command set by names; elements without a value are left out."""
    found: dict[str, Any] = {}
    for tag, value in values.items():
        known = COMMAND_ELEMENTS.get(tag)
        name = f"({tag >> 16:04X},{tag & 0xFFFF:04X})" if known is None else known.name
        if value == "" or value == ():
            continue
        shown: Any = value
        if isinstance(value, bytes):
            shown = value.hex()
        elif isinstance(value, tuple):
            shown = [f"({each >> 16:04X},{each & 0xFFFF:04X})" for each in value]
        found[_SHORT_NAMES.get(name, name)] = shown
    return found


def _message(stream: StreamTranscript, message: MessageRecord, pdu: PDURecord) -> dict[str, Any]:
    found: dict[str, Any] = {
        "n": message.number,
        "dir": message.direction.value if stream.has_directions else None,
        "pdu": message.pdu,
    }
    if pdu.packet is not None:
        found["frame"] = pdu.packet if stream.transport == "tcp" else None
    found |= {"context_id": message.context_id, "name": message.name} | elements(message.values)
    status = message.values.get(_STATUS)
    if isinstance(status, int):
        found["status_hex"] = f"{status:04X}"
        found["status_meaning"] = explain(status, message.name.removesuffix("-RSP"))
    data_set = message.data_set
    if data_set is not None and data_set.is_complete:
        found["data_set"] = {
            "length": data_set.length,
            "pdv_count": data_set.pdv_count,
            "sha256": data_set.sha256,
        }
    if message.error:
        found["error"] = message.error
    return found


def _tcp(stream: StreamTranscript) -> dict[str, Any]:
    found: dict[str, Any] = {_ENDS[direction]: _half(half) for direction, half in stream.halves.items()}
    found["retransmissions"] = stream.retransmissions
    found["close"] = [
        {
            "flag": each.what,
            "by": "client" if each.direction is Direction.TO_SERVER else "server",
            "frame": each.packet,
        }
        for each in stream.entries
        if isinstance(each, TransportEvent) and not each.what.startswith("open")
    ]
    return found


def _half(half: HalfSummary) -> dict[str, Any]:
    return {"bytes": half.octets, "segments": half.segments, "sha256": half.sha256}


def _event(event: TransportEvent) -> dict[str, Any]:
    found: dict[str, Any] = {
        "what": event.what,
        "by": "client" if event.direction is Direction.TO_SERVER else "server",
        "frame": event.packet,
    }
    if event.time is not None:
        found["time"] = format_time(event.time)
    found["events"] = [step_document(step) for step in event.steps]
    found["deviations"] = [deviation_document(each) for each in event.deviations]
    return found


def _tail(tail: Tail) -> dict[str, Any]:
    found = {"offset": tail.offset, "bytes": tail.length, "why": tail.why, "hex": tail.head[:_HEAD_OCTETS].hex()}
    return found | ({"events": [step_document(step) for step in tail.steps]} if tail.steps else {})
