"""`dulcet node`: the node book, peers by name."""

import json
from pathlib import Path
from typing import Any

import click

from dulcet.commands.completion import NODE_NAME, TAG
from dulcet.commands.node_import import import_nodes
from dulcet.commands.options import FILE, split_peers, stacked
from dulcet.errors import ConfigurationError
from dulcet.station.book.configuration import node_book_path
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.node_editing import change_node_book, with_fields, with_nodes, without_nodes
from dulcet.station.book.nodes import FIELDS, QUERY_ROOTS, RETRIEVE_METHODS, FieldError, Node, parse_address
from dulcet.station.book.snippets import PRODUCTS, snippet
from dulcet.station.book.toml_file import toml_value
from dulcet.station.events import json_head

EXIT_FAULTS = 78
MAX_PDU = click.IntRange(4096, 16 * 1024 * 1024)
_NEEDED = ("ae_title", "host", "port")

_field_options = stacked(
    click.option("--ae-title", "-aec", metavar="AET", help="Its AE title."),
    click.option("--calling-ae-title", "-aet", metavar="AET", help="Our AE title towards it."),
    click.option("--tls/--no-tls", default=None, help="Always, or never, speak TLS with it."),
    click.option("--tls-ca", type=FILE, metavar="FILE", help="Authorities to trust instead of the system's."),
    click.option("--tls-cert", type=FILE, metavar="FILE", help="Our certificate, if it asks for one."),
    click.option("--tls-key", type=FILE, metavar="FILE", help="The key of --tls-cert, if not in the same file."),
    click.option("--tls-name", metavar="NAME", help="The name on its certificate, if not its host name."),
    click.option("--max-pdu", type=MAX_PDU, metavar="N", help="Octets of our largest PDU."),
    click.option("--jobs", type=click.IntRange(1, 64), metavar="N", help="Associations at once."),
    click.option("--async-window", type=click.IntRange(1, 256), metavar="N", help="Operations outstanding."),
    click.option("--convert/--no-convert", default=None, help="Whether files may be converted for it."),
    click.option("--retrieve", type=click.Choice(RETRIEVE_METHODS), help="How to get images from it."),
    click.option("--query-root", type=click.Choice(QUERY_ROOTS), help="The information model of queries."),
    click.option("--character-set", metavar="TERM", help="Of queries, like 'ISO_IR 100' (Latin 1)."),
    click.option("--notes", metavar="TEXT", help="For people."),
    click.option("--tag", "tags", multiple=True, type=TAG, help="A word to choose nodes by; may be repeated."),
)
"""What may be said of a node besides its address."""


@click.group()
def node() -> None:
    """The node book: peers by name, with how to deal with each.

    It is a TOML file (`dulcet config path --nodes` says where) that you may edit by hand as well: comments and order
    stay. Wherever a command takes a PEER it takes the name of a node.
    """


@node.command()
@click.argument("name")
@click.argument("address", nargs=-1, required=True, metavar="AET@HOST:PORT")
@_field_options
def add(name: str, address: tuple[str, ...], **options: Any) -> int:
    """Enter a peer under NAME.

    HOST:PORT, or HOST PORT, with -aec AET is understood, too.
    """
    words = split_peers(address)
    if len(words) != 1:
        raise click.UsageError("one address is expected: AET@HOST:PORT")
    ae_title, host, port = parse_address(words[0])
    fields = _fields(options)
    fields.setdefault("ae_title", ae_title)
    if fields["ae_title"] is None:
        raise click.UsageError(f"what is the AE title of {host}? Write AET@{words[0]}")
    entered = _checked(name, {**fields, "host": host, "port": port})
    book = node_book_path()
    change_node_book(book, lambda before: with_nodes(before, [entered]))
    click.echo(f"{name} is {entered.address}, in {book}")
    return 0


@node.command()
@click.argument("name", type=NODE_NAME)
@click.option("--host", metavar="HOST", help="Its name or address.")
@click.option("--port", type=click.IntRange(1, 65535), help="Its TCP port.")
@_field_options
@click.option(
    "--unset",
    multiple=True,
    type=click.Choice([field for field in FIELDS if field not in _NEEDED]),
    metavar="FIELD",
    help="Say nothing about this any more; may be repeated.",
)
def edit(name: str, unset: tuple[str, ...], **options: Any) -> int:
    """Change what the book says of NAME; --tag replaces all tags."""
    changes = {**_fields(options), **dict.fromkeys(unset)}
    if not changes:
        raise click.UsageError("what should be changed? For example --port 104")
    book = node_book_path()
    change_node_book(book, lambda before: with_fields(before, {name: changes}))
    click.echo(f"{name} is {NodeBook.read(book).find(name).address}, in {book}")
    return 0


@node.command()
@click.argument("names", nargs=-1, required=True, type=NODE_NAME, metavar="NAME...")
def remove(names: tuple[str, ...]) -> int:
    """Take nodes out of the book, each with the comment right above it."""
    change_node_book(node_book_path(), lambda before: without_nodes(before, names))
    return 0


@node.command("list")
@click.option("--tag", "tags", multiple=True, type=TAG, help="Only nodes with this tag; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
def list_nodes(tags: tuple[str, ...], as_json: bool) -> int:
    """List the nodes, in the order of the book."""
    book = NodeBook.read(node_book_path())
    nodes, faults = book.nodes()
    shown = [each for each in nodes if not tags or set(tags).intersection(each.tags)]
    if as_json:
        for each in shown:
            click.echo(json.dumps(_line(book, each)))
    elif shown:
        _print_table([("NAME", "ADDRESS", "TLS", "TAGS", "NOTES"), *map(_row, shown)])
    elif not faults:
        click.echo(f"no nodes in {book.path}: `dulcet node add` or `dulcet node import` enters some", err=True)
    for fault in faults:
        click.echo(f"dulcet: {fault}", err=True)
    return EXIT_FAULTS if faults else 0


@node.command()
@click.argument("names", nargs=-1, required=True, type=NODE_NAME, metavar="NAME...")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
def show(names: tuple[str, ...], as_json: bool) -> int:
    """Show all that the book says of NAME, and where."""
    book = NodeBook.read(node_book_path())
    for each in [book.find(name) for name in names]:
        if as_json:
            click.echo(json.dumps(_line(book, each)))
            continue
        click.echo(f"[{each.name}]  # {book.place(each.name)}")
        for field, value in each.table().items():
            click.echo(f"{field} = {toml_value(value)}")
    return 0


@node.command("snippet")
@click.argument("name", required=False, type=NODE_NAME)
@click.option(
    "--for", "product", type=click.Choice(list(PRODUCTS)), default="text", help="What it runs. [default: text]"
)
@click.option("--aet", "-aet", metavar="AET", help="Our AE title. [default: as `dulcet whoami` says]")
@click.option("--port", type=click.IntRange(1, 65535), help="Where we listen. [default: that of serve]")
@click.option("--address", metavar="HOST", help="Where we are reached, if a router shows another address.")
@click.pass_context
def print_snippet(
    ctx: click.Context, name: str | None, product: str, aet: str | None, port: int | None, address: str | None
) -> int:
    """Print what the administrator of NAME has to enter, so that it knows us.

    The address is the one from which this machine reaches NAME; without NAME, the one towards the rest of the world.
    """
    from dulcet.commands.whoami import identity

    who = identity(ctx, name, aet=aet, port=port, address=address)
    click.echo(snippet(product, who.us, who.peer), nl=False)
    for hint in who.hints:
        click.echo(f"dulcet: {hint}", err=True)
    return 0


def _fields(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as fields of a node; paths as they are from here."""
    convert = options.pop("convert", None)
    options["no_convert"] = None if convert is None else not convert
    fields = {field: value for field, value in options.items() if value not in (None, ())}
    for field, value in fields.items():
        if isinstance(value, Path):
            fields[field] = str(value.expanduser().absolute())
        elif isinstance(value, tuple):
            fields[field] = list(value)
    return fields


def _checked(name: str, fields: dict[str, Any]) -> Node:
    try:
        return Node.from_table(name, fields, Path())
    except FieldError as fault:
        raise ConfigurationError(f"{fault.field}: {fault}" if fault.field else str(fault)) from None


def _line(book: NodeBook, each: Node) -> dict[str, Any]:
    return {**json_head("node"), "name": each.name, **each.table(), "place": book.place(each.name)}


def _row(each: Node) -> tuple[str, ...]:
    tls = {None: "", False: "never", True: "yes"}[each.tls]
    return each.name, each.address, tls, ", ".join(each.tags), each.notes or ""


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


node.add_command(import_nodes)
