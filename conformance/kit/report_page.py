"""What the HTML reports share: one file without anything outside it, filtered by verdict, level and text.

A fragment of the address chooses too, so that a link shows what it speaks of:
`report.html#level=required&verdict=FAIL&text=ul.assoc`. Several values of one name are separated by commas.
"""

from collections.abc import Iterable
from html import escape

from dulcet.conformance.kit.case import Level
from dulcet.conformance.kit.report_terminal import VERDICTS

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --PASS: #1a7f37; --WARN: #9a6700; --FAIL: #cf222e;
  --INCONCLUSIVE: #8250df; --SKIP: #6e7781; --WAIVED: #0969da; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
td, th { padding: .15rem .6rem; border-bottom: 1px solid var(--line); text-align: left; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
details { border-bottom: 1px solid var(--line); padding: .3rem 0; } summary { cursor: pointer; }
code, pre { font: 13px/1.45 ui-monospace, monospace; } pre { overflow-x: auto; padding: .5rem; background: #8881; }
.verdict { display: inline-block; min-width: 7.5rem; font-weight: 600; }
.PASS { color: var(--PASS); } .WARN { color: var(--WARN); } .FAIL { color: var(--FAIL); }
.INCONCLUSIVE { color: var(--INCONCLUSIVE); } .SKIP { color: var(--SKIP); } .WAIVED { color: var(--WAIVED); }
thead th { vertical-align: bottom; } .matrix td { white-space: nowrap; } [hidden] { display: none !important; }
summary code { margin-right: .8rem; }
.filters { position: sticky; top: 0; background: Canvas; padding: .5rem 0; border-bottom: 1px solid var(--line); }
.filters label { margin-right: .8rem; } dl { display: grid; grid-template-columns: 9rem 1fr; gap: .1rem 1rem; }
dt { color: #777; } dd { margin: 0; } .note { color: #777; }
"""

_SCRIPT = """
const cases = [...document.querySelectorAll('.case')], text = document.getElementById('text');
const boxes = name => [...document.querySelectorAll(`input[name=${name}]`)];
const on = name => boxes(name).filter(box => box.checked).map(box => box.value);
function apply() {
  const verdicts = on('verdict'), levels = on('level'), wanted = text.value.toLowerCase();
  let shown = 0;
  for (const one of cases) {
    const fits = one.dataset.verdict.split(' ').some(word => verdicts.includes(word))
      && levels.includes(one.dataset.level) && one.textContent.toLowerCase().includes(wanted)
      && !(on('differ').length && one.dataset.verdict.split(' ').length < 2);
    one.hidden = !fits; shown += fits;
  }
  document.getElementById('shown').textContent = `${shown} of ${cases.length}`;
}
function read() {
  const chosen = new URLSearchParams(location.hash.slice(1));
  for (const name of ['verdict', 'level', 'differ'])
    if (chosen.has(name))
      boxes(name).forEach(box => { box.checked = chosen.get(name).split(',').includes(box.value); });
  if (chosen.has('text')) text.value = chosen.get('text');
  apply();
}
document.querySelectorAll('input').forEach(input => input.addEventListener('input', apply));
addEventListener('hashchange', read);
read();
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page; `body` is markup, and a peer's strings in it are escaped."""
    head = f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    style = f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
    return "\n".join(["<!doctype html>", head, style, *body, f"<script>{_SCRIPT}</script></body></html>"]) + "\n"


def filters(*, compares: bool = False) -> Iterable[str]:
    """The boxes and the search field. What passed or was skipped is hidden at first."""
    yield '<p class="filters">'
    for verdict in VERDICTS:
        checked = "" if verdict in ("PASS", "SKIP") else " checked"
        yield f'<label><input type="checkbox" name="verdict" value="{verdict}"{checked}> {verdict}</label>'
    yield "<br>"
    for level in Level:
        yield f'<label><input type="checkbox" name="level" value="{level.word}" checked> {level.word}</label>'
    if compares:
        yield '<label><input type="checkbox" name="differ" value="yes"> only differences</label>'
    yield '<input id="text" type="search" placeholder="id or text"> <span id="shown"></span></p>'
