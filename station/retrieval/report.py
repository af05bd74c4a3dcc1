"""What became of each instance that was to come: in text, in JSON or CSV, and as an exit code."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dulcet.escape import quote
from dulcet.station.events import Summary
from dulcet.station.figures import duration, rate, size
from dulcet.station.report_file import write_report
from dulcet.station.retrieval.events import Arrival, InstanceResult
from dulcet.station.retrieval.faults import fault_exit_code
from dulcet.station.retrieval.retriever import Retriever

EXIT_DONE, EXIT_PARTLY_FAILED, EXIT_NO_INPUT = 0, 1, 66
MAX_NAMES = 5  # enough to look one up; --report lists all

_COLUMNS = ("sop_instance_uid", "outcome", "explanation", "sop_class_uid", "octets", "path")
_WORDS = {
    Arrival.REFUSED: "came and could not be stored here",
    Arrival.FAILED: "failed at the archive",
    Arrival.MISSING: "missing",
}


class RetrieveReport:
    """Reads a retrieval that is over. Memory: a row at a time."""

    def __init__(self, retriever: Retriever, peer: str) -> None:
        """`peer` as the user named it."""
        self._retriever = retriever
        self._peer = peer

    def results(self) -> Iterator[InstanceResult]:
        """Every instance that the archive listed, or that came: those that are not here first."""
        tally = self._retriever.tally
        listed = {uid for target in self._retriever.targets for uid in target.instances or ()}
        for uid in sorted((listed | tally.failed.keys() | tally.refused.keys()) - tally.arrived.keys()):
            yield self._absent(uid)
        for uid, arrived in tally.arrived.items():
            yield InstanceResult(
                sop_instance_uid=uid,
                outcome=Arrival.ARRIVED,
                sop_class_uid=arrived.sop_class_uid,
                path=arrived.path,
                octets=arrived.octets,
            )

    def _absent(self, uid: str) -> InstanceResult:
        tally = self._retriever.tally
        if uid in tally.refused:
            return InstanceResult(sop_instance_uid=uid, outcome=Arrival.REFUSED, explanation=tally.refused[uid])
        if uid in tally.failed:
            return InstanceResult(sop_instance_uid=uid, outcome=Arrival.FAILED, explanation=tally.failed[uid])
        return InstanceResult(sop_instance_uid=uid, outcome=Arrival.MISSING)

    @property
    def counts(self) -> "Counter[Arrival]":
        """How many instances for each outcome."""
        counts = Counter(result.outcome for result in self.results())
        if all(target.instances is None for target in self._retriever.targets):
            failed = sum(attempt.counts.failed for attempt in self._retriever.attempts)
            counts[Arrival.FAILED] = max(counts[Arrival.FAILED], failed)
        return counts

    @property
    def exit_code(self) -> int:
        """0 all here, 1 some, 66 the archive has nothing of it; when nothing came, the code of the failure."""
        retriever = self._retriever
        if not retriever.targets:
            return EXIT_NO_INPUT
        counts = self.counts
        is_short = any(counts[outcome] for outcome in _WORDS)
        unlisted = [each for each in retriever.targets if each.instances is None]
        if unlisted and not is_short and all(retriever.is_believed(each) for each in unlisted):
            return EXIT_DONE
        if unlisted and any(attempt.error is not None or attempt.status for attempt in retriever.attempts):
            is_short = True
        if counts[Arrival.ARRIVED]:
            return EXIT_PARTLY_FAILED if is_short else EXIT_DONE
        if not is_short and not unlisted:
            return EXIT_NO_INPUT
        return fault_exit_code(retriever)

    def summary(self, exit_code: int, seconds: float | None) -> Summary:
        """The last event of the stream."""
        counts = {outcome.value: count for outcome, count in self.counts.items() if count}
        return Summary(exit_code=exit_code, counts=counts, octets=self._retriever.tally.octets, seconds=seconds)

    def text(self, seconds: float) -> str:
        """The report for a person; safe to show, a few lines."""
        return "\n".join(self._text(seconds))

    def _text(self, seconds: float) -> Iterator[str]:
        tally, counts = self._retriever.tally, self.counts
        absent: dict[Arrival, list[str]] = {}
        for result in self.results():
            if result.outcome is not Arrival.ARRIVED:
                absent.setdefault(result.outcome, []).append(result.sop_instance_uid)
        for outcome, uids in absent.items():
            yield f"{_instances(len(uids))} {_WORDS[outcome]}:"
            yield from (f"    {quote(uid)}" for uid in uids[:MAX_NAMES])
            if len(uids) > MAX_NAMES:
                yield f"    ... and {len(uids) - MAX_NAMES:,} more: --report FILE lists every instance"
        here = counts[Arrival.ARRIVED]
        wanted = here + sum(counts[outcome] for outcome in _WORDS)
        line = f"{here:,} of {_instances(wanted)} retrieved from {quote(self._peer)}"
        if seconds > 0 and tally.octets:
            line += f": {size(tally.octets)} in {duration(seconds)}, {rate(tally.octets / seconds)}"
        yield line
        if any(map(self._retriever.is_believed, self._retriever.targets)):
            yield "The archive does not list its instances: what our server received was counted by the archive alone."

    def write(self, path: Path) -> None:
        """Every instance to `path`: CSV if its name ends so, else JSON. ConfigurationError."""
        counts = {outcome.value: count for outcome, count in self.counts.items() if count}
        head = {"peer": self._peer, "exit_code": self.exit_code, "counts": counts}
        write_report(path, head, "instances", self._rows(), _COLUMNS)

    def _rows(self) -> Iterator[dict[str, Any]]:
        for result in self.results():
            row = {column: getattr(result, column) for column in _COLUMNS}
            row["sop_instance_uid"] = quote(result.sop_instance_uid)
            row["outcome"] = result.outcome.value
            row["explanation"] = None if result.explanation is None else quote(result.explanation, 300)
            yield row


def _instances(count: int) -> str:
    return "1 instance" if count == 1 else f"{count:,} instances"
