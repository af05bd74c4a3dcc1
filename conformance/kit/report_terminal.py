"""The report for a person at a terminal: progress while it runs, then what failed and a table of groups."""

from collections.abc import Iterable

from dulcet.conformance.captures.hexdump import hexdump
from dulcet.conformance.kit.case import Level
from dulcet.conformance.kit.document import Document
from dulcet.conformance.kit.result import CaseResult

VERDICTS = ("PASS", "WARN", "FAIL", "INCONCLUSIVE", "SKIP", "WAIVED")
SHOWN_OCTETS = 256  # of a PDU
NOBODY = "a product that did not connect"
_INDENT = " " * 25
_UNDECIDED = {"SKIP": "skipped", "INCONCLUSIVE": "inconclusive"}
_COLOURS = {"PASS": "32", "WARN": "33", "FAIL": "31;1", "INCONCLUSIVE": "35", "SKIP": "2", "WAIVED": "36"}


def coloured(text: str, verdict: str, colour: bool) -> str:
    """The text in the colour of a verdict, where colours are wanted."""
    return f"\x1b[{_COLOURS.get(verdict, '0')}m{text}\x1b[0m" if colour else text


def progress_line(result: CaseResult, finished: int, total: int) -> str:
    """`[ 12/381] ul.assoc.rq.minimal PASS`."""
    width = len(str(total))
    return f"[{finished:{width}}/{total}] {result.verdict.value:12} {result.case.id}"


def lines(document: Document, *, colour: bool = False, verbose: int = 0, strict: bool = False) -> Iterable[str]:
    """The whole report, line by line."""
    yield from _head(document)
    shown = ("FAIL", "WARN", "INCONCLUSIVE") if verbose else ("FAIL", "INCONCLUSIVE")
    for case in document["cases"]:
        if case["verdict"] in shown:
            yield ""
            yield from _case(case, colour, verbose)
    yield ""
    yield from _table(document)
    yield ""
    yield from conclusion(document, strict=strict)


def heading(document: Document) -> str:
    """`Conformance of PACS@127.0.0.1:104 as acceptor`."""
    part = "acceptor" if document["side"] == "scp" else "requestor"
    return f"Conformance of {document['product']['address'] or NOBODY} as {part}"


def _head(document: Document) -> Iterable[str]:
    product = document["product"]
    observed = product["observed"]
    yield heading(document)
    name = observed["implementation_version_name"] or observed["implementation_class_uid"]
    if name:
        limit = observed["maximum_length_received"]
        yield f"  {name}, maximum length {limit}, {observed['associations_at_once']} associations at once"
    claims = ", ".join(f"{claim} ({how})" for claim, how in product["claims"].items())
    yield f"  claims: {claims or 'none'}"


def _case(case: Document, colour: bool, verbose: int) -> Iterable[str]:
    word = f"{case['verdict']} {case['id']}"
    waived = " (waived)" if case["waiver"] else ""
    yield f"{coloured(word, case['verdict'], colour)}  {case['level']}{waived}  {case['code']}"
    yield f"  {case['requirement']} {case['clause']}"
    yield f"  sent:     {case['stimulus']}"
    if case["allowed"]:
        yield f"  expected: {' or '.join(case['allowed'])}"
    yield f"  observed: {case['observed'] if case['explanation'].startswith('expected ') else case['explanation']}"
    if case["waiver"]:
        yield f"  waiver:   {case['waiver']}"
    yield f"  {case['link']}"
    yield f"  again:    {case['run_again']}"
    if verbose > 1:
        yield from timeline(case)


def timeline(case: Document, *, with_octets: bool = False) -> Iterable[str]:
    """Every PDU of the case, with its fields and, when wanted, the first of its octets."""
    for line in case["timeline"]:
        when = f"    {line['ms']:9.2f} ms  #{line['connection']}"
        if "event" in line:
            yield f"{when}     {line['event']}"
            continue
        arrow = "<-" if line["from"] == "product" else "->"
        yield f"{when}  {arrow} {line['pdu']}, {line['length']} octets"
        for field in line["fields"]:
            yield f"{_INDENT}{field}"
        if with_octets:
            yield from (f"{_INDENT}{row}" for row in hexdump(bytes.fromhex(line["octets"])[:SHOWN_OCTETS]))


def _table(document: Document) -> Iterable[str]:
    width = max((len(name) for name in document["summary"]["groups"]), default=5)
    yield f"{'group':{width}} " + " ".join(f"{verdict:>7.7}" for verdict in VERDICTS)
    for name, counts in document["summary"]["groups"].items():
        yield f"{name:{width}} " + " ".join(f"{counts.get(verdict, 0) or '.':>7}" for verdict in VERDICTS)
    total = document["summary"]["verdicts"]
    yield f"{'all':{width}} " + " ".join(f"{total.get(verdict, 0) or '.':>7}" for verdict in VERDICTS)


def conclusion(document: Document, *, strict: bool = False) -> Iterable[str]:
    """What it comes to, in a sentence or two; `strict` counts failures of every level."""
    counted = document["summary"]
    required, decided = counted["required_failures"], _decided(counted["verdicts"])
    if document.get("interrupted"):
        yield f"{_interrupted(document['interrupted'])}."
    if not decided:
        words = ", ".join(f"{count} {_UNDECIDED[word]}" for word, count in counted["verdicts"].items())
        yield f"Nothing was decided ({words or 'nothing was played'}), in {document['seconds']:.0f} s."
    elif required:
        yield f"{required} required case{'s' if required != 1 else ''} failed, in {document['seconds']:.0f} s."
    else:
        yield f"No required case failed, in {document['seconds']:.0f} s."
    if strict and counted["failures"] > required:
        yield f"With --strict: {_others_failed(counted['levels'])} failed."
    if counted["died_in"]:
        suspects = " or ".join(counted["died_in"])
        yield f"The product stopped answering for good in {suspects}; --parallel 1 tells in which."
    yield "PASS means that no deviation was observed; it is no certificate."
    if "baseline" in document:
        yield from _compared(document)


def _interrupted(interrupted: Document) -> str:
    left = interrupted["not_played"]
    return f"Interrupted by {interrupted['by']}: {left} case{'s were' if left != 1 else ' was'} not played"


def _others_failed(levels: dict[str, dict[str, int]]) -> str:
    """`1 recommended and 2 robustness cases`."""
    counts = {level.word: levels.get(level.word, {}).get("FAIL", 0) for level in Level if level is not Level.REQUIRED}
    words = [f"{count} {word}" for word, count in counts.items() if count]
    return f"{' and '.join(words)} case{'s' if sum(counts.values()) != 1 else ''}"


def _decided(verdicts: dict[str, int]) -> int:
    return sum(count for word, count in verdicts.items() if word not in _UNDECIDED)


def _compared(document: Document) -> Iterable[str]:
    baseline = document["baseline"]
    name = " ".join(word for word in (baseline["address"], baseline["implementation_version_name"]) if word)
    other = "" if baseline["is_of_this_product"] else " (another product or version)"
    cases = f"{baseline['compared']} case{'s' if baseline['compared'] != 1 else ''} compared"
    newly = [word for word in ("newly_failing", "newly_passing") if document[word]]
    if not newly:
        cases = f"{cases}, none newly failing or passing" if baseline["compared"] else "it has no case of this run"
    yield f"Baseline: {name}, {baseline['started'][:10]}{other}: {cases}."
    for word in newly:
        yield f"{word.replace('_', ' ').capitalize()}: {', '.join(document[word])}"
