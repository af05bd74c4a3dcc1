"""From the words and options of a command line to `Peer`s."""

import ssl
from collections.abc import Sequence

import click

from dulcet.commands.options import DEFAULT_CALLED_AE_TITLE, ae_title, split_peers
from dulcet.errors import DulcetError
from dulcet.services.requestor import Peer
from dulcet.station.advice import advice
from dulcet.station.nodes import parse_address


def peers(
    words: Sequence[str],
    *,
    called: str | None,
    calling: str,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
) -> list[Peer]:
    """The peers that the words name; ConfigurationError for a word that names none."""
    found = []
    for word in split_peers(words):
        title, host, port = parse_address(word)
        found.append(
            Peer(
                host=host,
                port=port,
                ae_title=ae_title(title or called or DEFAULT_CALLED_AE_TITLE),
                calling_ae_title=ae_title(calling),
                tls=tls,
                server_name=server_name,
            )
        )
    return found


def explain(error: DulcetError, peer: Peer) -> None:
    """The error and what to do about it, on standard error."""
    click.echo(f"dulcet: {error}", err=True)
    for line in advice(error, peer):
        click.echo(f"  {line}", err=True)
