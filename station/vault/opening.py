"""Series handed to a viewer: copies with readable names in the user's cache, which only can be read."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dulcet.errors import ConfigurationError
from dulcet.station.archive.interfaces import ObjectStore
from dulcet.station.vault.exporting import Exported, copy_item
from dulcet.station.vault.layout import Item
from dulcet.station.vault.target import check_room, folder_target
from dulcet.station.vault.work import Work

KEPT_FOLDERS = 10  # the last that were opened; older ones are removed with the next
READ_ONLY = 0o400
EARLY_SECONDS = 2.0  # a viewer that ends so soon, and not well, has not opened anything


def cache_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Where folders for viewers are made: below `XDG_CACHE_HOME`, or the system's place for such things."""
    if sys.platform in ("win32", "darwin"):
        from platformdirs import user_cache_path

        return user_cache_path("dulcet", appauthor=False) / "opened"
    named = environment.get("XDG_CACHE_HOME", "").strip()
    return (Path(named) if named else Path.home() / ".cache") / "dulcet" / "opened"


def make_folder(store: ObjectStore, items: Sequence[Item], name: str, cache: Path, work: Work) -> tuple[Path, Exported]:
    """A folder with copies of a series, `name` in its own; what was wrong with them. OSError, StorageError.

    Copies, since a viewer could change a file through a link. One that is there already, whole, is used again.
    """
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    cache.chmod(0o700)
    folder = cache / name
    if _is_whole(folder, items):
        os.utime(folder)
        return folder, Exported()
    if folder.exists():
        shutil.rmtree(folder)
    _make_room(cache)
    check_room(folder, sum(item.instance.octets or 0 for item in items))
    exported = Exported()
    with folder_target(folder) as making:
        for item in items:
            copy_item(store, item, making / item.parts[-1], exported, work, mode=READ_ONLY)
        making.chmod(0o700)
    return folder, exported


def _is_whole(folder: Path, items: Sequence[Item]) -> bool:
    try:
        found = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(folder)}
    except OSError:
        return False
    wanted = {item.parts[-1]: item.instance for item in items}
    return found.keys() == wanted.keys() and all(
        status.st_size == wanted[name].octets and _came(wanted[name].arrival) <= status.st_mtime
        for name, status in found.items()
    )


def _came(arrival: object) -> float:
    return float(getattr(arrival, "received", 0)) / 1e9


def _make_room(cache: Path) -> None:
    """Remove all but the last folders that were opened, and what a kill has left."""
    folders = sorted((path for path in cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    leftover = [path for path in folders if path.name.endswith(".partial")]
    opened = [path for path in folders if path not in leftover]
    for path in (*leftover, *opened[: max(len(opened) - KEPT_FOLDERS + 1, 0)]):
        shutil.rmtree(path, ignore_errors=True)


def viewer(command: str | None) -> list[str]:
    """The command line that opens a folder, without the folder. ConfigurationError when there is none."""
    if command is not None:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise ConfigurationError(f"--with {command!r} is no command: {error}") from error
        if not words:
            raise ConfigurationError("--with needs a command")
    else:
        words = ["open" if sys.platform == "darwin" else "explorer" if sys.platform == "win32" else "xdg-open"]
    if shutil.which(words[0]) is None:
        what = f"there is no program {words[0]!r} to open a folder with"
        raise ConfigurationError(f"{what}: --with names a viewer, --print only makes the folder")
    return words


def hand_over(words: Sequence[str], folder: Path) -> None:
    """Start the viewer, which then goes on by itself. ConfigurationError when it fails at once."""
    try:
        running = subprocess.Popen(
            [*words, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigurationError(f"{words[0]} can't be started: {error.strerror or error}") from error
    with suppress(subprocess.TimeoutExpired):
        code = running.wait(EARLY_SECONDS)
        if code:
            raise ConfigurationError(f"{words[0]} could not open {folder}: it ended with {code}; --with names a viewer")
    running.returncode = 0  # it goes on, and is no child to wait for any more
