"""`dulcet tui`: the workstation on a terminal."""

import sys
from pathlib import Path

import click

from dulcet.commands.options import FILE
from dulcet.errors import ConfigurationError
from dulcet.station.book.configuration import node_book_path, state_path
from dulcet.station.terminal import moves_cursor


@click.command()
@click.option(
    "--directory", type=FILE, default=Path("received"), show_default=True, metavar="DIR", help="Where objects are."
)
@click.option("--light", is_flag=True, help="For a terminal with a light background.")
def tui(directory: Path, light: bool) -> int:
    """Show and work the workstation: nodes, queries, the queue, what was received, what runs.

    Five screens; ? shows every key. It acts through dulcet's own commands and needs no server: a transfer goes on when
    it is left.
    """
    try:
        from dulcet.station.tui.application import DARK, LIGHT, Workstation
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != "textual":
            raise
        raise ConfigurationError("dulcet tui needs textual: pip install 'dulcet[tui]'") from None
    if not (moves_cursor(sys.stdout) and sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("dulcet tui needs a terminal; `dulcet status` and `dulcet queue list` don't")
    from dulcet.station.tui.children import Children
    from dulcet.station.tui.sources import (
        BookNodes,
        DecodedPictures,
        IndexVault,
        QueueJobs,
        ReportedProcesses,
        Sources,
    )

    state = state_path()
    sources = Sources(
        commands=Children(),
        nodes=BookNodes(node_book_path()),
        jobs=QueueJobs(state, lambda text: station.warn(text)),
        processes=ReportedProcesses(state / "processes"),
        vault=IndexVault(directory),
        pictures=DecodedPictures(),
        directory=directory,
    )
    station = Workstation(sources, theme=LIGHT if light else DARK)
    code = station.run()
    if station.fault is not None:
        raise station.fault
    return code or 0
