"""Several results side by side: a row for each case, a column for each product."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from dulcet.conformance.kit.document import Document
from dulcet.conformance.kit.report_markdown import plain
from dulcet.conformance.kit.report_page import filters, page
from dulcet.conformance.kit.report_terminal import NOBODY, VERDICTS

NOT_PLAYED = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One case in every result."""

    id: str
    level: str
    clause: str
    link: str
    cells: tuple[tuple[str, str], ...]
    """(verdict, explanation) for each product; `NOT_PLAYED` where its result hasn't the case."""

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The different verdicts, in the order of their first product."""
        return tuple(dict.fromkeys(verdict for verdict, _ in self.cells if verdict))


def products(documents: Sequence[Document]) -> list[str]:
    """A heading for each result: what was declared, else what was observed, with the part that it played."""
    found = []
    for document in documents:
        declared, observed = document["product"]["declared"], document["product"]["observed"]
        name = " ".join(str(declared[key]) for key in ("vendor", "version") if key in declared)
        title = document["product"]["address"].partition("@")[0]
        name = name or " ".join(word for word in (title, observed["implementation_version_name"]) if word)
        part = f"{document['side']}, interrupted" if document.get("interrupted") else document["side"]
        found.append(f"{name or NOBODY} ({part})")
    return [f"{name} #{index}" if found.count(name) > 1 else name for index, name in enumerate(found, 1)]


def rows(documents: Sequence[Document]) -> list[Row]:
    """Every case of any result, in the order in which the results have them."""
    tables = [{(case["id"], case["role"]): case for case in document["cases"]} for document in documents]
    keys = dict.fromkeys(key for table in tables for key in table)
    made = []
    for key in keys:
        case = next(table[key] for table in tables if key in table)
        cells = tuple(_cell(table.get(key)) for table in tables)
        made.append(Row(id=case["id"], level=case["level"], clause=case["clause"], link=case["link"], cells=cells))
    return made


def _cell(case: Document | None) -> tuple[str, str]:
    if case is None:
        return NOT_PLAYED, ""
    return "WAIVED" if case["waiver"] else str(case["verdict"]), str(case["explanation"] or case["observed"])


def _counts(documents: Sequence[Document], verdict: str) -> list[str]:
    return [str(document["summary"]["verdicts"].get(verdict, 0) or "") for document in documents]


def to_markdown(documents: Sequence[Document]) -> str:
    """Counts, then the cases in which the products differ or fail."""
    return "\n".join(_markdown(documents)) + "\n"


def _markdown(documents: Sequence[Document]) -> Iterable[str]:
    names = [plain(name) for name in products(documents)]
    yield "# Conformance compared"
    yield ""
    yield f"| | {' | '.join(names)} |"
    yield f"|---|{'---:|' * len(names)}"
    for verdict in VERDICTS:
        yield f"| {verdict} | {' | '.join(_counts(documents, verdict))} |"
    yield ""
    yield f"| case | level | {' | '.join(names)} |"
    yield f"|---|---|{'---|' * len(names)}"
    for row in rows(documents):
        if len(row.verdicts) > 1 or "FAIL" in row.verdicts:
            cells = " | ".join(verdict for verdict, _ in row.cells)
            yield f"| [`{row.id}`]({row.link}) | {row.level} | {cells} |"


def to_html(documents: Sequence[Document]) -> str:
    """The same as one HTML file with filters; the explanation of a verdict shows when it is pointed at."""
    return page("Conformance compared", _html(documents))


def _html(documents: Sequence[Document]) -> Iterable[str]:
    heads = "".join(f"<th>{escape(name)}</th>" for name in products(documents))
    yield f'<h1>Conformance compared</h1><div class="wide"><table><thead><tr><th></th>{heads}</tr></thead><tbody>'
    for verdict in VERDICTS:
        cells = "".join(f'<td class="number">{count}</td>' for count in _counts(documents, verdict))
        yield f'<tr><th class="{verdict}">{verdict}</th>{cells}</tr>'
    yield "</tbody></table></div>"
    yield from filters(compares=True)
    yield '<div class="wide"><table class="matrix"><thead>'
    yield f"<tr><th>case</th><th>level</th><th>clause</th>{heads}</tr></thead><tbody>"
    for row in rows(documents):
        yield f'<tr class="case" data-verdict="{" ".join(row.verdicts)}" data-level="{row.level}">'
        yield f"<td><code>{escape(row.id)}</code></td><td>{row.level}</td>"
        yield f'<td><a href="{escape(row.link)}">{escape(row.clause)}</a></td>'
        for verdict, explanation in row.cells:
            yield f'<td class="{verdict}" title="{escape(explanation)}">{verdict}</td>'
        yield "</tr>"
    yield "</tbody></table></div>"
