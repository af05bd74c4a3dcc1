"""What is measured, and the text in which Prometheus reads it (text format 0.0.4).

A series is its name with its labels, as the format writes it: `dulcet_store_status_total{status="0000H"}`. Numbers of
several processes are added up under the same text.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby

from dulcet.escape import quote

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds, for how long storing an object takes."""

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

FAMILIES: dict[str, tuple[str, str]] = {
    "dulcet_build_info": (GAUGE, "1, with the version as a label."),
    "dulcet_process_start_time_seconds": (GAUGE, "When the first process of the server started, since 1970."),
    "dulcet_processes": (GAUGE, "Processes of this server whose numbers are here."),
    "dulcet_associations_open": (GAUGE, "Associations in force; in: the peer called, out: we did."),
    "dulcet_associations_total": (COUNTER, "Associations that were made."),
    "dulcet_associations_rejected_total": (COUNTER, "A-ASSOCIATE-RJ sent, by the reason in the standard's words."),
    "dulcet_received_octets_total": (COUNTER, "Octets of PDUs that came."),
    "dulcet_sent_octets_total": (COUNTER, "Octets of PDUs that went out."),
    "dulcet_received_objects_total": (COUNTER, "Objects that were stored and acknowledged."),
    "dulcet_sent_objects_total": (
        COUNTER,
        "Objects that a peer acknowledged to the server itself; the queue's process counts for itself.",
    ),
    "dulcet_pdu_deviations_total": (COUNTER, "What peers got wrong and was understood all the same."),
    "dulcet_store_status_total": (COUNTER, "C-STORE responses, by their status."),
    "dulcet_store_seconds": (HISTOGRAM, "From the C-STORE request to the object's being stored or refused."),
    "dulcet_last_object_age_seconds": (GAUGE, "Since a calling AE title's last object was stored."),
    "dulcet_index_lag_objects": (GAUGE, "Objects that are stored and not in the index yet."),
    "dulcet_disk_free_octets": (GAUGE, "Free for us in the file system of the storage directory."),
    "dulcet_storing_failed": (GAUGE, "1 when nothing is stored any more, because the disk has failed."),
    "dulcet_queue_jobs": (GAUGE, "Jobs of the transfer queue, by their state."),
    "dulcet_queue_oldest_age_seconds": (GAUGE, "For how long the oldest job that awaits a worker has been due; or 0."),
    "dulcet_queue_retries_total": (COUNTER, "Attempts, of jobs and of instances, that failed and were put off."),
    "dulcet_queue_held": (GAUGE, "1 when the whole queue is paused."),
}
"""Every name that may be there, with its type and what it says."""


def series(name: str, **labels: str) -> str:
    """A series' text. Values of labels may be a peer's: what is not printable ASCII is escaped."""
    if not labels:
        return name
    texts = (f'{label}="{_label(value)}"' for label, value in labels.items())
    return f"{name}{{{','.join(texts)}}}"


def _label(value: str) -> str:
    return quote(value, 200).replace("\\", "\\\\").replace('"', '\\"')


class Histogram:
    """How often something took how long."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts = [0] * (len(BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """It took so long."""
        self._sum += seconds
        for place, most in enumerate(BUCKETS):
            if seconds <= most:
                self._counts[place] += 1
                return
        self._counts[-1] += 1

    def series(self) -> dict[str, float]:
        """Cumulative buckets, sum and count."""
        found: dict[str, float] = {}
        total = 0
        for most, count in zip((*map(_number, BUCKETS), "+Inf"), self._counts, strict=True):
            total += count
            found[series(f"{self._name}_bucket", le=most)] = total
        found[f"{self._name}_sum"] = self._sum
        found[f"{self._name}_count"] = total
        return found


def add_up(processes: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The sum of each series."""
    sums: dict[str, float] = {}
    for counters in processes:
        for text, value in counters.items():
            sums[text] = sums.get(text, 0) + value
    return sums


def latest(processes: Iterable[Mapping[str, float]], most: int) -> dict[str, float]:
    """The largest number of each series; of all these the `most` largest."""
    found: dict[str, float] = {}
    for moments in processes:
        for text, value in moments.items():
            found[text] = max(found.get(text, value), value)
    kept = sorted(found, key=found.__getitem__, reverse=True)[:most]
    return {text: found[text] for text in kept}


def render(numbers: Mapping[str, float]) -> str:
    """The text format, with a HELP and a TYPE for each family; what is of no known family is left out."""
    order = list(FAMILIES)
    known = [(family, text) for text in numbers if (family := family_of(text)) is not None]
    lines = []
    for family, members in groupby(sorted(known, key=lambda pair: order.index(pair[0])), key=lambda pair: pair[0]):
        kind, meaning = FAMILIES[family]
        lines += [f"# HELP {family} {meaning}", f"# TYPE {family} {kind}"]
        lines += [f"{text} {_number(numbers[text])}" for _, text in members]
    return "".join(f"{line}\n" for line in lines)


def family_of(text: str) -> str | None:
    """The family that a series belongs to; None for one that nobody knows."""
    name = text.partition("{")[0]
    if name in FAMILIES:
        return name
    for ending in ("_bucket", "_sum", "_count"):
        family = name.removesuffix(ending)
        if family != name and FAMILIES.get(family, ("",))[0] == HISTOGRAM:
            return family
    return None


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
