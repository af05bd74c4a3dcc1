"""`dulcet series open` and `dulcet series export`."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dulcet.commands.options import FILE
from dulcet.commands.series_options import (
    EXIT_PARTLY_FAILED,
    SERIES,
    chosen,
    described,
    opened,
    perform,
    vault_options,
)
from dulcet.errors import ConfigurationError, NoInputError
from dulcet.station.sending.progress import Transfer
from dulcet.station.vault.open_vault import Vault
from dulcet.station.vault.work import Work

if TYPE_CHECKING:
    from dulcet.station.archive.series import Series
    from dulcet.station.vault.exporting import Exported
    from dulcet.station.vault.layout import Item
from dulcet.station.figures import plural, size


@click.command("open")
@click.argument("series", metavar=SERIES)
@vault_options
@click.option("--with", "command", metavar="COMMAND", help="A viewer; the folder is its last argument.")
@click.option("--print", "prints", is_flag=True, help="Only make the folder, and print its path.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no prose.")
def open_series(series: str, directory: Path, no_update: bool, command: str | None, prints: bool, quiet: bool) -> int:
    """Open SERIES in a viewer: the system's own for folders, or --with one.

    What is opened are copies that can only be read, in a folder of the user's cache: whatever a viewer does, the vault
    stays as it is. The last ten folders are kept.
    """
    from dulcet.station.vault.layout import folder_of
    from dulcet.station.vault.opening import cache_path, hand_over, make_folder, viewer

    words = [] if prints else viewer(command)
    with opened(directory, no_update=no_update) as vault:
        (uid,) = chosen(vault.index, [series])
        found, items = _items(vault, [uid])
        work = _work(items)
        name = f"{folder_of(found[0])}-{hashlib.sha256(uid.encode()).hexdigest()[:8]}"
        folder, exported = perform(
            work, lambda work: make_folder(vault.store, items, name, cache_path(), work), quiet=quiet
        )
    _tell_faults(vault, exported)
    if prints:
        click.echo(folder)
    else:
        hand_over(words, folder)
        if not quiet:
            click.echo(f"{plural(len(items), 'file')} in {folder}")
    return EXIT_PARTLY_FAILED if exported.faults else 0


@click.command("export")
@click.argument("series", nargs=-1, metavar=f"[{SERIES}...]")
@click.option("--study", metavar="UID", help="All series of a study.")
@click.option("--to", "target", type=FILE, required=True, metavar="PATH", help="What to make; it must not be there.")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["folder", "zip", "dicomdir"]),
    help="A folder, a zip file, a file-set with a DICOMDIR. [default: folder, or zip for a PATH that ends so]",
)
@vault_options
@click.option("-q", "--quiet", is_flag=True, help="No progress, no prose.")
def export(
    series: tuple[str, ...],
    study: str | None,
    target: Path,
    kind: str | None,
    directory: Path,
    no_update: bool,
    quiet: bool,
) -> int:
    """Write SERIES, or a study, to PATH: the files as they are, under names that people can read.

    Nothing is overwritten, and PATH appears when it is whole; an empty folder may be filled. Each file is compared with
    its recorded hash on the way: the exit code is 1 if one differs, or can't be read.
    """
    if not series and study is None:
        raise click.UsageError("what should be exported? Name series, or a study with --study")
    kind = kind or ("zip" if target.name.lower().endswith(".zip") else "folder")
    with opened(directory, no_update=no_update) as vault:
        found, items = _items(vault, chosen(vault.index, series, study))
        exported = _export(vault, items, target, kind, quiet=quiet)
    if not quiet:
        made = f"{plural(exported.files, 'file')} of {plural(len(found), 'series', 'series')}"
        click.echo(f"{made} in {target}: {size(exported.octets)}")
    _tell_faults(vault, exported)
    return EXIT_PARTLY_FAILED if exported.faults else 0


def _export(vault: Vault, items: "Sequence[Item]", target: Path, kind: str, *, quiet: bool) -> "Exported":
    from dulcet.station.vault.exporting import export_folder, export_zip
    from dulcet.station.vault.file_sets import export_file_set
    from dulcet.station.vault.target import check_room, check_target

    try:
        check_target(target, may_be_empty_folder=kind != "zip")
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from error
    work = _work(items)
    check_room(target, work.transfer.total_octets)
    functions: dict[str, Callable[..., Exported]] = {
        "folder": export_folder,
        "zip": export_zip,
        "dicomdir": export_file_set,
    }
    try:
        return perform(work, lambda work: functions[kind](vault.store, items, target, work), quiet=quiet)
    except OSError as error:
        raise ConfigurationError(f"{target} can't be written: {error.strerror or error}") from error


def _items(vault: Vault, uids: Sequence[str]) -> "tuple[list[Series], list[Item]]":
    """The files of series, and where each goes. NoInputError when nothing of one is left."""
    from dulcet.station.vault.layout import laid_out
    from dulcet.station.vault.naming import shown

    found = described(vault.index, uids)
    lost = set(uids) - {each.series_instance_uid for each in found}
    if lost:
        names = ", ".join(sorted(map(shown, lost)))
        raise NoInputError(f"of series {names} nothing is left but the record that it came")
    return found, laid_out((each, vault.index.instances(each.series_instance_uid)) for each in found)


def _work(items: "Sequence[Item]") -> Work:
    from dulcet.station.vault.removing import octets_of

    octets = sum(octets_of(item.instance) for item in items)
    return Work(Transfer(total_objects=len(items), total_octets=octets))


def _tell_faults(vault: Vault, exported: "Exported") -> None:
    for name, reason in exported.faults:
        click.echo(f"dulcet: {vault.store.place(name)}: {reason}", err=True)
