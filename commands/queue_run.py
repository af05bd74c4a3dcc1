"""`dulcet queue run`: a worker of the queue."""

import json
import sys
from contextlib import suppress
from dataclasses import fields
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

from dulcet.commands.options import conversation_options
from dulcet.commands.queue_options import AGE
from dulcet.errors import QueueError
from dulcet.escape import quote
from dulcet.station.book.configuration import state_path
from dulcet.station.events import Event, EventStream, JSONLinesWriter
from dulcet.station.lines import write_line
from dulcet.station.queue.sqlite_store import SQLiteJobStore, open_queue

if TYPE_CHECKING:
    from dulcet.station.queue.jobs import Standing
    from dulcet.station.queue.running import Assignment, Runner
    from dulcet.station.queue.worker import Worker, WorkerOptions
    from dulcet.station.retrieval.shared_receivers import SharedReceivers

MAX_TEXT_CHARACTERS = 300


@click.command()
@click.option("--once", is_flag=True, help="End when nothing is due, for cron.")
@click.option("--workers", type=click.IntRange(1, 64), default=2, show_default=True, metavar="N", help="Jobs at once.")
@click.option(
    "--per-peer",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    metavar="N",
    help="Jobs at once to one peer.",
)
@click.option(
    "--keep-done",
    type=AGE,
    default="30d",
    show_default=True,
    metavar="AGE",
    help="Forget jobs that are done, with their logs, so long after their end.",
)
@click.option(
    "--keep-failed",
    type=AGE,
    default="180d",
    show_default=True,
    metavar="AGE",
    help="The same for jobs that failed or were cancelled.",
)
@click.option("--until-eof", is_flag=True, help="End when standard input ends, as whoever started this one does.")
@conversation_options
def run(
    once: bool, workers: int, per_peer: int, keep_done: float, keep_failed: float, until_eof: bool, **options: Any
) -> int:
    """Run the jobs of the queue, until SIGTERM or SIGINT.

    Then the object in flight is finished and the jobs are handed back; a second signal aborts it. Several may run at
    once. `dulcet serve` does this by itself. -v tells of each association too.
    """
    import trio

    from dulcet.station.queue.worker import WorkerOptions

    how = WorkerOptions(jobs=workers, per_peer=per_peer, is_once=once, keep_done=keep_done, keep_failed=keep_failed)
    store = open_queue(state_path())
    events = EventStream()
    if options["as_json"]:
        events.subscribe(JSONLinesWriter(sys.stdout))
    elif not options["quiet"]:
        events.subscribe(_tell)
    try:
        return trio.run(_work, store, events, how, until_eof, options["verbose"])
    finally:
        store.close()


async def _work(
    store: SQLiteJobStore,
    events: EventStream,
    how: "WorkerOptions",
    until_eof: bool,
    verbose: int,
) -> int:
    import trio

    from dulcet.station.queue import send_job
    from dulcet.station.queue.jobs import JobKind
    from dulcet.station.queue.worker import Worker
    from dulcet.station.queue.worker_process import publish_worker

    failure: QueueError | None = None
    async with trio.open_nursery() as nursery:
        worker = Worker(
            store,
            {JobKind.SEND: send_job.run, JobKind.RETRIEVE: _retrieving(nursery)},
            how,
            events,
            details=events if verbose else None,
        )
        nursery.start_soon(_stop_at_signal, worker, nursery.cancel_scope)
        nursery.start_soon(publish_worker, worker)
        if until_eof:
            nursery.start_soon(_stop_at_end_of_input, worker)
        try:
            await worker.run()
        except QueueError as error:  # it leaves by itself, not in the nursery's group
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return 0


def _retrieving(nursery: Any) -> "Runner":
    """Runs jobs that retrieve; they share receivers, which listen in `nursery`."""
    shared: list[SharedReceivers] = []

    async def retrieve(assignment: "Assignment") -> "Standing":
        from dulcet.station.queue import retrieve_job  # loads what sending does not need
        from dulcet.station.retrieval.shared_receivers import SharedReceivers

        if not shared:
            shared.append(SharedReceivers(nursery))
        return await retrieve_job.run(assignment, shared[0])

    return retrieve


async def _stop_at_signal(worker: "Worker", scope: Any) -> None:
    import signal

    import trio

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        is_first = True
        async for _ in signals:
            if not is_first:
                scope.cancel()
            is_first = False
            worker.stop()


async def _stop_at_end_of_input(worker: "Worker") -> None:
    """Whoever started us holds the other end of a pipe; its death ends it too."""
    import trio

    with suppress(OSError):  # there is no standard input, or it can't be waited for: nothing to end with
        async with trio.lowlevel.FdStream(sys.stdin.fileno()) as stream:
            while await stream.receive_some(4096):
                pass
    worker.stop()


def _tell(event: Event) -> None:
    """A line as the server's log has it: names and values, what peers said is quoted."""
    values = ((each.name, getattr(event, each.name)) for each in fields(event) if each.name != "at")
    text = " ".join(f"{name}={json.dumps(_safe(value))}" for name, value in values if value is not None)
    with suppress(OSError, ValueError):
        write_line(f"{event.EVENT} {text}", sys.stderr)


def _safe(value: object) -> object:
    shown = value.value if isinstance(value, Enum) else value
    return quote(shown, MAX_TEXT_CHARACTERS) if isinstance(shown, str) else shown
