"""`dulcet send --queue`: finds the files and leaves them to the queue."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

import click
from click.core import ParameterSource

from dulcet.commands.options import is_given
from dulcet.commands.send import not_sendable
from dulcet.escape import quote
from dulcet.station.book.configuration import state_path
from dulcet.station.events import EventStream, JSONLinesWriter, Outcome, Summary
from dulcet.station.queue.attendance import NOBODY, who_runs
from dulcet.station.queue.calling import call_options
from dulcet.station.queue.jobs import Counts, JobKind, NewInstance, Order
from dulcet.station.queue.kept_files import keeper
from dulcet.station.queue.queue_events import JobQueued
from dulcet.station.queue.sqlite_store import open_queue
from dulcet.station.sending.files import FileToSend, find_files
from dulcet.station.sending.report import EXIT_DONE, EXIT_PARTLY_FAILED, SendReport

_SENDING = ("jobs", "async_window", "no_convert", "max_pdu")


def order(peer: str, paths: Sequence[str], options: dict[str, Any], wanted: dict[str, Any]) -> int:
    """Put a job into the queue and say its number; the exit code."""
    if options["report_file"] is not None:
        raise click.UsageError("--report is for now; for a job, `dulcet queue show JOB --report FILE` writes it")
    events = EventStream()
    report = SendReport(peer)
    events.subscribe(report)
    if options["as_json"]:
        events.subscribe(JSONLinesWriter(sys.stdout))
    found = _found(paths, events)
    first = next(found, None)
    counts = Counts()
    if first is not None:
        ordered = Order(kind=JobKind.SEND, peer=peer, options=_kept(options), **wanted)
        with closing(open_queue(state_path())) as store:
            number = store.add(ordered, chain([first], found))
            job = store.job(number)
        assert job is not None
        counts = job.counts
        runs = who_runs()
        events(JobQueued(job=number, peer=peer, instances=counts.instances, octets=counts.octets, is_run=bool(runs)))
        if not options["as_json"] and not options["quiet"]:
            files = "1 file" if counts.instances == 1 else f"{counts.instances:,} files"
            click.echo(f"job {number}: {files} for {quote(peer)} are queued; {runs or NOBODY}")
    failed = report.counts[Outcome.NOT_SENT]
    code = report.exit_code if first is None else EXIT_PARTLY_FAILED if failed else EXIT_DONE
    outcomes = {outcome.value: count for outcome, count in report.counts.items()}
    if not options["as_json"] and not options["quiet"]:
        for line in report.reasons_text():
            click.echo(line, err=True)
    summary = Summary(exit_code=code, counts={"queued": counts.instances, **outcomes}, octets=0)
    events(summary)  # the last: it raises when standard output can't be written
    return code


def _found(paths: Sequence[str], events: EventStream) -> Iterator[NewInstance]:
    """What can be sent; what can't is reported on the way."""
    keep = keeper()
    for found in find_files([os.path.abspath(path) for path in paths]):
        if isinstance(found, FileToSend):
            yield keep(found)
        else:
            events(not_sendable(found))


def _kept(options: dict[str, Any]) -> dict[str, Any]:
    """What the order says of how to send: what the node may still say otherwise is marked by `given`."""
    kept = call_options(options, is_given)
    kept |= {name: options[name] for name in _SENDING}
    kept["given"] = [*kept["given"], *filter(is_given, _SENDING)]
    ctx = click.get_current_context()
    if ctx.get_parameter_source("retries") is not ParameterSource.DEFAULT:
        kept["retries"] = options["retries"]
    if options["give_up_after"] is not None:
        kept["give_up_after"] = options["give_up_after"]
    return kept
