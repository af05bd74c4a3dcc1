"""`dulcet status`: what goes on at this station."""

import json
import sys
import time
from pathlib import Path

import click

from dulcet.commands.options import FILE
from dulcet.station.monitor.overview import Looker, Overview, document
from dulcet.station.terminal import moves_cursor


@click.command()
@click.option(
    "--watch",
    is_flag=False,
    flag_value=1.0,
    type=click.FloatRange(min=0.1),
    metavar="[SECONDS]",
    help="Look again and again, until interrupted.  [default: every second]",
)
@click.option("--directory", type=FILE, metavar="DIR", help="A storage directory to tell of, beside those in use.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document; with --watch one a line.")
def status(watch: float | None, directory: Path | None, as_json: bool) -> int:
    """Show what goes on: processes, associations, transfers, the queue's jobs, storage, the last errors.

    It asks nobody: each process that lasts tells of itself once a second, in the state directory. Nothing of a patient
    is in it.
    """
    looker = Looker([] if directory is None else [directory])
    try:
        if watch is None:
            _show(looker.look(), as_json=as_json)
        elif as_json or not moves_cursor(sys.stdout):
            _repeat(looker, watch, as_json=as_json)
        else:
            _redraw(looker, watch)
    except KeyboardInterrupt:  # that is how a watch ends
        if watch is None:
            raise
    finally:
        looker.close()
    return 0


def _show(overview: Overview, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(document(overview)))
    else:
        from dulcet.station.monitor.blocks import text

        click.echo(text(overview), nl=False)


def _repeat(looker: Looker, seconds: float, *, as_json: bool) -> None:
    while True:
        _show(looker.look(), as_json=as_json)
        if not as_json:
            click.echo()
        time.sleep(seconds)


def _redraw(looker: Looker, seconds: float) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from dulcet.station.monitor.blocks import blocks

    def drawn() -> Text:
        page = Text(no_wrap=True, overflow="ellipsis")
        for title, lines in blocks(looker.look()):
            page.append(f"{title}\n", style="bold")
            page.append("".join(f"{line}\n" for line in lines) + "\n")
        return page

    console = Console(highlight=False)
    with Live(drawn(), console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        while True:
            time.sleep(seconds)
            live.update(drawn(), refresh=True)
