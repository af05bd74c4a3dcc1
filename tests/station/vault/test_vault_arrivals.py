"""How objects came is recorded while they come, without a moment's delay for who sends them."""

import hashlib
import os
import sqlite3
import time
from contextlib import suppress
from types import SimpleNamespace

import pytest
import trio

from dulcet.dimse.messages import CStoreRQ
from dulcet.errors import ArchiveError, ConfigurationError, StorageError
from dulcet.services.querying.identifiers import Identifier, encode_identifier
from dulcet.services.querying.query import read_search
from dulcet.services.querying.query_models import STUDY_ROOT
from dulcet.services.storing.placing import StoredObject
from dulcet.station.archive import hashing as hashing_module
from dulcet.station.archive import keeping as keeping_module
from dulcet.station.archive import recording as recording_module
from dulcet.station.archive import upkeep
from dulcet.station.archive.arrival_book import FILE_NAME, MIGRATIONS, SQLiteArrivalBook
from dulcet.station.archive.arrivals import How, Source, new_arrival, source_of
from dulcet.station.archive.hashing import Hashing
from dulcet.station.archive.index import Index
from dulcet.station.archive.keeping import VaultArchive
from dulcet.station.archive.recording import observed_by, recording
from dulcet.station.archive.telling import silent

IMPLICIT = "1.2.840.10008.1.2"
PATIENCE = 60.0  # seconds
SETTLE_SECONDS = keeping_module.SETTLE_SECONDS
CT1 = Source("CT1", "192.0.2.1", How.C_STORE)


def stored(name, **changed):
    uid = name.partition("~")[0].removesuffix(".dcm")
    values = {"octets": 1, "sop_class_uid": "1.2", "sop_instance_uid": uid, "transfer_syntax_uid": IMPLICIT}
    return StoredObject(folder="somewhere", name=name, **values | changed)


def association(*, is_requestor=False):
    return SimpleNamespace(
        request=SimpleNamespace(calling_ae_title="CT1", called_ae_title="ARCHIVE"),
        connection=SimpleNamespace(is_requestor=is_requestor),
        transport=SimpleNamespace(peer_address="192.0.2.1"),
    )


def request(**values):
    return CStoreRQ(affected_sop_class_uid="1.2", message_id=1, priority=0, affected_sop_instance_uid="1.9.1", **values)


@pytest.mark.parametrize(
    ("is_requestor", "values", "expected"),
    [
        (False, {}, Source("CT1", "192.0.2.1", How.C_STORE)),
        (
            False,
            {"move_originator_application_entity_title": "US", "move_originator_message_id": 3},
            Source("CT1", "192.0.2.1", How.C_MOVE),
        ),
        (True, {}, Source("ARCHIVE", "192.0.2.1", How.C_GET)),
    ],
)
def test_where_an_object_comes_from(is_requestor, values, expected):
    assert source_of(association(is_requestor=is_requestor), request(**values)) == expected


@pytest.mark.parametrize(
    ("name", "changed", "replaces"),
    [
        ("1.9.1.dcm", {}, False),
        ("1.9.1.dcm", {"is_conflict": True}, True),
        ("1.9.1~0123456789ab.dcm", {"is_conflict": True}, False),
    ],
)
def test_what_takes_the_place_of_another(name, changed, replaces):
    before = time.time_ns()
    arrival = new_arrival(stored(name, **changed), CT1)
    assert (arrival.name, arrival.source, arrival.replaces) == (name, CT1, replaces)
    assert before <= arrival.received <= time.time_ns()


# While a server runs -------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """What is acknowledged is waited for, however long it takes."""
    monkeypatch.setattr(keeping_module, "SETTLE_SECONDS", PATIENCE)


@pytest.fixture
async def archive(kept, tmp_path, monkeypatch):
    """An archive on the store and index of the vault, whatever they are, looked through and running."""
    monkeypatch.setattr(hashing_module, "QUIET_SECONDS", 0.0)
    told = []
    archive = VaultArchive(
        tmp_path, lambda event, about=None, **values: told.append((event, values)), store=kept.store, index=kept.index
    )
    archive.told = told
    async with trio.open_nursery() as nursery:
        nursery.start_soon(archive.run)
        await archive.settled()
        yield archive
        nursery.cancel_scope.cancel()


async def hashed(archive, kept, name):
    """The arrival, when it has its hash."""
    await archive.settled()
    with trio.fail_after(PATIENCE):
        await archive._hashing.finish()
    return kept.book.get([name])[name]


async def test_what_comes_is_found_recorded_and_hashed(kept, archive, ct_octets):
    kept.write("1.9.1.dcm", ct_octets("1.9.1", SeriesInstanceUID="1.3.7"))
    archive.stored(stored("1.9.1.dcm"), CT1)
    await archive.settled()
    keys = Identifier(encode_identifier({0x00080052: "STUDY", 0x0020000D: ""}, IMPLICIT), IMPLICIT)
    search = read_search(STUDY_ROOT, keys, relational=False, date_time=False)
    assert [list(row) for row in (await archive.page(search, 0, PATIENCE)).rows] == [["1.2.1"]]
    arrival = await hashed(archive, kept, "1.9.1.dcm")
    assert (arrival.source, arrival.series_instance_uid) == (CT1, "1.3.7")
    octets = kept.octets["1.9.1.dcm"]
    assert (arrival.sha256, arrival.octets) == (hashlib.sha256(octets).digest(), len(octets))


async def test_what_lies_beside_another_is_recorded_with_its_series(kept, archive, ct_octets):
    kept.write("1.9.1~0123456789ab.dcm", ct_octets("1.9.1", SeriesInstanceUID="1.3.7"))
    archive.stored(stored("1.9.1~0123456789ab.dcm", is_conflict=True), CT1)
    arrival = await hashed(archive, kept, "1.9.1~0123456789ab.dcm")
    assert (arrival.source, arrival.series_instance_uid) == (CT1, "1.3.7")
    assert kept.index.counts()["instance"] == 0


async def test_a_duplicate_is_no_arrival(kept, archive):
    archive.stored(stored("1.9.1.dcm", is_duplicate=True), CT1)
    await archive.settled()
    assert kept.book.names(kept.store.parts[0]) == kept.book.names(kept.store.parts[1]) == set()


async def test_who_sent_it_is_recorded_though_the_index_fails(kept, archive, monkeypatch):
    def fails(found, gone=()):
        raise ArchiveError("the index can't be written", detail="disk full")

    monkeypatch.setattr(kept.index, "update", fails)
    kept.write("1.9.1.dcm", b"anything")
    archive.stored(stored("1.9.1.dcm"), CT1)
    await archive.settled()
    assert kept.book.get(["1.9.1.dcm"])["1.9.1.dcm"].source == CT1
    assert ("index.failed", {"reason": "the index can't be written: disk full"}) in archive.told


class Failing:
    """The record, which can't be written as long as `is_failing` says so of what is to be written."""

    def __init__(self, kept, monkeypatch, is_failing):
        self.tried = []
        add = kept.book.add

        def fails(arrivals):
            arrivals = list(arrivals)
            sent = [each.name for each in arrivals if each.source.how is not How.FOUND]
            self.tried.append(sent)
            if sent and is_failing(sent):
                raise ArchiveError("the record can't be written", detail="database is locked")
            add(arrivals)

        monkeypatch.setattr(kept.book, "add", fails)


async def test_who_sent_it_is_recorded_later_when_the_record_fails(
    kept, autojump_clock, archive, ct_octets, monkeypatch
):
    failures = [True, True]
    Failing(kept, monkeypatch, lambda _sent: failures and failures.pop())
    kept.write("1.9.1.dcm", ct_octets("1.9.1"))
    archive.stored(stored("1.9.1.dcm"), CT1)
    before = trio.current_time()
    await archive.settled()
    assert (archive.lag, kept.index.counts()["instance"]) == (0, 1)
    assert trio.current_time() - before < SETTLE_SECONDS
    assert "1.9.1.dcm" not in kept.book.get(["1.9.1.dcm"])
    await trio.sleep(2.5 * keeping_module.RETRY_SECONDS)
    arrival = await hashed(archive, kept, "1.9.1.dcm")
    assert (arrival.source, arrival.sha256) == (CT1, hashlib.sha256(kept.octets["1.9.1.dcm"]).digest())
    assert archive.told.count(("index.failed", {"reason": "the record can't be written: database is locked"})) == 2


async def test_what_comes_while_the_record_fails_keeps_its_order(kept, autojump_clock, archive, ct_octets, monkeypatch):
    """The last who sent an object is who sent it; and there is no attempt, which takes long, for each batch."""
    failures, others = [True], [Source(f"CT{number}", "192.0.2.1", How.C_STORE) for number in range(3)]
    failing = Failing(kept, monkeypatch, lambda _sent: failures and failures.pop())
    for number, source in enumerate(others):
        kept.write("1.9.1.dcm", ct_octets("1.9.1", InstanceNumber=str(number)))
        archive.stored(stored("1.9.1.dcm", is_conflict=number > 0), source)
        await archive.settled()
    assert failing.tried == [["1.9.1.dcm"]] + [[]] * 2
    await trio.sleep(1.5 * keeping_module.RETRY_SECONDS)
    assert kept.book.get(["1.9.1.dcm"])["1.9.1.dcm"].source == others[-1]
    assert (failing.tried[3:], failures) == ([["1.9.1.dcm"] * 3], [])


async def test_an_index_that_fails_has_nothing_recorded_twice(kept, autojump_clock, archive, ct_octets, monkeypatch):
    update, failures = kept.index.update, [ArchiveError("the index can't be written", detail="disk full")]

    def fails_once(found, gone=()):
        if failures:
            raise failures.pop()
        update(found, gone)

    monkeypatch.setattr(kept.index, "update", fails_once)
    failing = Failing(kept, monkeypatch, lambda _sent: False)
    kept.write("1.9.1.dcm", ct_octets("1.9.1"))
    archive.stored(stored("1.9.1.dcm"), CT1)
    await trio.sleep(1.5 * keeping_module.RETRY_SECONDS)
    assert [sent for sent in failing.tried if sent] == [["1.9.1.dcm"]]
    assert kept.index.counts()["instance"] == 1
    assert (await hashed(archive, kept, "1.9.1.dcm")).sha256 is not None


async def test_what_can_never_be_recorded_is_found_at_last_and_holds_nobody_up_for_ever(
    kept, autojump_clock, archive, ct_octets, monkeypatch
):
    monkeypatch.setattr(keeping_module, "BATCH_OBJECTS", 1)
    failing = Failing(kept, monkeypatch, lambda sent: "1.9.1.dcm" in sent)
    for number in (1, 2):
        kept.write(f"1.9.{number}.dcm", ct_octets(f"1.9.{number}"))
        archive.stored(stored(f"1.9.{number}.dcm"), CT1)
    await trio.sleep(keeping_module.ATTEMPTS * keeping_module.RETRY_SECONDS)
    assert not kept.book.get(["1.9.1.dcm"])
    await trio.sleep(2 * keeping_module.RETRY_SECONDS)
    got = kept.book.get(["1.9.1.dcm", "1.9.2.dcm"])
    assert (got["1.9.1.dcm"].source, got["1.9.2.dcm"].source) == (Source(how=How.FOUND), CT1)
    assert failing.tried.count(["1.9.1.dcm"]) == 1 + keeping_module.ATTEMPTS


async def test_what_waits_to_be_recorded_is_bounded(kept, autojump_clock, archive, ct_octets, monkeypatch):
    monkeypatch.setattr(keeping_module, "MAX_WAITING", 2)
    failures = [True]
    Failing(kept, monkeypatch, lambda _sent: failures and failures.pop())
    for number in range(4):
        kept.write(f"1.9.{number}.dcm", ct_octets(f"1.9.{number}"))
        archive.stored(stored(f"1.9.{number}.dcm"), CT1)
        await archive.settled()
    await trio.sleep(1.5 * keeping_module.RETRY_SECONDS)
    got = kept.book.get(f"1.9.{number}.dcm" for number in range(4))
    assert [got[name].source.how for name in sorted(got)] == [How.C_STORE] * 2 + [How.FOUND] * 2


async def test_who_sent_it_is_recorded_at_the_end_when_the_record_failed(kept, tmp_path, ct_octets, monkeypatch):
    archive = VaultArchive(tmp_path, silent, store=kept.store, index=kept.index)
    failures = [True]
    Failing(kept, monkeypatch, lambda _sent: failures and failures.pop())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(archive.run)
        await archive.settled()
        kept.write("1.9.1.dcm", ct_octets("1.9.1"))
        archive.stored(stored("1.9.1.dcm"), CT1)
        await archive.settled()
        nursery.cancel_scope.cancel()
    assert (failures, kept.book.get(["1.9.1.dcm"])) == ([], {})
    kept.index.close = lambda: None
    archive.close()
    assert kept.book.get(["1.9.1.dcm"])["1.9.1.dcm"].source == CT1


async def test_what_an_earlier_life_did_not_hash_is_hashed(kept, tmp_path):
    kept.put(hashed=False)
    kept.write("1.9.2.dcm", b"found")
    archive = VaultArchive(tmp_path, silent, store=kept.store, index=kept.index)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(archive.run)
        sent, found = [await hashed(archive, kept, name) for name in ("1.9.1.dcm", "1.9.2.dcm")]
        assert (sent.source.how, found.source.how) == (How.C_STORE, How.FOUND)
        assert None not in (sent.sha256, found.sha256)
        nursery.cancel_scope.cancel()


def test_who_sent_the_last_objects_is_known_after_an_end_in_order(kept, tmp_path, ct_octets):
    async def main():
        archive = VaultArchive(tmp_path, silent, store=kept.store, index=kept.index)  # and nobody runs it
        for number in range(3):
            kept.write(f"1.9.{number}.dcm", ct_octets(f"1.9.{number}"))
            archive.stored(stored(f"1.9.{number}.dcm"), CT1)
        kept.index.close = lambda: None
        archive.close()

    trio.run(main)
    assert {each.source for each in kept.book.after(0, 10)} == {CT1}
    assert kept.index.counts()["instance"] == 3


async def test_who_sent_it_is_known_though_the_end_comes_during_the_look_at_the_start(
    kept, tmp_path, ct_octets, monkeypatch
):
    archive = VaultArchive(tmp_path, silent, store=kept.store, index=kept.index)
    life = trio.CancelScope()

    def comes_and_ends():
        kept.write("1.9.1.dcm", ct_octets("1.9.1"))
        archive.stored(stored("1.9.1.dcm"), CT1)
        life.cancel()

    def compared(*arguments):
        trio.from_thread.run_sync(comes_and_ends)
        return upkeep.differences(*arguments)

    monkeypatch.setattr(keeping_module, "differences", compared)
    with life:
        await archive.run()
    kept.index.close = lambda: None
    archive.close()
    assert kept.book.get(["1.9.1.dcm"])["1.9.1.dcm"].source == CT1


# Hashes --------------------------------------------------------------------------------------------------------------


async def test_hashes_wait_until_nothing_comes(kept, autojump_clock):
    kept.put(hashed=False)
    last, started = trio.current_time() + 10.0, trio.current_time()
    hashing = Hashing(kept.store, kept.book, silent, quiet=lambda: max(trio.current_time() - last, 0.0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hashing.run)
        hashing.wanted(["1.9.1.dcm"])
        await hashing.finish()
        assert trio.current_time() - started == pytest.approx(10.0 + hashing_module.QUIET_SECONDS)
        nursery.cancel_scope.cancel()
    assert kept.book.get(["1.9.1.dcm"])["1.9.1.dcm"].sha256 is not None


async def test_hashes_wait_no_longer_than_their_patience(kept, autojump_clock):
    kept.put(hashed=False)
    started = trio.current_time()
    hashing = Hashing(kept.store, kept.book, silent, quiet=lambda: 0.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hashing.run)
        hashing.wanted(["1.9.1.dcm"])
        await hashing.finish()
        assert trio.current_time() - started == pytest.approx(hashing_module.PATIENCE_SECONDS)
        nursery.cancel_scope.cancel()


async def test_more_than_can_wait_is_hashed_from_the_record(kept, monkeypatch):
    monkeypatch.setattr(hashing_module, "MAX_WAITING", 2)
    monkeypatch.setattr(hashing_module, "BATCH_FILES", 2)
    names = [kept.put(f"1.9.{number}", hashed=False) for number in range(7)]
    kept.lose(names[3])
    hashing = Hashing(kept.store, kept.book, silent)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hashing.run)
        hashing.wanted(names)
        await hashing.finish()
        nursery.cancel_scope.cancel()
    assert [each.name for each in kept.book.after(0, 10, unhashed=True)] == [names[3]]


async def test_a_record_that_fails_is_told_of_and_the_next_files_are_hashed(kept, monkeypatch):
    told = []
    hashing = Hashing(kept.store, kept.book, lambda event, about=None, **values: told.append((event, values)))
    names = [kept.put(f"1.9.{number}", hashed=False) for number in range(2)]
    record, failures = kept.book.hashed, [ArchiveError("the record can't be written", detail="disk full")]

    def fails_once(hashes):
        if failures:
            raise failures.pop()
        record(hashes)

    monkeypatch.setattr(kept.book, "hashed", fails_once)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hashing.run)
        hashing.wanted(names[:1])
        await hashing.finish()
        hashing.wanted(names[1:])
        await hashing.finish()
        nursery.cancel_scope.cancel()
    assert told == [("index.failed", {"reason": "the record can't be written: disk full"})]
    assert [each.name for each in kept.book.after(0, 10, unhashed=True)] == names[:1]


async def test_after_a_failure_the_files_that_are_left_are_hashed_though_nobody_comes(
    kept, autojump_clock, monkeypatch
):
    monkeypatch.setattr(hashing_module, "BATCH_FILES", 1)
    hashing = Hashing(kept.store, kept.book, silent)
    names = [kept.put(f"1.9.{number}", hashed=False) for number in range(3)]
    get, failures = kept.book.get, [ArchiveError("the record can't be read", detail="database is locked")]

    def fails_once(wanted):
        if failures:
            raise failures.pop()
        return get(wanted)

    monkeypatch.setattr(kept.book, "get", fails_once)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hashing.run)
        hashing.wanted(names)
        with trio.fail_after(10 * hashing_module.PAUSE_SECONDS):
            await hashing.finish()
        nursery.cancel_scope.cancel()
    assert [each.name for each in kept.book.after(0, 10, unhashed=True)] == names[:1]


async def test_a_large_file_keeps_no_server_from_ending(kept, monkeypatch):
    """Between two steps of reading, the thread sees that it was cancelled; what it has is recorded."""
    monkeypatch.setattr(upkeep, "READ_OCTETS", 10)
    names = [kept.put(f"1.9.{number}", hashed=False) for number in range(2)]
    hashing = Hashing(kept.store, kept.book, silent)
    steps = trio.lowlevel.current_trio_token(), []

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            def look_and_cancel(_octets):
                steps[1].append(1)
                if len(steps[1]) == len(kept.octets[names[0]]) // 10 + 5:
                    trio.from_thread.run_sync(nursery.cancel_scope.cancel)
                trio.from_thread.check_cancelled()

            monkeypatch.setattr(hashing_module, "_give_way", look_and_cancel)
            nursery.start_soon(hashing.run)
            hashing.wanted(names)
    assert [each.name for each in kept.book.after(0, 10, unhashed=True)] == names[1:]


# While a retrieval runs ----------------------------------------------------------------------------------------------


async def test_what_a_retrieval_brings_is_recorded_without_an_index(folder, ct_octets):
    directory = folder.store.directory
    folder.write("1.9.1.dcm", ct_octets("1.9.1"))
    folder.write("1.9.2.dcm", ct_octets("1.9.2"))
    others = []
    async with recording(directory) as record:
        observe = observed_by(record, lambda _association, _request, outcome: others.append(outcome))
        observe(association(is_requestor=True), request(), stored("1.9.1.dcm"))
        observe(association(), request(), stored("1.9.2.dcm"))  # the peer does not say that it is for a C-MOVE
        observe(association(), request(), stored("1.9.2.dcm", is_duplicate=True))
        observe(association(), request(), StorageError("full", status=0xA700))
    assert len(others) == 4
    got = folder.book.get(["1.9.1.dcm", "1.9.2.dcm"])
    assert got["1.9.1.dcm"].source == Source("ARCHIVE", "192.0.2.1", How.C_GET)
    assert got["1.9.2.dcm"].source == Source("CT1", "192.0.2.1", How.C_MOVE)
    assert all(each.sha256 is not None and each.series_instance_uid == "1.3.1" for each in got.values())
    assert folder.index.counts()["instance"] == 0
    assert folder.update().changed == 2


async def test_a_failure_of_a_retrieval_leaves_as_it_is_and_what_came_is_recorded(folder, ct_octets):
    folder.write("1.9.1.dcm", ct_octets("1.9.1"))

    async def retrieve():
        async with recording(folder.store.directory) as record:
            record(association(), request(), stored("1.9.1.dcm"))
            raise ConfigurationError("nobody there")

    with pytest.raises(ConfigurationError, match="nobody there"):
        await retrieve()
    assert folder.book.get(["1.9.1.dcm"])["1.9.1.dcm"].source.how is How.C_MOVE


async def test_what_came_before_a_retrieval_was_cancelled_is_recorded(folder, ct_octets):
    folder.write("1.9.1.dcm", ct_octets("1.9.1"))
    with trio.CancelScope() as scope:
        async with recording(folder.store.directory) as record:
            record(association(), request(), stored("1.9.1.dcm"))
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert folder.book.get(["1.9.1.dcm"])["1.9.1.dcm"].source == Source("CT1", "192.0.2.1", How.C_MOVE)


async def test_a_record_that_cannot_be_written_stops_no_retrieval(folder, ct_octets, monkeypatch):
    def fails(*_arguments):
        raise ArchiveError("the record can't be written", detail="disk full")

    monkeypatch.setattr(recording_module, "read_and_record", fails)
    folder.write("1.9.1.dcm", ct_octets("1.9.1"))
    async with recording(folder.store.directory) as record:
        record(association(), request(), stored("1.9.1.dcm"))
    assert folder.update().changed == 1
    assert folder.book.get(["1.9.1.dcm"])["1.9.1.dcm"].source.how is How.FOUND


# The file ------------------------------------------------------------------------------------------------------------


def test_it_survives_an_index_that_is_made_anew(folder):
    folder.put()
    folder.vault.close()
    again = Index(folder.store.directory, anew=True)
    assert again.counts()["instance"] == 0
    assert upkeep.bring_up_to_date(folder.store, again).changed == 1
    assert again.arrivals.get(["1.9.1.dcm"])["1.9.1.dcm"].source.ae_title == "CT1"
    again.close()


def test_it_survives_an_index_that_is_damaged_or_gone(folder):
    folder.put()
    folder.vault.close()
    path = folder.store.directory / ".index.sqlite"
    for harm in (lambda: path.write_bytes(b"no database " * 1000), path.unlink):
        harm()
        again = Index(folder.store.directory)
        upkeep.bring_up_to_date(folder.store, again)
        assert again.arrivals.get(["1.9.1.dcm"])["1.9.1.dcm"].source.ae_title == "CT1"
        again.close()


def test_a_damaged_record_is_set_aside_and_what_is_there_is_found(folder):
    folder.put()
    folder.vault.close()
    path = folder.store.directory / FILE_NAME
    path.write_bytes(b"no database " * 1000)
    again = Index(folder.store.directory)
    upkeep.bring_up_to_date(folder.store, again)
    assert again.arrivals.get(["1.9.1.dcm"])["1.9.1.dcm"].source.how is How.FOUND
    again.close()
    (aside,) = path.parent.glob(f"{FILE_NAME}.damaged-*")
    assert aside.read_bytes().startswith(b"no database")


def test_a_record_of_a_newer_dulcet_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(ConfigurationError, match="newer dulcet"):
        SQLiteArrivalBook(tmp_path)
    with pytest.raises(ConfigurationError, match="newer dulcet"):
        Index(tmp_path, anew=True)  # which is about the index


def test_it_holds_nothing_of_a_patient(folder, ct_octets):
    folder.put(PatientName="PLANTED^NAME", PatientID="PLANTED", SeriesDescription="PLANTED", StudyID="PLANTED")
    folder.vault.close()
    with suppress(FileNotFoundError):
        assert b"PLANTED" not in (folder.store.directory / f"{FILE_NAME}-wal").read_bytes()
    assert b"PLANTED" not in (folder.store.directory / FILE_NAME).read_bytes()
    assert b"PLANTED" in (folder.store.directory / ".index.sqlite").read_bytes()


# What nobody recorded ------------------------------------------------------------------------------------------------


def test_what_lies_there_is_found_with_the_time_of_its_file(kept, ct_octets):
    kept.write("1.9.1.dcm", ct_octets("1.9.1"))
    kept.write("1.9.1~0123456789ab.dcm", ct_octets("1.9.1", PatientName="ROE"))
    kept.write("1.9.2.dcm", b"no object")
    kept.update()
    found = kept.book.get(["1.9.1.dcm", "1.9.1~0123456789ab.dcm", "1.9.2.dcm"])
    assert len(found) == 3
    for name, arrival in found.items():
        assert (arrival.source, arrival.sha256) == (Source(how=How.FOUND), None)
        with kept.store.open(name) as descriptor:
            assert arrival.received == os.fstat(descriptor).st_mtime_ns
    assert found["1.9.1~0123456789ab.dcm"].series_instance_uid == "1.3.1"
    assert found["1.9.2.dcm"].series_instance_uid == ""
    assert kept.update() == upkeep.Changes()


def test_an_index_that_was_there_before_the_record_gets_it(folder):
    folder.put()
    folder.vault.close()
    for path in folder.store.directory.glob(f"{FILE_NAME}*"):
        path.unlink()
    again = Index(folder.store.directory)
    assert upkeep.bring_up_to_date(folder.store, again) == upkeep.Changes()
    arrival = again.arrivals.get(["1.9.1.dcm"])["1.9.1.dcm"]
    assert (arrival.source.how, arrival.series_instance_uid) == (How.FOUND, "1.3.1")
    again.close()


def test_a_change_behind_the_back_is_no_new_arrival(kept, ct_octets):
    name = kept.put()
    before = kept.book.get([name])
    kept.write(name, ct_octets("1.9.1", PatientName="ROE^JANE"))
    assert kept.update().changed == 1
    assert kept.book.get([name]) == before
