"""What a product did, in a word with numbers, and the patterns that a case allows.

Words: AC, RJ, RP (A-RELEASE-RP), RELEASE (A-RELEASE-RQ), ABORT, RQ, RSP (a DIMSE response), DATA (another P-DATA-TF),
CLOSE (TCP closed in order, nothing sent), RST (TCP reset, nothing sent), SILENCE (nothing, and still connected),
GARBAGE (not a PDU), and words of single cases: OK, EXCEEDED, ...

Patterns: `AC`, `AC(0)` (the tested contexts accepted), `AC(!0)`, `AC()` (no result for them), `RJ(1,2,2)`,
`RJ(2,3,1|2)`, `ABORT(2,*)`, `RSP(0000|Bxxx)` (statuses in hexadecimal, x for any digit). ABORT0 and ABORT2 are
ABORT(0,*) and ABORT(2,*); SAFE is anything but harm: an answer, a refusal, an abort or a close. CLOSE allows RST:
"don't linger" (PS3.8 9.1.4).
"""

import re
from dataclasses import dataclass
from enum import Enum

from dulcet.errors import DecodeError
from dulcet.escape import quote
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AReleaseRP, AReleaseRQ, PDataTF, decode_pdu
from dulcet.ul.reasons import CONTEXT_RESULTS, explain_abort, explain_rejection

_SHORT = {
    "ABORT0": ("ABORT(0,*)",),
    "ABORT2": ("ABORT(2,*)",),
    "SAFE": ("AC", "RJ", "ABORT", "CLOSE"),
    "CLOSE": ("CLOSE", "RST"),
}
_PATTERN = re.compile(r"([A-Z][A-Z-]*)(?:\(([^)]*)\))?")


class End(Enum):
    """What ended a connection, or didn't."""

    FIN = "the product closed the connection"
    RST = "the product reset the connection"
    KIT = "the kit closed the connection"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One word and its numbers."""

    word: str
    numbers: tuple[int, ...] = ()
    detail: str = ""
    """For people; the octets of a peer are quoted in it."""

    def __str__(self) -> str:
        if not self.numbers:
            return self.word
        if self.word == "RSP":
            return f"RSP({','.join(f'{number:04X}' for number in self.numbers)})"
        return f"{self.word}({','.join(map(str, self.numbers))})"

    def explain(self) -> str:
        """The outcome with what it means."""
        meaning = self.detail or _meaning(self)
        return f"{self}: {meaning}" if meaning else str(self)


def _meaning(outcome: Outcome) -> str:
    numbers = outcome.numbers
    if outcome.word == "RJ" and len(numbers) == 3:
        return explain_rejection(*numbers)
    if outcome.word == "ABORT" and len(numbers) == 2:
        return explain_abort(*numbers)
    if outcome.word == "AC":
        return ", ".join(CONTEXT_RESULTS.get(number, f"result {number}") for number in dict.fromkeys(numbers))
    return {
        "CLOSE": "the product closed the connection and sent nothing",
        "RST": "the product reset the connection and sent nothing",
        "SILENCE": "nothing was sent and the connection stayed open",
    }.get(outcome.word, "")


def expand(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The patterns without short forms."""
    return tuple(full for pattern in patterns for full in _SHORT.get(pattern, (pattern,)))


def matches(outcome: Outcome, patterns: tuple[str, ...]) -> bool:
    """Whether the outcome is one of those that the patterns name. ValueError for what is no pattern."""
    return any(_matches(outcome, pattern) for pattern in expand(patterns))


def _matches(outcome: Outcome, pattern: str) -> bool:
    parsed = _PATTERN.fullmatch(pattern)
    if parsed is None:
        raise ValueError(f"{pattern!r} is no pattern")
    word, arguments = parsed.groups()
    if outcome.word != word:
        return False
    if arguments is None:
        return True
    if not arguments:
        return not outcome.numbers
    columns = arguments.split(",")
    if word in ("AC", "RSP"):  # each of the tested contexts, each of the responses
        return bool(outcome.numbers) and all(
            _is_one_of(number, columns[0], word == "RSP") for number in outcome.numbers
        )
    return len(columns) == len(outcome.numbers) and all(
        _is_one_of(number, column, False) for number, column in zip(outcome.numbers, columns, strict=True)
    )


def _is_one_of(number: int, column: str, hexadecimal: bool) -> bool:
    if column == "*":
        return True
    if column.startswith("!"):
        return not _is_one_of(number, column[1:], hexadecimal)
    text = f"{number:04X}" if hexadecimal else str(number)
    return any(re.fullmatch(choice.replace("x", "[0-9A-F]"), text) for choice in column.split("|"))


def of_pdu(octets: bytes, tested: tuple[int, ...] = (1,)) -> Outcome:
    """The outcome that one PDU of the product is. `tested` are the contexts whose results an AC is judged by."""
    try:
        pdu = decode_pdu(octets).pdu
    except DecodeError as error:
        return Outcome("GARBAGE", (), f"{quote(str(error), 200)}: {octets[:16].hex(' ')}")
    match pdu:
        case AAssociateAC():
            results = {answer.context_id: answer.result for answer in pdu.presentation_contexts}
            return Outcome("AC", tuple(results[number] for number in tested if number in results))
        case AAssociateRJ():
            return Outcome("RJ", (pdu.result, pdu.source, pdu.reason))
        case AAbort():
            return Outcome("ABORT", (pdu.source, pdu.reason))
        case AReleaseRP():
            return Outcome("RP")
        case AReleaseRQ():
            return Outcome("RELEASE")
        case AAssociateRQ():
            return Outcome("RQ")
        case PDataTF():
            return Outcome("DATA")
