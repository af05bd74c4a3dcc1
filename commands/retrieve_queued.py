"""`dulcet retrieve --queue`: leaves what was asked to the queue."""

import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import click

from dulcet.commands.options import is_given
from dulcet.escape import quote
from dulcet.station.book.configuration import state_path
from dulcet.station.events import EventStream, JSONLinesWriter, Summary
from dulcet.station.query.asking import QuerySettings
from dulcet.station.query.plan import Asked
from dulcet.station.queue.attendance import NOBODY, who_runs
from dulcet.station.queue.jobs import JobKind, Order
from dulcet.station.queue.queue_events import JobQueued
from dulcet.station.queue.retrieve_order import kept_options
from dulcet.station.queue.sqlite_store import open_queue


def order(
    peer: str,
    asked: Asked,
    queries: QuerySettings,
    sop_classes: Sequence[str],
    options: dict[str, Any],
    wanted: dict[str, Any],
) -> int:
    """Put a job into the queue and say its number; the exit code."""
    if options["report_file"] is not None:
        raise click.UsageError("--report is for now; for a job, `dulcet queue show JOB --report FILE` writes it")
    events = EventStream()
    if options["as_json"]:
        events.subscribe(JSONLinesWriter(sys.stdout))
    kept = kept_options(asked, queries, sop_classes, options, is_given)
    ordered = Order(kind=JobKind.RETRIEVE, peer=peer, options=kept, **wanted)
    with closing(open_queue(state_path())) as store:
        number = store.add(ordered, ())
    runs = who_runs()
    events(JobQueued(job=number, peer=peer, instances=0, octets=0, is_run=bool(runs)))
    if not options["as_json"] and not options["quiet"]:
        click.echo(f"job {number}: a retrieval from {quote(peer)} is queued; {runs or NOBODY}")
    events(Summary(exit_code=0, counts={}, octets=0))
    return 0
