"""Files of other programs in a storage directory: they look like objects, and the index does not see them."""

import os
from collections.abc import Iterator
from pathlib import Path

from dulcet.station.archive.vault import SHARDS

MAX_ENTRIES = 100_000  # looked at: names alone, so a second at most
MAX_DEPTH = 3  # a study's folder, a series' folder, files
SUFFIXES = (".dcm", ".dicom", ".ima")


def count_strangers(directory: Path) -> int:
    """How many files below `directory`, but not where objects lie, have a name like a DICOM file's; by names only.

    What can't be read counts for nothing. Memory: the folders that wait to be looked through, at most `MAX_ENTRIES`.
    """
    seen = found = 0
    waiting: list[tuple[str, int]] = [(os.fspath(directory), 0)]
    while waiting and seen < MAX_ENTRIES:
        folder, depth = waiting.pop()
        for entry in _entries(folder):
            seen += 1
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < MAX_DEPTH and not (depth == 0 and entry.name in SHARDS):
                    waiting.append((entry.path, depth + 1))
            elif entry.name.lower().endswith(SUFFIXES):
                found += 1
            if seen >= MAX_ENTRIES:
                break
    return found


def _entries(folder: str) -> Iterator["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        return
