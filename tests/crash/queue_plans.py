"""What is changed in the processes of the queue before they run: waiting is made short, and faults are planted."""

import importlib
import time

import trio

from dulcet.commands import queue_run, retrieve_queued, send_queued  # noqa: F401  loaded once, for all that are forked
from dulcet.services.storing.storage_directory import shard_of
from dulcet.station.archive import archive_services  # noqa: F401
from dulcet.station.forwarding import forwarding, journal, work
from dulcet.station.queue import (
    backoff,
    retrieve_job,
    send_job,
    sqlite_store,
    worker,
    worker_process,  # noqa: F401
)
from dulcet.station.retrieval import shared_receivers  # noqa: F401
from dulcet.station.sending import sender

importlib.import_module("pydicom.charset")
importlib.import_module("pydicom.datadict")

LEASE_SECONDS = 1.0  # a worker that is kept waiting for longer loses its job, which has to do no harm
WINDOW = 0.05  # seconds in which a planted fault can be hit
PAUSES = 0.02  # of those between attempts; a minute is a second


def plant(name):
    """By the name of a function here."""
    globals()[name]()


def haste():
    """A lease is over, and a failure is tried again, within the time of a test."""
    worker.LEASE_SECONDS = LEASE_SECONDS
    worker.POLL_SECONDS = 0.1
    retrieve_job.BUSY_SECONDS = 0.3
    forwarding.LEAD_SECONDS = 0.1
    forwarding.LOOK_SECONDS = 0.1
    forwarding.OPEN_ENDS_SECONDS = 0.5
    forwarding.RETRY_SECONDS = 0.3
    pause = backoff.pause
    backoff.pause = lambda *arguments: PAUSES * pause(*arguments)


# Faults: the proof has to notice each --------------------------------------------------------------------------------


def records_before_it_sends():
    """What is about to be sent is recorded as done."""
    send = sender.Sender.send

    async def too_early(self, files):
        job = self._custody
        for file in files:
            instance = job._instances[id(file)]
            result = send_job.InstanceResult(id=instance.id, state=send_job.InstanceState.DONE)
            job._recorder.result(result)
        await job._recorder.flush()
        await send(self, files)

    sender.Sender.send = too_early


def forgets_the_lease():
    """A job that somebody has is his for ever."""
    claim = sqlite_store.SQLiteJobStore.claim
    sqlite_store.SQLiteJobStore.claim = lambda self, worker, _seconds=0, **more: claim(self, worker, 1e9, **more)


def enters_after_the_answer():
    """An object is entered to be forwarded when it has been acknowledged."""

    def operation(self, store, _observe):
        async def perform(association, received):
            sink, request = received.sink, association.request
            (inode, size, modified), uid = sink.identity, sink.sop_instance_uid
            await store.perform(association, received)
            await trio.sleep(WINDOW)
            arriving = forwarding.Arriving(
                sop_instance_uid=uid,
                inode=inode,
                file_size=size,
                modified=modified,
                calling=str(request.calling_ae_title),
                called=str(request.called_ae_title),
            )
            entry = forwarding._Entry(arriving)
            self._entries.append(entry)
            self._to_enter.set()
            await entry.done.wait()
            self._stored.append((entry.outcome, f"{shard_of(uid)}/{uid}.dcm"))
            self._to_settle.set()

        return forwarding.replace(store, perform=perform)

    forwarding.Forwarding.operation = operation


def syncs_beside_sqlite():
    """The journal's file is opened and closed beside SQLite, which takes away its locks: see `sync_database`."""
    sync = journal.sync_database

    def beside(path):
        sync(path)
        path.open("rb").close()

    journal.sync_database = beside


def forgets_what_it_took():
    """A batch that was under way when a process was killed is taken for passed on."""
    order = work.ForwardingWork._order

    def late(self, *arguments):
        time.sleep(3 * WINDOW)
        return order(self, *arguments)

    work.ForwardingWork._order = late
    work.ForwardingWork.take_up = lambda self: [self._journal.passed_on(token) for token in self._journal.tokens()]
