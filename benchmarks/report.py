"""Tables of medians, and the ratios to dulcet's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.results import Contest, Row

BEGIN = "<!-- benchmark:begin -->"
END = "<!-- benchmark:end -->"
MIB = 1 << 20
Cell = Callable[[Row, Contest], str]


def _number(value: float | None) -> str:
    """Three significant digits, thousands apart."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 else "0"


def _ratio(row: Row, contest: Contest) -> str:
    ours = contest.ours
    if ours is None or ours.rate is None or row.rate is None:
        return "-"
    return "" if row is ours else f"{ours.rate / row.rate:.2f}"


def _finished(row: Row, _: Contest) -> str:
    return f"{row.finished}/{len(row.runs)}"


TRANSFER: dict[str, Cell] = {
    "objects/s": lambda row, _: _number(row.rate),
    "MB/s": lambda row, _: _number(row.median(lambda run: run.octets / run.seconds / 1e6)),
    "CPU us/object": lambda row, _: _number(row.median(lambda run: run.cpu_seconds / run.operations * 1e6)),
    "CPU s/GB": lambda row, _: _number(row.median(lambda run: run.cpu_seconds / run.octets * 1e9)),
    "peak MiB": lambda row, _: _number(row.median(lambda run: run.peak_octets / MIB)),
    "finished": _finished,
    "dulcet is faster by": _ratio,
}
OPERATIONS: dict[str, Cell] = {
    "ms": lambda row, _: _number(row.median(lambda run: run.seconds / run.operations * 1e3)),
    "CPU ms": lambda row, _: _number(row.median(lambda run: run.cpu_seconds / run.operations * 1e3)),
    "peak MiB": lambda row, _: _number(row.median(lambda run: run.peak_octets / MIB)),
    "finished": _finished,
    "dulcet is faster by": _ratio,
}


def table(contest: Contest) -> str:
    """One contest as Markdown."""
    columns = TRANSFER if contest.objects else OPERATIONS
    heading = f"**{contest.title}**" + (f", {contest.objects}" if contest.objects else "")
    lines = [heading, "", f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for row in contest.rows:
        cells = " | ".join(cell(row, contest) for cell in columns.values())
        lines.append(f"| {row.name} | {cells} |")
    return "\n".join(lines)


def report(results: dict[str, Any], contests: list[Contest]) -> str:
    """All contests, with where and when."""
    facts = ", ".join(f"{name} {value}" for name, value in results["environment"].items())
    head = (
        f"Measured {results['date'][:10]} on one machine, sender and receiver sharing its cores ({facts}). "
        "Medians of whole processes in turns; GB are 10^9 octets; pages that processes share are counted once. "
        "The last column is dulcet's rate divided by that line's."
    )
    return "\n\n".join([head, *(table(contest) for contest in contests)]) + "\n"


def reports(documents: list[tuple[dict[str, Any], list[Contest]]]) -> str:
    """Those of several runs, the latest first: a contest is shown from the first that has it."""
    seen: set[tuple[str, str, str]] = set()
    texts = []
    for results, contests in documents:
        new = [contest for contest in contests if _kind(contest) not in seen]
        seen |= {_kind(contest) for contest in contests}
        texts.append(report(results, new))
    return "\n".join(texts)


def _kind(contest: Contest) -> tuple[str, str, str]:
    """What it is about, however many objects it had."""
    return contest.section, contest.title, contest.objects.rpartition("of ")[2]


def write_between_markers(readme: Path, text: str) -> None:
    """Put the tables between the markers of the README. Raises ValueError where it has none."""
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme} lacks the lines {BEGIN} and {END}")
    readme.write_text(f"{before}{BEGIN}\n{text}{END}{after}")
