"""`dulcet series list` and `dulcet series show`."""

import json
import re
import shutil
import sys
import time
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from dulcet.commands.series_options import SERIES, chosen, opened, vault_options
from dulcet.errors import ConfigurationError
from dulcet.station.archive.series import Wanted
from dulcet.station.terminal import has_colour

DEFAULT_LAST = 100
_AGO = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)")
_SECONDS = {"m": 60, "min": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@click.command("list")
@vault_options
@click.option("--last", type=click.IntRange(1), default=DEFAULT_LAST, show_default=True, metavar="N", help="So many.")
@click.option("--all", "shows_all", is_flag=True, help="All, however many.")
@click.option("--patient", metavar="TEXT", help="Part of the name, or the ID; * and ? make it a pattern.")
@click.option("--modality", metavar="CS", help="CT, MR, ...")
@click.option("--date", "dates", metavar="WHEN", help="Of the study: today, last7d, 2026-01, 20260101-20260131.")
@click.option("--since", metavar="WHEN", help="Arrived since: 30m, 2h, 7d, 2026-01-31, 2026-01-31T12:00.")
@click.option("--from", "ae_title", metavar="AET", help="That this AE title sent.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV on standard output.")
def list_series(directory: Path, no_update: bool, **options: Any) -> int:
    """List the series that arrived, the last first.

    The first column is the shortest end of the UID that names a series: the other commands take it, or more of the
    UID, its beginning, or all of it.
    """
    if options["as_json"] and options["as_csv"]:
        raise click.UsageError("--json and --csv exclude each other")
    wanted = _wanted(options)
    limit = None if options["shows_all"] else options["last"]
    with opened(directory, no_update=no_update) as vault:
        found = vault.index.series(wanted, limit if limit is None else limit + 1)
        short = _short_names(vault.index.series_uids())
    shown = found[:limit]
    _write(shown, short, options)
    if not found and not options["as_json"] and not options["as_csv"]:
        of_it = " of it" if wanted != Wanted() else ""
        click.echo(f"dulcet: nothing{of_it} has arrived in {directory}", err=True)
    elif len(found) > len(shown):
        click.echo(f"dulcet: {len(shown):,} series; there are more: --all shows all, --last N so many.", err=True)
    return 0


def _short_names(uids: Any) -> dict[str, str]:
    from dulcet.station.vault.naming import short_names

    return short_names(uids)


def _write(shown: Any, short: dict[str, str], options: dict[str, Any]) -> None:
    from dulcet.station.vault.series_output import fields, write_csv, write_json, write_table

    rows = (fields(each, short[each.series_instance_uid]) for each in shown)
    if options["as_json"]:
        write_json(sys.stdout, rows)
    elif options["as_csv"]:
        write_csv(sys.stdout, rows)
    elif shown:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        write_table(sys.stdout, shown, short, width=width, colour=has_colour(sys.stdout))


def _wanted(options: dict[str, Any]) -> Wanted:
    try:
        return Wanted(
            patient=options["patient"] or "",
            modality=options["modality"] or "",
            study_dates=_study_dates(options["dates"]),
            since=_since(options["since"], time.time()),
            ae_title=options["ae_title"] or "",
        )
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error


def _study_dates(text: str | None) -> tuple[str, str]:
    from dulcet.station.query.dates import date_range

    if text is None:
        return "", ""
    first, is_range, last = date_range(text, date.today()).partition("-")
    return first, last if is_range else first


def _since(text: str | None, now: float) -> int:
    """Nanoseconds since 1970; ConfigurationError for what is no time."""
    if text is None:
        return 0
    ago = _AGO.fullmatch(text.strip().lower())
    if ago:
        return int((now - int(ago[1]) * _SECONDS[ago[2]]) * 10**9)
    try:
        return int(datetime.fromisoformat(text.strip()).timestamp() * 10**9)
    except (ValueError, OverflowError, OSError):
        from dulcet.escape import quoted

        raise ConfigurationError(f"{quoted(text)} is no time: 30m, 2h, 7d, 2026-01-31, 2026-01-31T12:00") from None


@click.command("show")
@click.argument("series", nargs=-1, required=True, metavar=f"{SERIES}...")
@vault_options
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each series.")
def show(series: tuple[str, ...], directory: Path, no_update: bool, as_json: bool) -> int:
    """Show all that is known of SERIES: attributes, files, where they came from, their hashes, conflicts."""
    from dulcet.station.vault.series_details import details, lines_of

    with opened(directory, no_update=no_update) as vault:
        for number, uid in enumerate(chosen(vault.index, series)):
            found = details(vault, uid)
            if as_json:
                click.echo(json.dumps(found))
                continue
            if number:
                click.echo()
            for line in lines_of(found):
                click.echo(line)
    return 0
