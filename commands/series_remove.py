"""`dulcet series remove` and `dulcet series prune`."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dulcet.commands.series_options import (
    EXIT_PARTLY_FAILED,
    SERIES,
    chosen,
    described,
    opened,
    perform,
    vault_options,
)
from dulcet.commands.serve_options import Octets
from dulcet.station.events import json_head
from dulcet.station.figures import plural, size
from dulcet.station.sending.progress import Transfer
from dulcet.station.vault.open_vault import Vault
from dulcet.station.vault.work import Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dulcet.station.vault.removing import Removal
    from dulcet.station.vault.retention import Due


@click.command("remove")
@click.argument("series", nargs=-1, metavar=f"[{SERIES}...]")
@click.option("--study", metavar="UID", help="All series of a study.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@vault_options
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no prose.")
def remove(
    series: tuple[str, ...],
    study: str | None,
    yes: bool,
    directory: Path,
    no_update: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Remove SERIES, or a study: the files, whole series, and what the index has of them.

    On a terminal it asks first; elsewhere it wants --yes. What the transfer queue still has to send stays, and the exit
    code is 1 then.
    """
    if not series and study is None:
        raise click.UsageError("what should be removed? Name series, or a study with --study")
    from dulcet.station.vault.removing import remove_series

    with opened(directory, no_update=no_update) as vault:
        uids = chosen(vault.index, series, study)
        known = described(vault.index, uids)
        files, octets = sum(each.instances + each.conflicts for each in known), sum(each.octets for each in known)
        if not yes:
            _ask(f"Remove {plural(len(uids), 'series', 'series')}, {plural(files, 'file')}, {size(octets)}?")
        removals = perform(
            Work(Transfer(total_objects=files, total_octets=0)),
            lambda work: [remove_series(vault, uid, work) for uid in uids],
            quiet=quiet or as_json,
        )
    return _tell(vault, removals, as_json=as_json, quiet=quiet)


def _ask(question: str) -> None:
    """An answer that is not yes ends the command: nothing was done."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("nobody can be asked here: say --yes if it is meant")
    click.confirm(question, abort=True, err=True)


def _tell(vault: Vault, removals: "Sequence[Removal]", *, as_json: bool, quiet: bool) -> int:
    from dulcet.station.vault.naming import shown

    for each in removals:
        if as_json:
            click.echo(json.dumps({**json_head("series.removed"), **_values(each)}))
            continue
        if each.queued:
            reason = f"the transfer queue still needs {plural(each.queued, 'of its files', 'of its files')}"
            click.echo(f"dulcet: series {shown(each.series_instance_uid)} stays: {reason}", err=True)
        for name, reason in each.kept:
            click.echo(f"dulcet: {vault.store.place(name)}: {reason}", err=True)
    if not as_json and not quiet:
        done = [each for each in removals if each.is_done]
        files, octets = sum(each.removed for each in removals), sum(each.octets for each in removals)
        click.echo(f"{plural(len(done), 'series', 'series')} removed: {plural(files, 'file')}, {size(octets)}.")
    return 0 if all(each.is_done for each in removals) else EXIT_PARTLY_FAILED


def _values(removal: "Removal") -> dict[str, Any]:
    return {
        "series_instance_uid": removal.series_instance_uid,
        "files": removal.removed,
        "octets": removal.octets,
        "queued": removal.queued,
        "failed": len(removal.kept),
    }


@click.command("prune")
@click.option("--keep-days", type=click.FloatRange(min=0), metavar="N", help="Remove what arrived more days ago.")
@click.option("--keep-octets", type=Octets(), metavar="SIZE", help="Remove the oldest beyond so much: 500G.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be removed.")
@vault_options
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no prose.")
def prune(
    keep_days: float | None,
    keep_octets: int | None,
    dry_run: bool,
    directory: Path,
    no_update: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Remove whole series, the oldest first: those too old, and then as many as make the rest fit.

    A series is as old as its last arrival. What the transfer queue still has to send stays. `dulcet serve` does the
    same each hour, with the same options.
    """
    from dulcet.station.archive.series import Wanted
    from dulcet.station.vault.retention import Keep, due, prune

    keep = Keep(days=keep_days, octets=keep_octets)
    if not keep.is_limited:
        raise click.UsageError("what should be kept? Say --keep-days, --keep-octets, or both")
    with opened(directory, no_update=no_update) as vault:
        if dry_run:
            return _tell_due(due(vault.index.series(Wanted()), keep, time.time_ns()), as_json=as_json)
        pruned = perform(Work(), lambda work: prune(vault, keep, work), quiet=True)
    return _tell(vault, [each.removal for each in pruned], as_json=as_json, quiet=quiet)


def _tell_due(found: "Sequence[Due]", *, as_json: bool) -> int:
    from dulcet.station.vault.naming import shown
    from dulcet.station.vault.series_output import local

    for each in found:
        series = each.series
        if as_json:
            values: dict[str, Any] = {"series_instance_uid": series.series_instance_uid, "why": each.why.value}
            values |= {"files": series.instances + series.conflicts, "octets": series.octets}
            click.echo(json.dumps({**json_head("series.due"), **values}))
        else:
            files = plural(series.instances + series.conflicts, "file")
            uid = shown(series.series_instance_uid)
            click.echo(f"{local(series.arrived)}  {each.why.value:4}  {files}, {size(series.octets)}  {uid}")
    if not as_json:
        octets = sum(each.series.octets for each in found)
        click.echo(f"{plural(len(found), 'series', 'series')} would be removed: {size(octets)}.")
    return 0
