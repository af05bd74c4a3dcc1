"""The archive while objects come: found as soon as acknowledged, and never lost for what happens to the index."""

import errno
import sqlite3
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from dulcet.errors import ArchiveError
from dulcet.services.querying.identifiers import Identifier, encode_identifier
from dulcet.services.querying.query import read_retrieval, read_search
from dulcet.services.querying.query_models import STUDY_ROOT
from dulcet.services.storing.placing import StoredObject
from dulcet.station.archive import keeping as archive_module
from dulcet.station.archive import vault as vault_module
from dulcet.station.archive.arrivals import How, Source
from dulcet.station.archive.destinations import Destinations
from dulcet.station.archive.index import FILE_NAME
from dulcet.station.archive.keeping import VaultArchive

IMPLICIT = "1.2.840.10008.1.2"
SOURCE = Source("CT1", "192.0.2.1", How.C_STORE)
PATIENCE = 60.0  # seconds
LEVEL, STUDY = 0x00080052, 0x0020000D


def identifier(keys):
    return Identifier(encode_identifier(keys, IMPLICIT), IMPLICIT)


def stored(path: Path, **changed):
    uid = path.stem.partition("~")[0]
    values = {
        "folder": str(path.parent),
        "name": path.name,
        "octets": 1,
        "sop_class_uid": "1.2",
        "sop_instance_uid": uid,
        "transfer_syntax_uid": IMPLICIT,
    }
    return StoredObject(**values | changed)


async def studies(archive):
    await archive.settled()
    search = read_search(STUDY_ROOT, identifier({LEVEL: "STUDY", STUDY: ""}), relational=False, date_time=False)
    return sorted(row[0] for row in (await archive.page(search, 0, PATIENCE)).rows)


@pytest.fixture
async def running(vault, new_told, monkeypatch):
    """Archives that run until the test is over; a query waits for what was acknowledged however long that takes."""
    monkeypatch.setattr(archive_module, "SETTLE_SECONDS", PATIENCE)
    made = []
    async with trio.open_nursery() as nursery:

        async def run(**options):
            archive = VaultArchive(vault.directory, new_told(), **options)
            nursery.start_soon(archive.run)
            made.append(archive)
            if options.get("looks_at_start", True):
                await archive._tell.wait("index.ready")
            return archive

        yield run
        nursery.cancel_scope.cancel()
    for archive in made:
        archive.close()


async def test_an_object_is_found_when_it_was_acknowledged(vault, running):
    archive = await running()
    for number in range(3):
        archive.stored(stored(vault.put(f"1.9.{number}", StudyInstanceUID=f"1.2.{number}")), SOURCE)
        assert await studies(archive) == [f"1.2.{each}" for each in range(number + 1)]


async def test_many_objects_are_taken_in_together(vault, running, monkeypatch):
    archive = await running()
    await studies(archive)
    batches, take_in = [], archive_module.take_in

    def counted(store, index, names, *more):
        batches.append(len(names))
        return take_in(store, index, names, *more)

    monkeypatch.setattr(archive_module, "take_in", counted)
    for number in range(50):
        archive.stored(stored(vault.put(f"1.9.{number}", StudyInstanceUID="1.2.1")), SOURCE)
    await studies(archive)
    assert batches == [50]


async def test_what_lies_there_at_the_start_is_found(vault, running):
    vault.put("1.9.1", StudyInstanceUID="1.2.1")
    archive = await running()
    assert await archive._tell.wait("index.ready") == {"changed": 1}
    assert await studies(archive) == ["1.2.1"]


async def test_of_several_processes_one_looks_through(vault, running):
    vault.put("1.9.1", StudyInstanceUID="1.2.1")
    archive = await running(looks_at_start=False)
    archive.stored(stored(vault.put("1.9.2", StudyInstanceUID="1.2.2")), SOURCE)
    assert await studies(archive) == ["1.2.2"]


async def test_what_was_there_already_is_no_news(vault, running):
    archive = await running(looks_at_start=False)
    archive.stored(stored(vault.put(), is_duplicate=True), SOURCE)
    assert archive._acknowledged == 0


async def test_what_lies_beside_another_is_recorded_but_not_found(vault, running):
    archive = await running(looks_at_start=False)
    path = vault.put()
    archive.stored(stored(path.rename(path.with_stem("1.9.1~0123456789ab")), is_conflict=True), SOURCE)
    assert await studies(archive) == []
    assert list(archive._index.arrivals.get(["1.9.1~0123456789ab.dcm"])) == ["1.9.1~0123456789ab.dcm"]


async def test_an_object_that_took_the_place_of_another(vault, running):
    archive = await running()
    archive.stored(stored(vault.put("1.9.1", StudyInstanceUID="1.2.1")), SOURCE)
    assert await studies(archive) == ["1.2.1"]
    archive.stored(stored(vault.put("1.9.1", StudyInstanceUID="1.2.2"), is_conflict=True), SOURCE)
    assert await studies(archive) == ["1.2.2"]


async def test_a_failure_of_the_index_is_made_good_later(vault, running, monkeypatch):
    """The object stays acknowledged, the store is not told, and the next look through the directory finds it."""
    monkeypatch.setattr(archive_module, "RETRY_SECONDS", 0.1)
    archive = await running()
    await studies(archive)
    update, is_full = archive._index.update, [True]

    def fails(*arguments):
        if is_full:
            raise sqlite3.OperationalError("database or disk is full")
        update(*arguments)

    monkeypatch.setattr(archive._index, "update", fails)
    archive.stored(stored(vault.put("1.9.1", StudyInstanceUID="1.2.1")), SOURCE)
    assert await studies(archive) == []
    assert await archive._tell.wait("index.failed", 2) == {"reason": "OperationalError: database or disk is full"}
    is_full.clear()
    await archive._tell.wait("index.ready", 2)
    assert await studies(archive) == ["1.2.1"]


async def test_a_fault_of_ours_in_one_file_does_not_hide_the_others(vault, running, monkeypatch):
    vault.put("1.9.1", StudyInstanceUID="1.2.1")
    vault.put("1.9.2", StudyInstanceUID="1.2.2")
    read_head = vault_module.read_head

    def fails_for_one(descriptor, header, wanted):
        if header.sop_instance_uid == "1.9.1":
            raise RuntimeError("a fault")
        return read_head(descriptor, header, wanted)

    monkeypatch.setattr(vault_module, "read_head", fails_for_one)
    archive = await running()
    assert await studies(archive) == ["1.2.2"]
    assert [reason for _, reason in archive._index.unreadable()] == [
        "reading it failed, a fault of dulcet's own: RuntimeError"
    ]


async def test_more_than_can_wait_is_found_later(vault, running, monkeypatch):
    monkeypatch.setattr(archive_module, "MAX_WAITING", 2)
    monkeypatch.setattr(archive_module, "RETRY_SECONDS", 0.05)
    archive = await running()
    for number in range(5):
        archive.stored(stored(vault.put(f"1.9.{number}", StudyInstanceUID=f"1.2.{number}")), SOURCE)
    assert archive._acknowledged == 2
    await archive._tell.wait("index.ready", 2)
    assert len(await studies(archive)) == 5


async def test_an_index_whose_damage_shows_in_use_is_made_anew_while_queries_wait(vault, running, monkeypatch, capsys):
    monkeypatch.setattr(archive_module, "RETRY_SECONDS", 3600.0)
    for number in range(100):
        vault.put(f"1.9.{number}", StudyInstanceUID=f"1.2.{number}")
    archive = await running()
    assert len(await studies(archive)) == 100
    file = archive._index._file
    file._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    while file._readers:  # so that nothing is remembered
        file._readers.pop().close()
    with file.path.open("r+b") as octets:
        octets.seek(4096)
        octets.write(bytes(file.path.stat().st_size - 4096))
    with pytest.raises(ArchiveError):
        await studies(archive)
    assert len(await studies(archive)) == 100
    assert ".index.sqlite was damaged, and was set aside as .index.sqlite.damaged-" in capsys.readouterr().err


def test_an_archive_that_does_not_keep_up_keeps_no_query_waiting(vault, new_told):
    async def main():
        archive = VaultArchive(vault.directory, new_told())  # and nobody runs it
        archive.stored(stored(vault.put()), SOURCE)
        started = trio.current_time()
        await archive.settled()
        archive.close()
        return trio.current_time() - started

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == archive_module.SETTLE_SECONDS


async def test_objects_to_send_are_files_of_the_vault(vault, running):
    archive = await running()
    path = vault.put("1.9.1", StudyInstanceUID="1.2.1")
    archive.stored(stored(path), SOURCE)
    await archive.settled()
    retrieval = read_retrieval(STUDY_ROOT, identifier({LEVEL: "STUDY", STUDY: "1.2.1"}), relational=False)
    (found,) = await archive.objects(retrieval, 10, PATIENCE)
    assert found.name == str(path)
    with found.open() as opened:
        assert opened.size > 100


async def test_an_index_that_cannot_be_read_is_an_answer(vault, running, monkeypatch):
    archive = await running()
    await studies(archive)

    @contextmanager
    def broken():
        with archive._index._file._errors("read"):
            raise sqlite3.DatabaseError("database disk image is malformed")
        yield

    monkeypatch.setattr(archive._index._file, "reader", broken)
    with pytest.raises(ArchiveError, match="can't be read"):
        await studies(archive)
    assert archive._tell[-1] == ("index.failed", {"reason": "database disk image is malformed"})
    retrieval = read_retrieval(STUDY_ROOT, identifier({LEVEL: "STUDY", STUDY: "1.2.1"}), relational=False)
    with pytest.raises(ArchiveError, match="can't be read"):
        await archive.objects(retrieval, 10, PATIENCE)
    assert (vault.directory / FILE_NAME).exists()


# Destinations -------------------------------------------------------------------------------------------------------


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "nodes.toml"
    path.write_text('[A]\nae_title = "STORE"\nhost = "192.0.2.1"\nport = 104\nno_convert = true\n')
    return path


def test_a_destination_is_a_node_by_its_title(book):
    destinations = Destinations(book, "ARCHIVE")
    found = destinations.find("STORE")
    assert (found.peer.host, found.peer.port, found.peer.ae_title) == ("192.0.2.1", 104, "STORE")
    assert found.peer.calling_ae_title == "ARCHIVE"
    assert found.convert is False
    for title in ("A", "store", "192.0.2.1:104", "", "STORE@192.0.2.1:104", "../nodes"):
        assert destinations.find(title) is None
    assert destinations.find("STORE           ") == found


def test_the_book_is_read_again_when_it_changes(book):
    destinations = Destinations(book, "ARCHIVE")
    assert destinations.find("OTHER") is None
    book.write_text('[B]\nae_title = "OTHER"\nhost = "localhost"\nport = 105\ncalling_ae_title = "US"\n')
    found = destinations.find("OTHER")
    assert (found.peer.port, found.peer.calling_ae_title) == (105, "US")
    assert destinations.find("STORE") is None
    book.unlink()
    assert destinations.find("OTHER") is None


def test_what_is_wrong_with_the_book_is_told_and_the_rest_is_used(book):
    book.write_text(book.read_text() + '[bad]\nae_title = "X"\nport = 1\n')
    destinations = Destinations(book, "ARCHIVE")
    (fault,) = destinations.read()
    assert "host is missing" in fault
    assert destinations.find("STORE") is not None
    book.write_text("no TOML")
    assert len(destinations.read()) == 1
    assert destinations.find("STORE") is None


def test_a_book_that_cannot_be_read_for_a_moment_changes_nothing_and_is_read_later(book, monkeypatch):
    destinations = Destinations(book, "ARCHIVE")
    assert destinations.find("STORE") is not None
    book.write_text('[B]\nae_title = "OTHER"\nhost = "localhost"\nport = 105\n')

    def no_descriptor(*_arguments, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", no_descriptor)
        assert destinations.read() == [f"{book} can't be read: Too many open files"]
        assert destinations.find("STORE") is not None
    assert destinations.find("STORE") is None
    assert destinations.find("OTHER") is not None


def test_a_node_whose_certificates_cannot_be_read_is_no_destination(book):
    book.write_text('[A]\nae_title = "STORE"\nhost = "h"\nport = 2762\ntls = true\ntls_ca = "nowhere.pem"\n')
    assert Destinations(book, "ARCHIVE").find("STORE") is None


def test_without_a_book_there_is_no_destination():
    assert Destinations(None, "ARCHIVE").find("STORE") is None
