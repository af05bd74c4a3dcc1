"""`dulcet get`: C-GET, objects on the association that asks for them."""

from typing import Any

import click
import trio

from dulcet.commands.completion import PEER
from dulcet.commands.move import SingleJob, unique_keys
from dulcet.commands.options import (
    conversation_options,
    identity_options,
    peer_options,
    split_peers,
    tls_client_options,
)
from dulcet.commands.query_options import asked, how_to_associate, one_peer
from dulcet.commands.retrieval_options import storage, storage_classes, storage_options, unique_key_options
from dulcet.services.get import STORAGE_BY_USE
from dulcet.services.querying.query_models import Level
from dulcet.services.storage import Storage
from dulcet.services.storage_scp import storage_operation
from dulcet.station.archive.recording import observed_by, recording
from dulcet.station.events import EventStream
from dulcet.station.figures import plural
from dulcet.station.query.plan import Asked
from dulcet.station.retrieval.single import SingleRetrieval
from dulcet.station.retrieval.tally import Tally

MAX_REASONS = 3


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="PEER", type=PEER)
@unique_key_options
@storage_options
@peer_options
@tls_client_options
@identity_options
@conversation_options
def get(words: tuple[str, ...], **options: Any) -> int:
    """Get studies, series, images or all of a patient from PEER on one association (C-GET), into --directory.

    Neither a listener nor an entry at PEER is needed, but not every archive offers it. `dulcet retrieve` finds out,
    and compares what came with what there is.
    """
    peer_words = split_peers(words)
    if len(peer_words) != 1:
        raise click.UsageError("one PEER is expected")
    peer = one_peer(peer_words[0], options)
    job = _GetJob(
        SingleRetrieval(
            peer=peer,
            how=how_to_associate(options),
            report=EventStream(),
            root=options["root"],
            is_checked=not options["no_check"],
            is_relational=options["relational"],
            patience=options["patience"],
            sop_classes=storage_classes(options["sop_classes"]) or STORAGE_BY_USE,
        ),
        options,
    )
    return trio.run(job.get, asked(Level.STUDY, unique_keys(options), is_bare=True))


class _GetJob(SingleJob):
    async def get(self, wanted: Asked) -> int:
        """With a storage directory that is there as long as it takes."""
        retrieval = self.retrieval
        keep = Storage(storage(self.options))
        tally = Tally(retrieval.report)
        retrieval.here = lambda: len(tally.arrived)
        self.tally = tally
        try:
            async with recording(self.options["directory"]) as record:
                retrieval.store = storage_operation(keep, observe=observed_by(tally, record))
                return await self.run(wanted)
        finally:
            keep.close()

    def _measure(self) -> dict[str, Any]:
        return {**super()._measure(), "octets": self.tally.octets}

    def _end(self, events: EventStream, seconds: float) -> int:
        tally, attempt = self.tally, self.attempt
        self.octets = tally.octets
        self.extra.append(f"{plural(len(tally.arrived), 'object is', 'objects are')} in {self.options['directory']}")
        for reason in sorted(set(tally.refused.values()))[:MAX_REASONS]:
            self.extra.append(f"not stored here: {reason}")
        if attempt is not None and attempt.receivable == 0:
            self.extra.append("The peer agreed to send no storage class here (SCP/SCU role selection).")
        return super()._end(events, seconds)
