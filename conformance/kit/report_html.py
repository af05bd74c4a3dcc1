"""The report as one HTML file without anything outside it: filters by verdict, level and text, details on demand."""

from collections.abc import Iterable
from html import escape

from dulcet.conformance.kit.document import Document
from dulcet.conformance.kit.report_terminal import VERDICTS, conclusion

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --PASS: #1a7f37; --WARN: #9a6700; --FAIL: #cf222e;
  --INCONCLUSIVE: #8250df; --SKIP: #6e7781; --WAIVED: #0969da; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; }
td, th { padding: .15rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
details { border-bottom: 1px solid var(--line); padding: .3rem 0; } summary { cursor: pointer; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; padding: .5rem; background: #8881; }
.verdict { display: inline-block; min-width: 7.5rem; font-weight: 600; }
.PASS { color: var(--PASS); } .WARN { color: var(--WARN); } .FAIL { color: var(--FAIL); }
.INCONCLUSIVE { color: var(--INCONCLUSIVE); } .SKIP { color: var(--SKIP); } .WAIVED { color: var(--WAIVED); }
.filters { position: sticky; top: 0; background: Canvas; padding: .5rem 0; border-bottom: 1px solid var(--line); }
.filters label { margin-right: .8rem; } dl { display: grid; grid-template-columns: 8rem 1fr; gap: .1rem 1rem; }
dt { color: #777; } dd { margin: 0; } .note { color: #777; }
"""

_SCRIPT = """
const cases = [...document.querySelectorAll('details')];
function apply() {
  const on = name => [...document.querySelectorAll(`input[name=${name}]:checked`)].map(box => box.value);
  const verdicts = on('verdict'), levels = on('level'), text = document.getElementById('text').value.toLowerCase();
  let shown = 0;
  for (const one of cases) {
    const fits = verdicts.includes(one.dataset.verdict) && levels.includes(one.dataset.level)
      && one.textContent.toLowerCase().includes(text);
    one.hidden = !fits; shown += fits;
  }
  document.getElementById('shown').textContent = `${shown} of ${cases.length}`;
}
document.querySelectorAll('input').forEach(input => input.addEventListener('input', apply));
apply();
"""


def to_html(document: Document) -> str:
    """The whole report."""
    title = f"Conformance of {document['product']['address']}"
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f"<h1>{escape(title)} as {'acceptor' if document['side'] == 'scp' else 'requestor'}</h1>",
        f"<p>{escape(' '.join(conclusion(document)))}</p>",
        *_facts(document),
        *_table(document),
        *_filters(),
        *(line for case in document["cases"] for line in _case(case)),
        f"<script>{_SCRIPT}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


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


def _filters() -> Iterable[str]:
    yield '<p class="filters">'
    for verdict in VERDICTS:
        checked = "" if verdict in ("PASS", "SKIP") else " checked"
        yield f'<label><input type="checkbox" name="verdict" value="{verdict}"{checked}> {verdict}</label>'
    yield "<br>"
    for level in ("required", "recommended", "robustness", "informational"):
        yield f'<label><input type="checkbox" name="level" value="{level}" checked> {level}</label>'
    yield '<input id="text" type="search" placeholder="id or text"> <span id="shown"></span></p>'


def _case(case: Document) -> Iterable[str]:
    verdict = "WAIVED" if case["waiver"] else case["verdict"]
    yield f'<details data-verdict="{verdict}" data-level="{case["level"]}" id="{escape(case["id"])}"><summary>'
    yield f'<span class="verdict {verdict}">{verdict}</span> <code>{escape(case["id"])}</code>'
    yield f'<span class="note">{escape(case["code"])}</span></summary><dl>'
    for name, value in _rows(case):
        if value:
            yield f"<dt>{name}</dt><dd>{value}</dd>"
    yield "</dl>"
    if case["timeline"]:
        yield f"<pre>{escape(chr(10).join(_timeline(case)))}</pre>"
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


def _timeline(case: Document) -> Iterable[str]:
    for line in case["timeline"]:
        if "event" in line:
            yield f"{line['ms']:10.2f} ms  #{line['connection']}     {line['event']}"
            continue
        arrow = "<-" if line["from"] == "product" else "->"
        yield f"{line['ms']:10.2f} ms  #{line['connection']}  {arrow} {line['pdu']}, {line['length']} octets"
        for field in line["fields"]:
            yield f"                       {field}"
        octets = bytes.fromhex(line["octets"])
        for start in range(0, min(len(octets), 256), 16):
            yield f"                         {start:04x}  {octets[start : start + 16].hex(' ')}"
