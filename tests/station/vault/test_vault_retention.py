"""Retention: by age and by size, the oldest series first, whole, and never what is queued."""

import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
import trio

from dulcet.services.storage import StorageOptions
from dulcet.station.archive.archive_services import ArchiveServices
from dulcet.station.archive.archive_settings import ArchiveSettings
from dulcet.station.archive.series import Series, Wanted
from dulcet.station.vault import retention as retention_module
from dulcet.station.vault.retention import INTERVAL_SECONDS, Keep, Retention, due, prune
from dulcet.station.vault.work import Work

DAY = 24 * 3600 * 10**9
NOW = 1000 * DAY


def series(uid, age, octets):
    return Series(
        series_instance_uid=uid,
        study_instance_uid="1.2.1",
        patient_name="",
        patient_id="",
        study_date="",
        study_description="",
        modality="",
        series_number="",
        series_description="",
        instances=1,
        octets=octets,
        conflicts=0,
        arrived=int(NOW - age * DAY),
        sources=(),
    )


SERIES = [series("young", 0.5, 100), series("week", 7, 200), series("month", 30, 400), series("old", 31, 800)]


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        (Keep(), []),
        (Keep(days=31), []),
        (Keep(days=30.5), ["old:age"]),
        (Keep(days=7), ["old:age", "month:age"]),
        (Keep(days=0), ["old:age", "month:age", "week:age", "young:age"]),
        (Keep(octets=1500), []),
        (Keep(octets=1499), ["old:size"]),
        (Keep(octets=700), ["old:size"]),
        (Keep(octets=699), ["old:size", "month:size"]),
        (Keep(octets=0), ["old:size", "month:size", "week:size", "young:size"]),
        (Keep(days=30.5, octets=700), ["old:age"]),
        (Keep(days=30.5, octets=300), ["old:age", "month:size"]),
    ],
)
def test_what_is_to_go(keep, expected):
    for order in (SERIES, SERIES[::-1]):
        assert [f"{each.series.series_instance_uid}:{each.why.value}" for each in due(order, keep, NOW)] == expected


@pytest.fixture
def filled(kept):
    """Three series, a day and more apart, of two files each; the last came today."""
    for number, days in enumerate((20, 10, 0)):
        kept.now = time.time_ns() - days * DAY
        for file in range(2):
            kept.put(f"1.9.{number}.{file}", SeriesInstanceUID=f"1.3.{number}")
    return kept


def left(kept):
    return sorted(each.series_instance_uid for each in kept.index.series(Wanted()))


def test_a_series_is_as_old_as_its_last_arrival(filled):
    filled.now = time.time_ns()
    filled.put("1.9.0.7", SeriesInstanceUID="1.3.0")
    pruned = prune(filled.vault, Keep(days=5), Work())
    assert [each.removal.series_instance_uid for each in pruned] == ["1.3.1"]
    assert left(filled) == ["1.3.0", "1.3.2"]


def test_so_many_octets_are_kept(filled):
    octets = sum(map(len, filled.octets.values()))
    assert prune(filled.vault, Keep(octets=octets), Work()) == []
    prune(filled.vault, Keep(octets=octets - 1), Work())
    assert left(filled) == ["1.3.1", "1.3.2"]


def test_what_is_queued_stays_and_others_go_in_its_place(filled):
    filled.queued.add(filled.store.place("1.9.0.1.dcm"))
    octets = sum(map(len, filled.octets.values()))
    pruned = prune(filled.vault, Keep(octets=octets - 1), Work())
    assert [(each.removal.series_instance_uid, each.removal.is_done) for each in pruned] == [
        ("1.3.0", False),
        ("1.3.1", True),
    ]
    assert left(filled) == ["1.3.0", "1.3.2"]
    pruned = prune(filled.vault, Keep(days=0, octets=0), Work())
    assert left(filled) == ["1.3.0"]
    assert sum(map(len, map(filled.octets.get, filled.names()))) > 0


def test_work_that_is_stopped_ends(filled):
    with pytest.raises(KeyboardInterrupt):
        prune(filled.vault, Keep(days=0), Work(is_stopped=True))
    assert len(left(filled)) == 3


# In a server ---------------------------------------------------------------------------------------------------------


class Log(list):
    def __call__(self, event, about=None, **values):
        self.append((event, values))


async def look(retention, times=1):
    """So many looks, and the seconds between them."""
    looks = []
    done = trio.Event()
    plain = retention._log

    class Counting(Retention):
        def _log(self, pruned):
            plain(pruned)
            looks.append(trio.current_time())
            if len(looks) == times:
                done.set()

    counting = Counting(retention.directory, retention.keep, retention.tell, retention.in_use)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(counting.run)
        await done.wait()
        nursery.cancel_scope.cancel()
    return looks


@pytest.fixture
def aged(folder):
    for number, days in enumerate((20, 10, 0)):
        folder.now = time.time_ns() - days * DAY
        folder.put(f"1.9.{number}", SeriesInstanceUID=f"1.3.{number}", PatientName="PLANTED^NAME")
    return folder


async def test_a_server_looks_at_its_start_and_logs_no_patient(aged):
    log = Log()
    size = len(aged.octets["1.9.0.dcm"])
    await look(Retention(aged.store.directory, Keep(days=15), log, lambda places: ()))
    assert log == [("retention.removed", {"why": "age", "series": 1, "objects": 1, "octets": size})]
    assert left(aged) == ["1.3.1", "1.3.2"]


async def test_a_server_looks_each_hour(aged, autojump_clock):
    looks = await look(Retention(aged.store.directory, Keep(days=15), Log(), lambda places: ()), times=3)
    assert [round(after - before) for before, after in pairwise(looks)] == [INTERVAL_SECONDS] * 2


class Clock(Log):
    """A log whose clock is wrong by `days`, and by others after each line of the log."""

    def __init__(self, monkeypatch, days, *later):
        super().__init__()
        self.days, self.later = days, list(later)
        clock = SimpleNamespace(time_ns=lambda: time.time_ns() + self.days * DAY, monotonic_ns=time.monotonic_ns)
        monkeypatch.setattr(retention_module, "time", clock)

    def __call__(self, event, about=None, **values):
        super().__call__(event, about, **values)
        if self.later:
            self.days = self.later.pop(0)

    @property
    def events(self):
        return [(event, values["series"]) for event, values in self]


DOUBTED = "is the clock right? It went ahead by 3650 days; the next look believes it"


async def test_a_clock_that_is_wrong_at_the_start_removes_nothing_and_is_set_right(aged, autojump_clock, monkeypatch):
    log = Clock(monkeypatch, 3650, 0)
    await look(Retention(aged.store.directory, Keep(days=15), log, lambda places: ()), times=3)
    assert log.events == [("retention.kept", 3), ("retention.removed", 1)]
    assert log[0][1]["reason"] == DOUBTED
    assert left(aged) == ["1.3.1", "1.3.2"]


async def test_a_clock_that_goes_wrong_is_believed_at_the_next_look(aged, autojump_clock, monkeypatch):
    log = Clock(monkeypatch, 0, 3650)
    await look(Retention(aged.store.directory, Keep(days=15), log, lambda places: ()), times=3)
    assert log.events == [("retention.removed", 1), ("retention.kept", 2), ("retention.removed", 2)]
    assert log[1][1]["reason"] == DOUBTED
    assert left(aged) == []


async def test_when_the_clock_is_doubted_what_is_too_much_goes_all_the_same(aged, monkeypatch):
    log = Clock(monkeypatch, 3650)
    octets = len(aged.octets["1.9.2.dcm"])
    await look(Retention(aged.store.directory, Keep(days=15, octets=octets), log, lambda places: ()))
    assert log.events == [("retention.kept", 3), ("retention.removed", 2)]
    assert log[1][1]["why"] == "size"
    assert left(aged) == ["1.3.2"]


async def test_where_nothing_is_old_the_clock_is_no_matter(aged, monkeypatch):
    log = Clock(monkeypatch, 3650)
    await look(Retention(aged.store.directory, Keep(days=5000), log, lambda places: ()))
    assert log == []


async def test_what_is_queued_is_told_of(aged):
    log = Log()
    await look(Retention(aged.store.directory, Keep(days=15), log, set))
    assert log == [("retention.kept", {"series": 1, "reason": "they are queued"})]
    assert len(left(aged)) == 3


async def test_a_look_that_fails_is_told_of_and_the_next_one_comes(aged, autojump_clock):
    log, answers = Log(), [OSError(5, "Input/output error")]

    def in_use(_places):
        if answers:
            raise answers.pop()
        return ()

    await look(Retention(aged.store.directory, Keep(days=15), log, in_use))
    assert [event for event, _ in log] == ["retention.failed", "retention.removed"]
    assert log[0][1] == {"reason": "OSError: [Errno 5] Input/output error"}


async def test_what_is_new_counts_though_nobody_indexed_it(folder, ct_octets):
    """A server without --query has no index: it is made for the look."""
    folder.write("1.9.1.dcm", ct_octets("1.9.1"))
    await look(Retention(folder.store.directory, Keep(octets=0), Log(), lambda places: ()))
    assert folder.names() == []


@pytest.mark.parametrize("is_first", [True, False])
async def test_of_several_processes_one_looks(tmp_path, is_first):
    settings = ArchiveSettings(keep_days=3)
    services = ArchiveServices(settings, StorageOptions(directory=tmp_path), "US", Log(), is_first=is_first)
    assert settings.is_wanted
    assert (services._retention is not None) is is_first
    assert services._retention is None or services._retention.keep == Keep(days=3)
    services.close()
