"""`dulcet node import`: what another program knows about peers, into the node book."""

import json
from pathlib import Path
from typing import Any

import click

from dulcet.commands.options import FILE
from dulcet.escape import quoted
from dulcet.station.book.configuration import node_book_path
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.node_editing import change_node_book
from dulcet.station.book.node_formats import READERS
from dulcet.station.book.node_import import Fate, Importable, apply, plan, read_nodes
from dulcet.station.events import json_head

EXIT_PARTLY = 1

_WORDS = {
    Fate.ADDED: "added",
    Fate.REPLACED: "replaced",
    Fate.UNCHANGED: "is there already",
    Fate.KEPT: "not taken: another node has this name (--replace overwrites it)",
}


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--format", "format_name", type=click.Choice(list(READERS)), help="If it is not found by looking.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--replace", is_flag=True, help="Overwrite nodes of the same names; what the file doesn't say stays.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
def import_nodes(file: Path, format_name: str | None, dry_run: bool, replace: bool, as_json: bool) -> int:
    """Enter the peers that another program knows.

    \b
    orthanc     its configuration (DicomModalities), or the answer of GET /modalities?expand
    dcmtk       dcmqrscp.cfg (HostTable; groups become tags)
    pynetdicom  the configuration of its qrscp
    dcm4che     LDIF of its configuration
    csv         a spreadsheet: name, AE title, host, port, with or without a header

    The exit code is 1 when something in the file could not be taken.
    """
    found = read_nodes(file, format_name)
    book = node_book_path()
    fates = plan(NodeBook.read(book), found.nodes, replace=replace)
    if not dry_run and {Fate.ADDED, Fate.REPLACED} & set(fates.values()):

        def change(before: NodeBook) -> str:
            nonlocal fates
            fates = plan(before, found.nodes, replace=replace)
            return apply(before, found.nodes, replace=replace)

        change_node_book(book, change)
    if as_json:
        for line in _lines(found, fates):
            click.echo(json.dumps(line))
    else:
        _tell(file, book, found, fates, dry_run)
    return EXIT_PARTLY if found.refused or Fate.KEPT in fates.values() else 0


def _tell(file: Path, book: Path, found: Importable, fates: dict[str, Fate], dry_run: bool) -> None:
    names = {new: old for old, new in found.renamed}
    for node in found.nodes:
        called = f" (called {quoted(names[node.name])} there)" if node.name in names else ""
        click.echo(f"{node.name}: {node.address}{called}: {_WORDS[fates[node.name]]}")
    for refused in found.refused:
        click.echo(f"{refused.where}: not taken: {refused.reason}", err=True)
    taken = sum(fate in (Fate.ADDED, Fate.REPLACED) for fate in fates.values())
    summary = f"{taken} of {len(found.nodes) + len(found.refused)} nodes of {file} ({found.format})"
    click.echo(f"{summary} would be entered in {book}" if dry_run else f"{summary} entered in {book}")


def _lines(found: Importable, fates: dict[str, Fate]) -> list[dict[str, Any]]:
    taken = [
        {**json_head("node.import"), "name": node.name, **node.table(), "fate": fates[node.name].value}
        for node in found.nodes
    ]
    refused = [
        {**json_head("node.import"), "where": each.where, "fate": "refused", "reason": each.reason}
        for each in found.refused
    ]
    return [*taken, *refused]
