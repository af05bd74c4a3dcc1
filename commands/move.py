"""`dulcet move`: C-MOVE, have a peer send to a third one."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

import click
import trio

from dulcet.commands.completion import PEER
from dulcet.commands.options import (
    conversation_options,
    identity_options,
    peer_options,
    split_peers,
    tls_client_options,
)
from dulcet.commands.peers import explain
from dulcet.commands.query_options import asked, how_to_associate, one_peer
from dulcet.commands.retrieval_options import (
    exit_code,
    is_unknown_destination,
    outcome_lines,
    title,
    unique_key_options,
    watch_signals,
)
from dulcet.errors import ConfigurationError
from dulcet.escape import quote
from dulcet.services.querying.query_models import Level
from dulcet.station.events import EventStream, JSONLinesWriter, Summary
from dulcet.station.figures import plural
from dulcet.station.monitor.foreground import publish_when_it_lasts
from dulcet.station.query.plan import Asked
from dulcet.station.retrieval.attempts import Attempt
from dulcet.station.retrieval.progress import show_status
from dulcet.station.retrieval.single import SingleRetrieval


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="PEER", type=PEER)
@click.option("--to", "destination", required=True, metavar="AET", help="The AE title that PEER sends to.")
@unique_key_options
@peer_options
@tls_client_options
@identity_options
@conversation_options
def move(words: tuple[str, ...], destination: str, **options: Any) -> int:
    """Have PEER send studies, series, images or all of a patient to the AE title --to (C-MOVE).

    PEER has to know where that title is. To bring objects to this machine, `dulcet retrieve` does all that it takes.
    """
    peer_words = split_peers(words)
    if len(peer_words) != 1:
        raise click.UsageError("one PEER is expected")
    peer = one_peer(peer_words[0], options)
    retrieval = SingleRetrieval(
        peer=peer,
        how=how_to_associate(options),
        report=EventStream(),
        root=options["root"],
        is_checked=not options["no_check"],
        is_relational=options["relational"],
        patience=options["patience"],
        destination=title(destination),
    )
    wanted = asked(Level.STUDY, unique_keys(options), is_bare=True)
    return trio.run(SingleJob(retrieval, options).run, wanted)


def unique_keys(options: dict[str, Any]) -> dict[str, Any]:
    """`options` with what only queries have."""
    return {**options, "patient": None, "accession": None, "dates": None, "modality": None}


@dataclass
class SingleJob:
    """One C-MOVE or C-GET with what a command does round it: signals, a status line, events, the end."""

    retrieval: SingleRetrieval
    options: dict[str, Any]
    octets: int = 0
    interrupted: int = 0
    attempt: Attempt | None = None
    problem: ConfigurationError | None = None
    extra: list[str] = field(default_factory=list)
    """Lines to add to what a person is told."""

    async def run(self, wanted: Asked) -> int:
        """Ask, show, and tell; the exit code."""
        events = self.retrieval.report
        assert isinstance(events, EventStream)
        if self.options["as_json"]:
            events.subscribe(JSONLinesWriter(sys.stdout))
        started = time.monotonic()
        quiet = self.options["quiet"] or self.options["as_json"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_signals, self.retrieval.cancel, nursery.cancel_scope, self._interrupt)
            nursery.start_soon(lambda: show_status(self._status, sys.stderr, quiet=quiet))
            nursery.start_soon(self._publish)
            try:
                self.attempt = await self.retrieval.run(wanted)
            except ConfigurationError as error:
                self.problem = error
            nursery.cancel_scope.cancel()
        if self.problem is not None:
            raise click.UsageError(str(self.problem))
        return self._end(events, time.monotonic() - started)

    def _interrupt(self, number: int) -> None:
        self.interrupted = number

    async def _publish(self) -> None:
        peer = self.retrieval.peer
        command = "move" if self.retrieval.destination else "get"
        await publish_when_it_lasts(command, str(peer), self._measure, ae_title=peer.calling_ae_title)

    def _measure(self) -> dict[str, Any]:
        counts = self.retrieval.counts
        return {"objects": counts.done, "total_objects": counts.total, "failed": counts.failed}

    def _status(self) -> str:
        counts = self.retrieval.counts
        total = counts.done if counts.total is None else counts.total
        done = f"{'' if counts.total is None else f'{counts.done:,} of '}{plural(total, 'sub-operation')}"
        here = self.retrieval.here()
        arrived = "" if here is None else f", {here:,} here"
        return f"{self.retrieval.way}: {done}, {counts.failed:,} failed{arrived}"

    def _end(self, events: EventStream, seconds: float) -> int:
        attempt = self.attempt
        code = 0 if attempt is None else exit_code(attempt)
        if self.interrupted:
            code = 128 + self.interrupted
        counts = self.retrieval.counts
        numbers = {"completed": counts.completed, "failed": counts.failed, "warning": counts.warning}
        if attempt is not None:
            self._tell(attempt)
        if self.interrupted:
            click.echo(f"dulcet: interrupted; {self._status()}.", err=True)
        events(Summary(exit_code=code, counts=numbers, octets=self.octets, seconds=seconds))
        return code

    def _tell(self, attempt: Attempt) -> None:
        if not self.options["quiet"] and not self.options["as_json"]:
            for line in (*outcome_lines(attempt), *self.extra):
                click.echo(line)
        if attempt.is_empty and not self.options["quiet"]:
            click.echo(f"dulcet: {self.retrieval.peer} has nothing under these keys, or hides it from us.", err=True)
        if attempt.error is not None:
            explain(attempt.error, self.retrieval.peer)
            if is_unknown_destination(attempt.error):
                to = quote(self.retrieval.destination)
                click.echo(f"  Its administrator has to enter {to!r} as a move destination:", err=True)
                click.echo("  that AE title with its address and port. Titles are case sensitive.", err=True)
