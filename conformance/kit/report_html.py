"""The report as one HTML file without anything outside it: filters by verdict, level and text, details on demand."""

from collections.abc import Iterable
from html import escape

from dulcet.conformance.kit.document import Document
from dulcet.conformance.kit.report_page import filters, page
from dulcet.conformance.kit.report_terminal import VERDICTS, conclusion, heading, timeline


def to_html(document: Document, *, strict: bool = False) -> str:
    """The whole report. `strict` counts failures of every level in its conclusion."""
    title = heading(document)
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<p>{escape(' '.join(conclusion(document, strict=strict)))}</p>",
        *_facts(document),
        *_table(document),
        *filters(),
        *(line for case in document["cases"] for line in _case(case)),
    ]
    return page(title, body)


def _facts(document: Document) -> Iterable[str]:
    kit, product = document["kit"], document["product"]
    observed = product["observed"]
    rows = {
        "kit": f"dulcet {kit['version']}, catalogue {kit['catalogue']}, {kit['standard']}",
        "run": f"{document['started']}, {document['seconds']:.1f} s",
        "command": document["command_line"],
        "configuration": document["configuration_sha256"],
        "declared": ", ".join(f"{name}: {value}" for name, value in product["declared"].items()),
        "claims": ", ".join(f"{name} ({how})" for name, how in product["claims"].items()),
        "implementation": f"{observed['implementation_version_name']} {observed['implementation_class_uid']}",
        "maximum length": observed["maximum_length_received"],
        "at once": observed["associations_at_once"],
        "measured ARTIM": observed["artim_seconds"],
        "TLS": observed["tls"],
    }
    yield "<dl>"
    for name, value in rows.items():
        if value not in (None, "", " "):
            yield f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>"
    yield "</dl>"


def _table(document: Document) -> Iterable[str]:
    heads = "".join(f'<th class="{verdict}">{verdict}</th>' for verdict in VERDICTS)
    yield f"<table><thead><tr><th>group</th>{heads}</tr></thead><tbody>"
    for name, counts in document["summary"]["groups"].items():
        cells = "".join(f'<td class="number">{counts.get(verdict, 0) or ""}</td>' for verdict in VERDICTS)
        yield f"<tr><td>{escape(name)}</td>{cells}</tr>"
    yield "</tbody></table>"


def _case(case: Document) -> Iterable[str]:
    verdict = "WAIVED" if case["waiver"] else case["verdict"]
    attributes = f'data-verdict="{verdict}" data-level="{case["level"]}" id="{escape(case["id"])}"'
    yield f'<details class="case" {attributes}><summary>'
    yield f'<span class="verdict {verdict}">{verdict}</span> <code>{escape(case["id"])}</code>'
    yield f'<span class="note">{escape(case["code"])}</span></summary><dl>'
    for name, value in _rows(case):
        if value:
            yield f"<dt>{name}</dt><dd>{value}</dd>"
    yield "</dl>"
    if case["timeline"]:
        yield f"<pre>{escape(chr(10).join(timeline(case, with_octets=True)))}</pre>"
    yield "</details>"


def _rows(case: Document) -> Iterable[tuple[str, str]]:
    yield "requirement", escape(case["requirement"])
    yield "clause", f'<a href="{escape(case["link"])}">{escape(case["clause"])}</a>, {case["level"]}'
    yield "stimulus", escape(case["stimulus"])
    yield "expected", escape(" or ".join(case["allowed"]))
    yield "observed", escape(case["observed"])
    yield "verdict", escape(f"{case['code']} {case['explanation']}".strip())
    yield "meaning", escape(case["code_meaning"])
    first = case["first"]
    yield "first run", escape(f"{first['verdict']} {first['explanation']}") if first else ""
    yield "ending", escape(f"{case['ending']['code']}: {case['ending']['explanation']}") if case["timeline"] else ""
    yield "waiver", escape(case["waiver"])
    yield "note", escape(case["note"])
    yield "capture", escape(case.get("capture", ""))
    yield "again", f"<code>{escape(case['run_again'])}</code>"
