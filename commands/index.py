"""`dulcet index`: bring the index of a storage directory up to date, or make it anew."""

import json
from pathlib import Path

import click

from dulcet.commands.options import FILE
from dulcet.errors import ArchiveError, ConfigurationError, NoInputError
from dulcet.station.events import json_head
from dulcet.station.figures import plural

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
    from dulcet.station.archive.folder_store import FolderStore
    from dulcet.station.archive.index import Index
    from dulcet.station.archive.upkeep import bring_up_to_date
    from dulcet.station.vault.other_layout import count_strangers

    if not directory.is_dir():
        raise NoInputError(f"there is no directory {directory}")
    store = FolderStore(directory)
    opened = Index(directory, anew=rebuild)
    try:
        changes = bring_up_to_date(store, opened)
        counts = opened.counts()
        unreadable = opened.unreadable()
    except (ArchiveError, OSError) as error:
        raise unusable(directory, error) from error
    finally:
        opened.close()
    if as_json:
        click.echo(json.dumps({**json_head("index"), "changed": changes.changed, "gone": changes.gone, **counts}))
    elif not quiet:
        click.echo(
            f"{plural(counts['instance'], 'object')} in {plural(counts['series'], 'series', 'series')} of "
            f"{plural(counts['study'], 'study', 'studies')}; {changes.changed:,} new or changed, {changes.gone:,} gone."
        )
    if not quiet and (strangers := count_strangers(directory)):
        click.echo(f"dulcet: {_not_ours(strangers, directory)}", err=True)
    for name, reason in unreadable:
        click.echo(f"dulcet: {store.place(name)}: {reason}", err=True)
    return EXIT_PARTLY_FAILED if unreadable else 0


def _not_ours(count: int, directory: Path) -> str:
    files = "1 file like *.dcm lies" if count == 1 else f"{count:,} files like *.dcm lie"
    how = f"`dulcet serve` names and places its objects itself, and takes others with `dulcet send PEER {directory}`"
    return f"{files} in {directory} in another layout, so the index does not have them: {how}"


def unusable(directory: Path, error: ArchiveError | OSError) -> ConfigurationError:
    """What a person is told when index or record, or the directory, can't be used."""
    why = error.strerror or str(error) if isinstance(error, OSError) else f"{error}: {error.detail}"
    return ConfigurationError(f"{directory} can't be used: {why}")
