"""What became of each file: in text for a person, in JSON or CSV for a machine, and as an exit code for the shell."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dulcet.dimse.uids import name_of
from dulcet.escape import quote
from dulcet.station.events import Event, Outcome, StoreResult, Summary
from dulcet.station.figures import duration, rate, size
from dulcet.station.report_file import write_report

if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_DONE, EXIT_PARTLY_FAILED, EXIT_NOT_DICOM, EXIT_NO_INPUT = 0, 1, 65, 66

MAX_REASONS = 10  # a screen; beyond it --report tells
MAX_NAMES = 3  # for each reason: enough to find the kind of file
MAX_NAME_CHARACTERS = 120
MAX_REASON_CHARACTERS = 300

_STORED = (Outcome.STORED, Outcome.WARNING)
_FAILED = (Outcome.REFUSED, Outcome.UNCONFIRMED, Outcome.NOT_SENT)
_WORDS = {
    Outcome.STORED: "stored",
    Outcome.WARNING: "stored, but the peer warned",
    Outcome.REFUSED: "refused by the peer",
    Outcome.UNCONFIRMED: "sent but never confirmed: the peer may have it",
    Outcome.NOT_SENT: "not sent",
    Outcome.SKIPPED: "passed over: not DICOM objects",
}
_COLUMNS = (
    "name",
    "outcome",
    "explanation",
    "status",
    "error_comment",
    "sop_class_uid",
    "sop_class",
    "sop_instance_uid",
    "transfer_syntax_uid",
    "converted_to",
    "octets",
    "seconds",
    "attempts",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reason:
    outcome: Outcome
    explanation: str


class SendReport:
    """Gathers the `StoreResult` events of a job, one for each file when its fate is settled. Subscribe it.

    Memory: each result, about half a kilobyte for each file.
    """

    def __init__(self, peer: str) -> None:
        """`peer` as the user named it."""
        self.peer = peer
        self.results: list[StoreResult] = []
        """What became of the files, in the order in which it was settled."""

    def __call__(self, event: Event) -> None:
        """Take note of a `StoreResult`; other events are none of its business."""
        if isinstance(event, StoreResult):
            self.results.append(event)

    @property
    def counts(self) -> "Counter[Outcome]":
        """How many files for each outcome."""
        return Counter(result.outcome for result in self.results)

    @property
    def exit_code(self) -> int:
        """0 all stored, 1 some, 65 nothing DICOM, 66 no input; when nothing was stored, the code of the common failure.

        "Common" looks at DICOM objects only, if there are any: a text file beside them is not why the peer is down. A
        warning is no failure: the object is stored.
        """
        counts = self.counts
        failed = [result for result in self.results if result.outcome in _FAILED]
        if any(counts[outcome] for outcome in _STORED):
            return EXIT_PARTLY_FAILED if failed else EXIT_DONE
        objects = [result for result in failed if result.sop_class_uid is not None]
        codes = {result.exit_code for result in objects or failed}
        if not codes:
            return EXIT_NOT_DICOM if self.results else EXIT_NO_INPUT
        if codes <= {EXIT_NOT_DICOM, EXIT_NO_INPUT}:
            return max(codes) if len(codes) == 1 else EXIT_NOT_DICOM
        return codes.pop() if len(codes) == 1 else EXIT_PARTLY_FAILED

    def summary(self, seconds: float | None = None) -> Summary:
        """The last event of the stream."""
        return Summary(
            exit_code=self.exit_code,
            counts={outcome.value: count for outcome, count in self.counts.items()},
            octets=self._octets_stored(),
            seconds=seconds,
        )

    def text(self, seconds: float | None = None) -> str:
        """The report for a person: what failed and why, then the counts. Safe to show, at most about a screen."""
        return "\n".join((*self.reasons_text(), *self._counts_text(seconds)))

    def reasons_text(self) -> "Iterator[str]":
        """What failed and why, in lines. Safe to show."""
        groups: dict[_Reason, list[StoreResult]] = {}
        for outcome in (*_FAILED, Outcome.WARNING):
            for result in self.results:
                if result.outcome is outcome:
                    reason = _Reason(outcome=outcome, explanation=result.explanation or _WORDS[outcome])
                    groups.setdefault(reason, []).append(result)
        for number, (reason, results) in enumerate(groups.items()):
            if number == MAX_REASONS:
                yield f"... and {len(groups) - MAX_REASONS} more reasons: --report FILE lists every file"
                return
            yield f"{_files(len(results))} {_WORDS[reason.outcome]}: {quote(reason.explanation, MAX_REASON_CHARACTERS)}"
            for result in results[:MAX_NAMES]:
                said = f" (the peer says: {quote(result.error_comment)})" if result.error_comment else ""
                yield f"    {quote(result.name, MAX_NAME_CHARACTERS)}{said}"
            if len(results) > MAX_NAMES:
                yield f"    ... and {len(results) - MAX_NAMES:,} more: --report FILE lists every file"

    def _counts_text(self, seconds: float | None) -> "Iterator[str]":
        counts = self.counts
        stored = sum(counts[outcome] for outcome in _STORED)
        meant = sum(count for outcome, count in counts.items() if outcome is not Outcome.SKIPPED)
        line = f"{stored:,} of {_files(meant)} stored by {quote(self.peer)}"
        octets = self._octets_stored()
        if seconds is not None and seconds > 0 and octets:
            line += f": {size(octets)} in {duration(seconds)}, {rate(octets / seconds)}"
        yield line
        for outcome in (Outcome.WARNING, *_FAILED, Outcome.SKIPPED):
            if counts[outcome]:
                yield f"    {counts[outcome]:,} {_WORDS[outcome]}"

    def _octets_stored(self) -> int:
        return sum(result.octets or 0 for result in self.results if result.outcome in _STORED)

    def write(self, path: Path) -> None:
        """Every file's result to `path`, failures first: CSV if its name ends so, else JSON. ConfigurationError."""
        counts = {outcome.value: count for outcome, count in self.counts.items()}
        head = {"peer": self.peer, "exit_code": self.exit_code, "counts": counts}
        write_report(path, head, "files", self._rows(), _COLUMNS)

    def _rows(self) -> "Iterator[dict[str, Any]]":
        order = (*_FAILED, Outcome.WARNING, Outcome.STORED, Outcome.SKIPPED)
        for result in sorted(self.results, key=lambda result: order.index(result.outcome)):
            row = {column: getattr(result, column, None) for column in _COLUMNS}
            row["outcome"] = result.outcome.value
            row["status"] = None if result.status is None else f"{result.status:04X}H"
            row["sop_class"] = name_of(result.sop_class_uid) or None if result.sop_class_uid else None
            row["error_comment"] = quote(result.error_comment) if result.error_comment else None
            yield row


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
