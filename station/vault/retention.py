"""How long series are kept, and how many octets of them: looked at now and then, the oldest go first, whole."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from pathlib import Path
from typing import NamedTuple

import trio

from dulcet.errors import DulcetError
from dulcet.station.archive.series import Series, Wanted
from dulcet.station.archive.telling import Tell, reason_of
from dulcet.station.archive.upkeep import bring_up_to_date
from dulcet.station.vault.open_vault import InUse, Vault, open_vault
from dulcet.station.vault.removing import Removal, remove_series
from dulcet.station.vault.work import Work

INTERVAL_SECONDS = 3600.0
DAY_NANOSECONDS = 24 * 3600 * 10**9
DOUBT_DAYS = 7  # that the clock may go ahead at once, before it is doubted


@dataclass(frozen=True, kw_only=True, slots=True)
class Keep:
    """What is kept; None is for ever, and as many as there are."""

    days: float | None = None
    """Since the last of a series arrived."""
    octets: int | None = None
    """Of all files."""

    @property
    def is_limited(self) -> bool:
        """Whether anything is ever to go."""
        return self.days is not None or self.octets is not None


class Why(Enum):
    """Why a series is to go."""

    AGE = "age"
    SIZE = "size"


class Due(NamedTuple):
    """A series that is to go."""

    series: Series
    why: Why


@dataclass(frozen=True, slots=True)
class Pruned:
    """What became of a series that was to go."""

    due: Due
    removal: Removal


def due(series: Sequence[Series], keep: Keep, now: int) -> list[Due]:
    """The series that are to go, the oldest first; `now` in nanoseconds since 1970."""
    found = []
    octets = sum(each.octets for each in series)
    for each in sorted(series, key=lambda each: each.arrived):
        if keep.days is not None and now - each.arrived > keep.days * DAY_NANOSECONDS:
            found.append(Due(each, Why.AGE))
        elif keep.octets is not None and octets > keep.octets:
            found.append(Due(each, Why.SIZE))
        else:
            continue
        octets -= each.octets
    return found


def prune(vault: Vault, keep: Keep, work: Work) -> list[Pruned]:
    """Remove what is to go. A series that is still queued stays, and others go in its place if octets are to be saved.

    ArchiveError, QueueError. KeyboardInterrupt when the work is stopped.
    """
    done: list[Pruned] = []
    stays: set[str] = set()
    while True:
        series = vault.index.series(Wanted())
        # What stays weighs as much as before, so it counts: only it can't be what goes.
        weight = sum(each.octets for each in series if each.series_instance_uid in stays)
        left = Keep(days=keep.days, octets=None if keep.octets is None else max(keep.octets - weight, 0))
        found = due([each for each in series if each.series_instance_uid not in stays], left, time.time_ns())
        if not found:
            return done
        for each in found:
            removal = remove_series(vault, each.series.series_instance_uid, work)
            done.append(Pruned(each, removal))
            if not removal.is_done:
                stays.add(each.series.series_instance_uid)
                break


@dataclass(slots=True)
class Retention:
    """What a server does about it: looks at its start, and each hour. Nothing of a patient is logged.

    A clock that is wrong makes everything old. So one that has gone ahead, since the last object arrived or the last
    look, is taken as it is at the next look only: until then somebody can set it right, and nothing goes for its age.
    """

    directory: Path
    keep: Keep
    tell: Tell
    in_use: InUse | None = None
    _last: tuple[int, int] | None = field(default=None, init=False)
    """The clock at the last look, and the one that nobody sets; nanoseconds."""

    async def run(self) -> None:
        """Until cancelled, within a batch of files."""
        while True:
            try:
                pruned = await trio.to_thread.run_sync(self._look)
            except (DulcetError, OSError) as error:  # the next look may fare better
                self.tell("retention.failed", reason=reason_of(error))
            else:
                self._log(pruned)
            await trio.sleep(INTERVAL_SECONDS)

    def _look(self) -> list[Pruned]:
        vault = open_vault(self.directory, self.in_use)
        try:
            bring_up_to_date(vault.store, vault.index, lambda _objects: trio.from_thread.check_cancelled())
            keep = self.keep
            if keep.days is not None and (ahead := self._ahead(vault)) > DOUBT_DAYS * DAY_NANOSECONDS:
                self._tell_doubt(vault, ahead)
                keep = replace(keep, days=None)
            return prune(vault, keep, _CancelledWork())
        finally:
            vault.close()

    def _ahead(self, vault: Vault) -> int:
        """How far the clock is ahead of where it was to be expected, at least; nanoseconds."""
        now, running = time.time_ns(), time.monotonic_ns()
        if self._last is not None:
            expected = self._last[0] + running - self._last[1]
        else:
            expected = max((each.arrived for each in vault.index.series(Wanted(), 1)), default=now)
        self._last = (now, running)
        return now - expected

    def _tell_doubt(self, vault: Vault, ahead: int) -> None:
        old = due(vault.index.series(Wanted()), Keep(days=self.keep.days), time.time_ns())
        if old:
            days = f"{ahead / DAY_NANOSECONDS:.0f} days"
            reason = f"is the clock right? It went ahead by {days}; the next look believes it"
            trio.from_thread.run_sync(partial(self.tell, "retention.kept", series=len(old), reason=reason))

    def _log(self, pruned: Sequence[Pruned]) -> None:
        for why in Why:
            gone = [each.removal for each in pruned if each.due.why is why and each.removal.is_done]
            if gone:
                objects, octets = sum(each.removed for each in gone), sum(each.octets for each in gone)
                self.tell("retention.removed", why=why.value, series=len(gone), objects=objects, octets=octets)
        queued = sum(bool(each.removal.queued) for each in pruned)
        failed = [kept for each in pruned for kept in each.removal.kept]
        if queued:
            self.tell("retention.kept", series=queued, reason="they are queued")
        if failed:
            self.tell("retention.failed", objects=len(failed), reason=failed[0].reason)


class _CancelledWork(Work):
    """Work in a thread of trio's: it ends when its task is cancelled."""

    def check(self) -> None:
        trio.from_thread.check_cancelled()
