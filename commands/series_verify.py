"""`dulcet series verify`."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dulcet.commands.series_options import (
    EXIT_PARTLY_FAILED,
    SERIES,
    chosen,
    opened,
    perform,
    vault_options,
)
from dulcet.station.archive.interfaces import VaultIndex
from dulcet.station.events import json_head
from dulcet.station.figures import plural, size
from dulcet.station.sending.progress import Transfer
from dulcet.station.vault.open_vault import Vault
from dulcet.station.vault.work import Work

if TYPE_CHECKING:
    from dulcet.station.archive.arrivals import Arrival
    from dulcet.station.vault.verifying import Verification

MAX_THREADS = 8  # more keep no disk busier
PAGE_ROWS = 1000


@click.command("verify")
@click.argument("series", nargs=-1, metavar=f"[{SERIES}...]")
@click.option("--all", "is_all", is_flag=True, help="Every file.")
@click.option("--study", metavar="UID", help="All series of a study.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), metavar="N", help="Files read at once. [default: for each core one]"
)
@vault_options
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no prose.")
def verify(
    series: tuple[str, ...],
    is_all: bool,
    study: str | None,
    jobs: int | None,
    directory: Path,
    no_update: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Compare each file of SERIES with the hash that was recorded when it came, and name what is not as it was.

    A file that has no hash yet gets one. The exit code is 1 if a file is missing, changed or can't be read, and if
    files have no hash since the record of them was damaged.
    """
    if is_all == bool(series or study):
        raise click.UsageError("what should be verified? Name series, or a study with --study, or say --all")
    from dulcet.station.archive.arrival_book import lost_records
    from dulcet.station.vault.verifying import Verdict, verify

    with opened(directory, no_update=no_update) as vault:
        uids = None if is_all else chosen(vault.index, series, study)
        arrivals = _all(vault.index) if uids is None else _of_series(vault.index, uids)
        threads = jobs or min(os.cpu_count() or 1, MAX_THREADS)
        result = perform(
            Work(_extent(vault.index, uids)),
            lambda work: verify(vault.store, vault.index.arrivals, arrivals, work, threads=threads),
            quiet=quiet or as_json,
        )
    lost = lost_records(directory) if result.counts[Verdict.RECORDED] else []
    code = EXIT_PARTLY_FAILED if result.faults or lost else 0
    _tell(vault, result, code, as_json=as_json, quiet=quiet)
    for path in lost:
        click.echo(
            f"dulcet: {path}: this record of hashes was damaged and set aside: what was changed before that can't be"
            " noticed any more. Move it away when that is settled",
            err=True,
        )
    return code


def _all(index: VaultIndex) -> "Iterator[Arrival]":
    after = 0
    while found := index.arrivals.after(after, PAGE_ROWS):
        yield from found
        after = found[-1].id


def _of_series(index: VaultIndex, uids: Sequence[str]) -> "Iterator[Arrival]":
    for uid in uids:
        for each in index.instances(uid):
            if each.arrival is not None:
                yield each.arrival


def _extent(index: VaultIndex, uids: Sequence[str] | None) -> Transfer:
    from dulcet.station.archive.series import Wanted

    series = () if uids == [] else index.series(Wanted(series=tuple(uids or ())))
    objects, octets = sum(each.instances for each in series), sum(each.octets for each in series)
    return Transfer(total_objects=objects, total_octets=octets)


def _tell(vault: Vault, result: "Verification", code: int, *, as_json: bool, quiet: bool) -> None:
    from dulcet.station.vault.verifying import FAULTS, Verdict

    for each in result.faults:
        place = vault.store.place(each.arrival.name)
        if as_json:
            values = {"path": place, "verdict": each.verdict.value, "reason": each.reason}
            click.echo(json.dumps({**json_head("file.fault"), **values}))
        else:
            click.echo(f"{each.verdict.value}: {place}: {each.reason}")
    if as_json:
        counts = {verdict.value: count for verdict, count in result.counts.items()}
        summary = {**json_head("summary"), "exit_code": code, "counts": counts}
        click.echo(json.dumps({**summary, "octets": result.octets}))
    elif not quiet:
        good = result.counts[Verdict.INTACT]
        parts = [f"{plural(good, 'file is', 'files are')} as they came" if good != 1 else "1 file is as it came"]
        if result.counts[Verdict.RECORDED]:
            parts.append(f"{result.counts[Verdict.RECORDED]:,} had no hash, and have one now")
        parts += [f"{result.counts[verdict]:,} {verdict.value}" for verdict in FAULTS if result.counts[verdict]]
        click.echo(f"{', '.join(parts)}; {size(result.octets)} read.")
