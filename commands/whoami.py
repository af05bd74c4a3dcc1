"""`dulcet whoami`: what a peer has to know about us, before it may call us or we may call it."""

import json
from dataclasses import dataclass

import click

from dulcet.commands.completion import PEER
from dulcet.commands.options import DEFAULT_AE_TITLE, ae_title, is_given
from dulcet.commands.settings import in_force
from dulcet.station.book.configuration import node_book_path
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.nodes import Node, is_address, parse_address
from dulcet.station.book.own_address import address_towards, is_loopback, own_addresses, own_host_name
from dulcet.station.book.snippets import OurSide
from dulcet.station.events import json_head


@dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """We, with what a person should know besides."""

    us: OurSide
    addresses: list[str]
    """All of ours; the first is that of `us`."""
    host_name: str
    peer: str | None
    """`AET@host:port` of the peer that asks, or `host:port`; None when nobody does."""
    hints: list[str]
    """Sentences about what would keep the peer from reaching us."""


@click.command()
@click.argument("peer", required=False, type=PEER)
@click.option("--aet", "-aet", metavar="AET", default=DEFAULT_AE_TITLE, show_default=True, help="Our AE title.")
@click.option("--port", type=click.IntRange(1, 65535), help="Where we listen. [default: that of serve]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
@click.pass_context
def whoami(ctx: click.Context, peer: str | None, aet: str, port: int | None, as_json: bool) -> int:
    """Show our AE title, address and port, as PEER has to know them.

    The address is the one from which this machine reaches PEER; nothing is sent to find it out.
    """
    who = identity(ctx, peer, aet=aet, port=port)
    if as_json:
        click.echo(json.dumps(_line(who)))
        return 0
    click.echo(f"AE title   {who.us.ae_title}")
    for address in who.addresses or [who.us.address]:
        click.echo(f"Address    {address}")
    click.echo(f"Host name  {who.host_name}")
    click.echo(f"Port       {who.us.port}{' with TLS' if who.us.tls else ''}")
    for hint in who.hints:
        click.echo(f"dulcet: {hint}", err=True)
    return 0


def identity(
    ctx: click.Context, peer: str | None, *, aet: str | None, port: int | None, address: str | None = None
) -> Identity:
    """Who we are for `peer`, a name or an address, or for everybody: the command line, the node book, the settings.

    `aet` and `port` are those of the command; None asks the settings of `whoami` and `serve`. ConfigurationError
    for a peer that is none, UnknownHostError and PeerUnavailableError when no way leads to it.
    """
    serve, ours = in_force(ctx, "serve"), in_force(ctx, "whoami")
    aet = ours["aet"].value if aet is None else aet
    port = ours["port"].value if port is None else port
    node = None if peer is None or is_address(peer) else NodeBook.read(node_book_path()).find(peer)
    title = ae_title(aet) if is_given("aet") or node is None or not node.calling_ae_title else node.calling_ae_title
    shown, addresses = _addresses(peer, node)
    if address is not None:
        addresses = [address]
    host_name = own_host_name()
    us = OurSide(
        ae_title=title,
        address=addresses[0] if addresses else host_name,
        port=serve["port"].value if port is None else port,
        tls=serve["tls_cert"].value is not None,
    )
    hints = _hints(us, bind=serve["bind"].value, receiving=serve["aet"].value)
    return Identity(us=us, addresses=addresses, host_name=host_name, peer=shown, hints=hints)


def _addresses(peer: str | None, node: Node | None) -> tuple[str | None, list[str]]:
    if node is not None:
        return node.address, [address_towards(node.host, node.port)]
    if peer is None:
        return None, own_addresses()
    _, host, port = parse_address(peer)
    return peer, [address_towards(host, port)]


def _hints(us: OurSide, *, bind: str, receiving: str) -> list[str]:
    hints = []
    if receiving != us.ae_title:
        hints.append(f"`dulcet serve` answers to the AE title {receiving} (--aet, or aet in [serve])")
    if is_loopback(bind) and not is_loopback(us.address):
        hints.append(f"`dulcet serve` listens on {bind} only, where nobody reaches it: --bind 0.0.0.0, or in [serve]")
    return hints


def _line(who: Identity) -> dict[str, object]:
    return {
        **json_head("whoami"),
        "peer": who.peer,
        "ae_title": who.us.ae_title,
        "address": who.us.address,
        "addresses": who.addresses,
        "host_name": who.host_name,
        "port": who.us.port,
        "tls": who.us.tls,
        "hints": who.hints,
    }
