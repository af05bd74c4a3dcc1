"""`dulcet commit`: storage commitment, so that a sender may delete what an archive keeps."""

import re
import sys
import time
from collections.abc import Sequence
from typing import Any

import click
import trio

from dulcet.commands import conversation
from dulcet.commands.completion import PEER
from dulcet.commands.options import (
    conversation_options,
    identity_options,
    peer_options,
    split_peers,
    tls_client_options,
    user_identity,
)
from dulcet.commands.peers import explain
from dulcet.commands.query_options import one_peer
from dulcet.dimse.uids import is_valid_uid
from dulcet.errors import DulcetError, NoInputError
from dulcet.escape import quote
from dulcet.services.commitment import MAX_REFERENCES, CommitmentRequest, Reference
from dulcet.services.requestor import Peer
from dulcet.station.archive.committing import CommitmentSettings, answers, commit, new_request
from dulcet.station.events import EventStream, JSONLinesWriter, Summary
from dulcet.station.sending.files import find_files
from dulcet.station.sending.found import FileToSend

EXIT_PARTLY_FAILED = 1
_PAIR = re.compile(r"([0-9.]+):([0-9.]+)")


@click.command(name="commit")
@click.argument("words", nargs=-1, required=True, metavar="PEER FILE|CLASS:INSTANCE...", type=PEER)
@click.option("--sop-class", metavar="UID", help="The SOP class of instances given by their UID alone.")
@click.option(
    "--wait", type=click.FloatRange(min=0.1), default=60.0, show_default=True, metavar="SECONDS", help="For the report."
)
@click.option("--port", type=click.IntRange(1, 65535), help="Listen here for a report on another association.")
@click.option("--bind", "bind_to", default="", metavar="ADDRESS", help="The address to listen on. [default: every one]")
@peer_options
@tls_client_options
@identity_options
@conversation_options
def commit_command(words: tuple[str, ...], **options: Any) -> int:
    """Ask PEER to commit itself to keep what it was sent (storage commitment).

    \b
    dulcet commit PACS images/
    dulcet commit PACS 1.2.840.10008.5.1.4.1.1.2:1.2.840.113619.2.5.1762
    dulcet commit PACS images/ --port 11112        for archives that report on another association

    FILEs and folders are read for their UIDs only. 0: the archive keeps all of them; 1: not all; 75: it did not say.
    """
    head = split_peers(words[:2])
    given = [*head[1:], *words[2:]]
    if not given:
        raise click.UsageError("what should be committed? Files, folders, or CLASS:INSTANCE")
    peer = one_peer(head[0], options)
    references = _references(given, options["sop_class"])
    settings = CommitmentSettings(
        timeout=options["timeout"],
        wait=options["wait"],
        port=options["port"],
        host=options["bind_to"],
        user_items=user_identity(options),
        trace=conversation.trace(options["verbose"]),
        on_transition=conversation.on_transition(options["verbose"]),
    )
    return _run(peer, new_request(references), settings, options)


def _references(words: Sequence[str], sop_class: str | None) -> list[Reference]:
    """The instances that the words name; NoInputError when a file is none, or there are none at all."""
    found: list[Reference] = []
    paths = []
    for word in words:
        pair = _PAIR.fullmatch(word)
        if pair is not None and all(map(is_valid_uid, pair.groups())):
            found.append(Reference(*pair.groups()))
        elif sop_class is not None and is_valid_uid(word):
            found.append(Reference(sop_class, word))
        else:
            paths.append(word)
    for file in find_files(paths):
        if isinstance(file, FileToSend):
            found.append(Reference(file.header.sop_class_uid, file.header.sop_instance_uid))
        elif file.is_failure:
            raise NoInputError(f"{quote(file.name, 200)}: {file.reason}")
    if not found:
        raise NoInputError("there is no instance to commit")
    if len(set(found)) > MAX_REFERENCES:
        raise NoInputError(f"{len(set(found))} instances are too many for one request: at most {MAX_REFERENCES}")
    return found


def _run(peer: Peer, request: CommitmentRequest, settings: CommitmentSettings, options: dict[str, Any]) -> int:
    started = time.monotonic()
    events = EventStream()
    if options["as_json"]:
        events.subscribe(JSONLinesWriter(sys.stdout))
    told = []
    error: DulcetError | None = None
    try:
        result = trio.run(commit, peer, request, settings)
        told = answers(request, result)
    except DulcetError as failure:
        error = failure
        explain(error, peer)
    for answer in told:
        events(answer)
        if not answer.committed and not options["as_json"]:
            click.echo(f"{answer.sop_instance_uid}: not committed ({answer.reason})")
    committed = sum(answer.committed for answer in told)
    code = error.exit_code if error else 0 if committed == len(told) else EXIT_PARTLY_FAILED
    if error is None and not (options["as_json"] or options["quiet"]):
        click.echo(f"{peer} keeps {committed:,} of {len(told):,} {'instance' if len(told) == 1 else 'instances'}.")
    counts = {"committed": committed, "failed": len(told) - committed}
    events(Summary(exit_code=code, counts=counts, octets=0, seconds=time.monotonic() - started))
    return code
