"""`dulcet retrieve`: bring studies, series, images or a query's result here, by C-MOVE or C-GET."""

import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import click
import trio

from dulcet.commands.completion import PeerThenLevel
from dulcet.commands.options import (
    REPORT,
    conversation_options,
    identity_options,
    peer_options,
    split_peers,
    tls_client_options,
)
from dulcet.commands.peers import explain
from dulcet.commands.query_options import (
    asked,
    how_to_associate,
    model_options,
    one_peer,
    query_options,
    query_settings,
)
from dulcet.commands.queue_options import job_options, queue_options
from dulcet.commands.retrieval_options import (
    storage,
    storage_classes,
    storage_options,
    watch_signals,
)
from dulcet.errors import ConfigurationError, DulcetError
from dulcet.services.admission import AllowedPeer
from dulcet.services.querying.query_models import Level
from dulcet.services.requestor import Peer
from dulcet.services.storage import Storage
from dulcet.services.storage_scp import storage_operation
from dulcet.station.archive.recording import observed_by, recording
from dulcet.station.events import EventStream, JSONLinesWriter
from dulcet.station.figures import plural, size
from dulcet.station.monitor.foreground import publish_when_it_lasts
from dulcet.station.query.asking import Conversation, QuerySettings, check_before
from dulcet.station.query.plan import Asked
from dulcet.station.report_file import check_writable
from dulcet.station.retrieval.attempts import WAYS
from dulcet.station.retrieval.events import Advice, Arrival
from dulcet.station.retrieval.faults import faults
from dulcet.station.retrieval.own_server import receiving_or_watching
from dulcet.station.retrieval.progress import show_status
from dulcet.station.retrieval.receiver import receiving
from dulcet.station.retrieval.report import RetrieveReport
from dulcet.station.retrieval.retriever import RetrieveOptions, Retriever
from dulcet.station.retrieval.tally import Tally

DEFAULT_PORT = 11112  # what `dulcet serve` listens on, so that an archive needs to know one port
_LEVELS = {"studies": Level.STUDY, "series": Level.SERIES, "images": Level.IMAGE}


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="PEER [studies|series|images]", type=PeerThenLevel(_LEVELS))
@query_options
@click.option("--via", type=click.Choice(list(WAYS)), default="auto", show_default=True, help="C-MOVE, then C-GET.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    help="Where we receive; PEER has to know it.",
)
@click.option("--bind", "bind_to", default="", metavar="ADDRESS", help="Receive on this address only.")
@click.option("--allow", multiple=True, metavar="AET[@CIDR]", help="Who may send to us besides PEER.")
@click.option("--allow-any", is_flag=True, help="Anybody may send to us while this runs.")
@click.option("--jobs", type=click.IntRange(1, 16), default=1, show_default=True, metavar="N", help="Requests at once.")
@click.option(
    "--grace",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="For objects to come after PEER says that it is done.",
)
@click.option(
    "--patience",
    type=click.FloatRange(min=1),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Without a sign of life.",
)
@storage_options
@click.option(
    "--report", "report_file", type=REPORT, metavar="FILE", help="Write what became of each instance (.csv or .json)."
)
@queue_options
@model_options
@peer_options
@tls_client_options
@identity_options
@conversation_options
def retrieve(words: tuple[str, ...], **options: Any) -> int:
    """Bring what PEER has of it here: into --directory, whole, and counted against what PEER says it has.

    \b
    dulcet retrieve PACS --study 1.2.840.1
    dulcet retrieve PACS --patient 'DOE*' --date last7d --modality CT
    dulcet retrieve PACS series --study 1.2.840.1 --modality SR

    PEER is asked what there is, then told to send it: by C-MOVE to a receiver that runs as long as this does, for
    which PEER has to know our --aet, address and --port; or by C-GET on our own association. Where our own server has
    the port and stores in --directory, it receives. The exit code is 0 only if everything arrived.

    With --queue it becomes a job of the transfer queue, which goes on where it stopped, and tries again.
    """
    split = split_peers(words[:2]) + list(words[2:])
    level = _level(split[1:], options)
    job, said = job_options(options), dict(options)
    peer = one_peer(split[0], options)
    wanted = asked(level, options)
    settings = _settings(wanted, query_settings(options))
    try:
        allowed = tuple(AllowedPeer.parse(text) for text in options["allow"])
        check_before(wanted, settings)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    if options["to_queue"]:
        from dulcet.commands.retrieve_queued import order

        return order(split[0], wanted, settings, storage_classes(options["sop_classes"]), said, job)
    check_writable(options["report_file"])
    how = RetrieveOptions(
        via=options["via"],
        port=options["port"],
        host=options["bind_to"],
        allowed=allowed,
        allow_any=options["allow_any"],
        jobs=options["jobs"],
        grace=options["grace"],
        patience=options["patience"],
        sop_classes=storage_classes(options["sop_classes"]),
    )
    retrieval = _Retrieval(peer, how, how_to_associate(options), settings, options)
    return trio.run(retrieval.run, wanted)


def _level(words: list[str], options: dict[str, Any]) -> Level:
    if len(words) > 1 or (words and words[0] not in _LEVELS):
        raise click.UsageError(f"after PEER one of {', '.join(_LEVELS)} may stand, not {' '.join(words)!r}")
    if words:
        return _LEVELS[words[0]]
    return Level.IMAGE if options["image"] else Level.SERIES if options["series"] else Level.STUDY


def _settings(wanted: Asked, settings: QuerySettings) -> QuerySettings:
    """UIDs alone are enough to look up where they belong, for archives that can: relational queries are asked for."""
    keys = wanted.keys
    if not (wanted.patient or wanted.patient_id or wanted.accession or wanted.dates or wanted.modality or keys):
        if not (wanted.study or wanted.series or wanted.images):
            raise click.UsageError("what should be retrieved? Say --study UID, or what find would look for")
        above = (wanted.study or wanted.level is Level.STUDY) and (wanted.series or wanted.level is not Level.IMAGE)
        if not above:
            return replace(settings, is_checked=False, options=replace(settings.options, relational=True))
    return settings


@dataclass
class _Retrieval:
    peer: Peer
    how: RetrieveOptions
    conversation: Conversation
    queries: QuerySettings
    options: dict[str, Any]
    interrupted: int = 0
    error: DulcetError | None = None

    async def run(self, wanted: Asked) -> int:
        """Retrieve and tell; the exit code."""
        events = EventStream()
        if self.options["as_json"]:
            events.subscribe(JSONLinesWriter(sys.stdout))
        keep = Storage(storage(self.options))
        started = time.monotonic()
        try:
            tally = Tally(events)
            async with recording(self.options["directory"]) as record:
                store = storage_operation(keep, observe=observed_by(tally, record))
                receive = partial(receiving, store=store, expected=tally.expected)
                directory = self.options["directory"].absolute()
                retriever = Retriever(
                    self.peer,
                    self.how,
                    self.conversation,
                    self.queries,
                    store=store,
                    tally=tally,
                    report=events,
                    receive=lambda settings: receiving_or_watching(settings, receive, directory=directory, tally=tally),
                )
                await self._retrieve(retriever, wanted)
        finally:
            keep.close()
        return self._end(retriever, events, time.monotonic() - started)

    async def _retrieve(self, retriever: Retriever, wanted: Asked) -> None:
        quiet = self.options["quiet"] or self.options["as_json"]
        async with trio.open_nursery() as nursery:

            async def cancel() -> bool:
                await retriever.cancel()
                return bool(retriever.targets)

            nursery.start_soon(watch_signals, cancel, nursery.cancel_scope, self._interrupt)
            nursery.start_soon(lambda: show_status(lambda: _status(retriever), sys.stderr, quiet=quiet))
            nursery.start_soon(self._publish, retriever)
            try:
                await retriever.retrieve(wanted)
            except DulcetError as error:
                self.error = error
            nursery.cancel_scope.cancel()

    async def _publish(self, retriever: Retriever) -> None:
        title, directory = self.peer.calling_ae_title, str(self.options["directory"].absolute())
        measure = partial(_measure, retriever)
        await publish_when_it_lasts("retrieve", str(self.peer), measure, ae_title=title, directory=directory)

    def _interrupt(self, number: int) -> None:
        self.interrupted = number

    def _end(self, retriever: Retriever, events: EventStream, seconds: float) -> int:
        report = RetrieveReport(retriever, str(self.peer))
        code = report.exit_code if self.error is None else self.error.exit_code
        if self.interrupted:
            code = 128 + self.interrupted
        for result in report.results():
            if result.path is None and result.outcome is not Arrival.REFUSED:
                events(result)
        self._tell(retriever, report, seconds)
        if self.error is None and code and not self.interrupted:
            self._advise(retriever, events)
        try:
            if self.options["report_file"] is not None:
                report.write(self.options["report_file"])
        finally:
            events(report.summary(code, seconds))  # the last: it raises when standard output can't be written
        return code

    def _tell(self, retriever: Retriever, report: RetrieveReport, seconds: float) -> None:
        if self.error is not None:
            explain(self.error, self.peer)
            if self.queries.options.relational and not self.queries.is_checked:
                click.echo("  The peer may need to be told where it belongs: add --study UID, --series UID.", err=True)
        elif self.interrupted and not retriever.targets:
            click.echo(f"dulcet: interrupted before {self.peer} had told what it has.", err=True)
        elif not retriever.targets:
            click.echo(f"dulcet: {self.peer} has nothing of it; `dulcet find` shows what it has.", err=True)
        elif not self.options["as_json"] and not self.options["quiet"]:
            click.echo(report.text(seconds))
            if len({attempt.way for attempt in retriever.attempts}) > 1:
                why = retriever.attempts[0].error or "nothing came"
                click.echo(f"dulcet: C-MOVE brought not all ({why}), so C-GET was used.", err=True)

    def _advise(self, retriever: Retriever, events: EventStream) -> None:
        lines = faults(retriever, self.peer, self.how.port)
        if lines:
            events(Advice(lines=lines))
        for line in lines:
            click.echo(line if not line or line.startswith(" ") else f"dulcet: {line}", err=True)


def _measure(retriever: Retriever) -> dict[str, Any]:
    tally, counts = retriever.tally, [target.count for target in retriever.targets]
    total = None if None in counts or not counts else sum(count or 0 for count in counts)
    failed = len(tally.refused) + len(tally.failed)
    return {"objects": len(tally.arrived), "total_objects": total, "failed": failed, "octets": tally.octets}


def _status(retriever: Retriever) -> str:
    tally = retriever.tally
    if not retriever.targets:
        return "asking what there is"
    counts = [target.count for target in retriever.targets]
    total = "" if None in counts else f" of {sum(count or 0 for count in counts):,}"
    sent = sum(attempt.counts.done for attempt in retriever.attempts) + retriever.sent_under_way
    counted = plural(sent, "sub-operation")
    return f"{len(tally.arrived):,}{total} here, {size(tally.octets)}; the archive counts {counted}"
