"""Series written elsewhere, octet for octet: as a folder or a zip file. `file_sets` writes those with a DICOMDIR.

What is copied is compared with its recorded hash on the way, which costs next to nothing: what is not as it came is
named, and so is what can't be read.
"""

import hashlib
import os
import time
import zipfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from dulcet.dimse.transfer_syntaxes import TRANSFER_SYNTAXES
from dulcet.errors import SourceError
from dulcet.station.archive.interfaces import ObjectStore
from dulcet.station.archive.upkeep import READ_OCTETS
from dulcet.station.vault.layout import Item
from dulcet.station.vault.target import file_target, folder_target
from dulcet.station.vault.verifying import Verdict, judge
from dulcet.station.vault.work import Work

FILE_MODE = 0o666  # less the umask
Write = Callable[[memoryview], object]

_COPY = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@dataclass(slots=True)
class Exported:
    """What came out."""

    files: int = 0
    octets: int = 0
    faults: list[tuple[str, str]] = field(default_factory=list)
    """(name in the vault, what is wrong with it, in a sentence that is safe to show)."""


def export_folder(store: ObjectStore, items: Sequence[Item], path: Path, work: Work) -> Exported:
    """As `layout.laid_out` says. OSError, ConfigurationError. KeyboardInterrupt when the work is stopped."""
    exported = Exported()
    with folder_target(path) as making:
        for item in items:
            copy_item(store, item, making.joinpath(*item.parts), exported, work)
    return exported


def export_zip(store: ObjectStore, items: Sequence[Item], path: Path, work: Work) -> Exported:
    """The same in a zip file; what is compressed already is not compressed again. As `export_folder`.

    SourceError for a file that can't be read to its end: its beginning can't be taken out of the zip file again.
    """
    exported = Exported()
    with file_target(path) as making, making.open("xb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for item in items:
                _copy(store, item, partial(_member, archive, item), exported, work, gives_up=True)
        file.flush()
        os.fsync(file.fileno())
    return exported


@contextmanager
def _member(archive: zipfile.ZipFile, item: Item) -> Iterator[Write]:
    received = 0 if item.instance.arrival is None else item.instance.arrival.received // 10**9
    info = zipfile.ZipInfo("/".join(item.parts), max(time.localtime(received)[:6], (1980, 1, 1, 0, 0, 0)))
    syntax = TRANSFER_SYNTAXES.get(item.instance.transfer_syntax_uid)
    is_compressed = syntax is None or syntax.encapsulated or syntax.deflated
    info.compress_type = zipfile.ZIP_STORED if is_compressed else zipfile.ZIP_DEFLATED
    info.external_attr = 0o100644 << 16
    with archive.open(info, "w", force_zip64=True) as member:
        yield member.write


def copy_item(
    store: ObjectStore, item: Item, path: Path, exported: Exported, work: Work, *, mode: int = FILE_MODE
) -> bool:
    """Copy a file of the vault, durably; whether it is there now. What is wrong with it is in `exported`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if _copy(store, item, partial(_file, path, mode), exported, work):
        return True
    path.unlink(missing_ok=True)
    return False


@contextmanager
def _file(path: Path, mode: int) -> Iterator[Write]:
    with os.fdopen(os.open(path, _COPY, mode), "wb") as file:
        yield file.write
        file.flush()
        os.fsync(file.fileno())


def _copy(
    store: ObjectStore,
    item: Item,
    opened: Callable[[], AbstractContextManager[Write]],
    exported: Exported,
    work: Work,
    *,
    gives_up: bool = False,
) -> bool:
    """Copy into what is opened once there is something to write. `gives_up`: raise SourceError in the middle of it."""
    work.check()
    name, digest, count = item.instance.name, hashlib.sha256(), 0
    with closing(_octets_of(store, name)) as source:
        try:
            first = next(source, memoryview(b""))
            with opened() as write:
                for octets in chain((first,), source):
                    digest.update(octets)
                    write(octets)
                    count += len(octets)
                    work.octets(len(octets))
        except SourceError as error:
            if gives_up and count:
                raise
            exported.faults.append((name, str(error)))
            work.object(failed=True)
            return False
    if item.instance.arrival is not None:
        found = judge(item.instance.arrival, digest.digest(), count)
        if found.verdict is Verdict.CHANGED:
            exported.faults.append((name, found.reason))
    exported.files += 1
    exported.octets += count
    work.object()
    return True


def _octets_of(store: ObjectStore, name: str) -> Generator[memoryview, None, None]:
    """The octets of a file, in parts; each is valid until the next. SourceError."""
    try:
        with store.open(name) as descriptor:
            buffer = memoryview(bytearray(READ_OCTETS))
            position = 0
            while octets := os.preadv(descriptor, [buffer], position):
                yield buffer[:octets]
                position += octets
    except FileNotFoundError as error:
        raise SourceError("it is not there any more") from error
    except OSError as error:
        raise SourceError(f"it can't be read: {error.strerror or error}") from error
