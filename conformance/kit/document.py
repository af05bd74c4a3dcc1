"""A run as a JSON document: the source of all reports. Its shape has a version, and changes only with it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from dulcet.conformance.kit.catalogue import CATALOGUE_VERSION, STANDARD_EDITION
from dulcet.conformance.kit.decoded import describe, name_of_pdu
from dulcet.conformance.kit.exchange import Kind, Record, Wire
from dulcet.conformance.kit.passive import Passed, Traffic
from dulcet.conformance.kit.result import CaseResult, Run
from dulcet.conformance.kit.stimuli import with_length
from dulcet.conformance.kit.verdict import CODES, Judgement
from dulcet.errors import ConfigurationError, DecodeError, NoInputError
from dulcet.escape import quote
from dulcet.ul.pdu import AAssociateRQ, decode_pdu

SCHEMA_VERSION = 1
SHOWN_OCTETS = 1024  # of each PDU
SHOWN_PDUS = 60  # of each case

_NEEDED = ("kit", "side", "started", "seconds", "command_line", "product", "summary", "cases")

Document = dict[str, Any]


def to_document(run: Run, *, kit_version: str) -> Document:
    """Everything that is known of the run."""
    return {
        "dulcet_conformance": SCHEMA_VERSION,
        "kit": {"version": kit_version, "catalogue": CATALOGUE_VERSION, "standard": STANDARD_EDITION},
        "side": run.side,
        "started": run.started.isoformat(timespec="milliseconds"),
        "seconds": round(run.seconds, 3),
        "interrupted": {"by": run.interrupted_by, "not_played": run.not_played} if run.interrupted_by else None,
        "command_line": run.command_line,
        "configuration_sha256": run.configuration_digest,
        "product": {
            "address": run.peer,
            "declared": run.declared,
            "claims": run.claims,
            "observed": _observed(run),
        },
        "summary": summary(run),
        "cases": [case_document(result, run) for result in run.results],
    }


def _observed(run: Run) -> Document:
    observed = run.observed
    return {
        "implementation_class_uid": quote(observed.implementation_class_uid),
        "implementation_version_name": quote(observed.implementation_version_name),
        "maximum_length_received": observed.maximum_length_received,
        "associations_at_once": observed.associations_at_once,
        "is_blocked_by_silence": observed.is_blocked_by_silence,
        "artim_seconds": observed.artim_seconds,
        "tls": observed.tls,
        "contexts": [
            {"abstract_syntax": uid, "result": result, "transfer_syntax": quote(syntax)}
            for uid, (result, syntax) in observed.contexts.items()
        ],
    }


def summary(run: Run) -> Document:
    """Counts by verdict, group and level."""
    groups: dict[str, Counter[str]] = {}
    levels: dict[str, Counter[str]] = {}
    for result in run.results:
        word = "WAIVED" if result.waiver else result.verdict.value
        groups.setdefault(result.case.group, Counter())[word] += 1
        levels.setdefault(result.case.level.word, Counter())[word] += 1
    total: Counter[str] = sum(groups.values(), Counter())
    return {
        "cases": len(run.results),
        "verdicts": dict(total),
        "required_failures": len(run.required_failures),
        "failures": len(run.failures),
        "died_in": run.died_in,
        "groups": {name: dict(counts) for name, counts in groups.items()},
        "levels": {name: dict(counts) for name, counts in levels.items()},
    }


def _judgement(judgement: Judgement) -> Document:
    return {"verdict": judgement.verdict.value, "code": judgement.code, "explanation": judgement.explanation}


def case_document(result: CaseResult, run: Run) -> Document:
    """One case: expected beside observed, every PDU with its time, and how to run it again."""
    case = result.case
    document: Document = {
        "id": case.id,
        "group": case.group,
        "level": case.level.word,
        "role": case.role.name.lower(),
        "requirement": case.requirement,
        "clause": case.clause,
        "link": case.link,
        "stimulus": case.stimulus,
        "allowed": list(case.allowed),
        "tolerated": list(case.tolerated),
        **_judgement(result.judgement),
        "code_meaning": CODES.get(result.judgement.code, ""),
        "outcome": None if result.outcome is None else str(result.outcome),
        "observed": "" if result.outcome is None else result.outcome.explain(),
        "ending": {
            "code": result.ending.code,
            "explanation": result.ending.explanation,
            "seconds": None if result.ending.seconds is None else round(result.ending.seconds, 4),
        },
        "started": None if result.started is None else result.started.isoformat(timespec="milliseconds"),
        "seconds": round(result.seconds, 4),
        "attempts": result.attempts,
        "first": None if result.first is None else _judgement(result.first),
        "problems": [
            {"code": problem.code, "explanation": problem.explanation, "warning": problem.is_warning}
            for problem in result.findings.problems
        ],
        "measured": result.findings.measured,
        "waiver": result.waiver,
        "note": case.note or result.note,
        "run_again": f"{run.again} --case {case.id}",
        "timeline": timeline(result.findings.wires),
    }
    return document


def timeline(wires: list[Wire]) -> list[Document]:
    """Every PDU and every event of the connections, in order, with milliseconds since the case began."""
    lines = []
    for wire in wires:
        moments = [(passed.time, 1, _pdu_line(wire, passed)) for passed in Traffic(wire).passed]
        moments += [
            (record.time, 0 if record.kind is Kind.CONNECTED else 2, _event_line(wire, record))
            for record in wire.records
            if record.kind not in (Kind.SENT, Kind.RECEIVED)
        ]
        moments.sort(key=lambda moment: moment[:2])
        lines += [line for _, _, line in moments]
    if len(lines) <= SHOWN_PDUS:
        return lines
    left_out = {"connection": 0, "ms": lines[SHOWN_PDUS]["ms"], "event": f"and {len(lines) - SHOWN_PDUS} more"}
    return [*lines[:SHOWN_PDUS], left_out]


def without_secrets(octets: bytes) -> bytes:
    """A PDU with asterisks for the fields of a user identity (PS3.7 Table D.3-14): a report goes from hand to hand."""
    if octets[:1] != bytes((AAssociateRQ.PDU_TYPE,)):
        return octets
    try:
        pdu = decode_pdu(octets).pdu
    except DecodeError:
        return octets
    identity = pdu.user_identity if isinstance(pdu, AAssociateRQ) else None
    if identity is None:
        return octets
    fields = (identity.primary_field, identity.secondary_field)
    said = b"".join(with_length(field) for field in fields)
    return octets.replace(said, b"".join(with_length(b"*" * len(field)) for field in fields))


def _pdu_line(wire: Wire, passed: Passed) -> Document:
    octets = without_secrets(passed.octets)
    return {
        "connection": wire.number,
        "ms": round(passed.time * 1000, 2),
        "from": "product" if passed.by_product else "kit",
        "pdu": name_of_pdu(octets),
        "length": len(octets),
        "octets": octets[:SHOWN_OCTETS].hex(),
        "fields": describe(octets),
    }


def _event_line(wire: Wire, record: Record) -> Document:
    event = record.kind.value if not record.text else f"{record.kind.value}: {record.text}"
    return {"connection": wire.number, "ms": round(record.time * 1000, 2), "event": event}


def dump(document: Document) -> str:
    """The document as text."""
    return json.dumps(document, indent=1, ensure_ascii=True) + "\n"


def load(path: Path) -> Document:
    """A document that was written before. NoInputError, ConfigurationError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NoInputError(f"{quote(str(path))} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{quote(str(path))} is no JSON: {error}") from None
    version = document.get("dulcet_conformance") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        what = "is no result of `dulcet conform`" if version is None else f"has schema {version}, not {SCHEMA_VERSION}"
        raise ConfigurationError(f"{quote(str(path))} {what}")
    assert isinstance(document, dict)
    missing = [key for key in _NEEDED if key not in document]
    if missing:
        raise ConfigurationError(f"{quote(str(path))} is no whole result: {', '.join(missing)} missing")
    return document
