"""The files that a DICOMDIR refers to (PS3.3 Annex F, PS3.10 8.5), and none outside of its folder."""

import os
import warnings
from typing import TYPE_CHECKING, Any

from dulcet.escape import quote
from dulcet.station.sending.found import Problem, Unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_DICOMDIR_OCTETS = 256 * 1024 * 1024  # one record takes about 500 octets; it is read whole, and a CD's has 1 MB
RECORD_INACTIVE = 0x0000  # (0004,1410) Record In-use Flag, retired


def referenced_files(path: str) -> "Iterator[str | Unusable]":
    """The paths of the files that the DICOMDIR at `path` refers to, each once, in its order.

    A Referenced File ID (0004,1500) is a peer's string: each of its components has to be a plain name, and what they
    lead to, links resolved, has to lie below the folder of the DICOMDIR. Names are matched without regard to case when
    there is no other, since some systems show a CD in lower case. What is missing or refused is an `Unusable`.

    Imports pydicom and reads the DICOMDIR whole: memory is a few times its size, which is bounded.
    """
    try:
        if os.stat(path).st_size > MAX_DICOMDIR_OCTETS:
            yield _unusable(path, f"the DICOMDIR is larger than {MAX_DICOMDIR_OCTETS} octets")
            return
        file_ids = _referenced_file_ids(path)
    # pydicom has no base class for what goes wrong in a file, and a hostile one can make nearly everything go wrong.
    except (Exception, RecursionError) as error:
        yield _unusable(path, f"the DICOMDIR can't be read: {quote(str(error))}")
        return
    folder = _Folder(os.path.dirname(path))
    if not file_ids:
        yield Unusable(name=path, problem=Problem.NO_INPUT, reason="the DICOMDIR refers to no files")
    for components in dict.fromkeys(file_ids):
        yield folder.find(components)


def _unusable(path: str, reason: str) -> Unusable:
    return Unusable(name=path, problem=Problem.UNREADABLE, reason=reason)


def _referenced_file_ids(path: str) -> list[tuple[str, ...]]:
    import pydicom
    from pydicom.config import disable_value_validation

    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")
        records: Any = pydicom.dcmread(path).get("DirectoryRecordSequence", ())
        file_ids = []
        for record in records or ():
            value = record.get("ReferencedFileID")
            if value and record.get("RecordInUseFlag") != RECORD_INACTIVE:
                file_ids.append((value,) if isinstance(value, str) else tuple(map(str, value)))
        return file_ids


class _Folder:
    """The DICOMDIR's folder, in which names are found without leaving it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._real_path = os.path.realpath(path or os.curdir)
        self._names: dict[str, dict[str, str]] = {}

    def find(self, components: tuple[str, ...]) -> str | Unusable:
        named = os.path.join(self._path, *(component.replace("/", "\\") for component in components))
        if not all(map(_is_plain_name, components)):
            reason = "the DICOMDIR refers to it by something that is not the name of a file"
            return Unusable(name=named, problem=Problem.UNSAFE, reason=reason)
        path = self._path
        for component in components:
            path = self._child(path, component)
        real_path = os.path.realpath(path)
        if os.path.commonpath([self._real_path, real_path]) != self._real_path:
            reason = "the DICOMDIR refers to it, but it lies outside of its folder"
            return Unusable(name=named, problem=Problem.UNSAFE, reason=reason)
        if not os.path.isfile(path):
            reason = "the DICOMDIR refers to it, but there is no such file"
            return Unusable(name=named, problem=Problem.NO_INPUT, reason=reason)
        return path

    def _child(self, folder: str, name: str) -> str:
        exact = os.path.join(folder, name)
        if os.path.lexists(exact):
            return exact
        if folder not in self._names:
            try:
                self._names[folder] = {found.casefold(): found for found in os.listdir(folder or os.curdir)}
            except OSError:
                self._names[folder] = {}
        return os.path.join(folder, self._names[folder].get(name.casefold(), name))


def _is_plain_name(component: str) -> bool:
    return component not in ("", os.curdir, os.pardir) and not set(component) & set("/\\\0")
