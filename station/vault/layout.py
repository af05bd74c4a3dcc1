"""How series are laid out in a folder or a zip file: names that people and every file system can read.

Nothing of a patient is in a name, and no string of a peer is: of descriptions only letters and digits are left.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dulcet.station.archive.series import Instance, Series

MAX_WORD_CHARACTERS = 24  # of a description
MAX_NAME_CHARACTERS = 60

_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the vault, and where it goes."""

    instance: Instance
    parts: tuple[str, ...]
    """Names of folders, and of the file."""


def plain(text: str, limit: int = MAX_WORD_CHARACTERS) -> str:
    """The letters and digits of a text, with hyphens between."""
    return _NOT_PLAIN.sub("-", text)[:limit].strip("-")


def folder_of(series: Series) -> str:
    """A name for a series: number, modality, description."""
    words = (plain(series.series_number, 6).zfill(3), plain(series.modality, 8), plain(series.series_description))
    return "_".join(filter(None, words))[:MAX_NAME_CHARACTERS]


def study_folder_of(series: Series) -> str:
    """A name for a study: date, description."""
    words = (plain(series.study_date, 8) or "undated", plain(series.study_description))
    return "_".join(filter(None, words))[:MAX_NAME_CHARACTERS]


def laid_out(series: Iterable[tuple[Series, Sequence[Instance]]]) -> list[Item]:
    """Folders for studies, in them folders for series, in them `0001.dcm` and so on, by instance number."""
    names: dict[tuple[str, ...], str] = {}
    items: list[Item] = []
    for each, instances in series:
        study = _unique(names, (), study_folder_of(each), each.study_instance_uid)
        folder = _unique(names, (study,), folder_of(each), each.series_instance_uid)
        width = max(4, len(str(len(instances))))
        for number, instance in enumerate(instances, 1):
            items.append(Item(instance, (study, folder, f"{number:0{width}}.dcm")))
    return items


def _unique(names: dict[tuple[str, ...], str], above: tuple[str, ...], name: str, uid: str) -> str:
    """`name`, with a number behind it where another study or series has it."""
    for number in range(1, len(names) + 2):
        tried = name if number == 1 else f"{name}-{number}"
        if names.setdefault((*above, tried.casefold()), uid) == uid:
            return tried
    raise AssertionError
