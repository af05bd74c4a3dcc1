"""`dulcet find`: C-FIND, matches as a table, CSV, JSON Lines or DICOM files."""

import signal
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import click
import trio

from dulcet.commands.completion import PeerThenLevel
from dulcet.commands.options import (
    FILE,
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
    take_level,
)
from dulcet.dimse.status import PENDING_WITH_WARNING
from dulcet.errors import ConfigurationError, DecodeError, DulcetError
from dulcet.services.find import Matches
from dulcet.services.requestor import Peer
from dulcet.services.retrieving.responses import was_cancelled
from dulcet.station.events import EventStream, JSONLinesWriter, Summary
from dulcet.station.query.asking import Asking, Conversation, QuerySettings, asking, check_before
from dulcet.station.query.events import FindEnded
from dulcet.station.query.hints import hints
from dulcet.station.query.output import (
    CSVOutput,
    DICOMFileOutput,
    EventOutput,
    MatchWriter,
    TableOutput,
)
from dulcet.station.query.plan import LEVELS, Asked, Query
from dulcet.station.terminal import discard

EXIT_PARTLY_FAILED = 1
_WORDS = {level: word for word, level in LEVELS.items()}
_SINGULAR = {"patients": "patient", "studies": "study", "series": "series", "images": "image"}


@click.command()
@click.argument(
    "words",
    nargs=-1,
    required=True,
    metavar="PEER [patients|studies|series|images|worklist]",
    type=PeerThenLevel(LEVELS),
)
@query_options
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Cancel after N matches.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on standard output.")
@click.option("--dcm", "dcm_directory", type=FILE, metavar="DIR", help="A DICOM file for each match.")
@click.option("--bare", is_flag=True, help="Return nothing but the keys given.")
@click.option("--fuzzy", is_flag=True, help="Ask for fuzzy matching of names.")
@click.option("--date-time", is_flag=True, help="Ask for dates and times to be matched as one.")
@model_options
@peer_options
@tls_client_options
@identity_options
@conversation_options
def find(words: tuple[str, ...], **options: Any) -> int:
    """Ask PEER what it has (C-FIND): patients, studies, series, images, or its worklist.

    \b
    dulcet find PACS studies --patient 'DOE*' --date last7d --modality CT
    dulcet find PACS series --study 1.2.840.1
    dulcet find RIS worklist --date today -k ScheduledProcedureStepSequence.ScheduledStationAETitle=CT1

    Keys are keywords or tags (0008,0060), with dots into sequences. Matches are shown as they come; interrupted, or
    after --limit, the query is cancelled at the peer.
    """
    split = split_peers(words[:2]) + list(words[2:])
    level = take_level(split[1:], "studies")
    if options["as_csv"] + options["as_json"] + (options["dcm_directory"] is not None) > 1:
        raise click.UsageError("--json, --csv and --dcm exclude each other")
    peer = one_peer(split[0], options)
    settings = query_settings(options, limit=options["limit"], fuzzy=options["fuzzy"], date_time=options["date_time"])
    wanted = asked(level, options, is_bare=options["bare"])
    try:
        check_before(wanted, settings)
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    return trio.run(_FindJob(peer, wanted, settings, how_to_associate(options), options).run)


@dataclass
class _FindJob:
    peer: Peer
    wanted: Asked
    settings: QuerySettings
    how: Conversation
    options: dict[str, Any]
    matches: Matches | None = None
    error: DulcetError | None = None
    gone: BrokenPipeError | None = None
    interrupted: int = 0
    shown: int = 0
    unreadable: int = 0
    is_partly_supported: bool = False
    octets: int = 0
    events: EventStream = field(default_factory=EventStream)

    async def run(self) -> int:
        """Ask and show; the exit code."""
        started = time.monotonic()
        if self.options["as_json"]:
            self.events.subscribe(JSONLinesWriter(sys.stdout))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, nursery.cancel_scope)
            try:
                await self._ask()
            except DulcetError as error:
                self.error = error
            nursery.cancel_scope.cancel()
        if self.gone is not None:
            raise self.gone
        return self._end(time.monotonic() - started)

    async def _watch(self, everything: trio.CancelScope) -> None:
        """The first signal cancels the query at the peer, the second all."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                if self.matches is None or self.interrupted:
                    everything.cancel()
                self.interrupted = number
                if self.matches is not None:
                    await self.matches.cancel()

    async def _ask(self) -> None:
        async with asking(self.peer, self.wanted.level, self.settings, self.how) as ask:
            self._tell_what_is_not_agreed(ask)
            query = ask.plan(self.wanted)
            writer = self._writer(query)
            async with ask.find(query) as self.matches:
                async for match in self.matches:
                    if not self.interrupted and not self._show(writer, match):
                        break
            writer.close()
            if not self.matches.count and not self.interrupted:
                self._tell("nothing matched.", *hints(query))

    def _writer(self, query: Query) -> MatchWriter:
        if self.options["as_json"]:
            return EventOutput(self.events, str(self.peer))
        if self.options["as_csv"]:
            return CSVOutput(sys.stdout, query)
        if self.options["dcm_directory"] is not None:
            return DICOMFileOutput(self.options["dcm_directory"], query)
        return TableOutput(sys.stdout, query)

    def _show(self, writer: MatchWriter, match: Any) -> bool:
        """Whether it makes sense to go on."""
        self.shown += 1
        self.octets += len(match.octets)
        self.is_partly_supported |= match.status == PENDING_WITH_WARNING
        try:
            writer.write(match, self.shown)
        except DecodeError as error:
            self.unreadable += 1
            self._tell(f"match {self.shown} can't be read: {error}")
        except BrokenPipeError as error:  # the query is cancelled at the peer before it is told
            discard(sys.stdout)
            self.gone = error
            return False
        return True

    # Telling --------------------------------------------------------------------------------------------------------

    def _tell(self, *lines: str) -> None:
        if not self.options["quiet"]:
            click.echo(f"dulcet: {lines[0]}", err=True)
            for line in lines[1:]:
                click.echo(f"  {line}", err=True)

    def _tell_what_is_not_agreed(self, ask: Asking) -> None:
        refused = set(self.settings.options.names()) - set(ask.agreed.names())
        if refused:
            self._tell(f"{self.peer} does not agree to {', '.join(sorted(refused))}, so the query goes without.")

    def _end(self, seconds: float) -> int:
        matches, error = self.matches, self.error
        final = None if matches is None else matches.final
        cancelled = matches is not None and matches.is_cancelled
        if error is not None:
            explain(error, self.peer)
        elif self.interrupted and not self.shown:
            self._tell("interrupted before a match came.")
        elif not self.options["as_json"] and self.shown:
            self._tell(self._counted(cancelled, was_cancelled(final)))
        code = error.exit_code if error else EXIT_PARTLY_FAILED if self.unreadable else 0
        if self.interrupted:
            code = 128 + self.interrupted
        self.events(
            FindEnded(
                peer=str(self.peer),
                matches=self.shown,
                status=None if final is None else f"{final.status:04X}H",
                cancelled=cancelled or None,
                explanation=None if error is None else str(error),
            )
        )
        counts = {"matches": self.shown, "unreadable": self.unreadable}
        self.events(Summary(exit_code=code, counts=counts, octets=self.octets, seconds=seconds))
        return code

    def _counted(self, cancelled: bool, confirmed: bool) -> str:
        """`confirmed`: the peer says that it stopped; one that had found all before it was told does not."""
        word = _WORDS[self.wanted.level] if self.wanted.level else "items"
        word = _SINGULAR.get(word, "item") if self.shown == 1 else word
        until = but = ""
        if cancelled and self.shown == self.settings.limit:
            but = "; there may be more: --limit stopped the query"
        elif confirmed:
            until = " until the query was cancelled"
        if self.is_partly_supported:
            but += "; the peer does not support all of the keys"
        return f"{self.shown:,} {word}{until}{but}."
