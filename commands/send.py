"""`dulcet send`: files, folders, DICOMDIRs and zip files to a peer."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import trio

from dulcet.commands import conversation
from dulcet.commands.completion import PEER_THEN_FILES
from dulcet.commands.options import (
    REPORT,
    conversation_options,
    identity_options,
    peer_options,
    split_peers,
    tls_client_options,
    user_identity,
)
from dulcet.commands.peers import how_to_call, peers, preferences
from dulcet.commands.queue_options import bandwidth_option, job_options, queue_options
from dulcet.escape import quote
from dulcet.services.pacing import Bandwidth
from dulcet.services.requestor import Peer
from dulcet.station.advice import advice
from dulcet.station.book.nodes import is_address
from dulcet.station.events import EventStream, JSONLinesWriter, Outcome, StoreResult
from dulcet.station.monitor.foreground import publish_when_it_lasts
from dulcet.station.report_file import check_writable
from dulcet.station.sending.files import FileToSend, Problem, Unusable, find_files
from dulcet.station.sending.progress import Transfer, show_progress
from dulcet.station.sending.report import SendReport
from dulcet.station.sending.sender import Sender, SendOptions
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH

EXIT_NOT_DICOM, EXIT_NO_INPUT = 65, 66
_PREFERRED = ("jobs", "async_window", "no_convert", "max_pdu")  # what a node may say otherwise
_PROBLEM_CODES = {Problem.NO_INPUT: EXIT_NO_INPUT, Problem.UNREADABLE: EXIT_NO_INPUT}


@click.command()
@click.argument("peer_and_files", nargs=-1, required=True, type=PEER_THEN_FILES, metavar="PEER FILE...")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N", help="Associations at once."
)
@click.option(
    "--async-window",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    metavar="N",
    help="Operations outstanding on each association, if the peer agrees.",
)
@click.option("--no-convert", is_flag=True, help="Send in the files' own transfer syntaxes or not at all.")
@click.option(
    "--max-pdu",
    type=click.IntRange(4096, 16 * 1024 * 1024),
    default=DEFAULT_MAX_PDU_LENGTH,
    show_default=True,
    metavar="OCTETS",
    help="The largest PDU that we take.",
)
@click.option("--retries", type=click.IntRange(0), default=2, show_default=True, help="For failures that may pass.")
@click.option(
    "--report", "report_file", type=REPORT, metavar="FILE", help="Write what became of each file (.csv or .json)."
)
@bandwidth_option
@queue_options
@peer_options
@tls_client_options
@identity_options
@conversation_options
def send(peer_and_files: tuple[str, ...], **options: Any) -> int:
    """Send FILEs to PEER (C-STORE): DICOM files, folders with all below them, DICOMDIRs, zip files.

    What a peer does not take as it is, is converted between the uncompressed transfer syntaxes or inflated. The report
    says what happened to every file; the exit code is 0 only if all were stored. With --queue it is 0 if all are in the
    queue: `dulcet queue` tells what becomes of them.
    """
    words = split_peers(peer_and_files[:2]) + list(peer_and_files[2:])
    if len(words) < 2:
        raise click.UsageError("what should be sent? Name files or folders after the peer")
    if is_address(words[1]) and not is_address(words[0]) and (os.sep in words[0] or os.path.exists(words[0])):
        raise click.UsageError(f"'{quote(words[0], 200)}' is a file: the PEER comes first, then what is sent")
    (peer,) = peers(words[:1], **how_to_call(options))
    identity = user_identity(options)
    wanted = job_options(options)
    if options["to_queue"]:
        from dulcet.commands.send_queued import order

        return order(words[0], words[1:], options, wanted)
    wishes = preferences(words[0], **{name: options[name] for name in _PREFERRED})
    rate = options["bandwidth"]
    how = SendOptions(
        jobs=wishes["jobs"],
        window=wishes["async_window"],
        convert=not wishes["no_convert"],
        max_pdu_length=wishes["max_pdu"],
        retries=options["retries"],
        timeout=options["timeout"],
        user_items=identity,
        bandwidth=Bandwidth(rate) if rate else None,
    )
    report_file = options["report_file"]
    check_writable(report_file)
    job = _SendJob(
        peer,
        how,
        as_json=options["as_json"],
        verbose=options["verbose"],
        quiet=options["quiet"],
        report_file=report_file,
    )
    return trio.run(job.run, words[1:])


@dataclass
class _SendJob:
    peer: Peer
    options: SendOptions
    as_json: bool
    verbose: int
    quiet: bool
    report_file: Path | None

    async def run(self, paths: list[str]) -> int:
        """Find, send, report; the exit code."""
        events = EventStream()
        report = SendReport(str(self.peer))
        events.subscribe(report)
        if self.as_json:
            events.subscribe(JSONLinesWriter(sys.stdout))
        started = time.monotonic()
        interrupted = 0
        sender: Sender | None = None
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    nonlocal interrupted
                    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                        async for number in signals:
                            interrupted = number
                            scope.cancel()

                nursery.start_soon(watch)
                files = await trio.to_thread.run_sync(self._find, paths, events)
                transfer = Transfer(total_objects=len(files), total_octets=sum(file.size for file in files))
                nursery.start_soon(self._progress, transfer)
                nursery.start_soon(self._publish, transfer)
                sender = Sender(
                    self.peer,
                    self.options,
                    events,
                    transfer,
                    trace=conversation.trace(self.verbose),
                    on_transition=conversation.on_transition(self.verbose),
                )
                await sender.send(files)
                nursery.cancel_scope.cancel()
        seconds = time.monotonic() - started
        summary = report.summary(seconds)
        try:
            self._tell(report, sender, seconds)
        finally:
            events(summary)  # the last: it raises when standard output can't be written
        return 128 + interrupted if interrupted else summary.exit_code

    def _find(self, paths: list[str], events: EventStream) -> list[FileToSend]:
        files: list[FileToSend] = []
        for found in find_files(paths):
            if isinstance(found, FileToSend):
                files.append(found)
            else:
                events(not_sendable(found))
        return files

    async def _progress(self, transfer: Transfer) -> None:
        await show_progress(transfer, sys.stderr, quiet=self.quiet or self.as_json)

    async def _publish(self, transfer: Transfer) -> None:
        def measure() -> dict[str, Any]:
            return {
                "objects": transfer.objects,
                "total_objects": transfer.total_objects,
                "failed": transfer.failed,
                "octets": transfer.octets,
                "total_octets": transfer.total_octets,
            }

        await publish_when_it_lasts("send", str(self.peer), measure, ae_title=self.peer.calling_ae_title)

    def _tell(self, report: SendReport, sender: Sender | None, seconds: float) -> None:
        if not self.as_json and not self.quiet:
            click.echo(report.text(seconds))
        elif not self.as_json and report.exit_code:  # quiet leaves out prose, not the reason of a failure
            click.echo(f"dulcet: {next(report.reasons_text(), 'nothing was sent')}", err=True)
        error = None if sender is None else sender.last_failure
        if error is not None and report.exit_code:
            for line in advice(error, self.peer):
                click.echo(f"  {line}", err=True)
        if self.report_file is not None:
            report.write(self.report_file)


def not_sendable(found: Unusable) -> StoreResult:
    """What the report says of something that is no file to send."""
    code = _PROBLEM_CODES.get(found.problem, EXIT_NOT_DICOM)
    return StoreResult(
        name=found.name,
        outcome=Outcome.NOT_SENT if found.is_failure else Outcome.SKIPPED,
        explanation=found.reason,
        exit_code=code if found.is_failure else 0,
        attempts=0,
    )
