"""What an archive stands on: an index, a record of what came, and a store of objects, each an interface.

The embedded ones, SQLite and a folder, are the default. A database server and an object store could take their place:
nothing above this module would change. Whatever takes their place has to pass the tests of the contract,
`tests/station/vault/test_vault_contract.py`. All but `begin` is synchronous, and runs in threads, several at once.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from dulcet.services.object_to_send import ObjectToSend
from dulcet.services.part10 import Part10Header
from dulcet.services.querying.query import Retrieval, Search
from dulcet.services.querying.responding import Page
from dulcet.services.storage_scp import Incoming
from dulcet.station.archive.arrivals import Arrival, NewArrival
from dulcet.station.archive.series import Instance, Series, Wanted
from dulcet.station.archive.vault import Entry, Listed, Unreadable


class Kept(NamedTuple):
    """An object that was to be removed, and is still there."""

    name: str
    reason: str
    """In a sentence, safe to show."""


class ObjectStore(Protocol):
    """Keeps objects, each under a name (`vault.name_of`). OSError when it can't do what is asked."""

    @property
    def parts(self) -> Sequence[str]:
        """What it is listed by: part for part, so that no list is as long as the store is large."""

    def begin(
        self, *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, calling_ae_title: str = ""
    ) -> Incoming:
        """Take an object; see `services.storage.Storage.begin`."""

    def list(self, part: str) -> Iterable[Listed]:
        """What is in a part, in any order."""

    def open(self, name: str) -> AbstractContextManager[int]:
        """A descriptor to read the object's file from by `pread`, for as long as the block lasts. FileNotFoundError."""

    def place(self, name: str) -> str:
        """Where it is, in words that the transfer queue uses too: for a folder its path."""

    def make_durable(self, name: str) -> None:
        """The object survives a crash, if it did not before. FileNotFoundError."""

    def to_send(self, header: Part10Header) -> ObjectToSend:
        """The first object with a UID, as a C-MOVE or C-GET sends it."""

    def remove(self, names: Iterable[str]) -> Sequence[Kept]:
        """Remove objects so that they stay removed, also after a crash. What is not there is removed already."""

    def close(self) -> None:
        """Let go of it. Harmless when repeated."""


class ArrivalBook(Protocol):
    """Records what came. ArchiveError when it can't be read or written."""

    def add(self, arrivals: Iterable[NewArrival]) -> None:
        """Record that these came.

        What was recorded under the same name is forgotten, or, if the new one `replaces` it, no longer current. What
        was found (`How.FOUND`) is recorded only if nothing is recorded under its name.
        """

    def names(self, part: str) -> Collection[str]:
        """All that are recorded in a part of the store, gone or not."""

    def get(self, names: Iterable[str]) -> Mapping[str, Arrival]:
        """What is recorded of these, now."""

    def of_series(self, series_instance_uid: str) -> Sequence[Arrival]:
        """Of a series, those too whose place another object took; the oldest first."""

    def after(self, id: int, limit: int, *, unhashed: bool = False) -> Sequence[Arrival]:
        """The next with a larger ID, now, in order; only those without a hash, or all."""

    def hashed(self, hashes: Iterable[tuple[int, bytes, int]]) -> None:
        """(ID, SHA-256, octets) of files that were read. Nothing is done for one that has a hash."""

    def leaving(self, names: Iterable[str]) -> None:
        """These are about to be removed from the store: if they are found missing, that was meant."""

    def forget(self, names: Iterable[str], is_there: Callable[[str], bool]) -> None:
        """Forget what was removed. `is_there` is asked while nobody else writes: what came again is not forgotten."""

    def settle(self, is_there: Callable[[str], bool]) -> None:
        """After a removal that was cut off: forget what is gone, and what is there is no longer about to be removed."""

    def close(self) -> None:
        """Let go of it. Harmless when repeated."""


class VaultIndex(Protocol):
    """Knows every object by its attributes; made anew from the objects at any time. ArchiveError, as said."""

    @property
    def arrivals(self) -> ArrivalBook:
        """The record that belongs to it."""

    def known(self, part: str) -> Mapping[str, tuple[int, int]]:
        """(size, modified) of each object of a part, the unreadable ones too, by its UID."""

    def update(self, found: Iterable[Entry | Unreadable], gone: Iterable[str] = ()) -> None:
        """Take in what was found, in place of what was known of it, and forget what is gone; all or nothing."""

    def forget(self, names: Iterable[str], is_there: Callable[[str], bool]) -> None:
        """Forget objects, and their arrivals, but those that are there again when nobody else writes."""

    def counts(self) -> Mapping[str, int]:
        """How many of `patient`, `study`, `series`, `instance` and `unreadable` there are."""

    def unreadable(self, limit: int = 100) -> Sequence[tuple[str, str]]:
        """(name, why) of files that are no objects; the first of them."""

    def page(self, search: Search, after: int, seconds: float) -> Page[Sequence[str]]:
        """The next slice of matches. ArchiveError when it takes longer than `seconds`."""

    def headers(self, retrieval: Retrieval, limit: int, seconds: float) -> Sequence[Part10Header]:
        """What a retrieval is about, at most `limit`. ArchiveError when it takes longer than `seconds`."""

    def series(self, wanted: Wanted, limit: int | None = None) -> Sequence[Series]:
        """What arrived last comes first."""

    def series_uids(self) -> Collection[str]:
        """Of every series, those too of which nothing is left but the record that it came."""

    def attributes(self, series_instance_uid: str) -> Mapping[str, str]:
        """Of a series, its study and its patient, by name; empty when it is not known."""

    def instances(self, series_instance_uid: str) -> Sequence[Instance]:
        """The objects of a series, by instance number; those too that are recorded and gone, or lie beside another."""

    def close(self) -> None:
        """Let go of it. Harmless when repeated."""
