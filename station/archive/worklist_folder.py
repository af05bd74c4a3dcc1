"""A modality worklist in a folder: a DICOM file for each scheduled procedure step, `*.wl` or `*.dcm`.

As DCMTK's wlmscpfs has them, so that `dump2dcm` and a text editor make a worklist. The folder is looked at for each
query, and what is new or changed in it is read.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import trio

from dulcet.errors import ArchiveError, ConfigurationError, DecodeError, NotDICOMError
from dulcet.escape import quote
from dulcet.services.part10 import read_header
from dulcet.services.querying.elements import read_elements
from dulcet.services.querying.identifiers import value_text
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET
from dulcet.services.worklist import WorklistItem
from dulcet.station.archive.telling import Tell
from dulcet.station.archive.vault import OPEN_FLAGS

SUFFIXES = (".wl", ".dcm")
MAX_FILES = 20_000
MAX_FILE_OCTETS = 1024 * 1024  # real ones are below 10 kB


class _Read(NamedTuple):
    version: tuple[int, int, int]
    item: WorklistItem | None
    """None: it is no worklist file."""


class WorklistFolder:
    """A `services.worklist.Worklist`. Files that can't be read are told of once, and left out."""

    def __init__(self, directory: Path, tell: Tell) -> None:
        """ConfigurationError when there is no such folder."""
        if not directory.is_dir():
            raise ConfigurationError(f"there is no folder {directory} for the worklist")
        self._directory = directory.absolute()
        self._tell = tell
        self._files: dict[str, _Read] = {}
        self._one_at_a_time = trio.CapacityLimiter(1)

    async def items(self) -> Sequence[WorklistItem]:
        """See `services.worklist.Worklist`."""
        try:
            faults = await trio.to_thread.run_sync(self._refresh, limiter=self._one_at_a_time)
        except OSError as error:
            raise ArchiveError(f"the worklist can't be read: {error.strerror}") from error
        for name, reason in faults:
            self._tell("worklist.file", name=name, reason=reason)
        return [read.item for read in self._files.values() if read.item is not None]

    def _refresh(self) -> list[tuple[str, str]]:
        """Read what has changed; (name, what is wrong) of what can't be read."""
        files: dict[str, _Read] = {}
        faults = []
        with os.scandir(self._directory) as entries:
            names = sorted(entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES))
        for name in names[:MAX_FILES]:
            try:
                status = os.stat(self._directory / name, follow_symlinks=False)
                version = status.st_mtime_ns, status.st_size, status.st_ino
                known = self._files.get(name)
                if known is not None and known.version == version:
                    files[name] = known
                    continue
                files[name] = _Read(version, read_item(self._directory / name))
            except FileNotFoundError:
                continue
            except (OSError, NotDICOMError, DecodeError) as error:
                files[name] = _Read(version, None)
                faults.append((quote(name), str(error)))
        self._files = files
        return faults


def read_item(path: Path) -> WorklistItem:
    """A worklist file. NotDICOMError, DecodeError or OSError when it is none."""
    descriptor = os.open(path, OPEN_FLAGS)
    try:
        header = read_header(descriptor)
        if header.file_size > MAX_FILE_OCTETS:
            raise NotDICOMError(f"it has {header.file_size} octets; a worklist file has at most {MAX_FILE_OCTETS}")
        octets = os.pread(descriptor, header.file_size, header.data_set_offset)
    finally:
        os.close(descriptor)
    elements = read_elements(octets, header.transfer_syntax_uid)
    terms = elements.get(SPECIFIC_CHARACTER_SET)
    return WorklistItem(elements, "" if terms is None else value_text(terms, ""))
