"""The journal of what is to be forwarded is on the disk, and stays what all its processes see."""

import os
import subprocess
import sys

import pytest

from dulcet.station.forwarding import journal as journal_module
from dulcet.station.forwarding.journal import Arriving, ForwardingJournal, waiting
from dulcet.station.forwarding.routes import JOURNAL

ELSEWHERE = """
import sys
from pathlib import Path
from dulcet.station.forwarding.journal import ForwardingJournal, waiting
directory = Path(sys.argv[1])
print(*sorted(waiting(directory, sys.argv[2:])))
journal = ForwardingJournal(directory)
journal.owners()
journal.close()
"""


@pytest.fixture
def journal(tmp_path):
    made = ForwardingJournal(tmp_path)
    yield made
    made.close()


def arriving(uid):
    return Arriving(sop_instance_uid=uid, inode=1, file_size=2, modified=3, calling="CT1", called="DULCET")


def seen_elsewhere(directory, *names):
    """What another process finds, which then opens the journal and ends as the last one would."""
    ran = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, directory, *names], capture_output=True, text=True, check=True
    )
    return ran.stdout.split()


def test_another_process_that_ends_does_not_take_the_log_away(journal, tmp_path):
    log = tmp_path / f"{JOURNAL}-wal"
    for number in range(1, 4):
        journal.enter("us", [arriving(f"1.2.{number}")], durably=True)
        names = [f"00/1.2.{each}.dcm" for each in range(1, 4)]
        assert seen_elsewhere(tmp_path, *names) == names[:number]
        assert log.exists()


def test_what_is_entered_durably_is_synced_before_it_is_answered(journal, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    journal.enter("us", [arriving("1.2.1")], durably=False)
    assert synced == []
    journal.enter("us", [arriving("1.2.2")], durably=True)
    assert synced == [f"{journal.path}-wal", str(journal.path.parent)]


def test_the_file_itself_is_never_opened_beside_sqlite(journal, monkeypatch):
    opened, real = [], os.open

    def noted(path, *arguments, **options):
        descriptor = real(path, *arguments, **options)
        opened.append(os.fspath(path))
        return descriptor

    monkeypatch.setattr(os, "open", noted)
    journal.enter("us", [arriving("1.2.1")], durably=True)
    waiting(journal.path.parent.parent, ["00/1.2.1.dcm"])
    ForwardingJournal(journal.path.parent.parent).close()
    assert f"{journal.path}-wal" in opened
    assert str(journal.path) not in opened


def test_a_journal_that_is_being_made_has_nothing(tmp_path):
    (tmp_path / JOURNAL).parent.mkdir()
    (tmp_path / JOURNAL).touch()
    assert waiting(tmp_path, ["00/1.2.1.dcm"]) == set()


def test_what_could_not_be_synced_is_not_entered(journal, monkeypatch):
    def fails(_path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(journal_module, "sync_database", fails)
    with pytest.raises(OSError, match="Input/output"):
        journal.enter("us", [arriving("1.2.1"), arriving("1.2.2")], durably=True)
    assert journal.owners() == set()
    assert journal.open_ends("us") == []
