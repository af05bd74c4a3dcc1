"""What there is to send: files, folders, DICOMDIRs and zip files.

Nothing here raises for a single bad file: what can't be sent is a value, `Unusable`, beside what can, so that a report
names every file. Names are raw, as the file system or an archive has them: `dulcet.escape.quote` them before showing.
"""

import os
import stat
from typing import TYPE_CHECKING

from dulcet.dimse.uids import MEDIA_STORAGE_DIRECTORY
from dulcet.station.sending.found import FileToSend, OpenedFile, Problem, Unusable, examine, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["FileToSend", "OpenedFile", "Problem", "Unusable", "find_files"]

DICOMDIR = "DICOMDIR"  # PS3.10 8.6: the File ID of the index of a file-set


def find_files(paths: "Iterable[str | os.PathLike[str]]") -> "Iterator[FileToSend | Unusable]":
    """Everything that `paths` name: files, folders with all below them, DICOMDIRs and zip files.

    In the order of `paths`; inside a folder and an archive sorted by name. In a folder, names that begin with a dot are
    passed over; a DICOMDIR is not sent, and what it refers to is found anyway; links are followed, but no folder is
    entered twice, so that a loop ends. A DICOMDIR that is named itself stands for the files that it refers to.

    Lazy and synchronous: iterate in a thread. One open and the reads of `read_header` for each file; no descriptor
    stays open but that of an archive while its members come out. Memory: the names of the folders on the way down.
    """
    for given in paths:
        path = os.fspath(given)
        try:
            mode = os.stat(path).st_mode
        except OSError as error:
            yield unreadable(path, error)
            continue
        except ValueError:
            yield Unusable(name=path, problem=Problem.NO_INPUT, reason="no file can have this name")
            continue
        if stat.S_ISDIR(mode):
            yield from _below(path)
        elif stat.S_ISREG(mode):
            yield from _named(path)
        else:
            yield Unusable(name=path, problem=Problem.NOT_DICOM, reason="it is neither a file nor a folder")


def _named(path: str) -> "Iterator[FileToSend | Unusable]":
    """A file that was asked for by its name, whatever it is."""
    found = examine(path)
    if isinstance(found, FileToSend):
        if found.header.sop_class_uid == MEDIA_STORAGE_DIRECTORY:
            yield from _referenced_by(path)
        else:
            yield found
    elif os.path.basename(path).upper() == DICOMDIR and found.problem is Problem.INCOMPLETE:
        yield from _referenced_by(path)
    elif found.problem is Problem.NOT_DICOM and (members := _members_of(path, is_failure=True)) is not None:
        yield from members
    else:
        yield found


def _referenced_by(path: str) -> "Iterator[FileToSend | Unusable]":
    from dulcet.station.sending.dicomdir import referenced_files  # needs pydicom, which nothing else here does

    for referenced in referenced_files(path):
        yield examine(referenced) if isinstance(referenced, str) else referenced


def _members_of(path: str, *, is_failure: bool) -> "Iterator[FileToSend | Unusable] | None":
    from dulcet.station.sending.archives import (  # loads what most folders don't need
        find_in_archive,
        looks_like_archive,
    )

    return find_in_archive(path, is_failure=is_failure) if looks_like_archive(path) else None


def _below(folder: str) -> "Iterator[FileToSend | Unusable]":
    """Everything in a folder and below, depth first, without recursion: a path can be deeper than Python's stack."""
    entered: set[tuple[int, int]] = set()
    nothing = True
    ways = [iter(_entries(folder, entered))]
    while ways:
        entry = next(ways[-1], None)
        if entry is None:
            ways.pop()
            continue
        if not isinstance(entry, Unusable) and _is(entry.is_dir):
            ways.append(iter(_entries(entry.path, entered)))
            continue
        nothing = False
        if isinstance(entry, Unusable):
            yield entry
        else:
            yield from _inside_folder(entry)
    if nothing:
        yield Unusable(name=folder, problem=Problem.NO_INPUT, reason="the folder holds no files")


def _entries(folder: str, entered: set[tuple[int, int]]) -> "list[os.DirEntry[str] | Unusable]":
    """What a folder holds, sorted; nothing if it was entered before, by whatever name."""
    try:
        status = os.stat(folder)
        identity = (status.st_dev, status.st_ino)
        if identity in entered:
            return []
        entered.add(identity)
        with os.scandir(folder) as entries:
            found = sorted((entry for entry in entries if not entry.name.startswith(".")), key=_name)
            return [*found]
    except OSError as error:
        return [unreadable(folder, error)]


def _name(entry: "os.DirEntry[str]") -> str:
    return entry.name


def _inside_folder(entry: "os.DirEntry[str]") -> "Iterator[FileToSend | Unusable]":
    """A file that lies in a folder: nobody asked for it by name, so it may be something else."""
    path = entry.path
    if not _is(entry.is_file):
        yield _not_regular(entry)
        return
    if path[-4:].lower() == ".zip" and (members := _members_of(path, is_failure=False)) is not None:
        yield from members
        return
    found = examine(path, is_failure=False)
    is_index = isinstance(found, FileToSend) and found.header.sop_class_uid == MEDIA_STORAGE_DIRECTORY
    if is_index or entry.name.upper() == DICOMDIR:
        reason = "it is an index; the files that it refers to are found in its folder"
        yield Unusable(name=path, problem=Problem.INCOMPLETE, reason=reason, is_failure=False)
    else:
        yield found


def _is(question: "Callable[[], bool]") -> bool:
    """The answer of a directory entry; no for a link that leads to itself."""
    try:
        return question()
    except OSError:
        return False


def _not_regular(entry: "os.DirEntry[str]") -> Unusable:
    if entry.is_symlink():
        return Unusable(name=entry.path, problem=Problem.UNREADABLE, reason="it is a link that leads nowhere")
    reason = "it is neither a file nor a folder"
    return Unusable(name=entry.path, problem=Problem.NOT_DICOM, reason=reason, is_failure=False)
