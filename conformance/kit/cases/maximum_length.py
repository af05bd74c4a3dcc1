"""ul.pdata.maxlen: does the product keep to the maximum length that the kit announces? (PS3.8 D.1)."""

from dulcet.conformance.kit import stimuli
from dulcet.conformance.kit.case import Case, Level, Play
from dulcet.conformance.kit.cases.echo_store import ensure_stored
from dulcet.conformance.kit.cases.pdata import case
from dulcet.conformance.kit.cases.query import QUERY_IMAGES
from dulcet.conformance.kit.cases.retrieve_get import run_get
from dulcet.conformance.kit.exchange import Kind, Wire
from dulcet.conformance.kit.outcome import Outcome
from dulcet.conformance.kit.product import CT_IMAGE_STORAGE
from dulcet.conformance.kit.stimuli import context, implementation_class, maximum_length
from dulcet.conformance.kit.synthetic import find_rq, study_query
from dulcet.conformance.kit.visit import Association, Findings, Visit
from dulcet.dimse.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION

Q, B = Level.REQUIRED, Level.ROBUSTNESS
LENGTHS = (128, 256, 1024, 4096, 16384, 65536)


def _announces(octets: int) -> Play:
    """The operation with the largest answers that the product has: C-GET, C-FIND or C-ECHO."""

    async def play(visit: Visit) -> Outcome:
        product = visit.product
        retrieves = product.has("get") and product.has("storage") and STUDY_ROOT_GET in product.sop_classes
        finds = STUDY_ROOT_FIND in product.sop_classes
        if retrieves:
            await ensure_stored(visit, QUERY_IMAGES)
            contexts: tuple[bytes, ...] = (context(1, STUDY_ROOT_GET), context(3, CT_IMAGE_STORAGE))
        else:
            contexts = (context(1, STUDY_ROOT_FIND if finds else VERIFICATION),)
        request = product.request(*contexts)
        sub_items = [maximum_length(octets), implementation_class(), *product.user]
        if retrieves:
            sub_items.append(stimuli.role(CT_IMAGE_STORAGE, 0, 1))
        asked = await visit.ask(request.but(user=tuple(sorted(sub_items, key=lambda item: item[0]))))
        if asked.outcome.word != "AC":
            return asked.outcome
        association = Association(visit, asked).need(1)
        if retrieves:
            outcome = (await run_get(association)).outcome
        elif finds:
            outcome = await _find(association)
        else:
            outcome = await association.echo()
        return judged(association.peer.wire, visit.findings, octets, outcome)

    return play


async def _find(association: Association) -> Outcome:
    await association.request_message(1, find_rq(1), study_query())
    while True:
        outcome = await association.outcome()
        if outcome.word != "RSP" or outcome.numbers[0] not in (0xFF00, 0xFF01):
            return outcome


def judged(wire: Wire, findings: Findings, limit: int, outcome: Outcome) -> Outcome:
    """OBEYED, EXCEEDED, or what else came."""
    longest = start = 0
    octets = wire.octets(Kind.RECEIVED)
    while start + 6 <= len(octets):
        length = int.from_bytes(octets[start + 2 : start + 6], "big")
        if octets[start] == 0x04:
            longest = max(longest, length)
        start += 6 + length
    findings.measured["longest_pdu"] = longest
    if limit and longest > limit:
        return Outcome("EXCEEDED", (longest,), f"a P-DATA-TF of length {longest}, {limit} was announced")
    if outcome.word in ("RSP", "PROCEEDS"):
        return Outcome("OBEYED", (), f"the longest P-DATA-TF had length {longest}")
    return outcome


OBEYS = "No P-DATA-TF is longer than what its receiver announced."


def _case(name: str, octets: int, level: Level, tolerated: tuple[str, ...] = ()) -> Case:
    stimulus = (
        f"the kit announces a maximum length of {octets}" if octets else "the kit announces no maximum length (0)"
    )
    allowed = ("OBEYED", "RJ", "ABORT") if level is B else ("OBEYED",)
    return case(f"pdata.maxlen.{name}", stimulus, OBEYS, "PS3.8 D.1", level, _announces(octets), allowed,
                tolerated=tolerated)  # fmt: skip


CASES = (
    *(_case(f"respect-{octets}", octets, Q, ("RJ", "ABORT")) for octets in LENGTHS),
    _case("zero", 0, Q),
    _case("tiny-8", 8, B),
    _case("odd-16383", 16383, Q),
    _case("huge-ffffffff", 0xFFFFFFFF, B),
)
