"""The report as Markdown: for a wiki, a merge request, the summary of a CI job."""

from collections.abc import Iterable

from dulcet.conformance.kit.document import Document
from dulcet.conformance.kit.report_terminal import VERDICTS, conclusion, heading


def to_markdown(document: Document, *, strict: bool = False) -> str:
    """The whole report. `strict` counts failures of every level in its conclusion."""
    return "\n".join(_lines(document, strict)) + "\n"


def _lines(document: Document, strict: bool) -> Iterable[str]:
    observed = document["product"]["observed"]
    yield f"# {plain(heading(document))}"
    yield ""
    yield " ".join(conclusion(document, strict=strict))
    yield ""
    yield from _facts(document, observed)
    yield ""
    yield from _table(document)
    for word, title in (("FAIL", "Failures"), ("WARN", "Warnings"), ("INCONCLUSIVE", "Inconclusive")):
        cases = [case for case in document["cases"] if case["verdict"] == word]
        if cases:
            yield ""
            yield f"## {title}"
            for case in cases:
                yield from _case(case)
    skipped = [case for case in document["cases"] if case["verdict"] == "SKIP"]
    if skipped:
        yield ""
        yield "## Skipped"
        yield ""
        for case in skipped:
            yield f"- `{case['id']}`: {plain(case['explanation'])}"


def _facts(document: Document, observed: Document) -> Iterable[str]:
    kit = document["kit"]
    yield "| | |"
    yield "|---|---|"
    yield f"| kit | dulcet {kit['version']}, catalogue {kit['catalogue']}, {kit['standard']} |"
    yield f"| run | {document['started']}, {document['seconds']:.0f} s |"
    yield f"| command | `{plain(document['command_line'])}` |"
    if document["configuration_sha256"]:
        yield f"| configuration | SHA-256 `{document['configuration_sha256']}` |"
    for name, value in document["product"]["declared"].items():
        yield f"| declared {name} | {plain(str(value))} |"
    yield f"| claims | {', '.join(f'{name} ({how})' for name, how in document['product']['claims'].items())} |"
    for name in ("implementation_class_uid", "implementation_version_name", "maximum_length_received", "artim_seconds"):
        if observed[name] not in (None, ""):
            yield f"| observed {name.replace('_', ' ')} | {plain(str(observed[name]))} |"


def _table(document: Document) -> Iterable[str]:
    yield f"| group | {' | '.join(VERDICTS)} |"
    yield f"|---|{'---:|' * len(VERDICTS)}"
    for name, counts in document["summary"]["groups"].items():
        yield f"| {name} | {' | '.join(str(counts.get(verdict, 0) or '') for verdict in VERDICTS)} |"
    total = document["summary"]["verdicts"]
    yield f"| **all** | {' | '.join(str(total.get(verdict, 0) or '') for verdict in VERDICTS)} |"


def _case(case: Document) -> Iterable[str]:
    waived = f" waived: {plain(case['waiver'])}" if case["waiver"] else ""
    yield ""
    yield f"### `{case['id']}` {case['code']}{waived}"
    yield ""
    yield f"{plain(case['requirement'])} [{case['clause']}]({case['link']}), {case['level']}"
    yield ""
    yield f"- stimulus: {plain(case['stimulus'])}"
    if case["allowed"]:
        yield f"- expected: {' or '.join(f'`{pattern}`' for pattern in case['allowed'])}"
    yield f"- observed: {plain(case['observed'] or case['explanation'])}"
    if case["problems"] or case["verdict"] == "INCONCLUSIVE" or case["role"] == "passive":
        yield f"- because: {plain(case['explanation'])}"
    if case["note"]:
        yield f"- note: {plain(case['note'])}"
    yield f"- again: `{plain(case['run_again'])}`"


def plain(text: str) -> str:
    """Nothing of it is markup."""
    for mark in ("\\", "|", "`", "*", "_", "<", "[", "]"):
        text = text.replace(mark, f"\\{mark}" if mark != "<" else "&lt;")
    return text
