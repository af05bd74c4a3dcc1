"""What the commands of `dulcet series` share: the vault, names of series, and how long work is shown and ended."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from dulcet.commands.index import unusable
from dulcet.commands.options import FILE, stacked
from dulcet.errors import ArchiveError, NoInputError
from dulcet.escape import quoted
from dulcet.station.archive.interfaces import VaultIndex
from dulcet.station.archive.series import Series, Wanted
from dulcet.station.terminal import moves_cursor
from dulcet.station.vault.naming import MIN_CHARACTERS, matching, shown
from dulcet.station.vault.open_vault import Vault, open_vault
from dulcet.station.vault.work import Work

if TYPE_CHECKING:
    import trio

EXIT_PARTLY_FAILED = 1
MAX_NAMED = 10
PATIENCE_SECONDS, REFRESH_SECONDS = 1.0, 0.2
CLEAR = "\r\x1b[K"
MAX_WORD_CHARACTERS = 100

T = TypeVar("T")

vault_options = stacked(
    click.option(
        "--directory",
        type=FILE,
        default=Path("received"),
        show_default=True,
        metavar="DIR",
        help="The storage directory.",
    ),
    click.option("--no-update", is_flag=True, help="Take the index as it is, without a look through the directory."),
)
"""Which vault."""

SERIES = "SERIES"
"""How --help calls a name of a series."""


@contextmanager
def opened(directory: Path, *, no_update: bool = False) -> Iterator[Vault]:
    """The vault, its index up to date; what goes wrong with them becomes a sentence."""
    from dulcet.station.archive.upkeep import bring_up_to_date

    vault = open_vault(directory)
    try:
        if not no_update:
            reading = _Reading()
            try:
                bring_up_to_date(vault.store, vault.index, reading)
            except OSError as error:
                raise unusable(directory, error) from error
            finally:
                reading.end()
        yield vault
    except ArchiveError as error:
        raise unusable(directory, error) from error
    finally:
        vault.close()


class _Reading:
    """Tells on a terminal how many new objects have been read, when that takes longer than a moment."""

    def __init__(self) -> None:
        self._shows = moves_cursor(sys.stderr)
        self._next = time.monotonic() + PATIENCE_SECONDS
        self._count = 0
        self._is_shown = False

    def __call__(self, objects: int) -> None:
        self._count += objects
        if self._shows and time.monotonic() >= self._next:
            sys.stderr.write(f"{CLEAR}{self._count:,} new objects read")
            sys.stderr.flush()
            self._is_shown = True
            self._next = time.monotonic() + REFRESH_SECONDS

    def end(self) -> None:
        """Wipe it away."""
        if self._is_shown:
            sys.stderr.write(CLEAR)
            sys.stderr.flush()


def series_uid(index: VaultIndex, word: str, uids: Sequence[str]) -> str:
    """The one series that a word names. NoInputError when there is none, a usage error when there are several."""
    found = matching(word, uids)
    if len(found) == 1:
        return found[0]
    name = quoted(word, MAX_WORD_CHARACTERS)
    of_study = index.series(Wanted(study=word)) if word and not found else ()
    if of_study:
        raise NoInputError(f"{name} is a study: {_instead_of_a_study(of_study)}")
    if not found:
        short = f": {MIN_CHARACTERS} characters, at least, of a UID" if len(word) < MIN_CHARACTERS else ""
        raise NoInputError(f"there is no series {name} here{short}; `dulcet series list` shows what there is")
    raise click.UsageError(f"{name} may be any of {len(found):,} series: {_listed(found)}")


def _instead_of_a_study(of_study: Sequence[Series]) -> str:
    ctx = click.get_current_context(silent=True)
    if ctx is not None and any(parameter.name == "study" for parameter in ctx.command.params):
        return "say --study before its UID"
    return f"its series are {_listed([each.series_instance_uid for each in of_study])}"


def _listed(uids: Sequence[str]) -> str:
    return ", ".join(map(shown, uids[:MAX_NAMED])) + (", ..." if len(uids) > MAX_NAMED else "")


def chosen(index: VaultIndex, words: Sequence[str], study: str | None = None) -> list[str]:
    """The series that are named, each once, in their order; all of a study."""
    uids = sorted(index.series_uids())
    found = [series_uid(index, word, uids) for word in words]
    if study is not None:
        of_study = [each.series_instance_uid for each in index.series(Wanted(study=study))]
        if not of_study:
            raise NoInputError(f"there is no study {quoted(study, MAX_WORD_CHARACTERS)} here")
        found += reversed(of_study)
    return list(dict.fromkeys(found))


def described(index: VaultIndex, uids: Sequence[str]) -> list[Series]:
    """What there is to know of series, in their order; those of which nothing is left are not among them."""
    known = {each.series_instance_uid: each for each in index.series(Wanted(series=tuple(uids)))} if uids else {}
    return [known[uid] for uid in uids if uid in known]


def perform(work: Work, function: Callable[[Work], T], *, quiet: bool = False) -> T:
    """Do something in a thread, and show how far it is; a signal ends it between two steps, and then the command."""
    import trio

    from dulcet.station.sending.progress import show_progress

    stopped: list[int] = []

    async def watch(task_status: "trio.TaskStatus[None]") -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            task_status.started()
            async for number in signals:
                stopped.append(number)
                work.is_stopped = True

    async def main() -> T:
        failure: BaseException | None = None
        result: list[T] = []
        async with trio.open_nursery() as nursery:
            await nursery.start(watch)  # a signal before it listens would wait for the end of the thread
            nursery.start_soon(lambda: show_progress(work.transfer, sys.stderr, quiet=quiet))
            try:
                result.append(await trio.to_thread.run_sync(function, work))
            except (Exception, KeyboardInterrupt) as error:  # it leaves by itself, not in the nursery's group
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return result[0]

    try:
        return trio.run(main)
    except KeyboardInterrupt:
        if stopped and stopped[0] == signal.SIGTERM:
            raise click.exceptions.Exit(128 + stopped[0]) from None
        raise
