"""Series as a file-set with a DICOMDIR (PS3.10 8, PS3.3 Annex F): file IDs of at most 8 characters, files as they are.

pydicom makes the records from the heads of the objects; the objects themselves are copied octet for octet. What an
object lacks that its records must have is filled in there, and in nothing else.
"""

import hashlib
import os
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dulcet.escape import quote
from dulcet.station.archive.interfaces import ObjectStore
from dulcet.station.vault.exporting import Exported, copy_item
from dulcet.station.vault.layout import Item
from dulcet.station.vault.target import DICOMDIR, folder_target
from dulcet.station.vault.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset
    from pydicom.fileset import FileInstance, FileSet

MAX_VALUE_OCTETS = 64 * 1024  # of an element that may be part of a record; what is longer is none

_ENCAPSULATED_DOCUMENT = 0x00420011


def export_file_set(store: ObjectStore, items: Sequence[Item], path: Path, work: Work) -> Exported:
    """A folder with a DICOMDIR. What no record can be made for is left out, and named. As `exporting.export_folder`."""
    exported = Exported()
    with _file_set() as file_set, folder_target(path) as making:
        entered = _enter(store, items, file_set, exported, work)
        file_set.is_whole = True
        _write(file_set, making)
        for instance in list(file_set):
            place = Path(instance.path)
            place.unlink()
            if not copy_item(store, entered[str(instance.SOPInstanceUID)], place, exported, work):
                file_set.remove(instance)
        if file_set.is_staged:
            _write(file_set, None)
        with (making / DICOMDIR).open("rb") as file:
            os.fsync(file.fileno())
    return exported


@contextmanager
def _file_set() -> "Iterator[Any]":
    """An empty file-set. Nothing is checked: what is in an object was accepted long ago."""
    from pydicom.config import disable_value_validation
    from pydicom.fileset import FileSet

    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")

        class Growing(FileSet):
            """Looks for what it has already only when it is whole: each `add` would look through all of them."""

            is_whole = False

            def __iter__(self) -> "Iterator[FileInstance]":
                return super().__iter__() if self.is_whole else iter(())

        file_set = Growing()
        try:
            yield file_set
        finally:
            _clean(_stage_of(file_set))


def _write(file_set: "FileSet", path: Path | None) -> None:
    """Write all of it to a path, or its changed DICOMDIR."""
    stage = _stage_of(file_set)
    file_set.write(path, use_existing=path is None)
    _clean(stage)


def _stage_of(file_set: "FileSet") -> "TemporaryDirectory[str] | None":
    """The folder that pydicom keeps heads in, which it has a new one of after each `write`."""
    stage = getattr(file_set, "_stage", {}).get("t")
    return stage if isinstance(stage, TemporaryDirectory) else None


def _clean(stage: "TemporaryDirectory[str] | None") -> None:
    """Remove it now: heads name patients."""
    if stage is not None:
        stage.cleanup()


def _enter(
    store: ObjectStore, items: Sequence[Item], file_set: "FileSet", exported: Exported, work: Work
) -> dict[str, Item]:
    """Make the records; the items that have one, by their SOP Instance UID."""
    entered: dict[str, Item] = {}
    filler = _Filler()
    for item in items:
        work.check()
        name, uid = item.instance.name, item.instance.sop_instance_uid
        if uid in entered:
            exported.faults.append((name, "a file-set can't have two files with one UID: it is left out"))
            continue
        try:
            head = _head(store, name)
            filler.fill(head)
            file_set.add(head)
        except FileNotFoundError:
            exported.faults.append((name, "it is not there any more"))
        # pydicom has no base class for what goes wrong in a file, and in a hostile one nearly everything can.
        except (Exception, RecursionError) as error:
            exported.faults.append((name, f"it has no place in a DICOMDIR, and is left out: {quote(str(error), 200)}"))
        else:
            entered[uid] = item
    return entered


def _head(store: ObjectStore, name: str) -> "Dataset":
    """An object without pixel data and without long values."""
    import pydicom
    from pydicom.dataset import FileDataset

    with store.open(name) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        whole = pydicom.dcmread(file, stop_before_pixels=True, force=True, defer_size=MAX_VALUE_OCTETS)
    head = FileDataset(name, {}, file_meta=whole.file_meta)
    implicit, little_endian = whole.original_encoding
    head.set_original_encoding(implicit, little_endian, whole.original_character_set)
    for tag in list(whole.keys()):
        element: Any = whole.get_item(tag)
        if tag == _ENCAPSULATED_DOCUMENT:
            head.add_new(tag, "OB", b"\0\0")
        elif getattr(element, "length", 0) <= MAX_VALUE_OCTETS and not tag.is_private:
            head[tag] = element
    return head


class _Filler:
    """Gives an object's records what PS3.3 F.5 wants them to have (type 1), where the object hasn't it."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {}

    def fill(self, head: "Dataset") -> None:
        """Of values that are there nothing is changed."""
        study = self._number("", str(head.get("StudyInstanceUID", "")))
        series = self._number(str(head.get("StudyInstanceUID", "")), str(head.get("SeriesInstanceUID", "")))
        image = self._number(str(head.get("SeriesInstanceUID", "")), str(head.SOPInstanceUID))
        for keyword, value in (
            ("PatientID", f"WITHOUT-ID-{study}"),
            ("StudyDate", head.get("SeriesDate") or head.get("ContentDate") or "19000101"),
            ("StudyTime", "000000"),
            ("StudyID", str(study)),
            ("Modality", "OT"),
            ("StudyInstanceUID", _uid_for(f"study of {head.get('PatientID', '')}")),
            ("SeriesInstanceUID", _uid_for(f"series of {head.get('StudyInstanceUID', '')}")),
            ("SeriesNumber", str(series)),
            ("InstanceNumber", str(image)),
        ):
            if not head.get(keyword) and head.get(keyword) != 0:
                setattr(head, keyword, value)

    def _number(self, above: str, uid: str) -> int:
        """1, 2, ... for what is below something."""
        numbers = self._numbers.setdefault(above, {})
        return numbers.setdefault(uid, len(numbers) + 1)


def _uid_for(what: str) -> str:
    """A UID for what objects don't name (PS3.5 B.2)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(what.encode()).digest()[:16])}"
