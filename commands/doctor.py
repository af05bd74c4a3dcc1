"""`dulcet doctor`: what works with a peer, what does not, and why."""

import json
import sys
from collections.abc import Callable
from typing import Any

import click
import trio

from dulcet.commands.completion import PEER
from dulcet.commands.options import identity_options, peer_options, tls_client_options, user_identity
from dulcet.commands.peers import explain, how_to_call, peers
from dulcet.errors import AssociationError
from dulcet.escape import quote
from dulcet.services.requestor import Peer
from dulcet.station.diagnosis import Stage, diagnose
from dulcet.station.events import json_head
from dulcet.ul.items import Item

_TITLES = {
    "name": "The name has an address",
    "tcp": "The port is open",
    "tls": "TLS is spoken",
    "association": "An association is accepted",
    "contexts": "What it takes",
    "echo": "It answers C-ECHO",
}


@click.command()
@click.argument("peer", nargs=-1, required=True, type=PEER)
@peer_options
@tls_client_options
@identity_options
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
def doctor(peer: tuple[str, ...], as_json: bool, **options: Any) -> int:
    """Examine PEER: name, TCP, TLS, association, presentation contexts, echo; each stage timed.

    The first stage that fails is explained, with what to do and what to mail to the other side's administrator.
    """
    found = peers(peer, **how_to_call(options))
    identity = user_identity(options)
    codes = [_examine(each, options["timeout"], identity, as_json) for each in found]
    return next((code for code in codes if code), 0)


def _examine(peer: Peer, patience: float, identity: tuple[Item, ...], as_json: bool) -> int:
    def report(stage: Stage) -> None:
        if as_json:
            click.echo(json.dumps(_line(peer, stage)))
        else:
            _show(stage)
        sys.stdout.flush()

    if not as_json:
        click.secho(str(peer), bold=True)
    error = trio.run(_run, peer, report, patience, identity)
    if error is None:
        return 0
    explain(error, peer)
    return error.exit_code


async def _run(
    peer: Peer, report: Callable[[Stage], None], patience: float, identity: tuple[Item, ...]
) -> AssociationError | None:
    return await diagnose(peer, report, patience=patience, user_items=identity)


def _show(stage: Stage) -> None:
    mark = "FAILED" if stage.error else "ok"
    click.echo(f"  {mark:6}  {_TITLES[stage.name]:28} {stage.seconds * 1000:8.1f} ms")
    for line in stage.found:
        click.echo(f"            {quote(line, 200)}")


def _line(peer: Peer, stage: Stage) -> dict[str, Any]:
    line: dict[str, Any] = {
        **json_head("doctor.stage"),
        "peer": str(peer),
        "stage": stage.name,
        "ok": stage.error is None,
        "seconds": stage.seconds,
        "found": list(stage.found),
    }
    if stage.error is not None:
        line |= {"error": str(stage.error), "exit_code": stage.error.exit_code}
    return line
