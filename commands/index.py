"""`dulcet index`: bring the index of a storage directory up to date, or make it anew."""

import json
from pathlib import Path

import click

from dulcet.commands.options import FILE
from dulcet.errors import ConfigurationError, NoInputError

BATCH_OBJECTS = 200
EXIT_PARTLY_FAILED = 1


@click.command(name="index")
@click.argument("directory", type=FILE, metavar="DIRECTORY")
@click.option("--rebuild", is_flag=True, help="Forget the index and make it anew from the objects.")
@click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no prose.")
def index(directory: Path, rebuild: bool, as_json: bool, quiet: bool) -> int:
    """Look through a storage DIRECTORY and bring its index up to date.

    `dulcet serve --query` does that by itself, at the start and while it runs; both may be at it at once. The exit code
    is 1 when there are files that are no objects.
    """
    import sqlite3

    from dulcet.station.archive.index import Index
    from dulcet.station.archive.vault import SHARDS

    if not directory.is_dir():
        raise NoInputError(f"there is no directory {directory}")
    opened = Index(directory, anew=rebuild)
    changed = gone = 0
    try:
        for shard in SHARDS:
            found, missing = opened.differences(directory, shard)
            for start in range(0, max(len(found), 1), BATCH_OBJECTS):
                opened.take_in(found[start : start + BATCH_OBJECTS], missing if not start else ())
            changed, gone = changed + len(found), gone + len(missing)
        counts = opened.counts()
        unreadable = opened.unreadable()
    except (sqlite3.Error, OSError) as error:
        raise ConfigurationError(f"the index of {directory} can't be written: {error}") from error
    finally:
        opened.close()
    if as_json:
        click.echo(json.dumps({"v": 1, "changed": changed, "gone": gone, **counts}))
    elif not quiet:
        click.echo(
            f"{counts['instance']:,} objects in {counts['series']:,} series of {counts['study']:,} studies; "
            f"{changed:,} new or changed, {gone:,} gone."
        )
    for path, reason in unreadable:
        click.echo(f"dulcet: {path}: {reason}", err=True)
    return EXIT_PARTLY_FAILED if unreadable else 0
