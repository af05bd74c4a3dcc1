"""Series removed: whole, never what is queued, and whatever cuts it off nothing is taken for lost."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from dulcet.services.storing.file_system import FileSystem
from dulcet.services.storing.placing import OnConflict, Placing
from dulcet.services.storing.storage_directory import StorageDirectory
from dulcet.station.archive import folder_store
from dulcet.station.archive.folder_store import FolderStore
from dulcet.station.archive.index import Index
from dulcet.station.archive.interfaces import Kept as Stays
from dulcet.station.archive.upkeep import bring_up_to_date
from dulcet.station.vault import removing
from dulcet.station.vault.open_vault import Vault
from dulcet.station.vault.removing import remove_series
from dulcet.station.vault.verifying import verify
from dulcet.station.vault.work import Work


@pytest.fixture
def filled(kept):
    """A series of three and one beside, a series of one."""
    for number in range(3):
        kept.put(f"1.9.{number}", SeriesInstanceUID="1.3.1")
    kept.put("1.9.0", digest="0123456789ab", SeriesInstanceUID="1.3.1")
    kept.put("1.9.5", SeriesInstanceUID="1.3.2", StudyInstanceUID="1.2.2")
    return kept


def test_a_series_is_removed_whole_with_what_is_known_of_it(filled):
    octets = sum(len(each) for name, each in filled.octets.items() if name != "1.9.5.dcm")
    removal = remove_series(filled.vault, "1.3.1", Work())
    assert (removal.removed, removal.octets, removal.kept, removal.is_done) == (4, octets, [], True)
    assert filled.names() == ["1.9.5.dcm"]
    assert filled.index.series_uids() == {"1.3.2"}
    assert filled.index.counts() == {"patient": 1, "study": 1, "series": 1, "instance": 1, "unreadable": 0}
    assert (filled.update().changed, filled.update().gone) == (0, 0)
    assert verify(filled.store, filled.book, filled.book.after(0, 10), Work(), threads=1).faults == []


def test_what_is_queued_stays_with_its_whole_series(filled):
    filled.queued.add(filled.store.place("1.9.1.dcm"))
    removal = remove_series(filled.vault, "1.3.1", Work())
    assert (removal.removed, removal.queued, removal.is_done) == (0, 1, False)
    assert len(filled.names()) == 5
    assert remove_series(filled.vault, "1.3.2", Work()).is_done


def test_what_is_queued_while_it_is_removed_stays(filled, monkeypatch):
    monkeypatch.setattr(removing, "BATCH_FILES", 1)
    place = filled.store.place("1.9.2.dcm")
    remove = filled.store.remove

    def remove_and_queue(names):
        filled.queued.add(place)
        return remove(names)

    monkeypatch.setattr(filled.store, "remove", remove_and_queue)
    removal = remove_series(filled.vault, "1.3.1", Work())
    assert removal.kept == [Stays("1.9.2.dcm", "it is queued")]
    assert (removal.removed, removal.is_done) == (3, False)
    assert filled.names() == ["1.9.2.dcm", "1.9.5.dcm"]
    assert filled.index.counts()["instance"] == 2


def test_what_is_missing_is_forgotten(filled):
    filled.lose("1.9.1.dcm")
    assert remove_series(filled.vault, "1.3.1", Work()).is_done
    assert filled.index.series_uids() == {"1.3.2"}


def test_what_came_again_meanwhile_stays(filled):
    remove = filled.store.remove

    def remove_and_store(names):
        kept = remove(names)
        filled.put("1.9.1", SeriesInstanceUID="1.3.1")
        return kept

    filled.vault.store.remove = remove_and_store
    remove_series(filled.vault, "1.3.1", Work())
    assert filled.names() == ["1.9.1.dcm", "1.9.5.dcm"]
    assert list(filled.book.get(["1.9.0.dcm", "1.9.1.dcm"])) == ["1.9.1.dcm"]
    assert filled.index.counts()["instance"] == 2
    assert (filled.update().changed, filled.update().gone) == (0, 0)


def test_work_that_is_stopped_ends_between_two_batches(filled, monkeypatch):
    monkeypatch.setattr(removing, "BATCH_FILES", 1)
    work = Work()
    remove = filled.store.remove

    def remove_and_stop(names):
        work.is_stopped = True
        return remove(names)

    monkeypatch.setattr(filled.store, "remove", remove_and_stop)
    with pytest.raises(KeyboardInterrupt):
        remove_series(filled.vault, "1.3.1", work)
    assert len(filled.names()) == 4
    assert (filled.update().changed, filled.update().gone) == (0, 0)
    assert verify(filled.store, filled.book, filled.book.after(0, 10), Work(), threads=1).faults == []


# Cut off at every step -----------------------------------------------------------------------------------------------


class CutError(BaseException):
    """The end of a process, at this very step."""


class Cutting:
    """Something that ends the process before one of its calls."""

    def __init__(self, target, steps, cut_at):
        self._target, self._steps, self._cut_at = target, steps, cut_at

    def __getattr__(self, name):
        found = getattr(self._target, name)
        if not callable(found) or name.startswith("_"):
            return found

        def call(*arguments):
            self._steps.append(name)
            if len(self._steps) > self._cut_at:
                raise CutError
            return found(*arguments)

        return call


class CuttingIndex(Cutting):
    @property
    def arrivals(self):
        return Cutting(self._target.arrivals, self._steps, self._cut_at)


@pytest.mark.parametrize("cut_at", range(13))
def test_wherever_it_is_cut_off_nothing_is_taken_for_lost(folder, cut_at, monkeypatch):
    for number in range(3):
        folder.put(f"1.9.{number}")
    steps = []
    monkeypatch.setattr(removing, "BATCH_FILES", 2)
    unlink = folder_store._unlink

    def cutting_unlink(name, shard):
        steps.append("unlink")
        if len(steps) > cut_at:
            raise CutError
        unlink(name, shard)

    monkeypatch.setattr(folder_store, "_unlink", cutting_unlink)
    vault = Vault(folder.store, CuttingIndex(folder.index, steps, cut_at), lambda places: ())
    with suppress(CutError):
        remove_series(vault, "1.3.1", Work())
    folder.vault.close()  # and another life begins
    store, index = FolderStore(folder.store.directory), Index(folder.store.directory)
    bring_up_to_date(store, index)
    left = {each.name for part in store.parts for each in store.list(part)}
    assert index.counts()["instance"] == len(left)
    arrivals = index.arrivals.after(0, 10)
    assert {each.name for each in arrivals} == left
    assert verify(store, index.arrivals, arrivals, Work(), threads=1).faults == []
    assert all(each.source.ae_title == "CT1" for each in arrivals)
    index.close()
    if cut_at == 12:
        assert steps == [
            "instances",
            *("leaving", "unlink", "unlink", "forget"),
            *("leaving", "unlink", "forget"),
        ]
        assert left == set()


# The folder ----------------------------------------------------------------------------------------------------------


def test_a_name_is_off_the_disk_before_it_is_forgotten(folder, monkeypatch):
    folder.put()
    told = []

    def telling(name):
        call = getattr(os, name)
        return lambda *given, **how: (told.append(name), call(*given, **how))

    for name in ("unlink", "fsync"):
        monkeypatch.setattr(os, name, telling(name))
    forget = folder.index.forget
    monkeypatch.setattr(folder.index, "forget", lambda *given: (told.append("forget"), forget(*given)))
    remove_series(folder.vault, "1.3.1", Work())
    assert told == ["unlink", "fsync", "forget"]


def test_a_disk_that_fails_is_told_of(folder, monkeypatch):
    folder.put()

    def fails(_descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fails)
    removal = remove_series(folder.vault, "1.3.1", Work())
    assert removal.kept == [Stays("1.9.1.dcm", "it can't be removed: Input/output error")]
    assert not removal.is_done


def test_what_cannot_be_removed_is_told_of_and_stays_known(folder, monkeypatch):
    for number in range(2):
        folder.put(f"1.9.{number}")
    unlink = os.unlink

    def fails_for_one(name, **how):
        if name == "1.9.0.dcm":
            raise PermissionError(13, "Permission denied")
        unlink(name, **how)

    monkeypatch.setattr(os, "unlink", fails_for_one)
    removal = remove_series(folder.vault, "1.3.1", Work())
    assert removal.kept == [Stays("1.9.0.dcm", "it can't be removed: Permission denied")]
    assert (removal.removed, folder.index.counts()["instance"]) == (1, 1)


def test_a_link_is_removed_and_what_it_leads_to_is_not(folder, tmp_path):
    path = Path(folder.store.place(folder.put()))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert list(folder.store.remove([path.name])) == []
    assert not path.is_symlink()
    assert (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "1.9.1", "x.dcm", "1.9.1~.dcm", ".index.sqlite", ""])
def test_only_objects_can_be_removed(folder, name):
    with pytest.raises(ValueError, match="not the name of an object"):
        folder.store.remove([name])


def test_a_resend_is_not_called_a_duplicate_of_what_is_just_removed(folder):
    """Who stores looks at the object in the way under a lock; who removes waits for it, and the other way round."""
    name = folder.put()
    directory = StorageDirectory(folder.store.directory, FileSystem())
    locked = []

    class Watching(FileSystem):
        def lock(self, descriptor, how):
            if not locked:
                folder.store.remove([name])  # just before the look
            locked.append(how)
            FileSystem.lock(descriptor, how)

    directory.file_system = Watching()
    temporary, descriptor = directory.create_temporary()
    os.write(descriptor, folder.octets[name])
    placing = Placing(
        directory,
        temporary=temporary,
        descriptor=descriptor,
        header=folder.entry(name).header,
        on_conflict=OnConflict.KEEP_BOTH,
        is_durable=True,
    )
    placed = placing.place()
    directory.close()
    assert locked
    assert not placed.is_duplicate
    assert folder.names() == [name]
