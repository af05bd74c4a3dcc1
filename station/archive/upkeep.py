"""Index and record brought to what is in the store. Synchronous: it runs in threads, part by part."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from dulcet.station.archive.arrivals import Arrival, How, NewArrival, Source
from dulcet.station.archive.interfaces import ArrivalBook, ObjectStore, VaultIndex
from dulcet.station.archive.vault import Entry, Listed, Unreadable, read_open_entry, split_name, unopened

BATCH_OBJECTS = 200  # read at once, some 30 ms: what a transaction and a thread are made for
READ_OCTETS = 1024 * 1024
FOUND = Source(how=How.FOUND)


@dataclass(frozen=True, slots=True)
class Differences:
    """What is different in a part of the store from what is known of it."""

    changed: list[str] = field(default_factory=list)
    """Names of objects that the index does not have as they are."""
    gone: list[str] = field(default_factory=list)
    """UIDs of those that the index has and the store has not."""
    unrecorded: list[Listed] = field(default_factory=list)
    """Objects of which nobody recorded that they came."""


@dataclass(slots=True)
class Changes:
    """What an update came to."""

    changed: int = 0
    gone: int = 0


def differences(store: ObjectStore, index: VaultIndex, part: str) -> Differences:
    """Compare a part of the store with what is known of it."""
    known = dict(index.known(part))
    recorded = index.arrivals.names(part)
    found = Differences()
    for each in store.list(part):
        if not each.digest and known.pop(each.sop_instance_uid, None) != (each.size, each.modified):
            found.changed.append(each.name)
        if each.name not in recorded:
            found.unrecorded.append(each)
    found.gone.extend(known)
    return found


def bring_up_to_date(
    store: ObjectStore, index: VaultIndex, progress: Callable[[int], None] = lambda _objects: None
) -> Changes:
    """Look through the whole store; `progress` is told of objects as they are read. OSError, ArchiveError."""
    changes = Changes()
    settle_removals(store, index)
    for part in store.parts:
        found = differences(store, index, part)
        for batch in batches(found):
            take_in(store, index, *batch)
            progress(len(batch[0]))
        changes.changed += len(found.changed)
        changes.gone += len(found.gone)
    return changes


def settle_removals(store: ObjectStore, index: VaultIndex) -> None:
    """Bring to its end what a removal that was cut off has left in the record."""
    index.arrivals.settle(lambda name: is_there(store, name))


def batches(found: Differences) -> Iterator[tuple[list[str], list[str], list[NewArrival]]]:
    """(names, gone, arrivals) for `take_in`, each of a bearable size. None when nothing is different."""
    unrecorded = {each.name: each for each in found.unrecorded}
    names, gone = list(dict.fromkeys((*found.changed, *unrecorded))), found.gone
    for start in range(0, len(names) if names else len(gone) and 1, BATCH_OBJECTS):
        batch = names[start : start + BATCH_OBJECTS]
        came = [
            NewArrival(name=name, source=FOUND, received=unrecorded[name].modified)
            for name in batch
            if name in unrecorded
        ]
        yield batch, gone, came
        gone = []


def take_in(
    store: ObjectStore,
    index: VaultIndex,
    names: Iterable[str],
    gone: Iterable[str],
    came: Iterable[NewArrival],
    recorded: Callable[[], None] = lambda: None,
) -> None:
    """Read these objects, and have index and record know of them. `recorded` is told that the record does.

    ArchiveError of the one or the other.
    """
    read = {name: entry_of(store, name) for name in names}
    first = {name: entry for name, entry in read.items() if not split_name(name)[1]}
    vanished = [split_name(name)[0] for name, entry in first.items() if entry is None]
    try:
        if first or vanished or gone:
            index.update(filter(None, first.values()), (*gone, *vanished))
    finally:  # what the index misses it finds again; who sent an object nobody finds again
        record(index.arrivals, came, read)
        recorded()


def read_and_record(store: ObjectStore, arrivals: ArrivalBook, came: Iterable[NewArrival]) -> None:
    """Have the record alone know of what came. ArchiveError."""
    came = list(came)
    record(arrivals, came, {each.name: entry_of(store, each.name) for each in came})


def record(arrivals: ArrivalBook, came: Iterable[NewArrival], read: Mapping[str, Entry | Unreadable | None]) -> None:
    """Record what came and is still there, each with the series that it was read to be of."""
    arrivals.add(
        NewArrival(
            name=each.name,
            source=each.source,
            received=each.received,
            series_instance_uid=entry.values.get("series_instance_uid", "") if isinstance(entry, Entry) else "",
            replaces=each.replaces,
        )
        for each in came
        if (entry := read[each.name]) is not None
    )


def entry_of(store: ObjectStore, name: str) -> Entry | Unreadable | None:
    """What an index keeps of an object; None when it is gone."""
    uid = split_name(name)[0]
    try:
        with store.open(name) as descriptor:
            return read_open_entry(descriptor, uid)
    except FileNotFoundError:
        return None
    except OSError as error:
        return unopened(uid, error)


def is_there(store: ObjectStore, name: str) -> bool:
    """Whether the store has an object; yes when it can't tell."""
    try:
        with store.open(name):
            return True
    except FileNotFoundError:
        return False
    except OSError:
        return True


# Hashes ---------------------------------------------------------------------------------------------------------------


def sha256_of(descriptor: int, check: Callable[[int], None] = lambda _octets: None) -> tuple[bytes, int]:
    """(SHA-256, octets) of a whole file, which is read in steps; `check` is told how much after each. OSError.

    The interpreter is free for others meanwhile. What `check` raises ends it.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(max(min(READ_OCTETS, os.fstat(descriptor).st_size), 1)))
    position = 0
    while octets := os.preadv(descriptor, [buffer], position):
        digest.update(buffer[:octets])
        position += octets
        check(octets)
    return digest.digest(), position


def hash_arrivals(
    store: ObjectStore, book: ArrivalBook, arrivals: Iterable[Arrival], check: Callable[[int], None]
) -> int:
    """Read the files of these, and record their hashes; how many. What can't be read has none, now."""
    hashes: list[tuple[int, bytes, int]] = []
    try:
        for each in arrivals:
            try:
                with store.open(each.name) as descriptor:
                    hashes.append((each.id, *sha256_of(descriptor, check)))
            except OSError:
                continue
    finally:
        if hashes:
            book.hashed(hashes)
    return len(hashes)
