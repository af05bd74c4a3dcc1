"""Series removed, whole or not at all: first the record that they leave, then the files, durably, then the index."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dulcet.station.archive.interfaces import Kept
from dulcet.station.archive.series import Instance
from dulcet.station.archive.upkeep import is_there
from dulcet.station.vault.open_vault import Vault
from dulcet.station.vault.work import Work

BATCH_FILES = 200


@dataclass(slots=True)
class Removal:
    """What became of a series that was to be removed."""

    series_instance_uid: str
    removed: int = 0
    octets: int = 0
    queued: int = 0
    """How many of its files a job of the transfer queue still needs: then nothing was removed."""
    kept: list[Kept] = field(default_factory=list)
    """What could not be removed."""

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is left."""
        return not self.queued and not self.kept


def remove_series(vault: Vault, series_instance_uid: str, work: Work) -> Removal:
    """Remove every file of a series, those that lie beside another too, and forget that it came.

    Cut off at any moment, what is left is whole: files that are there are known, and those that are gone are not taken
    for lost (`ArrivalBook.settle`). ArchiveError, QueueError. KeyboardInterrupt between two batches.
    """
    removal = Removal(series_instance_uid)
    instances = vault.index.instances(series_instance_uid)
    removal.queued = len(vault.in_use([vault.store.place(each.name) for each in instances]))
    if removal.queued:
        return removal
    for start in range(0, len(instances), BATCH_FILES):
        work.check()
        _remove(vault, instances[start : start + BATCH_FILES], removal, work)
    return removal


def _remove(vault: Vault, instances: Sequence[Instance], removal: Removal, work: Work) -> None:
    names = [each.name for each in instances]
    used = vault.in_use(map(vault.store.place, names))  # it may have been queued since
    if used:
        removal.kept += [Kept(name, "it is queued") for name in names if vault.store.place(name) in used]
        names = [name for name in names if vault.store.place(name) not in used]
    vault.index.arrivals.leaving(names)
    kept = vault.store.remove(names)
    removal.kept += kept
    vault.index.forget(names, lambda name: is_there(vault.store, name))
    still = {each.name for each in removal.kept}
    for each in instances:
        if each.name not in still:
            removal.removed += 1
            removal.octets += octets_of(each)
            work.object()


def octets_of(instance: Instance) -> int:
    """Of its file, as far as that is known."""
    if instance.octets is not None:
        return instance.octets
    return instance.arrival.octets or 0 if instance.arrival is not None else 0
