"""A state directory, or a storage directory, that can't even be looked into: who only asks for numbers goes on."""

import errno
import os

import pytest

from dulcet.errors import QueueError
from dulcet.station.forwarding.routes import has_journal
from dulcet.station.monitor.overview import Looker
from dulcet.station.monitor.queue_numbers import queue_series
from dulcet.station.queue.sqlite_store import has_queue


@pytest.fixture(params=[errno.EACCES, errno.EIO, errno.ESTALE], ids=errno.errorcode.get)
def out_of_reach(request, tmp_path, monkeypatch):
    """A directory in which nothing can be looked for."""
    stat = os.stat

    def refuse(path, *arguments, **options):
        if not isinstance(path, int) and os.fspath(path).startswith(os.fspath(tmp_path) + os.sep):
            raise OSError(request.param, os.strerror(request.param), os.fspath(path))
        return stat(path, *arguments, **options)

    monkeypatch.setenv("DULCET_STATE", str(tmp_path))
    monkeypatch.setattr(os, "stat", refuse)
    return tmp_path


def test_there_are_no_numbers_of_the_queue(out_of_reach):
    assert queue_series(0.0) == {}


def test_nothing_is_known_to_be_forwarded(out_of_reach):
    assert has_journal(out_of_reach) is False


def test_the_overview_says_what_it_could_not_see(out_of_reach):
    overview = Looker([out_of_reach]).look()
    assert (overview.queue, overview.jobs) == (None, ())
    assert [fault.rpartition(": ")[0] for fault in overview.faults] == [
        f"the queue {out_of_reach}/queue.sqlite can't be looked for"
    ]
    (directory,) = overview.directories
    assert (directory.objects, directory.octets) == (None, None)


def test_whether_there_is_a_queue_is_not_guessed(out_of_reach):
    """Who removes files asks what the queue still needs."""
    with pytest.raises(QueueError, match=f"the queue {out_of_reach}/queue.sqlite can't be looked for"):
        has_queue(out_of_reach)
