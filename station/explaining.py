"""What a number, a name or a UID of the protocol means, where the standard says so, what causes it, what to do."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dulcet.dimse.command_dictionary import COMMAND_ELEMENTS
from dulcet.dimse.status import SERVICES, categorize, find
from dulcet.dimse.uids import OTHER_SOP_CLASSES, STORAGE_SOP_CLASSES, TRANSFER_SYNTAXES, is_valid_uid, name_of
from dulcet.station.causes import ABORT_CAUSES, REJECTION_CAUSES, STATUS_CAUSES, Cause
from dulcet.ul.pdu import AAbort, AAssociateRJ, decode_pdu
from dulcet.ul.reasons import (
    ABORT_REASONS,
    ABORT_SOURCES,
    CONTEXT_RESULTS,
    REJECT_REASONS,
    REJECT_RESULTS,
    REJECT_SOURCES,
    explain_abort,
    explain_rejection,
)
from dulcet.ul.table import ACTIONS, TRANSITIONS, Action, Event, State

_STATUS = re.compile(r"(?:0x([0-9A-Fa-f]{1,4})|([0-9A-Fa-f]{4})H?)")
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4})(?:,\s*)?([0-9A-Fa-f]{4})\)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One meaning of a word."""

    subject: str
    """What it was taken for: `status A801H of C-MOVE`."""
    meaning: str
    """In the standard's words."""
    clause: str
    """Where the standard says so."""
    details: tuple[str, ...] = ()
    """More facts, a line each."""
    cause: str = ""
    """What usually causes it."""
    advice: str = ""
    """What to do."""


def explain_word(word: str, service: str = "") -> list[Explanation]:
    """Every meaning that `word` has; empty when it has none. `service` narrows a status: `C-MOVE`."""
    found: list[Explanation] = []
    for kind in _KINDS:
        found.extend(kind(word.strip(), service))
    return found


def explain_pdu(octets: bytes) -> Explanation:
    """What a whole PDU says: for an A-ASSOCIATE-RJ and an A-ABORT as their codes. DecodeError for what is none."""
    pdu = decode_pdu(octets).pdu
    if isinstance(pdu, AAssociateRJ):
        return _rejected(pdu.result, pdu.source, pdu.reason)
    if isinstance(pdu, AAbort):
        return _aborted(pdu.source, pdu.reason)
    layout = type(pdu).LAYOUT
    return Explanation(
        subject=f"PDU of type {octets[0]:02X}H", meaning=layout.title, clause=f"PS3.8 Table {layout.table}"
    )


def _status(word: str, service: str) -> Iterator[Explanation]:
    match = _STATUS.fullmatch(word)
    if match is None:
        return
    status = int(match[1] or match[2], 16)
    services = [service] if service else [name for name in SERVICES if _defines(name, status)]
    for name in services or [""]:
        row = find(status, name)
        cause = _cause_of_status(status, name)
        yield Explanation(
            subject=f"status {status:04X}H" + (f" of {name}" if name else ""),
            meaning=row.meaning if row else f"{categorize(status).value}; the standard does not define this code",
            clause=row.clause if row else "PS3.7 Annex C",
            details=(f"class: {categorize(status).value}",),
            cause=cause.cause,
            advice=cause.advice,
        )


def _defines(service: str, status: int) -> bool:
    return any(row.first <= status <= row.last for row in SERVICES[service])


def _cause_of_status(status: int, service: str) -> Cause:
    for key in ((status, service), (status, ""), (status & 0xFF00, service), (status & 0xF000, service)):
        if key in STATUS_CAUSES:
            return STATUS_CAUSES[key]
    return Cause("", "")


def _rejection(word: str, service: str) -> Iterator[Explanation]:
    match = re.fullmatch(r"(\d)/(\d)/(\d{1,2})", word)
    if match is not None:
        yield _rejected(int(match[1]), int(match[2]), int(match[3]))


def _rejected(result: int, source: int, reason: int) -> Explanation:
    is_defined = result in REJECT_RESULTS and (source, reason) in REJECT_REASONS
    cause = REJECTION_CAUSES.get((source, reason), Cause("", ""))
    return Explanation(
        subject=f"A-ASSOCIATE-RJ, result {result}, source {source}, reason {reason}",
        meaning=explain_rejection(result, source, reason),
        clause="PS3.8 Table 9-21",
        details=(
            f"result {result}: {REJECT_RESULTS.get(result, 'not defined')}",
            f"source {source}: {REJECT_SOURCES.get(source, 'not defined')}",
            f"reason {reason}: {REJECT_REASONS.get((source, reason), 'reserved')}",
            *(() if is_defined else ("the standard does not define this combination: the peer is at fault",)),
        ),
        cause=cause.cause,
        advice=cause.advice,
    )


def _abort(word: str, service: str) -> Iterator[Explanation]:
    match = re.fullmatch(r"(\d)/(\d)", word)
    if match is not None:
        yield _aborted(int(match[1]), int(match[2]))


def _aborted(source: int, reason: int) -> Explanation:
    cause = ABORT_CAUSES.get((source, reason), ABORT_CAUSES.get((source, None), Cause("", "")))
    return Explanation(
        subject=f"A-ABORT, source {source}, reason {reason}",
        meaning=explain_abort(source, reason),
        clause="PS3.8 Table 9-26",
        details=(
            f"source {source}: {ABORT_SOURCES.get(source, 'not defined')}",
            f"reason {reason}: {ABORT_REASONS.get(reason, 'not defined')}"
            + ("" if source == 2 else "; not significant unless the source is 2"),
        ),
        cause=cause.cause,
        advice=cause.advice,
    )


def _context_result(word: str, service: str) -> Iterator[Explanation]:
    match = re.fullmatch(r"result[ =]?(\d)", word, re.IGNORECASE)
    if match is not None and int(match[1]) in CONTEXT_RESULTS:
        yield Explanation(
            subject=f"presentation context, result/reason {match[1]}",
            meaning=CONTEXT_RESULTS[int(match[1])],
            clause="PS3.8 Table 9-18",
        )


def _state(word: str, service: str) -> Iterator[Explanation]:
    match = re.fullmatch(r"sta(\d{1,2})", word, re.IGNORECASE)
    state = next((each for each in State if match and each.number == int(match[1])), None)
    if state is not None:
        cells = [(event, action) for (event, in_state), action in TRANSITIONS.items() if in_state is state]
        details = tuple(f"{event} ({event.meaning}): {action.name}" for event, action in cells)
        yield Explanation(subject=f"state {state}", meaning=state.meaning, clause="PS3.8 9.2.1", details=details)


def _event(word: str, service: str) -> Iterator[Explanation]:
    match = re.fullmatch(r"evt(\d{1,2})", word, re.IGNORECASE)
    event = next((each for each in Event if match and each.number == int(match[1])), None)
    if event is not None:
        cells = [(state, action) for (of_event, state), action in TRANSITIONS.items() if of_event is event]
        details = tuple(f"in {state}: {action.name}, {_next(action)}" for state, action in cells)
        yield Explanation(subject=f"event {event}", meaning=event.meaning, clause="PS3.8 Table 9-10", details=details)


def _action(word: str, service: str) -> Iterator[Explanation]:
    action = ACTIONS.get(word.upper())
    if action is not None:
        steps = "; ".join(step.value for step in action.steps) or "nothing"
        details = [f"then {_next(action)}"]
        if action.alternative_steps:
            otherwise = "; ".join(step.value for step in action.alternative_steps)
            details.append(f"if the service-provider can't accept: {otherwise}")
        yield Explanation(
            subject=f"action {action.name}",
            meaning=steps,
            clause=f"PS3.8 Table {action.table}",
            details=tuple(details),
        )


def _next(action: Action) -> str:
    return " or ".join(str(state) for state in action.next_states)


def _uid(word: str, service: str) -> Iterator[Explanation]:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)+", word) or re.fullmatch(r"\d+\.\d+", word):
        return
    details = [] if is_valid_uid(word) else ["it is no UID by PS3.5 9.1: a component is empty or begins with a zero"]
    if name_of(word):
        syntax = TRANSFER_SYNTAXES.get(word)
        if syntax is not None:
            vr = "explicit" if syntax.explicit_vr else "implicit"
            order = "little" if syntax.little_endian else "big"
            details.append(f"transfer syntax: {vr} VR, {order} endian" + (", deflated" if syntax.deflated else ""))
            details += ["Pixel Data is compressed, in fragments"] if syntax.encapsulated else []
        kind = "storage SOP class" if word in STORAGE_SOP_CLASSES else ""
        kind = "SOP class" if word in OTHER_SOP_CLASSES else kind
        details += [kind] if kind else []
        yield Explanation(subject=f"UID {word}", meaning=name_of(word), clause="PS3.6 Annex A", details=tuple(details))
        return
    from pydicom.uid import UID

    known = UID(word).name
    if known != word:
        details.append(UID(word).type)
        yield Explanation(subject=f"UID {word}", meaning=known, clause="PS3.6 Annex A", details=tuple(details))
        return
    whose = "made from a UUID (PS3.5 B.2)" if word.startswith("2.25.") else "not one of the standard's: a product's own"
    yield Explanation(subject=f"UID {word}", meaning=whose, clause="PS3.5 9.1", details=tuple(details))


def _tag(word: str, service: str) -> Iterator[Explanation]:
    match = _TAG.fullmatch(word)
    number = int(match[1] + match[2], 16) if match else None
    element = COMMAND_ELEMENTS.get(number) if number is not None else None
    if element is None:
        element = next((row for row in COMMAND_ELEMENTS.values() if row.keyword.lower() == word.lower()), None)
    if element is not None:
        retired = ("retired",) if element.is_retired else ()
        yield Explanation(
            subject=f"command element (0000,{element.tag:04X})",
            meaning=element.keyword,
            clause="PS3.7 Annex E",
            details=(f"VR {element.vr}, VM {element.vm}", *retired),
        )
        return
    if number is None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{3,}", word):
        return
    from pydicom import datadict

    if number is None:
        keyword = next((each for each in datadict.keyword_dict if each.lower() == word.lower()), "")
        number = datadict.tag_for_keyword(keyword) if keyword else None
    if number is None:
        return
    subject = f"element ({number >> 16:04X},{number & 0xFFFF:04X})"
    if datadict.dictionary_has_tag(number):
        vr, vm, name, retired_text, keyword = datadict.get_entry(number)
        details = (f"VR {vr}, VM {vm}, keyword {keyword}", *((retired_text,) if retired_text else ()))
        yield Explanation(subject=subject, meaning=name, clause="PS3.6 Table 6-1", details=details)
    elif (number >> 16) % 2:
        text = "a private element: its meaning is its creator's, named in (gggg,0010-00FF)"
        yield Explanation(subject=subject, meaning=text, clause="PS3.5 7.8")


_KINDS: tuple[Callable[[str, str], Iterator[Explanation]], ...] = (
    _status,
    _rejection,
    _abort,
    _context_result,
    _state,
    _event,
    _action,
    _uid,
    _tag,
)
