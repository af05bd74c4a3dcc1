"""Files compared with the hashes that were recorded when they came."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from dulcet.station.archive.arrivals import Arrival
from dulcet.station.archive.interfaces import ArrivalBook, ObjectStore
from dulcet.station.archive.upkeep import sha256_of
from dulcet.station.vault.work import Work

BATCH_FILES = 500


class Verdict(Enum):
    """What became of a file since it came."""

    INTACT = "intact"
    RECORDED = "recorded"
    """It had no hash yet; it has one now."""
    CHANGED = "changed"
    MISSING = "missing"
    UNREADABLE = "unreadable"


FAULTS = (Verdict.CHANGED, Verdict.MISSING, Verdict.UNREADABLE)


class Verified(NamedTuple):
    """A file that was looked at."""

    arrival: Arrival
    verdict: Verdict
    reason: str = ""
    """What is wrong with it, in a sentence that is safe to show."""
    sha256: bytes | None = None
    """What it is now."""
    octets: int = 0


@dataclass(slots=True)
class Verification:
    """What came out."""

    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    octets: int = 0
    faults: list[Verified] = field(default_factory=list)
    """Every file that is not as it came."""


def verify(
    store: ObjectStore, book: ArrivalBook, arrivals: Iterable[Arrival], work: Work, *, threads: int
) -> Verification:
    """Read every file, in so many threads, and record the hash of what has none. Memory: for faults, and a batch.

    KeyboardInterrupt when the work is stopped.
    """
    result = Verification()
    with ThreadPoolExecutor(threads) as pool:
        batch: list[Arrival] = []
        for each in arrivals:
            batch.append(each)
            if len(batch) == BATCH_FILES:
                _verify_batch(store, book, batch, work, pool, result)
                batch = []
        _verify_batch(store, book, batch, work, pool, result)
    return result


def _verify_batch(
    store: ObjectStore,
    book: ArrivalBook,
    batch: Sequence[Arrival],
    work: Work,
    pool: ThreadPoolExecutor,
    result: Verification,
) -> None:
    new: list[tuple[int, bytes, int]] = []
    try:
        for found in pool.map(lambda each: _verify_one(store, each, work), batch):
            result.counts[found.verdict] += 1
            result.octets += found.octets
            if found.verdict in FAULTS:
                result.faults.append(found)
            elif found.verdict is Verdict.RECORDED and found.sha256 is not None:
                new.append((found.arrival.id, found.sha256, found.octets))
    finally:
        if new:
            book.hashed(new)


def _verify_one(store: ObjectStore, arrival: Arrival, work: Work) -> Verified:
    found = compare(store, arrival, work)
    work.object(failed=found.verdict in FAULTS)
    return found


def compare(store: ObjectStore, arrival: Arrival, work: Work) -> Verified:
    """One file. KeyboardInterrupt when the work is stopped."""
    work.check()
    try:
        with store.open(arrival.name) as descriptor:
            sha256, octets = sha256_of(descriptor, work.octets)
    except FileNotFoundError:
        return Verified(arrival, Verdict.MISSING, "it is not there any more")
    except OSError as error:
        return Verified(arrival, Verdict.UNREADABLE, f"it can't be read: {error.strerror or error}")
    return judge(arrival, sha256, octets)


def judge(arrival: Arrival, sha256: bytes, octets: int) -> Verified:
    """A file that was read whole."""
    if arrival.sha256 is None:
        return Verified(arrival, Verdict.RECORDED, "", sha256, octets)
    if arrival.sha256 == sha256:
        return Verified(arrival, Verdict.INTACT, "", sha256, octets)
    reason = "its contents are not those that came"
    if arrival.octets != octets:
        reason = f"it has {octets:,} octets, and had {arrival.octets:,} when it came"
    return Verified(arrival, Verdict.CHANGED, reason, sha256, octets)
