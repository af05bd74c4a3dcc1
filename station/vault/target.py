"""Where an export goes: it appears under its name when it is whole and on the disk, and nothing is ever overwritten."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dulcet.dimse.status import OUT_OF_RESOURCES
from dulcet.errors import ConfigurationError, NoInputError, StorageError
from dulcet.station.figures import size

SPARE_OCTETS = 16 * 1024 * 1024  # for names, directories, and who else writes there
DICOMDIR = "DICOMDIR"

_NO_HARD_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def check_target(path: Path, *, may_be_empty_folder: bool) -> None:
    """ConfigurationError when something is there already, NoInputError when there is no folder to put it in."""
    if not path.parent.is_dir():
        raise NoInputError(f"there is no folder {path.parent}")
    if not os.path.lexists(path) or (may_be_empty_folder and _is_empty_folder(path)):
        return
    raise ConfigurationError(f"{path} is there already, and nothing is overwritten: name another place")


def check_room(path: Path, octets: int) -> None:
    """StorageError when there is no room for so many octets where `path` is to be."""
    free = shutil.disk_usage(path if path.is_dir() else path.parent).free
    if free < octets + SPARE_OCTETS:
        missing = octets + SPARE_OCTETS - free
        raise StorageError(
            f"{size(octets)} don't fit where {path} is to be: {size(missing)} too few are free",
            status=OUT_OF_RESOURCES,
        )


def _is_empty_folder(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return False
    with os.scandir(path) as entries:
        return next(entries, None) is None


@contextmanager
def folder_target(path: Path) -> Iterator[Path]:
    """A folder to fill, which is `path` when the block ends well. An empty folder is filled, so that a stick can be.

    OSError, ConfigurationError. Whatever ends the block otherwise, nothing of it is left; a kill leaves a folder whose
    name ends in `.partial`.
    """
    inside = _is_empty_folder(path)
    making = (path if inside else path.parent) / f".{'' if inside else path.name}{secrets.token_hex(6)}.partial"
    making.mkdir()
    try:
        yield making
        _sync_folders(making)
        if inside:
            _move_up(making, path)
        else:
            check_target(path, may_be_empty_folder=False)
            making.rename(path)
        sync_folder(path.parent)
    finally:
        shutil.rmtree(making, ignore_errors=True)


def _move_up(making: Path, path: Path) -> None:
    names = sorted(os.listdir(making), key=lambda name: (name == DICOMDIR, name))  # the index of a file-set comes last
    for name in names:
        (making / name).rename(path / name)
    sync_folder(path)


@contextmanager
def file_target(path: Path) -> Iterator[Path]:
    """A file to make, which is `path` when the block ends well. As `folder_target`."""
    making = path.parent / f".{path.name}{secrets.token_hex(6)}.partial"
    try:
        yield making
        _publish(making, path)
        sync_folder(path.parent)
    finally:
        with suppress(FileNotFoundError):
            making.unlink()


def _publish(making: Path, path: Path) -> None:
    """Give a file its name, unless something has it."""
    try:
        os.link(making, path, follow_symlinks=False)
    except FileExistsError:
        check_target(path, may_be_empty_folder=False)
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        check_target(path, may_be_empty_folder=False)
        making.rename(path)


def sync_folder(path: Path) -> None:
    """What is in a folder is found after a crash."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some file systems have no use for it
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folders(top: Path) -> None:
    for folder, _, _ in os.walk(top):
        sync_folder(Path(folder))
